//! Sums on the CPU that stay right however many numbers they have.

use crate::tensor::Real;

/// Numbers that may be added up in their own precision before the sum goes on in f64: few enough for f32, and enough for the
/// step to f64 to cost nothing.
pub const TOGETHER: usize = 64;

/// The sum of neighbouring numbers, by eight partial sums in f64, which vectors can form.
#[inline(always)]
pub fn sum<T: Real>(numbers: &[T]) -> f64 {
    let (eights, rest) = numbers.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        sums.iter_mut().zip(eight).for_each(|(sum, x)| *sum += x.f64());
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| x.f64()).sum::<f64>()
}
