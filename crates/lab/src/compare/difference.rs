//! How far apart two tensors are, by the measures that reports show.

use super::histogram::Histogram;
use ndarray::{ArrayD, ArrayViewD};
use reluctor::error::{Error, Result};
use reluctor::tensor::Tensor;
use serde::Serialize;
use std::fmt;

/// What two results are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every element is the reference's, rounded to f32.
    Identical,
    /// Every element is within the tolerance.
    WithinRounding,
    /// Some element is not: the device computed another function.
    Mismatch,
}

/// How far an element may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// By what rounding in f32 can explain: see [`reluctor::bound`].
    RoundingBound,
    /// By `atol + rtol * |reference|`, as numpy's `allclose`.
    AllClose {
        /// Absolute.
        atol: f64,
        /// Relative to the reference.
        rtol: f64,
    },
}

impl Tolerance {
    /// How far an element may be off; `bound` is what [`Tolerance::RoundingBound`] stands for.
    pub fn allowed(&self, reference: f64, bound: impl FnOnce() -> f64) -> f64 {
        match self {
            Tolerance::RoundingBound => bound(),
            Tolerance::AllClose { atol, rtol } => atol + rtol * reference.abs(),
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::RoundingBound => f.write_str("certified rounding bound"),
            Tolerance::AllClose { atol, rtol } => write!(f, "|difference| <= {atol} + {rtol} |reference|"),
        }
    }
}

/// How far apart two tensors are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The largest |device - reference|; infinite where a NaN or an infinity stands against a number.
    pub max_abs: f64,
    /// The largest |device - reference| / |reference| over elements that are not tiny.
    pub max_rel: f64,
    /// The largest |device - reference| / tolerance: at most 1 when all is well.
    pub bound_ratio: f64,
    /// The mean of |device - reference|.
    pub mean_abs: f64,
    /// The |device - reference| that so many elements stay within.
    pub quantiles: Quantiles,
    /// The largest distance in units in the last place of the reference, rounded to f32.
    pub max_ulp: f64,
    /// The distance, in the same units, that 99 % of the elements stay within: a zero that is off by anything at all is
    /// off by very many of the smallest units, and dominates the largest.
    pub p99_ulp: f64,
    /// The cosine of the angle between the two, over elements that are finite in both; 1 where both are zero.
    pub cosine: f64,
    /// Elements out of tolerance.
    pub mismatched: usize,
    /// All elements.
    pub total: usize,
    /// The index of the worst element.
    pub worst_index: Vec<usize>,
    /// The sum of it.
    pub verdict: Verdict,
}

/// What half of the elements, 90 % and 99 % of them stay within: the nearest rank, rounded up to 10 significant bits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
}

/// Compares `device` with `reference`, each element within its own `allowed` error.
pub fn difference(device: &ArrayD<f32>, reference: &ArrayD<f64>, allowed: impl Fn(usize, f64) -> f64) -> Difference {
    let mut differences = Differences::new(reference.shape());
    differences.add(device.view(), reference, &[], allowed);
    differences.finish()
}

/// Gathers how far apart two tensors are, part by part: what it holds does not grow with them.
pub struct Differences {
    shape: Vec<usize>,
    worst: (f64, Vec<usize>),
    max_abs: f64,
    max_rel: f64,
    max_ulp: f64,
    sum: f64,
    mismatched: usize,
    total: usize,
    is_identical: bool,
    errors: Histogram,
    ulps: Histogram,
    cosine: Cosine,
}

impl Differences {
    /// Of tensors of a shape.
    pub fn new(shape: &[usize]) -> Self {
        Differences {
            shape: shape.to_vec(),
            worst: (-1.0, vec![0; shape.len()]),
            max_abs: 0.0,
            max_rel: 0.0,
            max_ulp: 0.0,
            sum: 0.0,
            mismatched: 0,
            total: 0,
            is_identical: true,
            errors: Histogram::default(),
            ulps: Histogram::default(),
            cosine: Cosine::default(),
        }
    }

