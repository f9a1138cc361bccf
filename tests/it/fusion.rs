//! Each pass: fewer nodes, the same numbers.

use reluctor::cpu;
use reluctor::graph::ValueId;
use reluctor::ops::*;
use reluctor::passes::{Fusion, PASSES, optimize};
use reluctor::tensor::Tensor;
use reluctor_testing::bounds::certified;
use reluctor_testing::build::{Build, Case};
use reluctor_testing::check::{Agreement, check, planned, violations};
use reluctor_testing::device::{gpu, run};
use reluctor_testing::shapes::window;

pub const NONE: Activation = Activation::Identity;

/// A 3x3 convolution of `[2, 3, 7, 13]` to 5 channels, with bias.
pub fn conv(build: &mut Build) -> ValueId {
    let x = build.input(&[2, 3, 7, 13]);
    let [w, bias] = [build.constant(&[5, 3, 3, 3]), build.constant(&[5])];
    conv_of(build, x, w, Some(bias))
}

/// The same without bias.
pub fn biasless_conv(build: &mut Build) -> ValueId {
    let x = build.input(&[2, 3, 7, 13]);
    let w = build.constant(&[5, 3, 3, 3]);
    conv_of(build, x, w, None)
}

fn conv_of(build: &mut Build, x: ValueId, w: ValueId, bias: Option<ValueId>) -> ValueId {
    let window = window([3, 3], [1, 1], [1, 1], [1; 4]);
    build.node("conv", Conv { window, groups: 1, epilogue: Epilogue::default() }, &[Some(x), Some(w), bias])
}

/// `[2, 5, 13, 25]`.
fn conv_transpose(build: &mut Build) -> ValueId {
    let x = build.input(&[2, 3, 7, 13]);
    let w = build.constant(&[3, 5, 3, 3]);
    let window = window([3, 3], [2, 2], [1, 1], [1; 4]);
    let op = ConvTranspose { window, groups: 1, output: [13, 25], epilogue: Epilogue::default() };
    build.node("conv", op, &[Some(x), Some(w)])
}

pub fn activate(build: &mut Build, name: &str, x: ValueId, activation: Activation) -> ValueId {
    build.node(name, Activate { activation }, &[Some(x)])
}

pub fn binary(build: &mut Build, name: &str, function: BinaryFunction, a: ValueId, b: ValueId) -> ValueId {
    build.node(name, Binary { function, activation: NONE }, &[Some(a), Some(b)])
}

pub fn batch_norm(build: &mut Build, name: &str, x: ValueId) -> ValueId {
    let channels = build.shape(x)[1];
    let [scale, bias, mean] = [(); 3].map(|()| Some(build.constant(&[channels])));
    let variance = Some(build.positive(&[channels]));
    build.node(
        name,
        BatchNormalization { epsilon: 1e-5, after: None, activation: NONE },
        &[Some(x), scale, bias, mean, variance],
    )
}

pub fn max_pool(build: &mut Build, name: &str, x: ValueId, kernel: usize, stride: usize) -> ValueId {
    let window = window([kernel; 2], [stride; 2], [1, 1], [0; 4]);
    build.node(name, Pool { kind: PoolKind::Max, window, ceil: false }, &[Some(x)])
}

/// The case with the passes run on its graph.
pub fn fused(case: &Case, fusion: &Fusion) -> Case {
    Case { graph: optimize(case.graph.clone(), fusion).unwrap(), inputs: case.inputs.clone() }
}

/// Fuses into as many nodes, computes the same in f64, and on the device both lie within the unfused graph's bounds or
/// their own.
fn assert_fuses(what: &str, case: &Case, nodes: usize) {
    let (plain, fused) = (fused(case, &Fusion::none()), fused(case, &Fusion::all()));
    assert_eq!(plain.graph.nodes.len(), case.graph.nodes.len(), "{what}: no pass ran");
    assert_eq!(fused.graph.nodes.len(), nodes, "{what}:\n{}", fused.graph);
    assert_same_in_f64(what, &plain, &fused);
    check(&plain);
    check(&fused);
}

