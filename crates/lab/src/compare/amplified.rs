//! Rounding that a network amplifies: what it is off by as a whole though every layer is right.

use super::difference::{Difference, Verdict};
use reluctor::tensor::Tensor;

/// A device may be off by so many times what f32 on the CPU is off, where that is out of tolerance itself: it sums in another
/// order, and its exponentials are others.
pub const AS_FAR_AS_F32: f64 = 8.0;

/// Whether an output that is out of tolerance is so by rounding: the same network in f32 on the CPU, unfused, is out of
/// tolerance too, and the device is no further off than a few times that. What is no real must be the reference's wherever it
/// is so in f32.
pub fn is_amplified_rounding(
    (device, off): (&Tensor, &Difference),
    (in_f32, off_in_f32): (&Tensor, &Difference),
    reference: &Tensor<f64>,
) -> bool {
    if off_in_f32.verdict != Verdict::Mismatch {
        return false;
    }
    match (device, in_f32, reference) {
        (Tensor::Real(_), ..) => off_in_f32.max_abs.is_finite() && off.max_abs <= AS_FAR_AS_F32 * off_in_f32.max_abs,
        (Tensor::Int(x), Tensor::Int(y), Tensor::Int(r)) => only_where_f32_is_wrong(x.iter(), y.iter(), r.iter()),
        (Tensor::Bool(x), Tensor::Bool(y), Tensor::Bool(r)) => only_where_f32_is_wrong(x.iter(), y.iter(), r.iter()),
        _ => false,
    }
}

fn only_where_f32_is_wrong<'a, T: PartialEq + 'a>(
    device: impl Iterator<Item = &'a T>,
    in_f32: impl Iterator<Item = &'a T>,
    reference: impl Iterator<Item = &'a T>,
) -> bool {
    device.zip(in_f32).zip(reference).all(|((device, in_f32), reference)| device == reference || in_f32 != reference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Tolerance, tensor_difference};
    use reluctor::tensor::array;

    fn explains(device: &Tensor, in_f32: &Tensor, reference: &Tensor) -> bool {
        let reference: Tensor<f64> = reference.cast();
        let off = |tensor| tensor_difference(tensor, &reference, Tolerance::RoundingBound, |_, _| 0.1).unwrap();
        is_amplified_rounding((device, &off(device)), (in_f32, &off(in_f32)), &reference)
    }

    #[test]
    fn a_device_may_be_as_far_off_as_f32_where_that_is_out_of_tolerance_itself() {
        let [zero, small, large, huge] = [0.0, 0.09, 0.2, 2.0].map(|x| Tensor::real(&[1], vec![x]).unwrap());
        assert!(explains(&large, &large, &zero));
        assert!(!explains(&huge, &large, &zero), "ten times as far");
        assert!(!explains(&large, &small, &zero), "f32 is within the tolerance");
        let nan = Tensor::real(&[1], vec![f32::NAN]).unwrap();
        assert!(!explains(&nan, &large, &zero) && !explains(&large, &nan, &zero));
    }

    #[test]
    fn what_is_no_real_may_be_wrong_where_f32_is_and_nowhere_else() {
        let truths = |of: [bool; 3]| Tensor::Bool(array(&[3], of.to_vec()).unwrap());
        let reference = truths([true, true, true]);
        assert!(explains(&truths([false, true, true]), &truths([false, false, true]), &reference));
        assert!(!explains(&truths([true, true, false]), &truths([false, false, true]), &reference));
        assert!(!explains(&Tensor::ints(vec![1, 2, 4]), &Tensor::ints(vec![1, 2, 3]), &Tensor::ints(vec![1, 2, 3])));
    }
}
