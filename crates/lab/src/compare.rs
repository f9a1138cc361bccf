//! Holds what a device computed against the f64 reference, layer by layer.
//!
//! By default each layer is judged on its own: the reference gets the device's own inputs, so that a layer's verdict does not
//! depend on the layers before it, and the first bad layer is the guilty one; [`locate`] then takes it apart. Large layers are
//! judged in bands, so that no more than a part of one is ever held in f64. Cumulatively, the reference runs from the
//! network's inputs, whole layer by whole layer, and the bound on the error is carried along.

mod amplified;
mod bands;
mod certified;
mod difference;
mod histogram;
mod parts;
mod wrong_fusion;

pub use amplified::{AS_FAR_AS_F32, is_amplified_rounding};
pub use certified::{Certified, certified};
pub use difference::{Difference, Differences, Quantiles, Tolerance, Verdict, difference, tensor_difference};
pub use parts::{Judge, Location, Part, fused_into, locate};
pub use wrong_fusion::{WrongFusion, first_wrong_rewrite};

use ndarray::{ArrayD, Axis, IxDyn, Slice};
use reluctor::bound::Summation;
use reluctor::error::{Error, Result};
use reluctor::graph::{Graph, Node, ValueId};
use reluctor::ops::{Cut, Op};
use reluctor::plan::Computation;
use reluctor::tensor::{Kind, Shape, Tensor, row_major_slice};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::HashMap;

/// Where the reference's inputs come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From the device: each layer is judged on its own.
    EachLayer,
    /// From the reference: errors accumulate, and so do their bounds.
    Cumulative,
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

/// The first layer that was found to compute another function, with the device's own tensors.
#[derive(Debug, Clone)]
pub struct Guilty {
    /// The node's index in the graph that ran.
    pub node: usize,
    /// What the device gave it, by the values' names.
    pub inputs: Vec<(String, Tensor)>,
}

/// What is known of a value while layers are judged. Tensors of the device stay in f32 until a node reads them.
#[derive(Debug, Clone)]
enum Known {
    /// What the device was given or made: exact by definition.
    Device(Tensor),
    /// The reference, and how far the device's may be off; that is absent for what is not real.
    Reference(Tensor<f64>, Option<ArrayD<f64>>),
}

/// A node's input in f64, with the bound on its error.
type Wide<'a> = (Cow<'a, Tensor<f64>>, Option<Cow<'a, ArrayD<f64>>>);

fn exact(value: &Tensor) -> Wide<'static> {
    let bound = (value.kind() == Kind::Real).then(|| Cow::Owned(ArrayD::zeros(IxDyn(value.shape()))));
    (Cow::Owned(value.cast()), bound)
}

impl Known {
    fn wide(&self) -> Wide<'_> {
        match self {
            Known::Device(tensor) => exact(tensor),
            Known::Reference(value, bound) => (Cow::Borrowed(value), bound.as_ref().map(Cow::Borrowed)),
        }
    }
}

/// Judges the layers of one graph, in order, as their results come in. A value is forgotten after its last reader.
pub struct Comparison<'g> {
    graph: &'g Graph,
    mode: Mode,
    tolerance: Tolerance,
    known: HashMap<ValueId, Known>,
    last_reader: HashMap<ValueId, usize>,
    guilty: Option<Guilty>,
}

