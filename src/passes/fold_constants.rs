//! What does not depend on the network's inputs is computed once, when shapes are bound; its nodes are dropped here.

use crate::graph::{Graph, ValueId};
use crate::ops::{Op, OpResult};
use crate::tensor::Tensor;

/// Whether an operation has inputs, and each of them is a constant.
pub fn is_constant(graph: &Graph, inputs: &[Option<ValueId>]) -> bool {
    let mut present = inputs.iter().flatten();
    !inputs.is_empty() && present.all(|&id| graph.value(id).constant.is_some())
}

/// The result of an operation on constants, computed in f64 and rounded once.
pub fn value_of(graph: &Graph, op: &Op, inputs: &[Option<ValueId>]) -> OpResult<Tensor> {
    let wide = |id: ValueId| graph.value(id).constant.as_deref().map(Tensor::cast);
    let wide: Vec<Option<Tensor<f64>>> = inputs.iter().map(|input| input.and_then(wide)).collect();
    let mut outputs = op.reference(&wide.iter().map(Option::as_ref).collect::<Vec<_>>())?;
    Ok(outputs.swap_remove(0).cast())
}

/// Drops the nodes whose results are all constants, and what nothing reads.
pub(super) fn run(graph: &mut Graph) {
    let before = graph.nodes.len();
    let mut folded = Vec::new();
    let values = &graph.values;
    graph.nodes.retain(|node| {
        let constant = node.outputs.iter().all(|id| values[id.0].constant.is_some());
        if constant {
            folded.push(node.name.clone());
        }
        !constant
    });
    let dead = drop_unread(graph);
    if before > graph.nodes.len() {
        let folded = folded.len();
        graph
            .notes
            .push(format!("constant folding: {folded} of {before} nodes computed at load, {dead} that nothing reads"));
    }
}

fn drop_unread(graph: &mut Graph) -> usize {
    let mut read = vec![false; graph.values.len()];
    for id in &graph.outputs {
        read[id.0] = true;
    }
    let mut kept = Vec::with_capacity(graph.nodes.len());
    let mut dead = 0;
    while let Some(node) = graph.nodes.pop() {
        if node.outputs.iter().any(|id| read[id.0]) {
            node.inputs.iter().flatten().for_each(|id| read[id.0] = true);
            kept.push(node);
        } else {
            dead += 1;
        }
    }
    kept.reverse();
    graph.nodes = kept;
    dead
}
