//! The messages as bytes: the inverse of reading them, field numbers those of `onnx-ml.proto` 1.22.
//!
//! What the reader only counted (sparse constants, strings) or only named (attributes of types that no operator
//! of a CNN has) is written without content: whoever reads the file refuses it as it would have refused the first.

use super::attribute::TYPES;
use super::{
    Attribute, AttributeProto, Dim, FunctionProto, GraphProto, Model, NodeProto, OpsetImport, TensorProto,
    TensorTypeProto, ValueInfoProto,
};
use crate::onnx::wire::encode::{bytes, float, int, packed, varint};

/// A message that can be written.
pub trait Encode {
    /// Its fields, one after the other.
    fn encode(&self) -> Vec<u8>;
}

impl Encode for Model<'_> {
    fn encode(&self) -> Vec<u8> {
        [
            scalar(1, self.ir_version),
            text(2, self.producer_name),
            text(3, self.producer_version),
            bytes(7, self.graph.encode()),
            messages(8, &self.opset_imports),
            messages(25, &self.functions),
        ]
        .concat()
    }
}

impl Encode for OpsetImport<'_> {
    fn encode(&self) -> Vec<u8> {
        [text(1, self.domain), scalar(2, self.version)].concat()
    }
}

impl Encode for GraphProto<'_> {
    fn encode(&self) -> Vec<u8> {
        [
            messages(1, &self.nodes),
            text(2, self.name),
            messages(5, &self.initializers),
            messages(11, &self.inputs),
            messages(12, &self.outputs),
            messages(13, &self.value_infos),
            bytes(15, []).repeat(self.sparse_initializers),
        ]
        .concat()
    }
}

impl Encode for FunctionProto<'_> {
    fn encode(&self) -> Vec<u8> {
        [
            text(1, self.name),
            strings(4, &self.inputs),
            strings(5, &self.outputs),
            strings(6, &self.attributes),
            messages(7, &self.nodes),
            messages(9, &self.opset_imports),
            text(10, self.domain),
            messages(11, &self.defaults),
            text(13, self.overload),
        ]
        .concat()
    }
}

impl Encode for NodeProto<'_> {
    fn encode(&self) -> Vec<u8> {
        [
            strings(1, &self.inputs),
            strings(2, &self.outputs),
            text(3, self.name),
            text(4, self.op_type),
            messages(5, &self.attributes),
            text(7, self.domain),
            text(8, self.overload),
        ]
        .concat()
    }
}

impl Encode for AttributeProto<'_> {
    fn encode(&self) -> Vec<u8> {
        let (ty, value) = match &self.value {
            Attribute::Float(value) => ("FLOAT", float(2, *value)),
            Attribute::Int(value) => ("INT", int(3, *value)),
            Attribute::String(value) => ("STRING", bytes(4, value)),
            Attribute::Tensor(value) => ("TENSOR", bytes(5, value.encode())),
            Attribute::Graph(value) => ("GRAPH", bytes(6, value.encode())),
            Attribute::Floats(values) => ("FLOATS", values.iter().flat_map(|&value| float(7, value)).collect()),
            Attribute::Ints(values) => ("INTS", values.iter().flat_map(|&value| int(8, value)).collect()),
            Attribute::Strings(values) => ("STRINGS", strings(9, values)),
            // Its type is that of what it refers to.
            Attribute::Reference(name) => ("", bytes(21, name)),
            Attribute::Unsupported(ty) => (*ty, vec![]),
        };
        let declared = TYPES.iter().position(|&name| name == ty);
        let declared = declared.map_or(vec![], |number| int(20, number as i64));
        [text(1, self.name), value, declared].concat()
    }
}

impl Encode for ValueInfoProto<'_> {
    fn encode(&self) -> Vec<u8> {
        let ty = self.tensor.as_ref().map_or(vec![], |tensor| bytes(2, bytes(1, tensor.encode())));
        [text(1, self.name), ty].concat()
    }
}

impl Encode for TensorTypeProto<'_> {
    fn encode(&self) -> Vec<u8> {
        let shape = self.dims.as_ref().map_or(vec![], |dims| bytes(2, messages(1, dims)));
        [scalar(1, self.elem_type.into()), shape].concat()
    }
}

impl Encode for Dim<'_> {
    fn encode(&self) -> Vec<u8> {
        match *self {
            Dim::Size(size) => int(1, size),
            Dim::Name(name) => bytes(2, name),
            Dim::Unknown => vec![],
        }
    }
}

impl Encode for TensorProto<'_> {
    fn encode(&self) -> Vec<u8> {
        [
            self.dims.iter().flat_map(|&size| int(1, size)).collect(),
            scalar(2, self.data_type.into()),
            packed(4, &self.float_data, f32::to_le_bytes),
            packed(5, &self.int32_data, |value| varint(i64::from(value).cast_unsigned())),
            bytes(6, []).repeat(self.strings),
            packed(7, &self.int64_data, |value| varint(value.cast_unsigned())),
            text(8, self.name),
            self.raw_data.map_or(vec![], |raw| bytes(9, raw)),
            packed(10, &self.double_data, f64::to_le_bytes),
            packed(11, &self.uint64_data, varint),
            self.external_data
                .iter()
                .flat_map(|(key, value)| bytes(13, [bytes(1, key), bytes(2, value)].concat()))
                .collect(),
            scalar(14, self.data_location.into()),
        ]
        .concat()
    }
}

