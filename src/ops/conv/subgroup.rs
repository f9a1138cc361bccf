//! `conv_subgroup`: the convolution for adapters whose loads cost far more than their arithmetic.

use super::ConvShape;
use super::by_four::{self, Bound};
use super::choice::{Candidate, Pooling, Problem, VEC4_LOAD};
use super::groups::Padded;
use super::text::{Text, grid, store_strip};
use crate::kernels::{Kernel, Part};
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Folded, Limits, Lowering, View};
use crate::tensor::row_major_slice;
use std::ops::Range;
use std::sync::LazyLock;

/// Invocations of a subgroup, and of a workgroup.
pub const LANES: usize = 8;

/// What an invocation computes at a time: the inner loops that are unrolled by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Neighbouring taps of a row of the filter whose inputs are loaded once, for a stride of 1: a row is taken in steps of
    /// so many, with zeros behind its last tap. 1 for strides of any size.
    pub taps: usize,
    /// Neighbouring pixels of a row of the output.
    pub pixels: usize,
    /// Output channels; a multiple of four.
    pub channels: usize,
}

const fn tile(taps: usize, pixels: usize, channels: usize) -> Tile {
    Tile { taps, pixels, channels }
}

/// Every tile, the most wanted first. Wider ones run faster and compile longer: a tile of 7 pixels, 16 channels and 3 taps
/// has 1,344 multiply-adds a step, which takes lavapipe some tenths of a second. Three taps at a stride of 2 share few
/// inputs, and gained nothing that was worth another pipeline. Four channels are for results of one to four: pictures, masks.
pub static TILES: [Tile; 6] =
    [tile(3, 7, 16), tile(3, 8, 16), tile(1, 4, 32), tile(1, 7, 16), tile(1, 4, 8), tile(3, 8, 4)];

impl Tile {
    /// Whether its strips fit the convolution, its loops and weights the device.
    pub fn fits(&self, shape: &ConvShape, limits: &Limits) -> bool {
        let window = &shape.window;
        let whole = if self.takes_steps() { window.kernel[1] > 1 } else { window.kernel[1] == self.taps };
        let neighbours = whole && window.stride[1] == 1 && window.dilation[1] == 1;
        let groups = shape.groups == 1
            || (shape.in_c / shape.groups).is_multiple_of(4)
                && (shape.out_c / shape.groups).is_multiple_of(self.channels);
        (self.taps == 1 || neighbours)
            && groups
            && self.loop_iterations(shape) <= u64::from(limits.max_loop_iterations)
            && limits.filters_per_binding(self.padded_row(shape)) >= self.channels
    }

    /// Whether a row of the filter may be longer than its taps. Wider tiles gain nothing by that: 64 channels of 5x5 at 56x56
    /// took lavapipe 13.3 ms in three taps a step, and 11.6 in one.
    fn takes_steps(&self) -> bool {
        self.taps == 1 || self.channels < LANES
    }

    /// Steps in which a row of the filter is taken.
    fn steps(&self, shape: &ConvShape) -> usize {
        shape.window.kernel[1].div_ceil(self.taps)
    }

    /// Numbers that are packed for an output channel.
    fn padded_row(&self, shape: &ConvShape) -> usize {
        let mut padded = *shape;
        padded.window.kernel[1] = self.steps(shape) * self.packed_taps();
        by_four::padded_row(&padded)
    }

    /// Taps of a step as they are packed: so many that each invocation of a subgroup loads as many weights.
    fn packed_taps(&self) -> usize {
        (self.taps * self.channels).next_multiple_of(LANES) / self.channels
    }

    /// What a product of the unpooled result costs with its share of the loads and of the arithmetic that is not stored, in
    /// units of a multiply-add.
    pub fn cost(&self, shape: &ConvShape) -> f64 {
        let loads = self.columns() + self.packed_taps() * self.channels / LANES;
        let products = 4 * self.taps * self.pixels * self.channels;
        let in_vain = (self.steps(shape) * self.taps) as f64 / shape.window.kernel[1] as f64;
        let computed =
            self.strips(shape).next_multiple_of(LANES) * self.pixels * shape.out_c.next_multiple_of(self.channels);
        let stored = shape.batch * shape.out[0] * shape.out[1] * shape.out_c;
        let padding = computed as f64 / stored.max(1) as f64;
        padding * in_vain * (1.0 + VEC4_LOAD * loads as f64 / products as f64)
    }

    /// Strips of 8 pixels must win by 8 %: where a network takes strips of 7 only, there are fewer pipelines to compile. Those
    /// that pool in place spare the pool's.
    fn another_pipeline(&self) -> f64 {
        if self.pixels == 8 { 1.08 } else { 1.0 }
    }

