//! The same elements under another shape; costs nothing on a device.

use super::{Cut, Inputs, OpResult, Operator, Restricted, invalid, required};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::tensor::{Real, Tensor, TensorType, checked_len, format_shape};
use std::ops::Range;

/// What Reshape, Flatten, Squeeze, Unsqueeze, Identity and inference-time Dropout come to once shapes are known.
#[derive(Debug, Clone)]
pub struct Reshape {
    /// The new shape, of as many elements.
    pub shape: Vec<usize>,
}

impl Reshape {
    /// `Reshape`: -1 is what is left over, 0 keeps the input's size unless `allowzero` says otherwise.
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let wanted = if node.opset() < 5 { node.ints("shape")? } else { node.constant_ints(1)? };
        let Some(wanted) = wanted else { return invalid("the shape is missing") };
        let keep_zero = node.flag("allowzero")?;
        let from = node.ty(0)?.shape.clone();
        let mut shape = Vec::with_capacity(wanted.len());
        let mut rest = None;
        for (axis, &size) in wanted.iter().enumerate() {
            shape.push(match size {
                -1 if rest.replace(axis).is_some() => return invalid("more than one -1 in the shape"),
                -1 => 1,
                0 if !keep_zero => match from.get(axis) {
                    Some(&size) => size,
                    None => {
                        return invalid(format!("size 0 at axis {axis} copies from a tensor of rank {}", from.len()));
                    }
                },
                size if size < 0 => return invalid(format!("size {size} in the shape")),
                size => size as usize,
            });
        }
        if let Some(axis) = rest {
            let (have, others) = (checked_len(&from)?, checked_len(&shape)?);
            if others == 0 || have % others != 0 {
                return invalid(format!("{} does not fit {wanted:?}", format_shape(&from)));
            }
            shape[axis] = have / others;
        }
        node.finish(Reshape { shape }, &[0])
    }

    /// `Flatten`: all dimensions before `axis` become one, all others another.
    pub(crate) fn import_flatten(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let from = node.ty(0)?.shape.clone();
        let stated = node.int("axis", 1)?;
        // The axis may be one past the last.
        let axis = if stated == from.len() as i64 { from.len() } else { super::axis(stated, from.len())? };
        let shape = vec![from[..axis].iter().product(), from[axis..].iter().product()];
        node.finish(Reshape { shape }, &[0])
    }

    /// `Identity`, and `Dropout`, which changes nothing when a network is not being trained.
    pub(crate) fn import_identity(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let shape = node.ty(0)?.shape.clone();
        if node.op_type() == "Dropout" {
            node.float("ratio", 0.5)?;
            node.int_if_present("seed")?;
            let inference = node.opset() >= 7 || node.flag("is_test")?;
            let training = node.opset() >= 12 && node.constant_truth(2)?.unwrap_or(false);
            if training || !inference {
                return super::unsupported("it is in training mode");
            }
            if node.output_count() > 1 {
                let mask = ndarray::ArrayD::from_elem(ndarray::IxDyn(&shape), true);
                node.define_constant(1, Tensor::Bool(mask))?;
            }
        }
        node.finish(Reshape { shape }, &[0])
    }

    /// `Unsqueeze`: sizes of 1 at the given places of the result. The axes are an input since opset 13.
    pub(crate) fn import_unsqueeze(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let stated = if node.opset() < 13 { node.ints("axes")? } else { node.constant_ints(1)? };
        let Some(stated) = stated else { return invalid("axes are missing") };
        let from = node.ty(0)?.shape.clone();
        let rank = from.len() + stated.len();
        let axes = stated.iter().map(|&axis| super::axis(axis, rank)).collect::<OpResult<Vec<_>>>()?;
        let mut sizes = from.into_iter();
        let mut shape = Vec::with_capacity(rank);
        for axis in 0..rank {
            let size = if axes.contains(&axis) { Some(1) } else { sizes.next() };
            let Some(size) = size else { return invalid(format!("axes {stated:?} name one twice")) };
            shape.push(size);
        }
        if sizes.next().is_some() {
            return invalid(format!("axes {stated:?} name one twice"));
        }
        node.finish(Reshape { shape }, &[0])
    }

    /// `Squeeze`: drops the given sizes of 1, or all. The axes are an input since opset 13.
    pub(crate) fn import_squeeze(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let stated = if node.opset() < 13 { node.ints("axes")? } else { node.constant_ints(1)? };
        let from = node.ty(0)?.shape.clone();
        let drops = match stated {
            None => (0..from.len()).filter(|&axis| from[axis] == 1).collect(),
            Some(axes) => axes.iter().map(|&axis| super::axis(axis, from.len())).collect::<OpResult<Vec<_>>>()?,
        };
        if let Some(&axis) = drops.iter().find(|&&axis| from[axis] != 1) {
            return invalid(format!("axis {axis} has size {}, not 1", from[axis]));
        }
        let shape = from.iter().enumerate().filter(|(axis, _)| !drops.contains(axis)).map(|(_, &size)| size).collect();
        node.finish(Reshape { shape }, &[0])
    }
}

impl Operator for Reshape {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        if checked_len(&self.shape)? != ty.elements()? {
            return invalid(format!("{ty} has not as many elements as {}", format_shape(&self.shape)));
        }
        Ok(vec![TensorType { kind: ty.kind, shape: self.shape.clone() }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        self.consume(required(inputs, 0)?.clone(), inputs)
    }

    fn consume<T: Real>(&self, first: Tensor<T>, _: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        Ok(vec![first.reshape(&self.shape)?])
    }

    /// An axis of the input with as many elements before each of its indices, where the range begins and ends at whole indices
    /// of that too.
    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let from = &inputs[0]?.shape;
        if from.contains(&0) {
            return None;
        }
        let product = |sizes: &[usize]| sizes.iter().product::<usize>();
        let (before, behind) = (product(&self.shape[..axis]), product(&self.shape[axis + 1..]));
        let [start, end] = [range.start, range.end].map(|index| index * behind);
        let fits = |own: &usize| {
            let each = product(&from[own + 1..]);
            product(&from[..*own]) == before && start.is_multiple_of(each) && end.is_multiple_of(each)
        };
        // Of several such axes the last has the fewest elements an index.
        let own = (0..from.len()).rev().find(fits)?;
        let each = product(&from[own + 1..]);
        let mut op = self.clone();
        op.shape[axis] = range.len();
        let mut cuts = vec![Cut::Whole; inputs.len()];
        cuts[0] = Cut::Along(own, start / each..end / each);
        Some(Restricted { op, cuts })
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        node.alias(0, 0)
    }
}
