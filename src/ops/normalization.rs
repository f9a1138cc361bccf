//! Normalizations that ONNX defines by formulas over whole rows: each is made of reductions and arithmetic.

use super::window::{Pads, Window};
use super::{
    ArgMost, Binary, BinaryFunction, Cast, Logic, LogicFunction, OpResult, Pool, PoolKind, Reduce, ReduceKind, Reshape,
    Select, Unary, UnaryFunction, invalid,
};
use crate::element::Element;
use crate::graph::ValueId;
use crate::onnx::OnnxNode;
use crate::tensor::Tensor;
use BinaryFunction::{Add, Div, Mul, Pow, Sub};
use std::ops::Range;

pub(super) fn combine(node: &mut OnnxNode<'_>, function: BinaryFunction, a: ValueId, b: ValueId) -> OpResult<ValueId> {
    node.emit(Binary::plain(function), &[Some(a), Some(b)])
}

fn reduce(node: &mut OnnxNode<'_>, kind: ReduceKind, x: ValueId, axes: &Range<usize>) -> OpResult<ValueId> {
    node.emit(Reduce { kind, axes: axes.clone() }, &[Some(x)])
}

pub(super) fn apply(node: &mut OnnxNode<'_>, function: UnaryFunction, x: ValueId) -> OpResult<ValueId> {
    node.emit(Unary { function }, &[Some(x)])
}

fn reshape(node: &mut OnnxNode<'_>, x: ValueId, shape: Vec<usize>) -> OpResult<ValueId> {
    node.emit(Reshape { shape }, &[Some(x)])
}

/// A tensor brought to mean 0 and variance 1 along its rows, with each row's mean and standard deviation.
struct Normalized {
    value: ValueId,
    mean: ValueId,
    deviation: ValueId,
}

/// `(x - mean) / sqrt(variance + epsilon)`, mean and variance being those of each row.
fn normalized(node: &mut OnnxNode<'_>, x: ValueId, axes: &Range<usize>, epsilon: f32) -> OpResult<Normalized> {
    let mean = reduce(node, ReduceKind::Mean, x, axes)?;
    let centred = combine(node, Sub, x, mean)?;
    let squared = combine(node, Mul, centred, centred)?;
    let variance = reduce(node, ReduceKind::Mean, squared, axes)?;
    let epsilon = node.number(epsilon)?;
    let variance = combine(node, Add, variance, epsilon)?;
    let deviation = apply(node, UnaryFunction::Sqrt, variance)?;
    Ok(Normalized { value: combine(node, Div, centred, deviation)?, mean, deviation })
}

/// `LayerNormalization`: a row is everything from the axis on; mean and 1 / deviation are further outputs.
pub(crate) fn import_layer(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let rank = node.ty(0)?.shape.len();
    let axis = super::axis(node.int("axis", -1)?, rank)?;
    let epsilon = node.float("epsilon", 1e-5)?;
    // Reals are f32 whatever precision the statistics are asked in.
    node.int("stash_type", 1)?;
    let (x, scale) = (node.input(0)?, node.input(1)?);
    let Normalized { value, mean, deviation } = normalized(node, x, &(axis..rank), epsilon)?;
    let statistics = node.type_of(mean).shape.clone();
    node.define(1, Reshape { shape: statistics }, &[Some(mean)])?;
    node.define(2, Unary { function: UnaryFunction::Reciprocal }, &[Some(deviation)])?;
    if node.input_count() < 3 {
        return node.finish_with(Binary::plain(Mul), &[Some(value), Some(scale)]);
    }
    let (scaled, bias) = (combine(node, Mul, value, scale)?, node.input(2)?);
    node.finish_with(Binary::plain(Add), &[Some(scaled), Some(bias)])
}

/// `InstanceNormalization`: a row is one channel of one image.
pub(crate) fn import_instance(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let channels = node.ty(0)?.shape.get(1).copied();
    let Some(channels) = channels else { return invalid("the input has no channels") };
    let epsilon = node.float("epsilon", 1e-5)?;
    groups(node, channels, channels, epsilon)
}