    /// Whether one pipeline serves convolutions with and without residual: where sums are long, a load in vain for each
    /// vec4 that is stored costs less than another pipeline to compile.
    fn serves_any_residual(&self) -> bool {
        self.taps > 1
    }

    /// Whether its strips hold whole windows of 2x2 at a stride of 2, two strips above one another.
    fn pools(&self) -> bool {
        self.pixels.is_multiple_of(2)
    }

    /// Neighbouring columns of the input that a strip reads at a time.
    fn columns(&self) -> usize {
        self.pixels - 1 + self.taps
    }

    /// Strips that cover the output's pixels.
    fn strips(&self, shape: &ConvShape) -> usize {
        shape.batch * shape.out[0] * shape.out[1].div_ceil(self.pixels)
    }

    /// The part that defines `main`.
    pub fn part(&self) -> Part {
        let at = TILES.iter().position(|tile| tile == self).expect("a tile of the list");
        PARTS[at]
    }

    /// Loop iterations of one invocation.
    pub fn loop_iterations(&self, shape: &ConvShape) -> u64 {
        let blocks = (shape.in_c / shape.groups).div_ceil(4);
        (shape.window.kernel[0] * (1 + self.steps(shape) * (1 + blocks)) + 2 + self.channels / 4) as u64
    }

    /// Workgroups that cover so many output channels.
    pub fn groups(&self, shape: &ConvShape, channels: usize) -> usize {
        self.strips(shape).div_ceil(LANES) * channels.div_ceil(self.channels)
    }
}

/// The tiles that fit, each with its cost.
pub(super) fn candidates(problem: &Problem<'_>) -> Result<Vec<Candidate>, String> {
    let Problem { shape, limits, .. } = problem;
    if limits.subgroup_lanes as usize != LANES {
        return Err(format!("subgroups are not of {LANES} invocations"));
    }
    let candidate = |tile: Tile, pooling: Pooling, computed: ConvShape, cost: f64| {
        let name = pooling.named(format!("{} {}", CONV_SUBGROUP.name, tile.part().name));
        Candidate::new(name, cost, pooling, move |node, shape, epilogue| {
            lower(node, [shape, &computed], epilogue, tile, pooling)
        })
    };
    let flat = shape.flattened();
    let behind = problem.pool_behind();
    let tiles = TILES.iter().filter(|tile| tile.fits(&flat, limits));
    let cost = |tile: &Tile| tile.another_pipeline() * tile.cost(&flat) + behind;
    let mut candidates: Vec<Candidate> =
        tiles.map(|tile| candidate(*tile, Pooling::Behind, flat, cost(tile))).collect();
    if let Some(quartered) = problem.quartered() {
        let pixels = |shape: &ConvShape| (shape.out[0] * shape.out[1]) as f64;
        let tiles = TILES.iter().filter(|tile| tile.pools() && tile.fits(&quartered, limits));
        let cost = |tile: &Tile| tile.cost(&quartered) * pixels(&quartered) / pixels(shape);
        candidates.extend(tiles.map(|tile| candidate(*tile, Pooling::InPlace, quartered, cost(tile))));
    }
    if candidates.is_empty() {
        // Some tiles compute four channels, all others a multiple of eight.
        let padded = [CHANNELS, LANES].into_iter().filter_map(|width| Padded::of(problem, width));
        let in_groups = padded.map(|padded| in_groups(&padded, limits)).find(|candidates| !candidates.is_empty());
        return in_groups.ok_or_else(|| "no tile fits its groups and its loops".to_string());
    }
    Ok(candidates)
}

/// The tiles that fit with zeros behind the channels of each group.
fn in_groups(padded: &Padded, limits: &Limits) -> Vec<Candidate> {
    let (padded, shape) = (*padded, padded.shape.flattened());
    let candidate = |tile: &Tile| {
        let tile = *tile;
        let name = format!("{} {}", CONV_SUBGROUP.name, tile.part().name);
        Candidate::new(name, tile.cost(&shape), Pooling::Behind, move |node, _, epilogue| {
            padded.lower(node, epilogue, |node, folded, bound| {
                convolve(node, [&shape; 2], epilogue, folded, tile, Pooling::Behind, bound)
            })
        })
    };
    TILES.iter().filter(|tile| tile.fits(&shape, limits)).map(candidate).collect()
}

/// Appends the dispatches. Strips cover the second shape: rows may be taken as one, and those that no window of the pool sees
/// left out.
fn lower(
    node: &mut Lowering<'_>,
    shapes: [&ConvShape; 2],
    epilogue: &Epilogue,
    tile: Tile,
    pooling: Pooling,
) -> OpResult<()> {
    let [shape, computed] = shapes;
    by_four::with_pool(node, shape, epilogue, Layout::ByFour, pooling, |node, bound| {
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        match pooling {
            Pooling::InPlace => convolve(node, shapes, epilogue, &folded, tile, pooling, bound),
            Pooling::Behind => convolve(node, [computed; 2], epilogue, &folded, tile, pooling, bound),
        }
    })
}

