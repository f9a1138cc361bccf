//! Groups of channels that are no multiple of four: on their way through a kernel that takes channels by four, each has
//! channels of zeros behind its own. What one group reads is still read by no other, be it NaN.

use super::ConvShape;
use super::by_four::Bound;
use super::choice::Problem;
use crate::kernels::Part;
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::plan::layout::{CHANNELS, Layout, convert};
use crate::plan::{Folded, Lowering, View};
use crate::tensor::row_major_slice;

/// Flops below which what the copies of image and result cost is not worth it: `conv_direct` takes lavapipe 2 ms for a million.
const LEAST_FLOPS: usize = 200_000;

/// A convolution, and the same with so many channels of zeros that each group lies in fours of its own.
#[derive(Clone, Copy)]
pub(super) struct Padded {
    own: ConvShape,
    /// All sizes with the zeros.
    pub(super) shape: ConvShape,
}

impl Padded {
    /// None where the groups lie in fours as they are, or are too small to be worth it.
    pub(super) fn of(problem: &Problem<'_>) -> Option<Self> {
        let own = *problem.shape;
        let per_group = [own.in_c, own.out_c].map(|channels| channels / own.groups);
        let flops = 2 * own.terms() * own.out_c * own.pixels();
        if own.groups == 1 || per_group.iter().all(|channels| channels.is_multiple_of(CHANNELS)) || flops < LEAST_FLOPS
        {
            return None;
        }
        let [in_c, out_c] = per_group.map(|channels| own.groups * channels.next_multiple_of(CHANNELS));
        Some(Padded { own, shape: ConvShape { in_c, out_c, ..own } })
    }

    /// Appends the dispatches: those of `convolve` between copies of the image and of the result.
    pub(super) fn lower(
        &self,
        node: &mut Lowering<'_>,
        epilogue: &Epilogue,
        convolve: impl FnOnce(&mut Lowering<'_>, &Folded, &Bound) -> OpResult<()>,
    ) -> OpResult<()> {
        let ConvShape { batch, groups, in_c, out_c, image, out, .. } = self.own;
        // Each group is an image of its own to what brings images by four channels and back.
        let images = |channels: usize, [h, w]: [usize; 2]| [batch * groups, channels / groups, h, w];
        let input = by_four(node, slot::INPUT, images(in_c, image))?;
        let residual = match node.has_input(slot::RESIDUAL) {
            true => Some(by_four(node, slot::RESIDUAL, images(out_c, out))?),
            false => None,
        };
        let parts: Vec<Part> = parts::by_four(&epilogue.activation, residual.is_some());
        let sums = scratch(node, "in groups", &images(out_c, out))?;
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        convolve(node, &self.padded(&folded), &Bound::between(parts, [input, sums], residual))?;
        let stored = node.output(0)?;
        let Some(pool) = &epilogue.pool else {
            return convert(node, &images(out_c, out), Layout::Plain, [stored, sums]);
        };
        let [_, _, h, w] = pool.output_shape(self.own.output())?;
        let pooled = scratch(node, "pooled in groups", &images(out_c, [h, w]))?;
        pool.lower_by_four(node, out, [pooled, sums])?;
        convert(node, &images(out_c, [h, w]), Layout::Plain, [stored, pooled])
    }

    /// Filters, biases and slopes with zeros behind those of each group.
    fn padded(&self, folded: &Folded) -> Folded {
        let [own, padded] = [&self.own, &self.shape].map(|shape| [shape.in_c, shape.out_c].map(|c| c / shape.groups));
        let taps: usize = self.own.window.kernel.iter().product();
        let (row, padded_row) = (own[0] * taps, padded[0] * taps);
        let grown = |values: &[f32], width: usize, to: usize| {
            let mut grown = values.to_vec();
            grown.resize(values.len() / width * to, 0.0);
            grown
        };
        let of_filters =
            folded.weights.chunks(row).flat_map(|filter| grown(filter, row, padded_row)).collect::<Vec<_>>();
        let in_groups = |values: &[f32], each: usize| {
            let of_group = |group: &[f32]| grown(group, own[1] * each, padded[1] * each);
            values.chunks(own[1] * each).flat_map(of_group).collect()
        };
        Folded {
            weights: in_groups(&of_filters, padded_row),
            bias: in_groups(&folded.bias, 1),
            slope: in_groups(&folded.slope, 1),
        }
    }
}

fn scratch(node: &mut Lowering<'_>, what: &str, images: &[usize; 4]) -> OpResult<View> {
    node.scratch(what, Layout::ByFour.len(images))
}

/// An input by four channels of each group.
fn by_four(node: &mut Lowering<'_>, slot: usize, images: [usize; 4]) -> OpResult<View> {
    let plain = node.input(slot)?;
    let what = if slot == slot::RESIDUAL { "residual in groups" } else { "image in groups" };
    let copy = scratch(node, what, &images)?;
    convert(node, &images, Layout::ByFour, [copy, plain])?;
    Ok(copy)
}
