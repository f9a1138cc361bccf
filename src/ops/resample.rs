//! One axis at another size, each new element a weighted sum of old ones: what Resize and Upsample consist of.

use super::strided::{FOUR_NUMBERS, NUMBER};
use super::sum::TOGETHER;
use super::{Inputs, OpResult, Operator, Restricted, invalid, real_type, required, unsupported};
use crate::bound::{FLUSH, U, gamma, largest};
use crate::kernels::Kernel;
use crate::plan::layout::CHANNELS;
use crate::plan::{Layout, Lowering};
use crate::tensor::{Real, Tensor, TensorType, array, row_major_slice};
use crate::uniform;
use ndarray::ArrayD;
use std::ops::Range;

/// Where a new place lies on the old axis: ONNX's `coordinate_transformation_mode`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    TfHalfPixelForNn,
    AlignCorners(Length),
    Asymmetric,
    /// A part of the axis, in units of its length; what lies outside of the axis becomes 0.
    Crop {
        start: f64,
        end: f64,
    },
}

/// Which length of the new axis has the last element at its end, where scale times size is no whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Scale times size.
    Exact,
    /// The number of elements.
    Rounded,
}

/// Which neighbour is nearest: ONNX's `nearest_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

/// How much each neighbour counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Interpolation {
    /// One neighbour alone.
    Nearest(Rounding),
    /// By distance, over two neighbours.
    Linear,
    /// A cubic over four, with this parameter (Keys, Cubic convolution interpolation, 1981).
    Cubic(f64),
}

/// Resizes one axis. Source: ONNX, operator Resize.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Resample {
    pub axis: usize,
    pub size: usize,
    /// New elements for each old one; not always the ratio of the sizes.
    pub scale: f64,
    pub coordinates: Coordinates,
    pub interpolation: Interpolation,
    /// Whether a shrunk axis sees every old element, by neighbourhoods as much wider.
    pub antialias: bool,
    /// Whether neighbours beyond the ends count nothing, and not as the ends. Where the one nearest element counts nothing, the
    /// new one is 0.
    pub exclude_outside: bool,
}

/// Old places, each with its weight.
type Taps = Vec<(usize, f64)>;

impl Coordinates {
    /// The old position under a new place, or nothing outside of the axis. Each step's result passes through `rounded`.
    fn position(self, place: usize, [old, new]: [usize; 2], scale: f64, rounded: impl Fn(f64) -> f64) -> Option<f64> {
        let (x, last, scale) = (place as f64, old as f64 - 1.0, rounded(scale));
        let centre = rounded((x + 0.5) / scale);
        let half_pixel = rounded(centre - 0.5);
        Some(match self {
            Coordinates::HalfPixel => half_pixel,
            Coordinates::HalfPixelSymmetric => {
                let adjustment = rounded(new as f64 / rounded(scale * old as f64));
                let offset = rounded(old as f64 / 2.0 * rounded(1.0 - adjustment));
                rounded(offset + (x + 0.5) / scale - 0.5)
            }
            Coordinates::PytorchHalfPixel => {
                if new > 1 {
                    half_pixel
                } else {
                    0.0
                }
            }
            Coordinates::TfHalfPixelForNn => centre,
            Coordinates::AlignCorners(length) => {
                // An exact length that is whole but for the rounding of its scale is the size.
                let (exact, size) = (old as f64 * scale, new as f64);
                let is_whole = (exact - size).abs() < 1e-5 * size;
                let length = if is_whole || length == Length::Rounded { size } else { exact };
                if new > 1 && length > 1.0 { rounded(rounded(x * last) / rounded(length - 1.0)) } else { 0.0 }
            }
            Coordinates::Asymmetric => rounded(x / scale),
            Coordinates::Crop { start, end } => {
                let at = if new > 1 {
                    let along = rounded(rounded(x * rounded(end - start)) * last);
                    rounded(rounded(start * last) + rounded(along / (new as f64 - 1.0)))
                } else {
                    rounded(0.5 * rounded(start + end) * last)
                };
                return Some(at).filter(|at| (0.0..=last).contains(at));
            }
        })
    }
}

impl Interpolation {
    /// The weight of a neighbour at a distance, in elements.
    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Interpolation::Nearest(_) => 1.0,
            Interpolation::Linear => (1.0 - x).max(0.0),
            Interpolation::Cubic(a) if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Interpolation::Cubic(a) if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
            Interpolation::Cubic(_) => 0.0,
        }
    }

    /// Elements to each side that may count.
    fn reach(self) -> f64 {
        if let Interpolation::Cubic(_) = self { 2.0 } else { 1.0 }
    }
}

