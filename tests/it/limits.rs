//! Sums longer than a driver's loops, tensors larger than a binding, grids wider than a dimension.

use crate::fusion::{fused, max_pool};
use crate::parity::convolutions::{Direction, add};
use reluctor::error::Error;
use reluctor::ops::*;
use reluctor::passes::Fusion;
use reluctor::plan::{Limits, Plan, plan};
use reluctor_testing::build::{Build, Case};
use reluctor_testing::check::{check, check_under, planned};
use reluctor_testing::device::gpu;
use reluctor_testing::shapes::{ConvShape, window};

const NONE: Activation = Activation::Identity;

fn product(m: usize, n: usize, k: usize) -> Case {
    let mut build = Build::new(1);
    let (a, b, c) = (build.input(&[m, k]), build.constant(&[k, n]), build.constant(&[n]));
    let op = MatMul { transpose_a: false, transpose_b: false, alpha: 0.5, beta: 2.0, activation: Activation::Relu };
    build.node("product", op, &[Some(a), Some(b), Some(c)]);
    build.done_all()
}

/// Over a small image. A 3x3 kernel counts as 21 loop iterations a channel.
fn conv(kernel: [usize; 2], in_c: usize, out_c: usize) -> Case {
    let mut build = Build::new(2);
    let window = window(kernel, [1, 1], [1, 1], [kernel[0] / 2; 4]);
    let shape = ConvShape { batch: 2, in_c, out_c, groups: 1, image: [3, 5], window };
    let epilogue = Epilogue { activation: Activation::PRelu, ..Epilogue::default() };
    add(&mut build, Direction::Forward, shape, epilogue.clone(), true, true);
    add(&mut build, Direction::Transposed, shape, epilogue, true, true);
    build.done_all()
}

fn dispatches(plan: &Plan) -> Vec<usize> {
    plan.steps().iter().map(|step| step.dispatches.len()).collect()
}

/// Mesa 22.3's software Vulkan silently ends all loops of an invocation after 65,535 iterations.
#[test]
fn a_product_of_more_steps_than_a_loop_may_make_is_right() {
    // Whole vec4s are read four steps at a time.
    for (k, expected) in [(70_001, 2), (70_000, 1), (280_000, 5)] {
        let case = product(3, 5, k);
        assert_eq!(dispatches(&planned(&case)), [expected], "{k}");
        check(&case);
    }
}

#[test]
fn a_convolution_of_more_steps_than_a_loop_may_make_is_right() {
    for (kernel, channels) in [([3, 3], 3_800), ([1, 1], 11_000)] {
        let case = conv(kernel, channels, 2);
        assert_eq!(
            dispatches(&planned(&case)),
            [1, 2],
            "by four channels an invocation loops a quarter as often: {kernel:?}"
        );
        check(&case);
        let plan = check_under(&case, &Limits { conv_kernel: Some("conv_direct".into()), ..gpu().limits() });
        assert_eq!(dispatches(&plan), [2, 2], "{kernel:?}");
    }
}

#[test]
fn a_row_of_more_elements_than_a_loop_may_make_steps_is_right() {
    let mut build = Build::new(3);
    let x = build.input(&[2, 70_001]);
    for kind in [ReduceKind::Mean, ReduceKind::Max] {
        build.node(&format!("{kind:?}"), Reduce { kind, axes: 1..2 }, &[Some(x)]);
    }
    build.node("softmax", Softmax { axes: 1..2 }, &[Some(x)]);
    check(&build.done_all());
}

/// A pool over a whole image.
fn whole(h: usize, w: usize) -> Case {
    let mut build = Build::new(4);
    let x = build.input(&[1, 1, h, w]);
    let window = window([h, w], [1, 1], [1, 1], [0; 4]);
    build.node("pool", Pool { kind: PoolKind::Average { count_include_pad: false }, window, ceil: false }, &[Some(x)]);
    build.done_all()
}

#[test]
fn windows_of_as_many_taps_as_a_loop_allows_are_right_and_larger_ones_are_refused() {
    for [h, w] in [[300, 190], [14_999, 1], [1, 59_000]] {
        check(&whole(h, w));
    }
    for [h, w] in [[300, 200], [15_001, 1], [1, 60_000]] {
        let refused = plan(&whole(h, w).graph, &gpu().limits()).unwrap_err();
        assert!(matches!(&refused, Error::Unsupported { nodes, .. } if nodes[0].node == "pool"), "{refused}");
    }
}

#[test]
fn a_pool_that_would_make_a_convolution_loop_too_long_is_not_fused() {
    for (channels, nodes) in [(317, 1), (318, 2)] {
        let mut build = Build::new(10);
        let window = window([3, 3], [1, 1], [1, 1], [1; 4]);
        let shape = ConvShape { batch: 1, in_c: channels, out_c: 2, groups: 1, image: [9, 9], window };
        let y = add(&mut build, Direction::Forward, shape, Epilogue::default(), false, true);
        let y = max_pool(&mut build, "pool", y, 3, 3);
        let case = fused(&build.done(&[y]), &Fusion::all());
        assert_eq!(case.graph.nodes.len(), nodes, "{:?}", case.graph.nodes[0].not_fused_because);
        check(&case);
    }
}

