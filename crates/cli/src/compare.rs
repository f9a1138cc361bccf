//! `reluctor compare`: the device against the CPU reference, layer by layer.

mod outputs;
mod suite;

use super::batches::Request;
use super::bind::{Bound, bind};
use super::bundle_args::{BundleArgs, Suspect};
use super::console::Console;
use super::device_args::{Device, DeviceArgs, DeviceReport};
use super::exit::{Code, verdict};
use super::export_args::ExportArgs;
use super::fault_args::FaultArgs;
use super::feed::Fed;
use super::fusion_args::FusionArgs;
use super::input_args::{InputArgs, album};
use super::layers::{self, Go};
use super::model_args::ModelArgs;
use super::quantity::shortened;
use super::save_args::SaveArgs;
use clap::Args;
use outputs::{Expected, OffInF32, OutputReport};
use reluctor::engine::Engine;
use reluctor::error::{Error, Result, escape};
use reluctor::graph::{Graph, Node, Reading};
use reluctor::onnx::Model;
use reluctor::passes::Rewrite;
use reluctor::plan::Plan;
use reluctor::tensor::{Named, borrowed, format_shape};
use reluctor_lab::compare::{
    Difference, Guilty, Layer, Location, Mode, Part, Quantiles, Tolerance, Verdict, WrongFusion, first_wrong_rewrite,
    locate,
};
use reluctor_lab::report::Table;
use reluctor_lab::special_values::SpecialValues;
use reluctor_vision::default_model;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Args)]
pub struct CompareArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Every test case in a folder or below it, each with a model.onnx and test_data_set_N, against its stored outputs
    #[arg(long, value_name = "DIR", conflicts_with_all = ["path", "input", "test_data", "cumulative"], help_heading = "Comparison")]
    suite: Option<PathBuf>,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    fusion: FusionArgs,
    #[command(flatten)]
    faults: FaultArgs,
    /// Absolute tolerance, as numpy's allclose, instead of the certified rounding bound
    #[arg(long, value_name = "X", value_parser = tolerance, help_heading = "Comparison")]
    atol: Option<f64>,
    /// Relative tolerance, as numpy's allclose, instead of the certified rounding bound
    #[arg(long, value_name = "X", value_parser = tolerance, help_heading = "Comparison")]
    rtol: Option<f64>,
    /// Let errors accumulate from layer to layer, and their bounds with them
    #[arg(long, help_heading = "Comparison")]
    cumulative: bool,
    /// Stop at the first layer that diverges
    #[arg(long, help_heading = "Comparison")]
    fail_fast: bool,
    #[command(flatten)]
    bundle: BundleArgs,
    #[command(flatten)]
    save: SaveArgs,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    export: ExportArgs,
}

#[derive(Serialize)]
struct Report {
    model: String,
    device: DeviceReport,
    precision: String,
    /// What the device makes of NaN and the like; none on the CPU executor.
    nan: Option<SpecialValues>,
    verdict: Verdict,
    tolerance: String,
    layers: Vec<Layer>,
    first_diverging: Option<String>,
    /// Where in that layer the error is.
    guilty: Option<Location>,
    /// The fusion after which an output is wrong, where every layer is right.
    wrong_fusion: Option<WrongFusion>,
    /// The command that replays the reproducer, where one was written.
    bundle: Option<String>,
    outputs: Vec<OutputReport>,
    /// How nodes of the file were read that may be read otherwise.
    readings: Vec<Reading>,
}

