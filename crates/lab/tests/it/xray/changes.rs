//! Networks with something left out, cut off or merged.

use super::networks::*;
use reluctor::cpu;
use reluctor::ops::window::Window;
use reluctor::ops::{Conv, Op, Reduce, ReduceKind};
use reluctor::passes::{Fusion, optimize};
use reluctor::tensor::{Named, Tensor};
use reluctor_lab::xray::ablation::ablate;
use reluctor_lab::xray::collapse::{Proof, collapses};
use reluctor_lab::xray::tail::tails;
use reluctor_lab::xray::{OnCpu, Passes, Subject, Verdict, measure};
use reluctor_testing::build::{Build, Case};

fn pairs(case: &Case) -> (Vec<Named>, Vec<Named>) {
    let x: Named = case.inputs.clone();
    let half = |tensor: &Tensor| Tensor::Real(tensor.as_real().unwrap().mapv(|x| 0.3 - 0.7 * x * x));
    let y: Named = x.iter().map(|(name, tensor)| (name.clone(), half(tensor))).collect();
    (vec![x], vec![y])
}

fn conv_relu_conv() -> Case {
    let mut build = Build::new(31);
    let x = build.input(&[3, 2, 7, 6]);
    let (first, second) = (build.constant(&[4, 2, 3, 3]), build.constant(&[3, 4, 1, 1]));
    let conv = build.node("first", three_by_three(), &[Some(x), Some(first)]);
    let relu = build.node("relu", RELU, &[Some(conv)]);
    let last = build.node("last", pointwise(), &[Some(relu), Some(second)]);
    build.done(&[last])
}

#[test]
fn without_its_activations_a_network_is_affine_and_its_answers_are_others() {
    let case = conv_relu_conv();
    let (x, y) = pairs(&case);
    let subject = Subject { graph: &case.graph, x: &x, y: &y };
    let (ablations, rest) = ablate(&subject, &OnCpu, &Passes::default()).unwrap();
    assert_eq!((ablations.len(), ablations[0].layer.as_str(), ablations[0].replaced_by), (1, "relu", "identity"));
    assert!(ablations[0].output_change > 0.1);
    let rest = rest.unwrap();
    assert_eq!((rest.verdict, rest.replaced), (Verdict::Affine, 1));
    assert!((rest.output_change - ablations[0].output_change).abs() < 1e-9);
}

#[test]
fn after_the_last_activation_a_network_is_linear_from_there_on() {
    let mut build = Build::new(32);
    let x = build.input(&[2, 2, 6, 6]);
    let [one, two, three] = [[4, 2, 3, 3], [4, 4, 3, 3], [3, 4, 3, 3]].map(|shape| build.constant(&shape));
    let conv = build.node("one", three_by_three(), &[Some(x), Some(one)]);
    let relu = build.node("relu", RELU, &[Some(conv)]);
    let conv = build.node("two", three_by_three(), &[Some(relu), Some(two)]);
    let again = build.node("again", RELU, &[Some(conv)]);
    let last = build.node("three", three_by_three(), &[Some(again), Some(three)]);
    let case = build.done(&[last]);
    let (x, y) = pairs(&case);
    let subject = Subject { graph: &case.graph, x: &x, y: &y };
    let measured = measure(&subject, &OnCpu, &Passes::default()).unwrap();
    let tails = tails(&subject, &measured, &OnCpu, &Passes::default()).unwrap();
    let of = |name: &str| tails.iter().find(|tail| tail.after == name).unwrap();
    assert!(of("relu").additivity_defect > 0.01 && of("relu").to_come == 1, "{:?}", of("relu"));
    assert!(of("again").additivity_defect < 1e-6 && of("again").to_come == 0, "{:?}", of("again"));
}

/// A 1x1 convolution with a bias, perhaps a Relu, and an unpadded 3x3 one with fewer channels.
fn pair(relu: bool, positive: bool) -> Case {
    let mut build = Build::new(33);
    let x = build.input(&[2, 3, 9, 8]);
    let x = if positive { build.node("before", RELU, &[Some(x)]) } else { x };
    let (first, bias) = match positive {
        true => (build.positive(&[24, 3, 1, 1]), build.positive(&[24])),
        false => (build.constant(&[24, 3, 1, 1]), build.constant(&[24])),
    };
    let (second, other) = (build.constant(&[4, 24, 3, 3]), build.constant(&[4]));
    let mut value = build.node("first", pointwise(), &[Some(x), Some(first), Some(bias)]);
    if relu {
        value = build.node("relu", RELU, &[Some(value)]);
    }
    let window = Window { kernel: [3, 3], stride: [2, 1], ..Window::pointwise() };
    let conv = Conv { window, ..pointwise() };
    let last = build.node("second", conv, &[Some(value), Some(second), Some(other)]);
    build.done(&[last])
}

