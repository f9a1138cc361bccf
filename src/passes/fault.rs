//! A test-only switch: fusions that are wrong in one way, as an edit of the graph that the passes leave, so that tests can see
//! whether a comparison notices.

use super::{epilogue, epilogue_mut};
use crate::graph::{Graph, Node, ValueId};
use crate::ops::epilogue::slot;
use crate::ops::{Activate, Activation, Binary, BinaryFunction, ChannelAffine, Op};
use std::str::FromStr;

/// A way for a fusion to be wrong.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FusionFault {
    /// The activation behind a batch normalization is lost with it.
    LostActivation,
    /// An addition of a tensor is left out.
    DroppedStage,
    /// A tensor is added behind the activation, and not before it.
    SwappedStages,
    /// An activation is applied behind the pool, and not before it.
    OtherSideOfPool,
    /// Another tensor of the same shape is added.
    OtherTensor,
    /// The constants of channels are in another order.
    OtherChannelOrder,
    /// The constants of channels are those of another node.
    OtherNode,
}

impl FusionFault {
    /// Every one, by its name.
    pub const ALL: [(&str, FusionFault); 7] = [
        ("lost-activation", FusionFault::LostActivation),
        ("dropped-stage", FusionFault::DroppedStage),
        ("swapped-stages", FusionFault::SwappedStages),
        ("other-side-of-pool", FusionFault::OtherSideOfPool),
        ("other-tensor", FusionFault::OtherTensor),
        ("other-channel-order", FusionFault::OtherChannelOrder),
        ("other-node", FusionFault::OtherNode),
    ];

    /// Edits every node that it has a place in, and says how many those are.
    pub fn inject(self, graph: &mut Graph) -> usize {
        let maps: Vec<ChannelAffine> =
            graph.nodes.iter().filter_map(|node| epilogue(&node.op)?.affine.clone()).collect();
        let mut edited = 0;
        for mut node in std::mem::take(&mut graph.nodes) {
            let before = graph.nodes.len();
            let is_edited = self.edit(graph, &mut node, &maps);
            edited += usize::from(is_edited);
            // What an edit appends stands behind the node.
            graph.nodes.insert(before, node);
        }
        edited
    }

    fn edit(self, graph: &mut Graph, node: &mut Node, maps: &[ChannelAffine]) -> bool {
        let residual = node.input(slot::RESIDUAL);
        let Some(old) = epilogue(&node.op).cloned() else { return false };
        let Some(new) = epilogue_mut(&mut node.op) else { return false };
        let bends = !matches!(old.activation, Activation::Identity | Activation::PRelu);
        match self {
            FusionFault::LostActivation if bends && old.affine.is_some() => new.activation = Activation::Identity,
            FusionFault::DroppedStage if residual.is_some() => node.inputs[slot::RESIDUAL] = None,
            FusionFault::SwappedStages if bends && old.pool.is_none() => {
                let Some(residual) = residual else { return false };
                node.inputs[slot::RESIDUAL] = None;
                let add = Binary { function: BinaryFunction::Add, activation: Activation::Identity };
                append(graph, node, add.into(), Some(residual));
            }
            FusionFault::OtherSideOfPool if bends && old.pool.is_some() => {
                new.activation = Activation::Identity;
                append(graph, node, Activate { activation: old.activation }.into(), None);
            }
            FusionFault::OtherTensor => {
                let Some(residual) = residual else { return false };
                let Some(other) = other_tensor(graph, residual) else { return false };
                node.inputs[slot::RESIDUAL] = Some(other);
            }
            FusionFault::OtherChannelOrder if old.affine.as_ref().is_some_and(|affine| affine.factor.len() > 1) => {
                let rotated = |numbers: &[f64]| numbers.iter().cycle().skip(1).take(numbers.len()).copied().collect();
                let map = |affine: ChannelAffine| ChannelAffine {
                    factor: rotated(&affine.factor),
                    offset: rotated(&affine.offset),
                };
                new.affine = old.affine.map(map);
            }
            FusionFault::OtherNode => {
                let Some(own) = &old.affine else { return false };
                let fits = |map: &&ChannelAffine| map.factor.len() == own.factor.len() && *map != own;
                let Some(other) = maps.iter().find(fits) else { return false };
                new.affine = Some(other.clone());
            }
            _ => return false,
        }
        true
    }
}

impl FromStr for FusionFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FusionFault::ALL.iter().find(|(name, _)| *name == text).map(|(_, fault)| *fault);
        found.ok_or_else(|| "expected a wrong fusion's name".to_string())
    }
}

/// Puts an operator behind a node, which makes a value of its own then.
fn append(graph: &mut Graph, node: &mut Node, op: Op, other: Option<ValueId>) {
    let output = node.outputs[0];
    let name = format!("{} apart", node.name);
    let apart = graph.add_value(name.clone(), graph.value(output).ty.clone(), None);
    node.outputs = vec![apart];
    let inputs = std::iter::once(Some(apart)).chain(other.map(Some)).collect();
    graph.nodes.push(Node::new(name, op, inputs, vec![output]));
}

/// A tensor of the same type that is there already.
fn other_tensor(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let made = graph.nodes.iter().flat_map(|node| node.outputs.iter().copied());
    let mut known = graph.inputs.iter().copied().chain(made);
    known.find(|&id| id != value && graph.value(id).ty == graph.value(value).ty)
}
