//! `conv_gemm`: the convolution for adapters with fast workgroup memory, and `conv_join`, which adds its splits.

mod tile;

use super::by_four::Bound;
use super::choice::{Candidate, Pooling, Problem};
use super::text::grid;
use super::{ConvParams, ConvShape, by_four};
use crate::kernels::{Kernel, Part};
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::ops::{Activation, OpResult};
use crate::part;
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Folded, Limits, Lowering, View};
use crate::tensor::row_major_slice;
use std::ops::Range;
use tile::{FOR_ALL, SLAB, TILES, Tile};

/// Ways to split a sum over workgroups, for small images with many channels.
const SPLITS: [usize; 5] = [1, 2, 4, 8, 16];

/// A tile for one convolution, and among how many workgroups each sum is split.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiling {
    tile: Tile,
    /// Blocks of 4 input channels that each split sums; the last one may sum fewer.
    blocks_per_split: usize,
    splits: usize,
}

impl Tiling {
    fn new(tile: Tile, splits: usize, shape: &ConvShape) -> Self {
        let blocks = in_blocks(shape);
        let blocks_per_split = blocks.div_ceil(splits);
        Tiling { tile, blocks_per_split, splits: blocks.div_ceil(blocks_per_split) }
    }

    pub(super) fn name(&self) -> String {
        let splits = if self.splits > 1 { format!(" split {}", self.splits) } else { String::new() };
        format!("{} {}{splits}", CONV_GEMM.name, self.tile.name())
    }

    /// Slabs of each split's filters, zeros at the end.
    fn slabs(&self, shape: &ConvShape) -> usize {
        let [k_h, k_w] = shape.window.kernel;
        (k_h * k_w * self.blocks_per_split).div_ceil(SLAB)
    }

    /// Numbers of the filters of one tile of channels.
    fn filters(&self, shape: &ConvShape) -> usize {
        self.splits * self.slabs(shape) * SLAB * CHANNELS * self.tile.channels
    }

    /// Tiles of so many output channels, group by group.
    fn channel_tiles(&self, shape: &ConvShape, channels: usize) -> usize {
        shape.groups * (shape.out_c / shape.groups).min(channels).div_ceil(self.tile.channels)
    }

    /// Workgroups that compute so many output channels.
    fn groups(&self, shape: &ConvShape, channels: usize) -> usize {
        self.channel_tiles(shape, channels) * self.splits * shape.pixels().div_ceil(self.tile.pixels)
    }

    /// Loop iterations of one invocation: over slabs, their fours, and in finding the next product.
    fn loop_iterations(&self, shape: &ConvShape) -> u64 {
        let loaded = SLAB * self.tile.pixels / self.tile.invocations();
        let advance = (2 * SLAB).div_ceil(self.blocks_per_split) + 1;
        (self.slabs(shape) * (1 + SLAB + loaded * advance)) as u64 + advance as u64
    }

    /// An estimate of its time in multiply-adds that one lane makes one after another.
    ///
    /// The figures are of the size that data sheets of GPUs give; none was measured. `LOAD`: a vec4 from workgroup memory.
    /// `MOVE`: a number from the second-level cache, 4 bytes at 6 multiply-adds a byte.
    fn cost(&self, shape: &ConvShape, limits: &Limits) -> f64 {
        const LOAD: f64 = 4.0;
        const MOVE: f64 = 24.0;
        let Tile { channels, pixels: tile_pixels, own_channels, own_pixels } = self.tile;
        let products = (CHANNELS * own_channels * own_pixels) as f64;
        let loads = (own_channels + own_pixels) as f64;
        let moved = 1.0 / channels as f64 + 1.0 / tile_pixels as f64;
        let four = products * (1.0 + MOVE * moved) + LOAD * loads;
        let invocations = (self.groups(shape, shape.out_c) * self.tile.invocations()) as f64;
        let waves = (invocations / (BUSY * f64::from(limits.lanes))).ceil();
        let summed = waves * (self.slabs(shape) * SLAB) as f64 * four;
        if self.splits == 1 {
            return summed;
        }
        UNSURE * (summed + through_memory(self.scratch(shape), limits))
    }

