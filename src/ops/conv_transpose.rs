//! Transposed convolution: each input pixel spreads the kernel over the output.

use super::conv::phases::Phases;
use super::conv::{ConvParams, ConvShape, lower_slices, positive};
use super::epilogue::{Epilogue, parts, rounding_of_products, slot};
use super::finish::Finish;
use super::sum::TOGETHER;
use super::window::{self, AutoPad, Pads, Window};
use super::{Inputs, OpResult, Operator, Restricted, image_shape, invalid, line, volume};
use crate::kernels::Kernel;
use crate::linalg::{Threads, matmul, matrix};
use crate::onnx::OnnxNode;
use crate::plan::{Lowering, Packing};
use crate::tensor::{Real, Tensor, TensorType, row_major_slice};
use ndarray::{Array2, ArrayD, Axis, s};
use rayon::prelude::*;
use std::ops::Range;

/// `out[n, oc, iy * stride + ky * dilation - pad, ..] += in[n, ic, iy, ix] * w[ic, oc, ky, kx]`, then the epilogue.
///
/// Inputs: see [`slot`]; weights are `[in_c, out_c / groups, k_h, k_w]`. Source: ONNX, operator ConvTranspose.
#[derive(Debug, Clone)]
pub struct ConvTranspose {
    /// Kernel, stride and dilation; the padding is what is cut off the output.
    pub window: Window,
    /// Input and output channels are split into this many independent operations.
    pub groups: usize,
    /// The unpooled output's size: the padding alone does not tell it where the stride is above 1.
    pub output: [usize; 2],
    /// What happens to each sum before it is stored.
    pub epilogue: Epilogue,
}

impl ConvTranspose {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        if volume::is_volume(node)? {
            return volume::import_conv_transpose(node);
        }
        let [_, _, k_h, k_w] = line::image_shape(node, slot::WEIGHT)?;
        let [_, _, h, w] = line::image_shape(node, slot::INPUT)?;
        let input = [h, w];
        let kernel = [k_h, k_w];
        if let Some(stated) = window::spatial_pair(node, "kernel_shape", 1, 0)?
            && stated != kernel
        {
            return invalid(format!("kernel_shape {stated:?} differs from the weights' {kernel:?}"));
        }
        if kernel.contains(&0) || input.contains(&0) {
            return invalid("the kernel or the image is empty");
        }
        let stride = window::spatial_pair(node, "strides", 1, 1)?.unwrap_or([1, 1]);
        let dilation = window::spatial_pair(node, "dilations", 1, 1)?.unwrap_or([1, 1]);
        let extra = window::spatial_pair(node, "output_padding", 0, 0)?.unwrap_or([0, 0]);
        let line = line::is_line(node)?;
        let wanted = node.ints("output_shape")?.map(|shape| output_shape(&shape, line)).transpose()?;
        let (auto_pad, explicit) = window::padding(node)?;
        let unpadded = Window { kernel, stride, dilation, pads: Pads::default() };
        let full: [usize; 2] =
            [0, 1].map(|axis| (input[axis] - 1) * stride[axis] + unpadded.extent()[axis] + extra[axis]);
        let same = matches!(auto_pad, AutoPad::SameUpper | AutoPad::SameLower);
        let wanted = wanted.or_else(|| same.then(|| [0, 1].map(|axis| input[axis] * stride[axis])));
        let (pads, output) = match wanted {
            None => cut(full, if auto_pad == AutoPad::Valid { Pads::default() } else { explicit })?,
            Some(wanted) => share(full, wanted, auto_pad)?,
        };
        let window = Window { pads, ..unpadded };
        let groups = positive("group", node.int("group", 1)?)?;
        let op = ConvTranspose { window, groups, output, epilogue: Epilogue::default() };
        let inputs = line::conv_inputs(node)?;
        line::finish(node, op, &inputs)
    }

    /// What is left of an output of a full size, the window's padding cut off.
    pub(super) fn cut_from(window: Window, full: [usize; 2], groups: usize) -> OpResult<Self> {
        let (pads, output) = cut(full, window.pads)?;
        Ok(ConvTranspose { window: Window { pads, ..window }, groups, output, epilogue: Epilogue::default() })
    }

    fn shape(&self, inputs: &[Option<&TensorType>]) -> OpResult<ConvShape> {
        let [batch, in_c, h, w] = image_shape(inputs, slot::INPUT)?;
        let [weight_c, out_c_per_group, k_h, k_w] = image_shape(inputs, slot::WEIGHT)?;
        if weight_c != in_c || in_c % self.groups != 0 || out_c_per_group == 0 || [k_h, k_w] != self.window.kernel {
            return invalid(format!("weights for {weight_c} channels in {} group(s), image has {in_c}", self.groups));
        }
        let out_c = out_c_per_group * self.groups;
        let (window, groups) = (self.window, self.groups);
        Ok(ConvShape { batch, in_c, image: [h, w], out_c, out: self.output, groups, window })
    }

    fn shape_of<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<ConvShape> {
        let types: Vec<_> = inputs.iter().map(|input| input.map(Tensor::tensor_type)).collect();
        self.shape(&types.iter().map(Option::as_ref).collect::<Vec<_>>())
    }
}

