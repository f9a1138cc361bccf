//! First layers of networks.

use super::Limited;
use super::convolutions::{Direction, Store, add, every_activation_by_four, software};
use reluctor::ops::*;
use reluctor::plan::Limits;
use reluctor_testing::build::Build;
use reluctor_testing::shapes::{ConvShape, window};

/// A first layer with more rows than one invocation goes down.
pub fn stem(taps: usize, stride: usize) -> ConvShape {
    let window = window([taps; 2], [stride; 2], [1, 1], [taps / 2, 1, 1, taps / 2]);
    ConvShape { batch: 2, in_c: 3, out_c: 19, groups: 1, image: [37 * stride, 21], window }
}

/// First layers, alone and under pools that go into their dispatch and others that do not.
pub fn stems() -> Vec<Limited> {
    let pools: Vec<Pool> = [[0; 4], [1; 4], [0, 1, 1, 0], [1, 0, 0, 1]]
        .into_iter()
        .flat_map(|pads| {
            let pool = move |ceil| Pool { kind: PoolKind::Max, window: window([3, 3], [2, 2], [1, 1], pads), ceil };
            [false, true].map(pool)
        })
        .collect();
    let mut cases = vec![every_activation_by_four(stem(3, 1), Store::Each, false, software())];
    for shape in [stem(3, 2), stem(7, 2), ConvShape { in_c: 1, image: [9, 70], ..stem(3, 2) }] {
        cases.push(every_activation_by_four(shape, Store::Each, false, software()));
        let [taps, stride] = [shape.window.kernel[1], shape.window.stride[1]];
        let pooled = format!("conv_stem row_{taps}s{stride}_max3s2");
        let pooled = Limits { conv_kernel: Some(pooled.into()), ..software() };
        for limits in [software(), pooled] {
            cases.push(every_pool(shape, &pools, limits));
        }
    }
    // Rows of the filter in several steps, the last of them of all taps and of fewer.
    for (tile, taps, stride) in
        [("row_3s1", 5, 1), ("row_3s1", 9, 1), ("row_3s2", 5, 2), ("row_7s2", 5, 2), ("row_7s2", 11, 2)]
    {
        let limits = |pooled| Limits { conv_kernel: Some(format!("conv_stem {tile}{pooled}").into()), ..software() };
        let quarter = Pool { kind: PoolKind::Max, window: window([2, 2], [2, 2], [1, 1], [0; 4]), ceil: false };
        cases.push(alone(stem(taps, stride), limits("")));
        cases.push(every_pool(stem(taps, stride), &[quarter], limits(" pooled")));
    }
    cases
}

/// One shape, without an activation.
fn alone(shape: ConvShape, limits: Limits) -> Limited {
    let mut build = Build::new(45);
    add(&mut build, Direction::Forward, shape, Epilogue::default(), false, true);
    (build.done_all(), limits)
}

/// One node for each pool, all of one shape.
fn every_pool(shape: ConvShape, pools: &[Pool], limits: Limits) -> Limited {
    let mut build = Build::new(11);
    let activations = [Activation::Relu, Activation::LeakyRelu { alpha: 0.25 }, Activation::LeakyRelu { alpha: -0.5 }];
    for (pool, &activation) in pools.iter().zip(activations.iter().cycle()) {
        let epilogue = Epilogue { activation, pool: Some(pool.clone()), ..Epilogue::default() };
        add(&mut build, Direction::Forward, shape, epilogue, false, true);
    }
    (build.done_all(), limits)
}
