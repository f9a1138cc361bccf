//! Graph -> [`Plan`]: which kernels run, in which order, on which buffers. Plain data: no wgpu type and no device, so a
//! plan can be printed, tested, diffed and costed anywhere.

pub mod fault;
mod joins;
pub mod layout;
mod lowering;
pub mod measure;
pub mod numbers;
mod slots;

pub use layout::Layout;
pub use lowering::{Folded, Lowering, Packing};

use crate::bound::Summation;
use crate::error::{Error, Result, UnsupportedNode};
use crate::graph::{Graph, ValueId};
use crate::kernels::Variant;
use crate::ops::Problem;
use crate::tensor::{Tensor, TensorType};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The device properties that planning depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest range of a buffer that one binding may see, in bytes.
    pub max_storage_buffer_binding_size: u64,
    /// Largest buffer, in bytes.
    pub max_buffer_size: u64,
    /// Largest number of workgroups in each dimension of a dispatch.
    pub max_compute_workgroups_per_dimension: u32,
    /// Alignment of a binding's offset within its buffer, in bytes.
    pub min_storage_buffer_offset_alignment: u32,
    /// Loop iterations that one invocation may make. Mesa 22.3's software Vulkan silently stops all loops of an invocation
    /// together after 65,535, and long dispatches trip watchdogs elsewhere, so longer sums are split over dispatches.
    pub max_loop_iterations: u32,
    /// Arithmetic of one dispatch at most, in flops, where its channels can be split: operating systems take a GPU for hung
    /// that works on one for seconds. A tenth of a second of a slow device of its kind.
    pub max_dispatch_flops: u64,
    /// Invocations that run in step and can read one another's registers, where the adapter has just one such number and
    /// kernels may rely on it; 0 elsewhere.
    pub subgroup_lanes: u32,
    /// Threads that share a software adapter's work; 1 where nobody knows.
    pub threads: u32,
    /// Lanes that multiply and add at one time, as far as the adapter's kind tells: what a grid has to fill.
    pub lanes: u32,
    /// Whether the adapter is software: loads cost far more than arithmetic there, and workgroup memory gains nothing.
    pub software: bool,
    /// The one convolution kernel, or kernel and tile (`conv_gemm 64x64`), that may be chosen where it fits; the best one
    /// that fits where nothing is said.
    pub conv_kernel: Option<Arc<str>>,
    /// Whether every sum is one of the products themselves: see [`Summation`].
    pub plain_sums: bool,
    /// What was measured to be the fastest on this device: the names of candidates by the keys of convolutions
    /// ([`Problem::key`](crate::ops::conv::choice::Problem::key)).
    pub tuned: Arc<BTreeMap<String, String>>,
    /// A budget: what a plan's buffers may take on the device, in bytes.
    pub max_memory: Option<u64>,
}

impl Default for Limits {
    /// What WebGPU guarantees on every adapter.
    fn default() -> Self {
        Limits {
            max_storage_buffer_binding_size: 128 << 20,
            max_buffer_size: 256 << 20,
            max_compute_workgroups_per_dimension: 65_535,
            min_storage_buffer_offset_alignment: 256,
            max_loop_iterations: 60_000,
            max_dispatch_flops: 10_000_000_000,
            subgroup_lanes: 0,
            threads: 1,
            // As small GPUs, of phones and of office computers, have them.
            lanes: 512,
            software: false,
            conv_kernel: None,
            plain_sums: false,
            tuned: Arc::default(),
            max_memory: None,
        }
    }
}

impl Limits {
    /// Filters of `row` numbers each that fit one binding.
    pub fn filters_per_binding(&self, row: usize) -> usize {
        let limit = self.max_storage_buffer_binding_size.min(self.max_buffer_size) as usize;
        limit / (row.max(1) * size_of::<f32>())
    }

    /// Filters of `row` numbers, each of which makes so many results, that fit one binding and one dispatch's time; 1 where
    /// one filter is too much by itself.
    pub fn filters_per_dispatch(&self, row: usize, results: usize) -> usize {
        let flops = 2 * row.max(1) as u64 * results.max(1) as u64;
        let in_time = usize::try_from((self.max_dispatch_flops / flops).max(1)).unwrap_or(usize::MAX);
        self.filters_per_binding(row).min(in_time)
    }
}

