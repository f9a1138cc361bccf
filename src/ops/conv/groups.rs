//! Groups of channels that are no multiple of four: on their way through a kernel that takes channels by four, each has
//! channels of zeros behind its own. What one group reads is still read by no other, be it NaN.

use super::ConvShape;
use super::by_four::Bound;
use super::choice::Problem;
use crate::kernels::Part;
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::plan::layout::{CHANNELS, Layout, convert_among};
use crate::plan::{Folded, Lowering, View};
use crate::tensor::row_major_slice;

/// Flops below which what the copies of image and result cost is not worth it: `conv_direct` takes lavapipe 2 ms for a million.
const LEAST_FLOPS: usize = 200_000;

/// Products for two that are wanted, beyond which other kernels are as fast: `conv_direct`, which takes all groups (2 results of
/// 1 channel, as 8 of 4, took 1.1 ms for 0.95), and `conv_tile`, which takes results by four (4 of 4, as 8 of 4, 2.4 for 1.6;
/// 12 of 12, as 16 of 12, 0.9 for 1.6).
const MOST_BESIDE_DIRECT: usize = 16;
const MOST_BESIDE_TILE: usize = 3;

/// A convolution, and the same with so many channels of zeros that each group lies in fours of its own.
#[derive(Clone, Copy)]
pub(super) struct Padded {
    own: ConvShape,
    /// All sizes with the zeros.
    pub(super) shape: ConvShape,
}

/// What is copied: the image, or something of as many channels as the result.
#[derive(Clone, Copy)]
enum Side {
    Image,
    Result([usize; 2]),
}

impl Padded {
    /// With results of a multiple of so many channels a group, itself one of four. None where the groups are so as they are, or
    /// too small to be worth it.
    pub(super) fn of(problem: &Problem<'_>, width: usize) -> Option<Self> {
        let own = *problem.shape;
        let [in_c, out_c] = [own.in_c, own.out_c].map(|channels| channels / own.groups);
        if own.groups == 1 || (in_c.is_multiple_of(CHANNELS) && out_c.is_multiple_of(width)) {
            return None;
        }
        let padded = [in_c.next_multiple_of(CHANNELS), out_c.next_multiple_of(width)];
        let flops = 2 * own.terms() * own.out_c * own.pixels();
        let most = if out_c.is_multiple_of(CHANNELS) { MOST_BESIDE_TILE } else { MOST_BESIDE_DIRECT };
        let pays = flops >= LEAST_FLOPS && 2 * padded[0] * padded[1] <= most * in_c * out_c;
        let [in_c, out_c] = padded.map(|channels| channels * own.groups);
        pays.then_some(Padded { own, shape: ConvShape { in_c, out_c, ..own } })
    }

    /// Appends the dispatches: those of `convolve` between copies of the image and of the result.
    pub(super) fn lower(
        &self,
        node: &mut Lowering<'_>,
        epilogue: &Epilogue,
        convolve: impl FnOnce(&mut Lowering<'_>, &Folded, &Bound) -> OpResult<()>,
    ) -> OpResult<()> {
        let input = self.by_four(node, slot::INPUT, Side::Image)?;
        let residual = match node.has_input(slot::RESIDUAL) {
            true => Some(self.by_four(node, slot::RESIDUAL, Side::Result(self.own.out))?),
            false => None,
        };
        let parts: Vec<Part> = parts::by_four(&epilogue.activation, residual.is_some());
        let whole = Side::Result(self.own.out);
        let sums = self.scratch(node, "sums in groups", whole)?;
        let folded = node.folded(&row_major_slice(node.constant(slot::WEIGHT)?.as_real()?), epilogue)?;
        convolve(node, &self.padded(&folded), &Bound::between(parts, [input, sums], residual))?;
        let stored = node.output(0)?;
        let Some(pool) = &epilogue.pool else {
            return self.convert(node, whole, Layout::Plain, [stored, sums]);
        };
        let [_, _, h, w] = pool.output_shape(self.own.output())?;
        let pooled = self.scratch(node, "pooled in groups", Side::Result([h, w]))?;
        pool.lower_by_four(node, self.own.out, [pooled, sums])?;
        self.convert(node, Side::Result([h, w]), Layout::Plain, [stored, pooled])
    }

    /// Channels of all groups without zeros and with them, and the pixels.
    fn sizes(&self, side: Side) -> ([usize; 2], [usize; 2]) {
        match side {
            Side::Image => ([self.own.in_c, self.shape.in_c], self.own.image),
            Side::Result(pixels) => ([self.own.out_c, self.shape.out_c], pixels),
        }
    }

    fn scratch(&self, node: &mut Lowering<'_>, what: &str, side: Side) -> OpResult<View> {
        let ([_, channels], [h, w]) = self.sizes(side);
        node.scratch(what, self.own.batch * channels * h * w)
    }

    /// Copies between a tensor as it is and one of fours of each group: to what brings images from one layout to the other, a
    /// group is an image.
    fn convert(&self, node: &mut Lowering<'_>, side: Side, to: Layout, views: [View; 2]) -> OpResult<()> {
        let (channels, [h, w]) = self.sizes(side);
        let [own, padded] = channels.map(|channels| channels / self.own.groups);
        convert_among(node, &[self.own.batch * self.own.groups, own, h, w], padded / CHANNELS, to, views)
    }

    /// An input by four channels of each group.
    fn by_four(&self, node: &mut Lowering<'_>, slot: usize, side: Side) -> OpResult<View> {
        let plain = node.input(slot)?;
        let copy = self.scratch(node, "input in groups", side)?;
        self.convert(node, side, Layout::ByFour, [copy, plain])?;
        Ok(copy)
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