    /// Numbers that the splits leave for `conv_join`.
    fn scratch(&self, shape: &ConvShape) -> usize {
        self.splits * Layout::ByFour.len(&shape.output())
    }

    fn fits(&self, shape: &ConvShape, limits: &Limits, usual: bool) -> bool {
        let binding = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let fits_binding = |numbers: usize| (numbers * size_of::<f32>()) as u64 <= binding;
        let tiles = if shape.groups == 1 { 1 } else { self.channel_tiles(shape, shape.out_c) };
        (usual || self.tile == FOR_ALL)
            && self.loop_iterations(shape) <= u64::from(limits.max_loop_iterations)
            && fits_binding(tiles * self.filters(shape) + 2 * shape.out_c.next_multiple_of(CHANNELS))
            && (self.splits == 1 || fits_binding(self.scratch(shape)))
    }
}

/// A second dispatch must promise a quarter: this estimate is no finer.
const UNSURE: f64 = 1.25;

/// Invocations of a lane that keep it busy while others wait for memory.
const BUSY: f64 = 2.0;

/// What it costs, in the same unit, that one dispatch leaves so many numbers for another. `DISPATCH`: 6 us of a lane, for a
/// dispatch and the barrier before it. `BYTE`: multiply-adds of the whole GPU in the time that a byte of memory takes.
fn through_memory(numbers: usize, limits: &Limits) -> f64 {
    const DISPATCH: f64 = 10_000.0;
    const BYTE: f64 = 11.0;
    // Written once, and read once.
    let bytes = 2 * size_of::<f32>() * numbers;
    DISPATCH + BYTE * bytes as f64 / (BUSY * f64::from(limits.lanes))
}

/// Blocks of 4 input channels in a group.
fn in_blocks(shape: &ConvShape) -> usize {
    (shape.in_c / shape.groups).div_ceil(CHANNELS)
}

/// Every tile and split that fits, each with its cost.
pub(super) fn candidates(problem: &Problem<'_>) -> Result<Vec<Candidate>, String> {
    let Problem { shape, epilogue, limits, .. } = problem;
    let per_group = [shape.in_c, shape.out_c].map(|channels| channels / shape.groups);
    if shape.groups > 1 && per_group.iter().any(|channels| !channels.is_multiple_of(CHANNELS)) {
        return Err(format!("groups of {per_group:?} channels do not begin at a multiple of {CHANNELS}"));
    }
    let usual = parts::is_usual(&parts::by_four(&epilogue.activation, false));
    let split = |tile: &Tile| {
        let tile = *tile;
        let splits = SPLITS.iter().filter(|&&splits| splits <= in_blocks(shape));
        splits.map(move |&splits| Tiling::new(tile, splits, shape)).collect::<Vec<_>>()
    };
    let mut tilings: Vec<Tiling> = TILES.iter().flat_map(split).collect();
    tilings.retain(|tiling| tiling.fits(shape, limits, usual));
    tilings.dedup_by_key(|tiling| tiling.name());
    if tilings.is_empty() {
        return Err("no tile fits the device's bindings and loops".to_string());
    }
    let candidate = |tiling: Tiling, pooling: Pooling, computed: ConvShape, cost: f64| {
        Candidate::new(pooling.named(tiling.name()), cost, pooling, move |node, shape, epilogue| {
            lower(node, [shape, &computed], epilogue, tiling, pooling)
        })
    };
    let behind = epilogue.pool.as_ref().map_or(0.0, |_| through_memory(Layout::ByFour.len(&shape.output()), limits));
    let flat = shape.flattened();
    let unpooled = |tiling: &Tiling| candidate(*tiling, Pooling::Behind, flat, tiling.cost(shape, limits) + behind);
    let mut candidates: Vec<Candidate> = tilings.iter().map(unpooled).collect();
    if let Some(quartered) = problem.quartered() {
        let whole = tilings.iter().filter(|tiling| tiling.splits == 1);
        let pooled = |tiling: &Tiling| candidate(*tiling, Pooling::InPlace, quartered, tiling.cost(&quartered, limits));
        candidates.extend(whole.map(pooled));
    }
    Ok(candidates)
}

