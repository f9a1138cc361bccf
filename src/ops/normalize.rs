//! Rows brought to mean 0 and variance 1, then scaled and shifted: the normalizations that ONNX defines by formulas over
//! rows, and those that exporters write as such formulas, as one operator.

mod rows;

pub use rows::{NORMALIZE_ROWS, ROW_STATISTICS, ROW_SUMS};

use super::{
    Activate, Activation, Binary, BinaryFunction, ChannelAffine, Inputs, Op, OpResult, Operator, Reduce, ReduceKind,
    Restricted, Unary, UnaryFunction, first_real, invalid, real_type, required,
};
use crate::bound::{FLUSH, U};
use crate::plan::Lowering;
use crate::simd::vectorized;
use crate::tensor::{Real, Tensor, TensorType, array, row_major};
use ndarray::ArrayD;
use rayon::prelude::*;
use std::ops::Range;

/// `activation(factor (x - mean) / sqrt(variance + epsilon) + offset)`, mean and variance being those of each row.
///
/// Input: x, of any shape. A row is `row` neighbouring elements of x; each factor and offset serves `inner` neighbouring
/// elements, and behind the last comes the first again. Source: ONNX, InstanceNormalization, GroupNormalization,
/// LayerNormalization.
#[derive(Debug, Clone)]
pub struct Normalize {
    /// The result's; it has as many elements as x.
    pub shape: Vec<usize>,
    /// Elements of a row.
    pub row: usize,
    /// Neighbouring elements that share a factor and an offset.
    pub inner: usize,
    /// Factors and offsets, which may be those of channels, of images, or of places in a row.
    pub affine: ChannelAffine,
    /// Added to the variance.
    pub epsilon: f32,
    /// What is done to the result.
    pub activation: Activation,
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
    fn apply<T: Real>(&self, values: &mut [T]) {
        let rows = values.par_chunks_mut(self.row).enumerate();
        rows.for_each(|(index, row)| {
            vectorized(
                #[inline(always)]
                || self.apply_to_row(index * self.row, row),
            );
        });
    }

    #[inline(always)]
    fn apply_to_row<T: Real>(&self, start: usize, row: &mut [T]) {
        let (scale, bias) = (&*self.affine.factor, &*self.affine.offset);
        let count = row.len() as f64;
        let mean = sum(row, |x| x) / count;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
        let inverse = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
        let affine = |x: T, number: usize| T::of((x.f64() - mean) * inverse * scale[number] + bias[number]);
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
        let x = real_type(inputs, 0)?;
        let result = TensorType::real(self.shape.clone());
        let elements = x.elements()?;
        if result.elements()? != elements || self.row == 0 || !elements.is_multiple_of(self.row) {
            return invalid(format!("{x} is not rows of {} that make {result}", self.row));
        }
        let count = self.affine.factor.len();
        let is_whole = count == 1 || elements.is_multiple_of(self.inner.max(1) * count);
        if count == 0 || self.inner == 0 || !is_whole || self.affine.offset.len() != count {
            return invalid(format!("{count} factors for {x}, each for {} elements", self.inner));
        }
        Ok(vec![result])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        self.consume(required(inputs, 0)?.clone(), inputs)
    }

    fn consume<T: Real>(&self, first: Tensor<T>, _: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let mut values = row_major(first.into_real()?);
        self.apply(&mut values);
        Ok(vec![Tensor::real(&self.shape, values)?])
    }

    /// That of the formula, operator by operator: `x - mean`, the mean of its squares, `1 / sqrt(variance + epsilon)`, and the
    /// products and sums behind it.
    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
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
        let (count, elements) = (self.affine.factor.len(), rows[0] * rows[1]);
        // Each number is rounded once on its way to the device.
        let numbers = |numbers: &[f64]| {
            let error = array(&[count, 1], numbers.iter().map(|x| U * x.abs() + FLUSH).collect())?;
            Ok(Known { value: Tensor::Real(array(&[count, 1], numbers.to_vec())?), error }) as OpResult<Known>
        };
        let inner = if count == 1 { elements } else { self.inner };
        let normalized = normalized.shaped(&[elements / (inner * count).max(1), count, inner])?;
        let scaled = Known::of(multiply, &[&normalized, &numbers(&self.affine.factor)?])?;
        let shifted = Known::of(add, &[&scaled, &numbers(&self.affine.offset)?])?.shaped(&self.shape)?;
        if self.activation == Activation::Identity {
            return Ok(shifted.error);
        }
        Ok(Known::of(Activate { activation: self.activation }, &[&shifted])?.error)
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let x = required(inputs, 0).ok()?;
        let behind: usize = x.shape.get(axis + 1..)?.iter().product();
        let count = self.affine.factor.len();
        if x.shape != self.shape || !behind.is_multiple_of(self.row) {
            return None;
        }
        // Either each index has all numbers, or as many of its own.
        let of_each = behind / self.inner;
        let own = count > 1 && behind.is_multiple_of(self.inner) && count == of_each * self.shape[axis];
        if !own && count > 1 && !behind.is_multiple_of(self.inner * count) {
            return None;
        }
        let mut op = self.clone();
        op.shape[axis] = range.len();
        if own {
            op.affine = self.affine.of_channels(&(range.start * of_each..range.end * of_each));
        }
        Some(Restricted::along(op, inputs.len(), range, |_| Some(axis)))
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
    use crate::tensor::row_major_slice;

