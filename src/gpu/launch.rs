//! A plan's steps, ready to record: each dispatch with its pipeline and its bindings.

use super::Gpu;
use super::buffers::{self, Buffers, Upload};
use crate::error::{Error, Result, escape};
use crate::plan::{Dispatch, Plan, Port, SCRATCH, Step};

/// One dispatch, ready to record.
#[derive(Debug)]
struct Launch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    groups: [u32; 3],
}

/// One step, ready to record.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The node's name.
    pub(super) name: String,
    /// What the step computes.
    pub(super) outputs: Vec<Port>,
    launches: Vec<Launch>,
}

impl Prepared {
    /// Records the step's dispatches into a pass.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        for launch in &self.launches {
            let [x, y, z] = launch.groups;
            pass.set_pipeline(&launch.pipeline);
            pass.set_bind_group(0, &launch.bindings, &[]);
            pass.dispatch_workgroups(x, y, z);
        }
    }
}

/// Builds every dispatch of the plan: one uniform buffer for all their parameters, one bind group each.
pub(super) fn prepare(gpu: &Gpu, plan: &Plan, buffers: &Buffers) -> Result<Vec<Prepared>> {
    let uniforms = Uniforms::upload(gpu, plan)?;
    let mut ranges = uniforms.ranges.iter();
    let mut prepare_step = |step: &Step| {
        let launches = step.dispatches.iter().zip(&mut ranges).map(|(dispatch, &(offset, size))| {
            let params = wgpu::BufferBinding { buffer: &uniforms.buffer, offset, size: size.try_into().ok() };
            launch(gpu, step, dispatch, params, buffers, plan.is_trusted)
        });
        let launches = launches.collect::<Result<_>>()?;
        Ok(Prepared { name: step.name.clone(), outputs: step.outputs.clone(), launches })
    };
    plan.steps.iter().map(&mut prepare_step).collect()
}

fn launch(
    gpu: &Gpu,
    step: &Step,
    dispatch: &Dispatch,
    params: wgpu::BufferBinding<'_>,
    buffers: &Buffers,
    is_trusted: bool,
) -> Result<Launch> {
    valid(gpu, step, dispatch)?;
    let pipeline = gpu.pipelines.of(gpu, dispatch, is_trusted)?;
    let views = std::iter::once(&dispatch.output).chain(&dispatch.inputs);
    let views = views.map(|view| buffers.binding(gpu, view)).collect::<Result<Vec<_>>>()?;
    let entry = |(binding, buffer)| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(buffer) };
    let scratch = dispatch.scratch.as_ref().map(|view| buffers.binding(gpu, view)).transpose()?;
    let scratch = scratch.map(|binding| (SCRATCH, binding));
    let entries: Vec<_> = (0..).zip(std::iter::once(params).chain(views)).chain(scratch).map(entry).collect();
    let label = format!("{} of '{}'", dispatch.variant, escape(&step.name));
    let bindings = gpu.checked(&label, || {
        let layout = &pipeline.bindings;
        Ok(gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(&label), layout, entries: &entries }))
    })?;
    Ok(Launch { pipeline: pipeline.compute, bindings, groups: dispatch.groups })
}

/// What wgpu would only report when the dispatch is recorded, without its name.
fn valid(gpu: &Gpu, step: &Step, dispatch: &Dispatch) -> Result<()> {
    let name = escape(&step.name);
    let mut written = [Some(dispatch.output), dispatch.scratch].into_iter().flatten();
    if written.any(|written| dispatch.views().filter(|view| view.buffer == written.buffer).count() > 1) {
        return Err(Error::Internal(format!("'{name}': {} reads the buffer it writes", dispatch.variant)));
    }
    let (needed, limit) = (dispatch.groups.into_iter().max(), gpu.device.limits().max_compute_workgroups_per_dimension);
    match needed {
        Some(needed) if needed > limit => Err(Error::DeviceLimit {
            tensor: name,
            needed: needed.into(),
            limit: limit.into(),
            limit_name: "max_compute_workgroups_per_dimension",
            unit: "workgroups",
        }),
        _ => Ok(()),
    }
}

/// The parameters of every dispatch, one after the other in one buffer.
struct Uniforms {
    buffer: wgpu::Buffer,
    /// Offset and size of each dispatch's parameters, in bytes.
    ranges: Vec<(u64, u64)>,
}

impl Uniforms {
    fn upload(gpu: &Gpu, plan: &Plan) -> Result<Self> {
        let alignment = gpu.device.limits().min_uniform_buffer_offset_alignment as usize;
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for dispatch in plan.dispatches() {
            let start = bytes.len();
            // A WGSL struct's size is a multiple of its alignment, at most 16, where the host's form may end earlier.
            let size = dispatch.params.len().next_multiple_of(16).max(16);
            ranges.push((start as u64, size as u64));
            bytes.extend_from_slice(&dispatch.params);
            bytes.resize((start + size).next_multiple_of(alignment), 0);
        }
        bytes.resize(bytes.len().max(16), 0);
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = buffers::create(gpu, "params", bytes.len() as u64, usage)?;
        let queue = gpu.queue();
        let mut upload = Upload::new(gpu, &queue);
        upload.write("params", &buffer, 0, &bytes)?;
        upload.flush()?;
        Ok(Uniforms { buffer, ranges })
    }
}
