//! Normalizations over rows: as operators of ONNX, and by parts as exporters write them.

use crate::fusion::{activate, assert_same_in_f64, binary, fused};
use reluctor::Model;
use reluctor::graph::{Graph, ValueId};
use reluctor::onnx::{AttributeValue, Bindings, ModelBuilder};
use reluctor::ops::*;
use reluctor::passes::Fusion;
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::build::{Build, Case};
use reluctor_testing::check::check;
use std::ops::Range;

use BinaryFunction::{Add, Div, Mul, Sub};

/// What a formula may differ in.
#[derive(Clone)]
struct Formula {
    shape: Vec<usize>,
    axes: Range<usize>,
    axes_of_variance: Range<usize>,
    /// Whether the mean loses its dimensions, and gets them back.
    squeezed: bool,
    /// Whether `x - mean` is computed once more for the quotient.
    twice: bool,
    /// Whether the quotient is a product with a reciprocal, and the epsilon comes first in its sum.
    reciprocal: bool,
    /// What the deviation is of the variance and epsilon.
    root: UnaryFunction,
    scale: Vec<usize>,
}

impl Default for Formula {
    fn default() -> Self {
        Formula {
            shape: vec![2, 5, 8],
            axes: 2..3,
            axes_of_variance: 2..3,
            squeezed: false,
            twice: false,
            reciprocal: false,
            root: UnaryFunction::Sqrt,
            scale: vec![8],
        }
    }
}

/// The values that are read by what comes behind, too.
struct Parts {
    build: Build,
    mean: ValueId,
    centred: ValueId,
    y: ValueId,
}

impl Formula {
    fn parts(&self) -> Parts {
        let mut build = Build::new(43);
        let x = build.input(&self.shape);
        let mean = self.mean(&mut build, "mean", x, &self.axes);
        let distance = binary(&mut build, "distance", Sub, x, mean);
        let squared = binary(&mut build, "squared", Mul, distance, distance);
        let variance = self.mean(&mut build, "variance", squared, &self.axes_of_variance);
        let epsilon = build.constant_of(Tensor::real(&[], vec![1e-3]).unwrap());
        let operands = if self.reciprocal { [epsilon, variance] } else { [variance, epsilon] };
        let sum = binary(&mut build, "sum", Add, operands[0], operands[1]);
        let deviation = build.node("deviation", Unary { function: self.root }, &[Some(sum)]);
        let centred = if self.twice { binary(&mut build, "again", Sub, x, mean) } else { distance };
        let normalized = if self.reciprocal {
            let inverse = build.node("inverse", Unary { function: UnaryFunction::Reciprocal }, &[Some(deviation)]);
            binary(&mut build, "normalized", Mul, inverse, centred)
        } else {
            binary(&mut build, "normalized", Div, centred, deviation)
        };
        let (scale, bias) = (build.constant(&self.scale), build.constant(&self.scale));
        let scaled = binary(&mut build, "scaled", Mul, scale, normalized);
        let y = binary(&mut build, "y", Add, scaled, bias);
        Parts { build, mean, centred, y }
    }

    fn mean(&self, build: &mut Build, name: &str, x: ValueId, axes: &Range<usize>) -> ValueId {
        let mean = build.node(name, Reduce { kind: ReduceKind::Mean, axes: axes.clone() }, &[Some(x)]);
        if !self.squeezed {
            return mean;
        }
        let kept = build.shape(mean);
        let shape = kept.iter().copied().filter(|&size| size != 1).collect();
        let squeezed = build.node(&format!("{name} squeezed"), Reshape { shape }, &[Some(mean)]);
        build.node(&format!("{name} unsqueezed"), Reshape { shape: kept }, &[Some(squeezed)])
    }

    fn case(&self) -> Case {
        let Parts { build, y, .. } = self.parts();
        build.done(&[y])
    }
}

fn normalizations(graph: &Graph) -> usize {
    graph.nodes.iter().filter(|node| matches!(node.op, Op::Normalize(_))).count()
}

fn assert_becomes_one(what: &str, case: &Case) {
    let fused = fused(case, &Fusion::all());
    assert_eq!((fused.graph.nodes.len(), normalizations(&fused.graph)), (1, 1), "{what}:\n{}", fused.graph);
    assert_same_in_f64(what, case, &fused);
    check(&fused);
}

#[test]
fn a_formula_becomes_one_operator_with_its_scale_and_bias() {
    let base = Formula::default;
    for (what, formula) in [
        ("the last dimension", base()),
        ("a mean whose dimensions were dropped", Formula { squeezed: true, ..base() }),
        ("a distance that is computed twice", Formula { twice: true, ..base() }),
        ("a product with a reciprocal", Formula { reciprocal: true, ..base() }),
        ("one scale for all", Formula { scale: vec![], ..base() }),
        ("a scale for each row", Formula { scale: vec![5, 1], ..base() }),
        (
            "each channel of an image",
            Formula { shape: vec![2, 5, 4, 3], axes: 2..4, axes_of_variance: 2..4, scale: vec![5, 1, 1], ..base() },
        ),
        (
            "a whole image with a scale for each of its elements",
            Formula { shape: vec![2, 5, 4, 3], axes: 1..4, axes_of_variance: 1..4, scale: vec![5, 4, 3], ..base() },
        ),
    ] {
        assert_becomes_one(what, &formula.case());
    }
}

