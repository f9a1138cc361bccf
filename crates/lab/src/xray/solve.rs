//! One window of a walk: pieces and, for every value that is still needed, its coefficients on each.

use super::curve::Curve;
use super::regions::{Breakpoint, Solver};
use super::role::{Groups, Role};
use rayon::prelude::*;
use reluctor::analysis::nonlinearity::{Kind, Nonlinearity, Pieces};
use reluctor::error::Result;
use reluctor::graph::ValueId;
use std::collections::HashMap;
use std::sync::Arc;

/// Breakpoints nearer to one another than this are one: what several units cause at once comes out in as many roundings.
const SAME: f64 = 1e-13;

/// Coefficients below this part of the largest one are rounding: it is about 2^-52 of each layer's sums, and grows with depth.
const NOISE: f64 = 1e-12;

/// Pieces that go through an affine layer at once.
const AT_ONCE: usize = 64;

/// A value's coefficients on one piece: as many vectors as the curve has functions.
type Coefficients = Arc<Vec<Vec<f64>>>;

/// A part of the curve.
pub struct Window<'s, 'g> {
    solver: &'s Solver<'g>,
    curve: Curve,
    /// Ends of the pieces, the window's own among them.
    cuts: Vec<f64>,
    /// Which unit is at each cut; none at the window's ends.
    causes: Vec<Option<Breakpoint>>,
    /// What each value is on each piece. Neighbours share what is the same.
    values: HashMap<ValueId, Vec<Coefficients>>,
}

/// A place where a piece is cut, and the unit that does it.
type Crossing = (f64, usize);

impl<'s, 'g> Window<'s, 'g> {
    pub fn new(solver: &'s Solver<'g>, curve: Curve, (start, end): (f64, f64), inputs: &[Vec<Vec<f64>>]) -> Self {
        let ids = solver.graph.inputs.iter();
        let values = ids.zip(inputs).map(|(&id, coefficients)| (id, vec![Arc::new(coefficients.clone())])).collect();
        Window { solver, curve, cuts: vec![start, end], causes: vec![None, None], values }
    }

    /// Every breakpoint strictly inside; none where there are more pieces than fit.
    pub fn solve(mut self, most: usize) -> Result<Option<Vec<Breakpoint>>> {
        let graph = self.solver.graph;
        let last_uses = graph.last_uses();
        for (index, node) in graph.nodes.iter().enumerate() {
            let known = graph.open_inputs(node).iter().all(|id| self.values.contains_key(id));
            let output = node.outputs[0];
            let result = match &self.solver.roles[index] {
                _ if !known => None,
                Role::Affine => Some(self.affine(index)?),
                Role::Bend(bend) => {
                    let crossings = self.bends(bend, self.solver.graph.value(output).ty.shape.as_slice());
                    if !self.cut(index, crossings, most) {
                        return Ok(None);
                    }
                    Some(self.bent(bend, graph.value(output).ty.shape.as_slice()))
                }
                Role::Largest(groups) => {
                    let Some(input) = node.input(0) else { continue };
                    let crossings = self.overtakes(groups, input);
                    if !self.cut(index, crossings, most) {
                        return Ok(None);
                    }
                    Some(self.largest(groups, input))
                }
                Role::Curved => None,
            };
            if let Some(result) = result {
                self.values.insert(output, result);
            }
            self.values.retain(|id, _| last_uses.get(id).is_some_and(|&last| last > index));
        }
        Ok(Some(self.causes.into_iter().flatten().collect()))
    }

    fn pieces(&self) -> usize {
        self.cuts.len() - 1
    }

    fn ends(&self, piece: usize) -> (f64, f64) {
        (self.cuts[piece], self.cuts[piece + 1])
    }