pub fn run(args: &CompareArgs, console: &Console) -> Result<Code> {
    args.save.check()?;
    let device = args.device.open(console)?;
    args.faults.announce(&device)?;
    if let Some(folder) = &args.suite {
        if args.save.is_given() {
            return Err(Error::Usage(
                "--save-outputs and --save-layers are of one network, not of a suite".to_string(),
            ));
        }
        return args.run_suite(folder, &device, console);
    }
    let (model, bindings) = (args.model.open()?, args.model.bindings());
    let feed = args.feed(&model, &bindings)?;
    let request = Request { batch: args.model.batch(), usual: None };
    let (policy, fusion) = (args.inputs.policy(), args.fusion.fusion()?);
    let mut bound =
        bind(&model, &bindings, feed, request, policy, &fusion, &mut |graph| args.faults.plan_on(&device, graph))?;
    if args.faults.is_wrong_fusion() {
        let (graph, _) = args.faults.fused(bound.network.unfused.clone(), &fusion, usize::MAX)?;
        bound.network.plan = args.faults.plan_on(&device, &graph)?;
        bound.network.graph = Arc::new(graph);
    }
    console.readings(&bound.network.unfused.readings);
    args.device.warn_where_unused(bound.network.plan.as_ref().map(Plan::kernels).as_ref(), console);
    for fed in bound.feed.iter().filter(|_| !args.json) {
        console.line(format_args!("input     {fed}"))?;
    }
    let report = args.report(&device, &model, &bound)?;
    args.export.write(&report, &report.table())?;
    if args.json {
        console.json(&report)?
    } else {
        report.print(console)?
    }
    Ok(verdict(report.verdict != Verdict::Mismatch))
}

/// What nothing exceeds would hide every difference.
fn tolerance(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse().ok().filter(|&number: &f64| number >= 0.0 && number.is_finite());
    number.ok_or_else(|| "expected a number of at least 0".to_string())
}

impl CompareArgs {
    fn run_suite(&self, folder: &Path, device: &Device, console: &Console) -> Result<Code> {
        let tolerance = Some(self.tolerance()).filter(|tolerance| *tolerance != Tolerance::RoundingBound);
        let report = suite::run(folder, device, &self.model.bindings(), &self.fusion.fusion()?, tolerance, console)?;
        self.export.write(&report, &report.table())?;
        if self.json {
            console.json(&report)?
        } else {
            report.print(console)?
        }
        Ok(verdict(report.is_fine()))
    }

