//! Rows brought to mean 0 and variance 1, in each way that they and their scales may lie.

use super::Limited;
use reluctor::graph::ValueId;
use reluctor::ops::activation::ACTIVATIONS;
use reluctor::ops::epilogue::Epilogue;
use reluctor::ops::window::Window;
use reluctor::ops::{Activation, ChannelAffine, Conv, Normalize};
use reluctor::plan::Limits;
use reluctor_testing::build::{Build, Case};

/// A shape, the length of a row, how many neighbouring elements share a scale, and the scales.
type Rows = ([usize; 4], usize, usize, usize);

/// Number by number and in fours, with a scale for each segment and for each place: a channel, a group of channels, a scale for
/// all, the last dimension, the last three, rows that many invocations share, rows of one number, an image, and a channel of
/// each image.
const ROWS: [Rows; 14] = [
    ([2, 3, 7, 3], 21, 21, 3),
    ([2, 6, 5, 3], 30, 15, 6),
    ([1, 2, 5, 3], 15, 1, 1),
    ([3, 5, 2, 7], 7, 1, 7),
    ([2, 3, 4, 8], 32, 32, 3),
    ([2, 6, 4, 2], 24, 8, 6),
    ([2, 4, 4, 2], 32, 1, 1),
    ([3, 5, 2, 8], 8, 1, 8),
    ([2, 3, 3, 4], 36, 1, 36),
    ([1, 2, 64, 33], 64 * 33, 64 * 33, 2),
    ([1, 1, 61, 67], 61 * 67, 1, 61 * 67),
    ([2, 3, 2, 1], 1, 2, 3),
    ([3, 2, 5, 3], 15, 30, 3),
    ([2, 3, 4, 8], 32, 32, 6),
];

/// Images by four channels: each channel alone, also of a number that is no multiple of four, and four channels in a group; with
/// numbers for each channel, each group, each image, and each channel of each image.
const BY_FOUR: [Rows; 8] = [
    ([2, 6, 5, 3], 15, 15, 6),
    ([1, 8, 40, 30], 1200, 1200, 8),
    ([2, 8, 5, 3], 60, 15, 8),
    ([1, 8, 5, 3], 60, 60, 2),
    ([2, 6, 5, 3], 15, 15, 12),
    ([3, 8, 5, 3], 60, 15, 24),
    ([3, 6, 5, 3], 15, 90, 3),
    ([2, 8, 5, 3], 60, 120, 2),
];

pub fn cases() -> Vec<Limited> {
    [plain(), by_four()].into_iter().map(|case| (case, Limits::default())).collect()
}

fn activations() -> impl Iterator<Item = (usize, Activation)> {
    ACTIVATIONS.iter().copied().enumerate().filter(|&(_, activation)| activation != Activation::PRelu)
}

pub fn normalize(build: &mut Build, name: &str, x: ValueId, rows: Rows, activation: Activation) -> ValueId {
    let (shape, row, inner, count) = rows;
    let numbers = |first: f64| (0..count).map(move |at| first + (at * 7 % 16) as f64 / 8.0);
    let affine = ChannelAffine::scale(numbers(-0.5)).then(&ChannelAffine::shift(numbers(-1.0)));
    let op = Normalize { shape: shape.to_vec(), row, inner, affine, epsilon: 1e-3, activation };
    build.node(name, op, &[Some(x)])
}

fn plain() -> Case {
    let mut build = Build::new(41);
    for rows in ROWS {
        let x = build.input(&rows.0);
        normalize(&mut build, &format!("{rows:?}"), x, rows, Activation::Identity);
    }
    // With each activation: numbers and fours, of one scale a segment and of one a place.
    for (index, activation) in activations() {
        for of in [[0, 1], [3, 3], [4, 5], [7, 8]] {
            let rows = ROWS[of[index % 2]];
            let x = build.input(&rows.0);
            normalize(&mut build, &format!("{} {rows:?}", activation.name()), x, rows, activation);
        }
    }
    build.done_all()
}

fn by_four() -> Case {
    let mut build = Build::new(42);
    let mut outputs = Vec::new();
    for (index, activation) in activations() {
        let rows = BY_FOUR[index % BY_FOUR.len()];
        let (shape, channels) = (rows.0, rows.0[1]);
        let (x, filters) = (build.input(&shape), build.constant(&[channels, 1, 1, 1]));
        let depthwise = Conv { window: Window::pointwise(), groups: channels, epilogue: Epilogue::default() };
        let name = activation.name();
        let x = build.node(&format!("conv before {name}"), depthwise, &[Some(x), Some(filters)]);
        outputs.push(normalize(&mut build, name, x, rows, activation));
    }
    build.done(&outputs)
}