fn collapsed(case: &Case) -> Case {
    let graph = optimize(case.graph.clone(), &Fusion::only(["collapse"]).unwrap()).unwrap();
    Case { graph, inputs: case.inputs.clone() }
}

#[test]
fn two_convolutions_with_nothing_between_them_become_one() {
    for case in [pair(false, false), pair(true, true)] {
        let one = collapsed(&case);
        let convolutions = one.graph.nodes.iter().filter(|node| matches!(node.op, Op::Conv(_))).count();
        assert_eq!(convolutions, 1, "{}", one.graph);
        let run = |case: &Case| cpu::Session::<f32>::new(&case.graph).run(&case.fed()).unwrap().remove(0).1;
        let (one, two) = (run(&one), run(&case));
        let (one, two) = (one.as_real().unwrap(), two.as_real().unwrap());
        let most = two.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(one.iter().zip(two).all(|(one, two)| (one - two).abs() <= 1e-5 * most));
        assert!(one.iter().zip(two).any(|(one, two)| one != two), "it rounds anew");
    }
}

#[test]
fn what_only_looks_linear_is_reported_and_not_merged() {
    let case = pair(true, false);
    assert_eq!(collapsed(&case).graph.nodes.len(), case.graph.nodes.len(), "its Relu bends");
    let (x, y) = pairs(&case);
    let all = |case: &Case| {
        let layers = measure(&Subject { graph: &case.graph, x: &x, y: &y }, &OnCpu, &Passes::default()).unwrap().layers;
        collapses(&case.graph, &layers)
    };
    assert!(all(&case).is_empty(), "on these data it bends");
    let proved = all(&pair(true, true));
    assert_eq!((proved.len(), proved[0].proof, proved[0].merged), (1, Proof::IntervalBounds, true));
    let nothing = all(&pair(false, false));
    assert_eq!((nothing[0].proof, nothing[0].merged), (Proof::Nothing, true));
}

#[test]
fn the_least_of_several_channels_is_bounded_by_none_of_them_alone() {
    let mut build = Build::new(35);
    let x = build.input(&[1, 1, 6, 6]);
    let positive = build.node("positive", RELU, &[Some(x)]);
    let signs = build.constant_of(Tensor::real(&[2, 1, 1, 1], vec![1.0, -1.0]).unwrap());
    let both = build.node("both", pointwise(), &[Some(positive), Some(signs)]);
    let least = build.node("least", Reduce { kind: ReduceKind::Min, axes: 1..2 }, &[Some(both)]);
    let (first, second) = (build.positive(&[24, 1, 1, 1]), build.constant(&[4, 24, 3, 3]));
    let one = build.node("first", pointwise(), &[Some(least), Some(first)]);
    let relu = build.node("relu", RELU, &[Some(one)]);
    let window = Window { kernel: [3, 3], ..Window::pointwise() };
    let two = build.node("second", Conv { window, ..pointwise() }, &[Some(relu), Some(second)]);
    let case = build.done(&[two]);
    assert_eq!(collapsed(&case).graph.nodes.len(), case.graph.nodes.len(), "what the Relu gets is below zero");
}

#[test]
fn a_padded_second_convolution_is_not_merged_with_a_first_one_that_has_a_bias() {
    let mut build = Build::new(34);
    let x = build.input(&[1, 2, 6, 6]);
    let (first, bias, second) = (build.constant(&[8, 2, 1, 1]), build.constant(&[8]), build.constant(&[2, 8, 3, 3]));
    let one = build.node("first", pointwise(), &[Some(x), Some(first), Some(bias)]);
    let two = build.node("second", three_by_three(), &[Some(one), Some(second)]);
    let case = build.done(&[two]);
    let kept = collapsed(&case);
    assert_eq!(kept.graph.nodes.len(), 2);
    assert!(kept.graph.nodes[0].not_fused_because.iter().any(|why| why.contains("pads")), "{:?}", kept.graph.nodes[0]);
}

#[test]
fn no_pass_that_runs_unasked_collapses_anything() {
    assert_eq!(optimize(pair(false, false).graph, &Fusion::all()).unwrap().nodes.len(), 2);
}
