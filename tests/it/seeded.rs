//! Faults that GPU kernels are known for, sown into every kernel: the comparison, as `compare` makes it, must catch each.
//!
//! A new kernel needs a case in [`case`], and rows in `seeded/convolutions.rs` or `seeded/others.rs`.

mod convolutions;
mod elementwise;
mod others;

use reluctor::kernels::{KERNELS, Variant};
use reluctor::ops::epilogue::slot;
use reluctor::ops::resample::{Coordinates, Interpolation};
use reluctor::ops::*;
use reluctor::plan::fault::Fault;
use reluctor::plan::{Limits, Plan, plan};
use reluctor::tensor::Tensor;
use reluctor_lab::compare::{Comparison, Mode, Tolerance, Verdict};
use reluctor_testing::build::{Build, Case};
use reluctor_testing::device::gpu;
use reluctor_testing::random::Numbers;
use reluctor_testing::shapes::{ConvShape, window};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seed {
    /// One tap of a filter reads its neighbour's weight.
    TapShifted,
    /// The last channel, or the last element, is left out.
    TailDropped,
    /// Each channel's bias, or offset, is its neighbour's.
    BiasOfAnotherChannel,
    /// LeakyRelu with a slope of 0.01 for Relu.
    LeakyReluForRelu,
    /// Elu for Celu.
    EluForCelu,
    /// The third item of a batch reads the second one's input.
    ItemReadsAnother,
    /// The window of a pool that takes the largest element, or a border, is off by one.
    WindowOffByOne,
    /// The same for a pool that takes the mean.
    MeanWindowOffByOne,
    /// As `WindowOffByOne`, for a pool in the same dispatch as a convolution whose result lies by four channels.
    WindowOffByOneInPlace,
    /// The same for a pool that takes the mean.
    MeanWindowOffByOneInPlace,
    /// An operand is rounded to 16 bits.
    HalfPrecision,
    /// The result of the run before stays.
    StaleResult,
}

use Seed::*;

/// What has a meaning for every convolution.
const OF_CONVOLUTIONS: [Seed; 10] = [
    TapShifted,
    TailDropped,
    BiasOfAnotherChannel,
    LeakyReluForRelu,
    EluForCelu,
    ItemReadsAnother,
    WindowOffByOne,
    MeanWindowOffByOne,
    HalfPrecision,
    StaleResult,
];

/// What has a meaning for every kernel.
const OF_ALL: [Seed; 4] = [TailDropped, ItemReadsAnother, HalfPrecision, StaleResult];

/// A kernel's fault, as an edit of the text that the kernel is linked from.
#[derive(Clone)]
struct Row {
    /// Its name, and behind it that of a part where the fault is about the kernel as it is linked with that.
    kernel: &'static str,
    seed: Seed,
    find: String,
    replace: String,
}

fn row(kernel: &'static str, seed: Seed, find: &str, replace: &str) -> Row {
    Row { kernel, seed, find: find.to_string(), replace: replace.to_string() }
}

/// What is loaded is rounded to 16 bits.
fn half(kernel: &'static str, load: &str) -> Row {
    row(kernel, HalfPrecision, load, &format!("unpack2x16float(pack2x16float(vec2<f32>({load}, 0.0))).x"))
}

/// The same of two of four numbers.
fn half_four(kernel: &'static str, load: &str) -> Row {
    let rounded = format!("vec4<f32>(unpack2x16float(pack2x16float({load}.xy)), {load}.zw)");
    row(kernel, HalfPrecision, load, &rounded)
}

/// `place = stored(value);` happens only where nothing is stored yet, be it one number or four.
fn stale_numbers(kernel: &'static str, place: &str, value: &str) -> Row {
    let store = format!("{place} = stored({value});");
    row(kernel, StaleResult, &store, &format!("if (all(loaded({place}) == Numbers())) {{ {store} }}"))
}

/// `place = value;` happens only where nothing is stored yet: fresh buffers are zero.
fn stale(kernel: &'static str, place: &str, value: &str) -> Row {
    let store = format!("{place} = {value};");
    row(kernel, StaleResult, &store, &format!("if ({place} == 0.0) {{ {store} }}"))
}

/// The same for four numbers.
fn stale_four(kernel: &'static str, place: &str, value: &str) -> Row {
    let store = format!("{place} = to_memory({value});");
    row(kernel, StaleResult, &store, &format!("if (all(from_memory({place}) == vec4<f32>())) {{ {store} }}"))
}

fn rows() -> Vec<Row> {
    convolutions::rows().into_iter().chain(others::rows()).collect()
}

