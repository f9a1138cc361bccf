//! Pools, products, reductions, and the operators that only move elements.

use super::Limited;
use super::convolutions::software;
use reluctor::ops::activation::ACTIVATIONS;
use reluctor::ops::epilogue::Epilogue;
use reluctor::ops::resample::{Coordinates, Interpolation, Length, Rounding};
use reluctor::ops::slice::Range;
use reluctor::ops::window::Window;
use reluctor::ops::{
    Activation, Concat, Conv, Expand, MatMul, Pad, PadMode, Reduce, ReduceKind, Resample, Reshape, Slice, Softmax,
    Transpose,
};
use reluctor::plan::Limits;
use reluctor_testing::build::Build;
use reluctor_testing::shapes::{POOL_KINDS, pools};

pub fn cases() -> Vec<Limited> {
    let builds = [all_pools(), products(), rows(), resampled(), moved(Build::new(7))];
    let mut cases: Vec<Limited> = builds.into_iter().map(|build| (build.done_all(), Limits::default())).collect();
    cases.push((large_products().done_all(), software()));
    cases
}

fn all_pools() -> Build {
    let mut build = Build::new(4);
    for kind in POOL_KINDS {
        for (index, pool) in pools(kind).into_iter().enumerate() {
            let x = build.input(&[[1, 3, 7, 13], [3, 2, 5, 4]][index % 2]);
            build.node(&format!("{pool:?}"), pool, &[Some(x)]);
        }
    }
    build
}

/// Sizes m, n and k, batches of a and of b.
type Product = ([usize; 3], &'static [usize], &'static [usize]);

const PRODUCTS: [Product; 7] = [
    ([1, 1, 1], &[], &[]),
    ([3, 65, 17], &[], &[]),
    ([7, 13, 63], &[2], &[]),
    ([5, 4, 3], &[2, 1], &[1, 3]),
    ([1, 10, 33], &[3], &[3]),
    ([2, 9, 31], &[], &[2]),
    ([65, 3, 9], &[], &[]),
];

fn products() -> Build {
    let mut build = Build::new(5);
    let activations = ACTIVATIONS.iter().filter(|&&activation| activation != Activation::PRelu);
    for (index, &activation) in activations.clone().enumerate() {
        for addend in [false, true] {
            let ([m, n, k], a_batch, b_batch) = PRODUCTS[(index * 2 + usize::from(addend)) % PRODUCTS.len()];
            let [transpose_a, transpose_b] = [index % 2 == 1, index % 4 >= 2];
            let (alpha, beta) = if index % 3 == 0 { (0.5, -1.5) } else { (1.0, 1.0) };
            let a = build.input(&[a_batch, &if transpose_a { [k, m] } else { [m, k] }].concat());
            let b_shape = [b_batch, &if transpose_b { [n, k] } else { [k, n] }].concat();
            // Computed and constant factors take different ways to the device.
            let b = if index % 3 == 1 { build.input(&b_shape) } else { build.constant(&b_shape) };
            let c_shape = [vec![n], vec![m, n], vec![m, 1], vec![1]][index % 4].clone();
            let c = addend.then(|| build.constant(&c_shape));
            let op = MatMul { transpose_a, transpose_b, alpha, beta, activation };
            build.node(&format!("{} {m}x{n}x{k} {addend}", activation.name()), op, &[Some(a), Some(b), c]);
        }
    }
    // Constant factors in whole vec4s: few rows, of so many columns that the acceptance test needs no more of them, and many.
    let shapes = [(vec![1], 1 << 14, 4), (vec![2, 6], 70, 12), (vec![3], 5_463, 8), (vec![9], 32, 64)];
    for (index, &activation) in activations.enumerate() {
        for (turn, addend) in [false, true, false, true].into_iter().enumerate() {
            let (rows, n, k) = shapes[turn / 2 + 2 * (index % 2)].clone();
            let transpose_b = index % 4 >= 2;
            let a = build.input(&[&rows[..], &[k]].concat());
            let b = build.constant(&if transpose_b { [n, k] } else { [k, n] });
            let c = addend.then(|| build.constant(&[rows[rows.len() - 1], n]));
            let op = MatMul { transpose_b, alpha: 0.5, beta: -1.5, transpose_a: false, activation };
            build.node(&format!("{} {rows:?} {n}x{k} {addend}", activation.name()), op, &[Some(a), Some(b), c]);
        }
    }
    build
}

