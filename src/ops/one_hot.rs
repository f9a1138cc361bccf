//! `OneHot`: for each index a row that is one value at its place, and another one elsewhere: comparisons with all places.

use super::{Logic, LogicFunction, OpResult, Reshape, Select, invalid, unsupported};
use crate::onnx::OnnxNode;
use crate::tensor::{Kind, Tensor, row_major_slice};

pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
    let (indices, shape) = (node.input(0)?, node.ty(0)?.shape.clone());
    let depth = node.constant_scalar(1)?.filter(|depth| *depth >= 1.0 && depth.fract() == 0.0);
    let Some(depth) = depth.map(|depth| depth as usize) else { return invalid("depth is no count") };
    let axis = super::axis(node.int("axis", -1)?, shape.len() + 1)?;
    let kind = node.ty(0)?.kind;
    let values = node.constant_input(2)?.clone();
    let [off, on] = match &values {
        Tensor::Real(array) => match row_major_slice(array)[..] {
            [off, on] => [off, on].map(|value| Tensor::real(&[], vec![value])),
            _ => return invalid("values are not two"),
        },
        Tensor::Int(array) => match row_major_slice(array)[..] {
            [off, on] => [off, on].map(|value| Tensor::ints(vec![value]).reshape(&[])),
            _ => return invalid("values are not two"),
        },
        Tensor::Bool(_) => return unsupported("values that are truth values"),
    };
    let (off, on) = (node.constant_of(off?), node.constant_of(on?));
    let mut spread = shape.clone();
    spread.insert(axis, 1);
    let indices = node.emit(Reshape { shape: spread.clone() }, &[Some(indices)])?;
    spread.fill(1);
    spread[axis] = depth;
    // An index counts from the end where it is negative.
    let mut is_there = |first: i64| {
        let places: Vec<i64> = (first..first + depth as i64).collect();
        let places = match kind {
            Kind::Real => Tensor::real(&spread, places.iter().map(|&place| place as f32).collect())?,
            _ => Tensor::ints(places).reshape(&spread)?,
        };
        let places = node.constant_of(places);
        node.emit(Logic { function: LogicFunction::Equal }, &[Some(indices), Some(places)])
    };
    let (from_start, from_end) = (is_there(0)?, is_there(-(depth as i64))?);
    let either = node.emit(Logic { function: LogicFunction::Or }, &[Some(from_start), Some(from_end)])?;
    node.finish_with(Select, &[Some(either), Some(on), Some(off)])
}
