//! `--inject-fault` and `--inject-wrong-fusion`: not for users, and not in `--help`. Tests see with them whether a comparison
//! names the guilty node, or the wrong fusion.

use super::console::warn;
use super::device_args::Device;
use clap::Args;
use reluctor::error::{Error, Result, escape};
use reluctor::graph::Graph;
use reluctor::passes::fault::FusionFault;
use reluctor::passes::{Fusion, Rewrite, optimize_up_to};
use reluctor::plan::fault::{Fault, plan_with_faults};
use reluctor::plan::{Limits, Plan, plan};

#[derive(Args, Default)]
pub struct FaultArgs {
    /// Replace a text in the shaders of a node, or of all where NODE is empty
    #[arg(long, value_name = "NODE:FIND=>REPLACE", hide = true)]
    inject_fault: Vec<Fault>,
    /// Edit the fused graph as a wrong fusion would
    #[arg(long, value_name = "NAME", hide = true)]
    inject_wrong_fusion: Option<FusionFault>,
}

impl FaultArgs {
    /// Says on stderr that results will be wrong.
    ///
    /// # Errors
    /// [`Error::Usage`] where the device runs no shaders.
    pub fn announce(&self, device: &Device) -> Result<()> {
        if !self.inject_fault.is_empty() && matches!(device, Device::Cpu) {
            return Err(Error::Usage("--inject-fault changes shaders, and the CPU executor has none".to_string()));
        }
        if self.is_wrong_fusion() {
            warn(format_args!("warning: a wrong fusion is injected: results are wrong on purpose"));
        }
        for fault in &self.inject_fault {
            let node = fault.node.as_deref().map_or("every node".to_string(), escape);
            warn(format_args!("warning: a fault is injected into {node}: results are wrong on purpose"));
        }
        Ok(())
    }

    /// The graph after so many rewrites at most, with the wrong fusion, and the rewrites.
    ///
    /// # Errors
    /// Those of [`optimize_up_to`].
    pub fn fused(&self, graph: Graph, fusion: &Fusion, most: usize) -> Result<(Graph, Vec<Rewrite>)> {
        let (mut graph, rewrites) = optimize_up_to(graph, fusion, most)?;
        if let Some(fault) = self.inject_wrong_fusion {
            fault.inject(&mut graph);
            graph.validate()?;
        }
        Ok((graph, rewrites))
    }

    /// Whether a fusion is wrong on purpose.
    pub fn is_wrong_fusion(&self) -> bool {
        self.inject_wrong_fusion.is_some()
    }

    /// The plan of an optimised graph, with the faults.
    ///
    /// # Errors
    /// Those of [`plan_with_faults`].
    pub fn plan(&self, graph: &Graph, limits: &Limits) -> Result<Plan> {
        plan_with_faults(graph, limits, &self.inject_fault)
    }

    /// How a device would run an optimised graph, with the faults; none on the CPU executor.
    ///
    /// # Errors
    /// Those of [`FaultArgs::plan`].
    pub fn plan_on(&self, device: &Device, graph: &Graph) -> Result<Option<Plan>> {
        device.gpu().map(|gpu| self.plan(graph, &gpu.limits())).transpose()
    }

    /// The plan of a part of a network: a fault that has no place in it is left out.
    ///
    /// # Errors
    /// Those of [`plan`].
    pub fn plan_part(&self, graph: &Graph, limits: &Limits) -> Result<Plan> {
        let mut plan = plan(graph, limits)?;
        for fault in &self.inject_fault {
            match plan.inject(fault) {
                Ok(()) | Err(Error::Usage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(plan)
    }
}
