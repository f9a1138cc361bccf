//! A network in which every node stands by itself: each reads what it is given and not what the node before it made, so that
//! one run tries every layer on inputs of our own.

use reluctor::error::Result;
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::tensor::{Kind, Tensor, TensorType};
use std::collections::BTreeSet;

/// The network taken apart. Values keep their numbers; each node's result is a new value.
pub struct Apart {
    /// Its inputs are all that any node reads and that is no constant.
    pub graph: Graph,
    /// For each of its nodes, the node of the original.
    pub origin: Vec<usize>,
}

/// Whether a node maps reals to reals: only then is affine a question.
pub fn is_real(graph: &Graph, node: &Node) -> bool {
    let real = |ty: &TensorType| ty.kind == Kind::Real;
    let open = graph.open_inputs(node);
    !open.is_empty() && open.iter().chain(&node.outputs).all(|&id| real(&graph.value(id).ty))
}

impl Apart {
    /// Takes a network apart; nodes that do not map reals to reals are left out.
    ///
    /// # Errors
    /// Those of [`Graph::validate`].
    pub fn of(graph: &Graph) -> Result<Self> {
        let mut apart = Graph { name: graph.name.clone(), values: graph.values.clone(), ..Graph::default() };
        let (mut origin, mut read) = (Vec::new(), BTreeSet::new());
        for (index, node) in graph.nodes.iter().enumerate().filter(|(_, node)| is_real(graph, node)) {
            let mut node = node.clone();
            read.extend(graph.open_inputs(&node));
            for id in &mut node.outputs {
                let value = graph.value(*id);
                *id = apart.add_value(format!("{} by itself", value.name), value.ty.clone(), None);
            }
            apart.outputs.extend(&node.outputs);
            apart.nodes.push(node);
            origin.push(index);
        }
        apart.inputs = read.into_iter().collect();
        apart.validate()?;
        Ok(Apart { graph: apart, origin })
    }

    /// What its inputs are called, with what they are given.
    pub fn inputs(&self, mut tensor: impl FnMut(ValueId) -> Result<Tensor>) -> Result<Vec<(String, Tensor)>> {
        let named = |&id: &ValueId| Ok((self.graph.value(id).name.clone(), tensor(id)?));
        self.graph.inputs.iter().map(named).collect()
    }
}
