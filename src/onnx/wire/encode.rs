//! The writer. A message is the concatenation of its fields, so each function gives the bytes of one field.

use super::Wire;

/// A number, 7 bits a byte.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// An integer field.
pub fn int(number: u64, value: i64) -> Vec<u8> {
    [tag(number, Wire::Varint), varint(value.cast_unsigned())].concat()
}

/// A field of 32 bits.
pub fn float(number: u64, value: f32) -> Vec<u8> {
    [tag(number, Wire::Fixed32), value.to_le_bytes().to_vec()].concat()
}

/// A string field, or a message of the concatenated fields.
pub fn bytes(number: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [&tag(number, Wire::Bytes), &varint(value.len() as u64), value].concat()
}

/// A repeated field of numbers, packed into one; nothing where there are none.
pub fn packed<T: Copy, B: AsRef<[u8]>>(number: u64, values: &[T], encode: impl Fn(T) -> B) -> Vec<u8> {
    if values.is_empty() {
        return vec![];
    }
    let mut body = Vec::with_capacity(size_of_val(values));
    for &value in values {
        body.extend_from_slice(encode(value).as_ref());
    }
    bytes(number, body)
}

fn tag(number: u64, wire: Wire) -> Vec<u8> {
    varint(number << 3 | wire as u64)
}
