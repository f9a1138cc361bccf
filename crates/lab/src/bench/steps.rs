//! Where a run's time goes: step by step, and what lies between and around the steps.

use super::Statistics;
use super::roofs::{Bound, Roofs};
use reluctor::gpu::{Phase, Trace};
use reluctor::graph::{Graph, ValueId};
use reluctor::plan::Plan;
use reluctor::tensor::Shape;
use serde::Serialize;
use std::collections::HashMap;

/// One step of a plan, with its time on the device.
#[derive(Debug, Clone, Serialize)]
pub struct StepRow {
    /// The node's name.
    pub name: String,
    /// What it is a step of, where there are several subjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The node's operator.
    pub op: &'static str,
    /// The kernels that ran.
    pub kernel: String,
    /// Its output's sizes.
    pub shape: Shape,
    /// Arithmetic: 1 multiply-add is 2 flops.
    pub flops: u64,
    /// Bytes of the tensors read and written, each counted once.
    pub bytes: u64,
    /// How often it was launched.
    pub dispatches: usize,
    /// Milliseconds.
    pub ms: Statistics,
    /// Its part of all steps' time.
    pub share: f64,
    /// Billions of flops a second.
    pub gflops: f64,
    /// Billions of bytes a second.
    pub gbps: f64,
    /// Flops a byte: the arithmetic intensity.
    pub intensity: f64,
    /// The least time that the roofs allow, in percent of the time it took.
    pub percent_of_roof: f64,
    /// Which roof that is.
    pub bound: Bound,
    /// Whether it was compared with the reference before it was timed; a benchmark has none that was not.
    pub checked: bool,
}

impl StepRow {
    /// Its name, behind that of its subject where there are several.
    pub fn label(&self) -> String {
        self.subject.as_ref().map_or_else(|| self.name.clone(), |subject| format!("{subject}: {}", self.name))
    }
}

/// What a run takes beside its steps, in milliseconds, as medians.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Around {
    /// All steps together.
    pub steps_ms: f64,
    /// Between one step and the next, on the device.
    pub gaps_ms: f64,
    /// Staging the inputs.
    pub upload_ms: f64,
    /// Recording and submitting commands.
    pub encode_ms: f64,
    /// Copying the outputs back.
    pub readback_ms: f64,
    /// What the wall clock says of the run beside it, without timestamps, less all of these.
    pub unattributed_ms: f64,
}

impl Around {
    /// From traced runs, and the wall clock of as many runs without timestamps, each beside its traced one.
    pub fn of(traces: &[Trace], wall_ms: &[f64]) -> Self {
        let each = |part: &dyn Fn(&Trace) -> f64| traces.iter().map(part).collect::<Vec<f64>>();
        let phases = |wanted: &'static [Phase]| {
            each(&move |trace| trace.host.iter().filter(|span| wanted.contains(&span.phase)).map(|span| span.ms).sum())
        };
        let steps = each(&Trace::busy_ms);
        let gaps = each(&|trace| (trace.device_ms() - trace.busy_ms()).max(0.0));
        let (upload, encode) = (phases(&[Phase::Upload]), phases(&[Phase::Encode, Phase::Submit]));
        let readback = phases(&[Phase::Readback]);
        let rest: Vec<f64> = wall_ms
            .iter()
            .enumerate()
            .take(traces.len())
            .map(|(run, wall)| wall - (steps[run] + gaps[run] + upload[run] + encode[run] + readback[run]))
            .collect();
        let median = |times: &[f64]| Statistics::of(times).median;
        Around {
            steps_ms: median(&steps),
            gaps_ms: median(&gaps),
            upload_ms: median(&upload),
            encode_ms: median(&encode),
            readback_ms: median(&readback),
            unattributed_ms: median(&rest),
        }
    }
}

/// A plan as one row: the device's time where it has a clock, else the wall's.
pub fn whole(name: &str, plan: &Plan, traces: &[Trace], wall: &Statistics, roofs: &Roofs) -> StepRow {
    let ms = if traces.is_empty() {
        wall.clone()
    } else {
        Statistics::of(&traces.iter().map(Trace::busy_ms).collect::<Vec<_>>())
    };
    let kernels: Vec<String> = plan.dispatches().map(|dispatch| dispatch.variant.to_string()).collect();
    let shape = plan.steps().last().and_then(|step| step.outputs.first()).map(|port| port.ty.shape.clone());
    let work = Work { flops: plan.flops(), bytes: plan.bytes(), dispatches: kernels.len() };
    work.row(name, "network", kernels.join(" "), shape.unwrap_or_default(), ms, roofs)
}

/// What a step, or all of them, must do.
struct Work {
    flops: u64,
    bytes: u64,
    dispatches: usize,
}

