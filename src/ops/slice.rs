//! Every so many elements of a range in each dimension.

use super::strided::{Walk, copy, row_major_strides};
use super::{Cut, Inputs, OpResult, Operator, Restricted, invalid, required};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::plan::layout::{CHANNELS, Layout};
use crate::tensor::{Real, Tensor, TensorType, each_kind};

/// What is taken of one dimension: `count` elements from `start` on, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Range {
    pub start: usize,
    pub step: isize,
    pub count: usize,
}

impl Range {
    /// What takes some of the same elements from the part that they lie in, and which that is.
    fn part(&self, taken: &std::ops::Range<usize>) -> (Range, std::ops::Range<usize>) {
        let at = |index: usize| (self.start as isize + self.step * index as isize) as usize;
        let (first, last) = (at(taken.start), at(taken.end.max(taken.start + 1) - 1));
        let lowest = first.min(last);
        (Range { start: first - lowest, count: taken.len(), ..*self }, lowest..first.max(last) + 1)
    }

    /// The same as `ndarray` writes it, which counts backward steps from the end.
    fn slice(&self) -> ndarray::Slice {
        let start = self.start as isize;
        let last = start + self.step * (self.count as isize - 1);
        match self.count {
            0 => ndarray::Slice::from(0..0),
            _ => ndarray::Slice::new(start.min(last), Some(start.max(last) + 1), self.step),
        }
    }
}

/// One [`Range`] for each dimension. Source: ONNX, operator Slice.
#[derive(Debug, Clone)]
pub struct Slice {
    /// One for each dimension.
    pub ranges: Vec<Range>,
}

impl Slice {
    /// Starts, ends and axes were attributes before opset 10, and are inputs since, with steps.
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let shape = node.ty(0)?.shape.clone();
        let (starts, ends, axes, steps) = if node.opset() < 10 {
            (node.ints("starts")?, node.ints("ends")?, node.ints("axes")?, None)
        } else {
            (node.constant_ints(1)?, node.constant_ints(2)?, node.constant_ints(3)?, node.constant_ints(4)?)
        };
        let (Some(starts), Some(ends)) = (starts, ends) else {
            return invalid("starts or ends are missing");
        };
        let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return invalid("starts, ends, axes and steps differ in length");
        }
        let mut ranges: Vec<Range> = shape.iter().map(|&count| Range { start: 0, step: 1, count }).collect();
        for index in 0..starts.len() {
            let axis = super::axis(axes[index], shape.len())?;
            ranges[axis] = range(starts[index], ends[index], steps[index], shape[axis] as i64)?;
        }
        node.finish(Slice { ranges }, &[0])
    }
}

impl Slice {
    /// `Split`: one slice for each output. The sizes are an input since opset 13; their number may be an attribute since 18.
    pub(crate) fn import_split(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let shape = node.ty(0)?.shape.clone();
        let axis = super::axis(node.int("axis", 0)?, shape.len())?;
        let stated = if node.opset() < 13 { node.ints("split")? } else { node.constant_ints(1)? };
        let parts = node.int_if_present("num_outputs")?.map_or(node.output_count(), |parts| parts.max(0) as usize);
        let sizes = match stated {
            Some(sizes) => super::host::sizes_of(&sizes)?,
            None => equal_parts(shape[axis], parts, node.opset() >= 18)?,
        };
        if sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size)) != Some(shape[axis]) {
            return invalid(format!("parts of {sizes:?} do not make up {} along axis {axis}", shape[axis]));
        }
        if sizes.len() < node.output_count() {
            return invalid(format!("{} parts for {} outputs", sizes.len(), node.output_count()));
        }
        let input = node.input(0)?;
        let mut start = 0;
        for (slot, count) in sizes.into_iter().enumerate() {
            let mut ranges: Vec<Range> = shape.iter().map(|&count| Range { start: 0, step: 1, count }).collect();
            ranges[axis] = Range { start, step: 1, count };
            node.define(slot, Slice { ranges }, &[Some(input)])?;
            start += count;
        }
        Ok(())
    }
}

/// Parts of equal size; since opset 18 the last one may be smaller.
fn equal_parts(size: usize, parts: usize, uneven: bool) -> OpResult<Vec<usize>> {
    if parts == 0 || (!uneven && !size.is_multiple_of(parts)) {
        return invalid(format!("{size} elements do not split into {parts} equal parts"));
    }
    let each = size.div_ceil(parts);
    Ok((0..parts).map(|part| each.min(size.saturating_sub(part * each))).collect())
}

