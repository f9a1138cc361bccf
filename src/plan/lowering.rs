//! What an operator sees while it is lowered: its node's types, constants and buffers, and a place for its dispatches.

use super::joins::Join;
use super::layout::{self, Layout};
use super::numbers;
use super::{Buffer, BufferId, Dispatch, Limits, Output, Plan, Port, Step, View};
use crate::bound::Summation;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId};
use crate::kernels::{Kernel, Part, Variant, WORKGROUP};
use crate::ops::epilogue::{Epilogue, slot};
use crate::ops::{ChannelAffine, OpResult, Problem};
use crate::tensor::{Tensor, TensorType, checked_len};
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
    pub fn width(self) -> usize {
        match self {
            Packing::Each => 1,
            Packing::ByFour => 4,
        }
    }
}

/// A convolution's constants as a device computes with them.
pub struct Folded {
    /// `[oc, ic, ky, kx]`, or in whatever order the filters were given.
    pub weights: Vec<f32>,
    /// A number for each output channel.
    pub bias: Vec<f32>,
    /// PRelu's slope for each output channel; zeros where there is none.
    pub slope: Vec<f32>,
}

impl Folded {
    /// Appends the biases and then the slopes of a range of channels, each with zeros up to a multiple of `width`.
    pub fn append_per_channel(&self, packed: &mut Vec<f32>, channels: Range<usize>, width: usize) {
        for values in [&self.bias, &self.slope] {
            packed.extend(&values[channels.clone()]);
            packed.resize(packed.len() + channels.len().next_multiple_of(width) - channels.len(), 0.0);
        }
    }
}

