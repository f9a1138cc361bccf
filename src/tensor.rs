//! Values that flow through a graph: dense row-major arrays of reals, integers or booleans.

use crate::error::{Error, Result};
use ndarray::{ArrayD, Axis, IxDyn, Slice};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Sizes from the outermost to the innermost dimension, as in ONNX: an image batch is `[n, c, h, w]`.
pub type Shape = Vec<usize>;

/// Dimensions that a tensor from a file may have: numpy's own limit.
pub const MAX_RANK: usize = 64;

/// What a tensor holds. ONNX's float types are reals; its integer types of any width are integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Floating point: f32 on the device, f32 or f64 on the CPU.
    Real,
    /// Signed 64-bit integers; they stay on the host.
    Int,
    /// Truth values; they stay on the host.
    Bool,
}

/// Kind and shape of a value: all that planning needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorType {
    /// What it holds.
    pub kind: Kind,
    /// Its sizes.
    pub shape: Shape,
}

impl TensorType {
    /// A tensor of reals.
    pub fn real(shape: impl Into<Shape>) -> Self {
        TensorType { kind: Kind::Real, shape: shape.into() }
    }

    /// The number of elements, or an error where it overflows.
    pub fn elements(&self) -> Result<usize> {
        checked_len(&self.shape)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_shape(&self.shape))
    }
}

/// The product of the sizes, or an error where it does not fit an array's length.
pub fn checked_len(shape: &[usize]) -> Result<usize> {
    // ndarray bounds the product of the non-zero sizes too, and an empty tensor of absurd sizes is as hostile as a full one.
    let bounded = shape.iter().filter(|&&size| size != 0).try_fold(1usize, |len, &size| len.checked_mul(size));
    match bounded {
        Some(len) if len <= isize::MAX as usize / 16 => Ok(if shape.contains(&0) { 0 } else { len }),
        _ => Err(Error::invalid(format_shape(shape), "more elements than memory can hold")),
    }
}

/// `1x3x224x224`; a scalar is `scalar`.
pub fn format_shape(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".to_string();
    }
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// The floating-point type that the CPU executor computes in: `f32` to run, `f64` to be the reference.
pub trait Real:
    num_traits::Float + num_traits::NumAssign + Send + Sync + fmt::Debug + fmt::Display + std::iter::Sum + 'static
{
    /// The nearest value of this type.
    fn of(x: f64) -> Self;
    /// This value as f64, exactly.
    fn f64(self) -> f64;
}

impl Real for f32 {
    fn of(x: f64) -> Self {
        x as f32
    }
    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(x: f64) -> Self {
        x
    }
    fn f64(self) -> f64 {
        self
    }
}

/// A dense tensor in standard (row-major) layout.
#[derive(Debug, Clone, PartialEq)]
pub enum Tensor<T = f32> {
    /// Reals.
    Real(ArrayD<T>),
    /// Integers.
    Int(ArrayD<i64>),
    /// Booleans.
    Bool(ArrayD<bool>),
}

/// Tensors by their ONNX names, in an order that means something.
pub type Named<T = f32> = Vec<(String, Tensor<T>)>;