/// A number; zeros are left out.
fn scalar(number: u64, value: i64) -> Vec<u8> {
    if value == 0 { vec![] } else { int(number, value) }
}

/// A text; empty ones are left out.
fn text(number: u64, value: &str) -> Vec<u8> {
    if value.is_empty() { vec![] } else { bytes(number, value) }
}

fn strings(number: u64, values: &[impl AsRef<[u8]>]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(number, value)).collect()
}

fn messages(number: u64, messages: &[impl Encode]) -> Vec<u8> {
    let mut fields = vec![];
    for message in messages {
        fields.extend(bytes(number, message.encode()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{parse_model, parse_tensor};
    use std::path::Path;

    /// One of everything.
    fn whole() -> Model<'static> {
        let tensor = TensorProto {
            name: "w",
            dims: vec![2, -1, 1 << 40],
            data_type: 1,
            raw_data: Some(&[1, 2, 3]),
            float_data: vec![0.5, -0.0, f32::INFINITY],
            int32_data: vec![i32::MIN, 7],
            int64_data: vec![i64::MIN, 300],
            double_data: vec![-2.5],
            uint64_data: vec![u64::MAX],
            strings: 2,
            data_location: 1,
            external_data: vec![("location", "w.bin"), ("", "")],
        };
        let values = vec![
            Attribute::Float(-0.0),
            Attribute::Int(0),
            Attribute::Int(-1),
            Attribute::String(b""),
            Attribute::String(&[0xff]),
            Attribute::Tensor(Box::new(tensor.clone())),
            Attribute::Graph(Box::new(GraphProto { name: "body", sparse_initializers: 1, ..GraphProto::default() })),
            Attribute::Floats(vec![]),
            Attribute::Floats(vec![1.0, 2.0]),
            Attribute::Ints(vec![i64::MIN, 0]),
            Attribute::Strings(vec![b"", b"x"]),
            Attribute::Unsupported("TYPE_PROTOS"),
            Attribute::Reference("outer"),
        ];
        const NAMES: &str = "abcdefghijklmnopqrstuvwxyz";
        let attribute = |(at, value)| AttributeProto { name: &NAMES[at..=at], value };
        let node = NodeProto {
            name: "n",
            op_type: "Conv",
            domain: "ai.onnx",
            overload: "second",
            inputs: vec!["x", "", "w"],
            outputs: vec!["", "y"],
            attributes: values.into_iter().enumerate().map(attribute).collect(),
        };
        let function = FunctionProto {
            name: "F",
            domain: "own",
            overload: "second",
            inputs: vec!["a"],
            outputs: vec!["b"],
            attributes: vec!["k"],
            defaults: vec![AttributeProto { name: "l", value: Attribute::Int(1) }],
            nodes: vec![node.clone()],
            opset_imports: vec![OpsetImport { domain: "", version: 22 }],
        };
        let dims = vec![Dim::Size(0), Dim::Size(-1), Dim::Name("batch"), Dim::Unknown];
        let typed = |dims| Some(TensorTypeProto { elem_type: 1, dims });
        let graph = GraphProto {
            name: "g",
            nodes: vec![node],
            initializers: vec![tensor],
            sparse_initializers: 1,
            inputs: vec![
                ValueInfoProto { name: "x", tensor: typed(Some(dims)) },
                ValueInfoProto { name: "s", tensor: typed(Some(vec![])) },
            ],
            outputs: vec![ValueInfoProto { name: "y", tensor: typed(None) }],
            value_infos: vec![ValueInfoProto { name: "z", tensor: None }],
        };
        Model {
            ir_version: 10,
            opset_imports: vec![OpsetImport { domain: "", version: 22 }, OpsetImport { domain: "d", version: 0 }],
            producer_name: "reluctor",
            producer_version: "1",
            graph,
            functions: vec![function],
        }
    }

    #[test]
    fn what_is_written_is_read_back_equal() {
        let model = whole();
        assert_eq!(parse_model(&model.encode()).unwrap(), model);
        let tensor = &model.graph.initializers[0];
        assert_eq!(parse_tensor(&tensor.encode()).unwrap(), *tensor);
    }

    /// Of models by other tools, as far as they lie about. A NaN is unequal to itself, so texts are compared.
    #[test]
    fn files_of_other_tools_survive() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("target/onnx-suite")];
        let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/vision/assets/fashion_mnist.onnx")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.extension() {
                    _ if path.is_dir() => folders.push(path),
                    Some(extension) if extension == "onnx" => files.push(path),
                    _ => {}
                }
            }
        }
        for path in files {
            let file = std::fs::read(&path).unwrap();
            let model = parse_model(&file).unwrap();
            let written = model.encode();
            let again = parse_model(&written).unwrap();
            assert_eq!(format!("{again:?}"), format!("{model:?}"), "{}", path.display());
            assert_eq!(again.encode(), written);
        }
    }
}
