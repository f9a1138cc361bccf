//! This run against an earlier one, in another process: for regressions.
//!
//! Two runs meet another machine each: clocks, neighbours and memory differ. Three things are done about it. Each round also
//! times multiply-adds and nothing else, the pace, for about as long, and a subject's time counts in multiples of theirs. Rounds are
//! drawn in blocks (H. R. Kuensch, The jackknife and the bootstrap for general stationary observations, Annals of
//! Statistics 17, 1989), since what slows one round slows its neighbours. And the interval is widened by what two runs of the
//! same program were measured to differ by whatever is done ([`BETWEEN_RUNS`]), and by as much as the pace itself differs
//! between the runs: what another load does to multiply-adds it may do to memory once more. It also holds the ratio of the
//! fastest rounds, which other work disturbs least: a program that became slower has slower fastest rounds too.

use super::{Ratio, Statistics};
use reluctor::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What runs of one program on one machine differ by, as a part of their time, beside what the rounds of one run show.
/// benches/RESULTS.md has repetitions on a machine with other work.
pub const BETWEEN_RUNS: f64 = 0.05;

/// What is needed of a report to compare with it later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// What was measured.
    pub subject: String,
    /// Milliseconds of each round.
    pub times_ms: Vec<f64>,
    /// Milliseconds that a billion flops of the pace took in the same round.
    pub pace_ms: Vec<f64>,
}

/// The earlier report, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
struct Earlier {
    version: String,
    device: Device,
    precision: String,
    cache: String,
    rounds: Rounds,
}

/// What must be the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Device {
    name: String,
    backend: String,
    driver: String,
}

/// How this run compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// The file.
    pub file: String,
    /// The version that wrote it.
    pub version: String,
    /// How many times as fast this run is, in multiples of the pace.
    #[serde(flatten)]
    pub ratio: Ratio,
}

/// Compares with a report that `--json` or `--export-json` wrote. `report` is this run's, in the same form.
///
/// # Errors
/// [`Error::Io`], [`Error::Invalid`] where the file is no such report, [`Error::Usage`] where it is of another subject, device
/// or setting.
pub fn against(path: &Path, report: &serde_json::Value) -> Result<Against> {
    let file = reluctor::error::escape(&path.display().to_string());
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    let invalid = |error: serde_json::Error| Error::invalid(&file, format!("is no report of `bench --json`: {error}"));
    let then: Earlier = serde_json::from_str(&text).map_err(invalid)?;
    let now = Earlier::deserialize(report).map_err(|error| Error::Internal(error.to_string()))?;
    let differs = |what: &str, then: &str, now: &str| {
        let [then, now] = [then, now].map(reluctor::error::escape);
        Err(Error::Usage(format!("{file} cannot be compared with: its {what} is {then}, this one's is {now}")))
    };
    if then.device != now.device {
        let name = |device: &Device| format!("{} ({}, {})", device.name, device.backend, device.driver);
        return differs("device", &name(&then.device), &name(&now.device));
    }
    for (what, then, now) in [
        ("subject", &then.rounds.subject, &now.rounds.subject),
        ("precision", &then.precision, &now.precision),
        ("cache", &then.cache, &now.cache),
    ] {
        if then != now {
            return differs(what, then, now);
        }
    }
    let drift = (now.rounds.pace() / then.rounds.pace()).ln().abs();
    let fastest = then.rounds.fastest() / now.rounds.fastest();
    let ratio = Ratio::between(&then.rounds.paced(), &now.rounds.paced()).with(fastest).widened(BETWEEN_RUNS + drift);
    Ok(Against { file, version: then.version, ratio })
}

impl Rounds {
    fn pace(&self) -> f64 {
        Statistics::of(&self.pace_ms).median
    }

    /// The fastest round in multiples of the fastest pace.
    fn fastest(&self) -> f64 {
        Statistics::of(&self.times_ms).min / Statistics::of(&self.pace_ms).min
    }

    /// Times in multiples of the pace.
    fn paced(&self) -> Vec<f64> {
        self.times_ms.iter().zip(&self.pace_ms).map(|(time, pace)| time / pace).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::random::Random;
    use serde_json::{Value, json};

    fn report(seed: u64, scale: f64, driver: &str) -> Value {
        let mut random = Random::new(seed);
        let mut rounds = |scale: f64| -> Vec<f64> {
            (0..40).map(|_| scale * (10.0 + f64::from(random.real(&(-0.5..0.5))))).collect()
        };
        let rounds = Rounds { subject: "a".into(), times_ms: rounds(scale), pace_ms: rounds(0.2) };
        let device = json!({ "name": "d", "backend": "b", "driver": driver });
        json!({ "version": "1", "device": device, "precision": "f32", "cache": "hot", "rounds": rounds })
    }

    fn compared(then: &Value, now: &Value) -> Result<Against> {
        let path = std::env::temp_dir().join(format!("reluctor-earlier-{}-{:p}", std::process::id(), then));
        std::fs::write(&path, then.to_string()).unwrap();
        let against = against(&path, now);
        std::fs::remove_file(path).unwrap();
        against
    }

    #[test]
    fn a_run_like_the_earlier_one_is_no_different_and_one_that_takes_longer_is() {
        let same = compared(&report(1, 1.0, "x"), &report(2, 1.0, "x")).unwrap();
        assert!(!same.ratio.is_measurable(), "{same:?}");
        let slower = compared(&report(1, 1.0, "x"), &report(2, 1.3, "x")).unwrap();
        assert!(slower.ratio.is_measurable() && slower.ratio.speedup < 0.8, "{slower:?}");
    }

    #[test]
    fn what_only_slows_most_rounds_is_other_work_on_the_machine() {
        let mut now = report(2, 1.0, "x");
        for time in now["rounds"]["times_ms"].as_array_mut().unwrap().iter_mut().skip(15) {
            *time = json!(time.as_f64().unwrap() * 1.4);
        }
        let ratio = compared(&report(1, 1.0, "x"), &now).unwrap().ratio;
        assert!(!ratio.is_measurable() && ratio.speedup < 0.8, "{ratio:?}");
    }

    #[test]
    fn where_the_machine_itself_was_another_less_is_claimed() {
        let mut now = report(2, 1.3, "x");
        for pace in now["rounds"]["pace_ms"].as_array_mut().unwrap() {
            *pace = json!(pace.as_f64().unwrap() * 0.7);
        }
        let ratio = compared(&report(1, 1.3, "x"), &now).unwrap().ratio;
        assert!(!ratio.is_measurable() && ratio.speedup < 0.8, "{ratio:?}");
    }

    #[test]
    fn another_device_is_refused_and_so_is_what_is_no_report() {
        let other = compared(&report(1, 1.0, "x"), &report(2, 1.0, "y"));
        assert!(matches!(&other, Err(Error::Usage(reason)) if reason.contains("device")), "{other:?}");
        assert!(matches!(compared(&json!({}), &report(2, 1.0, "x")), Err(Error::Invalid { .. })));
    }
}
