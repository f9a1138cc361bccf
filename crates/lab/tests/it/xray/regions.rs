//! Pieces along curves: counted by hand, and held against a network that is simply run.

use super::networks::*;
use reluctor::cpu;
use reluctor::ops::{Activate, Activation, Op, PoolKind};
use reluctor::tensor::Tensor;
use reluctor_lab::xray::{Curve, Regions, Solver};
use reluctor_testing::build::{Build, Case};

/// The pieces from 0 to 1, for a network of one number.
fn on_unit_segment(case: &Case, from: f64, to: f64) -> Regions {
    let solver = Solver::new(&case.graph).unwrap();
    solver.walk(Curve::Segment, &[vec![vec![from], vec![to - from]]], 1 << 20).unwrap()
}

#[test]
fn the_absolute_value_has_two_pieces() {
    let regions = on_unit_segment(&absolute(), -1.0, 3.0);
    assert_eq!((regions.pieces(), regions.breakpoints[0].t), (2, 0.25));
}

#[test]
fn a_sawtooth_doubles_its_pieces_with_each_layer() {
    for depth in [1, 3, 6, 11] {
        let regions = on_unit_segment(&sawtooth(depth), 0.0, 1.0);
        assert_eq!(regions.pieces(), 1 << depth);
        let expected = (1..1 << depth).map(|k| f64::from(k) / f64::from(1 << depth));
        assert!(regions.breakpoints.iter().map(|point| point.t).eq(expected), "multiples of 2^-{depth}");
    }
}

#[test]
fn two_lines_cross_once() {
    let regions = on_unit_segment(&larger_of_two_lines(), 0.0, 1.0);
    let [only] = regions.breakpoints[..] else { panic!("{regions:?}") };
    assert!((only.t - 1.0 / 3.0).abs() < 1e-15, "{only:?}");
}

#[test]
fn an_affine_network_has_one_piece_and_a_curved_one_is_refused() {
    let mut build = Build::new(2);
    let x = numbers(&mut build, &[0.0]);
    let line = affine(&mut build, "line", x, &[&[2.0]], &[1.0]);
    let case = build.done(&[line]);
    assert_eq!(on_unit_segment(&case, -1.0, 1.0).pieces(), 1);
    let curved = |last: Activation| {
        let mut build = Build::new(2);
        let x = numbers(&mut build, &[0.0]);
        let sigmoid = build.node("sigmoid", Activate { activation: Activation::Sigmoid }, &[Some(x)]);
        let last = build.node("last", Activate { activation: last }, &[Some(sigmoid)]);
        build.done(&[last])
    };
    let refused = Solver::new(&curved(Activation::Relu).graph).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|text| text.contains("'last' reads what comes of")));
    let refused = Solver::new(&curved(Activation::Sigmoid).graph).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|text| text.contains("nothing comes before")));
}

#[test]
fn weights_after_a_curve_are_refused_and_a_curve_at_the_end_is_left_out() {
    let mut build = Build::new(3);
    let x = numbers(&mut build, &[0.0]);
    let line = affine(&mut build, "line", x, &[&[2.0]], &[1.0]);
    let sigmoid = build.node("sigmoid", Activate { activation: Activation::Sigmoid }, &[Some(line)]);
    let before = build.done(&[sigmoid]);
    let local = Solver::new(&before.graph).unwrap().local_map(&[vec![0.0]], &[vec![1.0]], 1.0, 1).unwrap();
    assert_eq!((local.rows, local.largest_entry), (1, 2.0), "the map is that of the line");

    let mut build = Build::new(3);
    let x = numbers(&mut build, &[0.0]);
    let sigmoid = build.node("sigmoid", Activate { activation: Activation::Sigmoid }, &[Some(x)]);
    let after = affine(&mut build, "after", sigmoid, &[&[2.0]], &[1.0]);
    let case = build.done(&[after]);
    let refused = Solver::new(&case.graph).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|text| text.contains("'after' reads what comes of")));
}

#[test]
fn forty_residual_blocks_take_no_longer_than_their_layers() {
    let mut build = Build::new(4);
    let mut x = numbers(&mut build, &[0.5, -1.0]);
    for block in 0..40 {
        let relu = build.node(&format!("relu{block}"), RELU, &[Some(x)]);
        x = build.node(&format!("sum{block}"), add(), &[Some(x), Some(relu)]);
    }
    let case = build.done(&[x]);
    let [here, there] = [vec![vec![0.5, -1.0]], vec![vec![1.0, -2.0]]];
    let local = Solver::new(&case.graph).unwrap().local_map(&here, &there, 1.0, 2).unwrap();
    assert_eq!((local.rows, local.largest_entry), (2, 40f64.exp2()));
}

/// Convolutions, Relu, a leaky one, a clip, a maximum pool and a residual.
fn network() -> Case {
    let mut build = Build::new(21);
    let x = build.input(&[1, 2, 8, 8]);
    let (filters, bias) = (build.constant(&[4, 2, 3, 3]), build.constant(&[4]));
    let conv = build.node("conv", three_by_three(), &[Some(x), Some(filters), Some(bias)]);
    let relu = build.node("relu", RELU, &[Some(conv)]);
    let pool = build.node("pool", halving(PoolKind::Max), &[Some(relu)]);
    let (filters, bias) = (build.constant(&[4, 4, 3, 3]), build.constant(&[4]));
    let second = build.node("second", three_by_three(), &[Some(pool), Some(filters), Some(bias)]);
    let leaky = build.node("leaky", Activate { activation: Activation::LeakyRelu { alpha: 0.2 } }, &[Some(second)]);
    let sum = build.node("sum", add(), &[Some(pool), Some(leaky)]);
    let clip = build.node("clip", Activate { activation: Activation::Clip { min: 0.0, max: 6.0 } }, &[Some(sum)]);
    build.done(&[clip])
}

