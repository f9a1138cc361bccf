//! A model bound to shapes: the graphs and the plan that come of it.

use crate::device::Device;
use crate::engine::Engine;
use crate::error::Result;
use crate::graph::Graph;
use crate::onnx::{Bindings, Model};
use crate::passes::{self, Fusion};
use crate::plan::Plan;
use std::sync::Arc;

/// A network of concrete shapes, ready to be loaded.
pub struct Network {
    /// As the model has it.
    pub unfused: Graph,
    /// After the passes.
    pub graph: Arc<Graph>,
    /// What an adapter will run; none on the CPU executor.
    pub plan: Option<Plan>,
}

impl Network {
    /// Binds, optimises and plans. `plan` refuses what the device cannot run, and returns none for the CPU executor.
    ///
    /// # Errors
    /// Those of [`Model::graph`], [`passes::optimize`] and `plan`; [`Error::Budget`](crate::error::Error::Budget) where
    /// the CPU executor would hold more than it may.
    pub fn bind(
        model: &Model,
        bindings: &Bindings,
        fusion: &Fusion,
        plan: &mut dyn FnMut(&Graph) -> Result<Option<Plan>>,
    ) -> Result<Self> {
        let unfused = model.graph(bindings)?;
        let graph = Arc::new(passes::optimize(unfused.clone(), fusion)?);
        let plan = plan(&graph)?;
        if plan.is_none() {
            bindings.budget.run_on_cpu(&graph)?;
        }
        Ok(Network { unfused, graph, plan })
    }

    /// Compiles and uploads it.
    ///
    /// # Errors
    /// Those of [`Gpu::load`](crate::gpu::Gpu::load).
    pub fn load(&self, device: &Device) -> Result<Engine<'static>> {
        Engine::with_plan(device, Arc::clone(&self.graph), self.plan.as_ref())
    }
}