/// Appends the dispatches. Tiles cover the pixels of the second shape: rows may be taken as one, and those that no window of the
/// pool sees left out.
fn lower(
    node: &mut Lowering<'_>,
    shapes: [&ConvShape; 2],
    epilogue: &Epilogue,
    tiling: Tiling,
    pooling: Pooling,
) -> OpResult<()> {
    let [shape, computed] = shapes;
    by_four::with_pool(node, shape, epilogue, Layout::ByFour, pooling, |node, bound| {
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        match pooling {
            Pooling::InPlace => convolve(node, shapes, epilogue, &folded, tiling, pooling, bound),
            Pooling::Behind => convolve(node, [computed; 2], epilogue, &folded, tiling, pooling, bound),
        }
    })
}

/// One dispatch for each range of channels whose weights fit one binding, and one more for each that is split.
pub(super) fn convolve(
    node: &mut Lowering<'_>,
    [shape, computed]: [&ConvShape; 2],
    epilogue: &Epilogue,
    folded: &Folded,
    tiling: Tiling,
    pooling: Pooling,
    bound: &Bound,
) -> OpResult<()> {
    let whole = match pooling {
        Pooling::InPlace => vec![PIXELS_POOLED],
        Pooling::Behind => vec![STORE_EACH, PIXELS_EACH],
    };
    let tile = tiling.tile.part();
    let row = (tiling.filters(shape) / tiling.tile.channels) + 2;
    let per_dispatch = node.limits().filters_per_dispatch(row, shape.pixels()) / tiling.tile.channels;
    // Groups are never taken apart: `fits` saw to it that they need not be.
    let most = if shape.groups == 1 { per_dispatch.max(1) * tiling.tile.channels } else { shape.out_c };
    let partial = match tiling.splits {
        1 => None,
        _ => Some(node.scratch("sums of its splits", tiling.scratch(shape))?),
    };
    for first in (0..shape.out_c).step_by(most) {
        let channels = first..(first + most).min(shape.out_c);
        let packed = pack(node, shape, folded, channels.clone(), tiling)?;
        let padded = channels.len().next_multiple_of(CHANNELS);
        let numbers = node.count(packed) as usize;
        let params = bound.params(shape, epilogue, channels.clone(), numbers - 2 * padded, padded);
        let params = ConvParams { ic_end: (tiling.blocks_per_split * CHANNELS) as u32, ..params };
        let groups = tiling.groups(computed, channels.len()) as u32;
        if let Some(partial) = partial {
            let parts = [split_parts(), vec![tile]].concat();
            node.dispatch_groups(&CONV_GEMM, parts, groups, params, partial, &[bound.input, packed])?;
            let count = (shape.pixels() * padded / CHANNELS) as u32;
            let inputs = [&[partial][..], &bound.inputs(packed)[1..]].concat();
            node.dispatch(&CONV_JOIN, bound.parts.clone(), count, params, bound.output, &inputs)?;
        } else {
            let parts = [&bound.parts[..], &whole, &[tile]].concat();
            node.dispatch_groups(&CONV_GEMM, parts, groups, params, bound.output, &bound.inputs(packed))?;
        }
    }
    Ok(())
}

/// The tile that costs least for sums that are not split.
pub(super) fn cheapest_tiling(shape: &ConvShape, limits: &Limits) -> Option<Tiling> {
    let tilings = TILES.iter().map(|tile| Tiling::new(*tile, 1, shape));
    let fits = tilings.filter(|tiling| tiling.fits(shape, limits, true));
    fits.min_by(|a, b| a.cost(shape, limits).total_cmp(&b.cost(shape, limits)))
}

/// Appends the dispatch of plain sums of packed weights that fit one binding.
pub(super) fn multiply(
    node: &mut Lowering<'_>,
    shape: &ConvShape,
    tiling: Tiling,
    packed: View,
    bound: &Bound,
) -> OpResult<()> {
    let weights = node.count(packed) as usize - 2 * shape.out_c;
    let params = bound.params(shape, &Epilogue::default(), 0..shape.out_c, weights, shape.out_c);
    let params = ConvParams { ic_end: (tiling.blocks_per_split * CHANNELS) as u32, ..params };
    let parts = [&bound.parts[..], &[STORE_EACH, PIXELS_EACH, tiling.tile.part()]].concat();
    let groups = tiling.groups(shape, shape.out_c) as u32;
    node.dispatch_groups(&CONV_GEMM, parts, groups, params, bound.output, &bound.inputs(packed))
}

