//! Seeded numbers: the same in every run and on every machine.

use reluctor::tensor::Tensor;

/// What random tensors hold.
#[derive(Clone, Copy, PartialEq)]
pub enum Numbers {
    /// Between -2 and 2, of any fraction.
    Reals,
    /// Whole, from -4 to 4: sums and products of a few thousand are exact in f32.
    Integers,
}

/// The library's generator, and the two kinds of numbers that tests use.
pub struct Random(reluctor::random::Random);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(reluctor::random::Random::new(seed))
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        (self.0.bits() >> 32) as u32
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    pub fn number(&mut self, numbers: Numbers) -> f32 {
        match numbers {
            Numbers::Reals => self.0.real(&(-2.0..2.0)),
            Numbers::Integers => self.below(9) as f32 - 4.0,
        }
    }

    pub fn tensor(&mut self, numbers: Numbers, shape: &[usize]) -> Tensor {
        let data = (0..shape.iter().product()).map(|_| self.number(numbers)).collect();
        Tensor::real(shape, data).unwrap()
    }
}
