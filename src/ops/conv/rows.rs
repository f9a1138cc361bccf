//! The product of rows with a constant matrix as the 1x1 convolution that it is, whose pixels are the rows: for adapters whose
//! loads cost most, where `conv_subgroup` is faster by more than the rows' way to four channels and back.

use super::by_four::Bound;
use super::choice::Pooling;
use super::subgroup::{self, LANES, Tile};
use super::{ConvShape, Epilogue};
use crate::ops::epilogue::parts;
use crate::ops::strided::{Walk, copy, row_major_strides};
use crate::ops::window::Window;
use crate::ops::{Activation, OpResult};
use crate::plan::layout::CHANNELS;
use crate::plan::{Folded, Limits, Lowering, View};

/// Flops below which the two copies take as long as they save.
const LEAST_FLOPS: usize = 8_000_000;

/// Fewer rows leave most of a subgroup's strips empty.
const LEAST_ROWS: usize = 128;

/// So many rows of `k` numbers, times a matrix of `k` rows and `n` columns.
pub(in crate::ops) struct Rows {
    shape: ConvShape,
    tile: Tile,
}

impl Rows {
    /// None where the sizes are no fours, the product is small or the device has another kind of kernels.
    pub(in crate::ops) fn of([rows, k, n]: [usize; 3], limits: &Limits) -> Option<Self> {
        let suits = limits.software && limits.subgroup_lanes as usize == LANES;
        let whole = k.is_multiple_of(CHANNELS) && n.is_multiple_of(CHANNELS);
        if !suits || !whole || rows < LEAST_ROWS || 2 * rows * k * n < LEAST_FLOPS {
            return None;
        }
        let pixels = [1, rows];
        let window = Window::pointwise();
        let shape = ConvShape { batch: 1, in_c: k, image: pixels, out_c: n, out: pixels, groups: 1, window };
        Some(Rows { tile: subgroup::cheapest_tile(&shape, limits)?, shape })
    }

    /// Appends the dispatches, from the rows to their products. `weights` has a row of `k` numbers for each column.
    pub(in crate::ops) fn lower(
        &self,
        node: &mut Lowering<'_>,
        [weights, bias]: [Vec<f32>; 2],
        activation: Activation,
        [rows, products]: [View; 2],
    ) -> OpResult<()> {
        let ConvShape { in_c, out_c, image: [_, count], .. } = self.shape;
        let [image, result] = [("rows by four", in_c), ("products by four", out_c)]
            .map(|(what, channels)| node.scratch(what, count * channels));
        let (image, result) = (image?, result?);
        let [by_row, by_block] = [[CHANNELS, in_c, 1], [count * CHANNELS, CHANNELS, 1]].map(signed);
        let blocks = [in_c / CHANNELS, count, CHANNELS];
        copy(node, &blocks, walk(rows, &by_row), walk(image, &by_block))?;

        let slope = vec![0.0; out_c];
        let epilogue = Epilogue { activation, ..Epilogue::default() };
        let bound = Bound::between(parts::by_four(&activation, false), [image, result], None);
        let folded = Folded { weights, bias, slope };
        subgroup::convolve(node, [&self.shape; 2], &epilogue, &folded, self.tile, Pooling::Behind, &bound)?;

        let shape = [count, out_c / CHANNELS, CHANNELS];
        let by_block = signed([CHANNELS, count * CHANNELS, 1]);
        copy(node, &shape, walk(result, &by_block), walk(products, &row_major_strides(&shape)))
    }
}

fn signed(strides: [usize; 3]) -> [isize; 3] {
    strides.map(|stride| stride as isize)
}

fn walk(view: View, strides: &[isize]) -> Walk<'_> {
    Walk { view, offset: 0, strides }
}
