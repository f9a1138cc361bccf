//! Every epilogue of both convolution kernels: each activation, with and without residual, in each way of storing.

use super::Limited;
use super::stems::{stem, stems};
use reluctor::graph::ValueId;
use reluctor::kernels::{self, Part, Variant};
use reluctor::ops::activation::ACTIVATIONS;
use reluctor::ops::epilogue::slot;
use reluctor::ops::window::Window;
use reluctor::ops::*;
use reluctor::plan::Limits;
use reluctor_testing::build::Build;
use reluctor_testing::shapes::{ConvShape, POOL_KINDS, conv_shapes, pools, window};
use std::collections::BTreeSet;

/// How an epilogue ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Store {
    Each,
    /// The sums are split over several dispatches.
    Split,
    Pooled(PoolKind),
}

/// Convolutions, plain or transposed.
#[derive(Clone, Copy, PartialEq)]
pub enum Direction {
    Forward,
    Transposed,
}

/// Loop iterations for two channels of a 3x3 convolution: 21 each.
const FEW_ITERATIONS: u32 = 44;

pub fn cases() -> Vec<Limited> {
    let mut cases = Vec::new();
    for direction in [Direction::Forward, Direction::Transposed] {
        for (index, store) in stores().into_iter().enumerate() {
            for (residual, shapes) in [false, true]
                .into_iter()
                .flat_map(|residual| shapes_for(store).into_iter().map(move |shapes| (residual, shapes)))
            {
                cases.push(every_activation(direction, store, residual, index, &shapes));
            }
        }
        cases.push(every_shape(direction, row_major()));
    }
    for residual in [false, true] {
        let strips = strips().into_iter().chain(depthwise());
        cases.extend(strips.map(|shape| every_activation_by_four(shape, Store::Each, residual, software())));
        cases.extend(gemm_tiles().map(|tile| every_activation_by_four(products(), Store::Each, residual, only(&tile))));
        let split = only("conv_gemm 32x32 split 2");
        cases.push(every_activation_by_four(products(), Store::Each, residual, split));
    }
    cases.extend(POOL_KINDS.map(|kind| every_activation_by_four(strips()[0], Store::Pooled(kind), false, software())));
    cases.extend(gemm_tiles().map(|tile| every_shape(Direction::Forward, only(&format!("{tile} split 2")))));
    for direction in [Direction::Forward, Direction::Transposed] {
        cases.push(every_shape(direction, software()));
        cases.push(every_shape(direction, Limits::default()));
    }
    for limits in [software(), Limits::default()] {
        let each = |kind: Option<PoolKind>, residual| {
            let pool = |index| kind.and_then(|kind| pools(kind).into_iter().cycle().nth(index));
            every_activation_under(Direction::Transposed, phased(), pool, residual, limits.clone())
        };
        cases.extend([false, true].map(|residual| each(None, residual)));
        cases.extend(POOL_KINDS.map(|kind| each(Some(kind), false)));
    }
    for limits in [only("conv_winograd"), Limits { conv_kernel: Some("conv_winograd".into()), ..software() }] {
        let each = |residual| every_activation_by_four(tiles(), Store::Each, residual, limits.clone());
        cases.extend([false, true].map(each));
        cases.push(every_shape(Direction::Forward, limits.clone()));
        cases.push(every_activation_by_four(many_tiles(), Store::Each, true, limits));
    }
    cases.extend(grouped().into_iter().flat_map(every_epilogue));
    cases.extend(pooled_in_place());
    cases.extend(stems());
    cases.push(layouts());
    cases
}

/// An adapter for the kernels whose images lie row-major.
fn row_major() -> Limits {
    only("conv_tile")
}

/// An adapter where every convolution that this kernel fits is computed by it.
fn only(kernel: &str) -> Limits {
    Limits { conv_kernel: Some(kernel.into()), ..Limits::default() }
}

/// An adapter for the kernels of software adapters.
pub fn software() -> Limits {
    Limits { software: true, subgroup_lanes: 8, ..Limits::default() }
}

/// Seven channels, each with a filter of its own: a shape for each row of `conv_depthwise`, the last one for that of any filter.
fn depthwise() -> Vec<ConvShape> {
    let shape = |window| ConvShape { batch: 2, in_c: 7, out_c: 7, groups: 7, image: [7, 13], window };
    let square = |taps, stride| shape(window([taps; 2], [stride; 2], [1, 1], [1, 2, 0, 1]));
    let any = shape(window([3, 3], [2, 1], [1, 2], [1, 2, 0, 1]));
    vec![square(3, 1), square(3, 2), square(5, 1), square(5, 2), square(7, 1), any]
}

