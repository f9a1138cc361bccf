//! Arithmetic of two tensors with numpy's broadcasting.

use super::activate::RUN;
use super::pairs::{self, combined, expand, legacy_broadcast};
use super::strided::broadcast;
use super::{Activation, Cast, Inputs, OpResult, Operator, Restricted, invalid, required, unsupported};
use crate::bound::{FLUSH, U, flushed};
use crate::element::Element;
use crate::kernels::Part;
use crate::onnx::OnnxNode;
use crate::part;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType, row_major};
use ndarray::{ArrayD, ArrayViewD, Zip};
use rayon::prelude::*;

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryFunction {
    Add,
    Sub,
    Mul,
    Div,
    /// a for a >= 0, else b a: PRelu with a slope of any shape.
    PRelu,
    /// NaN where either is.
    Max,
    /// NaN where either is.
    Min,
    /// a to the power of b.
    Pow,
}

use BinaryFunction::*;
use std::ops::Range;

/// All of them.
pub const BINARY_FUNCTIONS: [BinaryFunction; 8] = [Add, Sub, Mul, Div, PRelu, Max, Min, Pow];

/// `activation(function(a, b))`, element by element. Inputs: a, b. Source: ONNX, Add, Sub, Mul, Div, PRelu.
#[derive(Debug, Clone)]
pub struct Binary {
    /// What is done to each pair.
    pub function: BinaryFunction,
    /// What is done to the result.
    pub activation: Activation,
}

impl BinaryFunction {
    pub(super) fn part(self) -> Part {
        match self {
            Add => part!("binary", "add"),
            Sub => part!("binary", "sub"),
            Mul => part!("binary", "mul"),
            Div => part!("binary", "div"),
            PRelu => part!("binary", "prelu"),
            Max => part!("binary", "max"),
            Min => part!("binary", "min"),
            Pow => part!("binary", "pow"),
        }
    }

    /// For each pair. The function is matched once for all, so that the loops of the cheap ones vectorize.
    fn apply_all<T: Real>(self, a: ArrayViewD<'_, T>, b: ArrayViewD<'_, T>) -> ArrayD<T> {
        macro_rules! each {
            ($function:expr) => {
                Zip::from(a).and(b).par_map_collect(|&a, &b| $function.apply(a, b))
            };
        }
        match self {
            Add => each!(Add),
            Sub => each!(Sub),
            Mul => each!(Mul),
            Div => each!(Div),
            _ => each!(self),
        }
    }

    #[inline(always)]
    fn apply<T: Real>(self, a: T, b: T) -> T {
        match self {
            Add => a + b,
            Sub => a - b,
            Mul => a * b,
            Div => a / b,
            PRelu => Activation::PRelu.apply(a, b),
            Max if a.is_nan() || a >= b => a,
            Min if a.is_nan() || a <= b => a,
            Max | Min => b,
            Pow => a.powf(b),
        }
    }

    /// Integers wrap, as the integer types of ONNX do; division truncates.
    fn apply_int(self, a: i64, b: i64) -> OpResult<i64> {
        Ok(match self {
            Add => a.wrapping_add(b),
            Sub => a.wrapping_sub(b),
            Mul => a.wrapping_mul(b),
            Div if b == 0 => return invalid("integer division by 0"),
            Div => a.wrapping_div(b),
            PRelu if a < 0 => a.wrapping_mul(b),
            PRelu => a,
            Max => a.max(b),
            Min => a.min(b),
            Pow => match u32::try_from(b) {
                Ok(exponent) => a.wrapping_pow(exponent),
                Err(_) => return invalid(format!("an integer to the power of {b}")),
            },
        })
    }

    /// The operands' errors carried through, and one rounding (five for a division, more for a power).
    fn error_bound(self, a: f64, b: f64, [error_a, error_b]: [f64; 2]) -> f64 {
        let (error_a, error_b) = (error_a + flushed(a), error_b + flushed(b));
        let y = self.apply(a, b).abs();
        match self {
            Add | Sub => (error_a + error_b) * (1.0 + U) + U * y + FLUSH,
            Mul => (a.abs() * error_b + (b.abs() + error_b) * error_a) * (1.0 + U) + U * y + FLUSH,
            Div if b.abs() <= error_b => f64::INFINITY,
            Div => (error_a + y * error_b) / (b.abs() - error_b) * (1.0 + 5.0 * U) + 5.0 * U * y + FLUSH,
            PRelu => b.abs().max(1.0) * error_a + (a.abs() + error_a) * error_b + U * y + FLUSH,
            // Two subnormal numbers may compare as equal.
            Max | Min => error_a.max(error_b) + FLUSH,
            Pow => pow_error_bound(a, b, [error_a, error_b]),
        }
    }
}

/// A power is monotone in each operand on either side of a = 0, so that the corners of the operands' range tell what
/// their errors do. The device makes it of `exp2(t)`, t = b log2 |a|: log2 is good to 2^-21 near 1 and 3 ULP elsewhere,
/// exp2 to 3 + 2|t| ULP.
fn pow_error_bound(a: f64, b: f64, [error_a, error_b]: [f64; 2]) -> f64 {
    if error_a + error_b > 0.0 && a <= error_a {
        return f64::INFINITY;
    }
    let y = a.powf(b);
    let corner = |a: f64, b: f64| (a.powf(b) - y).abs();
    let carried = [-error_a, error_a]
        .into_iter()
        .flat_map(|a_off| [-error_b, error_b].map(|b_off| corner(a + a_off, b + b_off)))
        .fold(0.0, f64::max);
    if a == 0.0 || b == 0.0 {
        return carried + FLUSH;
    }
    let log2 = a.abs().log2().abs();
    let t = b.abs() * log2;
    let exponent = b.abs() * (8.0 + 6.0 * log2) * U + U * t;
    let relative = (std::f64::consts::LN_2 * exponent).exp_m1() + (6.0 + 4.0 * t) * U;
    carried + (y.abs() + carried) * relative + FLUSH
}

