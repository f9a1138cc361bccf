//! What the elements of tensors are in files: more types than the three kinds that this engine computes with, and what a cast
//! to each makes of a number.

use crate::tensor::Kind;
use std::fmt;

/// The types of elements that become reals, integers or truth values. [`fmt::Display`] is numpy's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Element {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

use Element::*;

/// All of them.
pub const ELEMENTS: [Element; 13] = [F16, Bf16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64, Bool];

impl Element {
    /// The type that a kind's tensors have in this engine.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Real => F32,
            Kind::Int => I64,
            Kind::Bool => Bool,
        }
    }

    /// What this engine makes of it.
    pub fn kind(self) -> Kind {
        match self {
            F16 | Bf16 | F32 | F64 => Kind::Real,
            I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64 => Kind::Int,
            Bool => Kind::Bool,
        }
    }

    /// Bytes an element.
    pub fn size(self) -> usize {
        match self {
            I8 | U8 | Bool => 1,
            F16 | Bf16 | I16 | U16 => 2,
            F32 | I32 | U32 => 4,
            F64 | I64 | U64 => 8,
        }
    }

    /// The smallest and the largest integer of the type that is an i64 too; of reals and truth values none is asked for.
    pub fn range(self) -> [i64; 2] {
        match self {
            I8 => [i8::MIN.into(), i8::MAX.into()],
            I16 => [i16::MIN.into(), i16::MAX.into()],
            I32 => [i32::MIN.into(), i32::MAX.into()],
            U8 => [0, u8::MAX.into()],
            U16 => [0, u16::MAX.into()],
            U32 => [0, u32::MAX.into()],
            U64 => [0, i64::MAX],
            _ => [i64::MIN, i64::MAX],
        }
    }

    /// The nearest number that the type has, of two the even one; beyond its largest one an infinity. f32 and f64 leave a
    /// number as it is: reals are f32 on a device, and what the reference has in f64 is to be as exact as it can be.
    pub fn nearest(self, x: f64) -> f64 {
        match self {
            F16 => rounded(x, 11, -14, 65_504.0),
            Bf16 => rounded(x, 8, -126, f64::from(half::bf16::MAX.to_f32())),
            _ => x,
        }
    }

    /// A real without its fraction. ONNX leaves open what a type makes of reals beyond it; this is what ONNX Runtime and numpy
    /// make of them on x86 processors: a real is an i32 first, an i64 where the type is `uint32` or has 64 bits, the least one
    /// where it is beyond that or NaN, and [wraps](Self::wrapped) then.
    pub fn truncated(self, x: f64) -> Option<i64> {
        let least = match self {
            I8 | U8 | I16 | U16 | I32 => i32::MIN.into(),
            _ => i64::MIN,
        };
        // A power of two, as a real exactly.
        let beyond = -(least as f64);
        let whole = x.trunc();
        let fits = whole >= -beyond && whole < beyond;
        self.wrapped(if fits { whole as i64 } else { least })
    }

    /// The lowest bits of an integer, as many as the type has; none for an `uint64` that is no i64.
    pub fn wrapped(self, x: i64) -> Option<i64> {
        match self {
            I8 => Some((x as i8).into()),
            I16 => Some((x as i16).into()),
            I32 => Some((x as i32).into()),
            U8 => Some((x as u8).into()),
            U16 => Some((x as u16).into()),
            U32 => Some((x as u32).into()),
            U64 => u64::try_from(x).ok().map(|_| x),
            _ => Some(x),
        }
    }

    /// The nearest integer of the type to a real without its fraction; the least for NaN.
    pub fn saturated(self, x: f64) -> i64 {
        let [least, most] = self.range();
        // Not `as` alone, which makes 0 of NaN.
        if x.is_nan() { least } else { (x as i64).clamp(least, most) }
    }
}