/// ONNX's rule: negative positions count from the end, and what lies outside is brought to the nearest end.
fn range(start: i64, end: i64, step: i64, size: i64) -> OpResult<Range> {
    if step == 0 {
        return invalid("a step of 0");
    }
    // A backward walk may start at the last element and end before the first one.
    let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let place = |position: i64, floor: i64| {
        let from_start = if position < 0 { position.saturating_add(size) } else { position };
        from_start.clamp(floor, most)
    };
    let (start, end) = (place(start, least.max(0).min(most)), place(end, least));
    let distance = if step > 0 { end - start } else { start - end };
    let count = if distance <= 0 { 0 } else { (distance as u64).div_ceil(step.unsigned_abs()) as usize };
    // Steps beyond the tensor take one element at most; their size no longer matters.
    let step = step.clamp(-(size + 1), size + 1) as isize;
    Ok(Range { start: start.max(0) as usize, step, count })
}

impl Operator for Slice {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        for (range, &size) in self.ranges.iter().zip(&ty.shape) {
            let last = range.start as isize + range.step * (range.count.max(1) as isize - 1);
            if range.count > 0 && (range.start >= size || last < 0 || last as usize >= size) {
                return invalid(format!("range {range:?} leaves a dimension of {size}"));
            }
        }
        Ok(vec![TensorType { kind: ty.kind, shape: self.ranges.iter().map(|range| range.count).collect() }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let sliced = each_kind!(required(inputs, 0)?, source => {
            let mut view = source.view();
            for (axis, range) in self.ranges.iter().enumerate() {
                view.slice_axis_inplace(ndarray::Axis(axis), range.slice());
            }
            view.as_standard_layout().into_owned()
        });
        Ok(vec![sliced])
    }

    fn restrict(
        &self,
        _: &[Option<&TensorType>],
        axis: usize,
        range: &std::ops::Range<usize>,
    ) -> Option<Restricted<Self>> {
        let mut op = self.clone();
        let (part, read) = self.ranges[axis].part(range);
        op.ranges[axis] = part;
        Some(Restricted { op, cuts: vec![Cut::Along(axis, read)] })
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let by_four = if node.lies_by_four(0) { self.by_four(&required(&node.input_types(), 0)?.shape) } else { None };
        let (layout, ranges) = match &by_four {
            Some(ranges) => (Layout::ByFour, ranges),
            None => (Layout::Plain, &self.ranges),
        };
        let own = row_major_strides(&layout.shape(&required(&node.input_types(), 0)?.shape));
        let offset = ranges.iter().zip(&own).map(|(range, &stride)| range.start * stride as usize).sum();
        let strides: Vec<isize> = ranges.iter().zip(&own).map(|(range, &stride)| range.step * stride).collect();
        let shape = layout.shape(&node.output_type(0).shape);
        let from = Walk { view: node.input_as(0, layout)?, offset, strides: &strides };
        let to = Walk { view: node.output_as(0, layout)?, offset: 0, strides: &row_major_strides(&shape) };
        copy(node, &shape, from, to)
    }
}

impl Slice {
    /// The ranges of an image by four channels, where those are whole fours: what lies behind the last channel must stay zero.
    fn by_four(&self, shape: &[usize]) -> Option<Vec<Range>> {
        let [items, channels, rows, columns] = &self.ranges[..] else { return None };
        let to_the_end = channels.start + channels.count == shape[1];
        let whole = channels.start.is_multiple_of(CHANNELS) && (channels.count.is_multiple_of(CHANNELS) || to_the_end);
        if !whole || channels.step != 1 || channels.count == 0 {
            return None;
        }
        let fours = Range { start: channels.start / CHANNELS, step: 1, count: channels.count.div_ceil(CHANNELS) };
        let own = Range { start: 0, step: 1, count: CHANNELS };
        Some(vec![*items, fours, *rows, *columns, own])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_clamped_as_onnx_says() {
        let cases = [
            ((0, i64::MAX, 1), Range { start: 0, step: 1, count: 10 }),
            ((-3, 100, 2), Range { start: 7, step: 2, count: 2 }),
            ((-1, i64::MIN, -1), Range { start: 9, step: -1, count: 10 }),
            ((20, 0, -4), Range { start: 9, step: -4, count: 3 }),
            ((5, 5, 1), Range { start: 5, step: 1, count: 0 }),
        ];
        for ((start, end, step), expected) in cases {
            assert_eq!(range(start, end, step, 10).unwrap(), expected);
        }
    }
}
