//! Tests of the comparison itself: a device that computes something slightly else must be told apart.

use ndarray::Axis;
use reluctor::ops::epilogue::slot;
use reluctor::ops::slice::Range;
use reluctor::ops::window::Window;
use reluctor::ops::*;
use reluctor::plan::Computation;
use reluctor::tensor::Tensor;
use reluctor_lab::compare::{Comparison, Mode, Tolerance, Verdict};
use reluctor_testing::build::{Build, Case};
use reluctor_testing::check::{Agreement, planned, violations};
use reluctor_testing::device::{assert_identical, gpu, run};
use reluctor_testing::shapes::window;

/// The elements that give away `mutant` when it runs in place of `case`.
fn evidence(case: &Case, mutant: &Case) -> Vec<String> {
    let results = run(gpu(), &planned(mutant), &mutant.fed());
    violations(case, &results, Agreement::Bounded)
}

/// The case itself passes, and its mutant does not.
fn assert_told_apart(what: &str, case: &Case, mutant: &Case) {
    assert_eq!(evidence(case, case), Vec::<String>::new(), "{what}: the original");
    assert_ne!(evidence(case, mutant), Vec::<String>::new(), "{what} is not told apart");
}

/// The same case, with one operator changed.
fn assert_operator_matters(what: &str, case: &Case, name: &str, mutate: impl FnOnce(&mut Op)) {
    let mut mutant = case.clone();
    mutate(mutant.op(name));
    assert_told_apart(what, case, &mutant);
}

/// The same case, with one constant of its only node changed.
fn assert_constant_matters(what: &str, case: &Case, slot: usize, mutate: impl FnOnce(&mut ndarray::ArrayD<f32>)) {
    let mut mutant = case.clone();
    let id = mutant.graph.nodes[0].input(slot).expect("the slot is filled");
    let mut array = mutant.graph.value(id).constant.as_ref().unwrap().as_real().unwrap().clone();
    mutate(&mut array);
    mutant.graph.values[id.0].constant = Some(std::sync::Arc::new(Tensor::Real(array)));
    assert_told_apart(what, case, &mutant);
}

const WINDOW: fn() -> Window = || window([3, 3], [2, 1], [1, 1], [1, 1, 0, 1]);

/// A convolution of three images with everything in its epilogue.
fn conv(activation: Activation, pool: Option<Pool>) -> Case {
    let mut build = Build::new(1);
    let x = build.input(&[3, 3, 7, 13]);
    let [w, bias] = [build.constant(&[5, 3, 3, 3]), build.constant(&[5])];
    let residual = build.input(&[3, 5, 3, 13]);
    let slope = (activation == Activation::PRelu).then(|| build.constant(&[5]));
    let epilogue = Epilogue { activation, pool, ..Epilogue::default() };
    let op = Conv { window: WINDOW(), groups: 1, epilogue };
    let y = build.node("conv", op, &[Some(x), Some(w), Some(bias), Some(residual), slope]);
    build.done(&[y])
}

fn as_conv(op: &mut Op) -> &mut Conv {
    match op {
        Op::Conv(conv) => conv,
        other => panic!("{other} is no convolution"),
    }
}

fn max_pool() -> Pool {
    Pool { kind: PoolKind::Max, window: window([2, 2], [1, 2], [1, 1], [0, 1, 1, 0]), ceil: false }
}

#[test]
fn another_activation_is_told_apart() {
    let swaps = [
        (Activation::Relu, Activation::LeakyRelu { alpha: 0.01 }),
        (Activation::Elu { alpha: 2.0 }, Activation::Celu { alpha: 2.0 }),
        (Activation::Gelu, Activation::GeluTanh),
        (Activation::HardSwish, Activation::Swish { alpha: 1.0 }),
        (Activation::Clip { min: 0.0, max: 6.0 }, Activation::Relu),
        (Activation::LeakyRelu { alpha: 0.01 }, Activation::LeakyRelu { alpha: 0.01001 }),
        (Activation::ThresholdedRelu { alpha: 1.0 }, Activation::ThresholdedRelu { alpha: 1.1 }),
        (Activation::Tanh, Activation::Softsign),
    ];
    for (activation, other) in swaps {
        let what = format!("{other:?} for {activation:?}");
        assert_operator_matters(&what, &conv(activation, None), "conv", |op| as_conv(op).epilogue.activation = other);
    }
}

