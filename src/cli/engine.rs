//! A network made ready on whatever it runs on, so that a subcommand need not ask which.

use super::batches::Named;
use super::device_args::Device;
use super::fault_args::FaultArgs;
use crate::cpu;
use crate::error::Result;
use crate::gpu::{self, Phase, Span, StepTime, Trace};
use crate::graph::{Graph, Node};
use crate::plan::{Computation, Plan, Step};
use crate::tensor::Tensor;
use std::time::Instant;

/// A loaded network.
pub struct Engine<'g> {
    graph: &'g Graph,
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
pub type Observe<'a> = dyn FnMut(Named) -> Result<()> + 'a;

impl<'g> Engine<'g> {
    /// Plans and compiles an optimised graph for a device, with faults where a test asks for them.
    ///
    /// # Errors
    /// Those of [`FaultArgs::plan`] and of [`gpu::Gpu::load`].
    pub fn load(device: &Device, graph: &'g Graph, faults: &FaultArgs) -> Result<Self> {
        let plan = device.plan(graph, faults)?;
        Engine::with_plan(device, graph, plan.as_ref())
    }

    /// The same from a plan that was made for this device.
    ///
    /// # Errors
    /// Those of [`gpu::Gpu::load`].
    pub fn with_plan(device: &Device, graph: &'g Graph, plan: Option<&Plan>) -> Result<Self> {
        let place = match (device, plan) {
            (Device::Gpu(gpu), Some(plan)) => {
                let steps = plan.steps.iter().map(|step: &Step| (step.node, step.computation())).collect();
                Place::Gpu(Box::new(gpu.load(plan)?), steps)
            }
            _ => Place::Cpu(cpu::Session::new(graph)),
        };
        Ok(Engine { graph, place })
    }

    /// The outputs, in the model's order.
    pub fn run(&self, inputs: &Named) -> Result<Named> {
        match &self.place {
            Place::Cpu(session) => session.run(&borrowed(inputs)),
            Place::Gpu(session, _) => session.run(&borrowed(inputs)),
        }
    }

    /// One run with the time of each step; none on adapters without timestamps.
    ///
    /// # Errors
    /// Those of [`gpu::Session::trace`].
    pub fn trace(&self, inputs: &Named) -> Result<Option<Trace>> {
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
    pub fn run_stepwise(&self, inputs: &[(&str, &Tensor)], show: &mut dyn FnMut(Ran<'_>) -> Result<()>) -> Result<()> {
        match &self.place {
            Place::Cpu(session) => {
                let mut nodes = 0..self.graph.nodes.len();
                let on_cpu = Computation::on_cpu();
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
    pub fn observe(&self, inputs: &Named, observe: &mut Observe<'_>) -> Result<()> {
        self.run_stepwise(&borrowed(inputs), &mut |ran| {
            let names = self.graph.nodes[ran.node].outputs.iter().map(|&id| self.graph.value(id).name.clone());
            observe(names.zip(ran.outputs).collect())
        })
    }
}

impl Device {
    /// How it would run a graph; none on the CPU executor.
    ///
    /// # Errors
    /// Those of [`FaultArgs::plan`].
    pub fn plan(&self, graph: &Graph, faults: &FaultArgs) -> Result<Option<Plan>> {
        match self {
            Device::Cpu => Ok(None),
            Device::Gpu(gpu) => faults.plan(graph, &gpu.limits()).map(Some),
        }
    }
}

/// What the engine's functions take.
pub fn borrowed(named: &Named) -> Vec<(&str, &Tensor)> {
    named.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}
