//! Traced runs in the Trace Event Format that chrome://tracing and Perfetto read.
//! Source: Google, Trace Event Format, "complete events".

use super::device_args::Device;
use reluctor::error::{Error, Result};
use reluctor::gpu::{Phase, Trace};
use serde_json::{Value, json};
use std::path::Path;

/// A run whose steps were timed.
pub struct TracedRun<'a> {
    /// What ran.
    pub name: &'a str,
    /// None on an adapter without timestamps.
    pub trace: Option<&'a Trace>,
    /// What the host did before, by name and in order, in milliseconds.
    pub before: Vec<(&'static str, f64)>,
}

/// Writes runs, one process each, host and device as its threads.
///
/// # Errors
/// [`Error::Usage`] where the device has no timestamps; [`Error::Io`].
pub fn write(path: &Path, runs: &[TracedRun<'_>]) -> Result<()> {
    let mut events = Vec::new();
    for (process, run) in runs.iter().enumerate() {
        let trace = run.trace.ok_or_else(no_timestamps)?;
        let name = |what: &str, thread: usize, name: &str| json!({ "ph": "M", "name": what, "pid": process, "tid": thread, "args": { "name": name } });
        let names =
            [name("process_name", 0, run.name), name("thread_name", 0, "host"), name("thread_name", 1, "device")];
        events.extend(names);
        events.extend(of_run(process, trace, &run.before));
    }
    let document = json!({ "displayTimeUnit": "ms", "traceEvents": events });
    std::fs::write(path, document.to_string()).map_err(|error| Error::io(path, error))
}

/// Before anything is measured: whether steps can be timed there.
///
/// # Errors
/// [`Error::Usage`] where the device has no timestamps.
pub fn has_timestamps(device: &Device) -> Result<()> {
    match device.gpu() {
        Some(gpu) if !gpu.report().features.timestamp_query => Err(no_timestamps()),
        _ => Ok(()),
    }
}

/// That steps cannot be timed here.
pub fn no_timestamps() -> Error {
    Error::Usage("--trace and --profile need a device with timestamps".to_string())
}

/// Microseconds since the first of what came before; the rounds between loading and the run are left out. The device's clock is another
/// one: its last step is taken to end with the host's wait, which is what ends it.
fn of_run(process: usize, trace: &Trace, before: &[(&str, f64)]) -> Vec<Value> {
    let event = move |thread: usize, name: &str, start_ms: f64, ms: f64| {
        json!({
            "ph": "X", "pid": process, "tid": thread, "name": name, "ts": start_ms * 1e3, "dur": ms * 1e3
        })
    };
    let wait = trace.host.iter().rfind(|span| span.phase == Phase::Wait);
    let end = wait.map_or(trace.ms, |wait| wait.start_ms + wait.ms);
    let run: f64 = before.iter().map(|(_, ms)| ms).sum();
    let device = run + end - trace.device_ms();
    let name = |phase: Phase| serde_json::to_value(phase).ok().and_then(|name| name.as_str().map(str::to_string));
    let host =
        trace.host.iter().map(|span| event(0, &name(span.phase).unwrap_or_default(), run + span.start_ms, span.ms));
    let steps = trace.steps.iter().map(|step| event(1, &step.name, device + step.start_ms, step.ms));
    let starts = before.iter().scan(0.0, |next, (_, ms)| Some(std::mem::replace(next, *next + ms)));
    let before = before.iter().zip(starts).map(|((name, ms), start)| event(0, name, start, *ms));
    before.chain(host).chain(steps).collect()
}
