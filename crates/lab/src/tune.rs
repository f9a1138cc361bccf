//! Measures the ways to compute each convolution of a network on a device, and keeps the fastest one that is right.
//!
//! A candidate runs on random numbers first and is held against the f64 reference. One that computes another function, or
//! that the driver rejects, is quarantined: it is never timed, and never chosen.

pub mod store;

use crate::bench::{Length, Ratio, Statistics, interleaved};
use crate::compare::{Comparison, Mode, Tolerance, Verdict};
use reluctor::error::{Error, Result};
use reluctor::gpu::{AdapterReport, Gpu, Session};
use reluctor::graph::{Graph, Node};
use reluctor::ops::Op;
use reluctor::ops::conv::choice::{self, FAMILIES, Problem};
use reluctor::ops::epilogue::slot;
use reluctor::plan::{Computation, Limits, Plan, Step};
use reluctor::random::Random;
use reluctor::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What figures hold for: another engine, other shaders or another driver may be faster at something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// This crate's version.
    pub engine: String,
    /// CRC-32 of the convolutions' WGSL.
    pub shaders: String,
    /// The adapter's name.
    pub adapter: String,
    /// The graphics API.
    pub backend: String,
    /// The driver with its version.
    pub driver: String,
}

impl Key {
    /// Of this engine on an adapter.
    pub fn new(adapter: &AdapterReport) -> Self {
        Key {
            engine: env!("CARGO_PKG_VERSION").to_string(),
            shaders: format!("{:08x}", shaders_crc()),
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: format!("{} {}", adapter.driver, adapter.driver_info).trim().to_string(),
        }
    }
}

fn shaders_crc() -> u32 {
    let mut crc = crc32fast::Hasher::new();
    let mut seen = BTreeSet::new();
    for family in &FAMILIES {
        let kernel = family.kernel;
        let parts = (kernel.combinations)().into_iter().flatten();
        for (name, source) in parts.chain(kernel.includes.to_vec()).map(|part| (part.name, part.source)) {
            if seen.insert(name) {
                crc.update(source.as_bytes());
            }
        }
        crc.update(kernel.source.as_bytes());
    }
    crc.finalize()
}

/// The fastest way to compute one convolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fastest {
    /// Its [`Candidate`](choice::Candidate)'s name.
    pub candidate: String,
    /// Median wall clock of a run, upload and readback included.
    pub ms: f64,
    /// What the rule would have taken.
    pub rule: String,
    /// Its median; none where it is quarantined.
    pub rule_ms: Option<f64>,
}

