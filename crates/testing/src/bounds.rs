//! What each output of a graph is, in f64, and how far a device may be off, element by element.

use ndarray::ArrayD;
use reluctor::bound::Summation;
use reluctor::graph::{Graph, ValueId};
use reluctor::plan::Plan;
use reluctor::tensor::Tensor;
use std::collections::HashMap;

/// An output's exact elements and the certified bound on each element's error.
pub struct Certified {
    pub name: String,
    pub exact: ArrayD<f64>,
    pub bound: ArrayD<f64>,
}

/// Walks the graph in f64 with errors of zero at its inputs, which are exact; sums are formed as the plan says, else plainly.
pub fn certified(graph: &Graph, plan: Option<&Plan>, inputs: &[(&str, &Tensor)]) -> Vec<Certified> {
    let steps = plan.map_or(&[][..], |plan| plan.steps());
    let summations: HashMap<usize, Summation> = steps.iter().map(|step| (step.node, step.summation)).collect();
    let mut known: HashMap<ValueId, (Tensor<f64>, ArrayD<f64>)> = HashMap::new();
    for (index, value) in graph.values.iter().enumerate() {
        let given = inputs.iter().find(|(name, _)| graph.inputs.contains(&ValueId(index)) && *name == value.name);
        if let Some(tensor) = value.constant.as_deref().or(given.map(|(_, tensor)| *tensor)) {
            known.insert(ValueId(index), (tensor.cast(), ArrayD::zeros(tensor.shape())));
        }
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        let summation = summations.get(&index).copied().unwrap_or_default();
        let arguments: Vec<_> = node.inputs.iter().map(|id| id.map(|id| &known[&id])).collect();
        let values: Vec<_> = arguments.iter().map(|argument| argument.map(|(value, _)| value)).collect();
        let errors: Vec<_> = arguments.iter().map(|argument| argument.map(|(_, error)| error)).collect();
        let exact = node.op.reference(&values).map_err(|problem| problem.at(&node.name)).unwrap().remove(0);
        let bound =
            node.op.error_bound_of(summation, &values, &errors).map_err(|problem| problem.at(&node.name)).unwrap();
        known.insert(node.outputs[0], (exact, bound));
    }
    let certified = |&id: &ValueId| {
        let (exact, bound) = known[&id].clone();
        Certified { name: graph.value(id).name.clone(), exact: exact.as_real().unwrap().clone(), bound }
    };
    graph.outputs.iter().map(certified).collect()
}
