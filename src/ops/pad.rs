//! Elements added around a tensor, or cut off it.

use super::activate::either_behind;
use super::strided::{FOUR_NUMBERS, MAX_RANK, NUMBER, row_major_strides, vectors};
use super::{Inputs, OpResult, Operator, Restricted, invalid, real_type, required, unsupported};
use crate::kernels::{Kernel, Part};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::plan::layout::{CHANNELS, Layout};
use crate::tensor::{Real, Tensor, TensorType, array, row_major_slice};
use crate::{part, uniform};
use ndarray::{ArrayD, IxDyn};
use std::ops::Range;

/// Where the added elements come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadMode {
    /// One number.
    Constant(f32),
    /// The nearest element.
    Edge,
    /// The tensor mirrored at its first and last element.
    Reflect,
    /// The tensor over and over.
    Wrap,
}

/// `begin` and `end` elements added in each dimension, or cut off where negative. Source: ONNX, operator Pad.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Pad {
    pub mode: PadMode,
    pub begin: Vec<isize>,
    pub end: Vec<isize>,
}

/// Keeps sums of a size and two paddings far inside 64 bits.
const LARGEST: i64 = 1 << 31;

impl Pad {
    /// Amounts were the attribute `pads` (before opset 2 `paddings`), and are inputs since opset 11.
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let rank = node.ty(0)?.shape.len();
        let (amounts, value, axes) = if node.opset() < 11 {
            let name = if node.opset() < 2 { "paddings" } else { "pads" };
            (node.ints(name)?, node.float("value", 0.0)?, None)
        } else {
            (node.constant_ints(1)?, node.constant_scalar(2)?.unwrap_or(0.0), node.constant_ints(3)?)
        };
        let Some(amounts) = amounts else { return invalid("the amounts are missing") };
        let axes = axes.unwrap_or_else(|| (0..rank as i64).collect());
        if amounts.len() != 2 * axes.len() || amounts.iter().any(|amount| amount.abs() >= LARGEST) {
            return invalid(format!("{} amounts for {} axes, or one too large", amounts.len(), axes.len()));
        }
        let (mut begin, mut end, mut seen) = (vec![0; rank], vec![0; rank], vec![false; rank]);
        for (index, &axis) in axes.iter().enumerate() {
            let axis = super::axis(axis, rank)?;
            if std::mem::replace(&mut seen[axis], true) {
                return invalid(format!("axis {axis} is named twice"));
            }
            begin[axis] = amounts[index] as isize;
            end[axis] = amounts[axes.len() + index] as isize;
        }
        let mode = match node.string("mode", "constant")?.as_str() {
            "constant" => PadMode::Constant(value),
            "edge" => PadMode::Edge,
            "reflect" => PadMode::Reflect,
            "wrap" => PadMode::Wrap,
            other => return unsupported(format!("mode '{other}'")),
        };
        let grows = begin.iter().chain(&end).any(|&amount| amount > 0);
        let shrinks = begin.iter().chain(&end).any(|&amount| amount < 0);
        if !(grows && shrinks) || matches!(mode, PadMode::Constant(_)) {
            return node.finish(Pad { mode, begin, end }, &[0]);
        }
        // ONNX does not say what comes first; ONNX Runtime repeats what is left after the cut.
        let part = |amounts: &[isize], of: fn(isize) -> isize| amounts.iter().map(|&amount| of(amount)).collect();
        let cut = |amount: isize| amount.min(0);
        let added = |amount: isize| amount.max(0);
        let cropped = Pad { mode: PadMode::Constant(0.0), begin: part(&begin, cut), end: part(&end, cut) };
        let input = node.input(0)?;
        let cropped = node.emit(cropped, &[Some(input)])?;
        let padded = Pad { mode, begin: part(&begin, added), end: part(&end, added) };
        node.finish_with(padded, &[Some(cropped)])
    }

    /// The input index behind an output index in a dimension, or nothing where the constant goes.
    fn source(&self, axis: usize, index: usize, size: usize) -> Option<usize> {
        let at = index as isize - self.begin[axis];
        let size = size as isize;
        let from = match self.mode {
            PadMode::Constant(_) => at,
            PadMode::Edge => at.clamp(0, size - 1),
            PadMode::Wrap => at.rem_euclid(size),
            PadMode::Reflect => {
                let period = (2 * (size - 1)).max(1);
                let folded = at.rem_euclid(period);
                folded.min(period - folded).min(size - 1)
            }
        };
        (0..size).contains(&from).then_some(from as usize)
    }

    fn padded<E: Copy>(&self, input: &ArrayD<E>, constant: E, shape: &[usize]) -> OpResult<ArrayD<E>> {
        let sources: Vec<Vec<Option<usize>>> = shape
            .iter()
            .enumerate()
            .map(|(axis, &size)| (0..size).map(|index| self.source(axis, index, input.shape()[axis])).collect())
            .collect();
        let Some((columns, rows)) = sources.split_last() else { return Ok(input.clone()) };
        let (elements, strides) = (row_major_slice(input), row_major_strides(input.shape()));
        let mut padded = Vec::with_capacity(shape.iter().product());
        for index in ndarray::indices(IxDyn(&shape[..rows.len()])) {
            let place = |(axis, row): (usize, &Vec<Option<usize>>)| Some(row[index[axis]]? * strides[axis] as usize);
            let start = rows.iter().enumerate().map(place).sum::<Option<usize>>();
            match start {
                Some(start) => {
                    padded.extend(columns.iter().map(|column| column.map_or(constant, |at| elements[start + at])));
                }
                None => padded.extend(std::iter::repeat_n(constant, columns.len())),
            }
        }
        Ok(array(shape, padded)?)
    }
}

