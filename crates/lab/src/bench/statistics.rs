//! Medians rather than means, since a shared machine only ever makes a run slower.

use reluctor::random::Random;
use serde::Serialize;
use std::collections::BTreeMap;

/// Percentiles that every set of times has, and that are shown where no others are named.
pub const USUAL_PERCENTILES: [f64; 2] = [90.0, 99.0];

/// What a set of times says, in their unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Statistics {
    pub median: f64,
    pub min: f64,
    /// By name: `p90`, `p99`, and what else was asked for.
    #[serde(flatten)]
    pub percentiles: BTreeMap<String, f64>,
    /// The median of the distances from the median.
    pub mad: f64,
    /// The standard deviation as a part of the mean: the coefficient of variation.
    pub cv: f64,
    pub runs: usize,
}

impl Statistics {
    /// Of at least one time.
    pub fn of(times: &[f64]) -> Self {
        Statistics::with_percentiles(times, &[])
    }

    /// The same, with percentiles beyond the usual ones.
    pub fn with_percentiles(times: &[f64], more: &[f64]) -> Self {
        let sorted = sorted(times);
        let median = percentile(&sorted, 50.0);
        let distances = self::sorted(&sorted.iter().map(|time| (time - median).abs()).collect::<Vec<_>>());
        Statistics {
            median,
            min: sorted.first().copied().unwrap_or(f64::NAN),
            percentiles: USUAL_PERCENTILES.iter().chain(more).map(|&p| (named(p), percentile(&sorted, p))).collect(),
            mad: percentile(&distances, 50.0),
            cv: variation(times),
            runs: times.len(),
        }
    }

    /// One of its percentiles; not a number where it was not asked for.
    pub fn percentile(&self, percent: f64) -> f64 {
        self.percentiles.get(&named(percent)).copied().unwrap_or(f64::NAN)
    }
}

/// What a percentile is called: `p90`, `p99.9`.
pub fn named(percent: f64) -> String {
    format!("p{percent}")
}

fn variation(times: &[f64]) -> f64 {
    let count = times.len().max(2) as f64;
    let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    if mean > 0.0 { variance.sqrt() / mean } else { 0.0 }
}

/// How many times as fast one subject is as another, and how sure that is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    /// The ratio of the medians.
    pub speedup: f64,
    /// 95 % of the ratios of resampled medians lie between these.
    pub ci95: [f64; 2],
}

/// Resamplings of the bootstrap.
const RESAMPLINGS: usize = 2000;

impl Ratio {
    /// `slow / fast`, by a percentile bootstrap (Efron, Bootstrap Methods, 1979) that draws rounds, so that what two
    /// subjects met together stays together.
    pub fn of(slow: &[f64], fast: &[f64]) -> Self {
        let rounds = slow.len().min(fast.len());
        let mut random = Random::new(1);
        let mut ratios = Vec::with_capacity(RESAMPLINGS);
        for _ in 0..RESAMPLINGS {
            let drawn: Vec<usize> = (0..rounds).map(|_| random.below(rounds)).collect();
            let median = |times: &[f64]| {
                let sample = sorted(&drawn.iter().map(|&round| times[round]).collect::<Vec<_>>());
                percentile(&sample, 50.0)
            };
            ratios.push(median(slow) / median(fast));
        }
        let ratios = sorted(&ratios);
        let speedup = percentile(&sorted(slow), 50.0) / percentile(&sorted(fast), 50.0);
        Ratio { speedup, ci95: [percentile(&ratios, 2.5), percentile(&ratios, 97.5)] }
    }

    /// The same of rounds that did not meet, in blocks of neighbours.
    pub fn between(slow: &[f64], fast: &[f64]) -> Self {
        let mut random = Random::new(1);
        let mut ratios = Vec::with_capacity(RESAMPLINGS);
        for _ in 0..RESAMPLINGS {
            let mut median = |times: &[f64]| percentile(&sorted(&in_blocks(times, &mut random)), 50.0);
            ratios.push(median(slow) / median(fast));
        }
        let ratios = sorted(&ratios);
        let speedup = percentile(&sorted(slow), 50.0) / percentile(&sorted(fast), 50.0);
        Ratio { speedup, ci95: [percentile(&ratios, 2.5), percentile(&ratios, 97.5)] }
    }

    /// With an interval that holds another ratio too.
    pub fn with(self, ratio: f64) -> Self {
        Ratio { ci95: [self.ci95[0].min(ratio), self.ci95[1].max(ratio)], ..self }
    }

    /// With an interval wider by a factor of `1 + part` to both sides.
    pub fn widened(self, part: f64) -> Self {
        Ratio { ci95: [self.ci95[0] / (1.0 + part), self.ci95[1] * (1.0 + part)], ..self }
    }

    /// Whether the interval leaves out 1.
    pub fn is_measurable(&self) -> bool {
        self.ci95[0] > 1.0 || self.ci95[1] < 1.0
    }
}

/// As many as there are, drawn in runs of neighbours about as long as the square root of their number.
fn in_blocks(times: &[f64], random: &mut Random) -> Vec<f64> {
    let length = (times.len() as f64).sqrt().round().max(1.0) as usize;
    let mut drawn = Vec::with_capacity(times.len() + length);
    while drawn.len() < times.len() {
        let start = random.below(times.len());
        drawn.extend((start..start + length).map(|at| times[at % times.len()]));
    }
    drawn.truncate(times.len());
    drawn
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Linear interpolation between the closest ranks.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let rank = percent / 100.0 * last as f64;
    let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * rank.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_the_closest_ranks() {
        let statistics = Statistics::with_percentiles(&[4.0, 1.0, 3.0, 2.0], &[50.0, 99.9]);
        assert_eq!((statistics.median, statistics.min, statistics.mad, statistics.runs), (2.5, 1.0, 1.0, 4));
        assert!((statistics.percentile(90.0) - 3.7).abs() < 1e-12);
        assert_eq!(statistics.percentiles.keys().collect::<Vec<_>>(), ["p50", "p90", "p99", "p99.9"]);
        assert_eq!(statistics.percentile(50.0), statistics.median);
    }

    #[test]
    fn a_subject_is_not_measurably_faster_than_itself_but_than_one_that_takes_twice_as_long() {
        let mut random = Random::new(7);
        let mut times =
            |scale: f64| (0..50).map(|_| scale * (10.0 + f64::from(random.real(&(-1.0..1.0))))).collect::<Vec<_>>();
        let (one, same, double) = (times(1.0), times(1.0), times(2.0));
        assert!(!Ratio::of(&one, &same).is_measurable());
        let ratio = Ratio::of(&double, &one);
        assert!(ratio.is_measurable() && ratio.ci95[0] < 2.0 && 2.0 < ratio.ci95[1] + 0.1);
    }
}