impl Rounding {
    fn nearest(self, x: f64) -> f64 {
        match self {
            Rounding::PreferFloor => (x - 0.5).ceil(),
            Rounding::PreferCeil => (x + 0.5).floor(),
            Rounding::Floor => x.floor(),
            Rounding::Ceil => x.ceil(),
        }
    }
}

/// A half where the position is one to a millionth, as for ONNX Runtime: what a mode prefers at a tie is not for rounding to decide.
fn halved(x: f64) -> f64 {
    const NEAR: f64 = 1e-6;
    let half = x.floor() + 0.5;
    if (x - half).abs() < NEAR { half } else { x }
}

impl Resample {
    /// The old position under a new place, or nothing outside of the axis. Where a position on one side of a whole number is
    /// another element than on the other side, it is computed in f32, step by step as ONNX Runtime does: by a scale of a third,
    /// given in f32, the third new element is the ninth old one, though its exact quotient is less than 9.
    fn position(&self, place: usize, old: usize) -> Option<f64> {
        let is_decided = matches!(self.interpolation, Interpolation::Nearest(_))
            || matches!(self.coordinates, Coordinates::Crop { .. });
        let rounded = |x: f64| if is_decided { f64::from(x as f32) } else { x };
        self.coordinates.position(place, [old, self.size], self.scale, rounded)
    }

    /// Whether a new place lies outside of the axis.
    pub(super) fn is_outside(&self, place: usize, old: usize) -> bool {
        self.position(place, old).is_none()
    }

    /// Whether corners that are aligned by the other length take other elements, or weigh them otherwise.
    pub(super) fn depends_on_length(&self, old: usize) -> bool {
        let other = match self.coordinates {
            Coordinates::AlignCorners(Length::Exact) => Length::Rounded,
            Coordinates::AlignCorners(Length::Rounded) => Length::Exact,
            _ => return false,
        };
        let other = Resample { coordinates: Coordinates::AlignCorners(other), ..self.clone() };
        let moves = |place: &usize| self.position(*place, old) != other.position(*place, old);
        (0..self.size).filter(moves).any(|place| self.taps(place, old) != other.taps(place, old))
    }

    /// The old elements that a new one is made of; none outside of the axis, nor where the nearest one is and does not count.
    fn taps(&self, place: usize, old: usize) -> Taps {
        let Some(x) = self.position(place, old) else { return Vec::new() };
        let inside = |at: f64| at.clamp(0.0, old as f64 - 1.0);
        if let Interpolation::Nearest(rounding) = self.interpolation {
            let ties = matches!(rounding, Rounding::PreferFloor | Rounding::PreferCeil);
            let x = if ties { halved(x) } else { x };
            let at = rounding.nearest(x);
            let counts = !self.exclude_outside || at == inside(at);
            return if counts { vec![(inside(at) as usize, 1.0)] } else { Vec::new() };
        }
        // Antialiasing widens the neighbourhood of a shrunk axis, whose weights then no longer sum to 1.
        let shrink = if self.antialias { self.scale.min(1.0) } else { 1.0 };
        let left = x.ceil() - 1.0;
        let first = (-self.interpolation.reach() / shrink).floor() + 1.0;
        let neighbours = (0..(2.0 - 2.0 * first) as usize).map(|step| left + first + step as f64);
        let mut taps: Taps = Vec::new();
        let mut total = 0.0;
        for at in neighbours {
            let weight = self.interpolation.weight((at - x) * shrink);
            if weight == 0.0 || (self.exclude_outside && at != inside(at)) {
                continue;
            }
            total += weight;
            taps.push((inside(at) as usize, weight));
        }
        taps.iter_mut().for_each(|(_, weight)| *weight /= total);
        taps
    }

    /// `out[o, place, i] = sum of weight in[o, tap, i]`, the weights passed through `of` first.
    fn apply<T: Real>(&self, input: &ArrayD<T>, of: impl Fn(f64) -> f64) -> OpResult<ArrayD<T>> {
        let shape = input.shape();
        let (old, inner) = (shape[self.axis], shape[self.axis + 1..].iter().product::<usize>());
        let outer: usize = shape[..self.axis].iter().product();
        let data = row_major_slice(input);
        let all: Vec<Taps> = (0..self.size).map(|place| self.taps(place, old)).collect();
        let mut output = Vec::with_capacity(outer * self.size * inner);
        for o in 0..outer {
            for taps in &all {
                let product =
                    |i: usize, (tap, weight): (usize, f64)| data[(o * old + tap) * inner + i] * T::of(of(weight));
                let of_few = |i: usize, few: &[(usize, f64)]| few.iter().map(|&tap| product(i, tap)).sum::<T>();
                let sum = |i: usize| match taps.len() {
                    ..=TOGETHER => of_few(i, taps),
                    _ => T::of(taps.chunks(TOGETHER).map(|few| of_few(i, few).f64()).sum()),
                };
                output.extend((0..inner).map(sum));
            }
        }
        Ok(array(&self.shape(shape), output)?)
    }