/// The activation that a fault is about, or one that hides nothing.
fn activation(seed: Seed) -> Activation {
    match seed {
        LeakyReluForRelu => Activation::Relu,
        EluForCelu => Activation::Celu { alpha: 2.0 },
        _ => Activation::LeakyRelu { alpha: 0.25 },
    }
}

/// The pool that a fault is about.
fn pool(kernel: &str, seed: Seed) -> Option<Pool> {
    let kind = match seed {
        WindowOffByOne | WindowOffByOneInPlace => PoolKind::Max,
        MeanWindowOffByOne | MeanWindowOffByOneInPlace => PoolKind::Average { count_include_pad: false },
        _ => return None,
    };
    let window = match seed {
        WindowOffByOne | MeanWindowOffByOne => window([2, 2], [1, 2], [1, 1], [0, 1, 1, 0]),
        _ if kernel == "conv_stem" => window([3, 3], [2, 2], [1, 1], [1; 4]),
        _ => window([2, 2], [2, 2], [1, 1], [0; 4]),
    };
    Some(Pool { kind, window, ceil: false })
}

/// The faults of pools in the dispatch of their convolution that a kernel has.
fn in_place(kernel: &str) -> &'static [Seed] {
    match kernel {
        "conv_subgroup" | "conv_depthwise" | "conv_gemm" | "conv_winograd" => {
            &[WindowOffByOneInPlace, MeanWindowOffByOneInPlace]
        }
        "conv_stem" => &[WindowOffByOneInPlace],
        _ => &[],
    }
}

/// An image batch of three.
const IMAGES: [usize; 4] = [3, 3, 7, 13];

/// Something that the kernel computes, with what the fault is about in it.
fn case(kernel: &str, seed: Seed) -> Case {
    let mut build = Build::new(seed as u64);
    let activation = activation(seed);
    let (batch, in_c, image) = (IMAGES[0], IMAGES[1], [IMAGES[2], IMAGES[3]]);
    let three = ConvShape { batch, in_c, out_c: 3, groups: 1, image, window: window([3, 3], [2, 1], [1, 1], [1; 4]) };
    let epilogue = Epilogue { activation, pool: pool(kernel, seed), ..Epilogue::default() };
    let y = match kernel {
        "conv_direct" => conv(&mut build, in_c, three.filters(), three.conv(epilogue)),
        // Seven channels: the second tile has three.
        "conv_stem" if in_place(kernel).contains(&seed) => {
            let window = window([3, 3], [2, 2], [1, 1], [1; 4]);
            conv(&mut build, in_c, [7, 3, 3, 3], ConvShape { window, ..three }.conv(epilogue))
        }
        "conv_tile" | "conv_subgroup" | "conv_stem" | "conv_gemm" => {
            conv(&mut build, in_c, [7, 3, 3, 3], three.conv(epilogue))
        }
        // Six channels: behind the last one of the first four there are two more.
        "conv_winograd" | "winograd_tiles" | "winograd_results" => {
            let window = window([3, 3], [1, 1], [1, 1], [1; 4]);
            conv(&mut build, 6, [7, 6, 3, 3], ConvShape { in_c: 6, window, ..three }.conv(epilogue))
        }
        // Two splits, the second one shorter.
        "conv_join" => conv(&mut build, 10, [7, 10, 3, 3], ConvShape { in_c: 10, ..three }.conv(epilogue)),
        "conv_transpose_direct" | "conv_transpose_phases" => {
            conv(&mut build, in_c, three.transposed_filters(), three.conv_transpose(epilogue))
        }
        "conv_depthwise" => conv(&mut build, in_c, [3, 1, 3, 3], ConvShape { groups: 3, ..three }.conv(epilogue)),
        other => return others::case(build, other, seed, activation),
    };
    build.done(&[y])
}

fn conv(build: &mut Build, in_c: usize, filters: [usize; 4], op: impl Into<Op>) -> reluctor::graph::ValueId {
    let op = op.into();
    let out_c = if matches!(op, Op::Conv(_)) { filters[0] } else { filters[1] };
    let mut inputs = vec![None; slot::BIAS + 1];
    inputs[slot::INPUT] = Some(build.input(&[IMAGES[0], in_c, IMAGES[2], IMAGES[3]]));
    inputs[slot::WEIGHT] = Some(build.constant(&filters));
    inputs[slot::BIAS] = Some(build.constant(&[out_c]));
    build.node("conv", op, &inputs)
}

