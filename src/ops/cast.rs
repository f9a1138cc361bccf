//! A tensor as another element type. On a device all kinds are numbers of f32: see [`crate::plan::numbers`].

use super::{Inputs, OpResult, Operator, Problem, Reshape, Restricted, activate, optional, required, unsupported};
use crate::element::Element;
use crate::kernels::Part;
use crate::onnx::OnnxNode;
use crate::part;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use ndarray::ArrayD;
use std::ops::Range;

/// Input 0 as another element type. Source: ONNX, operator Cast. Reals are rounded to those that the type has
/// ([`Element::nearest`]), or lose their fraction ([`Element::truncated`]); integers wrap ([`Element::wrapped`]).
#[derive(Debug, Clone)]
pub struct Cast {
    /// The type.
    pub to: Element,
    /// Whether a real beyond an integer type of at most 16 bits becomes the nearest one of it, and NaN the least, as
    /// QuantizeLinear has it.
    pub saturates: bool,
}

impl Cast {
    /// As ONNX's Cast.
    pub fn to(element: Element) -> Self {
        Cast { to: element, saturates: false }
    }

    /// Reals to the nearest integer of the type.
    pub fn nearest(element: Element) -> Self {
        Cast { to: element, saturates: true }
    }

    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let to = node.element("to")?;
        let to = to.ok_or_else(|| Problem::Invalid("attribute 'to' is missing".to_string()))?;
        Cast::finish(node, to)
    }

    /// `CastLike`: the type is the second input's.
    pub(crate) fn import_like(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let to = node.element_type(1).unwrap_or(Element::of(node.ty(1)?.kind));
        Cast::finish(node, to)
    }

    fn finish(node: &mut OnnxNode<'_>, to: Element) -> OpResult<()> {
        // It says how numbers that are too large for 8 bits are rounded, and no such type is supported.
        node.flag("saturate")?;
        let ty = node.ty(0)?.clone();
        let from = node.element_type(0).unwrap_or(Element::of(ty.kind));
        match changes_nothing(from, to) {
            true => node.finish(Reshape { shape: ty.shape }, &[0])?,
            false => node.finish(Cast::to(to), &[0])?,
        }
        node.is_of_type(to)
    }

    /// What becomes of a real as an integer.
    fn integer(&self, x: f64) -> OpResult<i64> {
        if self.saturates { Ok(self.to.saturated(x)) } else { self.to.truncated(x).ok_or_else(beyond) }
    }

    /// How far what becomes of a real may lie from what becomes of one that is off by `error`.
    fn carried(&self, x: f64, error: f64) -> f64 {
        let ends = [x - error, x + error];
        match self.to.kind() {
            Kind::Bool => f64::from(u8::from(error > 0.0 && ends[0] <= 0.0 && ends[1] >= 0.0)),
            // Rounding and truncation are monotone: the ends of the range tell.
            Kind::Real => {
                let y = self.to.nearest(x);
                let apart = |end: f64| if self.to.nearest(end) == y { 0.0 } else { (self.to.nearest(end) - y).abs() };
                ends.map(apart).into_iter().fold(0.0, f64::max)
            }
            Kind::Int if error == 0.0 => 0.0,
            Kind::Int => {
                let [least, most] = self.to.range().map(|end| end as f64);
                let inside = ends.map(|end| (least..=most).contains(&end.trunc()));
                match self.saturates || inside == [true; 2] {
                    true => ends.map(|end| (end.clamp(least, most).trunc() - x.clamp(least, most).trunc()).abs()),
                    // What wraps on the way may be any number of the type.
                    false => [most - least; 2],
                }
                .into_iter()
                .fold(0.0, f64::max)
            }
        }
    }
}

/// Whether each number of one type, as this engine has it, is the same in the other. What is declared to be of 16 bits may have
/// come out of arithmetic in f32, and is rounded.
fn changes_nothing(from: Element, to: Element) -> bool {
    let [[least, most], [from_least, from_most]] = [to.range(), from.range()];
    match (from.kind(), to.kind()) {
        (Kind::Real, Kind::Real) => matches!(to, Element::F32 | Element::F64),
        (Kind::Int, Kind::Int) => to == Element::I64 || from != to && least <= from_least && from_most <= most,
        (from, to) => from == to,
    }
}

fn beyond() -> Problem {
    Problem::Unsupported("it makes an uint64 of what is no int64, in which integers are kept".to_string())
}

/// The functions of numbers that change something.
pub(super) const PARTS: [Part; 7] = [
    part!("unary", "is_true"),
    part!("unary", "to_float16"),
    part!("unary", "to_bfloat16"),
    part!("unary", "to_integer"),
    part!("unary", "to_int64"),
    part!("unary", "to_uint64"),
    part!("unary", "to_nearest_integer"),
];

