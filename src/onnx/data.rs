//! A tensor's elements: from whichever field holds them to an array of this engine, and back.

use super::external::External;
use super::proto::TensorProto;
use crate::element::Element;
use crate::error::{Error, Result, UnsupportedNode};
use crate::tensor::{Kind, MAX_RANK, Shape, Tensor, array, checked_len};
use half::{bf16, f16};
use std::borrow::Cow;
use std::fmt;

/// `TensorProto.DataType`, by number, and those that this engine reads.
const TYPES: [(&str, Option<Element>); 27] = [
    ("UNDEFINED", None),
    ("FLOAT", Some(Element::F32)),
    ("UINT8", Some(Element::U8)),
    ("INT8", Some(Element::I8)),
    ("UINT16", Some(Element::U16)),
    ("INT16", Some(Element::I16)),
    ("INT32", Some(Element::I32)),
    ("INT64", Some(Element::I64)),
    ("STRING", None),
    ("BOOL", Some(Element::Bool)),
    ("FLOAT16", Some(Element::F16)),
    ("DOUBLE", Some(Element::F64)),
    ("UINT32", Some(Element::U32)),
    ("UINT64", Some(Element::U64)),
    ("COMPLEX64", None),
    ("COMPLEX128", None),
    ("BFLOAT16", Some(Element::Bf16)),
    ("FLOAT8E4M3FN", None),
    ("FLOAT8E4M3FNUZ", None),
    ("FLOAT8E5M2", None),
    ("FLOAT8E5M2FNUZ", None),
    ("UINT4", None),
    ("INT4", None),
    ("FLOAT4E2M1", None),
    ("FLOAT8E8M0", None),
    ("UINT2", None),
    ("INT2", None),
];

/// The name in `onnx.proto` of an element type.
pub fn type_name(data_type: i32) -> &'static str {
    row(data_type).map_or("unknown", |(name, _)| name)
}

/// The element type of a number.
///
/// # Errors
/// It holds strings, complex numbers, floats of less than 16 bits or integers of less than 8, or the number names none.
pub fn element(data_type: i32) -> Result<Element> {
    row(data_type).and_then(|(_, element)| element).ok_or_else(|| unsupported(data_type))
}

fn unsupported(data_type: i32) -> Error {
    if row(data_type).is_none_or(|(name, _)| name == "UNDEFINED") {
        return Error::invalid(format!("element type {data_type}"), "is not one of ONNX's");
    }
    let node = UnsupportedNode {
        node: type_name(data_type).to_string(),
        op_type: "element type".to_string(),
        reason: "tensors of it are not supported".to_string(),
    };
    Error::Unsupported { file: "tensor".to_string(), nodes: vec![node] }
}

fn row(data_type: i32) -> Option<(&'static str, Option<Element>)> {
    TYPES.get(usize::try_from(data_type).ok()?).copied()
}

/// The tensor that `proto` describes. Floats become f32: narrower ones exactly, doubles rounded. Integers become i64.
///
/// # Errors
/// Its element type is not supported; a size is negative, or their product overflows; its elements are too few or too
/// many, in two fields, or in that of another type; one is out of its type's range; [`External::read`] fails.
pub fn tensor(proto: &TensorProto, external: &External) -> Result<Tensor> {
    let source = Source::of(proto, external)?;
    match type_name(proto.data_type) {
        "FLOAT" => source.reals(f32::from_le_bytes, &proto.float_data, |x| x),
        "DOUBLE" => source.reals(f64::from_le_bytes, &proto.double_data, |x| x as f32),
        "FLOAT16" => source.reals(u16::from_le_bytes, &proto.int32_data, |bits| f16::from_bits(bits).to_f32()),
        "BFLOAT16" => source.reals(u16::from_le_bytes, &proto.int32_data, |bits| bf16::from_bits(bits).to_f32()),
        "INT8" => source.ints(i8::from_le_bytes, &proto.int32_data),
        "INT16" => source.ints(i16::from_le_bytes, &proto.int32_data),
        "INT32" => source.ints(i32::from_le_bytes, &proto.int32_data),
        "INT64" => source.ints(i64::from_le_bytes, &proto.int64_data),
        "UINT8" => source.ints(u8::from_le_bytes, &proto.int32_data),
        "UINT16" => source.ints(u16::from_le_bytes, &proto.int32_data),
        "UINT32" => source.ints(u32::from_le_bytes, &proto.uint64_data),
        "UINT64" => source.ints(u64::from_le_bytes, &proto.uint64_data),
        "BOOL" => source.bools(&proto.int32_data),
        _ => Err(match unsupported(proto.data_type) {
            Error::Unsupported { nodes, .. } => Error::Unsupported { file: format!("tensor '{}'", proto.name), nodes },
            error => fault(proto, error),
        }),
    }
}

