//! The WGSL that an epilogue is linked from, and every way to combine it.

use super::{Epilogue, slot};
use crate::kernels::Part;
use crate::ops::activation::ACTIVATIONS;
use crate::ops::{Activation, OpResult, Pool, pool};
use crate::part;
use crate::plan::{Layout, Lowering, View};
use std::collections::HashSet;
use std::sync::LazyLock;

impl Epilogue {
    /// The parts that finish and store an element, and the bindings that they read after the kernel's own.
    pub(in crate::ops) fn parts(&self, node: &mut Lowering<'_>) -> OpResult<(Vec<Part>, Vec<View>)> {
        let mut parts = self.activation.parts();
        parts.push(if self.activation == Activation::PRelu { SLOPE_CHANNEL } else { SLOPE_UNIFORM });
        let residual = if node.has_input(slot::RESIDUAL) { Some(node.input(slot::RESIDUAL)?) } else { None };
        parts.push(if residual.is_some() { RESIDUAL_ADD } else { RESIDUAL_NONE });
        parts.push(self.pool.as_ref().map_or(STORE_EACH, Pool::store));
        Ok((parts, residual.into_iter().collect()))
    }

    /// The same for images that lie by four channels, without the pool: a part of its own, or a dispatch.
    pub(in crate::ops) fn by_four_parts(&self, node: &mut Lowering<'_>) -> OpResult<(Vec<Part>, Vec<View>)> {
        let residual = match node.has_input(slot::RESIDUAL) {
            true => Some(node.input_as(slot::RESIDUAL, Layout::ByFour)?),
            false => None,
        };
        Ok((by_four(&self.activation, residual.is_some()), residual.into_iter().collect()))
    }
}

/// What the convolutions' kernels are linked with: parameters, and how filters are packed.
pub(in crate::ops) const INCLUDES_EACH: [Part; 5] =
    [pool::POOL_PARAMS, pool::PLACE, CONV_PARAMS, part!("shared", "conv_plain"), part!("shared", "filters_each")];
/// The same with filters packed four channels at a time.
pub(in crate::ops) const INCLUDES_TILE: [Part; 5] = [
    pool::POOL_PARAMS,
    pool::WINDOW_PLACE,
    CONV_PARAMS,
    part!("shared", "conv_plain"),
    part!("shared", "filters_by_four"),
];
/// The same for images that lie by four channels.
pub(in crate::ops) const INCLUDES_BY_FOUR: [Part; 5] =
    [pool::POOL_PARAMS, pool::WINDOW_PLACE, CONV_PARAMS, CONV_BY_FOUR, IMAGE_BY_FOUR];
/// The same with the transforms of tiles: both, the first, the last.
pub(in crate::ops) const INCLUDES_WINOGRAD: [Part; 8] = [
    pool::POOL_PARAMS,
    pool::WINDOW_PLACE,
    CONV_PARAMS,
    CONV_BY_FOUR,
    IMAGE_BY_FOUR,
    WINOGRAD_SIX,
    TILES_TO_POINTS,
    POINTS_TO_RESULTS,
];
pub(in crate::ops) const INCLUDES_WINOGRAD_TILES: [Part; 5] =
    [pool::POOL_PARAMS, CONV_PARAMS, IMAGE_BY_FOUR, WINOGRAD_SIX, TILES_TO_POINTS];
pub(in crate::ops) const INCLUDES_WINOGRAD_RESULTS: [Part; 7] =
    [pool::POOL_PARAMS, pool::WINDOW_PLACE, CONV_PARAMS, CONV_BY_FOUR, IMAGE_BY_FOUR, WINOGRAD_SIX, POINTS_TO_RESULTS];
/// The same for strips of pixels.
pub(in crate::ops) const INCLUDES_STRIPS: [Part; 6] =
    [pool::POOL_PARAMS, pool::WINDOW_PLACE, CONV_PARAMS, CONV_BY_FOUR, IMAGE_BY_FOUR, STRIPS];
/// The same for strips of a result by four channels, of an image that lies row-major.
pub(in crate::ops) const INCLUDES_STEM: [Part; 6] =
    [pool::POOL_PARAMS, pool::WINDOW_PLACE, CONV_PARAMS, CONV_BY_FOUR, IMAGE_PLAIN, STRIPS];
