//! Runs test cases against their stored outputs: one verdict a case, whatever happens in it.

use crate::cases::{data_sets, numbered, with_most_open};
use crate::compare::{Tolerance, Verdict, certified, tensor_difference};
use ndarray::ArrayD;
use reluctor::cpu;
use reluctor::error::{Error, Result, UnsupportedNode};
use reluctor::gpu::Gpu;
use reluctor::graph::Reading;
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::plan;
use reluctor::tensor::{Kind, Named, Tensor, row_major_slice};
use serde::Serialize;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every stored output was met.
    Passed,
    /// The engine refused it, with its reasons.
    Unsupported,
    /// An output was missed, or the case could not be read or run.
    Wrong,
}

/// One case's result. Of several data sets and outputs, the worst counts.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// Its folder, below that of the suite.
    pub case: String,
    /// What became of it.
    pub verdict: Outcome,
    /// The largest |result - stored|; none where nothing was computed.
    pub max_abs: Option<f64>,
    /// The largest |result - stored| / tolerance: at most 1 in a case that passed.
    pub of_tolerance: Option<f64>,
    /// How many kernels the device ran; none on the CPU executor.
    pub dispatches: Option<usize>,
    /// Why it was refused, or what is wrong.
    pub reason: Option<String>,
    /// How nodes of the file were read that may be read otherwise.
    pub readings: Vec<Reading>,
}

/// How many cases came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All.
    pub cases: usize,
    /// Those that met every stored output.
    pub passed: usize,
    /// Those of them for which the device ran nothing: all that they ask for was computed while the model was loaded.
    pub host_only: usize,
    /// Those that were refused.
    pub unsupported: usize,
    /// Those that failed.
    pub wrong: usize,
}

impl Totals {
    /// Counts.
    pub fn of(reports: &[CaseReport]) -> Self {
        let count = |verdict| reports.iter().filter(|report| report.verdict == verdict).count();
        let host_only = |report: &&CaseReport| report.verdict == Outcome::Passed && report.dispatches == Some(0);
        Totals {
            cases: reports.len(),
            passed: count(Outcome::Passed),
            host_only: reports.iter().filter(host_only).count(),
            unsupported: count(Outcome::Unsupported),
            wrong: count(Outcome::Wrong),
        }
    }
}

/// What [`Tolerance::RoundingBound`] is where outputs are stored, in words.
pub const OF_STORED: &str =
    "twice the certified rounding bound, at most 1e-3 of the output's range and of each element";

/// The tolerance of ONNX's own runner of these cases, where no bound is known; its zero is wider on a device, because WGSL promises
/// less of exp, log and division than a C library does.
fn usual(on_device: bool) -> Tolerance {
    Tolerance::AllClose { atol: if on_device { 1e-5 } else { 1e-7 }, rtol: 1e-3 }
}

/// Runs every data set of a case on a device, or on the CPU executor. Errors and panics are the case's. `bindings` say how models
/// are read; the shapes and contents of inputs come from the data. Stored outputs are another f32 engine's: by
/// [`Tolerance::RoundingBound`] both may be off by the certified bound, as far as that tells more than that a whole network is off.
pub fn run(
    name: &str,
    folder: &Path,
    gpu: Option<&Gpu>,
    bindings: &Bindings,
    fusion: &Fusion,
    tolerance: Tolerance,
) -> CaseReport {
    let mut report = CaseReport {
        case: name.to_string(),
        verdict: Outcome::Passed,
        max_abs: None,
        of_tolerance: None,
        dispatches: None,
        reason: None,
        readings: Vec::new(),
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| fill(&mut report, folder, gpu, bindings, fusion, tolerance)));
    let (verdict, reason) = match outcome {
        Ok(Ok(())) => return report,
        Ok(Err(Error::Unsupported { nodes, .. })) => (Outcome::Unsupported, reasons(&nodes)),
        Ok(Err(error)) => (Outcome::Wrong, error.to_string()),
        Err(panic) => (Outcome::Wrong, format!("panicked: {}", message(&*panic))),
    };
    CaseReport { verdict, reason: Some(reason), ..report }
}

fn fill(
    report: &mut CaseReport,
    folder: &Path,
    gpu: Option<&Gpu>,
    bindings: &Bindings,
    fusion: &Fusion,
    tolerance: Tolerance,
) -> Result<()> {
    let model = Model::open(folder.join("model.onnx"))?;
    let declared = model.inputs()?;
    for set in data_sets(folder) {
        let inputs: Vec<Tensor> = numbered(&set, "input")?.into_iter().map(|(_, tensor)| tensor).collect();
        if inputs.len() > declared.len() {
            let reason = format!("holds {} inputs, but the model has {}", inputs.len(), declared.len());
            return Err(Error::invalid(set.display(), reason));
        }
        let inputs: Vec<(&str, Tensor)> = declared.iter().map(|input| input.name.as_str()).zip(inputs).collect();
        let how = How { gpu, bindings, fusion, tolerance };
        let Computed { results, dispatches, readings, bounds } = computed(&model, &inputs, &how)?;
        report.dispatches = dispatches.map(|now| now + report.dispatches.unwrap_or(0));
        report.readings = readings;
        let expected = numbered(&set, "output")?;
        if results.len() != expected.len() {
            let reason = format!("holds {} outputs, but the model has {}", expected.len(), results.len());
            return Err(Error::invalid(set.display(), reason));
        }
        for (((name, result), (_, expected)), bound) in results.iter().zip(&expected).zip(&bounds) {
            let tolerance = Allowed { tolerance, bound: bound.as_ref(), usual: usual(gpu.is_some()) };
            judge(report, name, result, expected, &tolerance)?;
        }
    }
    Ok(())
}

