//! conv or product -> Add of a constant: the constant becomes the bias.

use super::{Change, Rewrites, epilogue, fuse_pairs};
use crate::graph::{Graph, Node};
use crate::ops::epilogue::slot;
use crate::ops::strided::broadcast;
use crate::ops::{Activation, Binary, BinaryFunction, MatMul, Op};
use crate::tensor::Tensor;

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    fuse_pairs(graph, rewrites, |graph, producer, add| {
        let Op::Binary(Binary { function: BinaryFunction::Add, .. }) = add.op else {
            return None;
        };
        let slot = (0..2).find(|&slot| add.input(slot) != Some(producer.outputs[0]))?;
        let constant = graph.constant_input(add, slot)?;
        if graph.value(add.outputs[0]).ty != graph.value(producer.outputs[0]).ty {
            return None;
        }
        match &producer.op {
            Op::MatMul(product) => Some(into_product(graph, producer, product, add, slot)),
            _ => Some(into_conv(graph, producer, epilogue(&producer.op)?, constant)),
        }
    });
}

fn into_conv(graph: &Graph, conv: &Node, epilogue: &crate::ops::Epilogue, constant: &Tensor) -> Result<Change, String> {
    let taken = conv.input(slot::BIAS).is_some() || conv.input(slot::RESIDUAL).is_some() || epilogue.affine.is_some();
    if taken || epilogue.activation != Activation::Identity || epilogue.pool.is_some() {
        return Err("the convolution has a bias already, or something else comes first".into());
    }
    let channels = graph.value(conv.outputs[0]).ty.shape[1];
    let Some(bias) = per_channel(constant, channels) else {
        return Err("the constant is not one number for each channel".into());
    };
    let name = format!("{}.bias", conv.name);
    Ok(Box::new(move |graph, node| {
        let bias = ndarray::Array1::from(bias).into_dyn();
        node.set_input(slot::BIAS, graph.add_constant(name, Tensor::Real(bias)));
    }))
}

/// One number for each channel of `[n, c, h, w]`, from a constant that has them along the channels, or one for all.
pub(super) fn per_channel(constant: &Tensor, channels: usize) -> Option<Vec<f32>> {
    let Tensor::Real(array) = constant else { return None };
    match *array.shape() {
        [c, 1, 1] | [1, c, 1, 1] if c == channels => Some(array.iter().copied().collect()),
        _ if array.len() == 1 => Some(vec![*array.first()?; channels]),
        _ => None,
    }
}

fn into_product(graph: &Graph, node: &Node, product: &MatMul, add: &Node, slot: usize) -> Result<Change, String> {
    const ADDEND: usize = 2;
    let Some(constant) = add.input(slot) else { return Err("it adds nothing".into()) };
    let [.., m, n] = graph.value(node.outputs[0]).ty.shape[..] else { return Err("it is not a matrix".into()) };
    if node.input(ADDEND).is_some() || product.activation != Activation::Identity {
        return Err("the product has an addend already".into());
    }
    if broadcast(&graph.value(constant).ty.shape, &[m, n]).as_deref() != Some(&[m, n]) {
        return Err("the constant differs from matrix to matrix".into());
    }
    Ok(Box::new(move |_, node| {
        node.set_input(ADDEND, constant);
        if let Op::MatMul(product) = &mut node.op {
            product.beta = 1.0;
        }
    }))
}