impl<'g> Comparison<'g> {
    /// Starts from the inputs that the device was given.
    pub fn new(graph: &'g Graph, inputs: &[(&str, &Tensor)], mode: Mode, tolerance: Tolerance) -> Self {
        let mut known = HashMap::new();
        for &id in &graph.inputs {
            if let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == graph.value(id).name) {
                known.insert(id, Known::Device((*tensor).clone()));
            }
        }
        let mut last_reader = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for &id in node.inputs.iter().flatten() {
                last_reader.insert(id, index);
            }
        }
        Comparison { graph, mode, tolerance, known, last_reader, guilty: None }
    }

    /// Judges a node by what the device computed for it. Nodes must come in the graph's order, none left out.
    ///
    /// # Errors
    /// Where the reference cannot compute the node.
    pub fn layer(&mut self, index: usize, computation: &Computation, device: Tensor) -> Result<Layer> {
        let summation = computation.summation;
        let node = &self.graph.nodes[index];
        let shape = device.shape().to_vec();
        let (difference, known) = match self.mode {
            Mode::EachLayer => (self.judge_in_bands(node, &device, summation)?, Known::Device(device)),
            Mode::Cumulative => {
                let (reference, bound) = self.reference(node, summation)?;
                if bound.is_none() {
                    // A comparison may come out either way where errors accumulate: what it decides is taken from the device.
                    (self.judge_whole(node, &device, &device.cast(), None)?, Known::Device(device))
                } else {
                    let difference = self.judge_whole(node, &device, &reference, bound.as_ref())?;
                    (difference, Known::Reference(reference, bound))
                }
            }
        };
        let kernel = computation.kernels.clone();
        let layer = Layer { name: node.name.clone(), op: node.op.name(), kernel, shape, difference };
        if layer.difference.verdict == Verdict::Mismatch && self.guilty.is_none() {
            self.guilty = self.evidence(index);
        }
        self.known.retain(|id, _| self.last_reader.get(id).is_some_and(|&last| last > index));
        let output = node.outputs[0];
        if self.last_reader.contains_key(&output) {
            self.known.insert(output, known);
        }
        Ok(layer)
    }

    /// The first layer that computes another function; none so far, or none to be had where errors accumulate.
    pub fn guilty(self) -> Option<Guilty> {
        self.guilty
    }

    fn evidence(&self, index: usize) -> Option<Guilty> {
        let mut inputs: Vec<(String, Tensor)> = Vec::new();
        for id in self.graph.nodes[index].inputs.iter().flatten() {
            let name = &self.graph.value(*id).name;
            match self.known.get(id) {
                _ if inputs.iter().any(|(known, _)| known == name) => {}
                Some(Known::Device(tensor)) => inputs.push((name.clone(), tensor.clone())),
                Some(Known::Reference(..)) => return None,
                None => {}
            }
        }
        Some(Guilty { node: index, inputs })
    }

    fn judge_whole(
        &self,
        node: &Node,
        device: &Tensor,
        reference: &Tensor<f64>,
        bound: Option<&ArrayD<f64>>,
    ) -> Result<Difference> {
        let elements = bound.map(row_major_slice);
        let allowed = |index: usize, _: f64| elements.as_ref().map_or(0.0, |bound| bound[index]);
        tensor_difference(device, reference, self.tolerance, allowed)
            .map_err(|error| Error::Internal(format!("{}: {error}", node.name)))
    }

    /// Against the reference of the device's own inputs, which is made and forgotten band by band.
    fn judge_in_bands(&self, node: &Node, device: &Tensor, summation: Summation) -> Result<Difference> {
        let output = &self.graph.value(node.outputs[0]).ty;
        let values = match device {
            Tensor::Real(values) if device.tensor_type() == *output => values,
            _ => {
                let (reference, bound) = self.reference(node, summation)?;
                return self.judge_whole(node, device, &reference, bound.as_ref());
            }
        };
        let inputs = node.inputs.iter().map(|input| input.map(|id| self.given(node, id)).transpose());
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let types: Vec<_> = inputs.iter().map(|input| input.map(Tensor::tensor_type)).collect();
        let types: Vec<_> = types.iter().map(Option::as_ref).collect();
        let mut differences = Differences::new(device.shape());
        for band in bands::bands(node, summation, &types, output) {
            let cut = |(input, cut): (&Option<&Tensor>, &Cut)| input.map(|input| exact(&cut.of(input)));
            let parts: Vec<_> = inputs.iter().zip(&band.cuts).map(cut).collect();
            let (reference, bound) = reference(&band.op, summation, &node.name, &parts)?;
            let bound = bound.as_ref().map(row_major_slice);
            let allowed = |index: usize, reference: f64| {
                self.tolerance.allowed(reference, || bound.as_ref().map_or(0.0, |bound| bound[index]))
            };
            let part = match &band.taken {
                Some((axis, range)) => values.slice_axis(Axis(*axis), Slice::from(range.clone())),
                None => values.view(),
            };
            differences.add(part, reference.as_real()?, &band.start(values.ndim()), allowed);
        }
        Ok(differences.finish())
    }

    /// What the device gave a node, or what the model holds.
    fn given(&self, node: &Node, id: ValueId) -> Result<&Tensor> {
        match (self.known.get(&id), &self.graph.value(id).constant) {
            (Some(Known::Device(tensor)), _) => Ok(tensor),
            (None, Some(constant)) => Ok(constant),
            _ => Err(Error::Internal(format!("{} was compared too early", node.name))),
        }
    }

    fn reference(&self, node: &Node, summation: Summation) -> Result<(Tensor<f64>, Option<ArrayD<f64>>)> {
        let wide = |id: ValueId| match (self.known.get(&id), &self.graph.value(id).constant) {
            (Some(known), _) => Ok(known.wide()),
            (None, Some(constant)) => Ok(exact(constant)),
            (None, None) => Err(Error::Internal(format!("{} was compared too early", node.name))),
        };
        let inputs = node.inputs.iter().map(|input| input.map(wide).transpose()).collect::<Result<Vec<_>>>()?;
        reference(&node.op, summation, &node.name, &inputs)
    }
}

/// What an operator makes of inputs that may be off, and how far a device may be off; the latter of reals alone.
fn reference(
    op: &Op,
    summation: Summation,
    node: &str,
    inputs: &[Option<Wide<'_>>],
) -> Result<(Tensor<f64>, Option<ArrayD<f64>>)> {
    let values: Vec<Option<&Tensor<f64>>> = inputs.iter().map(|input| input.as_ref().map(|(v, _)| &**v)).collect();
    let reference = op.reference(&values).map_err(|problem| problem.at(node))?.remove(0);
    if reference.kind() != Kind::Real {
        return Ok((reference, None));
    }
    let errors: Vec<Option<&ArrayD<f64>>> =
        inputs.iter().map(|input| input.as_ref().and_then(|(_, bound)| bound.as_deref())).collect();
    let bound = op.error_bound_of(summation, &values, &errors).map_err(|problem| problem.at(node))?;
    Ok((reference, Some(bound)))
}
