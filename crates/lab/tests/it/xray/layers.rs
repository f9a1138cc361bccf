//! Verdicts, signs and winners of layers.

use super::networks::*;
use reluctor::error::Result;
use reluctor::gpu::Session;
use reluctor::graph::Graph;
use reluctor::ops::{Activate, Activation, PoolKind};
use reluctor::plan::plan;
use reluctor::tensor::{Kind, Named, Tensor, borrowed};
use reluctor_lab::xray::{Layer, Loaded, Measured, OnCpu, Passes, Runner, Subject, Verdict, measure};
use reluctor_testing::build::{Build, Case};
use reluctor_testing::device::gpu;
use reluctor_testing::random::{Numbers, Random};

/// The software adapter of the tests.
struct OnGpu;

struct Ready(Session);

impl Runner for OnGpu {
    fn load<'g>(&self, graph: &'g Graph) -> Result<Box<dyn Loaded + 'g>> {
        Ok(Box::new(Ready(gpu().load(&plan(graph, &gpu().limits())?)?)))
    }
}

impl Loaded for Ready {
    fn run(&self, inputs: &Named) -> Result<Named> {
        self.0.run(&borrowed(inputs))
    }

    fn stepwise(&self, inputs: &Named, show: &mut dyn FnMut(usize, Vec<Tensor>) -> Result<()>) -> Result<()> {
        self.0.run_stepwise(&borrowed(inputs), &mut |step, outputs| show(step, outputs))
    }
}

/// Random inputs of the network's own shape, as three batches of pairs.
fn pairs(case: &Case, change: impl Fn(f32) -> f32) -> (Vec<Named>, Vec<Named>) {
    let mut random = Random::new(11);
    let mut batch = || -> Named {
        let of = |(name, tensor): &(String, Tensor)| {
            assert_eq!(tensor.kind(), Kind::Real);
            let Tensor::Real(array) = random.tensor(Numbers::Reals, tensor.shape()) else { unreachable!() };
            (name.clone(), Tensor::Real(array.mapv(&change)))
        };
        case.inputs.iter().map(of).collect()
    };
    ((0..3).map(|_| batch()).collect(), (0..3).map(|_| batch()).collect())
}

fn measured_on(case: &Case, runner: &dyn Runner, change: impl Fn(f32) -> f32) -> Measured {
    let (x, y) = pairs(case, change);
    measure(&Subject { graph: &case.graph, x: &x, y: &y }, runner, &Passes::default()).unwrap()
}

fn measured(case: &Case) -> Measured {
    measured_on(case, &OnCpu, |x| x)
}

fn layer<'a>(measured: &'a Measured, name: &str) -> &'a Layer {
    measured.layers.iter().find(|layer| layer.name == name).expect("a layer of that name")
}

fn whole(measured: &Measured) -> Verdict {
    measured.layers.last().and_then(|layer| layer.chain).expect("a chain").verdict
}

/// conv, Relu, conv, with weights of either sign.
fn plain(activation: Activation) -> Case {
    let mut build = Build::new(7);
    let x = build.input(&[2, 3, 9, 8]);
    let (first, bias) = (build.constant(&[5, 3, 3, 3]), build.constant(&[5]));
    let conv = build.node("conv", three_by_three(), &[Some(x), Some(first), Some(bias)]);
    let act = build.node("act", Activate { activation }, &[Some(conv)]);
    let second = build.constant(&[4, 5, 3, 3]);
    let last = build.node("last", three_by_three(), &[Some(act), Some(second)]);
    build.done(&[last])
}

#[test]
fn a_network_is_what_the_worst_of_its_outputs_is() {
    let mut build = Build::new(8);
    let x = build.input(&[1, 2, 3, 3]);
    let relu = build.node("relu", RELU, &[Some(x)]);
    let filters = build.constant(&[1, 2, 1, 1]);
    let affine = build.node("affine", pointwise(), &[Some(x), Some(filters)]);
    let case = build.done(&[relu, affine]);
    let measured = measured(&case);
    assert_eq!(whole(&measured), Verdict::Affine, "the last layer");
    assert_eq!(measured.network(&case.graph).unwrap().verdict, Verdict::PositivelyHomogeneous);
}

#[test]
fn a_convolution_alone_is_affine_on_the_cpu_and_on_the_device() {
    let mut build = Build::new(3);
    let x = build.input(&[2, 3, 9, 8]);
    let (filters, bias) = (build.constant(&[5, 3, 3, 3]), build.constant(&[5]));
    let conv = build.node("conv", three_by_three(), &[Some(x), Some(filters), Some(bias)]);
    let case = build.done(&[conv]);
    for runner in [&OnCpu as &dyn Runner, &OnGpu] {
        let measured = measured_on(&case, runner, |x| x);
        let conv = layer(&measured, "conv");
        assert_eq!((conv.verdict, whole(&measured)), (Verdict::Affine, Verdict::Affine));
        assert!(conv.additivity_defect > 0.0 && conv.additivity_defect < conv.rounding_floor, "{conv:?}");
    }
}

