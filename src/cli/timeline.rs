//! Traced runs in the Trace Event Format that chrome://tracing and Perfetto read.
//! Source: Google, Trace Event Format, "complete events".

use crate::error::{Error, Result};
use crate::gpu::{Phase, Trace};
use serde_json::{Value, json};
use std::path::Path;

/// A run whose steps were timed.
pub struct TracedRun<'a> {
    /// What ran.
    pub name: &'a str,
    /// None on an adapter without timestamps.
    pub trace: Option<&'a Trace>,
    /// Milliseconds that planning, and loading with compilation, took before it.
    pub before: [f64; 2],
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
        events.extend(of_run(process, trace, run.before));
    }
    let document = json!({ "displayTimeUnit": "ms", "traceEvents": events });
    std::fs::write(path, document.to_string()).map_err(|error| Error::io(path, error))
}

/// That steps cannot be timed here.
pub fn no_timestamps() -> Error {
    Error::Usage("--trace and --profile need a device with timestamps".to_string())
}

/// Microseconds since planning began; the rounds between loading and the run are left out. The device's clock is another
/// one: its last step is taken to end with the host's wait, which is what ends it.
fn of_run(process: usize, trace: &Trace, [plan, load]: [f64; 2]) -> Vec<Value> {
    let event = move |thread: usize, name: &str, start_ms: f64, ms: f64| {
        json!({
            "ph": "X", "pid": process, "tid": thread, "name": name, "ts": start_ms * 1e3, "dur": ms * 1e3
        })
    };
    let wait = trace.host.iter().rfind(|span| span.phase == Phase::Wait);
    let end = wait.map_or(trace.ms, |wait| wait.start_ms + wait.ms);
    let (run, device) = (plan + load, plan + load + end - trace.device_ms());
    let name = |phase: Phase| serde_json::to_value(phase).ok().and_then(|name| name.as_str().map(str::to_string));
    let host =
        trace.host.iter().map(|span| event(0, &name(span.phase).unwrap_or_default(), run + span.start_ms, span.ms));
    let steps = trace.steps.iter().map(|step| event(1, &step.name, device + step.start_ms, step.ms));
    let before = [event(0, "plan", 0.0, plan), event(0, "load", plan, load)];
    before.into_iter().chain(host).chain(steps).collect()
}
