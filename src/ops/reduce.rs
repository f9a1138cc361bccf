//! One number from each row of neighbouring dimensions: global pools and reductions.

use super::{Inputs, OpResult, Operator, image_shape, invalid, real_type, required, unsupported};
use crate::bound::{FLUSH, U, gamma};
use crate::kernels::{Kernel, Part, WORKGROUP};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::tensor::{Real, Tensor, TensorType, array, row_major_slice};
use crate::{part, uniform};
use ndarray::ArrayD;

/// What is made of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ReduceKind {
    Mean,
    Max,
}

/// The mean or maximum over the dimensions `axes`, which keep size 1. Source: ONNX, GlobalAveragePool, GlobalMaxPool.
#[derive(Debug, Clone)]
pub struct Reduce {
    /// Mean or maximum.
    pub kind: ReduceKind,
    /// The first and one past the last of the dimensions.
    pub axes: std::ops::Range<usize>,
}

impl Reduce {
    pub(crate) fn import_global_pool(node: &mut OnnxNode<'_>) -> OpResult<()> {
        image_shape(&[Some(node.ty(0)?)], 0)?;
        let kind = if node.op_type() == "GlobalMaxPool" { ReduceKind::Max } else { ReduceKind::Mean };
        node.finish(Reduce { kind, axes: 2..4 }, &[0])
    }

    /// Rows before, elements in a row, and elements that lie between two of a row.
    fn split(&self, shape: &[usize]) -> [usize; 3] {
        let Self { axes, .. } = self;
        [&shape[..axes.start], &shape[axes.clone()], &shape[axes.end..]].map(|sizes| sizes.iter().product())
    }

    fn apply<T: Real>(
        &self,
        input: &ArrayD<T>,
        combine: impl Fn(&mut dyn Iterator<Item = T>) -> T,
    ) -> OpResult<ArrayD<T>> {
        let [outer, row, inner] = self.split(input.shape());
        let data = row_major_slice(input);
        let at = |o: usize, i: usize| (0..row).map(move |r| (o * row + r) * inner + i);
        let reduced = (0..outer)
            .flat_map(|o| (0..inner).map(move |i| (o, i)))
            .map(|(o, i)| combine(&mut at(o, i).map(|index| data[index])))
            .collect();
        Ok(array(&self.shape(input.shape()), reduced)?)
    }

    fn shape(&self, shape: &[usize]) -> Vec<usize> {
        let size = |(axis, &size): (usize, &usize)| if self.axes.contains(&axis) { 1 } else { size };
        shape.iter().enumerate().map(size).collect()
    }
}

fn mean<T: Real>(values: &mut dyn Iterator<Item = T>) -> T {
    let (sum, count) = values.fold((T::zero(), 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / T::of(count as f64)
}

fn largest<T: Real>(values: &mut dyn Iterator<Item = T>) -> T {
    values.fold(T::neg_infinity(), |most, value| if most.is_nan() || most >= value { most } else { value })
}

uniform! {
    /// Parameters of `reduce_rows`.
    pub struct ReduceParams { rows: u32, row: u32, inner: u32, scale: f32 }
}

/// One row a workgroup.
pub static REDUCE_ROWS: Kernel = Kernel {
    name: "reduce_rows",
    source: include_str!("../../shaders/reduce_rows.wgsl"),
    includes: &[],
    params: ReduceParams::FIELDS,
    combinations: || vec![vec![ReduceKind::Mean.part()], vec![ReduceKind::Max.part()]],
};

impl ReduceKind {
    fn part(self) -> Part {
        match self {
            ReduceKind::Mean => part!("reduce", "reduce_mean"),
            ReduceKind::Max => part!("reduce", "reduce_max"),
        }
    }
}

impl Operator for Reduce {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = real_type(inputs, 0)?;
        if self.axes.end > ty.shape.len() || ty.shape[self.axes.clone()].contains(&0) {
            return invalid(format!("{ty} has nothing to reduce over axes {:?}", self.axes));
        }
        Ok(vec![TensorType::real(self.shape(&ty.shape))])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let input = required(inputs, 0)?.as_real()?;
        Ok(vec![Tensor::Real(match self.kind {
            ReduceKind::Mean => self.apply(input, |row| mean(row))?,
            ReduceKind::Max => self.apply(input, |row| largest(row))?,
        })])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let (input, error) = (required(inputs, 0)?.as_real()?, required(errors, 0)?);
        match self.kind {
            ReduceKind::Max => self.apply(error, |row| largest(row)),
            ReduceKind::Mean => {
                let [_, row, _] = self.split(input.shape());
                // The factor 1 / row is rounded, and so is the product with it.
                let rounding = gamma(row) + 3.0 * U;
                let magnitude = self.apply(&input.mapv(f64::abs), |row| mean(row))?;
                Ok(self.apply(error, |row| mean(row))? + magnitude * rounding + FLUSH)
            }
        }
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let [outer, row, inner] = self.split(&real_type(&node.input_types(), 0)?.shape);
        let most = u64::from(node.limits().max_loop_iterations) * u64::from(WORKGROUP);
        if row as u64 > most {
            return unsupported(format!("a row of {row} elements; the most is {most}"));
        }
        let (input, output) = (node.input(0)?, node.output(0)?);
        let rows = (outer * inner) as u32;
        let params = ReduceParams { rows, row: row as u32, inner: inner as u32, scale: (1.0 / row as f64) as f32 };
        node.dispatch_groups(&REDUCE_ROWS, vec![self.kind.part()], rows, params, output, &[input])
    }

    fn flops(&self, inputs: &[Option<&TensorType>], _: &[TensorType]) -> u64 {
        inputs.iter().flatten().map(|ty| ty.shape.iter().product::<usize>() as u64).sum()
    }
}
