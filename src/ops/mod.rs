//! One file an operator: its attributes, its shape inference, its meaning on the CPU, the rounding error that a device may
//! make in it, and its lowering to dispatches. [`Op`] is the closed set of them.

pub mod activate;
pub mod activation;
mod activation_bound;
pub mod arg_most;
pub mod batch_normalization;
pub mod binary;
pub mod cast;
pub mod channel_affine;
pub mod concat;
pub mod conv;
pub mod conv_transpose;
pub(crate) mod einsum;
pub mod epilogue;
pub mod expand;
mod finish;
pub mod gather;
pub(crate) mod host;
mod im2col;
mod lattice;
mod line;
pub mod logic;
pub mod matmul;
pub mod max_unpool;
pub(crate) mod normalization;
pub mod normalize;
pub(crate) mod one_hot;
pub mod pad;
pub(crate) mod pairs;
pub mod pool;
pub mod pool_indices;
pub(crate) mod quantization;
pub mod reduce;
pub(crate) mod reductions;
pub mod resample;
pub mod reshape;
pub(crate) mod resize;
pub mod restrict;
pub(crate) mod scatter;
pub mod select;
pub mod slice;
pub mod softmax;
pub mod strided;
mod sum;
pub mod top_k;
pub mod transpose;
pub mod unary;
mod volume;
pub mod window;

pub use activate::Activate;
pub use activation::Activation;
pub use arg_most::ArgMost;
pub use batch_normalization::BatchNormalization;
pub use binary::{Binary, BinaryFunction};
pub use cast::Cast;
pub use channel_affine::ChannelAffine;
pub use concat::Concat;
pub use conv::{Conv, Epilogue};
pub use conv_transpose::ConvTranspose;
pub use expand::Expand;
pub use gather::Gather;
pub use logic::{Logic, LogicFunction};
pub use matmul::MatMul;
pub use max_unpool::MaxUnpool;
pub use normalize::Normalize;
pub use pad::{Pad, PadMode};
pub use pool::{Pool, PoolKind};
pub use pool_indices::PoolIndices;
pub use reduce::{Reduce, ReduceKind};
pub use resample::Resample;
pub use reshape::Reshape;
pub use restrict::{Cut, Restricted};
pub use select::Select;
pub use slice::Slice;
pub use softmax::Softmax;
pub use top_k::TopK;
pub use transpose::Transpose;
pub use unary::{Unary, UnaryFunction};

use crate::bound::Summation;
use crate::error::{Error, UnsupportedNode};
use crate::plan::Lowering;
use crate::tensor::{Kind, Real, Tensor, TensorType};
use ndarray::ArrayD;
use std::fmt;
use std::ops::Range;

/// What is wrong with a node; its caller adds which node.
#[derive(Debug)]
pub enum Problem {
    /// The node breaks a rule of ONNX.
    Invalid(String),
    /// The node is valid, but beyond this engine.
    Unsupported(String),
    /// Something else failed in the course of it.
    Failed(Error),
}

/// What operators return.
pub type OpResult<T> = Result<T, Problem>;

impl Problem {
    /// The error, with the node's name.
    pub fn at(self, node: &str) -> Error {
        match self {
            Problem::Invalid(reason) => Error::invalid(format!("node '{node}'"), reason),
            Problem::Unsupported(reason) => {
                let node = UnsupportedNode { node: node.to_string(), op_type: String::new(), reason };
                Error::Unsupported { file: "model".to_string(), nodes: vec![node] }
            }
            Problem::Failed(error) => error,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid { culprit, reason } => Problem::Invalid(format!("{culprit}: {reason}")),
            other => Problem::Failed(other),
        }
    }
}

/// `Err(Problem::Invalid(..))` from a format string.
pub(crate) fn invalid<T>(reason: impl fmt::Display) -> OpResult<T> {
    Err(Problem::Invalid(reason.to_string()))
}

/// `Err(Problem::Unsupported(..))` from a format string.
pub(crate) fn unsupported<T>(reason: impl fmt::Display) -> OpResult<T> {
    Err(Problem::Unsupported(reason.to_string()))
}

/// Where there is no bound on an input, its product with a zero is NaN, against which no error would be too large and out of
/// which no maximum would come right.
fn no_bound_for_nan(bound: f64) -> f64 {
    if bound.is_nan() { f64::INFINITY } else { bound }
}

/// A node's inputs, by slot.
pub type Inputs<'a, T> = [Option<&'a Tensor<T>>];

/// What every operator defines. `T` is f32 to run and f64 to be the reference.
pub trait Operator: fmt::Debug + Clone + Into<Op> {
    /// Kinds and shapes of the outputs, from those of the inputs.
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>>;

    /// The operator's meaning, from the text of ONNX.
    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>>;

    /// The same where nothing else needs the first input any more: what works element by element writes over it.
    fn consume<T: Real>(&self, first: Tensor<T>, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        let mut inputs = inputs.to_vec();
        inputs[0] = Some(&first);
        self.reference(&inputs)
    }

