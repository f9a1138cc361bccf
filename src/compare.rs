//! Holds what a device computed against the f64 reference, layer by layer.
//!
//! By default each layer is judged on its own: the reference gets the device's own inputs, so that a layer's verdict does not
//! depend on the layers before it, and the first bad layer is the guilty one. Cumulatively, the reference runs from the
//! network's inputs, and the bound on the error is carried along.

use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId};
use crate::tensor::{Kind, Shape, Tensor, row_major_slice};
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use std::collections::HashMap;

/// What two results are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every element is the reference's, rounded to f32.
    Identical,
    /// Every element is within the tolerance.
    WithinRounding,
    /// Some element is not: the device computed another function.
    Mismatch,
}

/// How far an element may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// By what rounding in f32 can explain: see [`crate::bound`].
    RoundingBound,
    /// By `atol + rtol * |reference|`, as numpy's `allclose`.
    AllClose {
        /// Absolute.
        atol: f64,
        /// Relative to the reference.
        rtol: f64,
    },
}

/// Where the reference's inputs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From the device: each layer is judged on its own.
    EachLayer,
    /// From the reference: errors accumulate, and so do their bounds.
    Cumulative,
}

/// How far apart two tensors are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The largest |device - reference|; infinite where a NaN or an infinity stands against a number.
    pub max_abs: f64,
    /// The largest |device - reference| / |reference| over elements that are not tiny.
    pub max_rel: f64,
    /// The largest |device - reference| / tolerance: at most 1 when all is well.
    pub bound_ratio: f64,
    /// Elements out of tolerance.
    pub mismatched: usize,
    /// All elements.
    pub total: usize,
    /// The index of the worst element.
    pub worst_index: Vec<usize>,
    /// The sum of it.
    pub verdict: Verdict,
}

/// One layer's judgement.
#[derive(Debug, Clone, Serialize)]
pub struct Layer {
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op: &'static str,
    /// The kernels that computed it.
    pub kernel: String,
    /// Its output's sizes.
    pub shape: Shape,
    /// How it differs.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Compares `device` with `reference`, each element within its own `allowed` error.
pub fn difference(device: &ArrayD<f32>, reference: &ArrayD<f64>, allowed: impl Fn(usize, f64) -> f64) -> Difference {
    let mut worst = (-1.0, 0);
    let (mut max_abs, mut max_rel, mut mismatched) = (0.0f64, 0.0f64, 0);
    let mut identical = true;
    for (index, (&device, &reference)) in device.iter().zip(reference).enumerate() {
        identical &= device.to_bits() == (reference as f32).to_bits() || device == reference as f32;
        let (error, ratio) = match distance(device, reference) {
            Some(error) => (error, ratio(error, allowed(index, reference))),
            None => (f64::INFINITY, f64::INFINITY),
        };
        max_abs = max_abs.max(error);
        if reference.abs() > f64::from(f32::MIN_POSITIVE) {
            max_rel = max_rel.max(error / reference.abs());
        }
        mismatched += usize::from(ratio > 1.0);
        if ratio > worst.0 {
            worst = (ratio, index);
        }
    }
    let verdict = match mismatched {
        0 if identical => Verdict::Identical,
        0 => Verdict::WithinRounding,
        _ => Verdict::Mismatch,
    };
    let worst_index = unravel(worst.1, reference.shape());
    let bound_ratio = f64::max(worst.0, 0.0);
    Difference { max_abs, max_rel, bound_ratio, mismatched, total: reference.len(), worst_index, verdict }
}

/// |device - reference|; nothing where one is NaN or infinite and the other is not the same. A reference beyond f32 is an
/// infinity on a device.
fn distance(device: f32, reference: f64) -> Option<f64> {
    if device.is_nan() || reference.is_nan() {
        return (device.is_nan() && reference.is_nan()).then_some(0.0);
    }
    if device.is_infinite() || (reference as f32).is_infinite() {
        return (device == reference as f32).then_some(0.0);
    }
    Some((f64::from(device) - reference).abs())
}

fn ratio(error: f64, allowed: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / allowed }
}

fn unravel(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (axis, &size) in shape.iter().enumerate().rev() {
        at[axis] = index % size.max(1);
        index /= size.max(1);
    }
    at
}

/// A tensor of the reference and how far the device's may be off.
#[derive(Debug, Clone)]
struct Known {
    value: Tensor<f64>,
    /// Zero for what the device was given; absent for what is not real.
    bound: Option<ArrayD<f64>>,
}

impl Known {
    fn exact(value: Tensor<f64>) -> Self {
        let bound = (value.kind() == Kind::Real).then(|| ArrayD::zeros(IxDyn(value.shape())));
        Known { value, bound }
    }
}

/// Judges the layers of one graph, in order, as their results come in.
pub struct Comparison<'g> {
    graph: &'g Graph,
    mode: Mode,
    tolerance: Tolerance,
    known: HashMap<ValueId, Known>,
    last_reader: HashMap<ValueId, usize>,
}

