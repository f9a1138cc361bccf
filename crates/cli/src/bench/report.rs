//! All that a benchmark says, for people, for machines and for pages.

use super::measure::{FusionRow, Measured, Way};
use crate::device_args::{DeviceReport, Precision};
use reluctor::tensor::format_shape;
use reluctor_lab::bench::Statistics;
use reluctor_lab::bench::earlier::{Against, Rounds};
use reluctor_lab::bench::growth::Growth;
use reluctor_lab::bench::roofs::{Bound, Roofs};
use reluctor_lab::bench::saving::Saving;
use reluctor_lab::bench::steps::{Around, StepRow};
use reluctor_lab::report::Table;
use serde::Serialize;

#[derive(Serialize)]
pub struct Report {
    pub subject: String,
    /// What made this report.
    pub command: String,
    pub version: &'static str,
    pub device: DeviceReport,
    pub precision: Precision,
    /// `hot`, or `cold` where buffers rotate.
    pub cache: &'static str,
    pub roofs: Roofs,
    /// Steps of a network or a layer; subjects of a suite, or their steps.
    pub results: Vec<StepRow>,
    /// The ways that each subject was run.
    pub ways: Vec<Way>,
    /// Each subject fused against unfused, where both were run.
    pub fusion: Vec<FusionRow>,
    pub savings: Vec<Saving>,
    pub around: Option<Around>,
    /// Of all subjects together, fused.
    pub total_ms: Statistics,
    pub rounds: Rounds,
    /// Bytes of tensors in use at each step, weights left out; of a network or a layer.
    pub memory: Vec<u64>,
    pub growth: Option<Growth>,
    pub against: Option<Against>,
    pub diagnostics: Vec<String>,
    /// Percentiles that people are shown.
    #[serde(skip)]
    pub percentiles: Vec<f64>,
}

/// What a run is part of.
pub struct Setting {
    pub subject: String,
    pub device: DeviceReport,
    pub precision: Precision,
    pub cache: &'static str,
    pub roofs: Roofs,
    /// Percentiles of the wall clock.
    pub percentiles: Vec<f64>,
    /// Whether each step of a suite's subjects is a result, and not each subject.
    pub profile: bool,
}

impl Report {
    /// Of one subject, or of a suite's.
    pub fn new(setting: Setting, measured: Vec<Measured>, growth: Option<Growth>) -> Self {
        let Setting { subject, device, precision, cache, roofs, percentiles, profile } = setting;
        let rounds = together(&subject, &measured);
        let total_ms = Statistics::with_percentiles(&rounds.times_ms, &percentiles);
        let is_one = measured.len() == 1;
        let is_settled = measured.iter().all(|measured| measured.is_settled);
        let (around, memory) = match &measured[..] {
            [one] => (one.around, one.memory.clone()),
            _ => (None, Vec::new()),
        };
        let mut report = Report {
            subject,
            command: std::env::args().map(quoted).collect::<Vec<_>>().join(" "),
            version: env!("CARGO_PKG_VERSION"),
            device,
            precision,
            cache,
            roofs,
            results: Vec::new(),
            ways: Vec::new(),
            fusion: Vec::new(),
            savings: Vec::new(),
            around,
            total_ms,
            rounds,
            memory,
            growth,
            against: None,
            diagnostics: Vec::new(),
            percentiles,
        };
        for Measured { name, ways, fusion, mut steps, whole, savings, .. } in measured {
            if !is_one {
                steps.iter_mut().for_each(|step| step.subject = Some(name.clone()));
            }
            report.results.extend(if (is_one || profile) && !steps.is_empty() { steps } else { vec![whole] });
            report.ways.extend(ways);
            report.fusion.extend(fusion);
            report.savings.extend(savings);
        }
        if !is_one {
            let all: f64 = report.results.iter().map(|row| row.ms.median).sum();
            report.results.iter_mut().for_each(|row| row.share = row.ms.median / all);
        }
        report.diagnostics = report.diagnose(is_settled);
        report
    }

    /// What keeps the figures from meaning what they seem to.
    fn diagnose(&self, is_settled: bool) -> Vec<String> {
        let mut found = Vec::new();
        if self.device.is_software() {
            found.push("software adapter: these are times of the processor, not of a GPU".to_string());
        }
        if !is_settled {
            found.push("the clock had not settled when the warm-up ended: a longer --warmup may help".to_string());
        }
        let cv = self.total_ms.cv;
        if cv > 0.025 {
            found.push(format!("unstable: the times vary by {:.1} % (coefficient of variation)", 100.0 * cv));
        }
        if let Some(around) = &self.around {
            let wall = self.total_ms.median;
            let transfer = (around.upload_ms + around.readback_ms) / wall;
            let idle = 1.0 - (around.steps_ms + around.gaps_ms) / wall;
            if transfer > 0.3 {
                found.push(format!("transfer-bound: {:.0} % of a run is upload and readback", 100.0 * transfer));
            } else if idle > 0.5 {
                found.push(format!("host-bound: the device waits for {:.0} % of a run", 100.0 * idle));
            }
        }
        let launched = self.results.iter().filter(|row| row.bound == Bound::Launch);
        let share: f64 = launched.map(|row| row.share).sum();
        if self.around.is_some() && share > 0.3 {
            found.push(format!(
                "launch-bound: {:.0} % of the steps' time is in steps too small for the device",
                100.0 * share
            ));
        }
        found
    }

    /// How many ways each subject was run.
    pub fn ways_each(&self) -> usize {
        if self.fusion.is_empty() { 1 } else { 2 }
    }

    /// The rows that every file format has.
    pub fn table(&self) -> Table {
        let columns = [
            "name",
            "op",
            "kernel",
            "shape",
            "median ms",
            "mad",
            "min",
            "p90",
            "p99",
            "share",
            "GFLOP/s",
            "GB/s",
            "flops/byte",
            "% of roof",
            "bound",
        ];
        let mut table = Table::new(&columns);
        for row in &self.results {
            let StepRow { ms, share, gflops, gbps, intensity, percent_of_roof, .. } = row;
            let numbers = [
                ms.median,
                ms.mad,
                ms.min,
                ms.percentile(90.0),
                ms.percentile(99.0),
                *share,
                *gflops,
                *gbps,
                *intensity,
                *percent_of_roof,
            ];
            let names = [row.label(), row.op.to_string(), row.kernel.clone(), format_shape(&row.shape)];
            let numbers = numbers.map(|number| format!("{number:.4}"));
            table.rows.push(names.into_iter().chain(numbers).chain([row.bound.name().to_string()]).collect());
        }
        table
    }
}

/// Rounds of several subjects as if they had run one after the other.
fn together(subject: &str, measured: &[Measured]) -> Rounds {
    let count = measured.iter().map(|measured| measured.rounds.times_ms.len()).min().unwrap_or(0);
    let sum = |of: &dyn Fn(&Rounds) -> &[f64]| {
        (0..count).map(|round| measured.iter().map(|measured| of(&measured.rounds)[round]).sum()).collect()
    };
    Rounds {
        subject: subject.to_string(),
        times_ms: sum(&|rounds| &rounds.times_ms),
        pace_ms: sum(&|rounds| &rounds.pace_ms),
    }
}

/// As a shell would take it.
fn quoted(argument: String) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}
