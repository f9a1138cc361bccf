//! What exporters write as several nodes, and the passes that make one of them. Constants such as 1 / 6 are rounded in files,
//! and so the f64 results may differ by as much.

use crate::fusion::{activate, batch_norm, biasless_conv, binary, fused};
use reluctor::cpu;
use reluctor::graph::ValueId;
use reluctor::ops::*;
use reluctor::passes::Fusion;
use reluctor::tensor::Tensor;
use reluctor_testing::build::{Build, Case};
use reluctor_testing::check::check;
use reluctor_testing::shapes::window;

use BinaryFunction::{Add, Div, Mul};

fn number(build: &mut Build, value: f32) -> ValueId {
    build.constant_of(Tensor::real(&[], vec![value]).unwrap())
}

pub(crate) fn with_number(build: &mut Build, name: &str, function: BinaryFunction, x: ValueId, value: f32) -> ValueId {
    let value = number(build, value);
    binary(build, name, function, x, value)
}

type Pattern = fn(&mut Build, ValueId) -> ValueId;

const PATTERNS: [(&str, Activation, Pattern); 11] = [
    ("gelu by tanh, a power", Activation::GeluTanh, |b, x| {
        let three = number(b, 3.0);
        let cube = binary(b, "cube", BinaryFunction::Pow, x, three);
        gelu_by_tanh(b, x, cube)
    }),
    ("gelu by tanh, products", Activation::GeluTanh, |b, x| {
        let square = binary(b, "square", Mul, x, x);
        let cube = binary(b, "cube", Mul, square, x);
        gelu_by_tanh(b, x, cube)
    }),
    ("silu", Activation::Swish { alpha: 1.0 }, |b, x| {
        let gate = activate(b, "gate", x, Activation::Sigmoid);
        binary(b, "y", Mul, gate, x)
    }),
    ("swish", Activation::Swish { alpha: 1.5 }, |b, x| {
        let scaled = with_number(b, "scaled", Mul, x, 1.5);
        let gate = activate(b, "gate", scaled, Activation::Sigmoid);
        binary(b, "y", Mul, x, gate)
    }),
    ("hard swish, divided last", Activation::HardSwish, |b, x| {
        let shifted = with_number(b, "shifted", Add, x, 3.0);
        let gate = activate(b, "gate", shifted, Activation::Clip { min: 0.0, max: 6.0 });
        let product = binary(b, "product", Mul, x, gate);
        with_number(b, "y", Div, product, 6.0)
    }),
    ("hard swish, gate first", Activation::HardSwish, |b, x| {
        let shifted = with_number(b, "shifted", Add, x, 3.0);
        let gate = activate(b, "gate", shifted, Activation::Clip { min: 0.0, max: 6.0 });
        let gate = with_number(b, "sixth", Mul, gate, 1.0 / 6.0);
        binary(b, "y", Mul, gate, x)
    }),
    ("hard swish of a hard sigmoid", Activation::HardSwish, |b, x| {
        let gate = activate(b, "gate", x, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 });
        binary(b, "y", Mul, x, gate)
    }),
    ("hard sigmoid", Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }, |b, x| {
        let shifted = with_number(b, "shifted", Add, x, 3.0);
        let gate = activate(b, "gate", shifted, Activation::Clip { min: 0.0, max: 6.0 });
        with_number(b, "y", Div, gate, 6.0)
    }),
    ("mish", Activation::Mish, |b, x| {
        let softplus = activate(b, "softplus", x, Activation::Softplus);
        let gate = activate(b, "gate", softplus, Activation::Tanh);
        binary(b, "y", Mul, x, gate)
    }),
    ("gelu, halved last", Activation::Gelu, |b, x| {
        let gate = erf(b, x, Div, std::f32::consts::SQRT_2);
        let product = binary(b, "product", Mul, x, gate);
        with_number(b, "y", Mul, product, 0.5)
    }),
    ("gelu, halved first", Activation::Gelu, |b, x| {
        let half = with_number(b, "half", Mul, x, 0.5);
        let gate = erf(b, x, Mul, std::f32::consts::FRAC_1_SQRT_2);
        binary(b, "y", Mul, half, gate)
    }),
];

