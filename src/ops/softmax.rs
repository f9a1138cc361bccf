//! Softmax over neighbouring dimensions.

use super::sum::sum;
use super::{Inputs, OpResult, Operator, Restricted, invalid, real_type, required, unsupported};
use crate::bound::{FLUSH, U, gamma};
use crate::kernels::{Kernel, WORKGROUP};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::simd::vectorized;
use crate::tensor::{Real, Tensor, TensorType, array, row_major, row_major_slice};
use crate::uniform;
use ndarray::ArrayD;
use rayon::prelude::*;
use std::ops::Range;

/// `exp(x - max) / sum of exp(x - max)` over each row. Source: ONNX, operator Softmax.
#[derive(Debug, Clone)]
pub struct Softmax {
    /// The first and one past the last of the dimensions that make a row.
    pub axes: std::ops::Range<usize>,
}

impl Softmax {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let axes = Softmax::axes(node)?;
        node.finish(Softmax { axes }, &[0])
    }

    /// Before opset 13 a row was everything from the axis on; since, it is the axis alone.
    pub(super) fn axes(node: &mut OnnxNode<'_>) -> OpResult<std::ops::Range<usize>> {
        let rank = node.ty(0)?.shape.len();
        if node.opset() < 13 {
            return Ok(super::axis(node.int("axis", 1)?, rank)?..rank);
        }
        let axis = super::axis(node.int("axis", -1)?, rank)?;
        Ok(axis..axis + 1)
    }

    fn split(&self, shape: &[usize]) -> [usize; 3] {
        let Self { axes } = self;
        [&shape[..axes.start], &shape[axes.clone()], &shape[axes.end..]].map(|sizes| sizes.iter().product())
    }

    /// Hands each row's places to `each`.
    fn each_row(&self, shape: &[usize], mut each: impl FnMut(&[usize])) {
        let [outer, row, inner] = self.split(shape);
        for o in 0..outer {
            for i in 0..inner {
                let places: Vec<usize> = (0..row).map(|r| (o * row + r) * inner + i).collect();
                each(&places);
            }
        }
    }
}

/// A row of neighbours. The sum of the exponentials is formed in f64: most of them may be small beside the largest.
fn one_row<T: Real>(row: &mut [T]) {
    let most = row.iter().copied().fold(T::neg_infinity(), T::max);
    row.iter_mut().for_each(|x| *x = (*x - most).exp());
    vectorized(
        #[inline(always)]
        || {
            let sum = T::of(sum(row));
            row.iter_mut().for_each(|x| *x /= sum);
        },
    );
}

/// As many rows as lie side by side: line by line, so that neighbours are read together.
fn rows_side_by_side<T: Real>(rows: &mut [T], count: usize) {
    let (mut most, mut sums) = (vec![T::neg_infinity(); count], vec![0.0; count]);
    for line in rows.chunks(count) {
        most.iter_mut().zip(line).for_each(|(most, &x)| *most = most.max(x));
    }
    for line in rows.chunks_mut(count) {
        for ((x, &most), sum) in line.iter_mut().zip(&most).zip(&mut sums) {
            *x = (*x - most).exp();
            *sum += x.f64();
        }
    }
    for line in rows.chunks_mut(count) {
        line.iter_mut().zip(&sums).for_each(|(x, &sum)| *x /= T::of(sum));
    }
}

uniform! {
    /// Parameters of `softmax_rows`.
    pub struct SoftmaxParams { rows: u32, row: u32, inner: u32 }
}

/// One row a workgroup.
pub static SOFTMAX_ROWS: Kernel = Kernel {
    name: "softmax_rows",
    source: include_str!("../../shaders/softmax_rows.wgsl"),
    includes: &[],
    params: SoftmaxParams::FIELDS,
    combinations: || vec![vec![]],
};

