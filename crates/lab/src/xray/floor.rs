//! The certified rounding bound of one layer at the six points at which it is tried.

use super::affinity::Points;
use ndarray::{ArrayD, Zip};
use reluctor::bound::U;
use reluctor::error::Result;
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::ops::{Activation, Binary, BinaryFunction, Inputs, Op, PoolKind, ReduceKind};
use reluctor::tensor::{Tensor, row_major};

/// Bounds for each element of a node's result, row-major, given what each open value is at each point. What the points x + y
/// and a x lost when they were rounded to f32 is carried through the layer.
///
/// # Errors
/// Where the node cannot compute its bound.
pub fn bounds(graph: &Graph, node: &Node, given: impl Fn(ValueId) -> Points<ArrayD<f64>>) -> Result<Points<Vec<f64>>> {
    let own = bounds_of(graph, node, &given)?;
    let mut bare = node.clone();
    let fused = bare.op.activation_mut().filter(|activation| **activation != Activation::Identity);
    let Some(activation) = fused else { return Ok(own) };
    // Where a fused activation is flat, its bound is zero. Whether the layer is affine is asked of its sums: an affine layer
    // may be off by what rounding makes of those.
    *activation = Activation::Identity;
    let sums = bounds_of(graph, &bare, &given)?;
    let larger = |own: &[f64], sums: &[f64]| own.iter().zip(sums).map(|(own, sum)| own.max(*sum)).collect();
    Ok(Points {
        x: larger(&own.x, &sums.x),
        y: larger(&own.y, &sums.y),
        sum: larger(&own.sum, &sums.sum),
        zero: larger(&own.zero, &sums.zero),
        up: larger(&own.up, &sums.up),
        down: larger(&own.down, &sums.down),
    })
}

fn bounds_of(graph: &Graph, node: &Node, given: &impl Fn(ValueId) -> Points<ArrayD<f64>>) -> Result<Points<Vec<f64>>> {
    let open = graph.open_inputs(node);
    let points: Vec<(ValueId, Points<ArrayD<f64>>)> = open.into_iter().map(|id| (id, given(id))).collect();
    if grows_with_magnitude(&node.op) {
        let envelopes: Vec<(ValueId, ArrayD<f64>)> = points.iter().map(|(id, at)| (*id, envelope(at))).collect();
        let errors = |id: ValueId| find(&envelopes, id).map(|largest| largest * U);
        let bound = bound(graph, node, |id| find(&envelopes, id).cloned(), errors)?;
        let all = Points { x: (), y: (), sum: (), zero: (), up: (), down: () };
        return Ok(all.map(|()| bound.clone()));
    }
    let at = |exact: bool, take: fn(&Points<ArrayD<f64>>) -> &ArrayD<f64>| {
        let rounded = |id| find(&points, id).map(|at| take(at).mapv(|x| if exact { 0.0 } else { x.abs() * U }));
        bound(graph, node, |id| find(&points, id).map(|at| take(at).clone()), rounded)
    };
    Ok(Points {
        x: at(true, |p| &p.x)?,
        y: at(true, |p| &p.y)?,
        sum: at(false, |p| &p.sum)?,
        zero: at(true, |p| &p.zero)?,
        up: at(false, |p| &p.up)?,
        down: at(false, |p| &p.down)?,
    })
}

fn find<T>(all: &[(ValueId, T)], id: ValueId) -> Option<&T> {
    all.iter().find(|(known, _)| *known == id).map(|(_, value)| value)
}

/// The largest magnitude at any point.
fn envelope(points: &Points<ArrayD<f64>>) -> ArrayD<f64> {
    let mut most = points.x.mapv(f64::abs);
    for point in points.each() {
        Zip::from(&mut most).and(point).for_each(|most, x| *most = most.max(x.abs()));
    }
    most
}

/// Whether the bound depends on magnitudes alone and grows with each: then one bound, of the largest magnitudes, holds at
/// every point.
fn grows_with_magnitude(op: &Op) -> bool {
    match op {
        Op::Conv(conv) => plain(&conv.epilogue),
        Op::ConvTranspose(conv) => plain(&conv.epilogue),
        Op::MatMul(product) => product.activation == Activation::Identity,
        Op::BatchNormalization(norm) => norm.activation == Activation::Identity,
        Op::Binary(Binary { function, activation }) => {
            *activation == Activation::Identity && matches!(function, BinaryFunction::Add | BinaryFunction::Mul)
        }
        Op::Reduce(reduce) => matches!(reduce.kind, ReduceKind::Mean | ReduceKind::Sum),
        Op::Pool(pool) => pool.kind != PoolKind::Max,
        Op::Resample(_) => true,
        _ => false,
    }
}

fn plain(epilogue: &reluctor::ops::Epilogue) -> bool {
    let pool = epilogue.pool.as_ref().is_none_or(|pool| pool.kind != PoolKind::Max);
    epilogue.activation == Activation::Identity && pool
}

fn bound(
    graph: &Graph,
    node: &Node,
    value: impl Fn(ValueId) -> Option<ArrayD<f64>>,
    error: impl Fn(ValueId) -> Option<ArrayD<f64>>,
) -> Result<Vec<f64>> {
    let constant = |id: ValueId| graph.value(id).constant.as_ref().map(|tensor| tensor.cast::<f64>());
    let inputs: Vec<Option<Tensor<f64>>> =
        node.inputs.iter().map(|id| id.and_then(|id| value(id).map(Tensor::Real).or_else(|| constant(id)))).collect();
    let none = |tensor: &Tensor<f64>| tensor.as_real().ok().map(|array| ArrayD::zeros(array.raw_dim()));
    let errors: Vec<Option<ArrayD<f64>>> = node
        .inputs
        .iter()
        .zip(&inputs)
        .map(|(id, input)| id.and_then(&error).or_else(|| input.as_ref().and_then(none)))
        .collect();
    let inputs: Vec<Option<&Tensor<f64>>> = inputs.iter().map(Option::as_ref).collect();
    let inputs: &Inputs<f64> = &inputs;
    let errors: Vec<Option<&ArrayD<f64>>> = errors.iter().map(Option::as_ref).collect();
    let bound = node.op.error_bound(inputs, &errors).map_err(|problem| problem.at(&node.name))?;
    Ok(row_major(bound))
}
