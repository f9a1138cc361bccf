//! conv -> MaxPool or AveragePool: the convolution stores only the pooled tensor.

use super::{Rewrites, epilogue, epilogue_mut, fuse_pairs};
use crate::graph::{Graph, Node};
use crate::ops::epilogue::slot;
use crate::ops::{Conv, ConvTranspose, Op, Pool, conv};
use crate::plan::Limits;

/// Where windows overlap, elements are computed once for each window they lie in. Above this many times, the arithmetic
/// costs more than the traffic that it saves; 3x3 windows at stride 2, the usual overlapping pool, take 2.25.
const MOST_RECOMPUTATION: f64 = 2.5;

pub(super) fn run(graph: &mut Graph, rewrites: &mut Rewrites) {
    fuse_pairs(graph, rewrites, |graph, conv, consumer| {
        let Op::Pool(pool) = &consumer.op else { return None };
        let epilogue = epilogue(&conv.op)?;
        if epilogue.pool.is_some() {
            return Some(Err("the convolution pools already".into()));
        }
        if let Err(reason) = worthwhile(graph, conv, pool) {
            return Some(Err(reason));
        }
        let pool = pool.clone();
        Some(Ok(Box::new(move |_, node| {
            if let Some(epilogue) = epilogue_mut(&mut node.op) {
                epilogue.pool = Some(pool);
            }
        })))
    });
}

fn worthwhile(graph: &Graph, conv: &Node, pool: &Pool) -> Result<(), String> {
    let [kernel, stride] = [pool.window.kernel, pool.window.stride];
    let times: f64 = (0..2).map(|axis| kernel[axis] as f64 / stride[axis].min(kernel[axis]) as f64).product();
    if times > MOST_RECOMPUTATION {
        return Err(format!("windows overlap: each element would be computed {times} times"));
    }
    // Sums too long for one invocation are split over dispatches, which only works on whole tensors.
    let loops = loop_iterations(graph, conv, pool);
    let most = u64::from(Limits::default().max_loop_iterations);
    if loops > most {
        return Err(format!("one pooled element would take about {loops} loop iterations; the limit is {most}"));
    }
    Ok(())
}

/// What one pooled element costs.
fn loop_iterations(graph: &Graph, node: &Node, pool: &Pool) -> u64 {
    let channels = node.input(slot::INPUT).map_or(0, |id| graph.value(id).ty.shape[1]);
    match &node.op {
        Op::Conv(Conv { window, groups, .. }) | Op::ConvTranspose(ConvTranspose { window, groups, .. }) => {
            conv::loop_iterations(window, channels / groups, Some(pool))
        }
        _ => u64::MAX,
    }
}
