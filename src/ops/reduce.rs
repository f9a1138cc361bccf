//! One number from each row of neighbouring dimensions: global pools and reductions.

use super::{Inputs, OpResult, Operator, Restricted, invalid, real_type, required, unsupported};
use crate::bound::{FLUSH, U, gamma};
use crate::graph::ValueId;
use crate::kernels::{Kernel, Part, WORKGROUP};
use crate::onnx::OnnxNode;
use crate::plan::{Layout, Lowering};
use crate::tensor::{Kind, Real, Tensor, TensorType, array, row_major_slice};
use crate::{part, uniform};
use ndarray::ArrayD;
use rayon::prelude::*;
use std::iter::{Copied, StepBy, Take};
use std::ops::Range;
use std::slice::Iter;

/// What is made of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ReduceKind {
    Mean,
    Sum,
    Max,
    Min,
    /// Of what is known before anything runs: no device multiplies rows.
    Product,
}

/// One number from all elements along the dimensions `axes`, which keep size 1. Source: ONNX, GlobalAveragePool,
/// GlobalMaxPool, ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceProd.
#[derive(Debug, Clone)]
pub struct Reduce {
    /// Which number.
    pub kind: ReduceKind,
    /// The first and one past the last of the dimensions.
    pub axes: std::ops::Range<usize>,
}

impl Reduce {
    /// `GlobalAveragePool` and `GlobalMaxPool`, over all dimensions but batch and channels.
    pub(crate) fn import_global_pool(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let rank = node.ty(0)?.shape.len();
        if rank < 3 {
            return invalid(format!("its input has {rank} dimensions: none after batch and channels"));
        }
        let kind = if node.op_type() == "GlobalMaxPool" { ReduceKind::Max } else { ReduceKind::Mean };
        node.finish(Reduce { kind, axes: 2..rank }, &[0])
    }

    /// `ReduceMean` and its like.
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let kind = match node.op_type() {
            "ReduceMean" => ReduceKind::Mean,
            "ReduceSum" => ReduceKind::Sum,
            "ReduceMax" => ReduceKind::Max,
            "ReduceMin" => ReduceKind::Min,
            "ReduceProd" => ReduceKind::Product,
            other => return unsupported(format!("'{other}' is no reduction")),
        };
        let rows = rows(node, if kind == ReduceKind::Sum { 13 } else { 18 })?;
        if rows.is_empty()
            && let Some(result) = kind.of_nothing(node.ty(0)?.kind, &rows.result)
        {
            return node.define_constant(0, result);
        }
        let mut x = node.input(0)?;
        if !rows.axes.is_empty() {
            x = Reduce::emit_over(node, kind, x, &rows.axes)?;
        }
        node.finish_with(super::Reshape { shape: rows.result }, &[Some(x)])
    }

    /// Reduces over sorted axes. Where they are no neighbours they become so first; sizes are right, the shape may not be.
    pub(super) fn emit_over(
        node: &mut OnnxNode<'_>,
        kind: ReduceKind,
        x: ValueId,
        axes: &[usize],
    ) -> OpResult<ValueId> {
        let rank = node.type_of(x).shape.len();
        let (first, last) = (axes[0], axes[axes.len() - 1]);
        if last - first + 1 == axes.len() {
            return node.emit(Reduce { kind, axes: first..last + 1 }, &[Some(x)]);
        }
        let kept = (0..rank).filter(|axis| !axes.contains(axis));
        let permutation: Vec<usize> = kept.chain(axes.iter().copied()).collect();
        let x = node.emit(super::Transpose { permutation }, &[Some(x)])?;
        node.emit(Reduce { kind, axes: rank - axes.len()..rank }, &[Some(x)])
    }

    /// The same, each axis kept with size 1.
    pub(super) fn emit_kept(
        node: &mut OnnxNode<'_>,
        kind: ReduceKind,
        x: ValueId,
        axes: &[usize],
    ) -> OpResult<ValueId> {
        let mut shape = node.type_of(x).shape.clone();
        axes.iter().for_each(|&axis| shape[axis] = 1);
        let reduced = Reduce::emit_over(node, kind, x, axes)?;
        node.emit(super::Reshape { shape }, &[Some(reduced)])
    }

    /// Rows before, elements in a row, and elements that lie between two of a row.
    fn split(&self, shape: &[usize]) -> [usize; 3] {
        let Self { axes, .. } = self;
        [&shape[..axes.start], &shape[axes.clone()], &shape[axes.end..]].map(|sizes| sizes.iter().product())
    }

    fn apply<T: Copy + Send + Sync>(
        &self,
        input: &ArrayD<T>,
        combine: impl Fn(Row<'_, T>) -> T + Sync,
    ) -> OpResult<ArrayD<T>> {
        let [outer, row, inner] = self.split(input.shape());
        let data = row_major_slice(input);
        let from = |at: usize| &data[at / inner * row * inner + at % inner..];
        let each = (0..outer * inner).into_par_iter();
        let reduced = each.map(|at| combine(from(at).iter().step_by(inner).take(row).copied())).collect();
        Ok(array(&self.shape(input.shape()), reduced)?)
    }

    fn shape(&self, shape: &[usize]) -> Vec<usize> {
        let size = |(axis, &size): (usize, &usize)| if self.axes.contains(&axis) { 1 } else { size };
        shape.iter().enumerate().map(size).collect()
    }
}