impl Operator for Softmax {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = real_type(inputs, 0)?;
        if self.axes.end > ty.shape.len() {
            return invalid(format!("{ty} has no axes {:?}", self.axes));
        }
        Ok(vec![ty.clone()])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        self.consume(required(inputs, 0)?.clone(), inputs)
    }

    fn consume<T: Real>(&self, first: Tensor<T>, _: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let shape = first.shape().to_vec();
        let mut values = row_major(first.into_real()?);
        let [_, row, inner] = self.split(&shape);
        values.par_chunks_mut((row * inner).max(1)).for_each(|rows| match inner {
            1 => one_row(rows),
            _ => rows_side_by_side(rows, inner),
        });
        Ok(vec![Tensor::Real(array(&shape, values)?)])
    }

    /// With d = x - max: each exponential is off by (6 + 4|d|) U and by |d| U of its argument, relative; the sum by the
    /// mean of that over the row and by gamma; the division by 5 U. Inputs off by e change a result by exp(2e) - 1.
    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let input = required(inputs, 0)?.as_real()?;
        let y = self.reference(inputs)?.remove(0);
        let (x, error) = (row_major_slice(input), row_major_slice(required(errors, 0)?));
        let y = row_major_slice(y.as_real()?);
        let mut bound = vec![0.0; x.len()];
        self.each_row(input.shape(), |row| {
            let most = row.iter().map(|&at| x[at]).fold(f64::NEG_INFINITY, f64::max);
            let worst = row.iter().map(|&at| error[at]).fold(0.0, f64::max);
            let exponential = |at: usize| (6.0 + 5.0 * (most - x[at] + 2.0 * worst)) * U;
            let sum: f64 = row.iter().map(|&at| y[at] * exponential(at)).sum();
            for &at in row {
                let relative = (2.0 * worst).exp_m1() + exponential(at) + sum + gamma(row.len()) + 6.0 * U;
                bound[at] = y[at] * relative * (1.0 + 1e-3) + FLUSH * (2.0 + row.len() as f64);
            }
        });
        Ok(array(input.shape(), bound)?)
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        (!self.axes.contains(&axis)).then(|| Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let [outer, row, inner] = self.split(&real_type(&node.input_types(), 0)?.shape);
        // Three walks over the row.
        let most = u64::from(node.limits().max_loop_iterations / 3) * u64::from(WORKGROUP);
        if row as u64 > most {
            return unsupported(format!("a row of {row} elements; the most is {most}"));
        }
        if row == 0 {
            return invalid("an empty row");
        }
        let (input, output) = (node.input(0)?, node.output(0)?);
        let rows = (outer * inner) as u32;
        let params = SoftmaxParams { rows, row: row as u32, inner: inner as u32 };
        node.dispatch_groups(&SOFTMAX_ROWS, vec![], rows, params, output, &[input])
    }

    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| 4 * ty.shape.iter().product::<usize>() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_count_however_many_they_are_and_wherever_the_row_lies() {
        let classes = 18_710;
        let logits = |at: usize| if at == 0 { 12.0 } else { (at * 7919 % 4001) as f32 / 1000.0 - 4.0 };
        let x: Vec<f32> = (0..classes).map(logits).collect();
        let wide = Tensor::real(&[classes], x.iter().copied().map(f64::from).collect()).unwrap();
        let exact = Softmax { axes: 0..1 }.reference(&[Some(&wide)]).unwrap().remove(0);
        let exact = exact.as_real().unwrap().as_slice().unwrap().to_vec();
        for (shape, axes) in [([classes, 1], 0..1), ([1, classes], 1..2)] {
            let x = Tensor::real(&shape, x.clone()).unwrap();
            let y = Softmax { axes }.reference(&[Some(&x)]).unwrap().remove(0);
            for (&y, exact) in y.as_real().unwrap().iter().zip(&exact) {
                assert!((f64::from(y) - exact).abs() < 2e-6 * exact, "{y}, not {exact}");
            }
        }
        let pairs = Tensor::real(&[classes, 2], x.iter().flat_map(|&x| [x, -x]).collect()).unwrap();
        let y = Softmax { axes: 0..1 }.reference(&[Some(&pairs)]).unwrap().remove(0);
        for (&y, exact) in y.as_real().unwrap().iter().step_by(2).zip(&exact) {
            assert!((f64::from(y) - exact).abs() < 2e-6 * exact, "{y}, not {exact}");
        }
    }
}
