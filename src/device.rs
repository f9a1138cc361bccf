//! What a network runs on: the CPU executor or an adapter.

use crate::error::{Error, Result};
use crate::gpu::{AdapterKind, Choice, Gpu, Options};
use crate::graph::Graph;
use crate::plan::{self, Plan};
use serde::Serialize;
use std::fmt;

/// The numbers that the device computes with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats
    #[default]
    F32,
    /// 16-bit floats (not supported yet)
    F16,
}

impl Precision {
    /// That it can be computed in.
    ///
    /// # Errors
    /// [`Error::Usage`] where it cannot yet.
    pub fn supported(self) -> Result<()> {
        match self {
            Precision::F32 => Ok(()),
            Precision::F16 => Err(Error::Usage("--precision f16 is not supported yet; f32 is".to_string())),
        }
    }

    /// As reports have it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        }
    }
}

/// What a network runs on. Clones share the adapter.
#[derive(Debug, Clone)]
pub enum Device {
    /// The CPU executor.
    Cpu,
    /// An adapter.
    Gpu(Gpu),
}

impl From<Option<Gpu>> for Device {
    fn from(gpu: Option<Gpu>) -> Self {
        gpu.map_or(Device::Cpu, Device::Gpu)
    }
}

impl Device {
    /// Opens what a choice comes down to: an adapter, or the CPU executor.
    ///
    /// # Errors
    /// Those of [`Gpu::open`].
    pub fn open(choice: &Choice, options: &Options) -> Result<Self> {
        Gpu::open(choice, options).map(Device::from)
    }

    /// The same, for callers that must not block.
    ///
    /// # Errors
    /// Those of [`Gpu::open`].
    pub async fn open_async(choice: &Choice, options: &Options) -> Result<Self> {
        Gpu::open_async(choice, options).await.map(Device::from)
    }

    /// How it would run an optimised graph; none on the CPU executor.
    ///
    /// # Errors
    /// Those of [`plan::plan`].
    pub fn plan(&self, graph: &Graph) -> Result<Option<Plan>> {
        self.gpu().map(|gpu| plan::plan(graph, &gpu.limits())).transpose()
    }

    /// The adapter, where it is one.
    pub fn gpu(&self) -> Option<&Gpu> {
        match self {
            Device::Cpu => None,
            Device::Gpu(gpu) => Some(gpu),
        }
    }
}

/// A device as reports show it.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceReport {
    name: String,
    backend: String,
    driver: String,
    #[serde(rename = "type")]
    kind: String,
}

impl DeviceReport {
    /// Whether a processor stands for the adapter.
    pub fn is_software(&self) -> bool {
        self.kind == AdapterKind::Software.to_string()
    }
}

impl Device {
    /// What to print of it.
    pub fn report(&self) -> DeviceReport {
        match self {
            Device::Cpu => DeviceReport {
                name: format!("CPU executor, {} threads", rayon::current_num_threads()),
                backend: "cpu".to_string(),
                driver: format!("reluctor {}", env!("CARGO_PKG_VERSION")),
                kind: "cpu".to_string(),
            },
            Device::Gpu(gpu) => {
                let report = gpu.report();
                DeviceReport {
                    name: report.name.clone(),
                    backend: report.backend.clone(),
                    driver: format!("{} {}", report.driver, report.driver_info).trim().to_string(),
                    kind: report.kind.to_string(),
                }
            }
        }
    }

    /// All that is known of it, for a reproducer: adapter, driver, limits, and the build that it ran.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be said in JSON.
    pub fn description(&self, build: &str) -> Result<serde_json::Value> {
        let device = match self {
            Device::Cpu => serde_json::to_value(self.report()),
            Device::Gpu(gpu) => serde_json::to_value(gpu.report()),
        };
        let device = device.map_err(|error| Error::Internal(error.to_string()))?;
        Ok(serde_json::json!({ "device": device, "reluctor": build }))
    }
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.as_str() {
            "cpu" => f.write_str(&self.name),
            kind => write!(f, "{} ({}, {kind}, {})", self.name, self.backend, self.driver),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        })
    }
}
