//! `--iterations`, `--duration`, `--warmup`, `--percentile`, `--profile`, `--trace`: how long to measure, and what to say of it.

use clap::Args;
use reluctor_lab::bench::{Length, USUAL_PERCENTILES};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args)]
pub struct MeasureArgs {
    /// Runs at least: bench makes 10 where this is left out, run 1 after its first
    #[arg(long, value_name = "N", help_heading = "Measurement")]
    iterations: Option<usize>,
    /// Seconds of runs at least, all that is timed together: bench takes 3 where this is left out
    #[arg(long, value_name = "SECONDS", value_parser = duration, help_heading = "Measurement")]
    duration: Option<f64>,
    /// Milliseconds of runs before those that count: bench takes 200 where this is left out; up to five times as many where
    /// the clock does not settle
    #[arg(long, value_name = "MS", help_heading = "Measurement")]
    warmup: Option<u64>,
    /// Percentiles of the wall clock to show beside the median, separated by commas; 90,99 where this is left out
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = percent, help_heading = "Measurement")]
    percentile: Vec<f64>,
    /// A row for each step, by the device's own clock; bench has it of a model and of a convolution anyway
    #[arg(long, help_heading = "Measurement")]
    profile: bool,
    /// Write a run's timeline, host and device, for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    trace: Option<PathBuf>,
}

impl MeasureArgs {
    /// How long to measure, where nothing is said as long as is usual.
    pub fn length(&self, usual: Length) -> Length {
        Length {
            iterations: self.iterations.unwrap_or(usual.iterations),
            duration: self.duration.map_or(usual.duration, Duration::from_secs_f64),
            warmup: self.warmup.map_or(usual.warmup, Duration::from_millis),
        }
    }

    /// The same, with one run at least.
    pub fn length_of_some(&self, usual: Length) -> Length {
        let length = self.length(usual);
        Length { iterations: length.iterations.max(1), ..length }
    }

    /// Between 0 and 100, each once.
    pub fn percentiles(&self) -> Vec<f64> {
        let asked = if self.percentile.is_empty() { &USUAL_PERCENTILES[..] } else { &self.percentile };
        let mut once: Vec<f64> = Vec::new();
        for &percent in asked {
            if !once.contains(&percent) {
                once.push(percent);
            }
        }
        once
    }

    /// Whether each step is to have a row.
    pub fn profile(&self) -> bool {
        self.profile
    }

    /// Whether steps are to be timed, for rows or for a timeline.
    pub fn times_steps(&self) -> bool {
        self.profile || self.trace.is_some()
    }

    /// Whether percentiles were named.
    pub fn names_percentiles(&self) -> bool {
        !self.percentile.is_empty()
    }

    /// Where the timeline goes.
    pub fn trace(&self) -> Option<&Path> {
        self.trace.as_deref()
    }

    /// Whether anything was said of it.
    pub fn is_given(&self) -> bool {
        let MeasureArgs { iterations, duration, warmup, percentile, profile, trace } = self;
        let lengths = iterations.is_some() || duration.is_some() || warmup.is_some();
        lengths || !percentile.is_empty() || *profile || trace.is_some()
    }
}

/// Seconds, at most a day.
fn duration(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..86_400.0).contains(seconds));
    seconds.ok_or_else(|| "expected a number of seconds".to_string())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
    // The zero of either sign is one.
    percent
        .map(|percent| percent + 0.0)
        .ok_or_else(|| "expected numbers between 0 and 100, for example 50,95,99.9".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_between_0_and_100_and_a_duration_less_than_a_day() {
        assert_eq!((percent("99.9"), duration("0.5")), (Ok(99.9), Ok(0.5)));
        for text in ["-1", "nan", "inf", "100.1", "p90", ""] {
            assert!(percent(text).is_err(), "{text}");
        }
        for text in ["-1", "nan", "inf", "86400", ""] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