impl Operator for Cast {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        let narrow = self.to.kind() == Kind::Int && self.to.size() <= 2;
        if self.saturates && !(narrow && ty.kind == Kind::Real) {
            return unsupported(format!("the nearest {} of {:?}", self.to, ty.kind));
        }
        Ok(vec![TensorType { kind: self.to.kind(), shape: ty.shape.clone() }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let input = required(inputs, 0)?;
        // An integer is a single on its way to fewer bits, as in ONNX Runtime.
        let to_real = |x: i64| match self.to {
            Element::F64 => T::of(x as f64),
            to => T::of(to.nearest(f64::from(x as f32))),
        };
        Ok(vec![match (input, self.to.kind()) {
            (Tensor::Real(a), Kind::Real) => Tensor::Real(a.mapv(|x| T::of(self.to.nearest(x.f64())))),
            (Tensor::Real(a), Kind::Int) => Tensor::Int(each(a, |&x| self.integer(x.f64()))?),
            (Tensor::Real(a), Kind::Bool) => Tensor::Bool(a.mapv(|x| x != T::zero())),
            (Tensor::Int(a), Kind::Real) => Tensor::Real(a.mapv(to_real)),
            (Tensor::Int(a), Kind::Int) => Tensor::Int(each(a, |&x| self.to.wrapped(x).ok_or_else(beyond))?),
            (Tensor::Int(a), Kind::Bool) => Tensor::Bool(a.mapv(|x| x != 0)),
            (Tensor::Bool(a), Kind::Real) => Tensor::Real(a.mapv(|x| T::of(f64::from(u8::from(x))))),
            (Tensor::Bool(a), Kind::Int) => Tensor::Int(a.mapv(i64::from)),
            (Tensor::Bool(a), Kind::Bool) => Tensor::Bool(a.clone()),
        }])
    }

    /// Rounding to a type is no error: the reference does it too. What is off may be rounded to another number, though.
    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let input = required(inputs, 0)?;
        let Some(errors) = optional(errors, 0) else { return Ok(super::exact(input.shape())) };
        let exact = match input {
            Tensor::Real(a) => a.clone(),
            Tensor::Int(a) => a.mapv(|x| x as f64),
            Tensor::Bool(a) => a.mapv(|x| f64::from(u8::from(x))),
        };
        Ok(ndarray::Zip::from(&exact).and(errors).map_collect(|&x, &error| self.carried(x, error)))
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        Some(Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let [is_true, float16, bfloat16, integer, int64, uint64, nearest] = PARTS;
        let from = required(&node.input_types(), 0)?.kind;
        let [least, most] = self.to.range().map(|end| end as f32);
        let bits = 8.0 * self.to.size() as f32;
        let signed = if least < 0.0 { bits } else { -bits };
        // What a real is on its way to an integer has 32 bits, but to an uint32; see `Element::truncated`.
        let digits = if from == Kind::Real && self.to != Element::U32 { 31.0 } else { 63.0 };
        let (part, parameters) = match (from, self.to) {
            (Kind::Bool, _) | (_, Element::F32 | Element::F64) | (Kind::Int, Element::I64) => return node.alias(0, 0),
            (_, Element::Bool) => (is_true, [0.0; 2]),
            (_, Element::F16) => (float16, [0.0; 2]),
            (_, Element::Bf16) => (bfloat16, [0.0; 2]),
            (_, Element::I64) => (int64, [0.0; 2]),
            (_, Element::U64) => (uint64, [0.0; 2]),
            _ if self.saturates => (nearest, [least, most]),
            _ => (integer, [signed, digits]),
        };
        // Four channels have zeros behind the last, and a type's nearest to zero is zero.
        activate::lower_each(node, vec![part], parameters, 0.0)
    }
}

/// The same of each element, which may have none.
fn each<X, Y>(array: &ArrayD<X>, of: impl Fn(&X) -> OpResult<Y>) -> OpResult<ArrayD<Y>> {
    let values = array.iter().map(of).collect::<OpResult<Vec<Y>>>()?;
    Ok(crate::tensor::array(array.shape(), values)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_may_become_another_number_of_the_type() {
        let half = Cast::to(Element::F16);
        assert_eq!((half.carried(1.0, 0.0), half.carried(1.0, 0.0002)), (0.0, 0.0));
        assert_eq!(half.carried(1.0, 0.0006), 2f64.powi(-10));
        assert_eq!((half.carried(65_519.0, 2.0), half.carried(1e6, 1.0)), (f64::INFINITY, 0.0));
        let byte = Cast::to(Element::U8);
        assert_eq!((byte.carried(3.5, 0.25), byte.carried(3.9, 0.25), byte.carried(255.9, 0.25)), (0.0, 1.0, 255.0));
        let nearest = Cast::nearest(Element::U8);
        assert_eq!(
            (nearest.carried(255.9, 0.25), nearest.carried(-9.0, 1.0), nearest.carried(2.0, 0.5)),
            (0.0, 0.0, 1.0)
        );
        assert_eq!((Cast::to(Element::Bool).carried(0.5, 0.5), Cast::to(Element::Bool).carried(0.5, 0.25)), (1.0, 0.0));
    }

    #[test]
    fn an_unsigned_integer_that_is_no_int64_is_refused() {
        let negative = Tensor::<f64>::ints(vec![-1]);
        assert!(Cast::to(Element::U64).reference(&[Some(&negative)]).is_err());
        let large = Tensor::real(&[1], vec![1e19]).unwrap();
        assert!(Cast::to(Element::U64).reference::<f64>(&[Some(&large)]).is_err());
    }
}
