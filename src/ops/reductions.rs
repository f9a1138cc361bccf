//! Reductions that ONNX defines by formulas over others.

use super::normalization::{apply, combine};
use super::reduce::{self, Reduce, ReduceKind};
use super::{Activate, Activation, BinaryFunction, OpResult, Reshape, Unary, UnaryFunction, unsupported};
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
            let most = Reduce::emit_over(node, ReduceKind::Max, x, &rows.axes)?;
            let most = node.emit(Reshape { shape: rows.kept.clone() }, &[Some(most)])?;
            // An infinity taken from itself would be no number.
            let finite = Activation::Clip { min: f32::MIN, max: f32::MAX };
            let most = node.emit(Activate { activation: finite }, &[Some(most)])?;
            let d = combine(node, BinaryFunction::Sub, x, most)?;
            let exponentials = apply(node, UnaryFunction::Exp, d)?;
            let total = sum(node, exponentials)?;
            let total = node.emit(Reshape { shape: rows.kept.clone() }, &[Some(total)])?;
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