fn gelu_by_tanh(build: &mut Build, x: ValueId, cube: ValueId) -> ValueId {
    let share = with_number(build, "share", Mul, cube, 0.044715);
    let sum = binary(build, "sum", Add, x, share);
    let scaled = with_number(build, "scaled", Mul, sum, 0.797_884_6);
    let tanh = activate(build, "tanh", scaled, Activation::Tanh);
    let gate = with_number(build, "gate", Add, tanh, 1.0);
    let half = with_number(build, "half", Mul, x, 0.5);
    binary(build, "y", Mul, half, gate)
}

fn erf(build: &mut Build, x: ValueId, function: BinaryFunction, value: f32) -> ValueId {
    let scaled = with_number(build, "scaled", function, x, value);
    let erf = build.node("erf", Unary { function: UnaryFunction::Erf }, &[Some(scaled)]);
    with_number(build, "gate", Add, erf, 1.0)
}

pub(crate) fn assert_alike(what: &str, plain: &Case, fused: &Case) {
    let inputs: Vec<(&str, Tensor<f64>)> = plain.fed().into_iter().map(|(name, x)| (name, x.cast())).collect();
    let inputs: Vec<(&str, &Tensor<f64>)> = inputs.iter().map(|(name, x)| (*name, x)).collect();
    let [before, after] = [plain, fused].map(|case| cpu::Session::<f64>::new(&case.graph).run(&inputs).unwrap());
    for ((_, before), (_, after)) in before.iter().zip(&after) {
        for (before, after) in before.as_real().unwrap().iter().zip(after.as_real().unwrap()) {
            assert!((before - after).abs() <= 1e-6 * (1.0 + before.abs()), "{what}: {after}, unfused {before}");
        }
    }
}

#[test]
fn an_activation_of_several_nodes_becomes_one() {
    for (what, activation, pattern) in PATTERNS {
        let mut build = Build::new(31);
        let x = build.input(&[2, 3, 7, 13]);
        let y = pattern(&mut build, x);
        let case = build.done(&[y]);
        let fused = fused(&case, &Fusion::all());
        let [node] = &fused.graph.nodes[..] else { panic!("{what}:\n{}", fused.graph) };
        let Op::Activate(found) = &node.op else { panic!("{what}: {}", node.op) };
        assert_eq!((found.activation, node.name.as_str()), (activation, "y"), "{what}");
        assert_eq!(node.fused.len() + 1, case.graph.nodes.len(), "{what}");
        assert_alike(what, &case, &fused);
        check(&fused);
    }
}

#[test]
fn an_activation_of_several_nodes_is_fused_into_the_convolution_before_it() {
    for (what, _, pattern) in PATTERNS {
        let mut build = Build::new(32);
        let x = biasless_conv(&mut build);
        let y = pattern(&mut build, x);
        let case = build.done(&[y]);
        let fused = fused(&case, &Fusion::all());
        assert_eq!(fused.graph.nodes.len(), 1, "{what}:\n{}", fused.graph);
        assert_alike(what, &case, &fused);
    }
}

#[test]
fn what_only_looks_like_an_activation_stays() {
    let near_misses: [(&str, Pattern); 4] = [
        ("the gate of another tensor", |b, x| {
            let other = b.input(&[2, 3, 7, 13]);
            let gate = activate(b, "gate", other, Activation::Sigmoid);
            binary(b, "y", Mul, x, gate)
        }),
        ("a fifth", |b, x| {
            let shifted = with_number(b, "shifted", Add, x, 3.0);
            let gate = activate(b, "gate", shifted, Activation::Clip { min: 0.0, max: 6.0 });
            let product = binary(b, "product", Mul, x, gate);
            with_number(b, "y", Div, product, 5.0)
        }),
        ("a gate that opens elsewhere", |b, x| {
            let shifted = with_number(b, "shifted", Add, x, 2.0);
            let gate = activate(b, "gate", shifted, Activation::Clip { min: 0.0, max: 6.0 });
            with_number(b, "y", Div, gate, 6.0)
        }),
        ("a gate that is read again", |b, x| {
            let gate = activate(b, "gate", x, Activation::Sigmoid);
            let product = binary(b, "product", Mul, x, gate);
            binary(b, "y", Add, product, gate)
        }),
    ];
    for (what, pattern) in near_misses {
        let mut build = Build::new(33);
        let x = build.input(&[2, 3, 7, 13]);
        let y = pattern(&mut build, x);
        let case = build.done(&[y]);
        let fused = fused(&case, &Fusion::only(["patterns"]).unwrap());
        assert_eq!(fused.graph.nodes.len(), case.graph.nodes.len(), "{what}:\n{}", fused.graph);
    }
}

