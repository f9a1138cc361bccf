//! `reluctor bench`: fused against unfused, in turn, after both were checked.

use super::batches::{Batches, Named, Request};
use super::console::Console;
use super::device_args::{Device, DeviceArgs, DeviceReport};
use super::engine::Engine;
use super::fault_args::FaultArgs;
use super::input_args::{InputArgs, album};
use super::layers;
use super::model_args::ModelArgs;
use super::quantity::{flops, milliseconds};
use super::tune_args::TuneArgs;
use crate::bench::{ConvSpec, Length, Ratio, Statistics, interleaved};
use crate::error::{Result, escape};
use crate::graph::Graph;
use crate::passes::{self, Fusion};
use crate::plan::{self, Limits, Plan};
use crate::tensor::{Tensor, checked_len};
use clap::Args;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
pub struct BenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// One convolution instead of a model: NxCxHxW,KxRxS[,s2][,p1][,d1][,g1][,act=relu][,pool=max2s2][,residual]
    #[arg(long, value_name = "SPEC", conflicts_with = "path")]
    conv: Option<String>,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    tune: TuneArgs,
    /// Runs at least
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Measurement")]
    iterations: usize,
    /// Seconds at least, over fused and unfused together
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = duration, help_heading = "Measurement")]
    duration: f64,
    /// Milliseconds of runs before those that count
    #[arg(long, value_name = "MS", default_value_t = 200, help_heading = "Measurement")]
    warmup: u64,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Seconds, at most a day.
fn duration(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..86_400.0).contains(seconds));
    seconds.ok_or_else(|| "expected a number of seconds".to_string())
}

/// One way to run the network.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    dispatches: usize,
    flops: u64,
    bytes: u64,
    ms: Statistics,
    /// By the device's own timestamps, without upload and readback.
    device_ms: Option<f64>,
    gflops: f64,
    gbps: f64,
    checked: bool,
}

#[derive(Serialize)]
struct FusionRow {
    name: String,
    fused_ms: f64,
    unfused_ms: f64,
    #[serde(flatten)]
    ratio: Ratio,
}

#[derive(Serialize)]
struct Report {
    subject: String,
    device: DeviceReport,
    precision: String,
    results: Vec<Row>,
    fusion: Vec<FusionRow>,
    total_ms: Statistics,
}

pub fn run(args: &BenchArgs, console: &Console) -> Result<ExitCode> {
    let device = args.device.open(console)?;
    let (graph, inputs) = args.subject()?;
    let graphs = [passes::optimize(graph.clone(), &Fusion::all())?, passes::optimize(graph, &Fusion::none())?];
    let device = args.tune.apply(device, &graphs.each_ref(), &FaultArgs::default(), console)?;
    for graph in &graphs {
        if let Some(layer) = layers::first_wrong(&device, graph, &inputs)? {
            console.line(format_args!("layer '{}' computes another function: nothing is timed", escape(&layer)))?;
            return Ok(ExitCode::FAILURE);
        }
    }
    let load = |graph| Engine::load(&device, graph, &FaultArgs::default());
    let engines = [load(&graphs[0])?, load(&graphs[1])?];
    let length = Length {
        iterations: args.iterations.max(1),
        duration: Duration::from_secs_f64(args.duration),
        warmup: Duration::from_millis(args.warmup),
    };
    let mut fused = || engines[0].run(&inputs).map(drop);
    let mut unfused = || engines[1].run(&inputs).map(drop);
    let times = interleaved(&mut [&mut fused, &mut unfused], length)?;

    let row = |name, at: usize| {
        let device_ms = engines[at].device_ms(&inputs, times[at].len().min(MOST_TIMESTAMPED))?;
        row(name, &device, &graphs[at], &times[at], device_ms)
    };
    let (fused, unfused) = (row("fused", 0)?, row("unfused", 1)?);
    let report = Report {
        subject: graphs[0].name.clone(),
        device: device.report(),
        precision: args.device.precision().to_string(),
        fusion: vec![FusionRow {
            name: graphs[0].name.clone(),
            fused_ms: fused.ms.median,
            unfused_ms: unfused.ms.median,
            ratio: Ratio::of(&times[1], &times[0]),
        }],
        total_ms: fused.ms.clone(),
        results: vec![fused, unfused],
    };
    if args.json {
        console.json(&report)?
    } else {
        report.print(console)?
    }
    Ok(ExitCode::SUCCESS)
}

