//! Where the largest or smallest element of each row lies.

use super::{Inputs, OpResult, Operator, Reshape, Restricted, invalid, required, unsupported};
use crate::kernels::Kernel;
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::plan::numbers::MOST_EXACT;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use crate::uniform;
use ndarray::{ArrayD, ArrayView1, Axis};
use std::ops::Range;

/// Where the largest element of each row lies, a row being along an axis, which keeps size 1. NaN is larger than everything
/// and smaller than everything. Source: ONNX, ArgMax and ArgMin.
#[derive(Debug, Clone)]
pub struct ArgMost {
    /// The axis.
    pub axis: usize,
    /// Whether the smallest is looked for.
    pub least: bool,
    /// Whether the last of several equal ones counts.
    pub last: bool,
}

impl ArgMost {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let mut shape = node.ty(0)?.shape.clone();
        let axis = super::axis(node.int("axis", 0)?, shape.len())?;
        let op = ArgMost { axis, least: node.op_type() == "ArgMin", last: node.flag("select_last_index")? };
        if node.int("keepdims", 1)? != 0 {
            return node.finish(op, &[0]);
        }
        let x = node.input(0)?;
        let places = node.emit(op, &[Some(x)])?;
        shape.remove(axis);
        node.finish_with(Reshape { shape }, &[Some(places)])
    }

    /// The index in each row of the element that is `beyond` all before it.
    fn places<E: Copy + PartialOrd>(&self, source: &ArrayD<E>, is_nan: impl Fn(E) -> bool) -> ArrayD<i64> {
        let replaces = |new: E, most: E| {
            let beyond = if self.least { new < most } else { new > most };
            !is_nan(most) && (is_nan(new) || beyond || (self.last && new == most))
        };
        let of_row = |row: ArrayView1<'_, E>| {
            (1..row.len()).fold(0, |most, at| if replaces(row[at], row[most]) { at } else { most }) as i64
        };
        source.map_axis(Axis(self.axis), of_row).insert_axis(Axis(self.axis))
    }
}

uniform! {
    /// Parameters of `arg_rows`.
    pub struct ArgParams { rows: u32, row: u32, inner: u32, least: u32, last: u32 }
}

/// One row an invocation.
pub static ARG_ROWS: Kernel = Kernel {
    name: "arg_rows",
    source: include_str!("../../shaders/arg_rows.wgsl"),
    includes: &[],
    params: ArgParams::FIELDS,
    combinations: || vec![vec![]],
};

impl Operator for ArgMost {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        let mut shape = ty.shape.clone();
        if ty.kind == Kind::Bool {
            return invalid("truth values have no order");
        }
        if std::mem::replace(&mut shape[self.axis], 1) == 0 {
            return invalid("there is no largest of no elements");
        }
        Ok(vec![TensorType { kind: Kind::Int, shape }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        Ok(vec![Tensor::Int(match required(inputs, 0)? {
            Tensor::Real(array) => self.places(array, T::is_nan),
            Tensor::Int(array) => self.places(array, |_| false),
            Tensor::Bool(_) => return invalid("truth values have no order"),
        })])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, _: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let mut shape = required(inputs, 0)?.shape().to_vec();
        shape[self.axis] = 1;
        Ok(super::exact(&shape))
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        (axis != self.axis).then(|| Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let shape = &required(&node.input_types(), 0)?.shape;
        let (row, inner) = (shape[self.axis], shape[self.axis + 1..].iter().product::<usize>());
        let most = node.limits().max_loop_iterations.min(MOST_EXACT as u32);
        if row > most as usize {
            return unsupported(format!("a row of {row} elements; the most is {most}"));
        }
        let (input, output) = (node.input(0)?, node.output(0)?);
        let [row, inner, rows] = [row as u32, inner as u32, node.count(output)];
        let params = ArgParams { rows, row, inner, least: self.least.into(), last: self.last.into() };
        node.dispatch(&ARG_ROWS, vec![], rows, params, output, &[input])
    }

    fn flops(&self, inputs: &[Option<&TensorType>], _: &[TensorType]) -> u64 {
        inputs.iter().flatten().map(|ty| ty.shape.iter().product::<usize>() as u64).sum()
    }
}
