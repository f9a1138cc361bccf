//! `conv_winograd` in one dispatch: an invocation takes tiles of its own from pixels to results.
//!
//! What lies in between waits in scratch memory that only this invocation sees, so that nothing is synchronised. There are as
//! many workgroups as threads, each of which takes one unit of work after another through the same scratch memory: it stays in
//! the thread's cache, where points that were stored by one dispatch for another were most of the time in neither.

use super::super::by_four;
use super::super::choice::{Pooling, VEC4_LOAD};
use super::super::subgroup::{self, LANES, Tile};
use super::super::text::{Text, chosen, grid};
use super::super::{ConvParams, ConvShape};
use super::{POINTS, TILE, of_results, products, tiles, transformed};
use crate::bound::Summation;
use crate::kernels::{Kernel, Part};
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Limits, Lowering};
use crate::tensor::row_major_slice;
use std::sync::LazyLock;

/// Tiles of an invocation, and the output channels that it takes at a time.
const STRIP: Tile = Tile { taps: 1, pixels: 4, channels: 32 };
/// Tiles of a workgroup.
const TOGETHER: usize = STRIP.pixels * LANES;

/// How the work is shared. A slot is a workgroup, and the scratch memory of one. As many strips of tiles as all slots can have alike
/// are a unit of work each; those behind them are shared by `splits` units, each with every `splits`th block of output channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    strips: usize,
    splits: usize,
    slots: usize,
    threads: usize,
}

impl Grid {
    /// The one that is done soonest by estimate, where its scratch memory, loops and weights fit the device.
    pub(super) fn of(shape: &ConvShape, limits: &Limits) -> Result<Self, String> {
        let filters = products(shape, TOGETHER, STRIP.channels);
        if limits.filters_per_binding(by_four::padded_row(&filters)) < filters.out_c {
            return Err("the transformed filters exceed a binding".to_string());
        }
        let fitting = (1..=blocks(shape)).filter_map(|splits| Grid::split(shape, limits, splits));
        let soonest = fitting.min_by(|a, b| a.cost(shape).total_cmp(&b.cost(shape)));
        soonest.ok_or_else(|| "its loops or its scratch memory exceed a limit".to_string())
    }

    /// With as few slots as keep every thread busy and an invocation's loops within the limit.
    fn split(shape: &ConvShape, limits: &Limits, splits: usize) -> Option<Self> {
        let strips = tiles(shape).div_ceil(TOGETHER);
        let threads = limits.threads.max(1) as usize;
        let most = (strips * splits).min(limits.filters_per_binding(scratch_row(shape)));
        let with = |slots| Grid { strips, splits, slots, threads };
        let fits = |grid: &Grid| grid.loop_iterations(shape) <= limits.max_loop_iterations as usize;
        (threads.min(most).max(1)..=most).step_by(threads).map(with).find(fits)
    }

    /// Strips that are a unit each.
    fn whole(&self) -> usize {
        self.strips / self.slots * self.slots
    }

    /// Units of a slot: whole strips, and parts of strips.
    fn units(&self) -> [usize; 2] {
        let whole = self.whole();
        [whole / self.slots, ((self.strips - whole) * self.splits).div_ceil(self.slots)]
    }

    /// Of one invocation.
    fn loop_iterations(&self, shape: &ConvShape) -> usize {
        let [whole, parts] = self.units();
        whole * loop_iterations(shape, 1) + parts * loop_iterations(shape, self.splits)
    }

    /// An estimate in multiply-adds of a software adapter, those of threads that wait for the last one included.
    pub(super) fn cost(&self, shape: &ConvShape) -> f64 {
        let [whole, parts] = self.units();
        let covered = self.whole() * TOGETHER;
        let tiles = tiles(shape);
        let share = |tiles: usize, strips: usize| tiles as f64 / (strips * TOGETHER).max(1) as f64;
        let whole = whole as f64 * unit_cost(shape, share(covered.min(tiles), self.whole()), 1);
        let rest = share(tiles.saturating_sub(covered), self.strips - self.whole());
        let parts = parts as f64 * unit_cost(shape, rest, self.splits);
        (whole + parts) * (self.slots.next_multiple_of(self.threads) * LANES) as f64
    }
}

