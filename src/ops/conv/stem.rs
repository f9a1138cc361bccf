//! `conv_stem`: the first layer of a network, with the pool behind it, for adapters whose loads cost far more than their
//! arithmetic.

mod tile;

use super::choice::{Candidate, Pooling, Problem, VEC4_LOAD};
use super::subgroup::LANES;
use super::text::grid;
use super::{ConvParams, ConvShape, by_four};
use crate::kernels::{Kernel, Part};
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::ops::window::{Pads, Window};
use crate::ops::{Activation, OpResult, PoolKind};
use crate::part;
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Folded, Lowering, View};
use crate::tensor::row_major_slice;
use tile::{FOR_ALL, MOST_ROWS, OWN_CHANNELS, TILES, Tile, WINDOWS};

/// Input channels that are few: with four, `conv_subgroup` pads none.
const FEW: usize = 3;

/// What a load of a number costs in units of a multiply-add.
const LOAD: f64 = VEC4_LOAD / CHANNELS as f64;

impl Tile {
    fn fits(&self, Problem { shape, epilogue, limits, .. }: &Problem<'_>) -> bool {
        let Window { kernel, stride, dilation, .. } = shape.window;
        let whole = if self.walks { kernel[1] == self.taps } else { kernel[1] > 1 };
        let usual = parts::is_usual(&parts::by_four(&epilogue.activation, false));
        whole
            && [self.stride, 1] == [stride[1], dilation[1]]
            && (usual || *self == FOR_ALL)
            && self.loop_iterations(shape) <= u64::from(limits.max_loop_iterations)
            && limits.filters_per_binding(self.terms(shape) + 2) >= shape.out_c.next_multiple_of(OWN_CHANNELS)
    }

    /// Weights of an output channel, with the zeros behind the last tap.
    fn terms(&self, shape: &ConvShape) -> usize {
        shape.in_c * shape.window.kernel[0] * self.steps(shape) * self.taps
    }

    /// Invocations that cover so many rows and columns of pixels, or, where they walk down, of windows; and the rows that each
    /// of them computes.
    fn invocations(&self, batch: usize, [rows, columns]: [usize; 2]) -> [usize; 2] {
        if !self.walks {
            return [batch * rows * columns.div_ceil(self.pixels()), 1];
        }
        let each = rows.div_ceil(rows.div_ceil(MOST_ROWS));
        [batch * rows.div_ceil(each) * columns.div_ceil(WINDOWS), 2 * each + 1]
    }

    /// What a product of the unpooled result costs with its share of the loads and of what is computed twice or in vain, in
    /// units of a multiply-add.
    fn cost(&self, shape: &ConvShape, covered: [usize; 2]) -> f64 {
        let [invocations, rows] = self.invocations(shape.batch, covered);
        let computed = invocations.next_multiple_of(LANES) * rows * self.pixels();
        let padding = shape.out_c.next_multiple_of(OWN_CHANNELS) as f64 / shape.out_c as f64;
        let stored = (shape.batch * shape.out[0] * shape.out[1]) as f64;
        let loads = self.columns() + (self.taps * OWN_CHANNELS).div_ceil(LANES);
        let products = self.taps * self.pixels() * OWN_CHANNELS;
        let in_vain = (self.steps(shape) * self.taps) as f64 / shape.window.kernel[1] as f64;
        padding * in_vain * computed as f64 / stored * (1.0 + LOAD * loads as f64 / products as f64)
    }

    /// Steps in which a row of the filter is taken.
    fn steps(&self, shape: &ConvShape) -> usize {
        shape.window.kernel[1].div_ceil(self.taps)
    }

    /// Loop iterations of one invocation.
    fn loop_iterations(&self, shape: &ConvShape) -> u64 {
        let rows = if self.walks { 2 * MOST_ROWS + 1 } else { 1 };
        let step = 1 + shape.window.kernel[0] * (1 + shape.in_c);
        (rows * (1 + self.steps(shape) * step + OWN_CHANNELS / CHANNELS)) as u64
    }
}

/// Rows and columns of windows that a walk down covers: of maxima over 3x3 at a stride of 2, each window's middle inside the
/// image, and an activation that keeps what is larger.
fn windows(problem: &Problem<'_>) -> Option<[usize; 2]> {
    let window = Window { kernel: [3, 3], stride: [2, 2], ..Window::pointwise() };
    let pool = problem.epilogue.pool.as_ref()?;
    let Pads { top, left, .. } = pool.window.pads;
    let [_, _, rows, columns] = pool.output_shape(problem.shape.output()).ok()?;
    let (before, pooled) = ([top, left], [rows, columns]);
    let fits = pool.kind == PoolKind::Max
        && Window { pads: Pads::default(), ..pool.window } == window
        && (0..2).all(|axis| before[axis] <= 1 && 2 * pooled[axis] - 1 < problem.shape.out[axis] + before[axis])
        && match problem.epilogue.activation {
            Activation::Identity | Activation::Relu | Activation::Clip { .. } => true,
            Activation::LeakyRelu { alpha } => alpha >= 0.0,
            _ => false,
        };
    fits.then_some(pooled)
}

