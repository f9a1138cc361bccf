//! Functions of one number that are no activations: no convolution ends in one, so no pass fuses them.

use super::{Inputs, OpResult, Operator, Restricted, real_type, required, unsupported};
use crate::bound::{FLUSH, U, flushed};
use crate::kernels::Part;
use crate::onnx::OnnxNode;
use crate::part;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use ndarray::{ArrayD, Zip};

/// A function of one number. Definitions: the ONNX operator of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UnaryFunction {
    Abs,
    Neg,
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Floor,
    Ceil,
    /// To the even integer where two are as near.
    Round,
    Erf,
    Sign,
}

use UnaryFunction::*;
use std::ops::Range;

/// All of them.
pub const UNARY_FUNCTIONS: [UnaryFunction; 11] = [Abs, Neg, Exp, Log, Sqrt, Reciprocal, Floor, Ceil, Round, Erf, Sign];

/// `function(x)`, element by element. Input 0: x.
#[derive(Debug, Clone)]
pub struct Unary {
    /// Which one.
    pub function: UnaryFunction,
}

impl UnaryFunction {
    /// The WGSL file, which defines `activate` as an activation's does: the same kernel takes both.
    pub(super) fn part(self) -> Part {
        match self {
            Abs => part!("unary", "abs"),
            Neg => part!("unary", "neg"),
            Exp => part!("unary", "exp"),
            Log => part!("unary", "log"),
            Sqrt => part!("unary", "sqrt"),
            Reciprocal => part!("unary", "reciprocal"),
            Floor => part!("unary", "floor"),
            Ceil => part!("unary", "ceil"),
            Round => part!("unary", "round"),
            Erf => part!("unary", "erf"),
            Sign => part!("unary", "sign"),
        }
    }

    fn apply<T: Real>(self, x: T) -> T {
        match self {
            Abs => x.abs(),
            Neg => -x,
            Exp => x.exp(),
            Log => x.ln(),
            Sqrt => x.sqrt(),
            Reciprocal => x.recip(),
            Floor => x.floor(),
            Ceil => x.ceil(),
            Round => T::of(x.f64().round_ties_even()),
            Erf => T::of(libm::erf(x.f64())),
            Sign if x > T::zero() => T::one(),
            Sign if x < T::zero() => -T::one(),
            Sign => x,
        }
    }

    /// Integers wrap, as the integer types of ONNX do; most functions take none.
    fn of_int(self, x: i64) -> Option<i64> {
        match self {
            Abs => Some(x.wrapping_abs()),
            Neg => Some(x.wrapping_neg()),
            Sign => Some(x.signum()),
            _ => None,
        }
    }

    /// How far the result may lie from the exact one at `x`, where that is off by at most `error`. Each function is
    /// monotone wherever it is continuous, so that the ends of the range tell what an error of the input does.
    fn error_bound(self, x: f64, error: f64) -> f64 {
        let error = error + flushed(x);
        let y = self.apply(x);
        let carried = match self {
            Abs | Neg => error,
            Reciprocal if x.abs() <= error => f64::INFINITY,
            _ if error == 0.0 => 0.0,
            _ => {
                let [below, above] = [x - error, x + error].map(|end| (self.apply(end) - y).abs());
                // `max` would pass over the NaN of an end outside of the domain.
                if below.is_nan() || above.is_nan() { f64::NAN } else { below.max(above) }
            }
        };
        // Outside of a function's domain there is no bound.
        let bound = carried + self.rounding(x.abs() + error, y.abs() + carried) + FLUSH;
        if bound.is_nan() { f64::INFINITY } else { bound }
    }

    /// Rounding of the WGSL function itself, given |x| and |y|. From WGSL's accuracy table: exp 3 + 2|x| ULP, log 3 ULP
    /// but 2^-21 near 1, inverseSqrt 2 ULP and division 2.5 ULP, of which the square root may be made.
    fn rounding(self, x: f64, y: f64) -> f64 {
        match self {
            Abs | Neg | Floor | Ceil | Round | Sign => 0.0,
            Exp => (6.0 + 4.0 * x) * U * y,
            Log => 6.0 * U * y + 8.0 * U,
            Sqrt => 10.0 * U * y,
            Reciprocal => 5.0 * U * y,
            // Abramowitz and Stegun 7.1.26 is good to 1.5e-7; its evaluation rounds within 32 U.
            Erf => 1.5e-7 + 32.0 * U,
        }
    }
}

impl Unary {
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let function = match node.op_type() {
            "Abs" => Abs,
            "Neg" => Neg,
            "Exp" => Exp,
            "Log" => Log,
            "Sqrt" => Sqrt,
            "Reciprocal" => Reciprocal,
            "Floor" => Floor,
            "Ceil" => Ceil,
            "Round" => Round,
            "Erf" => Erf,
            "Sign" => Sign,
            other => return unsupported(format!("'{other}' is no function of one number")),
        };
        node.finish(Unary { function }, &[0])
    }
}

impl Operator for Unary {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        match ty.kind {
            Kind::Int if self.function.of_int(0).is_some() => Ok(vec![ty.clone()]),
            _ => Ok(vec![real_type(inputs, 0)?.clone()]),
        }
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        self.consume(required(inputs, 0)?.clone(), inputs)
    }

    fn consume<T: Real>(&self, first: Tensor<T>, _: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        Ok(vec![match first {
            Tensor::Int(x) => Tensor::Int(x.mapv_into(|x| self.function.of_int(x).unwrap_or(x))),
            x => Tensor::Real(x.into_real()?.mapv_into(|x| self.function.apply(x))),
        }])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let bound = |&x: &f64, &error: &f64| self.function.error_bound(x, error);
        Ok(Zip::from(required(inputs, 0)?.as_real()?).and(required(errors, 0)?).map_collect(bound))
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        Some(Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        real_type(&node.input_types(), 0)?;
        super::activate::lower_each(node, vec![self.function.part()], [0.0, 0.0], self.function.apply(0.0))
    }

    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| ty.shape.iter().product::<usize>() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_precision_lies_within_the_bound() {
        for function in UNARY_FUNCTIONS {
            for step in 1..4000 {
                let x = step as f32 * 0.004;
                let error = (f64::from(function.apply(x)) - function.apply(f64::from(x))).abs();
                assert!(error <= function.error_bound(f64::from(x), 0.0), "{function:?} at {x}: {error}");
            }
        }
    }

    #[test]
    fn a_step_within_reach_of_the_input_s_error_is_within_the_bound() {
        assert!(Floor.error_bound(0.999, 0.01) >= 1.0);
        assert!(Sign.error_bound(-0.5, 1.0) >= 2.0);
        assert!(Log.error_bound(0.5, 1.0).is_infinite() && Reciprocal.error_bound(-0.5, 1.0).is_infinite());
    }
}