    fn shape(&self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        shape[self.axis] = self.size;
        shape
    }

    /// How far each result of an engine that finds places in f32 may be off by that: four roundings move a place by that many
    /// U of the axis' length, and a weight by at most twice as much.
    pub fn error_of_places(&self, input: &ArrayD<f64>) -> f64 {
        if let Interpolation::Nearest(_) = self.interpolation {
            return 0.0;
        }
        let old = input.shape()[self.axis];
        let taps = (0..self.size).map(|place| self.taps(place, old).len()).max().unwrap_or(0);
        2.0 * taps as f64 * 4.0 * U * (old as f64 + 1.0) * largest(input)
    }
}

uniform! {
    /// Parameters of `resample_axis`.
    pub struct ResampleParams { in_size: u32, out_size: u32, inner: u32, taps: u32, count: u32 }
}

/// One element an invocation, or four.
pub static RESAMPLE_AXIS: Kernel = Kernel {
    name: "resample_axis",
    source: include_str!("../../shaders/resample_axis.wgsl"),
    includes: &[],
    params: ResampleParams::FIELDS,
    combinations: || vec![vec![NUMBER], vec![FOUR_NUMBERS]],
};

/// Whole numbers up to this are exact in f32: the table of taps holds places as such.
const MOST_PLACES: usize = 1 << 24;

impl Operator for Resample {
    fn infer(&self, inputs: &[Option<&TensorType>]) -> OpResult<Vec<TensorType>> {
        let ty = real_type(inputs, 0)?;
        if self.axis >= ty.shape.len() || ty.shape[self.axis] == 0 || !(self.scale > 0.0 && self.scale.is_finite()) {
            return invalid(format!("{ty} cannot be resized by {} along axis {}", self.scale, self.axis));
        }
        Ok(vec![TensorType::real(self.shape(&ty.shape))])
    }

    fn reference<T: Real>(&self, inputs: &Inputs<T>) -> OpResult<Vec<Tensor<T>>> {
        Ok(vec![Tensor::Real(self.apply(required(inputs, 0)?.as_real()?, |weight| weight)?)])
    }

    /// A sum of as many products as there are taps, each weight rounded once.
    fn error_bound(&self, inputs: &Inputs<f64>, errors: &[Option<&ArrayD<f64>>]) -> OpResult<ArrayD<f64>> {
        let (input, error) = (required(inputs, 0)?.as_real()?, required(errors, 0)?);
        let old = input.shape()[self.axis];
        let taps = (0..self.size).map(|place| self.taps(place, old).len()).max().unwrap_or(0);
        let magnitude = self.apply(&(input.mapv(f64::abs) + error), f64::abs)?;
        Ok(self.apply(error, f64::abs)? + magnitude * (gamma(taps) + U) + 4.0 * taps as f64 * FLUSH)
    }

    fn restrict(&self, _: &[Option<&TensorType>], axis: usize, range: &Range<usize>) -> Option<Restricted<Self>> {
        (axis != self.axis).then(|| Restricted::along(self.clone(), 1, range, |_| Some(axis)))
    }

    fn lower(&self, node: &mut Lowering<'_>) -> OpResult<()> {
        let types = node.input_types();
        let shape = &real_type(&types, 0)?.shape;
        let layout = if self.axis >= 2 && node.lies_by_four(0) { Layout::ByFour } else { Layout::Plain };
        let (old, inner) = (shape[self.axis], layout.shape(shape)[self.axis + 1..].iter().product::<usize>());
        let all: Vec<Taps> = (0..self.size).map(|place| self.taps(place, old)).collect();
        let width = all.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let most = node.limits().max_loop_iterations as usize;
        if old > MOST_PLACES || width > most {
            return unsupported(format!(
                "{old} elements, {width} for each new one; the most are {MOST_PLACES} and {most}"
            ));
        }
        // Shorter sums are filled up by their last place without a weight, so that no other element is read, be it NaN.
        let pairs = |taps: &Taps| {
            let spare = taps.last().map_or([0.0; 2], |&(tap, _)| [tap as f32, 0.0]);
            let pair = |at: usize| taps.get(at).map_or(spare, |&(tap, w)| [tap as f32, w as f32]);
            (0..width).flat_map(pair).collect::<Vec<f32>>()
        };
        let table = node.constant_buffer("taps", all.iter().flat_map(pairs).collect())?;
        let (input, output) = (node.input_as(0, layout)?, node.output_as(0, layout)?);
        let (element, numbers) = if inner.is_multiple_of(CHANNELS) { (FOUR_NUMBERS, CHANNELS) } else { (NUMBER, 1) };
        let count = node.count(output) / numbers as u32;
        let [in_size, out_size, inner, taps] = [old, self.size, inner / numbers, width].map(|size| size as u32);
        let params = ResampleParams { in_size, out_size, inner, taps, count };
        node.dispatch(&RESAMPLE_AXIS, vec![element], count, params, output, &[input, table])
    }