    fn feed(&self, model: &reluctor::onnx::Model, bindings: &reluctor::onnx::Bindings) -> Result<Vec<Fed>> {
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
            all_close => all_close.to_string(),
        }
    }

    fn report(&self, device: &Device, model: &Model, bound: &Bound) -> Result<Report> {
        let inputs = bound.batches.inputs(0, &bound.feed);
        let engine = bound.network.load(device)?;
        let (layers, guilty) = self.layers(&engine, &bound.network.graph, &inputs)?;
        let first_diverging = layers.iter().find(|layer| layer.difference.verdict == Verdict::Mismatch);
        let first_diverging = first_diverging.map(|layer| layer.name.clone());
        self.save.layers(&engine, &inputs)?;
        let computed = engine.run(&inputs)?;
        self.save.outputs(&bound.network.graph, &computed)?;
        let expected = Expected::of(&bound.network.unfused, &inputs, self.tolerance());
        let layers_are_right = first_diverging.is_none();
        let mut outputs = expected.judge(&computed, layers_are_right)?;
        if let Some(folder) = self.inputs.test_data() {
            outputs.extend(expected.judge_by_files(&computed, &folder)?);
        }
        let is_wrong = outputs.iter().any(|output| output.difference.verdict == Verdict::Mismatch);
        let wrong_fusion = match layers_are_right && is_wrong {
            true => self.wrong_fusion(device, bound, &inputs, &expected)?,
            false => None,
        };
        let of_fusion = wrong_fusion.as_ref().and_then(|wrong| {
            let takes = |node: &Node| node.name == wrong.rewrite.taken || node.fused.contains(&wrong.rewrite.taken);
            bound.network.graph.nodes.iter().position(takes)
        });
        let suspect = Suspect {
            node: self.bundle.node(bound, guilty.as_ref().map(|guilty| guilty.node).or(of_fusion))?,
            model,
            bound,
            engine: &engine,
            inputs: &inputs,
        };
        let mut options = vec![self.model.flag(), self.device.flag(), self.fusion.flag()];
        options.retain(|flag| !flag.is_empty());
        let bundle = self.bundle.write(&suspect, device, &options.join(" "))?;
        drop(engine);
        let locate_it = |guilty: &Guilty| {
            locate(&bound.network.unfused, &bound.network.graph, guilty, &mut |graph, inputs| {
                let plan = match device {
                    Device::Cpu => None,
                    Device::Gpu(gpu) => Some(self.faults.plan_part(graph, &gpu.limits())?),
                };
                let engine = Engine::with_plan(device, graph, plan.as_ref())?;
                layers::all(&engine, graph, inputs, self.tolerance())
            })
        };
        let guilty = guilty.as_ref().map(locate_it).transpose()?;
        let verdicts = layers.iter().map(|layer| layer.difference.verdict);
        let verdict = verdicts.chain(outputs.iter().map(|output| output.difference.verdict)).max();
        Ok(Report {
            model: model.name().to_string(),
            device: device.report(),
            precision: self.device.precision().to_string(),
            nan: match device {
                Device::Cpu => None,
                Device::Gpu(gpu) => Some(SpecialValues::of(gpu)?),
            },
            verdict: verdict.unwrap_or(Verdict::Identical),
            tolerance: self.tolerance_in_words(),
            layers,
            first_diverging,
            guilty,
            wrong_fusion,
            bundle,
            outputs,
            readings: bound.network.unfused.readings.clone(),
        })
    }

    /// Undoes fusions by halves until the outputs are those of the unfused network.
    fn wrong_fusion(
        &self,
        device: &Device,
        bound: &Bound,
        inputs: &Named,
        expected: &Expected<'_>,
    ) -> Result<Option<WrongFusion>> {
        let fusion = self.fusion.fusion()?;
        let fused = |most| self.faults.fused(bound.network.unfused.clone(), &fusion, most);
        let (_, rewrites) = fused(usize::MAX)?;
        let mut is_right = |most: usize| {
            let (graph, _) = fused(most)?;
            let plan = match device {
                Device::Cpu => None,
                Device::Gpu(gpu) => Some(self.faults.plan_part(&graph, &gpu.limits())?),
            };
            let computed = Engine::with_plan(device, &graph, plan.as_ref())?.run(inputs)?;
            let outputs = expected.judge(&computed, true)?;
            Ok(outputs.iter().all(|output| output.difference.verdict != Verdict::Mismatch))
        };
        let first = first_wrong_rewrite(rewrites.len(), &mut is_right)?;
        let of = rewrites.len();
        Ok(first.and_then(|after| Some(WrongFusion { rewrite: rewrites.get(after)?.clone(), after, of })))
    }

    fn layers(&self, engine: &Engine<'_>, graph: &Graph, inputs: &Named) -> Result<(Vec<Layer>, Option<Guilty>)> {
        let mode = if self.cumulative { Mode::Cumulative } else { Mode::EachLayer };
        let mut layers: Vec<Layer> = Vec::new();
        let guilty = layers::judge(engine, graph, &borrowed(inputs), mode, self.tolerance(), &mut |layer| {
            let diverges = layer.difference.verdict == Verdict::Mismatch;
            layers.push(layer);
            Ok(if diverges && self.fail_fast { Go::Stop } else { Go::On })
        })?;
        Ok((layers, guilty))
    }
}

impl Report {
    fn table(&self) -> Table {
        let columns =
            ["layer", "op", "shape", "max abs", "mean abs", "p99", "max ulp", "of bound", "verdict", "kernel"];
        let mut table = Table::new(&columns);
        for Layer { name, op, kernel, shape, difference } in &self.layers {
            let Difference { max_abs, mean_abs, quantiles, max_ulp, bound_ratio, verdict, .. } = difference;
            let numbers = [*max_abs, *mean_abs, quantiles.p99, *max_ulp, *bound_ratio].map(|x| format!("{x:e}"));
            let names = [name.clone(), op.to_string(), format_shape(shape)];
            let end = [in_words(*verdict).to_string(), kernel.clone()];
            table.rows.push(names.into_iter().chain(numbers).chain(end).collect());
        }
        table
    }

