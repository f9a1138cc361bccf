//! The device as what the measures run on.

use crate::device_args::Device;
use crate::fault_args::FaultArgs;
use reluctor::engine::Engine;
use reluctor::error::Result;
use reluctor::graph::Graph;
use reluctor::plan::Limits;
use reluctor_lab::xray::{Loaded, Runner};

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
