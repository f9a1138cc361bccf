//! A convolution restricted to part of its output: some images, some output channels, or some rows.

use super::Conv;
use crate::ops::epilogue::slot;
use crate::ops::{Cut, Pool, PoolKind, Restricted};
use crate::tensor::TensorType;
use std::ops::Range;

/// See [`crate::ops::Operator::restrict`].
pub fn conv(op: &Conv, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Conv>> {
    let shape = op.shape(inputs).ok()?;
    match axis {
        0 => {
            let read = |slot| matches!(slot, slot::INPUT | slot::RESIDUAL).then_some(0);
            Some(Restricted::along(op.clone(), inputs.len(), range, read))
        }
        1 => {
            let in_group = shape.out_c / shape.groups;
            let whole_groups =
                shape.groups == 1 || [range.start, range.end].iter().all(|end| end.is_multiple_of(in_group));
            let read = |slot| match slot {
                slot::INPUT => None,
                slot::RESIDUAL => Some(1),
                _ => Some(0),
            };
            let mut part = Restricted::along(op.clone(), inputs.len(), range, read);
            part.op.epilogue = op.epilogue.of_channels(range);
            if shape.groups > 1 {
                let [first, end] = [range.start, range.end].map(|channel| channel / in_group);
                let read_by_each = shape.in_c / shape.groups;
                part.op.groups = end - first;
                part.cuts[slot::INPUT] = Cut::Along(1, first * read_by_each..end * read_by_each);
            }
            whole_groups.then_some(part)
        }
        2 => {
            let (pool, sums) = match &op.epilogue.pool {
                Some(pool) => pool_rows(pool, range, shape.out).map(|(pool, rows)| (Some(pool), rows))?,
                None => (None, range.clone()),
            };
            let (window, image) = op.window.of_rows(&sums, shape.image[0])?;
            let mut part = op.clone();
            part.window = window;
            part.epilogue.pool = pool;
            let cut = |slot| match slot {
                slot::INPUT => Cut::Along(2, image.clone()),
                slot::RESIDUAL => Cut::Along(2, sums.clone()),
                _ => Cut::Whole,
            };
            Some(Restricted { op: part, cuts: (0..inputs.len()).map(cut).collect() })
        }
        _ => None,
    }
}

/// A pool for a range of its rows, and the rows of an image of such a size that it reads.
fn pool_rows(pool: &Pool, range: &Range<usize>, image: [usize; 2]) -> Option<(Pool, Range<usize>)> {
    // What hangs over the end becomes padding here, and would count where padding does.
    if pool.ceil && pool.kind == (PoolKind::Average { count_include_pad: true }) {
        return None;
    }
    let (mut window, read) = pool.window.of_rows(range, image[0])?;
    if pool.ceil {
        let [_, columns] = pool.window.output_size_ceil(image).ok()?;
        let span = (columns - 1) * window.stride[1] + window.extent()[1];
        window.pads.right = span.saturating_sub(image[1] + window.pads.left);
    }
    Some((Pool { window, ceil: false, ..pool.clone() }, read))
}
