//! Operators on lines `[n, c, w]`: they run as those on images of one row, `[n, c, 1, w]`, between two reshapes.

use super::epilogue::slot;
use super::{Op, OpResult, Reshape, unsupported};
use crate::graph::ValueId;
use crate::onnx::OnnxNode;

/// Whether a node's first input is a line.
pub(super) fn is_line(node: &OnnxNode<'_>) -> OpResult<bool> {
    Ok(node.ty(0)?.shape.len() == 3)
}

/// An input as an image of one row where it is a line, else as it is.
pub(super) fn as_image(node: &mut OnnxNode<'_>, slot: usize) -> OpResult<ValueId> {
    let value = node.input(slot)?;
    match node.ty(slot)?.shape[..] {
        [n, c, w] => node.emit(Reshape { shape: vec![n, c, 1, w] }, &[Some(value)]),
        _ => Ok(value),
    }
}

/// A shape as that of an image of one row where it is a line's, else as it is.
pub(super) fn as_image_shape(mut shape: Vec<usize>) -> Vec<usize> {
    if shape.len() == 3 {
        shape.insert(2, 1);
    }
    shape
}

/// The sizes of an image, one row where the value is a line.
pub(super) fn image_shape(node: &OnnxNode<'_>, slot: usize) -> OpResult<[usize; 4]> {
    let ty = node.ty(slot)?;
    match ty.shape[..] {
        [n, c, w] => Ok([n, c, 1, w]),
        [n, c, h, w] => Ok([n, c, h, w]),
        _ => unsupported(format!(
            "input {slot} has shape {ty}; only lines [n, c, w] and images [n, c, h, w] are supported"
        )),
    }
}

/// Image, weights and bias of a convolution.
pub(super) fn conv_inputs(node: &mut OnnxNode<'_>) -> OpResult<[Option<ValueId>; 3]> {
    let bias = node.optional_input(slot::BIAS);
    Ok([Some(as_image(node, slot::INPUT)?), Some(as_image(node, slot::WEIGHT)?), bias])
}

/// Defines the node's first output by an operation on images: a line where its input was one.
pub(super) fn finish(node: &mut OnnxNode<'_>, op: impl Into<Op>, inputs: &[Option<ValueId>]) -> OpResult<()> {
    define(node, 0, op, inputs)
}

/// The same of any output.
pub(super) fn define(
    node: &mut OnnxNode<'_>,
    slot: usize,
    op: impl Into<Op>,
    inputs: &[Option<ValueId>],
) -> OpResult<()> {
    if !is_line(node)? {
        return node.define(slot, op, inputs);
    }
    let image = node.emit(op, inputs)?;
    let mut shape = node.type_of(image).shape.clone();
    shape.remove(2);
    node.define(slot, Reshape { shape }, &[Some(image)])
}
