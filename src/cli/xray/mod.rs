//! `reluctor xray`: how linear is each layer and the whole; what do the activations do?

mod report;
mod runner;
mod subject;
mod text;

use super::console::Console;
use super::device_args::{Device, DeviceArgs};
use super::export_args::ExportArgs;
use super::fault_args::FaultArgs;
use super::fusion_args::FusionArgs;
use super::input_args::InputArgs;
use super::model_args::{ModelArgs, positive};
use crate::error::{Error, Result};
use crate::onnx::Model;
use crate::xray::run::Counted;
use crate::xray::{Measured, Passes, Runner, Subject, measure};
use clap::Args;
use report::{Cost, Network, Report};
use runner::OnDevice;
use std::process::ExitCode;
use std::time::Instant;
use subject::Prepared;

#[derive(Args)]
pub struct XrayArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    fusion: FusionArgs,
    #[command(flatten)]
    faults: FaultArgs,
    /// Pairs of inputs to try; left out, one for each input that is given
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Measurement")]
    pairs: Option<usize>,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    export: ExportArgs,
}

pub fn run(args: &XrayArgs, console: &Console) -> Result<ExitCode> {
    let device = args.device.open(console)?;
    args.faults.announce(&device)?;
    let model = args.model.open()?;
    let report = args.report(&model, &device)?;
    args.export.write(&report, &report.table())?;
    if args.json {
        console.json(&report)?;
    } else {
        text::print(&report, console)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl XrayArgs {
    fn report(&self, model: &Model, device: &Device) -> Result<Report> {
        let prepared = self.prepare(model, device)?;
        let runner = OnDevice { device, faults: &self.faults };
        let forward_ms = forward_ms(&prepared, &runner)?;
        let (passes, start) = (Passes::default(), Instant::now());
        let subject = Subject { graph: &prepared.bound.graph, x: &prepared.x, y: &prepared.y };
        let measured = measure(&subject, &runner, &passes)?;
        let network = network(&measured)?;
        let total_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(Report {
            model: model.name().to_string(),
            device: device.report(),
            precision: self.device.precision().to_string(),
            inputs: prepared.bound.feed.iter().map(ToString::to_string).collect(),
            pairs: prepared.pairs,
            pairing: prepared.pairing,
            layers: measured.layers,
            network,
            cost: Cost {
                forward_passes: passes.images(),
                forward_ms,
                total_ms,
                times_forward: total_ms / (forward_ms * passes.images() as f64),
            },
        })
    }
}

/// What one forward pass takes where nothing is looked at: the median of three runs, after one that does not count.
fn forward_ms(prepared: &Prepared, runner: &dyn Runner) -> Result<f64> {
    let passes = Passes::default();
    let loaded = Counted::load(runner, &prepared.bound.graph, &passes)?;
    loaded.run(&prepared.x[0])?;
    let mut times = [0.0; 3];
    for time in &mut times {
        let start = Instant::now();
        loaded.run(&prepared.x[0])?;
        *time = start.elapsed().as_secs_f64() * 1e3;
    }
    times.sort_by(f64::total_cmp);
    Ok(times[1] / prepared.batch as f64)
}

/// The chain up to the last layer, which is the network.
fn network(measured: &Measured) -> Result<Network> {
    let none = || Error::Usage("no node of the network maps reals to reals".to_string());
    let chain = measured.layers.iter().rev().find_map(|layer| layer.chain).ok_or_else(none)?;
    Ok(Network {
        verdict: chain.verdict,
        additivity_defect: chain.additivity_defect,
        homogeneity_defect_pos: chain.homogeneity_defect_pos,
        homogeneity_defect_neg: chain.homogeneity_defect_neg,
        rounding_floor: chain.rounding_floor,
    })
}
