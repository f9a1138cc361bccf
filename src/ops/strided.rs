//! Shapes with strides: what broadcasting, transposing, slicing and concatenating have in common on a device.

use super::{OpResult, unsupported};
use crate::kernels::{Kernel, Part};
use crate::plan::{Lowering, View};
use crate::{part, uniform};

/// Dimensions that a strided kernel takes. Dimensions that lie row-major in every operand are merged first.
pub const MAX_RANK: usize = 8;

/// Elements from one index to the next in each dimension of a dense row-major tensor.
pub fn row_major_strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1) as isize;
    }
    strides
}

/// The shape two shapes broadcast to, by numpy's rule, or nothing where they do not.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (a, b) if a == b => Some(a),
            (1, other) | (other, 1) => Some(other),
            _ => None,
        })
        .collect()
}

/// The strides with which a dense tensor of `shape` is read under a shape that it broadcasts to.
pub fn broadcast_strides(shape: &[usize], to: &[usize]) -> Vec<isize> {
    let own = row_major_strides(shape);
    let missing = to.len() - shape.len();
    (0..to.len())
        .map(|axis| if axis < missing || shape[axis - missing] == 1 { 0 } else { own[axis - missing] })
        .collect()
}

/// A shape and each operand's strides, with as few dimensions as describe the same elements.
#[derive(Debug)]
pub struct Dims {
    shape: Vec<usize>,
    strides: Vec<Vec<isize>>,
}

impl Dims {
    /// Drops dimensions of size 1 and merges neighbours that every operand walks as one.
    pub fn merged(shape: &[usize], strides: &[&[isize]]) -> OpResult<Self> {
        let mut dims = Dims { shape: Vec::new(), strides: vec![Vec::new(); strides.len()] };
        for axis in (0..shape.len()).filter(|&axis| shape[axis] != 1) {
            let continues = dims
                .strides
                .iter()
                .zip(strides)
                .all(|(merged, own)| merged.last().is_some_and(|&outer| outer == own[axis] * shape[axis] as isize));
            if continues {
                *dims.shape.last_mut().expect("a merged stride has a dimension") *= shape[axis];
            } else {
                dims.shape.push(shape[axis]);
            }
            for (merged, own) in dims.strides.iter_mut().zip(strides) {
                if continues {
                    *merged.last_mut().expect("as above") = own[axis];
                } else {
                    merged.push(own[axis]);
                }
            }
        }
        if dims.shape.len() > MAX_RANK {
            return unsupported(format!("{} dimensions that do not merge; the most is {MAX_RANK}", dims.shape.len()));
        }
        Ok(dims)
    }

    /// The same elements four at a time, and whether each operand runs on from one of the four to the next: where each
    /// operand does, from a multiple of four on, or is one number for all four.
    pub fn fours(&self) -> Option<(Self, Vec<bool>)> {
        let (&last, outer) = self.shape.split_last()?;
        let runs = |strides: &Vec<isize>| match strides.split_last() {
            Some((1, outer)) => outer.iter().all(|stride| stride % 4 == 0).then_some(true),
            Some((0, _)) => Some(false),
            _ => None,
        };
        let runs: Vec<bool> = self.strides.iter().map(runs).collect::<Option<_>>()?;
        if !last.is_multiple_of(4) {
            return None;
        }
        let shape: Vec<usize> = outer.iter().copied().chain([last / 4]).collect();
        let mut strides = self.strides.clone();
        strides.iter_mut().filter_map(|strides| strides.last_mut()).for_each(|stride| *stride *= 4);
        // Four numbers that were a dimension of their own leave one of size 1.
        let strides: Vec<&[isize]> = strides.iter().map(Vec::as_slice).collect();
        Some((Dims::merged(&shape, &strides).ok()?, runs))
    }

    /// The same, counted in fours, where every operand runs on and begins at a multiple of four.
    fn by_four(&self, offsets: [usize; 2]) -> Option<Self> {
        let (fours, runs) = self.fours()?;
        let whole = runs.iter().all(|&runs| runs) && offsets.iter().all(|offset| offset.is_multiple_of(4));
        let counted = |strides: Vec<isize>| strides.into_iter().map(|stride| stride / 4).collect();
        whole.then(|| Dims { strides: fours.strides.into_iter().map(counted).collect(), ..fours })
    }