/// What an ONNX node asks to be reduced.
pub(super) struct Rows {
    /// Sorted, none twice.
    pub axes: Vec<usize>,
    /// The shape that is asked for.
    pub result: Vec<usize>,
    shape: Vec<usize>,
}

impl Rows {
    /// Whether there is nothing in a row.
    pub fn is_empty(&self) -> bool {
        self.axes.iter().any(|&axis| self.shape[axis] == 0)
    }
}

/// The axes are an input since an opset that depends on the reduction, and an attribute before.
pub(super) fn rows(node: &mut OnnxNode<'_>, as_input_since: i64) -> OpResult<Rows> {
    let shape = node.ty(0)?.shape.clone();
    let rank = shape.len();
    let as_input = node.opset() >= as_input_since;
    let stated = if as_input { node.constant_ints(1)? } else { node.ints("axes")? }.unwrap_or_default();
    let (keep, none_if_empty) = (node.int("keepdims", 1)? != 0, node.flag("noop_with_empty_axes")?);
    let mut axes = stated.iter().map(|&axis| super::axis(axis, rank)).collect::<OpResult<Vec<_>>>()?;
    if axes.is_empty() && !none_if_empty {
        axes = (0..rank).collect();
    }
    axes.sort_unstable();
    axes.dedup();
    let size = |axis: usize| if axes.contains(&axis) { 1 } else { shape[axis] };
    let result = (0..rank).filter(|axis| keep || !axes.contains(axis)).map(size).collect();
    Ok(Rows { axes, result, shape })
}

/// What becomes one number.
type Row<'a, T> = Copied<Take<StepBy<Iter<'a, T>>>>;

/// In f64, rounded once: of a megapixel's f32 sum few bits would be right.
fn sum<T: Real>(values: Row<'_, T>) -> T {
    T::of(values.map(Real::f64).sum())
}

fn mean<T: Real>(values: Row<'_, T>) -> T {
    let count = values.len() as f64;
    T::of(values.map(Real::f64).sum::<f64>() / count)
}

fn largest<T: Real>(values: Row<'_, T>) -> T {
    values.fold(T::neg_infinity(), |most, value| if most.is_nan() || most >= value { most } else { value })
}

fn smallest<T: Real>(values: Row<'_, T>) -> T {
    values.fold(T::infinity(), |least, value| if least.is_nan() || least <= value { least } else { value })
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
    combinations: || [SUM, MAX, MIN].map(|part| vec![part]).to_vec(),
};