/// The nearest number with so many binary digits, fewer where its exponent would be less than `least`; infinite beyond `most`.
fn rounded(x: f64, digits: i32, least: i32, most: f64) -> f64 {
    const BIAS: i32 = 1023;
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - BIAS;
    let unit = f64::from_bits(((exponent.max(least) - digits + 1 + BIAS) as u64) << 52);
    let y = (x / unit).round_ties_even() * unit;
    if y.abs() > most { f64::INFINITY.copysign(y) } else { y }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            F16 => "float16",
            Bf16 => "bfloat16",
            F32 => "float32",
            F64 => "float64",
            I8 => "int8",
            I16 => "int16",
            I32 => "int32",
            I64 => "int64",
            U8 => "uint8",
            U16 => "uint16",
            U32 => "uint32",
            U64 => "uint64",
            Bool => "bool",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    /// The numbers of 16 bits, those halfway between each and the next, and the f64 on either side of these.
    fn near(of_bits: impl Fn(u16) -> f64) -> Vec<f64> {
        let numbers = (0..u16::MAX).map(|bits| [bits, bits + 1].map(&of_bits)).filter(|pair| pair[1].is_finite());
        let halfway = |[a, b]: [f64; 2]| {
            let middle = (a + b) / 2.0;
            [a, middle, middle.next_up(), middle.next_down()]
        };
        numbers.flat_map(halfway).collect()
    }

    #[test]
    fn each_number_of_16_bits_is_the_nearest_to_what_lies_around_it() {
        let of_half = |bits| f16::from_bits(bits).to_f64();
        for x in near(of_half).into_iter().chain([65_519.9, 65_520.0, -1e300, f64::MIN_POSITIVE, 0.0, -0.0]) {
            let y = F16.nearest(x);
            assert_eq!(f16::from_f64(y).to_f64().to_bits(), y.to_bits(), "{x} becomes {y}, which f16 has not");
            for other in [f16::from_f64(y).to_bits().wrapping_add(1), f16::from_f64(y).to_bits().wrapping_sub(1)] {
                let other = of_half(other);
                let (own, its) = ((x - y).abs(), (x - other).abs());
                let is_even = f16::from_f64(y).to_bits().is_multiple_of(2);
                assert!(
                    !other.is_finite() || !y.is_finite() || own < its || own == its && is_even,
                    "{x}: {y}, {other}"
                );
            }
        }
        let largest = [65_504.0, 65_519.999, 65_520.0, -65_520.0].map(|x| F16.nearest(x));
        assert_eq!(largest, [65_504.0, 65_504.0, f64::INFINITY, f64::NEG_INFINITY]);
    }

    #[test]
    fn a_single_becomes_what_an_independent_conversion_makes_of_it() {
        let singles = (0..=u32::MAX).step_by(65_521).map(f32::from_bits);
        for x in
            singles.flat_map(|x| [x, f32::from_bits(x.to_bits() & 0xffff_e000), f32::from_bits(x.to_bits() | 0x1000)])
        {
            let same = |a: f64, b: f32| a.to_bits() == f64::from(b).to_bits() || a.is_nan() && b.is_nan();
            let wide = f64::from(x);
            assert!(same(F16.nearest(wide), f16::from_f32(x).to_f32()), "{x:e} as float16");
            assert!(same(Bf16.nearest(wide), bf16::from_f32(x).to_f32()), "{x:e} as bfloat16");
        }
    }

    #[test]
    fn integers_keep_their_lowest_bits() {
        let wrapped = |element: Element| [-1, 255, 300, -129, 1 << 40].map(|x| element.wrapped(x).unwrap());
        assert_eq!(wrapped(U8), [255, 255, 44, 127, 0]);
        assert_eq!(wrapped(I8), [-1, -1, 44, 127, 0]);
        assert_eq!(wrapped(U32), [4_294_967_295, 255, 300, 4_294_967_167, 0]);
        assert_eq!((U64.wrapped(-1), U64.wrapped(7), I64.wrapped(-1)), (None, Some(7), Some(-1)));
    }

    #[test]
    fn what_is_nearest_in_an_integer_type_is_its_end_where_a_number_is_beyond() {
        let saturated = [f64::NAN, f64::NEG_INFINITY, -3.7, 200.2, 1e300].map(|x| I8.saturated(x));
        assert_eq!(saturated, [-128, -128, -3, 127, 127]);
    }
}