/// Products that are worth the way through `conv_subgroup` and back: with biases or one number for all, factors transposed or
/// not, and batches of rows; and one whose addend is no bias.
fn large_products() -> Build {
    let mut build = Build::new(46);
    let activations = [Activation::Identity, Activation::Gelu, Activation::Relu, Activation::Swish { alpha: 1.0 }];
    let addends: [Option<&[usize]>; 5] = [None, Some(&[60]), Some(&[1, 60]), Some(&[1]), Some(&[521, 60])];
    for (index, addend) in addends.into_iter().enumerate() {
        let transpose_b = index % 2 == 1;
        let a = build.input(if index == 0 { &[2, 521, 132] } else { &[521, 132] });
        let b = build.constant(if transpose_b { &[60, 132] } else { &[132, 60] });
        let c = addend.map(|shape| build.constant(shape));
        let activation = activations[index % activations.len()];
        let op = MatMul { transpose_a: false, transpose_b, alpha: 1.0, beta: 1.0, activation };
        build.node(&format!("{} {addend:?}", activation.name()), op, &[Some(a), Some(b), c]);
    }
    build
}

fn rows() -> Build {
    let mut build = Build::new(6);
    let shapes: [(&[usize], std::ops::Range<usize>); 6] = [
        (&[2, 3, 7, 13], 2..4),
        (&[1, 65, 1, 1], 2..4),
        (&[3, 1000], 1..2),
        (&[2, 17, 5], 1..2),
        (&[63], 0..1),
        (&[4, 64, 3], 0..2),
    ];
    for (shape, axes) in shapes {
        let x = build.input(shape);
        let name = format!("{shape:?} {axes:?}");
        for kind in [ReduceKind::Mean, ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min] {
            build.node(&format!("{kind:?} {name}"), Reduce { kind, axes: axes.clone() }, &[Some(x)]);
        }
        build.node(&format!("Softmax {name}"), Softmax { axes }, &[Some(x)]);
    }
    build
}

/// Every interpolation, larger and smaller, over inner and outer axes.
fn resampled() -> Build {
    let mut build = Build::new(10);
    let numbers = build.input(&[2, 3, 7, 13]);
    // In fours: lines of columns, and images by four channels.
    let fours = build.input(&[2, 3, 7, 12]);
    let (image, filters) = (build.input(&[2, 5, 7, 13]), build.constant(&[5, 1, 1, 1]));
    let depthwise = Conv { window: Window::pointwise(), groups: 5, epilogue: Epilogue::default() };
    let by_four = build.node("image by four", depthwise, &[Some(image), Some(filters)]);
    let crop = Coordinates::Crop { start: -0.25, end: 0.75 };
    let rules = [
        (Interpolation::Nearest(Rounding::PreferFloor), Coordinates::HalfPixel, false),
        (Interpolation::Linear, Coordinates::AlignCorners(Length::Exact), false),
        (Interpolation::Linear, crop, false),
        (Interpolation::Cubic(-0.75), Coordinates::HalfPixel, false),
        (Interpolation::Cubic(-0.5), Coordinates::Asymmetric, true),
    ];
    let lines = [(numbers, 1, 3), (numbers, 2, 7), (numbers, 3, 13), (fours, 1, 3), (fours, 2, 7)];
    for (x, axis, old) in [&lines[..], &[(by_four, 2, 7), (by_four, 3, 13)]].concat() {
        for (interpolation, coordinates, exclude_outside) in rules {
            for size in [2, old, 2 * old, 17] {
                let scale = size as f64 / old as f64;
                let antialias = size < old;
                let op = Resample { axis, size, scale, coordinates, interpolation, antialias, exclude_outside };
                build.node(&format!("{op:?} of {x:?}"), op, &[Some(x)]);
            }
        }
    }
    build
}