/// A shape for each tile of `conv_subgroup`, which fits it better than the others.
fn strips() -> Vec<ConvShape> {
    let three = |stride| window([3, 3], [stride; 2], [1, 1], [1; 4]);
    let one = window([1, 1], [1, 1], [1, 1], [0; 4]);
    let shape = |image, window| ConvShape { batch: 2, in_c: 5, out_c: 30, groups: 1, image, window };
    vec![
        shape([8, 7], three(1)),
        shape([8, 8], three(1)),
        shape([16, 14], three(2)),
        ConvShape { out_c: 14, ..shape([8, 7], one) },
        shape([8, 8], one),
        ConvShape { out_c: 7, ..shape([8, 2], window([2, 2], [1, 1], [1, 1], [1, 0, 0, 0])) },
        // A row of the filter in two steps, the second of two taps.
        ConvShape { out_c: 3, ..shape([9, 11], window([3, 5], [1, 1], [1, 1], [2; 4])) },
    ]
}

/// Groups of channels that are no multiple of four: both, one of the two, and rows of pixels that are taken as one.
pub fn grouped() -> Vec<ConvShape> {
    let three = window([3, 3], [1, 2], [1, 1], [1; 4]);
    let shape = ConvShape { batch: 2, in_c: 15, out_c: 21, groups: 3, image: [23, 25], window: three };
    vec![
        shape,
        ConvShape { in_c: 12, out_c: 24, groups: 12, window: window([3, 3], [1, 1], [1, 1], [1; 4]), ..shape },
        ConvShape { in_c: 24, out_c: 12, groups: 6, ..shape },
        ConvShape { in_c: 30, out_c: 30, groups: 5, image: [29, 31], window: Window::pointwise(), ..shape },
    ]
}

/// One shape under each epilogue that a kernel may have, with and without a residual and pools.
fn every_epilogue(shape: ConvShape) -> Vec<Limited> {
    let pool = |kind| Pool { kind, window: window([2, 2], [1, 2], [1, 1], [0, 1, 1, 0]), ceil: false };
    let mut cases = vec![every_activation_by_four(shape, Store::Each, true, software())];
    cases.extend(
        POOL_KINDS
            .map(|kind| every_activation_under(Direction::Forward, shape, |_| Some(pool(kind)), false, software())),
    );
    cases
}

/// Pools in the dispatch of their convolution, over sizes whose last row and column no window sees.
fn pooled_in_place() -> Vec<Limited> {
    let quarters = |kind| Pool { kind, window: window([2, 2], [2, 2], [1, 1], [0; 4]), ceil: false };
    let pooled_strip = |variant: Variant| {
        let pooled = variant.parts.iter().any(|part| part.name == "strips_pooled");
        let name = |tile: &Part| format!("{} {} pooled", variant.kernel.name, tile.name);
        variant.parts.last().filter(|_| pooled).map(name)
    };
    let of_strips: BTreeSet<String> = kernels::variants().filter_map(pooled_strip).collect();
    let shape = |name: &str| match name {
        "conv_stem row_7s2 pooled" => stem(7, 2),
        "conv_stem row_3s2 pooled" => stem(3, 2),
        "conv_stem row_3s1 pooled" => stem(3, 1),
        _ => ConvShape { image: [9, 19], ..strips()[0] },
    };
    let mut kernels: Vec<_> = of_strips.into_iter().map(|name| (name.clone(), shape(&name))).collect();
    kernels.extend(depthwise().into_iter().map(|shape| {
        let Window { kernel: [_, taps], stride: [_, stride], dilation: [_, dilation], .. } = shape.window;
        let row = if dilation == 1 { format!("row_{taps}s{stride}") } else { "any_row".to_string() };
        (format!("conv_depthwise {row} pooled"), ConvShape { image: [10, 21], ..shape })
    }));
    kernels.push(("conv_winograd".into(), tiles()));
    kernels.extend(gemm_tiles().map(|tile| (format!("{tile} pooled"), ConvShape { image: [15, 19], ..products() })));
    let mut cases = Vec::new();
    for (name, shape) in &kernels {
        for kind in POOL_KINDS {
            let limits = Limits { conv_kernel: Some(name.as_str().into()), ..software() };
            cases.push(every_activation_under(Direction::Forward, *shape, |_| Some(quarters(kind)), false, limits));
        }
    }
    // In steps.
    for kind in POOL_KINDS {
        let limits = Limits { conv_kernel: Some("conv_winograd".into()), subgroup_lanes: 0, ..software() };
        cases.push(every_activation_under(Direction::Forward, tiles(), |_| Some(quarters(kind)), false, limits));
    }
    cases
}

