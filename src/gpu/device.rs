//! An open device: the adapter that [`Choice`] picked, with its queue, its compiled pipelines and its faults.

use super::adapter::{self, AdapterKind, AdapterReport, Feature};
use super::faults::{Faults, describe, lock};
use super::pipeline_cache::PipelineCache;
use super::pipelines::Pipelines;
use super::{Choice, Session};
use crate::error::{Error, Result};
use crate::kernels::Memory;
use crate::plan::{Limits, Plan};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::available_parallelism;
use std::time::Duration;

/// How a device is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Compile shaders with run-time bounds checks and loop bounds: slower, for finding bugs in kernels.
    pub checked: bool,
    /// How long one submission may take before the device counts as hung.
    pub timeout: Duration,
    /// See [`Limits::conv_kernel`].
    pub conv_kernel: Option<Arc<str>>,
    /// See [`Limits::max_memory`].
    pub max_memory: Option<u64>,
    /// A folder where the driver's compiled pipelines are kept from run to run; they are not where nothing is said.
    pub pipeline_cache: Option<PathBuf>,
    /// What is done without, as on an adapter that lacks it.
    pub without: Vec<Feature>,
    /// See [`Limits::tuned`].
    pub tuned: Arc<BTreeMap<String, String>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            checked: false,
            timeout: Duration::from_secs(120),
            conv_kernel: None,
            max_memory: None,
            pipeline_cache: None,
            without: Vec::new(),
            tuned: Arc::default(),
        }
    }
}

/// See [`is_left_at_work`].
static LEFT_AT_WORK: AtomicBool = AtomicBool::new(false);

/// Whether a device of this process did not answer in time, and may still compute or compile on threads of its driver.
/// Software drivers can crash where such a process then ends by `exit` or from `main`; `_exit` is safe.
pub fn is_left_at_work() -> bool {
    LEFT_AT_WORK.load(Ordering::Relaxed)
}

/// An open device. Clones share it; sessions keep it open.
#[derive(Debug, Clone)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) pipelines: Arc<Pipelines>,
    /// Behind a lock that is held from the first write of a run to its last read: two threads that submit to one queue
    /// lost the device on Linux, and sessions of one device then cannot overtake one another.
    queue: Arc<Mutex<wgpu::Queue>>,
    faults: Arc<Faults>,
    report: Arc<AdapterReport>,
    pub(super) options: Options,
}

impl Gpu {
    /// Opens the adapter of this choice, or none where the choice comes down to the CPU executor: `cpu`, or `auto` on a
    /// machine with no GPU.
    ///
    /// # Errors
    /// [`Error::Device`] where the adapter is missing or its driver refuses a device.
    pub fn open(choice: &Choice, options: &Options) -> Result<Option<Gpu>> {
        pollster::block_on(Gpu::open_async(choice, options))
    }

