//! How a tensor lies in a file: element type, byte order, storage order, shape; and the reading of it.

use super::source::Source;
use crate::element::Element;
use crate::error::Result;
use crate::tensor::{MAX_RANK, Shape, Tensor, array, checked_len, format_shape};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use std::io::{self, ErrorKind, Read};

/// Bytes read at a time: a multiple of every element's size.
const CHUNK: usize = 1 << 16;

/// What a header declares of the bytes that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub element: Element,
    pub big_endian: bool,
    /// First dimension fastest, as Fortran has it.
    pub column_major: bool,
    pub shape: Shape,
}

impl Stored {
    /// The bytes that the declared shape takes, or an error where no file could hold it.
    pub fn bytes(&self, source: &Source) -> Result<u64> {
        if self.shape.len() > MAX_RANK {
            return Err(source.invalid(format!("{} dimensions, at most {MAX_RANK} are allowed", self.shape.len())));
        }
        let len = checked_len(&self.shape).map_err(|e| source.invalid(e))?;
        Ok(len as u64 * self.element.size() as u64)
    }

    /// Reads the elements. Memory grows with the bytes that arrive, not with those declared.
    pub fn read(&self, mut reader: impl Read, source: &Source) -> Result<Tensor> {
        let bytes = Bytes { count: checked_len(&self.shape)?, big_endian: self.big_endian, reader: &mut reader };
        let tensor = match self.element {
            Element::F16 => self.real(bytes.map(|b| f16::from_le_bytes(b).to_f32())),
            Element::Bf16 => self.real(bytes.map(|b| bf16::from_le_bytes(b).to_f32())),
            Element::F32 => self.real(bytes.map(f32::from_le_bytes)),
            Element::F64 => self.real(bytes.map(|b| f64::from_le_bytes(b) as f32)),
            Element::I8 => self.int(bytes.map(|b| i8::from_le_bytes(b).into())),
            Element::I16 => self.int(bytes.map(|b| i16::from_le_bytes(b).into())),
            Element::I32 => self.int(bytes.map(|b| i32::from_le_bytes(b).into())),
            Element::I64 => self.int(bytes.map(i64::from_le_bytes)),
            Element::U8 => self.int(bytes.map(|b| u8::from_le_bytes(b).into())),
            Element::U16 => self.int(bytes.map(|b| u16::from_le_bytes(b).into())),
            Element::U32 => self.int(bytes.map(|b| u32::from_le_bytes(b).into())),
            Element::U64 => self.int(bytes.try_map(|b| i64::try_from(u64::from_le_bytes(b)).map_err(invalid_data))),
            Element::Bool => self.bool(bytes.try_map(truth)),
        };
        tensor.map_err(|e| source.failed(e))
    }

    fn real(&self, values: io::Result<Vec<f32>>) -> io::Result<Tensor> {
        self.arrange(values?).map(Tensor::Real)
    }

    fn int(&self, values: io::Result<Vec<i64>>) -> io::Result<Tensor> {
        self.arrange(values?).map(Tensor::Int)
    }

    fn bool(&self, values: io::Result<Vec<bool>>) -> io::Result<Tensor> {
        self.arrange(values?).map(Tensor::Bool)
    }

    /// The array in row-major order, whatever the order in the file.
    fn arrange<E: Clone>(&self, values: Vec<E>) -> io::Result<ArrayD<E>> {
        if self.column_major {
            let stored = ArrayD::from_shape_vec(IxDyn(&self.shape).f(), values).map_err(invalid_data)?;
            return array(&self.shape, stored.iter().cloned().collect()).map_err(invalid_data);
        }
        array(&self.shape, values).map_err(invalid_data)
    }
}

impl std::fmt::Display for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", format_shape(&self.shape), self.element)
    }
}

/// The elements still in the file, each to be taken as `N` bytes in little-endian order.
struct Bytes<'a, R> {
    count: usize,
    big_endian: bool,
    reader: &'a mut R,
}

impl<R: Read> Bytes<'_, R> {
    fn map<const N: usize, T>(self, convert: impl Fn([u8; N]) -> T) -> io::Result<Vec<T>> {
        self.try_map(|bytes| Ok(convert(bytes)))
    }

    fn try_map<const N: usize, T>(self, convert: impl Fn([u8; N]) -> io::Result<T>) -> io::Result<Vec<T>> {
        let mut chunk = vec![0; CHUNK.min(self.count * N)];
        let mut values = Vec::with_capacity(chunk.len() / N);
        while values.len() < self.count {
            let wanted = CHUNK.min((self.count - values.len()) * N);
            self.reader.read_exact(&mut chunk[..wanted])?;
            for &bytes in chunk[..wanted].as_chunks().0 {
                values.push(convert(if self.big_endian { reversed(bytes) } else { bytes })?);
            }
        }
        Ok(values)
    }
}

fn reversed<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    bytes.reverse();
    bytes
}

fn truth([byte]: [u8; 1]) -> io::Result<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(invalid_data(format!("{other} is not a truth value"))),
    }
}

fn invalid_data(reason: impl ToString) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason.to_string())
}
