//! What a file declares, read without importing it: it can be shown also where the engine cannot run it.

use super::proto::{Attribute, GraphProto, TensorProto};
use super::{Declared, Model, data, declared, import};
use crate::error::{Result, UnsupportedNode};
use crate::tensor::Kind;
use std::collections::BTreeMap;

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
            outputs: model.graph.outputs.iter().map(|out| (out.name.to_string(), declared(out).ok())).collect(),
            operators: operators(&model.graph),
            unknown: import::unknown_operators(&model.graph),
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

/// Exporters write weights as initializers or as nodes without inputs.
fn parameters(graph: &GraphProto<'_>) -> u64 {
    let attributes = graph.nodes.iter().filter(|node| node.op_type == "Constant").flat_map(|node| &node.attributes);
    let in_nodes = attributes.filter_map(|attribute| match &attribute.value {
        Attribute::Tensor(tensor) => Some(&**tensor),
        _ => None,
    });
    graph.initializers.iter().chain(in_nodes).map(reals).fold(0, u64::saturating_add)
}

/// The declared number of real elements. Importing checks it against the bytes that are there; an outline only shows it.
fn reals(tensor: &TensorProto<'_>) -> u64 {
    if !matches!(data::kind(tensor.data_type), Ok(Kind::Real)) {
        return 0;
    }
    tensor.dims.iter().fold(1, |product, &dim| product.saturating_mul(u64::try_from(dim).unwrap_or(0)))
}