pub fn assert_same_in_f64(what: &str, plain: &Case, fused: &Case) {
    let inputs: Vec<(&str, Tensor<f64>)> = plain.fed().into_iter().map(|(name, x)| (name, x.cast())).collect();
    let inputs: Vec<(&str, &Tensor<f64>)> = inputs.iter().map(|(name, x)| (*name, x)).collect();
    let [before, after] = [plain, fused].map(|case| cpu::Session::<f64>::new(&case.graph).run(&inputs).unwrap());
    for ((name, before), (same_name, after)) in before.iter().zip(&after) {
        assert_eq!((name, before.shape()), (same_name, after.shape()), "{what}");
        let (before, after) = (before.as_real().unwrap(), after.as_real().unwrap());
        let largest = before.iter().fold(1.0f64, |most, x| most.max(x.abs()));
        for (before, after) in before.iter().zip(after) {
            assert!((before - after).abs() <= 1e-12 * largest, "{what}: {after}, unfused {before}");
        }
    }
}

#[test]
fn an_activation_becomes_part_of_the_operator_before_it() {
    type Producer = fn(&mut Build) -> ValueId;
    let producers: [(&str, Producer); 5] = [
        ("conv", conv),
        ("conv transpose", conv_transpose),
        ("product", |build| {
            let (a, b) = (build.input(&[7, 13]), build.constant(&[13, 5]));
            let op = MatMul { transpose_a: false, transpose_b: false, alpha: 1.0, beta: 1.0, activation: NONE };
            build.node("product", op, &[Some(a), Some(b)])
        }),
        ("sum", |build| {
            let (a, b) = (build.input(&[2, 3, 5]), build.input(&[3, 1]));
            binary(build, "sum", BinaryFunction::Add, a, b)
        }),
        ("batch norm", |build| {
            let x = build.input(&[2, 3, 5, 7]);
            batch_norm(build, "norm", x)
        }),
    ];
    for (what, producer) in producers {
        let mut build = Build::new(1);
        let y = producer(&mut build);
        let y = activate(&mut build, "act", y, Activation::Elu { alpha: 0.5 });
        assert_fuses(what, &build.done(&[y]), 1);
    }
}

#[test]
fn prelu_with_a_slope_for_each_channel_or_for_all_becomes_an_activation() {
    for shape in [&[5, 1, 1][..], &[1, 5, 1, 1], &[1], &[1, 1, 1]] {
        let mut build = Build::new(2);
        let y = conv(&mut build);
        let slope = build.constant(shape);
        let y = binary(&mut build, "prelu", BinaryFunction::PRelu, y, slope);
        assert_fuses(&format!("slope {shape:?}"), &build.done(&[y]), 1);
    }
}

#[test]
fn the_addition_of_a_constant_becomes_a_bias() {
    for (shape, swapped) in [(&[5, 1, 1][..], false), (&[1, 5, 1, 1], true), (&[1], false)] {
        let mut build = Build::new(3);
        let y = biasless_conv(&mut build);
        let constant = build.constant(shape);
        let [a, b] = if swapped { [constant, y] } else { [y, constant] };
        let y = binary(&mut build, "add", BinaryFunction::Add, a, b);
        assert_fuses(&format!("{shape:?}"), &build.done(&[y]), 1);
    }
    for shape in [&[5][..], &[7, 1], &[7, 5], &[1]] {
        let mut build = Build::new(4);
        let (a, b, c) = (build.input(&[7, 13]), build.constant(&[13, 5]), build.constant(shape));
        let op = MatMul { transpose_a: false, transpose_b: false, alpha: 1.0, beta: 3.0, activation: NONE };
        let y = build.node("product", op, &[Some(a), Some(b)]);
        let y = binary(&mut build, "add", BinaryFunction::Add, y, c);
        assert_fuses(&format!("product + {shape:?}"), &build.done(&[y]), 1);
    }
}

#[test]
fn a_batch_normalization_becomes_part_of_the_filters() {
    for producer in [conv, biasless_conv, conv_transpose] {
        let mut build = Build::new(5);
        let y = producer(&mut build);
        let y = batch_norm(&mut build, "norm", y);
        let y = activate(&mut build, "act", y, Activation::Relu);
        assert_fuses("batch norm", &build.done(&[y]), 1);
    }
}

#[test]
fn a_tensor_added_before_the_activation_becomes_a_residual() {
    for swapped in [false, true] {
        let mut build = Build::new(6);
        let y = conv(&mut build);
        let other = build.input(&[2, 5, 7, 13]);
        let [a, b] = if swapped { [other, y] } else { [y, other] };
        let y = binary(&mut build, "add", BinaryFunction::Add, a, b);
        let y = activate(&mut build, "act", y, Activation::Sigmoid);
        assert_fuses("residual", &build.done(&[y]), 1);
    }
}

