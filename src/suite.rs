//! Runs test cases against their stored outputs: one verdict a case, whatever happens in it.

use crate::cases::{data_sets, numbered, with_most_open};
use crate::compare::{Tolerance, Verdict, tensor_difference};
use crate::cpu;
use crate::error::{Error, Result, UnsupportedNode};
use crate::gpu::Gpu;
use crate::graph::Reading;
use crate::onnx::{Bindings, Model};
use crate::passes::{Fusion, optimize};
use crate::plan::plan;
use crate::tensor::{Kind, Tensor};
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

/// The tolerance that ONNX's own runner of these cases has; its zero is wider on a device, because WGSL promises less of
/// exp, log and division than a C library does.
pub fn usual_tolerance(on_device: bool) -> Tolerance {
    Tolerance::AllClose { atol: if on_device { 1e-5 } else { 1e-7 }, rtol: 1e-3 }
}

/// Runs every data set of a case on a device, or on the CPU executor. Errors and panics are the case's. `bindings` say how
/// models are read; the shapes and contents of inputs come from the data.
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
        let Computed { results, dispatches, readings } = computed(&model, &inputs, gpu, bindings, fusion)?;
        report.dispatches = dispatches.map(|now| now + report.dispatches.unwrap_or(0));
        report.readings = readings;
        let expected = numbered(&set, "output")?;
        if results.len() != expected.len() {
            let reason = format!("holds {} outputs, but the model has {}", expected.len(), results.len());
            return Err(Error::invalid(set.display(), reason));
        }
        for ((name, result), (_, expected)) in results.iter().zip(&expected) {
            judge(report, name, result, expected, tolerance)?;
        }
    }
    Ok(())
}

/// What one data set gives.
struct Computed {
    /// The outputs by name.
    results: Vec<(String, Tensor)>,
    /// How many kernels a device ran for them; none on the CPU executor.
    dispatches: Option<usize>,
    /// Of the graph that was run.
    readings: Vec<Reading>,
}

/// Runs with as many inputs open as the engine takes.
fn computed(
    model: &Model,
    inputs: &[(&str, Tensor)],
    gpu: Option<&Gpu>,
    bindings: &Bindings,
    fusion: &Fusion,
) -> Result<Computed> {
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
        let Some(gpu) = gpu else {
            let results = cpu::Session::<f32>::new(&graph).run(&given)?;
            return Ok(Computed { results, dispatches: None, readings });
        };
        let plan = plan(&graph, &gpu.limits())?;
        let results = gpu.load(&plan)?.run(&given)?;
        Ok(Computed { results, dispatches: Some(plan.dispatches().count()), readings })
    })
}

fn judge(report: &mut CaseReport, name: &str, result: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<()> {
    let found = tensor_difference(result, &expected.cast(), tolerance, |_, _| 0.0)
        .map_err(|error| Error::invalid(format!("output '{name}'"), error))?;
    let larger = |known: &mut Option<f64>, new: f64| *known = Some(known.map_or(new, |known| known.max(new)));
    larger(&mut report.max_abs, found.max_abs);
    larger(&mut report.of_tolerance, found.bound_ratio);
    if found.verdict == Verdict::Mismatch && report.verdict == Outcome::Passed {
        report.verdict = Outcome::Wrong;
        let what = format!("output '{name}': {} of {} elements, the worst at", found.mismatched, found.total);
        report.reason = Some(format!("{} {:?}", crate::error::escape(&what), found.worst_index));
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