/// The number of an element type.
pub fn data_type(element: Element) -> i32 {
    TYPES.iter().position(|&(_, known)| known == Some(element)).expect("the table has each element type") as i32
}

/// The message that holds a tensor, its elements in the field for their type.
pub fn to_proto<'a>(name: &'a str, tensor: &Tensor) -> TensorProto<'a> {
    to_proto_as(name, tensor, Element::I64)
}

/// The same, integers in this type of theirs: they wrap.
pub fn to_proto_as<'a>(name: &'a str, tensor: &Tensor, integers: Element) -> TensorProto<'a> {
    let element = if tensor.kind() == Kind::Int { integers } else { Element::of(tensor.kind()) };
    let dims = tensor.shape().iter().map(|&size| size as i64).collect();
    let mut proto = TensorProto { name, dims, data_type: data_type(element), ..TensorProto::default() };
    let wrapped = |x: &i64| element.wrapped(*x).unwrap_or(*x);
    match tensor {
        Tensor::Real(array) => proto.float_data = array.iter().copied().collect(),
        Tensor::Int(array) => match element {
            Element::I64 => proto.int64_data = array.iter().copied().collect(),
            Element::U32 | Element::U64 => proto.uint64_data = array.iter().map(|x| wrapped(x) as u64).collect(),
            _ => proto.int32_data = array.iter().map(|x| wrapped(x) as i32).collect(),
        },
        Tensor::Bool(array) => proto.int32_data = array.iter().map(|&truth| i32::from(truth)).collect(),
    }
    proto
}

/// A tensor's elements before their type is known.
struct Source<'p> {
    proto: &'p TensorProto<'p>,
    external: &'p External,
    shape: Shape,
    /// How many elements the shape calls for.
    len: usize,
    place: Place<'p>,
}

/// Where they are.
enum Place<'p> {
    Raw(&'p [u8]),
    External,
    /// In the field for their type.
    Typed,
}

impl<'p> Place<'p> {
    /// Elements in two places mean one thing to this reader and another to the next, so there must be one.
    fn of(proto: &'p TensorProto<'p>) -> Result<Self> {
        let places = [
            proto.raw_data.is_some(),
            !proto.external_data.is_empty(),
            !proto.float_data.is_empty(),
            !proto.int32_data.is_empty(),
            !proto.int64_data.is_empty(),
            !proto.double_data.is_empty(),
            !proto.uint64_data.is_empty(),
            proto.strings > 0,
        ];
        if places.into_iter().filter(|&there| there).count() > 1 {
            return Err(fault(proto, "has elements in more than one place"));
        }
        match (proto.data_location, proto.raw_data, proto.external_data.as_slice()) {
            (0, Some(raw), []) => Ok(Place::Raw(raw)),
            (0, None, []) => Ok(Place::Typed),
            (1, None, [_, ..]) => Ok(Place::External),
            (location, ..) => Err(fault(proto, format!("data location {location} is not where its elements are"))),
        }
    }
}

