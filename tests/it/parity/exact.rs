//! On small integers every sum and product is exact in f32: device and reference must agree in every bit.

use super::convolutions::{Direction, add};
use super::moves::moved;
use reluctor::ops::{Activation, Binary, BinaryFunction, Epilogue, MatMul, PoolKind, Reduce, ReduceKind};
use reluctor_testing::build::Build;
use reluctor_testing::check::check_exact;
use reluctor_testing::shapes::{conv_shapes, pools};

fn convolutions(direction: Direction) {
    let mut build = Build::integers(1);
    for (index, shape) in conv_shapes().into_iter().enumerate() {
        let activation = if index % 2 == 0 { Activation::Identity } else { Activation::Relu };
        let epilogue = Epilogue { activation, ..Epilogue::default() };
        add(&mut build, direction, shape, epilogue, index % 2 == 0, index % 3 != 0);
    }
    check_exact(&build.done_all());
}

#[test]
fn convolutions_of_integers_are_exact() {
    convolutions(Direction::Forward);
}

#[test]
fn transposed_convolutions_of_integers_are_exact() {
    convolutions(Direction::Transposed);
}

#[test]
fn maxima_of_integers_are_exact() {
    let mut build = Build::integers(2);
    let x = build.input(&[3, 3, 7, 13]);
    for pool in pools(PoolKind::Max) {
        build.node(&format!("{pool:?}"), pool, &[Some(x)]);
    }
    build.node("global", Reduce { kind: ReduceKind::Max, axes: 2..4 }, &[Some(x)]);
    check_exact(&build.done_all());
}

#[test]
fn arithmetic_and_products_of_integers_are_exact() {
    let mut build = Build::integers(3);
    let (a, b) = (build.input(&[3, 5, 7, 13]), build.input(&[5, 1, 13]));
    for function in [BinaryFunction::Add, BinaryFunction::Sub, BinaryFunction::Mul, BinaryFunction::PRelu] {
        let op = Binary { function, activation: Activation::Identity };
        build.node(&format!("{function:?}"), op, &[Some(a), Some(b)]);
    }
    let (a, b, c) = (build.input(&[3, 9, 65]), build.constant(&[17, 65]), build.constant(&[17]));
    let (alpha, beta, activation) = (1.0, 2.0, Activation::Identity);
    let op = MatMul { transpose_a: false, transpose_b: true, alpha, beta, activation };
    build.node("MatMul", op, &[Some(a), Some(b), Some(c)]);
    check_exact(&build.done_all());
}

#[test]
fn moved_integers_are_exact() {
    check_exact(&moved(Build::integers(4)).done_all());
}
