//! Lowering to the kernels whose images lie row-major: `conv_tile`, and `conv_direct`, which fits everything.

use super::choice::{Candidate, Pooling, Problem};
use super::{ConvParams, ConvShape};
use crate::kernels::Kernel;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::ops::window::Window;
use crate::ops::{OpResult, Pool, unsupported};
use crate::plan::{Lowering, Packing, View};
use crate::tensor::row_major_slice;

/// One output element an invocation: right for every convolution, fast for none.
pub static CONV_DIRECT: Kernel = Kernel {
    name: "conv_direct",
    source: include_str!("../../../shaders/conv_direct.wgsl"),
    includes: &parts::INCLUDES_EACH,
    params: ConvParams::FIELDS,
    combinations: parts::splittable_combinations,
};

/// Channels, and pixels, in a tile.
const TILE_CHANNELS: usize = 4;

/// A tile of four channels of four pixels an invocation: for everything but narrow groups and very long sums.
pub static CONV_TILE: Kernel = Kernel {
    name: "conv_tile",
    source: include_str!("../../../shaders/conv_tile.wgsl"),
    includes: &parts::INCLUDES_TILE,
    params: ConvParams::FIELDS,
    combinations: parts::tile_combinations,
};

/// Whole tiles of channels in each group and binding, and sums short enough for one dispatch.
pub(super) fn tile_candidates(problem: &Problem<'_>) -> Result<Vec<Candidate>, String> {
    let Problem { shape, epilogue, limits, .. } = problem;
    let per_group = shape.out_c / shape.groups;
    if !per_group.is_multiple_of(TILE_CHANNELS) && (shape.groups > 1 || per_group < TILE_CHANNELS) {
        return Err(format!("{per_group} output channels a group are no whole tiles of {TILE_CHANNELS}"));
    }
    if limits.filters_per_binding(shape.terms() + 2) < TILE_CHANNELS {
        return Err(format!("{TILE_CHANNELS} filters exceed a binding"));
    }
    let loops = loop_iterations(&shape.window, shape.in_c / shape.groups, epilogue.pool.as_ref());
    if loops > u64::from(limits.max_loop_iterations) {
        return Err(format!("an invocation would loop {loops} times"));
    }
    Ok(vec![Candidate::new(CONV_TILE.name, 1.0, Pooling::InPlace, |node, shape, epilogue| {
        lower(node, shape, epilogue, Packing::ByFour, |node, params, views| lower_tile(node, epilogue, params, views))
    })])
}

pub(super) fn direct_candidates(_: &Problem<'_>) -> Result<Vec<Candidate>, String> {
    Ok(vec![Candidate::new(CONV_DIRECT.name, 1.0, Pooling::InPlace, |node, shape, epilogue| {
        lower(node, shape, epilogue, Packing::Each, |node, params, views| {
            lower_slices(node, &shape.window, epilogue, &CONV_DIRECT, params, views)
        })
    })])
}

/// Lets `dispatch` append the dispatches of each range of output channels whose filters fit one binding.
fn lower(
    node: &mut Lowering<'_>,
    shape: &ConvShape,
    epilogue: &Epilogue,
    packing: Packing,
    dispatch: impl Fn(&mut Lowering<'_>, ConvParams, [View; 3]) -> OpResult<()>,
) -> OpResult<()> {
    let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
    let (input, output) = (node.input(slot::INPUT)?, node.output(0)?);
    for channels in node.channel_ranges(shape.out_c, shape.terms() + 2, shape.pixels(), packing.width()) {
        let packed = node.pack_filters(channels.clone(), &folded, packing)?;
        dispatch(node, ConvParams::new(shape, epilogue, channels), [output, input, packed])?;
    }
    Ok(())
}

fn lower_tile(
    node: &mut Lowering<'_>,
    epilogue: &Epilogue,
    params: ConvParams,
    [output, input, weights]: [View; 3],
) -> OpResult<()> {
    let (parts, extra) = epilogue.parts(node)?;
    let tile = TILE_CHANNELS as u32;
    let blocks = params.count_c.div_ceil(tile);
    let pixels = params.pool.out_h * params.pool.out_w;
    let batch = params.count / (params.count_c * pixels).max(1);
    // A pooled tile is one window; an unpooled one so many pixels.
    let tiles = if epilogue.pool.is_some() { pixels } else { pixels.div_ceil(tile) };
    let bias_at = params.bias_at / params.count_c * blocks;
    let count = batch * blocks * tiles;
    let params = ConvParams { bias_at, slope_at: bias_at + blocks, count, ..params };
    let views: Vec<View> = [input, weights].into_iter().chain(extra).collect();
    node.dispatch(&CONV_TILE, parts::for_tiles(parts), count, params, output, &views)
}

/// Loop iterations that the kernels make for one stored element, over so many input channels.
pub(crate) fn loop_iterations(window: &Window, channels: usize, pool: Option<&Pool>) -> u64 {
    let element = (window.loop_iterations(0) + 1).saturating_mul(channels as u64).saturating_add(2);
    pool.map_or(element, |pool| pool.window.loop_iterations(element))
}

/// Dispatches a kernel over as few ranges of input channels as keep an invocation's loops within the device's limit;
/// all but the last range leave plain sums in the output, which the last one finishes.
pub(in crate::ops) fn lower_slices(
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
            let parts = parts.iter().copied().chain([parts::STORE_REST]).collect();
            node.dispatch(kernel, parts, params.count, slice, output, &views)?;
        } else {
            // A partial sum reads no residual.
            node.dispatch(kernel, parts::partial(), params.count, slice, output, &views[..2])?;
        }
    }
    Ok(())
}
