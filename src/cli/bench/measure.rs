//! One subject, fused and unfused: checked, then timed in turn, then traced.

use crate::bench::earlier::Rounds;
use crate::bench::pace::Pace;
use crate::bench::roofs::Roofs;
use crate::bench::saving::{Saving, Traced, savings};
use crate::bench::steps::{Around, StepRow, bytes_in_use, rows, whole};
use crate::bench::{Length, Ratio, Statistics, interleaved, since};
use crate::cli::device_args::Device;
use crate::cli::engine::Engine;
use crate::cli::layers;
use crate::cli::timeline::TracedRun;
use crate::error::{Error, Result, escape};
use crate::gpu::Trace;
use crate::graph::Graph;
use crate::passes::{self, Fusion};
use crate::plan::{self, Limits, Plan};
use crate::tensor::Named;
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;

/// A network with its inputs.
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Fused and unfused.
    pub graphs: [Graph; 2],
    /// What the two are called: `fused` and `unfused`, or both `unfused` where no fusion was wanted.
    pub ways: [&'static str; 2],
    /// One batch.
    pub inputs: Named,
}

impl Subject {
    /// Of a network as the model has it, with some fusions and with none.
    pub fn new(graph: Graph, inputs: Named, fusion: &Fusion) -> Result<Self> {
        let name = graph.name.clone();
        let ways = [if *fusion == Fusion::none() { "unfused" } else { "fused" }, "unfused"];
        let graphs = [passes::optimize(graph.clone(), fusion)?, passes::optimize(graph, &Fusion::none())?];
        Ok(Subject { name, graphs, ways, inputs })
    }
}

/// How to measure.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long.
    pub length: Length,
    /// Whether each run finds its tensors and weights outside the caches.
    pub cold: bool,
    /// Percentiles of the wall clock.
    pub percentiles: Vec<f64>,
}

/// One way to run a subject.
#[derive(Debug, Clone, Serialize)]
pub struct Way {
    /// `fused` or `unfused`.
    pub name: &'static str,
    /// Launches.
    pub dispatches: usize,
    /// Arithmetic: 1 multiply-add is 2 flops.
    pub flops: u64,
    /// Bytes of the tensors that the steps read and write.
    pub bytes: u64,
    /// Bytes of device buffers.
    pub memory: u64,
    /// Wall clock, upload and readback included.
    pub ms: Statistics,
    /// By the device's own timestamps, without upload and readback.
    pub device_ms: Option<f64>,
    /// By the wall clock.
    pub gflops: f64,
}

/// Fused against unfused.
#[derive(Debug, Clone, Serialize)]
pub struct FusionRow {
    /// The subject.
    pub name: String,
    /// Median wall clock.
    pub fused_ms: f64,
    /// Median wall clock.
    pub unfused_ms: f64,
    /// How many times as fast fused is.
    #[serde(flatten)]
    pub ratio: Ratio,
}

/// What was measured of one subject.
pub struct Measured {
    /// Fused and unfused.
    pub ways: [Way; 2],
    /// The one against the other.
    pub fusion: FusionRow,
    /// The fused plan's steps; none on adapters without timestamps.
    pub steps: Vec<StepRow>,
    /// The subject as one row.
    pub whole: StepRow,
    /// What the fused run takes beside its steps.
    pub around: Option<Around>,
    /// What each fused step saves.
    pub savings: Vec<Saving>,
    /// The fused rounds, for later comparisons.
    pub rounds: Rounds,
    /// Whether the warm-up ended because the clock had settled.
    pub is_settled: bool,
    /// One traced run, fused.
    pub trace: Option<Trace>,
    /// Milliseconds that planning, and loading with compilation, took before the fused runs.
    pub before: [f64; 2],
    /// Bytes of tensors in use at each step of the fused plan, weights left out.
    pub memory: Vec<u64>,
    /// The kernels that ran fused; none on the CPU executor.
    pub kernels: Option<BTreeSet<&'static str>>,
}

impl Measured {
    /// Its traced run, for a timeline.
    pub fn traced(&self) -> TracedRun<'_> {
        TracedRun { name: &self.fusion.name, trace: self.trace.as_ref(), before: self.before }
    }
}

/// Bytes that rotating buffers must go through before a set of them comes again: more than any cache holds.
const BEYOND_CACHES: u64 = 256 << 20;

/// Sets of buffers at most.
const MOST_SETS: u64 = 32;

