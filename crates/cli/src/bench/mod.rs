//! `reluctor bench`: networks, layers and suites, fused against unfused, with roofs and uncertainty, after a check.

mod measure;
mod page;
mod report;
mod text;

use super::batches::{Batches, Request};
use super::console::Console;
use super::device_args::{Device, DeviceArgs};
use super::exit::{Code, verdict};
use super::export_args::ExportArgs;
use super::fault_args::FaultArgs;
use super::fusion_args::FusionArgs;
use super::input_args::{InputArgs, album};
use super::measure_args::MeasureArgs;
use super::model_args::ModelArgs;
use super::tune_args::TuneArgs;
use super::{roofs, timeline};
use clap::Args;
use measure::{Measured, Settings, Subject, measure};
use reluctor::error::{Error, Result};
use reluctor::graph::Graph;
use reluctor::onnx::{Bindings, DeclaredDim, Model};
use reluctor::tensor::{Named, Tensor, checked_len};
use reluctor_lab::bench::assertion::Assertion;
use reluctor_lab::bench::earlier::against;
use reluctor_lab::bench::growth::{Axis, Growth, Point, Sweep};
use reluctor_lab::bench::roofs::Roofs;
use reluctor_lab::bench::suites::{SUITES, suite};
use reluctor_lab::bench::{ConvSpec, Length};
use report::{Report, Setting};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args)]
pub struct BenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// One convolution instead of a model: NxCxHxW,KxRxS[,s2][,p1][,d1][,g1][,act=relu][,pool=max2s2][,residual]
    #[arg(long, value_name = "SPEC", conflicts_with = "path")]
    conv: Option<String>,
    /// A set of convolutions instead of a model
    #[arg(long, value_name = "NAME", conflicts_with_all = ["path", "conv"], long_help = suite_list(), value_parser = suite_name)]
    suite: Option<String>,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    tune: TuneArgs,
    #[command(flatten)]
    fusion: FusionArgs,
    #[command(flatten)]
    measure: MeasureArgs,
    /// Rotate buffers, so that each run finds its tensors and weights outside the caches
    #[arg(long, help_heading = "Measurement")]
    cold: bool,
    /// How cost grows: batch=1,2,4,8 or size=64,128,256; channels=... too for a convolution
    #[arg(long, value_name = "AXIS=SIZES", conflicts_with = "suite", help_heading = "Measurement")]
    sweep: Option<Sweep>,
    /// Measure the device's roofs again, and not take those in the cache
    #[arg(long, help_heading = "Measurement")]
    fresh_roofs: bool,
    /// A threshold on the report, for example total.median<20ms; exit code 1 where it does not hold
    #[arg(long = "assert", value_name = "PATH<LIMIT", help_heading = "Thresholds")]
    assertions: Vec<Assertion>,
    /// Compare with an earlier report of --export-json on the same device
    #[arg(long, value_name = "FILE", help_heading = "Thresholds")]
    against: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    export: ExportArgs,
}

/// How long to measure where nothing is said.
const USUAL: Length = Length { iterations: 10, duration: Duration::from_secs(3), warmup: Duration::from_millis(200) };

fn suite_name(text: &str) -> Result<String, String> {
    let names = SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ");
    suite(text).map(|suite| suite.name.to_string()).ok_or_else(|| format!("there are {names}"))
}

fn suite_list() -> String {
    let rows = SUITES.iter().map(|suite| format!("\n  {:<13} {}", suite.name, suite.summary));
    format!("A set of convolutions instead of a model:{}", rows.collect::<String>())
}

pub fn run(args: &BenchArgs, console: &Console) -> Result<Code> {
    let device = args.device.open(console)?;
    if args.measure.times_steps() {
        timeline::has_timestamps(&device)?;
    }
    let subjects = args.subjects()?;
    let graphs: Vec<&Graph> = subjects.iter().flat_map(|subject| &subject.graphs).map(|(_, graph)| graph).collect();
    let device = args.tune.apply(device, &graphs, &FaultArgs::default(), console)?;
    let roofs = roofs::of(&device, args.fresh_roofs)?;
    subjects
        .iter()
        .filter_map(|subject| subject.graphs.first())
        .for_each(|(_, graph)| console.readings(&graph.readings));
    let roofs = if args.cold { roofs.cold() } else { roofs };
    let mut measured = Vec::new();
    for subject in &subjects {
        console.progress(measured.len(), subjects.len(), &subject.name);
        measured.push(measure(subject, &device, &roofs, &args.settings())?);
    }
    console.progress_done();
    let kernels = measured.iter().flat_map(|measured| measured.kernels.iter().flatten().copied()).collect();
    args.device.warn_where_unused(device.gpu().map(|_| &kernels), console);
    let growth = args.sweep.as_ref().map(|sweep| args.growth(sweep, &device, &roofs, console)).transpose()?;
    if let Some(file) = args.measure.trace() {
        timeline::write(file, &measured.iter().map(Measured::traced).collect::<Vec<_>>())?;
    }
    let setting = Setting {
        subject: args.suite.clone().map_or(subjects[0].name.clone(), |name| format!("suite {name}")),
        device: device.report(),
        precision: args.device.precision(),
        cache: if args.cold { "cold" } else { "hot" },
        roofs,
        percentiles: args.measure.percentiles(),
        profile: args.measure.profile(),
    };
    args.finish(Report::new(setting, measured, growth), console)
}