fn padded(build: &mut Build, mode: PadMode) -> ValueId {
    let x = build.input(&[2, 3, 7, 13]);
    build.node("pad", Pad { mode, begin: vec![0, 0, 1, 0], end: vec![0, 0, 0, 2] }, &[Some(x)])
}

#[test]
fn zeros_around_an_image_become_the_windows_padding() {
    let readers: [(&str, PadMode, bool, Pattern); 6] = [
        ("convolution", PadMode::Constant(0.0), true, convolved),
        ("mean", PadMode::Constant(0.0), true, |b, x| pooled(b, x, PoolKind::Average { count_include_pad: false })),
        ("maximum", PadMode::Constant(0.0), false, |b, x| pooled(b, x, PoolKind::Max)),
        ("ones", PadMode::Constant(1.0), false, convolved),
        ("edge", PadMode::Edge, false, convolved),
        ("wider than the window", PadMode::Constant(0.0), false, |b, x| {
            let kind = PoolKind::Average { count_include_pad: false };
            let window = window([2, 2], [1, 1], [1, 1], [0; 4]);
            b.node("pool", Pool { kind, window, ceil: false }, &[Some(x)])
        }),
    ];
    for (what, mode, fuses, reader) in readers {
        let mut build = Build::new(34);
        let x = padded(&mut build, mode);
        let y = reader(&mut build, x);
        let case = build.done(&[y]);
        let fused = fused(&case, &Fusion::all());
        assert_eq!(fused.graph.nodes.len(), if fuses { 1 } else { 2 }, "{what}:\n{}", fused.graph);
        assert_alike(what, &case, &fused);
        check(&fused);
    }
}

fn convolved(build: &mut Build, x: ValueId) -> ValueId {
    let weights = build.constant(&[5, 3, 3, 3]);
    let window = window([3, 3], [2, 1], [1, 1], [0, 1, 0, 1]);
    build.node("conv", Conv { window, groups: 1, epilogue: Epilogue::default() }, &[Some(x), Some(weights)])
}

fn pooled(build: &mut Build, x: ValueId, kind: PoolKind) -> ValueId {
    build.node("pool", Pool { kind, window: window([3, 3], [1, 2], [1, 1], [0; 4]), ceil: false }, &[Some(x)])
}

#[test]
fn a_scale_and_a_shift_for_each_channel_are_a_batch_normalization() {
    let normalized: [(&str, Pattern); 3] = [
        ("scale", |b, x| scaled(b, x, [5, 1, 1])),
        ("batch norm, scale", |b, x| {
            let x = batch_norm(b, "norm", x);
            scaled(b, x, [5, 1, 1])
        }),
        ("one scale for all", |b, x| scaled(b, x, [1, 1, 1])),
    ];
    for (what, pattern) in normalized {
        let mut build = Build::new(35);
        let x = biasless_conv(&mut build);
        let y = pattern(&mut build, x);
        let y = activate(&mut build, "act", y, Activation::Relu);
        let case = build.done(&[y]);
        let fused = fused(&case, &Fusion::all());
        assert_eq!(fused.graph.nodes.len(), 1, "{what}:\n{}", fused.graph);
        assert_alike(what, &case, &fused);
        check(&fused);
    }
}