#[test]
fn rows_beyond_what_lanes_may_loop_over_are_refused() {
    let mut build = Build::new(5);
    let x = build.input(&[1, 700]);
    build.node("mean", Reduce { kind: ReduceKind::Mean, axes: 1..2 }, &[Some(x)]);
    build.node("softmax", Softmax { axes: 1..2 }, &[Some(x)]);
    let limits = Limits { max_loop_iterations: 10, ..gpu().limits() };
    let refused = plan(&build.done_all().graph, &limits).unwrap_err();
    assert!(matches!(&refused, Error::Unsupported { nodes, .. } if nodes.len() == 2), "{refused}");
}

#[test]
fn weights_larger_than_a_binding_are_split_over_dispatches() {
    // Weights of 33 channels, 64 * 3 * 4 + 2 numbers each with a zero behind three taps: 5 channels fit 16 KiB, and one tile
    // of 4. The transposed one's phase takes one dispatch more.
    let limits = Limits { max_storage_buffer_binding_size: 16 << 10, ..gpu().limits() };
    let plan = check_under(&conv([3, 3], 64, 33), &limits);
    assert_eq!(dispatches(&plan), [9, 10]);
    assert!(plan.buffers().iter().all(|buffer| buffer.bytes <= 16 << 10));

    // Columns of 65 numbers: 3 fit 1,000 bytes.
    let limits = Limits { max_storage_buffer_binding_size: 1_000, ..gpu().limits() };
    assert_eq!(dispatches(&check_under(&product(2, 17, 65), &limits)), [6]);

    // Columns of 120 numbers, padded to blocks of 32: 136 fit 64 KiB, and four blocks.
    let limits = Limits { max_storage_buffer_binding_size: 64 << 10, ..gpu().limits() };
    assert_eq!(dispatches(&check_under(&product(2, 136, 120), &limits)), [2]);

    // Columns of 200 numbers: 20 fit 16 KiB, and no block.
    let limits = Limits { max_storage_buffer_binding_size: 16 << 10, ..gpu().limits() };
    assert_eq!(dispatches(&check_under(&product(2, 40, 200), &limits)), [2]);
}

#[test]
fn batches_of_more_dimensions_than_kernels_walk_are_merged() {
    let mut build = Build::new(12);
    let (a, b) = (build.input(&[2, 1, 3, 1, 1, 2, 1, 1, 2, 3, 5]), build.input(&[2, 5, 4]));
    let op = MatMul { transpose_a: false, transpose_b: false, alpha: 1.0, beta: 1.0, activation: NONE };
    build.node("product", op, &[Some(a), Some(b)]);
    check(&build.done_all());
}

#[test]
fn work_that_would_take_too_long_is_split_over_dispatches() {
    // Time for 8 of 33 channels, each of 30 sums: one tile more where a tile has 16.
    for (kernel, split) in [("conv_tile", 5), ("conv_direct", 5), ("conv_subgroup", 3), ("conv_gemm 32x32", 2)] {
        let max_dispatch_flops = 8 * 30 * 2 * (64 * 9 + 2);
        let plan = check_under(
            &conv([3, 3], 64, 33),
            &Limits { conv_kernel: Some(kernel.into()), max_dispatch_flops, ..gpu().limits() },
        );
        assert_eq!(dispatches(&plan)[0], split, "{kernel}");
    }
}

#[test]
fn tiles_of_split_weights_stay_within_a_group() {
    let mut build = Build::new(11);
    let window = window([3, 3], [1, 1], [1, 1], [1; 4]);
    let shape = ConvShape { batch: 1, in_c: 64, out_c: 16, groups: 4, image: [2, 2], window };
    add(&mut build, Direction::Forward, shape, Epilogue::default(), true, true);
    let case = build.done_all();
    // 146 numbers a filter: 7 fit 4 KiB, 3 fit 2,000 bytes, where no tile does.
    for (bytes, dispatched) in [(4_096, 4), (2_000, 6)] {
        let limits = Limits { max_storage_buffer_binding_size: bytes, ..gpu().limits() };
        assert_eq!(dispatches(&check_under(&case, &limits)), [dispatched]);
    }
}

#[test]
fn weights_split_by_channels_and_by_loops_at_once_are_right() {
    let conv_kernel = Some("conv_direct".into());
    let limits =
        Limits { max_storage_buffer_binding_size: 16 << 10, max_loop_iterations: 400, conv_kernel, ..gpu().limits() };
    assert_eq!(dispatches(&check_under(&conv([3, 3], 64, 33), &limits)), [20, 20]);
}

#[test]
fn sums_split_over_many_dispatches_are_right() {
    let limits = Limits { max_loop_iterations: 30, conv_kernel: Some("conv_direct".into()), ..gpu().limits() };
    assert_eq!(dispatches(&check_under(&product(3, 5, 65), &limits)), [3]);
    assert_eq!(dispatches(&check_under(&conv([3, 3], 9, 2), &limits)), [9, 9]);
}

