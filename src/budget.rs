//! What a network may ask for: memory of the host, arithmetic, nodes. Checked when it is bound, before anything is taken.

use crate::error::{Error, Result, escape};
use crate::graph::Graph;
use crate::tensor::{Kind, TensorType};

/// Where the system does not say how much memory there is.
const USUAL_MEMORY: u64 = 64 << 30;

/// The most that a network may take; none where it may take any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of the host's memory for tensors.
    pub memory: u64,
    /// Floating-point operations of one run.
    pub flops: Option<u64>,
    /// Nodes of the graph as the file has it.
    pub nodes: Option<u64>,
}

/// The machine's memory, and as much else as is asked for.
impl Default for Budget {
    fn default() -> Self {
        Budget { memory: machine_memory().unwrap_or(USUAL_MEMORY), flops: None, nodes: None }
    }
}

impl Budget {
    /// That a tensor by itself is within the budget.
    ///
    /// # Errors
    /// [`Error::Budget`] with its name.
    pub fn tensor(&self, name: &str, ty: &TensorType) -> Result<()> {
        within(|| format!("tensor '{}' of {ty}", escape(name)), bytes(ty), self.memory, "bytes of memory")
    }

    /// That a file's graph has no more nodes than allowed.
    ///
    /// # Errors
    /// [`Error::Budget`] with the graph's name.
    pub fn nodes(&self, graph: &str, count: usize) -> Result<()> {
        let most = self.nodes.unwrap_or(u64::MAX);
        within(|| format!("the graph '{}'", escape(graph)), count as u64, most, "nodes")
    }

    /// That a bound graph has no more arithmetic than allowed.
    ///
    /// # Errors
    /// [`Error::Budget`] with the graph's name.
    pub fn graph(&self, graph: &Graph) -> Result<()> {
        let Some(most) = self.flops else { return Ok(()) };
        let needed = graph.nodes.iter().map(|node| {
            let outputs: Vec<TensorType> = node.outputs.iter().map(|&id| graph.value(id).ty.clone()).collect();
            node.op.flops(&graph.input_types(node), &outputs)
        });
        let what = || format!("the network of {}", escape(&graph.name));
        within(what, needed.fold(0, u64::saturating_add), most, "floating-point operations")
    }

    /// That a graph can run on the CPU: at no node does it hold more than the memory.
    ///
    /// # Errors
    /// [`Error::Budget`] with the name of the tensor or node at which it would.
    pub fn run_on_cpu(&self, graph: &Graph) -> Result<()> {
        let constants = graph.values.iter().filter(|value| value.constant.is_some());
        let mut held = constants.map(|value| bytes(&value.ty)).fold(0, u64::saturating_add);
        held = graph.inputs.iter().map(|&id| bytes(&graph.value(id).ty)).fold(held, u64::saturating_add);
        let mut last = graph.last_uses();
        graph.outputs.iter().chain(&graph.inputs).for_each(|id| _ = last.remove(id));
        for (index, node) in graph.nodes.iter().enumerate() {
            let mut freed = 0;
            for &id in &node.outputs {
                let value = graph.value(id);
                self.tensor(&value.name, &value.ty)?;
                held = held.saturating_add(bytes(&value.ty));
            }
            within(|| format!("node '{}'", escape(&node.name)), held, self.memory, "bytes of memory")?;
            for &id in node.inputs.iter().flatten().chain(&node.outputs) {
                // Each dies once, although a node may read it twice.
                if last.get(&id) == Some(&index) && graph.value(id).constant.is_none() {
                    last.remove(&id);
                    freed += bytes(&graph.value(id).ty);
                }
            }
            held = held.saturating_sub(freed);
        }
        Ok(())
    }
}

fn within(what: impl FnOnce() -> String, needed: u64, budget: u64, unit: &'static str) -> Result<()> {
    if needed <= budget { Ok(()) } else { Err(Error::Budget { what: what(), needed, budget, unit }) }
}

/// What it takes on the host, or more than there can be.
fn bytes(ty: &TensorType) -> u64 {
    let size = match ty.kind {
        Kind::Real => 4,
        Kind::Int => 8,
        Kind::Bool => 1,
    };
    ty.elements().map_or(u64::MAX, |count| (count as u64).saturating_mul(size))
}

/// Of the machine, or of the container that this runs in.
fn machine_memory() -> Option<u64> {
    let file = |path: &str| std::fs::read_to_string(path).ok();
    let total = file("/proc/meminfo")?.lines().find_map(|line| {
        let kib: u64 = line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib << 10)
    })?;
    let limit = file("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(total, |limit: u64| total.min(limit)))
}

/// Whether this process may have only so many addresses (`ulimit -v`).
pub(crate) fn addresses_are_limited() -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    limits
        .lines()
        .filter_map(|line| line.strip_prefix("Max address space"))
        .any(|limit| !limit.trim_start().starts_with("unlimited"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Node;
    use crate::ops::{Activate, Activation};

    /// Two activations in a row over `count` numbers.
    fn row(count: usize) -> Graph {
        let mut graph = Graph { name: "row".to_string(), ..Graph::default() };
        let ids = ["x", "y", "z"].map(|name| graph.add_value(name, TensorType::real([count]), None));
        for (name, pair) in ["first", "second"].into_iter().zip(ids.windows(2)) {
            let relu = Activate { activation: Activation::Relu };
            graph.nodes.push(Node::new(name, relu, vec![Some(pair[0])], vec![pair[1]]));
        }
        (graph.inputs, graph.outputs) = (vec![ids[0]], vec![ids[2]]);
        graph
    }

    #[test]
    fn what_exceeds_the_memory_is_named() {
        let budget = |memory| Budget { memory, flops: None, nodes: None };
        assert!(budget(1_200).run_on_cpu(&row(100)).is_ok());
        let refused = |memory| budget(memory).run_on_cpu(&row(100)).unwrap_err().to_string();
        assert_eq!(refused(1_199), "node 'second' needs 1200 bytes of memory, but the budget is 1199");
        assert!(refused(399).contains("tensor 'y'"));
    }

    #[test]
    fn nodes_and_arithmetic_are_counted() {
        let budget = Budget { nodes: Some(1), ..Budget::default() };
        assert!(budget.nodes("g", 1).is_ok());
        assert_eq!(budget.nodes("g", 2).unwrap_err().to_string(), "the graph 'g' needs 2 nodes, but the budget is 1");
        let budget = Budget { flops: Some(0), ..Budget::default() };
        assert!(budget.graph(&row(1)).unwrap_err().to_string().contains("floating-point operations"));
    }
}
