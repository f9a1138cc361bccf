//! What happens on the CPU to a convolution's sums while they are still in cache: an epilogue without its pool.

use super::Activation;
use crate::simd::vectorized;
use crate::tensor::Real;

/// `activation(factor[c] * sum + offset[c] + residual)`.
pub struct Finish<'a, T> {
    /// One of each channel of the output.
    pub channels: Vec<Channel<T>>,
    /// Elements of a channel.
    pub pixels: usize,
    /// As many elements as the output, row-major.
    pub residual: Option<&'a [T]>,
    /// Applied last.
    pub activation: Activation,
}

/// What is done to all of a channel.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Channel<T> {
    pub factor: T,
    pub offset: T,
    /// PRelu's.
    pub slope: T,
}

impl<T: Real> Finish<'_, T> {
    /// Finishes sums of one channel, the first of which belongs at place `at` of the row-major output.
    pub fn apply(&self, at: usize, sums: &mut [T]) {
        vectorized(
            #[inline(always)]
            || self.apply_each(at, sums),
        );
    }

    #[inline(always)]
    fn apply_each(&self, at: usize, sums: &mut [T]) {
        let Channel { factor, offset, .. } = self.channel(at);
        if factor != T::one() || offset != T::zero() {
            sums.iter_mut().for_each(|sum| *sum = factor * *sum + offset);
        }
        if let Some(residual) = self.residual {
            sums.iter_mut().zip(&residual[at..]).for_each(|(sum, &residual)| *sum += residual);
        }
        self.activation.apply_all(sums, self.channel(at).slope);
    }

    /// The activation alone.
    pub fn activate(&self, at: usize, sums: &mut [T]) {
        self.activation.apply_all(sums, self.channel(at).slope);
    }

    /// The channel of a place in the row-major output.
    pub fn channel(&self, at: usize) -> Channel<T> {
        self.channels[at / self.pixels % self.channels.len()]
    }

    /// All but the activation.
    pub fn before_activation(&self) -> Finish<'_, T> {
        Finish { channels: self.channels.clone(), activation: Activation::Identity, ..*self }
    }
}

impl Finish<'_, f64> {
    /// The same of sums of absolute values: how large all that is added up before the activation can be.
    pub fn of_magnitudes<'b>(&self, residual: Option<&'b [f64]>) -> Finish<'b, f64> {
        let absolute = |c: &Channel<f64>| Channel { factor: c.factor.abs(), offset: c.offset.abs(), ..*c };
        let channels = self.channels.iter().map(absolute).collect();
        Finish { channels, pixels: self.pixels, residual, activation: Activation::Identity }
    }

    /// What becomes of errors of the sums, before the activation.
    pub fn of_errors(&self) -> Finish<'static, f64> {
        let absolute = |c: &Channel<f64>| Channel { factor: c.factor.abs(), offset: 0.0, ..*c };
        let channels = self.channels.iter().map(absolute).collect();
        Finish { channels, pixels: self.pixels, residual: None, activation: Activation::Identity }
    }
}
