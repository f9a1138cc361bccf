//! Slices of a tensor by their indices, and what can be said so.

use super::{Cut, Inputs, OpResult, Operator, Reshape, Restricted, invalid, required, unsupported};
use crate::kernels::Kernel;
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType, array, each_kind, row_major_slice};
use crate::uniform;
use ndarray::ArrayD;
use std::ops::Range;

/// Slices of input 0 along an axis, by the indices of input 1, which replace that axis. Source: ONNX, operator Gather.
#[derive(Debug, Clone)]
pub struct Gather {
    /// The axis.
    pub axis: usize,
}

impl Gather {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let axis = super::axis(node.int("axis", 0)?, node.ty(0)?.shape.len())?;
        // Indices that are known are checked before anything runs.
        let size = node.ty(0)?.shape[axis];
        if let Ok(Some(indices)) = node.constant_ints(1) {
            indices.iter().try_for_each(|&index| super::axis(index, size).map(drop))?;
        }
        node.finish(Gather { axis }, &[0, 1])
    }

    /// Defines the node's first output by elements of a value, each by its row-major place there.
    pub(super) fn finish_flat(
        node: &mut OnnxNode<'_>,
        source: crate::graph::ValueId,
        places: Vec<i64>,
        shape: Vec<usize>,
    ) -> OpResult<()> {
        let count = node.type_of(source).elements()?;
        let flat = node.emit(Reshape { shape: vec![count] }, &[Some(source)])?;
        let places = node.constant_of(Tensor::ints(places));
        let gathered = node.emit(Gather { axis: 0 }, &[Some(flat), Some(places)])?;
        node.finish_with(Reshape { shape }, &[Some(gathered)])
    }
}

fn gather<E: Clone>(source: &ArrayD<E>, indices: &ArrayD<i64>, axis: usize) -> OpResult<ArrayD<E>> {
    let shape = source.shape();
    let (size, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let outer: usize = shape[..axis].iter().product();
    let source = row_major_slice(source);
    let mut data = Vec::with_capacity(outer * indices.len() * inner);
    for block in 0..outer {
        for &index in indices {
            let index = super::axis(index, size)?;
            data.extend_from_slice(&source[(block * size + index) * inner..][..inner]);
        }
    }
    Ok(array(&[&shape[..axis], indices.shape(), &shape[axis + 1..]].concat(), data)?)
}

uniform! {
    /// Parameters of `gather_axis`.
    pub struct GatherParams { in_size: u32, out_size: u32, inner: u32, count: u32 }
}

/// One element an invocation.
pub static GATHER_AXIS: Kernel = Kernel {
    name: "gather_axis",
    source: include_str!("../../shaders/gather_axis.wgsl"),
    includes: &[],
    params: GatherParams::FIELDS,
    combinations: || vec![vec![]],
};

impl Operator for Gather {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let (ty, indices) = (required(inputs, 0)?, required(inputs, 1)?);
        if indices.kind != Kind::Int {
            return invalid("the indices are no integers");
        }
        let shape = [&ty.shape[..self.axis], &indices.shape, &ty.shape[self.axis + 1..]].concat();
        Ok(vec![TensorType { kind: ty.kind, shape }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let indices = required(inputs, 1)?.as_int()?;
        Ok(vec![each_kind!(required(inputs, 0)?, array => gather(array, indices, self.axis)?)])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        gather(required(errors, 0)?, required(inputs, 1)?.as_int()?, self.axis)
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let of_indices = inputs.get(1).copied().flatten()?.shape.len();
        let cuts = match axis.checked_sub(self.axis) {
            None => [Cut::Along(axis, range.clone()), Cut::Whole],
            Some(own) if own < of_indices => [Cut::Whole, Cut::Along(own, range.clone())],
            Some(_) => [Cut::Along(axis + 1 - of_indices, range.clone()), Cut::Whole],
        };
        Some(Restricted { op: self.clone(), cuts: cuts.to_vec() })
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let types = node.input_types();
        let (shape, indices) = (&required(&types, 0)?.shape, &required(&types, 1)?.shape);
        if node.constant(1).is_err() {
            return unsupported("indices that depend on the input: nothing could refuse one out of range");
        }
        let (input, indices_view, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
        let inner = shape[self.axis + 1..].iter().product::<usize>();
        let out_size = indices.iter().product::<usize>();
        let [in_size, out_size, inner] = [shape[self.axis], out_size, inner].map(|size| size as u32);
        let params = GatherParams { in_size, out_size, inner, count: node.count(output) };
        node.dispatch(&GATHER_AXIS, vec![], params.count, params, output, &[input, indices_view])
    }
}
