//! Convolution of images, with everything that can be fused into it.

mod by_four;
mod depthwise;
mod subgroup;

pub use depthwise::CONV_DEPTHWISE;
pub use subgroup::CONV_SUBGROUP;

use super::epilogue::{self, INCLUDES_BY_FOUR, STORE_REST, slot};
use super::finish::Finish;
use super::pool::PoolParams;
use super::window::Window;
use super::{Inputs, OpResult, Operator, Pool, Problem, im2col, image_shape, invalid, line, unsupported};
use crate::kernels::Kernel;
use crate::onnx::OnnxNode;
use crate::plan::{Lowering, Packing, View};
use crate::tensor::{Real, Tensor, TensorType, row_major_slice};
use crate::uniform;
use ndarray::ArrayD;

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

    /// `[n, c, h, w]` of the unpooled output.
    pub fn output(&self) -> [usize; 4] {
        [self.batch, self.out_c, self.out[0], self.out[1]]
    }
}

impl Conv {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
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

    /// Whether `conv_tile` can run it: whole tiles of channels in each group and binding, and sums short enough for one
    /// dispatch.
    fn fits_tile(&self, shape: &ConvShape, node: &Lowering<'_>) -> bool {
        let per_group = shape.out_c / shape.groups;
        let whole = per_group.is_multiple_of(TILE_CHANNELS) || (shape.groups == 1 && per_group >= TILE_CHANNELS);
        let fits = node.filters_per_binding(shape.terms() + 2) >= TILE_CHANNELS;
        let loops = loop_iterations(&self.window, shape.in_c / shape.groups, self.epilogue.pool.as_ref());
        whole && fits && loops <= u64::from(node.limits().max_loop_iterations)
    }

    fn lower_tile(
        &self,
        node: &mut Lowering<'_>,
        params: ConvParams,
        [output, input, weights]: [View; 3],
    ) -> OpResult<()> {
        let (parts, extra) = self.epilogue.parts(node)?;
        let tile = TILE_CHANNELS as u32;
        let blocks = params.count_c.div_ceil(tile);
        let pixels = params.pool.out_h * params.pool.out_w;
        let batch = params.count / (params.count_c * pixels).max(1);
        // A pooled tile is one window; an unpooled one so many pixels.
        let tiles = if self.epilogue.pool.is_some() { pixels } else { pixels.div_ceil(tile) };
        let bias_at = params.bias_at / params.count_c * blocks;
        let count = batch * blocks * tiles;
        let params = ConvParams { bias_at, slope_at: bias_at + blocks, count, ..params };
        let views: Vec<View> = [input, weights].into_iter().chain(extra).collect();
        node.dispatch(&CONV_TILE, epilogue::for_tiles(parts), count, params, output, &views)
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
        self.epilogue.error_bound(inputs, errors, shape.output(), shape.terms(), sums)
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let shape = self.shape(&node.input_types())?;
        let forced = node.limits().conv_kernel;
        let allowed = |kernel: &Kernel| forced.is_none_or(|forced| forced == kernel.name);
        // Elsewhere its neighbours lie row-major, and two copies would cost more than it gains.
        let among_its_kind = node.limits().software || forced.is_some();
        if allowed(&CONV_DEPTHWISE) && among_its_kind && depthwise::fits(&shape, node) {
            return depthwise::lower(node, &shape, &self.epilogue);
        }
        if allowed(&CONV_SUBGROUP)
            && let Some(tile) = by_four::tile(&shape, &self.epilogue, node)
        {
            return by_four::lower(node, &shape, &self.epilogue, tile);
        }
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), &self.epilogue)?;
        let (input, output) = (node.input(slot::INPUT)?, node.output(0)?);
        let tiled = allowed(&CONV_TILE) && self.fits_tile(&shape, node);
        let packing = if tiled { Packing::ByFour } else { Packing::Each };
        for channels in node.channel_ranges(shape.out_c, shape.terms() + 2, packing) {
            let packed = node.pack_filters(channels.clone(), &folded, packing)?;
            let params = ConvParams::new(&shape, &self.epilogue, channels);
            if tiled {
                self.lower_tile(node, params, [output, input, packed])?;
            } else {
                lower_slices(node, &self.window, &self.epilogue, &CONV_DIRECT, params, [output, input, packed])?;
            }
        }
        Ok(())
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
        bias_at: u32, slope_at: u32, activation_a: f32, activation_b: f32, count: u32,
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
            activation_a,
            activation_b,
            count: count as u32,
        }
    }
}

/// The kernels of convolutions, the most wanted first; the last one fits them all.
pub static CONV_KERNELS: [&Kernel; 4] = [&CONV_DEPTHWISE, &CONV_SUBGROUP, &CONV_TILE, &CONV_DIRECT];

/// One output element an invocation: right for every convolution, fast for none.
pub static CONV_DIRECT: Kernel = Kernel {
    name: "conv_direct",
    source: include_str!("../../shaders/conv_direct.wgsl"),
    includes: &epilogue::INCLUDES_EACH,
    params: ConvParams::FIELDS,
    combinations: epilogue::splittable_combinations,
};

/// Channels, and pixels, in a tile.
const TILE_CHANNELS: usize = 4;

/// A tile of four channels of four pixels an invocation: for everything but narrow groups and very long sums.
pub static CONV_TILE: Kernel = Kernel {
    name: "conv_tile",
    source: include_str!("../../shaders/conv_tile.wgsl"),
    includes: &epilogue::INCLUDES_TILE,
    params: ConvParams::FIELDS,
    combinations: epilogue::tile_combinations,
};

/// Loop iterations that the kernels make for one stored element, over so many input channels.
pub(crate) fn loop_iterations(window: &Window, channels: usize, pool: Option<&Pool>) -> u64 {
    let element = (window.loop_iterations(0) + 1).saturating_mul(channels as u64).saturating_add(2);
    pool.map_or(element, |pool| pool.window.loop_iterations(element))
}

/// Dispatches a kernel over as few ranges of input channels as keep an invocation's loops within the device's limit;
/// all but the last range leave plain sums in the output, which the last one finishes.
pub(super) fn lower_slices(
    node: &mut Lowering<'_>,
    window: &Window,
    epilogue: &Epilogue,
    kernel: &'static Kernel,
    params: ConvParams,
    [output, input, weights]: [View; 3],
) -> OpResult<()> {
    let most = u64::from(node.limits().max_loop_iterations);
    let (mut parts, extra) = epilogue.parts(node)?;
    let views: Vec<View> = [input, weights].into_iter().chain(extra).collect();
    let needed = loop_iterations(window, params.in_c_per_group as usize, epilogue.pool.as_ref());
    if needed <= most {
        return node.dispatch(kernel, parts, params.count, params, output, &views);
    }
    let channels = most.saturating_sub(2) / (window.loop_iterations(0) + 1);
    if channels == 0 || epilogue.pool.is_some() {
        return unsupported(format!("one output takes {needed} loop iterations; the limit is {most}"));
    }
    let channels = channels as u32;
    parts.pop();
    for ic_begin in (0..params.in_c_per_group).step_by(channels as usize) {
        let ic_end = (ic_begin + channels).min(params.in_c_per_group);
        let slice = ConvParams { ic_begin, ic_end, ..params };
        if ic_end == params.in_c_per_group {
            let parts = parts.iter().copied().chain([STORE_REST]).collect();
            node.dispatch(kernel, parts, params.count, slice, output, &views)?;
        } else {
            // A partial sum reads no residual.
            node.dispatch(kernel, epilogue::partial(), params.count, slice, output, &views[..2])?;
        }
    }
    Ok(())
}
