//! Operators on shapes and indices. They run on the host when a model is bound to its input shapes, and their results are
//! constants: nothing of them is left for a device.

use super::{Inputs, OpResult, Operator, invalid, optional, required, unsupported};
use crate::onnx::OnnxNode;
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType, array, each_kind};
use ndarray::{ArrayD, Axis, IxDyn};

/// ONNX's number for the element type.
const BFLOAT16: i64 = 16;

/// What runs on the host.
#[derive(Debug, Clone)]
pub enum Host {
    /// Slices of input 0 along an axis, by the indices of input 1.
    Gather {
        /// The axis.
        axis: usize,
    },
    /// Input 0 as another kind.
    Cast {
        /// The kind.
        to: Kind,
    },
    /// Where the largest element of each row lies, a row being along an axis, which keeps size 1.
    ArgMax {
        /// The axis.
        axis: usize,
        /// Whether the last of several equal ones counts.
        last: bool,
    },
}

impl Host {
    /// `Constant`, in each of the forms it takes.
    pub(crate) fn import_constant(node: &mut OnnxNode<'_>) -> OpResult<()> {
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
    pub(crate) fn import_constant_of_shape(node: &mut OnnxNode<'_>) -> OpResult<()> {
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
    pub(crate) fn import_shape(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let sizes: Vec<i64> = node.ty(0)?.shape.iter().map(|&size| size as i64).collect();
        let rank = sizes.len() as i64;
        let place = |at: i64| if at < 0 { at + rank } else { at }.clamp(0, rank) as usize;
        let start = place(node.int("start", 0)?);
        let end = place(node.int("end", rank)?);
        node.define_constant(0, Tensor::ints(sizes[start..end.max(start)].to_vec()))
    }

    /// `Gather`.
    pub(crate) fn import_gather(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let axis = super::axis(node.int("axis", 0)?, node.ty(0)?.shape.len())?;
        node.finish(Host::Gather { axis }, &[0, 1])
    }

    /// `Cast` between real types changes nothing here: reals are f32 on every device.
    pub(crate) fn import_cast(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let to = node.element_kind("to")?;
        node.flag("saturate")?;
        let from = node.ty(0)?.clone();
        // Reals are f32 here whatever their width in the file, and that is all that 8 bits of precision would lose.
        if from.kind == Kind::Real && node.int("to", 0)? == BFLOAT16 {
            return unsupported("it rounds to bfloat16, and reals are kept in f32");
        }
        if from.kind == to {
            return node.finish(super::Reshape { shape: from.shape }, &[0]);
        }
        node.finish(Host::Cast { to }, &[0])
    }

    /// `ArgMax`.
    pub(crate) fn import_argmax(node: &mut OnnxNode<'_>) -> OpResult<()> {
        let mut shape = node.ty(0)?.shape.clone();
        let axis = super::axis(node.int("axis", 0)?, shape.len())?;
        let op = Host::ArgMax { axis, last: node.flag("select_last_index")? };
        if node.int("keepdims", 1)? != 0 {
            return node.finish(op, &[0]);
        }
        let x = node.input(0)?;
        let places = node.emit(op, &[Some(x)])?;
        shape.remove(axis);
        node.finish_with(super::Reshape { shape }, &[Some(places)])
    }
}

pub(super) fn sizes_of(sizes: &[i64]) -> OpResult<Vec<usize>> {
    sizes
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| super::Problem::Invalid(format!("size {size} in a shape"))))
        .collect()
}

impl Operator for Host {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = required(inputs, 0)?;
        let result = match self {
            Host::Cast { to } => TensorType { kind: *to, shape: ty.shape.clone() },
            Host::ArgMax { axis, .. } => {
                let mut shape = ty.shape.clone();
                if std::mem::replace(&mut shape[*axis], 1) == 0 {
                    return invalid("there is no largest of no elements");
                }
                TensorType { kind: Kind::Int, shape }
            }
            Host::Gather { axis } => {
                let indices = required(inputs, 1)?;
                let shape = [&ty.shape[..*axis], &indices.shape, &ty.shape[axis + 1..]].concat();
                TensorType { kind: ty.kind, shape }
            }
        };
        Ok(vec![result])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let input = required(inputs, 0)?;
        let result = match self {
            Host::Cast { to } => cast(input, *to),
            Host::ArgMax { axis, last } => Tensor::Int(match input {
                Tensor::Real(array) => argmax(array, *axis, |new, most| {
                    !most.is_nan() && (new.is_nan() || new > most || (*last && new == most))
                }),
                Tensor::Int(array) => argmax(array, *axis, |new, most| new > most || (*last && new == most)),
                Tensor::Bool(_) => return invalid("truth values have no order"),
            }),
            Host::Gather { axis } => {
                let Some(Tensor::Int(indices)) = optional(inputs, 1) else {
                    return invalid("the indices are no integers");
                };
                each_kind!(input, array => gather(array, indices, *axis)?)
            }
        };
        Ok(vec![result])
    }

    fn lower(&self, _: &mut Lowering<'_>) -> OpResult<()> {
        let what = match self {
            Host::Gather { .. } => "Gather",
            Host::Cast { .. } => "Cast",
            Host::ArgMax { .. } => "ArgMax",
        };
        unsupported(format!("{what} of values that depend on the input"))
    }
}

/// The index of the element that replaces each one before it in its lane.
fn argmax<E: Copy>(source: &ArrayD<E>, axis: usize, replaces: impl Fn(E, E) -> bool) -> ArrayD<i64> {
    let of_lane = |lane: ndarray::ArrayView1<'_, E>| {
        (1..lane.len()).fold(0, |most, at| if replaces(lane[at], lane[most]) { at } else { most }) as i64
    };
    source.map_axis(Axis(axis), of_lane).insert_axis(Axis(axis))
}

fn gather<E: Clone>(source: &ArrayD<E>, indices: &ArrayD<i64>, axis: usize) -> OpResult<ArrayD<E>> {
    let shape = source.shape();
    let (size, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let outer: usize = shape[..axis].iter().product();
    let source = crate::tensor::row_major_slice(source);
    let mut data = Vec::with_capacity(outer * indices.len() * inner);
    for block in 0..outer {
        for &index in indices {
            let index = super::axis(index, size)?;
            data.extend_from_slice(&source[(block * size + index) * inner..][..inner]);
        }
    }
    Ok(array(&[&shape[..axis], indices.shape(), &shape[axis + 1..]].concat(), data)?)
}

/// Reals become integers by truncation, as in C; any non-zero number is true.
fn cast<T: Real>(input: &Tensor<T>, to: Kind) -> Tensor<T> {
    match (input, to) {
        (Tensor::Real(a), Kind::Int) => Tensor::Int(a.mapv(|x| x.f64() as i64)),
        (Tensor::Real(a), Kind::Bool) => Tensor::Bool(a.mapv(|x| x != T::zero())),
        (Tensor::Int(a), Kind::Real) => Tensor::Real(a.mapv(|x| T::of(x as f64))),
        (Tensor::Int(a), Kind::Bool) => Tensor::Bool(a.mapv(|x| x != 0)),
        (Tensor::Bool(a), Kind::Real) => Tensor::Real(a.mapv(|x| T::of(f64::from(u8::from(x))))),
        (Tensor::Bool(a), Kind::Int) => Tensor::Int(a.mapv(i64::from)),
        (same, _) => same.clone(),
    }
}