#[test]
fn two_branches_fuse_their_sum_into_one_of_them() {
    let mut build = Build::new(7);
    let x = build.input(&[2, 5, 7, 13]);
    let window = window([3, 3], [1, 1], [1, 1], [1; 4]);
    let branch = |build: &mut Build, name: &str| {
        let w = build.constant(&[5, 5, 3, 3]);
        let op = Conv { window, groups: 1, epilogue: Epilogue::default() };
        build.node(name, op, &[Some(x), Some(w)])
    };
    let (left, right) = (branch(&mut build, "left"), branch(&mut build, "right"));
    let y = binary(&mut build, "add", BinaryFunction::Add, left, right);
    let y = activate(&mut build, "act", y, Activation::Relu);
    assert_fuses("branches", &build.done(&[y]), 2);
}

#[test]
fn a_pool_becomes_the_end_of_the_convolution_before_it() {
    for (kernel, stride) in [(2, 2), (3, 2), (3, 3), (2, 3)] {
        let mut build = Build::new(8);
        let y = conv(&mut build);
        let y = activate(&mut build, "act", y, Activation::Relu);
        let y = max_pool(&mut build, "pool", y, kernel, stride);
        assert_fuses(&format!("pool {kernel}/{stride}"), &build.done(&[y]), 1);
    }
    let mut build = Build::new(9);
    let y = conv_transpose(&mut build);
    let kind = PoolKind::Average { count_include_pad: true };
    let window = window([2, 3], [2, 2], [1, 1], [0, 1, 1, 0]);
    let y = build.node("pool", Pool { kind, window, ceil: true }, &[Some(y)]);
    assert_fuses("average pool", &build.done(&[y]), 1);
}

#[test]
fn everything_at_once_becomes_one_node() {
    let mut build = Build::new(10);
    let y = conv(&mut build);
    let y = batch_norm(&mut build, "norm", y);
    let other = build.input(&[2, 5, 7, 13]);
    let y = binary(&mut build, "add", BinaryFunction::Add, other, y);
    let slope = build.constant(&[5, 1, 1]);
    let y = binary(&mut build, "prelu", BinaryFunction::PRelu, y, slope);
    let y = max_pool(&mut build, "pool", y, 3, 2);
    let case = build.done(&[y]);
    assert_fuses("all", &case, 1);
    let node = &fused(&case, &Fusion::all()).graph.nodes[0];
    assert_eq!(node.fused, ["norm", "add", "prelu", "pool"]);
}

#[test]
fn each_pass_alone_fuses_its_own_kind_only() {
    let mut build = Build::new(11);
    let y = biasless_conv(&mut build);
    let y = batch_norm(&mut build, "norm", y);
    let y = activate(&mut build, "act", y, Activation::Relu);
    let y = max_pool(&mut build, "pool", y, 2, 2);
    let case = build.done(&[y]);
    let alone = [
        ("transposes", 4),
        ("patterns", 4),
        ("pad", 4),
        ("batch-norm", 3),
        ("scale", 4),
        ("bias", 4),
        ("collapse", 4),
        ("residual", 4),
        ("activation", 3),
        ("pool", 4),
    ];
    assert_eq!(PASSES.len(), alone.len());
    for (pass, nodes) in alone {
        assert!(PASSES.iter().any(|known| known.name == pass));
        let fused = fused(&case, &Fusion::only([pass]).unwrap());
        assert_eq!(fused.graph.nodes.len(), nodes, "{pass}");
        assert_same_in_f64(pass, &case, &fused);
    }
}

#[test]
fn a_fusion_that_changes_the_order_of_activation_and_residual_is_told_apart() {
    let mut build = Build::new(12);
    let y = conv(&mut build);
    let other = build.input(&[2, 5, 7, 13]);
    let y = activate(&mut build, "act", y, Activation::Relu);
    let y = binary(&mut build, "add", BinaryFunction::Add, y, other);
    let case = build.done(&[y]);
    let mut wrong = case.clone();
    wrong.graph.nodes.truncate(1);
    wrong.graph.nodes[0].set_input(epilogue::slot::RESIDUAL, other);
    wrong.graph.nodes[0].outputs = vec![y];
    *wrong.op("conv").activation_mut().unwrap() = Activation::Relu;
    let results = run(gpu(), &planned(&wrong), &wrong.fed());
    assert_ne!(violations(&case, &results, Agreement::Bounded), Vec::<String>::new());
    let [right, wrong] = [&case, &wrong].map(|case| certified(&case.graph, None, &case.fed()).remove(0).exact);
    assert!(right.iter().zip(&wrong).any(|(a, b)| (a - b).abs() > 1e-3));
}
