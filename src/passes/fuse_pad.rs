//! Pad -> convolution or average pool: zeros around the image are the window's own padding.

use super::Rewrites;
use crate::graph::{Graph, Node};
use crate::ops::epilogue::slot;
use crate::ops::window::{Pads, Window};
use crate::ops::{Op, Pad, PadMode, PoolKind};

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    let mut index = 0;
    while index < graph.nodes.len() {
        match fused(graph, index) {
            Some((reader, op)) => {
                if !rewrites.allow(&graph.nodes[reader].name, &graph.nodes[index].name) {
                    return;
                }
                let pad = graph.nodes.remove(index);
                let node = &mut graph.nodes[reader - 1];
                node.op = op;
                node.inputs[slot::INPUT] = pad.input(0);
                node.fused.push(pad.name);
            }
            None => index += 1,
        }
    }
}

/// What the only reader of a pad becomes without it.
fn fused(graph: &Graph, index: usize) -> Option<(usize, Op)> {
    let node = &graph.nodes[index];
    let Op::Pad(pad) = &node.op else { return None };
    let reader = graph.sole_consumer(node.outputs[0]).ok()?;
    let op = widened(&graph.nodes[reader], pad)?;
    let mut types = graph.input_types(&graph.nodes[reader]);
    *types.get_mut(slot::INPUT)? = Some(&graph.value(node.input(0)?).ty);
    // A pool's padding must be smaller than its window.
    let inferred = op.infer(&types).ok()?;
    (inferred.first() == Some(&graph.value(graph.nodes[reader].outputs[0]).ty)).then_some((reader, op))
}

fn widened(reader: &Node, pad: &Pad) -> Option<Op> {
    let Pad { mode: PadMode::Constant(0.0), begin, end } = pad else { return None };
    let size = |amount: &isize| usize::try_from(*amount).ok();
    let (&[0, 0, ref before @ ..], &[0, 0, ref after @ ..]) = (&begin[..], &end[..]) else { return None };
    let (&[top, left], &[bottom, right]) = (before, after) else { return None };
    let more = Pads { top: size(&top)?, left: size(&left)?, bottom: size(&bottom)?, right: size(&right)? };
    let wider = |window: &Window| {
        let Pads { top, left, bottom, right } = window.pads;
        let pads = Pads {
            top: top + more.top,
            left: left + more.left,
            bottom: bottom + more.bottom,
            right: right + more.right,
        };
        Window { pads, ..*window }
    };
    let mut op = reader.op.clone();
    match &mut op {
        Op::Conv(conv) if reader.inputs[1..].iter().all(|input| *input != reader.input(slot::INPUT)) => {
            conv.window = wider(&conv.window);
        }
        // The pool saw the zeros as elements, and so it counts them; its own padding it may not have counted.
        Op::Pool(pool) if matches!(pool.kind, PoolKind::Average { .. }) && !pool.ceil => {
            let counts = pool.kind == PoolKind::Average { count_include_pad: true };
            if pool.window.pads != Pads::default() && !counts {
                return None;
            }
            pool.kind = PoolKind::Average { count_include_pad: true };
            pool.window = wider(&pool.window);
        }
        _ => return None,
    }
    Some(op)
}
