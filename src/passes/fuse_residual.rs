//! conv -> Add of another tensor of the same shape: the convolution adds it before its activation.

use super::{Rewrites, epilogue, fuse_pairs};
use crate::graph::Graph;
use crate::ops::epilogue::slot;
use crate::ops::{Activation, Binary, BinaryFunction, Op};

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    fuse_pairs(graph, rewrites, |graph, conv, add| {
        let Op::Binary(Binary { function: BinaryFunction::Add, .. }) = add.op else {
            return None;
        };
        let epilogue = epilogue(&conv.op)?;
        let result = conv.outputs[0];
        let Some(other) = (0..2).filter_map(|slot| add.input(slot)).find(|&id| id != result) else {
            return Some(Err("it adds the result to itself".into()));
        };
        if graph.value(other).ty != graph.value(result).ty {
            return Some(Err("the other operand has another shape".into()));
        }
        if epilogue.activation != Activation::Identity || epilogue.pool.is_some() {
            return Some(Err("an activation or a pool comes first".into()));
        }
        if conv.input(slot::RESIDUAL).is_some() {
            return Some(Err("the convolution adds another tensor already".into()));
        }
        Some(Ok(Box::new(move |_, node| node.set_input(slot::RESIDUAL, other))))
    });
}
