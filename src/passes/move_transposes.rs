//! Transpositions wander down past element by element operators until they meet their opposite and both vanish, as those
//! between which TensorFlow and Keras put what they cannot say in `[n, c, h, w]`; what is left of them stands where a reader
//! needs it. What computes element by element computes the same in any order of dimensions.

use super::Rewrites;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Concat, Op, Transpose};
use crate::tensor::{Tensor, TensorType, each_kind};
use std::collections::{HashMap, HashSet};

/// A transposition that no reader has needed yet.
struct Pending {
    /// As the model has it, for its name.
    node: Node,
    source: ValueId,
    permutation: Vec<usize>,
}

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    let transpositions: Vec<&Node> = graph.nodes.iter().filter(|node| matches!(node.op, Op::Transpose(_))).collect();
    // All move at once: what one of them meets depends on the others.
    let (Some(first), Some(last)) = (transpositions.first(), transpositions.last()) else { return };
    if !rewrites.allow(&first.name, &last.name) {
        return;
    }
    let mut walk = Walk { stays: read_by_others(graph), pending: HashMap::new(), stands_for: HashMap::new() };
    let mut nodes = Vec::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        for slot in node.inputs.iter_mut().flatten() {
            *slot = walk.stands_for.get(slot).copied().unwrap_or(*slot);
        }
        if let Some(node) = walk.absorbed(graph, node, &mut nodes) {
            node.inputs.iter().flatten().for_each(|&input| walk.place(input, &mut nodes));
            nodes.push(node);
        }
    }
    for output in graph.outputs.clone() {
        walk.place(output, &mut nodes);
    }
    graph.nodes = nodes;
}

/// Values with a reader that needs them as they are: to wander past the others would only make two of one.
fn read_by_others(graph: &Graph) -> HashSet<ValueId> {
    let others = graph.nodes.iter().filter(|node| !takes_any_order(&node.op));
    let read = others.flat_map(|node| node.inputs.iter().flatten().copied());
    read.chain(graph.outputs.iter().copied()).collect()
}

fn takes_any_order(op: &Op) -> bool {
    matches!(op, Op::Transpose(_) | Op::Activate(_) | Op::Unary(_) | Op::Binary(_) | Op::Cast(_) | Op::Concat(_))
}

struct Walk {
    stays: HashSet<ValueId>,
    /// By the value that each makes.
    pending: HashMap<ValueId, Pending>,
    /// What a transposition and its opposite made, by what they were given.
    stands_for: HashMap<ValueId, ValueId>,
}

impl Walk {
    /// Takes a transposition up, or lets what a node reads wander past it; the node where neither can be.
    fn absorbed(&mut self, graph: &mut Graph, node: Node, nodes: &mut Vec<Node>) -> Option<Node> {
        let &[output] = &node.outputs[..] else { return Some(node) };
        if let (Op::Transpose(Transpose { permutation }), Some(input)) = (&node.op, node.input(0)) {
            let (source, permutation) = match self.pending.get(&input) {
                Some(before) => (before.source, permutation.iter().map(|&axis| before.permutation[axis]).collect()),
                None => (input, permutation.clone()),
            };
            let changes_nothing = permutation.iter().enumerate().all(|(at, &axis)| at == axis);
            if changes_nothing && !graph.outputs.contains(&output) {
                self.stands_for.insert(output, source);
            } else {
                self.pending.insert(output, Pending { node, source, permutation });
            }
            return None;
        }
        let Some((first, node)) = self.moved(graph, &node) else { return Some(node) };
        let permutation = self.pending[&first].permutation.clone();
        let mut after = self.pending[&first].node.clone();
        after.name = format!("{} after {}", after.name, node.name);
        after.outputs = vec![output];
        let source = node.outputs[0];
        nodes.push(node);
        self.pending.insert(output, Pending { node: after, source, permutation });
        None
    }

    /// The node on what its transposed inputs were made of, and one of these; none where it cannot be.
    fn moved(&self, graph: &mut Graph, node: &Node) -> Option<(ValueId, Node)> {
        if !takes_any_order(&node.op) {
            return None;
        }
        let open = graph.open_inputs(node);
        let first = *open.first()?;
        let permutation = &self.pending.get(&first)?.permutation;
        let wanders = |id: &ValueId| {
            let fits = self.pending.get(id).is_some_and(|pending| pending.permutation == *permutation);
            fits && !self.stays.contains(id)
        };
        if !open.iter().all(wanders) {
            return None;
        }
        let mut moved = node.clone();
        for slot in &mut moved.inputs {
            let Some(id) = *slot else { continue };
            *slot = Some(match self.pending.get(&id) {
                Some(pending) => pending.source,
                None => reordered(graph, id, permutation)?,
            });
        }
        if let Op::Concat(Concat { axis }) = &mut moved.op {
            *axis = permutation[*axis];
        }
        let types: Vec<Option<&TensorType>> = graph.input_types(&moved);
        let ty = moved.op.infer(&types).ok()?.into_iter().next()?;
        // What broadcasts to more dimensions is no longer a matter of their order.
        if ty.shape.len() != permutation.len() {
            return None;
        }
        let name = format!("{} before {}", graph.value(node.outputs[0]).name, self.pending[&first].node.name);
        moved.outputs = vec![graph.add_value(name, ty, None)];
        Some((first, moved))
    }

    /// Puts a transposition where its first reader needs it.
    fn place(&mut self, value: ValueId, nodes: &mut Vec<Node>) {
        if let Some(Pending { mut node, source, permutation }) = self.pending.remove(&value) {
            node.op = Transpose { permutation }.into();
            node.inputs = vec![Some(source)];
            nodes.push(node);
        }
    }
}

/// A constant in the order of dimensions before the transposition; none where it has more of them.
fn reordered(graph: &mut Graph, id: ValueId, permutation: &[usize]) -> Option<ValueId> {
    let constant = graph.value(id).constant.clone()?;
    if constant.len() == 1 && constant.shape().len() <= permutation.len() {
        return Some(id);
    }
    let missing = permutation.len().checked_sub(constant.shape().len())?;
    let shape = [&vec![1; missing][..], constant.shape()].concat();
    let mut before = vec![0; permutation.len()];
    permutation.iter().enumerate().for_each(|(at, &axis)| before[axis] = at);
    let spread = Tensor::clone(&constant).reshape(&shape).ok()?;
    let moved = each_kind!(spread, array => array.permuted_axes(before).as_standard_layout().into_owned());
    let name = format!("{} transposed", graph.value(id).name);
    Some(graph.add_constant(name, moved))
}
