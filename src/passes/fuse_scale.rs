//! conv or BatchNormalization -> Mul or Add of one constant for each channel: a batch normalization, as exporters that fold
//! theirs halfway leave it.

use super::{Change, epilogue, epilogue_mut, fuse_bias::per_channel, fuse_pairs};
use crate::graph::{Graph, Node};
use crate::ops::epilogue::slot;
use crate::ops::{Activation, BatchNormalization, Binary, BinaryFunction, Op};
use crate::tensor::Tensor;

/// Scale, shift, mean and variance, as BatchNormalization has them.
type Statistics = [Vec<f32>; 4];

pub(super) fn run(graph: &mut Graph) {
    fuse_pairs(graph, |graph, producer, consumer| {
        let Op::Binary(Binary { function, activation: Activation::Identity }) = consumer.op else { return None };
        let scales = match function {
            BinaryFunction::Mul => true,
            BinaryFunction::Add => false,
            _ => return None,
        };
        let result = producer.outputs[0];
        let slot = (0..2).find(|&slot| consumer.input(slot) != Some(result))?;
        let constant = graph.constant_input(consumer, slot)?;
        let ty = &graph.value(result).ty;
        if graph.value(consumer.outputs[0]).ty != *ty || ty.shape.len() != 4 {
            return None;
        }
        let constant = per_channel(constant, ty.shape[1])?;
        fused(graph, producer, scales, &constant)
    });
}

/// None where the producer is no normalization, or the addition of a constant to a plain convolution: that is a bias.
fn fused(graph: &Graph, producer: &Node, scales: bool, constant: &[f32]) -> Option<Result<Change, String>> {
    let (first, norm) = match &producer.op {
        Op::BatchNormalization(norm) if norm.activation == Activation::Identity => (1, Some(norm.clone())),
        op => {
            let epilogue = epilogue(op)?;
            let free = epilogue.activation == Activation::Identity && epilogue.pool.is_none();
            if !free
                || producer.input(slot::RESIDUAL).is_some()
                || graph.constant_input(producer, slot::WEIGHT).is_none()
            {
                return Some(Err("something else comes before it".into()));
            }
            (slot::STATISTICS, epilogue.batch_norm.clone())
        }
    };
    if norm.is_none() && !scales {
        return None;
    }
    let channels = constant.len();
    let known: Option<Statistics> = match norm {
        None => Some([1.0, 0.0, 0.0, 1.0].map(|value| vec![value; channels])),
        Some(_) => statistics(graph, producer, first),
    };
    let Some(mut statistics) = known else {
        return Some(Err("its statistics are computed while the network runs".into()));
    };
    let [scale, shift, ..] = &mut statistics;
    for (channel, &number) in constant.iter().enumerate() {
        if scales {
            scale[channel] *= number;
            shift[channel] *= number;
        } else {
            shift[channel] += number;
        }
    }
    let norm = norm.unwrap_or(BatchNormalization { epsilon: 0.0, activation: Activation::Identity });
    let name = producer.name.clone();
    Some(Ok(Box::new(move |graph, node| {
        for (at, values) in statistics.into_iter().enumerate() {
            let values = Tensor::Real(ndarray::Array1::from(values).into_dyn());
            node.set_input(first + at, graph.add_constant(format!("{name}.statistics {at}"), values));
        }
        if let Some(epilogue) = epilogue_mut(&mut node.op) {
            epilogue.batch_norm = Some(norm);
        }
    })))
}

fn statistics(graph: &Graph, node: &Node, first: usize) -> Option<Statistics> {
    let mut found = Statistics::default();
    for (at, values) in found.iter_mut().enumerate() {
        let Tensor::Real(array) = graph.constant_input(node, first + at)?.as_ref() else { return None };
        *values = array.iter().copied().collect();
    }
    Some(found)
}
