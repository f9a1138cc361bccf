//! conv -> BatchNormalization: one convolution, whose filters and bias are scaled when they are packed for a device.

use super::{epilogue, epilogue_mut, fuse_pairs};
use crate::graph::Graph;
use crate::ops::epilogue::slot;
use crate::ops::{Activation, Op};

pub(super) fn run(graph: &mut Graph) {
    fuse_pairs(graph, |graph, conv, consumer| {
        let Op::BatchNormalization(norm) = &consumer.op else { return None };
        let epilogue = epilogue(&conv.op)?;
        let taken = epilogue.batch_norm.is_some() || conv.input(slot::RESIDUAL).is_some();
        if taken || epilogue.activation != Activation::Identity || epilogue.pool.is_some() {
            return Some(Err("something else comes before it".into()));
        }
        let statistics = [1, 2, 3, 4].map(|slot| consumer.input(slot));
        let all_constant = (1..5).all(|slot| graph.constant_input(consumer, slot).is_some());
        if !all_constant || graph.constant_input(conv, slot::WEIGHT).is_none() {
            return Some(Err("weights or statistics are computed while the network runs".into()));
        }
        let norm = norm.clone();
        Some(Ok(Box::new(move |_, node| {
            for (at, id) in (slot::STATISTICS..).zip(statistics.into_iter().flatten()) {
                node.set_input(at, id);
            }
            if let Some(epilogue) = epilogue_mut(&mut node.op) {
                epilogue.batch_norm = Some(norm);
            }
        })))
    });
}
