//! What a file declares, read without importing it: it can be shown also where the engine cannot run it.

use super::proto::{Attribute, GraphProto, TensorProto};
use super::{Declared, Model, data, import};
use crate::element::Element;
use crate::error::{Result, UnsupportedNode};
use crate::tensor::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// A model at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The version of the file format.
    pub ir_version: i64,
    /// The version of the operators.
    pub opset: i64,
    /// The tool that wrote the file, with its version where the file says so.
    pub producer: String,
    /// What the caller supplies.
    pub inputs: Vec<Declared>,
    /// What the caller gets back: the declared type is missing where the file leaves it out.
    pub outputs: Vec<(String, Option<Declared>)>,
    /// How many nodes of each operator there are.
    pub operators: BTreeMap<String, usize>,
    /// The nodes whose operators this engine does not know, whatever the shapes.
    pub unknown: Vec<UnsupportedNode>,
    /// Types of the file's reals that are not f32, which they become here.
    pub converted: Vec<&'static str>,
    /// Real numbers in constants: mostly the trained weights.
    pub parameters: u64,
    /// Bytes that these take in 32 bits each, as the engine keeps them.
    pub weights_bytes: u64,
}

impl Model {
    /// What the file declares.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::error::Error::Invalid) where an input is no tensor of reals, integers or booleans.
    pub fn outline(&self) -> Result<Outline> {
        let model = self.parse()?;
        let parameters = parameters(&model.graph);
        Ok(Outline {
            ir_version: model.ir_version,
            opset: import::opset(&model),
            producer: [model.producer_name, model.producer_version].join(" ").trim().to_string(),
            inputs: self.inputs()?,
            outputs: self.outputs()?,
            operators: operators(&model.graph),
            unknown: import::unknown_operators(&model.graph),
            converted: converted(&model.graph),
            parameters,
            weights_bytes: parameters.saturating_mul(size_of::<f32>() as u64),
        })
    }
}

fn operators(graph: &GraphProto<'_>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in &graph.nodes {
        *counts.entry(node.op_type.to_string()).or_insert(0) += 1;
    }
    counts
}

/// The types of reals among a file's inputs and constants that are not f32, by ONNX's names for them.
pub(super) fn converted(graph: &GraphProto<'_>) -> Vec<&'static str> {
    let inputs = graph.inputs.iter().filter_map(|input| input.tensor.as_ref()).map(|tensor| tensor.elem_type);
    let types: BTreeSet<i32> = inputs.chain(constants(graph).map(|tensor| tensor.data_type)).collect();
    let real = |ty: &i32| data::element(*ty).is_ok_and(|ty| ty.kind() == Kind::Real && ty != Element::F32);
    types.into_iter().filter(real).map(data::type_name).collect()
}

fn parameters(graph: &GraphProto<'_>) -> u64 {
    constants(graph).map(reals).fold(0, u64::saturating_add)
}

/// Exporters write weights as initializers or as nodes without inputs.
fn constants<'g, 'a>(graph: &'g GraphProto<'a>) -> impl Iterator<Item = &'g TensorProto<'a>> {
    let attributes = graph.nodes.iter().filter(|node| node.op_type == "Constant").flat_map(|node| &node.attributes);
    let in_nodes = attributes.filter_map(|attribute| match &attribute.value {
        Attribute::Tensor(tensor) => Some(&**tensor),
        _ => None,
    });
    graph.initializers.iter().chain(in_nodes)
}

/// The declared number of real elements. Importing checks it against the bytes that are there; an outline only shows it.
fn reals(tensor: &TensorProto<'_>) -> u64 {
    if !data::element(tensor.data_type).is_ok_and(|ty| ty.kind() == Kind::Real) {
        return 0;
    }
    tensor.dims.iter().fold(1, |product, &dim| product.saturating_mul(u64::try_from(dim).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_reals_other_than_f32_are_named() {
        let stored = |data_type| TensorProto { data_type, ..TensorProto::default() };
        let graph = GraphProto { initializers: [1, 7, 10, 10, 11].map(stored).to_vec(), ..GraphProto::default() };
        assert_eq!(converted(&graph), ["FLOAT16", "DOUBLE"]);
    }
}
