//! Model files byte by byte, for what no builder would write.

use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field that is a number.
pub fn int(field: u64, value: i64) -> Vec<u8> {
    [varint(field << 3), varint(value as u64)].concat()
}

/// A field that is bytes, text or a message.
pub fn field(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A file around the fields of a graph.
pub fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    [int(1, 8), field(8, int(2, 17)), field(7, graph.concat())].concat()
}

pub fn node(op_type: &str, inputs: &[&str], outputs: &[&str], rest: &[Vec<u8>]) -> Vec<u8> {
    let names = |number, names: &[&str]| names.iter().map(|name| field(number, name)).collect::<Vec<_>>().concat();
    field(1, [names(1, inputs), names(2, outputs), field(4, op_type), rest.concat()].concat())
}

/// A function from `a` to `b` whose nodes each call another one, with these results.
pub fn function(name: &str, called: &str, results: &[&str]) -> Vec<u8> {
    let call = |y: &&str| field(7, [field(1, "a"), field(2, y), field(4, called)].concat());
    let calls: Vec<u8> = results.iter().flat_map(call).collect();
    field(25, [field(1, name), field(4, "a"), field(5, "b"), calls].concat())
}

/// An initializer: its sizes, its element type and where its elements are.
pub fn tensor(name: &str, dims: &[i64], data_type: i64, rest: &[Vec<u8>]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&size| int(1, size)).collect();
    field(5, [dims, int(2, data_type), field(8, name), rest.concat()].concat())
}

/// The input `x` of reals with these sizes.
pub fn input(dims: &[i64]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&size| field(1, int(1, size))).collect();
    field(11, [field(1, "x"), field(2, field(1, [int(1, 1), field(2, dims)].concat()))].concat())
}

/// An output by its name.
pub fn output(name: &str) -> Vec<u8> {
    field(12, field(1, name))
}

/// A network that adds its one initializer `w` to an input of two numbers.
pub fn sum_with(w: Vec<u8>) -> Vec<u8> {
    model(&[w, node("Add", &["x", "w"], &["y"], &[]), input(&[2]), output("y")])
}

/// A node `n` whose first tensor is the network's input, of random numbers or those that are fed, and whose others are
/// constants.
pub fn one_node(op_type: &str, inputs: &[Tensor], attributes: &[(&str, AttributeValue)]) -> Vec<u8> {
    let mut model = ModelBuilder::new(17);
    let names: Vec<String> = (0..inputs.len()).map(|at| if at == 0 { "x".into() } else { format!("c{at}") }).collect();
    for (at, (name, tensor)) in names.iter().zip(inputs).enumerate() {
        match at {
            0 => model.input(name, &TensorType { kind: tensor.kind(), shape: tensor.shape().to_vec() }),
            _ => model.initializer(name, tensor),
        };
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    model.node(op_type, "n", &names, &["y"], attributes).output("y", None).to_bytes()
}

/// Reals that do not matter.
pub fn reals(shape: &[usize]) -> Tensor {
    Tensor::real(shape, vec![0.5; shape.iter().product()]).unwrap()
}