    fn flops(&self, inputs: &[Option<&TensorType>], outputs: &[TensorType]) -> u64 {
        let old = inputs.first().copied().flatten().map_or(0, |ty| ty.shape[self.axis]);
        let taps: usize = (0..self.size).map(|place| self.taps(place, old).len()).sum();
        outputs.iter().map(|ty| (2 * taps * ty.shape.iter().product::<usize>() / self.size.max(1)) as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resized(resample: &Resample, data: &[f64]) -> Vec<f64> {
        let x = Tensor::real(&[data.len()], data.to_vec()).unwrap();
        super::super::first_real(resample.reference(&[Some(&x)]).unwrap()).unwrap().into_raw_vec_and_offset().0
    }

    fn twice(coordinates: Coordinates, interpolation: Interpolation) -> Resample {
        let (antialias, exclude_outside) = (false, false);
        Resample { axis: 0, size: 4, scale: 2.0, coordinates, interpolation, antialias, exclude_outside }
    }

    #[test]
    fn corners_stay_where_corners_are_aligned_and_pixels_keep_their_centres_otherwise() {
        let linear = |coordinates| resized(&twice(coordinates, Interpolation::Linear), &[0.0, 3.0]);
        for (found, expected) in linear(Coordinates::AlignCorners(Length::Exact)).iter().zip([0.0, 1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{found}, not {expected}: thirds are not exact");
        }
        assert_eq!(linear(Coordinates::HalfPixel), [0.0, 0.75, 2.25, 3.0]);
        assert_eq!(linear(Coordinates::Asymmetric), [0.0, 1.5, 3.0, 3.0]);
        for (found, expected) in linear(Coordinates::Crop { start: 0.0, end: 2.0 }).iter().zip([0.0, 2.0, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found}, not {expected}: positions are of f32");
        }
    }

    #[test]
    fn the_nearest_element_is_that_of_arithmetic_in_f32() {
        let floor = Interpolation::Nearest(Rounding::Floor);
        let taken = |coordinates, old: usize, size: usize, scale: f32| {
            let resample = Resample { size, scale: f64::from(scale), ..twice(coordinates, floor) };
            resized(&resample, &(0..old).map(|at| at as f64).collect::<Vec<_>>())
        };
        assert_eq!(taken(Coordinates::Asymmetric, 12, 4, 1.0 / 3.0), [0.0, 3.0, 6.0, 9.0]);
        assert_eq!(taken(Coordinates::Asymmetric, 14, 18, 18.0 / 14.0)[9], 7.0);
        let floor = Interpolation::Nearest(Rounding::PreferFloor);
        let tie = Resample { size: 26, scale: 26.0 / 11.0, ..twice(Coordinates::Asymmetric, floor) };
        assert_eq!(
            resized(&tie, &(0..11).map(f64::from).collect::<Vec<_>>())[13],
            5.0,
            "13 * 11 / 26 is five and a half"
        );
        let ceil = Interpolation::Nearest(Rounding::PreferCeil);
        let tenths = Resample { size: 35, scale: f64::from(0.3_f32), ..twice(Coordinates::HalfPixel, ceil) };
        let tenths = resized(&tenths, &(0..118).map(f64::from).collect::<Vec<_>>());
        assert_eq!([tenths[4], tenths[7]], [15.0, 24.0], "a millionth below 14.5, and two below 24.5");
        let whole = Coordinates::Crop { start: 0.0, end: 1.0 };
        assert_eq!(taken(whole, 50, 50, 1.0), (0..50).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_nearest_element_that_is_outside_and_excluded_leaves_nothing() {
        let floor = twice(Coordinates::HalfPixel, Interpolation::Nearest(Rounding::Floor));
        assert_eq!(resized(&floor, &[1.0, 2.0]), [1.0, 1.0, 1.0, 2.0]);
        let excluding = Resample { exclude_outside: true, ..floor };
        assert_eq!(resized(&excluding, &[1.0, 2.0]), [0.0, 1.0, 1.0, 2.0]);
    }

    #[test]
    fn halves_go_to_the_side_that_the_mode_prefers() {
        let nearest =
            |rounding| resized(&twice(Coordinates::Asymmetric, Interpolation::Nearest(rounding)), &[1.0, 2.0]);
        assert_eq!(nearest(Rounding::PreferFloor), [1.0, 1.0, 2.0, 2.0]);
        assert_eq!(nearest(Rounding::PreferCeil), [1.0, 2.0, 2.0, 2.0]);
    }
}
