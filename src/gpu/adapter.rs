//! What the adapters of this machine are and can do, as plain data for `reluctor devices` and for
//! [`Choice`](super::Choice).

use std::fmt;

/// One adapter: a device as seen through one graphics API and driver.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AdapterReport {
    /// Its position in [`adapters`], which `--device INDEX` takes.
    pub index: usize,
    /// The device's name as its driver gives it.
    pub name: String,
    /// The graphics API: `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// The driver's name.
    pub driver: String,
    /// The driver's version and build.
    pub driver_info: String,
    /// What sort of device it is.
    #[serde(rename = "type")]
    pub kind: AdapterKind,
    /// The limits that planning and the kernels depend on.
    pub limits: AdapterLimits,
    /// The optional abilities that kernels and timing use.
    pub features: AdapterFeatures,
}

/// What sort of device an adapter is, the most wanted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the host's memory.
    Integrated,
    /// A GPU lent to a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A driver that computes on the CPU, such as lavapipe or WARP.
    Software,
}

impl AdapterKind {
    /// Whether this is known to be real hardware.
    pub fn is_gpu(self) -> bool {
        matches!(self, AdapterKind::Discrete | AdapterKind::Integrated | AdapterKind::Virtual)
    }
}

impl From<wgpu::DeviceType> for AdapterKind {
    fn from(device_type: wgpu::DeviceType) -> Self {
        match device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
            wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
            wgpu::DeviceType::Other => AdapterKind::Other,
            wgpu::DeviceType::Cpu => AdapterKind::Software,
        }
    }
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            AdapterKind::Discrete => "discrete",
            AdapterKind::Integrated => "integrated",
            AdapterKind::Virtual => "virtual",
            AdapterKind::Other => "other",
            AdapterKind::Software => "software",
        })
    }
}

/// Limits under their WebGPU names; sizes are in bytes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[allow(missing_docs)] // Each name is WebGPU's own, defined in its specification.
pub struct AdapterLimits {
    pub max_buffer_size: u64,
    pub max_storage_buffer_binding_size: u64,
    pub max_storage_buffers_per_shader_stage: u32,
    pub max_compute_workgroups_per_dimension: u32,
    pub max_compute_invocations_per_workgroup: u32,
    pub max_compute_workgroup_storage_size: u32,
    pub min_storage_buffer_offset_alignment: u32,
    pub min_uniform_buffer_offset_alignment: u32,
    pub max_immediate_size: u32,
}

impl From<&wgpu::Limits> for AdapterLimits {
    fn from(limits: &wgpu::Limits) -> Self {
        AdapterLimits {
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
            max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            min_storage_buffer_offset_alignment: limits.min_storage_buffer_offset_alignment,
            min_uniform_buffer_offset_alignment: limits.min_uniform_buffer_offset_alignment,
            max_immediate_size: limits.max_immediate_size,
        }
    }
}

/// Optional abilities of an adapter.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AdapterFeatures {
    /// Timestamps at the ends of a pass: `--profile` works.
    pub timestamp_query: bool,
    /// Timestamps inside a pass: `--profile` does not split the pass.
    pub timestamp_query_inside_passes: bool,
    /// 16-bit floats in shaders.
    pub shader_f16: bool,
    /// 64-bit integers in shaders.
    pub shader_int64: bool,
    /// Subgroup operations in shaders.
    pub subgroup: bool,
    /// Smallest subgroup, in invocations.
    pub subgroup_min_size: u32,
    /// Largest subgroup, in invocations.
    pub subgroup_max_size: u32,
    /// Parameters without a buffer.
    pub immediates: bool,
    /// Compiled pipelines can be kept between runs.
    pub pipeline_cache: bool,
    /// Matrix shapes that the device multiplies in one instruction, as `MxNxK A->C`; empty where it has none.
    pub cooperative_matrix: Vec<String>,
}

/// An optional ability that kernels or timing use, and can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Timestamps: without them no step is timed by itself
    Timestamps,
    /// 16-bit floats in shaders
    F16,
    /// 64-bit integers in shaders: without them software adapters load and store more slowly
    Int64,
    /// Subgroup operations: without them convolutions take other kernels
    Subgroups,
    /// Compiled pipelines that are kept between runs
    PipelineCache,
}