/// ONNX allows both the image's size and the whole `[n, c, h, w]`.
fn output_shape(shape: &[i64], line: bool) -> OpResult<[usize; 2]> {
    match *shape {
        [w] | [_, _, w] if line => window::pair("output_shape", &[1, w], 1),
        [h, w] | [_, _, h, w] => window::pair("output_shape", &[h, w], 1),
        _ => invalid(format!("output_shape has {} numbers", shape.len())),
    }
}

fn cut(full: [usize; 2], pads: Pads) -> OpResult<(Pads, [usize; 2])> {
    let sizes = [full[0].checked_sub(pads.top + pads.bottom), full[1].checked_sub(pads.left + pads.right)];
    match sizes {
        [Some(h), Some(w)] if h > 0 && w > 0 => Ok((pads, [h, w])),
        _ => invalid(format!("padding {pads:?} cuts off all of the {}x{} output", full[0], full[1])),
    }
}

/// Splits what must be cut off between both sides. ONNX: the odd pixel goes to the end only for SAME_UPPER.
fn share(full: [usize; 2], wanted: [usize; 2], auto_pad: AutoPad) -> OpResult<(Pads, [usize; 2])> {
    let total = [0, 1].map(|axis| full[axis].saturating_sub(wanted[axis]));
    let (fewer, more) = (total.map(|t| t / 2), total.map(|t| t.div_ceil(2)));
    let (begin, end) = if auto_pad == AutoPad::SameUpper { (fewer, more) } else { (more, fewer) };
    // Where more is wanted than there is, the rest of the output sees no input: only bias.
    Ok((Pads { top: begin[0], left: begin[1], bottom: end[0], right: end[1] }, wanted))
}

/// The finished sums: filters times pixels as one matrix product, then each column spread over the output.
fn conv_transpose<T: Real>(shape: &ConvShape, input: &[T], weights: &[T], finish: &Finish<'_, T>) -> Vec<T> {
    let [in_pixels, out_pixels] = [shape.image, shape.out].map(|[h, w]| h * w);
    let (in_c, out_c) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
    let taps = shape.window.kernel[0] * shape.window.kernel[1];
    let rows = out_c * taps;
    let mut output = vec![T::zero(); shape.batch * shape.out_c * out_pixels];
    if output.is_empty() {
        return output;
    }
    let mut columns = Array2::zeros((rows, in_pixels));
    for at in 0..shape.batch * shape.groups {
        let filters = &weights[at % shape.groups * in_c * rows..][..in_c * rows];
        let image = &input[at * in_c * in_pixels..][..in_c * in_pixels];
        matmul(
            matrix([in_c, rows], filters).reversed_axes(),
            matrix([in_c, in_pixels], image),
            columns.view_mut(),
            Threads::All,
        );
        let planes = output.par_chunks_mut(out_pixels).skip(at * out_c).zip(columns.axis_chunks_iter(Axis(0), taps));
        planes.enumerate().for_each(|(oc, (sums, columns))| {
            let spread_all = |taps: Range<usize>, sums: &mut [T]| {
                for (tap, column) in taps.clone().zip(columns.slice(s![taps, ..]).rows()) {
                    spread(shape, tap, column.as_slice().expect("rows are contiguous"), sums);
                }
            };
            if taps <= TOGETHER {
                spread_all(0..taps, sums);
            } else {
                // What each few taps give goes on in f64.
                let mut totals = vec![0.0; out_pixels];
                for first in (0..taps).step_by(TOGETHER) {
                    sums.fill(T::zero());
                    spread_all(first..(first + TOGETHER).min(taps), sums);
                    totals.iter_mut().zip(&*sums).for_each(|(total, sum)| *total += sum.f64());
                }
                sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum = T::of(total));
            }
            finish.apply((at * out_c + oc) * out_pixels, sums);
        });
    }
    output
}