/// `conv_gemm` with each of its tiles.
fn gemm_tiles() -> impl Iterator<Item = String> {
    let parts = kernels::variants().flat_map(|variant| variant.parts);
    let tiles: BTreeSet<&str> = parts.filter_map(|part| part.name.strip_prefix("gemm_")).collect();
    tiles
        .into_iter()
        .filter(|tile| tile.starts_with(|first: char| first.is_ascii_digit()))
        .map(|tile| format!("conv_gemm {tile}"))
}

/// Neither products nor channels nor pixels fill whole tiles, nor two splits alike.
fn products() -> ConvShape {
    let window = window([3, 2], [2, 1], [1, 2], [1, 2, 0, 1]);
    ConvShape { batch: 2, in_c: 9, out_c: 35, groups: 1, image: [7, 9], window }
}

/// Tiles of 4x4 that hang over the result's end, as their channels do over the last four.
fn tiles() -> ConvShape {
    let window = window([3, 3], [1, 1], [1, 1], [0, 1, 2, 1]);
    ConvShape { batch: 2, in_c: 5, out_c: 30, groups: 1, image: [9, 11], window }
}

/// A transposed convolution of four convolutions: its phases have two taps or one along either axis.
fn phased() -> ConvShape {
    let window = window([3, 4], [2, 3], [1, 1], [1, 2, 0, 4]);
    ConvShape { batch: 2, in_c: 5, out_c: 10, groups: 1, image: [5, 6], window }
}

/// More of them than go through the dispatches at a time.
fn many_tiles() -> ConvShape {
    ConvShape { batch: 1, in_c: 2, out_c: 3, image: [131, 130], ..tiles() }
}

/// Images that are wanted row-major and by four channels in turn.
fn layouts() -> Limited {
    let mut build = Build::new(8);
    let x = build.input(&[2, 6, 5, 7]);
    let y = build.node("first", Transpose { permutation: vec![0, 1, 3, 2] }, &[Some(x)]);
    let conv = |build: &mut Build, name: &str, x: ValueId, channels: [usize; 2]| {
        let filters = build.constant(&[channels[1], channels[0], 3, 3]);
        let op = Conv { window: window([3, 3], [1, 1], [1, 1], [1; 4]), groups: 1, epilogue: Epilogue::default() };
        build.node(name, op, &[Some(x), Some(filters)])
    };
    let a = conv(&mut build, "by four", y, [6, 8]);
    let b = conv(&mut build, "beside", x, [6, 8]);
    build.node("and back", Transpose { permutation: vec![0, 3, 2, 1] }, &[Some(a)]);
    build.node("of the input too", Transpose { permutation: vec![1, 0, 2, 3] }, &[Some(x)]);
    let b = build.node("turned", Transpose { permutation: vec![0, 1, 3, 2] }, &[Some(b)]);
    let b = conv(&mut build, "again", b, [8, 8]);
    build.node("joined", Concat { axis: 1 }, &[Some(a), Some(b), Some(a)]);
    build.node("uneven", Concat { axis: 1 }, &[Some(a), Some(y)]);
    build.node("added", Binary { function: BinaryFunction::Add, activation: Activation::Relu }, &[Some(a), Some(b)]);
    let scale = build.node("mean", Reduce { kind: ReduceKind::Mean, axes: 2..4 }, &[Some(a)]);
    build.node(
        "scaled",
        Binary { function: BinaryFunction::Mul, activation: Activation::Relu },
        &[Some(b), Some(scale)],
    );
    build.node("sigmoid", Activate { activation: Activation::Sigmoid }, &[Some(b)]);
    let odd = conv(&mut build, "odd", a, [8, 5]);
    let sigmoid = build.node("odd sigmoid", Activate { activation: Activation::Sigmoid }, &[Some(odd)]);
    let tanh = build.node("odd tanh", Activate { activation: Activation::Tanh }, &[Some(odd)]);
    build.node(
        "odd quotient",
        Binary { function: BinaryFunction::Sub, activation: Activation::Softplus },
        &[Some(sigmoid), Some(tanh)],
    );
    conv(&mut build, "odd again", sigmoid, [5, 3]);
    (build.done_all(), software())
}

/// One node for each activation, all of one shape.
pub fn every_activation_by_four(shape: ConvShape, store: Store, residual: bool, limits: Limits) -> Limited {
    let pool = |index| match store {
        Store::Pooled(kind) => pools(kind).into_iter().cycle().nth(index),
        _ => None,
    };
    every_activation_under(Direction::Forward, shape, pool, residual, limits)
}

/// The same, each under the pool of its number.
fn every_activation_under(
    direction: Direction,
    shape: ConvShape,
    pool: impl Fn(usize) -> Option<Pool>,
    residual: bool,
    limits: Limits,
) -> Limited {
    let mut build = Build::new(7);
    for (index, &activation) in ACTIVATIONS.iter().enumerate() {
        let pool = pool(index);
        add(&mut build, direction, shape, Epilogue { activation, pool, ..Epilogue::default() }, residual, true);
    }
    (build.done_all(), limits)
}

