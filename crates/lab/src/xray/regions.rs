//! The linear pieces of a network along a curve, solved layer by layer.
//!
//! On a piece every number of the network is a combination of the curve's functions, and its coefficients go through an affine
//! layer as inputs do. An activation cuts a piece where a pre-activation crosses one of its knees, a maximum pool where one
//! element of a window overtakes another. No breakpoint is searched for: each is solved in f64. The curve is walked in windows
//! small enough for memory, each one halved where it holds too many pieces.
//!
//! Pieces are those of the pattern of all units, as in Montufar, Pascanu, Cho, Bengio: On the Number of Linear Regions of Deep
//! Neural Networks, NeurIPS 2014: two neighbours may have the same slope where later layers do not look at the unit that bent.

use super::curve::Curve;
use super::role::{Role, role};
use super::solve::Window;
use rayon::prelude::*;
use reluctor::error::{Error, Result};
use reluctor::graph::{Graph, ValueId};
use reluctor::ops::Op;
use reluctor::tensor::{Kind, Tensor};
use serde::Serialize;
use std::collections::HashSet;

/// One point at which the network bends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Breakpoint {
    /// Where on the curve, from 0 to 1.
    pub t: f64,
    /// The node whose unit bends.
    #[serde(skip)]
    pub node: usize,
    /// The unit: the element's place in the node's result, row-major.
    pub unit: usize,
}

/// What a curve meets.
#[derive(Debug, Clone)]
pub struct Regions {
    /// In order; those that several units cause at once are there once.
    pub breakpoints: Vec<Breakpoint>,
    /// Whether the walk came to the curve's end.
    pub complete: bool,
    /// How far it came.
    pub reached: f64,
}

/// Where a window is split, as a part of it: nothing that people build bends just there.
const SPLIT: f64 = 0.483_615_27;

/// A window that is not split any more.
const SMALLEST: f64 = 1e-9;

/// Memory for one value on all pieces of a window, bytes.
const ROOM: usize = 48 << 20;

/// A network prepared for exact walks.
pub struct Solver<'g> {
    pub(super) graph: &'g Graph,
    pub(super) roles: Vec<Role>,
    /// What each node makes of zeros: an affine layer's constant part.
    pub(super) at_zero: Vec<Option<Vec<f64>>>,
    /// The first output, or what it is made of where only something curved comes after that.
    pub(super) target: ValueId,
}

impl<'g> Solver<'g> {
    /// Prepares a network; its inputs are one point, whatever their first dimension counts.
    ///
    /// # Errors
    /// [`Error::Usage`] with the reason where a layer that bends, or one with weights, reads what another one has curved: then the
    /// network has no linear pieces. What curves at the end (a Softmax) is left out.
    pub fn new(graph: &'g Graph) -> Result<Self> {
        let roles: Vec<Role> = graph.nodes.iter().map(|node| role(graph, node)).collect();
        let mut curved = HashSet::new();
        for (node, role) in graph.nodes.iter().zip(&roles) {
            let by = node.inputs.iter().flatten().find_map(|id| curved.get(id).map(|_| graph.value(*id).name.clone()));
            let open = !graph.open_inputs(node).is_empty();
            match (role, by) {
                (role, Some(by)) if !matches!(role, Role::Curved) && has_pieces_or_weights(role, &node.op) => {
                    let reason =
                        format!("'{}' reads what comes of '{by}', which is curved, or a maximum of no pool", node.name);
                    return Err(Error::Usage(format!("its linear pieces are not solved for: {reason}")));
                }
                (Role::Affine, Some(_)) | (Role::Curved, _) if open => curved.extend(node.outputs.iter().copied()),
                _ => {}
            }
        }
        if let Some(node) = graph.inputs.iter().map(|&id| graph.value(id)).find(|value| value.ty.kind != Kind::Real) {
            return Err(Error::Usage(format!("input '{}' holds no reals", node.name)));
        }
        let at_zero = graph.nodes.iter().map(|_| None).collect();
        let target = target(graph, &curved);
        if !curved.is_empty() && graph.inputs.contains(&target) {
            return Err(Error::Usage(
                "its linear pieces are not solved for: nothing comes before what is curved".to_string(),
            ));
        }
        let mut solver = Solver { graph, roles, at_zero, target };
        solver.at_zero = (0..graph.nodes.len()).map(|index| solver.constant_part(index)).collect::<Result<_>>()?;
        Ok(solver)
    }

    fn constant_part(&self, index: usize) -> Result<Option<Vec<f64>>> {
        let node = &self.graph.nodes[index];
        if !matches!(self.roles[index], Role::Affine) || self.graph.open_inputs(node).is_empty() {
            return Ok(None);
        }
        let zeros = |id| vec![0.0; self.graph.value(id).ty.shape.iter().product()];
        self.apply(index, &|id| Some(zeros(id))).map(Some)
    }

