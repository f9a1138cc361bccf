//! The network as data: values and the nodes between them, in single assignment and topological order.

mod reading;

pub use reading::Reading;

use crate::element::Element;
use crate::error::{Error, Result, escape};
use crate::ops::Op;
use crate::tensor::{Tensor, TensorType};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// An index into [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// A named edge of the graph.
#[derive(Debug, Clone)]
pub struct Value {
    /// Its ONNX name.
    pub name: String,
    /// Kind and shape; every shape is known once a model is bound to its inputs.
    pub ty: TensorType,
    /// Its content where that does not depend on the inputs.
    pub constant: Option<Arc<Tensor>>,
    /// The element type that it has in the model's file, where that is known.
    pub element: Option<Element>,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its ONNX name, or its first output's where it has none.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads, by the operator's input slots; an optional input that is absent is `None`.
    pub inputs: Vec<Option<ValueId>>,
    /// What it defines, by the operator's output slots.
    pub outputs: Vec<ValueId>,
    /// Names of the nodes that passes fused into this one.
    pub fused: Vec<String>,
    /// What a pass would have fused here, and why it did not.
    pub not_fused_because: Vec<String>,
    /// The node of the model's file that this was imported from, by name or first output; none where there is no file.
    pub origin: Option<String>,
}

/// A network with concrete shapes.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The model's file or name.
    pub name: String,
    /// Every value.
    pub values: Vec<Value>,
    /// Every node, each after the nodes whose outputs it reads.
    pub nodes: Vec<Node>,
    /// What the caller supplies.
    pub inputs: Vec<ValueId>,
    /// What the caller gets back.
    pub outputs: Vec<ValueId>,
    /// Types of the file's reals that are not f32, which they became when it was read.
    pub converted: Vec<&'static str>,
    /// What passes did to the graph as a whole.
    pub notes: Vec<String>,
    /// How nodes of the file were read that may be read otherwise.
    pub readings: Vec<Reading>,
    /// How much of it are constants.
    pub constants: Constants,
}

/// Elements that a file gives, and those of tensors that it has made or computed while it is read: few bytes can ask for many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constants {
    /// Of tensors in the file.
    pub given: usize,
    /// Of tensors that nodes state by a shape, or a range.
    made: usize,
    /// Of tensors computed from others.
    computed: usize,
    /// Bytes of memory that all that is not given may take.
    pub memory: u64,
}

impl Default for Constants {
    fn default() -> Self {
        Constants { given: 0, made: 0, computed: 0, memory: u64::MAX }
    }
}

impl Constants {
    /// Counts elements that are to be made, where there are not too many: a gibibyte of f32, which the weights of large networks
    /// are where their file says no more of them than that they are equal.
    ///
    /// # Errors
    /// [`Error::Budget`] with both numbers.
    pub fn make(&mut self, elements: usize) -> Result<()> {
        const MOST: usize = 1 << 28;
        let needed = self.made.saturating_add(elements);
        let budget = MOST.min(self.most_in_memory());
        if needed > budget {
            let what = "what the model states by its shape".to_string();
            return Err(Error::Budget { what, needed: needed as u64, budget: budget as u64, unit: "elements" });
        }
        self.made = needed;
        Ok(())
    }

    /// Counts elements that are to be computed, and says whether that is not too much. Weights of 8 bits are expanded, turned and
    /// cut; small files hold anchors.
    pub fn compute(&mut self, elements: usize) -> bool {
        const OF_EACH_GIVEN: usize = 16;
        const AT_LEAST: usize = 4 << 20;
        let most = self.given.saturating_mul(OF_EACH_GIVEN).saturating_add(self.made).saturating_add(AT_LEAST);
        let needed = self.computed.saturating_add(elements);
        let fits = needed <= most.min(self.most_in_memory());
        if fits {
            self.computed = needed;
        }
        fits
    }