    /// An affine node on each piece: the whole of the constant coefficient, the linear part of the others.
    fn affine(&self, index: usize) -> Result<Vec<Coefficients>> {
        let read = self.solver.graph.open_inputs(&self.solver.graph.nodes[index]);
        let of_piece = |piece: usize| read.iter().map(|id| &self.values[id][piece]).collect::<Vec<_>>();
        // Neighbouring pieces on which nothing that it reads differs share the result.
        let is_new = |piece: usize| {
            piece == 0 || of_piece(piece).iter().zip(of_piece(piece - 1)).any(|(one, other)| !Arc::ptr_eq(one, other))
        };
        let firsts: Vec<usize> = (0..self.pieces()).filter(|&piece| is_new(piece)).collect();
        let computed = firsts.chunks(AT_ONCE).map(|pieces| self.affine_on(index, &read, pieces));
        let computed = computed.collect::<Result<Vec<_>>>()?.concat();
        let mut at = 0;
        let shared = |piece: usize| {
            at += usize::from(piece > 0 && is_new(piece));
            computed[at].clone()
        };
        Ok((0..self.pieces()).map(shared).collect())
    }

    fn affine_on(&self, index: usize, read: &[ValueId], pieces: &[usize]) -> Result<Vec<Coefficients>> {
        let functions = self.curve.functions();
        let value = |id: ValueId, point: usize| -> Option<&[f64]> {
            let piece = pieces[point / functions];
            read.contains(&id).then(|| &self.values[&id][piece][point % functions][..])
        };
        let mut results = self.solver.apply_many(index, pieces.len() * functions, &value)?;
        let constant = self.solver.at_zero[index].as_deref().unwrap_or(&[]);
        for (_, result) in results.iter_mut().enumerate().filter(|(point, _)| point % functions > 0) {
            result.iter_mut().zip(constant).for_each(|(x, constant)| *x -= constant);
        }
        let mut results = results.into_iter();
        Ok(pieces.iter().map(|_| Arc::new(results.by_ref().take(functions).collect())).collect())
    }

    /// Where pre-activations cross knees, for each piece.
    fn bends(&self, bend: &Nonlinearity, shape: &[usize]) -> Vec<Vec<Crossing>> {
        let (pieces_of, per_channel) = (by_channel(bend), pixels(shape));
        let knees = |unit: usize| &pieces_of[unit / per_channel % pieces_of.len()].knees;
        (0..self.pieces())
            .into_par_iter()
            .map(|piece| {
                let (z, ends) = (&self.values[&bend.input][piece], self.ends(piece));
                let noise = noise(z);
                let of_unit = |unit: usize| {
                    let at = move |level: &f64| self.curve.crossings(*level, noise, ends, |function| z[function][unit]);
                    knees(unit).iter().flat_map(at).flatten().map(move |t| (t, unit))
                };
                (0..z[0].len()).flat_map(of_unit).collect()
            })
            .collect()
    }

    /// Where one element of a group overtakes another, for each piece.
    fn overtakes(&self, groups: &Groups, input: ValueId) -> Vec<Vec<Crossing>> {
        let on_piece = |piece: usize| {
            let (z, ends) = (&self.values[&input][piece], self.ends(piece));
            let noise = noise(z);
            (0..groups.len()).flat_map(|unit| self.overtakes_in(z, noise, ends, groups.of(unit), unit)).collect()
        };
        (0..self.pieces()).into_par_iter().map(on_piece).collect()
    }

    fn overtakes_in(
        &self,
        z: &Coefficients,
        noise: f64,
        ends: (f64, f64),
        group: &[usize],
        unit: usize,
    ) -> Vec<Crossing> {
        let value = |member: usize, t: f64| self.curve.at(t, |function| z[function][member]);
        let largest = |t: f64| {
            let best = |best: usize, other: &usize| if value(*other, t) > value(best, t) { *other } else { best };
            group.iter().fold(group[0], best)
        };
        let same = |one: usize, other: usize| z.iter().all(|function| (function[one] - function[other]).abs() <= noise);
        // A line that is the largest at both ends of a segment is so between them.
        if self.curve == Curve::Segment {
            let first = largest(ends.0);
            if group.iter().all(|&other| value(first, ends.1) >= value(other, ends.1)) {
                return Vec::new();
            }
        }
        let mut places: Vec<f64> = Vec::new();
        for (index, &one) in group.iter().enumerate() {
            for &other in &group[index + 1..] {
                let difference = |function: usize| z[function][one] - z[function][other];
                places.extend(self.curve.crossings(0.0, noise, ends, difference).into_iter().flatten());
            }
        }
        places.sort_by(f64::total_cmp);
        places.dedup_by(|later, earlier| *later - *earlier < SAME);
        let limits: Vec<f64> = [ends.0].into_iter().chain(places.iter().copied()).chain([ends.1]).collect();
        let winners: Vec<usize> = limits.windows(2).map(|pair| largest(0.5 * (pair[0] + pair[1]))).collect();
        let changes = winners.windows(2).zip(&places).filter(|(pair, _)| !same(pair[0], pair[1]));
        changes.map(|(_, &t)| (t, unit)).collect()
    }

