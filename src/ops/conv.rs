//! Convolution of images, with everything that can be fused into it.

mod by_four;
pub mod choice;
mod depthwise;
mod gemm;
mod groups;
pub(super) mod phases;
mod restrict;
mod row_major;
pub(super) mod rows;
mod stem;
mod subgroup;
mod text;
mod winograd;

pub use depthwise::CONV_DEPTHWISE;
pub use gemm::{CONV_GEMM, CONV_JOIN};
pub use phases::CONV_TRANSPOSE_PHASES;
pub use row_major::{CONV_DIRECT, CONV_TILE};
pub use stem::CONV_STEM;
pub use subgroup::CONV_SUBGROUP;
pub use winograd::{CONV_WINOGRAD, WINOGRAD_RESULTS, WINOGRAD_TILES};

pub(crate) use row_major::loop_iterations;
pub(super) use row_major::lower_slices;

use super::epilogue::{parts, rounding_of_products, slot};
use super::finish::Finish;
use super::pool::PoolParams;
use super::window::Window;
use super::{Inputs, OpResult, Operator, Problem, Restricted, im2col, image_shape, invalid, line, volume};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::tensor::{Real, Tensor, TensorType};
use crate::uniform;
use ndarray::ArrayD;
use std::ops::Range;

pub use super::epilogue::Epilogue;

/// `out[n, oc, oy, ox] = epilogue(sum over ic, ky, kx of in[n, ic, iy, ix] * w[oc, ic, ky, kx])`, ic within oc's group.
///
/// Inputs: see [`slot`]; weights are `[out_c, in_c / groups, k_h, k_w]`. Source: ONNX, operator Conv.
#[derive(Debug, Clone)]
pub struct Conv {
    /// Kernel, stride, dilation and padding.
    pub window: Window,
    /// Input and output channels are split into this many independent convolutions.
    pub groups: usize,
    /// What happens to each sum before it is stored.
    pub epilogue: Epilogue,
}

/// All sizes of one convolution.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct ConvShape {
    pub batch: usize,
    pub in_c: usize,
    pub image: [usize; 2],
    pub out_c: usize,
    pub out: [usize; 2],
    pub groups: usize,
    pub window: Window,
}

impl ConvShape {
    /// Products in each sum.
    pub fn terms(&self) -> usize {
        self.in_c / self.groups * self.window.kernel[0] * self.window.kernel[1]
    }

    /// Results of each output channel, of the whole batch and before a pool.
    pub fn pixels(&self) -> usize {
        self.batch * self.out[0] * self.out[1]
    }

    /// `[n, c, h, w]` of the unpooled output.
    pub fn output(&self) -> [usize; 4] {
        [self.batch, self.out_c, self.out[0], self.out[1]]
    }
}

impl Conv {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        if volume::is_volume(node)? {
            return volume::import_conv(node);
        }
        let [_, _, k_h, k_w] = line::image_shape(node, slot::WEIGHT)?;
        let [_, _, h, w] = line::image_shape(node, slot::INPUT)?;
        let window = Window::import(node, [h, w], Some([k_h, k_w]))?;
        let groups = positive("group", node.int("group", 1)?)?;
        let op = Conv { window, groups, epilogue: Epilogue::default() };
        let inputs = line::conv_inputs(node)?;
        line::finish(node, op, &inputs)
    }

    /// All sizes, from the inputs' types.
    pub fn shape(&self, inputs: &[Option<&TensorType>]) -> OpResult<ConvShape> {
        let [batch, in_c, h, w] = image_shape(inputs, slot::INPUT)?;
        let [out_c, in_c_per_group, k_h, k_w] = image_shape(inputs, slot::WEIGHT)?;
        if [k_h, k_w] != self.window.kernel {
            return invalid(format!("weights are {k_h}x{k_w}, the window {:?}", self.window.kernel));
        }
        if in_c != in_c_per_group * self.groups || out_c % self.groups != 0 || out_c == 0 {
            return invalid(format!(
                "{in_c} input and {out_c} output channels do not fit {} group(s) with weights for {in_c_per_group}",
                self.groups
            ));
        }
        let out = self.window.output_size([h, w])?;
        Ok(ConvShape { batch, in_c, image: [h, w], out_c, out, groups: self.groups, window: self.window })
    }

    /// How far rounding may take what `conv_winograd` computes; see [`crate::bound`].
    pub(super) fn error_bound_by_winograd(
        &self,
        inputs: &Inputs<f64>,
        errors: &[Option<&ArrayD<f64>>],
    ) -> OpResult<ArrayD<f64>> {
        let shape = self.shape_of(inputs)?;
        let sums =
            |image: &[f64], filters: &[f64], finish: &Finish<'_, f64>| im2col::conv(&shape, image, filters, finish);
        self.epilogue.error_bound(inputs, errors, shape.output(), sums, winograd::rounding(&shape))
    }

    /// See [`crate::ops::Op::step_of_bands`]: rows of whole tiles, and rows of a pool's result not at all.
    pub(super) fn step_of_bands_by_winograd(&self, axis: usize, step: usize) -> Option<usize> {
        match axis {
            0 | 1 => Some(step),
            2 if self.epilogue.pool.is_none() => Some(step.next_multiple_of(winograd::TILE)),
            _ => None,
        }
    }

    fn shape_of<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<ConvShape> {
        let types: Vec<_> = inputs.iter().map(|input| input.map(Tensor::tensor_type)).collect();
        self.shape(&types.iter().map(Option::as_ref).collect::<Vec<_>>())
    }
}