    fn most_in_memory(&self) -> usize {
        usize::try_from(self.memory / size_of::<f32>() as u64).unwrap_or(usize::MAX)
    }
}

/// A graph that is lent for as long as `'g`, or held together with others.
#[derive(Debug, Clone)]
pub enum Held<'g> {
    /// Somebody else's.
    Lent(&'g Graph),
    /// Everybody's who has a handle.
    Shared(Arc<Graph>),
}

impl Deref for Held<'_> {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        match self {
            Held::Lent(graph) => graph,
            Held::Shared(graph) => graph,
        }
    }
}

impl<'g> From<&'g Graph> for Held<'g> {
    fn from(graph: &'g Graph) -> Self {
        Held::Lent(graph)
    }
}

impl From<Arc<Graph>> for Held<'_> {
    fn from(graph: Arc<Graph>) -> Self {
        Held::Shared(graph)
    }
}

impl Graph {
    /// The value behind an id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The element type that a value is written in: its own in the model's file, where that is known and of its kind.
    pub fn element(&self, id: ValueId) -> Element {
        let Value { ty, element, .. } = self.value(id);
        element.filter(|element| element.kind() == ty.kind).unwrap_or(Element::of(ty.kind))
    }

    /// Adds a value.
    pub fn add_value(&mut self, name: impl Into<String>, ty: TensorType, constant: Option<Arc<Tensor>>) -> ValueId {
        self.values.push(Value { name: name.into(), ty, constant, element: None });
        ValueId(self.values.len() - 1)
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        let ty = tensor.tensor_type();
        self.add_value(name, ty, Some(Arc::new(tensor)))
    }

    /// The content of a node's input slot, where it is present and constant.
    pub fn constant_input(&self, node: &Node, slot: usize) -> Option<&Arc<Tensor>> {
        self.value(node.input(slot)?).constant.as_ref()
    }