    /// Cuts every piece at its crossings; false where there would be too many.
    fn cut(&mut self, node: usize, crossings: Vec<Vec<Crossing>>, most: usize) -> bool {
        let mut crossings = crossings;
        for (piece, places) in crossings.iter_mut().enumerate() {
            let (start, end) = self.ends(piece);
            places.retain(|(t, _)| *t - start > SAME && end - *t > SAME);
            places.sort_by(|a, b| a.0.total_cmp(&b.0));
            places.dedup_by(|later, earlier| later.0 - earlier.0 <= SAME);
        }
        if self.pieces() + crossings.iter().map(Vec::len).sum::<usize>() > most {
            return false;
        }
        let (mut cuts, mut causes) = (vec![self.cuts[0]], vec![None]);
        for (piece, places) in crossings.iter().enumerate() {
            for &(t, unit) in places {
                cuts.push(t);
                causes.push(Some(Breakpoint { t, node, unit }));
            }
            cuts.push(self.cuts[piece + 1]);
            causes.push(self.causes[piece + 1]);
        }
        for value in self.values.values_mut() {
            let repeated =
                value.iter().zip(&crossings).flat_map(|(c, cuts)| std::iter::repeat_n(c.clone(), cuts.len() + 1));
            *value = repeated.collect();
        }
        (self.cuts, self.causes) = (cuts, causes);
        true
    }

    /// The activation on pieces on each of which no unit crosses a knee.
    fn bent(&self, bend: &Nonlinearity, shape: &[usize]) -> Vec<Coefficients> {
        let (pieces_of, per_channel) = (by_channel(bend), pixels(shape));
        let on_piece = |piece: usize| {
            let (z, (start, end)) = (&self.values[&bend.input][piece], self.ends(piece));
            let middle = 0.5 * (start + end);
            let mut result: Vec<Vec<f64>> = z.to_vec();
            for unit in 0..z[0].len() {
                let pieces = &pieces_of[unit / per_channel % pieces_of.len()];
                let at = pieces.at(self.curve.at(middle, |function| z[function][unit]));
                if let Kind::Line { slope, offset } = pieces.kinds[at] {
                    result.iter_mut().for_each(|function| function[unit] *= slope);
                    result[0][unit] += offset;
                }
            }
            Arc::new(result)
        };
        (0..self.pieces()).into_par_iter().map(on_piece).collect()
    }

    /// The largest of each group on pieces on each of which none overtakes another.
    fn largest(&self, groups: &Groups, input: ValueId) -> Vec<Coefficients> {
        let on_piece = |piece: usize| {
            let (z, (start, end)) = (&self.values[&input][piece], self.ends(piece));
            let middle = 0.5 * (start + end);
            let value = |member: usize| self.curve.at(middle, |function| z[function][member]);
            let winner = |unit: usize| {
                let group = groups.of(unit);
                group.iter().fold(group[0], |best, &other| if value(other) > value(best) { other } else { best })
            };
            let winners: Vec<usize> = (0..groups.len()).map(winner).collect();
            Arc::new(z.iter().map(|function| winners.iter().map(|&member| function[member]).collect()).collect())
        };
        (0..self.pieces()).into_par_iter().map(on_piece).collect()
    }
}

/// What is nothing beside the largest coefficient.
fn noise(z: &Coefficients) -> f64 {
    NOISE * z.iter().flatten().fold(0.0f64, |most, x| most.max(x.abs()))
}

fn by_channel(bend: &Nonlinearity) -> Vec<Pieces> {
    (0..bend.channels()).map(|channel| bend.pieces(channel)).collect()
}

/// Elements of a channel.
fn pixels(shape: &[usize]) -> usize {
    shape.iter().skip(2).product::<usize>().max(1)
}
