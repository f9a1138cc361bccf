//! `conv_winograd`: 3x3 filters at a stride of 1 with a quarter of the multiply-adds, as products of transformed tiles.
//!
//! Three dispatches: tiles of the image are transformed, multiplied by transformed filters point by point, which is a pointwise
//! convolution of 36 groups by the kernel that suits the device, and transformed back under the whole epilogue. Large images go
//! through them a chunk of tiles at a time, so that what lies in between stays small.

mod transform;

use super::by_four::{self, Bound};
use super::choice::{Candidate, Pooling, Problem, VEC4_LOAD};
use super::{ConvParams, ConvShape, gemm, subgroup};
use crate::bound::Summation;
use crate::kernels::{Kernel, Part};
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, Rounding, Sums, parts, slot};
use crate::ops::finish::Finish;
use crate::ops::window::Window;
use crate::part;
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Folded, Limits, Lowering, View};
use crate::tensor::row_major_slice;
use rayon::prelude::*;

/// Results of a tile along an axis.
pub(super) const TILE: usize = 4;
/// Products for each pair of channels of a tile.
const POINTS: usize = 36;
/// Output channels of the products are padded to a multiple of this, which some tile of each of the products' kernels divides.
const PADDED: usize = 16;
/// Tiles that go through the dispatches at a time, about: as many as keep two cores' caches or a GPU busy.
const CHUNK: usize = 512;

/// What computes the products.
#[derive(Debug, Clone, Copy)]
enum Products {
    Subgroup(subgroup::Tile),
    Gemm(gemm::Tiling),
}

impl Products {
    fn of(shape: &ConvShape, limits: &Limits) -> Option<Self> {
        if limits.software && limits.subgroup_lanes as usize == subgroup::LANES {
            return subgroup::cheapest_tile(shape, limits).map(Products::Subgroup);
        }
        gemm::cheapest_tiling(shape, limits).map(Products::Gemm)
    }

    fn name(&self) -> String {
        match self {
            Products::Subgroup(tile) => tile.part().name.to_string(),
            Products::Gemm(tiling) => tiling.name(),
        }
    }

    fn pack(&self, node: &mut Lowering<'_>, shape: &ConvShape, filters: Vec<f32>) -> OpResult<View> {
        let nothing = vec![0.0; shape.out_c];
        let folded = Folded { weights: filters, bias: nothing.clone(), slope: nothing };
        match self {
            Products::Subgroup(tile) => subgroup::pack(node, shape, &folded, 0..shape.out_c, *tile),
            Products::Gemm(tiling) => gemm::pack(node, shape, &folded, 0..shape.out_c, *tiling),
        }
    }

    fn multiply(&self, node: &mut Lowering<'_>, shape: &ConvShape, packed: View, bound: &Bound) -> OpResult<()> {
        match self {
            Products::Subgroup(tile) => subgroup::multiply(node, shape, *tile, packed, bound),
            Products::Gemm(tiling) => gemm::multiply(node, shape, *tiling, packed, bound),
        }
    }
}

/// The products of so many tiles as a convolution.
fn products(shape: &ConvShape, tiles: usize) -> ConvShape {
    ConvShape {
        batch: 1,
        in_c: POINTS * shape.in_c.next_multiple_of(CHANNELS),
        image: [1, tiles],
        out_c: POINTS * shape.out_c.next_multiple_of(PADDED),
        out: [1, tiles],
        groups: POINTS,
        window: Window::pointwise(),
    }
}

/// Tiles that cover the results.
fn tiles(shape: &ConvShape) -> usize {
    shape.batch * shape.out[0].div_ceil(TILE) * shape.out[1].div_ceil(TILE)
}

/// Tiles of each chunk but the last.
fn chunk(shape: &ConvShape) -> usize {
    let tiles = tiles(shape);
    tiles.div_ceil(tiles.div_ceil(CHUNK).max(1))
}

/// How its sums round; see [`crate::bound`].
pub(super) fn rounding(shape: &ConvShape) -> Rounding<impl Sums> {
    let shape = *shape;
    let each = shape.in_c + 21;
    // What is flushed at any of 36 points passes through matrices whose rows' absolute values sum to less than 8, on both
    // sides, with up to 36 additions.
    let flushes = (POINTS * each) << 12;
    let magnitudes = move |image: &[f64], filters: &[f64], finish: &Finish<'_, f64>| {
        transform::magnitudes(&shape, image, filters, finish)
    };
    Rounding { each, flushes, magnitudes }
}

