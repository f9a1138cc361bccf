//! Indices of the maxima of pools, and the way back by them.

use reluctor::cpu;
use reluctor::element::Element;
use reluctor::graph::Graph;
use reluctor::onnx::{AttributeValue, Bindings, Model, ModelBuilder};
use reluctor::ops::{Cast, MaxUnpool, Op, Pool, PoolIndices, PoolKind};
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::plan;
use reluctor::tensor::{Kind, Tensor, TensorType, array};
use reluctor_testing::build::Build;
use reluctor_testing::check::planned;
use reluctor_testing::device::{gpu, run};
use reluctor_testing::shapes::{pools, window};

/// Where the first of the largest elements in the window at a position lies in one image, by plain loops.
fn first_largest(image: &[f64], [h, w]: [usize; 2], pool: &Pool, [oy, ox]: [usize; 2]) -> [usize; 2] {
    let mut inside = Vec::new();
    for ky in 0..pool.window.kernel[0] {
        for kx in 0..pool.window.kernel[1] {
            let [y, x] = pool.window.source([oy, ox], [ky, kx]);
            if (0..h as isize).contains(&y) && (0..w as isize).contains(&x) {
                inside.push([y as usize, x as usize]);
            }
        }
    }
    let most = inside.iter().map(|&[y, x]| image[y * w + x]).fold(f64::NEG_INFINITY, f64::max);
    inside.into_iter().find(|&[y, x]| image[y * w + x] == most).unwrap()
}

/// Few different numbers, so that most windows have several largest ones.
#[test]
fn indices_name_the_first_largest_element_of_each_window() {
    for pool in pools(PoolKind::Max) {
        for shape in [[1, 3, 7, 13], [3, 2, 5, 4]] {
            let [_, _, h, w] = shape;
            let values: Vec<f64> =
                (0..shape.iter().product()).map(|at: usize| (at * at % 7 % 3) as f64 - 2.0).collect();
            let x = Tensor::Real(array(&shape, values.clone()).unwrap());
            let [_, _, out_h, out_w] = pool.output_shape(shape).map_err(|problem| problem.at("pool")).unwrap();
            for column_major in [false, true] {
                let op = Op::from(PoolIndices { pool: pool.clone(), column_major });
                let found = op.reference(&[Some(&x)]).map_err(|problem| problem.at("indices")).unwrap().remove(0);
                for (at, &index) in found.as_int().unwrap().iter().enumerate() {
                    let (plane, o) = (at / (out_h * out_w), [at / out_w % out_h, at % out_w]);
                    let [y, x] = first_largest(&values[plane * h * w..][..h * w], [h, w], &pool, o);
                    let place = if column_major { y + x * h } else { y * w + x };
                    assert_eq!(index as usize, plane * h * w + place, "{pool:?} {column_major} at {at}");
                }
            }
        }
    }
}

#[test]
fn the_first_nan_wins_on_a_device_as_on_the_cpu() {
    let mut build = Build::new(1);
    let x = build.input(&[2, 5, 6, 7]);
    let pool = Pool { kind: PoolKind::Max, window: window([2, 3], [1, 2], [1, 1], [1, 0, 0, 1]), ceil: false };
    let indices = build.node("indices", PoolIndices { pool, column_major: false }, &[Some(x)]);
    let real = build.node("real", Cast::to(Element::F32), &[Some(indices)]);
    let mut case = build.done(&[real]);
    let Tensor::Real(values) = &mut case.inputs[0].1 else { panic!("inputs hold reals") };
    values.iter_mut().skip(3).step_by(5).for_each(|x| *x = f32::NAN);
    let expected = cpu::Session::<f32>::new(&case.graph).run(&case.fed()).unwrap();
    assert_eq!(run(gpu(), &planned(&case), &case.fed()), expected);
}

/// Of windows that overlap several may name one place.
#[test]
fn the_last_of_several_elements_for_one_place_counts() {
    let values = Tensor::<f64>::Real(array(&[1, 1, 1, 3], vec![5.0, 6.0, 7.0]).unwrap());
    let indices = Tensor::Int(array(&[1, 1, 1, 3], vec![1, 1, 3]).unwrap());
    let op = Op::from(MaxUnpool { shape: vec![1, 1, 2, 2], window: None });
    let unpooled = op.reference(&[Some(&values), Some(&indices)]).map_err(|problem| problem.at("unpool")).unwrap();
    assert_eq!(unpooled[0].as_real().unwrap().iter().copied().collect::<Vec<_>>(), [0.0, 6.0, 0.0, 7.0]);
}

fn ints(values: &[i64]) -> AttributeValue {
    AttributeValue::Ints(values.to_vec())
}