#[test]
fn a_wrong_bias_slope_or_tap_is_told_apart() {
    let roll = |array: &mut ndarray::ArrayD<f32>| array.as_slice_mut().unwrap().rotate_right(1);
    let case = conv(Activation::PRelu, None);
    assert_constant_matters("a dropped bias", &case, slot::BIAS, |bias| bias.fill(0.0));
    assert_constant_matters("another channel's bias", &case, slot::BIAS, roll);
    assert_constant_matters("another channel's slope", &case, slot::SLOPE, roll);
    assert_constant_matters("taps shifted by one", &case, slot::WEIGHT, roll);
    assert_constant_matters("one tap swapped with its neighbour", &case, slot::WEIGHT, |w| {
        w.as_slice_mut().unwrap().swap(9, 10);
    });
    assert_constant_matters("one weight that is 0.1 % off", &case, slot::WEIGHT, |w| w[[4, 2, 1, 1]] *= 1.001);
}

#[test]
fn a_window_off_by_one_is_told_apart() {
    let case = conv(Activation::Relu, Some(max_pool()));
    let pads = |window: &mut Window| std::mem::swap(&mut window.pads.top, &mut window.pads.bottom);
    assert_operator_matters("the convolution's padding", &case, "conv", |op| pads(&mut as_conv(op).window));
    assert_operator_matters("the pool's padding", &case, "conv", |op| {
        pads(&mut as_conv(op).epilogue.pool.as_mut().unwrap().window);
    });
    assert_operator_matters("a mean for a maximum", &case, "conv", |op| {
        as_conv(op).epilogue.pool.as_mut().unwrap().kind = PoolKind::Average { count_include_pad: false };
    });
    let mean = Pool { kind: PoolKind::Average { count_include_pad: false }, ..max_pool() };
    assert_operator_matters("padding that counts", &conv(Activation::Relu, Some(mean)), "conv", |op| {
        as_conv(op).epilogue.pool.as_mut().unwrap().kind = PoolKind::Average { count_include_pad: true };
    });
}

#[test]
fn a_batch_item_that_reads_another_is_told_apart() {
    let case = conv(Activation::Relu, None);
    for input in 0..2 {
        let mut mutant = case.clone();
        let Tensor::Real(x) = &mut mutant.inputs[input].1 else { panic!("inputs hold reals") };
        let first = x.index_axis(Axis(0), 1).to_owned();
        x.index_axis_mut(Axis(0), 2).assign(&first);
        let results = run(gpu(), &planned(&case), &mutant.fed());
        assert_ne!(violations(&case, &results, Agreement::Bounded), Vec::<String>::new(), "input {input}");
    }
}

#[test]
fn a_number_that_nobody_wrote_is_told_apart() {
    let case = conv(Activation::Relu, None);
    let mut results = run(gpu(), &planned(&case), &case.fed());
    let Tensor::Real(y) = &mut results[0].1 else { panic!("outputs hold reals") };
    y[[2, 4, 2, 12]] = f32::NAN;
    assert_eq!(violations(&case, &results, Agreement::Bounded).len(), 1);
    assert_eq!(violations(&case, &results, Agreement::Exact).len(), 1);
}