impl Binary {
    /// The function alone.
    pub fn plain(function: BinaryFunction) -> Self {
        Binary { function, activation: Activation::Identity }
    }

    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let function = match node.op_type() {
            "Add" => Add,
            "Sub" => Sub,
            "Mul" => Mul,
            "Div" => Div,
            "PRelu" => PRelu,
            other => return unsupported(format!("'{other}' is not arithmetic")),
        };
        let (a, b) = (node.input(0)?, node.input(1)?);
        let b = match function {
            // Before opset 7 a slope of one number a channel lined up with the channels.
            PRelu if node.opset() < 7 => node.align(b, a, 1)?,
            PRelu => b,
            _ if node.opset() < 7 => legacy_broadcast(node, a, b)?,
            _ => b,
        };
        node.finish_with(Binary::plain(function), &[Some(a), Some(b)])
    }

    /// `Sum`, `Max`, `Min` and `Mean` of any number of tensors: a chain of two at a time.
    pub(crate) fn import_variadic(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let function = match node.op_type() {
            "Max" => Max,
            "Min" => Min,
            _ => Add,
        };
        let count = node.input_count();
        let mut all = node.input(0)?;
        for slot in 1..count {
            let next = node.input(slot)?;
            all = node.emit(Binary::plain(function), &[Some(all), Some(next)])?;
        }
        if node.op_type() == "Mean" {
            let count = node.number(count as f32)?;
            return node.finish_with(Binary::plain(Div), &[Some(all), Some(count)]);
        }
        let shape = node.type_of(all).shape.clone();
        node.finish_with(super::Reshape { shape }, &[Some(all)])
    }

    /// `Pow`: the result is of the base's kind, whatever the exponent's.
    pub(crate) fn import_pow(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let (mut a, mut b) = (node.input(0)?, node.input(1)?);
        let kinds = [node.ty(0)?.kind, node.ty(1)?.kind];
        if node.opset() < 7 {
            b = legacy_broadcast(node, a, b)?;
        }
        if kinds[0] == kinds[1] {
            return node.finish_with(Binary::plain(Pow), &[Some(a), Some(b)]);
        }
        let to_real = Cast::to(Element::F32);
        if kinds[1] == Kind::Int {
            b = node.emit(to_real.clone(), &[Some(b)])?;
            return node.finish_with(Binary::plain(Pow), &[Some(a), Some(b)]);
        }
        a = node.emit(to_real, &[Some(a)])?;
        let power = node.emit(Binary::plain(Pow), &[Some(a), Some(b)])?;
        let to = node.element_type(0).filter(|to| to.kind() == kinds[0]).unwrap_or(Element::of(kinds[0]));
        node.finish_with(Cast::to(to), &[Some(power)])
    }
}

fn result_type(inputs: &[Option<&TensorType>]) -> OpResult<TensorType> {
    let kind = required(inputs, 0)?.kind;
    if kind == Kind::Bool {
        return invalid("truth values are not added or multiplied");
    }
    Ok(TensorType { kind, shape: pairs::result_shape(inputs)? })
}

impl Operator for Binary {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = result_type(inputs)?;
        if self.function == PRelu && ty.shape != required(inputs, 0)?.shape {
            return invalid("the slope does not broadcast to the input's shape");
        }
        Ok(vec![ty])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
        let shape = result_type(&[Some(&a.tensor_type()), Some(&b.tensor_type())])?.shape;
        let result = match (a, b) {
            (Tensor::Real(a), Tensor::Real(b)) => {
                let mut values = row_major(self.function.apply_all(expand(a, &shape)?, expand(b, &shape)?));
                values.par_chunks_mut(RUN).for_each(|run| self.activation.apply_all(run, T::zero()));
                Tensor::real(&shape, values)?
            }
            (Tensor::Int(a), Tensor::Int(b)) => Tensor::Int(combined([a, b], |a, b| self.function.apply_int(a, b))?),
            _ => return invalid("cannot combine tensors of different kinds"),
        };
        Ok(vec![result])
    }

    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let (a, b) = (required(inputs, 0)?.as_real()?, required(inputs, 1)?.as_real()?);
        let shape = broadcast(a.shape(), b.shape()).unwrap_or_default();
        let [error_a, error_b] = [expand(required(errors, 0)?, &shape)?, expand(required(errors, 1)?, &shape)?];
        let bound = |&a: &f64, &b: &f64, &error_a: &f64, &error_b: &f64| {
            let error = self.function.error_bound(a, b, [error_a, error_b]);
            self.activation.error_bound(self.function.apply(a, b), 0.0, error)
        };
        Ok(Zip::from(expand(a, &shape)?).and(expand(b, &shape)?).and(error_a).and(error_b).map_collect(bound))
    }

    fn restrict(&self, inputs: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        let rank = result_type(inputs).ok()?.shape.len();
        Some(Restricted::broadcast(self.clone(), inputs, rank, axis, range))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        if node.output_type(0).kind != Kind::Real {
            return unsupported("arithmetic of integers that depend on the input");
        }
        let keeps_zero =
            matches!(self.function, Add | Sub | Mul | Max | Min) && self.activation.apply(0.0f32, 0.0) == 0.0;
        pairs::lower(node, self.function.part(), &self.activation, keeps_zero)
    }

    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| ty.shape.iter().product::<usize>() as u64).sum()
    }
}
