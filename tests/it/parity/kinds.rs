//! What holds no reals on its way: comparisons, choices, places and casts. Only their casts to reals are outputs.

use super::Limited;
use reluctor::element::Element;
use reluctor::graph::ValueId;
use reluctor::ops::logic::LOGIC_FUNCTIONS;
use reluctor::ops::{
    ArgMost, Cast, Gather, Logic, LogicFunction, MaxUnpool, PoolIndices, PoolKind, Select, TopK, Unary, UnaryFunction,
};
use reluctor::plan::Limits;
use reluctor::tensor::{Tensor, array};
use reluctor_testing::build::Build;
use reluctor_testing::shapes::pools;

pub fn cases() -> Vec<Limited> {
    [logic(), choices(), places(), maxima()].into_iter().map(|case| (case, Limits::default())).collect()
}

/// Truth values that alternate by no simple rule.
pub fn truths(shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    Tensor::Bool(array(shape, (0..count).map(|at: usize| at * at % 7 % 2 == 1).collect()).unwrap())
}

fn as_real(build: &mut Build, name: &str, value: ValueId) -> ValueId {
    build.node(&format!("{name} as a real"), Cast::to(Element::F32), &[Some(value)])
}

fn logic() -> reluctor_testing::build::Case {
    let mut build = Build::integers(21);
    let mut outputs = Vec::new();
    let shapes: [[&[usize]; 2]; 4] =
        [[&[2, 3, 7, 13], &[3, 1, 1]], [&[65], &[65]], [&[4, 1, 5], &[1, 3, 1]], [&[2, 3, 4], &[3, 1]]];
    for function in LOGIC_FUNCTIONS {
        for [a, b] in shapes {
            use LogicFunction::{And, Or, Xor};
            let [a, b] = [a, b].map(|shape| match function {
                And | Or | Xor => build.input_of(truths(shape)),
                _ => build.input(shape),
            });
            let name = format!("{function:?} {}", outputs.len());
            let found = build.node(&name, Logic { function }, &[Some(a), Some(b)]);
            outputs.push(as_real(&mut build, &name, found));
        }
    }
    build.done(&outputs)
}

fn choices() -> reluctor_testing::build::Case {
    let mut build = Build::new(22);
    let mut outputs = Vec::new();
    let shapes: [[&[usize]; 3]; 3] =
        [[&[2, 1, 7, 13], &[2, 3, 7, 13], &[1]], [&[65], &[65], &[65]], [&[3, 1], &[1, 9], &[2, 3, 9]]];
    for [condition, a, b] in shapes {
        let condition = build.input_of(truths(condition));
        let [a, b] = [a, b].map(|shape| build.input(shape));
        outputs.push(build.node(&format!("Select {}", outputs.len()), Select, &[Some(condition), Some(a), Some(b)]));
    }
    let x = build.input(&[3, 7, 5]);
    for (axis, size, indices) in [(0, 3, &[2, 0][..]), (1, 7, &[-1, 0, 3, 3, -7]), (2, 5, &[4])] {
        let constant = build.constant_of(Tensor::ints(indices.to_vec()));
        outputs.push(build.node(&format!("Gather {axis} of {size}"), Gather { axis }, &[Some(x), Some(constant)]));
    }
    let fours = build.input(&[3, 7, 4]);
    for (x, shape) in [(x, "3x7x5"), (fours, "3x7x4")] {
        // An unsigned integer of 64 bits is made of no negative one.
        let magnitude = build.node(&format!("|{shape}|"), Unary { function: UnaryFunction::Abs }, &[Some(x)]);
        let plain = [Element::Bool, Element::F16, Element::Bf16, Element::I8, Element::I64].map(|to| (Cast::to(to), x));
        let others = [(Cast::to(Element::U64), magnitude), (Cast::nearest(Element::U8), x)];
        for (op, x) in plain.into_iter().chain(others) {
            let name = format!("{op:?} {shape}");
            let cast = build.node(&name, op, &[Some(x)]);
            outputs.push(as_real(&mut build, &name, cast));
        }
    }
    build.done(&outputs)
}

fn places() -> reluctor_testing::build::Case {
    let mut build = Build::integers(23);
    let mut outputs = Vec::new();
    for (shape, axis) in [(&[2, 21, 7, 13][..], 1), (&[3, 100], 1), (&[65], 0)] {
        let x = build.input(shape);
        for (least, last) in [(false, false), (true, false), (false, true), (true, true)] {
            let name = format!("{shape:?} {axis} {least} {last}");
            let found = build.node(&name, ArgMost { axis, least, last }, &[Some(x)]);
            outputs.push(as_real(&mut build, &name, found));
        }
        for (k, least) in [(1, false), (5, true), (shape[axis].min(17), false)] {
            let name = format!("{shape:?} {axis} the first {k} {least}");
            let places = build.node(&name, TopK { axis, k, least, places: true }, &[Some(x)]);
            outputs.push(as_real(&mut build, &name, places));
            let name = format!("{name} themselves");
            outputs.push(build.node(&name, TopK { axis, k, least, places: false }, &[Some(x)]));
        }
    }
    build.done(&outputs)
}

/// Where the maxima of pools lie, and other numbers in their places: of windows that overlap several may name one.
fn maxima() -> reluctor_testing::build::Case {
    let mut build = Build::integers(24);
    let mut outputs = Vec::new();
    for (index, pool) in pools(PoolKind::Max).into_iter().enumerate() {
        let shape = [[1, 3, 7, 13], [3, 2, 5, 4]][index % 2];
        let x = build.input(&shape);
        let window = Some(pool.window);
        let [rows, columns] = [false, true].map(|column_major| {
            let name = format!("{pool:?} {column_major}");
            build.node(&name, PoolIndices { pool: pool.clone(), column_major }, &[Some(x)])
        });
        let pooled = build.shape(rows);
        let values = build.input(&pooled);
        let op = MaxUnpool { shape: shape.to_vec(), window };
        outputs.push(build.node(&format!("back from {pool:?}"), op, &[Some(values), Some(rows)]));
        outputs.extend(
            [(rows, "rows"), (columns, "columns")]
                .map(|(indices, name)| as_real(&mut build, &format!("{name} {index}"), indices)),
        );
    }
    build.done(&outputs)
}
