//! `reluctor selftest`: is this device's arithmetic right?

use super::console::Console;
use super::device_args::{Device, DeviceArgs, DeviceReport};
use crate::error::Result;
use crate::selftest::{Find, Subject, Tally, save, seeds, try_seed};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct SelftestArgs {
    /// How long to try random networks
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = minutes, conflicts_with = "graphs")]
    minutes: f64,
    /// How many random networks to try, instead of how long
    #[arg(long, value_name = "N")]
    graphs: Option<usize>,
    /// The seed of the first network, from which the others' are drawn
    ///
    /// Each failure names its network's own seed: with it and --graphs 1 that network is made again.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Stop after so many networks that fail
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_failures: usize,
    /// Write each network that fails to DIR/<seed>: model.onnx, its inputs, and the reference's outputs
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Minutes, at most a week.
fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| (0.0..=10_080.0).contains(minutes));
    minutes.ok_or_else(|| "expected a number of minutes".to_string())
}

#[derive(Serialize)]
struct Report {
    device: DeviceReport,
    seed: u64,
    seconds: f64,
    #[serde(flatten)]
    tally: Tally,
    found: Vec<FindReport>,
}

#[derive(Serialize)]
struct FindReport {
    seed: u64,
    /// Nodes of the network that the seed makes.
    nodes: usize,
    failure: crate::selftest::Failure,
    /// The smallest network that fails so, in words.
    smallest: String,
    bundle: Option<PathBuf>,
}

pub fn run(args: &SelftestArgs, console: &Console) -> Result<ExitCode> {
    let device = args.device.open(console)?;
    let subject = Subject::new(match &device {
        Device::Cpu => None,
        Device::Gpu(gpu) => Some(gpu),
    });
    let start = Instant::now();
    let (mut tally, mut found) = (Tally::new(), Vec::new());
    let progress = args.progress(console);
    for seed in seeds(args.seed) {
        if args.is_over(&tally, start.elapsed()) {
            break;
        }
        if let Some(find) = try_seed(seed, &subject, &mut tally) {
            let report = args.report(&find)?;
            progress.suspend(|| console.note(format_args!("network {seed} fails: {}", find.failure)));
            found.push(report);
        }
        progress.set_position(args.position(&tally, start.elapsed()));
        progress.set_message(format!("{} networks, {} failed", tally.graphs, tally.failures));
    }
    progress.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let report = Report { device: device.report(), seed: args.seed, seconds, tally, found };
    if args.json {
        console.json(&report)?
    } else {
        report.print(console)?
    }
    Ok(ExitCode::from(u8::from(report.tally.failures > 0)))
}

impl SelftestArgs {
    fn is_over(&self, tally: &Tally, elapsed: Duration) -> bool {
        let tried = match self.graphs {
            Some(graphs) => tally.graphs >= graphs,
            None => elapsed.as_secs_f64() >= self.minutes * 60.0,
        };
        tried || tally.failures >= self.max_failures.max(1)
    }

    /// Networks, or seconds, to do.
    fn progress(&self, console: &Console) -> ProgressBar {
        let target = if console.is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let length = self.graphs.map_or((self.minutes * 60.0) as u64, |graphs| graphs as u64);
        let style =
            ProgressStyle::with_template("{bar:40} {elapsed} {msg}").expect("the template is one of indicatif's");
        ProgressBar::with_draw_target(Some(length), target).with_style(style)
    }

    fn position(&self, tally: &Tally, elapsed: Duration) -> u64 {
        if self.graphs.is_some() { tally.graphs as u64 } else { elapsed.as_secs() }
    }

    /// Writes the bundle where one is asked for.
    fn report(&self, find: &Find) -> Result<FindReport> {
        let bundle = self.bundle.as_ref().map(|folder| folder.join(find.seed.to_string()));
        if let Some(folder) = &bundle {
            save(&find.network, folder)?;
        }
        let Find { seed, nodes, network, failure } = find;
        Ok(FindReport { seed: *seed, nodes: *nodes, failure: failure.clone(), smallest: network.to_string(), bundle })
    }
}

impl Report {
    fn print(&self, console: &Console) -> Result<()> {
        let Tally { graphs, passed, nodes, operators, variants, known_variants, refused, failures } = &self.tally;
        console.line(format_args!("device    {}", self.device))?;
        let rate = *graphs as f64 / self.seconds.max(1e-9);
        console.line(format_args!(
            "networks  {graphs} from seed {}, in {:.1} s: {rate:.1} a second",
            self.seed, self.seconds
        ))?;
        console.line(format_args!("passed    {passed}, of {nodes} nodes in all"))?;
        let list: Vec<String> = operators.iter().map(|(op_type, count)| format!("{op_type} {count}")).collect();
        console.line(format_args!("operators {}", list.join(", ")))?;
        console.line(format_args!("kernels   {} of {known_variants} variants", variants.len()))?;
        for (reason, count) in refused {
            console.line(format_args!("refused   {count} times: {reason}"))?;
        }
        for find in &self.found {
            console.line(format_args!("\nFAILED    network {} of {} nodes", find.seed, find.nodes))?;
            console.line(format_args!("          {}", find.failure))?;
            console.line("the smallest network that fails so:")?;
            console.print(&find.smallest)?;
            console.line(format_args!("again: reluctor selftest --seed {} --graphs 1", find.seed))?;
            if let Some(folder) = &find.bundle {
                console.line(format_args!("written to {}", folder.display()))?;
            }
        }
        console.line(format_args!("verdict: {}", if *failures == 0 { "no network failed" } else { "FAILED" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_a_number_that_a_run_can_end_after() {
        assert_eq!(minutes("0.5"), Ok(0.5));
        for text in ["-1", "nan", "inf", "1e9", "soon", ""] {
            assert!(minutes(text).is_err(), "{text}");
        }
    }
}