#[test]
fn grids_wider_than_a_dimension_are_folded() {
    let mut build = Build::new(6);
    let (x, y) = (build.input(&[3, 5, 17, 13]), build.input(&[5, 1, 1]));
    let pool = Pool { kind: PoolKind::Max, window: window([2, 2], [1, 1], [1, 1], [0; 4]), ceil: false };
    build.node("activation", Activate { activation: Activation::Tanh }, &[Some(x)]);
    build.node("binary", Binary { function: BinaryFunction::Add, activation: NONE }, &[Some(x), Some(y)]);
    build.node("pool", pool, &[Some(x)]);
    build.node("transpose", Transpose { permutation: vec![3, 1, 2, 0] }, &[Some(x)]);
    build.node("pad", Pad { mode: PadMode::Wrap, begin: vec![0, 0, 2, 2], end: vec![0; 4] }, &[Some(x)]);
    build.node("mean", Reduce { kind: ReduceKind::Mean, axes: 2..4 }, &[Some(x)]);
    build.node("softmax", Softmax { axes: 2..4 }, &[Some(x)]);
    let [x_of_conv, w] = [build.input(&[3, 5, 34, 26]), build.constant(&[5, 5, 1, 1])];
    let window = window([1, 1], [1, 1], [1, 1], [0; 4]);
    build.node("conv", Conv { window, groups: 1, epilogue: Epilogue::default() }, &[Some(x_of_conv), Some(w)]);
    let op = MatMul { transpose_a: false, transpose_b: false, alpha: 1.0, beta: 1.0, activation: NONE };
    let b = build.constant(&[13, 17]);
    build.node("product", op, &[Some(x), Some(b)]);
    let case = build.done_all();

    let most = 11;
    let limits = Limits { max_compute_workgroups_per_dimension: most, ..gpu().limits() };
    let plan = check_under(&case, &limits);
    for dispatch in plan.dispatches() {
        let [x, y, z] = dispatch.groups;
        assert!(x <= most && (2..=most).contains(&y) && z == 1, "{}: {:?}", dispatch.variant, dispatch.groups);
    }
}

/// The limit's numbers in an error that names this tensor.
fn device_limit(case: &Case, limits: &Limits, expected: &str) -> [u64; 2] {
    match plan(&case.graph, limits) {
        Err(Error::DeviceLimit { tensor, needed, limit, .. }) if tensor == expected => [needed, limit],
        other => panic!("no limit is named for '{expected}': {other:?}"),
    }
}

#[test]
fn a_tensor_that_cannot_be_split_is_named_with_both_numbers() {
    let mut build = Build::new(7);
    let x = build.input(&[1, 3, 7, 13]);
    let small = build.node("small", Slice { ranges: [1, 3, 7, 1].map(first).to_vec() }, &[Some(x)]);
    build.node("large", Pad { mode: PadMode::Edge, begin: vec![0; 4], end: vec![0, 0, 0, 32] }, &[Some(small)]);
    let case = build.done_all();
    let limits = Limits { max_storage_buffer_binding_size: 2_000, ..Limits::default() };
    assert_eq!(device_limit(&case, &limits, "large"), [3 * 7 * 33 * 4, 2_000]);
    let limits = Limits { max_buffer_size: 2_500, ..Limits::default() };
    assert_eq!(device_limit(&case, &limits, "large"), [3 * 7 * 33 * 4, 2_500]);
    let limits = Limits { max_storage_buffer_binding_size: 1_000, ..Limits::default() };
    assert_eq!(device_limit(&case, &limits, "x0"), [3 * 7 * 13 * 4, 1_000]);
}

fn first(count: usize) -> slice::Range {
    slice::Range { start: 0, step: 1, count }
}

#[test]
fn one_filter_larger_than_a_binding_is_named() {
    let limits = Limits { max_storage_buffer_binding_size: 4_000, ..Limits::default() };
    let mut build = Build::new(8);
    let x = build.input(&[1, 64, 3, 3]);
    let w = build.constant(&[2, 64, 5, 5]);
    let window = window([5, 5], [1, 1], [1, 1], [1; 4]);
    build.node("conv", Conv { window, groups: 1, epilogue: Epilogue::default() }, &[Some(x), Some(w)]);
    let numbers = device_limit(&build.done_all(), &limits, "conv: weights, bias, slope");
    assert_eq!(numbers, [(64 * 5 * 5 + 2) * 4, 4_000]);
}

#[test]
fn a_grid_wider_than_both_dimensions_is_named() {
    let mut build = Build::new(9);
    let x = build.input(&[1_001]);
    build.node("wide", Activate { activation: Activation::Relu }, &[Some(x)]);
    let limits = Limits { max_compute_workgroups_per_dimension: 3, ..Limits::default() };
    assert_eq!(device_limit(&build.done_all(), &limits, "wide"), [16, 9]);
}
