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

/// Marsaglia's xorshift64*.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }

    pub fn number(&mut self, numbers: Numbers) -> f32 {
        match numbers {
            Numbers::Reals => (self.bits() >> 8) as f32 / (1 << 22) as f32 - 2.0,
            Numbers::Integers => self.below(9) as f32 - 4.0,
        }
    }

    pub fn tensor(&mut self, numbers: Numbers, shape: &[usize]) -> Tensor {
        let data = (0..shape.iter().product()).map(|_| self.number(numbers)).collect();
        Tensor::real(shape, data).unwrap()
    }
}
