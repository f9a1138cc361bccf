//! Rows brought to mean 0 and variance 1, then scaled and shifted: the normalizations that ONNX defines by formulas over
//! rows, and those that exporters write as such formulas, as one operator.

mod rows;

pub use rows::{NORMALIZE_ROWS, ROW_STATISTICS, ROW_SUMS};

use super::{
    Activate, Activation, Binary, BinaryFunction, Inputs, Op, OpResult, Operator, Reduce, ReduceKind, Restricted,
    Unary, UnaryFunction, first_real, invalid, real_type, required,
};
use crate::plan::Lowering;
use crate::simd::vectorized;
use crate::tensor::{Real, Tensor, TensorType, array, row_major, row_major_slice};
use ndarray::ArrayD;
use rayon::prelude::*;
use std::ops::Range;

/// `activation(scale (x - mean) / sqrt(variance + epsilon) + bias)`, mean and variance being those of each row.
///
/// Inputs: x, of any shape; scale and bias, `[count]`. A row is `row` neighbouring elements of x; each number of scale and bias
/// serves `inner` neighbouring elements, and behind the last comes the first again. Source: ONNX, InstanceNormalization,
/// GroupNormalization, LayerNormalization.
#[derive(Debug, Clone)]
pub struct Normalize {
    /// The result's; it has as many elements as x.
    pub shape: Vec<usize>,
    /// Elements of a row.
    pub row: usize,
    /// Neighbouring elements that share a scale and a bias.
    pub inner: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// What is done to the result.
    pub activation: Activation,
}

/// The slots of its inputs.
pub(crate) mod slot {
    pub const SCALE: usize = 1;
    pub const BIAS: usize = 2;
}

/// A value, and how far it may be off.
struct Known {
    value: Tensor<f64>,
    error: ArrayD<f64>,
}

impl Known {
    fn exact(shape: &[usize], values: Vec<f64>) -> OpResult<Self> {
        Ok(Known { error: ArrayD::zeros(shape), value: Tensor::Real(array(shape, values)?) })
    }

    fn of(op: impl Into<Op>, inputs: &[&Known]) -> OpResult<Self> {
        let op = op.into();
        let values: Vec<Option<&Tensor<f64>>> = inputs.iter().map(|known| Some(&known.value)).collect();
        let errors: Vec<Option<&ArrayD<f64>>> = inputs.iter().map(|known| Some(&known.error)).collect();
        let error = op.error_bound(&values, &errors)?;
        Ok(Known { value: Tensor::Real(first_real(op.reference(&values)?)?), error })
    }

    fn shaped(self, shape: &[usize]) -> OpResult<Self> {
        let value = Tensor::Real(array(shape, row_major(self.value.into_real()?))?);
        Ok(Known { value, error: array(shape, row_major(self.error))? })
    }
}

impl Normalize {
    /// One row after another. Sums are formed in f64, and results rounded once.
    fn apply<T: Real>(&self, scale: &[T], bias: &[T], values: &mut [T]) {
        let rows = values.par_chunks_mut(self.row).enumerate();
        rows.for_each(|(index, row)| {
            vectorized(
                #[inline(always)]
                || self.apply_to_row(index * self.row, row, scale, bias),
            );
        });
    }

    #[inline(always)]
    fn apply_to_row<T: Real>(&self, start: usize, row: &mut [T], scale: &[T], bias: &[T]) {
        let count = row.len() as f64;
        let mean = sum(row, |x| x) / count;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
        let inverse = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
        let affine = |x: T, number: usize| T::of((x.f64() - mean) * inverse * scale[number].f64() + bias[number].f64());
        if self.inner == 1 && scale.len() > 1 && row.len().is_multiple_of(scale.len()) {
            for run in row.chunks_mut(scale.len()) {
                run.iter_mut().enumerate().for_each(|(number, x)| *x = affine(*x, number));
            }
        } else {
            let inner = if scale.len() == 1 { usize::MAX } else { self.inner };
            let mut at = 0;
            while at < row.len() {
                let place = start + at;
                let end = at.saturating_add(inner - place % inner).min(row.len());
                let number = place / inner % scale.len();
                row[at..end].iter_mut().for_each(|x| *x = affine(*x, number));
                at = end;
            }
        }
        self.activation.apply_all(row, T::zero());
    }
}