    /// Adds a part that starts at an index of the whole; none stands for its beginning.
    pub fn add(
        &mut self,
        device: ArrayViewD<'_, f32>,
        reference: &ArrayD<f64>,
        start: &[usize],
        allowed: impl Fn(usize, f64) -> f64,
    ) {
        let mut worst = (self.worst.0, None);
        for (index, (&device, &reference)) in device.iter().zip(reference).enumerate() {
            self.is_identical &= device.to_bits() == (reference as f32).to_bits() || device == reference as f32;
            let (error, of_tolerance) = match distance(device, reference) {
                Some(error) => (error, ratio(error, allowed(index, reference))),
                // An infinite bound on a finite number: the device may overflow on its way there.
                None if reference.is_finite()
                    && f64::from(device) == f64::INFINITY.copysign(reference)
                    && allowed(index, reference) == f64::INFINITY =>
                {
                    (f64::INFINITY, 0.0)
                }
                None => (f64::INFINITY, f64::INFINITY),
            };
            let ulps = ratio(error, ulp(reference as f32));
            self.cosine.add(f64::from(device), reference);
            self.errors.add(error);
            self.ulps.add(ulps);
            self.max_ulp = self.max_ulp.max(ulps);
            self.max_abs = self.max_abs.max(error);
            self.sum += error;
            if reference.abs() > f64::from(f32::MIN_POSITIVE) {
                self.max_rel = self.max_rel.max(error / reference.abs());
            }
            self.mismatched += usize::from(of_tolerance > 1.0);
            if of_tolerance > worst.0 {
                worst = (of_tolerance, Some(index));
            }
        }
        self.total += reference.len();
        if let (ratio, Some(index)) = worst {
            let mut at = unravel(index, reference.shape());
            at.iter_mut().zip(start).for_each(|(at, start)| *at += start);
            self.worst = (ratio, at);
        }
    }

    /// The sum of it.
    pub fn finish(self) -> Difference {
        let verdict = match self.mismatched {
            0 if self.is_identical => Verdict::Identical,
            0 => Verdict::WithinRounding,
            _ => Verdict::Mismatch,
        };
        debug_assert_eq!(self.total, self.shape.iter().product::<usize>(), "every part was added once");
        let [p50, p90, p99] = [50, 90, 99].map(|percent| self.errors.quantile(percent));
        Difference {
            max_abs: self.max_abs,
            max_rel: self.max_rel,
            bound_ratio: f64::max(self.worst.0, 0.0),
            mean_abs: self.sum / self.total.max(1) as f64,
            quantiles: Quantiles { p50, p90, p99 },
            max_ulp: self.max_ulp,
            p99_ulp: self.ulps.quantile(99),
            cosine: self.cosine.value(),
            mismatched: self.mismatched,
            total: self.total,
            worst_index: self.worst.1,
            verdict,
        }
    }
}

/// The same of tensors of any kind. `bound` is what [`Tolerance::RoundingBound`] stands for. What is not real is exact.
///
/// # Errors
/// [`Error::Invalid`] where their kinds or shapes differ.
pub fn tensor_difference(
    device: &Tensor,
    reference: &Tensor<f64>,
    tolerance: Tolerance,
    bound: impl Fn(usize, f64) -> f64,
) -> Result<Difference> {
    if device.tensor_type() != reference.tensor_type() {
        let [device, reference] = [device.tensor_type(), reference.tensor_type()]
            .map(|ty| format!("{} of {:?}", reluctor::tensor::format_shape(&ty.shape), ty.kind));
        return Err(Error::invalid("tensor", format!("is {device}, the reference {reference}")));
    }
    let unlike = |equal: Vec<bool>| {
        let error = |equal: &bool| if *equal { 0.0 } else { f32::INFINITY };
        let errors = reluctor::tensor::array(reference.shape(), equal.iter().map(error).collect())?;
        Ok(difference(&errors, &ArrayD::zeros(errors.raw_dim()), |_, _| 0.0))
    };
    match (device, reference) {
        (Tensor::Real(device), Tensor::Real(reference)) => {
            Ok(difference(device, reference, |index, value| tolerance.allowed(value, || bound(index, value))))
        }
        (Tensor::Int(device), Tensor::Int(reference)) => {
            unlike(device.iter().zip(reference).map(|(x, y)| x == y).collect())
        }
        (Tensor::Bool(device), Tensor::Bool(reference)) => {
            unlike(device.iter().zip(reference).map(|(x, y)| x == y).collect())
        }
        _ => unreachable!("of one type"),
    }
}

/// |device - reference|; nothing where one is NaN or infinite and the other is not the same. A reference beyond f32 is an
/// infinity on a device.
fn distance(device: f32, reference: f64) -> Option<f64> {
    if device.is_nan() || reference.is_nan() {
        return (device.is_nan() && reference.is_nan()).then_some(0.0);
    }
    if device.is_infinite() || (reference as f32).is_infinite() {
        return (device == reference as f32).then_some(0.0);
    }
    Some((f64::from(device) - reference).abs())
}

fn ratio(error: f64, allowed: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / allowed }
}

/// The distance from |x| to the next larger f32; that of the largest number at infinities.
fn ulp(x: f32) -> f64 {
    let exponent = ((x.to_bits() >> 23) & 0xff).clamp(1, 254) as i32;
    f64::powi(2.0, exponent - 127 - 23)
}

/// Sums for the cosine of the angle between two vectors.
#[derive(Default)]
struct Cosine {
    product: f64,
    squares: [f64; 2],
}

impl Cosine {
    fn add(&mut self, x: f64, y: f64) {
        if x.is_finite() && y.is_finite() {
            self.product += x * y;
            self.squares[0] += x * x;
            self.squares[1] += y * y;
        }
    }