/// Filters in the order in which the tile reads them, `[group][oc / tile][split][product / 4][4 ic][tile]`, the products
/// numbered `[ky][kx][ic / 4]`; then biases and slopes. Zeros behind the last channels and products.
pub(super) fn pack(
    node: &mut Lowering<'_>,
    shape: &ConvShape,
    folded: &Folded,
    channels: Range<usize>,
    tiling: Tiling,
) -> OpResult<View> {
    let [k_h, k_w] = shape.window.kernel;
    let in_c = shape.in_c / shape.groups;
    let width = tiling.tile.channels;
    let per_group = (shape.out_c / shape.groups).min(channels.len());
    // The end of a block's group, its first channel, and its split.
    let mut blocks: Vec<[usize; 3]> = Vec::new();
    for group in channels.clone().step_by(per_group) {
        let end = (group + per_group).min(channels.end);
        let of_group = grid((end - group).div_ceil(width), tiling.splits);
        blocks.extend(of_group.map(|(tile, split)| [end, group + tile * width, split]));
    }
    let mut packed = by_four::packed_blocks(&blocks, |&[end, first, split], packed| {
        let blocks = split * tiling.blocks_per_split..((split + 1) * tiling.blocks_per_split).min(in_blocks(shape));
        for (tap, block) in grid(k_h * k_w, blocks.len()) {
            for (i, oc) in grid(CHANNELS, width) {
                let (ic, oc) = ((blocks.start + block) * CHANNELS + i, first + oc);
                let within = oc < end && ic < in_c;
                packed.push(if within { folded.weights[(oc * in_c + ic) * k_h * k_w + tap] } else { 0.0 });
            }
        }
        packed.resize(tiling.slabs(shape) * SLAB * CHANNELS * width, 0.0);
    });
    folded.append_per_channel(&mut packed, channels, CHANNELS);
    node.constant_buffer("weights, bias, slope", packed)
}

/// A tile of channels and pixels a workgroup.
pub static CONV_GEMM: Kernel = Kernel {
    name: "conv_gemm",
    source: include_str!("../../../shaders/conv_gemm.wgsl"),
    includes: &parts::INCLUDES_BY_FOUR,
    params: ConvParams::FIELDS,
    combinations,
};

/// Adds the sums of its splits.
pub static CONV_JOIN: Kernel = Kernel {
    name: "conv_join",
    source: include_str!("../../../shaders/conv_join.wgsl"),
    includes: &parts::INCLUDES_BY_FOUR,
    params: ConvParams::FIELDS,
    combinations: parts::by_four_combinations,
};

const STORE_EACH: Part = part!("shared", "gemm_store_each");
const PIXELS_EACH: Part = part!("shared", "gemm_pixels_each");
const PIXELS_POOLED: Part = part!("shared", "gemm_pixels_pooled");
const STORE_SPLIT: Part = part!("shared", "gemm_store_split");

/// Nothing of the epilogue applies to the sums of a split.
fn split_parts() -> Vec<Part> {
    [parts::by_four(&Activation::Identity, false), vec![STORE_SPLIT, PIXELS_EACH]].concat()
}

/// Every epilogue on one tile; on the others those of nearly all networks.
fn combinations() -> Vec<Vec<Part>> {
    let mut all = Vec::new();
    for tile in &TILES {
        for parts in parts::by_four_combinations() {
            if *tile == FOR_ALL || parts::is_usual(&parts) {
                all.push([parts, vec![STORE_EACH, PIXELS_EACH, tile.part()]].concat());
            }
        }
        let pooled = parts::pooled_by_four_combinations().into_iter();
        all.extend(pooled.map(|parts| [parts, vec![PIXELS_POOLED, tile.part()]].concat()));
        all.push([split_parts(), vec![tile.part()]].concat());
    }
    all
}
