//! Max and average pooling, alone or as the end of a convolution's epilogue.

use super::lattice::Lattice;
use super::window::Window;
use super::{
    Binary, BinaryFunction, Inputs, OpResult, Operator, PoolIndices, Restricted, Unary, UnaryFunction, epilogue::parts,
    image_shape, invalid, line, required, unsupported, volume,
};
use crate::bound::{FLUSH, U, gamma};
use crate::kernels::{Kernel, Part};
use crate::onnx::OnnxNode;
use crate::plan::{Layout, Lowering, View};
use crate::tensor::{Real, Tensor, TensorType, row_major_slice};
use crate::{part, uniform};
use ndarray::{ArrayD, IxDyn};
use rayon::prelude::*;
use std::ops::Range;

/// What a pool makes of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest element; padding never wins. NaN wins always.
    Max,
    /// The mean of the elements inside the image, or of the whole window where padding counts as zeros.
    Average {
        /// Whether padding counts.
        count_include_pad: bool,
    },
}

/// `out[n, c, oy, ox]` = max or mean of `in[n, c, iy, ix]` over the window. Source: ONNX, MaxPool and AveragePool.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Maximum or mean.
    pub kind: PoolKind,
    /// Kernel, stride, dilation and padding.
    pub window: Window,
    /// Whether a last window that hangs over the end counts (`ceil_mode`).
    pub ceil: bool,
}

impl Pool {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let ceil = node.flag("ceil_mode")?;
        // Only the optional indices depend on the storage order.
        let column_major = node.op_type() == "MaxPool" && node.flag("storage_order")?;
        let kind = if node.op_type() == "MaxPool" {
            PoolKind::Max
        } else {
            PoolKind::Average { count_include_pad: node.flag("count_include_pad")? }
        };
        let indices = kind == PoolKind::Max && node.output_count() > 1;
        if volume::is_volume(node)? {
            if indices {
                return unsupported("the indices of a volume's maxima are asked for");
            }
            return volume::import_pool(node, kind, ceil);
        }
        let [_, _, h, w] = line::image_shape(node, 0)?;
        let window = Window::import(node, [h, w], None)?;
        let image = line::as_image(node, 0)?;
        let pool = Pool { kind, window, ceil };
        line::finish(node, pool.clone(), &[Some(image)])?;
        match indices {
            true => line::define(node, 1, PoolIndices { pool, column_major }, &[Some(image)]),
            false => Ok(()),
        }
    }

    /// `LpPool`: `(sum of |x|^p)^(1/p)`; the sum is an average pool's mean, padding counted, times the window's taps.
    pub(crate) fn import_lp(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let [_, _, h, w] = line::image_shape(node, 0)?;
        let window = Window::import(node, [h, w], None)?;
        if node.flag("ceil_mode")? {
            return unsupported("ceil_mode: the taps of a last window differ");
        }
        // In opset 1 it was a real.
        let p = if node.opset() < 2 { node.float("p", 2.0)? } else { node.int("p", 2)? as f32 };
        if p < 1.0 {
            return invalid(format!("p is {p}"));
        }
        let pool = Pool { kind: PoolKind::Average { count_include_pad: true }, window, ceil: false };
        let (power, root, taps) = (node.number(p)?, node.number(1.0 / p)?, node.number(pool.taps() as f32)?);
        let x = line::as_image(node, 0)?;
        let x = node.emit(Unary { function: UnaryFunction::Abs }, &[Some(x)])?;
        let x = node.emit(Binary::plain(BinaryFunction::Pow), &[Some(x), Some(power)])?;
        let mean = node.emit(pool, &[Some(x)])?;
        let sum = node.emit(Binary::plain(BinaryFunction::Mul), &[Some(mean), Some(taps)])?;
        line::finish(node, Binary::plain(BinaryFunction::Pow), &[Some(sum), Some(root)])
    }

    /// Elements in a whole window.
    pub fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// The pooled size of an image batch `[n, c, h, w]`.
    pub fn output_shape(&self, [n, c, h, w]: [usize; 4]) -> OpResult<[usize; 4]> {
        let size = if self.ceil { self.window.output_size_ceil([h, w]) } else { self.window.output_size([h, w]) };
        let size = size?;
        if (0..2).any(|axis| self.has_empty_window(axis, [h, w][axis], size[axis])) {
            return unsupported("a window would hold nothing but padding");
        }
        Ok([n, c, size[0], size[1]])
    }

    /// Whether every tap of some window misses the image in a dimension: dilated taps may lie on both sides of it.
    fn has_empty_window(&self, axis: usize, image: usize, positions: usize) -> bool {
        let hits = |o, k| usize::try_from(self.window.source([o; 2], [k; 2])[axis]).is_ok_and(|at| at < image);
        (0..positions).any(|o| !(0..self.window.kernel[axis]).any(|k| hits(o, k)))
    }

    /// Pools an image batch that [`Pool::output_shape`] accepts.
    pub fn apply<T: Real>(&self, input: &ArrayD<T>) -> ArrayD<T> {
        let &[n, c, h, w] = input.shape() else { unreachable!("an image has rank 4") };
        let shape = self.output_shape([n, c, h, w]).expect("inference accepted this shape");
        let [image, out] = [[h, w], [shape[2], shape[3]]];
        let input = row_major_slice(input);
        let mut output = vec![T::zero(); shape.iter().product()];
        let lattice = Lattice::new(&self.window, image, out);
        let [rows, columns] = [0, 1].map(|axis| self.counts(axis, image[axis], out[axis]));
        let padding = match self.kind {
            PoolKind::Max => T::neg_infinity(),
            PoolKind::Average { .. } => T::zero(),
        };
        let each = output.par_chunks_mut((out[0] * out[1]).max(1)).enumerate();
        each.for_each_init(
            || lattice.room(padding),
            |room, (plane, pooled)| {
                let channel = &input[plane * h * w..][..h * w];
                match self.kind {
                    PoolKind::Max => lattice.fold(room, channel, padding, |_| maximum, pooled),
                    PoolKind::Average { .. } => {
                        lattice.sum(room, channel, |_| |sum, x| sum + x, pooled);
                        for (line, row) in pooled.chunks_mut(out[1]).zip(&rows) {
                            line.iter_mut().zip(&columns).for_each(|(sum, column)| *sum /= T::of(row * column));
                        }
                    }
                }
            },
        );
        ArrayD::from_shape_vec(IxDyn(&shape), output).expect("one element for each window")
    }

    /// Along one axis, how many taps of the window count at each position: those inside the image, or inside the padded
    /// image, beyond which a last window may hang.
    fn counts(&self, axis: usize, image: usize, positions: usize) -> Vec<f64> {
        let Window { pads, .. } = self.window;
        let (before, after) = [(pads.top, pads.bottom), (pads.left, pads.right)][axis];
        let counted = match self.kind {
            PoolKind::Average { count_include_pad: true } => -(before as isize)..(image + after) as isize,
            _ => 0..image as isize,
        };
        let taps = |o| (0..self.window.kernel[axis]).map(move |k| self.window.source([o; 2], [k; 2])[axis]);
        (0..positions).map(|o| taps(o).filter(|source| counted.contains(source)).count() as f64).collect()
    }

    /// Carries the errors of an input to the pooled result: a maximum is off by no more than its worst element; a mean by
    /// the mean of the errors, its sum's rounding and its division's (5 U).
    pub fn carry(&self, input: &ArrayD<f64>, errors: &ArrayD<f64>) -> ArrayD<f64> {
        match self.kind {
            // Two subnormal numbers may compare as equal.
            PoolKind::Max => self.apply(errors) + FLUSH,
            PoolKind::Average { .. } => {
                let rounding = gamma(self.taps()) + 5.0 * U;
                let mut carried = self.apply(errors);
                let magnitudes = self.apply(&input.mapv(f64::abs));
                carried.zip_mut_with(&magnitudes, |error, &mean| *error += rounding * (mean + *error) + 3.0 * FLUSH);
                carried
            }
        }
    }

    /// The part that pools what the kernel before it computes.
    pub(super) fn store(&self) -> Part {
        match self.kind {
            PoolKind::Max => STORE_MAX,
            PoolKind::Average { .. } => STORE_AVERAGE,
        }
    }
}

