//! Where a run's time goes, step by step, as a table.

use super::console::Console;
use super::quantity::{milliseconds, shortened};
use reluctor::error::{Result, escape};
use reluctor::tensor::format_shape;
use reluctor_lab::bench::steps::StepRow;

/// A row for each step, with what the device's roofs allow it.
pub fn print_steps(rows: &[StepRow], console: &Console) -> Result<()> {
    let wide = rows.iter().map(|row| escape(&row.label()).chars().count()).max().unwrap_or(4).clamp(4, 44);
    console.line(format_args!(
        "{:<wide$}  {:>14}  {:>9}  {:>6}  {:>8}  {:>7}  {:>8}  {:>6}  {:<7}  kernel",
        "step", "output", "median", "share", "GFLOP/s", "GB/s", "flops/B", "% roof", "bound"
    ))?;
    rows.iter().try_for_each(|row| {
        let name = shortened(&row.label(), wide);
        console.line(format_args!(
            "{name:<wide$}  {:>14}  {:>9}  {:>5.1}%  {:>8.2}  {:>7.2}  {:>8.1}  {:>6.1}  {:<7}  {}",
            format_shape(&row.shape),
            milliseconds(row.ms.median),
            100.0 * row.share,
            row.gflops,
            row.gbps,
            row.intensity,
            row.percent_of_roof,
            row.bound.name(),
            row.kernel
        ))
    })
}
