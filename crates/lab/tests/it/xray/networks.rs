//! Small networks by hand.

use reluctor::graph::ValueId;
use reluctor::ops::window::{Pads, Window};
use reluctor::ops::{Activate, Activation, Binary, BinaryFunction, Conv, Epilogue, Op, Pool, PoolKind};
use reluctor::tensor::Tensor;
use reluctor_testing::build::{Build, Case};

pub const RELU: Activate = Activate { activation: Activation::Relu };

/// A convolution that sees one pixel at a time.
pub fn pointwise() -> Conv {
    Conv { window: Window::pointwise(), groups: 1, epilogue: Epilogue::default() }
}

/// A 3x3 convolution that keeps the image's size.
pub fn three_by_three() -> Conv {
    let pads = Pads { top: 1, left: 1, bottom: 1, right: 1 };
    Conv { window: Window { kernel: [3, 3], pads, ..Window::pointwise() }, ..pointwise() }
}

pub fn halving(kind: PoolKind) -> Pool {
    Pool { kind, window: Window { kernel: [2, 2], stride: [2, 2], ..Window::pointwise() }, ceil: false }
}

pub fn add() -> Op {
    Binary { function: BinaryFunction::Add, activation: Activation::Identity }.into()
}

/// Numbers on one channel of one pixel: weights `[out, in]` and a bias for each output.
pub fn affine(build: &mut Build, name: &str, x: ValueId, weights: &[&[f32]], bias: &[f32]) -> ValueId {
    let shape = [weights.len(), weights[0].len(), 1, 1];
    let weights = build.constant_of(Tensor::real(&shape, weights.concat()).unwrap());
    let bias = build.constant_of(Tensor::real(&[bias.len()], bias.to_vec()).unwrap());
    build.node(name, pointwise(), &[Some(x), Some(weights), Some(bias)])
}

/// An input of one item with these numbers, one a channel.
pub fn numbers(build: &mut Build, values: &[f32]) -> ValueId {
    build.input_of(item(values))
}

pub fn item(values: &[f32]) -> Tensor {
    Tensor::real(&[1, values.len(), 1, 1], values.to_vec()).unwrap()
}

/// The absolute value as the sum of two Relus.
pub fn absolute() -> Case {
    let mut build = Build::new(1);
    let x = numbers(&mut build, &[0.0]);
    let both = affine(&mut build, "both", x, &[&[1.0], &[-1.0]], &[0.0, 0.0]);
    let relu = build.node("relu", RELU, &[Some(both)]);
    let sum = affine(&mut build, "sum", relu, &[&[1.0, 1.0]], &[0.0]);
    build.done(&[sum])
}

/// x as the difference of two Relus: no layer of it is the identity, and the whole is.
pub fn identity_of_relus() -> Case {
    let mut build = Build::new(1);
    let x = numbers(&mut build, &[0.0]);
    let both = affine(&mut build, "both", x, &[&[1.0], &[-1.0]], &[0.0, 0.0]);
    let relu = build.node("relu", RELU, &[Some(both)]);
    let difference = affine(&mut build, "difference", relu, &[&[1.0, -1.0]], &[0.0]);
    build.done(&[difference])
}

/// A tooth from 0 to 1 and back over [0, 1], applied `depth` times: 2^depth pieces.
pub fn sawtooth(depth: usize) -> Case {
    let mut build = Build::new(1);
    let mut x = numbers(&mut build, &[0.0]);
    for level in 0..depth {
        let both = affine(&mut build, &format!("both{level}"), x, &[&[1.0], &[1.0]], &[0.0, -0.5]);
        let relu = build.node(&format!("relu{level}"), RELU, &[Some(both)]);
        x = affine(&mut build, &format!("tooth{level}"), relu, &[&[2.0, -4.0]], &[0.0]);
    }
    build.done(&[x])
}

/// The larger of two lines, 2 t and 1 - t along the segment from 0 to 1.
pub fn larger_of_two_lines() -> Case {
    let mut build = Build::new(1);
    let x = numbers(&mut build, &[0.0]);
    let lines = affine(&mut build, "lines", x, &[&[2.0], &[-1.0]], &[0.0, 1.0]);
    let side_by_side = build.node("side", reluctor::ops::Reshape { shape: vec![1, 1, 1, 2] }, &[Some(lines)]);
    let window = Window { kernel: [1, 2], ..Window::pointwise() };
    let larger = build.node("larger", Pool { kind: PoolKind::Max, window, ceil: false }, &[Some(side_by_side)]);
    build.done(&[larger])
}

/// x + g(x), where g is a convolution and a Relu that always gives zero.
pub fn residual_identity() -> Case {
    let mut build = Build::new(1);
    let x = build.input(&[2, 3, 5, 7]);
    let filters = build.constant_of(Tensor::real(&[3, 3, 3, 3], vec![0.0; 81]).unwrap());
    let bias = build.constant_of(Tensor::real(&[3], vec![-1.0; 3]).unwrap());
    let conv = build.node("conv", three_by_three(), &[Some(x), Some(filters), Some(bias)]);
    let relu = build.node("relu", RELU, &[Some(conv)]);
    let sum = build.node("sum", add(), &[Some(x), Some(relu)]);
    build.done(&[sum])
}
