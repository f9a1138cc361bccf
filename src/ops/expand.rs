//! A tensor repeated along its dimensions.

use super::host::sizes_of;
use super::strided::{Walk, broadcast, broadcast_strides, copy, row_major_strides};
use super::{Inputs, OpResult, Operator, Problem, Restricted, invalid, required};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::tensor::{Real, Tensor, TensorType, each_kind};
use ndarray::IxDyn;
use std::ops::Range;

/// The input under a larger shape that it broadcasts to, by numpy's rule. Source: ONNX, operator Expand.
#[derive(Debug, Clone)]
pub struct Expand {
    /// The larger shape.
    pub shape: Vec<usize>,
}

impl Expand {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let Some(sizes) = node.constant_ints(1)? else { return invalid("the shape is missing") };
        let own = node.ty(0)?.shape.clone();
        // Both shapes broadcast: a size of 1 in the given one keeps the input's.
        let Some(shape) = broadcast(&own, &sizes_of(&sizes)?) else {
            return invalid(format!("{own:?} does not broadcast to {sizes:?}"));
        };
        node.finish(Expand { shape }, &[0])
    }

    /// `Tile`: whole repetitions, as an expansion of a dimension of 1 before each of the input's own.
    pub(crate) fn import_tile(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let Some(repeats) = node.constant_ints(1)? else { return invalid("the repeats are missing") };
        let (own, repeats) = (node.ty(0)?.shape.clone(), sizes_of(&repeats)?);
        if repeats.len() != own.len() {
            return invalid(format!("{} repeats for {} dimensions", repeats.len(), own.len()));
        }
        let sizes = || repeats.iter().zip(&own);
        let tiled: Option<Vec<usize>> = sizes().map(|(&repeat, &size)| repeat.checked_mul(size)).collect();
        let Some(tiled) = tiled else { return invalid("more elements than memory can hold") };
        let input = node.input(0)?;
        let apart = super::Reshape { shape: sizes().flat_map(|(_, &size)| [1, size]).collect() };
        let apart = node.emit(apart, &[Some(input)])?;
        let repeated = Expand { shape: sizes().flat_map(|(&repeat, &size)| [repeat, size]).collect() };
        let repeated = node.emit(repeated, &[Some(apart)])?;
        node.finish_with(super::Reshape { shape: tiled }, &[Some(repeated)])
    }
}

impl Operator for Expand {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        if broadcast(&ty.shape, &self.shape).as_ref() != Some(&self.shape) {
            return invalid(format!("{ty} does not broadcast to {:?}", self.shape));
        }
        Ok(vec![TensorType { kind: ty.kind, shape: self.shape.clone() }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        Ok(vec![each_kind!(required(inputs, 0)?, array => {
            let view = array.broadcast(IxDyn(&self.shape));
            view.ok_or_else(|| Problem::Invalid("shapes do not broadcast".into()))?.as_standard_layout().into_owned()
        })])
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let mut op = self.clone();
        op.shape[axis] = range.len();
        Some(Restricted::broadcast(op, inputs, self.shape.len(), axis, range))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let strides = broadcast_strides(&required(&node.input_types(), 0)?.shape, &self.shape);
        let from = Walk { view: node.input(0)?, offset: 0, strides: &strides };
        let to = Walk { view: node.output(0)?, offset: 0, strides: &row_major_strides(&self.shape) };
        copy(node, &self.shape, from, to)
    }
}