const CONV_PARAMS: Part = part!("shared", "conv_params");
const CONV_BY_FOUR: Part = part!("shared", "conv_by_four");
const IMAGE_BY_FOUR: Part = part!("shared", "image_by_four");
const IMAGE_PLAIN: Part = part!("shared", "image_plain");
const STRIPS: Part = part!("shared", "strips");
const WINOGRAD_SIX: Part = part!("shared", "winograd_six");
const TILES_TO_POINTS: Part = part!("shared", "tiles_to_points");
const POINTS_TO_RESULTS: Part = part!("shared", "points_to_results");
const SLOPE_UNIFORM: Part = part!("shared", "slope_uniform");
const SLOPE_CHANNEL: Part = part!("shared", "slope_channel");
const SLOPES_UNIFORM: Part = part!("shared", "slopes_uniform");
const SLOPES_CHANNEL: Part = part!("shared", "slopes_channel");
const RESIDUALS_NONE: Part = part!("shared", "residuals_none");
const RESIDUALS_ADD: Part = part!("shared", "residuals_add");
const RESIDUALS_ANY: Part = part!("shared", "residuals_any");
const RESIDUAL_NONE: Part = part!("shared", "residual_none");
const RESIDUAL_ADD: Part = part!("shared", "residual_add");
/// Every position of the convolution is stored.
pub(in crate::ops) const STORE_EACH: Part = part!("shared", "store_each");

/// A range of input channels, but not the last one, was summed.
const STORE_PARTIAL: Part = part!("shared", "store_partial");
/// The last range of input channels was summed.
pub(in crate::ops) const STORE_REST: Part = part!("shared", "store_rest");

/// A sum that is not complete yet: nothing of the epilogue applies to it.
pub(in crate::ops) fn partial() -> Vec<Part> {
    let nothing = Activation::Identity.parts().into_iter();
    nothing.chain([SLOPE_UNIFORM, RESIDUAL_NONE, STORE_PARTIAL]).collect()
}

/// Everything an epilogue can be, and sums split over several dispatches.
pub(in crate::ops) fn splittable_combinations() -> Vec<Vec<Part>> {
    let mut all = combinations();
    let plain = all.iter().filter(|parts| parts.last().is_some_and(|part| part.name == STORE_EACH.name));
    let rests: Vec<_> = plain.map(|parts| [&parts[..parts.len() - 1], &[STORE_REST]].concat()).collect();
    all.extend(rests);
    all.push(partial());
    all
}

/// How a kernel that computes tiles stores them.
const TILE_STORE_EACH: Part = part!("shared", "tile_store_each");
const TILE_POOL: Part = part!("shared", "tile_pool");
/// How strips of pixels lie and are stored.
pub(in crate::ops) const STRIPS_EACH: Part = part!("shared", "strips_each");
pub(in crate::ops) const STRIPS_POOLED: Part = part!("shared", "strips_pooled");
/// How kernels by four channels store what they made of a window.
pub(in crate::ops) const POOLED_BY_FOUR: Part = part!("shared", "pooled_by_four");
pub(in crate::ops) const TILE_MAX: Part = part!("shared", "tile_max_pool");
pub(in crate::ops) const TILE_AVERAGE: Part = part!("shared", "tile_average_pool");

/// The same parts with the store that suits tiles.
pub(in crate::ops) fn for_tiles(mut parts: Vec<Part>) -> Vec<Part> {
    let store = parts.pop().map_or("", |part| part.name);
    if store == pool::STORE_MAX.name {
        parts.extend([TILE_POOL, TILE_MAX]);
    } else if store == pool::STORE_AVERAGE.name {
        parts.extend([TILE_POOL, TILE_AVERAGE]);
    } else {
        parts.push(TILE_STORE_EACH);
    }
    parts
}

/// Everything an epilogue can be, for kernels that compute tiles.
pub(in crate::ops) fn tile_combinations() -> Vec<Vec<Part>> {
    combinations().into_iter().map(for_tiles).collect()
}

/// Everything an epilogue can be: each activation, with and without residual, stored plain or pooled.
pub(in crate::ops) fn combinations() -> Vec<Vec<Part>> {
    let stores = [STORE_EACH, pool::STORE_MAX, pool::STORE_AVERAGE];
    let mut all = Vec::new();
    for activation in ACTIVATIONS {
        let slope = if *activation == Activation::PRelu { SLOPE_CHANNEL } else { SLOPE_UNIFORM };
        for residual in [RESIDUAL_NONE, RESIDUAL_ADD] {
            for store in stores {
                all.push(activation.parts().into_iter().chain([slope, residual, store]).collect());
            }
        }
    }
    all
}

