//! operator -> activation: the operator applies it before it stores.

use super::absorb::free_activation;
use super::{Change, Rewrites, epilogue, epilogue_mut, fuse_pairs};
use crate::graph::{Graph, Node};
use crate::ops::epilogue::slot;
use crate::ops::{Activate, Activation, Binary, BinaryFunction, Op};
use crate::tensor::Tensor;

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    fuse_pairs(graph, rewrites, |graph, producer, consumer| match &consumer.op {
        Op::Activate(Activate { activation }) => {
            let activation = *activation;
            let change: Change = Box::new(move |_, node| {
                if let Some(place) = node.op.activation_mut() {
                    *place = activation;
                }
            });
            Some(free_place(producer)?.map(|()| change))
        }
        Op::Binary(Binary { function: BinaryFunction::PRelu, .. }) => {
            if consumer.input(0) != Some(producer.outputs[0]) {
                return None;
            }
            let free = free_place(producer)?;
            Some(free.and_then(|()| prelu(graph, producer, consumer)))
        }
        _ => None,
    });
}

/// Whether the operator has a place for an activation, and whether it is free.
fn free_place(producer: &Node) -> Option<Result<(), String>> {
    free_activation(&mut producer.op.clone()).map(|place| place.map(|_| ()))
}

/// PRelu with one slope is LeakyRelu; with one for each channel it is a convolution's own.
fn prelu(graph: &Graph, producer: &Node, consumer: &Node) -> Result<Change, String> {
    let Some(Tensor::Real(slope)) = graph.constant_input(consumer, 1).map(AsRef::as_ref) else {
        return Err("its slope is computed while the network runs".into());
    };
    if let (1, Some(&alpha)) = (slope.len(), slope.first()) {
        return Ok(Box::new(move |_, node| {
            if let Some(place) = node.op.activation_mut() {
                *place = Activation::LeakyRelu { alpha };
            }
        }));
    }
    let channels = graph.value(producer.outputs[0]).ty.shape.get(1).copied();
    let along_channels = matches!(*slope.shape(), [c, 1, 1] | [1, c, 1, 1] if Some(c) == channels);
    if !along_channels || epilogue(&producer.op).is_none() {
        return Err("its slope is not one number for each channel of a convolution".into());
    }
    let slope: Vec<f32> = slope.iter().copied().collect();
    let name = format!("{}.slope", consumer.name);
    Ok(Box::new(move |graph, node| {
        let slope = Tensor::Real(ndarray::Array1::from(slope).into_dyn());
        node.set_input(slot::SLOPE, graph.add_constant(name, slope));
        if let Some(epilogue) = epilogue_mut(&mut node.op) {
            epilogue.activation = Activation::PRelu;
        }
    }))
}
