//! conv or BatchNormalization -> Mul or Add of one constant for each channel: a batch normalization, as exporters that fold
//! theirs halfway leave it.

use super::{Change, Rewrites, epilogue, epilogue_mut, fuse_bias::per_channel, fuse_pairs};
use crate::graph::{Graph, Node};
use crate::ops::epilogue::slot;
use crate::ops::{Activation, Binary, BinaryFunction, ChannelAffine, Op};

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    fuse_pairs(graph, rewrites, |graph, producer, consumer| {
        let Op::Binary(Binary { function, .. }) = consumer.op else { return None };
        let map = match function {
            BinaryFunction::Mul => ChannelAffine::scale,
            BinaryFunction::Add => ChannelAffine::shift,
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
        fused(graph, producer, map(constant.into_iter().map(f64::from).collect::<Vec<_>>()), function)
    });
}

/// None if the producer is no normalization, or if a plain convolution takes the constant as its bias.
fn fused(
    graph: &Graph,
    producer: &Node,
    map: ChannelAffine,
    function: BinaryFunction,
) -> Option<Result<Change, String>> {
    match &producer.op {
        Op::BatchNormalization(norm) => {
            let is_normalization = norm.activation == Activation::Identity;
            is_normalization.then(|| Ok(Box::new(move |_: &mut Graph, node: &mut Node| append(node, map)) as Change))
        }
        op => {
            let epilogue = epilogue(op)?;
            if !is_free(producer) || graph.constant_input(producer, slot::WEIGHT).is_none() {
                return Some(Err("something else comes before it".into()));
            }
            let has_place = epilogue.affine.is_some() || producer.input(slot::BIAS).is_some();
            let takes = function == BinaryFunction::Mul || has_place;
            takes.then(|| Ok(Box::new(move |_: &mut Graph, node: &mut Node| append(node, map)) as Change))
        }
    }
}

/// Whether nothing but a bias and an affine map is applied to a convolution's sums.
pub(super) fn is_free(conv: &Node) -> bool {
    let residual = conv.input(slot::RESIDUAL).is_some();
    epilogue(&conv.op)
        .is_some_and(|epilogue| !residual && epilogue.activation == Activation::Identity && epilogue.pool.is_none())
}

/// Applies a map behind those that a convolution or a batch normalization applies already.
pub(super) fn append(node: &mut Node, map: ChannelAffine) {
    let place = match &mut node.op {
        Op::BatchNormalization(norm) => Some(&mut norm.after),
        op => epilogue_mut(op).map(|epilogue| &mut epilogue.affine),
    };
    if let Some(place) = place {
        *place = Some(place.as_ref().map_or_else(|| map.clone(), |before| before.then(&map)));
    }
}
