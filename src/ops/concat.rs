//! Tensors side by side along one dimension.

use super::strided::{Walk, copy, row_major_strides};
use super::{Inputs, OpResult, Operator, Restricted, invalid, required};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::plan::layout::{CHANNELS, Layout};
use crate::tensor::{Real, Tensor, TensorType, array, row_major_slice};
use std::ops::Range;

/// Inputs of equal shape but for `axis`, one after another. Source: ONNX, operator Concat.
#[derive(Debug, Clone)]
pub struct Concat {
    /// The dimension that grows.
    pub axis: usize,
}

impl Concat {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        // Before opset 4 the axis had a default.
        let stated = node.int_if_present("axis")?;
        let axis = match stated {
            Some(axis) => axis,
            None if node.opset() < 4 => 1,
            None => return invalid("axis is missing"),
        };
        let axis = super::axis(axis, node.ty(0)?.shape.len())?;
        let slots: Vec<usize> = (0..node.input_count()).collect();
        node.finish(Concat { axis }, &slots)
    }
}

impl Concat {
    /// By four channels where some part lies so already, unless parts would begin between two vectors of channels.
    fn layout(&self, node: &Lowering<'_>, types: &[Option<&TensorType>]) -> Layout {
        let shapes = || types.iter().flatten().map(|ty| &ty.shape);
        let images = shapes().all(|shape| shape.len() == 4);
        let whole = self.axis != 1 || shapes().all(|shape| shape[1].is_multiple_of(CHANNELS));
        let some = (0..types.len()).any(|slot| node.lies_by_four(slot));
        if some && images && whole && self.axis > 0 { Layout::ByFour } else { Layout::Plain }
    }
}

/// Elements of all parts, joined in runs that are contiguous in each.
fn join<E: Clone>(parts: &[&ndarray::ArrayD<E>], axis: usize, shape: &[usize]) -> OpResult<ndarray::ArrayD<E>> {
    let outer: usize = shape[..axis].iter().product();
    let parts: Vec<_> = parts.iter().map(|part| row_major_slice(part)).collect();
    let mut data = Vec::with_capacity(shape.iter().product());
    for index in 0..outer {
        for part in &parts {
            let run = part.len() / outer;
            data.extend_from_slice(&part[index * run..][..run]);
        }
    }
    Ok(array(shape, data)?)
}

impl Operator for Concat {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let mut ty = required(inputs, 0)?.clone();
        for slot in 1..inputs.len() {
            let next = required(inputs, slot)?;
            let fits = next.kind == ty.kind
                && next.shape.len() == ty.shape.len()
                && (0..ty.shape.len()).all(|axis| axis == self.axis || ty.shape[axis] == next.shape[axis]);
            if !fits {
                return invalid(format!("input {slot} of shape {next} does not fit {ty} along axis {}", self.axis));
            }
            ty.shape[self.axis] += next.shape[self.axis];
        }
        Ok(vec![ty])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let types: Vec<_> = inputs.iter().map(|input| input.map(Tensor::tensor_type)).collect();
        let ty = self.infer(&types.iter().map(Option::as_ref).collect::<Vec<_>>())?.remove(0);
        macro_rules! joined {
            ($kind:ident) => {{
                let parts: Vec<_> = inputs
                    .iter()
                    .flatten()
                    .filter_map(|input| if let Tensor::$kind(array) = input { Some(array) } else { None })
                    .collect();
                Tensor::$kind(join(&parts, self.axis, &ty.shape)?)
            }};
        }
        Ok(vec![match ty.kind {
            crate::tensor::Kind::Real => joined!(Real),
            crate::tensor::Kind::Int => joined!(Int),
            crate::tensor::Kind::Bool => joined!(Bool),
        }])
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        (axis != self.axis).then(|| Restricted::along(self.clone(), inputs.len(), range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let types = node.input_types();
        let layout = self.layout(node, &types);
        let output = node.output_as(0, layout)?;
        let strides = row_major_strides(&layout.shape(&node.output_type(0).shape));
        let shapes: Vec<_> = types.into_iter().flatten().map(|ty| layout.shape(&ty.shape)).collect();
        let mut offset = 0;
        for (slot, shape) in shapes.iter().enumerate() {
            if !shape.contains(&0) {
                let part = node.input_as(slot, layout)?;
                if shape[..self.axis].iter().all(|&size| size == 1) {
                    node.joins(part, output, offset);
                }
                let from = Walk { view: part, offset: 0, strides: &row_major_strides(shape) };
                copy(node, shape, from, Walk { view: output, offset, strides: &strides })?;
            }
            offset += shape[self.axis] * strides[self.axis] as usize;
        }
        Ok(())
    }
}