/// Adds what each input pixel gives through one tap to the output pixel that it reaches.
fn spread<T: Real>(shape: &ConvShape, tap: usize, column: &[T], sums: &mut [T]) {
    let ([h, w], [out_h, out_w], window) = (shape.image, shape.out, &shape.window);
    let [ky, kx] = [tap / window.kernel[1], tap % window.kernel[1]];
    // The same relation as a convolution's, with the roles of input and output exchanged.
    let ((ys, first_y), (xs, first_x)) = (window.seen(0, ky, out_h, h), window.seen(1, kx, out_w, w));
    for (turn, y) in ys.enumerate() {
        let line = &mut sums[(first_y + turn * window.stride[0]) * out_w..][..out_w];
        let reached = line[first_x.min(out_w)..].iter_mut().step_by(window.stride[1]);
        reached.zip(&column[y * w..][xs.clone()]).for_each(|(sum, &value)| *sum += value);
    }
}

/// One output element an invocation, which looks for the inputs that reach it.
pub static CONV_TRANSPOSE_DIRECT: Kernel = Kernel {
    name: "conv_transpose_direct",
    source: include_str!("../../shaders/conv_transpose_direct.wgsl"),
    includes: &parts::INCLUDES_EACH,
    params: ConvParams::FIELDS,
    combinations: parts::splittable_combinations,
};

impl Operator for ConvTranspose {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let shape = self.shape(inputs)?;
        Ok(vec![self.epilogue.infer(shape.output(), inputs)?])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let shape = self.shape_of(inputs)?;
        let sums = |image: &[T], filters: &[T], finish: &Finish<'_, T>| conv_transpose(&shape, image, filters, finish);
        self.epilogue.reference(inputs, shape.output(), sums)
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let shape = self.shape_of(inputs)?;
        let sums =
            |image: &[f64], filters: &[f64], finish: &Finish<'_, f64>| conv_transpose(&shape, image, filters, finish);
        self.epilogue.error_bound(inputs, errors, shape.output(), sums, rounding_of_products(shape.terms(), sums))
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let read = |slot| match (slot, axis) {
            (slot::INPUT | slot::RESIDUAL, 0) => Some(0),
            (slot::WEIGHT | slot::RESIDUAL, 1) => Some(1),
            (slot::BIAS | slot::SLOPE, 1) => Some(0),
            _ => None,
        };
        let fits = axis == 0 || (axis == 1 && self.groups == 1);
        let mut part = Restricted::along(self.clone(), inputs.len(), range, read);
        if axis == 1 {
            part.op.epilogue = self.epilogue.of_channels(range);
        }
        fits.then_some(part)
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let shape = self.shape(&node.input_types())?;
        let weights = node.constant(slot::WEIGHT)?.as_real()?;
        let folded = node.folded(&output_major(&shape, &row_major_slice(weights)), &self.epilogue)?;
        if let Some(phases) = Phases::of(&shape, node.limits()) {
            return phases.lower(node, &shape, &self.epilogue, &folded);
        }
        let (input, output) = (node.input(slot::INPUT)?, node.output(0)?);
        for channels in node.channel_ranges(shape.out_c, shape.terms() + 2, shape.pixels(), Packing::Each.width()) {
            let packed = node.pack_filters(channels.clone(), &folded, Packing::Each)?;
            let params = ConvParams::new(&shape, &self.epilogue, channels);
            lower_slices(node, &self.window, &self.epilogue, &CONV_TRANSPOSE_DIRECT, params, [output, input, packed])?;
        }
        Ok(())
    }

    fn flops(&self, inputs: &[Option<&TensorType>], _: &[TensorType]) -> u64 {
        let count = |shape: ConvShape| shape.batch * shape.out_c * shape.image[0] * shape.image[1] * shape.terms();
        self.shape(inputs).map_or(0, |shape| 2 * count(shape) as u64)
    }
}

/// `[in_c, out_c / groups, k_h, k_w]` as `[out_c, in_c / groups, k_h, k_w]`: a filter for each output, as a convolution's.
fn output_major(shape: &ConvShape, weights: &[f32]) -> Vec<f32> {
    let taps = shape.window.kernel[0] * shape.window.kernel[1];
    let (in_c, out_c) = (shape.in_c / shape.groups, shape.out_c / shape.groups);
    let mut filters = Vec::with_capacity(weights.len());
    for oc in 0..shape.out_c {
        for ic in 0..in_c {
            let row = (oc / out_c * in_c + ic) * out_c + oc % out_c;
            filters.extend_from_slice(&weights[row * taps..][..taps]);
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_pixel_to_cut_goes_to_the_end_for_same_upper_alone() {
        let (pads, _) = share([7, 7], [6, 4], AutoPad::SameUpper).unwrap();
        assert_eq!([pads.top, pads.bottom, pads.left, pads.right], [0, 1, 1, 2]);
        let (pads, _) = share([7, 7], [6, 4], AutoPad::NotSet).unwrap();
        assert_eq!([pads.top, pads.bottom, pads.left, pads.right], [1, 0, 2, 1]);
    }
}
