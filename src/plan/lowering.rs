//! What an operator sees while it is lowered: its node's types, constants and buffers, and a place for its dispatches.

use super::{Buffer, BufferId, Dispatch, Limits, Output, Plan, Port, Step, View};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId};
use crate::kernels::{Kernel, Part, Variant, WORKGROUP};
use crate::ops::batch_normalization::PerChannel;
use crate::ops::epilogue::{Epilogue, slot};
use crate::ops::{OpResult, Problem, unsupported};
use crate::tensor::{Kind, Tensor, TensorType, checked_len, row_major_slice};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a device's number.
const F32: usize = 4;

/// How a kernel reads filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// One filter after another.
    Each,
    /// Four filters side by side, element by element; zeros behind the last.
    ByFour,
}

impl Packing {
    /// Filters that lie side by side.
    fn width(self) -> usize {
        match self {
            Packing::Each => 1,
            Packing::ByFour => 4,
        }
    }
}

/// Lowers one node after another. Every value has a buffer of its own here; `slots` lets them share later.
pub struct Lowering<'a> {
    graph: &'a Graph,
    limits: &'a Limits,
    buffers: Vec<Buffer>,
    views: HashMap<ValueId, View>,
    steps: Vec<Step>,
    node: Option<&'a Node>,
    dispatches: Vec<Dispatch>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(graph: &'a Graph, limits: &'a Limits) -> Self {
        let (buffers, views) = (Vec::new(), HashMap::new());
        Lowering { graph, limits, buffers, views, steps: Vec::new(), node: None, dispatches: Vec::new() }
    }

    /// Lowers the node at an index of the graph, unless its results are known without running it.
    pub(super) fn step(&mut self, index: usize) -> OpResult<()> {
        let node = &self.graph.nodes[index];
        if node.outputs.iter().all(|&id| self.graph.value(id).constant.is_some()) {
            return Ok(());
        }
        self.node = Some(node);
        node.op.lower(self)?;
        let mut outputs = Vec::new();
        for &id in &node.outputs {
            if let Some(&view) = self.views.get(&id) {
                outputs.push(self.port(id, view));
            }
        }
        let types = self.input_types();
        let output_types: Vec<TensorType> = node.outputs.iter().map(|&id| self.graph.value(id).ty.clone()).collect();
        let read: usize = types.iter().flatten().filter_map(|ty| ty.elements().ok()).sum();
        let written: usize = output_types.iter().filter_map(|ty| ty.elements().ok()).sum();
        let dispatches = std::mem::take(&mut self.dispatches);
        let bytes = if dispatches.is_empty() { 0 } else { ((read + written) * F32) as u64 };
        self.steps.push(Step {
            node: index,
            name: node.name.clone(),
            op: node.op.name(),
            fused: node.fused.clone(),
            not_fused_because: node.not_fused_because.clone(),
            dispatches,
            outputs,
            flops: node.op.flops(&types, &output_types),
            bytes,
        });
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Plan> {
        let graph = self.graph;
        let mut inputs = Vec::new();
        for &id in &graph.inputs {
            if graph.value(id).ty.kind == Kind::Real {
                let view = self.view_of(id).map_err(|problem| problem.at(&graph.value(id).name))?;
                inputs.push(self.port(id, view));
            }
        }
        let mut outputs = Vec::new();
        for &id in &graph.outputs {
            let value = graph.value(id);
            outputs.push(match &value.constant {
                Some(constant) => Output::Constant(value.name.clone(), Arc::clone(constant)),
                None => {
                    let view = self.view_of(id).map_err(|problem| problem.at(&value.name))?;
                    Output::Computed(self.port(id, view))
                }
            });
        }
        Ok(Plan { buffers: self.buffers, steps: self.steps, inputs, outputs })
    }

    fn port(&self, id: ValueId, view: View) -> Port {
        let value = self.graph.value(id);
        Port { name: value.name.clone(), value: id, ty: value.ty.clone(), view }
    }

    fn node(&self) -> &'a Node {
        self.node.expect("lowering happens inside a step")
    }

    /// The device's limits.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Kinds and shapes of the node's inputs, by slot.
    pub fn input_types(&self) -> Vec<Option<&'a TensorType>> {
        self.graph.input_types(self.node())
    }

    /// Kind and shape of an output.
    pub fn output_type(&self, slot: usize) -> &'a TensorType {
        &self.graph.value(self.node().outputs[slot]).ty
    }

    /// Whether an optional input is present.
    pub fn has_input(&self, slot: usize) -> bool {
        self.node().input(slot).is_some()
    }

    /// The content of an input that must be known before anything runs.
    pub fn constant(&self, slot: usize) -> OpResult<&'a Arc<Tensor>> {
        let constant = self.graph.constant_input(self.node(), slot);
        constant.ok_or_else(|| Problem::Unsupported(format!("input {slot} is computed while the network runs")))
    }

    /// Where an input lies on the device; a constant is uploaded as it is.
    pub fn input(&mut self, slot: usize) -> OpResult<View> {
        let id = self.node().input(slot).ok_or_else(|| Problem::Invalid(format!("input {slot} is missing")))?;
        self.view_of(id)
    }

    /// Where an output is to be written.
    pub fn output(&mut self, slot: usize) -> OpResult<View> {
        self.view_of(self.node().outputs[slot])
    }

    fn view_of(&mut self, id: ValueId) -> OpResult<View> {
        if let Some(&view) = self.views.get(&id) {
            return Ok(view);
        }
        let value = self.graph.value(id);
        if value.ty.kind != Kind::Real {
            return unsupported(format!("'{}' holds {:?}; a device computes reals only", value.name, value.ty.kind));
        }
        let contents = match &value.constant {
            Some(tensor) => Some(row_major_slice(tensor.as_real()?).into_owned()),
            None => None,
        };
        let view = self.buffer(value.name.clone(), checked_len(&value.ty.shape)?, contents)?;
        self.views.insert(id, view);
        Ok(view)
    }

    /// Uploads numbers that an operator computed from its constants.
    pub fn constant_buffer(&mut self, what: &str, data: Vec<f32>) -> OpResult<View> {
        let label = format!("{}: {what}", self.node().name);
        self.buffer(label, data.len(), Some(data))
    }

    fn buffer(&mut self, label: String, len: usize, contents: Option<Vec<f32>>) -> OpResult<View> {
        let bytes = (len * F32) as u64;
        let limit = |limit, limit_name| Error::DeviceLimit {
            tensor: crate::error::escape(&label),
            needed: bytes,
            limit,
            limit_name,
            unit: "bytes",
        };
        if bytes > self.limits.max_storage_buffer_binding_size {
            let most = self.limits.max_storage_buffer_binding_size;
            return Err(Problem::Failed(limit(most, "max_storage_buffer_binding_size")));
        }
        if bytes > self.limits.max_buffer_size {
            return Err(Problem::Failed(limit(self.limits.max_buffer_size, "max_buffer_size")));
        }
        let buffer = BufferId(self.buffers.len());
        self.buffers.push(Buffer { label, bytes, contents: contents.map(Arc::new) });
        Ok(View { buffer, offset: 0, bytes })
    }

    /// Elements of a view, as kernels count them.
    pub fn count(&self, view: View) -> u32 {
        (view.bytes / F32 as u64) as u32
    }

    /// Filters of `row` numbers each that fit one binding.
    pub fn filters_per_binding(&self, row: usize) -> usize {
        let limit = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size) as usize;
        limit / (row.max(1) * F32)
    }

    /// Ranges of output channels whose weights, `row` numbers for each, fit one binding; all but the last hold whole tiles
    /// of the packing.
    pub fn channel_ranges(&self, channels: usize, row: usize, packing: Packing) -> Vec<Range<usize>> {
        let width = packing.width();
        let most = (self.filters_per_binding(row) / width * width).max(width);
        (0..channels).step_by(most).map(|start| start..(start + most).min(channels)).collect()
    }

    /// Uploads filters, a row for each output channel, of a range of channels, with their biases and slopes behind them. A
    /// fused batch normalization scales both, in f64, rounded once.
    pub fn pack_filters(
        &mut self,
        channels: Range<usize>,
        filters: &[f32],
        epilogue: &Epilogue,
        packing: Packing,
    ) -> OpResult<View> {
        let out_c = self.output_type(0).shape[1];
        let row = filters.len() / out_c;
        let PerChannel { factor, offset } = epilogue.per_channel(&self.epilogue_constants()?, out_c)?;
        let slopes = match self.has_input(slot::SLOPE) {
            true => Some(self.constant(slot::SLOPE)?.as_real()?),
            false => None,
        };
        // Channels behind the last one are zeros.
        let within = |channel: usize| channel < channels.end;
        let width = packing.width();
        let blocks = || channels.clone().step_by(width).map(|first| first..first + width);
        let mut packed = Vec::with_capacity(channels.len().next_multiple_of(width) * (row + 2));
        for block in blocks() {
            for at in 0..row {
                let weight = |channel: usize| (f64::from(filters[channel * row + at]) * factor[channel]) as f32;
                packed.extend(block.clone().map(|channel| if within(channel) { weight(channel) } else { 0.0 }));
            }
        }
        let padded = || blocks().flatten();
        packed.extend(padded().map(|channel| if within(channel) { offset[channel] as f32 } else { 0.0 }));
        let slope = |channel: usize| slopes.filter(|_| within(channel)).map_or(0.0, |slopes| slopes[[channel]]);
        packed.extend(padded().map(slope));
        self.constant_buffer("weights, bias, slope", packed)
    }

    /// The inputs that are packed with the filters, by slot. Image, filters and residual may be computed at run time.
    fn epilogue_constants(&self) -> OpResult<Vec<Option<&'a Tensor>>> {
        let packed =
            |slot: &usize| ![slot::INPUT, slot::WEIGHT, slot::RESIDUAL].contains(slot) && self.has_input(*slot);
        (0..self.node().inputs.len())
            .map(|slot| if packed(&slot) { self.constant(slot).map(|tensor| Some(tensor.as_ref())) } else { Ok(None) })
            .collect()
    }

    /// The output is the input's buffer under another shape.
    pub fn alias(&mut self, output: usize, input: usize) -> OpResult<()> {
        let view = self.input(input)?;
        self.views.insert(self.node().outputs[output], view);
        Ok(())
    }

    /// Appends a launch with at least one invocation for each of `count` elements.
    pub fn dispatch(
        &mut self,
        kernel: &'static Kernel,
        parts: Vec<Part>,
        count: u32,
        params: impl bytemuck::Pod,
        output: View,
        inputs: &[View],
    ) -> OpResult<()> {
        self.dispatch_groups(kernel, parts, count.div_ceil(WORKGROUP), params, output, inputs)
    }

    /// Appends a launch with at least `groups` workgroups; none where there are none.
    pub fn dispatch_groups(
        &mut self,
        kernel: &'static Kernel,
        parts: Vec<Part>,
        groups: u32,
        params: impl bytemuck::Pod,
        output: View,
        inputs: &[View],
    ) -> OpResult<()> {
        if groups == 0 {
            return Ok(());
        }
        let variant = Variant { kernel, parts };
        let groups = self.fold(groups)?;
        let params = bytemuck::bytes_of(&params).to_vec();
        self.dispatches.push(Dispatch { variant, groups, params, output, inputs: inputs.to_vec() });
        Ok(())
    }

    /// A row of workgroups as a rectangle within the limit of each dimension; the kernels undo it.
    fn fold(&self, groups: u32) -> OpResult<[u32; 3]> {
        let most = self.limits.max_compute_workgroups_per_dimension;
        let rows = groups.div_ceil(most);
        if rows > most {
            return Err(Problem::Failed(Error::DeviceLimit {
                tensor: crate::error::escape(&self.node().name),
                needed: u64::from(groups),
                limit: u64::from(most) * u64::from(most),
                limit_name: "max_compute_workgroups_per_dimension squared",
                unit: "workgroups",
            }));
        }
        Ok([groups.div_ceil(rows), rows, 1])
    }
}
