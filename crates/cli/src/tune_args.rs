//! `--tune`: measure first, then run.

use super::console::{Console, warn};
use super::device_args::{Device, stored};
use super::fault_args::FaultArgs;
use clap::Args;
use reluctor::error::{Result, escape};
use reluctor::graph::Graph;
use reluctor_lab::tune::store::Store;
use reluctor_lab::tune::tune;

#[derive(Args)]
pub struct TuneArgs {
    /// First measure the ways to compute each convolution on this device, and keep the fastest one that is right
    ///
    /// What was measured is kept in the user's cache folder for this adapter, driver and version, and used by later runs.
    /// `reluctor tune` shows it.
    #[arg(long, help_heading = "Device")]
    tune: bool,
}

impl TuneArgs {
    /// Whether to measure.
    pub fn is_wanted(&self) -> bool {
        self.tune
    }

    /// The device with what was measured for these graphs, where that was asked for.
    ///
    /// # Errors
    /// Those of [`tune`].
    pub fn apply(&self, device: Device, graphs: &[&Graph], faults: &FaultArgs, console: &Console) -> Result<Device> {
        let gpu = match device {
            Device::Gpu(gpu) if self.tune => gpu,
            Device::Cpu if self.tune => {
                console.note("there is nothing to tune on the CPU executor");
                return Ok(Device::Cpu);
            }
            device => return Ok(device),
        };
        let store = Store::of_user();
        let mut table = stored(&gpu, store.as_ref());
        for graph in graphs {
            let plan = |graph: &Graph, limits: &_| faults.plan_part(graph, limits);
            let known: Vec<String> = table.quarantined.keys().cloned().collect();
            tune(&gpu, graph, &mut table, &plan, &mut |done, of, problem| console.progress(done, of, problem))?;
            console.progress_done();
            for (problem, wrong) in table.quarantined.iter().filter(|(problem, _)| !known.contains(problem)) {
                for wrong in wrong {
                    let [problem, candidate, reason] =
                        [problem, &wrong.candidate, &wrong.reason].map(|text| escape(text));
                    warn(format_args!("warning: {candidate} is not used for {problem}: {reason}"));
                }
            }
        }
        if let Some(store) = &store {
            match store.save(&table) {
                Ok(()) => console.detail(format_args!("kept in {}", store.path(&table.key).display())),
                Err(error) => warn(format_args!("warning: what was measured is lost after this run: {error}")),
            }
        }
        Ok(Device::Gpu(gpu.tuned(table.choices())))
    }
}
