//! The way back from a maximum pool, by the indices of its maxima.

use super::window::{Window, within};
use super::{
    Inputs, Op, OpResult, Operator, Pad, PadMode, PoolIndices, image_shape, invalid, line, real_type, required,
    unsupported,
};
use crate::graph::ValueId;
use crate::kernels::Kernel;
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::plan::numbers::MOST_EXACT;
use crate::tensor::{Kind, Real, Tensor, TensorType, array, checked_len, row_major_slice};
use crate::uniform;
use ndarray::ArrayD;

/// The elements of input 0 at the places that the indices in input 1 name, row-major in `shape`, and zeros elsewhere; the
/// last of several elements for one place counts. Source: ONNX, operator MaxUnpool.
#[derive(Debug, Clone)]
pub struct MaxUnpool {
    /// The result's shape.
    pub shape: Vec<usize>,
    /// The window of the pool that made the indices, where it is known: each lies in the window at its own position.
    pub window: Option<Window>,
}

impl MaxUnpool {
    /// Indices that a MaxPool of the same network makes count in what that pooled, which the result must then be shaped as.
    /// Where nothing says in what they count, it is what ONNX's reference takes: the shape that the window infers, which zeros
    /// behind it fill up to `output_shape`.
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let stated = node.constant_ints(2)?;
        let inferred = inferred_shape(node, stated.is_some())?;
        let result = match stated {
            None => inferred.clone(),
            Some(stated) => stated.iter().map(|&size| within("output_shape", size, 0)).collect::<OpResult<_>>()?,
        };
        if result.len() != inferred.len() {
            return invalid(format!("output_shape is {result:?}, and input 0 has rank {}", inferred.len()));
        }
        let [inferred, result] = [inferred, result].map(line::as_image_shape);
        let (x, indices) = (line::as_image(node, 0)?, line::as_image(node, 1)?);
        let Some((op, pooled)) = indices_of(node, indices) else {
            return finish_padded(node, [x, indices], inferred, &result);
        };
        if pooled != result {
            return unsupported(format!("its indices count in {pooled:?}, and it makes {result:?}"));
        }
        let window = (!op.column_major).then_some(op.pool.window);
        line::finish(node, MaxUnpool { shape: result, window }, &[Some(x), Some(indices)])
    }

    fn apply<T: Real>(&self, values: &ArrayD<T>, indices: &ArrayD<i64>) -> OpResult<ArrayD<T>> {
        let mut unpooled = vec![T::zero(); checked_len(&self.shape)?];
        let count = unpooled.len();
        for (&value, &index) in row_major_slice(values).iter().zip(row_major_slice(indices).iter()) {
            match usize::try_from(index).ok().and_then(|at| unpooled.get_mut(at)) {
                Some(place) => *place = value,
                None => return invalid(format!("index {index} is outside a tensor of {count} elements")),
            }
        }
        Ok(array(&self.shape, unpooled)?)
    }
}

/// What MaxUnpool makes of a shape, by its attributes: `(size - 1) * stride + kernel - pads` in each dimension behind the
/// channels. Pads are passed over where a shape is stated.
fn inferred_shape(node: &mut OnnxNode<'_>, is_stated: bool) -> OpResult<Vec<usize>> {
    let mut shape = node.ty(0)?.shape.clone();
    let Some(spatial) = shape.len().checked_sub(2).filter(|&spatial| spatial > 0) else {
        return invalid(format!("input 0 has rank {}: it is no image", shape.len()));
    };
    let Some(kernel) = numbers(node, "kernel_shape", spatial, 1)? else { return invalid("kernel_shape is missing") };
    let stride = numbers(node, "strides", spatial, 1)?.unwrap_or(vec![1; spatial]);
    let pads = numbers(node, "pads", 2 * spatial, 0)?.filter(|_| !is_stated).unwrap_or(vec![0; 2 * spatial]);
    for (axis, size) in shape[2..].iter_mut().enumerate() {
        let full = size.checked_sub(1).and_then(|steps| steps.checked_mul(stride[axis])?.checked_add(kernel[axis]));
        match full.and_then(|full| full.checked_sub(pads[axis] + pads[axis + spatial])) {
            Some(unpooled) => *size = unpooled,
            None => return invalid(format!("{size} positions of the window leave no size")),
        }
    }
    Ok(shape)
}