uniform! {
    /// Parameters of `pad_each`.
    pub struct PadParams {
        shape: [[u32; 4]; 2], in_shape: [[i32; 4]; 2], in_strides: [[u32; 4]; 2], begin: [[i32; 4]; 2],
        value: f32, first: u32, count: u32,
    }
}

/// One element an invocation, or four channels of it.
pub static PAD_EACH: Kernel = Kernel {
    name: "pad_each",
    source: include_str!("../../shaders/pad_each.wgsl"),
    includes: &[],
    params: PadParams::FIELDS,
    combinations: || {
        let modes =
            [PadMode::Constant(0.0), PadMode::Edge, PadMode::Reflect, PadMode::Wrap].map(|mode| vec![mode.part()]);
        either_behind(&modes, [&[NUMBER], &[FOUR_NUMBERS]])
    },
};

impl PadMode {
    fn part(self) -> Part {
        match self {
            PadMode::Constant(_) => part!("pad", "pad_constant"),
            PadMode::Edge => part!("pad", "pad_edge"),
            PadMode::Reflect => part!("pad", "pad_reflect"),
            PadMode::Wrap => part!("pad", "pad_wrap"),
        }
    }
}

impl Operator for Pad {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        let mut shape = Vec::with_capacity(ty.shape.len());
        for (axis, &size) in ty.shape.iter().enumerate() {
            let padded = size as isize + self.begin[axis] + self.end[axis];
            let grows = self.begin[axis] > 0 || self.end[axis] > 0;
            if padded < 0 || (size == 0 && grows && !matches!(self.mode, PadMode::Constant(_))) {
                return invalid(format!("padding makes a dimension of {size} into one of {padded}"));
            }
            shape.push(padded as usize);
        }
        Ok(vec![TensorType { kind: ty.kind, shape }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let input = required(inputs, 0)?;
        let shape = self.infer(&[Some(&input.tensor_type())])?.remove(0).shape;
        let constant = if let PadMode::Constant(value) = self.mode { f64::from(value) } else { 0.0 };
        let padded = match input {
            Tensor::Real(array) => Tensor::Real(self.padded(array, T::of(constant), &shape)?),
            Tensor::Int(array) => Tensor::Int(self.padded(array, constant as i64, &shape)?),
            Tensor::Bool(array) => Tensor::Bool(self.padded(array, constant != 0.0, &shape)?),
        };
        Ok(vec![padded])
    }

    /// The constant has no error.
    fn error_bound(&self, _: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let error = required(errors, 0)?;
        let shape = self.infer(&[Some(&TensorType::real(error.shape()))])?.remove(0).shape;
        self.padded(error, 0.0, &shape)
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let is_padded = self.begin[axis] != 0 || self.end[axis] != 0;
        (!is_padded).then(|| Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let types = node.input_types();
        let in_shape = &real_type(&types, 0)?.shape;
        if in_shape.len() > MAX_RANK {
            return unsupported(format!("a tensor of rank {}", in_shape.len()));
        }
        let value = if let PadMode::Constant(value) = self.mode { value } else { 0.0 };
        let layout = self.layout(node, in_shape, value);
        let fours = layout == Layout::ByFour;
        let sizes = |shape: &[usize]| match (fours, shape) {
            (true, &[n, c, h, w]) => vec![n, c.div_ceil(CHANNELS), h, w],
            _ => shape.to_vec(),
        };
        let axes = Axes::merged(&sizes(&node.output_type(0).shape), &sizes(in_shape), &self.begin);
        let (input, output) = (node.input_as(0, layout)?, node.output_as(0, layout)?);
        let (lies, width) = if fours { (FOUR_NUMBERS, CHANNELS) } else { (NUMBER, 1) };
        let params = PadParams {
            shape: vectors(axes.shape.iter().map(|&size| size as u32), 1),
            in_shape: vectors(axes.in_shape.iter().map(|&size| size as i32), 1),
            in_strides: vectors(row_major_strides(&axes.in_shape).iter().map(|&stride| stride as u32), 0),
            begin: vectors(axes.begin.iter().map(|&begin| begin as i32), 0),
            value,
            first: (MAX_RANK - axes.shape.len().max(1)) as u32,
            count: node.count(output) / width as u32,
        };
        node.dispatch(&PAD_EACH, vec![self.mode.part(), lies], params.count, params, output, &[input])
    }
}

impl Pad {
    /// An image stays by four channels where no channel is added or cut, and what lies behind the last one stays zero.
    fn layout(&self, node: &Lowering<'_>, in_shape: &[usize], value: f32) -> Layout {
        let [0, channels, ..] = [self.begin.get(1), self.end.get(1)].map(|amount| amount.copied().unwrap_or(1)) else {
            return Layout::Plain;
        };
        let whole = in_shape.get(1).is_some_and(|channels| channels.is_multiple_of(CHANNELS)) || value == 0.0;
        if channels == 0 && whole && node.lies_by_four(0) { Layout::ByFour } else { Layout::Plain }
    }
}

/// Dimensions with what is added before each; neighbours that nothing is added to are one.
struct Axes {
    shape: Vec<usize>,
    in_shape: Vec<usize>,
    begin: Vec<isize>,
}

impl Axes {
    fn merged(shape: &[usize], in_shape: &[usize], begin: &[isize]) -> Self {
        let mut axes = Axes { shape: Vec::new(), in_shape: Vec::new(), begin: Vec::new() };
        let mut merges = false;
        for ((&size, &in_size), &begin) in shape.iter().zip(in_shape).zip(begin) {
            let plain = size == in_size && begin == 0;
            match (axes.shape.last_mut(), axes.in_shape.last_mut()) {
                (Some(last), Some(in_last)) if plain && merges => {
                    *last *= size;
                    *in_last *= size;
                }
                _ => {
                    axes.shape.push(size);
                    axes.in_shape.push(in_size);
                    axes.begin.push(begin);
                }
            }
            merges = plain;
        }
        axes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_does_not_repeat_the_border_and_wrapping_continues_on_the_other_side() {
        let input = Tensor::real(&[3], vec![1.0, 2.0, 3.0]).unwrap();
        let padded = |mode| {
            let pad = Pad { mode, begin: vec![2], end: vec![3] };
            super::super::first_real(pad.reference::<f64>(&[Some(&input)]).unwrap())
                .unwrap()
                .into_raw_vec_and_offset()
                .0
        };
        assert_eq!(padded(PadMode::Reflect), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0]);
        assert_eq!(padded(PadMode::Wrap), [2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert_eq!(padded(PadMode::Edge), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0]);
        assert_eq!(padded(PadMode::Constant(9.0)), [9.0, 9.0, 1.0, 2.0, 3.0, 9.0, 9.0, 9.0]);
    }
}
