//! Lowering to the kernels whose images lie by four channels, and the choice of the tile.

use super::subgroup::{self, CONV_SUBGROUP, LANES, Tile};
use super::{ConvParams, ConvShape};
use crate::kernels::Part;
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, slot};
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Folded, Lowering, View};
use crate::tensor::row_major_slice;
use std::ops::Range;

/// The cheapest tile that fits, where the adapter is one for it.
pub(super) fn tile(shape: &ConvShape, epilogue: &Epilogue, node: &Lowering<'_>) -> Option<Tile> {
    let limits = node.limits();
    if !limits.software || limits.subgroup_lanes as usize != LANES || shape.is_empty() {
        return None;
    }
    let shape = &shape.flattened();
    let usual = subgroup::is_usual(&epilogue.activation.parts());
    let fits = |tile: &&Tile| {
        tile.fits(shape)
            && (usual || **tile == subgroup::SMALLEST)
            && tile.loop_iterations(shape) <= u64::from(limits.max_loop_iterations)
            && node.filters_per_binding(padded_row(shape)) >= tile.channels
    };
    subgroup::TILES.iter().filter(fits).copied().min_by(|a, b| a.cost(shape).total_cmp(&b.cost(shape)))
}

/// Numbers of one filter, its bias and its slope.
fn padded_row(shape: &ConvShape) -> usize {
    let [k_h, k_w] = shape.window.kernel;
    (shape.in_c / shape.groups).next_multiple_of(CHANNELS) * k_h * k_w + 2
}

/// What a kernel reads and writes beside its weights, and the parts of its epilogue.
pub(super) struct Bound {
    pub(super) parts: Vec<Part>,
    pub(super) output: View,
    input: View,
    residual: Vec<View>,
}

impl Bound {
    /// Bindings 2 and up.
    pub(super) fn inputs(&self, weights: View) -> Vec<View> {
        [self.input, weights].into_iter().chain(self.residual.iter().copied()).collect()
    }
}

/// Lets `convolve` append the dispatches that write the convolution, and appends one for the pool where there is one.
pub(super) fn with_pool(
    node: &mut Lowering<'_>,
    shape: &ConvShape,
    epilogue: &Epilogue,
    convolve: impl FnOnce(&mut Lowering<'_>, &Bound) -> OpResult<()>,
) -> OpResult<()> {
    let input = node.input_as(slot::INPUT, Layout::ByFour)?;
    let (parts, residual) = epilogue.by_four_parts(node)?;
    let stored = node.output_as(0, Layout::ByFour)?;
    let output = match epilogue.pool {
        Some(_) => node.scratch("before the pool", Layout::ByFour.len(&shape.output()))?,
        None => stored,
    };
    convolve(node, &Bound { parts, output, input, residual })?;
    match &epilogue.pool {
        Some(pool) => pool.lower_by_four(node, shape.out, [stored, output]),
        None => Ok(()),
    }
}

/// Parameters of a kernel whose biases and slopes for a range of channels, as many as are `padded`, come after so many
/// numbers of weights.
pub(super) fn params(
    shape: &ConvShape,
    epilogue: &Epilogue,
    channels: Range<usize>,
    weights: usize,
    padded: usize,
) -> ConvParams {
    ConvParams {
        count: shape.batch as u32,
        bias_at: (weights / CHANNELS) as u32,
        slope_at: ((weights + padded) / CHANNELS) as u32,
        ..ConvParams::new(shape, &Epilogue { pool: None, ..epilogue.clone() }, channels)
    }
}

/// Appends the dispatches: one for each range of channels whose weights fit one binding.
pub(super) fn lower(node: &mut Lowering<'_>, shape: &ConvShape, epilogue: &Epilogue, tile: Tile) -> OpResult<()> {
    with_pool(node, shape, epilogue, |node, bound| {
        let shape = shape.flattened();
        let parts = [&bound.parts[..], &[tile.part()]].concat();
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        let most = node.filters_per_binding(padded_row(&shape)) / tile.channels * tile.channels;
        for first in (0..shape.out_c).step_by(most.max(1)) {
            let channels = first..(first + most).min(shape.out_c);
            let packed = pack(node, &shape, &folded, channels.clone(), tile)?;
            let padded = channels.len().next_multiple_of(tile.channels);
            let params = params(&shape, epilogue, channels.clone(), node.count(packed) as usize - 2 * padded, padded);
            let groups = tile.groups(&shape, channels.len()) as u32;
            let inputs = bound.inputs(packed);
            node.dispatch_groups(&CONV_SUBGROUP, parts.clone(), groups, params, bound.output, &inputs)?;
        }
        Ok(())
    })
}

/// Filters in the order in which the tile reads them, `[block][ky][kx / taps][ic / 4][kx % taps][oc][4 ic]`, then biases and
/// slopes; zeros behind the last channels.
fn pack(
    node: &mut Lowering<'_>,
    shape: &ConvShape,
    folded: &Folded,
    channels: Range<usize>,
    tile: Tile,
) -> OpResult<View> {
    let [k_h, k_w] = shape.window.kernel;
    let in_c = shape.in_c / shape.groups;
    let blocks = channels.clone().step_by(tile.channels);
    let padded = channels.len().next_multiple_of(tile.channels);
    let mut packed = Vec::with_capacity(padded * padded_row(shape));
    for block in blocks {
        for (ky, step) in (0..k_h).flat_map(|ky| (0..k_w.div_ceil(tile.taps)).map(move |step| (ky, step))) {
            for (ic, tap) in (0..in_c.div_ceil(CHANNELS)).flat_map(|ic| (0..tile.taps).map(move |tap| (ic, tap))) {
                let kx = step * tile.taps + tap;
                for (oc, i) in (block..block + tile.channels).flat_map(|oc| (0..CHANNELS).map(move |i| (oc, i))) {
                    let ic = ic * CHANNELS + i;
                    let within = oc < channels.end && ic < in_c;
                    packed.push(if within { folded.weights[((oc * in_c + ic) * k_h + ky) * k_w + kx] } else { 0.0 });
                }
            }
        }
    }
    folded.append_per_channel(&mut packed, channels, tile.channels);
    node.constant_buffer("weights, bias, slope", packed)
}

impl ConvShape {
    /// Nothing to compute.
    fn is_empty(&self) -> bool {
        self.output().contains(&0) || self.in_c == 0
    }

    /// A pointwise convolution takes its image's rows as one, so that strips of pixels need not end with a row.
    fn flattened(self) -> Self {
        let [h, w] = self.image;
        let pointwise = self.window == crate::ops::window::Window::pointwise();
        if pointwise { ConvShape { image: [1, h * w], out: [1, h * w], ..self } } else { self }
    }
}