/// What a lane does for a strip of which this share are tiles that exist, and for every `splits`th block of output channels.
fn unit_cost(shape: &ConvShape, share: f64, splits: usize) -> f64 {
    /// A vec4 that is stored, of those that lie in a cache.
    const VEC4_STORE: f64 = 1.3 * VEC4_LOAD;
    let points = POINTS as f64;
    let in_blocks = shape.in_c.div_ceil(CHANNELS) as f64;
    let out_blocks = blocks(shape).div_ceil(splits) as f64;
    let fours = (STRIP.channels / CHANNELS) as f64;
    let [pixels, channels] = [STRIP.pixels, STRIP.channels].map(|size| size as f64);
    // All tiles of a strip are multiplied; those that do not exist are not transformed.
    let tiles = pixels * share;
    let transform = tiles * points * (VEC4_LOAD + VEC4_STORE);
    let loads = pixels + channels / LANES as f64;
    let multiply = points * (CHANNELS as f64 * pixels * channels + VEC4_LOAD * loads);
    let results = tiles * (points * VEC4_LOAD + (TILE * TILE) as f64 * VEC4_STORE) + pixels * points * VEC4_STORE;
    in_blocks * transform + out_blocks * (in_blocks * multiply + fours * results)
}

/// Blocks of output channels.
fn blocks(shape: &ConvShape) -> usize {
    shape.out_c.div_ceil(STRIP.channels)
}

/// Numbers of a slot's scratch memory: points of all input channels, products of one block of output channels.
fn scratch_row(shape: &ConvShape) -> usize {
    POINTS * (shape.in_c.next_multiple_of(CHANNELS) + STRIP.channels) * TOGETHER
}

/// Loop iterations of one invocation for a unit.
fn loop_iterations(shape: &ConvShape, splits: usize) -> usize {
    /// Of the loops over columns.
    const TURNS: usize = 6;
    let in_blocks = shape.in_c.div_ceil(CHANNELS);
    let fours = STRIP.channels / CHANNELS;
    let of_block = 1 + POINTS * (1 + in_blocks + fours) + STRIP.pixels * fours * (1 + TURNS);
    1 + in_blocks * STRIP.pixels * (1 + TURNS) + blocks(shape).div_ceil(splits) * of_block
}

/// Appends the dispatch. Tiles cover the second shape.
pub(super) fn lower(
    node: &mut Lowering<'_>,
    [shape, computed]: [&ConvShape; 2],
    epilogue: &Epilogue,
    grid: Grid,
    pooling: Pooling,
) -> OpResult<()> {
    node.sums_by(Summation::Winograd);
    by_four::with_pool(node, shape, epilogue, Layout::ByFour, pooling, |node, bound| {
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        let of_tiles = products(computed, TOGETHER, STRIP.channels);
        let filters = transformed(shape, &of_tiles, &folded.weights);
        let mut packed = subgroup::packed_weights(&of_tiles, &filters, 0..of_tiles.out_c, STRIP);
        let weights = packed.len();
        folded.append_per_channel(&mut packed, 0..shape.out_c, STRIP.channels);
        let packed = node.constant_buffer("weights, bias, slope", packed)?;
        let bound = of_results(bound, pooling);
        let parts = [&bound.parts[..], &[*MAIN]].concat();
        let padded = shape.out_c.next_multiple_of(STRIP.channels);
        let params = bound.params(shape, epilogue, 0..shape.out_c, weights, padded);
        let params = ConvParams { ic_begin: grid.slots as u32, ic_end: grid.splits as u32, ..params };
        let scratch = node.scratch("points and products", grid.slots * scratch_row(shape))?;
        node.dispatch_groups(&CONV_WINOGRAD, parts, grid.slots as u32, params, bound.output, &bound.inputs(packed))?;
        node.with_scratch(scratch);
        Ok(())
    })
}

/// Everything between pixels and results.
pub static CONV_WINOGRAD: Kernel = Kernel {
    name: "conv_winograd",
    source: include_str!("../../../../shaders/conv_winograd.wgsl"),
    includes: &parts::INCLUDES_WINOGRAD,
    params: ConvParams::FIELDS,
    combinations,
};

fn combinations() -> Vec<Vec<Part>> {
    super::combinations(&[*MAIN])
}

/// Made once a process: parts live as long as it does.
pub(super) static MAIN: LazyLock<Part> = LazyLock::new(|| Part { name: "strip_of_tiles_4x32", source: text().leak() });

