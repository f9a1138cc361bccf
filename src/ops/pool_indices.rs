//! Where the maxima of a pool lie.

use super::pool::{self, Pool};
use super::window::Window;
use super::{Inputs, OpResult, Operator, image_shape, required, unsupported};
use crate::plan::Lowering;
use crate::plan::numbers::MOST_EXACT;
use crate::tensor::{Kind, Real, Tensor, TensorType, array, row_major_slice};
use ndarray::ArrayD;
use rayon::prelude::*;

/// For each window of a maximum pool the index of its largest element among all elements of the images `[n, c, h, w]`. Of
/// equal ones the first in the window wins; NaN wins always. Source: ONNX, MaxPool, output Indices.
#[derive(Debug, Clone)]
pub struct PoolIndices {
    /// The pool; its kind is maximum.
    pub pool: Pool,
    /// Whether an image counts column by column (`storage_order`): `x * h + y` and not `y * w + x`.
    pub column_major: bool,
}

impl PoolIndices {
    fn apply<T: Real>(&self, input: &ArrayD<T>, [n, c, h, w]: [usize; 4]) -> OpResult<ArrayD<i64>> {
        let shape = self.pool.output_shape([n, c, h, w])?;
        let [_, _, out_h, out_w] = shape;
        let input = row_major_slice(input);
        let mut indices = vec![0; shape.iter().product()];
        indices.par_chunks_mut((out_h * out_w).max(1)).enumerate().for_each(|(plane, found)| {
            let image = &input[plane * h * w..][..h * w];
            for (at, index) in found.iter_mut().enumerate() {
                let [y, x] = self.most(image, [h, w], [at / out_w, at % out_w]);
                let place = if self.column_major { x * h + y } else { y * w + x };
                *index = (plane * h * w + place) as i64;
            }
        });
        Ok(array(&shape, indices)?)
    }

    /// The row and column of the largest element in the window at position `o`.
    fn most<T: Real>(&self, image: &[T], [h, w]: [usize; 2], o: [usize; 2]) -> [usize; 2] {
        let mut most: Option<(T, [usize; 2])> = None;
        for y in self.seen(0, o[0], h) {
            for x in self.seen(1, o[1], w) {
                let value = image[y * w + x];
                if most.is_none_or(|(most, _)| !most.is_nan() && (value.is_nan() || value > most)) {
                    most = Some((value, [y, x]));
                }
            }
        }
        most.expect("inference refuses a window of padding alone").1
    }

    /// Along one axis, the pixels inside an image of `size` that the window at position `o` sees.
    fn seen(&self, axis: usize, o: usize, size: usize) -> impl Iterator<Item = usize> + use<> {
        let Window { kernel, stride, dilation, pads } = self.pool.window;
        let (start, before, apart) = (o * stride[axis], [pads.top, pads.left][axis], dilation[axis]);
        let first = before.saturating_sub(start).div_ceil(apart);
        let end = (before + size).saturating_sub(start).div_ceil(apart).min(kernel[axis]);
        (first..end).map(move |tap| start + tap * apart - before)
    }
}

impl Operator for PoolIndices {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let mut types = self.pool.infer(inputs)?;
        types.iter_mut().for_each(|ty| ty.kind = Kind::Int);
        Ok(types)
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let tensor = required(inputs, 0)?;
        let shape = image_shape(&[Some(&tensor.tensor_type())], 0)?;
        Ok(vec![Tensor::Int(self.apply(tensor.as_real()?, shape)?)])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, _: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let shape = image_shape(&[Some(&required(inputs, 0)?.tensor_type())], 0)?;
        Ok(super::exact(&self.pool.output_shape(shape)?))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let elements = required(&node.input_types(), 0)?.elements()?;
        if elements > MOST_EXACT as usize {
            return unsupported(format!("indices of {elements} elements; the most is {MOST_EXACT}"));
        }
        self.pool.lower_windows(node, pool::STORE_MAX_INDEX, self.column_major)
    }

    fn flops(&self, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        self.pool.flops(inputs, outputs)
    }
}
