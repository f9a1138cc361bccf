//! Quantized networks in f32: what is stored in few bits becomes reals again, and what is rounded to few bits is rounded.

use super::normalization::{apply, combine};
use super::{BinaryFunction, Cast, OpResult, Reshape, UnaryFunction, invalid, unsupported};
use crate::element::Element;
use crate::graph::ValueId;
use crate::onnx::OnnxNode;
use crate::tensor::Kind;

/// A scale or a zero point, as a real that lines up with the tensor's axis.
fn parameter(node: &mut OnnxNode<'_>, slot: usize, axis: i64) -> OpResult<ValueId> {
    let (x, mut value) = (node.input(0)?, node.input(slot)?);
    if node.type_of(value).kind == Kind::Int {
        value = node.emit(Cast::to(Element::F32), &[Some(value)])?;
    }
    match node.type_of(value).shape[..] {
        // One for all, in either form.
        [] | [1] => node.emit(Reshape { shape: vec![] }, &[Some(value)]),
        [_] => node.align(value, x, axis),
        _ => unsupported("a scale or a zero point for each block"),
    }
}

/// Since opset 13 one number along this axis; blocks came with 21.
fn axis(node: &mut OnnxNode<'_>) -> OpResult<i64> {
    if node.int("block_size", 0)? != 0 {
        return unsupported("a scale for each block");
    }
    node.int("axis", 1)
}

/// `QuantizeLinear`: `x / scale` rounded, plus the zero point, within the range of the zero point's type. NaN becomes the least
/// number of the type, as in ONNX Runtime; ONNX leaves it open.
pub(crate) fn import_quantize(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let axis = axis(node)?;
    node.flag("saturate")?;
    node.int("precision", 0)?;
    let stated = node.element("output_dtype")?;
    let zero_point = node.optional_input(2).is_some();
    let to = if zero_point { node.element_type(2) } else { stated.or(Some(Element::U8)) };
    let Some(to) = to.filter(|to| to.kind() == Kind::Int && to.size() <= 2) else {
        return unsupported("to a type that is not one of the integers of 8 or 16 bits, or not known");
    };
    let (x, scale) = (node.input(0)?, parameter(node, 1, axis)?);
    let steps = combine(node, BinaryFunction::Div, x, scale)?;
    let mut steps = apply(node, UnaryFunction::Round, steps)?;
    if zero_point {
        let zero_point = parameter(node, 2, axis)?;
        steps = combine(node, BinaryFunction::Add, steps, zero_point)?;
    }
    node.finish_with(Cast::nearest(to), &[Some(steps)])
}

/// `DequantizeLinear`: `(x - zero point) scale`.
pub(crate) fn import_dequantize(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let axis = axis(node)?;
    let stated = node.element("output_dtype")?;
    let to = stated.or(node.element_type(1)).filter(|to| to.kind() == Kind::Real);
    if node.ty(0)?.kind != Kind::Int {
        return invalid("it holds no integers");
    }
    let x = node.input(0)?;
    let mut x = node.emit(Cast::to(Element::F32), &[Some(x)])?;
    if node.optional_input(2).is_some() {
        let zero_point = parameter(node, 2, axis)?;
        x = combine(node, BinaryFunction::Sub, x, zero_point)?;
    }
    let scale = parameter(node, 1, axis)?;
    node.finish_with(super::Binary::plain(BinaryFunction::Mul), &[Some(x), Some(scale)])?;
    node.is_of_type(to.unwrap_or(Element::F32))
}