/// Not beside a tile of `conv_subgroup` that needs less than 1.25 of its time by estimate, nor on devices where nobody has
/// measured it. On lavapipe the estimates were held against the measured shapes (`benches/RESULTS.md`).
pub(super) fn pays(problem: &Problem<'_>) -> Result<(), String> {
    const WORTH_MORE_DISPATCHES: f64 = 1.25;
    let Problem { shape, limits, .. } = problem;
    if !limits.software || limits.subgroup_lanes as usize != subgroup::LANES {
        let lanes = subgroup::LANES;
        return Err(format!("it is for software adapters with subgroups of {lanes} until it is measured on others"));
    }
    let (Some(ours), Some(plain)) = (cost(shape, limits), subgroup::cheapest_tile(shape, limits)) else {
        return Ok(());
    };
    let products = (shape.output().iter().product::<usize>() * shape.terms()) as f64;
    let gain = plain.cost(shape) * products / ours;
    if gain > WORTH_MORE_DISPATCHES { Ok(()) } else { Err(format!("it is {gain:.2} times as fast by estimate")) }
}

/// An estimate in multiply-adds of a software adapter: what the products cost, and the loads and stores of the transforms.
fn cost(shape: &ConvShape, limits: &Limits) -> Option<f64> {
    /// A vec4 that is stored; on lavapipe about twice what one costs that is loaded.
    const VEC4_STORE: f64 = 2.0 * VEC4_LOAD;
    let tiles = tiles(shape);
    let products = products(shape, tiles);
    let multiplied = (tiles * products.in_c / POINTS * products.out_c) as f64;
    let [read, made] = [shape.in_c, shape.out_c].map(|c| (tiles * c.div_ceil(CHANNELS)) as f64);
    let loads = POINTS as f64 * (read + made);
    let stores = loads + (TILE * TILE) as f64 * made;
    let tile = subgroup::cheapest_tile(&products, limits)?;
    Some(tile.cost(&products) * multiplied + VEC4_LOAD * loads + VEC4_STORE * stores)
}

/// It is for 3x3 filters at a stride of 1, in one group, whose transformed form fits one binding.
pub(super) fn candidates(problem: &Problem<'_>) -> Result<Vec<Candidate>, String> {
    let Problem { shape, limits, .. } = problem;
    let square = Window { kernel: [3, 3], pads: shape.window.pads, ..Window::pointwise() };
    if shape.window != square || shape.groups > 1 {
        return Err("it is for 3x3 filters at a stride and a dilation of 1 in one group".to_string());
    }
    if limits.plain_sums {
        return Err("sums of the products themselves are wanted".to_string());
    }
    if shape.is_empty() {
        return Err("there is nothing to compute".to_string());
    }
    let of_chunk = products(shape, chunk(shape));
    let row = by_four::padded_row(&of_chunk).max(chunk(shape));
    if limits.filters_per_binding(row) < of_chunk.out_c.max(of_chunk.in_c) {
        return Err("the transformed filters or tiles exceed a binding".to_string());
    }
    let Some(products) = Products::of(&of_chunk, limits) else {
        return Err("no kernel fits its products".to_string());
    };
    let candidate = |pooling: Pooling, computed: ConvShape, cost: f64| {
        let name = pooling.named(format!("{} {}", CONV_WINOGRAD.name, products.name()));
        Candidate::new(name, cost, pooling, move |node, shape, epilogue| {
            lower(node, [shape, &computed], epilogue, products, pooling)
        })
    };
    let mut candidates = vec![candidate(Pooling::Behind, **shape, 1.0 + problem.pool_behind())];
    if let Some(quartered) = problem.quartered() {
        let cost = tiles(&quartered) as f64 / tiles(shape) as f64;
        candidates.push(candidate(Pooling::InPlace, quartered, cost));
    }
    Ok(candidates)
}

