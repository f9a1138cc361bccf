//! The device as what the measures run on.

use crate::cli::device_args::Device;
use crate::cli::fault_args::FaultArgs;
use crate::engine::Engine;
use crate::error::Result;
use crate::graph::Graph;
use crate::plan::Limits;
use crate::tensor::{Named, Tensor, borrowed};
use crate::xray::{Loaded, Runner};

/// A device, with faults where a test asks for them: in whatever part of the network has their text.
pub struct OnDevice<'a> {
    pub device: &'a Device,
    pub faults: &'a FaultArgs,
}

impl Runner for OnDevice<'_> {
    fn load<'g>(&self, graph: &'g Graph) -> Result<Box<dyn Loaded + 'g>> {
        let plan = match self.device {
            Device::Cpu => None,
            Device::Gpu(gpu) => {
                // Their rounding is less, and is what the floors are made of.
                let limits = Limits { plain_sums: true, ..gpu.limits() };
                Some(self.faults.plan_part(graph, &limits)?)
            }
        };
        Ok(Box::new(Engine::with_plan(self.device, graph, plan.as_ref())?))
    }
}

impl Loaded for Engine<'_> {
    fn run(&self, inputs: &Named) -> Result<Named> {
        Engine::run(self, inputs)
    }

    fn stepwise(&self, inputs: &Named, show: &mut dyn FnMut(usize, Vec<Tensor>) -> Result<()>) -> Result<()> {
        self.run_stepwise(&borrowed(inputs), &mut |ran| show(ran.node, ran.outputs))
    }
}
