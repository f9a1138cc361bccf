//! Small graphs with random inputs and weights, built directly.

use crate::random::{Numbers, Random};
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::ops::Op;
use reluctor::tensor::{Tensor, TensorType};

/// A graph and something to run it on.
#[derive(Clone)]
pub struct Case {
    pub graph: Graph,
    pub inputs: Vec<(String, Tensor)>,
}

impl Case {
    /// The inputs as sessions take them.
    pub fn fed(&self) -> Vec<(&str, &Tensor)> {
        self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
    }

    /// The operator of a node, by its name.
    pub fn op(&mut self, name: &str) -> &mut Op {
        &mut self.graph.nodes.iter_mut().find(|node| node.name == name).expect("a node of that name").op
    }
}

/// Adds values and nodes one after another.
pub struct Build {
    case: Case,
    pub random: Random,
    pub numbers: Numbers,
}

impl Build {
    /// Nothing yet; tensors of reals.
    pub fn new(seed: u64) -> Self {
        let graph = Graph { name: format!("case {seed}"), ..Graph::default() };
        Build { case: Case { graph, inputs: Vec::new() }, random: Random::new(seed), numbers: Numbers::Reals }
    }

    /// Nothing yet; tensors of small integers.
    pub fn integers(seed: u64) -> Self {
        Build { numbers: Numbers::Integers, ..Build::new(seed) }
    }

    /// An input of the network, with random content.
    pub fn input(&mut self, shape: &[usize]) -> ValueId {
        let tensor = self.random.tensor(self.numbers, shape);
        self.input_of(tensor)
    }

    /// An input of the network.
    pub fn input_of(&mut self, tensor: Tensor) -> ValueId {
        let name = format!("x{}", self.case.inputs.len());
        let id = self.case.graph.add_value(name.clone(), tensor.tensor_type(), None);
        self.case.graph.inputs.push(id);
        self.case.inputs.push((name, tensor));
        id
    }

    /// A constant with random content.
    pub fn constant(&mut self, shape: &[usize]) -> ValueId {
        let tensor = self.random.tensor(self.numbers, shape);
        self.constant_of(tensor)
    }

    /// A constant with positive content between 0.5 and 1.5: variances, and divisors that never vanish.
    pub fn positive(&mut self, shape: &[usize]) -> ValueId {
        let tensor = self.random.tensor(Numbers::Reals, shape);
        let Tensor::Real(array) = tensor else { unreachable!("random tensors hold reals") };
        self.constant_of(Tensor::Real(array.mapv(|x| 1.0 + x / 4.0)))
    }

    pub fn constant_of(&mut self, tensor: Tensor) -> ValueId {
        let name = format!("c{}", self.case.graph.values.len());
        self.case.graph.add_constant(name, tensor)
    }

    /// A node of the given name; its result has the same name.
    pub fn node(&mut self, name: &str, op: impl Into<Op>, inputs: &[Option<ValueId>]) -> ValueId {
        let op = op.into();
        let graph = &mut self.case.graph;
        let types: Vec<Option<&TensorType>> = inputs.iter().map(|id| id.map(|id| &graph.value(id).ty)).collect();
        let inferred = op.infer(&types).map_err(|problem| problem.at(name));
        let ty = inferred.unwrap_or_else(|error| panic!("{error}: {op}")).remove(0);
        let id = graph.add_value(name, ty, None);
        graph.nodes.push(Node::new(name, op, inputs.to_vec(), vec![id]));
        id
    }

    pub fn shape(&self, id: ValueId) -> Vec<usize> {
        self.case.graph.value(id).ty.shape.clone()
    }

    /// The graph with these outputs.
    pub fn done(mut self, outputs: &[ValueId]) -> Case {
        self.case.graph.outputs = outputs.to_vec();
        self.case.graph.validate().unwrap();
        self.case
    }

    /// The graph with every node's result among its outputs.
    pub fn done_all(self) -> Case {
        let outputs: Vec<ValueId> = self.case.graph.nodes.iter().map(|node| node.outputs[0]).collect();
        self.done(&outputs)
    }
}
