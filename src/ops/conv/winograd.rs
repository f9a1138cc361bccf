//! `conv_winograd`: 3x3 filters at a stride of 1 with a quarter of the multiply-adds, as products of transformed tiles.
//!
//! Tiles of the image are transformed, multiplied by transformed filters point by point, and transformed back under the whole
//! epilogue. On software adapters that is one dispatch ([`strips`]); elsewhere three, whose products are those of a pointwise
//! convolution of 36 groups by `conv_gemm` ([`steps`]).

mod steps;
mod strips;
mod transform;

pub use steps::{WINOGRAD_RESULTS, WINOGRAD_TILES};
pub use strips::CONV_WINOGRAD;

use super::by_four::Bound;
use super::choice::{Candidate, Pooling, Problem};
use super::{ConvShape, gemm, subgroup};
use crate::kernels::Part;
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, Rounding, Sums, parts};
use crate::ops::finish::Finish;
use crate::ops::window::Window;
use crate::part;
use crate::plan::layout::CHANNELS;
use crate::plan::{Limits, Lowering};
use rayon::prelude::*;

/// Results of a tile along an axis.
pub(super) const TILE: usize = 4;
/// Products for each pair of channels of a tile.
const POINTS: usize = 36;

/// How a tile's results are stored.
const EACH: Part = part!("shared", "winograd_each");
const POOLED: Part = part!("shared", "winograd_pooled");

/// The parts and bindings of the results: one pipeline runs with and without a residual, pooled in place without.
fn of_results(bound: &Bound, pooling: Pooling) -> Bound {
    let (mut bound, store) = match pooling {
        Pooling::Behind => (bound.with_any_residual(), EACH),
        Pooling::InPlace => (bound.clone(), POOLED),
    };
    bound.parts.push(store);
    bound
}

/// Every epilogue, each with these parts; pooled in place, those of nearly all networks.
fn combinations(with: &[Part]) -> Vec<Vec<Part>> {
    let each = parts::by_four_combinations().into_iter();
    let each = each.map(|parts| [&parts::with_any_residual(&parts)[..], &[EACH], with].concat());
    let pooled = parts::pooled_by_four_combinations().into_iter().map(|parts| [&parts[..], &[POOLED], with].concat());
    parts::distinct(each.chain(pooled))
}

/// The way through the transforms and the products.
#[derive(Debug, Clone, Copy)]
enum Form {
    Strips(strips::Grid),
    Steps(gemm::Tiling),
}

impl Form {
    /// The one for this device, where the convolution fits it.
    fn of(shape: &ConvShape, limits: &Limits) -> Result<Self, String> {
        if is_measured(limits) {
            return strips::Grid::of(shape, limits).map(Form::Strips);
        }
        steps::tiling(shape, limits).map(Form::Steps)
    }

    fn name(&self) -> String {
        match self {
            Form::Strips(_) => format!("{} {}", CONV_WINOGRAD.name, strips::MAIN.name),
            Form::Steps(tiling) => format!("{} {}", CONV_WINOGRAD.name, tiling.name()),
        }
    }

    /// Appends the dispatches. Tiles cover the second shape: pixels that no window of the pool sees may be left out.
    fn lower(
        &self,
        node: &mut Lowering<'_>,
        shapes: [&ConvShape; 2],
        epilogue: &Epilogue,
        pooling: Pooling,
    ) -> OpResult<()> {
        match self {
            Form::Strips(grid) => strips::lower(node, shapes, epilogue, *grid, pooling),
            Form::Steps(tiling) => steps::lower(node, shapes, epilogue, *tiling, pooling),
        }
    }
}

/// Whether it was measured on devices like this one: software, with subgroups of 8.
fn is_measured(limits: &Limits) -> bool {
    limits.software && limits.subgroup_lanes as usize == subgroup::LANES
}

/// The products of so many tiles as a convolution, output channels padded to a multiple.
fn products(shape: &ConvShape, tiles: usize, padded: usize) -> ConvShape {
    ConvShape {
        batch: 1,
        in_c: POINTS * shape.in_c.next_multiple_of(CHANNELS),
        image: [1, tiles],
        out_c: POINTS * shape.out_c.next_multiple_of(padded),
        out: [1, tiles],
        groups: POINTS,
        window: Window::pointwise(),
    }
}

/// Tiles that cover the results.
fn tiles(shape: &ConvShape) -> usize {
    shape.batch * shape.out[0].div_ceil(TILE) * shape.out[1].div_ceil(TILE)
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

/// Not beside a tile of `conv_subgroup` that needs less than 1.25 of its time by estimate, since its weights are four times
/// as many, or less than about half a millisecond more, since it takes 0.7 s to compile; nor on devices where nobody has
/// measured it. On lavapipe the estimates were held against the measured shapes (`benches/RESULTS.md`).
pub(super) fn pays(problem: &Problem<'_>) -> Result<(), String> {
    const WORTH_ITS_WEIGHTS: f64 = 1.25;
    const WORTH_A_PIPELINE: f64 = 20e6;
    let Problem { shape, limits, .. } = problem;
    if !is_measured(limits) {
        let lanes = subgroup::LANES;
        return Err(format!("it is for software adapters with subgroups of {lanes} until it is measured on others"));
    }
    let (Ok(grid), Some(plain)) = (strips::Grid::of(shape, limits), subgroup::cheapest_tile(shape, limits)) else {
        return Ok(());
    };
    let products = (shape.output().iter().product::<usize>() * shape.terms()) as f64;
    let (ours, plain) = (grid.cost(shape), plain.cost(shape) * products);
    let (gain, saved) = (plain / ours, plain - ours);
    if gain <= WORTH_ITS_WEIGHTS {
        return Err(format!("it is {gain:.2} times as fast by estimate"));
    }
    if saved < WORTH_A_PIPELINE {
        return Err(format!("it saves the time of {:.0} million multiply-adds by estimate", saved / 1e6));
    }
    Ok(())
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
    let candidate = |pooling: Pooling, computed: ConvShape, cost: f64| -> Result<Candidate, String> {
        let form = Form::of(&computed, limits)?;
        Ok(Candidate::new(pooling.named(form.name()), cost, pooling, move |node, shape, epilogue| {
            form.lower(node, [shape, &computed], epilogue, pooling)
        }))
    };
    let mut candidates = vec![candidate(Pooling::Behind, **shape, 1.0 + problem.pool_behind())?];
    if let Some(quartered) = problem.quartered() {
        let cost = tiles(&quartered) as f64 / tiles(shape) as f64;
        candidates.push(candidate(Pooling::InPlace, quartered, cost)?);
    }
    Ok(candidates)
}

/// `[point][oc][ic]` for products of these channels, rounded once from f64, zeros behind the last channels.
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