    /// Bounds, for each element of the one output, how far a device's f32 result may lie from the exact one on inputs that
    /// are each off by at most `errors`. See [`crate::bound`]. The default is for operators that only move elements.
    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let wrapped: Vec<Option<Tensor<f64>>> = inputs
            .iter()
            .zip(errors)
            .map(|(input, error)| error.map(|error| Tensor::Real(error.clone())).or_else(|| input.cloned()))
            .collect();
        let outputs = self.reference(&wrapped.iter().map(Option::as_ref).collect::<Vec<_>>())?;
        first_real(outputs)
    }

    /// Appends the dispatches that compute this operator on a device.
    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()>;

    /// The operator for a range of its output's indices along an axis, and what that reads of each input; none where it can
    /// only be had whole.
    fn restrict(
        &self,
        _inputs: &[Option<&TensorType>],
        _axis: usize,
        _range: &Range<usize>,
    ) -> Option<Restricted<Self>> {
        None
    }

    /// Arithmetic; one multiply-add is 2 flops. Moving elements costs none.
    fn flops(&self, _inputs: &[Option<&TensorType>], _outputs: &[TensorType]) -> u64 {
        0
    }
}

/// Declares [`Op`] and hands each operation on to the operator inside: adding an operator is one more name here.
macro_rules! operators {
    ($($operator:ident),* $(,)?) => {
        /// The closed set of operators.
        #[derive(Debug, Clone)]
        #[allow(missing_docs)]
        pub enum Op { $($operator($operator)),* }

        $(impl From<$operator> for Op {
            fn from(operator: $operator) -> Self { Op::$operator(operator) }
        })*

        impl Op {
            /// The operator's name.
            pub fn name(&self) -> &'static str {
                match self { $(Op::$operator(_) => stringify!($operator)),* }
            }

            /// See [`Operator::infer`].
            pub fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
                match self { $(Op::$operator(operator) => operator.infer(inputs)),* }
            }

            /// See [`Operator::reference`].
            pub fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
                match self { $(Op::$operator(operator) => operator.reference(inputs)),* }
            }

            /// See [`Operator::consume`].
            pub fn consume<T: Real>(&self, first: Tensor<T>, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
                match self { $(Op::$operator(operator) => operator.consume(first, inputs)),* }
            }

            /// See [`Operator::error_bound`].
            pub fn error_bound(
                &self,
                inputs: &Inputs<f64>,
                errors: &[Option<&ArrayD<f64>>],
            ) -> OpResult<ArrayD<f64>> {
                let bound = match self { $(Op::$operator(operator) => operator.error_bound(inputs, errors)?),* };
                Ok(bound.mapv_into(no_bound_for_nan))
            }

            /// The same where sums were formed in a certain way.
            pub fn error_bound_of(
                &self,
                summation: Summation,
                inputs: &Inputs<f64>,
                errors: &[Option<&ArrayD<f64>>],
            ) -> OpResult<ArrayD<f64>> {
                match (summation, self) {
                    (Summation::Winograd, Op::Conv(conv)) => {
                        Ok(conv.error_bound_by_winograd(inputs, errors)?.mapv_into(no_bound_for_nan))
                    }
                    _ => self.error_bound(inputs, errors),
                }
            }

            /// The step nearest to one in which indices along an output's axis can be taken without a change of what rounding may
            /// do; none where there is no such step.
            pub fn step_of_bands(&self, summation: Summation, axis: usize, step: usize) -> Option<usize> {
                match (summation, self) {
                    (Summation::Winograd, Op::Conv(conv)) => conv.step_of_bands_by_winograd(axis, step),
                    _ => Some(step),
                }
            }

            /// See [`Operator::lower`].
            pub fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
                match self { $(Op::$operator(operator) => operator.lower(node)),* }
            }

            /// See [`Operator::restrict`].
            pub fn restrict(
                &self,
                inputs: &[Option<&TensorType>],
                axis: usize,
                range: &Range<usize>,
            ) -> Option<Restricted<Op>> {
                match self {
                    $(Op::$operator(operator) => operator.restrict(inputs, axis, range).map(Restricted::into)),*
                }
            }

            /// See [`Operator::flops`].
            pub fn flops(&self, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
                match self { $(Op::$operator(operator) => operator.flops(inputs, outputs)),* }
            }
        }

        impl fmt::Display for Op {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Op::$operator(operator) => write!(f, "{operator:?}")),* }
            }
        }
    };
}

operators! {
    Activate,
    ArgMost,
    BatchNormalization,
    Binary,
    Cast,
    Concat,
    Conv,
    ConvTranspose,
    Expand,
    Gather,
    Logic,
    MatMul,
    MaxUnpool,
    Normalize,
    Pad,
    Pool,
    PoolIndices,
    Reduce,
    Resample,
    Reshape,
    Select,
    Slice,
    Softmax,
    TopK,
    Transpose,
    Unary,
}

