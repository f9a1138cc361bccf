//! The affine map that a piecewise linear network is around one point, and how far it predicts.
//!
//! Around a point where no unit bends, the network is `f(x) + J (x' - x)`. A column of the Jacobian J is one pass of a tangent
//! through the network with every unit held in its piece. Forward differences with a step that stays inside the region give
//! the same column exactly, up to rounding: that is how it is verified.

use super::regions::Solver;
use super::role::Role;
use rayon::prelude::*;
use reluctor::analysis::nonlinearity::Kind;
use reluctor::error::{Error, Result};
use reluctor::graph::ValueId;
use serde::Serialize;
use std::collections::HashMap;

/// Columns that are held against forward differences.
const VERIFIED: usize = 32;

/// Where on a segment the prediction is held against the network.
const PLACES: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0];

/// Every value at a point, by its number.
type Values = HashMap<ValueId, Vec<f64>>;

/// The local map at one end of a segment.
#[derive(Debug, Clone, Serialize)]
pub struct LocalMap {
    /// Outputs of the network.
    pub rows: usize,
    /// Numbers in the input.
    pub columns: usize,
    /// How many columns were computed.
    pub computed_columns: usize,
    /// The largest |entry| of those columns.
    pub largest_entry: f64,
    /// The largest difference between a column and forward differences inside the region, relative to the output.
    pub forward_difference_error: f64,
    /// Columns that were held against forward differences.
    pub verified_columns: usize,
    /// How far along the segment the region reaches: up to there the map is the network.
    pub reach: f64,
    /// Beyond it.
    pub predictions: Vec<Prediction>,
}

/// The local map held against the network at some point of the segment.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Prediction {
    /// Where.
    pub t: f64,
    /// `|predicted - actual|` over `|actual - f(x)|`, both Euclidean.
    pub error: f64,
    /// Whether the largest output is the same one.
    pub same_top1: bool,
}