/// An index into [`Plan::buffers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// One device buffer.
#[derive(Debug, Clone)]
pub struct Buffer {
    /// What it holds, for labels and messages.
    pub label: String,
    /// Its size.
    pub bytes: u64,
    /// Its contents where they are known at load (packed weights); none for a slot that tensors share in turn.
    pub contents: Option<Arc<Vec<f32>>>,
}

/// A range of a buffer, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The buffer.
    pub buffer: BufferId,
    /// Where the range starts.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
}

/// One launch of a kernel. Bindings: 0 uniform parameters, 1 the output (read-write), 2 and up the inputs (read).
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// What runs.
    pub variant: Variant,
    /// Workgroups in x, y and z.
    pub groups: [u32; 3],
    /// The kernel's `Params`, as laid out in WGSL's uniform address space.
    pub params: Vec<u8>,
    /// Binding 1.
    pub output: View,
    /// Bindings 2 and up.
    pub inputs: Vec<View>,
    /// Binding [`SCRATCH`]: what invocations leave for themselves.
    pub scratch: Option<View>,
}

/// The binding of a dispatch's scratch memory (read-write), behind those of its inputs.
pub const SCRATCH: u32 = 5;

impl Dispatch {
    /// All that it reads or writes, in no order.
    pub fn views(&self) -> impl Iterator<Item = &View> {
        self.inputs.iter().chain([&self.output]).chain(&self.scratch)
    }
}

/// A named tensor of reals and where it lies on the device.
#[derive(Debug, Clone)]
pub struct Port {
    /// The value's name in the graph.
    pub name: String,
    /// The value in the graph.
    pub value: ValueId,
    /// Kind and shape.
    pub ty: TensorType,
    /// Its bytes: f32.
    pub view: View,
    /// How they lie there.
    pub layout: Layout,
}

/// A result of the network: computed on the device, or known since load.
#[derive(Debug, Clone)]
pub enum Output {
    /// Read back after the last step.
    Computed(Port),
    /// The same for every input.
    Constant(String, Arc<Tensor>),
}

/// One node of the graph: the dispatches that compute it (none where it only renames or reshapes its input).
#[derive(Debug, Clone)]
pub struct Step {
    /// The node's index in the graph that was planned.
    pub node: usize,
    /// The node's name.
    pub name: String,
    /// The node's operator.
    pub op: &'static str,
    /// The nodes of the original model that were fused into this one.
    pub fused: Vec<String>,
    /// Why a neighbour was not fused.
    pub not_fused_because: Vec<String>,
    /// Why this kernel and tile, where there were several.
    pub chosen_because: Option<String>,
    /// What runs, in order.
    pub dispatches: Vec<Dispatch>,
    /// How sums are formed.
    pub summation: Summation,
    /// What the step computes.
    pub outputs: Vec<Port>,
    /// Arithmetic: one multiply-add is 2 flops.
    pub flops: u64,
    /// Bytes of the tensors read and written, each counted once.
    pub bytes: u64,
}

impl Step {
    /// The variants that run, in order, for reports; a hyphen where none does.
    pub fn kernels(&self) -> String {
        let variants: Vec<String> = self.dispatches.iter().map(|dispatch| dispatch.variant.to_string()).collect();
        if variants.is_empty() { "-".to_string() } else { variants.join(" ") }
    }

    /// What a comparison has to know of it.
    pub fn computation(&self) -> Computation {
        Computation { kernels: self.kernels(), summation: self.summation }
    }
}

/// How a step was computed.
#[derive(Debug, Clone, Default)]
pub struct Computation {
    /// The kernels that ran.
    pub kernels: String,
    /// How they formed their sums.
    pub summation: Summation,
}

impl Computation {
    /// By the CPU executor.
    pub fn on_cpu() -> Self {
        Computation { kernels: "cpu".to_string(), summation: Summation::Plain }
    }
}

/// Everything that a device needs to run a network.
///
/// Kernels run without bounds checks where the sizes in their parameters and the ranges of their bindings come from the planner.
/// So only the planner makes such plans, and nobody can alter one:
///
/// ```compile_fail,E0616
/// fn empty(plan: &mut reluctor::plan::Plan) {
///     plan.buffers.clear();
/// }
/// ```
///
/// Any other plan is made of [`Parts`], and its kernels are compiled with bounds checks.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) steps: Vec<Step>,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) live_bytes: u64,
    /// Whether this crate made it, sizes and all.
    pub(crate) is_trusted: bool,
}

