//! `--segment`: the pieces between two inputs, around a circle through them, and the local map at the first of them.

use super::XrayArgs;
use super::report::{BreakpointReport, Curves, Square};
use super::runner::OnDevice;
use super::subject::Prepared;
use crate::bind::Bound;
use crate::device_args::Device;
use crate::feed::Fed;
use crate::input_files::tensor_for;
use reluctor::error::{Error, Result, escape};
use reluctor::graph::Graph;
use reluctor::onnx::Model;
use reluctor::tensor::{Named, Tensor, format_shape};
use reluctor_lab::xray::sampled::{bends_at_least, slice};
use reluctor_lab::xray::{Curve, Passes, Regions, Solver};

/// Arithmetic that pieces which nobody asked for may take, flops of single forward passes: seconds.
const USUAL: u64 = 1_500_000_000;

/// Pieces on a segment that was asked for, at most.
const MOST: usize = 200_000;

/// One point of a network's input space.
type Point = Vec<Vec<f64>>;

/// The network for one point, and two of its points.
pub struct Ends {
    single: Option<Bound>,
    pub a: Named,
    pub b: Named,
    /// Another point, which gives the circle its plane.
    pub c: Named,
}

impl Ends {
    /// The network that takes one point.
    pub fn graph<'a>(&'a self, prepared: &'a Prepared) -> &'a Graph {
        self.single.as_ref().map_or(&prepared.bound.network.graph, |bound| &bound.network.graph)
    }
}

impl XrayArgs {
    /// The ends of the segment: two files, or the first two inputs.
    pub fn ends(&self, model: &Model, device: &Device, prepared: &Prepared) -> Result<Ends> {
        let single = (prepared.batch > 1 && prepared.open).then(|| {
            let first = |fed: &Fed| Fed {
                name: fed.name.clone(),
                tensor: if fed.open { rows(&fed.tensor, 0) } else { fed.tensor.clone() },
                source: fed.source.clone(),
                open: fed.open,
            };
            let feed = prepared.bound.feed.iter().map(first).collect();
            self.bind(model, &self.model.bindings(), feed, device, Some(1))
        });
        let single = single.transpose()?;
        let item = |named: &Named, row: usize| -> Named {
            let cut = |tensor: &Tensor| if single.is_some() { rows(tensor, row) } else { tensor.clone() };
            named.iter().map(|(name, tensor)| (name.clone(), cut(tensor))).collect()
        };
        // The third point: an item of a batch, or a batch of its own.
        let (batch, row) = if single.is_some() { (2 / prepared.batch, 2 % prepared.batch) } else { (2, 0) };
        let (a, b) = (item(&prepared.x[0], 0), item(&prepared.y[0], 0));
        let c = prepared.x.get(batch).map_or_else(|| rotated(&a), |named| item(named, row));
        let mut ends = Ends { single, a, b, c };
        if let [first, second] = &self.segment[..] {
            let graph = ends.graph(prepared);
            let [a, b] = [first, second].map(|path| from_file(graph, path));
            (ends.a, ends.b) = (a?, b?);
        }
        Ok(ends)
    }

