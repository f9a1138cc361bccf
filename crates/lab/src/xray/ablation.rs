//! The network with an activation left out, or a maximum replaced by a mean: how much of the answer hangs on it? And with all
//! of them left out: what remains should be an affine map.

use super::affinity::Verdict;
use super::measure::{Subject, measure};
use super::run::{Counted, Passes, Runner};
use reluctor::analysis::nonlinearity::Nonlinearity;
use reluctor::error::Result;
use reluctor::graph::{Graph, Node};
use reluctor::ops::{Activate, Activation, Op, Pool, PoolKind};
use reluctor::tensor::{Named, Tensor, row_major_slice};
use serde::Serialize;

/// What leaving out one layer did.
#[derive(Debug, Clone, Serialize)]
pub struct Ablation {
    /// The layer.
    pub layer: String,
    /// What stood in its place.
    pub replaced_by: &'static str,
    /// `|changed - original|` over `|original|`, Euclidean, over all outputs and inputs.
    pub output_change: f64,
    /// Of the inputs, the share whose largest output is another one; none where an output is no list of scores.
    pub top1_changed: Option<f64>,
}

/// What remains without any of them.
#[derive(Debug, Clone, Serialize)]
pub struct Remainder {
    /// How many layers were replaced.
    pub replaced: usize,
    /// As of one layer.
    pub output_change: f64,
    /// As of one layer.
    pub top1_changed: Option<f64>,
    /// What it is.
    pub verdict: Verdict,
    /// Of the whole of it, on the device.
    pub additivity_defect: f64,
    /// What rounding could make of that in f64.
    pub rounding_floor: f64,
}

/// What would stand in a node's place; none where it is no activation and takes no maximum.
fn replacement(graph: &Graph, node: &Node) -> Option<(Node, &'static str)> {
    let mut changed = node.clone();
    if let Op::Pool(Pool { kind: kind @ PoolKind::Max, .. }) = &mut changed.op {
        *kind = PoolKind::Average { count_include_pad: false };
        return Some((changed, "average"));
    }
    let nonlinearity = Nonlinearity::of(graph, node)?;
    changed.op = Activate { activation: Activation::Identity }.into();
    changed.inputs = vec![Some(nonlinearity.input)];
    Some((changed, "identity"))
}

/// Leaves out each activation and maximum in turn, and then all at once.
///
/// # Errors
/// Where a changed network cannot run.
pub fn ablate(
    subject: &Subject<'_>,
    runner: &dyn Runner,
    passes: &Passes,
) -> Result<(Vec<Ablation>, Option<Remainder>)> {
    let graph = subject.graph;
    let original = outputs(graph, subject.x, runner, passes)?;
    let (mut ablations, mut bare) = (Vec::new(), graph.clone());
    for (index, node) in graph.nodes.iter().enumerate() {
        let Some((changed, replaced_by)) = replacement(graph, node) else { continue };
        let mut without = graph.clone();
        without.nodes[index] = changed.clone();
        bare.nodes[index] = changed;
        let difference = Difference::between(&original, &outputs(&without, subject.x, runner, passes)?)?;
        let (output_change, top1_changed) = (difference.change(), difference.top1_changed());
        ablations.push(Ablation { layer: node.name.clone(), replaced_by, output_change, top1_changed });
    }
    if ablations.is_empty() {
        return Ok((ablations, None));
    }
    let difference = Difference::between(&original, &outputs(&bare, subject.x, runner, passes)?)?;
    let few = Subject { graph: &bare, x: &subject.x[..1], y: &subject.y[..1] };
    let measured = measure(&few, runner, passes)?;
    let chain = measured.network(&bare);
    let remainder = chain.map(|chain| Remainder {
        replaced: ablations.len(),
        output_change: difference.change(),
        top1_changed: difference.top1_changed(),
        verdict: chain.verdict,
        additivity_defect: chain.additivity_defect,
        rounding_floor: chain.rounding_floor,
    });
    Ok((ablations, remainder))
}

fn outputs(graph: &Graph, batches: &[Named], runner: &dyn Runner, passes: &Passes) -> Result<Vec<Named>> {
    let loaded = Counted::load(runner, graph, passes)?;
    batches.iter().map(|batch| loaded.run(batch)).collect()
}

#[derive(Default)]
struct Difference {
    squares: [f64; 2],
    rows: [usize; 2],
    /// Whether the first output is a list of scores for each item.
    scores: bool,
}

impl Difference {
    fn between(original: &[Named], changed: &[Named]) -> Result<Self> {
        let mut difference = Difference { scores: true, ..Difference::default() };
        for (original, changed) in original.iter().zip(changed) {
            for ((_, one), (_, other)) in original.iter().zip(changed) {
                if let (Tensor::Real(one), Tensor::Real(other)) = (one, other) {
                    for (&one, &other) in one.iter().zip(other) {
                        difference.squares[0] += (f64::from(other) - f64::from(one)).powi(2);
                        difference.squares[1] += f64::from(one).powi(2);
                    }
                }
            }
            difference.add_rows(original, changed)?;
        }
        Ok(difference)
    }

    fn add_rows(&mut self, original: &Named, changed: &Named) -> Result<()> {
        let (Some((_, Tensor::Real(one))), Some((_, Tensor::Real(other)))) = (original.first(), changed.first()) else {
            self.scores = false;
            return Ok(());
        };
        let items = one.shape().first().copied().unwrap_or(0);
        let classes = one.shape().get(1).copied().unwrap_or(0);
        if classes < 2 || items * classes != one.len() {
            self.scores = false;
            return Ok(());
        }
        let (one, other) = (row_major_slice(one), row_major_slice(other));
        for (one, other) in one.chunks(classes).zip(other.chunks(classes)) {
            self.rows[0] += usize::from(largest(one) != largest(other));
            self.rows[1] += 1;
        }
        Ok(())
    }

    fn change(&self) -> f64 {
        let [change, whole] = self.squares;
        if change == 0.0 { 0.0 } else { (change / whole).sqrt() }
    }

    fn top1_changed(&self) -> Option<f64> {
        (self.scores && self.rows[1] > 0).then(|| self.rows[0] as f64 / self.rows[1] as f64)
    }
}

fn largest(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)))
}
