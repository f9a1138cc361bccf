//! Comparisons, and connectives of truth values, which a device has as 0 and 1.

use super::pairs::{self, combined, legacy_broadcast};
use super::{Activation, Inputs, OpResult, Operator, Restricted, invalid, required, unsupported};
use crate::kernels::Part;
use crate::onnx::OnnxNode;
use crate::part;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::ops::Range;

/// What is asked of each pair. With a NaN nothing is equal, and nothing is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogicFunction {
    /// a = b, of any kind.
    Equal,
    /// a < b, of numbers.
    Less,
    /// a <= b, of numbers.
    LessOrEqual,
    And,
    Or,
    Xor,
}

use LogicFunction::*;

/// All of them.
pub const LOGIC_FUNCTIONS: [LogicFunction; 6] = [Equal, Less, LessOrEqual, And, Or, Xor];

/// `function(a, b)`, element by element, with numpy's broadcasting. Inputs: a, b. Source: ONNX, Equal, Less, And and so on.
#[derive(Debug, Clone)]
pub struct Logic {
    /// What is asked.
    pub function: LogicFunction,
}

impl LogicFunction {
    pub(super) fn part(self) -> Part {
        match self {
            Equal => part!("binary", "equal"),
            Less => part!("binary", "less"),
            LessOrEqual => part!("binary", "less_or_equal"),
            And => part!("binary", "and"),
            Or => part!("binary", "or"),
            Xor => part!("binary", "xor"),
        }
    }

    /// Of numbers; truth values are 0 and 1.
    fn holds<E: PartialOrd>(self, a: E, b: E, zero: E) -> bool {
        match self {
            Equal => a == b,
            Less => a < b,
            LessOrEqual => a <= b,
            And => a != zero && b != zero,
            Or => a != zero || b != zero,
            Xor => (a != zero) != (b != zero),
        }
    }

    fn takes(self, kind: Kind) -> bool {
        match self {
            Equal => true,
            Less | LessOrEqual => kind != Kind::Bool,
            And | Or | Xor => kind == Kind::Bool,
        }
    }
}

impl Logic {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let (function, swapped) = match node.op_type() {
            "Equal" => (Equal, false),
            "Less" => (Less, false),
            "LessOrEqual" => (LessOrEqual, false),
            "Greater" => (Less, true),
            "GreaterOrEqual" => (LessOrEqual, true),
            "And" => (And, false),
            "Or" => (Or, false),
            "Xor" => (Xor, false),
            other => return unsupported(format!("'{other}' is no comparison")),
        };
        let (a, mut b) = (node.input(0)?, node.input(1)?);
        if node.opset() < 7 {
            b = legacy_broadcast(node, a, b)?;
        }
        let inputs = if swapped { [Some(b), Some(a)] } else { [Some(a), Some(b)] };
        node.finish_with(Logic { function }, &inputs)
    }

    /// `Not`: whether it equals false.
    pub(crate) fn import_not(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let no = node.constant_of(Tensor::Bool(ArrayD::from_elem(IxDyn(&[]), false)));
        let x = node.input(0)?;
        node.finish_with(Logic { function: Equal }, &[Some(x), Some(no)])
    }
}

impl Operator for Logic {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let kind = required(inputs, 0)?.kind;
        if !self.function.takes(kind) {
            return invalid(format!("{:?} of {kind:?}", self.function));
        }
        Ok(vec![TensorType { kind: Kind::Bool, shape: pairs::result_shape(inputs)? }])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        Ok(vec![Tensor::Bool(match (required(inputs, 0)?, required(inputs, 1)?) {
            (Tensor::Real(a), Tensor::Real(b)) => combined([a, b], |a, b| Ok(self.function.holds(a, b, T::zero())))?,
            (Tensor::Int(a), Tensor::Int(b)) => combined([a, b], |a, b| Ok(self.function.holds(a, b, 0)))?,
            (Tensor::Bool(a), Tensor::Bool(b)) => combined([a, b], |a, b| Ok(self.function.holds(a, b, false)))?,
            _ => return invalid("cannot compare tensors of different kinds"),
        })])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, _: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        Ok(super::exact(
            &super::strided::broadcast(required(inputs, 0)?.shape(), required(inputs, 1)?.shape()).unwrap_or_default(),
        ))
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let rank = pairs::result_shape(inputs).ok()?.len();
        Some(Restricted::broadcast(self.clone(), inputs, rank, axis, range))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let keeps_zero = !self.function.holds(0, 0, 0);
        pairs::lower(node, self.function.part(), &Activation::Identity, keeps_zero)
    }

    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| ty.shape.iter().product::<usize>() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_equal_to_nan_or_in_order_with_it() {
        for function in [Equal, Less, LessOrEqual] {
            assert!(!function.holds(f64::NAN, 1.0, 0.0) && !function.holds(1.0, f64::NAN, 0.0));
        }
        assert!(Xor.holds(true, false, false) && !Xor.holds(true, true, false));
    }
}
