//! `--device`, `--checked`, `--precision`, `--kernel`, `--timeout`, `--max-gpu-memory`: what a network runs on, and how.

use super::choices;
use super::console::{Console, warn};
use super::model_args::memory;
use clap::Args;
pub use reluctor::device::{Device, DeviceReport, Precision};
use reluctor::error::Result;
use reluctor::gpu::{Choice, Feature, Gpu, Options};
use reluctor::ops::conv::choice::FAMILIES;
use reluctor_lab::tune::store::Store;
use reluctor_lab::tune::{Key, Table};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

#[derive(Args)]
pub struct DeviceArgs {
    /// auto, cpu, gpu, an adapter's index, or a part of its name
    ///
    /// auto is a discrete, else an integrated, else a virtual GPU, else the CPU executor; never a software adapter.
    /// WGPU_BACKEND and WGPU_ADAPTER_NAME are honoured below this flag.
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Device")]
    device: Choice,
    /// Compile shaders with run-time bounds checks
    #[arg(long, help_heading = "Device")]
    checked: bool,
    /// The numbers that the device computes with
    #[arg(long, value_parser = choices::precision(), default_value = "f32", help_heading = "Device")]
    precision: Precision,
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    budget: DeviceBudgetArgs,
    /// Run as on an adapter that lacks these
    #[arg(long, value_parser = choices::feature(), value_delimiter = ',', value_name = "FEATURE", help_heading = "Device")]
    without: Vec<Feature>,
}

/// What a network may ask of a device. Commands that submit nothing take all of it too, so that one set of flags serves
/// every command.
#[derive(Args)]
pub struct DeviceBudgetArgs {
    /// How long the device may take for one submission
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "120", help_heading = "Device")]
    timeout: Duration,
    /// What a network's tensors and weights may take on the device, for example 512MiB; exit code 6 where it is more
    #[arg(long, value_name = "SIZE", value_parser = memory, help_heading = "Device")]
    max_gpu_memory: Option<u64>,
}

impl DeviceBudgetArgs {
    /// Of a device that is opened within this budget.
    pub fn options(&self) -> Options {
        Options { timeout: self.timeout, max_memory: self.max_gpu_memory, ..Options::default() }
    }

    /// Bytes on the device at most.
    pub fn max_memory(&self) -> Option<u64> {
        self.max_gpu_memory
    }
}

#[derive(Args)]
pub struct KernelArgs {
    /// The kernel that computes the convolutions, where it fits them; conv_direct, which fits all, elsewhere
    ///
    /// One of its tiles can be named with it: 'conv_gemm 64x64'; `plan --explain` names them.
    #[arg(long, value_name = "NAME", value_parser = conv_kernel, help_heading = "Device")]
    kernel: Option<Arc<str>>,
}

impl KernelArgs {
    /// The kernel that was asked for.
    pub fn forced(&self) -> Option<Arc<str>> {
        self.kernel.clone()
    }

    /// Says so where a kernel was asked for and is not among those that run; the CPU executor has none.
    pub fn warn_where_unused(&self, kernels: Option<&BTreeSet<&str>>, console: &Console) {
        let Some(asked) = &self.kernel else { return };
        match kernels {
            None => console.note(format_args!("the CPU executor has no kernels: '{asked}' computes nothing")),
            Some(kernels) if !kernels.iter().any(|kernel| is_kernel_of(kernel, asked)) => {
                console
                    .note(format_args!("'{asked}' fits no convolution here; `plan --explain` says what runs instead"));
            }
            Some(_) => {}
        }
    }
}

impl DeviceArgs {
    /// Opens the device. Says so where `auto` found no GPU.
    ///
    /// # Errors
    /// [`Error::Device`] where it is not there, [`Error::Usage`] where it cannot compute in this precision.
    pub fn open(&self, console: &Console) -> Result<Device> {
        self.precision.supported()?;
        let options = Options {
            checked: self.checked,
            conv_kernel: self.kernel.forced(),
            without: self.without.clone(),
            ..self.budget.options()
        };
        match open_with_cache(&self.device, options)? {
            Some(gpu) => Ok(Device::Gpu(gpu)),
            None => {
                if self.device != Choice::Cpu {
                    console.note("no GPU was found, so this runs on the CPU; `reluctor devices` lists the adapters");
                }
                Ok(Device::Cpu)
            }
        }
    }

    /// The flags that open the same device, for a command that is to be repeated.
    pub fn flag(&self) -> String {
        let device = (self.device != Choice::Auto).then(|| format!("--device '{}'", self.device));
        let kernel = self.kernel.forced().map(|kernel| format!("--kernel '{kernel}'"));
        device.into_iter().chain(kernel).collect::<Vec<_>>().join(" ")
    }

    /// See [`KernelArgs::warn_where_unused`].
    pub fn warn_where_unused(&self, kernels: Option<&BTreeSet<&str>>, console: &Console) {
        self.kernel.warn_where_unused(kernels, console);
    }

    /// The precision in force.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

/// Opens a device with what the user's cache knows of it: compiled pipelines, and what was measured before.
///
/// # Errors
/// Those of [`Gpu::open`].
pub fn open_with_cache(choice: &Choice, options: Options) -> Result<Option<Gpu>> {
    let store = Store::of_user();
    let pipeline_cache = store.as_ref().map(|store| store.folder().to_path_buf());
    let gpu = Gpu::open(choice, &Options { pipeline_cache, ..options })?;
    Ok(gpu.map(|gpu| {
        let table = stored(&gpu, store.as_ref());
        gpu.tuned(table.choices())
    }))
}

/// What is stored for a device, with a warning where it cannot be used.
pub fn stored(gpu: &Gpu, store: Option<&Store>) -> Table {
    let key = Key::new(gpu.report());
    let Some(store) = store else { return Table::new(key) };
    let loaded = store.load(&key);
    if let Some(warning) = loaded.warning {
        warn(format_args!("warning: {warning}"));
    }
    loaded.table
}

/// Whether a kernel is that of this name, which may name a tile too.
fn is_kernel_of(kernel: &str, name: &str) -> bool {
    name.split(' ').next() == Some(kernel)
}

/// The name of a convolution's kernel, and perhaps of its tile.
fn conv_kernel(name: &str) -> Result<Arc<str>, String> {
    if FAMILIES.iter().any(|family| family.is_named(name)) {
        return Ok(name.into());
    }
    let names = FAMILIES.iter().map(|family| family.kernel.name);
    Err(format!("there are {}", names.collect::<Vec<_>>().join(", ")))
}

/// A positive number of seconds, fractions allowed.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_string())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected a positive number of seconds".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_positive_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "1e300", "soon", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
