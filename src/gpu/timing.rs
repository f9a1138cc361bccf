//! Device time of each step, from timestamps that the device itself writes.

use super::Session;
use super::buffers;
use super::launch::Prepared;
use super::readback::Readback;
use crate::error::Result;
use crate::tensor::Tensor;
use std::time::Instant;
use wgpu::Features;

/// Steps timed in one submission: each takes two of a query set's 4,096 timestamps.
const STEPS_AT_ONCE: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// How long the device took for one step.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StepTime {
    /// The step's index in the plan.
    pub step: usize,
    /// The node's name.
    pub name: String,
    /// When it began, in milliseconds since the first step did.
    pub start_ms: f64,
    /// Device time in milliseconds.
    pub ms: f64,
}

/// What the host did in a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Staging the inputs.
    Upload,
    /// Recording commands.
    Encode,
    /// Handing them to the driver.
    Submit,
    /// Until the device is done.
    Wait,
    /// Copying the outputs to where the caller gets them.
    Readback,
}

/// A stretch of the host's time.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Span {
    /// What was done.
    pub phase: Phase,
    /// In milliseconds since the run began.
    pub start_ms: f64,
    /// In milliseconds.
    pub ms: f64,
}

/// One run, as the host and the device saw it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Trace {
    /// The host's time, without a gap.
    pub host: Vec<Span>,
    /// The device's. Its clock is another one: only differences mean something.
    pub steps: Vec<StepTime>,
    /// Milliseconds of the whole run.
    pub ms: f64,
}

impl Trace {
    /// Milliseconds of all steps, without what lies between them.
    pub fn busy_ms(&self) -> f64 {
        self.steps.iter().map(|step| step.ms).sum()
    }

    /// Milliseconds from the beginning of the first step to the end of the last.
    pub fn device_ms(&self) -> f64 {
        self.steps.last().map_or(0.0, |last| last.start_ms + last.ms)
    }
}

/// The host's clock in a run.
struct Host {
    start: Instant,
    spans: Vec<Span>,
}

impl Host {
    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1e3
    }

    /// Ends what was done since the last one ended.
    fn done(&mut self, phase: Phase) {
        let start_ms = self.spans.last().map_or(0.0, |last| last.start_ms + last.ms);
        self.spans.push(Span { phase, start_ms, ms: self.now() - start_ms });
    }
}

impl Session {
    /// Runs once and times each step on the device; none where the adapter has no timestamps.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn profile(&self, inputs: &[(&str, &Tensor)]) -> Result<Option<Vec<StepTime>>> {
        Ok(self.trace(inputs)?.map(|trace| trace.steps))
    }

    /// The same, with what the host did meanwhile. Where timestamps can only be taken between passes, each step gets a pass
    /// of its own, which costs some microseconds a step.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn trace(&self, inputs: &[(&str, &Tensor)]) -> Result<Option<Trace>> {
        if !self.gpu.device.features().contains(Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let fed = self.fed(inputs)?;
        let stopwatch = Stopwatch::new(self)?;
        let queue = self.gpu.queue();
        let mut host = Host { start: Instant::now(), spans: Vec::new() };
        self.write(&queue, &fed)?;
        host.done(Phase::Upload);
        let mut times = Vec::with_capacity(self.steps.len());
        for steps in self.steps.chunks(STEPS_AT_ONCE) {
            let before = times.last().map_or(0.0, |last: &StepTime| last.start_ms + last.ms);
            for (step, [start, end]) in steps.iter().zip(stopwatch.time(self, &queue, steps, &mut host)?) {
                let (index, name) = (times.len(), step.name.clone());
                times.push(StepTime { step: index, name, start_ms: before + start, ms: end - start });
            }
        }
        let submission = self.submit(&queue, &[], &self.readback, &self.computed)?;
        drop(self.readback.tensors(&self.gpu, &queue, submission, &self.computed)?);
        host.done(Phase::Readback);
        Ok(Some(Trace { ms: host.now(), host: host.spans, steps: times }))
    }
}

/// Timestamps on the device and their way to the host.
struct Stopwatch {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: Readback,
    /// Whether the device takes timestamps inside a pass.
    one_pass: bool,
}

impl Stopwatch {
    fn new(session: &Session) -> Result<Self> {
        let gpu = &session.gpu;
        let count = 2 * session.steps.len().clamp(1, STEPS_AT_ONCE) as u32;
        let bytes = u64::from(count) * u64::from(wgpu::QUERY_SIZE);
        let descriptor = wgpu::QuerySetDescriptor { label: Some("steps"), ty: wgpu::QueryType::Timestamp, count };
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        Ok(Stopwatch {
            queries: gpu.checked("timestamps", || Ok(gpu.device.create_query_set(&descriptor)))?,
            resolved: buffers::create(gpu, "timestamps", bytes, usage)?,
            readback: Readback::allocate(gpu, bytes)?,
            one_pass: gpu.device.features().contains(Features::TIMESTAMP_QUERY_INSIDE_PASSES),
        })
    }