#[test]
fn an_activation_behind_a_formula_is_fused_too() {
    let Parts { mut build, y, .. } = Formula::default().parts();
    let y = activate(&mut build, "relu", y, Activation::Relu);
    assert_becomes_one("an activation", &build.done(&[y]));
}

#[test]
fn what_is_no_such_formula_stays() {
    let base = Formula::default;
    let image = Formula { shape: vec![2, 4, 4], scale: vec![], ..base() };
    for (what, formula) in [
        ("axes before the last", Formula { axes: 1..2, axes_of_variance: 1..2, ..image.clone() }),
        ("a variance along another axis", Formula { axes_of_variance: 1..2, ..image.clone() }),
        ("a logarithm", Formula { root: UnaryFunction::Exp, ..base() }),
    ] {
        let case = formula.case();
        let fused = fused(&case, &Fusion::all());
        assert_eq!(normalizations(&fused.graph), 0, "{what}:\n{}", fused.graph);
        assert_same_in_f64(what, &case, &fused);
    }
    type Read = fn(&Parts) -> ValueId;
    let read: [(&str, Read); 2] = [("the mean", |parts| parts.mean), ("the distance", |parts| parts.centred)];
    for (what, read) in read {
        let parts = base().parts();
        let outputs = [parts.y, read(&parts)];
        let case = parts.build.done(&outputs);
        let fused = fused(&case, &Fusion::all());
        assert_eq!(normalizations(&fused.graph), 0, "{what} is an output too:\n{}", fused.graph);
    }
}

#[test]
fn a_scale_that_is_computed_or_that_goes_across_stays_behind() {
    for (what, shape, given) in [("computed", vec![8], true), ("across", vec![2, 1, 8], false)] {
        let Parts { mut build, y, .. } = Formula::default().parts();
        let scale = if given { build.input(&shape) } else { build.constant(&shape) };
        let y = binary(&mut build, "more", Mul, y, scale);
        let case = build.done(&[y]);
        let fused = fused(&case, &Fusion::all());
        assert_eq!((fused.graph.nodes.len(), normalizations(&fused.graph)), (2, 1), "{what}:\n{}", fused.graph);
        assert_same_in_f64(what, &case, &fused);
        check(&fused);
    }
}

/// The graph of one operator of ONNX, by its own name, on an image of six channels; behind it a scale and a bias for each.
fn operator(op_type: &str, opset: i64, numbers: usize, attributes: &[(&str, AttributeValue)], behind: bool) -> Graph {
    let mut model = ModelBuilder::new(opset);
    let vector = |count: usize| Tensor::real(&[count], (0..count).map(|at| 0.5 + at as f32).collect()).unwrap();
    let channels = Tensor::real(&[6, 1, 1], (0..6).map(|at| 1.5 - at as f32).collect()).unwrap();
    model
        .input("x", &TensorType::real([2, 6, 4, 5]))
        .initializer("scale", &vector(numbers))
        .initializer("bias", &vector(numbers))
        .initializer("per channel", &channels)
        .node(op_type, "norm", &["x", "scale", "bias"], &[if behind { "z" } else { "y" }], attributes);
    if behind {
        model.node("Mul", "more", &["z", "per channel"], &["m"], &[]).node(
            "Add",
            "shift",
            &["m", "per channel"],
            &["y"],
            &[],
        );
    }
    model.output("y", None);
    Model::from_bytes("norm", model.to_bytes()).unwrap().graph(&Bindings::default()).unwrap()
}

#[test]
fn operators_of_onnx_are_one_step_each_under_their_own_names() {
    let groups = |count: i64| [("num_groups", AttributeValue::Int(count))];
    let axis = [("axis", AttributeValue::Int(-1))];
    for (what, graph) in [
        ("instances", operator("InstanceNormalization", 17, 6, &[], false)),
        ("groups, a scale for each", operator("GroupNormalization", 18, 3, &groups(3), false)),
        ("groups, a scale for each channel", operator("GroupNormalization", 21, 6, &groups(3), false)),
        ("layers", operator("LayerNormalization", 17, 5, &axis, false)),
        ("instances, scaled again", operator("InstanceNormalization", 17, 6, &[], true)),
        ("groups, scaled by channels behind", operator("GroupNormalization", 18, 2, &groups(2), true)),
    ] {
        let mut build = Build::new(44);
        let inputs =
            vec![("x".to_string(), build.random.tensor(reluctor_testing::random::Numbers::Reals, &[2, 6, 4, 5]))];
        let case = Case { graph, inputs };
        assert_becomes_one(what, &case);
        let fused = fused(&case, &Fusion::all());
        assert_eq!(fused.graph.nodes[0].name, "norm", "{what}");
    }
}
