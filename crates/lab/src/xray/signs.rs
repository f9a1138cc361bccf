//! What pre-activations do: on which side of zero they are, in which piece of the activation, and how often a unit is in one
//! and the same.
//!
//! A unit is one element of one image's output. It is *dead* where on every image it lies in a flat piece, so that it tells
//! nothing; *always on* where on every image it lies in the same piece that lets its argument through: there the activation is
//! an affine function of the data. Counts are of the device's own numbers.

use reluctor::analysis::nonlinearity::Nonlinearity;
use serde::Serialize;

/// Bins of a histogram.
pub const BINS: usize = 64;

/// What is known of the pre-activations of one layer.
#[derive(Debug, Clone)]
pub struct Signs {
    nonlinearity: Nonlinearity,
    /// Channels, and units in each.
    shape: [usize; 2],
    units: Vec<Unit>,
    images: usize,
    negative: Vec<u64>,
    zero: u64,
    saturated: u64,
    histogram: Option<Histogram>,
}

#[derive(Debug, Clone, Copy)]
struct Unit {
    /// The piece of the first image.
    piece: u8,
    /// Whether every image was in that piece.
    constant: bool,
    /// Whether every image was in a flat piece.
    flat: bool,
}

/// How many numbers fall into each of [`BINS`] ranges of one width; those beyond the ends count at the ends.
#[derive(Debug, Clone, Serialize)]
pub struct Histogram {
    /// Where the first bin begins.
    pub low: f64,
    /// Where the last one ends.
    pub high: f64,
    /// Numbers in each.
    pub counts: Vec<u64>,
}

/// Shares for each channel, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Channels {
    /// Of pre-activations below zero.
    pub negative: Vec<f64>,
    /// Of dead units.
    pub dead: Vec<f64>,
    /// Of units that are always on.
    pub always_on: Vec<f64>,
}

/// The summary of one layer. Shares are of pre-activations, or of units.
#[derive(Debug, Clone, Serialize)]
pub struct SignReport {
    /// Pre-activations below zero.
    pub negative_share: f64,
    /// Outputs that are exactly zero.
    pub zero_share: f64,
    /// Pre-activations at which the function's slope is below a hundredth.
    pub saturated_share: f64,
    /// Units that never leave a flat piece.
    pub dead_share: f64,
    /// Units that never leave one sloped piece.
    pub always_on_share: f64,
    /// Units that are in one piece for one image and in another for another.
    pub mixed_share: f64,
    /// Units of one image.
    pub units: usize,
    /// Dead units.
    pub dead_units: usize,
    /// Units that are always on.
    pub always_on_units: usize,
    /// Channels all of whose units are dead.
    pub dead_channels: usize,
    /// Channels all of whose units are always on.
    pub always_on_channels: usize,
    /// Pre-activations below zero, outputs of zero.
    pub counts: [u64; 2],
    /// By channel.
    pub channels: Channels,
    /// Of the pre-activations.
    pub histogram: Option<Histogram>,
    /// Whether all units of each channel are in one and the same piece on every image.
    pub is_one_map: bool,
}

impl Histogram {
    /// Empty, wide enough for these numbers and as much again, with zero between two bins.
    fn around(values: &[f32]) -> Self {
        let most = values.iter().filter(|x| x.is_finite()).fold(0.0f32, |most, x| most.max(x.abs()));
        // Whole steps of a power of two: what differs by rounding alone gets the same bins.
        let step = f64::from(most.max(f32::MIN_POSITIVE)).log2().ceil().exp2() / (BINS / 4) as f64;
        let end = |beyond: f64| ((beyond / step).ceil() + 1.0).min((BINS / 2) as f64) * step;
        let side = end(f64::from(most) * 1.1);
        Histogram { low: -side, high: side, counts: vec![0; BINS] }
    }

    fn add(&mut self, x: f64) {
        let place = (x - self.low) / (self.high - self.low) * BINS as f64;
        if place.is_finite() {
            self.counts[(place.max(0.0) as usize).min(BINS - 1)] += 1;
        }
    }
}

