//! The one source of random numbers: the same seed gives the same numbers on every machine and in every version.

use crate::error::Result;
use crate::tensor::{Tensor, checked_len};
use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use std::ops::Range;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), and what is made of its bits.
#[derive(Debug, Clone)]
pub struct Random(SplitMix64);

impl Random {
    /// The stream of this seed. Streams of neighbouring seeds have nothing in common.
    pub fn new(seed: u64) -> Self {
        Random(SplitMix64::seed_from_u64(seed))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// From `first` to `last`, both included.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// True once in `times`, on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Uniform in the range, from 24 bits: each multiple of 2^-24 of its length is as likely as the next.
    pub fn real(&mut self, range: &Range<f32>) -> f32 {
        let unit = (self.bits() >> 40) as f32 / (1u32 << 24) as f32;
        range.start + unit * (range.end - range.start)
    }

    /// A tensor of this shape with numbers uniform in the range.
    ///
    /// # Errors
    /// Where the shape has more elements than memory can hold.
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
        let first: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn numbers_fill_their_range_and_no_more() {
        let tensor = Random::new(0).tensor(&[10_000], &(-2.0..3.0)).unwrap();
        let reals = tensor.as_real().unwrap();
        assert!(reals.iter().all(|x| (-2.0..=3.0).contains(x)));
        assert!((reals.mean().unwrap() - 0.5).abs() < 0.1);
        let mut random = Random::new(1);
        let drawn: std::collections::BTreeSet<usize> = (0..1000).map(|_| random.between(3, 7)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    }
}
