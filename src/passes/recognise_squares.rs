//! The square that exporters write as a power, as in the variance of a LayerNormalization by parts: a product with itself has no
//! logarithm to round, and the parts are then those that the operator itself is made of.

use super::{Rewrites, number};
use crate::graph::{Graph, ValueId};
use crate::ops::{BinaryFunction, Op};

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    for index in 0..graph.nodes.len() {
        if let Some(x) = squared(graph, index)
            && rewrites.allow(&graph.nodes[index].name, &graph.value(x).name)
        {
            let node = &mut graph.nodes[index];
            node.inputs = vec![Some(x); 2];
            if let Op::Binary(binary) = &mut node.op {
                binary.function = BinaryFunction::Mul;
            }
        }
    }
}

/// What a node takes to the power of the single number 2. The exponent may not widen the result.
fn squared(graph: &Graph, index: usize) -> Option<ValueId> {
    let node = &graph.nodes[index];
    let (x, exponent) = (node.input(0)?, node.input(1)?);
    let is_power = matches!(&node.op, Op::Binary(binary) if binary.function == BinaryFunction::Pow);
    let is_two = number(graph, exponent)? == 2.0;
    (is_power && is_two && graph.value(x).ty == graph.value(node.outputs[0]).ty).then_some(x)
}
