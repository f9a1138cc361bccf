//! One element from each pair of two tensors that broadcast: what arithmetic and comparisons have in common.

use super::activate::either_behind;
use super::activation::activation_parts;
use super::strided::{Dims, broadcast, broadcast_strides};
use super::{Activation, OpResult, Problem, invalid, required};
use crate::graph::ValueId;
use crate::kernels::{Kernel, Part};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::plan::layout::{CHANNELS, Layout};
use crate::tensor::{TensorType, array};
use crate::{part, uniform};
use ndarray::{ArrayD, ArrayViewD, IxDyn};

/// Before opset 7, broadcasting had to be asked for, and lined `b` up with `a` from an axis on.
pub(super) fn legacy_broadcast(node: &mut OnnxNode<'_>, a: ValueId, b: ValueId) -> OpResult<ValueId> {
    let axis = node.int_if_present("axis")?;
    if !node.flag("broadcast")? {
        return Ok(b);
    }
    match axis {
        Some(axis) => node.align(b, a, axis),
        None => Ok(b),
    }
}

/// The shape that both operands, which must be of one kind, broadcast to.
pub(super) fn result_shape(inputs: &[Option<&TensorType>]) -> OpResult<Vec<usize>> {
    let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
    if a.kind != b.kind {
        return invalid(format!("cannot combine {:?} with {:?}", a.kind, b.kind));
    }
    match broadcast(&a.shape, &b.shape) {
        Some(shape) => Ok(shape),
        None => invalid(format!("shapes {a} and {b} do not broadcast")),
    }
}

/// A view of `array` under a larger shape that it broadcasts to.
pub(super) fn expand<'a, E>(array: &'a ArrayD<E>, shape: &[usize]) -> OpResult<ArrayViewD<'a, E>> {
    array.broadcast(IxDyn(shape)).ok_or_else(|| Problem::Invalid("shapes do not broadcast".into()))
}

/// What a function makes of each pair.
pub(super) fn combined<A: Copy, R>(
    [a, b]: [&ArrayD<A>; 2],
    function: impl Fn(A, A) -> OpResult<R>,
) -> OpResult<ArrayD<R>> {
    let shape = broadcast(a.shape(), b.shape()).unwrap_or_default();
    let (a, b) = (expand(a, &shape)?, expand(b, &shape)?);
    let values: OpResult<Vec<R>> = a.iter().zip(b.iter()).map(|(&a, &b)| function(a, b)).collect();
    Ok(array(&shape, values?)?)
}

uniform! {
    /// Parameters of `binary_each`.
    pub struct BinaryParams {
        shape: [[u32; 4]; 2], a_strides: [[u32; 4]; 2], b_strides: [[u32; 4]; 2],
        first: u32, count: u32, a_runs: u32, b_runs: u32, activation_a: f32, activation_b: f32,
    }
}

/// What an invocation computes.
const ONE_PAIR: Part = part!("shared", "pairs_number");
const FOUR_PAIRS: Part = part!("shared", "pairs_four");

/// One element an invocation, or four.
pub static BINARY_EACH: Kernel = Kernel {
    name: "binary_each",
    source: include_str!("../../shaders/binary_each.wgsl"),
    includes: &[],
    params: BinaryParams::FIELDS,
    combinations: || {
        let activations = activation_parts();
        let with = |function: Part| {
            activations.iter().map(move |parts| [&[function], parts.as_slice()].concat()).collect::<Vec<_>>()
        };
        let arithmetic = super::binary::BINARY_FUNCTIONS.into_iter().flat_map(|function| with(function.part()));
        let bare = |part: Part| [vec![part], Activation::Identity.parts()].concat();
        let logic = super::logic::LOGIC_FUNCTIONS.into_iter().map(|function| bare(function.part()));
        let functions: Vec<Vec<Part>> = arithmetic.chain(logic).collect();
        either_behind(&functions, [&[ONE_PAIR], &[FOUR_PAIRS]])
    },
};

/// How the operands are read: by four channels where one of them lies so and both can, in which case an operand of
/// one channel for all is read plain. What lies behind the last channel must stay zero.
fn layouts(node: &Lowering<'_>, shapes: [&[usize]; 2], result: &[usize], keeps_zero: bool) -> [Layout; 2] {
    let plain = [Layout::Plain; 2];
    let (&[_, channels, _, _], true) = (result, node.lies_by_four(0) || node.lies_by_four(1)) else { return plain };
    let layout = |shape: &[usize]| match *shape {
        [_, c, _, _] if c == channels && c > 1 => Some(Layout::ByFour),
        [_, 1, _, _] | [1, _, _] | [_, _] | [_] | [] => Some(Layout::Plain),
        _ => None,
    };
    let (Some(a), Some(b)) = (layout(shapes[0]), layout(shapes[1])) else { return plain };
    if channels.is_multiple_of(CHANNELS) || (keeps_zero && a == b) { [a, b] } else { plain }
}

/// Appends the dispatch that applies a function, and then an activation, to each pair. `keeps_zero` says that both make
/// zero of zeros.
pub(super) fn lower(
    node: &mut Lowering<'_>,
    function: Part,
    activation: &Activation,
    keeps_zero: bool,
) -> OpResult<()> {
    let types = node.input_types();
    let shape = result_shape(&types)?;
    let layouts = layouts(node, [&required(&types, 0)?.shape, &required(&types, 1)?.shape], &shape, keeps_zero);
    let [a, b] = [node.input_as(0, layouts[0])?, node.input_as(1, layouts[1])?];
    let in_memory = if layouts.contains(&Layout::ByFour) { Layout::ByFour } else { Layout::Plain };
    let output = node.output_as(0, in_memory)?;
    let shape = in_memory.shape(&shape);
    let strides = [0, 1].map(|slot| {
        let own = required(&types, slot).map_or(&[][..], |ty| &ty.shape);
        let own = layouts[slot].shape(own);
        // One channel for all of them lies plain: one number for each pixel, or for all.
        let widened = if in_memory != layouts[slot] { [own, vec![1]].concat() } else { own };
        broadcast_strides(&widened, &shape)
    });
    let dims = Dims::merged(&shape, &[&strides[0], &strides[1]])?;
    let (dims, runs, pairs, width) = match dims.fours() {
        Some((fours, runs)) => (fours, [runs[0], runs[1]], FOUR_PAIRS, 4),
        None => (dims, [false; 2], ONE_PAIR, 1),
    };
    let [activation_a, activation_b] = activation.parameters();
    let params = BinaryParams {
        shape: dims.shape(),
        a_strides: dims.unsigned_strides(0),
        b_strides: dims.unsigned_strides(1),
        first: dims.first(),
        count: node.count(output) / width,
        a_runs: runs[0].into(),
        b_runs: runs[1].into(),
        activation_a,
        activation_b,
    };
    let parts = [vec![function], activation.parts(), vec![pairs]].concat();
    node.dispatch(&BINARY_EACH, parts, params.count, params, output, &[a, b])
}
