//! `reluctor xray`: how linear is each layer and the whole; what do the activations do?

mod page;
mod report;
mod runner;
mod segment;
mod study;
mod subject;
mod text;

use super::console::Console;
use super::device_args::{Device, DeviceArgs};
use super::exit::{Code, FINE};
use super::export_args::ExportArgs;
use super::fault_args::FaultArgs;
use super::fusion_args::FusionArgs;
use super::input_args::InputArgs;
use super::model_args::{ModelArgs, positive};
use clap::Args;
use reluctor::error::{Error, Result};
use reluctor::graph::Graph;
use reluctor::onnx::Model;
use reluctor_lab::xray::ablation::ablate;
use reluctor_lab::xray::collapse::collapses;
use reluctor_lab::xray::measure::Chain;
use reluctor_lab::xray::run::Counted;
use reluctor_lab::xray::tail::tails;
use reluctor_lab::xray::{Measured, Passes, Runner, Subject, measure};
use report::{Cost, Network, Report};
use runner::OnDevice;
use std::path::PathBuf;
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
    /// The ends of the segment on which linear pieces are counted: two tensors, or two archives with a tensor for each input;
    /// left out, two of the inputs
    #[arg(long, num_args = 2, value_names = ["A.npy", "B.npy"], help_heading = "Measurement")]
    segment: Vec<PathBuf>,
    /// About how many pieces to solve for: the segment between two of the inputs is cut short so that it has no more, and one
    /// that --segment gives is solved up to that many
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Measurement")]
    pieces: Option<usize>,
    /// Siblings of the embedded network that differ in their non-linearity alone, on the embedded images, in one table
    #[arg(long, conflicts_with_all = ["path", "input", "test_data", "segment"], help_heading = "Measurement")]
    study: bool,
    /// Write the study's plot to a file
    #[arg(long, value_name = "FILE", requires = "study", help_heading = "Output")]
    export_svg: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    export: ExportArgs,
}

pub fn run(args: &XrayArgs, console: &Console) -> Result<Code> {
    let device = args.device.open(console)?;
    args.faults.announce(&device)?;
    if args.study {
        let study = args.study(&device, console)?;
        args.export.write(&study, &study.table())?;
        if let Some(path) = &args.export_svg {
            std::fs::write(path, study.plot()).map_err(|error| Error::io(path, error))?;
        }
        if args.json {
            console.json(&study)?
        } else {
            study.print(console)?
        }
        return Ok(FINE);
    }
    let model = args.model.open()?;
    let report = args.report(&model, &device, None)?;
    console.readings(&report.readings);
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    args.export.write_with(&report, &report.table(), || page::page(&report, &format!("reluctor {command}")))?;
    if args.json {
        console.json(&report)?;
    } else {
        text::print(&report, console)?;
    }
    Ok(FINE)
}

impl XrayArgs {
    fn report(&self, model: &Model, device: &Device, part: Option<f64>) -> Result<Report> {
        let prepared = self.prepare(model, device)?;
        let runner = OnDevice { device, faults: &self.faults };
        let forward_ms = forward_ms(&prepared, &runner)?;
        let (passes, start) = (Passes::default(), Instant::now());
        let subject = Subject { graph: &prepared.bound.network.graph, x: &prepared.x, y: &prepared.y };
        let measured = measure(&subject, &runner, &passes)?;
        let (ablation, without_any) = ablate(&subject, &runner, &passes)?;
        let tails = tails(&subject, &measured, &runner, &passes)?;
        let ends = self.ends(model, device, &prepared)?;
        let curves = self.curves(ends.graph(&prepared), &ends, part, &runner, &passes)?;
        let graph = ends.graph(&prepared);
        let wanted = self.export.wants_page();
        let slice = wanted.then(|| self.slice(graph, &ends, curves.segment_part, &runner, &Passes::default()));
        let slice = slice.transpose()?.flatten();
        let chain = network(&prepared.bound.network.graph, &measured)?;
        let network = Network {
            verdict: chain.verdict,
            additivity_defect: chain.additivity_defect,
            homogeneity_defect_pos: chain.homogeneity_defect_pos,
            homogeneity_defect_neg: chain.homogeneity_defect_neg,
            rounding_floor: chain.rounding_floor,
            curves,
            ablation,
            without_any,
            tails,
            collapse: collapses(&prepared.bound.network.graph, &measured.layers),
        };
        let total_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(Report {
            model: model.name().to_string(),
            device: device.report(),
            precision: self.device.precision().to_string(),
            inputs: prepared.bound.feed.iter().map(ToString::to_string).collect(),
            readings: prepared.bound.network.unfused.readings.clone(),
            pairs: prepared.pairs,
            pairing: prepared.pairing,
            layers: measured.layers,
            network,
            slice,
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
    let loaded = Counted::load(runner, &prepared.bound.network.graph, &passes)?;
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

fn network(graph: &Graph, measured: &Measured) -> Result<Chain> {
    let none = || Error::Usage("no node of the network maps reals to reals".to_string());
    measured.network(graph).ok_or_else(none)
}