/// The activations of nearly all networks. By four channels one part serves them all, told apart by `p.activation`: each
/// pipeline takes a software adapter tenths of a second to compile, and a choice costs it nothing beside a sum.
const USUAL: [Activation; 4] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu { alpha: 0.0 },
    Activation::Clip { min: 0.0, max: 0.0 },
];

/// Made once a process: parts live as long as it does.
static ACTIVATION_USUAL: LazyLock<Part> = LazyLock::new(|| {
    let mut source = String::new();
    let mut choice = String::new();
    for (index, activation) in USUAL.iter().enumerate() {
        let name = activation.stem();
        // Each file defines `activate`.
        source += &activation.parts()[0].source.replace("fn activate(", &format!("fn {name}("));
        choice += &match index {
            0 => format!("    var y = {name}(x, a, b);\n"),
            _ => format!("    y = select(y, {name}(x, a, b), p.activation == {index}u);\n"),
        };
    }
    source += &format!("fn activate(x: f32, a: f32, b: f32) -> f32 {{\n{choice}    return y;\n}}\n");
    Part { name: "usual", source: source.leak() }
});

/// The number of an activation among those that one part serves; 0 for those that have a part of their own.
pub(in crate::ops) fn number(activation: &Activation) -> u32 {
    USUAL.iter().position(|usual| usual.stem() == activation.stem()).unwrap_or(0) as u32
}

/// The parts that finish four channels of a pixel.
pub(in crate::ops) fn by_four(activation: &Activation, residual: bool) -> Vec<Part> {
    let per_channel = *activation == Activation::PRelu;
    let usual = USUAL.iter().any(|usual| usual.stem() == activation.stem()) && !per_channel;
    let mut parts = if usual { vec![*ACTIVATION_USUAL] } else { activation.parts() };
    parts.push(if per_channel { SLOPES_CHANNEL } else { SLOPES_UNIFORM });
    parts.push(if residual { RESIDUALS_ADD } else { RESIDUALS_NONE });
    parts
}

/// Everything an epilogue can be for images that lie by four channels: each activation, with and without residual.
pub(in crate::ops) fn by_four_combinations() -> Vec<Vec<Part>> {
    let with_residual = ACTIVATIONS.iter().map(|activation| by_four(activation, true));
    distinct(without_residual().into_iter().chain(with_residual))
}

/// Each activation, without residual.
pub(in crate::ops) fn without_residual() -> Vec<Vec<Part>> {
    distinct(ACTIVATIONS.iter().map(|activation| by_four(activation, false)))
}

/// What kernels by four channels that pool in place are linked with: the usual activations, no residual, either pool.
pub(in crate::ops) fn pooled_by_four_combinations() -> Vec<Vec<Part>> {
    let parts = by_four(&Activation::Identity, false);
    pool::POOLS_BY_FOUR.map(|pool| [&parts[..], &[POOLED_BY_FOUR, pool]].concat()).to_vec()
}

/// Whether an activation is one of those that share a part.
pub(in crate::ops) fn is_most_usual(activation: &Activation) -> bool {
    by_four(activation, false)[0].name == ACTIVATION_USUAL.name
}

/// Each combination once.
pub(in crate::ops) fn distinct(combinations: impl Iterator<Item = Vec<Part>>) -> Vec<Vec<Part>> {
    let mut seen = HashSet::new();
    combinations.filter(|parts| seen.insert(parts.iter().map(|part| part.name).collect::<Vec<_>>())).collect()
}

/// The same parts for a pipeline that runs with and without a residual, as `p.has_residual` says.
pub(in crate::ops) fn with_any_residual(parts: &[Part]) -> Vec<Part> {
    let any = |part: &Part| match part.name {
        name if name == RESIDUALS_NONE.name || name == RESIDUALS_ADD.name => RESIDUALS_ANY,
        _ => *part,
    };
    parts.iter().map(any).collect()
}

/// Whether an epilogue of these parts is compiled for every tile of the kernels that have many: those of nearly all networks.
pub(in crate::ops) fn is_usual(parts: &[Part]) -> bool {
    parts.first().is_some_and(|activation| ["usual", "swish"].contains(&activation.name))
}
