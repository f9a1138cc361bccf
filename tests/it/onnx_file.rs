//! ONNX files, written by hand: enough of protobuf to say what attributes a node has.

/// An attribute's value.
pub enum Value<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Text(&'a str),
}

/// One operator on an image `x` of `[n, c, h, w]` and, where there are any, filters `w`; the result is `y`.
pub fn file(
    op_type: &str,
    x: [usize; 4],
    filters: Option<([usize; 4], &[f32])>,
    attributes: &[(&str, Value)],
) -> Vec<u8> {
    let mut node = [text(1, "x"), filters.map_or(vec![], |_| text(1, "w")), text(2, "y"), text(4, op_type)].concat();
    for (name, value) in attributes {
        node.extend(message(5, &attribute(name, value)));
    }
    let mut graph = [message(1, &node), text(2, "graph")].concat();
    if let Some((shape, data)) = filters {
        graph.extend(message(5, &tensor("w", shape, data)));
    }
    graph.extend([message(11, &value_info("x", Some(x))), message(12, &value_info("y", None))].concat());
    let opset = number(2, 22);
    [number(1, 10), message(7, &graph), message(8, &opset)].concat()
}

fn attribute(name: &str, value: &Value) -> Vec<u8> {
    let (value, ty) = match value {
        Value::Int(int) => (number(3, *int as u64), 2),
        Value::Text(string) => (text(4, string), 3),
        Value::Ints(ints) => (ints.iter().flat_map(|&int| number(8, int as u64)).collect(), 7),
    };
    [text(1, name), value, number(20, ty)].concat()
}

/// A constant of FLOAT.
fn tensor(name: &str, shape: [usize; 4], data: &[f32]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|&size| number(1, size as u64)).collect();
    let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    [dims, number(2, 1), text(8, name), message(9, &raw)].concat()
}

fn value_info(name: &str, shape: Option<[usize; 4]>) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flatten().flat_map(|&size| message(1, &number(1, size as u64))).collect();
    let shape = shape.map_or(vec![], |_| message(2, &dims));
    let tensor = [number(1, 1), shape].concat();
    [text(1, name), message(2, &message(1, &tensor))].concat()
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn text(field: u64, text: &str) -> Vec<u8> {
    message(field, text.as_bytes())
}

fn message(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