/// What `compare` says of the second run of a plan, whose first one had other inputs.
fn verdict(case: &Case, plan: &Plan) -> Verdict {
    let session = gpu().load(plan).unwrap_or_else(|error| panic!("{error}"));
    let mut random = reluctor_testing::random::Random::new(77);
    let other = |(name, tensor): &(String, Tensor)| match tensor {
        Tensor::Real(reals) => (name.clone(), random.tensor(Numbers::Reals, reals.shape())),
        rest => (name.clone(), rest.clone()),
    };
    let earlier: Vec<(String, Tensor)> = case.inputs.iter().map(other).collect();
    session.run(&Case { inputs: earlier, graph: case.graph.clone() }.fed()).unwrap();

    let mut comparison = Comparison::new(&case.graph, &case.fed(), Mode::EachLayer, Tolerance::RoundingBound);
    let mut worst = Verdict::Identical;
    let mut judge = |step: usize, outputs: Vec<Tensor>| {
        let planned = &plan.steps()[step];
        let layer = comparison.layer(planned.node, &planned.computation(), outputs[0].clone())?;
        worst = worst.max(layer.difference.verdict);
        Ok(())
    };
    session.run_stepwise(&case.fed(), &mut judge).unwrap();
    worst
}

/// The device's limits, and a kernel that is to be chosen.
fn limits(kernel: &'static str, seed: Seed) -> Limits {
    let conv_kernel = match kernel {
        "conv_subgroup" if in_place(kernel).contains(&seed) => Some("conv_subgroup strip_4x8 pooled"),
        "conv_depthwise" if in_place(kernel).contains(&seed) => Some("conv_depthwise row_3s1 pooled"),
        "conv_stem" if in_place(kernel).contains(&seed) => Some("conv_stem row_3s2_max3s2"),
        "conv_subgroup" | "conv_stem" | "conv_winograd" => Some(kernel),
        "winograd_tiles" | "winograd_results" => Some("conv_winograd"),
        "conv_depthwise" if seed == ItemReadsAnother => Some("conv_depthwise any_row"),
        "conv_depthwise" | "conv_transpose_phases" | "pool_by_four" | "channels_by_four" | "channels_apart" => None,
        _ if kernel.starts_with("pad_each") => None,
        "conv_gemm" if in_place(kernel).contains(&seed) => Some("conv_gemm 32x32 pooled"),
        "conv_gemm" => Some("conv_gemm 32x32"),
        "conv_join" => Some("conv_gemm 32x32 split 2"),
        _ => Some("conv_tile"),
    };
    let limits = Limits { conv_kernel: conv_kernel.map(Into::into), ..gpu().limits() };
    // Steps of their own where there are no subgroups.
    if kernel.starts_with("winograd_") { Limits { subgroup_lanes: 0, ..limits } } else { limits }
}

/// Whether it is a row's kernel, and has its part.
fn is_of(kernel: &str, variant: &Variant) -> bool {
    let mut names = kernel.split(' ');
    names.next() == Some(variant.kernel.name) && names.all(|part| variant.parts.iter().any(|own| own.name == part))
}

/// Each row whose fault goes unnoticed, or whose kernel is found guilty without it.
fn unnoticed(rows: Vec<Row>) -> Vec<String> {
    let mut unnoticed = Vec::new();
    for Row { kernel, seed, find, replace } in rows {
        let case = case(kernel, seed);
        let clean = plan(&case.graph, &limits(kernel, seed)).unwrap_or_else(|error| panic!("{error}"));
        assert!(clean.dispatches().any(|dispatch| is_of(kernel, &dispatch.variant)), "{kernel} {seed:?}: {clean}");
        if verdict(&case, &clean) == Verdict::Mismatch {
            unnoticed.push(format!("{kernel} is wrong without {seed:?}"));
        }
        let mut spoilt = clean;
        let fault = Fault { node: None, find, replace };
        spoilt.inject(&fault).unwrap_or_else(|error| panic!("{kernel} {seed:?}: {error}"));
        if verdict(&case, &spoilt) != Verdict::Mismatch {
            unnoticed.push(format!("{kernel} with {seed:?}: {} => {}", fault.find, fault.replace));
        }
    }
    unnoticed
}

#[test]
fn every_fault_sown_into_a_convolution_is_caught() {
    assert_eq!(unnoticed(convolutions::rows()), Vec::<String>::new());
}

#[test]
fn every_fault_sown_into_another_kernel_is_caught() {
    assert_eq!(unnoticed(others::rows()), Vec::<String>::new());
}

#[test]
fn every_kernel_has_each_fault_that_has_a_meaning_for_it() {
    let rows = rows();
    for kernel in KERNELS {
        let wanted = if kernel.name.starts_with("conv") { &OF_CONVOLUTIONS[..] } else { &OF_ALL };
        let has = |seed: &Seed| rows.iter().any(|row| row.kernel == kernel.name && row.seed == *seed);
        let missing: Vec<_> = wanted.iter().chain(in_place(kernel.name)).filter(|seed| !has(seed)).collect();
        assert!(missing.is_empty(), "{} has no row for {missing:?}", kernel.name);
    }
}