    /// A node's result from the values that it reads; constants are known.
    pub(super) fn apply(&self, index: usize, value: &dyn Fn(ValueId) -> Option<Vec<f64>>) -> Result<Vec<f64>> {
        let node = &self.graph.nodes[index];
        let input = |id: ValueId| -> Result<Tensor<f64>> {
            let known = self.graph.value(id);
            if let Some(constant) = &known.constant {
                return Ok(constant.cast());
            }
            let missing = || Error::Internal(format!("{} was needed too early", known.name));
            Tensor::real(&known.ty.shape, value(id).ok_or_else(missing)?)
        };
        let inputs = node.inputs.iter().map(|id| id.map(input).transpose()).collect::<Result<Vec<_>>>()?;
        let inputs: Vec<Option<&Tensor<f64>>> = inputs.iter().map(Option::as_ref).collect();
        let result = node.op.reference(&inputs).map_err(|problem| problem.at(&node.name))?.remove(0);
        Ok(reluctor::tensor::row_major(result.into_real()?))
    }

    /// The same for many points at once, where the node treats the items of a batch alike; else one after another.
    pub(super) fn apply_many<'v>(
        &self,
        index: usize,
        points: usize,
        value: &(dyn Fn(ValueId, usize) -> Option<&'v [f64]> + Sync),
    ) -> Result<Vec<Vec<f64>>> {
        let node = &self.graph.nodes[index];
        let output = &self.graph.value(node.outputs[0]).ty.shape;
        let shapes = self.graph.open_inputs(node).into_iter().map(|id| &self.graph.value(id).ty.shape);
        let is_item = shapes.chain([output]).all(|shape| shape.len() == 4 && shape[0] == 1);
        let batched = matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::BatchNormalization(_) | Op::Pool(_));
        if !is_item || !batched {
            return (0..points)
                .into_par_iter()
                .map(|point| self.apply(index, &|id| value(id, point).map(<[f64]>::to_vec)))
                .collect();
        }
        let input = |id: ValueId| -> Result<Tensor<f64>> {
            let known = self.graph.value(id);
            if let Some(constant) = &known.constant {
                return Ok(constant.cast());
            }
            let parts = (0..points).map(|point| value(id, point)).collect::<Option<Vec<_>>>();
            let missing = || Error::Internal(format!("{} was needed too early", known.name));
            let mut shape = known.ty.shape.clone();
            shape[0] = points;
            Tensor::real(&shape, parts.ok_or_else(missing)?.concat())
        };
        let inputs = node.inputs.iter().map(|id| id.map(input).transpose()).collect::<Result<Vec<_>>>()?;
        let inputs: Vec<Option<&Tensor<f64>>> = inputs.iter().map(Option::as_ref).collect();
        let result = node.op.reference(&inputs).map_err(|problem| problem.at(&node.name))?.remove(0);
        let result = reluctor::tensor::row_major(result.into_real()?);
        Ok(result.chunks(output.iter().product::<usize>().max(1)).map(<[f64]>::to_vec).collect())
    }

    /// Walks a curve whose coefficients are given for each input, in the graph's order; stops after so many breakpoints.
    ///
    /// # Errors
    /// Where a layer cannot be computed.
    pub fn walk(&self, curve: Curve, coefficients: &[Vec<Vec<f64>>], most: usize) -> Result<Regions> {
        let largest = self.graph.values.iter().filter(|value| value.constant.is_none());
        let largest = largest.map(|value| value.ty.shape.iter().product::<usize>()).max().unwrap_or(1).max(1);
        let pieces = (ROOM / (largest * curve.functions() * size_of::<f64>())).max(4);
        let mut breakpoints: Vec<Breakpoint> = Vec::new();
        let mut waiting = vec![(0.0, 1.0)];
        let mut reached = 0.0;
        while let Some((start, end)) = waiting.pop() {
            // What lies so near together is solved at once, however much it is.
            let pieces = if end - start < SMALLEST { usize::MAX } else { pieces };
            match Window::new(self, curve, (start, end), coefficients).solve(pieces)? {
                Some(mut found) => {
                    breakpoints.append(&mut found);
                    reached = end;
                    if breakpoints.len() > most {
                        return Ok(Regions { breakpoints, complete: false, reached });
                    }
                }
                None => {
                    let middle = start + SPLIT * (end - start);
                    waiting.extend([(middle, end), (start, middle)]);
                }
            }
        }
        Ok(Regions { breakpoints, complete: true, reached })
    }
}

/// Whether a layer is more than what a curve at the end of a network may go through: other places and shapes.
fn has_pieces_or_weights(role: &Role, op: &Op) -> bool {
    let is_weighted = matches!(op, Op::Conv(_) | Op::ConvTranspose(_) | Op::MatMul(_));
    matches!(role, Role::Bend(_) | Role::Largest(_)) || is_weighted
}

/// The first output, or the last value before it that nothing has curved.
fn target(graph: &Graph, curved: &HashSet<ValueId>) -> ValueId {
    let mut target = graph.outputs[0];
    while curved.contains(&target) {
        let producer = graph.nodes.iter().find(|node| node.outputs.contains(&target));
        match producer.and_then(|node| graph.open_inputs(node).first().copied()) {
            Some(before) => target = before,
            None => break,
        }
    }
    target
}

impl Regions {
    /// One more than breakpoints.
    pub fn pieces(&self) -> usize {
        self.breakpoints.len() + 1
    }
}
