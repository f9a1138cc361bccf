//! Quantized networks in f32: what is stored in few bits becomes reals again, and what is rounded to few bits is rounded.

use super::normalization::{apply, combine};
use super::{Activate, Activation, BinaryFunction, Cast, OpResult, Reshape, UnaryFunction, invalid, unsupported};
use crate::graph::ValueId;
use crate::onnx::OnnxNode;
use crate::tensor::Kind;

/// The smallest and the largest number of ONNX's integer types of 8 and 16 bits, by its numbers for them.
fn range(element_type: i32) -> Option<[f32; 2]> {
    match element_type {
        2 => Some([0.0, 255.0]),
        3 => Some([-128.0, 127.0]),
        4 => Some([0.0, 65_535.0]),
        5 => Some([-32_768.0, 32_767.0]),
        _ => None,
    }
}

/// A scale or a zero point, as a real that lines up with the tensor's axis.
fn parameter(node: &mut OnnxNode<'_>, slot: usize, axis: i64) -> OpResult<ValueId> {
    let (x, mut value) = (node.input(0)?, node.input(slot)?);
    if node.type_of(value).kind == Kind::Int {
        value = node.emit(Cast { to: Kind::Real }, &[Some(value)])?;
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

/// `QuantizeLinear`: `x / scale` rounded, plus the zero point, within the range of the zero point's type.
pub(crate) fn import_quantize(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let axis = axis(node)?;
    node.flag("saturate")?;
    node.int("precision", 0)?;
    const UINT8: i32 = 2;
    let stated = node.int("output_dtype", 0)? as i32;
    let zero_point = node.optional_input(2).is_some();
    let element_type = match (zero_point, stated) {
        (true, _) => node.element_type(2),
        (false, 0) => Some(UINT8),
        (false, stated) => Some(stated),
    };
    let Some([min, max]) = element_type.and_then(range) else {
        return unsupported("to a type that is not one of the integers of 8 or 16 bits, or not known");
    };
    let (x, scale) = (node.input(0)?, parameter(node, 1, axis)?);
    let steps = combine(node, BinaryFunction::Div, x, scale)?;
    let mut steps = apply(node, UnaryFunction::Round, steps)?;
    if zero_point {
        let zero_point = parameter(node, 2, axis)?;
        steps = combine(node, BinaryFunction::Add, steps, zero_point)?;
    }
    let within = Activate { activation: Activation::Clip { min, max } };
    let within = node.emit(within, &[Some(steps)])?;
    node.finish_with(Cast { to: Kind::Int }, &[Some(within)])
}

/// `DequantizeLinear`: `(x - zero point) scale`.
pub(crate) fn import_dequantize(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let axis = axis(node)?;
    node.int("output_dtype", 0)?;
    if node.ty(0)?.kind != Kind::Int {
        return invalid("it holds no integers");
    }
    let x = node.input(0)?;
    let mut x = node.emit(Cast { to: Kind::Real }, &[Some(x)])?;
    if node.optional_input(2).is_some() {
        let zero_point = parameter(node, 2, axis)?;
        x = combine(node, BinaryFunction::Sub, x, zero_point)?;
    }
    let scale = parameter(node, 1, axis)?;
    node.finish_with(super::Binary::plain(BinaryFunction::Mul), &[Some(x), Some(scale)])
}