#[test]
fn other_operators_with_a_wrong_attribute_are_told_apart() {
    let mut build = Build::new(2);
    let (x, y, square) = (build.input(&[2, 3, 7, 13]), build.input(&[2, 3, 7, 13]), build.input(&[9, 9]));
    let all = |count| Range { start: 0, step: 1, count };
    let none = Activation::Identity;
    let add = Binary { function: BinaryFunction::Add, activation: none };
    let ranges = vec![all(2), all(3), Range { start: 1, step: 2, count: 3 }, all(13)];
    let (begin, end) = (vec![0, 0, 2, 0], vec![0, 0, 0, 2]);
    let mul = MatMul { transpose_a: false, transpose_b: false, alpha: 1.0, beta: 1.0, activation: none };
    build.node("binary", add.clone(), &[Some(x), Some(y)]);
    build.node("mean", Reduce { kind: ReduceKind::Mean, axes: 2..4 }, &[Some(x)]);
    build.node("softmax", Softmax { axes: 0..1 }, &[Some(square)]);
    build.node("slice", Slice { ranges: ranges.clone() }, &[Some(x)]);
    build.node("transpose", Transpose { permutation: vec![1, 0] }, &[Some(square)]);
    build.node("pad", Pad { mode: PadMode::Reflect, begin: begin.clone(), end: end.clone() }, &[Some(x)]);
    build.node("product", mul.clone(), &[Some(square), Some(square)]);
    build.node("pool", max_pool(), &[Some(x)]);
    let case = build.done_all();

    let mut shifted = ranges;
    shifted[2].start = 0;
    let moved = Window { pads: window::Pads { top: 1, left: 1, bottom: 0, right: 0 }, ..max_pool().window };
    let mutants: [(&str, Op); 8] = [
        ("binary", Binary { function: BinaryFunction::Sub, ..add }.into()),
        ("mean", Reduce { kind: ReduceKind::Max, axes: 2..4 }.into()),
        ("softmax", Softmax { axes: 1..2 }.into()),
        ("slice", Slice { ranges: shifted }.into()),
        ("transpose", Transpose { permutation: vec![0, 1] }.into()),
        ("pad", Pad { mode: PadMode::Edge, begin, end }.into()),
        ("product", MatMul { transpose_a: true, ..mul }.into()),
        ("pool", Pool { window: moved, ..max_pool() }.into()),
    ];
    for (name, op) in mutants {
        assert_operator_matters(name, &case, name, |original| *original = op);
    }
}

#[test]
fn integers_that_are_off_by_one_are_told_apart() {
    let mut build = Build::integers(3);
    let (x, y) = (build.input(&[65]), build.input(&[65]));
    build.node("sum", Binary { function: BinaryFunction::Add, activation: Activation::Identity }, &[Some(x), Some(y)]);
    let case = build.done_all();
    let mut results = run(gpu(), &planned(&case), &case.fed());
    assert_eq!(violations(&case, &results, Agreement::Exact), Vec::<String>::new());
    let Tensor::Real(sum) = &mut results[0].1 else { panic!("outputs hold reals") };
    sum[[64]] += 1.0;
    assert_eq!(violations(&case, &results, Agreement::Exact).len(), 1);
}

#[test]
#[should_panic(expected = "differs between runs")]
fn runs_that_differ_in_one_bit_are_told_apart() {
    let result = |x: f32| vec![("y".to_string(), Tensor::real(&[2], vec![1.0, x]).unwrap())];
    assert_identical(&[result(2.0), result(2.0), result(2.0f32.next_up())]);
}

/// What the library's own comparison says of a device that runs `mutant` in place of `case`, layer by layer.
fn verdicts(case: &Case, mutant: &Case, mode: Mode) -> Vec<Verdict> {
    let mut comparison = Comparison::new(&case.graph, &case.fed(), mode, Tolerance::RoundingBound);
    let mut verdicts = Vec::new();
    let mut observe = |step: usize, outputs: Vec<Tensor>| {
        verdicts.push(comparison.layer(step, &Computation::default(), outputs[0].clone())?.difference.verdict);
        Ok(())
    };
    gpu().load(&planned(mutant)).unwrap().run_stepwise(&case.fed(), &mut observe).unwrap();
    verdicts
}

#[test]
fn the_librarys_comparison_names_the_layer_that_is_wrong() {
    let mut build = Build::new(4);
    let (rows, columns) = (build.input(&[3, 1, 1]), build.input(&[1, 4, 1]));
    let add = Binary { function: BinaryFunction::Add, activation: Activation::Identity };
    let mut y = build.node("first", add, &[Some(rows), Some(columns)]);
    for name in ["second", "third"] {
        y = build.node(name, Activate { activation: Activation::Tanh }, &[Some(y)]);
    }
    let case = build.done(&[y]);
    for mode in [Mode::EachLayer, Mode::Cumulative] {
        assert!(verdicts(&case, &case, mode).iter().all(|&verdict| verdict != Verdict::Mismatch));
    }
    let mut mutant = case.clone();
    *mutant.op("second") = Activate { activation: Activation::Softsign }.into();
    let bad = |mode| -> Vec<bool> {
        verdicts(&case, &mutant, mode).iter().map(|&verdict| verdict == Verdict::Mismatch).collect()
    };
    assert_eq!(bad(Mode::EachLayer), [false, true, false]);
    assert_eq!(bad(Mode::Cumulative), [false, true, true]);
}
