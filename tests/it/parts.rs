//! A guilty step taken apart: which of its parts is named when one is wrong by itself, and when only the fused kernel is.

use reluctor::cpu;
use reluctor::error::Result;
use reluctor::graph::Graph;
use reluctor::ops::pool::{Pool, PoolKind};
use reluctor::ops::window::{Pads, Window};
use reluctor::ops::{Activate, Activation, BatchNormalization, Binary, BinaryFunction, Conv, Epilogue, Op};
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::Computation;
use reluctor::tensor::Tensor;
use reluctor_lab::compare::{Comparison, Guilty, Layer, Location, Mode, Tolerance, Verdict, fused_into, locate};
use reluctor_testing::build::{Build, Case};

/// conv with bias, batch normalization, residual, relu, pool: one step once it is fused.
fn network() -> Case {
    let mut build = Build::new(7);
    let (x, weights, bias) = (build.input(&[2, 3, 8, 8]), build.constant(&[4, 3, 3, 3]), build.constant(&[4]));
    let statistics = [build.constant(&[4]), build.constant(&[4]), build.constant(&[4]), build.positive(&[4])];
    let other = build.input(&[2, 4, 6, 6]);
    let window = |kernel, stride| Window { kernel, stride, dilation: [1, 1], pads: Pads::default() };
    let conv = Conv { window: window([3, 3], [1, 1]), groups: 1, epilogue: Epilogue::default() };
    let conv = build.node("conv", conv, &[Some(x), Some(weights), Some(bias)]);
    let norm = BatchNormalization { epsilon: 1e-5, after: None, activation: Activation::Identity };
    let inputs: Vec<_> = [conv].into_iter().chain(statistics).map(Some).collect();
    let norm = build.node("norm", norm, &inputs);
    let add = Binary { function: BinaryFunction::Add, activation: Activation::Identity };
    let add = build.node("add", add, &[Some(norm), Some(other)]);
    let relu = build.node("relu", Activate { activation: Activation::Relu }, &[Some(add)]);
    let pool = Pool { window: window([2, 2], [2, 2]), kind: PoolKind::Max, ceil: false };
    let pool = build.node("pool", pool, &[Some(relu)]);
    build.done(&[pool])
}

/// A device that computes what a spoilt copy of the graph means, and the judgement of each layer.
fn judged(graph: &Graph, inputs: &[(&str, &Tensor)], spoil: &dyn Fn(&mut Op)) -> Result<(Vec<Layer>, Option<Guilty>)> {
    let mut wrong = graph.clone();
    wrong.nodes.iter_mut().for_each(|node| spoil(&mut node.op));
    let mut comparison = Comparison::new(graph, inputs, Mode::EachLayer, Tolerance::RoundingBound);
    let (mut layers, mut nodes) = (Vec::new(), 0..);
    let mut observe = |_: &_, outputs: &[Tensor]| {
        layers.push(comparison.layer(nodes.next().unwrap_or(0), &Computation::default(), outputs[0].clone())?);
        Ok(())
    };
    cpu::Session::<f32>::new(&wrong).run_observed(inputs, &mut observe)?;
    Ok((layers, comparison.guilty()))
}

fn located(spoil: &dyn Fn(&mut Op)) -> Location {
    let case = network();
    let fused = optimize(case.graph.clone(), &Fusion::all()).unwrap();
    assert_eq!(fused.nodes.len(), 1, "one step");
    let (_, guilty) = judged(&fused, &case.fed(), spoil).unwrap();
    let guilty = guilty.expect("a spoilt step is guilty");
    let mut judge = |graph: &Graph, inputs: &[(&str, &Tensor)]| Ok(judged(graph, inputs, spoil)?.0);
    locate(&case.graph, &fused, &guilty, &mut judge).unwrap()
}

fn names(parts: &[reluctor_lab::compare::Part]) -> Vec<&str> {
    parts.iter().map(|part| part.part.as_str()).collect()
}

/// The activation of a convolution's epilogue, where it has one.
fn epilogue(op: &mut Op) -> Option<&mut Epilogue> {
    if let Op::Conv(conv) = op { Some(&mut conv.epilogue) } else { None }
}

#[test]
fn an_operator_that_is_wrong_by_itself_is_named() {
    let location = located(&|op| match op {
        Op::Activate(activate) => activate.activation = Activation::LeakyRelu { alpha: 0.1 },
        op => {
            if let Some(epilogue) = epilogue(op).filter(|epilogue| epilogue.activation == Activation::Relu) {
                epilogue.activation = Activation::LeakyRelu { alpha: 0.1 };
            }
        }
    });
    assert_eq!((location.node.as_str(), location.only_fused), ("conv", false));
    assert_eq!(names(&location.fused_parts), ["conv", "conv.bias", "norm", "add", "relu", "pool"]);
    assert_eq!(location.first_wrong_part.as_deref(), Some("relu"));
    let wrong: Vec<&str> = location
        .fused_parts
        .iter()
        .filter(|part| part.verdict == Verdict::Mismatch)
        .map(|part| part.part.as_str())
        .collect();
    assert_eq!(wrong, ["relu"], "each operator is judged on what the device gave it");
}

#[test]
fn a_fused_kernel_that_alone_is_wrong_departs_at_its_part() {
    let activation = located(&|op| {
        if let Some(epilogue) = epilogue(op).filter(|epilogue| epilogue.activation == Activation::Relu) {
            epilogue.activation = Activation::LeakyRelu { alpha: 0.1 };
        }
    });
    assert!(activation.only_fused && activation.fused_parts.iter().all(|part| part.verdict < Verdict::Mismatch));
    assert_eq!(names(&activation.growing), ["Conv", "bias", "batch norm", "residual", "activation", "pool"]);
    assert_eq!(activation.first_wrong_part.as_deref(), Some("activation"));

    let pool = located(&|op| {
        if let Some(pool) = epilogue(op).and_then(|epilogue| epilogue.pool.as_mut()) {
            pool.kind = PoolKind::Average { count_include_pad: false };
        }
    });
    assert_eq!((pool.only_fused, pool.first_wrong_part.as_deref()), (true, Some("pool")));

    let norm = located(&|op| {
        if let Some(affine) = epilogue(op).and_then(|epilogue| epilogue.affine.as_mut()) {
            affine.factor = affine.factor.iter().map(|factor| 0.9 * factor).collect();
        }
    });
    assert_eq!((norm.only_fused, norm.first_wrong_part.as_deref()), (true, Some("batch norm")));
}

#[test]
fn a_step_that_is_right_when_it_runs_alone_has_no_wrong_part() {
    let case = network();
    let fused = optimize(case.graph.clone(), &Fusion::all()).unwrap();
    let inputs = case.inputs.clone();
    let mut judge = |graph: &Graph, inputs: &[(&str, &Tensor)]| Ok(judged(graph, inputs, &|_| {})?.0);
    let location = locate(&case.graph, &fused, &Guilty { node: 0, inputs }, &mut judge).unwrap();
    assert_eq!((location.first_wrong_part, location.only_fused), (None, false));
}

#[test]
fn what_was_fused_into_a_step_is_found_again_in_the_unfused_graph() {
    let case = network();
    let fused = optimize(case.graph.clone(), &Fusion::all()).unwrap();
    assert_eq!(fused_into(&case.graph, &fused, 0), [0, 1, 2, 3, 4]);
    let plain = optimize(case.graph.clone(), &Fusion::none()).unwrap();
    assert_eq!(fused_into(&case.graph, &plain, 2), [2]);
}
