//! ONNX models made from scratch: for tests, and for reproducers that any ONNX tool reads.

use super::data;
use super::proto::{
    Attribute, AttributeProto, Dim, Encode, GraphProto, Model, NodeProto, OpsetImport, TensorTypeProto, ValueInfoProto,
};
use crate::element::Element;
use crate::tensor::{Tensor, TensorType};
use std::collections::HashMap;

/// The version of the file format that is written: that of ONNX 1.16 and later.
const IR_VERSION: i64 = 10;

/// A model under construction. Nothing is checked: a file that breaks ONNX's rules is as easily made as one that keeps them.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelBuilder {
    opset: i64,
    producer: String,
    nodes: Vec<Node>,
    initializers: Vec<(String, Tensor)>,
    inputs: Vec<(String, TensorType)>,
    outputs: Vec<(String, Option<TensorType>)>,
    elements: HashMap<String, Element>,
}

#[derive(Debug, Clone, PartialEq)]
struct Node {
    op_type: String,
    name: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    attributes: Vec<(String, AttributeValue)>,
}

/// What an attribute of a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// INT.
    Int(i64),
    /// FLOAT.
    Float(f32),
    /// STRING.
    Text(String),
    /// INTS.
    Ints(Vec<i64>),
    /// FLOATS.
    Floats(Vec<f32>),
    /// TENSOR.
    Tensor(Tensor),
}

impl ModelBuilder {
    /// An empty model whose nodes mean the operators of this version of ONNX's set.
    pub fn new(opset: i64) -> Self {
        ModelBuilder {
            opset,
            producer: env!("CARGO_PKG_NAME").to_string(),
            nodes: vec![],
            initializers: vec![],
            inputs: vec![],
            outputs: vec![],
            elements: HashMap::new(),
        }
    }

    /// Names another tool as the one that wrote the file.
    pub fn producer(&mut self, name: &str) -> &mut Self {
        self.producer = name.to_string();
        self
    }

    /// Adds what the caller supplies.
    pub fn input(&mut self, name: &str, ty: &TensorType) -> &mut Self {
        self.inputs.push((name.to_string(), ty.clone()));
        self
    }

    /// Adds a constant.
    pub fn initializer(&mut self, name: &str, tensor: &Tensor) -> &mut Self {
        self.initializers.push((name.to_string(), tensor.clone()));
        self
    }

    /// Adds what the caller gets. The type may be left to shape inference.
    pub fn output(&mut self, name: &str, ty: Option<&TensorType>) -> &mut Self {
        self.outputs.push((name.to_string(), ty.cloned()));
        self
    }

    /// Declares of which element type an input or an output is; else it is the one that its kind has in this engine.
    pub fn element(&mut self, name: &str, element: Element) -> &mut Self {
        self.elements.insert(name.to_string(), element);
        self
    }

    /// Adds a node; an empty name among its inputs leaves an optional one out.
    pub fn node(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, AttributeValue)],
    ) -> &mut Self {
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        self.nodes.push(Node {
            op_type: op_type.to_string(),
            name: name.to_string(),
            inputs: owned(inputs),
            outputs: owned(outputs),
            attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        });
        self
    }

    /// The file's content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let declared = |name, ty: Option<&TensorType>| {
            let mut info = value_info(name, ty);
            if let (Some(tensor), Some(&element)) = (&mut info.tensor, self.elements.get(name)) {
                tensor.elem_type = data::data_type(element);
            }
            info
        };
        let graph = GraphProto {
            name: "graph",
            nodes: self.nodes.iter().map(Node::proto).collect(),
            initializers: self.initializers.iter().map(|(name, tensor)| data::to_proto(name, tensor)).collect(),
            inputs: self.inputs.iter().map(|(name, ty)| declared(name, Some(ty))).collect(),
            outputs: self.outputs.iter().map(|(name, ty)| declared(name, ty.as_ref())).collect(),
            ..GraphProto::default()
        };
        let model = Model {
            ir_version: IR_VERSION,
            opset_imports: vec![OpsetImport { domain: "", version: self.opset }],
            producer_name: &self.producer,
            producer_version: env!("CARGO_PKG_VERSION"),
            graph,
            functions: vec![],
        };
        model.encode()
    }
}

impl Node {
    fn proto(&self) -> NodeProto<'_> {
        NodeProto {
            name: &self.name,
            op_type: &self.op_type,
            domain: "",
            overload: "",
            inputs: self.inputs.iter().map(String::as_str).collect(),
            outputs: self.outputs.iter().map(String::as_str).collect(),
            attributes: self
                .attributes
                .iter()
                .map(|(name, value)| AttributeProto { name, value: value.proto() })
                .collect(),
        }
    }
}

impl AttributeValue {
    fn proto(&self) -> Attribute<'_> {
        match self {
            AttributeValue::Int(value) => Attribute::Int(*value),
            AttributeValue::Float(value) => Attribute::Float(*value),
            AttributeValue::Text(value) => Attribute::String(value.as_bytes()),
            AttributeValue::Ints(values) => Attribute::Ints(values.clone()),
            AttributeValue::Floats(values) => Attribute::Floats(values.clone()),
            AttributeValue::Tensor(tensor) => Attribute::Tensor(Box::new(data::to_proto("", tensor))),
        }
    }
}

impl From<i64> for AttributeValue {
    fn from(value: i64) -> Self {
        AttributeValue::Int(value)
    }
}

impl From<f32> for AttributeValue {
    fn from(value: f32) -> Self {
        AttributeValue::Float(value)
    }
}

impl From<&str> for AttributeValue {
    fn from(value: &str) -> Self {
        AttributeValue::Text(value.to_string())
    }
}

impl From<&[i64]> for AttributeValue {
    fn from(values: &[i64]) -> Self {
        AttributeValue::Ints(values.to_vec())
    }
}

/// A value's declaration.
pub(super) fn value_info<'a>(name: &'a str, ty: Option<&TensorType>) -> ValueInfoProto<'a> {
    let tensor = ty.map(|ty| TensorTypeProto {
        elem_type: data::data_type(Element::of(ty.kind)),
        dims: Some(ty.shape.iter().map(|&size| Dim::Size(size as i64)).collect()),
    });
    ValueInfoProto { name, tensor }
}