/// Two pools, of 2 at a stride of 2 in each dimension, and the way back to the sizes before each.
fn there_and_back(sizes: [&[usize]; 2]) -> ModelBuilder {
    let spatial = sizes[0].len() - 2;
    let attributes = [("kernel_shape", ints(&vec![2; spatial])), ("strides", ints(&vec![2; spatial]))];
    let mut model = ModelBuilder::new(17);
    model.input("x", &TensorType::real(sizes[0].to_vec())).output("y", None);
    for (name, size) in [("outer", sizes[0]), ("inner", sizes[1])] {
        model.initializer(name, &Tensor::ints(size.iter().map(|&size| size as i64).collect()));
    }
    model.node("MaxPool", "p1", &["x"], &["a", "a_indices"], &attributes);
    model.node("MaxPool", "p2", &["a"], &["b", "b_indices"], &attributes);
    model.node("MaxUnpool", "u2", &["b", "b_indices", "inner"], &["c"], &attributes);
    model.node("MaxUnpool", "u1", &["c", "a_indices", "outer"], &["y"], &attributes);
    model
}

fn graph(model: &ModelBuilder) -> reluctor::error::Result<Graph> {
    optimize(Model::from_bytes("unpool", model.to_bytes())?.graph(&Bindings::default())?, &Fusion::all())
}

/// What is left of numbers that are all different: the largest of each 4x4, where whole 2x2 of 2x2 lie in the image.
fn largest_of_blocks(x: &[f32], [planes, h, w]: [usize; 3], [block_h, block_w]: [usize; 2]) -> Vec<f32> {
    let mut left = vec![0.0; x.len()];
    for (plane, by, bx) in
        (0..planes).flat_map(|p| (0..h / block_h).flat_map(move |y| (0..w / block_w).map(move |x| (p, y, x))))
    {
        let at = |dy, dx| (plane * h + by * block_h + dy) * w + bx * block_w + dx;
        let block = (0..block_h).flat_map(|dy| (0..block_w).map(move |dx| at(dy, dx)));
        let most = block.max_by(|&a, &b| x[a].total_cmp(&x[b])).unwrap();
        left[most] = x[most];
    }
    left
}

#[test]
fn unpooling_by_a_pool_s_own_indices_puts_its_maxima_back() {
    let images: [&[usize]; 2] = [&[2, 3, 11, 14], &[2, 3, 5, 7]];
    let lines: [&[usize]; 2] = [&[2, 3, 13], &[2, 3, 6]];
    for (sizes, [h, w], block) in [(images, [11, 14], [4, 4]), (lines, [1, 13], [1, 4])] {
        let count: usize = sizes[0].iter().product();
        let values: Vec<f32> = (0..count).map(|at| (at * 7919 % 1009) as f32 - 500.5).collect();
        let expected = Tensor::real(sizes[0], largest_of_blocks(&values, [6, h, w], block)).unwrap();
        let x = Tensor::real(sizes[0], values).unwrap();
        let graph = graph(&there_and_back(sizes)).unwrap();
        let on_cpu = cpu::Session::<f32>::new(&graph).run(&[("x", &x)]).unwrap();
        assert_eq!(on_cpu[0].1, expected, "{sizes:?}");
        let plan = plan(&graph, &gpu().limits()).unwrap();
        assert_eq!(run(gpu(), &plan, &[("x", &x)])[0].1, expected, "{sizes:?} on the device");
    }
}

#[test]
fn indices_that_count_in_another_shape_are_refused() {
    let refused = graph(&there_and_back([&[1, 1, 8, 8], &[1, 1, 4, 5]])).unwrap_err().to_string();
    assert!(refused.contains("count in [1, 1, 4, 4]"), "{refused}");
}

#[test]
fn the_indices_of_a_volume_s_maxima_are_refused() {
    let refused = graph(&there_and_back([&[1, 1, 4, 4, 4], &[1, 1, 2, 2, 2]])).unwrap_err().to_string();
    assert!(refused.contains("volume"), "{refused}");
}

/// Indices that come from outside may name any place, which only the CPU executor checks.
#[test]
fn indices_of_unknown_origin_are_the_cpu_executor_s() {
    let shape = [1, 1, 1, 2];
    let mut model = ModelBuilder::new(17);
    model.input("x", &TensorType::real(shape)).input("i", &TensorType { kind: Kind::Int, shape: shape.to_vec() });
    let attributes = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
    model.node("MaxUnpool", "n", &["x", "i"], &["y"], &attributes).output("y", None);
    let graph = graph(&model).unwrap();
    let x = Tensor::real(&shape, vec![1.0, 2.0]).unwrap();
    let run_by = |indices: [i64; 2]| {
        let indices = Tensor::Int(array(&shape, indices.to_vec()).unwrap());
        cpu::Session::<f32>::new(&graph).run(&[("x", &x), ("i", &indices)])
    };
    let expected = Tensor::real(&[1, 1, 2, 4], vec![0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0]).unwrap();
    assert_eq!(run_by([3, 5]).unwrap()[0].1, expected);
    for outside in [[0, 8], [-1, 0]] {
        let error = run_by(outside).unwrap_err().to_string();
        assert!(error.contains("outside"), "{error}");
    }
    let refused = plan(&graph, &gpu().limits()).unwrap_err().to_string();
    assert!(refused.contains("no MaxPool"), "{refused}");
}