/// `main`, with one variable for each sum of products.
fn text() -> String {
    let Tile { pixels, channels, .. } = STRIP;
    let fours = channels / CHANNELS;
    let mut wgsl = Text::default();
    wgsl.line(format_args!(
        "// {pixels} tiles an invocation, {channels} channels at a time.
@compute @workgroup_size({LANES})
fn main(
    @builtin(subgroup_invocation_id) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {{
    let slots = p.ic_begin;
    let splits = p.ic_end;
    let in_blocks = (p.in_c + 3u) / 4u;
    let out_blocks = (p.out_c + {last}u) / {channels}u;
    let tiles = p.count * tiles_down() * tiles_across();
    let strips = (tiles + {TOGETHER}u - 1u) / {TOGETHER}u;
    let whole = strips / slots * slots;
    let units = whole + (strips - whole) * splits;
    let slot = group_index(group, groups);
    if (slot >= slots) {{
        return;
    }}
    let points = slot * ({POINTS}u * (in_blocks + {fours}u) * {TOGETHER}u) + lane;
    let products = points + {POINTS}u * in_blocks * {TOGETHER}u;
    for (var unit = slot; unit < units; unit += slots) {{
        let part = max(unit, whole) - whole;
        let is_part = unit >= whole;
        let first = select(unit, whole + part / splits, is_part) * {TOGETHER}u;
        // The last strip may be short: neighbouring tiles belong to neighbouring invocations.
        let count = min((tiles - first + {LANES}u - 1u) / {LANES}u, {pixels}u);
        for (var i = 0u; i < in_blocks * count; i++) {{
            let tile = min(first + i % count * {LANES}u + lane, tiles - 1u);
            let at = points + i / count * {TOGETHER}u + i % count * {LANES}u;
            store_points(tile, i / count, at, in_blocks * {TOGETHER}u);
        }}
        for (var block = part % splits; block < out_blocks; block += select(1u, splits, is_part)) {{
            for (var point = 0u; point < {POINTS}u; point++) {{
                var at = points + point * in_blocks * {TOGETHER}u;
                var weight_at = (point * out_blocks + block) * in_blocks * {channels}u + lane;",
        last = channels - 1
    ));
    for (pixel, channel) in grid(pixels, channels) {
        wgsl.line(format_args!("                var sum_{pixel}_{channel} = 0.0;"));
    }
    wgsl.line(format_args!("                for (var ic = 0u; ic < in_blocks; ic++) {{"));
    for pixel in 0..pixels {
        wgsl.line(format_args!("                let in_{pixel} = from_memory(scratch[at + {}u]);", pixel * LANES));
    }
    subgroup::multiply_add(&mut wgsl, &STRIP);
    wgsl.line(format_args!(
        "                at += {TOGETHER}u;
                weight_at += {channels}u;
                }}
                for (var four = 0u; four < {fours}u; four++) {{
                    let to = products + (point * {fours}u + four) * {TOGETHER}u;"
    ));
    for pixel in 0..pixels {
        let sums = chosen(fours, |channel| format!("sum_{pixel}_{channel}"));
        wgsl.line(format_args!("                    scratch[to + {}u] = to_memory({sums});", pixel * LANES));
    }
    wgsl.line(format_args!(
        "                }}
            }}
            for (var i = 0u; i < {fours}u * count; i++) {{
                let tile = first + i % count * {LANES}u + lane;
                if (tile < tiles) {{
                    let at = products + i / count * {TOGETHER}u + i % count * {LANES}u;
                    store_results(tile, block * {fours}u + i / count, at, {fours}u * {TOGETHER}u);
                }}
            }}
        }}
    }}
}}"
    ));
    wgsl.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::window::Window;

    fn grid(channels: usize, image: usize, threads: u32) -> Grid {
        let window = Window { kernel: [3, 3], ..Window::pointwise() };
        let (out, image) = ([image; 2], [image + 2; 2]);
        let shape = ConvShape { batch: 1, in_c: channels, image, out_c: channels, out, groups: 1, window };
        Grid::of(&shape, &Limits { threads, ..Limits::default() }).unwrap()
    }

    #[test]
    fn threads_share_what_there_is() {
        // Three strips each, and half of the last one's output channels.
        let Grid { strips, splits, slots, .. } = grid(64, 56, 2);
        assert_eq!((strips, splits, slots), (7, 2, 2));
        // One strip of tiles: blocks of output channels are shared, although each thread transforms the image.
        let Grid { strips, splits, slots, .. } = grid(256, 14, 2);
        assert_eq!((strips, splits, slots), (1, 2, 2));
        assert!(grid(256, 14, 1).splits == 1 && grid(64, 56, 64).slots > 7);
    }

    #[test]
    fn an_invocation_keeps_the_limit_of_loops() {
        for (channels, image) in [(64, 448), (512, 112), (768, 28), (768, 4)] {
            let grid = grid(channels, image, 1);
            let window = Window { kernel: [3, 3], ..Window::pointwise() };
            let (out, image) = ([image; 2], [image + 2; 2]);
            let shape = ConvShape { batch: 1, in_c: channels, image, out_c: channels, out, groups: 1, window };
            let most = grid.loop_iterations(&shape);
            assert!(most <= Limits::default().max_loop_iterations as usize, "{channels}, {image:?}: {most}");
        }
    }
}