/// One row an invocation.
pub static REDUCE_EACH: Kernel =
    Kernel { name: "reduce_each", source: include_str!("../../shaders/reduce_each.wgsl"), ..REDUCE_ROWS };

const SUM: Part = part!("reduce", "reduce_sum");
const MAX: Part = part!("reduce", "reduce_max");
const MIN: Part = part!("reduce", "reduce_min");

impl ReduceKind {
    fn part(self) -> OpResult<Part> {
        Ok(match self {
            ReduceKind::Mean | ReduceKind::Sum => SUM,
            ReduceKind::Max => MAX,
            ReduceKind::Min => MIN,
            ReduceKind::Product => return unsupported("a product over a row that depends on the input"),
        })
    }

    /// Integers wrap, as the integer types of ONNX do; inference let no row be empty, and no mean of integers be asked for.
    fn of_ints(self, row: Row<'_, i64>) -> i64 {
        match self {
            ReduceKind::Max => row.fold(i64::MIN, i64::max),
            ReduceKind::Min => row.fold(i64::MAX, i64::min),
            ReduceKind::Product => row.fold(1, i64::wrapping_mul),
            ReduceKind::Sum | ReduceKind::Mean => row.fold(0, i64::wrapping_add),
        }
    }

    /// What no element at all reduces to, where that is defined.
    fn of_nothing(self, kind: Kind, shape: &[usize]) -> Option<Tensor> {
        let real = |x| Tensor::Real(ArrayD::from_elem(shape, x));
        let int = |x| Tensor::Int(ArrayD::from_elem(shape, x));
        match (kind, self) {
            (Kind::Real, ReduceKind::Mean) => Some(real(f32::NAN)),
            (Kind::Real, ReduceKind::Sum) => Some(real(0.0)),
            (Kind::Real, ReduceKind::Max) => Some(real(f32::NEG_INFINITY)),
            (Kind::Real, ReduceKind::Min) => Some(real(f32::INFINITY)),
            (Kind::Real, ReduceKind::Product) => Some(real(1.0)),
            (Kind::Int, ReduceKind::Sum) => Some(int(0)),
            (Kind::Int, ReduceKind::Product) => Some(int(1)),
            // The least and the greatest number are those of a type that is not known here.
            _ => None,
        }
    }
}