/// What a plan that the planner did not make consists of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Device buffers.
    pub buffers: Vec<Buffer>,
    /// What runs, in order.
    pub steps: Vec<Step>,
    /// What the caller supplies.
    pub inputs: Vec<Port>,
    /// What the caller gets back.
    pub outputs: Vec<Output>,
}

impl From<Parts> for Plan {
    /// A plan whose kernels are compiled with bounds checks, since nobody checked its sizes.
    fn from(Parts { buffers, steps, inputs, outputs }: Parts) -> Self {
        let live_bytes = buffers.iter().filter(|buffer| buffer.contents.is_none()).map(|buffer| buffer.bytes).sum();
        Plan { buffers, steps, inputs, outputs, live_bytes, is_trusted: false }
    }
}

impl From<&Plan> for Parts {
    fn from(Plan { buffers, steps, inputs, outputs, .. }: &Plan) -> Self {
        Parts { buffers: buffers.clone(), steps: steps.clone(), inputs: inputs.clone(), outputs: outputs.clone() }
    }
}

impl Plan {
    /// Device buffers: packed weights and shared slots.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// What runs, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What the caller supplies.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// What the caller gets back.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Bytes of the tensors that are needed at one time, at most: less than these and the weights no plan can hold.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Every dispatch, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.steps.iter().flat_map(|step| &step.dispatches)
    }

    /// Bytes of packed weights.
    pub fn weights_bytes(&self) -> u64 {
        self.buffers.iter().filter(|buffer| buffer.contents.is_some()).map(|buffer| buffer.bytes).sum()
    }

    /// The names of the kernels that run.
    pub fn kernels(&self) -> BTreeSet<&'static str> {
        self.dispatches().map(|dispatch| dispatch.variant.kernel.name).collect()
    }

    /// Bytes of all device buffers that hold tensors, weights included.
    pub fn peak_bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.bytes).sum()
    }

    /// Arithmetic of one run; one multiply-add is 2 flops.
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(|step| step.flops).sum()
    }

    /// Bytes of the tensors that the steps read and write.
    pub fn bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.bytes).sum()
    }
}

/// Chooses kernels, buffers and grids for an optimised graph on a device with these limits.
///
/// # Errors
/// [`Error::Unsupported`] lists every node without a device form; [`Error::DeviceLimit`] names a tensor that does not fit;
/// [`Error::Budget`] says how much memory it would take, where that is more than [`Limits::max_memory`].
/// [`Error::Internal`] says where a graph contradicts itself: sizes are right on the device because they are right there.
pub fn plan(graph: &Graph, limits: &Limits) -> Result<Plan> {
    graph.validate()?;
    let mut lowering = Lowering::new(graph, limits);
    let mut unsupported = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        match lowering.step(index) {
            Ok(()) => {}
            Err(Problem::Unsupported(reason)) => unsupported.push(UnsupportedNode {
                node: node.name.clone(),
                op_type: node.op.name().to_string(),
                reason,
            }),
            Err(problem) => return Err(problem.at(&node.name)),
        }
    }
    if !unsupported.is_empty() {
        return Err(Error::Unsupported { file: graph.name.clone(), nodes: unsupported });
    }
    let (plan, joins) = lowering.finish()?;
    let plan = joins::assign(plan, &joins, u64::from(limits.min_storage_buffer_offset_alignment))?;
    match limits.max_memory {
        Some(budget) if plan.peak_bytes() > budget => {
            let what = format!("the plan of {} on the device", crate::error::escape(&graph.name));
            Err(Error::Budget { what, needed: plan.peak_bytes(), budget, unit: "bytes" })
        }
        _ => Ok(plan),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let output = step.outputs.first().map(|port| port.ty.to_string()).unwrap_or_default();
            writeln!(f, "{} {} -> {output}", step.op, crate::error::escape(&step.name))?;
            for dispatch in &step.dispatches {
                let [x, y, z] = dispatch.groups;
                writeln!(f, "    {} groups {x}x{y}x{z}", dispatch.variant)?;
            }
        }
        writeln!(
            f,
            "{} dispatches, {} flops, {} bytes moved, {} bytes of weights, {} bytes in all",
            self.dispatches().count(),
            self.flops(),
            self.bytes(),
            self.weights_bytes(),
            self.peak_bytes()
        )
    }
}
