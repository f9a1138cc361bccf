//! What an operator sees of its ONNX node: typed attributes, inputs with their types, and a place for what it means.

use super::data;
use super::dialect::Dialect;
use super::external::External;
use super::proto::{Attribute, NodeProto};
use crate::element::Element;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::resample::Length;
use crate::ops::{Op, OpResult, Problem};
use crate::passes::fold_constants;
use crate::tensor::{Kind, Tensor, TensorType, array, checked_len, row_major_slice};
use std::cell::Cell;
use std::collections::HashMap;

/// Values by their ONNX name.
pub(super) type Names = HashMap<String, ValueId>;

/// One ONNX node while it is read. Every attribute must be read by somebody, and every input looked for: others are errors.
pub struct OnnxNode<'a> {
    graph: &'a mut Graph,
    names: &'a mut Names,
    proto: &'a NodeProto<'a>,
    name: &'a str,
    dialect: Dialect,
    external: &'a External,
    read: Vec<bool>,
    /// Up to here somebody looked for inputs.
    asked: Cell<usize>,
    emitted: usize,
}

macro_rules! attribute {
    ($(#[$doc:meta])* $name:ident: $variant:ident -> $type:ty) => {
        $(#[$doc])*
        pub(crate) fn $name(&mut self, name: &str) -> OpResult<Option<$type>> {
            match self.attribute(name) {
                None => Ok(None),
                Some(Attribute::$variant(value)) => Ok(Some(value.clone())),
                Some(_) => Err(Problem::Invalid(format!("attribute '{name}' has the wrong type"))),
            }
        }
    };
}

impl<'a> OnnxNode<'a> {
    pub(super) fn new(
        graph: &'a mut Graph,
        names: &'a mut Names,
        proto: &'a NodeProto<'a>,
        name: &'a str,
        dialect: Dialect,
        external: &'a External,
    ) -> Self {
        // Opset 1 let operators say which inputs they may overwrite; that never changes a result.
        let read = proto.attributes.iter().map(|attribute| attribute.name == "consumed_inputs").collect();
        OnnxNode { graph, names, proto, name, dialect, external, read, asked: Cell::new(0), emitted: 0 }
    }

    /// Every attribute was read, every input looked for, and the first output is defined.
    pub(super) fn finished(self) -> OpResult<()> {
        if let Some(at) = self.read.iter().position(|&read| !read) {
            let name = self.proto.attributes[at].name;
            return Err(Problem::Unsupported(format!("attribute '{name}' is not known in opset {}", self.opset())));
        }
        let inputs = &self.proto.inputs;
        if let Some(at) = (self.asked.get()..inputs.len()).find(|&at| !inputs[at].is_empty()) {
            let known = self.asked.get();
            return Err(Problem::Invalid(format!("has an input {at}, where it takes {known}")));
        }
        match self.proto.outputs.first() {
            Some(output) if self.names.contains_key(*output) || output.is_empty() => Ok(()),
            _ => Err(Problem::Invalid("has no output".into())),
        }
    }

    /// The operator's ONNX name.
    pub fn op_type(&self) -> &str {
        self.proto.op_type
    }

    /// The version of ONNX's operators that the model was written for.
    pub fn opset(&self) -> i64 {
        self.dialect.opset
    }

    /// The length of a resized axis that `align_corners` means.
    pub(crate) fn aligned_length(&self) -> Length {
        self.dialect.length
    }

    /// Says that another length than [`OnnxNode::aligned_length`] would give other numbers.
    pub(crate) fn note_length(&mut self) {
        self.graph.read_as(self.proto.op_type, self.name, self.dialect.length_in_words());
    }

    fn attribute(&mut self, name: &str) -> Option<&'a Attribute<'a>> {
        let at = self.proto.attributes.iter().position(|attribute| attribute.name == name)?;
        self.read[at] = true;
        Some(&self.proto.attributes[at].value)
    }

    attribute!(float_if_present: Float -> f32);
    attribute!(int_if_present: Int -> i64);
    attribute!(floats: Floats -> Vec<f32>);
    attribute!(ints: Ints -> Vec<i64>);

    pub(crate) fn float(&mut self, name: &str, default: f32) -> OpResult<f32> {
        Ok(self.float_if_present(name)?.unwrap_or(default))
    }

    pub(crate) fn int(&mut self, name: &str, default: i64) -> OpResult<i64> {
        Ok(self.int_if_present(name)?.unwrap_or(default))
    }

    /// An integer that means yes unless it is 0 or absent.
    pub(crate) fn flag(&mut self, name: &str) -> OpResult<bool> {
        Ok(self.int(name, 0)? != 0)
    }

    pub(crate) fn string(&mut self, name: &str, default: &str) -> OpResult<String> {
        match self.attribute(name) {
            None => Ok(default.to_string()),
            Some(Attribute::String(bytes)) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Some(_) => Err(Problem::Invalid(format!("attribute '{name}' has the wrong type"))),
        }
    }

    pub(crate) fn tensor(&mut self, name: &str) -> OpResult<Option<Tensor>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Tensor(proto)) => Ok(Some(data::tensor(proto, self.external)?)),
            Some(_) => Err(Problem::Invalid(format!("attribute '{name}' has the wrong type"))),
        }
    }

    /// The element type of what is in a slot, where the file tells it.
    pub(crate) fn element_type(&self, slot: usize) -> Option<Element> {
        self.graph.value(self.present(slot)?).element
    }

    /// Says of which element type the node's first output is.
    pub(crate) fn is_of_type(&mut self, element: Element) -> OpResult<()> {
        let output = self.output_name(0)?;
        if let Some(id) = self.names.get(&output) {
            self.graph.values[id.0].element = Some(element);
        }
        Ok(())
    }

    /// An element type, given by ONNX's number for it; none where that is 0 or absent.
    pub(crate) fn element(&mut self, name: &str) -> OpResult<Option<Element>> {
        match self.int(name, 0)? {
            0 => Ok(None),
            number => {
                let number = i32::try_from(number).unwrap_or(i32::MAX);
                data::element(number).map(Some).map_err(|error| Problem::Unsupported(error.to_string()))
            }
        }
    }

    /// How many inputs are given, absent ones in between included.
    pub fn input_count(&self) -> usize {
        self.asked.set(self.proto.inputs.len());
        self.proto.inputs.len()
    }

    /// How many outputs are asked for, up to the last one with a name.
    pub fn output_count(&self) -> usize {
        self.proto.outputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1)
    }

    fn present(&self, slot: usize) -> Option<ValueId> {
        self.asked.set(self.asked.get().max(slot + 1));
        self.proto.inputs.get(slot).and_then(|name| self.names.get(*name)).copied()
    }

    /// The value in a slot that may be absent.
    pub(crate) fn optional_input(&self, slot: usize) -> Option<ValueId> {
        self.present(slot)
    }

    /// The value in a slot that must be given.
    pub(crate) fn input(&self, slot: usize) -> OpResult<ValueId> {
        self.present(slot).ok_or_else(|| Problem::Invalid(format!("input {slot} is missing")))
    }

    /// The type of the value in a slot that must be given.
    pub(crate) fn ty(&self, slot: usize) -> OpResult<&TensorType> {
        Ok(&self.graph.value(self.input(slot)?).ty)
    }

    /// The operation that makes a value.
    pub(crate) fn maker(&self, id: ValueId) -> Option<&Node> {
        self.graph.nodes.iter().rev().find(|node| node.outputs.contains(&id))
    }

    pub(crate) fn type_of(&self, id: ValueId) -> &TensorType {
        &self.graph.value(id).ty
    }

    /// The content of an optional slot that decides shapes or attributes, and so must be known before anything runs.
    fn constant(&self, slot: usize) -> OpResult<Option<&Tensor>> {
        let Some(id) = self.present(slot) else { return Ok(None) };
        match &self.graph.value(id).constant {
            Some(constant) => Ok(Some(constant)),
            None => Err(Problem::Unsupported(format!("input {slot} depends on the network's input"))),
        }
    }

    /// The content of a slot that must be given and known before anything runs.
    pub(crate) fn constant_input(&self, slot: usize) -> OpResult<&Tensor> {
        self.constant(slot)?.ok_or_else(|| Problem::Invalid(format!("input {slot} is missing")))
    }

    /// The integers in an optional slot.
    pub(crate) fn constant_ints(&self, slot: usize) -> OpResult<Option<Vec<i64>>> {
        match self.constant(slot)? {
            None => Ok(None),
            Some(tensor) => Ok(Some(row_major_slice(tensor.as_int()?).into_owned())),
        }
    }

    /// The reals in an optional slot.
    pub(crate) fn constant_reals(&self, slot: usize) -> OpResult<Option<Vec<f32>>> {
        match self.constant(slot)? {
            None => Ok(None),
            Some(tensor) => Ok(Some(row_major_slice(tensor.as_real()?).into_owned())),
        }
    }

    /// The one number in an optional slot.
    pub(crate) fn constant_scalar(&self, slot: usize) -> OpResult<Option<f32>> {
        match self.constant(slot)? {
            Some(Tensor::Real(array)) if array.len() == 1 => Ok(array.first().copied()),
            Some(Tensor::Int(array)) if array.len() == 1 => Ok(array.first().map(|&value| value as f32)),
            None => Ok(None),
            Some(other) => {
                Err(Problem::Invalid(format!("input {slot} must be one number, not {}", other.tensor_type())))
            }
        }
    }

    /// The truth value in an optional slot.
    pub(crate) fn constant_truth(&self, slot: usize) -> OpResult<Option<bool>> {
        match self.constant(slot)? {
            Some(Tensor::Bool(array)) => Ok(array.first().copied()),
            None => Ok(None),
            Some(_) => Err(Problem::Invalid(format!("input {slot} must be a truth value"))),
        }
    }

    /// What the graph in an attribute gives, its nodes read in this one's place.
    pub(crate) fn inlined(&mut self, name: &str) -> OpResult<Vec<ValueId>> {
        match self.attribute(name) {
            Some(Attribute::Graph(body)) => {
                Ok(super::import::body(self.graph, self.names, body, self.dialect, self.external)?)
            }
            _ => Err(Problem::Invalid(format!("attribute '{name}' is no graph"))),
        }
    }

    /// Says that an attribute is known, whatever it holds.
    pub(crate) fn pass_over(&mut self, name: &str) {
        self.attribute(name);
    }

    /// Refuses a constant of this shape where all that are made of nothing become too many.
    pub(crate) fn budget(&mut self, shape: &[usize]) -> OpResult<()> {
        Ok(self.graph.constants.make(checked_len(shape)?)?)
    }

    /// `value` with sizes of 1 behind its own, so that its first dimension lines up with dimension `axis` of `with`.
    pub(crate) fn align(&mut self, value: ValueId, with: ValueId, axis: i64) -> OpResult<ValueId> {
        let rank = self.type_of(with).shape.len();
        let mut shape = self.type_of(value).shape.clone();
        // A scalar lines up with anything, and ranks too small for the axis need nothing behind them.
        let axis = crate::ops::axis(axis, rank.max(1))?;
        if shape.iter().product::<usize>() == 1 || axis + shape.len() >= rank {
            return Ok(value);
        }
        shape.resize(rank - axis, 1);
        self.emit(crate::ops::Reshape { shape }, &[Some(value)])
    }

    /// Adds an operation that the ONNX node is made of; its result has no name in the model.
    pub(crate) fn emit(&mut self, op: impl Into<Op>, inputs: &[Option<ValueId>]) -> OpResult<ValueId> {
        self.emitted += 1;
        let name = format!("{}#{}", self.name, self.emitted);
        self.add(op.into(), inputs, name)
    }

    /// A tensor that the ONNX node states by an attribute, or that its definition names.
    pub(crate) fn constant_of(&mut self, tensor: Tensor) -> ValueId {
        self.emitted += 1;
        self.graph.add_constant(format!("{}#{}", self.name, self.emitted), tensor)
    }

    /// The same of one number.
    pub(crate) fn number(&mut self, value: f32) -> OpResult<ValueId> {
        Ok(self.constant_of(Tensor::real(&[], vec![value])?))
    }

    /// Defines the node's first output by an operation on some of its own inputs.
    pub(crate) fn finish(&mut self, op: impl Into<Op>, slots: &[usize]) -> OpResult<()> {
        let inputs: Vec<Option<ValueId>> = slots.iter().map(|&slot| self.present(slot)).collect();
        self.finish_with(op, &inputs)
    }

    /// Defines the node's first output by an operation.
    pub(crate) fn finish_with(&mut self, op: impl Into<Op>, inputs: &[Option<ValueId>]) -> OpResult<()> {
        self.define(0, op, inputs)
    }

    /// Defines one of the node's outputs by an operation; nothing where the model does not ask for it.
    pub(crate) fn define(&mut self, slot: usize, op: impl Into<Op>, inputs: &[Option<ValueId>]) -> OpResult<()> {
        if slot > 0 && self.proto.outputs.get(slot).is_none_or(|name| name.is_empty()) {
            return Ok(());
        }
        // Nodes have names of their own.
        if slot > 0 || self.emitted > 0 {
            self.emitted += 1;
        }
        let output = self.output_name(slot)?;
        let id = self.add(op.into(), inputs, output.clone())?;
        self.names.insert(output, id);
        Ok(())
    }

    /// Defines one of the node's outputs by its content.
    pub(crate) fn define_constant(&mut self, slot: usize, tensor: Tensor) -> OpResult<()> {
        let output = self.output_name(slot)?;
        if self.op_type() == "Constant" {
            self.graph.constants.given += tensor.shape().iter().product::<usize>();
        }
        let id = self.graph.add_constant(output.clone(), tensor);
        let stored = self.proto.attributes.iter().find_map(|attribute| match &attribute.value {
            Attribute::Tensor(stored) => data::element(stored.data_type).ok(),
            _ => None,
        });
        self.graph.values[id.0].element = stored;
        self.names.insert(output, id);
        Ok(())
    }

    fn output_name(&self, slot: usize) -> OpResult<String> {
        match self.proto.outputs.get(slot) {
            Some(name) if !name.is_empty() => Ok(name.to_string()),
            _ => Err(Problem::Invalid(format!("output {slot} has no name"))),
        }
    }

    fn add(&mut self, op: Op, inputs: &[Option<ValueId>], output: String) -> OpResult<ValueId> {
        let mut inputs = inputs.to_vec();
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        let types = inputs.iter().map(|input| input.map(|id| &self.graph.value(id).ty)).collect::<Vec<_>>();
        let ty = op.infer(&types)?.remove(0);
        let elements = checked_len(&ty.shape)?;
        let foldable = fold_constants::is_constant(self.graph, &inputs);
        let constant = match elements {
            // There is nothing to compute.
            0 => Some(empty(&ty)?),
            // Too much to compute now is left to the run, and to what it may take.
            _ if foldable && self.graph.constants.compute(elements) => {
                Some(fold_constants::value_of(self.graph, &op, &inputs)?)
            }
            _ => None,
        };
        let element = self.element_of(&op, &inputs).filter(|element| element.kind() == ty.kind);
        let id = self.graph.add_value(output, ty, constant.map(std::sync::Arc::new));
        self.graph.values[id.0].element = element;
        let name = if self.emitted == 0 { self.name.to_string() } else { format!("{}#{}", self.name, self.emitted) };
        self.graph.nodes.push(Node::new(name, op, inputs, vec![id]));
        Ok(id)
    }

    /// The element type that an operation makes, where that of what it reads is known: all but a few keep it.
    fn element_of(&self, op: &Op, inputs: &[Option<ValueId>]) -> Option<Element> {
        let of = |slot: usize| self.graph.value((*inputs.get(slot)?)?).element;
        match op {
            Op::Cast(cast) => Some(cast.to),
            Op::Logic(_) => Some(Element::Bool),
            Op::ArgMost(_) | Op::PoolIndices(_) => Some(Element::I64),
            Op::TopK(found) if found.places => Some(Element::I64),
            Op::Select(_) => of(1).or(of(2)),
            Op::Binary(_) | Op::Concat(_) => of(0).or(of(1)),
            _ => of(0),
        }
    }
}

/// The only tensor of a type without elements.
fn empty(ty: &TensorType) -> OpResult<Tensor> {
    Ok(match ty.kind {
        Kind::Real => Tensor::Real(array(&ty.shape, Vec::new())?),
        Kind::Int => Tensor::Int(array(&ty.shape, Vec::new())?),
        Kind::Bool => Tensor::Bool(array(&ty.shape, Vec::new())?),
    })
}