/// Which piece every unit of every activation is in, and which element wins each window, at one point.
fn pattern(case: &Case, x: &[f64]) -> Vec<i8> {
    let mut pattern = Vec::new();
    let mut before: Vec<f64> = Vec::new();
    let input: Tensor<f64> = Tensor::real(&[1, 2, 8, 8], x.to_vec()).unwrap();
    let mut observe = |node: &reluctor::graph::Node, outputs: &[Tensor<f64>]| {
        let after: Vec<f64> = outputs[0].as_real()?.iter().copied().collect();
        match &node.op {
            Op::Activate(_) => {
                pattern.extend(before.iter().map(|&z| i8::from(z > 0.0) + i8::from(z > 6.0 && node.name == "clip")))
            }
            Op::Pool(_) => {
                for (unit, most) in after.iter().enumerate() {
                    let (plane, row, column) = (unit / 16, unit / 4 % 4, unit % 4);
                    let places = [0, 1, 8, 9].map(|tap| plane * 64 + row * 16 + column * 2 + tap);
                    let wins = places.iter().position(|&at| before[at] == *most).unwrap_or(0);
                    // Where all are zero after a Relu, it does not matter which wins.
                    pattern.push(if *most == 0.0 { -1 } else { wins as i8 });
                }
            }
            _ => {}
        }
        before = after;
        Ok(())
    };
    cpu::Session::<f64>::new(&case.graph).run_observed(&[("x0", &input)], &mut observe).unwrap();
    pattern
}

/// Neighbouring pieces differ in their pattern, no pattern changes within a piece, and bisection to adjacent floats ends at
/// the breakpoint that was solved for.
fn check(curve: Curve, coefficients: &[Vec<f64>]) {
    let case = network();
    let solver = Solver::new(&case.graph).unwrap();
    let regions = solver.walk(curve, &[coefficients.to_vec()], 1 << 20).unwrap();
    assert!(regions.complete && regions.pieces() > 100, "{}", regions.pieces());
    let at = |t: f64| {
        let x: Vec<f64> = (0..128).map(|i| curve.at(t, |function| coefficients[function][i])).collect();
        pattern(&case, &x)
    };
    let ends: Vec<f64> = [0.0].into_iter().chain(regions.breakpoints.iter().map(|b| b.t)).chain([1.0]).collect();
    let mut last: Option<Vec<i8>> = None;
    for pair in ends.windows(2).filter(|pair| pair[1] - pair[0] > 1e-9) {
        let inside = [0.001, 0.5, 0.999].map(|part| at(pair[0] + part * (pair[1] - pair[0])));
        assert!(inside[0] == inside[1] && inside[1] == inside[2], "a breakpoint between {pair:?} was missed");
        assert!(last.as_ref() != Some(&inside[0]), "nothing changes at {}", pair[0]);
        last = Some(inside[0].clone());
    }
    for pair in ends.windows(3).step_by(17).filter(|e| e[1] - e[0] > 1e-7 && e[2] - e[1] > 1e-7) {
        let (mut low, mut high) = (0.5 * (pair[0] + pair[1]), 0.5 * (pair[1] + pair[2]));
        let below = at(low);
        while low.next_up() < high {
            let middle = (low + 0.5 * (high - low)).clamp(low.next_up(), high.next_down());
            if at(middle) == below { low = middle } else { high = middle }
        }
        assert!((low - pair[1]).abs() < 1e-12, "bisection ends at {low}, solved {}", pair[1]);
    }
}

fn random(seed: u64) -> Vec<f64> {
    let mut random = reluctor::random::Random::new(seed);
    (0..128).map(|_| f64::from(random.real(&(-2.0..2.0)))).collect()
}

#[test]
fn every_piece_of_a_segment_is_found_and_no_other() {
    let (a, b) = (random(1), random(2));
    check(Curve::Segment, &[a.clone(), a.iter().zip(&b).map(|(a, b)| b - a).collect()]);
}

#[test]
fn every_piece_of_a_circle_is_found_and_no_other() {
    check(Curve::Circle, &[random(3), random(4), random(5)]);
}

#[test]
fn a_walk_ends_at_the_limit() {
    let solver_case = sawtooth(8);
    let solver = Solver::new(&solver_case.graph).unwrap();
    let regions = solver.walk(Curve::Segment, &[vec![vec![0.0], vec![1.0]]], 100).unwrap();
    assert!(!regions.complete && regions.breakpoints.len() > 100);
}

#[test]
fn the_local_map_is_the_network_up_to_the_regions_border_and_forward_differences_agree() {
    let case = network();
    let solver = Solver::new(&case.graph).unwrap();
    let (a, b) = (random(6), random(7));
    let along: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
    let first = solver.walk(Curve::Segment, &[vec![a.clone(), along]], 1 << 20).unwrap().breakpoints[0].t;
    let map = solver.local_map(&[a], &[b], first, 128).unwrap();
    assert_eq!((map.rows, map.columns, map.computed_columns), (64, 128, 128));
    assert!(map.verified_columns > 20 && map.forward_difference_error < 1e-13, "{map:?}");
    // A unit that bends just beyond the border may not reach the output at once.
    for prediction in map.predictions.iter().filter(|prediction| prediction.t < first) {
        assert!(prediction.error < 1e-6, "{prediction:?}, border at {first}");
    }
    assert!(map.predictions.last().unwrap().error > 0.01, "{map:?}");
}
