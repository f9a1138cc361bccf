//! The network up to each layer as one function of its inputs: how far is that from affine?
//!
//! Bounds that accumulate over layers grow faster than any defect: in f32 they say nothing after two or three convolutions.
//! The chain is therefore judged by the reference, in f64, where rounding and its accumulated bound are 2^-29 of those in
//! f32. Where even that bound exceeds f32's own unit roundoff, relative to the terms, it cannot tell linear from not, and what
//! is known of the layers decides: affine maps one after another are affine, and cones through the origin are a cone.

use super::affinity::{Affinity, DOWN, Points, UP, Verdict};
use ndarray::ArrayD;
use reluctor::bound::U;
use reluctor::error::Result;
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::tensor::{Kind, Named, Tensor, row_major_slice};
use std::collections::HashMap;

/// f64's unit roundoff as a multiple of f32's.
const FINER: f64 = 1.0 / (1u64 << 29) as f64;

/// A value, with the bound of its error where it is real.
type Bounded = (Tensor<f64>, Option<ArrayD<f64>>);

/// A value at the six points.
type Known = Points<Bounded>;

/// What is known of the network up to one node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Link {
    /// In f64.
    pub affinity: Affinity,
    /// Whether the network up to here gives zeros for zeros.
    pub through_origin: bool,
}

impl Link {
    /// Of what either saw.
    pub fn join(self, other: Link) -> Link {
        Link {
            affinity: self.affinity.join(other.affinity),
            through_origin: self.through_origin && other.through_origin,
        }
    }
}

/// Judges the network up to each node, for a batch of pairs; none at nodes whose result is not real. The errors are those of
/// f64.
///
/// # Errors
/// Where the reference cannot compute a node.
pub fn links(graph: &Graph, x: &Named, y: &Named) -> Result<Vec<Option<Link>>> {
    let mut known: HashMap<ValueId, Known> = HashMap::new();
    for &id in &graph.inputs {
        if let Some(points) = inputs(&graph.value(id).name, x, y)? {
            known.insert(id, points);
        }
    }
    let last_uses = graph.last_uses();
    let mut links = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let result = at_each_point(graph, node, &known)?;
        links.push(link(&result));
        known.insert(node.outputs[0], result);
        known.retain(|id, _| last_uses.get(id).is_some_and(|&last| last > index));
    }
    Ok(links)
}

fn inputs(name: &str, x: &Named, y: &Named) -> Result<Option<Known>> {
    let given = |named: &Named| named.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor.cast::<f64>());
    let (Some(x), Some(y)) = (given(x), given(y)) else { return Ok(None) };
    if x.kind() != Kind::Real {
        let same = || (x.clone(), None);
        return Ok(Some(Points { x: same(), y: same(), sum: same(), zero: same(), up: same(), down: same() }));
    }
    let (x, y) = (x.into_real()?, y.into_real()?);
    let exact = |array: ArrayD<f64>| {
        let errors = ArrayD::zeros(array.raw_dim());
        (Tensor::Real(array), Some(errors))
    };
    let rounded = |array: ArrayD<f64>| {
        let errors = array.mapv(|x| x.abs() * U);
        (Tensor::Real(array), Some(errors))
    };
    Ok(Some(Points {
        sum: rounded(&x + &y),
        zero: exact(ArrayD::zeros(x.raw_dim())),
        up: rounded(&x * f64::from(UP)),
        down: rounded(&x * f64::from(DOWN)),
        x: exact(x),
        y: exact(y),
    }))
}

