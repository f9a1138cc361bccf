//! The messages of `onnx.proto` that a CNN needs, borrowed from the file's bytes. Nothing is interpreted yet.
//!
//! Field numbers are those of `onnx-ml.proto` 1.22. Fields and messages that no importer asks for are skipped.

mod attribute;
mod fields;
mod write;

pub use attribute::{Attribute, AttributeProto};
pub use write::Encode;

use super::wire::{self, Message};
use crate::error::{Error, Result};

/// A model file: a graph, and the versions of the operators that its nodes mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Model<'a> {
    /// The version of the format, or 0 where the file does not say.
    pub ir_version: i64,
    /// The operator sets in use, at least one.
    pub opset_imports: Vec<OpsetImport<'a>>,
    /// The tool that wrote the file, or empty.
    pub producer_name: &'a str,
    /// That tool's version, or empty.
    pub producer_version: &'a str,
    /// What to compute.
    pub graph: GraphProto<'a>,
    /// The functions that the model defines for its own use.
    pub functions: Vec<FunctionProto<'a>>,
}

/// A function: nodes that stand for one node which calls it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FunctionProto<'a> {
    /// What calls name as their operator, never empty.
    pub name: &'a str,
    /// The operator set that it belongs to.
    pub domain: &'a str,
    /// Tells functions of one name apart; mostly empty.
    pub overload: &'a str,
    /// What its nodes call the inputs.
    pub inputs: Vec<&'a str>,
    /// What its nodes call the outputs.
    pub outputs: Vec<&'a str>,
    /// The attributes that a call may give and that have no default.
    pub attributes: Vec<&'a str>,
    /// Those that have one.
    pub defaults: Vec<AttributeProto<'a>>,
    /// Its body.
    pub nodes: Vec<NodeProto<'a>>,
    /// The operator sets that its nodes mean.
    pub opset_imports: Vec<OpsetImport<'a>>,
}

/// An operator set and its version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpsetImport<'a> {
    /// The set's name; empty or `ai.onnx` is the standard one.
    pub domain: &'a str,
    /// Its version.
    pub version: i64,
}

/// A graph: nodes that read and write values by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GraphProto<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its nodes; the standard wants them sorted, which is not checked here.
    pub nodes: Vec<NodeProto<'a>>,
    /// Its constants, each with a name.
    pub initializers: Vec<TensorProto<'a>>,
    /// How many sparse constants it has; they are not read.
    pub sparse_initializers: usize,
    /// What it is given. Before ir_version 4 this lists the initializers too.
    pub inputs: Vec<ValueInfoProto<'a>>,
    /// What it gives.
    pub outputs: Vec<ValueInfoProto<'a>>,
    /// Types of values between, as far as the producer knew them.
    pub value_infos: Vec<ValueInfoProto<'a>>,
}

/// One application of an operator.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeProto<'a> {
    /// Its name, often empty.
    pub name: &'a str,
    /// The operator, never empty.
    pub op_type: &'a str,
    /// The operator's set; empty is the standard one.
    pub domain: &'a str,
    /// Which of the model's functions of this name it calls; mostly empty.
    pub overload: &'a str,
    /// The values it reads; an empty name is an optional input left out.
    pub inputs: Vec<&'a str>,
    /// The values it writes; an empty name is an optional output left out.
    pub outputs: Vec<&'a str>,
    /// Its attributes, no two of the same name.
    pub attributes: Vec<AttributeProto<'a>>,
}

/// The declared type of a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValueInfoProto<'a> {
    /// The value's name, never empty.
    pub name: &'a str,
    /// Its type, or none where it is undeclared or is no dense tensor (a sequence, say).
    pub tensor: Option<TensorTypeProto<'a>>,
}

/// The declared type of a dense tensor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorTypeProto<'a> {
    /// A `TensorProto.DataType`.
    pub elem_type: i32,
    /// Its sizes, or none where even the rank is unknown.
    pub dims: Option<Vec<Dim<'a>>>,
}

/// One declared size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dim<'a> {
    /// A number, which the file may well have negative.
    Size(i64),
    /// A name for a size that is known when the model runs; never empty.
    Name(&'a str),
    /// Neither.
    #[default]
    Unknown,
}

