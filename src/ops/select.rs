//! One of two tensors, element by element.

use super::strided::{Dims, broadcast, broadcast_strides};
use super::{Inputs, OpResult, Operator, Restricted, invalid, pairs, required};
use crate::kernels::Kernel;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use crate::uniform;
use ndarray::{ArrayD, Zip};
use std::ops::Range;

/// `a` where the condition holds, else `b`, with numpy's broadcasting. Inputs: condition, a, b. Source: ONNX, operator Where.
#[derive(Debug, Clone)]
pub struct Select;

impl Select {
    pub(crate) fn import(node: &mut crate::onnx::OnnxNode<'_>) -> OpResult<()> {
        node.finish(Select, &[0, 1, 2])
    }
}

/// The shape that all three broadcast to.
fn result_shape(inputs: &[Option<&TensorType>]) -> OpResult<Vec<usize>> {
    let condition = required(inputs, 0)?;
    if condition.kind != Kind::Bool {
        return invalid("the condition holds no truth values");
    }
    let chosen = pairs::result_shape(&inputs[1..])?;
    match broadcast(&condition.shape, &chosen) {
        Some(shape) => Ok(shape),
        None => invalid(format!("the condition, {condition}, does not broadcast to {chosen:?}")),
    }
}

fn chosen<E: Copy>(condition: &ArrayD<bool>, a: &ArrayD<E>, b: &ArrayD<E>) -> OpResult<ArrayD<E>> {
    let shape = broadcast(a.shape(), b.shape()).and_then(|shape| broadcast(condition.shape(), &shape));
    let shape = shape.unwrap_or_default();
    let (condition, a, b) = (pairs::expand(condition, &shape)?, pairs::expand(a, &shape)?, pairs::expand(b, &shape)?);
    Ok(Zip::from(condition).and(a).and(b).map_collect(|&condition, &a, &b| if condition { a } else { b }))
}

uniform! {
    /// Parameters of `select_each`.
    pub struct SelectParams {
        shape: [[u32; 4]; 2], condition_strides: [[u32; 4]; 2], a_strides: [[u32; 4]; 2], b_strides: [[u32; 4]; 2],
        first: u32, count: u32,
    }
}

/// One element an invocation.
pub static SELECT_EACH: Kernel = Kernel {
    name: "select_each",
    source: include_str!("../../shaders/select_each.wgsl"),
    includes: &[],
    params: SelectParams::FIELDS,
    combinations: || vec![vec![]],
};

impl Operator for Select {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let shape = result_shape(inputs)?;
        Ok(vec![TensorType { kind: required(inputs, 1)?.kind, shape }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let Tensor::Bool(condition) = required(inputs, 0)? else { return invalid("the condition is no truth value") };
        Ok(vec![match (required(inputs, 1)?, required(inputs, 2)?) {
            (Tensor::Real(a), Tensor::Real(b)) => Tensor::Real(chosen(condition, a, b)?),
            (Tensor::Int(a), Tensor::Int(b)) => Tensor::Int(chosen(condition, a, b)?),
            (Tensor::Bool(a), Tensor::Bool(b)) => Tensor::Bool(chosen(condition, a, b)?),
            _ => return invalid("cannot choose between tensors of different kinds"),
        }])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let Tensor::Bool(condition) = required(inputs, 0)? else { return invalid("the condition is no truth value") };
        chosen(condition, required(errors, 1)?, required(errors, 2)?)
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let rank = result_shape(inputs).ok()?.len();
        Some(Restricted::broadcast(self.clone(), inputs, rank, axis, range))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let types = node.input_types();
        let shape = result_shape(&types)?;
        let strides = [0, 1, 2].map(|slot| {
            let own = required(&types, slot).map_or(&[][..], |ty| &ty.shape);
            broadcast_strides(own, &shape)
        });
        let dims = Dims::merged(&shape, &strides.each_ref().map(Vec::as_slice))?;
        let inputs = [node.input(0)?, node.input(1)?, node.input(2)?];
        let output = node.output(0)?;
        let params = SelectParams {
            shape: dims.shape(),
            condition_strides: dims.unsigned_strides(0),
            a_strides: dims.unsigned_strides(1),
            b_strides: dims.unsigned_strides(2),
            first: dims.first(),
            count: node.count(output),
        };
        node.dispatch(&SELECT_EACH, vec![], params.count, params, output, &inputs)
    }
}