    /// The types of a node's inputs, by slot.
    pub fn input_types<'a>(&'a self, node: &Node) -> Vec<Option<&'a TensorType>> {
        node.inputs.iter().map(|input| input.map(|id| &self.value(id).ty)).collect()
    }

    /// What a node reads that is not constant, once each.
    pub fn open_inputs(&self, node: &Node) -> Vec<ValueId> {
        let mut seen = HashSet::new();
        let open = |id: &ValueId| self.value(*id).constant.is_none();
        node.inputs.iter().flatten().copied().filter(open).filter(|id| seen.insert(*id)).collect()
    }

    /// A graph of one node by itself, whose result has the type that the node infers.
    ///
    /// # Errors
    /// Where the node infers nothing from its inputs.
    pub fn alone(&self, mut node: Node) -> Result<Graph> {
        while node.inputs.last() == Some(&None) {
            node.inputs.pop();
        }
        let types = self.input_types(&node);
        let inferred = node.op.infer(&types).map_err(|problem| problem.at(&node.name))?;
        let mut alone = Graph { name: self.name.clone(), values: self.values.clone(), ..Graph::default() };
        alone.inputs = self.open_inputs(&node);
        for (id, ty) in node.outputs.iter_mut().zip(inferred) {
            *id = alone.add_value(self.value(*id).name.clone(), ty, None);
        }
        alone.outputs = node.outputs.clone();
        alone.nodes = vec![node];
        alone.validate()?;
        Ok(alone)
    }

    /// The index of the last node that reads each value, or makes it where none reads it.
    pub fn last_uses(&self) -> HashMap<ValueId, usize> {
        let uses = |(index, node): (usize, &Node)| {
            node.inputs.iter().flatten().chain(&node.outputs).map(|&id| (id, index)).collect::<Vec<_>>()
        };
        self.nodes.iter().enumerate().flat_map(uses).collect()
    }

    /// The one node that reads a value, or why there is no such node: nobody, several, or the caller reads it too. It looks
    /// through all nodes: a pass that asks for each of them counts readers instead.
    pub fn sole_consumer(&self, id: ValueId) -> Result<usize, &'static str> {
        if self.outputs.contains(&id) {
            return Err("its result is an output of the network");
        }
        let reads = |(_, node): &(usize, &Node)| node.inputs.contains(&Some(id));
        let mut consumers = self.nodes.iter().enumerate().filter(reads).map(|(index, _)| index);
        match (consumers.next(), consumers.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err("its result has a second reader"),
            _ => Err("nothing reads its result"),
        }
    }

    /// Checks single assignment, topological order and that each type is what its node infers.
    ///
    /// # Errors
    /// [`Error::Internal`]: importing and every pass must leave a valid graph.
    pub fn validate(&self) -> Result<()> {
        let mut defined: Vec<bool> = self.values.iter().map(|value| value.constant.is_some()).collect();
        for &ValueId(input) in &self.inputs {
            defined[input] = true;
        }
        for node in &self.nodes {
            for &ValueId(input) in node.inputs.iter().flatten() {
                ensure(defined[input], || {
                    format!("{} reads {} before it is defined", node.name, self.values[input].name)
                })?;
            }
            let inferred = node.op.infer(&self.input_types(node)).map_err(|problem| {
                Error::Internal(format!("{} no longer infers: {}", node.name, problem.at(&node.name)))
            })?;
            for (&ValueId(output), ty) in node.outputs.iter().zip(&inferred) {
                let value = &self.values[output];
                let again = defined[output] && value.constant.is_none();
                ensure(!again, || format!("{} is defined twice", value.name))?;
                ensure(value.ty == *ty, || format!("{} is {}, but {} makes {ty}", value.name, value.ty, node.name))?;
                defined[output] = true;
            }
        }
        let constant = |value: &&Value| value.constant.as_ref().is_some_and(|tensor| tensor.tensor_type() != value.ty);
        let other = self.values.iter().find(constant);
        ensure(other.is_none(), || format!("{} does not hold what it is declared to", other.map_or("", |v| &v.name)))?;
        let missing = self.outputs.iter().find(|id| !defined[id.0]);
        ensure(missing.is_none(), || "an output of the network is never defined".to_string())
    }
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Internal(message())) }
}

impl Node {
    /// A node that no pass has touched.
    pub fn new(
        name: impl Into<String>,
        op: impl Into<Op>,
        inputs: Vec<Option<ValueId>>,
        outputs: Vec<ValueId>,
    ) -> Self {
        let (fused, not_fused_because) = (Vec::new(), Vec::new());
        Node { name: name.into(), op: op.into(), inputs, outputs, fused, not_fused_because, origin: None }
    }

    /// The value in an input slot, where it is present.
    pub fn input(&self, slot: usize) -> Option<ValueId> {
        self.inputs.get(slot).copied().flatten()
    }

    /// Puts a value into an input slot.
    pub fn set_input(&mut self, slot: usize, id: ValueId) {
        if self.inputs.len() <= slot {
            self.inputs.resize(slot + 1, None);
        }
        self.inputs[slot] = Some(id);
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |ids: &mut dyn Iterator<Item = Option<ValueId>>| {
            ids.map(|id| id.map_or("-".to_string(), |id| escape(&self.value(id).name))).collect::<Vec<_>>().join(", ")
        };
        let typed = |ids: &[ValueId]| {
            ids.iter()
                .map(|&id| format!("{} {}", escape(&self.value(id).name), self.value(id).ty))
                .collect::<Vec<_>>()
                .join(", ")
        };
        writeln!(f, "{}({}) -> {}", escape(&self.name), typed(&self.inputs), typed(&self.outputs))?;
        for node in &self.nodes {
            let inputs = names(&mut node.inputs.iter().copied());
            writeln!(f, "  {} = {} ({inputs})", typed(&node.outputs), node.op)?;
        }
        Ok(())
    }
}
