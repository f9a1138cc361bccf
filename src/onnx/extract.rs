//! A part of a model as a model of its own: what a reproducer of one layer's fault holds.

use super::builder::value_info;
use super::proto::{Encode, GraphProto, ValueInfoProto};
use super::{Model, data, import};
use crate::element::Element;
use crate::error::{Error, Result};
use crate::tensor::{Kind, Tensor, TensorType};
use std::collections::{HashMap, HashSet};

/// What to take of a model, by the names that its file has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// The nodes, by name, or by their first output's where they have none.
    pub nodes: Vec<String>,
    /// What they are given.
    pub inputs: Vec<(String, TensorType)>,
    /// What they give.
    pub outputs: Vec<(String, TensorType)>,
    /// Values that they read and that nodes left out would have computed, or other contents for initializers.
    pub constants: Vec<(String, Tensor)>,
    /// The element types of those of these that hold integers, where they are not of 64 bits. Reals are all f32.
    pub elements: HashMap<String, Element>,
}

impl Part {
    fn integers(&self, name: &str) -> Element {
        self.elements.get(name).copied().unwrap_or(Element::I64)
    }

    /// An input's or an output's declaration.
    fn declared<'a>(&self, (name, ty): &'a (String, TensorType)) -> ValueInfoProto<'a> {
        let mut info = value_info(name, Some(ty));
        if let (Kind::Int, Some(tensor)) = (ty.kind, &mut info.tensor) {
            tensor.elem_type = data::data_type(self.integers(name));
        }
        info
    }
}

impl Model {
    /// The bytes of a model that has only these nodes, and those initializers that they read. Weights in other files come
    /// into this one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a node or what it reads is not there, or a weight cannot be read.
    pub fn extract(&self, part: &Part) -> Result<Vec<u8>> {
        let model = self.parse()?;
        let wanted: HashSet<&str> = part.nodes.iter().map(String::as_str).collect();
        let nodes: Vec<_> = model.graph.nodes.iter().filter(|node| wanted.contains(import::name(node))).collect();
        if let Some(name) = part.nodes.iter().find(|name| nodes.iter().all(|node| import::name(node) != **name)) {
            return Err(Error::invalid(&self.name, format!("there is no node '{name}'")));
        }
        let inputs = part.inputs.iter().map(|(name, _)| name.as_str());
        let constants = part.constants.iter().map(|(name, _)| name.as_str());
        let mut known: HashSet<&str> = inputs.chain(constants).chain([""]).collect();
        known.extend(nodes.iter().flat_map(|node| &node.outputs));
        let mut initializers: Vec<_> =
            part.constants.iter().map(|(name, tensor)| data::to_proto_as(name, tensor, part.integers(name))).collect();
        for name in nodes.iter().flat_map(|node| &node.inputs) {
            if !known.insert(name) {
                continue;
            }
            let initializer = model.graph.initializers.iter().find(|initializer| initializer.name == *name);
            let initializer =
                initializer.ok_or_else(|| Error::invalid(&self.name, format!("nothing defines '{name}'")))?;
            let tensor = data::tensor(initializer, &self.external).map_err(|error| self.blame(error))?;
            let element = data::element(initializer.data_type).map_err(|error| self.blame(error))?;
            initializers.push(data::to_proto_as(name, &tensor, element));
        }
        let graph = GraphProto {
            name: model.graph.name,
            nodes: nodes.into_iter().cloned().collect(),
            initializers,
            inputs: part.inputs.iter().map(|value| part.declared(value)).collect(),
            outputs: part.outputs.iter().map(|value| part.declared(value)).collect(),
            ..GraphProto::default()
        };
        Ok(super::proto::Model { graph, ..model }.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::onnx::{Bindings, ModelBuilder};

    fn chain() -> Model {
        let ty = TensorType::real([2]);
        let mut builder = ModelBuilder::new(22);
        builder.input("x", &ty).output("z", None);
        builder.initializer("w", &Tensor::real(&[2], vec![10.0, 20.0]).unwrap());
        builder.initializer("unread", &Tensor::real(&[2], vec![0.0; 2]).unwrap());
        builder.node("Neg", "", &["x"], &["y"], &[]).node("Mul", "last", &["y", "w"], &["z"], &[]);
        Model::from_bytes("chain", builder.to_bytes()).unwrap()
    }

    fn run(file: Vec<u8>, input: (&str, &Tensor)) -> Vec<(String, Tensor)> {
        let graph = Model::from_bytes("part", file).unwrap().graph(&Bindings::default()).unwrap();
        cpu::Session::<f32>::new(&graph).run(&[input]).unwrap()
    }

    #[test]
    fn a_part_computes_what_its_nodes_compute() {
        let ty = TensorType::real([2]);
        let named = |name: &str| vec![(name.to_string(), ty.clone())];
        let ones = Tensor::real(&[2], vec![1.0, 1.0]).unwrap();
        let last = Part { nodes: vec!["last".into()], inputs: named("y"), outputs: named("z"), ..Part::default() };
        let result = run(chain().extract(&last).unwrap(), ("y", &ones));
        assert_eq!(result, [("z".to_string(), Tensor::real(&[2], vec![10.0, 20.0]).unwrap())]);
        let first = Part { nodes: vec!["y".into()], inputs: named("x"), outputs: named("y"), ..Part::default() };
        let result = run(chain().extract(&first).unwrap(), ("x", &ones));
        assert_eq!(result, [("y".to_string(), Tensor::real(&[2], vec![-1.0, -1.0]).unwrap())]);
        let other = Part { constants: vec![("w".into(), ones.clone())], ..last };
        assert_eq!(run(chain().extract(&other).unwrap(), ("y", &ones)), [("z".to_string(), ones)]);
    }

    #[test]
    fn integers_of_a_part_keep_their_type() {
        let mut builder = ModelBuilder::new(22);
        let ty = TensorType { kind: Kind::Int, shape: vec![2] };
        builder.input("x", &ty).element("x", Element::U8).output("y", Some(&ty)).element("y", Element::U8);
        builder.node("Identity", "same", &["x"], &["y"], &[]);
        let model = Model::from_bytes("bytes", builder.to_bytes()).unwrap();
        let graph = model.graph(&Bindings::default()).unwrap();
        let part = model.part_of(&[0], &graph, &graph, &Bindings::default()).unwrap();
        let part = Model::from_bytes("part", model.extract(&part).unwrap()).unwrap();
        let outputs = part.outputs().unwrap();
        assert_eq!(part.inputs().unwrap()[0].element, Element::U8);
        assert_eq!(outputs[0].1.as_ref().map(|declared| declared.element), Some(Element::U8));
    }

    #[test]
    fn a_part_that_lacks_what_it_reads_is_refused() {
        let missing = Part { nodes: vec!["last".into()], ..Part::default() };
        assert_eq!(chain().extract(&missing).unwrap_err().to_string(), "chain: nothing defines 'y'");
        let unknown = Part { nodes: vec!["first".into()], ..Part::default() };
        assert_eq!(chain().extract(&unknown).unwrap_err().to_string(), "chain: there is no node 'first'");
    }
}
