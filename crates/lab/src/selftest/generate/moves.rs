//! Random nodes that put elements elsewhere, or fewer of them in the place of many.

use super::layers::{Attributes, of, scalar};
use super::{Constant, Generator, Id, Proposal};
use reluctor::onnx::AttributeValue;
use reluctor::random::Random;
use reluctor::tensor::Tensor;

impl Generator {
    pub(super) fn reduction(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let op_type = self.random.pick(&["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"]);
        let first = usize::from(!self.random.once_in(6));
        let mut axes: Vec<i64> =
            (first..shape.len()).filter(|_| self.random.once_in(2)).map(|axis| axis as i64).collect();
        if axes.is_empty() {
            axes.push(shape.len() as i64 - 1);
        }
        // Dropping all but the batch would leave nothing to build upon.
        let keep = i64::from(shape.len() < 4 || axes.len() > 1 || self.random.once_in(2));
        Proposal {
            constants: vec![Constant::Given(Tensor::ints(axes))],
            attributes: vec![("keepdims", keep.into())],
            ..of(op_type, x)
        }
    }

    /// Elements elsewhere.
    pub(super) fn moved(&mut self, x: Id, shape: &[usize]) -> Option<Proposal> {
        let rank = shape.len();
        let given = |values: Vec<i64>| Constant::Given(Tensor::ints(values));
        let axis = self.random.between(1, rank - 1);
        Some(match self.random.below(14) {
            0 | 1 => {
                let mode = self.random.pick(&["constant", "edge", "reflect", "wrap"]);
                // Reflection and wrapping stay within one image.
                let mut amounts = vec![0i64; 2 * rank];
                for at in (0..2 * rank).filter(|at| at % rank > 0) {
                    let most = (shape[at % rank] as i64 - 1).min(3);
                    amounts[at] = self.random.between(0, most.max(0) as usize) as i64;
                }
                if self.random.once_in(4) && shape[axis] > 2 {
                    (amounts[axis], amounts[rank + axis]) = (-1, 0);
                }
                let mut constants = vec![given(amounts)];
                if mode == "constant" && self.random.once_in(2) {
                    constants.push(Constant::Given(scalar(3.0)));
                }
                Proposal { constants, attributes: vec![("mode", mode.into())], ..of("Pad", x) }
            }
            2 | 3 => self.resized(x, shape),
            4 => {
                let mut permutation: Vec<i64> = (0..rank as i64).collect();
                let other = self.random.between(1, rank - 1);
                permutation.swap(axis, other);
                Proposal { attributes: vec![("perm", AttributeValue::Ints(permutation))], ..of("Transpose", x) }
            }
            5 => {
                let size = shape[axis] as i64;
                let start = self.random.below(size as usize) as i64;
                let step = self.random.pick(&[1, 2, -1]);
                let end = if step < 0 { -size - 1 } else { size };
                let parts = [vec![start], vec![end], vec![axis as i64], vec![step]];
                Proposal { constants: parts.map(given).to_vec(), ..of("Slice", x) }
            }
            6 if shape[axis] > 1 => {
                let attributes = vec![("axis", (axis as i64).into()), ("num_outputs", 2.into())];
                Proposal { attributes, ..of("Split", x) }
            }
            7 if rank == 4 => {
                let depth = shape[1].is_multiple_of(4);
                let mode = self.random.pick(&["DCR", "CRD"]);
                let space = shape[2].is_multiple_of(2) && shape[3].is_multiple_of(2);
                match (depth, space) {
                    (true, _) => {
                        let attributes = vec![("blocksize", 2.into()), ("mode", mode.into())];
                        Proposal { attributes, ..of("DepthToSpace", x) }
                    }
                    (_, true) => Proposal { attributes: vec![("blocksize", 2.into())], ..of("SpaceToDepth", x) },
                    _ => return None,
                }
            }
            8 => {
                let repeats = (0..rank).map(|at| if at == axis { 2 } else { 1 }).collect();
                Proposal { constants: vec![given(repeats)], ..of("Tile", x) }
            }
            9 => {
                let sizes = (0..rank).map(|at| if shape[at] == 1 && at > 0 { 3 } else { 1 }).collect();
                Proposal { constants: vec![given(sizes)], ..of("Expand", x) }
            }
            10 => Proposal { constants: vec![given(vec![0, -1])], ..of("Reshape", x) },
            12 => {
                let size = shape[axis];
                let indices = (0..self.random.between(1, 5)).map(|_| self.random.below(2 * size) as i64 - size as i64);
                let constants = vec![given(indices.collect())];
                Proposal { constants, attributes: vec![("axis", (axis as i64).into())], ..of("Gather", x) }
            }
            11 if shape[1] == 1 && rank > 2 => Proposal { constants: vec![given(vec![1])], ..of("Squeeze", x) },
            11 => of("Identity", x),
            _ => Proposal { attributes: vec![("axis", 1.into())], ..of("Flatten", x) },
        })
    }

    fn resized(&mut self, x: Id, shape: &[usize]) -> Proposal {
        let mode = self.random.pick(&["nearest", "linear", "cubic"]);
        let coordinates = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"];
        let mut attributes: Attributes =
            vec![("mode", mode.into()), ("coordinate_transformation_mode", self.random.pick(&coordinates).into())];
        match mode {
            "nearest" => {
                let rounding = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];
                attributes.push(("nearest_mode", self.random.pick(&rounding).into()));
            }
            _ if self.random.once_in(3) => attributes.push(("antialias", 1.into())),
            "cubic" if self.random.once_in(2) => attributes.push(("exclude_outside", 1.into())),
            _ => {}
        }
        let random = &mut self.random;
        let axes: Vec<i64> = (2..shape.len() as i64).collect();
        let constants = if random.once_in(2) && !axes.is_empty() {
            let sizes = axes.iter().map(|&axis| random.between(1, 2 * shape[axis as usize]) as i64).collect();
            attributes.push(("axes", AttributeValue::Ints(axes)));
            vec![Constant::Absent, Constant::Absent, Constant::Given(Tensor::ints(sizes))]
        } else {
            let scale = |axis: usize, random: &mut Random| match axis {
                0 | 1 => 1.0,
                _ if shape[axis] < 3 => random.pick(&[1.0, 2.0, 1.5]),
                _ => random.pick(&[0.5, 1.0, 1.5, 2.0, 0.4]),
            };
            let scales: Vec<f32> = (0..shape.len()).map(|axis| scale(axis, random)).collect();
            let scales = Tensor::real(&[shape.len()], scales).expect("as many as there are axes");
            vec![Constant::Absent, Constant::Given(scales)]
        };
        Proposal { constants, attributes, ..of("Resize", x) }
    }
}