    /// What lies on the segment, or on a part of the way between two inputs, and on the circle.
    pub fn curves(
        &self,
        graph: &Graph,
        ends: &Ends,
        wanted: Option<f64>,
        runner: &OnDevice<'_>,
        passes: &Passes,
    ) -> Result<Curves> {
        let solver = match Solver::new(graph) {
            Ok(solver) => solver,
            Err(Error::Usage(reason)) => return Ok(Curves { reason: Some(reason), ..Curves::default() }),
            Err(error) => return Err(error),
        };
        let bends = bends_at_least(graph, [&ends.a, &ends.b], runner, passes)?;
        let asked = !self.segment.is_empty();
        let usual = self.pieces.unwrap_or((USUAL / flops(graph).max(1)).clamp(8, 400) as usize);
        let part = if asked { 1.0 } else { wanted.unwrap_or_else(|| part(bends, usual)) };
        let [a, b, c] = [&ends.a, &ends.b, &ends.c].map(|named| point(graph, named));
        let (a, b, c) = (a?, b?, c?);
        let end: Point =
            a.iter().zip(&b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + part * (b - a)).collect()).collect();
        // Several units may bend at once, and nine points see half of what comes and goes: hence the room.
        let most = if asked { self.pieces.unwrap_or(MOST) } else { 16 * usual };
        let segment = solver.walk(Curve::Segment, &along_segment(&a, &end), most)?;
        let near: Point =
            a.iter().zip(&end).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + 0.0625 * (b - a)).collect()).collect();
        // A study asks for the segment alone.
        let circle = wanted.is_none().then(|| around_circle(&a, &near, &c)).flatten();
        let circle = circle.map(|circle| solver.walk(Curve::Circle, &circle, most)).transpose()?;
        let reach = segment.breakpoints.first().map_or(1.0, |first| first.t) * part;
        // Two inputs often share a background, where ties lie on borders of regions: the middle of the first piece does not.
        let inside: Point =
            a.iter().zip(&b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + 0.5 * reach * (b - a)).collect()).collect();
        let reason = (!segment.complete).then(|| {
            let reached = 100.0 * segment.reached;
            format!("there are more than --pieces {most}: they were solved for on the first {reached:.2} % of it")
        });
        let columns = (USUAL / flops(graph).max(1)).max(8) as usize;
        let beyond = 0.5 * reach / (1.0 - 0.5 * reach);
        let local = wanted.is_none().then(|| solver.local_map(&inside, &b, beyond, columns));
        Ok(Curves {
            reason,
            segment_part: part,
            pieces_at_least: Some(match segment.complete && part == 1.0 {
                true => segment.pieces(),
                false => (bends + 1).max(segment.pieces()),
            }),
            pieces_on_segment: segment.complete.then(|| segment.pieces()),
            pieces_on_circle: circle.filter(|circle| circle.complete).map(|circle| circle.breakpoints.len().max(1)),
            breakpoints: breakpoints(graph, &segment),
            local_map: local.transpose()?,
        })
    }
}

/// Points along a side of the square.
const SIDE: usize = 56;

impl XrayArgs {
    /// Linear regions on a plane through three inputs, near the first of them; none where a network takes too long for it.
    pub fn slice(
        &self,
        graph: &Graph,
        ends: &Ends,
        part: f64,
        runner: &OnDevice<'_>,
        passes: &Passes,
    ) -> Result<Option<Square>> {
        if Solver::new(graph).is_err() || flops(graph) > USUAL / 30 {
            return Ok(None);
        }
        let [a, b, c] = [&ends.a, &ends.b, &ends.c].map(|named| point(graph, named));
        if around_circle(&a?, &b?, &c?).is_none() {
            return Ok(None); // There is no plane.
        }
        let part = part / 16.0;
        let side = |to: &Named| -> Result<Named> {
            let towards = |((name, from), (_, to)): (&(String, Tensor), &(String, Tensor))| {
                Ok((name.clone(), Tensor::Real((to.as_real()? - from.as_real()?) * part as f32)))
            };
            ends.a.iter().zip(to).map(towards).collect()
        };
        let regions = slice(graph, [&ends.a, &side(&ends.b)?, &side(&ends.c)?], SIDE, runner, passes)?;
        Ok(Some(Square { side: SIDE, part, regions }))
    }
}

/// Of one forward pass.
fn flops(graph: &Graph) -> u64 {
    let of = |node: &reluctor::graph::Node| {
        let outputs: Vec<_> = node.outputs.iter().map(|&id| graph.value(id).ty.clone()).collect();
        node.op.flops(&graph.input_types(node), &outputs)
    };
    graph.nodes.iter().map(of).sum()
}

/// The part of the way to the other input on which there are about so many pieces, by a count that is too low.
fn part(bends: usize, most: usize) -> f64 {
    let mut part = 1.0;
    while 4.0 * bends as f64 * part > most as f64 {
        part *= 0.5;
    }
    part
}

fn breakpoints(graph: &Graph, regions: &Regions) -> Vec<BreakpointReport> {
    let of = |point: &reluctor_lab::xray::Breakpoint| {
        let node = &graph.nodes[point.node];
        let mut rest = point.unit;
        let shape = &graph.value(node.outputs[0]).ty.shape;
        let mut unit: Vec<usize> = shape
            .iter()
            .rev()
            .map(|size| {
                let index = rest % size.max(&1);
                rest /= size.max(&1);
                index
            })
            .collect();
        unit.reverse();
        BreakpointReport { t: point.t, layer: node.name.clone(), unit }
    };
    regions.breakpoints.iter().map(of).collect()
}

