//! Reductions that ONNX defines by formulas over others.

use super::normalization::{apply, combine};
use super::reduce::{self, Reduce, ReduceKind};
use super::{
    Activate, Activation, Binary, BinaryFunction, OpResult, Reshape, Unary, UnaryFunction, invalid, unsupported,
};
use crate::onnx::OnnxNode;

/// `ReduceL1`, `ReduceL2`, `ReduceSumSquare`, `ReduceLogSum` and `ReduceLogSumExp`.
pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let rows = reduce::rows(node, 18)?;
    if rows.axes.is_empty() || rows.is_empty() {
        return unsupported("it has nothing to reduce");
    }
    let x = node.input(0)?;
    let sum = |node: &mut OnnxNode<'_>, x| Reduce::emit_over(node, ReduceKind::Sum, x, &rows.axes);
    let (value, last) = match node.op_type() {
        "ReduceL1" => {
            let magnitudes = apply(node, UnaryFunction::Abs, x)?;
            (sum(node, magnitudes)?, None)
        }
        "ReduceSumSquare" | "ReduceL2" => {
            let squares = combine(node, BinaryFunction::Mul, x, x)?;
            (sum(node, squares)?, (node.op_type() == "ReduceL2").then_some(UnaryFunction::Sqrt))
        }
        "ReduceLogSum" => (sum(node, x)?, Some(UnaryFunction::Log)),
        // The largest element is taken out first, so that no exponential overflows.
        "ReduceLogSumExp" => {
            let most = Reduce::emit_kept(node, ReduceKind::Max, x, &rows.axes)?;
            // An infinity taken from itself would be no number.
            let finite = Activation::Clip { min: f32::MIN, max: f32::MAX };
            let most = node.emit(Activate { activation: finite }, &[Some(most)])?;
            let d = combine(node, BinaryFunction::Sub, x, most)?;
            let exponentials = apply(node, UnaryFunction::Exp, d)?;
            let total = Reduce::emit_kept(node, ReduceKind::Sum, exponentials, &rows.axes)?;
            let log = apply(node, UnaryFunction::Log, total)?;
            (combine(node, BinaryFunction::Add, log, most)?, None)
        }
        other => return unsupported(format!("'{other}' is no reduction")),
    };
    let value = node.emit(Reshape { shape: rows.result }, &[Some(value)])?;
    match last {
        Some(function) => node.finish_with(Unary { function }, &[Some(value)]),
        None => {
            let shape = node.type_of(value).shape.clone();
            node.finish_with(Reshape { shape }, &[Some(value)])
        }
    }
}

/// `GlobalLpPool`: `(sum of |x|^p)^(1/p)` over all dimensions but batch and channels.
pub(crate) fn import_global_lp_pool(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let rank = node.ty(0)?.shape.len();
    // In opset 1 it was a real.
    let p = if node.opset() < 2 { node.float("p", 2.0)? } else { node.int("p", 2)? as f32 };
    if rank < 3 || p < 1.0 {
        return invalid(format!("p is {p}, and the input has {rank} dimensions"));
    }
    let x = node.input(0)?;
    let (power, root) = (node.number(p)?, node.number(1.0 / p)?);
    let magnitudes = apply(node, UnaryFunction::Abs, x)?;
    let powers = combine(node, BinaryFunction::Pow, magnitudes, power)?;
    let sum = node.emit(Reduce { kind: ReduceKind::Sum, axes: 2..rank }, &[Some(powers)])?;
    node.finish_with(Binary::plain(BinaryFunction::Pow), &[Some(sum), Some(root)])
}