fn at_each_point(graph: &Graph, node: &Node, known: &HashMap<ValueId, Known>) -> Result<Known> {
    // A constant is the same at every point, and exact.
    let constants: HashMap<ValueId, Bounded> = node
        .inputs
        .iter()
        .flatten()
        .filter_map(|&id| {
            let tensor = graph.value(id).constant.as_ref()?.cast::<f64>();
            let errors = tensor.as_real().ok().map(|array| ArrayD::zeros(array.raw_dim()));
            Some((id, (tensor, errors)))
        })
        .collect();
    let at = |take: fn(&Known) -> &Bounded| -> Result<_> {
        let input = |id: ValueId| known.get(&id).map(take).or_else(|| constants.get(&id));
        let inputs: Vec<_> = node.inputs.iter().map(|id| id.and_then(input)).collect();
        let values: Vec<Option<&Tensor<f64>>> = inputs.iter().map(|input| input.map(|(value, _)| value)).collect();
        let errors: Vec<Option<&ArrayD<f64>>> =
            inputs.iter().map(|input| input.and_then(|(_, e)| e.as_ref())).collect();
        let result = node.op.reference(&values).map_err(|problem| problem.at(&node.name))?.remove(0);
        let bound = (result.kind() == Kind::Real).then(|| node.op.error_bound(&values, &errors)).transpose();
        Ok((result, bound.map_err(|problem| problem.at(&node.name))?))
    };
    Ok(Points {
        x: at(|p| &p.x)?,
        y: at(|p| &p.y)?,
        sum: at(|p| &p.sum)?,
        zero: at(|p| &p.zero)?,
        up: at(|p| &p.up)?,
        down: at(|p| &p.down)?,
    })
}

fn link(result: &Known) -> Option<Link> {
    let values = result.try_map(|(value, _)| value.as_real().map(row_major_slice)).ok()?;
    let bounds = result.try_map(|(_, bound)| bound.as_ref().map(|bound| row_major_slice(bound).into_owned()).ok_or(()));
    let bounds = bounds.ok()?.map(|bound| bound.iter().map(|error| error * FINER).collect::<Vec<_>>());
    let mut affinity = Affinity::default();
    affinity.add(&values.map(|v| &v[..]), &bounds.map(|b| &b[..]));
    Some(Link { affinity, through_origin: values.zero.iter().all(|&x| x == 0.0) })
}

/// What the network up to each node is, from what its layers are and what its links show; none where a node is not real.
pub fn verdicts(graph: &Graph, layers: &[Option<Verdict>], links: &[Option<Link>]) -> Vec<Option<Verdict>> {
    let mut of_value: HashMap<ValueId, (Verdict, bool)> = HashMap::new();
    let mut verdicts = Vec::new();
    for (node, (layer, link)) in graph.nodes.iter().zip(layers.iter().zip(links)) {
        let Some(link) = link else {
            verdicts.push(None);
            continue;
        };
        // Inputs of the network are themselves; constants change nothing.
        let read: Vec<(Verdict, bool)> = graph
            .open_inputs(node)
            .iter()
            .map(|id| of_value.get(id).copied().unwrap_or((Verdict::Affine, true)))
            .collect();
        let composed = compose(layer.unwrap_or(Verdict::Nonlinear), &read);
        let verdict = composed.min(certified(&link.affinity));
        verdicts.push(Some(verdict));
        of_value.insert(node.outputs[0], (verdict, link.through_origin));
    }
    verdicts
}

fn compose(layer: Verdict, read: &[(Verdict, bool)]) -> Verdict {
    if layer == Verdict::Affine && read.iter().all(|(verdict, _)| *verdict == Verdict::Affine) {
        return Verdict::Affine;
    }
    let cone = |(verdict, through_origin): &(Verdict, bool)| *verdict != Verdict::Nonlinear && *through_origin;
    let is_cone = layer != Verdict::Nonlinear && read.iter().all(cone);
    if is_cone { Verdict::PositivelyHomogeneous } else { Verdict::Nonlinear }
}

/// What is proved linear to f32's rounding.
fn certified(affinity: &Affinity) -> Verdict {
    let holds = |tally: &super::affinity::Tally| tally.holds() && tally.floor() <= U;
    match [&affinity.additivity, &affinity.up, &affinity.down].map(holds) {
        [true, true, true] => Verdict::Affine,
        [_, true, _] => Verdict::PositivelyHomogeneous,
        _ => Verdict::Nonlinear,
    }
}
