//! A network made ready on whatever it runs on, so that a subcommand need not ask which.

use super::batches::Named;
use super::device_args::Device;
use crate::cpu;
use crate::error::Result;
use crate::gpu;
use crate::graph::Graph;
use crate::plan;
use crate::tensor::Tensor;

/// A loaded network.
pub enum Engine<'g> {
    /// On the CPU executor.
    Cpu(&'g Graph, cpu::Session<'g, f32>),
    /// On a device: the session, and the names of what each step computes.
    Gpu(Box<gpu::Session>, Vec<Vec<String>>),
}

/// Is shown each layer's outputs, by their ONNX names.
pub type Observe<'a> = dyn FnMut(Named) -> Result<()> + 'a;

impl<'g> Engine<'g> {
    /// Plans and compiles an optimised graph for a device.
    ///
    /// # Errors
    /// Those of [`plan::plan`] and of [`gpu::Gpu::load`].
    pub fn load(device: &Device, graph: &'g Graph) -> Result<Self> {
        let Device::Gpu(gpu) = device else { return Ok(Engine::Cpu(graph, cpu::Session::new(graph))) };
        let plan = plan::plan(graph, &gpu.limits())?;
        let names = |step: &plan::Step| step.outputs.iter().map(|port| port.name.clone()).collect();
        Ok(Engine::Gpu(Box::new(gpu.load(&plan)?), plan.steps.iter().map(names).collect()))
    }

    /// The outputs, in the model's order.
    pub fn run(&self, inputs: &Named) -> Result<Named> {
        match self {
            Engine::Cpu(_, session) => session.run(&borrowed(inputs)),
            Engine::Gpu(session, _) => session.run(&borrowed(inputs)),
        }
    }

    /// Runs layer by layer and shows what each one computes.
    pub fn observe(&self, inputs: &Named, observe: &mut Observe<'_>) -> Result<()> {
        let inputs = borrowed(inputs);
        match self {
            Engine::Cpu(graph, session) => {
                let mut show = |node: &crate::graph::Node, outputs: &[Tensor]| {
                    let name = |&id| graph.value(id).name.clone();
                    observe(node.outputs.iter().map(name).zip(outputs.iter().cloned()).collect())
                };
                session.run_observed(&inputs, &mut show).map(drop)
            }
            Engine::Gpu(session, names) => {
                let mut show = |step: usize, outputs| observe(names[step].iter().cloned().zip(outputs).collect());
                session.run_stepwise(&inputs, &mut show)
            }
        }
    }
}

fn borrowed(inputs: &Named) -> Vec<(&str, &Tensor)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}
