//! The CPU executor's pools against plain loops.

use crate::definition::{self, Image, PoolAttributes};
use reluctor::ops::{Op, Pool, PoolKind};
use reluctor_testing::random::{Numbers, Random};
use reluctor_testing::shapes::{POOL_KINDS, pools, window};

fn attributes(pool: &Pool) -> PoolAttributes {
    let window = pool.window;
    PoolAttributes {
        kernel_shape: window.kernel,
        strides: window.stride,
        dilations: window.dilation,
        pads: [window.pads.top, window.pads.left, window.pads.bottom, window.pads.right],
        ceil_mode: pool.ceil,
        count_include_pad: match pool.kind {
            PoolKind::Max => None,
            PoolKind::Average { count_include_pad } => Some(count_include_pad),
        },
    }
}

fn check(pool: &Pool, attributes: PoolAttributes, shape: [usize; 4]) {
    let mut random = Random::new(shape.iter().sum::<usize>() as u64);
    let tensor = random.tensor(Numbers::Reals, &shape).cast::<f64>();
    let x = Image { shape, data: tensor.as_real().unwrap().iter().copied().collect() };
    let expected = definition::pool(&x, attributes);
    let got = Op::from(pool.clone()).reference(&[Some(&tensor)]).map_err(|problem| problem.at("pool")).unwrap();
    assert_eq!(got[0].shape(), expected.shape, "{pool:?}");
    for (got, expected) in got[0].as_real().unwrap().iter().zip(&expected.data) {
        assert!((got - expected).abs() <= 1e-12, "{got}, not {expected}: {pool:?}");
    }
}

#[test]
fn pools_are_what_plain_loops_say() {
    for kind in POOL_KINDS {
        for pool in pools(kind) {
            for shape in [[1, 3, 7, 13], [3, 2, 5, 4], [1, 1, 3, 3], [2, 9, 6, 8]] {
                check(&pool, attributes(&pool), shape);
            }
        }
    }
}

/// Every small window over every small image: rows carry the attributes, columns stay simple.
#[test]
fn every_small_pool_is_what_plain_loops_say() {
    let choices = [1, 2, 3];
    for kind in POOL_KINDS {
        for (kernel, stride, dilation) in product(choices) {
            for (begin, end, ceil) in
                (0..3).flat_map(|begin| (0..3).flat_map(move |end| [(begin, end, false), (begin, end, true)]))
            {
                let window = window([kernel, 2], [stride, 2], [dilation, 1], [begin, 0, end, 0]);
                let pool = Pool { kind, window, ceil };
                // Of two rows, a window may hang over the end of the image from the first one on.
                for shape in [[1, 2, 6, 5], [1, 2, 2, 5]] {
                    // A padding as large as the window, or windows that hold nothing but padding, are refused.
                    let ty = reluctor::tensor::TensorType::real(shape);
                    if Op::from(pool.clone()).infer(&[Some(&ty)]).is_ok() {
                        check(&pool, attributes(&pool), shape);
                    }
                }
            }
        }
    }
}

fn product(choices: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    choices
        .into_iter()
        .flat_map(move |a| choices.into_iter().flat_map(move |b| choices.into_iter().map(move |c| (a, b, c))))
}

#[test]
fn a_window_of_nothing_but_padding_is_refused() {
    // Taps one before and one behind an image of one column.
    let pool = Pool { kind: PoolKind::Max, window: window([1, 2], [1, 1], [1, 2], [0, 1, 0, 1]), ceil: false };
    let refused = pool.output_shape([1, 1, 4, 1]).unwrap_err().at("pool").to_string();
    assert!(refused.contains("nothing but padding"), "{refused}");
    assert!(pool.output_shape([1, 1, 4, 2]).is_ok());
}

#[test]
#[should_panic(expected = "not")]
fn a_definition_whose_window_is_off_by_one_is_told_apart() {
    let pool = &pools(PoolKind::Max)[1];
    check(pool, PoolAttributes { pads: [0, 1, 2, 1], ..attributes(pool) }, [1, 3, 7, 13]);
}

#[test]
#[should_panic(expected = "not")]
fn a_definition_that_counts_padding_is_told_apart() {
    let pool = &pools(PoolKind::Average { count_include_pad: false })[1];
    check(pool, PoolAttributes { count_include_pad: Some(true), ..attributes(pool) }, [1, 3, 7, 13]);
}
