//! conv -> BatchNormalization: one convolution, whose filters and bias are scaled when they are packed for a device.

use super::fuse_scale::{append, is_free};
use super::{Rewrites, epilogue, fuse_pairs};
use crate::graph::Graph;
use crate::ops::Op;
use crate::ops::epilogue::slot;

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    fuse_pairs(graph, rewrites, |graph, conv, consumer| {
        let Op::BatchNormalization(norm) = &consumer.op else { return None };
        epilogue(&conv.op)?;
        if consumer.input(0) != Some(conv.outputs[0]) {
            return None;
        }
        if !is_free(conv) {
            return Some(Err("something else comes before it".into()));
        }
        let mut statistics = vec![None];
        statistics.extend((1..5).map(|slot| graph.constant_input(consumer, slot).map(AsRef::as_ref)));
        let all_constant = statistics[1..].iter().all(Option::is_some);
        if !all_constant || graph.constant_input(conv, slot::WEIGHT).is_none() {
            return Some(Err("weights or statistics are computed while the network runs".into()));
        }
        let map = norm.map(&statistics).ok()?;
        Some(Ok(Box::new(move |_, node| append(node, map))))
    });
}