    fn value(&self) -> f64 {
        let [x, y] = self.squares;
        if x == 0.0 && y == 0.0 { 1.0 } else { self.product / (x * y).sqrt().max(f64::MIN_POSITIVE) }
    }
}

fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (axis, &size) in shape.iter().enumerate().rev() {
        at[axis] = index % size.max(1);
        index /= size.max(1);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::tensor::array;

    fn compare(device: Vec<f32>, reference: Vec<f64>) -> Difference {
        let shape = [reference.len()];
        difference(&array(&shape, device).unwrap(), &array(&shape, reference).unwrap(), |_, _| 1e-6)
    }

    #[test]
    fn a_nan_or_an_infinity_against_a_number_is_a_mismatch() {
        assert_eq!(compare(vec![f32::NAN], vec![0.0]).verdict, Verdict::Mismatch);
        assert_eq!(compare(vec![0.0], vec![f64::NAN]).verdict, Verdict::Mismatch);
        assert_eq!(compare(vec![f32::INFINITY], vec![f64::NEG_INFINITY]).verdict, Verdict::Mismatch);
        assert_eq!(compare(vec![f32::NAN, f32::INFINITY], vec![f64::NAN, 1e300]).mismatched, 0);
        let unbounded = |device: f32, reference: f64| {
            let [device, reference] =
                [array(&[1], vec![f64::from(device)]), array(&[1], vec![reference])].map(Result::unwrap);
            difference(&device.mapv(|x| x as f32), &reference, |_, _| f64::INFINITY).verdict
        };
        assert_eq!(unbounded(f32::INFINITY, 1e38), Verdict::WithinRounding);
        assert_eq!(unbounded(f32::NEG_INFINITY, 1e38), Verdict::Mismatch);
        assert_eq!(unbounded(f32::NAN, 1e38), Verdict::Mismatch);
    }

    #[test]
    fn the_worst_element_is_named_by_its_index() {
        let reference = array(&[2, 3], vec![0.0; 6]).unwrap();
        let device = array(&[2, 3], vec![0.0, 0.0, 0.0, 0.0, 1e-5f32, 0.0]).unwrap();
        let difference = difference(&device, &reference, |_, _| 1e-6);
        assert_eq!((difference.worst_index, difference.mismatched), (vec![1, 1], 1));
        assert!(difference.bound_ratio > 9.0);
    }

    #[test]
    fn equal_bits_are_identical_and_a_last_bit_is_not() {
        assert_eq!(compare(vec![1.0], vec![1.0]).verdict, Verdict::Identical);
        assert_eq!(compare(vec![1.000_000_1], vec![1.0]).verdict, Verdict::WithinRounding);
    }

    #[test]
    fn a_unit_in_the_last_place_is_that_of_the_reference() {
        assert_eq!((ulp(1.0), ulp(-3.0)), (f64::from(f32::EPSILON), 2.0 * f64::from(f32::EPSILON)));
        assert_eq!(ulp(0.0), f64::from(f32::from_bits(1)));
        assert_eq!(compare(vec![1.000_000_1], vec![1.0]).max_ulp, 1.0);
    }

    #[test]
    fn statistics_are_those_of_the_errors() {
        // Errors 0, 1, 2 ... 99.
        let device = (0..100).map(|i| 1000.0 + i as f32).collect();
        let difference = compare(device, vec![1000.0; 100]);
        assert_eq!((difference.mean_abs, difference.max_abs), (49.5, 99.0));
        assert_eq!(difference.quantiles, Quantiles { p50: 49.0, p90: 89.0, p99: 98.0 });
        assert!(difference.cosine > 0.999 && difference.cosine < 1.0);
        assert!((compare(vec![1.0, 0.0], vec![0.0, 1.0]).cosine, compare(vec![0.0], vec![0.0]).cosine) == (0.0, 1.0));
        assert_eq!(compare(vec![-2.0], vec![1.0]).cosine, -1.0);
    }

    #[test]
    fn nothing_at_all_is_identical() {
        let difference = compare(vec![], vec![]);
        assert_eq!((difference.verdict, difference.quantiles.p99), (Verdict::Identical, 0.0));
    }

    #[test]
    fn what_is_not_real_is_exact_and_what_is_of_another_kind_no_match() {
        let [device, reference] = [vec![1, 2, 3], vec![1, 2, 4]];
        let found = tensor_difference(
            &Tensor::ints(device),
            &Tensor::ints(reference),
            Tolerance::AllClose { atol: 9.0, rtol: 9.0 },
            |_, _| 9.0,
        );
        let found = found.unwrap();
        assert_eq!((found.mismatched, found.total, found.worst_index), (1, 3, vec![2]));
        let real = Tensor::real(&[1], vec![0.0]).unwrap();
        assert!(tensor_difference(&Tensor::ints(vec![0]), &real, Tolerance::RoundingBound, |_, _| 9.0).is_err());
    }
}
