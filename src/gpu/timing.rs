//! Device time of each step, from timestamps that the device itself writes.

use super::Session;
use super::buffers;
use super::launch::Prepared;
use super::readback::Readback;
use crate::error::Result;
use crate::tensor::Tensor;
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
    /// Device time in milliseconds.
    pub ms: f64,
}

impl Session {
    /// Runs once and times each step on the device; none where the adapter has no timestamps. Where timestamps can only
    /// be taken between passes, each step gets a pass of its own, which costs some microseconds a step.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn profile(&self, inputs: &[(&str, &Tensor)]) -> Result<Option<Vec<StepTime>>> {
        if !self.gpu.device.features().contains(Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let fed = self.fed(inputs)?;
        let stopwatch = Stopwatch::new(self)?;
        let queue = self.gpu.queue();
        self.write(&queue, &fed)?;
        let mut times = Vec::with_capacity(self.steps.len());
        for steps in self.steps.chunks(STEPS_AT_ONCE) {
            for (step, ms) in steps.iter().zip(stopwatch.time(self, &queue, steps)?) {
                times.push(StepTime { step: times.len(), name: step.name.clone(), ms });
            }
        }
        Ok(Some(times))
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

    /// Runs the steps and gives the milliseconds that each took.
    fn time(&self, session: &Session, queue: &wgpu::Queue, steps: &[Prepared]) -> Result<Vec<f64>> {
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
            Ok(queue.submit([encoder.finish()]))
        })?;
        let ticks = self.readback.counters(gpu, queue, submission, count)?;
        let ms_per_tick = f64::from(queue.get_timestamp_period()) * 1e-6;
        // A clock that steps back, as some do when the device changes its power state, gives 0 and not 584 years.
        Ok(ticks.chunks_exact(2).map(|ends| ends[1].saturating_sub(ends[0]) as f64 * ms_per_tick).collect())
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
        let times = stopwatch.time(&session, &session.gpu.queue(), &session.steps).unwrap();
        assert!(times.len() == 2 && times.iter().all(|&ms| ms > 0.0 && ms < 30_000.0), "{times:?}");
    }
}