/// A constant: its type and sizes, and its elements in one of several fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorProto<'a> {
    /// Its name, empty in an attribute.
    pub name: &'a str,
    /// Its sizes as the file has them, perhaps negative.
    pub dims: Vec<i64>,
    /// A `TensorProto.DataType`.
    pub data_type: i32,
    /// Elements of any type but strings, little endian.
    pub raw_data: Option<&'a [u8]>,
    /// Elements of FLOAT.
    pub float_data: Vec<f32>,
    /// Elements of INT32 and narrower integers, BOOL, and the bits of FLOAT16 and BFLOAT16.
    pub int32_data: Vec<i32>,
    /// Elements of INT64.
    pub int64_data: Vec<i64>,
    /// Elements of DOUBLE.
    pub double_data: Vec<f64>,
    /// Elements of UINT32 and UINT64.
    pub uint64_data: Vec<u64>,
    /// How many strings it has; they are not read.
    pub strings: usize,
    /// 0: in this file. 1: in the file that `external_data` names.
    pub data_location: i32,
    /// Where the elements are, as keys and values.
    pub external_data: Vec<(&'a str, &'a str)>,
}

/// Reads a model file.
///
/// # Errors
/// The bytes are no ONNX model, break a rule of the wire format, or lack a graph, an operator set, or a name.
pub fn parse_model(file: &[u8]) -> Result<Model<'_>> {
    let mut proto = ModelProto::default();
    let merged = parse("model", file, &mut proto, |proto| proto.ir_version != 0 || proto.graph.is_some());
    merged.and_then(|()| proto.checked())
}

/// Reads a file that holds one tensor, such as `input_0.pb` of an ONNX test case.
///
/// # Errors
/// The bytes are no tensor or break a rule of the wire format. The elements are checked later, by `data::tensor`.
pub fn parse_tensor(file: &[u8]) -> Result<TensorProto<'_>> {
    let mut tensor = TensorProto::default();
    parse("tensor", file, &mut tensor, |tensor| tensor.data_type != 0).map(|()| tensor)
}

/// Any bytes may pass for some message, and every message begins alike, so what was `recognised` decides between
/// a damaged file and one of another format.
fn parse<'a, M: Message<'a>>(
    what: &str,
    file: &'a [u8],
    message: &mut M,
    recognised: impl Fn(&M) -> bool,
) -> Result<()> {
    if file.is_empty() {
        return Err(Error::invalid(what, "the file is empty"));
    }
    let merged = wire::merge(message, file);
    if recognised(message) {
        return merged;
    }
    let fault = merged.err().map_or(String::new(), |e| format!(" ({e})"));
    Err(Error::invalid(what, format!("the file is not an ONNX {what}{fault}")))
}

/// The model as the file has it, with what it lacks still absent.
#[derive(Default)]
struct ModelProto<'a> {
    ir_version: i64,
    opset_imports: Vec<OpsetImport<'a>>,
    producer_name: &'a str,
    producer_version: &'a str,
    graph: Option<GraphProto<'a>>,
    functions: Vec<FunctionProto<'a>>,
}

