//! How the command line makes an [`Engine`] ready: with the faults that a test asks for.

use super::device_args::Device;
use super::fault_args::FaultArgs;
pub use crate::engine::Engine;
use crate::error::Result;
use crate::graph::Graph;
use crate::plan::Plan;

impl<'g> Engine<'g> {
    /// Plans and compiles an optimised graph for a device, with faults where a test asks for them.
    ///
    /// # Errors
    /// Those of `FaultArgs::plan` and of [`Engine::with_plan`].
    pub fn load(device: &Device, graph: &'g Graph, faults: &FaultArgs) -> Result<Self> {
        let plan = device.plan(graph, faults)?;
        Engine::with_plan(device, graph, plan.as_ref())
    }
}

impl Device {
    /// How it would run a graph; none on the CPU executor.
    ///
    /// # Errors
    /// Those of `FaultArgs::plan`.
    pub fn plan(&self, graph: &Graph, faults: &FaultArgs) -> Result<Option<Plan>> {
        match self {
            Device::Cpu => Ok(None),
            Device::Gpu(gpu) => faults.plan(graph, &gpu.limits()).map(Some),
        }
    }
}
