//! How each message takes in its fields: the numbers here are those of `onnx-ml.proto` 1.22.

use super::attribute;
use super::{
    Dim, FunctionProto, GraphProto, ModelProto, NodeProto, OpsetImport, TensorProto, TensorTypeProto, ValueInfoProto,
};
use crate::error::Result;
use crate::onnx::wire::{Field, Message};
use std::collections::HashSet;

impl<'a> Message<'a> for ModelProto<'a> {
    const NAME: &'static str = "ModelProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => self.ir_version = field.scalar()?,
            2 => self.producer_name = field.text()?,
            3 => self.producer_version = field.text()?,
            7 => field.merge_into(self.graph.get_or_insert_default())?,
            8 => self.opset_imports.push(field.message()?),
            25 => {
                let name = |function: &FunctionProto<'a>| function.name;
                self.functions.push(named(field, "a function has no name", name)?)
            }
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for OpsetImport<'a> {
    const NAME: &'static str = "OperatorSetIdProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => self.domain = field.text()?,
            2 => self.version = field.scalar()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for GraphProto<'a> {
    const NAME: &'static str = "GraphProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => self.nodes.push(node(field)?),
            2 => self.name = field.text()?,
            5 => {
                self.initializers.push(named(field, "an initializer has no name", |tensor: &TensorProto| tensor.name)?)
            }
            11 => self.inputs.push(value_info(field)?),
            12 => self.outputs.push(value_info(field)?),
            13 => self.value_infos.push(value_info(field)?),
            15 => self.sparse_initializers += 1,
            _ => {}
        }
        Ok(())
    }
}

fn node<'a>(field: Field<'a, '_>) -> Result<NodeProto<'a>> {
    let node = named(field, "a node has no operator", |node: &NodeProto<'a>| node.op_type)?;
    let mut names = HashSet::new();
    match node.attributes.iter().find(|attribute| !names.insert(attribute.name)) {
        Some(again) => Err(field.invalid(format!("a {} has two attributes '{}'", node.op_type, again.name))),
        None => Ok(node),
    }
}

fn value_info<'a>(field: Field<'a, '_>) -> Result<ValueInfoProto<'a>> {
    named(field, "a value has no name", |value: &ValueInfoProto<'a>| value.name)
}

/// A message that is useless without a name. Refusing it at once also keeps two bytes from becoming two hundred.
fn named<'a, M: Message<'a>>(field: Field<'a, '_>, fault: &str, name: impl Fn(&M) -> &'a str) -> Result<M> {
    let message = field.message()?;
    if name(&message).is_empty() { Err(field.invalid(fault)) } else { Ok(message) }
}

impl<'a> Message<'a> for NodeProto<'a> {
    const NAME: &'static str = "NodeProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => self.inputs.push(field.text()?),
            2 => self.outputs.push(field.text()?),
            3 => self.name = field.text()?,
            4 => self.op_type = field.text()?,
            5 => self.attributes.push(attribute::read(field)?),
            7 => self.domain = field.text()?,
            8 => self.overload = field.text()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for FunctionProto<'a> {
    const NAME: &'static str = "FunctionProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => self.name = field.text()?,
            4 => self.inputs.push(field.text()?),
            5 => self.outputs.push(field.text()?),
            6 => self.attributes.push(field.text()?),
            7 => self.nodes.push(node(field)?),
            9 => self.opset_imports.push(field.message()?),
            10 => self.domain = field.text()?,
            11 => self.defaults.push(attribute::read(field)?),
            13 => self.overload = field.text()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for ValueInfoProto<'a> {
    const NAME: &'static str = "ValueInfoProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => self.name = field.text()?,
            2 => field.merge_into(&mut self.tensor)?,
            _ => {}
        }
        Ok(())
    }
}

/// The `TypeProto`, of whose alternatives only the dense tensor is kept. They exclude each other: the last one counts.
impl<'a> Message<'a> for Option<TensorTypeProto<'a>> {
    const NAME: &'static str = "TypeProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => field.merge_into(self.get_or_insert_default())?,
            4 | 5 | 7 | 8 | 9 => *self = None,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for TensorTypeProto<'a> {
    const NAME: &'static str = "TypeProto.Tensor";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => self.elem_type = field.scalar()?,
            2 => field.merge_into(self.dims.get_or_insert_default())?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for Vec<Dim<'a>> {
    const NAME: &'static str = "TensorShapeProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        if field.number == 1 {
            self.push(field.message()?);
        }
        Ok(())
    }
}

impl<'a> Message<'a> for Dim<'a> {
    const NAME: &'static str = "TensorShapeProto.Dimension";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => *self = Dim::Size(field.scalar()?),
            2 => *self = Some(field.text()?).filter(|name| !name.is_empty()).map_or(Dim::Unknown, Dim::Name),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for TensorProto<'a> {
    const NAME: &'static str = "TensorProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => field.append_to(&mut self.dims)?,
            2 => self.data_type = field.scalar()?,
            // A part of a tensor would otherwise pass for the whole.
            3 => return Err(field.invalid("tensors in segments are not supported")),
            4 => field.append_to(&mut self.float_data)?,
            5 => field.append_to(&mut self.int32_data)?,
            6 => self.strings += 1,
            7 => field.append_to(&mut self.int64_data)?,
            8 => self.name = field.text()?,
            9 => self.raw_data = Some(field.bytes()?),
            10 => field.append_to(&mut self.double_data)?,
            11 => field.append_to(&mut self.uint64_data)?,
            13 => self.external_data.push(field.message()?),
            14 => self.data_location = field.scalar()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for (&'a str, &'a str) {
    const NAME: &'static str = "StringStringEntryProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        match field.number {
            1 => self.0 = field.text()?,
            2 => self.1 = field.text()?,
            _ => {}
        }
        Ok(())
    }
}
