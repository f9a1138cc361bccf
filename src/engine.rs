//! A network made ready on whatever it runs on, so that nobody need ask which.

use crate::cpu;
use crate::device::Device;
use crate::error::Result;
use crate::gpu::{self, Phase, Span, StepTime, Trace};
use crate::graph::{Graph, Held, Node};
use crate::plan::{Computation, Plan, Step};
use crate::tensor::{Tensor, borrowed};
use std::time::Instant;

/// A network of concrete shapes, loaded: planned, compiled, its weights in place.
pub struct Engine<'g> {
    graph: Held<'g>,
    place: Place<'g>,
}

enum Place<'g> {
    /// On the CPU executor.
    Cpu(cpu::Session<'g, f32>),
    /// On a device: the session, and the node and the computation of each step.
    Gpu(Box<gpu::Session>, Vec<(usize, Computation)>),
}

/// One step that has just run.
pub struct Ran<'a> {
    /// The node's index in the graph.
    pub node: usize,
    /// How.
    pub computation: &'a Computation,
    /// What it computed.
    pub outputs: Vec<Tensor>,
}

/// Is shown each layer's outputs, by their ONNX names.
pub type Observe<'a> = dyn FnMut(Vec<(String, Tensor)>) -> Result<()> + 'a;

impl<'g> Engine<'g> {
    /// Loads an optimised graph, on an adapter by a plan that was made for it.
    ///
    /// # Errors
    /// Those of [`gpu::Gpu::load`].
    pub fn with_plan(device: &Device, graph: impl Into<Held<'g>>, plan: Option<&Plan>) -> Result<Self> {
        let graph = graph.into();
        let place = match (device, plan) {
            (Device::Gpu(gpu), Some(plan)) => {
                let steps = plan.steps.iter().map(|step: &Step| (step.node, step.computation())).collect();
                Place::Gpu(Box::new(gpu.load(plan)?), steps)
            }
            _ => Place::Cpu(cpu::Session::new(graph.clone())),
        };
        Ok(Engine { graph, place })
    }

    /// The network that it runs.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The outputs, in the model's order.
    ///
    /// # Errors
    /// Where an input is missing, unknown or of another shape than the graph was bound to, and where the device fails.
    pub fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        self.run_given(&borrowed(inputs))
    }

    /// The same from tensors that are lent.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_given(&self, inputs: &[(&str, &Tensor)]) -> Result<Vec<(String, Tensor)>> {
        match &self.place {
            Place::Cpu(session) => session.run(inputs),
            Place::Gpu(session, _) => session.run(inputs),
        }
    }

    /// One run with the time of each step; none on adapters without timestamps.
    ///
    /// # Errors
    /// Those of [`gpu::Session::trace`].
    pub fn trace(&self, inputs: &[(String, Tensor)]) -> Result<Option<Trace>> {
        match &self.place {
            Place::Gpu(session, _) => session.trace(&borrowed(inputs)),
            Place::Cpu(session) => {
                let start = Instant::now();
                let now = || start.elapsed().as_secs_f64() * 1e3;
                let mut steps: Vec<StepTime> = Vec::new();
                let mut observe = |node: &Node, _: &[Tensor]| {
                    let start_ms = steps.last().map_or(0.0, |last| last.start_ms + last.ms);
                    steps.push(StepTime { step: steps.len(), name: node.name.clone(), start_ms, ms: now() - start_ms });
                    Ok(())
                };
                let inputs = borrowed(inputs);
                rayon::scope(|_| session.run_observed(&inputs, &mut observe))?;
                let ms = now();
                let host = vec![Span { phase: Phase::Wait, start_ms: 0.0, ms }];
                Ok(Some(Trace { host, steps, ms }))
            }
        }
    }

    /// Runs step by step and shows each one right after it ran. At most one step's outputs are held for that.
    ///
    /// # Errors
    /// As [`Engine::run`], and what `show` returns.
    pub fn run_stepwise(&self, inputs: &[(&str, &Tensor)], show: &mut dyn FnMut(Ran<'_>) -> Result<()>) -> Result<()> {
        match &self.place {
            Place::Cpu(session) => {
                let on_cpu = Computation::on_cpu();
                let mut nodes = 0..self.graph.nodes.len();
                let mut observe = |_: &Node, outputs: &[Tensor]| {
                    show(Ran { node: nodes.next().unwrap_or(0), computation: &on_cpu, outputs: outputs.to_vec() })
                };
                session.run_observed(inputs, &mut observe).map(drop)
            }
            Place::Gpu(session, steps) => session.run_stepwise(inputs, &mut |step, outputs| {
                let (node, computation) = &steps[step];
                show(Ran { node: *node, computation, outputs })
            }),
        }
    }

    /// Runs layer by layer and shows what each one computes.
    ///
    /// # Errors
    /// As [`Engine::run`], and what `observe` returns.
    pub fn observe(&self, inputs: &[(String, Tensor)], observe: &mut Observe<'_>) -> Result<()> {
        self.run_stepwise(&borrowed(inputs), &mut |ran| {
            let names = self.graph.nodes[ran.node].outputs.iter().map(|&id| self.graph.value(id).name.clone());
            observe(names.zip(ran.outputs).collect())
        })
    }
}
