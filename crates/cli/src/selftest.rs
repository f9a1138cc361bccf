//! `reluctor selftest`: is this device's arithmetic right?

use super::VERSION;
use super::console::Console;
use super::device_args::{Device, DeviceArgs, DeviceReport};
use super::exit::{Code, verdict};
use super::model_args::positive;
use clap::Args;
use reluctor::error::Result;
use reluctor_lab::bundle;
use reluctor_lab::selftest::{Find, Subject, Tally, reproducer, seeds, try_seed};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct SelftestArgs {
    /// How long to try random networks
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = minutes, conflicts_with = "graphs")]
    minutes: f64,
    /// How many random networks to try, instead of how long
    #[arg(long, value_name = "N", value_parser = positive)]
    graphs: Option<usize>,
    /// The seed of the first network, from which the others' are drawn
    ///
    /// Each failure names its network's own seed: with it and --graphs 1 that network is made again.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Stop after so many networks that fail
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_failures: usize,
    /// Write a reproducer of each network that fails to DIR/<seed>
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
    let minutes = text.parse::<f64>().ok().filter(|&minutes| 0.0 < minutes && minutes <= 10_080.0);
    minutes.ok_or_else(|| "expected a positive number of minutes, at most a week's".to_string())
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
    failure: reluctor_lab::selftest::Failure,
    /// The smallest network that fails so, in words.
    smallest: String,
    bundle: Option<PathBuf>,
}

pub fn run(args: &SelftestArgs, console: &Console) -> Result<Code> {
    let device = args.device.open(console)?;
    let subject = Subject::new(match &device {
        Device::Cpu => None,
        Device::Gpu(gpu) => Some(gpu),
    });
    let start = Instant::now();
    let (mut tally, mut found) = (Tally::new(), Vec::new());
    for seed in seeds(args.seed) {
        if args.is_over(&tally, start.elapsed()) {
            break;
        }
        if let Some(find) = try_seed(seed, &subject, &mut tally) {
            console.progress_done();
            console.note(format_args!("network {seed} fails: {}", find.failure));
            found.push(args.report(&find, &subject, &device, console));
        }
        args.show_progress(console, &tally, start.elapsed());
    }
    console.progress_done();
    let seconds = start.elapsed().as_secs_f64();
    let report = Report { device: device.report(), seed: args.seed, seconds, tally, found };
    if args.json {
        console.json(&report)?
    } else {
        report.print(console)?
    }
    Ok(verdict(report.tally.failures == 0))
}

impl SelftestArgs {
    fn is_over(&self, tally: &Tally, elapsed: Duration) -> bool {
        let tried = match self.graphs {
            Some(graphs) => tally.graphs >= graphs,
            None => elapsed.as_secs_f64() >= self.minutes * 60.0,
        };
        tried || tally.failures >= self.max_failures.max(1)
    }

    fn show_progress(&self, console: &Console, tally: &Tally, elapsed: Duration) {
        let (done, of) = match self.graphs {
            Some(graphs) => (tally.graphs, graphs),
            None => (elapsed.as_secs() as usize, (self.minutes * 60.0) as usize),
        };
        console.progress(done.min(of), of, &format!("{} networks, {} failed", tally.graphs, tally.failures));
    }

    /// Writes the reproducer where one is asked for. Where that fails, what was found is still worth reporting.
    fn report(&self, find: &Find, subject: &Subject<'_>, device: &Device, console: &Console) -> FindReport {
        let write = |folder: &PathBuf| bundle::write(folder, &reproducer(find, subject, device.description(VERSION)?)?);
        let folder = self.bundle.as_ref().map(|folder| folder.join(find.seed.to_string()));
        let written = folder.filter(|folder| {
            let written = write(folder);
            written.as_ref().err().iter().for_each(|error| console.note(format_args!("no reproducer: {error}")));
            written.is_ok()
        });
        let Find { seed, nodes, network, failure } = find;
        let smallest = network.to_string();
        FindReport { seed: *seed, nodes: *nodes, failure: failure.clone(), smallest, bundle: written }
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
