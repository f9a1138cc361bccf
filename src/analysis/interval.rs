//! Intervals that every value is proved to lie in, whatever the inputs are: what tells that an activation never bends.
//!
//! Plain interval arithmetic in f64 (R. E. Moore, Interval Analysis, 1966), one interval for each channel, widened by the
//! certified bound of what rounding in f32 may add. Inputs are unbounded unless their range is given.

use super::nonlinearity::Nonlinearity;
use crate::bound::gamma;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::epilogue::slot;
use crate::ops::{Activation, Binary, BinaryFunction, Conv, Op, PoolKind, ReduceKind};
use std::collections::HashMap;

/// All numbers between two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The smallest; minus infinity where nothing is known.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Interval {
    /// Every number.
    pub const ALL: Interval = Interval { low: f64::NEG_INFINITY, high: f64::INFINITY };

    /// One number.
    pub const fn at(number: f64) -> Self {
        Interval { low: number, high: number }
    }

    fn plus(self, other: Interval) -> Interval {
        Interval { low: self.low + other.low, high: self.high + other.high }
    }

    fn times(self, factor: f64) -> Interval {
        match factor {
            0.0 => Interval::at(0.0),
            factor if factor > 0.0 => Interval { low: self.low * factor, high: self.high * factor },
            factor => Interval { low: self.high * factor, high: self.low * factor },
        }
    }

    fn or(self, other: Interval) -> Interval {
        Interval { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    fn widened(self, by: f64) -> Interval {
        if by.is_finite() { Interval { low: self.low - by, high: self.high + by } } else { self }
    }
}

/// What is known of a value: one interval for each channel, or one for all of it.
type Known = Vec<Interval>;

/// The interval of each channel of every value; nothing is known of what is absent.
pub fn intervals(graph: &Graph, inputs: Interval) -> HashMap<ValueId, Known> {
    let mut known: HashMap<ValueId, Known> = graph.inputs.iter().map(|&id| (id, vec![inputs])).collect();
    for node in &graph.nodes {
        if let Some(interval) = of_node(graph, node, &known) {
            known.insert(node.outputs[0], interval);
        }
    }
    known
}

fn of_node(graph: &Graph, node: &Node, known: &HashMap<ValueId, Known>) -> Option<Known> {
    if let Some(nonlinearity) = Nonlinearity::of(graph, node) {
        return of_activation(graph, node, &nonlinearity, known.get(&nonlinearity.input));
    }
    let input = || node.input(0).and_then(|id| known.get(&id));
    match &node.op {
        Op::Conv(conv) => of_conv(graph, node, conv, input()?),
        Op::Pool(pool) if pool.kind == PoolKind::Max => input().cloned(),
        // A mean lies among its numbers, and padding counts as zeros.
        Op::Pool(pool) => {
            let zero = matches!(pool.kind, PoolKind::Average { count_include_pad: true });
            let or_zero = |x: &Interval| if zero { x.or(Interval::at(0.0)) } else { *x };
            Some(input()?.iter().map(or_zero).map(|x| x.widened(x.magnitude() * gamma(pool.taps() + 5))).collect())
        }
        // Over the items or the channels, numbers of several channels meet in one.
        Op::Reduce(reduce) if matches!(reduce.kind, ReduceKind::Max | ReduceKind::Min) => {
            let known = input()?;
            Some(if reduce.axes.start >= 2 { known.clone() } else { vec![whole(known)] })
        }
        Op::Binary(Binary { function: BinaryFunction::Add, activation: Activation::Identity }) => {
            let (a, b) = (operand(graph, node, 0, known)?, operand(graph, node, 1, known)?);
            let same = graph.value(node.input(0)?).ty.shape == graph.value(node.input(1)?).ty.shape;
            let sum = |(a, b): (Interval, Interval)| a.plus(b).widened((a.magnitude() + b.magnitude()) * gamma(1));
            if same && a.len() == b.len() {
                return Some(a.into_iter().zip(b).map(sum).collect());
            }
            Some(vec![sum((whole(&a), whole(&b)))])
        }
        Op::Reshape(_) | Op::Transpose(_) | Op::Slice(_) => Some(vec![whole(input()?)]),
        _ => None,
    }
}

fn operand(graph: &Graph, node: &Node, slot: usize, known: &HashMap<ValueId, Known>) -> Option<Known> {
    if let Some(constant) = graph.constant_input(node, slot) {
        let numbers = constant.as_real().ok()?.iter().map(|&x| Interval::at(x.into()));
        return numbers.reduce(Interval::or).map(|all| vec![all]);
    }
    known.get(&node.input(slot)?).cloned()
}

/// What holds all channels.
fn whole(known: &[Interval]) -> Interval {
    known.iter().copied().reduce(Interval::or).unwrap_or(Interval::ALL)
}

fn of_activation(graph: &Graph, node: &Node, function: &Nonlinearity, known: Option<&Known>) -> Option<Known> {
    let channels = graph.value(node.outputs[0]).ty.shape.get(1).copied().unwrap_or(1);
    let before = |channel: usize| known.map_or(Interval::ALL, |known| known[channel % known.len()]);
    let of = |channel: usize| {
        let Interval { low, high } = before(channel);
        let pieces = function.pieces(channel);
        // Extremes of a piecewise linear function lie at the ends and at its knees.
        let inside = pieces.knees.iter().copied().filter(|&knee| knee > low && knee < high);
        let ends = inside.chain([low, high]).map(|x| Interval::at(function.apply(channel, x)));
        pieces.is_piecewise_linear().then(|| ends.reduce(Interval::or)).flatten()
    };
    (0..channels)
        .map(of)
        .collect::<Option<Vec<_>>>()
        .filter(|all| all.iter().all(|x| !x.low.is_nan() && !x.high.is_nan()))
}

/// Sums of weights times intervals. Padding adds zeros, so each interval is widened to hold zero where there is any.
fn of_conv(graph: &Graph, node: &Node, conv: &Conv, input: &Known) -> Option<Known> {
    let epilogue = &conv.epilogue;
    if epilogue.activation != Activation::Identity || epilogue.pool.is_some() || node.input(slot::RESIDUAL).is_some() {
        return None;
    }
    let weights = graph.constant_input(node, slot::WEIGHT)?.as_real().ok()?.mapv(f64::from);
    let &[out_c, in_c, k_h, k_w] = weights.shape() else { return None };
    let wide = constants(graph, node)?;
    let inputs: Vec<Option<&crate::tensor::Tensor<f64>>> = wide.iter().map(Option::as_ref).collect();
    let map = epilogue.per_channel(&inputs, out_c).ok()?;
    let is_padded = conv.window.pads != crate::ops::window::Pads::default();
    let terms = in_c * k_h * k_w;
    let of = |oc: usize| {
        let first = oc / (out_c / conv.groups) * in_c;
        let (mut sum, mut magnitude) = (Interval::at(map.offset[oc]), map.offset[oc].abs());
        for ic in 0..in_c {
            let seen = input[(first + ic) % input.len()];
            let seen = if is_padded { seen.or(Interval::at(0.0)) } else { seen };
            for (ky, kx) in (0..k_h).flat_map(|ky| (0..k_w).map(move |kx| (ky, kx))) {
                let weight = weights[[oc, ic, ky, kx]] * map.factor[oc];
                let product = seen.times(weight);
                magnitude += product.magnitude();
                sum = sum.plus(product);
            }
        }
        // Where nothing is below zero, no rounding makes a sum negative.
        let safe = Interval {
            low: if sum.low >= 0.0 && all_at_least_zero(input, &weights, &map, oc, first) {
                sum.low.min(0.0)
            } else {
                sum.low - magnitude * gamma(terms + 3)
            },
            high: sum.high + magnitude * gamma(terms + 3),
        };
        if safe.low.is_nan() || safe.high.is_nan() { Interval::ALL } else { safe }
    };
    Some((0..out_c).map(of).collect())
}

fn all_at_least_zero(
    input: &Known,
    weights: &ndarray::ArrayD<f64>,
    map: &crate::ops::ChannelAffine,
    oc: usize,
    first: usize,
) -> bool {
    let filter = weights.index_axis(ndarray::Axis(0), oc);
    let seen = (0..filter.shape()[0]).all(|ic| input[(first + ic) % input.len()].low >= 0.0);
    seen && map.offset[oc] >= 0.0 && filter.iter().all(|weight| weight * map.factor[oc] >= 0.0)
}

/// The constant inputs of a node in f64.
fn constants(graph: &Graph, node: &Node) -> Option<Vec<Option<crate::tensor::Tensor<f64>>>> {
    let of = |id: &Option<ValueId>| id.and_then(|id| graph.value(id).constant.as_ref().map(|tensor| tensor.cast()));
    Some(node.inputs.iter().map(of).collect())
}

/// Whether an activation is proved to be one affine piece, the identity: it never bends what it is given.
pub fn is_always_identity(graph: &Graph, node: &Node, known: &HashMap<ValueId, Known>) -> bool {
    let Some(function) = Nonlinearity::of(graph, node) else { return false };
    let Some(known) = known.get(&function.input) else { return false };
    (0..known.len().max(function.channels())).all(|channel| {
        let (Interval { low, high }, pieces) = (known[channel % known.len()], function.pieces(channel));
        // At a knee both of its pieces agree, for all but the one activation that jumps.
        let first = pieces.knees.iter().take_while(|&&knee| knee <= low).count();
        let identity = super::nonlinearity::Kind::Line { slope: 1.0, offset: 0.0 };
        let jumps =
            matches!(node.op, Op::Activate(crate::ops::Activate { activation: Activation::ThresholdedRelu { .. } }));
        !jumps && pieces.knees.get(first).is_none_or(|&knee| high <= knee) && pieces.kinds[first] == identity
    })
}
