//! `reluctor compare`: the device against the CPU reference, layer by layer.

use super::batches::{Batches, Named, Request};
use super::console::Console;
use super::device_args::{Device, DeviceArgs, DeviceReport};
use super::feed::Fed;
use super::fusion_args::FusionArgs;
use super::input_args::{InputArgs, album};
use super::input_files::{file_name, numbered};
use super::layers::{self, borrowed};
use super::model_args::ModelArgs;
use crate::compare::{Difference, Layer, Mode, Tolerance, Verdict, difference};
use crate::error::{Error, Result, escape};
use crate::graph::Graph;
use crate::tensor::{Tensor, format_shape};
use crate::{cpu, default_model, passes, plan};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub struct CompareArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    fusion: FusionArgs,
    /// Absolute tolerance, as numpy's allclose, instead of the certified rounding bound
    #[arg(long, value_name = "X", help_heading = "Comparison")]
    atol: Option<f64>,
    /// Relative tolerance, as numpy's allclose, instead of the certified rounding bound
    #[arg(long, value_name = "X", help_heading = "Comparison")]
    rtol: Option<f64>,
    /// Let errors accumulate from layer to layer, and their bounds with them
    #[arg(long, help_heading = "Comparison")]
    cumulative: bool,
    /// Stop at the first layer that diverges
    #[arg(long, help_heading = "Comparison")]
    fail_fast: bool,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write the JSON document to a file as well
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_json: Option<PathBuf>,
}

/// What one output, or one stored output, says.
#[derive(Serialize)]
struct OutputReport {
    name: String,
    /// What it is held against: the unfused network in f64, or a file.
    against: String,
    #[serde(flatten)]
    difference: Difference,
}

#[derive(Serialize)]
struct Report {
    model: String,
    device: DeviceReport,
    precision: String,
    verdict: Verdict,
    tolerance: String,
    layers: Vec<Layer>,
    first_diverging: Option<String>,
    outputs: Vec<OutputReport>,
}

pub fn run(args: &CompareArgs, console: &Console) -> Result<ExitCode> {
    let device = args.device.open(console)?;
    let (model, mut bindings) = (args.model.open()?, args.model.bindings());
    let feed = args.feed(&model, &bindings)?;
    let request = Request { batch: args.model.batch(), independent: false };
    let batches = Batches::bind(&feed, &model, &mut bindings, request)?;
    let inputs = batches.inputs(0, &feed);
    for fed in feed.iter().filter(|_| !args.json) {
        console.line(format_args!("input     {fed}"))?;
    }

    let unfused = model.graph(&bindings)?;
    let fused = passes::optimize(unfused.clone(), &args.fusion.fusion()?)?;
    let layers = args.layers(&device, &fused, &inputs)?;
    let first_diverging = layers.iter().find(|layer| layer.difference.verdict == Verdict::Mismatch);
    let first_diverging = first_diverging.map(|layer| layer.name.clone());
    let outputs = args.outputs(&device, &fused, &unfused, &inputs)?;
    let verdicts = layers.iter().map(|layer| layer.difference.verdict);
    let verdict = verdicts.chain(outputs.iter().map(|output| output.difference.verdict)).max();
    let report = Report {
        model: model.name().to_string(),
        device: device.report(),
        precision: args.device.precision().to_string(),
        verdict: verdict.unwrap_or(Verdict::Identical),
        tolerance: args.tolerance_in_words(),
        layers,
        first_diverging,
        outputs,
    };
    if let Some(path) = &args.export_json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| Error::Internal(error.to_string()))?;
        std::fs::write(path, text).map_err(|error| Error::io(path, error))?;
    }
    if args.json {
        console.json(&report)?
    } else {
        report.print(console)?
    }
    Ok(ExitCode::from(u8::from(report.verdict == Verdict::Mismatch)))
}

impl CompareArgs {
    fn feed(&self, model: &crate::onnx::Model, bindings: &crate::onnx::Bindings) -> Result<Vec<Fed>> {
        if self.model.is_default() && self.inputs.is_empty() {
            let pictures = default_model::images()?;
            return self.inputs.feed(model, bindings, &pictures, Some(default_model::PRESET))?.complete();
        }
        // What nothing is given for is random: every input of the right shape is a fair test.
        let none = album(&[])?;
        self.inputs.clone().and_random().feed(model, bindings, &none, None)?.complete()
    }

    fn tolerance(&self) -> Tolerance {
        match (self.atol, self.rtol) {
            (None, None) => Tolerance::RoundingBound,
            (atol, rtol) => Tolerance::AllClose { atol: atol.unwrap_or(0.0), rtol: rtol.unwrap_or(0.0) },
        }
    }

    fn tolerance_in_words(&self) -> String {
        match self.tolerance() {
            Tolerance::RoundingBound if self.cumulative => "certified rounding bound, accumulated".to_string(),
            Tolerance::RoundingBound => "certified rounding bound of each layer".to_string(),
            Tolerance::AllClose { atol, rtol } => format!("|difference| <= {atol} + {rtol} |reference|"),
        }
    }

