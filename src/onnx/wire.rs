//! The Protocol Buffers wire format: a reader that borrows from the bytes and checks a size before it believes it, and a
//! writer.

pub mod encode;

use crate::error::{Error, Result};
use std::cell::Cell;
use std::fmt;

/// How deep messages may nest. A graph inside an attribute takes three levels, so this leaves room for twenty.
const MAX_DEPTH: usize = 64;

/// Field numbers have 29 bits, and 0 is not one of them.
const FIELD_NUMBERS: std::ops::Range<u64> = 1..1 << 29;

/// A 64-bit number, 7 bits a byte.
const MAX_VARINT_BYTES: usize = 10;

/// What a file of no length may make of itself in memory. Two bytes can declare a message of two hundred, and some tools
/// write small numbers one a byte that take eight here, so a file may take this much beyond its own length.
const MOST_BYTES: usize = 24 << 20;

/// A message type: how it takes in its fields.
pub trait Message<'a>: Default {
    /// Its name in the schema, for errors.
    const NAME: &'static str;

    /// Takes in one field, in the order of the bytes, and ignores one that it does not know.
    ///
    /// The format's rule for a field that comes again: a repeated one appends, a message merges, the last scalar wins.
    fn take(&mut self, field: Field<'a, '_>) -> Result<()>;
}

/// Takes the fields of a whole file into `message`. On an error it holds those before the fault.
pub fn merge<'a, M: Message<'a>>(message: &mut M, file: &'a [u8]) -> Result<()> {
    let budget = Cell::new(MOST_BYTES.saturating_add(file.len()));
    Reader { message: M::NAME, rest: file, offset: 0, depth: 0, budget: &budget }.fields_into(message)
}

/// How a field's value is laid out. Groups, long deprecated and never in ONNX, are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// 7 bits a byte, least significant first.
    Varint = 0,
    /// 8 bytes, little endian.
    Fixed64 = 1,
    /// A length and as many bytes: a string, a message or packed scalars.
    Bytes = 2,
    /// 4 bytes, little endian.
    Fixed32 = 5,
}

impl Wire {
    fn from_tag(tag: u64) -> Option<Self> {
        [Wire::Varint, Wire::Fixed64, Wire::Bytes, Wire::Fixed32].into_iter().find(|&wire| wire as u64 == tag & 7)
    }
}

/// A number that a field can hold, alone or repeated.
pub trait Scalar: Sized {
    /// Its layout.
    const WIRE: Wire;

    /// Reads one.
    fn read(reader: &mut Reader<'_, '_>) -> Result<Self>;
}

impl Scalar for u64 {
    const WIRE: Wire = Wire::Varint;
    fn read(reader: &mut Reader<'_, '_>) -> Result<Self> {
        reader.varint()
    }
}

impl Scalar for i64 {
    const WIRE: Wire = Wire::Varint;
    fn read(reader: &mut Reader<'_, '_>) -> Result<Self> {
        reader.varint().map(u64::cast_signed)
    }
}

impl Scalar for i32 {
    const WIRE: Wire = Wire::Varint;
    fn read(reader: &mut Reader<'_, '_>) -> Result<Self> {
        let wide = i64::read(reader)?;
        // Other readers cut it to 32 bits, by which 2^32 + 1 would pass for 1.
        i32::try_from(wide).map_err(|_| reader.invalid(format!("{wide} is not a 32-bit number")))
    }
}

impl Scalar for f32 {
    const WIRE: Wire = Wire::Fixed32;
    fn read(reader: &mut Reader<'_, '_>) -> Result<Self> {
        reader.array().map(f32::from_le_bytes)
    }
}

impl Scalar for f64 {
    const WIRE: Wire = Wire::Fixed64;
    fn read(reader: &mut Reader<'_, '_>) -> Result<Self> {
        reader.array().map(f64::from_le_bytes)
    }
}

/// One field of a message: its number, and a value that is read when its type is known.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a, 'b> {
    /// Its number in the schema.
    pub number: u32,
    wire: Wire,
    /// The value's bytes, without the tag and the length.
    body: Reader<'a, 'b>,
}

impl<'a, 'b> Field<'a, 'b> {
    /// The number that it holds.
    pub fn scalar<T: Scalar>(&self) -> Result<T> {
        self.expect(T::WIRE)?;
        T::read(&mut { self.body })
    }

    /// Appends the numbers that it holds: one, or many if it is packed. Readers must take both.
    pub fn append_to<T: Scalar>(&self, list: &mut Vec<T>) -> Result<()> {
        if self.wire != Wire::Bytes {
            self.expect(T::WIRE)?;
        }
        let mut body = self.body;
        while !body.rest.is_empty() {
            body.charge::<T>()?;
            list.push(T::read(&mut body)?);
        }
        Ok(())
    }

