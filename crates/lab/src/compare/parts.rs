//! Takes a guilty step apart: which of the operators that were fused into it is wrong, or that only their fusion is.

use super::{Guilty, Layer, Verdict};
use reluctor::error::{Error, Result};
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::ops::epilogue::{Epilogue, slot};
use reluctor::ops::{Activation, Binary, BinaryFunction, Op};
use reluctor::tensor::{Tensor, row_major_slice};
use serde::Serialize;
use std::collections::BTreeSet;

/// One part of a step, and how it was judged.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// The node of the model, or the part of the epilogue.
    pub part: String,
    /// Its operator.
    pub op: &'static str,
    /// What it is to the reference.
    pub verdict: Verdict,
    /// The largest |device - reference| / tolerance.
    pub bound_ratio: f64,
}

/// Where in a step the error is.
#[derive(Debug, Clone, Serialize)]
pub struct Location {
    /// The step's node.
    pub node: String,
    /// Each operator by itself, unfused, on what the device computed for those before it.
    pub fused_parts: Vec<Part>,
    /// The step fused from the sum alone to the whole, one part of the epilogue more each time: filled where each operator
    /// by itself is right.
    pub growing: Vec<Part>,
    /// The first part that is wrong: of the operators by themselves, else of the growing step. None where the step is right
    /// when it runs alone, so that what is wrong is the company it runs in.
    pub first_wrong_part: Option<String>,
    /// Whether each operator by itself is right and only the fused kernel is wrong.
    pub only_fused: bool,
}

/// Runs a graph on the device and judges each of its nodes on its own.
pub type Judge<'a> = dyn FnMut(&Graph, &[(&str, &Tensor)]) -> Result<Vec<Layer>> + 'a;

/// Finds the part of a guilty step that is wrong, by running the step's operators one by one, and then the step itself with
/// a growing epilogue, on the tensors that the device gave it.
///
/// `fused` is the graph that ran, `unfused` the one that it was made from.
///
/// # Errors
/// Those of `judge`.
pub fn locate(unfused: &Graph, fused: &Graph, guilty: &Guilty, judge: &mut Judge<'_>) -> Result<Location> {
    let inputs: Vec<(&str, &Tensor)> = guilty.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let node = &fused.nodes[guilty.node];
    let fused_parts: Vec<Part> =
        judge(&operators(unfused, fused, guilty.node)?, &inputs)?.into_iter().map(Part::of).collect();
    let wrong = |parts: &[Part]| parts.iter().find(|part| part.verdict == Verdict::Mismatch).map(|p| p.part.clone());
    let mut location = Location {
        node: node.name.clone(),
        first_wrong_part: wrong(&fused_parts),
        fused_parts,
        growing: Vec::new(),
        only_fused: false,
    };
    if location.first_wrong_part.is_none() {
        for (part, graph) in growing(fused, node)? {
            let layer = judge(&graph, &needed(&graph, &inputs))?.pop();
            let layer = layer.ok_or_else(|| Error::Internal(format!("{} has no step of its own", node.name)))?;
            location.growing.push(Part { part: part.to_string(), ..Part::of(layer) });
        }
        location.first_wrong_part = wrong(&location.growing);
        location.only_fused = location.first_wrong_part.is_some();
    }
    Ok(location)
}

impl Part {
    fn of(layer: Layer) -> Self {
        let Layer { name, op, difference, .. } = layer;
        Part { part: name, op, verdict: difference.verdict, bound_ratio: difference.bound_ratio }
    }
}

/// The inputs that the graph has.
fn needed<'a>(graph: &Graph, inputs: &[(&'a str, &'a Tensor)]) -> Vec<(&'a str, &'a Tensor)> {
    let has = |name: &str| graph.inputs.iter().any(|&id| graph.value(id).name == name);
    inputs.iter().copied().filter(|(name, _)| has(name)).collect()
}

/// The nodes of the unfused graph that passes fused into a node of the fused one, by index and in order: those between its
/// inputs and its output. Passes append values and never renumber them, so that an id means the same in both graphs.
pub fn fused_into(unfused: &Graph, fused: &Graph, node: usize) -> Vec<usize> {
    let node = &fused.nodes[node];
    let inputs = fused.open_inputs(node);
    let mut wanted: Vec<ValueId> = node.outputs.clone();
    let mut taken = BTreeSet::new();
    while let Some(id) = wanted.pop() {
        let producer = unfused.nodes.iter().position(|node| node.outputs.contains(&id));
        let Some(producer) = producer.filter(|_| !inputs.contains(&id)) else { continue };
        if taken.insert(producer) {
            wanted.extend(unfused.open_inputs(&unfused.nodes[producer]));
        }
    }
    taken.into_iter().collect()
}