/// What a device made of a data set.
struct Computed {
    /// The outputs by name.
    results: Named,
    /// How many kernels it ran for them; none on the CPU executor.
    dispatches: Option<usize>,
    /// How far each may be off, where that is known and asked for.
    bounds: Vec<Option<ArrayD<f64>>>,
    /// Of the graph that was run.
    readings: Vec<Reading>,
}

/// How a data set is run.
struct How<'a> {
    gpu: Option<&'a Gpu>,
    bindings: &'a Bindings,
    fusion: &'a Fusion,
    tolerance: Tolerance,
}

/// Runs with as many inputs open as the engine takes.
fn computed(model: &Model, inputs: &[(&str, Tensor)], how: &How<'_>) -> Result<Computed> {
    let &How { gpu, bindings, fusion, tolerance } = how;
    let may_be_open: Vec<bool> = inputs.iter().map(|(_, tensor)| tensor.kind() == Kind::Real).collect();
    with_most_open(&may_be_open, |open| {
        let (mut bindings, mut given) = (bindings.clone(), Vec::new());
        for ((name, tensor), &open) in inputs.iter().zip(open) {
            if open {
                bindings.shapes.insert(name.to_string(), tensor.shape().to_vec());
                given.push((*name, tensor));
            } else {
                bindings.constants.insert(name.to_string(), tensor.clone());
            }
        }
        let graph = optimize(model.graph(&bindings)?, fusion)?;
        let readings = graph.readings.clone();
        let plan = gpu.map(|gpu| plan(&graph, &gpu.limits())).transpose()?;
        let results = match (gpu, &plan) {
            (Some(gpu), Some(plan)) => gpu.load(plan)?.run(&given)?,
            _ => cpu::Session::<f32>::new(&graph).run(&given)?,
        };
        // What is stored by a file of other reals than f32 was computed in those.
        let bounds = match tolerance == Tolerance::RoundingBound && graph.converted.is_empty() {
            true => certified(&graph, plan.as_ref(), &given)?.into_iter().map(|output| output?.bound).collect(),
            false => vec![None; results.len()],
        };
        Ok(Computed { results, dispatches: plan.map(|plan| plan.dispatches().count()), bounds, readings })
    })
}

/// How far a result may be from what is stored.
struct Allowed<'a> {
    tolerance: Tolerance,
    bound: Option<&'a ArrayD<f64>>,
    /// Where no bound is known.
    usual: Tolerance,
}

impl Allowed<'_> {
    /// What [`Tolerance::RoundingBound`] stands for, element by element.
    fn of_stored(&self, expected: &Tensor) -> impl Fn(usize, f64) -> f64 {
        let numbers = || expected.as_real().into_iter().flatten().copied().filter(|x| x.is_finite());
        let range = 1e-3 * f64::from(numbers().fold(0.0, |most: f32, x| most.max(x.abs())));
        let (bound, digits) = (self.bound.map(row_major_slice), of_digits(numbers));
        move |index, value| {
            let usual = self.usual.allowed(value, || 0.0);
            bound.as_ref().map_or(usual, |bound| (2.0 * bound[index] + digits).min(range + usual))
        }
    }
}

/// A unit of the last decimal, where numbers are stored to so few (one of ONNX's cases is typed) that no computation ends on them
/// all.
fn of_digits<I: Iterator<Item = f32>>(numbers: impl Fn() -> I) -> f64 {
    const FEW: i32 = 4;
    let unit = 10f64.powi(-FEW);
    let is_short = |x: f32| ((f64::from(x) / unit).round() * unit) as f32 == x;
    // Halves, quarters and so on do end there.
    let is_binary = |x: f32| (x * 1024.0).fract() == 0.0;
    if numbers().all(is_short) && !numbers().all(is_binary) { unit } else { 0.0 }
}

fn judge(report: &mut CaseReport, name: &str, result: &Tensor, expected: &Tensor, allowed: &Allowed<'_>) -> Result<()> {
    let found = tensor_difference(result, &expected.cast(), allowed.tolerance, allowed.of_stored(expected))
        .map_err(|error| Error::invalid(format!("output '{name}'"), error))?;
    let larger = |known: &mut Option<f64>, new: f64| *known = Some(known.map_or(new, |known| known.max(new)));
    larger(&mut report.max_abs, found.max_abs);
    larger(&mut report.of_tolerance, found.bound_ratio);
    if found.verdict == Verdict::Mismatch && report.verdict == Outcome::Passed {
        report.verdict = Outcome::Wrong;
        let what = format!("output '{name}': {} of {} elements, the worst at", found.mismatched, found.total);
        report.reason = Some(format!("{} {:?}", reluctor::error::escape(&what), found.worst_index));
    }
    Ok(())
}

/// Each reason once, whichever nodes have it.
fn reasons(nodes: &[UnsupportedNode]) -> String {
    let reasons: BTreeSet<String> = nodes.iter().map(|node| format!("{}: {}", node.op_type, node.reason)).collect();
    reasons.into_iter().collect::<Vec<_>>().join("; ")
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
