//! Who reads a value, known while a pass changes the graph: to look through all nodes for each would take the square of
//! their number.

use crate::graph::{Graph, Node, ValueId};
use std::collections::HashSet;

/// How many nodes read each value, and which values the caller reads.
pub(super) struct Readers {
    counts: Vec<usize>,
    given_back: HashSet<ValueId>,
}

impl Readers {
    pub fn of(graph: &Graph) -> Self {
        let mut readers = Readers { counts: vec![0; graph.values.len()], given_back: HashSet::new() };
        readers.given_back.extend(&graph.outputs);
        graph.nodes.iter().for_each(|node| readers.add(node));
        readers
    }

    /// A node has come, which may read values that are new.
    pub fn add(&mut self, node: &Node) {
        for id in read_by(node) {
            if self.counts.len() <= id.0 {
                self.counts.resize(id.0 + 1, 0);
            }
            self.counts[id.0] += 1;
        }
    }

    /// A node goes.
    pub fn remove(&mut self, node: &Node) {
        read_by(node).into_iter().for_each(|id| self.counts[id.0] -= 1);
    }

    /// The nodes that read what the node at `index` makes, by index, once each.
    pub fn of_result<'g>(&self, graph: &'g Graph, index: usize, id: ValueId) -> impl Iterator<Item = usize> + 'g {
        let after = graph.nodes.iter().enumerate().skip(index + 1);
        after
            .filter(move |(_, node)| node.inputs.contains(&Some(id)))
            .map(|(index, _)| index)
            .take(self.counts.get(id.0).copied().unwrap_or(0))
    }

    /// The one node that reads it, or why there is no such node: nobody, several, or the caller reads it too.
    pub fn sole(&self, graph: &Graph, index: usize, id: ValueId) -> Result<usize, &'static str> {
        if self.given_back.contains(&id) {
            return Err("its result is an output of the network");
        }
        match self.counts.get(id.0) {
            Some(0) | None => Err("nothing reads its result"),
            Some(1) => self.of_result(graph, index, id).next().ok_or("nothing reads its result"),
            Some(_) => Err("its result has a second reader"),
        }
    }
}

/// Each value once, although a node may read it twice.
fn read_by(node: &Node) -> HashSet<ValueId> {
    node.inputs.iter().flatten().copied().collect()
}
