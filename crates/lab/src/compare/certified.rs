//! What a whole network's outputs are in f64, and how far rounding may take each of their elements.

use super::{Wide, exact, reference};
use ndarray::ArrayD;
use reluctor::bound::Summation;
use reluctor::error::Result;
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::ops::Op;
use reluctor::plan::Plan;
use reluctor::tensor::{Kind, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;

/// An output in f64, and the certified bound on each element's error.
#[derive(Debug)]
pub struct Certified {
    /// What it is.
    pub exact: Tensor<f64>,
    /// How far each element may be off; absent for what is not real.
    pub bound: Option<ArrayD<f64>>,
}

/// The graph's outputs, from inputs that are exact, and how far any engine that computes in f32 may be off: it may find in f32 where
/// the elements of a resized axis lie, too. Sums are formed as the plan says, else plainly. Nothing is returned for an output
/// that was computed when the model was loaded, or depends on a decision that rounding may turn.
///
/// # Errors
/// Those of the operators.
pub fn certified(graph: &Graph, plan: Option<&Plan>, inputs: &[(&str, &Tensor)]) -> Result<Vec<Option<Certified>>> {
    let steps = plan.map_or(&[][..], |plan| plan.steps());
    let summations: HashMap<usize, Summation> = steps.iter().map(|step| (step.node, step.summation)).collect();
    let mut known: HashMap<ValueId, Wide<'static>> = HashMap::new();
    for &id in &graph.inputs {
        if let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == graph.value(id).name) {
            known.insert(id, exact(tensor));
        }
    }
    let last = graph.last_uses();
    for (index, node) in graph.nodes.iter().enumerate() {
        let summation = summations.get(&index).copied().unwrap_or_default();
        if let Some((value, bound)) = made(graph, node, summation, &known)? {
            known.insert(node.outputs[0], (value, bound));
        }
        known.retain(|id, _| graph.outputs.contains(id) || last.get(id).is_none_or(|&last| last > index));
    }
    let output = |(exact, bound): &Wide<'static>| Certified {
        exact: exact.as_ref().clone(),
        bound: bound.as_ref().map(|bound| bound.as_ref().clone()),
    };
    Ok(graph.outputs.iter().map(|id| known.get(id).map(output)).collect())
}

/// What a node makes of what is known; none where not all of that is, or where it decides about what may be off.
fn made(
    graph: &Graph,
    node: &Node,
    summation: Summation,
    known: &HashMap<ValueId, Wide<'static>>,
) -> Result<Option<Wide<'static>>> {
    let argument = |id: ValueId| match (known.get(&id), &graph.value(id).constant) {
        (Some((value, bound)), _) => {
            Some((Cow::Borrowed(&**value), bound.as_ref().map(|bound| Cow::Borrowed(&**bound))))
        }
        (None, Some(constant)) => Some(exact(constant)),
        (None, None) => None,
    };
    let arguments = node.inputs.iter().map(|id| id.map_or(Some(None), |id| argument(id).map(Some)));
    let Some(arguments) = arguments.collect::<Option<Vec<Option<Wide<'_>>>>>().filter(|_| node.outputs.len() == 1)
    else {
        return Ok(None);
    };
    let (value, mut bound) = reference(&node.op, summation, &node.name, &arguments)?;
    if let (Op::Resample(op), Some(bound), Some(Some((Tensor::Real(input), _)))) =
        (&node.op, &mut bound, arguments.first().map(|argument| argument.as_ref().map(|(x, error)| (&**x, error))))
    {
        *bound += op.error_of_places(input);
    }
    let is_off = |(_, bound): &Wide<'_>| bound.as_ref().is_some_and(|bound| bound.iter().any(|&error| error != 0.0));
    let decides = value.kind() != Kind::Real && arguments.iter().flatten().any(is_off);
    Ok((!decides).then_some((Cow::Owned(value), bound.map(Cow::Owned))))
}