impl<'p> Source<'p> {
    fn of(proto: &'p TensorProto<'p>, external: &'p External) -> Result<Self> {
        if proto.dims.len() > MAX_RANK {
            return Err(fault(proto, format!("has {} dimensions, at most {MAX_RANK} are allowed", proto.dims.len())));
        }
        let size = |&size| usize::try_from(size).map_err(|_| fault(proto, format!("has the size {size}")));
        let shape = proto.dims.iter().map(size).collect::<Result<Shape>>()?;
        let len = checked_len(&shape).map_err(|e| fault(proto, e))?;
        Ok(Source { proto, external, shape, len, place: Place::of(proto)? })
    }

    fn reals<const N: usize, P, S: Copy + TryInto<P>>(
        &self,
        raw: impl Fn([u8; N]) -> P,
        typed: &[S],
        value: impl Fn(P) -> f32,
    ) -> Result<Tensor> {
        let values = self.values(raw, typed, |element| Some(value(element)))?;
        array(&self.shape, values).map(Tensor::Real)
    }

    fn ints<const N: usize, P: TryInto<i64>, S: Copy + TryInto<P>>(
        &self,
        raw: impl Fn([u8; N]) -> P,
        typed: &[S],
    ) -> Result<Tensor> {
        let values = self.values(raw, typed, |element| element.try_into().ok())?;
        array(&self.shape, values).map(Tensor::Int)
    }

    fn bools(&self, typed: &[i32]) -> Result<Tensor> {
        let truth = |byte| [false, true].get(usize::from(byte)).copied();
        array(&self.shape, self.values(u8::from_le_bytes, typed, truth)?).map(Tensor::Bool)
    }

    /// The elements: of N bytes each where they are raw, else those of the typed field, which may be of a wider type.
    fn values<const N: usize, P, S: Copy + TryInto<P>, V>(
        &self,
        raw: impl Fn([u8; N]) -> P,
        typed: &[S],
        value: impl Fn(P) -> Option<V>,
    ) -> Result<Vec<V>> {
        // A product that saturates is longer than any field and any file.
        let size = self.len.saturating_mul(N);
        let bytes = match self.place {
            Place::Typed => return self.collect(typed.iter().map(|&element| value(element.try_into().ok()?))),
            Place::Raw(bytes) => Cow::Borrowed(bytes),
            Place::External => Cow::Owned(self.external.read(self.proto, size)?),
        };
        if bytes.len() != size {
            return Err(fault(self.proto, format!("has {} bytes, but its shape calls for {size}", bytes.len())));
        }
        self.collect(bytes.as_chunks().0.iter().map(|&element| value(raw(element))))
    }

    /// Nothing is allocated before it is known that the file has as many elements as the shape calls for.
    fn collect<V>(&self, elements: impl ExactSizeIterator<Item = Option<V>>) -> Result<Vec<V>> {
        let (count, len) = (elements.len(), self.len);
        if count != len {
            let name = type_name(self.proto.data_type);
            return Err(fault(self.proto, format!("has {count} elements of {name}, but its shape calls for {len}")));
        }
        let mut values = Vec::with_capacity(len);
        for element in elements {
            values.push(element.ok_or_else(|| fault(self.proto, "has an element out of range"))?);
        }
        Ok(values)
    }
}