    /// The bytes that it holds.
    pub fn bytes(&self) -> Result<&'a [u8]> {
        self.expect(Wire::Bytes)?;
        self.body.charge::<&[u8]>()?;
        Ok(self.body.rest)
    }

    /// The UTF-8 text that it holds.
    pub fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|e| self.invalid(format!("field {}: {e}", self.number)))
    }

    /// The message that it holds.
    pub fn message<M: Message<'a>>(&self) -> Result<M> {
        let mut message = M::default();
        self.merge_into(&mut message)?;
        Ok(message)
    }

    /// Takes the fields of the message that it holds into `message`.
    pub fn merge_into<M: Message<'a>>(&self, message: &mut M) -> Result<()> {
        self.expect(Wire::Bytes)?;
        if self.body.depth == MAX_DEPTH {
            return Err(self.invalid(format!("messages nest deeper than {MAX_DEPTH}")));
        }
        self.body.charge::<M>()?;
        Reader { message: M::NAME, depth: self.body.depth + 1, ..self.body }.fields_into(message)
    }

    /// An error at this field.
    pub fn invalid(&self, reason: impl fmt::Display) -> Error {
        self.body.invalid(reason)
    }

    fn expect(&self, wire: Wire) -> Result<()> {
        if self.wire == wire {
            return Ok(());
        }
        Err(self.invalid(format!("field {} is laid out as {:?}, not as {wire:?}", self.number, self.wire)))
    }
}

