//! Measuring: interleaved runs, robust statistics, and convolutions described in a line.

pub mod assertion;
pub mod earlier;
pub mod growth;
pub mod pace;
pub mod roofs;
pub mod saving;
mod spec;
mod statistics;
pub mod steps;
pub mod suites;

pub use spec::ConvSpec;
pub use statistics::{Ratio, Statistics, USUAL_PERCENTILES, named};

use reluctor::error::Result;
use reluctor::random::Random;
use std::time::{Duration, Instant};

/// How long to measure: until both are reached.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// Runs at least.
    pub iterations: usize,
    /// Time at least, over all subjects together.
    pub duration: Duration,
    /// Runs before the first one that counts, by time.
    pub warmup: Duration,
}

/// Milliseconds by subject and round.
#[derive(Debug, Clone)]
pub struct Times {
    /// For each subject, the rounds in order.
    pub of: Vec<Vec<f64>>,
    /// Whether the warm-up ended because the clock had settled.
    pub is_settled: bool,
}

/// Rounds that are compared with as many before them.
const SETTLING: usize = 5;

/// The clock has settled where two medians in a row are no further apart than this part of them.
const SETTLED: f64 = 0.025;

/// A warm-up may take this many times as long where the clock does not settle.
const PATIENCE: u32 = 5;

/// Times several subjects in turn, in an order that changes from round to round, so that a drift of the machine's speed
/// meets all of them alike.
///
/// # Errors
/// The first error of a subject.
pub fn interleaved(subjects: &mut [&mut dyn FnMut() -> Result<()>], length: Length) -> Result<Times> {
    let is_settled = warm_up(subjects, length.warmup)?;
    let mut times = vec![Vec::new(); subjects.len()];
    let mut random = Random::new(0);
    let start = Instant::now();
    while times[0].len() < length.iterations || start.elapsed() < length.duration {
        let first = random.below(subjects.len());
        for turn in 0..subjects.len() {
            let index = (first + turn) % subjects.len();
            times[index].push(timed(subjects[index])?);
        }
    }
    Ok(Times { of: times, is_settled })
}

/// Runs until the time is over and the clock has settled, but not forever. Whether it has.
fn warm_up(subjects: &mut [&mut dyn FnMut() -> Result<()>], least: Duration) -> Result<bool> {
    let start = Instant::now();
    let mut rounds: Vec<f64> = Vec::new();
    loop {
        let is_settled = rounds.len() >= 2 * SETTLING && {
            let [before, now] = [2, 1].map(|ago| {
                let end = rounds.len() - (ago - 1) * SETTLING;
                Statistics::of(&rounds[end - SETTLING..end]).median
            });
            (now - before).abs() <= SETTLED * before
        };
        if start.elapsed() >= least && (is_settled || start.elapsed() >= least * PATIENCE) {
            return Ok(is_settled);
        }
        let mut round = 0.0;
        for subject in subjects.iter_mut() {
            round += timed(subject)?;
        }
        rounds.push(round);
    }
}

fn timed(subject: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    subject()?;
    Ok(since(start))
}

/// Milliseconds since then.
pub fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
