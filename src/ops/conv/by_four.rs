//! What the kernels whose images lie by four channels have in common: bindings, parameters, and the pool behind them.

use super::choice::Pooling;
use super::{ConvParams, ConvShape};
use crate::kernels::Part;
use crate::ops::epilogue::{Epilogue, parts, slot};
use crate::ops::pool::PoolParams;
use crate::ops::{Activation, OpResult};
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Lowering, View};
use rayon::prelude::*;
use std::ops::Range;

/// Numbers of one filter, its bias and its slope.
pub(super) fn padded_row(shape: &ConvShape) -> usize {
    let [k_h, k_w] = shape.window.kernel;
    (shape.in_c / shape.groups).next_multiple_of(CHANNELS) * k_h * k_w + 2
}

/// What a kernel reads and writes beside its weights, and the parts of its epilogue.
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) parts: Vec<Part>,
    pub(super) output: View,
    pub(super) input: View,
    residual: Vec<View>,
    has_residual: bool,
    pool: PoolParams,
}

impl Bound {
    /// Sums as they are, from one place to another.
    pub(super) fn plain(input: View, output: View) -> Self {
        Bound::between(parts::by_four(&Activation::Identity, false), [input, output], None)
    }

    /// Sums under an epilogue without a pool, from one place to another.
    pub(super) fn between(parts: Vec<Part>, [input, output]: [View; 2], residual: Option<View>) -> Self {
        let has_residual = residual.is_some();
        let residual = residual.into_iter().collect();
        Bound { parts, output, input, residual, has_residual, pool: PoolParams::default() }
    }

    /// Bindings 2 and up.
    pub(super) fn inputs(&self, weights: View) -> Vec<View> {
        [self.input, weights].into_iter().chain(self.residual.iter().copied()).collect()
    }

    /// The same for a pipeline that runs with and without a residual: something is bound in its place.
    pub(super) fn with_any_residual(&self) -> Bound {
        let residual = vec![*self.residual.first().unwrap_or(&self.input)];
        Bound { parts: parts::with_any_residual(&self.parts), residual, ..*self }
    }

    /// Parameters of a kernel whose biases and slopes for a range of channels, as many as are `padded`, come after so many
    /// numbers of weights.
    pub(super) fn params(
        &self,
        shape: &ConvShape,
        epilogue: &Epilogue,
        channels: Range<usize>,
        weights: usize,
        padded: usize,
    ) -> ConvParams {
        ConvParams {
            pool: self.pool,
            count: shape.batch as u32,
            bias_at: (weights / CHANNELS) as u32,
            slope_at: ((weights + padded) / CHANNELS) as u32,
            has_residual: self.has_residual.into(),
            ..ConvParams::new(shape, &Epilogue { pool: None, ..epilogue.clone() }, channels)
        }
    }
}

/// Lets `convolve` append the dispatches that write the convolution of an image in this layout, and appends one for a pool
/// that is not theirs.
pub(super) fn with_pool(
    node: &mut Lowering<'_>,
    shape: &ConvShape,
    epilogue: &Epilogue,
    image: Layout,
    pooling: Pooling,
    convolve: impl FnOnce(&mut Lowering<'_>, &Bound) -> OpResult<()>,
) -> OpResult<()> {
    let input = node.input_as(slot::INPUT, image)?;
    let (mut parts, residual) = epilogue.by_four_parts(node)?;
    let stored = node.output_as(0, Layout::ByFour)?;
    let has_residual = !residual.is_empty();
    let bound = |parts, output, pool| Bound { parts, output, input, residual: residual.clone(), has_residual, pool };
    let unpooled = |parts: &Vec<Part>, output| bound(parts.clone(), output, PoolParams::default());
    match (&epilogue.pool, pooling) {
        (None, _) => convolve(node, &unpooled(&parts, stored)),
        (Some(pool), Pooling::Behind) => {
            let sums = node.scratch("before the pool", Layout::ByFour.len(&shape.output()))?;
            convolve(node, &unpooled(&parts, sums))?;
            pool.lower_by_four(node, shape.out, [stored, sums])
        }
        (Some(pool), Pooling::InPlace) => {
            parts.extend([parts::POOLED_BY_FOUR, pool.part_by_four()]);
            let pool = PoolParams::new(Some(pool), shape.out);
            convolve(node, &bound(parts, stored, pool))
        }
    }
}

/// Weights that a kernel reads block by block, each of them filled in by itself.
pub(super) fn packed_blocks<B: Sync>(blocks: &[B], fill: impl Fn(&B, &mut Vec<f32>) + Sync) -> Vec<f32> {
    let packed = |block: &B| {
        let mut weights = Vec::new();
        fill(block, &mut weights);
        weights
    };
    blocks.par_iter().map(packed).collect::<Vec<_>>().concat()
}

impl ConvShape {
    /// Nothing to compute, or to compute it from: kernels clamp places to the image, which has none.
    pub(super) fn is_empty(&self) -> bool {
        self.output().contains(&0) || self.image.contains(&0) || self.in_c == 0
    }

    /// A pointwise convolution takes its image's rows as one, so that strips of pixels need not end with a row.
    pub(super) fn flattened(self) -> Self {
        let [h, w] = self.image;
        let pointwise = self.window == crate::ops::window::Window::pointwise();
        if pointwise { ConvShape { image: [1, h * w], out: [1, h * w], ..self } } else { self }
    }
}