    fn print(&self, console: &Console) -> Result<()> {
        console.line(format_args!("model     {}", escape(&self.model)))?;
        console.line(format_args!("device    {}, {}", self.device, self.precision))?;
        if let Some(nan) = self.nan.as_ref().filter(|nan| console.is_verbose() || !nan.keeps_nan()) {
            console.line(format_args!("NaN       {nan}"))?;
        }
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
                shortened(&layer.name, wide),
                format_shape(&layer.shape),
                difference.max_abs,
                difference.bound_ratio,
                in_words(difference.verdict),
                layer.kernel
            ))?;
        }
        console.line("")?;
        let worst = |a: &&Layer, b: &&Layer| a.difference.bound_ratio.total_cmp(&b.difference.bound_ratio);
        if let Some(layer) = self.layers.iter().max_by(worst) {
            let Difference { mean_abs, quantiles, max_ulp, p99_ulp, cosine, .. } = &layer.difference;
            let Quantiles { p50, p90, p99 } = quantiles;
            console.line(format_args!(
                "nearest its bound: {}: |error| mean {mean_abs:.2e}, p50 {p50:.2e}, p90 {p90:.2e}, p99 {p99:.2e}; \
                 ulp p99 {p99_ulp:.1}, most {max_ulp:.1}; cosine {cosine:.9}",
                escape(&layer.name)
            ))?;
        }
        for output in &self.outputs {
            let (name, difference) = (escape(&output.name), &output.difference);
            console.line(format_args!(
                "output {name} against {}: max abs {:.2e}, {} of {} elements out of tolerance",
                output.against, difference.max_abs, difference.mismatched, difference.total
            ))?;
            if let Some(OffInF32 { max_abs, mismatched }) = &output.off_in_f32 {
                let by = if max_abs.is_finite() { format!(" by {max_abs:.2e}") } else { String::new() };
                console.line(format_args!(
                    "    this network amplifies rounding: f32 on the CPU, unfused, is off{by}, out of tolerance in {mismatched}"
                ))?;
            }
        }
        if let Some(name) = &self.first_diverging {
            console.line(format_args!("first layer that diverges: {}", escape(name)))?;
        }
        if let Some(location) = &self.guilty {
            print_location(location, console)?;
        }
        if let Some(WrongFusion { rewrite: Rewrite { pass, node, taken }, after, of }) = &self.wrong_fusion {
            let (node, taken) = (escape(node), escape(taken));
            console.line(format_args!(
                "every layer is right: the output is wrong from fusion {} of {of} on, by which pass '{pass}' takes '{taken}' into \
                 '{node}' (--no-fuse avoids it)",
                after + 1
            ))?;
        }
        if let Some(command) = &self.bundle {
            console.line(format_args!("a reproducer is written: {}", escape(command)))?;
        }
        console.line(format_args!("verdict: {}", in_words(self.verdict)))
    }
}

fn print_location(location: &Location, console: &Console) -> Result<()> {
    let line = |how: &str, part: &Part| {
        let (name, ratio, verdict) = (escape(&part.part), part.bound_ratio, in_words(part.verdict));
        console.line(format_args!("    {how} {:<24} {:<18} {ratio:>9.3} of bound, {verdict}", name, part.op))
    };
    location.fused_parts.iter().try_for_each(|part| line("alone   ", part))?;
    location.growing.iter().try_for_each(|part| line("fused up to", part))?;
    console.line(match &location.first_wrong_part {
        Some(part) if location.only_fused => {
            format!("each part by itself is right: the fused kernel departs with '{}'", escape(part))
        }
        Some(part) => format!("first wrong part: {}", escape(part)),
        None => "right when it runs alone: it is wrong only among the other steps".to_string(),
    })
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Identical => "identical",
        Verdict::WithinRounding => "within rounding",
        Verdict::Mismatch => "MISMATCH",
    }
}
