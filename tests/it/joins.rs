//! Parts of concatenations, computed in place.

use reluctor::graph::ValueId;
use reluctor::ops::{Activate, Activation, Concat, Epilogue};
use reluctor_testing::build::Build;
use reluctor_testing::check::{check, planned};
use reluctor_testing::shapes::{ConvShape, window};

const IMAGE: [usize; 2] = [8, 8];

/// A convolution of one tap or nine and an activation.
fn conv(build: &mut Build, x: ValueId, [in_c, out_c, taps]: [usize; 3]) -> ValueId {
    let window = window([taps; 2], [1, 1], [1, 1], [taps / 2; 4]);
    let shape = ConvShape { batch: 1, in_c, out_c, groups: 1, image: IMAGE, window };
    let epilogue = Epilogue { activation: Activation::Relu, ..Epilogue::default() };
    let filters = build.constant(&[out_c, in_c, taps, taps]);
    build.node(&format!("conv {taps}"), shape.conv(epilogue), &[Some(x), Some(filters)])
}

fn joined(build: &mut Build, parts: &[ValueId]) -> ValueId {
    build.node("joined", Concat { axis: 1 }, &parts.iter().copied().map(Some).collect::<Vec<_>>())
}

/// Runs what leads to these outputs, compares it with the reference, and counts the copies.
fn copies(build: Build, outputs: &[ValueId]) -> usize {
    let case = build.done(outputs);
    check(&case);
    let plan = planned(&case);
    plan.dispatches().filter(|dispatch| dispatch.variant.kernel.name == "copy_strided").count()
}

#[test]
fn neighbours_are_computed_side_by_side() {
    let mut build = Build::new(1);
    let x = build.input(&[1, 8, 8, 8]);
    let parts = [1, 3].map(|taps| conv(&mut build, x, [8, 16, taps]));
    let whole = joined(&mut build, &parts);
    let y = conv(&mut build, whole, [32, 4, 1]);
    assert_eq!(copies(build, &[y]), 0);
}

#[test]
fn a_dense_block_lies_in_one_buffer() {
    let mut build = Build::new(2);
    let x = build.input(&[1, 8, 8, 8]);
    let mut so_far = conv(&mut build, x, [8, 16, 3]);
    for layer in 0..3 {
        let narrow = conv(&mut build, so_far, [16 + 8 * layer, 8, 1]);
        let more = conv(&mut build, narrow, [8, 8, 3]);
        so_far = joined(&mut build, &[so_far, more]);
    }
    let y = conv(&mut build, so_far, [40, 4, 1]);
    assert_eq!(copies(build, &[y]), 0);
}

#[test]
fn what_reads_its_neighbour_is_computed_apart() {
    let mut build = Build::new(3);
    let x = build.input(&[1, 8, 8, 8]);
    let a = conv(&mut build, x, [8, 8, 1]);
    let b = conv(&mut build, a, [8, 8, 3]);
    let whole = joined(&mut build, &[a, b]);
    let y = conv(&mut build, whole, [16, 4, 1]);
    assert_eq!(copies(build, &[y]), 1, "a dispatch may not read and write one buffer");
}

#[test]
fn what_stands_twice_is_copied() {
    let mut build = Build::new(4);
    let x = build.input(&[1, 8, 8, 8]);
    let a = conv(&mut build, x, [8, 8, 1]);
    let whole = joined(&mut build, &[a, a]);
    let y = conv(&mut build, whole, [16, 4, 1]);
    assert_eq!(copies(build, &[y]), 2);
}

#[test]
fn inputs_and_outputs_keep_buffers_of_their_own() {
    let mut build = Build::new(5);
    let x = build.input(&[1, 8, 8, 8]);
    let a = conv(&mut build, x, [8, 8, 1]);
    let b = build.node("b", Activate { activation: Activation::Tanh }, &[Some(x)]);
    let whole = joined(&mut build, &[x, a, b]);
    let y = conv(&mut build, whole, [24, 4, 1]);
    assert_eq!(copies(build, &[a, y]), 2, "only b is the plan's own");
}

#[test]
fn images_of_a_batch_are_joined_one_by_one() {
    let mut build = Build::new(6);
    let x = build.input(&[2, 8, 8, 8]);
    let parts = [1, 3].map(|taps| conv(&mut build, x, [8, 8, taps]));
    let whole = joined(&mut build, &parts);
    let y = conv(&mut build, whole, [16, 4, 1]);
    assert_eq!(copies(build, &[y]), 2);
}