impl Solver<'_> {
    /// The map at `x` and what it predicts on the way to `y`; numbers of each input, in the graph's order. At most so many
    /// columns are computed, evenly spread.
    ///
    /// # Errors
    /// Where a layer cannot be computed.
    pub fn local_map(&self, x: &[Vec<f64>], y: &[Vec<f64>], reach: f64, most: usize) -> Result<LocalMap> {
        let here = self.values(x)?;
        let output = self.target;
        let at_x = value(&here, output)?.clone();
        let direction: Vec<Vec<f64>> =
            x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(x, y)| y - x).collect()).collect();
        let slope = self.tangent(&here, &direction)?.0;
        let predict = |t: f64| -> Result<Prediction> {
            let there = self.values(&moved(x, &direction, t))?;
            let actual = value(&there, output)?;
            let predicted: Vec<f64> = at_x.iter().zip(&slope).map(|(x, slope)| x + t * slope).collect();
            let error = distance(&predicted, actual) / distance(actual, &at_x).max(f64::MIN_POSITIVE);
            Ok(Prediction { t, error, same_top1: largest(&predicted) == largest(actual) })
        };
        let places = PLACES.into_iter().chain([0.5 * reach]).collect::<Vec<_>>();
        let mut predictions = places.into_par_iter().map(predict).collect::<Result<Vec<_>>>()?;
        predictions.sort_by(|a, b| a.t.total_cmp(&b.t));

        let columns: usize = x.iter().map(Vec::len).sum();
        let chosen: Vec<usize> = (0..columns).step_by(columns.div_ceil(most).max(1)).collect();
        let verified = chosen.len().div_ceil(VERIFIED).max(1);
        let column = |(index, &column): (usize, &usize)| -> Result<(f64, Option<f64>)> {
            let unit = unit(x, column);
            let (tangent, room) = self.tangent(&here, &unit)?;
            let largest = tangent.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            // On the border of a region in this direction there is no derivative.
            let checked =
                (index % verified == 0 && room > 0.0).then(|| self.forward_difference(x, &at_x, &unit, &tangent, room));
            Ok((largest, checked.transpose()?))
        };
        let measured = chosen.par_iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        let checked: Vec<f64> = measured.iter().filter_map(|(_, error)| *error).collect();
        Ok(LocalMap {
            rows: at_x.len(),
            columns,
            computed_columns: chosen.len(),
            largest_entry: measured.iter().map(|(largest, _)| *largest).fold(0.0, f64::max),
            forward_difference_error: checked.iter().copied().fold(0.0, f64::max),
            verified_columns: checked.len(),
            reach,
            predictions,
        })
    }

    /// By how much a step inside the region misses what the tangent says, relative to the output.
    fn forward_difference(
        &self,
        x: &[Vec<f64>],
        at_x: &[f64],
        unit: &[Vec<f64>],
        tangent: &[f64],
        room: f64,
    ) -> Result<f64> {
        let step = (0.5 * room).min(1.0);
        let there = self.values(&moved(x, unit, step))?;
        let off = value(&there, self.target)?.iter().zip(at_x).zip(tangent);
        let off = off.map(|((there, here), slope)| (there - here - step * slope).abs()).fold(0.0, f64::max);
        Ok(off / at_x.iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs())))
    }

    fn inputs(&self, x: &[Vec<f64>]) -> Values {
        self.graph.inputs.iter().copied().zip(x.iter().cloned()).collect()
    }

    /// Everything that the network computes before something curved.
    fn values(&self, x: &[Vec<f64>]) -> Result<Values> {
        let mut values = self.inputs(x);
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if matches!(self.roles[index], Role::Curved) || !self.knows(index, &values) {
                continue;
            }
            let result = self.apply(index, &|id| values.get(&id).cloned())?;
            values.insert(node.outputs[0], result);
        }
        Ok(values)
    }

    fn knows(&self, index: usize, values: &Values) -> bool {
        self.graph.open_inputs(&self.graph.nodes[index]).iter().all(|id| values.contains_key(id))
    }

    /// What a direction in the input becomes in the output, and how far one can go before a unit bends.
    fn tangent(&self, here: &Values, direction: &[Vec<f64>]) -> Result<(Vec<f64>, f64)> {
        let mut tangents = self.inputs(direction);
        let mut room = f64::INFINITY;
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if !self.knows(index, &tangents) {
                continue;
            }
            let shape = &self.graph.value(node.outputs[0]).ty.shape;
            let result = match &self.roles[index] {
                Role::Curved => continue,
                Role::Affine => {
                    let mut result = self.apply(index, &|id| tangents.get(&id).cloned())?;
                    let constant = self.at_zero[index].as_deref().unwrap_or(&[]);
                    result.iter_mut().zip(constant).for_each(|(x, constant)| *x -= constant);
                    result
                }
                Role::Bend(bend) => {
                    let (z, dz) = (value(here, bend.input)?, value(&tangents, bend.input)?);
                    let pixels = shape.iter().skip(2).product::<usize>().max(1);
                    let pieces: Vec<_> = (0..bend.channels()).map(|channel| bend.pieces(channel)).collect();
                    let of_unit = |unit: usize| {
                        let pieces = &pieces[unit / pixels % pieces.len()];
                        let at = pieces.at(z[unit]);
                        let next = if dz[unit] > 0.0 {
                            pieces.knees.get(at)
                        } else {
                            at.checked_sub(1).map(|at| &pieces.knees[at])
                        };
                        let until = next.map_or(f64::INFINITY, |knee| (knee - z[unit]) / dz[unit]);
                        if dz[unit] != 0.0 {
                            room = room.min(until.max(0.0));
                        }
                        match pieces.kinds[at] {
                            Kind::Line { slope, .. } => slope * dz[unit],
                            Kind::Curve => f64::NAN,
                        }
                    };
                    (0..z.len()).map(of_unit).collect()
                }
                Role::Largest(groups) => {
                    let input = node.input(0).ok_or_else(|| Error::Internal(format!("{} reads nothing", node.name)))?;
                    let (z, dz) = (value(here, input)?, value(&tangents, input)?);
                    let of_unit = |unit: usize| {
                        let group = groups.of(unit);
                        let winner =
                            group.iter().fold(group[0], |best, &other| if z[other] > z[best] { other } else { best });
                        for &other in group.iter().filter(|&&other| dz[other] > dz[winner]) {
                            room = room.min((z[winner] - z[other]) / (dz[other] - dz[winner]));
                        }
                        dz[winner]
                    };
                    (0..groups.len()).map(of_unit).collect()
                }
            };
            tangents.insert(node.outputs[0], result);
        }
        Ok((value(&tangents, self.target)?.clone(), room))
    }
}

fn value(values: &Values, id: ValueId) -> Result<&Vec<f64>> {
    values.get(&id).ok_or_else(|| Error::Internal(format!("value {} was never computed", id.0)))
}

fn moved(x: &[Vec<f64>], direction: &[Vec<f64>], t: f64) -> Vec<Vec<f64>> {
    let along = |(x, d): (&Vec<f64>, &Vec<f64>)| x.iter().zip(d).map(|(x, d)| x + t * d).collect();
    x.iter().zip(direction).map(along).collect()
}

/// One number of the inputs, counted through all of them.
fn unit(x: &[Vec<f64>], column: usize) -> Vec<Vec<f64>> {
    let mut at = column;
    let of = |x: &Vec<f64>| {
        let mut unit = vec![0.0; x.len()];
        if let Some(one) = unit.get_mut(at) {
            *one = 1.0;
        }
        at = at.wrapping_sub(x.len());
        unit
    };
    x.iter().map(of).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn largest(values: &[f64]) -> Option<usize> {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]).then(b.cmp(&a)))
}