impl BenchArgs {
    fn settings(&self) -> Settings {
        let length = self.measure.length_of_some(USUAL);
        Settings { length, cold: self.cold, percentiles: self.measure.percentiles() }
    }

    /// Networks with concrete shapes, each with one batch of its inputs: what is given, else made up.
    fn subjects(&self) -> Result<Vec<Subject>> {
        if let Some(suite) = self.suite.as_deref().and_then(suite) {
            return suite.specs().iter().map(|spec| self.convolution(&spec.parse()?)).collect();
        }
        Ok(vec![match &self.conv {
            Some(spec) => self.convolution(&spec.parse()?)?,
            None => self.network(&self.model.open()?, self.model.bindings(), self.model.batch())?,
        }])
    }

    fn network(&self, model: &Model, mut bindings: Bindings, batch: Option<usize>) -> Result<Subject> {
        let feed = self.inputs.clone().and_random().feed(model, &bindings, &album(&[])?, None)?.complete()?;
        let batches = Batches::bind(&feed, model, &mut bindings, Request { batch, usual: None })?;
        Subject::new(model.graph(&bindings)?, batches.inputs(0, &feed), &self.fusion.fusion()?)
    }

    fn convolution(&self, spec: &ConvSpec) -> Result<Subject> {
        let graph = spec.graph_within(&self.model.bindings().budget)?;
        let inputs = wave_inputs(&graph)?;
        Subject::new(graph, inputs, &self.fusion.fusion()?)
    }

    /// The subject at one size of a sweep.
    fn sized(&self, axis: Axis, size: usize) -> Result<Subject> {
        if let Some(spec) = &self.conv {
            return self.convolution(&spec.parse::<ConvSpec>()?.with(axis, size));
        }
        let (model, mut bindings) = (self.model.open()?, self.model.bindings());
        match axis {
            Axis::Batch => {
                bindings.batch = Some(size);
                self.network(&model, bindings, Some(size))
            }
            Axis::Size => {
                for input in model.inputs()? {
                    if let Some([n, DeclaredDim::Size(c), _, _]) = input.dims.as_deref() {
                        let batch = match n {
                            DeclaredDim::Size(n) => *n,
                            DeclaredDim::Open(_) => self.model.batch().unwrap_or(1),
                        };
                        bindings.shapes.insert(input.name.clone(), vec![batch, *c, size, size]);
                    }
                }
                self.network(&model, bindings, self.model.batch())
            }
            Axis::Channels => {
                Err(Error::Usage("--sweep channels= is for --conv: a network's channels are its own".to_string()))
            }
        }
    }

    fn growth(&self, sweep: &Sweep, device: &Device, roofs: &Roofs, console: &Console) -> Result<Growth> {
        let mut points = Vec::new();
        for &size in &sweep.sizes {
            console.progress(points.len(), sweep.sizes.len(), &format!("{}={size}", sweep.axis));
            let measured = measure(&self.sized(sweep.axis, size)?, device, roofs, &self.settings())?;
            let way = &measured.ways[0];
            let (least, _) = roofs.least_ms(way.flops, way.bytes, way.dispatches);
            points.push(Point {
                size,
                ms: way.ms.median,
                memory: way.memory,
                flops: way.flops,
                percent_of_roof: 100.0 * least / way.ms.median,
            });
        }
        console.progress_done();
        Ok(Growth::of(sweep.axis, points))
    }

    /// Compares, writes, prints and judges.
    fn finish(&self, mut report: Report, console: &Console) -> Result<Code> {
        let document =
            |report: &Report| serde_json::to_value(report).map_err(|error| Error::Internal(error.to_string()));
        if let Some(file) = &self.against {
            report.against = Some(against(file, &document(&report)?)?);
        }
        self.export.write_with(&report, &report.table(), || page::page(&report))?;
        if self.json {
            console.json(&report)?;
        } else {
            report.print(console)?;
        }
        let document = document(&report)?;
        let mut all_hold = true;
        for assertion in &self.assertions {
            for (at, number) in assertion.failures(&document).map_err(Error::Usage)? {
                super::console::warn(format_args!("assertion failed: {assertion}: {at} is {number:.4}"));
                all_hold = false;
            }
        }
        Ok(verdict(all_hold))
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
