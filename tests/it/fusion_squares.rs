//! Squares that are written as powers: LayerNormalization by parts is then the graph that the operator itself is read as.

use crate::fusion::{binary, fused};
use crate::fusion_patterns::{assert_alike, with_number};
use reluctor::Model;
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::onnx::{Bindings, ModelBuilder};
use reluctor::ops::*;
use reluctor::passes::{Fusion, optimize};
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::build::{Build, Case};
use reluctor_testing::check::check;

use BinaryFunction::{Add, Div, Mul};

type Square = fn(&mut Build, ValueId) -> ValueId;

/// LayerNormalization as exporters write it: the square is theirs to write.
fn layer_normalization(square: Square) -> Case {
    let mut build = Build::new(38);
    let x = build.input(&[2, 5, 7]);
    let mean = build.node("mean", Reduce { kind: ReduceKind::Mean, axes: 2..3 }, &[Some(x)]);
    let centred = binary(&mut build, "centred", BinaryFunction::Sub, x, mean);
    let squared = square(&mut build, centred);
    let variance = build.node("variance", Reduce { kind: ReduceKind::Mean, axes: 2..3 }, &[Some(squared)]);
    let sum = with_number(&mut build, "sum", Add, variance, 1e-5);
    let deviation = build.node("deviation", Unary { function: UnaryFunction::Sqrt }, &[Some(sum)]);
    let normalized = binary(&mut build, "normalized", Div, centred, deviation);
    let (scale, bias) = (build.constant(&[7]), build.constant(&[7]));
    let scaled = binary(&mut build, "scaled", Mul, normalized, scale);
    let y = binary(&mut build, "y", Add, scaled, bias);
    build.done(&[y])
}

fn power(build: &mut Build, x: ValueId, shape: &[usize], exponent: f32) -> ValueId {
    let exponent = build.constant_of(Tensor::real(shape, vec![exponent; shape.iter().product()]).unwrap());
    binary(build, "squared", BinaryFunction::Pow, x, exponent)
}

/// The operators and what each reads, as text.
fn steps(graph: &Graph) -> Vec<String> {
    let place = |id: &Option<ValueId>| graph.nodes.iter().position(|node| Some(node.outputs[0]) == *id);
    let step = |node: &Node| format!("{:?} of {:?}", node.op, node.inputs.iter().map(place).collect::<Vec<_>>());
    graph.nodes.iter().map(step).collect()
}

/// The graph that ONNX's operator LayerNormalization is read as.
fn imported_layer_normalization() -> Graph {
    let mut model = ModelBuilder::new(17);
    let vector = Tensor::real(&[7], vec![0.5; 7]).unwrap();
    model
        .input("x", &TensorType::real([2, 5, 7]))
        .initializer("scale", &vector)
        .initializer("bias", &vector)
        .node("LayerNormalization", "norm", &["x", "scale", "bias"], &["y"], &[])
        .output("y", None);
    let model = Model::from_bytes("norm", model.to_bytes()).unwrap();
    let graph = model.graph(&Bindings::default()).unwrap();
    optimize(graph, &Fusion::all()).unwrap()
}

#[test]
fn layer_normalization_by_parts_is_what_the_operator_is_made_of() {
    let operator = steps(&imported_layer_normalization());
    let squares: [(&str, Square); 3] = [
        ("a power", |b, x| power(b, x, &[], 2.0)),
        ("a power by one number of rank 1", |b, x| power(b, x, &[1], 2.0)),
        ("a product", |b, x| binary(b, "squared", Mul, x, x)),
    ];
    for (what, square) in squares {
        let case = layer_normalization(square);
        let fused = fused(&case, &Fusion::all());
        assert_eq!(steps(&fused.graph), operator, "{what}:\n{}", fused.graph);
        assert_alike(what, &case, &fused);
        check(&fused);
    }
}

#[test]
fn a_power_that_is_no_square_stays() {
    let near_misses: [(&str, Square); 4] = [
        ("a cube", |b, x| power(b, x, &[], 3.0)),
        ("a number for each place", |b, x| power(b, x, &[7], 2.0)),
        ("an exponent that widens the result", |b, x| power(b, x, &[1, 1, 1, 1], 2.0)),
        ("an exponent that is given", |b, x| {
            let exponent = b.input(&[]);
            binary(b, "squared", BinaryFunction::Pow, x, exponent)
        }),
    ];
    for (what, square) in near_misses {
        let mut build = Build::new(39);
        let x = build.input(&[2, 5, 7]);
        let y = square(&mut build, x);
        let case = build.done(&[y]);
        let fused = fused(&case, &Fusion::only(["patterns"]).unwrap());
        assert_eq!(steps(&fused.graph), steps(&case.graph), "{what}");
    }
}