fn stores() -> Vec<Store> {
    [Store::Each, Store::Split].into_iter().chain(POOL_KINDS.map(Store::Pooled)).collect()
}

/// Lists of shapes, each of which one kernel takes: sums too long for one dispatch, few channels, tiles of four of them.
fn shapes_for(store: Store) -> Vec<Vec<ConvShape>> {
    let tiled = |channels: usize, groups: usize| channels.is_multiple_of(4) || (channels > 4 && groups == 1);
    match store {
        Store::Split => vec![splittable()],
        _ => vec![shapes_where(|channels, groups| !tiled(channels, groups)), shapes_where(tiled)],
    }
}

/// One node for each activation, each of another shape.
fn every_activation(direction: Direction, store: Store, residual: bool, seed: usize, shapes: &[ConvShape]) -> Limited {
    let mut build = Build::new(seed as u64);
    for (index, &activation) in ACTIVATIONS.iter().enumerate() {
        // Steps that share no divisor with the list's length reach every shape.
        let shape = shapes[(index * 7 + seed * 3 + usize::from(residual)) % shapes.len()];
        let pool = match store {
            Store::Pooled(kind) => {
                let fits = |pool: &Pool| pool.output_shape(output(direction, &shape)).is_ok();
                pools(kind).into_iter().cycle().skip(index).take(8).find(fits)
            }
            _ => None,
        };
        let epilogue = Epilogue { activation, pool, ..Epilogue::default() };
        add(&mut build, direction, shape, epilogue, residual, index % 4 != 3);
    }
    let max_loop_iterations = if store == Store::Split { FEW_ITERATIONS } else { 60_000 };
    (build.done_all(), Limits { max_loop_iterations, ..row_major() })
}

/// Every shape, without residual, under Relu.
fn every_shape(direction: Direction, limits: Limits) -> Limited {
    let mut build = Build::new(99);
    for shape in conv_shapes() {
        let epilogue = Epilogue { activation: Activation::Relu, ..Epilogue::default() };
        add(&mut build, direction, shape, epilogue, false, true);
    }
    (build.done_all(), limits)
}

/// Shapes whose sums take more than one dispatch under [`FEW_ITERATIONS`], into parts of equal and unequal length.
fn splittable() -> Vec<ConvShape> {
    let three = window([3, 3], [1, 1], [1, 1], [1; 4]);
    let plain = ConvShape { batch: 2, in_c: 4, out_c: 3, groups: 1, image: [7, 13], window: three };
    vec![
        plain,
        ConvShape { in_c: 5, ..plain },
        ConvShape { in_c: 10, out_c: 4, groups: 2, ..plain },
        ConvShape { batch: 3, in_c: 17, ..plain },
        ConvShape { in_c: 7, window: window([3, 3], [2, 2], [1, 2], [0, 1, 2, 0]), ..plain },
    ]
}

/// Those of the shapes whose output channels in a group, and groups, are such.
fn shapes_where(fits: impl Fn(usize, usize) -> bool) -> Vec<ConvShape> {
    conv_shapes().into_iter().filter(|shape| fits(shape.out_c / shape.groups, shape.groups)).collect()
}

fn output(direction: Direction, shape: &ConvShape) -> [usize; 4] {
    match direction {
        Direction::Forward => shape.conv_output(),
        Direction::Transposed => shape.conv_transpose_output(),
    }
}

/// A convolution with random content in every slot that its epilogue reads.
pub fn add(
    build: &mut Build,
    direction: Direction,
    shape: ConvShape,
    epilogue: Epilogue,
    residual: bool,
    bias: bool,
) -> ValueId {
    let name = format!("{} {shape:?}", epilogue.activation.name());
    let mut inputs = vec![None; slot::SLOPE + 1];
    inputs[slot::INPUT] = Some(build.input(&shape.input()));
    if bias {
        inputs[slot::BIAS] = Some(build.constant(&[shape.out_c]));
    }
    if residual {
        inputs[slot::RESIDUAL] = Some(build.input(&output(direction, &shape)));
    }
    if epilogue.activation == Activation::PRelu {
        inputs[slot::SLOPE] = Some(build.constant(&[shape.out_c]));
    }
    let (filters, op): (_, Op) = match direction {
        Direction::Forward => (shape.filters(), shape.conv(epilogue).into()),
        Direction::Transposed => (shape.transposed_filters(), shape.conv_transpose(epilogue).into()),
    };
    inputs[slot::WEIGHT] = Some(build.constant(&filters));
    build.node(&name, op, &inputs)
}
