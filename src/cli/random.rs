//! Reproducible random inputs: the same seed gives the same numbers on every machine.

use crate::error::Result;
use crate::tensor::{Tensor, checked_len};
use std::ops::Range;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in the range, from 24 bits: each multiple of 2^-24 of its length is as likely as the next.
    fn real(&mut self, range: &Range<f32>) -> f32 {
        let unit = (self.next() >> 40) as f32 / (1u32 << 24) as f32;
        range.start + unit * (range.end - range.start)
    }

    /// A tensor of this shape with numbers uniform in the range.
    pub fn tensor(&mut self, shape: &[usize], range: &Range<f32>) -> Result<Tensor> {
        let len = checked_len(shape)?;
        Tensor::real(shape, (0..len).map(|_| self.real(range)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn numbers_fill_their_range_and_no_more() {
        let tensor = Random::new(0).tensor(&[10_000], &(-2.0..3.0)).unwrap();
        let reals = tensor.as_real().unwrap();
        assert!(reals.iter().all(|x| (-2.0..=3.0).contains(x)));
        assert!((reals.mean().unwrap() - 0.5).abs() < 0.1);
    }
}
