//! Whether the items of a batch go through a network apart from each other: only then may they run in parts.
//!
//! Forward through the graph, each value either is the same for all items, or holds them along an axis, so many neighbouring
//! indices each. Which of the two a node makes is asked of [`Operator::restrict`](crate::ops::Operator::restrict): what it
//! says of one item's indices of the output must be the same operator for every item, and must read that item's indices of
//! each input, and equal parts of what is constant. What is left is one item's path. Two batches of a model whose items have
//! the same path give each item the same result.

use crate::graph::{Graph, Node, ValueId};
use crate::ops::Cut;
use crate::tensor::{Tensor, TensorType};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Items of a batch that are asked for one by one; of more, as many from the first to the last.
const ASKED: usize = 64;

/// How a value holds the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lie {
    /// Along which axis.
    pub axis: usize,
    /// How many neighbouring indices belong to each.
    pub each: usize,
}

impl Lie {
    fn of(self, item: usize) -> Range<usize> {
        item * self.each..(item + 1) * self.each
    }
}

/// A node that brings items together, by its name in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixes(pub String);

/// What one item goes through.
#[derive(Debug)]
pub struct Path {
    /// What each node does to it.
    steps: Vec<Step>,
    /// The values that depend on the items.
    depend: HashSet<ValueId>,
    /// How they hold them; of a batch of one item nothing is known.
    lies: HashMap<ValueId, Lie>,
}

#[derive(Debug, PartialEq)]
struct Step {
    node: String,
    op: String,
    reads: Vec<Option<Read>>,
}

#[derive(Debug)]
enum Read {
    /// An input of the graph, or an output of a node, counted over all nodes.
    Value(usize),
    Constant(Arc<Tensor>),
}

impl PartialEq for Read {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Read::Value(a), Read::Value(b)) => a == b,
            (Read::Constant(a), Read::Constant(b)) => Arc::ptr_eq(a, b) || a == b,
            _ => false,
        }
    }
}

impl Path {
    /// Follows so many items, which `open` inputs hold along their first axis, one index each.
    ///
    /// # Errors
    /// The first node that mixes them, or of which that is not known.
    pub fn of(graph: &Graph, items: usize, open: impl Fn(&str) -> bool) -> Result<Path, Mixes> {
        let inputs = graph.inputs.iter().copied();
        let depend: HashSet<ValueId> = inputs.clone().filter(|&id| open(&graph.value(id).name)).collect();
        let lies = depend.iter().map(|&id| (id, Lie { axis: 0, each: 1 })).filter(|_| items > 1).collect();
        let made = inputs.chain(graph.nodes.iter().flat_map(|node| node.outputs.iter().copied()));
        let places: HashMap<ValueId, usize> = made.enumerate().map(|(place, id)| (id, place)).collect();
        let mut path = Path { steps: Vec::with_capacity(graph.nodes.len()), depend, lies };
        let live = live(graph);
        for node in graph.nodes.iter().filter(|node| node.outputs.iter().any(|id| live.contains(id))) {
            let depends = node.inputs.iter().flatten().any(|id| path.depend.contains(id));
            let (op, constants) = match depends && items > 1 {
                true => path.one_item(graph, node, items).ok_or_else(|| Mixes(name(node)))?,
                false => (node.op.to_string(), vec![None; node.inputs.len()]),
            };
            let read = |(id, part): (&Option<ValueId>, Option<Arc<Tensor>>)| {
                let id = (*id)?;
                let constant = part.or_else(|| graph.value(id).constant.clone());
                Some(constant.map_or_else(|| Read::Value(places[&id]), Read::Constant))
            };
            let reads = node.inputs.iter().zip(constants).map(read).collect();
            path.steps.push(Step { node: name(node), op, reads });
            if depends {
                path.depend.extend(&node.outputs);
            }
        }
        Ok(path)
    }

    /// The first node that does not do to an item of this batch what it does to one of another batch of the same model.
    pub fn differs(&self, other: &Path) -> Option<Mixes> {
        let differs = self.steps.iter().zip(&other.steps).find(|(own, other)| own != other).map(|(own, _)| own);
        let more = || self.steps.get(other.steps.len()).or_else(|| other.steps.get(self.steps.len()));
        differs.or_else(more).map(|step| Mixes(step.node.clone()))
    }

    /// Whether a value depends on the items.
    pub fn depends(&self, value: ValueId) -> bool {
        self.depend.contains(&value)
    }

    /// How a value holds the items of a batch of several.
    pub fn lie(&self, value: ValueId) -> Option<Lie> {
        self.lies.get(&value).copied()
    }

    /// The operator for one item, with what it reads of each constant that is cut. Notes how the output holds the items.
    fn one_item(&mut self, graph: &Graph, node: &Node, items: usize) -> Option<(String, Vec<Option<Arc<Tensor>>>)> {
        let &[output] = &node.outputs[..] else { return None };
        let shape = &graph.value(output).ty.shape;
        let axes = (0..shape.len()).filter(|&axis| shape[axis] > 0 && shape[axis].is_multiple_of(items));
        let lies = axes.map(|axis| Lie { axis, each: shape[axis] / items });
        let types = graph.input_types(node);
        for lie in lies {
            let mut asked = (0..items).step_by(items.div_ceil(ASKED)).chain([items - 1]);
            let first = self.restricted(graph, node, &types, lie, asked.next()?);
            let is_same = |item| self.restricted(graph, node, &types, lie, item) == first;
            if first.is_some() && asked.all(is_same) {
                self.lies.insert(output, lie);
                return first;
            }
        }
        None
    }

    /// The same for a certain item, where all that the node reads of the items is its own.
    fn restricted(
        &self,
        graph: &Graph,
        node: &Node,
        types: &[Option<&TensorType>],
        lie: Lie,
        item: usize,
    ) -> Option<(String, Vec<Option<Arc<Tensor>>>)> {
        let part = node.op.restrict(types, lie.axis, &lie.of(item)).filter(|part| part.cuts.len() == types.len())?;
        let constant = |(id, cut): (&Option<ValueId>, &Cut)| {
            let Some(id) = *id else { return Some(None) };
            match (self.lies.get(&id), cut) {
                (Some(own), Cut::Along(axis, range)) => (own.axis == *axis && own.of(item) == *range).then_some(None),
                (None, Cut::Whole) => Some(None),
                (None, cut) => graph.value(id).constant.as_ref().map(|all| Some(Arc::new(cut.of(all).into_owned()))),
                (Some(_), Cut::Whole) => None,
            }
        };
        let constants = node.inputs.iter().zip(&part.cuts).map(constant).collect::<Option<_>>()?;
        Some((part.op.to_string(), constants))
    }
}

fn name(node: &Node) -> String {
    node.origin.clone().unwrap_or_else(|| node.name.clone())
}

/// What the outputs are made of, constants left out: sizes and what is computed of them differ from batch to batch, and do not
/// matter where nothing that runs reads them.
fn live(graph: &Graph) -> HashSet<ValueId> {
    let is_open = |id: &ValueId| graph.value(*id).constant.is_none();
    let mut live: HashSet<ValueId> = graph.outputs.iter().copied().filter(is_open).collect();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|id| live.contains(id)) {
            live.extend(node.inputs.iter().flatten().copied().filter(is_open));
        }
    }
    live
}
