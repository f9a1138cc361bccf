//! Arithmetic of two tensors with numpy's broadcasting.

use super::strided::{Dims, broadcast, broadcast_strides};
use super::{Activation, Inputs, OpResult, Operator, invalid, required, unsupported};
use crate::bound::{FLUSH, U};
use crate::kernels::{Kernel, Part};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use crate::{part, uniform};
use ndarray::{ArrayD, IxDyn, Zip};

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
}

use BinaryFunction::*;

/// All of them.
pub const BINARY_FUNCTIONS: [BinaryFunction; 5] = [Add, Sub, Mul, Div, PRelu];

/// `activation(function(a, b))`, element by element. Inputs: a, b. Source: ONNX, Add, Sub, Mul, Div, PRelu.
#[derive(Debug, Clone)]
pub struct Binary {
    /// What is done to each pair.
    pub function: BinaryFunction,
    /// What is done to the result.
    pub activation: Activation,
}

impl BinaryFunction {
    fn part(self) -> Part {
        match self {
            Add => part!("binary", "add"),
            Sub => part!("binary", "sub"),
            Mul => part!("binary", "mul"),
            Div => part!("binary", "div"),
            PRelu => part!("binary", "prelu"),
        }
    }

    fn apply<T: Real>(self, a: T, b: T) -> T {
        match self {
            Add => a + b,
            Sub => a - b,
            Mul => a * b,
            Div => a / b,
            PRelu => Activation::PRelu.apply(a, b),
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
        })
    }

    /// The operands' errors carried through, and one rounding (five for a division).
    fn error_bound(self, a: f64, b: f64, [error_a, error_b]: [f64; 2]) -> f64 {
        let y = self.apply(a, b).abs();
        match self {
            Add | Sub => (error_a + error_b) * (1.0 + U) + U * y,
            Mul => (a.abs() * error_b + (b.abs() + error_b) * error_a) * (1.0 + U) + U * y + FLUSH,
            Div if b.abs() <= error_b => f64::INFINITY,
            Div => (error_a + y * error_b) / (b.abs() - error_b) * (1.0 + 5.0 * U) + 5.0 * U * y + FLUSH,
            PRelu => b.abs().max(1.0) * error_a + (a.abs() + error_a) * error_b + U * y + FLUSH,
        }
    }
}

impl Binary {
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
        let op = Binary { function, activation: Activation::Identity };
        node.finish_with(op, &[Some(a), Some(b)])
    }

    /// `Sum` of any number of tensors: a chain of additions.
    pub(crate) fn import_sum(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let op = Binary { function: Add, activation: Activation::Identity };
        let mut sum = node.input(0)?;
        if node.input_count() == 1 {
            let shape = node.ty(0)?.shape.clone();
            return node.finish(super::Reshape { shape }, &[0]);
        }
        for slot in 1..node.input_count() - 1 {
            let next = node.input(slot)?;
            sum = node.emit(op.clone(), &[Some(sum), Some(next)])?;
        }
        let last = node.input(node.input_count() - 1)?;
        node.finish_with(op, &[Some(sum), Some(last)])
    }
}

/// Before opset 7, broadcasting had to be asked for, and lined `b` up with `a` from an axis on.
fn legacy_broadcast(
    node: &mut OnnxNode<'_>,
    a: crate::graph::ValueId,
    b: crate::graph::ValueId,
) -> OpResult<crate::graph::ValueId> {
    let axis = node.int_if_present("axis")?;
    if !node.flag("broadcast")? {
        return Ok(b);
    }
    match axis {
        Some(axis) => node.align(b, a, axis),
        None => Ok(b),
    }
}

fn result_type(inputs: &[Option<&TensorType>]) -> OpResult<TensorType> {
    let (a, b) = (required(inputs, 0)?, required(inputs, 1)?);
    if a.kind != b.kind || a.kind == Kind::Bool {
        return invalid(format!("cannot combine {:?} with {:?}", a.kind, b.kind));
    }
    match broadcast(&a.shape, &b.shape) {
        Some(shape) => Ok(TensorType { kind: a.kind, shape }),
        None => invalid(format!("shapes {a} and {b} do not broadcast")),
    }
}

/// A view of `array` under a larger shape that it broadcasts to.
fn expand<'a, E>(array: &'a ArrayD<E>, shape: &[usize]) -> OpResult<ndarray::ArrayViewD<'a, E>> {
    array.broadcast(IxDyn(shape)).ok_or_else(|| super::Problem::Invalid("shapes do not broadcast".into()))
}

uniform! {
    /// Parameters of `binary_each`.
    pub struct BinaryParams {
        shape: [[u32; 4]; 2], a_strides: [[u32; 4]; 2], b_strides: [[u32; 4]; 2],
        count: u32, activation_a: f32, activation_b: f32,
    }
}

/// One element an invocation.
pub static BINARY_EACH: Kernel = Kernel {
    name: "binary_each",
    source: include_str!("../../shaders/binary_each.wgsl"),
    includes: &[],
    params: BinaryParams::FIELDS,
    combinations: || {
        let activations = super::activation::activation_parts();
        let with = |function: BinaryFunction| {
            activations.iter().map(move |parts| [&[function.part()], parts.as_slice()].concat()).collect::<Vec<_>>()
        };
        BINARY_FUNCTIONS.into_iter().flat_map(with).collect()
    },
};

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
                let apply = |&a: &T, &b: &T| self.activation.apply(self.function.apply(a, b), T::zero());
                Tensor::Real(Zip::from(expand(a, &shape)?).and(expand(b, &shape)?).map_collect(apply))
            }
            (Tensor::Int(a), Tensor::Int(b)) => {
                let (a, b) = (expand(a, &shape)?, expand(b, &shape)?);
                let values: OpResult<Vec<i64>> =
                    a.iter().zip(b.iter()).map(|(&a, &b)| self.function.apply_int(a, b)).collect();
                Tensor::Int(crate::tensor::array(&shape, values?)?)
            }
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

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let (a, b, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
        let types = node.input_types();
        let shape = result_type(&types)?.shape;
        let strides =
            [0, 1].map(|slot| broadcast_strides(required(&types, slot).map_or(&[][..], |ty| &ty.shape), &shape));
        let dims = Dims::merged(&shape, &[&strides[0], &strides[1]])?;
        let [activation_a, activation_b] = self.activation.parameters();
        let params = BinaryParams {
            shape: dims.shape(),
            a_strides: dims.unsigned_strides(0),
            b_strides: dims.unsigned_strides(1),
            count: node.count(output),
            activation_a,
            activation_b,
        };
        let parts = [vec![self.function.part()], self.activation.parts()].concat();
        node.dispatch(&BINARY_EACH, parts, params.count, params, output, &[a, b])
    }

    fn flops(&self, _: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        outputs.iter().map(|ty| ty.shape.iter().product::<usize>() as u64).sum()
    }
}