/// One dispatch for each range of channels whose weights fit one binding.
pub(super) fn convolve(
    node: &mut Lowering<'_>,
    [shape, computed]: [&ConvShape; 2],
    epilogue: &Epilogue,
    folded: &Folded,
    tile: Tile,
    pooling: Pooling,
    bound: &Bound,
) -> OpResult<()> {
    let in_place = pooling == Pooling::InPlace;
    let any = (tile.serves_any_residual() && !in_place).then(|| bound.with_any_residual());
    let bound = any.as_ref().unwrap_or(bound);
    let strips = if in_place { parts::STRIPS_POOLED } else { parts::STRIPS_EACH };
    let parts = [&bound.parts[..], &[strips, tile.part()]].concat();
    let most = node.limits().filters_per_dispatch(tile.padded_row(shape), shape.pixels());
    let most = (most / tile.channels * tile.channels).max(tile.channels);
    for first in (0..shape.out_c).step_by(most) {
        let channels = first..(first + most).min(shape.out_c);
        let packed = pack(node, shape, folded, channels.clone(), tile)?;
        let padded = channels.len().next_multiple_of(tile.channels);
        let weights = node.count(packed) as usize - 2 * padded;
        let params = bound.params(shape, epilogue, channels.clone(), weights, padded);
        let groups = tile.groups(computed, channels.len()) as u32;
        let inputs = bound.inputs(packed);
        node.dispatch_groups(&CONV_SUBGROUP, parts.clone(), groups, params, bound.output, &inputs)?;
    }
    Ok(())
}

/// The tile that costs least where nothing is pooled.
pub(super) fn cheapest_tile(shape: &ConvShape, limits: &Limits) -> Option<Tile> {
    let fits = TILES.iter().filter(|tile| tile.fits(shape, limits));
    fits.min_by(|a, b| a.cost(shape).total_cmp(&b.cost(shape))).copied()
}

/// Filters in the order in which the tile reads them, `[block][ky][kx / taps][ic / 4][kx % taps][oc][4 ic]`, then biases and
/// slopes; zeros behind the last channels.
pub(super) fn pack(
    node: &mut Lowering<'_>,
    shape: &ConvShape,
    folded: &Folded,
    channels: Range<usize>,
    tile: Tile,
) -> OpResult<View> {
    let mut packed = packed_weights(shape, &folded.weights, channels.clone(), tile);
    folded.append_per_channel(&mut packed, channels, tile.channels);
    node.constant_buffer("weights, bias, slope", packed)
}

/// The filters alone.
pub(super) fn packed_weights(shape: &ConvShape, filters: &[f32], channels: Range<usize>, tile: Tile) -> Vec<f32> {
    let [k_h, k_w] = shape.window.kernel;
    let in_c = shape.in_c / shape.groups;
    let blocks: Vec<usize> = channels.clone().step_by(tile.channels).collect();
    by_four::packed_blocks(&blocks, |&block, packed| {
        for (ky, step) in grid(k_h, k_w.div_ceil(tile.taps)) {
            for (ic, tap) in grid(in_c.div_ceil(CHANNELS), tile.packed_taps()) {
                let kx = step * tile.taps + tap;
                for (oc, i) in grid(tile.channels, CHANNELS) {
                    let (oc, ic) = (block + oc, ic * CHANNELS + i);
                    let within = oc < channels.end && ic < in_c && tap < tile.taps && kx < k_w;
                    packed.push(if within { filters[((oc * in_c + ic) * k_h + ky) * k_w + kx] } else { 0.0 });
                }
            }
        }
    })
}

/// Made once a process: parts live as long as it does.
static PARTS: LazyLock<Vec<Part>> = LazyLock::new(|| {
    let part = |tile: &Tile| {
        let Tile { taps, pixels, channels } = tile;
        let name = if *taps == 1 { String::new() } else { format!("{taps}x") };
        let name = format!("strip_{name}{pixels}x{channels}").leak();
        Part { name, source: text(tile).leak() }
    };
    TILES.iter().map(part).collect()
});

