//! One subject, fused and unfused: checked, then timed in turn, then traced.

use crate::device_args::Device;
use crate::layers;
use crate::timeline::TracedRun;
use reluctor::engine::Engine;
use reluctor::error::{Error, Result, escape};
use reluctor::gpu::Trace;
use reluctor::graph::Graph;
use reluctor::passes::{self, Fusion};
use reluctor::plan::{self, Limits, Plan};
use reluctor::tensor::Named;
use reluctor_lab::bench::earlier::Rounds;
use reluctor_lab::bench::pace::Pace;
use reluctor_lab::bench::roofs::Roofs;
use reluctor_lab::bench::saving::{Saving, Traced, savings};
use reluctor_lab::bench::steps::{Around, StepRow, bytes_in_use, rows, whole};
use reluctor_lab::bench::{Length, Ratio, Statistics, Times, interleaved, since};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;

/// A network with its inputs.
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// The ways to run it, by name: fused, and unfused to compare with; unfused alone where no fusion is wanted.
    pub graphs: Vec<(&'static str, Graph)>,
    /// One batch.
    pub inputs: Named,
}

impl Subject {
    /// Of a network as the model has it.
    pub fn new(graph: Graph, inputs: Named, fusion: &Fusion) -> Result<Self> {
        let name = graph.name.clone();
        let mut graphs = Vec::new();
        if *fusion != Fusion::none() {
            graphs.push(("fused", passes::optimize(graph.clone(), fusion)?));
        }
        graphs.push(("unfused", passes::optimize(graph, &Fusion::none())?));
        Ok(Subject { name, graphs, inputs })
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
    /// The subject.
    pub subject: String,
    /// `fused` or `unfused`.
    pub name: String,
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
    /// What it is called.
    pub name: String,
    /// The first is the one that all that follows is of.
    pub ways: Vec<Way>,
    /// The first against the second, where there are two.
    pub fusion: Option<FusionRow>,
    /// The plan's steps; none on adapters without timestamps.
    pub steps: Vec<StepRow>,
    /// The subject as one row.
    pub whole: StepRow,
    /// What a run takes beside its steps.
    pub around: Option<Around>,
    /// What each fused step saves.
    pub savings: Vec<Saving>,
    /// The rounds, for later comparisons.
    pub rounds: Rounds,
    /// Whether the warm-up ended because the clock had settled.
    pub is_settled: bool,
    /// One traced run.
    pub trace: Option<Trace>,
    /// Milliseconds that planning, and loading with compilation, took.
    pub before: [f64; 2],
    /// Bytes of tensors in use at each step of the plan, weights left out.
    pub memory: Vec<u64>,
    /// The kernels that ran; none on the CPU executor.
    pub kernels: Option<BTreeSet<&'static str>>,
}

impl Measured {
    /// Its traced run, for a timeline.
    pub fn traced(&self) -> TracedRun<'_> {
        let [plan, load] = self.before;
        TracedRun { name: &self.name, trace: self.trace.as_ref(), before: vec![("plan", plan), ("load", load)] }
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
    for (_, graph) in &subject.graphs {
        if let Some(layer) = layers::first_wrong(device, graph, &subject.inputs)? {
            return Err(Error::Mismatch(format!("{}: layer '{}'", escape(&subject.name), escape(&layer))));
        }
    }
    let limits = match device {
        Device::Cpu => Limits::default(),
        Device::Gpu(gpu) => gpu.limits(),
    };
    let start = Instant::now();
    let plans = subject.graphs.iter().map(|(_, graph)| plan::plan(graph, &limits)).collect::<Result<Vec<Plan>>>()?;
    let planning = since(start);
    let start = Instant::now();
    let mut engines = vec![load(device, &subject.graphs[0].1, &plans[0], settings)?];
    let before = [planning, since(start)];
    for ((_, graph), plan) in subject.graphs.iter().zip(&plans).skip(1) {
        engines.push(load(device, graph, plan, settings)?);
    }
    let inputs = &subject.inputs;
    engines[0][0].run(inputs)?;
    let start = Instant::now();
    engines[0][0].run(inputs)?;
    let pace = Pace::new(device.gpu(), roofs, since(start))?;
    let (times, traces) = in_turn(&engines, inputs, &pace, settings.length)?;
    let way = |(at, (name, _)): (usize, &(&'static str, Graph))| {
        let ms = Statistics::with_percentiles(&times.of[at], &settings.percentiles);
        way([&subject.name, name], &plans[at], ms, &traces[at])
    };
    let ways: Vec<Way> = subject.graphs.iter().enumerate().map(way).collect();
    let traced = |at: usize| Traced { graph: &subject.graphs[at].1, plan: &plans[at], traces: &traces[at] };
    let has_traces = traces.iter().all(|traces| !traces.is_empty());
    let compared = ways.len() > 1;
    let fusion = compared.then(|| FusionRow {
        name: subject.name.clone(),
        fused_ms: ways[0].ms.median,
        unfused_ms: ways[1].ms.median,
        ratio: Ratio::of(&times.of[1], &times.of[0]),
    });
    let pace_ms = times.of[ways.len()].iter().map(|ms| ms / pace.gflop()).collect();
    let rounds = Rounds { subject: subject.name.clone(), times_ms: times.of[0].clone(), pace_ms };
    Ok(Measured {
        whole: whole(&subject.name, &plans[0], &traces[0], &ways[0].ms, roofs),
        steps: if has_traces { rows(&plans[0], &traces[0], roofs, true) } else { Vec::new() },
        around: has_traces.then(|| Around::of(&traces[0], &times.of[0])),
        savings: if has_traces && compared { savings(&traced(0), &traced(1), roofs) } else { Vec::new() },
        trace: traces[0].last().cloned(),
        is_settled: times.is_settled,
        before,
        memory: bytes_in_use(&subject.graphs[0].1, &plans[0]),
        kernels: device.gpu().map(|_| plans[0].kernels()),
        name: subject.name.clone(),
        ways,
        fusion,
        rounds,
    })
}

/// What is timed, in turn with others.
type Timed<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

/// Runs every way in turn, the pace and traced runs among them: the times of each way and then of the pace, and the traces.
fn in_turn(
    engines: &[Vec<Engine<'_>>],
    inputs: &Named,
    pace: &Pace,
    length: Length,
) -> Result<(Times, Vec<Vec<Trace>>)> {
    let mut turns = vec![0; engines.len()];
    let mut traces = vec![Vec::new(); engines.len()];
    let runs = engines.iter().zip(&mut turns).map(|(engines, turn)| -> Timed<'_> {
        Box::new(move || {
            *turn = (*turn + 1) % engines.len();
            engines[*turn].run(inputs).map(drop)
        })
    });
    let traced = engines.iter().zip(&mut traces);
    let traced = traced.map(|(engines, traces)| -> Timed<'_> { Box::new(move || trace(traces, engines, inputs)) });
    let mut timed: Vec<Timed<'_>> = runs.chain([Box::new(|| pace.run()) as Timed<'_>]).chain(traced).collect();
    let mut subjects: Vec<&mut dyn FnMut() -> Result<()>> = timed.iter_mut().map(|timed| &mut **timed as _).collect();
    let times = interleaved(&mut subjects, length)?;
    drop(timed);
    // Those of the warm-up come first.
    for traces in &mut traces {
        let warm = traces.len().saturating_sub(times.of[0].len());
        traces.drain(..warm);
    }
    Ok((times, traces))
}

/// Loaded as often as runs need it to find nothing in caches.
fn load<'g>(device: &Device, graph: &'g Graph, plan: &Plan, settings: &Settings) -> Result<Vec<Engine<'g>>> {
    let sets = if settings.cold { sets_of(plan) } else { 1 };
    (0..sets).map(|_| Engine::with_plan(device, graph, Some(plan))).collect()
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

fn way([subject, name]: [&str; 2], plan: &Plan, ms: Statistics, traces: &[Trace]) -> Way {
    let busy: Vec<f64> = traces.iter().map(Trace::busy_ms).collect();
    Way {
        subject: subject.to_string(),
        name: name.to_string(),
        dispatches: plan.dispatches().count(),
        flops: plan.flops(),
        bytes: plan.bytes(),
        memory: plan.peak_bytes(),
        gflops: plan.flops() as f64 / (ms.median * 1e6),
        device_ms: (!busy.is_empty()).then(|| Statistics::of(&busy).median),
        ms,
    }
}