/// `GroupNormalization`: a row is a group of channels of one image. Scale and bias were one number a group in opset 18,
/// and are one a channel since 21.
pub(crate) fn import_group(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let channels = node.ty(0)?.shape.get(1).copied();
    let Some(channels) = channels else { return invalid("the input has no channels") };
    let count = super::conv::positive("num_groups", node.int("num_groups", 0)?)?;
    let epsilon = node.float("epsilon", 1e-5)?;
    node.int("stash_type", 1)?;
    if channels % count != 0 {
        return invalid(format!("{channels} channels do not fit {count} groups"));
    }
    let scales = if node.opset() < 21 { count } else { channels };
    groups(node, count, scales, epsilon)
}

/// Normalizes `count` groups of channels, with a scale and a bias for each of `scales` groups.
fn groups(node: &mut OnnxNode<'_>, count: usize, scales: usize, epsilon: f32) -> OpResult<()> {
    let shape = node.ty(0)?.shape.clone();
    let (batch, elements) = (shape[0], shape[1..].iter().product::<usize>());
    if elements == 0 {
        return invalid("the input is empty");
    }
    let (x, scale, bias) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let rows = reshape(node, x, vec![batch, count, elements / count])?;
    let Normalized { value, .. } = normalized(node, rows, &(2..3), epsilon)?;
    let value = reshape(node, value, vec![batch, scales, elements / scales])?;
    let (scale, bias) = (reshape(node, scale, vec![scales, 1])?, reshape(node, bias, vec![scales, 1])?);
    let scaled = combine(node, Mul, value, scale)?;
    let result = combine(node, Add, scaled, bias)?;
    node.finish_with(Reshape { shape }, &[Some(result)])
}

/// `LRN`: `x / (bias + alpha / size * sum of x^2)^beta`, the sum over `size` neighbouring channels, which an average pool
/// over channels divides by their number.
pub(crate) fn import_lrn(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let shape = node.ty(0)?.shape.clone();
    let &[batch, channels, ref rest @ ..] = &shape[..] else { return invalid("the input has no channels") };
    let (alpha, beta, bias) = (node.float("alpha", 1e-4)?, node.float("beta", 0.75)?, node.float("bias", 1.0)?);
    let size = super::conv::positive("size", node.int("size", 0)?)?;
    // A window that reaches over all channels from each of them sums no more if it is larger; only the divisor grows.
    let reach = size.min(2 * channels + 1);
    let alpha = (f64::from(alpha) * reach as f64 / size as f64) as f32;
    let x = node.input(0)?;
    let squared = combine(node, Mul, x, x)?;
    let planes = reshape(node, squared, vec![batch, 1, channels, rest.iter().product()])?;
    let pads = Pads { top: (reach - 1) / 2, bottom: reach / 2, ..Pads::default() };
    let window = Window { kernel: [reach, 1], pads, ..Window::pointwise() };
    let pool = Pool { kind: PoolKind::Average { count_include_pad: true }, window, ceil: false };
    let mean = node.emit(pool, &[Some(planes)])?;
    let mean = reshape(node, mean, shape)?;
    let [alpha, beta, bias] = [node.number(alpha)?, node.number(beta)?, node.number(bias)?];
    let scaled = combine(node, Mul, mean, alpha)?;
    let base = combine(node, Add, scaled, bias)?;
    let power = combine(node, Pow, base, beta)?;
    node.finish_with(Binary::plain(Div), &[Some(x), Some(power)])
}

