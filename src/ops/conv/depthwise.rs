//! `conv_depthwise`: one filter a channel.

mod row;

use super::choice::{Candidate, Pooling, Problem};
use super::{ConvParams, ConvShape, by_four};
use crate::kernels::{Kernel, Part};
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::part;
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Lowering, Packing};
use crate::tensor::row_major_slice;
use row::{PIXELS, ROWS, Row};

/// Four channels of four pixels an invocation.
pub static CONV_DEPTHWISE: Kernel = Kernel {
    name: "conv_depthwise",
    source: include_str!("../../../shaders/conv_depthwise.wgsl"),
    includes: &parts::INCLUDES_BY_FOUR,
    params: ConvParams::FIELDS,
    combinations,
};

/// Each channel has one filter, its loops are short enough for one dispatch, and all filters fit one binding.
pub(super) fn candidates(problem: &Problem<'_>) -> Result<Vec<Candidate>, String> {
    let Problem { shape, limits, .. } = problem;
    let taps = shape.window.kernel[0] * shape.window.kernel[1];
    if shape.groups != shape.in_c || shape.groups != shape.out_c {
        let ConvShape { in_c, out_c, groups, .. } = shape;
        return Err(format!("{in_c} channels become {out_c} in {groups} group(s)"));
    }
    let loops = shape.window.loop_iterations(0);
    if loops > u64::from(limits.max_loop_iterations) {
        return Err(format!("an invocation would loop {loops} times"));
    }
    if limits.filters_per_binding(taps + 2) < shape.out_c.next_multiple_of(CHANNELS) {
        return Err("the filters exceed a binding".to_string());
    }
    let candidate = |row: Row, pooling: Pooling, cost: f64| {
        let name = pooling.named(format!("{} {}", CONV_DEPTHWISE.name, row.part().name));
        Candidate::new(name, cost, pooling, move |node, shape, epilogue| lower(node, shape, epilogue, row, pooling))
    };
    let computed = |shape: &ConvShape| (shape.out[0] * shape.out[1].next_multiple_of(PIXELS)) as f64;
    let quartered = problem.quartered();
    let mut candidates = Vec::new();
    for &row in ROWS.iter().filter(|row| row.fits(&shape.window)) {
        candidates.push(candidate(row, Pooling::Behind, row.cost() + problem.pool_behind()));
        if let Some(quartered) = &quartered {
            candidates.push(candidate(row, Pooling::InPlace, row.cost() * computed(quartered) / computed(shape)));
        }
    }
    Ok(candidates)
}

/// Appends the dispatch, and one for a pool that is not in it.
fn lower(node: &mut Lowering<'_>, shape: &ConvShape, epilogue: &Epilogue, row: Row, pooling: Pooling) -> OpResult<()> {
    let weights = node.constant(slot::WEIGHT)?.as_real()?;
    let folded = node.folded(&row_major_slice(weights), epilogue)?;
    let packed = node.pack_filters(0..shape.out_c, &folded, Packing::ByFour)?;
    let taps = shape.window.kernel[0] * shape.window.kernel[1];
    let padded = shape.out_c.next_multiple_of(CHANNELS);
    by_four::with_pool(node, shape, epilogue, Layout::ByFour, pooling, |node, bound| {
        let params = bound.params(shape, epilogue, 0..shape.out_c, padded * taps, padded);
        let (store, [rows, columns]) = match pooling {
            Pooling::Behind => (STORE_EACH, shape.out),
            Pooling::InPlace => (POOL, [params.pool.out_h as usize, 2 * params.pool.out_w as usize]),
        };
        let invocations = shape.batch * padded / CHANNELS * rows * columns.div_ceil(PIXELS);
        let parts = [&bound.parts[..], &[store, row.part()]].concat();
        node.dispatch(&CONV_DEPTHWISE, parts, invocations as u32, params, bound.output, &bound.inputs(packed))
    })
}

const STORE_EACH: Part = part!("shared", "depthwise_store_each");
const POOL: Part = part!("shared", "depthwise_pool");

/// Every epilogue on every row; pooled in place, those of nearly all networks.
fn combinations() -> Vec<Vec<Part>> {
    let of_row = |row: &'static Row| {
        let with = |store: Part| move |parts: Vec<Part>| [parts, vec![store, row.part()]].concat();
        let each = parts::by_four_combinations().into_iter().map(with(STORE_EACH));
        each.chain(parts::pooled_by_four_combinations().into_iter().map(with(POOL)))
    };
    ROWS.iter().flat_map(of_row).collect()
}