impl Signs {
    /// Of a layer whose item has this shape, without the batch dimension.
    pub fn new(nonlinearity: Nonlinearity, item: &[usize]) -> Self {
        let units: usize = item.iter().product();
        let channels = item.first().copied().unwrap_or(1);
        Signs {
            nonlinearity,
            shape: [channels, units.checked_div(channels).unwrap_or(0)],
            units: vec![Unit { piece: 0, constant: true, flat: true }; units],
            images: 0,
            negative: vec![0; channels],
            zero: 0,
            saturated: 0,
            histogram: None,
        }
    }

    /// The nonlinearity.
    pub fn nonlinearity(&self) -> &Nonlinearity {
        &self.nonlinearity
    }

    /// Adds the pre-activations of some images and what the device made of them, row-major.
    pub fn add(&mut self, before: &[f32], after: &[f32]) {
        let [channels, pixels] = self.shape;
        if self.units.is_empty() {
            return;
        }
        let histogram = self.histogram.get_or_insert_with(|| Histogram::around(before));
        for (before, after) in before.chunks(channels * pixels).zip(after.chunks(channels * pixels)) {
            for channel in 0..channels {
                let pieces = self.nonlinearity.pieces(channel);
                let curved = !pieces.is_piecewise_linear();
                for unit in channel * pixels..(channel + 1) * pixels {
                    let x = f64::from(before[unit]);
                    let piece = pieces.at(x);
                    let state = &mut self.units[unit];
                    if self.images == 0 {
                        state.piece = piece as u8;
                    }
                    state.constant &= usize::from(state.piece) == piece;
                    // What is not a number is in no piece.
                    state.flat &= pieces.is_flat(piece) && !x.is_nan();
                    state.constant &= !x.is_nan();
                    self.negative[channel] += u64::from(x < 0.0);
                    self.zero += u64::from(after[unit] == 0.0);
                    let saturated = pieces.is_flat(piece) || (curved && self.nonlinearity.is_saturated(channel, x));
                    self.saturated += u64::from(saturated);
                    histogram.add(x);
                }
            }
            self.images += 1;
        }
    }

    fn is_always_on(&self, unit: usize) -> bool {
        let Unit { piece, constant, .. } = self.units[unit];
        constant && self.nonlinearity.pieces(unit / self.shape[1].max(1)).is_sloped(piece.into())
    }

    /// Whether every channel is an affine function of its pre-activations: all its units in one piece, on every image.
    fn is_one_map(&self) -> bool {
        let pixels = self.shape[1].max(1);
        self.units.chunks(pixels).all(|units| units.iter().all(|unit| unit.constant && unit.piece == units[0].piece))
    }

    /// Units, and those of them that are not in the same piece on every image.
    pub fn mixed(&self) -> [usize; 2] {
        [self.units.len(), self.units.iter().filter(|unit| !unit.constant).count()]
    }