/// A position in the bytes of one message. Copying it is looking ahead.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a, 'b> {
    message: &'static str,
    rest: &'a [u8],
    /// Of `rest`, in the file.
    offset: usize,
    depth: usize,
    /// The bytes of memory that the whole file may still take.
    budget: &'b Cell<usize>,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn fields_into<M: Message<'a>>(mut self, message: &mut M) -> Result<()> {
        while !self.rest.is_empty() {
            message.take(self.field()?)?;
        }
        Ok(())
    }

    fn field(&mut self) -> Result<Field<'a, 'b>> {
        let start = *self;
        let tag = self.varint()?;
        let number = tag >> 3;
        if !FIELD_NUMBERS.contains(&number) {
            return Err(start.invalid(format!("{number} is not a field number")));
        }
        let Some(wire) = Wire::from_tag(tag) else {
            return Err(start.invalid(format!("field {number} has the unknown wire type {}", tag & 7)));
        };
        Ok(Field { number: number as u32, wire, body: self.body(wire)? })
    }

    fn body(&mut self, wire: Wire) -> Result<Reader<'a, 'b>> {
        let len = match wire {
            Wire::Varint => {
                let mut ahead = *self;
                ahead.varint()?;
                (ahead.offset - self.offset) as u64
            }
            Wire::Fixed32 => 4,
            Wire::Fixed64 => 8,
            Wire::Bytes => self.varint()?,
        };
        let Some((body, _)) = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len)) else {
            return Err(self.invalid(format!("ends early: {len} bytes announced, {} left", self.rest.len())));
        };
        let start = *self;
        self.advance(body.len());
        Ok(Reader { rest: body, ..start })
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for (i, &byte) in self.rest.iter().take(MAX_VARINT_BYTES).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                // The tenth byte holds the one bit that is left.
                if i + 1 == MAX_VARINT_BYTES && byte > 1 {
                    break;
                }
                self.advance(i + 1);
                return Ok(value);
            }
        }
        let cut = self.rest.len() < MAX_VARINT_BYTES;
        Err(self.invalid(if cut { "ends within a number" } else { "a number of more than 64 bits" }))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some(&array) = self.rest.first_chunk() else {
            return Err(self.invalid("ends within a number"));
        };
        self.advance(N);
        Ok(array)
    }

    /// Takes note that a `T` will be kept.
    fn charge<T>(&self) -> Result<()> {
        let left = self.budget.get().checked_sub(size_of::<T>());
        let refused = || self.invalid("so many small parts take far more memory than the file is long");
        self.budget.set(left.ok_or_else(refused)?);
        Ok(())
    }

    /// `len` is at most what is left.
    fn advance(&mut self, len: usize) {
        self.rest = &self.rest[len..];
        self.offset += len;
    }

    fn invalid(&self, reason: impl fmt::Display) -> Error {
        Error::invalid(format!("{} at byte {}", self.message, self.offset), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Sample<'a> {
        number: i64,
        small: i32,
        text: &'a str,
        reals: Vec<f32>,
        doubles: Vec<f64>,
        ints: Vec<i64>,
        child: Option<Box<Sample<'a>>>,
    }

    impl<'a> Message<'a> for Sample<'a> {
        const NAME: &'static str = "Sample";
        fn take(&mut self, field: Field<'a, '_>) -> Result<()> {
            match field.number {
                1 => self.number = field.scalar()?,
                2 => self.small = field.scalar()?,
                3 => self.text = field.text()?,
                4 => field.append_to(&mut self.reals)?,
                5 => field.append_to(&mut self.doubles)?,
                6 => field.append_to(&mut self.ints)?,
                7 => field.merge_into(&mut **self.child.get_or_insert_default())?,
                _ => {}
            }
            Ok(())
        }
    }

    fn read(bytes: &[u8]) -> Result<Sample<'_>> {
        let mut sample = Sample::default();
        merge(&mut sample, bytes).map(|()| sample)
    }

    fn refusal(bytes: &[u8]) -> String {
        read(bytes).expect_err("these bytes are hostile").to_string()
    }

    #[test]
    fn numbers_span_their_whole_range() {
        for value in [0, 1, -1, 127, 128, i64::MAX, i64::MIN] {
            assert_eq!(read(&encode::int(1, value)).unwrap().number, value);
        }
        assert_eq!(read(&encode::int(2, -5)).unwrap().small, -5);
        assert!(refusal(&encode::int(2, (1 << 32) + 1)).contains("4294967297 is not a 32-bit number"));
    }

    #[test]
    fn repeated_numbers_may_be_packed_or_not() {
        let packed = [encode::varint(1), encode::varint(300)].concat();
        let bytes = [encode::int(6, -1), encode::bytes(6, packed), encode::int(6, 2)].concat();
        assert_eq!(read(&bytes).unwrap().ints, [-1, 1, 300, 2]);
        let bytes = [encode::float(4, 0.5), encode::bytes(4, 1.5f32.to_le_bytes())].concat();
        assert_eq!(read(&bytes).unwrap().reals, [0.5, 1.5]);
        assert_eq!(read(&encode::bytes(5, 2.5f64.to_le_bytes())).unwrap().doubles, [2.5]);
    }

    #[test]
    fn a_field_that_comes_again_appends_merges_or_wins() {
        let first = encode::bytes(7, [encode::int(1, 1), encode::int(6, 1)].concat());
        let second = encode::bytes(7, [encode::int(1, 2), encode::int(6, 2)].concat());
        let bytes = [first, second].concat();
        let child = read(&bytes).unwrap().child.unwrap();
        assert_eq!((child.number, child.ints), (2, vec![1, 2]));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let fixed64 = [encode::varint(99 << 3 | 1), vec![0; 8]].concat();
        let unknown = [encode::int(99, 5), encode::float(99, 1.0), fixed64, encode::bytes(99, "skipped")].concat();
        assert_eq!(read(&[unknown, encode::bytes(3, "kept")].concat()).unwrap().text, "kept");
    }

    #[test]
    fn hostile_bytes_are_refused_with_their_position() {
        let eleven_bytes = [vec![0x08], vec![0xff; 10], vec![0x01]].concat();
        let tenth_too_large = [vec![0x08], vec![0xff; 9], vec![0x02]].concat();
        let length = |len| [vec![0x1a], encode::varint(len)].concat();
        let cases: [(&[u8], &str); 13] = [
            (&[0x00, 0x00], "Sample at byte 0: 0 is not a field number"),
            (&encode::varint(1 << 32), "536870912 is not a field number"),
            (&[0x0b], "field 1 has the unknown wire type 3"),
            (&[0x0c], "unknown wire type 4"),
            (&[0x0f], "unknown wire type 7"),
            (&[0x08, 0x80], "Sample at byte 1: ends within a number"),
            (&eleven_bytes, "a number of more than 64 bits"),
            (&tenth_too_large, "a number of more than 64 bits"),
            (&length(1 << 63), "9223372036854775808 bytes announced, 0 left"),
            (&length(u64::MAX), "ends early"),
            (&[0x25, 0, 0, 0], "4 bytes announced, 3 left"),
            (&encode::bytes(4, [0; 5]), "ends within a number"),
            (&encode::bytes(3, [0xff]), "invalid utf-8"),
        ];
        for (bytes, reason) in cases {
            assert!(refusal(bytes).contains(reason), "{bytes:x?} gave {}", refusal(bytes));
        }
    }

    #[test]
    fn a_field_of_another_layout_is_refused() {
        for bytes in [encode::bytes(1, "1"), encode::int(3, 1), encode::int(4, 1), encode::float(6, 1.0)] {
            assert!(refusal(&bytes).contains("laid out as"), "{bytes:x?}");
        }
    }

    #[test]
    fn many_small_parts_are_refused_before_they_fill_the_memory() {
        let packed = |count| encode::bytes(6, vec![0; count]);
        assert_eq!(read(&packed(MOST_BYTES / 8)).unwrap().ints.len(), MOST_BYTES / 8);
        assert!(refusal(&packed(MOST_BYTES / 4)).contains("many small parts"));
        assert!(refusal(&encode::bytes(7, []).repeat(1 << 20)).contains("many small parts"));
        assert!(read(&encode::bytes(99, []).repeat(1 << 20)).is_ok(), "what is skipped takes nothing");
    }

    #[test]
    fn messages_nest_to_the_limit_and_no_deeper() {
        let nested = |depth| (0..depth).fold(vec![], |inner, _| encode::bytes(7, inner));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert!(refusal(&nested(MAX_DEPTH + 1)).contains("nest deeper than 64"));
        assert!(read(&nested(5_000)).is_err());
    }
}
