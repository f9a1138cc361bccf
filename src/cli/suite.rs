//! `reluctor compare --suite DIR`: every test case below a folder against its stored outputs.

use super::console::Console;
use super::device_args::{Device, DeviceReport};
use crate::cases;
use crate::compare::Tolerance;
use crate::error::{Result, escape};
use crate::passes::Fusion;
use crate::suite::{self, CaseReport, Outcome, Totals};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
pub struct Report {
    suite: String,
    device: DeviceReport,
    tolerance: String,
    cases: Vec<CaseReport>,
    totals: Totals,
}

/// Runs the cases one after another.
///
/// # Errors
/// Only where the folder itself cannot be read or holds no case.
pub fn run(
    folder: &Path,
    device: &Device,
    fusion: &Fusion,
    tolerance: Option<Tolerance>,
    console: &Console,
) -> Result<Report> {
    let gpu = match device {
        Device::Cpu => None,
        Device::Gpu(gpu) => Some(gpu),
    };
    let tolerance = tolerance.unwrap_or_else(|| suite::usual_tolerance(gpu.is_some()));
    let folders = cases::below(folder)?;
    let mut cases = Vec::with_capacity(folders.len());
    for (index, case) in folders.iter().enumerate() {
        let name = case.strip_prefix(folder).unwrap_or(case).display().to_string();
        console.progress(index, folders.len(), &name);
        cases.push(suite::run(&name, case, gpu, fusion, tolerance));
    }
    console.progress_done();
    Ok(Report {
        suite: folder.display().to_string(),
        device: device.report(),
        tolerance: tolerance.to_string(),
        totals: Totals::of(&cases),
        cases,
    })
}

impl Report {
    /// Whether no case is wrong.
    pub fn is_fine(&self) -> bool {
        self.totals.wrong == 0
    }

    pub fn print(&self, console: &Console) -> Result<()> {
        console.line(format_args!("suite     {}", escape(&self.suite)))?;
        console.line(format_args!("device    {}", self.device))?;
        console.line(format_args!("tolerance {}\n", self.tolerance))?;
        let wide = self.cases.iter().map(|case| escape(&case.case).chars().count()).max().unwrap_or(4).max(4);
        console.line(format_args!(
            "{:<wide$}  {:<11}  {:>9}  {:>12}  {:>10}  reason",
            "case", "verdict", "max abs", "of tolerance", "dispatches"
        ))?;
        for case in &self.cases {
            let number = |number: Option<f64>| number.map_or("-".to_string(), |number| format!("{number:.2e}"));
            let line = format!(
                "{:<wide$}  {:<11}  {:>9}  {:>12}  {:>10}  {}",
                escape(&case.case),
                in_words(case.verdict),
                number(case.max_abs),
                number(case.of_tolerance),
                case.dispatches.map_or("-".to_string(), |dispatches| dispatches.to_string()),
                escape(case.reason.as_deref().unwrap_or(""))
            );
            console.line(line.trim_end())?;
        }
        let Totals { cases, passed, host_only, unsupported, wrong } = self.totals;
        let host_only = if host_only > 0 { format!(" ({host_only} of them on the host only)") } else { String::new() };
        console
            .line(format_args!("\n{cases} cases: {passed} passed{host_only}, {unsupported} unsupported, {wrong} wrong"))
    }
}

fn in_words(verdict: Outcome) -> &'static str {
    match verdict {
        Outcome::Passed => "passed",
        Outcome::Unsupported => "unsupported",
        Outcome::Wrong => "WRONG",
    }
}
