//! How often values of which size occurred, from which quantiles are read.

/// Of an f32's bits, those that tell two classes apart: eight of exponent, nine of mantissa. One class is at most 0.2 % wide.
const DROPPED: u32 = 32 - 1 - 8 - 9;

/// Counts non-negative values by class. Its size does not grow with their number.
pub struct Histogram {
    /// By class; a value belongs to the first class whose number is not below it.
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; (f32::INFINITY.to_bits() >> DROPPED) as usize + 1], total: 0 }
    }
}

impl Histogram {
    /// Counts a value, which must not be NaN.
    pub fn add(&mut self, value: f64) {
        let bits = (value as f32).to_bits();
        let largest = self.counts.len() - 1;
        self.counts[largest.min(bits.div_ceil(1 << DROPPED) as usize)] += 1;
        self.total += 1;
    }

    /// What so many percent of the values do not exceed (nearest rank), rounded up to its class; 0 where there are none.
    pub fn quantile(&self, percent: u64) -> f64 {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let class = self.counts.iter().position(|&count| {
            seen += count;
            seen >= rank
        });
        class.map_or(0.0, |class| f64::from(f32::from_bits((class as u32) << DROPPED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_a_sorted_list_rounded_up_by_at_most_one_part_in_512() {
        let mut histogram = Histogram::default();
        let values: Vec<f64> = (1..=1000).map(|i| f64::from(i * i) * 1.7e-6).collect();
        values.iter().rev().for_each(|&value| histogram.add(value));
        for percent in [1, 50, 90, 99, 100] {
            let exact = values[(1000 * percent as usize).div_ceil(100) - 1];
            let found = histogram.quantile(percent);
            assert!(
                found >= exact * (1.0 - 1e-7) && found <= exact * (1.0 + 1.0 / 511.0),
                "{percent}: {found}, {exact}"
            );
        }
    }

    #[test]
    fn nothing_zeros_and_infinities_have_quantiles() {
        assert_eq!(Histogram::default().quantile(99), 0.0);
        let mut histogram = Histogram::default();
        [0.0, 0.0, f64::INFINITY].iter().for_each(|&value| histogram.add(value));
        assert_eq!((histogram.quantile(50), histogram.quantile(99)), (0.0, f64::INFINITY));
        assert!(histogram.quantile(66) == 0.0, "two of three are zeros");
    }
}
