//! A network under construction: nodes of ONNX's own operators behind one another, with constants and inputs as they are needed.

use reluctor::graph::Graph;
use reluctor::onnx::{AttributeValue, Bindings, Model, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::random::{Numbers, Random};
use std::collections::HashMap;

/// A tensor of the network: its name and its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub name: String,
    pub shape: Vec<usize>,
}

/// The first version of the operator set in which GroupNormalization has a scale for each channel.
const OPSET: i64 = 21;

pub struct Network {
    model: ModelBuilder,
    random: Random,
    names: usize,
    inputs: HashMap<Vec<usize>, String>,
    /// What to run it on.
    pub fed: Vec<(String, Tensor)>,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        let (model, random) = (ModelBuilder::new(OPSET), Random::new(seed));
        Network { model, random, names: 0, inputs: HashMap::new(), fed: Vec::new() }
    }

    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    /// The input of a shape, which every chain shares.
    pub fn input(&mut self, shape: &[usize]) -> Value {
        if let Some(name) = self.inputs.get(shape) {
            return Value { name: name.clone(), shape: shape.to_vec() };
        }
        let name = self.name("x");
        let tensor = self.random.tensor(Numbers::Reals, shape);
        self.model.input(&name, &tensor.tensor_type());
        self.fed.push((name.clone(), tensor));
        self.inputs.insert(shape.to_vec(), name.clone());
        Value { name, shape: shape.to_vec() }
    }

    /// A constant of random numbers between -2 and 2.
    pub fn constant(&mut self, shape: &[usize]) -> String {
        let tensor = self.random.tensor(Numbers::Reals, shape);
        self.constant_of(tensor)
    }

    /// A constant of random numbers between 0.5 and 1.5.
    pub fn positive(&mut self, shape: &[usize]) -> String {
        let Tensor::Real(array) = self.random.tensor(Numbers::Reals, shape) else { unreachable!("they hold reals") };
        self.constant_of(Tensor::Real(array.mapv(|x| 1.0 + x / 4.0)))
    }

    pub fn number(&mut self, number: f32) -> String {
        self.constant_of(Tensor::real(&[], vec![number]).unwrap())
    }

    pub fn integers(&mut self, integers: &[i64]) -> String {
        self.constant_of(Tensor::Int(ndarray::Array1::from(integers.to_vec()).into_dyn()))
    }

    fn constant_of(&mut self, tensor: Tensor) -> String {
        let name = self.name("c");
        self.model.initializer(&name, &tensor);
        name
    }

    /// A node; its result has the given shape.
    pub fn node(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        shape: &[usize],
        attributes: &[(&str, AttributeValue)],
    ) -> Value {
        let name = self.name(op_type);
        self.model.node(op_type, &name, inputs, &[&name], attributes);
        Value { name, shape: shape.to_vec() }
    }

    /// Gives a value back to the caller.
    pub fn output(&mut self, value: &Value) {
        self.model.output(&value.name, Some(&TensorType::real(value.shape.clone())));
    }

    /// The graph, and what to run it on.
    pub fn done(self) -> (Graph, Vec<(String, Tensor)>) {
        let model = Model::from_bytes("orders", self.model.to_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let graph = model.graph(&Bindings::default()).unwrap_or_else(|error| panic!("{error}"));
        (graph, self.fed)
    }
}