impl<'a> ModelProto<'a> {
    fn checked(self) -> Result<Model<'a>> {
        if self.opset_imports.is_empty() {
            return Err(Error::invalid("model", "imports no operator set, so its operators have no meaning"));
        }
        Ok(Model {
            ir_version: self.ir_version,
            opset_imports: self.opset_imports,
            producer_name: self.producer_name,
            producer_version: self.producer_version,
            graph: self.graph.ok_or_else(|| Error::invalid("model", "has no graph"))?,
            functions: self.functions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::wire::encode::{bytes, int};

    fn message(fields: &[Vec<u8>]) -> Vec<u8> {
        fields.concat()
    }

    fn sizes(dims: &[Vec<u8>]) -> Vec<u8> {
        let shape = dims.iter().flat_map(|dim| bytes(1, dim)).collect::<Vec<_>>();
        bytes(2, bytes(1, message(&[int(1, 1), bytes(2, shape)])))
    }

    fn small_graph() -> Vec<u8> {
        let pads = message(&[bytes(1, "pads"), bytes(8, [1, 1]), int(20, 7)]);
        let node =
            message(&[bytes(1, "x"), bytes(1, ""), bytes(2, "y"), bytes(3, "n"), bytes(4, "Conv"), bytes(5, pads)]);
        let weight = message(&[bytes(1, [1, 2]), int(2, 1), bytes(8, "w"), bytes(9, [0; 8])]);
        let input = message(&[bytes(1, "x"), sizes(&[bytes(2, "batch"), int(1, 3), vec![]])]);
        let sequence = message(&[bytes(1, "s"), bytes(2, bytes(4, []))]);
        message(&[
            bytes(2, "g"),
            bytes(1, node),
            bytes(5, weight),
            bytes(11, input),
            bytes(12, bytes(1, "y")),
            bytes(13, sequence),
        ])
    }

    fn small_model() -> Vec<u8> {
        let opset = message(&[bytes(1, ""), int(2, 17)]);
        message(&[
            int(1, 8),
            bytes(2, "tool"),
            bytes(3, "1.0"),
            bytes(7, small_graph()),
            bytes(8, opset),
            bytes(25, message(&[bytes(1, "F"), bytes(6, "k"), bytes(10, "own")])),
        ])
    }

    fn refusal(file: &[u8]) -> String {
        parse_model(file).expect_err("this file is hostile").to_string()
    }

    #[test]
    fn a_model_is_read_whole() {
        let file = small_model();
        let model = parse_model(&file).unwrap();
        let function = FunctionProto { name: "F", domain: "own", attributes: vec!["k"], ..FunctionProto::default() };
        assert_eq!(
            (model.ir_version, model.producer_name, model.producer_version, model.functions),
            (8, "tool", "1.0", vec![function])
        );
        assert_eq!(model.opset_imports, [OpsetImport { domain: "", version: 17 }]);
        let node = &model.graph.nodes[0];
        assert_eq!(
            (node.name, node.op_type, node.inputs.as_slice(), node.outputs.as_slice()),
            ("n", "Conv", &["x", ""][..], &["y"][..])
        );
        assert_eq!(node.attributes, [AttributeProto { name: "pads", value: Attribute::Ints(vec![1, 1]) }]);
        let weight = &model.graph.initializers[0];
        assert_eq!((weight.name, weight.dims.as_slice(), weight.raw_data), ("w", &[1, 2][..], Some(&[0; 8][..])));
    }

    #[test]
    fn declared_types_keep_names_and_gaps() {
        let file = small_model();
        let graph = parse_model(&file).unwrap().graph;
        let dims = vec![Dim::Name("batch"), Dim::Size(3), Dim::Unknown];
        assert_eq!(graph.inputs[0].tensor, Some(TensorTypeProto { elem_type: 1, dims: Some(dims) }));
        assert_eq!(graph.outputs[0].tensor, None);
        assert_eq!(graph.value_infos[0].tensor, None);
    }

    #[test]
    fn a_file_of_another_format_is_no_model() {
        assert_eq!(refusal(&[]), "model: the file is empty");
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0";
        for file in [png, &b"P"[..], b"PK\x03\x04 a zip", b"{\"json\": 1}", &[0xff; 64]] {
            assert!(refusal(file).starts_with("model: the file is not an ONNX model"), "{}", refusal(file));
        }
        assert!(parse_tensor(png).is_err());
        assert!(parse_tensor(&[]).is_err());
    }

    #[test]
    fn what_a_model_cannot_lack_is_named() {
        let opset = bytes(8, int(2, 17));
        assert!(refusal(&message(&[int(1, 8), opset.clone()])).contains("has no graph"));
        assert!(refusal(&message(&[int(1, 8), bytes(7, [])])).contains("imports no operator set"));
        for (graph, reason) in [
            (bytes(1, []), "a node has no operator"),
            (bytes(5, int(2, 1)), "an initializer has no name"),
            (bytes(11, []), "a value has no name"),
            (bytes(5, bytes(3, [])), "segments"),
            (
                bytes(1, message(&[bytes(4, "A"), bytes(5, message(&[bytes(1, "k"), int(3, 0)])).repeat(2)])),
                "two attributes 'k'",
            ),
        ] {
            assert!(refusal(&message(&[int(1, 8), bytes(7, graph), opset.clone()])).contains(reason), "{reason}");
        }
    }

    #[test]
    fn a_model_cut_anywhere_or_with_any_byte_changed_never_panics() {
        let file = small_model();
        for cut in 0..file.len() {
            let _ = parse_model(&file[..cut]);
            for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[cut] = byte;
                let _ = parse_model(&changed);
            }
        }
    }

    #[test]
    fn graphs_within_graphs_are_read_to_a_limit() {
        let nested = |depth| {
            (0..depth).fold(vec![], |graph, _| {
                let body = message(&[bytes(1, "body"), bytes(6, graph)]);
                bytes(1, message(&[bytes(4, "Loop"), bytes(5, body)]))
            })
        };
        let file = |depth| message(&[int(1, 8), bytes(7, nested(depth)), bytes(8, int(2, 17))]);
        assert!(parse_model(&file(20)).is_ok());
        assert!(refusal(&file(22)).contains("nest deeper than 64"));
        assert!(refusal(&file(2_000)).contains("nest deeper than 64"));
    }

    #[test]
    fn a_bare_tensor_is_read() {
        let file = message(&[bytes(1, [2]), int(2, 7), bytes(7, [3, 4])]);
        let tensor = parse_tensor(&file).unwrap();
        assert_eq!((tensor.dims, tensor.int64_data), (vec![2], vec![3, 4]));
    }
}