/// An attribute of so many sizes, none less than `least`.
fn numbers(node: &mut OnnxNode<'_>, name: &str, count: usize, least: i64) -> OpResult<Option<Vec<usize>>> {
    match node.ints(name)? {
        None => Ok(None),
        Some(stated) if stated.len() != count => {
            invalid(format!("{name} has {} numbers; it must have {count}", stated.len()))
        }
        Some(stated) => stated.iter().map(|&value| within(name, value, least)).collect::<OpResult<_>>().map(Some),
    }
}

/// The operation of this network that makes a value as indices, and the shape that they count in.
fn indices_of(node: &OnnxNode<'_>, indices: ValueId) -> Option<(PoolIndices, Vec<usize>)> {
    let mut made = indices;
    loop {
        let maker = node.maker(made)?;
        let input = maker.input(0)?;
        match &maker.op {
            // A reshape leaves them in order: lines and images of one row.
            Op::Reshape(_) => made = input,
            Op::PoolIndices(op) if node.type_of(made) == node.type_of(indices) => {
                return Some((op.clone(), node.type_of(input).shape.clone()));
            }
            _ => return None,
        }
    }
}

/// Defines the node's output by indices that count in `inferred`, with zeros behind it up to `result`.
fn finish_padded(
    node: &mut OnnxNode<'_>,
    [x, indices]: [ValueId; 2],
    inferred: Vec<usize>,
    result: &[usize],
) -> OpResult<()> {
    let behind: Option<Vec<usize>> = result.iter().zip(&inferred).map(|(all, own)| all.checked_sub(*own)).collect();
    let Some(behind) = behind else {
        return unsupported(format!("output_shape {result:?} is less than the window's {inferred:?}"));
    };
    let op = MaxUnpool { shape: inferred, window: None };
    if behind.iter().all(|&zeros| zeros == 0) {
        return line::finish(node, op, &[Some(x), Some(indices)]);
    }
    let unpooled = node.emit(op, &[Some(x), Some(indices)])?;
    let end = behind.iter().map(|&zeros| zeros as isize).collect();
    let pad = Pad { mode: PadMode::Constant(0.0), begin: vec![0; result.len()], end };
    line::finish(node, pad, &[Some(unpooled)])
}

uniform! {
    /// Parameters of `max_unpool`; in_h and in_w are the pooled image's size.
    pub struct MaxUnpoolParams {
        k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, dilation_h: u32, dilation_w: u32, pad_top: u32, pad_left: u32,
        in_h: u32, in_w: u32, out_h: u32, out_w: u32, count: u32,
    }
}

/// One element an invocation.
pub static MAX_UNPOOL: Kernel = Kernel {
    name: "max_unpool",
    source: include_str!("../../shaders/max_unpool.wgsl"),
    includes: &[],
    params: MaxUnpoolParams::FIELDS,
    combinations: || vec![vec![]],
};

impl Operator for MaxUnpool {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let (ty, indices) = (real_type(inputs, 0)?, required(inputs, 1)?);
        if indices.kind != Kind::Int || indices.shape != ty.shape {
            return invalid(format!("the indices are {indices}, and what they place is {ty}"));
        }
        Ok(vec![TensorType::real(self.shape.clone())])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let indices = required(inputs, 1)?.as_int()?;
        Ok(vec![Tensor::Real(self.apply(required(inputs, 0)?.as_real()?, indices)?)])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        self.apply(required(errors, 0)?, required(inputs, 1)?.as_int()?)
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let Some(window) = self.window else {
            return unsupported(
                "indices that no MaxPool of this network makes in row-major order; the CPU executor takes any",
            );
        };
        let elements = checked_len(&self.shape)?;
        if elements > MOST_EXACT as usize {
            return unsupported(format!("indices of {elements} elements; the most is {MOST_EXACT}"));
        }
        window.limit_taps(node.limits())?;
        let [_, _, in_h, in_w] = image_shape(&node.input_types(), 0)?;
        let &[_, _, out_h, out_w] = &self.shape[..] else { return invalid("a window over no image") };
        let (input, indices, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
        let count = node.count(output);
        let Window { kernel, stride, dilation, pads } = window;
        let [
            [k_h, k_w],
            [stride_h, stride_w],
            [dilation_h, dilation_w],
            [pad_top, pad_left],
            [in_h, in_w],
            [out_h, out_w],
        ] = [kernel, stride, dilation, [pads.top, pads.left], [in_h, in_w], [out_h, out_w]]
            .map(|pair| pair.map(|size| size as u32));
        let params = MaxUnpoolParams {
            k_h,
            k_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
            in_h,
            in_w,
            out_h,
            out_w,
            count,
        };
        node.dispatch(&MAX_UNPOOL, vec![], count, params, output, &[input, indices])
    }
}
