//! Compiled kernels, one a [`Variant`], compiled at first use and kept.

use super::Gpu;
use super::faults::lock;
use super::pipeline_cache::PipelineCache;
use super::warm_up::warm_up;
use crate::error::Result;
use crate::kernels::{Memory, Variant};
use crate::plan::{Dispatch, Plan, SCRATCH};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// A compiled variant and the layout of its bindings.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) compute: wgpu::ComputePipeline,
    pub(super) bindings: wgpu::BindGroupLayout,
}

/// All pipelines compiled on one device.
#[derive(Debug)]
pub(super) struct Pipelines {
    checked: bool,
    memory: Memory,
    /// Of the driver, where it has one and a place for it was named.
    pub(super) cache: Option<PipelineCache>,
    compiled: Mutex<HashMap<Key, Pipeline>>,
}

impl Pipelines {
    /// None yet; `checked` asks for shaders with run-time checks.
    pub(super) fn new(checked: bool, memory: Memory, cache: Option<PipelineCache>) -> Self {
        Pipelines { checked, memory, cache, compiled: Mutex::default() }
    }

    /// The pipeline that a dispatch needs; without run-time checks only if its plan is trusted.
    pub(super) fn of(&self, gpu: &Gpu, dispatch: &Dispatch, is_trusted: bool) -> Result<Pipeline> {
        let key = key(dispatch, is_trusted);
        if let Some(pipeline) = lock(&self.compiled).get(&key) {
            return Ok(pipeline.clone());
        }
        let pipeline = self.compile(gpu, dispatch, is_trusted)?;
        lock(&self.compiled).insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// Compiles what a plan needs and nobody has compiled yet, on all threads, down to machine code.
    pub(super) fn compile_all(&self, gpu: &Gpu, plan: &Plan) -> Result<()> {
        let mut missing: HashMap<Key, &Dispatch> = HashMap::new();
        {
            let compiled = lock(&self.compiled);
            let wanted = plan.dispatches().map(|dispatch| (key(dispatch, plan.is_trusted), dispatch));
            missing.extend(wanted.filter(|(key, _)| !compiled.contains_key(key)));
        }
        let compile = |dispatch| {
            let start = Instant::now();
            self.of(gpu, dispatch, plan.is_trusted)?;
            Ok((start.elapsed(), dispatch))
        };
        let mut compiled = missing.into_values().par_bridge().map(compile).collect::<Result<Vec<_>>>()?;
        if let Some(cache) = self.cache.as_ref().filter(|_| !compiled.is_empty()) {
            cache.save();
        }
        // What takes long to check and translate also takes long to become machine code.
        compiled.sort_unstable_by_key(|&(took, _)| took);
        warm_up(gpu, compiled.into_iter().map(|(_, dispatch)| dispatch).collect(), plan.is_trusted)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        lock(&self.compiled).len()
    }

    fn compile(&self, gpu: &Gpu, dispatch: &Dispatch, is_trusted: bool) -> Result<Pipeline> {
        let label = dispatch.variant.to_string();
        gpu.checked(format_args!("shader '{label}'"), || {
            let module = self.module(&gpu.device, &label, &dispatch.variant, is_trusted);
            let bindings = bindings(&gpu.device, &label, dispatch);
            let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&label),
                bind_group_layouts: &[Some(&bindings)],
                immediate_size: 0,
            });
            let compute = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&label),
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Kernels write workgroup memory before they read it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: self.cache.as_ref().map(PipelineCache::cache),
            });
            Ok(Pipeline { compute, bindings })
        })
    }

    fn module(&self, device: &wgpu::Device, label: &str, variant: &Variant, is_trusted: bool) -> wgpu::ShaderModule {
        let source = wgpu::ShaderSource::Wgsl(variant.source_for(self.memory).into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source };
        // What is not listed may hold any text: an injected fault, for one.
        let checked = self.checked || !is_trusted || !variant.is_listed();
        if checked { device.create_shader_module(descriptor) } else { trusted(device, descriptor) }
    }
}

/// What tells pipelines apart: the variant, the number of inputs, which decides the layout, and whether its plan is trusted.
type Key = (String, usize, bool);

fn key(dispatch: &Dispatch, is_trusted: bool) -> Key {
    (dispatch.variant.to_string(), dispatch.inputs.len(), is_trusted)
}

/// A module without run-time checks, which cost a third of the time of a tight loop on lavapipe and far more elsewhere.
#[allow(unsafe_code)]
fn trusted(device: &wgpu::Device, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: the caller saw to it that the text is linked from this crate's own files, as `KERNELS` lists them, and that the plan
    // is trusted: its fields are private, and only `plan()` and `Measure::plan` of this crate make such a one. A kernel
    // returns from invocations beyond its output, indexes its bindings within the sizes that the planner put into
    // `Params`, and has only counted loops. `Options::checked` runs the same text with the checks on.
    unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
}

/// 0 uniform parameters, 1 the output, 2 and up the inputs, then scratch memory. Explicit, since a layout derived from the shader drops the
/// bindings that a variant does not use.
fn bindings(device: &wgpu::Device, label: &str, dispatch: &Dispatch) -> wgpu::BindGroupLayout {
    let fixed = [wgpu::BufferBindingType::Uniform, wgpu::BufferBindingType::Storage { read_only: false }];
    let read = std::iter::repeat_n(wgpu::BufferBindingType::Storage { read_only: true }, dispatch.inputs.len());
    let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let scratch = dispatch.scratch.map(|_| (SCRATCH, wgpu::BufferBindingType::Storage { read_only: false }));
    let entries: Vec<_> = (0..).zip(fixed.into_iter().chain(read)).chain(scratch).map(entry).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries })
}

#[cfg(test)]
mod tests {
    use crate::error::Error;
    use crate::gpu::fixture::{self, BROKEN, SCALE};

    #[test]
    fn a_variant_is_compiled_once() {
        let gpu = fixture::gpu();
        let plan = fixture::chain(&SCALE, 4);
        gpu.compile(&plan).unwrap();
        gpu.compile(&plan).unwrap();
        let compiled = gpu.pipelines.compiled.lock().unwrap();
        assert_eq!(compiled.keys().collect::<Vec<_>>(), [&("test_scale".to_string(), 1, false)]);
    }

    #[test]
    fn a_broken_shader_is_an_error_that_names_the_variant_and_quotes_the_source() {
        let error = fixture::gpu().load(&fixture::chain(&BROKEN, 4)).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::Device(_)), "{message}");
        assert!(message.contains("test_broken") && message.contains("undeclared"), "{message}");
    }

    #[test]
    fn a_shader_without_its_bindings_is_an_error_that_names_the_variant() {
        let mut plan = fixture::chain(&SCALE, 4);
        plan.steps[0].dispatches[0].inputs.clear();
        let message = fixture::gpu().load(&plan).unwrap_err().to_string();
        assert!(message.contains("test_scale"), "{message}");
    }
}