/// The tiles that fit, each with its cost.
pub(super) fn candidates(problem: &Problem<'_>) -> Result<Vec<Candidate>, String> {
    let Problem { shape, limits, .. } = problem;
    if limits.subgroup_lanes as usize != LANES {
        return Err(format!("subgroups are not of {LANES} invocations"));
    }
    if shape.in_c > FEW || shape.groups > 1 {
        return Err(format!("{} input channels are not few", shape.in_c));
    }
    if problem.residual {
        return Err("a residual is added".to_string());
    }
    let candidate = |tile: Tile, pooling: Pooling, covered: [usize; 2], behind: f64| {
        let name = format!("{} {}", CONV_STEM.name, tile.part().name);
        let name = if tile.walks { name } else { pooling.named(name) };
        Candidate::new(name, tile.cost(shape, covered) + behind, pooling, move |node, shape, epilogue| {
            lower(node, shape, epilogue, tile, pooling, covered)
        })
    };
    let (quartered, windows) = (problem.quartered(), windows(problem));
    let mut candidates = Vec::new();
    for &tile in TILES.iter().filter(|tile| tile.fits(problem)) {
        if tile.walks {
            candidates.extend(windows.map(|windows| candidate(tile, Pooling::InPlace, windows, 0.0)));
        } else {
            candidates.push(candidate(tile, Pooling::Behind, shape.out, problem.pool_behind()));
            candidates.extend(quartered.map(|covered| candidate(tile, Pooling::InPlace, covered.out, 0.0)));
        }
    }
    if candidates.is_empty() { Err("no tile fits its filters and its epilogue".to_string()) } else { Ok(candidates) }
}

/// Appends the dispatch, which covers so many rows and columns, and one for a pool that is not in it.
fn lower(
    node: &mut Lowering<'_>,
    shape: &ConvShape,
    epilogue: &Epilogue,
    tile: Tile,
    pooling: Pooling,
    covered: [usize; 2],
) -> OpResult<()> {
    by_four::with_pool(node, shape, epilogue, Layout::Plain, pooling, |node, bound| {
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        let packed = pack(node, shape, &folded, tile)?;
        let padded = shape.out_c.next_multiple_of(OWN_CHANNELS);
        let params = bound.params(shape, epilogue, 0..shape.out_c, tile.terms(shape) * padded, padded);
        let store = match pooling {
            _ if tile.walks => WINDOWS_DOWN,
            Pooling::InPlace => parts::STRIPS_POOLED,
            Pooling::Behind => parts::STRIPS_EACH,
        };
        let parts = [&bound.parts[..], &[store, tile.part()]].concat();
        let [invocations, _] = tile.invocations(shape.batch, covered);
        let groups = invocations.div_ceil(LANES) * padded / OWN_CHANNELS;
        node.dispatch_groups(&CONV_STEM, parts, groups as u32, params, bound.output, &bound.inputs(packed))
    })
}

/// Filters in the order in which a tile reads them, `[block][kx / taps][ky][ic][kx % taps][16 oc]`, then biases and slopes; zeros
/// behind the last tap and the last channel.
fn pack(node: &mut Lowering<'_>, shape: &ConvShape, folded: &Folded, tile: Tile) -> OpResult<View> {
    let [k_h, k_w] = shape.window.kernel;
    let mut packed = Vec::new();
    for (block, step) in grid(shape.out_c.div_ceil(OWN_CHANNELS), tile.steps(shape)) {
        for (ky, ic) in grid(k_h, shape.in_c) {
            for (tap, oc) in grid(tile.taps, OWN_CHANNELS) {
                let (kx, oc) = (step * tile.taps + tap, block * OWN_CHANNELS + oc);
                let within = kx < k_w && oc < shape.out_c;
                let at = ((oc * shape.in_c + ic) * k_h + ky) * k_w + kx;
                packed.push(if within { folded.weights[at] } else { 0.0 });
            }
        }
    }
    folded.append_per_channel(&mut packed, 0..shape.out_c, OWN_CHANNELS);
    node.constant_buffer("weights, bias, slope", packed)
}

/// A strip of pixels an invocation, few input channels, weights by broadcast.
pub static CONV_STEM: Kernel = Kernel {
    name: "conv_stem",
    source: include_str!("../../../shaders/conv_stem.wgsl"),
    includes: &parts::INCLUDES_STEM,
    params: ConvParams::FIELDS,
    combinations,
};

const WINDOWS_DOWN: Part = part!("shared", "windows_down");

/// Every epilogue on one tile, on the others those of nearly all networks; no residual.
fn combinations() -> Vec<Vec<Part>> {
    let of_tile = |tile: &'static Tile| {
        let own = tile.part();
        let pooled = parts::pooled_by_four_combinations().into_iter();
        let with = |store: Part| move |parts: Vec<Part>| [parts, vec![store, own]].concat();
        if tile.walks {
            // Only maxima.
            return pooled.take(1).map(with(WINDOWS_DOWN)).collect::<Vec<_>>();
        }
        let each = parts::without_residual().into_iter();
        let each = each.filter(|parts| *tile == FOR_ALL || parts::is_usual(parts)).map(with(parts::STRIPS_EACH));
        each.chain(pooled.map(with(parts::STRIPS_POOLED))).collect()
    };
    TILES.iter().flat_map(of_tile).collect()
}