/// Transpositions, slices, concatenations, reshapes and paddings of what the builder makes inputs of.
pub fn moved(mut build: Build) -> Build {
    let x = build.input(&[2, 3, 7, 13]);
    for permutation in [vec![0, 2, 3, 1], vec![3, 2, 1, 0], vec![1, 0, 2, 3], vec![0, 1, 3, 2]] {
        build.node(&format!("Transpose {permutation:?}"), Transpose { permutation }, &[Some(x)]);
    }
    let deep = build.input(&[2, 2, 2, 2, 2, 3]);
    build.node("Transpose of six", Transpose { permutation: vec![0, 3, 4, 1, 5, 2] }, &[Some(deep)]);

    let all = |count| Range { start: 0, step: 1, count };
    let slices = [
        (
            "Slice step",
            vec![all(2), all(3), Range { start: 1, step: 2, count: 3 }, Range { start: 12, step: -3, count: 5 }],
        ),
        (
            "Slice one",
            vec![Range { start: 1, step: 1, count: 1 }, all(3), Range { start: 6, step: 1, count: 1 }, all(13)],
        ),
        ("Slice back", vec![all(2), Range { start: 2, step: -1, count: 3 }, all(7), all(13)]),
    ];
    for (name, ranges) in slices {
        build.node(name, Slice { ranges }, &[Some(x)]);
    }
    let thin = build.input(&[3, 1, 13]);
    build.node("Expand", Expand { shape: vec![2, 3, 7, 13] }, &[Some(thin)]);
    for axis in 0..4 {
        let mut shape = [2, 3, 7, 13];
        shape[axis] = 1 + axis;
        let (y, mut z) = (build.input(&shape), build.constant(&shape));
        if axis == 3 {
            z = y;
        }
        build.node(&format!("Concat {axis}"), Concat { axis }, &[Some(x), Some(y), Some(z)]);
    }
    let flat = build.node("Reshape", Reshape { shape: vec![6, 91] }, &[Some(x)]);
    build.node("Transpose of a reshape", Transpose { permutation: vec![1, 0] }, &[Some(flat)]);

    for mode in [PadMode::Constant(1.5), PadMode::Edge, PadMode::Reflect, PadMode::Wrap] {
        let pad = Pad { mode, begin: vec![0, 1, 2, 0], end: vec![0, 0, 3, 5] };
        build.node(&format!("{mode:?}"), pad, &[Some(x)]);
        let cut = Pad { mode, begin: vec![-1, 0, 2, -3], end: vec![0, -1, -4, 2] };
        build.node(&format!("{mode:?}, cut"), cut, &[Some(x)]);
    }
    by_four(&mut build);
    build
}

/// Crops and paddings of images that lie by four channels, and of some that cannot stay so.
fn by_four(build: &mut Build) {
    for channels in [8, 6] {
        let (x, filters) = (build.input(&[2, channels, 7, 5]), build.constant(&[channels, 1, 1, 1]));
        let depthwise = Conv { window: Window::pointwise(), groups: channels, epilogue: Epilogue::default() };
        let x = build.node(&format!("{channels} by four"), depthwise, &[Some(x), Some(filters)]);
        let all = |count| Range { start: 0, step: 1, count };
        let crop = [Range { start: 2, step: 1, count: 4 }, Range { start: 4, step: -2, count: 3 }];
        let of_channels = [
            ("all", all(channels)),
            ("the last", Range { start: 4, step: 1, count: channels - 4 }),
            ("the first", all(4)),
            ("three", all(3)),
            ("from the second on", Range { start: 1, step: 1, count: 4 }),
            ("every second", Range { start: 0, step: 2, count: channels / 2 }),
        ];
        for (name, range) in of_channels {
            let ranges = vec![Range { start: 1, step: 1, count: 1 }, range, crop[0], crop[1]];
            build.node(&format!("crop of {channels}, {name}"), Slice { ranges }, &[Some(x)]);
        }
        for mode in [PadMode::Constant(1.5), PadMode::Constant(0.0), PadMode::Edge, PadMode::Reflect, PadMode::Wrap] {
            for (first, last) in [(0, 0), (1, 0), (0, 2)] {
                let pad = Pad { mode, begin: vec![0, first, 2, -1], end: vec![1, last, 0, 3] };
                build.node(&format!("{pad:?} around {channels}"), pad, &[Some(x)]);
            }
        }
    }
}