/// The larger, or NaN where either is.
fn maximum<T: Real>(a: T, b: T) -> T {
    if a.is_nan() || a >= b { a } else { b }
}

pub(super) const POOL_PARAMS: Part = part!("shared", "pool_params");
pub(super) const WINDOW_PLACE: Part = part!("shared", "window_place");
pub(super) const PLACE: Part = part!("shared", "place");
pub(super) const STORE_MAX: Part = part!("shared", "store_max_pool");
pub(super) const STORE_AVERAGE: Part = part!("shared", "store_average_pool");
pub(super) const STORE_MAX_INDEX: Part = part!("shared", "store_max_index");

uniform! {
    /// The pool at the end of a kernel, or the size of what is stored where there is none. It comes first in a kernel's
    /// `Params`, and its size is a multiple of 16 bytes, as a nested struct's in WGSL must be.
    pub struct PoolParams {
        k_h: u32, k_w: u32, stride_h: u32, stride_w: u32, dilation_h: u32, dilation_w: u32,
        pad_top: i32, pad_left: i32, pad_bottom: u32, pad_right: u32, out_h: u32, out_w: u32,
        count_include_pad: u32, by_columns: u32, reserved_0: u32, reserved_1: u32,
    }
}

impl PoolParams {
    /// For an image of `[h, w]`; without a pool, that size is what is stored.
    pub(super) fn new(pool: Option<&Pool>, [h, w]: [usize; 2]) -> Self {
        let Some(pool) = pool else {
            return PoolParams { out_h: h as u32, out_w: w as u32, ..PoolParams::default() };
        };
        let Window { kernel, stride, dilation, pads } = pool.window;
        let [_, _, out_h, out_w] = pool.output_shape([1, 1, h, w]).expect("inference accepted this shape");
        PoolParams {
            k_h: kernel[0] as u32,
            k_w: kernel[1] as u32,
            stride_h: stride[0] as u32,
            stride_w: stride[1] as u32,
            dilation_h: dilation[0] as u32,
            dilation_w: dilation[1] as u32,
            pad_top: pads.top as i32,
            pad_left: pads.left as i32,
            pad_bottom: pads.bottom as u32,
            pad_right: pads.right as u32,
            out_h: out_h as u32,
            out_w: out_w as u32,
            count_include_pad: u32::from(pool.kind == PoolKind::Average { count_include_pad: true }),
            ..PoolParams::default()
        }
    }
}