    /// Runs the steps and gives the milliseconds at which each began and ended, since the first one began.
    fn time(
        &self,
        session: &Session,
        queue: &wgpu::Queue,
        steps: &[Prepared],
        host: &mut Host,
    ) -> Result<Vec<[f64; 2]>> {
        let (gpu, count) = (&session.gpu, 2 * steps.len() as u64);
        let submission = gpu.checked("profile", || {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            if self.one_pass {
                self.record_in_one_pass(&mut encoder, steps);
            } else {
                self.record_a_pass_each(&mut encoder, steps);
            }
            encoder.resolve_query_set(&self.queries, 0..count as u32, &self.resolved, 0);
            self.readback.record_raw(&mut encoder, &self.resolved, count * u64::from(wgpu::QUERY_SIZE));
            let commands = encoder.finish();
            host.done(Phase::Encode);
            Ok(queue.submit([commands]))
        })?;
        host.done(Phase::Submit);
        let ticks = self.readback.counters(gpu, queue, submission, count)?;
        host.done(Phase::Wait);
        let ms_per_tick = f64::from(queue.get_timestamp_period()) * 1e-6;
        let first = ticks.first().copied().unwrap_or(0);
        // A clock that steps back, as some do when the device changes its power state, gives 0 and not 584 years.
        let since_first = |tick: u64| tick.saturating_sub(first) as f64 * ms_per_tick;
        let ends = |ends: &[u64]| [since_first(ends[0]), since_first(ends[1].max(ends[0]))];
        Ok(ticks.chunks_exact(2).map(ends).collect())
    }

    fn record_in_one_pass(&self, encoder: &mut wgpu::CommandEncoder, steps: &[Prepared]) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for (query, step) in (0..).step_by(2).zip(steps) {
            pass.write_timestamp(&self.queries, query);
            step.record(&mut pass);
            pass.write_timestamp(&self.queries, query + 1);
        }
    }

    fn record_a_pass_each(&self, encoder: &mut wgpu::CommandEncoder, steps: &[Prepared]) {
        for (query, step) in (0..).step_by(2).zip(steps) {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(query),
                end_of_pass_write_index: Some(query + 1),
            });
            step.record(
                &mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fixture::{self, SCALE};

    #[test]
    fn each_step_is_timed_in_order() {
        let session = fixture::gpu().load(&fixture::chain(&SCALE, 100_000)).unwrap();
        let times = session.profile(&[("a", &fixture::ramp(100_000))]).unwrap();
        assert_eq!(times.is_some(), session.gpu().report().features.timestamp_query);
        let times = times.unwrap_or_default();
        let rows: Vec<_> = times.iter().map(|time| (time.step, time.name.as_str())).collect();
        assert!(rows == [(0, "b"), (1, "c")] || rows.is_empty(), "{rows:?}");
        assert!(times.iter().all(|time| time.ms > 0.0 && time.ms < 30_000.0), "{times:?}");
    }

    #[test]
    fn a_pass_for_each_step_times_them_too() {
        let session = fixture::gpu().load(&fixture::chain(&SCALE, 100_000)).unwrap();
        if !session.gpu().report().features.timestamp_query {
            return println!("SKIPPED: {} has no timestamps", session.gpu().report());
        }
        let stopwatch = Stopwatch { one_pass: false, ..Stopwatch::new(&session).unwrap() };
        let mut host = Host { start: Instant::now(), spans: Vec::new() };
        let times = stopwatch.time(&session, &session.gpu.queue(), &session.steps, &mut host).unwrap();
        assert!(times.len() == 2 && times[0][0] == 0.0, "{times:?}");
        assert!(times[0][1] <= times[1][0] && times[1][0] < times[1][1] && times[1][1] < 30_000.0, "{times:?}");
    }

    #[test]
    fn the_phases_of_a_traced_run_follow_one_another_without_a_gap() {
        let session = fixture::gpu().load(&fixture::chain(&SCALE, 100_000)).unwrap();
        let Some(trace) = session.trace(&[("a", &fixture::ramp(100_000))]).unwrap() else {
            return println!("SKIPPED: {} has no timestamps", session.gpu().report());
        };
        let phases: Vec<Phase> = trace.host.iter().map(|span| span.phase).collect();
        assert_eq!(phases, [Phase::Upload, Phase::Encode, Phase::Submit, Phase::Wait, Phase::Readback]);
        let total: f64 = trace.host.iter().map(|span| span.ms).sum();
        assert!((total - trace.ms).abs() < 0.1 * trace.ms + 0.1, "{trace:?}");
        assert!(trace.steps[0].start_ms + trace.steps[0].ms <= trace.steps[1].start_ms, "{trace:?}");
    }
}
