//! Convolutions that are one: two with nothing between them, or with an activation that is proved never to bend, or that was
//! only seen not to.

use super::measure::Layer;
use reluctor::analysis::interval::{Interval, intervals, is_always_identity};
use reluctor::analysis::nonlinearity::Nonlinearity;
use reluctor::graph::{Graph, Node};
use reluctor::ops::Op;
use reluctor::passes::collapse::merge;
use serde::Serialize;

/// How it is known that nothing bends between two convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// There is nothing between them.
    Nothing,
    /// Interval bounds, whatever the input.
    IntervalBounds,
    /// On the data alone: no proof.
    ObservedOnly,
}

/// Two convolutions that are one linear map.
#[derive(Debug, Clone, Serialize)]
pub struct Collapse {
    /// The first convolution.
    pub first: String,
    /// The second.
    pub second: String,
    /// The activation between them, where there is one.
    pub between: Option<String>,
    /// How that is known.
    pub proof: Proof,
    /// Whether `--fuse collapse` makes one of them.
    pub merged: bool,
    /// Why not.
    pub because: Option<String>,
    /// Arithmetic of the two and of the one, where they can be one.
    pub flops: Option<[u64; 2]>,
}

/// Every pair of convolutions with nothing between them that bends.
pub fn collapses(graph: &Graph, layers: &[Layer]) -> Vec<Collapse> {
    let known = intervals(graph, Interval::ALL);
    let producer = |node: &Node| {
        let input = node.input(0)?;
        let sole = graph.sole_consumer(input).is_ok();
        graph.nodes.iter().find(|producer| sole && producer.outputs.contains(&input))
    };
    let mut found = Vec::new();
    for second in graph.nodes.iter().filter(|node| matches!(node.op, Op::Conv(_))) {
        let Some(before) = producer(second) else { continue };
        let (first, between) = match &before.op {
            Op::Conv(_) => (before, None),
            _ if Nonlinearity::of(graph, before).is_some() => match producer(before) {
                Some(first) if matches!(first.op, Op::Conv(_)) => (first, Some(before)),
                _ => continue,
            },
            _ => continue,
        };
        let observed = |node: &Node| {
            let layer = layers.iter().find(|layer| layer.name == node.name);
            layer.is_some_and(|layer| layer.signs.always_on_share == Some(1.0) && layer.signs.is_one_map)
        };
        let proof = match between {
            None => Proof::Nothing,
            Some(node) if is_always_identity(graph, node, &known) => Proof::IntervalBounds,
            Some(node) if observed(node) => Proof::ObservedOnly,
            Some(_) => continue,
        };
        let (Op::Conv(one), Op::Conv(other)) = (&first.op, &second.op) else { continue };
        let merged = merge(graph, (first, one), (second, other));
        let because = match (&merged, proof) {
            (_, Proof::ObservedOnly) => Some("it was seen on the data, and not proved".to_string()),
            (Err(reason), _) => Some(reason.clone()),
            (Ok(_), _) => None,
        };
        found.push(Collapse {
            first: first.name.clone(),
            second: second.name.clone(),
            between: between.map(|node| node.name.clone()),
            proof,
            merged: because.is_none(),
            because,
            flops: merged.ok().map(|merged| merged.flops),
        });
    }
    found
}