uniform! {
    /// Parameters of `pool_window`.
    pub struct PoolWindowParams { pool: PoolParams, out_c: u32, out_h: u32, out_w: u32, first_c: u32, count_c: u32, count: u32 }
}

/// One window an invocation.
pub static POOL_WINDOW: Kernel = Kernel {
    name: "pool_window",
    source: include_str!("../../shaders/pool_window.wgsl"),
    includes: &[POOL_PARAMS, PLACE],
    params: PoolWindowParams::FIELDS,
    combinations: || [STORE_MAX, STORE_AVERAGE, STORE_MAX_INDEX].map(|part| vec![part]).to_vec(),
};

uniform! {
    /// Parameters of `pool_by_four`; out_h and out_w are the size of the image that is pooled, as in the convolutions'.
    pub struct PoolByFourParams { pool: PoolParams, out_h: u32, out_w: u32, count: u32 }
}

/// Every pool by four channels.
pub(super) const POOLS_BY_FOUR: [Part; 2] = [parts::TILE_MAX, parts::TILE_AVERAGE];

/// Four channels of one window an invocation.
pub static POOL_BY_FOUR: Kernel = Kernel {
    name: "pool_by_four",
    source: include_str!("../../shaders/pool_by_four.wgsl"),
    includes: &[POOL_PARAMS, WINDOW_PLACE],
    params: PoolByFourParams::FIELDS,
    combinations: || POOLS_BY_FOUR.map(|part| vec![part]).to_vec(),
};

impl Pool {
    /// The part that makes one of the elements of a window, four channels at a time.
    pub(super) fn part_by_four(&self) -> Part {
        POOLS_BY_FOUR[usize::from(self.kind != PoolKind::Max)]
    }

    /// Appends the dispatch that stores what a part makes of each window of the node's input, which lies row-major.
    pub(super) fn lower_windows(&self, node: &mut Lowering<'_>, part: Part, by_columns: bool) -> OpResult<()> {
        let [_, c, h, w] = image_shape(&node.input_types(), 0)?;
        self.window.limit_taps(node.limits())?;
        let (input, output) = (node.input(0)?, node.output(0)?);
        let pool = PoolParams { by_columns: by_columns.into(), ..PoolParams::new(Some(self), [h, w]) };
        let ([out_c, out_h, out_w], count) = ([c, h, w].map(|size| size as u32), node.count(output));
        let params = PoolWindowParams { pool, out_c, out_h, out_w, first_c: 0, count_c: out_c, count };
        node.dispatch(&POOL_WINDOW, vec![part], count, params, output, &[input])
    }

    /// Appends the dispatch that pools images of this size, which lie by four channels.
    pub(super) fn lower_by_four(
        &self,
        node: &mut Lowering<'_>,
        [h, w]: [usize; 2],
        [output, input]: [View; 2],
    ) -> OpResult<()> {
        let (pool, count) = (PoolParams::new(Some(self), [h, w]), node.count(output) / 4);
        let params = PoolByFourParams { pool, out_h: h as u32, out_w: w as u32, count };
        node.dispatch(&POOL_BY_FOUR, vec![self.part_by_four()], count, params, output, &[input])
    }
}

impl Operator for Pool {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let pads = self.window.pads;
        let extent = self.window.extent();
        if pads.top.max(pads.bottom) >= extent[0] || pads.left.max(pads.right) >= extent[1] {
            return invalid(format!("padding {pads:?} is as large as the window: it would hold nothing but padding"));
        }
        Ok(vec![TensorType::real(self.output_shape(image_shape(inputs, 0)?)?.to_vec())])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        Ok(vec![Tensor::Real(self.apply(required(inputs, 0)?.as_real()?))])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        Ok(self.carry(required(inputs, 0)?.as_real()?, required(errors, 0)?))
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        (axis < 2).then(|| Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        if node.lies_by_four(0) {
            let [_, _, h, w] = image_shape(&node.input_types(), 0)?;
            self.window.limit_taps(node.limits())?;
            let (input, output) = (node.input_as(0, Layout::ByFour)?, node.output_as(0, Layout::ByFour)?);
            return self.lower_by_four(node, [h, w], [output, input]);
        }
        self.lower_windows(node, self.store(), false)
    }

    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| (ty.shape.iter().product::<usize>() * self.taps()) as u64).sum()
    }
}
