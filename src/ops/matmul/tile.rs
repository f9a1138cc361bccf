//! `matmul_tile`: products with a constant factor, four columns of a few rows an invocation.

use super::{B, MatMul, Sizes};
use crate::kernels::{Kernel, Part};
use crate::ops::OpResult;
use crate::plan::layout::CHANNELS;
use crate::plan::{Lowering, View};
use crate::tensor::row_major_slice;
use crate::{part, uniform};
use rayon::prelude::*;

uniform! {
    /// Parameters of `matmul_tile`: `fours` vec4s are a row of a, and c is `[m, n]` by its strides.
    pub struct MatMulTileParams {
        rows: u32, m: u32, n: u32, first_n: u32, count_n: u32, fours: u32, c_row: u32, c_column: u32,
        alpha: f32, beta: f32, activation_a: f32, activation_b: f32, count: u32,
    }
}

/// Four columns of one row or of four an invocation.
pub static MATMUL_TILE: Kernel = Kernel {
    name: "matmul_tile",
    source: include_str!("../../../shaders/matmul_tile.wgsl"),
    includes: &[],
    params: MatMulTileParams::FIELDS,
    combinations: || {
        let of_rows = |rows| super::combinations().into_iter().map(move |parts| [parts, vec![rows]].concat());
        [ROWS_ONE, ROWS_FOUR].into_iter().flat_map(of_rows).collect()
    },
};

const ROWS_ONE: Part = part!("shared", "rows_one");
const ROWS_FOUR: Part = part!("shared", "rows_four");

/// Columns of b that lie side by side: those of 8 invocations.
const TOGETHER: usize = 8 * CHANNELS;

/// Whether rows of a lie one behind the other, in whole vec4s, one dispatch may loop over them, and columns fit a binding.
pub(super) fn fits(sizes: &Sizes, node: &Lowering<'_>) -> bool {
    let fours = sizes.k / CHANNELS;
    sizes.b_batch.is_empty()
        && sizes.a_batch == sizes.batch
        && sizes.a_strides == [sizes.k, 1]
        && sizes.k.is_multiple_of(CHANNELS)
        && node.limits().filters_per_binding(sizes.k) >= TOGETHER
        && (1..=node.limits().max_loop_iterations as usize).contains(&fours)
        && !sizes.shape().contains(&0)
}

/// Appends the dispatches: one for each range of columns that fits a binding. `addend` is c with its strides.
pub(super) fn lower(
    op: &MatMul,
    node: &mut Lowering<'_>,
    sizes: &Sizes,
    addend: Option<(View, [u32; 2])>,
) -> OpResult<()> {
    let (a, output) = (node.input(super::A)?, node.output(0)?);
    let (b, [row, column]) = (row_major_slice(node.constant(B)?.as_real()?), sizes.b_strides);
    let rows = sizes.batch.iter().product::<usize>() * sizes.m;
    let (each, part) = if rows < 4 { (1, ROWS_ONE) } else { (4, ROWS_FOUR) };
    let parts = [op.parts(addend.is_some()), vec![part]].concat();
    let [activation_a, activation_b] = op.activation.parameters();
    let [c_row, c_column] = addend.map_or([0, 0], |(_, strides)| strides);
    for range in node.channel_ranges(sizes.n, sizes.k, rows, TOGETHER) {
        let number = |k: usize, j: usize| if j < range.end { b[k * row + j * column] } else { 0.0 };
        let blocks: Vec<usize> = range.clone().step_by(TOGETHER).collect();
        let packed = blocks
            .par_iter()
            .flat_map_iter(|&first| (0..sizes.k).flat_map(move |k| (first..first + TOGETHER).map(move |j| (k, j))))
            .map(|(k, j)| number(k, j))
            .collect();
        let packed = node.constant_buffer("columns by four", packed)?;
        let params = MatMulTileParams {
            rows: rows as u32,
            m: sizes.m as u32,
            n: sizes.n as u32,
            first_n: range.start as u32,
            count_n: range.len() as u32,
            fours: (sizes.k / CHANNELS) as u32,
            c_row,
            c_column,
            alpha: op.alpha,
            beta: op.beta,
            activation_a,
            activation_b,
            count: (rows.div_ceil(each) * range.len().div_ceil(CHANNELS)) as u32,
        };
        let views: Vec<View> = [Some(a), Some(packed), addend.map(|(view, _)| view)].into_iter().flatten().collect();
        node.dispatch(&MATMUL_TILE, parts.clone(), params.count, params, output, &views)?;
    }
    Ok(())
}