/// Lowers one node after another. Every value has a buffer of its own here; `slots` lets them share later.
pub struct Lowering<'a> {
    graph: &'a Graph,
    limits: &'a Limits,
    buffers: Vec<Buffer>,
    views: HashMap<(ValueId, Layout), View>,
    /// The layout in which a value is written first: by the caller, or by its own step. The other one is a copy.
    first: HashMap<ValueId, Layout>,
    steps: Vec<Step>,
    joins: Vec<Join>,
    node: Option<&'a Node>,
    dispatches: Vec<Dispatch>,
    /// Why this step's kernel was chosen.
    because: Option<String>,
    /// How this step forms its sums.
    summation: Summation,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(graph: &'a Graph, limits: &'a Limits) -> Self {
        let (buffers, views, first) = (Vec::new(), HashMap::new(), HashMap::new());
        Lowering {
            graph,
            limits,
            buffers,
            views,
            first,
            steps: Vec::new(),
            joins: Vec::new(),
            node: None,
            dispatches: Vec::new(),
            because: None,
            summation: Summation::default(),
        }
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
            outputs.extend(self.port(id));
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
            chosen_because: self.because.take(),
            summation: std::mem::take(&mut self.summation),
            dispatches,
            outputs,
            flops: node.op.flops(&types, &output_types),
            bytes,
        });
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(Plan, Vec<Join>)> {
        let graph = self.graph;
        // An input lies as its first reader wants it; nobody read these.
        for &id in &graph.inputs {
            if self.port(id).is_none() {
                self.new_view(id, Layout::Plain).map_err(|problem| problem.at(&graph.value(id).name))?;
            }
        }
        let inputs = graph.inputs.iter().filter_map(|&id| self.port(id)).collect();
        let mut outputs = Vec::new();
        for &id in &graph.outputs {
            let value = graph.value(id);
            outputs.push(match (&value.constant, self.port(id)) {
                (Some(constant), _) => Output::Constant(value.name.clone(), Arc::clone(constant)),
                (None, Some(port)) => Output::Computed(port),
                (None, None) => return Err(Error::Internal(format!("nothing computes output '{}'", value.name))),
            });
        }
        Ok((
            Plan { buffers: self.buffers, steps: self.steps, inputs, outputs, live_bytes: 0, is_trusted: true },
            self.joins,
        ))
    }

    /// Where a value lies first.
    fn port(&self, id: ValueId) -> Option<Port> {
        let value = self.graph.value(id);
        let &layout = self.first.get(&id)?;
        let &view = self.views.get(&(id, layout))?;
        Some(Port { name: value.name.clone(), value: id, ty: value.ty.clone(), view, layout })
    }

    fn node(&self) -> &'a Node {
        self.node.expect("lowering happens inside a step")
    }

    /// The device's limits.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Says how the step forms its sums, where not plainly.
    pub fn sums_by(&mut self, summation: Summation) {
        self.summation = summation;
    }

    /// Says why the step's kernel was chosen.
    pub fn explain(&mut self, because: String) {
        self.because = Some(because);
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

    /// Where an input lies row-major; a constant is uploaded as it is.
    pub fn input(&mut self, slot: usize) -> OpResult<View> {
        self.input_as(slot, Layout::Plain)
    }

    /// Where an input lies in this layout: it is copied there first where it lies in the other one only.
    pub fn input_as(&mut self, slot: usize, layout: Layout) -> OpResult<View> {
        let id = self.node().input(slot).ok_or_else(|| Problem::Invalid(format!("input {slot} is missing")))?;
        self.view_of(id, layout)
    }

    /// Whether an input lies by four already, so that an operator that can take it so should.
    pub fn lies_by_four(&self, slot: usize) -> bool {
        self.node().input(slot).is_some_and(|id| self.views.contains_key(&(id, Layout::ByFour)))
    }

    /// Where an output is to be written row-major.
    pub fn output(&mut self, slot: usize) -> OpResult<View> {
        self.output_as(slot, Layout::Plain)
    }

    /// Where an output is to be written in this layout.
    pub fn output_as(&mut self, slot: usize, layout: Layout) -> OpResult<View> {
        let id = self.node().outputs[slot];
        match self.views.get(&(id, layout)) {
            Some(&view) => Ok(view),
            None => self.new_view(id, layout),
        }
    }

    fn view_of(&mut self, id: ValueId, layout: Layout) -> OpResult<View> {
        if let Some(&view) = self.views.get(&(id, layout)) {
            return Ok(view);
        }
        let other = if layout == Layout::Plain { Layout::ByFour } else { Layout::Plain };
        let shape = &self.graph.value(id).ty.shape;
        match self.views.get(&(id, other)).copied() {
            Some(view) if layout::is_both(shape) => {
                self.views.insert((id, layout), view);
                Ok(view)
            }
            Some(view) if self.graph.value(id).constant.is_none() => {
                let copy = self.new_view(id, layout)?;
                layout::convert(self, shape, layout, [copy, view])?;
                Ok(copy)
            }
            _ => self.new_view(id, layout),
        }
    }

    /// A buffer for a value, with its contents where they are known.
    fn new_view(&mut self, id: ValueId, layout: Layout) -> OpResult<View> {
        let value = self.graph.value(id);
        let contents = match &value.constant {
            Some(tensor) => {
                let numbers = numbers::to_device(&value.name, tensor);
                let numbers = numbers.map_err(|error| Problem::Unsupported(error.to_string()))?;
                Some(layout.pack(&value.ty.shape, &numbers))
            }
            None => None,
        };
        let view = self.buffer(value.name.clone(), checked_len(&layout.shape(&value.ty.shape))?, contents)?;
        self.views.insert((id, layout), view);
        self.first.entry(id).or_insert(layout);
        Ok(view)
    }

    /// Says that the next dispatch copies all of a part to one place of a whole, so many numbers behind its beginning: it is
    /// left out where the part can be computed there.
    pub fn joins(&mut self, part: View, whole: View, offset: usize) {
        if part.offset == 0 && part.bytes == self.buffers[part.buffer.0].bytes {
            let (step, dispatch) = (self.steps.len(), self.dispatches.len());
            let offset = whole.offset + (offset * F32) as u64;
            self.joins.push(Join { step, dispatch, part: part.buffer, whole: whole.buffer, offset });
        }
    }

    /// Room for numbers that one dispatch of this node leaves for another.
    pub fn scratch(&mut self, what: &str, len: usize) -> OpResult<View> {
        self.buffer(format!("{}: {what}", self.node().name), len, None)
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

    /// Ranges of output channels whose weights, `row` numbers for each, fit one binding, and whose arithmetic, so many results
    /// for each, one dispatch; all but the last hold whole blocks of `width` channels, up to which a kernel pads them.
    pub fn channel_ranges(&self, channels: usize, row: usize, results: usize, width: usize) -> Vec<Range<usize>> {
        let most = (self.limits.filters_per_dispatch(row, results) / width * width).max(width);
        (0..channels).step_by(most).map(|start| start..(start + most).min(channels)).collect()
    }

    /// What the filters are on a device, a row for each output channel: a fused affine map scales them and joins
    /// the biases, in f64, rounded once.
    pub fn folded(&self, filters: &[f32], epilogue: &Epilogue) -> OpResult<Folded> {
        let out_c = self.output_type(0).shape[1];
        let row = (filters.len() / out_c).max(1);
        let ChannelAffine { factor, offset } = epilogue.per_channel(&self.epilogue_constants()?, out_c)?;
        let slope = match self.has_input(slot::SLOPE) {
            true => self.constant(slot::SLOPE)?.as_real()?.iter().copied().collect(),
            false => vec![0.0; out_c],
        };
        let scaled = filters.chunks(row).zip(&*factor);
        let weights =
            scaled.flat_map(|(row, factor)| row.iter().map(move |&w| (f64::from(w) * factor) as f32)).collect();
        Ok(Folded { weights, bias: offset.iter().map(|&x| x as f32).collect(), slope })
    }

    /// Uploads the filters of a range of channels, with their biases and slopes behind them; zeros behind the last channel.
    pub fn pack_filters(&mut self, channels: Range<usize>, folded: &Folded, packing: Packing) -> OpResult<View> {
        let weights = &folded.weights;
        let row = weights.len() / folded.bias.len();
        let width = packing.width();
        let padded = channels.len().next_multiple_of(width);
        let mut packed = Vec::with_capacity(padded * (row + 2));
        for block in channels.clone().step_by(width) {
            let weight = |channel: usize, at| if channel < channels.end { weights[channel * row + at] } else { 0.0 };
            packed.extend((0..row).flat_map(|at| (block..block + width).map(move |channel| weight(channel, at))));
        }
        folded.append_per_channel(&mut packed, channels, width);
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
        let id = self.node().outputs[output];
        self.views.insert((id, Layout::Plain), view);
        self.first.insert(id, Layout::Plain);
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
        self.dispatches.push(Dispatch { variant, groups, params, output, inputs: inputs.to_vec(), scratch: None });
        Ok(())
    }

    /// Gives the last launch scratch memory that it reads and writes.
    pub fn with_scratch(&mut self, scratch: View) {
        if let Some(dispatch) = self.dispatches.last_mut() {
            dispatch.scratch = Some(scratch);
        }
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