/// Those nodes as a graph of their own.
fn operators(unfused: &Graph, fused: &Graph, node: usize) -> Result<Graph> {
    let mut graph = Graph {
        name: unfused.name.clone(),
        values: unfused.values.clone(),
        inputs: fused.open_inputs(&fused.nodes[node]),
        outputs: fused.nodes[node].outputs.clone(),
        ..Graph::default()
    };
    for index in fused_into(unfused, fused, node) {
        add_with_bias_apart(&mut graph, unfused.nodes[index].clone())?;
    }
    graph.validate()?;
    Ok(graph)
}

/// Adds a node; a convolution's own bias becomes an addition after it.
fn add_with_bias_apart(graph: &mut Graph, mut node: Node) -> Result<()> {
    let bias = match (&node.op, graph.constant_input(&node, slot::BIAS)) {
        (Op::Conv(_) | Op::ConvTranspose(_), Some(bias)) => bias.as_real()?.clone(),
        _ => {
            graph.nodes.push(node);
            return Ok(());
        }
    };
    let channels = [1, bias.len(), 1, 1];
    let bias = Tensor::real(&channels, row_major_slice(&bias).into_owned())?;
    let bias = graph.add_constant(format!("{}.bias", node.name), bias);
    let ty = graph.value(node.outputs[0]).ty.clone();
    let sum = graph.add_value(format!("{}.sum", node.name), ty, None);
    let add = Binary { function: BinaryFunction::Add, activation: Activation::Identity };
    let name = format!("{}.bias", node.name);
    let outputs = std::mem::replace(&mut node.outputs, vec![sum]);
    node.inputs[slot::BIAS] = None;
    graph.nodes.push(node);
    graph.nodes.push(Node::new(name, add, vec![Some(sum), Some(bias)], outputs));
    Ok(())
}

/// The node with none of its epilogue, then with one part more each time, up to itself; each as a graph of its own, with the
/// name of the part that came last.
fn growing(fused: &Graph, node: &Node) -> Result<Vec<(&'static str, Graph)>> {
    let mut stages = Vec::new();
    let mut node = node.clone();
    loop {
        let whole = node.clone();
        let part = peel(&mut node);
        stages.push((part.unwrap_or(whole.op.name()), fused.alone(whole)?));
        if part.is_none() {
            stages.reverse();
            return Ok(stages);
        }
    }
}

/// Takes the last part of its epilogue from a node.
fn peel(node: &mut Node) -> Option<&'static str> {
    const ADDEND: usize = 2;
    let mut clear = |slots: std::ops::Range<usize>| {
        let present = slots.clone().any(|slot| node.inputs.get(slot).is_some_and(Option::is_some));
        slots.for_each(|slot| {
            if let Some(input) = node.inputs.get_mut(slot) {
                *input = None;
            }
        });
        present
    };
    if let Op::Conv(reluctor::ops::Conv { epilogue, .. })
    | Op::ConvTranspose(reluctor::ops::ConvTranspose { epilogue, .. }) = &mut node.op
    {
        let Epilogue { affine, activation, pool } = epilogue;
        return if pool.take().is_some() {
            Some("pool")
        } else if std::mem::replace(activation, Activation::Identity) != Activation::Identity {
            clear(slot::SLOPE..slot::SLOPE + 1);
            Some("activation")
        } else if clear(slot::RESIDUAL..slot::RESIDUAL + 1) {
            Some("residual")
        } else if affine.take().is_some() {
            Some("batch norm")
        } else {
            clear(slot::BIAS..slot::BIAS + 1).then_some("bias")
        };
    }
    if let Some(activation) = node.op.activation_mut()
        && std::mem::replace(activation, Activation::Identity) != Activation::Identity
    {
        return Some("activation");
    }
    if let Op::MatMul(product) = &mut node.op
        && clear(ADDEND..ADDEND + 1)
    {
        product.beta = 0.0;
        return Some("bias");
    }
    None
}