#[test]
fn relu_and_maximum_pools_are_cones_and_the_floor_is_far_below_their_defect() {
    let mut build = Build::new(4);
    let x = build.input(&[2, 3, 8, 8]);
    let relu = build.node("relu", RELU, &[Some(x)]);
    let pool = build.node("pool", halving(PoolKind::Max), &[Some(relu)]);
    let mean = build.node("mean", halving(PoolKind::Average { count_include_pad: false }), &[Some(pool)]);
    let case = build.done(&[mean]);
    for runner in [&OnCpu as &dyn Runner, &OnGpu] {
        let measured = measured_on(&case, runner, |x| x);
        for name in ["relu", "pool"] {
            let layer = layer(&measured, name);
            assert_eq!(layer.verdict, Verdict::PositivelyHomogeneous, "{layer:?}");
            assert!(layer.of_floor > 1e4 && layer.homogeneity_defect_pos < 1e-6, "{layer:?}");
        }
        assert_eq!(layer(&measured, "mean").verdict, Verdict::Affine);
        assert_eq!(whole(&measured), Verdict::PositivelyHomogeneous, "cones through the origin, one after another");
    }
}

#[test]
fn what_is_neither_is_nonlinear() {
    for activation in [Activation::Sigmoid, Activation::Elu { alpha: 1.0 }, Activation::Clip { min: 0.0, max: 0.5 }] {
        let measured = measured(&plain(activation));
        assert_eq!(layer(&measured, "act").verdict, Verdict::Nonlinear, "{activation:?}");
        assert_eq!(whole(&measured), Verdict::Nonlinear);
    }
    assert_eq!(layer(&measured(&plain(Activation::Relu)), "last").verdict, Verdict::Affine);
}

#[test]
fn with_positive_weights_and_inputs_a_relu_is_linear_on_the_data() {
    let mut build = Build::new(5);
    let x = build.input(&[2, 3, 6, 6]);
    let filters = build.positive(&[4, 3, 3, 3]);
    let conv = build.node("conv", three_by_three(), &[Some(x), Some(filters)]);
    let relu = build.node("relu", RELU, &[Some(conv)]);
    let case = build.done(&[relu]);
    let measured = measured_on(&case, &OnCpu, |x| x.abs() + 0.01);
    let relu = layer(&measured, "relu");
    assert_eq!((relu.signs.always_on_share, relu.signs.negative_share), (Some(1.0), Some(0.0)));
    assert!(relu.additive_on_data && relu.chain.unwrap().additivity_defect < 1e-6, "{relu:?}");
    assert_eq!(relu.verdict, Verdict::PositivelyHomogeneous, "it is no more where numbers are negative");
}

#[test]
fn the_absolute_value_is_a_cone_and_two_relus_can_be_the_identity() {
    assert_eq!(whole(&measured(&absolute())), Verdict::PositivelyHomogeneous);
    let identity = measured(&identity_of_relus());
    assert_eq!(layer(&identity, "relu").verdict, Verdict::PositivelyHomogeneous);
    assert_eq!(whole(&identity), Verdict::Affine, "the bound of the whole proves what no layer does");
}

#[test]
fn a_residual_of_zeros_leaves_the_identity() {
    let measured = measured(&residual_identity());
    let relu = layer(&measured, "relu");
    assert_eq!((relu.signs.dead_share, relu.signs.negative_share), (Some(1.0), Some(1.0)));
    assert_eq!((relu.verdict, whole(&measured)), (Verdict::PositivelyHomogeneous, Verdict::Affine));
}

#[test]
fn a_deep_network_is_not_called_linear_because_its_bound_is_large() {
    let mut build = Build::new(8);
    let mut x = build.input(&[1, 8, 6, 6]);
    for level in 0..24 {
        let (filters, bias) = (build.constant(&[8, 8, 3, 3]), build.constant(&[8]));
        x = build.node(&format!("conv{level}"), three_by_three(), &[Some(x), Some(filters), Some(bias)]);
        x = build.node(&format!("relu{level}"), RELU, &[Some(x)]);
    }
    let measured = measured(&build.done(&[x]));
    let chain = measured.layers.last().unwrap().chain.unwrap();
    assert!(chain.rounding_floor > 1e-7 && chain.of_floor < 1.0, "the bound says nothing: {chain:?}");
    assert_eq!(chain.verdict, Verdict::Nonlinear);
}

/// Every number that counts something.
fn counts(measured: &Measured) -> String {
    let of = |layer: &Layer| {
        let pools = layer.pooling.as_ref().map(|pooling| pooling.counts);
        format!("{} {:?} {:?} {:?}", layer.name, layer.verdict, layer.signs.counts, pools)
    };
    measured.layers.iter().map(of).collect::<Vec<_>>().join("\n")
}

#[test]
fn cpu_and_device_agree_on_every_count() {
    let mut build = Build::new(9);
    let x = build.input(&[3, 3, 16, 14]);
    let (first, bias) = (build.constant(&[13, 3, 3, 3]), build.constant(&[13]));
    let conv = build.node("conv", three_by_three(), &[Some(x), Some(first), Some(bias)]);
    let relu = build.node("relu", RELU, &[Some(conv)]);
    let pool = build.node("pool", halving(PoolKind::Max), &[Some(relu)]);
    let second = build.constant(&[7, 13, 3, 3]);
    let conv = build.node("second", three_by_three(), &[Some(pool), Some(second)]);
    let clip = build.node("clip", Activate { activation: Activation::Clip { min: 0.0, max: 6.0 } }, &[Some(conv)]);
    let case = build.done(&[clip]);
    let [cpu, device] = [&OnCpu as &dyn Runner, &OnGpu].map(|runner| measured_on(&case, runner, |x| x));
    assert_eq!(counts(&cpu), counts(&device));
    assert_eq!(cpu.mixed, device.mixed);
}
