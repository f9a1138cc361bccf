//! NaN among the numbers that maxima and minima are taken of: it wins, on a device as in the reference.

use crate::parity::convolutions::{Direction, add};
use reluctor::cpu;
use reluctor::element::Element;
use reluctor::ops::*;
use reluctor::plan::{Limits, plan};
use reluctor::tensor::Tensor;
use reluctor_testing::build::Build;
use reluctor_testing::check::planned;
use reluctor_testing::device::{gpu, run};
use reluctor_testing::shapes::window;

#[test]
fn a_maximum_or_minimum_of_a_nan_is_one() {
    let mut build = Build::new(1);
    let (x, y) = (build.input(&[2, 5, 6, 7]), build.input(&[2, 5, 6, 7]));
    let pool = || Pool { kind: PoolKind::Max, window: window([2, 3], [1, 2], [1, 1], [1, 0, 0, 1]), ceil: false };
    build.node("pool", pool(), &[Some(x)]);
    for function in [BinaryFunction::Max, BinaryFunction::Min] {
        build.node(
            &format!("{function:?}"),
            Binary { function, activation: Activation::Identity },
            &[Some(x), Some(y)],
        );
    }
    for kind in [ReduceKind::Max, ReduceKind::Min] {
        build.node(&format!("reduced {kind:?}"), Reduce { kind, axes: 2..4 }, &[Some(x)]);
    }
    // One tap a channel leaves every NaN in its place, and the image by four channels before the pool.
    let filters = build.constant(&[5, 1, 1, 1]);
    let op = Conv { window: window([1, 1], [1, 1], [1, 1], [0; 4]), groups: 5, epilogue: Epilogue::default() };
    let scaled = build.node("scaled", op, &[Some(x), Some(filters)]);
    build.node("pool by four", pool(), &[Some(scaled)]);
    let mut case = build.done_all();
    for (at, (_, tensor)) in case.inputs.iter_mut().enumerate() {
        let Tensor::Real(array) = tensor else { panic!("inputs hold reals") };
        array.iter_mut().skip(3 + 40 * at).step_by(59).for_each(|x| *x = f32::NAN);
    }
    let expected = cpu::Session::<f32>::new(&case.graph).run(&case.fed()).unwrap();
    let places = |tensor: &Tensor| tensor.as_real().unwrap().mapv(f32::is_nan);
    for ((name, got), (_, expected)) in run(gpu(), &planned(&case), &case.fed()).iter().zip(&expected) {
        assert!(places(expected).iter().any(|&nan| nan), "{name} shows nothing");
        assert_eq!(places(got), places(expected), "{name}");
    }
}

#[test]
fn a_nan_in_one_group_reaches_no_other() {
    for shape in crate::parity::convolutions::grouped() {
        let mut build = Build::new(5);
        add(&mut build, Direction::Forward, shape, Epilogue::default(), false, true);
        let mut case = build.done_all();
        let Tensor::Real(x) = &mut case.inputs[0].1 else { panic!("an image holds reals") };
        // The last channel of the first group.
        let channel = shape.in_c / shape.groups - 1;
        x.index_axis_mut(ndarray::Axis(1), channel).fill(f32::NAN);
        let limits = Limits { software: true, ..gpu().limits() };
        let plan = plan(&case.graph, &limits).unwrap();
        let by = |name: &str| plan.dispatches().any(|dispatch| dispatch.variant.kernel.name == name);
        assert!(by("conv_subgroup") && by("channels_apart"), "{plan}");
        let y = run(gpu(), &plan, &case.fed()).remove(0).1;
        let each = shape.out_c / shape.groups;
        for (channel, of_channel) in y.as_real().unwrap().axis_iter(ndarray::Axis(1)).enumerate() {
            let found = of_channel.iter().any(|y| y.is_nan());
            assert_eq!(found, channel < each, "channel {channel} of {shape:?}");
        }
    }
}

#[test]
fn powers_of_what_is_no_number_or_infinite_are_those_of_the_reference() {
    let numbers = [f32::NEG_INFINITY, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, f32::INFINITY, f32::NAN];
    let count = numbers.len();
    let mut build = Build::new(3);
    let (a, b) = (build.input(&[count, count]), build.input(&[count, count]));
    let op = Binary { function: BinaryFunction::Pow, activation: Activation::Identity };
    let power = build.node("power", op, &[Some(a), Some(b)]);
    let mut case = build.done(&[power]);
    let square =
        |of: &dyn Fn(usize) -> f32| Tensor::real(&[count, count], (0..count * count).map(of).collect()).unwrap();
    case.inputs[0].1 = square(&|at| numbers[at / count]);
    case.inputs[1].1 = square(&|at| numbers[at % count]);
    let expected = cpu::Session::<f32>::new(&case.graph).run(&case.fed()).unwrap().remove(0).1;
    let got = run(gpu(), &planned(&case), &case.fed()).remove(0).1;
    for (at, (got, expected)) in got.as_real().unwrap().iter().zip(expected.as_real().unwrap()).enumerate() {
        let same =
            got == expected || got.is_nan() && expected.is_nan() || (got - expected).abs() <= 1e-4 * expected.abs();
        assert!(same, "{} to the power of {} is {expected}, not {got}", numbers[at / count], numbers[at % count]);
    }
}

#[test]
fn a_nan_is_true() {
    let mut build = Build::new(2);
    let x = build.input(&[2, 3]);
    let truth = build.node("truth", Cast::to(Element::Bool), &[Some(x)]);
    let number = build.node("number", Cast::to(Element::F32), &[Some(truth)]);
    let mut case = build.done(&[number]);
    case.inputs[0].1 = Tensor::real(&[2, 3], vec![0.0, f32::NAN, 1.0, -0.0, f32::INFINITY, -2.5]).unwrap();
    let expected = Tensor::real(&[2, 3], vec![0.0, 1.0, 1.0, 0.0, 1.0, 1.0]).unwrap();
    assert_eq!(run(gpu(), &planned(&case), &case.fed())[0].1, expected);
    assert_eq!(cpu::Session::<f32>::new(&case.graph).run(&case.fed()).unwrap()[0].1, expected);
}