    fn layers(&self, device: &Device, graph: &Graph, inputs: &Named) -> Result<Vec<Layer>> {
        let mode = if self.cumulative { Mode::Cumulative } else { Mode::EachLayer };
        let mut layers: Vec<Layer> = Vec::new();
        let outcome = layers::judge(device, graph, inputs, mode, self.tolerance(), &mut |layer| {
            let diverges = layer.difference.verdict == Verdict::Mismatch;
            layers.push(layer);
            // Stops the run; the layer is in the list.
            if diverges && self.fail_fast { Err(Error::Internal("a layer diverges".into())) } else { Ok(()) }
        });
        let stopped =
            self.fail_fast && layers.last().is_some_and(|layer| layer.difference.verdict == Verdict::Mismatch);
        if stopped { Ok(layers) } else { outcome.map(|()| layers) }
    }

    /// The whole run against the unfused network in f64, and against stored outputs where there are any.
    fn outputs(&self, device: &Device, fused: &Graph, unfused: &Graph, inputs: &Named) -> Result<Vec<OutputReport>> {
        let given = borrowed(inputs);
        let computed = match device {
            Device::Cpu => cpu::Session::<f32>::new(fused).run(&given)?,
            Device::Gpu(gpu) => gpu.load(&plan::plan(fused, &gpu.limits())?)?.run(&given)?,
        };
        let wide: Vec<(&str, Tensor<f64>)> = given.iter().map(|(name, tensor)| (*name, tensor.cast())).collect();
        let wide: Vec<(&str, &Tensor<f64>)> = wide.iter().map(|(name, tensor)| (*name, tensor)).collect();
        let reference = cpu::Session::<f64>::new(unfused).run(&wide)?;
        let mut reports = Vec::new();
        for ((name, computed), (_, reference)) in computed.iter().zip(&reference) {
            reports.push(self.output(name, "the unfused network in f64", computed, reference)?);
        }
        if let Some(folder) = self.inputs.test_data() {
            for ((path, stored), (name, computed)) in numbered(folder, "output")?.iter().zip(&computed) {
                reports.push(self.output(name, &file_name(path), computed, &stored.cast())?);
            }
        }
        Ok(reports)
    }

    /// Over a whole network no tight bound is known; the default allows 1e-3 of the output's range and of each element.
    fn output(&self, name: &str, against: &str, computed: &Tensor, reference: &Tensor<f64>) -> Result<OutputReport> {
        if computed.tensor_type() != reference.tensor_type() {
            let (made, expected) = (format_shape(computed.shape()), format_shape(reference.shape()));
            return Err(Error::invalid(
                format!("output '{name}'"),
                format!("is {made}, but {against} holds {expected}"),
            ));
        }
        let (computed, reference) = match (computed, reference) {
            (Tensor::Real(computed), Tensor::Real(reference)) => (computed.clone(), reference.clone()),
            (Tensor::Int(computed), Tensor::Int(reference)) => {
                (computed.mapv(|x| x as f32), reference.mapv(|x| x as f64))
            }
            (Tensor::Bool(computed), Tensor::Bool(reference)) => {
                (computed.mapv(|x| f32::from(u8::from(x))), reference.mapv(|x| f64::from(u8::from(x))))
            }
            _ => return Err(Error::Internal(format!("output {name} changed its kind"))),
        };
        let largest = reference.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()));
        let difference = match self.tolerance() {
            Tolerance::RoundingBound => difference(&computed, &reference, |_, r| 1e-3 * largest + 1e-3 * r.abs()),
            Tolerance::AllClose { atol, rtol } => difference(&computed, &reference, |_, r| atol + rtol * r.abs()),
        };
        Ok(OutputReport { name: name.to_string(), against: against.to_string(), difference })
    }
}

impl Report {
    fn print(&self, console: &Console) -> Result<()> {
        console.line(format_args!("model     {}", escape(&self.model)))?;
        console.line(format_args!("device    {}, {}", self.device, self.precision))?;
        console.line(format_args!("tolerance {}\n", self.tolerance))?;
        let wide = self.layers.iter().map(|layer| escape(&layer.name).chars().count()).max().unwrap_or(5).clamp(5, 40);
        console.line(format_args!(
            "{:<wide$}  {:>14}  {:>9}  {:>9}  {:<15}  kernel",
            "layer", "shape", "max abs", "of bound", "verdict"
        ))?;
        for layer in &self.layers {
            let difference = &layer.difference;
            console.line(format_args!(
                "{:<wide$}  {:>14}  {:>9.2e}  {:>9.3}  {:<15}  {}",
                shortened(&escape(&layer.name), wide),
                format_shape(&layer.shape),
                difference.max_abs,
                difference.bound_ratio,
                in_words(difference.verdict),
                layer.kernel
            ))?;
        }
        console.line("")?;
        for output in &self.outputs {
            let (name, difference) = (escape(&output.name), &output.difference);
            console.line(format_args!(
                "output {name} against {}: max abs {:.2e}, {} of {} elements out of tolerance",
                output.against, difference.max_abs, difference.mismatched, difference.total
            ))?;
        }
        if let Some(name) = &self.first_diverging {
            console.line(format_args!("first layer that diverges: {}", escape(name)))?;
        }
        console.line(format_args!("verdict: {}", in_words(self.verdict)))
    }
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Identical => "identical",
        Verdict::WithinRounding => "within rounding",
        Verdict::Mismatch => "MISMATCH",
    }
}

fn shortened(name: &str, most: usize) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_string();
    }
    // The end of a name tells layers apart.
    format!("…{}", name.chars().skip(length - most + 1).collect::<String>())
}
