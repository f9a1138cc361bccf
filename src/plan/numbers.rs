//! What a device makes of tensors that hold no reals: numbers of f32 all the same. Truth values are 0 and 1, and integers are
//! themselves as long as f32 has every one of their size; none that is larger is let through. Where a step makes one that f32
//! has not, it is NaN, and none of these is let through either.

use crate::error::{Error, Result};
use crate::tensor::{Kind, Tensor, TensorType, array, row_major_slice};
use std::borrow::Cow;

/// f32 has every integer up to this one.
pub const MOST_EXACT: i64 = 1 << 24;

/// A tensor's row-major elements as a device has them.
///
/// # Errors
/// [`Error::Invalid`] for an integer beyond [`MOST_EXACT`].
pub fn to_device<'a>(name: &str, tensor: &'a Tensor) -> Result<Cow<'a, [f32]>> {
    match tensor {
        Tensor::Real(array) => Ok(row_major_slice(array)),
        Tensor::Bool(array) => Ok(array.iter().map(|&truth| f32::from(u8::from(truth))).collect()),
        Tensor::Int(array) => match array.iter().find(|x| x.unsigned_abs() > MOST_EXACT as u64) {
            Some(large) => {
                let reason = format!("holds {large}; a device has integers up to {MOST_EXACT} only");
                Err(Error::invalid(name, reason))
            }
            None => Ok(array.iter().map(|&x| x as f32).collect()),
        },
    }
}

/// The tensor of this type that a device's row-major numbers stand for.
///
/// # Errors
/// [`Error::Invalid`] where they are too few or too many, or one is NaN among integers.
pub fn from_device(ty: &TensorType, numbers: Vec<f32>) -> Result<Tensor> {
    Ok(match ty.kind {
        Kind::Real => Tensor::real(&ty.shape, numbers)?,
        Kind::Int if numbers.iter().any(|x| x.is_nan()) => {
            return Err(Error::invalid("tensor", "holds an integer that a device has not"));
        }
        Kind::Int => Tensor::Int(array(&ty.shape, numbers.iter().map(|&x| x as i64).collect())?),
        Kind::Bool => Tensor::Bool(array(&ty.shape, numbers.iter().map(|&x| x != 0.0).collect())?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_truth_values_survive_the_way_to_a_device_and_back() {
        let truths = Tensor::Bool(array(&[2], vec![true, false]).unwrap());
        for tensor in [Tensor::ints(vec![-3, 0, MOST_EXACT]), truths] {
            let numbers = to_device("x", &tensor).unwrap().into_owned();
            assert_eq!(from_device(&tensor.tensor_type(), numbers).unwrap(), tensor);
        }
        assert!(to_device("x", &Tensor::ints(vec![MOST_EXACT + 1])).is_err());
        assert!(from_device(&Tensor::<f32>::ints(vec![0]).tensor_type(), vec![f32::NAN]).is_err());
    }
}
