//! `reluctor compare --suite DIR`: every test case below a folder against its stored outputs.

use crate::console::Console;
use crate::device_args::{Device, DeviceReport};
use reluctor::error::{Result, escape};
use reluctor::onnx::Bindings;
use reluctor::passes::Fusion;
use reluctor_lab::cases;
use reluctor_lab::compare::Tolerance;
use reluctor_lab::report::Table;
use reluctor_lab::suite::{self, CaseReport, Outcome, Totals};
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
    bindings: &Bindings,
    fusion: &Fusion,
    tolerance: Option<Tolerance>,
    console: &Console,
) -> Result<Report> {
    let gpu = match device {
        Device::Cpu => None,
        Device::Gpu(gpu) => Some(gpu),
    };
    let tolerance = tolerance.unwrap_or(Tolerance::RoundingBound);
    let folders = cases::below(folder)?;
    let mut cases = Vec::with_capacity(folders.len());
    for (index, case) in folders.iter().enumerate() {
        let name = case.strip_prefix(folder).unwrap_or(case).display().to_string();
        console.progress(index, folders.len(), &name);
        cases.push(suite::run(&name, case, gpu, bindings, fusion, tolerance));
    }
    console.progress_done();
    for CaseReport { case, readings, .. } in &cases {
        readings.iter().for_each(|reading| console.note(format_args!("{}: {reading}", escape(case))));
    }
    Ok(Report {
        suite: folder.display().to_string(),
        device: device.report(),
        tolerance: match tolerance {
            Tolerance::RoundingBound => suite::OF_STORED.to_string(),
            Tolerance::AllClose { .. } => tolerance.to_string(),
        },
        totals: Totals::of(&cases),
        cases,
    })
}

impl Report {
    /// Whether no case is wrong.
    pub fn is_fine(&self) -> bool {
        self.totals.wrong == 0
    }

    /// A row a case, as text.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&["case", "verdict", "max abs", "of tolerance", "dispatches", "reason"]);
        let number = |number: Option<f64>| number.map_or("-".to_string(), |number| format!("{number:.2e}"));
        for case in &self.cases {
            table.rows.push(vec![
                case.case.clone(),
                in_words(case.verdict).to_string(),
                number(case.max_abs),
                number(case.of_tolerance),
                case.dispatches.map_or("-".to_string(), |dispatches| dispatches.to_string()),
                case.reason.clone().unwrap_or_default(),
            ]);
        }
        table
    }

    pub fn print(&self, console: &Console) -> Result<()> {
        console.line(format_args!("suite     {}", escape(&self.suite)))?;
        console.line(format_args!("device    {}", self.device))?;
        console.line(format_args!("tolerance {}\n", self.tolerance))?;
        let Table { columns, rows } = self.table();
        let wide = rows.iter().map(|row| escape(&row[0]).chars().count()).max().unwrap_or(0).max(columns[0].len());
        for row in std::iter::once(&columns).chain(&rows) {
            let cells: Vec<String> = row.iter().map(|cell| escape(cell)).collect();
            let [case, verdict, max_abs, of_tolerance, dispatches, reason] = &cells[..] else { continue };
            let line =
                format!("{case:<wide$}  {verdict:<11}  {max_abs:>9}  {of_tolerance:>12}  {dispatches:>10}  {reason}");
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
