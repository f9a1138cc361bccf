//! A tensor as another kind. On a device all three kinds are numbers of f32: see [`crate::plan::numbers`].

use super::{Inputs, OpResult, Operator, Reshape, activate, required, unsupported};
use crate::kernels::Part;
use crate::onnx::OnnxNode;
use crate::part;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use ndarray::ArrayD;

/// ONNX's number for the element type.
const BFLOAT16: i64 = 16;

/// Input 0 as another kind. Source: ONNX, operator Cast.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The kind.
    pub to: Kind,
}

impl Cast {
    /// `Cast` between real types changes nothing here: reals are f32 on every device.
    pub(crate) fn import(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let to = node.element_kind("to")?;
        node.flag("saturate")?;
        let from = node.ty(0)?.clone();
        // Reals are f32 here whatever their width in the file, and that is all that 8 bits of precision would lose.
        let element_type = node.int("to", 0)?;
        if from.kind == Kind::Real && element_type == BFLOAT16 {
            return unsupported("it rounds to bfloat16, and reals are kept in f32");
        }
        Cast::finish(node, to)?;
        node.is_of_type(i32::try_from(element_type).ok())
    }

    /// `CastLike`: the kind is the second input's.
    pub(crate) fn import_like(node: &mut OnnxNode<'_>) -> OpResult<()> {
        node.flag("saturate")?;
        let (to, element_type) = (node.ty(1)?.kind, node.element_type(1));
        Cast::finish(node, to)?;
        node.is_of_type(element_type)
    }

    fn finish(node: &mut OnnxNode<'_>, to: Kind) -> OpResult<()> {
        let from = node.ty(0)?.clone();
        if from.kind == to {
            return node.finish(Reshape { shape: from.shape }, &[0]);
        }
        node.finish(Cast { to }, &[0])
    }
}

/// The functions of numbers that change something.
pub(super) const PARTS: [Part; 2] = [part!("unary", "truncate"), part!("unary", "is_true")];

impl Operator for Cast {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        Ok(vec![TensorType { kind: self.to, shape: required(inputs, 0)?.shape.clone() }])
    }

    /// Reals become integers by truncation, as in C; any non-zero number is true.
    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        Ok(vec![match (required(inputs, 0)?, self.to) {
            (Tensor::Real(a), Kind::Int) => Tensor::Int(a.mapv(|x| x.f64() as i64)),
            (Tensor::Real(a), Kind::Bool) => Tensor::Bool(a.mapv(|x| x != T::zero())),
            (Tensor::Int(a), Kind::Real) => Tensor::Real(a.mapv(|x| T::of(x as f64))),
            (Tensor::Int(a), Kind::Bool) => Tensor::Bool(a.mapv(|x| x != 0)),
            (Tensor::Bool(a), Kind::Real) => Tensor::Real(a.mapv(|x| T::of(f64::from(u8::from(x))))),
            (Tensor::Bool(a), Kind::Int) => Tensor::Int(a.mapv(i64::from)),
            (same, _) => same.clone(),
        }])
    }

    /// What is no real is exact, and small enough to be so as a real.
    fn error_bound(&self, inputs: &Inputs<f64>, _: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        Ok(super::exact(required(inputs, 0)?.shape()))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let [to_int, to_bool] = PARTS;
        match (required(&node.input_types(), 0)?.kind, self.to) {
            (Kind::Real, Kind::Int) => activate::lower_each(node, vec![to_int], [0.0; 2], 0.0),
            (Kind::Real | Kind::Int, Kind::Bool) => activate::lower_each(node, vec![to_bool], [0.0; 2], 0.0),
            _ => node.alias(0, 0),
        }
    }
}
