//! An operator restricted to part of its output computes that part of what the whole one does.

use ndarray::{ArrayD, Axis, Slice};
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::onnx::{Bindings, Model};
use reluctor::ops::Op;
use reluctor::passes::{Fusion, optimize};
use reluctor::tensor::{Kind, Tensor, TensorType};
use reluctor_lab::selftest::generate;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

const NETWORKS: u64 = 1000;

#[test]
fn a_part_of_an_operator_is_that_part_of_the_whole() {
    let mut tried: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    let mut pooled_rows = 0;
    for seed in 0..NETWORKS {
        let Ok(built) = generate(seed).0.build() else { continue };
        let model = Model::from_bytes("generated", built.file).unwrap();
        let graph = optimize(model.graph(&Bindings::default()).unwrap(), &Fusion::all()).unwrap();
        walk(&graph, &built.inputs, |node, inputs, whole| {
            for axis in 0..whole.ndim() {
                for range in ranges(whole.shape()[axis]) {
                    if check(node, inputs, whole, axis, &range) {
                        *tried.entry((node.op.name(), axis)).or_default() += 1;
                        let is_pooled = matches!(&node.op, Op::Conv(conv) if conv.epilogue.pool.is_some());
                        pooled_rows += usize::from(is_pooled && axis == 2);
                    }
                }
            }
        });
    }
    let often = |op, axis| tried.get(&(op, axis)).copied().unwrap_or(0);
    for (op, axis) in [("Conv", 0), ("Conv", 1), ("Conv", 2), ("ConvTranspose", 1), ("Pool", 1), ("MatMul", 1)] {
        assert!(often(op, axis) > 20, "{op} along axis {axis}: {tried:?}");
    }
    assert!(pooled_rows > 20, "{pooled_rows}");
}

/// The ends, an index in the middle, and all.
fn ranges(size: usize) -> Vec<Range<usize>> {
    if size == 0 {
        return Vec::new();
    }
    vec![0..size.div_ceil(2), size / 2..size, size / 2..size / 2 + 1, 0..size]
}

/// Whether there is such a part; if so, it must be right.
fn check(node: &Node, inputs: &[Option<&Tensor<f64>>], whole: &ArrayD<f64>, axis: usize, range: &Range<usize>) -> bool {
    let types: Vec<Option<TensorType>> = inputs.iter().map(|input| input.map(Tensor::tensor_type)).collect();
    let types: Vec<Option<&TensorType>> = types.iter().map(Option::as_ref).collect();
    let Some(restricted) = node.op.restrict(&types, axis, range) else { return false };
    assert_eq!(restricted.cuts.len(), inputs.len(), "{}", node.op);
    let parts: Vec<_> =
        inputs.iter().zip(&restricted.cuts).map(|(input, cut)| input.map(|input| cut.of(input))).collect();
    let parts: Vec<Option<&Tensor<f64>>> = parts.iter().map(Option::as_deref).collect();
    let part = restricted.op.reference(&parts).map_err(|problem| problem.at(&node.name)).unwrap().remove(0);
    let wanted = whole.slice_axis(Axis(axis), Slice::from(range.clone()));
    assert_eq!(part.shape(), wanted.shape(), "{} along axis {axis}, {range:?}", node.op);
    // Sums may be in another order.
    let close = |x: &f64, y: &f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-9 * (1.0 + y.abs());
    let differs = part.as_real().unwrap().iter().zip(wanted).find(|(x, y)| !close(x, y));
    assert!(differs.is_none(), "{} along axis {axis}, {range:?}: {differs:?}", node.op);
    true
}

/// Shows each node with its inputs and its output, where that is real.
fn walk(
    graph: &Graph,
    inputs: &[(String, Tensor)],
    mut show: impl FnMut(&Node, &[Option<&Tensor<f64>>], &ArrayD<f64>),
) {
    let mut known: HashMap<ValueId, Tensor<f64>> = HashMap::new();
    for (index, value) in graph.values.iter().enumerate() {
        let id = ValueId(index);
        let given = inputs.iter().find(|(name, _)| graph.inputs.contains(&id) && *name == value.name);
        if let Some(tensor) = value.constant.as_deref().or(given.map(|(_, tensor)| tensor)) {
            known.insert(id, tensor.cast());
        }
    }
    for node in &graph.nodes {
        let arguments: Vec<_> = node.inputs.iter().map(|input| input.map(|id| &known[&id])).collect();
        let output = node.op.reference(&arguments).map_err(|problem| problem.at(&node.name)).unwrap().remove(0);
        if output.kind() == Kind::Real {
            show(node, &arguments, output.as_real().unwrap());
        }
        known.insert(node.outputs[0], output);
    }
}