impl Feature {
    /// Takes it from what an adapter can do; returns wgpu's names for it.
    pub(super) fn withhold(self, features: &mut AdapterFeatures) -> wgpu::Features {
        match self {
            Feature::Timestamps => {
                (features.timestamp_query, features.timestamp_query_inside_passes) = (false, false);
                wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES
            }
            Feature::F16 => {
                features.shader_f16 = false;
                wgpu::Features::SHADER_F16
            }
            Feature::Int64 => {
                features.shader_int64 = false;
                wgpu::Features::SHADER_INT64
            }
            Feature::Subgroups => {
                (features.subgroup, features.subgroup_min_size, features.subgroup_max_size) = (false, 0, 0);
                wgpu::Features::SUBGROUP
            }
            Feature::PipelineCache => {
                features.pipeline_cache = false;
                wgpu::Features::PIPELINE_CACHE
            }
        }
    }
}

impl From<&wgpu::Adapter> for AdapterFeatures {
    fn from(adapter: &wgpu::Adapter) -> Self {
        let (features, info) = (adapter.features(), adapter.get_info());
        AdapterFeatures {
            timestamp_query: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            timestamp_query_inside_passes: features.contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES),
            shader_f16: features.contains(wgpu::Features::SHADER_F16),
            shader_int64: features.contains(wgpu::Features::SHADER_INT64),
            subgroup: features.contains(wgpu::Features::SUBGROUP),
            subgroup_min_size: info.subgroup_min_size,
            subgroup_max_size: info.subgroup_max_size,
            immediates: features.contains(wgpu::Features::IMMEDIATES),
            pipeline_cache: features.contains(wgpu::Features::PIPELINE_CACHE),
            cooperative_matrix: cooperative_matrices(adapter),
        }
    }
}

fn cooperative_matrices(adapter: &wgpu::Adapter) -> Vec<String> {
    let shape = |p: &wgpu::CooperativeMatrixProperties| {
        format!("{}x{}x{} {:?}->{:?}", p.m_size, p.n_size, p.k_size, p.ab_type, p.cr_type).to_lowercase()
    };
    let mut shapes: Vec<_> = adapter.cooperative_matrix_properties().iter().map(shape).collect();
    shapes.dedup(); // Saturating and wrapping forms of one shape look the same here.
    shapes
}

impl AdapterReport {
    /// Whether both are of one adapter.
    pub(super) fn is_of(&self, other: &AdapterReport) -> bool {
        let key = |report: &AdapterReport| (report.index, report.name.clone(), report.backend.clone());
        key(self) == key(other)
    }
}

/// Every adapter of this machine, in the driver's order; `WGPU_BACKEND` narrows the APIs asked. Empty where there is no
/// driver or no loader for one.
pub fn adapters() -> Vec<AdapterReport> {
    reports(&pollster::block_on(enumerate()))
}

/// The wgpu adapters, in the order of [`adapters`].
pub(super) async fn enumerate() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    instance.enumerate_adapters(wgpu::Backends::all()).await
}

/// One report an adapter, numbered from 0.
pub(super) fn reports(adapters: &[wgpu::Adapter]) -> Vec<AdapterReport> {
    adapters.iter().enumerate().map(|(index, adapter)| report(index, adapter)).collect()
}

fn report(index: usize, adapter: &wgpu::Adapter) -> AdapterReport {
    let info = adapter.get_info();
    AdapterReport {
        index,
        backend: info.backend.to_string(),
        kind: info.device_type.into(),
        name: info.name,
        driver: info.driver,
        driver_info: info.driver_info,
        limits: AdapterLimits::from(&adapter.limits()),
        features: AdapterFeatures::from(adapter),
    }
}

impl fmt::Display for AdapterReport {
    /// `0: llvmpipe (LLVM 15.0.6, 256 bits) (vulkan, software, llvmpipe Mesa 22.3.6)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AdapterReport { index, name, backend, kind, driver, driver_info, .. } = self;
        write!(f, "{index}: {name} ({backend}, {kind}, {driver} {driver_info})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_an_adapter_and_its_limits_are_at_least_webgpus() {
        let adapters = adapters();
        assert!(!adapters.is_empty(), "the GPU tests need an adapter: scripts/test installs a software one");
        for (position, adapter) in adapters.iter().enumerate() {
            assert_eq!(adapter.index, position);
            assert!(adapter.limits.max_storage_buffer_binding_size >= 128 << 20, "{adapter}");
        }
    }
}
