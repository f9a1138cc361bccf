//! How a node takes its only reader in. What passes share stands here, so that no pass can lose a part of what it takes in: the
//! activation that the reader applies last is carried over whatever the pass does, and a tensor that the reader reads beside
//! the node's result must be read by the node afterwards.

use super::Rewrites;
use super::epilogue;
use super::readers::Readers;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::{Activation, Op};
use std::borrow::Cow;

/// How a producer changes when it takes its consumer in. The graph is there to add constants to.
pub(super) type Change = Box<dyn FnOnce(&mut Graph, &mut Node)>;

/// Offers each pair of a node and its only reader to `fuse`, in order, and merges those for which it returns a change. A
/// reason not to fuse is noted at the producer; `None` says that the pair does not concern the pass.
///
/// `fuse` sees the reader without the activation that it applies last.
pub(super) fn fuse_pairs(
    graph: &mut Graph,
    rewrites: &mut Rewrites,
    fuse: impl Fn(&Graph, &Node, &Node) -> Option<Result<Change, String>>,
) {
    let mut index = 0;
    let mut readers = Readers::of(graph);
    while index < graph.nodes.len() {
        let (consumer, reason) = match pair(graph, &readers, index, &fuse) {
            Some((consumer, Ok(change))) => match absorbed(graph, index, consumer, change) {
                Ok(node) => {
                    if !rewrites.allow(&node.name, &graph.nodes[consumer].name) {
                        return;
                    }
                    [index, consumer].into_iter().for_each(|gone| readers.remove(&graph.nodes[gone]));
                    graph.nodes[consumer] = node;
                    graph.nodes.remove(index);
                    readers.add(&graph.nodes[consumer - 1]);
                    continue;
                }
                Err(reason) => (consumer, reason),
            },
            Some((consumer, Err(reason))) => (consumer, reason),
            None => {
                index += 1;
                continue;
            }
        };
        let note = format!("{}: {reason}", graph.nodes[consumer].name);
        let notes = &mut graph.nodes[index].not_fused_because;
        if !notes.contains(&note) {
            notes.push(note);
        }
        index += 1;
    }
}

fn pair(
    graph: &Graph,
    readers: &Readers,
    index: usize,
    fuse: &impl Fn(&Graph, &Node, &Node) -> Option<Result<Change, String>>,
) -> Option<(usize, Result<Change, String>)> {
    let node = &graph.nodes[index];
    let &[output] = &node.outputs[..] else { return None };
    let fuse = |consumer: usize| fuse(graph, node, &without_last_activation(&graph.nodes[consumer]).0);
    match readers.sole(graph, index, output) {
        Ok(consumer) => fuse(consumer).map(|change| (consumer, change)),
        // Had it been the only reader, would this pass have fused one of them?
        Err(reason) => readers
            .of_result(graph, index, output)
            .find(|&consumer| matches!(fuse(consumer), Some(Ok(_))))
            .map(|consumer| (consumer, Err(reason.to_string()))),
    }
}

/// A node without the activation that it applies last, and that activation. A convolution's stays: whoever takes a convolution
/// in takes its whole epilogue.
fn without_last_activation(node: &Node) -> (Cow<'_, Node>, Activation) {
    if epilogue(&node.op).is_some() {
        return (Cow::Borrowed(node), Activation::Identity);
    }
    let mut op = node.op.clone();
    match op.activation_mut().map(|place| std::mem::replace(place, Activation::Identity)) {
        None | Some(Activation::Identity) => (Cow::Borrowed(node), Activation::Identity),
        Some(activation) => (Cow::Owned(Node { op, ..node.clone() }), activation),
    }
}

/// The place of an operator's activation, if nothing is applied there yet and no pool comes before it.
pub(super) fn free_activation(op: &mut Op) -> Option<Result<&mut Activation, String>> {
    let pools = epilogue(op).is_some_and(|epilogue| epilogue.pool.is_some());
    let place = op.activation_mut()?;
    Some(match place {
        _ if pools => Err("a pool comes first".into()),
        Activation::Identity => Ok(place),
        taken => Err(format!("it applies {} already", taken.name())),
    })
}

/// What a producer and its consumer are as one node, in the consumer's place; or what of the consumer has no place there.
fn absorbed(graph: &mut Graph, producer: usize, consumer: usize, change: Change) -> Result<Node, String> {
    let [producer, consumer] = [producer, consumer].map(|index| graph.nodes[index].clone());
    let (_, activation) = without_last_activation(&consumer);
    let mut node = producer.clone();
    if activation != Activation::Identity {
        free_activation(&mut node.op).unwrap_or_else(|| Err("it has no place for an activation".into()))?;
    }
    change(graph, &mut node);
    if activation != Activation::Identity {
        *free_activation(&mut node.op).unwrap_or_else(|| Err("it has no place for an activation".into()))? = activation;
    }
    let is_lost = |id: &ValueId| {
        let is_computed = graph.value(*id).constant.is_none();
        is_computed && !producer.outputs.contains(id) && !node.inputs.contains(&Some(*id))
    };
    if let Some(&lost) = consumer.inputs.iter().flatten().find(|id| is_lost(id)) {
        return Err(format!("it also reads '{}'", graph.value(lost).name));
    }
    node.outputs = consumer.outputs;
    node.fused.push(consumer.name);
    node.fused.extend(consumer.fused);
    node.not_fused_because.extend(consumer.not_fused_because);
    Ok(node)
}