/// By eight partial sums, which vectors can form.
#[inline(always)]
fn sum<T: Real>(row: &[T], term: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let chunks = row.chunks_exact(sums.len());
    let rest: f64 = chunks.remainder().iter().map(|x| term(x.f64())).sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += term(x.f64()));
    }
    sums.iter().sum::<f64>() + rest
}

impl Operator for Normalize {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let (x, scale, bias) = (real_type(inputs, 0)?, real_type(inputs, slot::SCALE)?, real_type(inputs, slot::BIAS)?);
        let result = TensorType::real(self.shape.clone());
        let elements = x.elements()?;
        if result.elements()? != elements || self.row == 0 || !elements.is_multiple_of(self.row) {
            return invalid(format!("{x} is not rows of {} that make {result}", self.row));
        }
        let [count] = scale.shape[..] else { return invalid(format!("the scale has shape {scale}")) };
        if scale != bias
            || count == 0
            || !elements.is_multiple_of(self.inner.max(1) * count) && count > 1
            || self.inner == 0
        {
            return invalid(format!("{scale} scales and {bias} biases for {x}, each for {} elements", self.inner));
        }
        Ok(vec![result])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        self.consume(required(inputs, 0)?.clone(), inputs)
    }

    fn consume<T: Real>(&self, first: Tensor<T>, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let (scale, bias) = (required(inputs, slot::SCALE)?.as_real()?, required(inputs, slot::BIAS)?.as_real()?);
        let mut values = row_major(first.into_real()?);
        self.apply(&row_major_slice(scale), &row_major_slice(bias), &mut values);
        Ok(vec![Tensor::real(&self.shape, values)?])
    }

    /// That of the formula, operator by operator: `x - mean`, the mean of its squares, `1 / sqrt(variance + epsilon)`, and the
    /// products and sums behind it.
    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let numbers = |slot| Ok(row_major_slice(required(inputs, slot)?.as_real()?).to_vec()) as OpResult<Vec<f64>>;
        let (x, error) = (required(inputs, 0)?.as_real()?, required(errors, 0)?);
        let rows = [x.len() / self.row, self.row];
        let x = Known { value: Tensor::Real(x.clone()), error: error.clone() }.shaped(&rows)?;
        let mean = || Reduce { kind: ReduceKind::Mean, axes: 1..2 };
        let [add, subtract, multiply] =
            [BinaryFunction::Add, BinaryFunction::Sub, BinaryFunction::Mul].map(Binary::plain);
        let unary = |function| Unary { function };
        let centred = Known::of(subtract, &[&x, &Known::of(mean(), &[&x])?])?;
        let variance = Known::of(mean(), &[&Known::of(multiply.clone(), &[&centred, &centred])?])?;
        let epsilon = Known::exact(&[], vec![self.epsilon.into()])?;
        let deviation = Known::of(unary(UnaryFunction::Sqrt), &[&Known::of(add.clone(), &[&variance, &epsilon])?])?;
        let inverse = Known::of(unary(UnaryFunction::Reciprocal), &[&deviation])?;
        let normalized = Known::of(multiply.clone(), &[&centred, &inverse])?;
        let (scale, bias) = (numbers(slot::SCALE)?, numbers(slot::BIAS)?);
        let (count, elements) = (scale.len(), rows[0] * rows[1]);
        let inner = if count == 1 { elements } else { self.inner };
        let normalized = normalized.shaped(&[elements / (inner * count).max(1), count, inner])?;
        let scaled = Known::of(multiply, &[&normalized, &Known::exact(&[count, 1], scale)?])?;
        let shifted = Known::of(add, &[&scaled, &Known::exact(&[count, 1], bias)?])?.shaped(&self.shape)?;
        if self.activation == Activation::Identity {
            return Ok(shifted.error);
        }
        Ok(Known::of(Activate { activation: self.activation }, &[&shifted])?.error)
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let x = required(inputs, 0).ok()?;
        let behind: usize = x.shape.get(axis + 1..)?.iter().product();
        let count = required(inputs, slot::SCALE).ok()?.shape[0];
        if x.shape != self.shape || !behind.is_multiple_of(self.row) {
            return None;
        }
        // Either each index has all scales, or one of its own.
        let own = self.inner == behind && count == self.shape[axis];
        if !own && count > 1 && !behind.is_multiple_of(self.inner * count) {
            return None;
        }
        let mut op = self.clone();
        op.shape[axis] = range.len();
        Some(Restricted::along(op, inputs.len(), range, |slot| if slot == 0 { Some(axis) } else { own.then_some(0) }))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        rows::lower(self, node)
    }

    /// A sum, a difference, its square and its sum, and the affine map.
    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| 8 * ty.shape.iter().product::<usize>() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalize(shape: &[usize], row: usize, inner: usize) -> Normalize {
        Normalize { shape: shape.to_vec(), row, inner, epsilon: 0.5, activation: Activation::Identity }
    }

    fn result(op: &Normalize, x: &Tensor, scale: &[f32], bias: &[f32]) -> Vec<f32> {
        let [scale, bias] = [scale, bias].map(|values| Tensor::real(&[values.len()], values.to_vec()).unwrap());
        row_major(first_real(op.reference(&[Some(x), Some(&scale), Some(&bias)]).unwrap()).unwrap())
    }

    /// The definition, element by element.
    fn defined(op: &Normalize, x: &Tensor, scale: &[f32], bias: &[f32]) -> Vec<f32> {
        let x = row_major_slice(x.as_real().unwrap());
        let of = |at: usize| {
            let row = x.chunks(op.row).nth(at / op.row).unwrap();
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / row.len() as f64;
            let number = at / op.inner % scale.len();
            let normalized = (f64::from(x[at]) - mean) / (variance + 0.5).sqrt();
            (normalized * f64::from(scale[number]) + f64::from(bias[number])) as f32
        };
        (0..x.len()).map(of).collect()
    }

    #[test]
    fn rows_and_scales_are_those_of_the_definition() {
        let x = Tensor::real(&[2, 6, 5], (0..60).map(|at| ((at * 37 % 23) as f32).sqrt()).collect()).unwrap();
        // Channels alone, two in a group, a whole image, rows with a number each, and rows with one number for all.
        for (row, inner, count) in [(5, 5, 6), (10, 5, 6), (30, 5, 6), (30, 10, 3), (5, 1, 5), (10, 1, 5), (5, 1, 1)] {
            let op = normalize(&[2, 6, 5], row, inner);
            let scale: Vec<f32> = (0..count).map(|at| 1.0 + at as f32 / 8.0).collect();
            let bias: Vec<f32> = (0..count).map(|at| at as f32 / 4.0 - 1.0).collect();
            let (found, wanted) = (result(&op, &x, &scale, &bias), defined(&op, &x, &scale, &bias));
            let off = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-6, "{row} {inner} {count}: {off}");
        }
    }

    #[test]
    fn part_of_a_result_is_that_part_of_the_whole() {
        let x = Tensor::real(&[2, 6, 5], (0..60).map(|at| (at * 37 % 23) as f32).collect()).unwrap();
        let scale: Vec<f32> = (0..6).map(|at| 1.0 + at as f32).collect();
        let numbers = Tensor::real(&[6], scale.clone()).unwrap();
        let inputs = [Some(&x), Some(&numbers), Some(&numbers)];
        let types: Vec<TensorType> = inputs.iter().flatten().map(|tensor| tensor.tensor_type()).collect();
        let types: Vec<Option<&TensorType>> = types.iter().map(Some).collect();
        let op = normalize(&[2, 6, 5], 5, 5);
        let whole = op.reference(&inputs).unwrap().remove(0);
        for (axis, range) in [(0, 1..2), (1, 2..5)] {
            let part = op.restrict(&types, axis, &range).unwrap();
            let cut: Vec<_> = inputs.iter().zip(&part.cuts).map(|(input, cut)| cut.of(input.unwrap())).collect();
            let cut: Vec<Option<&Tensor>> = cut.iter().map(|tensor| Some(tensor.as_ref())).collect();
            let wanted = super::super::Cut::Along(axis, range).of(&whole).into_owned();
            assert_eq!(part.op.reference(&cut).unwrap().remove(0), wanted);
        }
        // A row is no whole number of indices there, or goes across them.
        assert!(op.restrict(&types, 2, &(0..1)).is_none());
        assert!(normalize(&[2, 6, 5], 10, 5).restrict(&types, 1, &(0..1)).is_none());
    }
}