    /// The same, for callers that must not block: adapters and devices are asked for and awaited.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub async fn open_async(choice: &Choice, options: &Options) -> Result<Option<Gpu>> {
        if *choice == Choice::Cpu {
            return Ok(None); // Without waking a driver.
        }
        let adapters = adapter::enumerate().await;
        let reports = adapter::reports(&adapters);
        let picked = choice.pick(&reports)?.and_then(|index| adapters.into_iter().zip(reports).nth(index));
        match picked {
            Some((adapter, report)) => Gpu::on(&adapter, report, options).await.map(Some),
            None => Ok(None),
        }
    }

    async fn on(adapter: &wgpu::Adapter, report: AdapterReport, options: &Options) -> Result<Gpu> {
        let mut report = report;
        let mut wanted = wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::SUBGROUP
            | wgpu::Features::PIPELINE_CACHE;
        for feature in &options.without {
            wanted.remove(feature.withhold(&mut report.features));
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("reluctor"),
            required_features: adapter.features() & wanted,
            // The defaults are WebGPU's minimum: 128 MiB a binding, where VGG has a layer of 411 MB.
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::Device(format!("{}: {error}", report.name)))?;
        let folder = options.pipeline_cache.as_deref();
        let cache = folder.and_then(|folder| PipelineCache::open(&device, &adapter.get_info(), folder));
        let memory = match report.kind {
            AdapterKind::Software if report.features.shader_int64 => Memory::U64,
            _ => Memory::Vec4,
        };
        Ok(Gpu {
            faults: Faults::watch(&device),
            pipelines: Arc::new(Pipelines::new(options.checked, memory, cache)),
            queue: Arc::new(Mutex::new(queue)),
            report: Arc::new(report),
            options: options.clone(),
            device,
        })
    }

    /// Opens the same adapter again, with the same options, after this device was lost.
    ///
    /// # Errors
    /// [`Error::Device`] where the adapter is gone or its driver refuses another device.
    pub fn reopen(&self) -> Result<Gpu> {
        pollster::block_on(async {
            let adapters = adapter::enumerate().await;
            let reports = adapter::reports(&adapters);
            match adapters.into_iter().zip(reports).find(|(_, report)| report.is_of(&self.report)) {
                Some((adapter, report)) => Gpu::on(&adapter, report, &self.options).await,
                None => Err(Error::Device(format!("{} is gone", self.report.name))),
            }
        })
    }

    /// Bytes that the driver has allocated on it by now, for everything that is alive; none where its allocator does not say.
    pub fn allocated(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// Gives the device up, as a driver that fails does: every run on it is an error from now on. For tests of what follows.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// The same device, for plans that take what was measured on it; see [`Limits::tuned`].
    #[must_use]
    pub fn tuned(mut self, choices: Arc<BTreeMap<String, String>>) -> Self {
        self.options.tuned = choices;
        self
    }

    /// Whether the device is gone for good.
    pub fn is_lost(&self) -> bool {
        self.faults.is_lost()
    }

    /// Which adapter this is.
    pub fn report(&self) -> &AdapterReport {
        &self.report
    }

    /// The limits that a plan for this device must keep.
    pub fn limits(&self) -> Limits {
        let limits = self.device.limits();
        let features = &self.report.features;
        let subgroups = features.subgroup && features.subgroup_min_size == features.subgroup_max_size;
        Limits {
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
            max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            min_storage_buffer_offset_alignment: limits.min_storage_buffer_offset_alignment,
            subgroup_lanes: if subgroups { features.subgroup_min_size } else { 0 },
            threads: match self.report.kind {
                AdapterKind::Software => available_parallelism().map_or(1, |threads| threads.get() as u32),
                _ => 1,
            },
            lanes: match self.report.kind {
                // By data sheets: 10,000 to 18,000 of large ones, 700 to 1,300 of those beside a processor.
                AdapterKind::Discrete => 16_384,
                AdapterKind::Integrated => 1_024,
                _ => Limits::default().lanes,
            },
            software: self.report.kind == AdapterKind::Software,
            max_dispatch_flops: match self.report.kind {
                // At a teraflop a second; nobody resets a processor.
                AdapterKind::Discrete => 100_000_000_000,
                AdapterKind::Software => u64::MAX,
                _ => Limits::default().max_dispatch_flops,
            },
            conv_kernel: self.options.conv_kernel.clone(),
            max_memory: self.options.max_memory,
            tuned: Arc::clone(&self.options.tuned),
            ..Limits::default()
        }
    }

    /// Compiles every variant of the plan that is not compiled yet, on all threads. [`Gpu::load`] does so too; this one can
    /// be timed.
    ///
    /// # Errors
    /// [`Error::Device`] names a variant that naga or the driver rejects.
    pub fn compile(&self, plan: &Plan) -> Result<()> {
        self.pipelines.compile_all(self, plan)
    }

    /// How many pipelines were compiled on this device since it was opened: one for each variant that any plan needed.
    pub fn compiled(&self) -> usize {
        self.pipelines.count()
    }

    /// Makes a plan ready to run: compiles its variants, uploads its weights and builds its bindings, once.
    ///
    /// # Errors
    /// [`Error::DeviceLimit`] names a tensor that does not fit this device, [`Error::Device`] the variant, step or
    /// tensor that the driver rejects, and [`Error::Internal`] a step of a malformed plan.
    pub fn load(&self, plan: &Plan) -> Result<Session> {
        Session::load(self, plan)
    }

    /// The queue, for as long as the caller needs its work to stay in order.
    pub(super) fn queue(&self) -> MutexGuard<'_, wgpu::Queue> {
        lock(&self.queue)
    }

    /// Runs `work` and turns whatever wgpu reports meanwhile into an [`Error::Device`] that says `what` it befell.
    pub(super) fn checked<T>(&self, what: impl fmt::Display, work: impl FnOnce() -> Result<T>) -> Result<T> {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let scopes = [OutOfMemory, Internal, Validation].map(|filter| self.device.push_error_scope(filter));
        let done = work();
        // Every scope is popped, innermost first, before any is looked at: wgpu panics on another order.
        let errors: Vec<_> = scopes.into_iter().rev().map(|scope| pollster::block_on(scope.pop())).collect();
        self.faults.check()?; // A lost device raises no error in a scope.
        match errors.into_iter().flatten().next() {
            Some(error) => {
                // What is made on a device that goes away is invalid, and only a poll says why.
                self.poll(wgpu::PollType::Poll);
                self.faults.check()?;
                Err(Error::Device(format!("{what}: {}", describe(&error))))
            }
            None => done,
        }
    }

    /// Waits until the device has finished `submission` and its callbacks have run.
    pub(super) fn wait(&self, queue: &wgpu::Queue, submission: wgpu::SubmissionIndex) -> Result<()> {
        let timeout = self.options.timeout;
        let until_done = wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(timeout) };
        let polled = self.poll(until_done);
        if let Some(Err(wgpu::PollError::WrongSubmissionIndex(..))) = polled {
            // wgpu refuses a submission in silence only where the device is lost; another poll lets its callback speak.
            self.poll(wgpu::PollType::Poll);
        }
        self.faults.check()?;
        match polled {
            Some(Ok(_)) => Ok(()),
            Some(Err(wgpu::PollError::Timeout)) => {
                // Dropping a queue's last handle waits for the device without end: a hung device keeps its queue.
                std::mem::forget(queue.clone());
                LEFT_AT_WORK.store(true, Ordering::Relaxed);
                Err(Error::Device(format!("timeout: no answer within {timeout:?}; the device hangs or is too slow")))
            }
            Some(Err(error)) => Err(Error::Device(error.to_string())),
            None => Err(Error::Device("the driver failed while it was waited for".to_string())),
        }
    }

    /// Whether the device finishes `submission` within this time.
    pub(super) fn answers_within(&self, submission: &wgpu::SubmissionIndex, time: Duration) -> bool {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(time) };
        matches!(self.poll(wait), Some(Ok(_)))
    }

    /// Polls; none where the driver failed. wgpu 30 panics in `poll` where the driver answers "device lost" or "out of
    /// memory". It has released its locks and recorded the loss by then, so catching that leaves nothing half done.
    fn poll(&self, kind: wgpu::PollType) -> Option<Result<wgpu::PollStatus, wgpu::PollError>> {
        catch_unwind(AssertUnwindSafe(|| self.device.poll(kind))).ok()
    }
}

