//! An affine map of each channel, known before anything runs: what a batch normalization is, and what it becomes with the
//! constants that are multiplied and added behind it. It stays in f64, so that passes may compose maps without rounding to f32.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// `y[n, c, ..] = factor[c] * x[n, c, ..] + offset[c]`.
#[derive(Clone, PartialEq)]
pub struct ChannelAffine {
    /// One number for each channel.
    pub factor: Arc<[f64]>,
    /// One number for each channel.
    pub offset: Arc<[f64]>,
}

impl ChannelAffine {
    /// The product of each channel with a number.
    pub fn scale(factor: impl IntoIterator<Item = f64>) -> Self {
        let factor: Arc<[f64]> = factor.into_iter().collect();
        ChannelAffine { offset: vec![0.0; factor.len()].into(), factor }
    }

    /// The sum of each channel with a number.
    pub fn shift(offset: impl IntoIterator<Item = f64>) -> Self {
        let offset: Arc<[f64]> = offset.into_iter().collect();
        ChannelAffine { factor: vec![1.0; offset.len()].into(), offset }
    }

    /// `next(self(x))` as one map.
    pub fn then(&self, next: &ChannelAffine) -> ChannelAffine {
        let factor = self.factor.iter().zip(&*next.factor).map(|(own, next)| own * next).collect();
        let offsets = self.offset.iter().zip(next.factor.iter().zip(&*next.offset));
        ChannelAffine { factor, offset: offsets.map(|(own, (factor, offset))| own * factor + offset).collect() }
    }

    /// The map of a range of channels.
    pub fn of_channels(&self, range: &Range<usize>) -> ChannelAffine {
        ChannelAffine { factor: self.factor[range.clone()].into(), offset: self.offset[range.clone()].into() }
    }
}

/// Large networks have thousands of numbers here: a graph's listing says how many.
impl fmt::Debug for ChannelAffine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelAffine of {}", self.factor.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_compose_in_the_order_in_which_they_are_applied() {
        let composed = ChannelAffine::shift([1.0, 2.0]).then(&ChannelAffine::scale([3.0, 5.0]));
        let of = |x: f64, c: usize| composed.factor[c] * x + composed.offset[c];
        assert_eq!([of(10.0, 0), of(10.0, 1)], [33.0, 60.0]);
        assert_eq!(composed.of_channels(&(1..2)), ChannelAffine { factor: [5.0].into(), offset: [10.0].into() });
    }
}