/// `LogSoftmax`: `d - log(sum of exp(d))`, `d = x - max`, which no large x overflows.
pub(crate) fn import_log_softmax(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let axes = super::Softmax::axes(node)?;
    let x = node.input(0)?;
    let most = reduce(node, ReduceKind::Max, x, &axes)?;
    let d = combine(node, Sub, x, most)?;
    let exponentials = apply(node, UnaryFunction::Exp, d)?;
    let sum = reduce(node, ReduceKind::Sum, exponentials, &axes)?;
    let log = apply(node, UnaryFunction::Log, sum)?;
    node.finish_with(Binary::plain(Sub), &[Some(d), Some(log)])
}

/// `MeanVarianceNormalization`: mean 0 and variance 1 over the axes, which are all but the channels where none are given.
pub(crate) fn import_mean_variance(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let rank = node.ty(0)?.shape.len();
    let stated = node.ints("axes")?.unwrap_or(vec![0, 2, 3]);
    let mut axes = stated.iter().map(|&axis| super::axis(axis, rank)).collect::<OpResult<Vec<_>>>()?;
    axes.sort_unstable();
    let shape = node.ty(0)?.shape.clone();
    if axes.is_empty() {
        return invalid("there are no axes");
    }
    let x = node.input(0)?;
    let mean = Reduce::emit_kept(node, ReduceKind::Mean, x, &axes)?;
    let centred = combine(node, Sub, x, mean)?;
    let squared = combine(node, Mul, centred, centred)?;
    let variance = Reduce::emit_kept(node, ReduceKind::Mean, squared, &axes)?;
    let deviation = apply(node, UnaryFunction::Sqrt, variance)?;
    // ONNX's own definition of it adds this to the deviation.
    let epsilon = node.number(1e-9)?;
    let deviation = combine(node, Add, deviation, epsilon)?;
    let normalized = combine(node, Div, centred, deviation)?;
    node.finish_with(Reshape { shape }, &[Some(normalized)])
}

/// `LpNormalization`: `x` over the sum of its magnitudes, or over the root of the sum of its squares; 0 where that is 0.
pub(crate) fn import_lp(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let rank = node.ty(0)?.shape.len();
    let axis = super::axis(node.int("axis", -1)?, rank)?;
    let axes = axis..axis + 1;
    let x = node.input(0)?;
    let norm = match node.int("p", 2)? {
        1 => {
            let magnitudes = apply(node, UnaryFunction::Abs, x)?;
            reduce(node, ReduceKind::Sum, magnitudes, &axes)?
        }
        2 => {
            let squares = combine(node, Mul, x, x)?;
            let sum = reduce(node, ReduceKind::Sum, squares, &axes)?;
            apply(node, UnaryFunction::Sqrt, sum)?
        }
        p => return invalid(format!("p is {p}, not 1 or 2")),
    };
    let zero = node.number(0.0)?;
    let is_zero = node.emit(Logic { function: LogicFunction::Equal }, &[Some(norm), Some(zero)])?;
    let quotient = combine(node, Div, x, norm)?;
    node.finish_with(Select, &[Some(is_zero), Some(zero), Some(quotient)])
}

/// `Hardmax`: 1 where the first of the largest elements of a row lies, else 0. A row is an axis; before opset 13 it was
/// everything from the axis on.
pub(crate) fn import_hardmax(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let shape = node.ty(0)?.shape.clone();
    let axes = super::Softmax::axes(node)?;
    let row = shape[axes.clone()].iter().product::<usize>();
    let (before, after) = (&shape[..axes.start], &shape[axes.end..]);
    let x = node.input(0)?;
    let rows = reshape(node, x, [before, &[row], after].concat())?;
    let axis = axes.start;
    let most = node.emit(ArgMost { axis, least: false, last: false }, &[Some(rows)])?;
    let places = node.constant_of(Tensor::ints((0..row as i64).collect()));
    let places = reshape(node, places, [&[row], &vec![1; after.len()][..]].concat())?;
    let is_most = node.emit(Logic { function: LogicFunction::Equal }, &[Some(most), Some(places)])?;
    let ones = node.emit(Cast::to(Element::F32), &[Some(is_most)])?;
    node.finish_with(Reshape { shape }, &[Some(ones)])
}