    fn normalize(shape: &[usize], row: usize, inner: usize, count: usize) -> Normalize {
        let scale = ChannelAffine::scale((0..count).map(|at| 1.0 + at as f64 / 8.0));
        let affine = scale.then(&ChannelAffine::shift((0..count).map(|at| at as f64 / 4.0 - 1.0)));
        Normalize { shape: shape.to_vec(), row, inner, affine, epsilon: 0.5, activation: Activation::Identity }
    }

    fn result(op: &Normalize, x: &Tensor) -> Vec<f32> {
        row_major(first_real(op.reference(&[Some(x)]).unwrap()).unwrap())
    }

    /// The definition, element by element.
    fn defined(op: &Normalize, x: &Tensor) -> Vec<f32> {
        let x = row_major_slice(x.as_real().unwrap());
        let of = |at: usize| {
            let row = x.chunks(op.row).nth(at / op.row).unwrap();
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / row.len() as f64;
            let number = at / op.inner % op.affine.factor.len();
            let normalized = (f64::from(x[at]) - mean) / (variance + 0.5).sqrt();
            (normalized * op.affine.factor[number] + op.affine.offset[number]) as f32
        };
        (0..x.len()).map(of).collect()
    }

    #[test]
    fn rows_and_scales_are_those_of_the_definition() {
        let x = Tensor::real(&[2, 6, 5], (0..60).map(|at| ((at * 37 % 23) as f32).sqrt()).collect()).unwrap();
        // Channels alone, two in a group, a whole image, rows with a number each, rows with one number for all, and numbers of
        // each image, or of each channel of each image.
        let cases =
            [(5, 5, 6), (10, 5, 6), (30, 5, 6), (30, 10, 3), (5, 1, 5), (10, 1, 5), (5, 1, 1), (5, 30, 2), (10, 5, 12)];
        for (row, inner, count) in cases {
            let op = normalize(&[2, 6, 5], row, inner, count);
            let (found, wanted) = (result(&op, &x), defined(&op, &x));
            let off = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-6, "{row} {inner} {count}: {off}");
        }
    }

    #[test]
    fn part_of_a_result_is_that_part_of_the_whole() {
        let x = Tensor::real(&[2, 6, 5], (0..60).map(|at| (at * 37 % 23) as f32).collect()).unwrap();
        let ty = x.tensor_type();
        let restricted = |op: &Normalize, axis, range: &Range<usize>| op.restrict(&[Some(&ty)], axis, range);
        let of_channels = normalize(&[2, 6, 5], 5, 5, 6);
        for (op, axis, range) in [
            (&of_channels, 0, 1..2),
            (&of_channels, 1, 2..5),
            (&normalize(&[2, 6, 5], 5, 30, 2), 0, 1..2),
            (&normalize(&[2, 6, 5], 5, 1, 1), 1, 2..5),
            (&normalize(&[2, 6, 5], 5, 5, 12), 0, 1..2),
        ] {
            let whole = op.reference(&[Some(&x)]).unwrap().remove(0);
            let part = restricted(op, axis, &range).unwrap();
            let cut = part.cuts[0].of(&x);
            let wanted = super::super::Cut::Along(axis, range).of(&whole).into_owned();
            assert_eq!(part.op.reference(&[Some(cut.as_ref())]).unwrap().remove(0), wanted);
        }
        // A row is no whole number of indices there, or goes across them; numbers of one channel lie apart.
        assert!(restricted(&of_channels, 2, &(0..1)).is_none());
        assert!(restricted(&normalize(&[2, 6, 5], 10, 5, 6), 1, &(0..1)).is_none());
        assert!(restricted(&normalize(&[2, 6, 5], 5, 5, 12), 1, &(0..1)).is_none());
    }
}
