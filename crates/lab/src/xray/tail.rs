//! Is the network linear from here on? The rest of it after each cut, as a function of what is at the cut.

use super::affinity::{Affinity, Points};
use super::measure::{Measured, Subject};
use super::run::{Counted, Passes, Runner, Trace};
use reluctor::analysis::nonlinearity::Nonlinearity;
use reluctor::error::{Error, Result};
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::ops::{Op, Pool, PoolKind};
use reluctor::tensor::{Kind, Named, Tensor};
use serde::Serialize;
use std::collections::HashSet;

/// Cuts that are tried where there are more: each is a network of its own.
const MOST: usize = 24;

/// The rest of the network after one cut.
#[derive(Debug, Clone, Serialize)]
pub struct Tail {
    /// The layer after which the network is cut.
    pub after: String,
    /// The additivity defect of the rest, on what the first batch of pairs has there: 0 is linear from here on.
    pub additivity_defect: f64,
    /// Of the later pre-activations' units, the share that lies in one piece for one input and in another for another.
    pub mixed_share: f64,
    /// Activations and maxima still to come.
    pub to_come: usize,
}

/// Cuts a network after its activations and pools, wherever all that follows depends on one value alone.
///
/// # Errors
/// Where a part of the network cannot run.
pub fn tails(subject: &Subject<'_>, measured: &Measured, runner: &dyn Runner, passes: &Passes) -> Result<Vec<Tail>> {
    let graph = subject.graph;
    let cuts = cuts(graph);
    let cuts: Vec<usize> = cuts.iter().copied().step_by(cuts.len().div_ceil(MOST).max(1)).collect();
    let whole = Counted::load(runner, graph, passes)?;
    let (x, y) = (whole.trace(&subject.x[0])?, whole.trace(&subject.y[0])?);
    cuts.into_iter().map(|cut| tail(graph, cut, measured, [&x, &y], runner, passes)).collect()
}

fn bends(graph: &Graph, index: usize) -> bool {
    let node = &graph.nodes[index];
    Nonlinearity::of(graph, node).is_some() || matches!(node.op, Op::Pool(Pool { kind: PoolKind::Max, .. }))
}

/// Nodes that bend and after which nothing reads what was made before, but the last node of the network.
fn cuts(graph: &Graph) -> Vec<usize> {
    let is_cut = |index: usize| {
        let mut later: HashSet<ValueId> = graph.nodes[index].outputs.iter().copied().collect();
        for node in &graph.nodes[index + 1..] {
            if !depends_on(graph, node, &later) {
                return false;
            }
            later.extend(&node.outputs);
        }
        graph.outputs.iter().all(|id| later.contains(id) || graph.value(*id).constant.is_some())
    };
    (0..graph.nodes.len().saturating_sub(1)).filter(|&index| bends(graph, index) && is_cut(index)).collect()
}

fn depends_on(graph: &Graph, node: &Node, later: &HashSet<ValueId>) -> bool {
    graph.open_inputs(node).iter().all(|id| later.contains(id))
}

fn tail(
    graph: &Graph,
    cut: usize,
    measured: &Measured,
    [x, y]: [&Trace; 2],
    runner: &dyn Runner,
    passes: &Passes,
) -> Result<Tail> {
    let at = graph.nodes[cut].outputs[0];
    let mut rest = Graph { name: graph.name.clone(), values: graph.values.clone(), ..Graph::default() };
    rest.inputs = vec![at];
    rest.nodes = graph.nodes[cut + 1..].to_vec();
    rest.outputs = graph.outputs.clone();
    rest.validate()?;
    let loaded = Counted::load(runner, &rest, passes)?;
    let given = |trace: &Trace| {
        let tensor = trace[at.0].as_ref().ok_or_else(|| Error::Internal("a cut without a value".to_string()))?;
        tensor.as_real().cloned()
    };
    let (u, v) = (given(x)?, given(y)?);
    let run = |tensor: Tensor| loaded.run(&vec![(graph.value(at).name.clone(), tensor)]);
    let (sum, zero) = (run(Tensor::Real(&u + &v))?, run(Tensor::Real(&u * 0.0))?);
    let (x, y) = (run(Tensor::Real(u))?, run(Tensor::Real(v))?);
    let mut affinity = Affinity::default();
    for index in 0..sum.len() {
        let of = |outputs: &Named| -> Result<Vec<f64>> {
            Ok(outputs[index].1.as_real()?.iter().map(|&x| f64::from(x)).collect())
        };
        if sum[index].1.kind() != Kind::Real {
            continue;
        }
        let (x, y, sum, zero) = (of(&x)?, of(&y)?, of(&sum)?, of(&zero)?);
        let points = Points { x: &x[..], y: &y, sum: &sum, zero: &zero, up: &x, down: &x };
        let nothing = vec![0.0; x.len()];
        affinity.add(&points, &points.map(|_| &nothing[..]));
    }
    let later = measured.nodes.iter().zip(&measured.mixed).filter(|(node, _)| **node > cut);
    let [mixed, units] = later.fold([0, 0], |sum, (_, of)| [sum[0] + of[0], sum[1] + of[1]]);
    Ok(Tail {
        after: graph.nodes[cut].name.clone(),
        additivity_defect: affinity.additivity.defect(),
        mixed_share: if units == 0 { 0.0 } else { mixed as f64 / units as f64 },
        to_come: (cut + 1..graph.nodes.len()).filter(|&index| bends(graph, index)).count(),
    })
}