impl<'g> Comparison<'g> {
    /// Starts from the inputs that the device was given.
    pub fn new(graph: &'g Graph, inputs: &[(&str, &Tensor)], mode: Mode, tolerance: Tolerance) -> Self {
        let mut known = HashMap::new();
        for &id in &graph.inputs {
            if let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == graph.value(id).name) {
                known.insert(id, Known::exact(tensor.cast()));
            }
        }
        let mut last_reader = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for &id in node.inputs.iter().flatten() {
                last_reader.insert(id, index);
            }
        }
        Comparison { graph, mode, tolerance, known, last_reader }
    }

    /// Judges a node by what the device computed for it. Nodes must come in the graph's order, none left out.
    ///
    /// # Errors
    /// Where the reference cannot compute the node.
    pub fn layer(&mut self, index: usize, kernel: String, device: &Tensor) -> Result<Layer> {
        let node = &self.graph.nodes[index];
        let (reference, bound) = self.reference(node)?;
        let difference = self.judge(device, &reference, bound.as_ref())?;
        let layer = Layer {
            name: node.name.clone(),
            op: node.op.name(),
            kernel,
            shape: reference.shape().to_vec(),
            difference,
        };
        let output = node.outputs[0];
        let known = match self.mode {
            Mode::EachLayer => Known::exact(device.cast()),
            Mode::Cumulative => Known { value: reference, bound },
        };
        self.known.insert(output, known);
        self.known.retain(|id, _| self.last_reader.get(id).is_some_and(|&last| last > index));
        Ok(layer)
    }

    fn reference(&self, node: &Node) -> Result<(Tensor<f64>, Option<ArrayD<f64>>)> {
        let mut constants = Vec::new();
        for id in node.inputs.iter().flatten().filter(|id| !self.known.contains_key(id)) {
            let constant = self.graph.value(*id).constant.as_ref();
            let constant = constant.ok_or_else(|| Error::Internal(format!("{} was compared too early", node.name)))?;
            constants.push((*id, Known::exact(constant.cast())));
        }
        let known = |id: ValueId| {
            let constant = constants.iter().find(|(constant, _)| *constant == id).map(|(_, known)| known);
            constant.or_else(|| self.known.get(&id))
        };
        let inputs: Vec<Option<&Known>> = node.inputs.iter().map(|input| input.and_then(known)).collect();
        let values: Vec<Option<&Tensor<f64>>> = inputs.iter().map(|input| input.map(|known| &known.value)).collect();
        let errors: Vec<Option<&ArrayD<f64>>> =
            inputs.iter().map(|input| input.and_then(|known| known.bound.as_ref())).collect();
        let reference = node.op.reference(&values).map_err(|problem| problem.at(&node.name))?.remove(0);
        let bound = match reference.kind() {
            Kind::Real => Some(node.op.error_bound(&values, &errors).map_err(|problem| problem.at(&node.name))?),
            _ => None,
        };
        Ok((reference, bound))
    }

    fn judge(&self, device: &Tensor, reference: &Tensor<f64>, bound: Option<&ArrayD<f64>>) -> Result<Difference> {
        if device.tensor_type() != reference.tensor_type() {
            let (device, reference) = (device.tensor_type(), reference.tensor_type());
            return Err(Error::Internal(format!("the device made {device}, the reference {reference}")));
        }
        match (device, reference, bound) {
            (Tensor::Real(device), Tensor::Real(reference), Some(bound)) => {
                let bound = row_major_slice(bound);
                Ok(match self.tolerance {
                    Tolerance::RoundingBound => difference(device, reference, |index, _| bound[index]),
                    Tolerance::AllClose { atol, rtol } => difference(device, reference, |_, r| atol + rtol * r.abs()),
                })
            }
            // What is not real is exact.
            (device, reference, _) => {
                let equal = device.cast::<f64>() == *reference;
                let ones = ArrayD::from_elem(IxDyn(&[]), if equal { 0.0f32 } else { f32::INFINITY });
                Ok(difference(&ones, &ArrayD::zeros(IxDyn(&[])), |_, _| 0.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::array;

    fn compare(device: Vec<f32>, reference: Vec<f64>) -> Difference {
        let shape = [reference.len()];
        difference(&array(&shape, device).unwrap(), &array(&shape, reference).unwrap(), |_, _| 1e-6)
    }

    #[test]
    fn a_nan_or_an_infinity_against_a_number_is_a_mismatch() {
        assert_eq!(compare(vec![f32::NAN], vec![0.0]).verdict, Verdict::Mismatch);
        assert_eq!(compare(vec![0.0], vec![f64::NAN]).verdict, Verdict::Mismatch);
        assert_eq!(compare(vec![f32::INFINITY], vec![f64::NEG_INFINITY]).verdict, Verdict::Mismatch);
        assert_eq!(compare(vec![f32::NAN, f32::INFINITY], vec![f64::NAN, 1e300]).mismatched, 0);
    }

    #[test]
    fn the_worst_element_is_named_by_its_index() {
        let reference = array(&[2, 3], vec![0.0; 6]).unwrap();
        let device = array(&[2, 3], vec![0.0, 0.0, 0.0, 0.0, 1e-5f32, 0.0]).unwrap();
        let difference = difference(&device, &reference, |_, _| 1e-6);
        assert_eq!((difference.worst_index, difference.mismatched), (vec![1, 1], 1));
        assert!(difference.bound_ratio > 9.0);
    }

    #[test]
    fn equal_bits_are_identical_and_a_last_bit_is_not() {
        assert_eq!(compare(vec![1.0], vec![1.0]).verdict, Verdict::Identical);
        assert_eq!(compare(vec![1.000_000_1], vec![1.0]).verdict, Verdict::WithinRounding);
    }
}