/// `main`, with one variable for each sum: `sum_<pixel>_<channel>`.
fn text(tile: &Tile) -> String {
    let Tile { taps, pixels, channels } = *tile;
    let (columns, loaded) = (tile.columns(), tile.packed_taps() * channels);
    let mut wgsl = Text::default();
    wgsl.line(format_args!(
        "// {pixels} pixels of a row, {channels} channels, {taps} tap(s) a step.
@compute @workgroup_size({LANES})
fn main(
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {{
    let blocks = (p.count_c + {last}u) / {channels}u;
    let index = group_index(group, groups);
    let block = index % blocks;
    let at = strip(index / blocks * {LANES}u + lane, {pixels}u);
    let plane = p.in_h * p.in_w;
    let in_blocks = (p.in_c_per_group + 3u) / 4u;
    let first = first_plane(at.n, p.first_c + block * {channels}u);
    let steps = (p.k_w + {left}u) / {taps}u;
    var weight_at = block * p.k_h * steps * in_blocks * {loaded}u + lane;",
        last = channels - 1,
        left = taps - 1,
    ));
    for (pixel, channel) in grid(pixels, channels) {
        wgsl.line(format_args!("    var sum_{pixel}_{channel} = 0.0;"));
    }
    wgsl.line(format_args!(
        "    for (var ky = 0u; ky < p.k_h; ky++) {{
        let iy = input_row(at.oy, ky);
        let row = first + nearest(iy, p.in_h) * p.in_w;
        for (var kx = 0u; kx < p.k_w; kx += {taps}u) {{"
    ));
    for column in 0..columns {
        let ix = match taps {
            1 => format!("input_column(at.ox + {column}u, kx)"),
            _ => format!("i32(at.ox + {column}u + kx) - p.pad_left"),
        };
        wgsl.line(format_args!(
            "            let ix_{column} = {ix};
            let inside_{column} = inside(iy, p.in_h) && inside(ix_{column}, p.in_w);
            let at_{column} = row + nearest(ix_{column}, p.in_w);"
        ));
    }
    wgsl.line(format_args!("            for (var ic = 0u; ic < in_blocks; ic++) {{"));
    for column in 0..columns {
        wgsl.line(format_args!(
            "                let in_{column} = select(vec4<f32>(), from_memory(input[at_{column} + ic * plane]), inside_{column});"
        ));
    }
    multiply_add(&mut wgsl, tile);
    wgsl.line(format_args!("                weight_at += {loaded}u;\n            }}\n        }}\n    }}"));
    let fours = channels / CHANNELS;
    store_strip(&mut wgsl, pixels, fours, &format!("p.first_c / 4u + block * {fours}u"));
    wgsl.line(format_args!("}}"));
    wgsl.into_string()
}

/// Loads weights and adds what they and the inputs `in_<column>` make to the sums.
pub(super) fn multiply_add(wgsl: &mut Text, tile: &Tile) {
    let Tile { taps, pixels, channels } = *tile;
    for part in 0..tile.packed_taps() * channels / LANES {
        wgsl.line(format_args!(
            "                let weights_{part} = from_memory(weights[weight_at + {}u]);",
            part * LANES
        ));
    }
    // All products of one channel before the next: its sums stay in registers, inputs come from the first cache.
    for channel in 0..channels {
        for (tap, component) in (0..taps).flat_map(|tap| "xyzw".chars().map(move |component| (tap, component))) {
            let at = tap * channels + channel;
            let (part, lane) = (at / LANES, at % LANES);
            let weight = format!("w_{channel}_{tap}_{component}");
            wgsl.line(format_args!(
                "                let {weight} = subgroupBroadcast(weights_{part}.{component}, {lane}u);"
            ));
            for pixel in 0..pixels {
                let column = pixel + tap;
                wgsl.line(format_args!("                sum_{pixel}_{channel} += {weight} * in_{column}.{component};"));
            }
        }
    }
}

/// A strip of pixels an invocation, weights by broadcast.
pub static CONV_SUBGROUP: Kernel = Kernel {
    name: "conv_subgroup",
    source: include_str!("../../../shaders/conv_subgroup.wgsl"),
    includes: &parts::INCLUDES_STRIPS,
    params: super::ConvParams::FIELDS,
    combinations,
};

/// Every epilogue on every tile: a smaller tile costs more than an activation fused into it saves. Only the usual ones pool in
/// place, and without a residual.
fn combinations() -> Vec<Vec<Part>> {
    let of_tile = |tile: &'static Tile| {
        let each = parts::by_four_combinations().into_iter().map(|parts| {
            let parts = if tile.serves_any_residual() { parts::with_any_residual(&parts) } else { parts };
            [parts, vec![parts::STRIPS_EACH, tile.part()]].concat()
        });
        let pooled = parts::pooled_by_four_combinations().into_iter().filter(|_| tile.pools());
        each.chain(pooled.map(|parts| [parts, vec![parts::STRIPS_POOLED, tile.part()]].concat()))
    };
    parts::distinct(TILES.iter().flat_map(of_tile))
}