/// As the runs of a session take them.
pub fn borrowed<T>(named: &[(String, Tensor<T>)]) -> Vec<(&str, &Tensor<T>)> {
    named.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

impl<T: Real> Tensor<T> {
    /// A tensor of reals from its shape and its row-major elements; their count must be the shape's.
    pub fn real(shape: &[usize], data: Vec<T>) -> Result<Self> {
        array(shape, data).map(Tensor::Real)
    }

    /// A one-dimensional tensor of integers.
    pub fn ints(data: Vec<i64>) -> Self {
        Tensor::Int(ndarray::Array1::from(data).into_dyn())
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        match self {
            Tensor::Real(_) => Kind::Real,
            Tensor::Int(_) => Kind::Int,
            Tensor::Bool(_) => Kind::Bool,
        }
    }

    /// Its sizes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Tensor::Real(a) => a.shape(),
            Tensor::Int(a) => a.shape(),
            Tensor::Bool(a) => a.shape(),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Kind and shape.
    pub fn tensor_type(&self) -> TensorType {
        TensorType { kind: self.kind(), shape: self.shape().to_vec() }
    }

    /// The reals, or an error where it holds something else.
    pub fn as_real(&self) -> Result<&ArrayD<T>> {
        match self {
            Tensor::Real(a) => Ok(a),
            other => Err(Error::invalid("tensor", format!("expected reals, found {:?}", other.kind()))),
        }
    }

    /// The same, in its own memory.
    pub fn into_real(self) -> Result<ArrayD<T>> {
        match self {
            Tensor::Real(a) => Ok(a),
            other => other.as_real().cloned(),
        }
    }

    /// The integers, or an error where it holds something else.
    pub fn as_int(&self) -> Result<&ArrayD<i64>> {
        match self {
            Tensor::Int(a) => Ok(a),
            other => Err(Error::invalid("tensor", format!("expected integers, found {:?}", other.kind()))),
        }
    }

    /// The same values with reals of another precision.
    pub fn cast<U: Real>(&self) -> Tensor<U> {
        match self {
            Tensor::Real(a) => Tensor::Real(a.mapv(|x| U::of(x.f64()))),
            Tensor::Int(a) => Tensor::Int(a.clone()),
            Tensor::Bool(a) => Tensor::Bool(a.clone()),
        }
    }

    /// The same elements, row-major, under another shape of as many elements.
    pub fn reshape(self, shape: &[usize]) -> Result<Self> {
        Ok(each_kind!(self, a => array(shape, row_major(a))?))
    }
}

impl<T: Clone> Tensor<T> {
    /// The items of a batch, the first axis, from `items.start` to `items.end`.
    ///
    /// # Panics
    /// If the tensor has no axes or fewer items.
    pub fn slice_items(&self, items: Range<usize>) -> Self {
        each_kind!(self, a => a.slice_axis(Axis(0), Slice::from(items)).to_owned())
    }

    /// The given items of a batch, the first axis, in the given order.
    ///
    /// # Panics
    /// If the tensor has no axes or an item is not there.
    pub fn select_items(&self, items: &[usize]) -> Self {
        each_kind!(self, a => a.select(Axis(0), items))
    }

    /// The same elements in the opposite order along each of `axes`.
    ///
    /// # Panics
    /// If an axis is not there.
    pub fn reversed(&self, axes: Range<usize>) -> Self {
        each_kind!(self, a => {
            let mut view = a.view();
            axes.for_each(|axis| view.invert_axis(Axis(axis)));
            view.as_standard_layout().into_owned()
        })
    }
}

impl<T> From<ArrayD<T>> for Tensor<T> {
    fn from(array: ArrayD<T>) -> Self {
        Tensor::Real(array)
    }
}

/// Does the same to the array inside a tensor, whatever it holds.
macro_rules! each_kind {
    ($tensor:expr, $array:ident => $body:expr) => {
        match $tensor {
            Tensor::Real($array) => Tensor::Real($body),
            Tensor::Int($array) => Tensor::Int($body),
            Tensor::Bool($array) => Tensor::Bool($body),
        }
    };
}
pub(crate) use each_kind;

/// An array from its shape and its row-major elements.
pub fn array<E>(shape: &[usize], data: Vec<E>) -> Result<ArrayD<E>> {
    let len = checked_len(shape)?;
    if len != data.len() {
        return Err(Error::invalid(format_shape(shape), format!("holds {len} elements, {} given", data.len())));
    }
    ArrayD::from_shape_vec(IxDyn(shape), data).map_err(|e| Error::invalid(format_shape(shape), e))
}

/// The elements in row-major order, without a copy where they already are.
pub fn row_major<E: Clone>(array: ArrayD<E>) -> Vec<E> {
    if array.is_standard_layout() {
        let (data, offset) = array.into_raw_vec_and_offset();
        if offset.unwrap_or(0) == 0 {
            return data;
        }
        unreachable!("arrays are never sliced in place");
    }
    array.iter().cloned().collect()
}

/// The elements in row-major order: a view where they already are, else a copy.
pub fn row_major_slice<E: Clone>(array: &ArrayD<E>) -> Cow<'_, [E]> {
    match array.as_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(array.iter().cloned().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_sizes_that_overflows_is_refused_even_when_one_size_is_zero() {
        assert!(checked_len(&[1 << 32, 1 << 32]).is_err());
        assert!(checked_len(&[0, 1 << 32, 1 << 32]).is_err());
        assert_eq!(checked_len(&[2, 0, 3]).unwrap(), 0);
        assert_eq!(checked_len(&[]).unwrap(), 1);
    }

    #[test]
    fn element_count_must_match_the_shape() {
        assert!(Tensor::<f32>::real(&[2, 3], vec![0.0; 5]).is_err());
    }
}