/// Checks a subject, and measures it where it is right.
///
/// # Errors
/// [`Error::Mismatch`] names a layer that computes another function; those of loading and running.
pub fn measure(subject: &Subject, device: &Device, roofs: &Roofs, settings: &Settings) -> Result<Measured> {
    for graph in &subject.graphs {
        if let Some(layer) = layers::first_wrong(device, graph, &subject.inputs)? {
            return Err(Error::Mismatch(format!("{}: layer '{}'", escape(&subject.name), escape(&layer))));
        }
    }
    let limits = match device {
        Device::Cpu => Limits::default(),
        Device::Gpu(gpu) => gpu.limits(),
    };
    let start = Instant::now();
    let plans = [plan::plan(&subject.graphs[0], &limits)?, plan::plan(&subject.graphs[1], &limits)?];
    let planning = since(start);
    let sets = [0, 1].map(|at| if settings.cold { sets_of(&plans[at]) } else { 1 });
    let load = |at: usize| -> Result<Vec<Engine<'_>>> {
        (0..sets[at]).map(|_| Engine::with_plan(device, &subject.graphs[at], Some(&plans[at]))).collect()
    };
    let start = Instant::now();
    let fused = load(0)?;
    let before = [planning, since(start)];
    let unfused = load(1)?;
    let inputs = &subject.inputs;
    fused[0].run(inputs)?;
    let start = Instant::now();
    fused[0].run(inputs)?;
    let pace = Pace::new(device.gpu(), roofs, since(start))?;
    let mut turns = [0, 0];
    let run = |turn: &mut usize, engines: &[Engine<'_>]| {
        *turn = (*turn + 1) % engines.len();
        engines[*turn].run(inputs).map(drop)
    };
    let [fused_turn, unfused_turn] = &mut turns;
    let mut run_fused = || run(fused_turn, &fused);
    let mut run_unfused = || run(unfused_turn, &unfused);
    let mut run_pace = || pace.run();
    let mut traces = [Vec::new(), Vec::new()];
    let [fused_traces, unfused_traces] = &mut traces;
    let mut trace_fused = || trace(fused_traces, &fused, inputs);
    let mut trace_unfused = || trace(unfused_traces, &unfused, inputs);
    let mut subjects: [&mut dyn FnMut() -> Result<()>; 5] =
        [&mut run_fused, &mut run_unfused, &mut run_pace, &mut trace_fused, &mut trace_unfused];
    let times = interleaved(&mut subjects, settings.length)?;
    // Those of the warm-up come first.
    for traces in &mut traces {
        let warm = traces.len().saturating_sub(times.of[0].len());
        traces.drain(..warm);
    }
    let way = |at: usize| {
        let ms = Statistics::with_percentiles(&times.of[at], &settings.percentiles);
        way(subject.ways[at], &plans[at], ms, &traces[at])
    };
    let ways = [way(0), way(1)];
    let traced = |at: usize| Traced { graph: &subject.graphs[at], plan: &plans[at], traces: &traces[at] };
    let has_traces = traces.iter().all(|traces| !traces.is_empty());
    let fusion = FusionRow {
        name: subject.name.clone(),
        fused_ms: ways[0].ms.median,
        unfused_ms: ways[1].ms.median,
        ratio: Ratio::of(&times.of[1], &times.of[0]),
    };
    let pace_ms = times.of[2].iter().map(|ms| ms / pace.gflop()).collect();
    let rounds = Rounds { subject: subject.name.clone(), times_ms: times.of[0].clone(), pace_ms };
    Ok(Measured {
        whole: whole(&subject.name, &plans[0], &traces[0], &ways[0].ms, roofs),
        steps: if has_traces { rows(&plans[0], &traces[0], roofs) } else { Vec::new() },
        around: has_traces.then(|| Around::of(&traces[0], &times.of[0])),
        savings: if has_traces { savings(&traced(0), &traced(1), roofs) } else { Vec::new() },
        trace: traces[0].last().cloned(),
        is_settled: times.is_settled,
        before,
        memory: bytes_in_use(&subject.graphs[0], &plans[0]),
        kernels: device.gpu().map(|_| plans[0].kernels()),
        ways,
        fusion,
        rounds,
    })
}

/// One more traced run, where the device has timestamps.
fn trace(traces: &mut Vec<Trace>, engines: &[Engine<'_>], inputs: &Named) -> Result<()> {
    let turn = traces.len() % engines.len();
    traces.extend(engines[turn].trace(inputs)?);
    Ok(())
}

/// Sets of buffers that take turns where runs must find nothing in caches.
fn sets_of(plan: &Plan) -> u64 {
    BEYOND_CACHES.div_ceil(plan.peak_bytes().max(1)).clamp(2, MOST_SETS)
}

fn way(name: &'static str, plan: &Plan, ms: Statistics, traces: &[Trace]) -> Way {
    let busy: Vec<f64> = traces.iter().map(Trace::busy_ms).collect();
    Way {
        name,
        dispatches: plan.dispatches().count(),
        flops: plan.flops(),
        bytes: plan.bytes(),
        memory: plan.peak_bytes(),
        gflops: plan.flops() as f64 / (ms.median * 1e6),
        device_ms: (!busy.is_empty()).then(|| Statistics::of(&busy).median),
        ms,
    }
}