/// A candidate that is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Its name.
    pub candidate: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What was measured on one adapter, by [`Problem::key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What the figures hold for.
    pub key: Key,
    /// The fastest candidate of each convolution.
    pub fastest: BTreeMap<String, Fastest>,
    /// The candidates of each convolution that were found to be wrong.
    pub quarantined: BTreeMap<String, Vec<Quarantined>>,
}

impl Table {
    /// Nothing yet.
    pub fn new(key: Key) -> Self {
        Table { key, fastest: BTreeMap::new(), quarantined: BTreeMap::new() }
    }

    /// The choices that planning takes, for [`Limits::tuned`].
    pub fn choices(&self) -> Arc<BTreeMap<String, String>> {
        let choice = |(problem, fastest): (&String, &Fastest)| (problem.clone(), fastest.candidate.clone());
        Arc::new(self.fastest.iter().map(choice).collect())
    }
}

/// Is told how far it is: problems done, of how many, and which is next.
pub type Progress<'a> = dyn FnMut(usize, usize, &str) + 'a;

/// Measures every convolution of an optimised graph that the table does not know yet.
///
/// `plan` makes the plan of one convolution by itself: [`plan`](reluctor::plan::plan), but for tests.
///
/// # Errors
/// Those of the device; a candidate's own are no errors but a reason to quarantine it.
pub fn tune(
    gpu: &Gpu,
    graph: &Graph,
    table: &mut Table,
    plan: &dyn Fn(&Graph, &Limits) -> Result<Plan>,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let limits = Limits { tuned: Arc::default(), conv_kernel: None, ..gpu.limits() };
    let mut problems: BTreeMap<String, (&Node, Vec<String>)> = BTreeMap::new();
    for node in &graph.nodes {
        if let Some((key, candidates)) = candidates(graph, node, &limits)
            && !table.fastest.contains_key(&key)
        {
            problems.entry(key).or_insert((node, candidates));
        }
    }
    let count = problems.len();
    for (done, (key, (node, candidates))) in problems.into_iter().enumerate() {
        progress(done, count, &key);
        let (fastest, quarantined) = measure(gpu, &graph.alone(node.clone())?, &limits, &candidates, plan)?;
        if let Some(fastest) = fastest {
            table.fastest.insert(key.clone(), fastest);
        }
        if !quarantined.is_empty() {
            table.quarantined.insert(key, quarantined);
        }
    }
    progress(count, count, "");
    Ok(())
}

/// A convolution's key and the candidates that are worth a try, the rule's choice first; none where only one is.
fn candidates(graph: &Graph, node: &Node, limits: &Limits) -> Option<(String, Vec<String>)> {
    let Op::Conv(conv) = &node.op else { return None };
    // Filters that are computed while the network runs are not for a device.
    graph.constant_input(node, slot::WEIGHT)?;
    let shape = conv.shape(&graph.input_types(node)).ok()?;
    let residual = node.input(slot::RESIDUAL).is_some();
    let problem = Problem { shape: &shape, epilogue: &conv.epilogue, residual, limits };
    let names = choice::worth_a_try(&problem);
    (names.len() > 1).then(|| (problem.key(), names))
}

/// How long candidates are timed.
const WARMUP: Duration = Duration::from_millis(20);
const TIME_EACH: Duration = Duration::from_millis(60);
const RUNS: usize = 5;

fn measure(
    gpu: &Gpu,
    graph: &Graph,
    limits: &Limits,
    candidates: &[String],
    plan: &dyn Fn(&Graph, &Limits) -> Result<Plan>,
) -> Result<(Option<Fastest>, Vec<Quarantined>)> {
    let mut random = Random::new(1);
    let inputs: Vec<(String, Tensor)> = graph
        .inputs
        .iter()
        .map(|&id| {
            let value = graph.value(id);
            Ok((value.name.clone(), random.tensor(&value.ty.shape, &(-1.0..1.0))?))
        })
        .collect::<Result<_>>()?;
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let (mut right, mut quarantined) = (Vec::new(), Vec::new());
    for name in candidates {
        let limits = Limits { conv_kernel: Some(name.as_str().into()), ..limits.clone() };
        let judged = |plan: Plan| {
            let computation = plan.steps().first().map(Step::computation).unwrap_or_default();
            judge(gpu.load(&plan)?, &computation, graph, &inputs)
        };
        match plan(graph, &limits).and_then(judged) {
            Ok(session) => right.push((name, session)),
            // A device that is gone will not come back for the next candidate.
            Err(error) if gpu.is_lost() => return Err(error),
            Err(error) => quarantined.push(Quarantined { candidate: name.clone(), reason: error.to_string() }),
        }
    }
    if right.is_empty() {
        return Ok((None, quarantined));
    }
    let mut runs: Vec<_> = right.iter().map(|(_, session)| || session.run(&inputs).map(drop)).collect();
    let mut subjects: Vec<&mut dyn FnMut() -> Result<()>> = Vec::new();
    for run in &mut runs {
        subjects.push(run);
    }
    let duration = TIME_EACH * subjects.len() as u32;
    let times = interleaved(&mut subjects, Length { iterations: RUNS, duration, warmup: WARMUP })?.of;
    let median = |at: usize| Statistics::of(&times[at]).median;
    let rule = right.iter().position(|(name, _)| **name == candidates[0]);
    let quickest = (0..right.len()).min_by(|&a, &b| median(a).total_cmp(&median(b))).expect("one is right");
    // The rule's choice stays where nothing is measurably faster: what differs by chance would only cost more pipelines.
    let taken = match rule {
        Some(rule) if Ratio::of(&times[rule], &times[quickest]).ci95[0] <= 1.0 => rule,
        _ => quickest,
    };
    let fastest = Fastest {
        candidate: right[taken].0.clone(),
        ms: median(taken),
        rule: candidates[0].clone(),
        rule_ms: rule.map(median),
    };
    Ok((Some(fastest), quarantined))
}

/// The session, where what it computes is within rounding of the reference.
fn judge(session: Session, how: &Computation, graph: &Graph, inputs: &[(&str, &Tensor)]) -> Result<Session> {
    let outputs = session.run(inputs)?;
    let mut comparison = Comparison::new(graph, inputs, Mode::EachLayer, Tolerance::RoundingBound);
    let difference = comparison.layer(0, how, outputs[0].1.clone())?.difference;
    match difference.verdict {
        Verdict::Mismatch => Err(Error::Device(format!(
            "computes another function: {} of {} elements, {:.3e} times the rounding bound",
            difference.mismatched, difference.total, difference.bound_ratio
        ))),
        _ => Ok(session),
    }
}