impl Operator for Reduce {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        if ty.kind == Kind::Bool || (ty.kind == Kind::Int && self.kind == ReduceKind::Mean) {
            return unsupported(format!("{:?} of {:?}", self.kind, ty.kind));
        }
        if self.axes.end > ty.shape.len() || ty.shape[self.axes.clone()].contains(&0) {
            return invalid(format!("{ty} has nothing to reduce over axes {:?}", self.axes));
        }
        Ok(vec![TensorType { kind: ty.kind, shape: self.shape(&ty.shape) }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let input = match required(inputs, 0)? {
            Tensor::Int(input) => return Ok(vec![Tensor::Int(self.apply(input, |row| self.kind.of_ints(row))?)]),
            input => input.as_real()?,
        };
        Ok(vec![Tensor::Real(match self.kind {
            ReduceKind::Mean => self.apply(input, mean)?,
            ReduceKind::Sum => self.apply(input, sum)?,
            ReduceKind::Max => self.apply(input, largest)?,
            ReduceKind::Min => self.apply(input, smallest)?,
            ReduceKind::Product => self.apply(input, |row| row.fold(T::one(), |product, x| product * x))?,
        })])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let (input, error) = (required(inputs, 0)?.as_real()?, required(errors, 0)?);
        match self.kind {
            // Two subnormal numbers may compare as equal.
            ReduceKind::Max | ReduceKind::Min => Ok(self.apply(error, largest)? + FLUSH),
            // Nothing but constants comes here.
            ReduceKind::Product => Ok(ArrayD::from_elem(self.shape(input.shape()), f64::INFINITY)),
            ReduceKind::Sum => {
                let [_, row, _] = self.split(input.shape());
                let magnitude = self.apply(&(input.mapv(f64::abs) + error), |row| row.sum())?;
                Ok(self.apply(error, |row| row.sum())? + magnitude * gamma(row) + 2.0 * row as f64 * FLUSH)
            }
            ReduceKind::Mean => {
                let [_, row, _] = self.split(input.shape());
                // The factor 1 / row is rounded, and so is the product with it.
                let rounding = gamma(row) + 3.0 * U;
                let magnitude = self.apply(&(input.mapv(f64::abs) + error), mean)?;
                Ok(self.apply(error, mean)? + magnitude * rounding + 3.0 * FLUSH)
            }
        }
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        (!self.axes.contains(&axis)).then(|| Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let types = node.input_types();
        let shape = &real_type(&types, 0)?.shape;
        let layout = if self.axes == (2..4) && node.lies_by_four(0) { Layout::ByFour } else { Layout::Plain };
        let [outer, row, inner] = self.split(&layout.shape(shape));
        let most = u64::from(node.limits().max_loop_iterations) * u64::from(WORKGROUP);
        if row as u64 > most {
            return unsupported(format!("a row of {row} elements; the most is {most}"));
        }
        let (input, output) = (node.input_as(0, layout)?, node.output_as(0, layout)?);
        let rows = (outer * inner) as u32;
        let scale = if self.kind == ReduceKind::Mean { (1.0 / row as f64) as f32 } else { 1.0 };
        let params = ReduceParams { rows, row: row as u32, inner: inner as u32, scale };
        // A workgroup gains nothing on short rows; on a software adapter its barriers cost more than a row that keeps it busy.
        let limits = node.limits();
        let short = row <= WORKGROUP as usize || limits.software && rows >= WORKGROUP;
        let parts = vec![self.kind.part()?];
        if short && row as u64 <= u64::from(limits.max_loop_iterations) {
            node.dispatch(&REDUCE_EACH, parts, rows, params, output, &[input])
        } else {
            node.dispatch_groups(&REDUCE_ROWS, parts, rows, params, output, &[input])
        }
    }

    fn flops(&self, inputs: &[Option<&TensorType>], _: &[TensorType]) -> u64 {
        inputs.iter().flatten().map(|ty| ty.shape.iter().product::<usize>() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use crate::onnx::{AttributeValue, Model, ModelBuilder};
    use crate::ops::{Operator, Reduce, ReduceKind};
    use crate::tensor::{Tensor, TensorType};
    use ndarray::IxDyn;

    #[test]
    fn a_mean_of_a_megapixel_is_right_to_the_last_bit() {
        let pixels = Tensor::real(&[1 << 20], vec![1000.1f32; 1 << 20]).unwrap();
        let mean = Reduce { kind: ReduceKind::Mean, axes: 0..1 }.reference(&[Some(&pixels)]).unwrap().remove(0);
        assert_eq!(mean, Tensor::real(&[1], vec![1000.1]).unwrap());
    }

    #[test]
    fn no_integers_have_a_sum_and_a_product() {
        for (op_type, expected) in [("ReduceSum", 0), ("ReduceProd", 1)] {
            let mut model = ModelBuilder::new(18);
            let none = [("start", AttributeValue::Int(0)), ("end", AttributeValue::Int(0))];
            model
                .input("x", &TensorType::real([2, 3]))
                .node("Shape", "shape", &["x"], &["sizes"], &none)
                .node(op_type, "reduced", &["sizes"], &["y"], &[("keepdims", AttributeValue::Int(0))])
                .output("y", None);
            let graph = Model::from_bytes("none", model.to_bytes()).unwrap().graph(&Default::default()).unwrap();
            let y = graph.value(graph.outputs[0]).constant.clone();
            assert_eq!(y.as_deref(), Some(&Tensor::Int(ndarray::ArrayD::from_elem(IxDyn(&[]), expected))), "{op_type}");
        }
    }
}