impl BenchArgs {
    /// The network with concrete shapes, and one batch of its inputs: what is given, else random.
    fn subject(&self) -> Result<(Graph, Named)> {
        if let Some(spec) = &self.conv {
            let graph = spec.parse::<ConvSpec>()?.graph()?;
            let inputs = wave_inputs(&graph)?;
            return Ok((graph, inputs));
        }
        let (model, mut bindings) = (self.model.open()?, self.model.bindings());
        let feed = self.inputs.clone().and_random().feed(&model, &bindings, &album(&[])?, None)?.complete()?;
        let request = Request { batch: self.model.batch(), independent: false };
        let batches = Batches::bind(&feed, &model, &mut bindings, request)?;
        Ok((model.graph(&bindings)?, batches.inputs(0, &feed)))
    }
}

/// Numbers between -1 and 1 without a period that a window could meet.
fn wave_inputs(graph: &Graph) -> Result<Named> {
    let input = |&id| {
        let value = graph.value(id);
        let data = (0..checked_len(&value.ty.shape)?).map(|i| (i as f32 * 0.619).sin()).collect();
        Ok((value.name.clone(), Tensor::real(&value.ty.shape, data)?))
    };
    graph.inputs.iter().map(input).collect()
}

/// Runs with timestamps, which cost little but tell little more when there are many.
const MOST_TIMESTAMPED: usize = 20;

fn row(name: &'static str, device: &Device, graph: &Graph, times: &[f64], device_ms: Option<f64>) -> Result<Row> {
    let limits = match device {
        Device::Cpu => Limits::default(),
        Device::Gpu(gpu) => gpu.limits(),
    };
    let plan: Plan = plan::plan(graph, &limits)?;
    let ms = Statistics::of(times);
    let per_second = |amount: u64| amount as f64 / (ms.median * 1e-3) / 1e9;
    Ok(Row {
        name,
        dispatches: plan.dispatches().count(),
        flops: plan.flops(),
        bytes: plan.bytes(),
        gflops: per_second(plan.flops()),
        gbps: per_second(plan.bytes()),
        ms,
        device_ms,
        checked: true,
    })
}

impl Report {
    fn print(&self, console: &Console) -> Result<()> {
        console.line(format_args!("subject  {}", escape(&self.subject)))?;
        console.line(format_args!("device   {}, {}", self.device, self.precision))?;
        console.line(
            "wall clock, upload and readback included; 1 multiply-add = 2 flops; checked before it was timed\n",
        )?;
        console.line(format_args!(
            "{:<8}  {:>10}  {:>10}  {:>10}  {:>10}  {:>6}  {:>10}  {:>10}  {:>10}  {:>10}",
            "", "median", "min", "p90", "mad", "runs", "on device", "dispatches", "work", "GFLOP/s"
        ))?;
        for row in &self.results {
            let ms = &row.ms;
            console.line(format_args!(
                "{:<8}  {:>10}  {:>10}  {:>10}  {:>10}  {:>6}  {:>10}  {:>10}  {:>10}  {:>10.2}",
                row.name,
                milliseconds(ms.median),
                milliseconds(ms.min),
                milliseconds(ms.p90),
                milliseconds(ms.mad),
                ms.runs,
                row.device_ms.map_or("-".to_string(), milliseconds),
                row.dispatches,
                flops(row.flops),
                row.gflops
            ))?;
        }
        console.line("")?;
        for row in &self.fusion {
            let [low, high] = row.ratio.ci95;
            console.line(if row.ratio.is_measurable() {
                format!("fused is {:.2} times as fast (95 % interval {low:.2} to {high:.2})", row.ratio.speedup)
            } else {
                format!("no measurable difference (95 % interval of the ratio {low:.2} to {high:.2})")
            })?;
        }
        Ok(())
    }
}
