//! `conv_depthwise`: one filter a channel.

use super::choice::{Candidate, Problem};
use super::{ConvParams, ConvShape, by_four};
use crate::kernels::Kernel;
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::plan::layout::CHANNELS;
use crate::plan::{Lowering, Packing};
use crate::tensor::row_major_slice;

/// Pixels of a row that an invocation computes.
const PIXELS: usize = 4;

/// Four channels of four pixels an invocation.
pub static CONV_DEPTHWISE: Kernel = Kernel {
    name: "conv_depthwise",
    source: include_str!("../../../shaders/conv_depthwise.wgsl"),
    includes: &parts::INCLUDES_BY_FOUR,
    params: ConvParams::FIELDS,
    combinations: parts::by_four_combinations,
};

/// Each channel has one filter, its loops are short enough for one dispatch, and all filters fit one binding.
pub(super) fn candidates(Problem { shape, limits, .. }: &Problem<'_>) -> Result<Vec<Candidate>, String> {
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
    Ok(vec![Candidate::new(CONV_DEPTHWISE.name, 1.0, lower)])
}

/// Appends the dispatch, and one for a pool.
fn lower(node: &mut Lowering<'_>, shape: &ConvShape, epilogue: &Epilogue) -> OpResult<()> {
    let weights = node.constant(slot::WEIGHT)?.as_real()?;
    let folded = node.folded(&row_major_slice(weights), epilogue)?;
    let packed = node.pack_filters(0..shape.out_c, &folded, Packing::ByFour)?;
    let taps = shape.window.kernel[0] * shape.window.kernel[1];
    let padded = shape.out_c.next_multiple_of(CHANNELS);
    let invocations = shape.batch * padded / CHANNELS * shape.out[0] * shape.out[1].div_ceil(PIXELS);
    by_four::with_pool(node, shape, epilogue, |node, bound| {
        let params = by_four::params(shape, epilogue, 0..shape.out_c, padded * taps, padded);
        let (count, inputs) = (invocations as u32, bound.inputs(packed));
        node.dispatch(&CONV_DEPTHWISE, bound.parts.clone(), count, params, bound.output, &inputs)
    })
}
