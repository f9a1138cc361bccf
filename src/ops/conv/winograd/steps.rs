//! `conv_winograd` in three dispatches. Large images go through them a chunk of tiles at a time, so that what lies in between
//! stays small.

use super::super::by_four::{self, Bound};
use super::super::choice::Pooling;
use super::super::{ConvParams, ConvShape, gemm};
use super::{POINTS, of_results, products, tiles, transformed};
use crate::bound::Summation;
use crate::kernels::{Kernel, Part};
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Folded, Limits, Lowering};
use crate::tensor::row_major_slice;

/// Output channels of the products are padded to a multiple of this, which some tile of `conv_gemm` divides.
const PADDED: usize = 16;
/// Tiles that go through the dispatches at a time, about: as many as keep a GPU busy.
const CHUNK: usize = 512;

/// Tiles of each chunk but the last.
fn chunk(shape: &ConvShape) -> usize {
    let tiles = tiles(shape);
    tiles.div_ceil(tiles.div_ceil(CHUNK).max(1))
}

/// What computes the products of a chunk.
pub(super) fn tiling(shape: &ConvShape, limits: &Limits) -> Result<gemm::Tiling, String> {
    let of_chunk = products(shape, chunk(shape), PADDED);
    let row = by_four::padded_row(&of_chunk).max(chunk(shape));
    if limits.filters_per_binding(row) < of_chunk.out_c.max(of_chunk.in_c) {
        return Err("the transformed filters or tiles exceed a binding".to_string());
    }
    gemm::cheapest_tiling(&of_chunk, limits).ok_or_else(|| "no tile fits its products".to_string())
}

/// Appends the dispatches. Tiles cover the second shape.
pub(super) fn lower(
    node: &mut Lowering<'_>,
    [shape, computed]: [&ConvShape; 2],
    epilogue: &Epilogue,
    tiling: gemm::Tiling,
    pooling: Pooling,
) -> OpResult<()> {
    node.sums_by(Summation::Winograd);
    by_four::with_pool(node, shape, epilogue, Layout::ByFour, pooling, |node, bound| {
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        let (tiles, chunk) = (tiles(computed), chunk(computed));
        let of_chunk = products(shape, chunk, PADDED);
        let nothing = vec![0.0; of_chunk.out_c];
        let filters = transformed(shape, &of_chunk, &folded.weights);
        let filters = Folded { weights: filters, bias: nothing.clone(), slope: nothing };
        let packed = gemm::pack(node, &of_chunk, &filters, 0..of_chunk.out_c, tiling)?;
        let mut per_channel = Vec::new();
        folded.append_per_channel(&mut per_channel, 0..shape.out_c, CHANNELS);
        let per_channel = node.constant_buffer("bias, slope", per_channel)?;
        let transformed = node.scratch("transformed tiles", of_chunk.in_c * chunk)?;
        let multiplied = node.scratch("products", of_chunk.out_c * chunk)?;
        let bound = of_results(bound, pooling);
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
            let between = Bound::plain(transformed, multiplied);
            gemm::multiply(node, &products(shape, count, PADDED), tiling, packed, &between)?;
            let params = ConvParams { in_c: (of_chunk.out_c / POINTS) as u32, ..of_these(shape) };
            let invocations = count * shape.out_c.div_ceil(CHANNELS);
            node.dispatch(&WINOGRAD_RESULTS, bound.parts.clone(), invocations as u32, params, bound.output, &inputs)?;
        }
        Ok(())
    })
}

/// Tiles of the image become points.
pub static WINOGRAD_TILES: Kernel = Kernel {
    name: "winograd_tiles",
    source: include_str!("../../../../shaders/winograd_tiles.wgsl"),
    includes: &parts::INCLUDES_WINOGRAD_TILES,
    params: ConvParams::FIELDS,
    combinations: || vec![vec![]],
};

/// Products become results.
pub static WINOGRAD_RESULTS: Kernel = Kernel {
    name: "winograd_results",
    source: include_str!("../../../../shaders/winograd_results.wgsl"),
    includes: &parts::INCLUDES_WINOGRAD_RESULTS,
    params: ConvParams::FIELDS,
    combinations,
};

fn combinations() -> Vec<Vec<Part>> {
    super::combinations(&[])
}