pub(super) fn positive(name: &str, value: i64) -> OpResult<usize> {
    usize::try_from(value).ok().filter(|&v| v > 0).ok_or_else(|| Problem::Invalid(format!("{name} is {value}")))
}

impl Operator for Conv {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let shape = self.shape(inputs)?;
        Ok(vec![self.epilogue.infer(shape.output(), inputs)?])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let shape = self.shape_of(inputs)?;
        let sums = |image: &[T], filters: &[T], finish: &Finish<'_, T>| im2col::conv(&shape, image, filters, finish);
        self.epilogue.reference(inputs, shape.output(), sums)
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let shape = self.shape_of(inputs)?;
        let sums =
            |image: &[f64], filters: &[f64], finish: &Finish<'_, f64>| im2col::conv(&shape, image, filters, finish);
        self.epilogue.error_bound(inputs, errors, shape.output(), sums, rounding_of_products(shape.terms(), sums))
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        restrict::conv(self, inputs, axis, range)
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let shape = self.shape(&node.input_types())?;
        let residual = node.has_input(slot::RESIDUAL);
        let problem = choice::Problem { shape: &shape, epilogue: &self.epilogue, residual, limits: node.limits() };
        let choice::Choice { candidate, because } = choice::choose(&problem);
        node.explain(because);
        candidate.lower(node, &shape, &self.epilogue)
    }

    fn flops(&self, inputs: &[Option<&TensorType>], _: &[TensorType]) -> u64 {
        self.shape(inputs).map_or(0, |shape| 2 * (shape.output().iter().product::<usize>() * shape.terms()) as u64)
    }
}

uniform! {
    /// Parameters of the convolutions' kernels, transposed ones too.
    pub struct ConvParams {
        pool: PoolParams,
        in_c: u32, in_h: u32, in_w: u32, out_c: u32, out_h: u32, out_w: u32,
        k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, dilation_h: u32, dilation_w: u32,
        pad_top: i32, pad_left: i32, in_c_per_group: u32, out_c_per_group: u32,
        first_c: u32, count_c: u32, ic_begin: u32, ic_end: u32,
        bias_at: u32, slope_at: u32, activation: u32, has_residual: u32, activation_a: f32, activation_b: f32, count: u32,
    }
}

impl ConvParams {
    /// For the output channels in a range, over all input channels.
    pub(super) fn new(shape: &ConvShape, epilogue: &Epilogue, channels: std::ops::Range<usize>) -> Self {
        let Window { kernel, stride, dilation, pads } = shape.window;
        let in_c_per_group = shape.in_c / shape.groups;
        let pool = PoolParams::new(epilogue.pool.as_ref(), shape.out);
        let [activation_a, activation_b] = epilogue.activation.parameters();
        // Filters come first, then a bias and a slope for each channel.
        let bias_at = channels.len() * shape.terms();
        let count = shape.batch * channels.len() * (pool.out_h * pool.out_w) as usize;
        ConvParams {
            pool,
            in_c: shape.in_c as u32,
            in_h: shape.image[0] as u32,
            in_w: shape.image[1] as u32,
            out_c: shape.out_c as u32,
            out_h: shape.out[0] as u32,
            out_w: shape.out[1] as u32,
            k_h: kernel[0] as u32,
            k_w: kernel[1] as u32,
            stride_h: stride[0] as u32,
            stride_w: stride[1] as u32,
            dilation_h: dilation[0] as u32,
            dilation_w: dilation[1] as u32,
            pad_top: pads.top as i32,
            pad_left: pads.left as i32,
            in_c_per_group: in_c_per_group as u32,
            out_c_per_group: (shape.out_c / shape.groups) as u32,
            first_c: channels.start as u32,
            count_c: channels.len() as u32,
            ic_begin: 0,
            ic_end: in_c_per_group as u32,
            bias_at: bias_at as u32,
            slope_at: (bias_at + channels.len()) as u32,
            activation: parts::number(&epilogue.activation),
            has_residual: 0,
            activation_a,
            activation_b,
            count: count as u32,
        }
    }
}
