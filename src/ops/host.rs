//! Operators on shapes and indices, which must be known when a model is bound to its input shapes: their results are
//! constants, and nothing of them is left for a device.

use super::{OpResult, Reshape, invalid, unsupported};
use crate::onnx::OnnxNode;
use crate::tensor::{Kind, Tensor, array, each_kind};
use ndarray::{ArrayD, IxDyn};

/// `Constant`, in each of the forms it takes.
pub(crate) fn constant(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let tensor = if let Some(tensor) = node.tensor("value")? {
        tensor
    } else if let Some(value) = node.float_if_present("value_float")? {
        Tensor::real(&[], vec![value])?
    } else if let Some(values) = node.floats("value_floats")? {
        Tensor::real(&[values.len()], values)?
    } else if let Some(value) = node.int_if_present("value_int")? {
        Tensor::ints(vec![value]).reshape(&[])?
    } else if let Some(values) = node.ints("value_ints")? {
        Tensor::ints(values)
    } else {
        return unsupported("a constant that is neither a dense tensor nor numbers");
    };
    node.define_constant(0, tensor)
}

/// `ConstantOfShape`.
pub(crate) fn constant_of_shape(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let Some(sizes) = node.constant_ints(0)? else { return invalid("the shape is missing") };
    let shape = sizes_of(&sizes)?;
    let value = node.tensor("value")?.unwrap_or(Tensor::real(&[1], vec![0.0])?);
    crate::tensor::checked_len(&shape)?;
    node.budget(&shape)?;
    let filled = each_kind!(value, array => match array.first() {
        Some(first) if array.len() == 1 => ArrayD::from_elem(IxDyn(&shape), *first),
        _ => return invalid("its value must have one element"),
    });
    node.define_constant(0, filled)
}

/// `Shape`, or a stretch of it.
pub(crate) fn shape(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let sizes: Vec<i64> = node.ty(0)?.shape.iter().map(|&size| size as i64).collect();
    let rank = sizes.len() as i64;
    let place = |at: i64| if at < 0 { at + rank } else { at }.clamp(0, rank) as usize;
    let start = place(node.int("start", 0)?);
    let end = place(node.int("end", rank)?);
    node.define_constant(0, Tensor::ints(sizes[start..end.max(start)].to_vec()))
}

/// `If`: the branch that the condition chooses, in the node's place.
pub(crate) fn branch(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let Some(holds) = node.constant_truth(0)? else { return invalid("the condition is missing") };
    let (taken, other) = if holds { ("then_branch", "else_branch") } else { ("else_branch", "then_branch") };
    node.pass_over(other);
    let results = node.inlined(taken)?;
    if results.len() < node.output_count() {
        return invalid(format!("'{taken}' gives {} values for {} outputs", results.len(), node.output_count()));
    }
    for (slot, result) in results.into_iter().enumerate() {
        let shape = node.type_of(result).shape.clone();
        node.define(slot, Reshape { shape }, &[Some(result)])?;
    }
    Ok(())
}

/// `Size`: the number of elements.
pub(crate) fn size(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let count = node.ty(0)?.elements()? as i64;
    node.define_constant(0, Tensor::ints(vec![count]).reshape(&[])?)
}

/// `Range`: from a start, by steps, as long as the limit is not reached.
pub(crate) fn range(node: &mut OnnxNode<'_>) -> OpResult<()> {
    if node.ty(0)?.kind == Kind::Int {
        let one = |slot| Ok(node.constant_ints(slot)?.filter(|values| values.len() == 1).map(|values| values[0]));
        let [start, limit, delta] = bounds(one)?;
        if delta == 0 {
            return invalid("a step of 0");
        }
        let distance = i128::from(limit) - i128::from(start);
        let steps = (distance.signum() * i128::from(delta.signum()) > 0).then(|| {
            let (distance, step) = (distance.unsigned_abs(), u128::from(delta.unsigned_abs()));
            distance.div_ceil(step)
        });
        let count = usize::try_from(steps.unwrap_or(0)).unwrap_or(usize::MAX);
        node.budget(&[count])?;
        // The way from the start may be longer than 64 bits tell; where it leads to is not.
        let value = |at: i64| start.wrapping_add(at.wrapping_mul(delta));
        return node.define_constant(0, Tensor::ints((0..count as i64).map(value).collect()));
    }
    let [start, limit, delta] = bounds(|slot| node.constant_scalar(slot))?.map(f64::from);
    let steps = ((limit - start) / delta).ceil().max(0.0);
    if !steps.is_finite() {
        return invalid(format!("{start} to {limit} by {delta} has no end"));
    }
    let count = steps as usize;
    node.budget(&[count])?;
    let values = (0..count).map(|at| (start + at as f64 * delta) as f32).collect();
    node.define_constant(0, Tensor::real(&[count], values)?)
}

/// Start, limit and step.
fn bounds<T>(number: impl Fn(usize) -> OpResult<Option<T>>) -> OpResult<[T; 3]> {
    match (number(0)?, number(1)?, number(2)?) {
        (Some(start), Some(limit), Some(delta)) => Ok([start, limit, delta]),
        _ => invalid("start, limit and delta must be one number each"),
    }
}

/// `NonZero`: the indices of all elements that are not zero, a row for each dimension.
pub(crate) fn non_zero(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let tensor = node.constant_input(0)?;
    let holds: Vec<bool> = match tensor {
        Tensor::Real(array) => array.iter().map(|&x| x != 0.0).collect(),
        Tensor::Int(array) => array.iter().map(|&x| x != 0).collect(),
        Tensor::Bool(array) => array.iter().copied().collect(),
    };
    let strides = super::strided::row_major_strides(tensor.shape());
    let places: Vec<usize> = (0..holds.len()).filter(|&at| holds[at]).collect();
    let index = |axis: usize, at: usize| (at / strides[axis] as usize % tensor.shape()[axis].max(1)) as i64;
    let indices = (0..strides.len()).flat_map(|axis| places.iter().map(move |&at| (axis, at)));
    let indices = indices.map(|(axis, at)| index(axis, at)).collect();
    let found = array(&[strides.len(), places.len()], indices)?;
    node.define_constant(0, Tensor::Int(found))
}

/// `Mod` of integers, of the divisor's sign, or with `fmod` of the dividend's.
pub(crate) fn remainder(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let as_in_c = node.flag("fmod")?;
    let (Tensor::Int(a), Tensor::Int(b)) = (node.constant_input(0)?, node.constant_input(1)?) else {
        return unsupported("remainders of reals");
    };
    let found = super::pairs::combined([a, b], |a, b| match b {
        0 => invalid("a remainder by 0"),
        _ if as_in_c => Ok(a.wrapping_rem(b)),
        // The sign of what is left over is the divisor's.
        _ => Ok(a.wrapping_rem(b).wrapping_add(b).wrapping_rem(b)),
    })?;
    node.define_constant(0, Tensor::Int(found))
}

/// Trigonometry, as position encodings ask for it.
pub(crate) fn trigonometry(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let function = match node.op_type() {
        "Sin" => f64::sin,
        "Cos" => f64::cos,
        "Atan" => f64::atan,
        other => return unsupported(format!("'{other}' is no function of an angle")),
    };
    let values = node.constant_input(0)?.as_real()?.mapv(|x| function(f64::from(x)) as f32);
    node.define_constant(0, Tensor::Real(values))
}

pub(super) fn sizes_of(sizes: &[i64]) -> OpResult<Vec<usize>> {
    sizes
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| super::Problem::Invalid(format!("size {size} in a shape"))))
        .collect()
}
