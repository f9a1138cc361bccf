//! A node's attribute: one value, of the type that the file declares.

use super::{GraphProto, TensorProto};
use crate::error::Result;
use crate::onnx::wire::{Field, Message};

/// A named attribute of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeProto<'a> {
    /// Its name, never empty.
    pub name: &'a str,
    /// Its value.
    pub value: Attribute<'a>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute<'a> {
    /// FLOAT.
    Float(f32),
    /// INT.
    Int(i64),
    /// STRING, which may be any bytes.
    String(&'a [u8]),
    /// TENSOR.
    Tensor(Box<TensorProto<'a>>),
    /// GRAPH: the body of a loop, say.
    Graph(Box<GraphProto<'a>>),
    /// FLOATS.
    Floats(Vec<f32>),
    /// INTS.
    Ints(Vec<i64>),
    /// STRINGS.
    Strings(Vec<&'a [u8]>),
    /// The value of the attribute of this name that the call of a function gives, in which this node is.
    Reference(&'a str),
    /// A value that no operator of a CNN has, by the name of its type; it is not read.
    Unsupported(&'static str),
}

/// Reads the attribute that `field` holds.
///
/// A declared type with no value means the type's zero, since serialisers leave zeros out; before ir_version 2 the type
/// itself was left out and the value tells it.
///
/// # Errors
/// It has no name, two values, neither type nor value, or a value of another type than declared.
pub fn read<'a>(field: Field<'a, '_>) -> Result<AttributeProto<'a>> {
    let proto: Fields = field.message()?;
    let name = proto.name;
    if name.is_empty() {
        return Err(field.invalid("an attribute has no name"));
    }
    let value = proto.value().map_err(|fault| field.invalid(format!("attribute '{name}' {fault}")))?;
    Ok(AttributeProto { name, value })
}

/// `AttributeProto.AttributeType`, by number.
pub(super) const TYPES: [&str; 15] = [
    "UNDEFINED",
    "FLOAT",
    "INT",
    "STRING",
    "TENSOR",
    "GRAPH",
    "FLOATS",
    "INTS",
    "STRINGS",
    "TENSORS",
    "GRAPHS",
    "SPARSE_TENSOR",
    "SPARSE_TENSORS",
    "TYPE_PROTO",
    "TYPE_PROTOS",
];

/// The attribute as the file has it: a field for each type, of which one should be there.
#[derive(Default)]
struct Fields<'a> {
    name: &'a str,
    declared: i32,
    /// The types whose fields are there, a bit each.
    populated: u32,
    refers: Option<&'a str>,
    f: f32,
    i: i64,
    s: &'a [u8],
    t: Option<Box<TensorProto<'a>>>,
    g: Option<Box<GraphProto<'a>>>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    strings: Vec<&'a [u8]>,
}

impl<'a> Message<'a> for Fields<'a> {
    const NAME: &'static str = "AttributeProto";
    fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
        self.populated |= type_of(field.number).map_or(0, |number| 1 << number);
        match field.number {
            1 => self.name = field.text()?,
            2 => self.f = field.scalar()?,
            3 => self.i = field.scalar()?,
            4 => self.s = field.bytes()?,
            5 => field.merge_into(self.t.get_or_insert_default().as_mut())?,
            6 => field.merge_into(self.g.get_or_insert_default().as_mut())?,
            7 => field.append_to(&mut self.floats)?,
            8 => field.append_to(&mut self.ints)?,
            9 => self.strings.push(field.bytes()?),
            20 => self.declared = field.scalar()?,
            21 => self.refers = Some(field.text()?),
            _ => {}
        }
        Ok(())
    }
}

/// The type, by number, whose values are in the field of this number.
fn type_of(field: u32) -> Option<u32> {
    match field {
        2..=11 | 14 | 15 => Some(field - 1),
        22 | 23 => Some(field - 11),
        _ => None,
    }
}

impl<'a> Fields<'a> {
    fn value(self) -> Result<Attribute<'a>, String> {
        if let Some(name) = self.refers {
            return Ok(Attribute::Reference(name));
        }
        Ok(match self.type_name()? {
            "FLOAT" => Attribute::Float(self.f),
            "INT" => Attribute::Int(self.i),
            "STRING" => Attribute::String(self.s),
            "TENSOR" => Attribute::Tensor(self.t.ok_or("is a TENSOR without a value")?),
            "GRAPH" => Attribute::Graph(self.g.ok_or("is a GRAPH without a value")?),
            "FLOATS" => Attribute::Floats(self.floats),
            "INTS" => Attribute::Ints(self.ints),
            "STRINGS" => Attribute::Strings(self.strings),
            other => Attribute::Unsupported(other),
        })
    }

    /// The type that is declared or, failing that, told by the value.
    fn type_name(&self) -> Result<&'static str, String> {
        let held = match self.populated.count_ones() {
            0 => 0,
            1 => self.populated.trailing_zeros() as usize,
            _ => return Err("has more than one value".to_string()),
        };
        let declared = usize::try_from(self.declared).unwrap_or(usize::MAX);
        match (TYPES.get(declared), held) {
            (None, _) => Err(format!("has the unknown type {}", self.declared)),
            (Some(_), 0) if declared == 0 => Err("has neither type nor value".to_string()),
            (Some(_), held) if declared == 0 => Ok(TYPES[held]),
            (Some(name), held) if held == 0 || held == declared => Ok(name),
            (Some(name), held) => Err(format!("is declared {name} but holds {}", TYPES[held])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::wire::{self, encode};

    /// The attribute `a` with these further fields.
    fn attribute(fields: &[Vec<u8>]) -> Vec<u8> {
        encode::bytes(1, [encode::bytes(1, "a"), fields.concat()].concat())
    }

    /// The one field of a message.
    #[derive(Default)]
    struct Sole<'a>(Option<AttributeProto<'a>>);

    impl<'a> Message<'a> for Sole<'a> {
        const NAME: &'static str = "Sole";
        fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
            self.0 = Some(super::read(field)?);
            Ok(())
        }
    }

    fn read(bytes: &[u8]) -> Result<Attribute<'_>> {
        let mut sole = Sole::default();
        wire::merge(&mut sole, bytes).map(|()| sole.0.expect("there is one").value)
    }

    #[test]
    fn each_type_is_read_with_and_without_its_declaration() {
        let cases = [
            (1, encode::float(2, 0.5), Attribute::Float(0.5)),
            (2, encode::int(3, -7), Attribute::Int(-7)),
            (3, encode::bytes(4, [0xff]), Attribute::String(&[0xff])),
            (4, encode::bytes(5, []), Attribute::Tensor(Box::default())),
            (5, encode::bytes(6, []), Attribute::Graph(Box::default())),
            (6, encode::float(7, 2.0), Attribute::Floats(vec![2.0])),
            (7, [encode::int(8, 1), encode::int(8, 2)].concat(), Attribute::Ints(vec![1, 2])),
            (8, encode::bytes(9, "x"), Attribute::Strings(vec![b"x"])),
            (9, encode::bytes(10, []), Attribute::Unsupported("TENSORS")),
            (11, encode::bytes(22, []), Attribute::Unsupported("SPARSE_TENSOR")),
            (12, encode::bytes(23, []), Attribute::Unsupported("SPARSE_TENSORS")),
            (13, encode::bytes(14, []), Attribute::Unsupported("TYPE_PROTO")),
            (14, encode::bytes(15, []), Attribute::Unsupported("TYPE_PROTOS")),
        ];
        for (number, field, value) in cases {
            assert_eq!(read(&attribute(&[field.clone(), encode::int(20, number)])).unwrap(), value);
            assert_eq!(read(&attribute(&[field])).unwrap(), value);
        }
    }

    #[test]
    fn a_declared_type_without_a_value_is_zero() {
        assert_eq!(read(&attribute(&[encode::int(20, 1)])).unwrap(), Attribute::Float(0.0));
        assert_eq!(read(&attribute(&[encode::int(20, 2)])).unwrap(), Attribute::Int(0));
        assert_eq!(read(&attribute(&[encode::int(20, 7)])).unwrap(), Attribute::Ints(vec![]));
    }

    #[test]
    fn a_reference_of_a_function_body_keeps_its_name() {
        let bytes = attribute(&[encode::int(20, 2), encode::bytes(21, "outer")]);
        assert_eq!(read(&bytes).unwrap(), Attribute::Reference("outer"));
    }

    #[test]
    fn contradictions_are_refused() {
        let cases = [
            (vec![], "has neither type nor value"),
            (vec![encode::int(20, 2), encode::float(2, 1.0)], "is declared INT but holds FLOAT"),
            (vec![encode::int(3, 1), encode::int(8, 1)], "has more than one value"),
            (vec![encode::int(20, 4)], "is a TENSOR without a value"),
            (vec![encode::int(20, 15)], "has the unknown type 15"),
            (vec![encode::int(20, -1)], "has the unknown type -1"),
        ];
        for (fields, reason) in cases {
            let bytes = attribute(&fields);
            let error = read(&bytes).expect_err(reason).to_string();
            assert!(error.contains("attribute 'a'") && error.contains(reason), "{error}");
        }
        assert!(read(&encode::bytes(1, encode::int(3, 1))).unwrap_err().to_string().contains("no name"));
    }
}
