//! Measuring: interleaved runs, robust statistics, and convolutions described in a line.

mod spec;
mod statistics;

pub use spec::ConvSpec;
pub use statistics::{Ratio, Statistics};

use crate::error::Result;
use crate::random::Random;
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

/// Times several subjects in turn, in an order that changes from round to round, so that a drift of the machine's speed
/// meets all of them alike. Returns milliseconds for each subject and round.
///
/// # Errors
/// The first error of a subject.
pub fn interleaved(subjects: &mut [&mut dyn FnMut() -> Result<()>], length: Length) -> Result<Vec<Vec<f64>>> {
    let start = Instant::now();
    while start.elapsed() < length.warmup {
        for subject in subjects.iter_mut() {
            subject()?;
        }
    }
    let mut times = vec![Vec::new(); subjects.len()];
    let mut random = Random::new(0);
    let start = Instant::now();
    while times[0].len() < length.iterations || start.elapsed() < length.duration {
        let first = random.below(subjects.len());
        for turn in 0..subjects.len() {
            let index = (first + turn) % subjects.len();
            let start = Instant::now();
            subjects[index]()?;
            times[index].push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}