fn scaled(build: &mut Build, x: ValueId, shape: [usize; 3]) -> ValueId {
    let [scale, shift] = [build.constant(&shape), build.constant(&shape)];
    let x = binary(build, "scale", Mul, scale, x);
    binary(build, "shift", Add, x, shift)
}

#[test]
fn a_scale_after_an_activation_or_of_rows_stays() {
    let refused: [(&str, Pattern); 2] = [
        ("activation first", |b, x| {
            let x = activate(b, "act", x, Activation::Relu);
            scaled(b, x, [5, 1, 1])
        }),
        ("rows", |b, x| scaled(b, x, [1, 7, 1])),
    ];
    for (what, pattern) in refused {
        let mut build = Build::new(36);
        let x = biasless_conv(&mut build);
        let y = pattern(&mut build, x);
        let case = build.done(&[y]);
        let fused = fused(&case, &Fusion::all());
        assert!(fused.graph.nodes.len() > 1, "{what}:\n{}", fused.graph);
        assert_alike(what, &case, &fused);
    }
}

#[test]
fn thousands_of_products_in_a_row_are_read_as_they_stand() {
    let mut build = Build::new(37);
    let x = build.input(&[4]);
    let y = (0..3000).fold(x, |y, at| with_number(&mut build, &format!("y{at}"), Mul, y, 1.0));
    let case = build.done(&[y]);
    assert_eq!(fused(&case, &Fusion::only(["patterns"]).unwrap()).graph.nodes.len(), 3000);
}

/// Channels last, and back.
const LAST: [usize; 4] = [0, 2, 3, 1];
const FIRST: [usize; 4] = [0, 3, 1, 2];

fn transposed(build: &mut Build, name: &str, x: ValueId, permutation: [usize; 4]) -> ValueId {
    build.node(name, Transpose { permutation: permutation.to_vec() }, &[Some(x)])
}

#[test]
fn transpositions_wander_until_they_meet_their_opposite() {
    let mut build = Build::new(35);
    let (x, y) = (build.input(&[2, 3, 7, 13]), build.input(&[2, 3, 7, 13]));
    let (a, b) = (transposed(&mut build, "x last", x, LAST), transposed(&mut build, "y last", y, LAST));
    // A gate that reads its own input twice, a constant for each channel, a single number, and two tensors.
    let gate = activate(&mut build, "gate", a, Activation::Tanh);
    let gated = binary(&mut build, "gated", Mul, a, gate);
    let channels = build.constant(&[3]);
    let shifted = binary(&mut build, "shifted", Add, gated, channels);
    let halved = with_number(&mut build, "halved", Mul, shifted, 0.5);
    let sum = binary(&mut build, "sum", Add, halved, b);
    let both = build.node("both", Concat { axis: 3 }, &[Some(sum), Some(b)]);
    let first = transposed(&mut build, "first", both, FIRST);
    let out = activate(&mut build, "out", first, Activation::Relu);
    let case = build.done(&[out]);
    let fused = fused(&case, &Fusion::only(["transposes"]).unwrap());
    let left = fused.graph.nodes.iter().filter(|node| matches!(node.op, Op::Transpose(_))).count();
    assert_eq!(left, 0, "{}", fused.graph);
    assert_alike("transposes", &case, &fused);
    check(&fused);
}

#[test]
fn a_transposition_that_is_needed_stays_and_is_made_once() {
    let mut build = Build::new(36);
    let x = build.input(&[2, 3, 7, 13]);
    let last = transposed(&mut build, "last", x, LAST);
    let mean = build.node("mean", Reduce { kind: ReduceKind::Mean, axes: 3..4 }, &[Some(last)]);
    let relu = activate(&mut build, "relu", last, Activation::Relu);
    let turned = transposed(&mut build, "turned", relu, [0, 2, 1, 3]);
    let case = build.done(&[mean, turned, last]);
    let fused = fused(&case, &Fusion::only(["transposes"]).unwrap());
    let left = fused.graph.nodes.iter().filter(|node| matches!(node.op, Op::Transpose(_))).count();
    assert_eq!(left, 2, "{}", fused.graph);
    assert_alike("transposes", &case, &fused);
    check(&fused);
}
