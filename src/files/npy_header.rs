//! The header of an `.npy` file: magic, version, length, and a Python dictionary of three keys.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. The dictionary is read by a
//! scanner of just its grammar and no recursion: general parsers of Python literals can be made to recurse or backtrack
//! for ever.

use super::source::Source;
use super::stored::Stored;
use crate::element::Element;
use crate::error::Result;
use crate::tensor::Shape;
use std::io::{self, Read};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// numpy itself refuses headers of more than 10,000 bytes; version 1 of the format cannot have more than this.
const MAX_BYTES: u32 = u16::MAX as u32;

/// numpy aligns the data to this many bytes.
const ALIGNMENT: usize = 64;

/// Reads a header and tells its length in bytes.
pub(super) fn read(mut reader: impl Read, source: &Source) -> Result<(Stored, u64)> {
    let (text, length) = read_text(&mut reader, source)?;
    let stored = parse(&text).map_err(|reason| source.invalid(format!("npy header: {reason}")))?;
    Ok((stored, length))
}

fn read_text(reader: &mut impl Read, source: &Source) -> Result<(String, u64)> {
    let [m @ .., major, _minor] = read_array::<8>(reader, source)?;
    if m != *MAGIC {
        return Err(source.invalid("not an npy array: its magic is missing"));
    }
    let (fixed, length) = match major {
        1 => (10, u32::from(u16::from_le_bytes(read_array(reader, source)?))),
        2 | 3 => (12, u32::from_le_bytes(read_array(reader, source)?)),
        _ => return Err(source.invalid(format!("npy version {major} is unknown"))),
    };
    if length > MAX_BYTES {
        return Err(source.invalid(format!("npy header of {length} bytes, at most {MAX_BYTES} are allowed")));
    }
    let mut text = vec![0; length as usize];
    reader.read_exact(&mut text).map_err(|e| source.failed(e))?;
    let text = String::from_utf8(text).map_err(|_| source.invalid("npy header is not text"))?;
    Ok((text, fixed + u64::from(length)))
}

fn read_array<const N: usize>(reader: &mut impl Read, source: &Source) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|e| source.failed(e))?;
    Ok(bytes)
}

/// The bytes of the header for a tensor that follows it row-major and little-endian: a multiple of 64 of them.
pub(super) fn of(shape: &[usize], element: Element) -> io::Result<Vec<u8>> {
    let descr = match element {
        Element::F16 => "<f2",
        // numpy has no type for the former, and this one has its numbers.
        Element::Bf16 | Element::F32 => "<f4",
        Element::F64 => "<f8",
        Element::I8 => "|i1",
        Element::I16 => "<i2",
        Element::I32 => "<i4",
        Element::I64 => "<i8",
        Element::U8 => "|u1",
        Element::U16 => "<u2",
        Element::U32 => "<u4",
        Element::U64 => "<u8",
        Element::Bool => "|b1",
    };
    let sizes: String = shape.iter().map(|size| format!("{size},")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let unpadded = MAGIC.len() + 2 + 2 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(ALIGNMENT) - unpadded));
    text.push('\n');
    let length = u16::try_from(text.len()).map_err(|_| io::Error::other("too many dimensions for npy"))?;
    Ok([MAGIC.as_slice(), &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat())
}

fn parse(text: &str) -> Result<Stored, String> {
    let mut text = Scanner { rest: text };
    let (mut descr, mut column_major, mut shape) = (None, None, None);
    text.expect('{')?;
    while !text.eat('}') {
        let key = text.string()?;
        text.expect(':')?;
        let repeated = match key {
            "descr" => descr.replace(text.dtype()?).is_some(),
            "fortran_order" => column_major.replace(text.truth()?).is_some(),
            "shape" => shape.replace(text.shape()?).is_some(),
            _ => return Err(format!("unknown key '{key}'")),
        };
        if repeated {
            return Err(format!("'{key}' is given twice"));
        }
        if !text.eat(',') {
            text.expect('}')?;
            break;
        }
    }
    text.expect_end()?;
    let (element, big_endian) = descr.ok_or("'descr' is missing")?;
    let column_major = column_major.ok_or("'fortran_order' is missing")?;
    Ok(Stored { element, big_endian, column_major, shape: shape.ok_or("'shape' is missing")? })
}

/// The part of the header's text that is still to be read. Every method skips the spaces before what it reads.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("expected '{token}' before {}", self.excerpt())) }
    }

    fn expect_end(&self) -> Result<(), String> {
        if self.rest.trim().is_empty() { Ok(()) } else { Err(format!("unexpected {}", self.excerpt())) }
    }

    /// A quoted string. None of the strings of a header needs an escape.
    fn string(&mut self) -> Result<&'a str, String> {
        let quote = ['\'', '"'].into_iter().find(|&quote| self.eat(quote));
        let quote = quote.ok_or_else(|| format!("expected a string before {}", self.excerpt()))?;
        let (string, rest) = self.rest.split_once(quote).ok_or("a string does not end")?;
        self.rest = rest;
        Ok(string)
    }

    fn truth(&mut self) -> Result<bool, String> {
        match self.word() {
            "True" => Ok(true),
            "False" => Ok(false),
            word => Err(format!("expected True or False, found '{word}'")),
        }
    }

    fn shape(&mut self) -> Result<Shape, String> {
        let mut shape = Shape::new();
        self.expect('(')?;
        while !self.eat(')') {
            // Python 2 wrote long integers as `3L`.
            let size = self.word().trim_end_matches('L');
            shape.push(size.parse().map_err(|_| format!("'{size}' is not a size"))?);
            if !self.eat(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }

    /// Element type, and whether it is big-endian.
    fn dtype(&mut self) -> Result<(Element, bool), String> {
        if self.rest.trim_start().starts_with(['[', '(']) {
            return Err("structured dtypes are not tensors".to_string());
        }
        let descr = self.string()?;
        let unsupported = || format!("dtype '{descr}' is neither real, integer nor boolean");
        let (order, name) = descr.split_at_checked(1).ok_or_else(unsupported)?;
        let element = match name {
            "f2" => Element::F16,
            "f4" => Element::F32,
            "f8" => Element::F64,
            "i1" => Element::I8,
            "i2" => Element::I16,
            "i4" => Element::I32,
            "i8" => Element::I64,
            "u1" => Element::U8,
            "u2" => Element::U16,
            "u4" => Element::U32,
            "u8" => Element::U64,
            "b1" => Element::Bool,
            "O" | "O4" | "O8" => return Err("dtype object: Python objects are never unpickled".to_string()),
            _ => return Err(unsupported()),
        };
        match order {
            "<" => Ok((element, false)),
            ">" => Ok((element, true)),
            "|" if element.size() == 1 => Ok((element, false)),
            _ => Err(format!("dtype '{descr}' has no byte order")),
        }
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn excerpt(&self) -> String {
        format!("'{}'", self.rest.trim().chars().take(20).collect::<String>())
    }
}
