//! What must not be fused, and says why.

use crate::fusion::*;
use reluctor::ops::{Activation, BinaryFunction};
use reluctor::passes::Fusion;
use reluctor_testing::build::{Build, Case};
use reluctor_testing::check::check;

/// As many nodes are left, the numbers stay the same, and some node gives this reason.
fn assert_refused(case: &Case, nodes: usize, reason: &str) {
    let fused = fused(case, &Fusion::all());
    assert_eq!(fused.graph.nodes.len(), nodes, "{reason}:\n{}", fused.graph);
    let notes: Vec<_> = fused.graph.nodes.iter().flat_map(|node| &node.not_fused_because).collect();
    assert!(notes.iter().any(|note| note.contains(reason)), "'{reason}' is none of {notes:?}");
    assert_same_in_f64(reason, case, &fused);
    check(&fused);
}

#[test]
fn a_result_with_a_second_reader_stays() {
    let mut build = Build::new(1);
    let y = conv(&mut build);
    let a = activate(&mut build, "relu", y, Activation::Relu);
    let b = activate(&mut build, "tanh", y, Activation::Tanh);
    assert_refused(&build.done(&[a, b]), 3, "its result has a second reader");
}

#[test]
fn a_result_that_is_an_output_of_the_network_stays() {
    let mut build = Build::new(2);
    let y = conv(&mut build);
    let a = activate(&mut build, "relu", y, Activation::Relu);
    assert_refused(&build.done(&[y, a]), 2, "its result is an output of the network");
}

#[test]
fn a_second_activation_stays() {
    let mut build = Build::new(3);
    let y = conv(&mut build);
    let y = activate(&mut build, "relu", y, Activation::LeakyRelu { alpha: 0.1 });
    let y = activate(&mut build, "tanh", y, Activation::Tanh);
    assert_refused(&build.done(&[y]), 2, "tanh: it applies leaky_relu already");
}

#[test]
fn an_addition_that_changes_the_shape_stays() {
    let mut build = Build::new(4);
    let y = conv(&mut build);
    let y = max_pool(&mut build, "pool", y, 7, 13);
    let other = build.input(&[2, 5, 7, 13]);
    let y = binary(&mut build, "add", BinaryFunction::Add, y, other);
    let case = build.done(&[y]);
    assert_eq!(fused(&case, &Fusion::all()).graph.nodes.len(), 2);

    let mut build = Build::new(5);
    let y = conv(&mut build);
    let other = build.input(&[3, 1, 5, 7, 13]);
    let y = binary(&mut build, "add", BinaryFunction::Add, y, other);
    assert_refused(&build.done(&[y]), 2, "the other operand has another shape");
}

#[test]
fn a_broadcast_operand_is_no_residual() {
    let mut build = Build::new(6);
    let y = conv(&mut build);
    let other = build.input(&[5, 1, 13]);
    let y = binary(&mut build, "add", BinaryFunction::Add, y, other);
    assert_refused(&build.done(&[y]), 2, "the other operand has another shape");
}

#[test]
fn a_tensor_added_after_the_activation_is_no_residual() {
    let mut build = Build::new(7);
    let y = conv(&mut build);
    let y = activate(&mut build, "relu", y, Activation::Relu);
    let other = build.input(&[2, 5, 7, 13]);
    let y = binary(&mut build, "add", BinaryFunction::Add, y, other);
    assert_refused(&build.done(&[y]), 2, "add: an activation or a pool comes first");
}

#[test]
fn a_result_added_to_itself_is_no_residual() {
    let mut build = Build::new(8);
    let y = conv(&mut build);
    let y = binary(&mut build, "double", BinaryFunction::Add, y, y);
    assert_refused(&build.done(&[y]), 2, "it adds the result to itself");
}

#[test]
fn a_second_residual_stays() {
    let mut build = Build::new(9);
    let mut y = conv(&mut build);
    for name in ["first", "second"] {
        let other = build.input(&[2, 5, 7, 13]);
        y = binary(&mut build, name, BinaryFunction::Add, y, other);
    }
    assert_refused(&build.done(&[y]), 2, "second: the convolution adds another tensor already");
}

#[test]
fn a_batch_normalization_after_a_residual_stays() {
    let mut build = Build::new(10);
    let y = conv(&mut build);
    let other = build.input(&[2, 5, 7, 13]);
    let y = binary(&mut build, "add", BinaryFunction::Add, y, other);
    let y = batch_norm(&mut build, "norm", y);
    assert_refused(&build.done(&[y]), 2, "norm: something else comes before it");
}

#[test]
fn a_slope_for_each_element_or_row_stays() {
    for shape in [&[5, 7, 13][..], &[7, 1], &[13], &[1, 5, 1, 13]] {
        let mut build = Build::new(11);
        let y = conv(&mut build);
        let slope = build.constant(shape);
        let y = binary(&mut build, "prelu", BinaryFunction::PRelu, y, slope);
        assert_refused(&build.done(&[y]), 2, "its slope is not one number for each channel");
    }
}

#[test]
fn a_slope_that_is_computed_stays() {
    let mut build = Build::new(12);
    let y = conv(&mut build);
    let slope = build.input(&[5, 1, 1]);
    let y = binary(&mut build, "prelu", BinaryFunction::PRelu, y, slope);
    assert_refused(&build.done(&[y]), 2, "its slope is computed while the network runs");
}

#[test]
fn a_constant_for_each_element_is_no_bias() {
    let mut build = Build::new(13);
    let y = biasless_conv(&mut build);
    let constant = build.constant(&[5, 7, 1]);
    let y = binary(&mut build, "add", BinaryFunction::Add, y, constant);
    assert_refused(&build.done(&[y]), 2, "the constant is not one number for each channel");
}

#[test]
fn a_pool_whose_windows_overlap_much_stays() {
    for (kernel, stride) in [(3, 1), (5, 3), (2, 1)] {
        let mut build = Build::new(14);
        let y = conv(&mut build);
        let y = max_pool(&mut build, "pool", y, kernel, stride);
        assert_refused(&build.done(&[y]), 2, "pool: windows overlap");
    }
}

#[test]
fn an_activation_after_a_pool_stays() {
    let mut build = Build::new(15);
    let y = conv(&mut build);
    let y = max_pool(&mut build, "pool", y, 2, 2);
    let y = activate(&mut build, "tanh", y, Activation::Tanh);
    assert_refused(&build.done(&[y]), 2, "tanh: a pool comes first");
}

#[test]
fn a_second_pool_stays() {
    let mut build = Build::new(16);
    let y = conv(&mut build);
    let y = max_pool(&mut build, "first", y, 2, 2);
    let y = max_pool(&mut build, "second", y, 2, 2);
    assert_refused(&build.done(&[y]), 2, "second: the convolution pools already");
}