/// Threads may share a device and its sessions.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Gpu>();
    shared::<Session>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fixture;

    #[test]
    fn the_cpu_executor_is_no_device() {
        assert!(Gpu::open(&Choice::Cpu, &Options::default()).unwrap().is_none());
    }

    #[test]
    fn an_adapter_that_is_not_there_is_a_device_error() {
        let error = Gpu::open(&Choice::Index(1000), &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Device(_)), "{error}");
    }

    #[test]
    fn limits_are_the_adapters_own() {
        let gpu = fixture::gpu();
        assert_eq!(gpu.limits().max_buffer_size, gpu.report().limits.max_buffer_size);
        assert!(gpu.limits().max_storage_buffer_binding_size >= 128 << 20);
    }

    #[test]
    fn an_error_outside_every_scope_is_reported_by_the_next_one() {
        let gpu = fixture::gpu();
        let zero_usage = wgpu::BufferDescriptor {
            label: Some("misused"),
            size: 4,
            usage: wgpu::BufferUsages::empty(),
            mapped_at_creation: false,
        };
        let _invalid = gpu.device.create_buffer(&zero_usage);
        let error = gpu.checked("later", || Ok(())).unwrap_err().to_string();
        assert!(error.contains("misused"), "{error}");
        assert!(gpu.checked("later still", || Ok(())).is_ok());
    }
}
