//! What each fusion should save by the plan's own costs, and what it was measured to save.

use super::Statistics;
use super::roofs::Roofs;
use crate::compare::fused_into;
use reluctor::gpu::Trace;
use reluctor::graph::Graph;
use reluctor::plan::{Plan, Step};
use serde::Serialize;

/// One fused step against the steps that it stands for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Saving {
    /// The fused step's node.
    pub name: String,
    /// The nodes fused into it.
    pub fused: Vec<String>,
    /// Bytes that the steps apart move and the fused one does not.
    pub bytes: i64,
    /// Dispatches fewer.
    pub launches: i64,
    /// Median device time of the steps apart, in milliseconds.
    pub apart_ms: f64,
    /// Milliseconds that this should save: the bytes by the measured bandwidth, and the launches by their measured cost.
    pub predicted_ms: f64,
    /// Milliseconds that it saves: device time of the steps apart less that of the fused one, medians.
    pub measured_ms: f64,
}

/// A plan with the graph that it came from and its traced runs.
pub struct Traced<'a> {
    /// What was planned.
    pub graph: &'a Graph,
    /// The plan.
    pub plan: &'a Plan,
    /// Its runs.
    pub traces: &'a [Trace],
}

impl Traced<'_> {
    fn sum(&self, nodes: &[usize]) -> Sum {
        let of = |step: &&Step| nodes.contains(&step.node);
        let steps = || self.plan.steps().iter().enumerate().filter(|(_, step)| of(step));
        let ms = |trace: &Trace| steps().filter_map(|(index, _)| trace.steps.get(index)).map(|step| step.ms).sum();
        Sum {
            bytes: steps().map(|(_, step)| step.bytes as i64).sum(),
            launches: steps().map(|(_, step)| step.dispatches.len() as i64).sum(),
            ms: Statistics::of(&self.traces.iter().map(ms).collect::<Vec<f64>>()).median,
        }
    }
}

struct Sum {
    bytes: i64,
    launches: i64,
    ms: f64,
}

/// For every step that several nodes were fused into.
pub fn savings(fused: &Traced<'_>, unfused: &Traced<'_>, roofs: &Roofs) -> Vec<Saving> {
    let saving = |step: &Step| {
        let parts = fused_into(unfused.graph, fused.graph, step.node);
        if parts.len() < 2 {
            return None;
        }
        let (apart, whole) = (unfused.sum(&parts), fused.sum(&[step.node]));
        let (bytes, launches) = (apart.bytes - whole.bytes, apart.launches - whole.launches);
        Some(Saving {
            name: step.name.clone(),
            fused: parts.iter().map(|&node| unfused.graph.nodes[node].name.clone()).collect(),
            bytes,
            launches,
            predicted_ms: bytes as f64 / (roofs.gbps * 1e6) + launches as f64 * roofs.launch_us * 1e-3,
            apart_ms: apart.ms,
            measured_ms: apart.ms - whole.ms,
        })
    };
    fused.plan.steps().iter().filter_map(saving).collect()
}
