//! What of an operator is left where only part of its output is wanted. The reference is computed in such parts, so that it
//! never holds a whole layer in f64.

use crate::tensor::{Tensor, TensorType, each_kind};
use ndarray::{Axis, Slice};
use std::borrow::Cow;
use std::ops::Range;

/// What a part of the output reads of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// All of it.
    Whole,
    /// A range of indices along an axis.
    Along(usize, Range<usize>),
}

impl Cut {
    /// The sizes of that part of an input.
    pub fn shape(&self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        if let Cut::Along(axis, range) = self {
            shape[*axis] = range.len();
        }
        shape
    }

    /// That part of a tensor.
    pub fn of<'a, T: Clone>(&self, tensor: &'a Tensor<T>) -> Cow<'a, Tensor<T>> {
        match self {
            Cut::Whole => Cow::Borrowed(tensor),
            Cut::Along(axis, range) => Cow::Owned(
                each_kind!(tensor, array => array.slice_axis(Axis(*axis), Slice::from(range.clone())).to_owned()),
            ),
        }
    }
}

/// An operator for part of an output, and what it reads of each input.
#[derive(Debug, Clone)]
pub struct Restricted<O> {
    /// Mostly the operator itself.
    pub op: O,
    /// One for each input slot.
    pub cuts: Vec<Cut>,
}

impl<O> Restricted<O> {
    /// The same as one of the closed set of operators.
    pub fn into(self) -> Restricted<super::Op>
    where
        super::Op: From<O>,
    {
        Restricted { op: self.op.into(), cuts: self.cuts }
    }

    /// Of an operator that treats every index of an axis alike: the inputs that `read` names an axis of are cut along that.
    pub fn along(op: O, slots: usize, range: &Range<usize>, read: impl Fn(usize) -> Option<usize>) -> Self {
        let cut = |slot| read(slot).map_or(Cut::Whole, |axis| Cut::Along(axis, range.clone()));
        Restricted { op, cuts: (0..slots).map(cut).collect() }
    }

    /// The same, where inputs are broadcast to the output's shape: one with a single index there is read whole.
    pub fn broadcast(op: O, inputs: &[Option<&TensorType>], rank: usize, axis: usize, range: &Range<usize>) -> Self {
        let read = |slot: usize| {
            let shape = &inputs[slot]?.shape;
            let own = axis.checked_sub(rank - shape.len())?;
            (shape[own] != 1).then_some(own)
        };
        Restricted::along(op, inputs.len(), range, read)
    }
}