/// Appends the dispatches. Tiles cover the second shape: pixels that no window of the pool sees may be left out.
fn lower(
    node: &mut Lowering<'_>,
    [shape, computed]: [&ConvShape; 2],
    epilogue: &Epilogue,
    of_tiles: Products,
    pooling: Pooling,
) -> OpResult<()> {
    node.sums_by(Summation::Winograd);
    by_four::with_pool(node, shape, epilogue, Layout::ByFour, pooling, |node, bound| {
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        let (tiles, chunk) = (tiles(computed), chunk(computed));
        let of_chunk = products(shape, chunk);
        let packed = of_tiles.pack(node, &of_chunk, transformed(shape, &of_chunk, &folded.weights))?;
        let mut per_channel = Vec::new();
        folded.append_per_channel(&mut per_channel, 0..shape.out_c, CHANNELS);
        let per_channel = node.constant_buffer("bias, slope", per_channel)?;
        let transformed = node.scratch("transformed tiles", of_chunk.in_c * chunk)?;
        let multiplied = node.scratch("products", of_chunk.out_c * chunk)?;
        let any = (pooling == Pooling::Behind).then(|| bound.with_any_residual());
        let bound = any.as_ref().unwrap_or(bound);
        let store = if pooling == Pooling::InPlace { POOLED } else { EACH };
        let parts = [&bound.parts[..], &[store]].concat();
        let mut inputs = bound.inputs(per_channel);
        inputs[0] = multiplied;
        let padded = shape.out_c.next_multiple_of(CHANNELS);
        for first in (0..tiles).step_by(chunk) {
            let count = chunk.min(tiles - first);
            let of_these = |shape| {
                let params = bound.params(shape, epilogue, 0..shape.out_c, 0, padded);
                ConvParams { ic_begin: first as u32, ic_end: count as u32, ..params }
            };
            let invocations = count * shape.in_c.div_ceil(CHANNELS);
            node.dispatch(
                &WINOGRAD_TILES,
                vec![],
                invocations as u32,
                of_these(computed),
                transformed,
                &[bound.input],
            )?;
            of_tiles.multiply(node, &products(shape, count), packed, &Bound::plain(transformed, multiplied))?;
            let params = ConvParams { in_c: (of_chunk.out_c / POINTS) as u32, ..of_these(shape) };
            let invocations = count * shape.out_c.div_ceil(CHANNELS);
            node.dispatch(&CONV_WINOGRAD, parts.clone(), invocations as u32, params, bound.output, &inputs)?;
        }
        Ok(())
    })
}

/// `[point][oc][ic]`, rounded once from f64, zeros behind the last channels.
fn transformed(shape: &ConvShape, products: &ConvShape, filters: &[f32]) -> Vec<f32> {
    let [in_c, out_c] = [products.in_c, products.out_c].map(|channels| channels / POINTS);
    let of_channel = |filters: &[f32]| {
        let mut points = vec![0.0; POINTS * in_c];
        for (ic, taps) in filters.chunks_exact(9).enumerate() {
            for (point, value) in transform::filter(|tap| f64::from(taps[tap])).into_iter().enumerate() {
                points[point * in_c + ic] = value as f32;
            }
        }
        points
    };
    let channels: Vec<Vec<f32>> = filters.par_chunks_exact(shape.in_c * 9).map(of_channel).collect();
    let mut transformed = Vec::with_capacity(POINTS * in_c * out_c);
    for point in 0..POINTS {
        channels.iter().for_each(|points| transformed.extend(&points[point * in_c..][..in_c]));
        transformed.resize((point + 1) * in_c * out_c, 0.0);
    }
    transformed
}

/// Tiles of the image.
pub static WINOGRAD_TILES: Kernel = Kernel {
    name: "winograd_tiles",
    source: include_str!("../../../shaders/winograd_tiles.wgsl"),
    includes: &parts::INCLUDES_TILES,
    params: ConvParams::FIELDS,
    combinations: || vec![vec![]],
};

/// Products become results.
pub static CONV_WINOGRAD: Kernel = Kernel {
    name: "conv_winograd",
    source: include_str!("../../../shaders/conv_winograd.wgsl"),
    includes: &parts::INCLUDES_BY_FOUR,
    params: ConvParams::FIELDS,
    combinations,
};

const EACH: Part = part!("shared", "winograd_each");
const POOLED: Part = part!("shared", "winograd_pooled");

/// Every epilogue; pooled in place, those of nearly all networks.
fn combinations() -> Vec<Vec<Part>> {
    let each = parts::by_four_combinations().into_iter();
    let each = each.map(|parts| [parts::with_any_residual(&parts), vec![EACH]].concat());
    let pooled = parts::pooled_by_four_combinations().into_iter().map(|parts| [parts, vec![POOLED]].concat());
    parts::distinct(each.chain(pooled))
}