/// The numbers of each input, in the graph's order.
fn point(graph: &Graph, named: &Named) -> Result<Point> {
    let of = |id: &reluctor::graph::ValueId| {
        let name = &graph.value(*id).name;
        let found = named.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor);
        let found = found.ok_or_else(|| Error::Internal(format!("{name} has no point")))?;
        Ok(found.as_real()?.iter().map(|&x| f64::from(x)).collect())
    };
    graph.inputs.iter().map(of).collect()
}

fn along_segment(a: &Point, b: &Point) -> Vec<Vec<Vec<f64>>> {
    let coefficients = |(a, b): (&Vec<f64>, &Vec<f64>)| vec![a.clone(), a.iter().zip(b).map(|(a, b)| b - a).collect()];
    a.iter().zip(b).map(coefficients).collect()
}

/// The numbers of each input at other places, where there is no third input.
fn rotated(named: &Named) -> Named {
    let rotate = |tensor: &Tensor| match tensor {
        Tensor::Real(array) => {
            let mut numbers: Vec<f32> = array.iter().copied().collect();
            let by = numbers.len() / 3;
            numbers.rotate_left(by);
            Tensor::real(array.shape(), numbers).unwrap_or_else(|_| tensor.clone())
        }
        other => other.clone(),
    };
    named.iter().map(|(name, tensor)| (name.clone(), rotate(tensor))).collect()
}

/// Around the middle of a and b through both, in the plane of a, b and c; none where they lie on one line.
fn around_circle(a: &Point, b: &Point, c: &Point) -> Option<Vec<Vec<Vec<f64>>>> {
    /// Of the squared distance to the line: what is less is rounding.
    const ON_THE_LINE: f64 = 1e-12;
    let combine = |f: &dyn Fn(f64, f64, f64) -> f64| -> Point {
        let of = |((a, b), c): ((&Vec<f64>, &Vec<f64>), &Vec<f64>)| {
            a.iter().zip(b).zip(c).map(|((a, b), c)| f(*a, *b, *c)).collect()
        };
        a.iter().zip(b).zip(c).map(of).collect()
    };
    let dot = |one: &Point, other: &Point| -> f64 {
        one.iter().flatten().zip(other.iter().flatten()).map(|(a, b)| a * b).sum()
    };
    let (middle, radius) = (combine(&|a, b, _| 0.5 * (a + b)), combine(&|a, b, _| 0.5 * (a - b)));
    let aside = combine(&|a, b, c| c - 0.5 * (a + b));
    let (length, along) = (dot(&radius, &radius), dot(&aside, &radius));
    let share = if length > 0.0 { along / length } else { 0.0 };
    let mut across: Point =
        aside.iter().zip(&radius).map(|(x, r)| x.iter().zip(r).map(|(x, r)| x - share * r).collect()).collect();
    let size = dot(&across, &across);
    if !(size > ON_THE_LINE * dot(&aside, &aside) && length > 0.0) {
        return None;
    }
    let scale = (length / size).sqrt();
    across.iter_mut().flatten().for_each(|x| *x *= scale);
    Some(middle.into_iter().zip(radius).zip(across).map(|((m, u), v)| vec![m, u, v]).collect())
}

fn rows(tensor: &Tensor, row: usize) -> Tensor {
    let size = tensor.shape()[0];
    tensor.slice_items(row.min(size.saturating_sub(1))..(row + 1).min(size))
}

fn from_file(graph: &Graph, path: &std::path::Path) -> Result<Named> {
    let of = |id: &reluctor::graph::ValueId| {
        let value = graph.value(*id);
        let tensor = tensor_for(&value.name, path)?;
        if tensor.tensor_type() != value.ty {
            let (given, wanted) = (format_shape(tensor.shape()), format_shape(&value.ty.shape));
            let reason = format!("is {given}, but input '{}' takes {wanted}", escape(&value.name));
            return Err(Error::Usage(format!("{} {reason}", path.display())));
        }
        Ok((value.name.clone(), tensor))
    };
    graph.inputs.iter().map(of).collect()
}