impl Work {
    fn row(self, name: &str, op: &'static str, kernel: String, shape: Shape, ms: Statistics, roofs: &Roofs) -> StepRow {
        let Work { flops, bytes, dispatches } = self;
        let per_second = |amount: u64| amount as f64 / (ms.median * 1e6).max(f64::MIN_POSITIVE);
        let (least, bound) = roofs.least_ms(flops, bytes, dispatches);
        StepRow {
            name: name.to_string(),
            subject: None,
            op,
            kernel,
            shape,
            flops,
            bytes,
            dispatches,
            share: 1.0,
            gflops: per_second(flops),
            gbps: per_second(bytes),
            intensity: flops as f64 / bytes.max(1) as f64,
            percent_of_roof: if ms.median > 0.0 { 100.0 * least / ms.median } else { 0.0 },
            bound,
            ms,
            checked: true,
        }
    }
}

/// A row for each step that is launched; `checked` says whether it was compared with the reference before.
pub fn rows(plan: &Plan, traces: &[Trace], roofs: &Roofs, checked: bool) -> Vec<StepRow> {
    let times = |index: usize| -> Vec<f64> {
        traces.iter().filter_map(|trace| trace.steps.get(index)).map(|step| step.ms).collect()
    };
    let timed: Vec<Statistics> = (0..plan.steps().len()).map(|index| Statistics::of(&times(index))).collect();
    let launched = |index: &usize| !plan.steps()[*index].dispatches.is_empty();
    let all: f64 = (0..plan.steps().len()).filter(launched).map(|index| timed[index].median).sum();
    let row = |index: usize| {
        let (step, ms) = (&plan.steps()[index], timed[index].clone());
        let shape = step.outputs.first().map(|port| port.ty.shape.clone()).unwrap_or_default();
        let share = if all > 0.0 { ms.median / all } else { 0.0 };
        let work = Work { flops: step.flops, bytes: step.bytes, dispatches: step.dispatches.len() };
        StepRow { share, checked, ..work.row(&step.name, step.op, step.kernels(), shape, ms, roofs) }
    };
    (0..plan.steps().len()).filter(launched).map(row).collect()
}

/// Bytes of the tensors that are needed while each step runs: those that it or a later one reads, and the outputs from when
/// they are made. Weights are left out; what only renames a tensor shares its place.
pub fn bytes_in_use(graph: &Graph, plan: &Plan) -> Vec<u64> {
    let mut place: Vec<ValueId> = (0..graph.values.len()).map(ValueId).collect();
    let mut lives: HashMap<ValueId, [usize; 2]> = graph.inputs.iter().map(|&id| (id, [0, 0])).collect();
    for (index, step) in plan.steps().iter().enumerate() {
        let node = &graph.nodes[step.node];
        for id in graph.open_inputs(node) {
            lives.entry(place[id.0]).or_insert([index; 2])[1] = index;
        }
        for &id in &node.outputs {
            match graph.open_inputs(node).first() {
                Some(source) if step.dispatches.is_empty() => place[id.0] = place[source.0],
                _ => drop(lives.insert(id, [index; 2])),
            }
        }
    }
    for id in &graph.outputs {
        if let Some(life) = lives.get_mut(&place[id.0]) {
            life[1] = plan.steps().len();
        }
    }
    let bytes = |id: &ValueId| 4 * graph.value(*id).ty.shape.iter().product::<usize>() as u64;
    let in_use = |step: usize| lives.iter().filter(move |(_, [first, last])| (*first..=*last).contains(&step));
    (0..plan.steps().len()).map(|step| in_use(step).map(|(id, _)| bytes(id)).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::gpu::{Span, StepTime};

    #[test]
    fn steps_gaps_and_host_add_up_to_the_wall_clock() {
        let step = |step, start_ms, ms| StepTime { step, name: String::new(), start_ms, ms };
        let span = |phase, ms| Span { phase, start_ms: 0.0, ms };
        let host = vec![
            span(Phase::Upload, 0.5),
            span(Phase::Encode, 0.25),
            span(Phase::Submit, 0.25),
            span(Phase::Wait, 9.0),
            span(Phase::Readback, 1.0),
        ];
        let trace = Trace { host, steps: vec![step(0, 0.0, 3.0), step(1, 4.0, 2.0)], ms: 11.0 };
        let around = Around::of(&[trace], &[10.0]);
        let expected = Around {
            steps_ms: 5.0,
            gaps_ms: 1.0,
            upload_ms: 0.5,
            encode_ms: 0.5,
            readback_ms: 1.0,
            unattributed_ms: 2.0,
        };
        assert_eq!(around, expected);
    }
}