impl Op {
    /// The activation that this operator applies to its result, where it has a place for one.
    pub fn activation_mut(&mut self) -> Option<&mut Activation> {
        match self {
            Op::Conv(Conv { epilogue, .. }) | Op::ConvTranspose(ConvTranspose { epilogue, .. }) => {
                Some(&mut epilogue.activation)
            }
            Op::MatMul(MatMul { activation, .. })
            | Op::Binary(Binary { activation, .. })
            | Op::Normalize(Normalize { activation, .. })
            | Op::BatchNormalization(BatchNormalization { activation, .. }) => Some(activation),
            _ => None,
        }
    }
}

/// The input in a slot that the operator requires.
pub(crate) fn required<'a, I: ?Sized>(inputs: &[Option<&'a I>], slot: usize) -> OpResult<&'a I> {
    inputs.get(slot).copied().flatten().ok_or_else(|| Problem::Invalid(format!("input {slot} is missing")))
}

/// The bound of a result that holds no reals: it is exact.
pub(crate) fn exact(shape: &[usize]) -> ArrayD<f64> {
    ArrayD::zeros(shape)
}

/// The input in a slot that the operator allows to be absent.
pub(crate) fn optional<'a, I: ?Sized>(inputs: &[Option<&'a I>], slot: usize) -> Option<&'a I> {
    inputs.get(slot).copied().flatten()
}

/// The required input in a slot, which must hold reals.
pub(crate) fn real_type<'a>(inputs: &[Option<&'a TensorType>], slot: usize) -> OpResult<&'a TensorType> {
    let ty = required(inputs, slot)?;
    if ty.kind != Kind::Real {
        return unsupported(format!("input {slot} holds {:?}, not reals", ty.kind));
    }
    Ok(ty)
}

/// The sizes of a required input of rank 4, `[n, c, h, w]`.
pub(crate) fn image_shape(inputs: &[Option<&TensorType>], slot: usize) -> OpResult<[usize; 4]> {
    let ty = real_type(inputs, slot)?;
    match ty.shape[..] {
        [n, c, h, w] => Ok([n, c, h, w]),
        _ => unsupported(format!("input {slot} has shape {ty}; only images [n, c, h, w] are supported")),
    }
}

/// The only output, which holds reals.
pub(crate) fn first_real<T: Real>(outputs: Vec<Tensor<T>>) -> OpResult<ArrayD<T>> {
    match outputs.into_iter().next() {
        Some(Tensor::Real(array)) => Ok(array),
        _ => unsupported("its output is not a tensor of reals"),
    }
}

/// A dimension counted from the end where it is negative, as ONNX writes axes.
pub(crate) fn axis(axis: i64, rank: usize) -> OpResult<usize> {
    let from_start = if axis < 0 { axis + rank as i64 } else { axis };
    if (0..rank as i64).contains(&from_start) {
        return Ok(from_start as usize);
    }
    invalid(format!("axis {axis} is outside a tensor of rank {rank}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::array;

    #[test]
    fn a_bound_that_is_no_number_is_no_bound() {
        let real = |values: [f64; 2]| array(&[2], values.to_vec()).unwrap();
        let (x, error) = (Tensor::Real(real([0.0, 1.0])), real([f64::INFINITY, 0.0]));
        let square: Op = Binary::plain(BinaryFunction::Mul).into();
        let bound = square.error_bound(&[Some(&x), Some(&x)], &[Some(&error), Some(&error)]).unwrap();
        assert!(bound[[0]] == f64::INFINITY && bound[[1]] < 1e-6, "{bound}");
    }
    /// A 0 that may be off by 1 may be a 1 on the device, which rounds what it makes of it.
    #[test]
    fn a_bound_counts_the_rounding_of_the_errors_themselves() {
        let real = |shape: &[usize], value: f64| array(shape, vec![value; shape.iter().product()]).unwrap();
        let conv: Op = Conv { window: window::Window::pointwise(), groups: 1, epilogue: Epilogue::default() }.into();
        let mean: Op = Reduce { kind: ReduceKind::Mean, axes: 0..4 }.into();
        let (x, error, filters) = (real(&[1, 3, 1, 1], 0.0), real(&[1, 3, 1, 1], 1.0), real(&[1, 3, 1, 1], 0.7));
        let (x, filters) = (Tensor::Real(x), Tensor::Real(filters));
        let none = real(&[1, 3, 1, 1], 0.0);
        let of_conv = conv.error_bound(&[Some(&x), Some(&filters)], &[Some(&error), Some(&none)]).unwrap();
        let of_mean = mean.error_bound(&[Some(&x)], &[Some(&error)]).unwrap();
        for (bound, exact) in [(of_conv, 2.1), (of_mean, 1.0)] {
            assert!(bound.iter().all(|&bound| bound > exact * (1.0 + 3.0 * crate::bound::U)), "{bound}");
        }
    }
}