    /// All of it in shares.
    pub fn report(&self) -> SignReport {
        let [channels, pixels] = self.shape;
        let units = self.units.len();
        let of = |count: usize, all: usize| if all == 0 { 0.0 } else { count as f64 / all as f64 };
        let all = units * self.images;
        let in_channel = |channel: usize, holds: &dyn Fn(usize) -> bool| {
            (channel * pixels..(channel + 1) * pixels).filter(|&unit| holds(unit)).count()
        };
        let dead: Vec<usize> = (0..channels).map(|c| in_channel(c, &|unit| self.units[unit].flat)).collect();
        let on: Vec<usize> = (0..channels).map(|c| in_channel(c, &|unit| self.is_always_on(unit))).collect();
        let whole = |counts: &[usize]| counts.iter().filter(|&&count| pixels > 0 && count == pixels).count();
        let negative: u64 = self.negative.iter().sum();
        SignReport {
            negative_share: of(negative as usize, all),
            zero_share: of(self.zero as usize, all),
            saturated_share: of(self.saturated as usize, all),
            dead_share: of(dead.iter().sum(), units),
            always_on_share: of(on.iter().sum(), units),
            mixed_share: of(self.mixed()[1], units),
            units,
            dead_units: dead.iter().sum(),
            always_on_units: on.iter().sum(),
            dead_channels: whole(&dead),
            always_on_channels: whole(&on),
            counts: [negative, self.zero],
            channels: Channels {
                negative: self.negative.iter().map(|&count| of(count as usize, pixels * self.images)).collect(),
                dead: dead.iter().map(|&count| of(count, pixels)).collect(),
                always_on: on.iter().map(|&count| of(count, pixels)).collect(),
            },
            histogram: self.histogram.clone(),
            is_one_map: self.is_one_map(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::graph::{Graph, Node};
    use reluctor::ops::{Activate, Activation};
    use reluctor::tensor::TensorType;

    fn signs(activation: Activation, units: usize) -> Signs {
        let mut graph = Graph::default();
        let ids = ["x", "y"].map(|name| graph.add_value(name, TensorType::real([1, units]), None));
        let node = Node::new("act", Activate { activation }, vec![Some(ids[0])], vec![ids[1]]);
        Signs::new(Nonlinearity::of(&graph, &node).unwrap(), &[units])
    }

    #[test]
    fn a_unit_is_dead_always_on_or_mixed_over_all_images() {
        let mut signs = signs(Activation::Relu, 3);
        let before = [-1.0, 2.0, 3.0, -0.5, 0.25, -4.0];
        signs.add(&before, &before.map(|x: f32| x.max(0.0)));
        let report = signs.report();
        assert_eq!((report.dead_units, report.always_on_units, signs.mixed()), (1, 1, [3, 1]));
        assert_eq!((report.counts, report.negative_share, report.zero_share), ([3, 3], 0.5, 0.5));
        assert_eq!((report.dead_channels, report.always_on_channels), (1, 1));
    }

    #[test]
    fn what_is_not_a_number_is_in_no_piece() {
        let mut signs = signs(Activation::Relu, 2);
        signs.add(&[f32::NAN, -1.0], &[f32::NAN, 0.0]);
        assert_eq!((signs.report().dead_units, signs.mixed()), (1, [2, 1]));
    }

    #[test]
    fn a_channel_in_two_pieces_is_not_one_map() {
        let mut graph = Graph::default();
        let ids = ["x", "y"].map(|name| graph.add_value(name, TensorType::real([1, 1, 1, 2]), None));
        let activation = Activation::LeakyRelu { alpha: 0.1 };
        let node = Node::new("act", Activate { activation }, vec![Some(ids[0])], vec![ids[1]]);
        let of = |before: [f32; 2]| {
            let mut signs = Signs::new(Nonlinearity::of(&graph, &node).unwrap(), &[1, 1, 2]);
            signs.add(&before, &before);
            (signs.report().always_on_share, signs.report().is_one_map)
        };
        assert_eq!((of([1.0, -1.0]), of([1.0, 2.0])), ((1.0, false), (1.0, true)));
    }

    #[test]
    fn what_saturates_is_told_by_its_slope() {
        let mut signs = signs(Activation::Sigmoid, 2);
        signs.add(&[0.0, 20.0], &[0.5, 1.0]);
        assert_eq!((signs.report().saturated_share, signs.report().always_on_share), (0.5, 0.0));
    }

    #[test]
    fn every_number_is_in_a_bin_and_zero_is_between_two() {
        let mut histogram = Histogram::around(&[-3.0, 1.0]);
        [-3.0, -1e-9, 0.0, 1.0, 900.0, f64::NAN].into_iter().for_each(|x| histogram.add(x));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 5);
        assert_eq!(
            (histogram.low, histogram.counts[BINS / 2 - 1], histogram.counts[BINS / 2]),
            (-histogram.high, 1, 1)
        );
    }
}