fn fault(proto: &TensorProto, reason: impl fmt::Display) -> Error {
    Error::invalid(format!("tensor '{}'", proto.name), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::ELEMENTS;
    use crate::onnx::proto::parse_tensor;
    use crate::onnx::wire::encode;

    const FLOAT: i32 = 1;
    const INT32: i32 = 6;
    const INT64: i32 = 7;

    fn proto<'a>(data_type: i32, dims: &[i64]) -> TensorProto<'a> {
        TensorProto { name: "w", data_type, dims: dims.to_vec(), ..TensorProto::default() }
    }

    fn read(proto: &TensorProto) -> Result<Tensor> {
        tensor(proto, &External::none())
    }

    fn refusal(proto: &TensorProto) -> String {
        read(proto).expect_err("this tensor is hostile").to_string()
    }

    #[test]
    fn reals_of_each_width_are_read_raw_and_typed() {
        let bits = |bits: u16| vec![i32::from(bits)];
        let half = f16::from_f32(-1.5);
        let brain = bf16::from_f32(-1.5);
        let cases = [
            (1, (-1.5f32).to_le_bytes().to_vec(), TensorProto { float_data: vec![-1.5], ..proto(1, &[1]) }),
            (11, (-1.5f64).to_le_bytes().to_vec(), TensorProto { double_data: vec![-1.5], ..proto(11, &[1]) }),
            (10, half.to_le_bytes().to_vec(), TensorProto { int32_data: bits(half.to_bits()), ..proto(10, &[1]) }),
            (16, brain.to_le_bytes().to_vec(), TensorProto { int32_data: bits(brain.to_bits()), ..proto(16, &[1]) }),
        ];
        for (data_type, raw, typed) in cases {
            let raw = TensorProto { raw_data: Some(&raw), ..proto(data_type, &[1]) };
            let expected = Tensor::real(&[1], vec![-1.5]).unwrap();
            assert_eq!(read(&raw).unwrap(), expected, "raw {}", type_name(data_type));
            assert_eq!(read(&typed).unwrap(), expected, "typed {}", type_name(data_type));
        }
    }

    #[test]
    fn integers_keep_their_sign_at_each_width() {
        for (data_type, width, value) in
            [(3, 1, -1), (5, 2, -1), (6, 4, -1), (7, 8, -1), (2, 1, 255), (4, 2, 65_535), (12, 4, 4_294_967_295)]
        {
            let raw = TensorProto { raw_data: Some(&[0xff; 8][..width]), ..proto(data_type, &[1]) };
            assert_eq!(read(&raw).unwrap(), Tensor::ints(vec![value]), "raw {}", type_name(data_type));
            let mut typed = proto(data_type, &[1]);
            match data_type {
                7 => typed.int64_data = vec![value],
                12 => typed.uint64_data = vec![value as u64],
                _ => typed.int32_data = vec![value as i32],
            }
            assert_eq!(read(&typed).unwrap(), Tensor::ints(vec![value]), "typed {}", type_name(data_type));
        }
    }

    #[test]
    fn a_value_out_of_its_types_range_is_refused() {
        let uint64 = TensorProto { raw_data: Some(&[0xff; 8]), ..proto(13, &[1]) };
        let int8 = TensorProto { int32_data: vec![128], ..proto(3, &[1]) };
        let half = TensorProto { int32_data: vec![-1], ..proto(10, &[1]) };
        let truth = TensorProto { raw_data: Some(&[2]), ..proto(9, &[1]) };
        for hostile in [uint64, int8, half, truth] {
            assert!(refusal(&hostile).contains("out of range"), "{hostile:?}");
        }
    }

    #[test]
    fn booleans_scalars_and_empty_tensors_are_read() {
        let truths = TensorProto { raw_data: Some(&[0, 1]), ..proto(9, &[2]) };
        assert_eq!(read(&truths).unwrap(), Tensor::Bool(array(&[2], vec![false, true]).unwrap()));
        let scalar = TensorProto { float_data: vec![7.0], ..proto(FLOAT, &[]) };
        assert_eq!(read(&scalar).unwrap().shape(), &[] as &[usize]);
        assert!(read(&proto(INT64, &[2, 0])).unwrap().is_empty());
    }

    #[test]
    fn bits_of_special_reals_survive() {
        let bits = [f32::NAN.to_bits(), f32::NEG_INFINITY.to_bits(), 1, (-0.0f32).to_bits()];
        let raw = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<_>>();
        let tensor = read(&TensorProto { raw_data: Some(&raw), ..proto(FLOAT, &[4]) }).unwrap();
        let read = tensor.as_real().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(read, bits);
    }

    #[test]
    fn a_tensor_that_contradicts_itself_is_refused() {
        let floats = |count| TensorProto { float_data: vec![0.0; count], ..proto(FLOAT, &[2]) };
        let cases = [
            (TensorProto { raw_data: Some(&[0; 8]), ..floats(2) }, "more than one place"),
            (TensorProto { raw_data: Some(&[]), ..floats(2) }, "more than one place"),
            (TensorProto { int32_data: vec![0; 2], ..floats(2) }, "more than one place"),
            (TensorProto { external_data: vec![("location", "w")], ..floats(2) }, "more than one place"),
            (TensorProto { external_data: vec![("location", "w")], ..floats(0) }, "data location 0"),
            (TensorProto { data_location: 1, ..floats(2) }, "data location 1"),
            (TensorProto { data_location: 2, ..floats(2) }, "data location 2"),
            (floats(1), "has 1 elements of FLOAT, but its shape calls for 2"),
            (floats(3), "has 3 elements"),
            (TensorProto { data_type: INT32, ..floats(2) }, "has 0 elements of INT32"),
            (TensorProto { raw_data: Some(&[0; 7]), ..proto(FLOAT, &[2]) }, "has 7 bytes, but its shape calls for 8"),
            (proto(FLOAT, &[2]), "has 0 elements"),
            (proto(FLOAT, &[1, -1]), "has the size -1"),
            (proto(FLOAT, &[1 << 32, 1 << 32]), "more elements than memory can hold"),
            (proto(FLOAT, &[i64::MAX]), "more elements than memory can hold"),
            (proto(FLOAT, &[0, i64::MAX, 3]), "more elements than memory can hold"),
            (proto(FLOAT, &[1 << 58]), "has 0 elements"),
        ];
        for (hostile, reason) in cases {
            let error = refusal(&hostile);
            assert!(error.starts_with("tensor 'w': ") && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_type_is_read_exactly_when_the_table_has_an_element_for_it() {
        const STRINGS: &str =
            "tensor 'w': 1 unsupported node(s): element type 'STRING': tensors of it are not supported";
        for data_type in -1..=TYPES.len() as i32 {
            let read = read(&proto(data_type, &[0])).map(|tensor| tensor.kind());
            assert_eq!(read.ok(), element(data_type).ok().map(Element::kind), "{}", type_name(data_type));
        }
        assert_eq!(refusal(&proto(8, &[0])), STRINGS);
        assert_eq!(element(99).unwrap_err().to_string(), "element type 99: is not one of ONNX's");
    }

    #[test]
    fn a_tensor_of_each_kind_survives_its_message() {
        let reals = Tensor::real(&[1, 2], vec![f32::INFINITY, -0.0]).unwrap();
        let truths = Tensor::Bool(array(&[2], vec![false, true]).unwrap());
        for tensor in [reals, Tensor::real(&[], vec![2.5]).unwrap(), Tensor::ints(vec![-1, i64::MAX]), truths] {
            assert_eq!(read(&to_proto("t", &tensor)).unwrap(), tensor);
        }
        let small = Tensor::ints(vec![0, 127]);
        for element in ELEMENTS.into_iter().filter(|element| element.kind() == Kind::Int) {
            let proto = to_proto_as("t", &small, element);
            assert_eq!((proto.data_type, read(&proto).unwrap()), (data_type(element), small.clone()));
        }
    }

    #[test]
    fn a_tensor_file_is_read_from_its_bytes() {
        let file = [encode::bytes(1, [2]), encode::int(2, 7), encode::bytes(7, [3, 4])].concat();
        assert_eq!(read(&parse_tensor(&file).unwrap()).unwrap(), Tensor::ints(vec![3, 4]));
    }
}