    /// The first of the eight dimensions that kernels walk that is one of these: those before it have a size of 1.
    pub fn first(&self) -> u32 {
        (MAX_RANK - self.shape.len().max(1)) as u32
    }

    /// The sizes, leading ones first, as two vec4 of WGSL.
    pub fn shape(&self) -> [[u32; 4]; 2] {
        vectors(self.shape.iter().map(|&size| size as u32), 1)
    }

    /// An operand's strides where none is negative.
    pub fn unsigned_strides(&self, operand: usize) -> [[u32; 4]; 2] {
        vectors(self.strides[operand].iter().map(|&stride| stride as u32), 0)
    }

    /// An operand's strides.
    pub fn signed_strides(&self, operand: usize) -> [[i32; 4]; 2] {
        vectors(self.strides[operand].iter().map(|&stride| stride as i32), 0)
    }
}

/// Right-aligned in two vec4, `fill` before: the kernels walk all eight, and a leading size of 1 changes nothing.
pub fn vectors<E: Copy>(values: impl ExactSizeIterator<Item = E>, fill: E) -> [[E; 4]; 2] {
    let mut all = [fill; MAX_RANK];
    let first = MAX_RANK - values.len();
    for (slot, value) in all[first..].iter_mut().zip(values) {
        *slot = value;
    }
    [[all[0], all[1], all[2], all[3]], [all[4], all[5], all[6], all[7]]]
}

uniform! {
    /// Parameters of `copy_strided`.
    pub struct CopyParams {
        shape: [[u32; 4]; 2], in_strides: [[i32; 4]; 2], out_strides: [[u32; 4]; 2],
        in_offset: u32, out_offset: u32, first: u32, count: u32,
    }
}

/// One element an invocation.
pub static COPY_STRIDED: Kernel = Kernel {
    name: "copy_strided",
    source: include_str!("../../shaders/copy_strided.wgsl"),
    includes: &[],
    params: CopyParams::FIELDS,
    combinations: || vec![vec![NUMBER], vec![FOUR_NUMBERS]],
};

/// What an invocation loads and stores: a number, or four that lie side by side.
pub(super) const NUMBER: Part = part!("shared", "numbers_one");
pub(super) const FOUR_NUMBERS: Part = part!("shared", "numbers_four");

/// A walk over a buffer: where it starts and how far each dimension's step is, in elements.
pub struct Walk<'a> {
    /// The buffer's range.
    pub view: View,
    /// The first element.
    pub offset: usize,
    /// Elements from one index to the next; negative to walk backwards.
    pub strides: &'a [isize],
}

/// Copies every element of `shape` from one walk to another, four at a time where they lie so in both.
pub fn copy(node: &mut Lowering<'_>, shape: &[usize], from: Walk<'_>, to: Walk<'_>) -> OpResult<()> {
    let dims = Dims::merged(shape, &[from.strides, to.strides])?;
    let (dims, part, width) = match dims.by_four([from.offset, to.offset]) {
        Some(fours) => (fours, FOUR_NUMBERS, 4),
        None => (dims, NUMBER, 1),
    };
    let count = (shape.iter().product::<usize>() / width) as u32;
    let params = CopyParams {
        shape: dims.shape(),
        in_strides: dims.signed_strides(0),
        out_strides: dims.unsigned_strides(1),
        in_offset: (from.offset / width) as u32,
        out_offset: (to.offset / width) as u32,
        first: dims.first(),
        count,
    };
    node.dispatch(&COPY_STRIDED, vec![part], count, params, to.view, &[from.view])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_merge_only_where_every_operand_walks_them_as_one() {
        let dims = Dims::merged(&[2, 3, 1, 4], &[&[12, 4, 4, 1], &[12, 4, 4, 1]]).unwrap();
        assert_eq!(dims.shape, [24]);
        let dims = Dims::merged(&[2, 3, 4], &[&[12, 4, 1], &[0, 4, 1]]).unwrap();
        assert_eq!((dims.shape, dims.strides), (vec![2, 12], vec![vec![12, 1], vec![0, 1]]));
    }

    #[test]
    fn shapes_broadcast_from_the_right() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), Some(vec![2, 3, 4]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(broadcast_strides(&[3, 1], &[2, 3, 4]), [0, 1, 0]);
    }
}
