//! Machine code ahead of the first run, where a software adapter's driver makes it when a pipeline is first dispatched.
//!
//! lavapipe does so on the one thread that a device has, one pipeline after another, which is most of a cold start. It keeps
//! what it makes in a cache that all devices share: so other devices of the same adapter make a part of it meanwhile, and this
//! one finds it there.

use super::faults::lock;
use super::{Gpu, buffers};
use crate::budget::addresses_are_limited;
use crate::error::Result;
use crate::plan::{Dispatch, SCRATCH};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use wgpu::BufferUsages;

/// A dispatch of nothing that takes longer waits for its machine code. From the driver's cache that comes in a fifth of this.
const PATIENCE: Duration = Duration::from_millis(40);

/// Other devices that help, at most: a network has about ten pipelines.
const HELPERS: usize = 3;

/// Dispatches of nothing that no device has made yet; the last is the one to make next.
type Waiting<'a> = Mutex<Vec<&'a Dispatch>>;

/// Makes the machine code of these pipelines, the last one first. Without effect where the driver has it already.
///
/// # Errors
/// [`Error::Device`](crate::error::Error::Device) where this device fails; where a helper does, its part is left to the first run.
pub(super) fn warm_up(gpu: &Gpu, mut dispatches: Vec<&Dispatch>, is_trusted: bool) -> Result<()> {
    let helpers = HELPERS.min(gpu.limits().threads as usize - 1).min(dispatches.len().saturating_sub(1));
    // A helper could take the last addresses that this device needs, and drivers do not survive that.
    let Some(first) = dispatches.pop().filter(|_| helpers > 0 && !addresses_are_limited()) else { return Ok(()) };
    let queue = gpu.queue();
    let submission = dispatch_nothing(gpu, &queue, first, is_trusted)?;
    if gpu.answers_within(&submission, PATIENCE) {
        return Ok(());
    }
    let waiting = Mutex::new(dispatches);
    let help = || gpu.reopen().and_then(|helper| dispatch_all(&helper, &helper.queue(), &waiting, is_trusted));
    thread::scope(|scope| {
        // Without a thread there is one helper less.
        let helpers: Vec<_> =
            (0..helpers).filter_map(|_| thread::Builder::new().spawn_scoped(scope, help).ok()).collect();
        let done = gpu.wait(&queue, submission).and_then(|()| dispatch_all(gpu, &queue, &waiting, is_trusted));
        if done.is_err() {
            lock(&waiting).clear();
        }
        // Drivers that fail may panic in wgpu: what befalls a helper is none of this device's faults.
        helpers.into_iter().for_each(|helper| drop(helper.join()));
        done
    })
}

/// Takes one after the other until none is left.
fn dispatch_all(gpu: &Gpu, queue: &wgpu::Queue, waiting: &Waiting<'_>, is_trusted: bool) -> Result<()> {
    let next = || lock(waiting).pop();
    while let Some(dispatch) = next() {
        let submission = dispatch_nothing(gpu, queue, dispatch, is_trusted)?;
        gpu.wait(queue, submission)?;
    }
    Ok(())
}

/// Submits the dispatch with no workgroups and with buffers of its own.
fn dispatch_nothing(
    gpu: &Gpu,
    queue: &wgpu::Queue,
    dispatch: &Dispatch,
    is_trusted: bool,
) -> Result<wgpu::SubmissionIndex> {
    let pipeline = gpu.pipelines.of(gpu, dispatch, is_trusted)?;
    let label = format!("{} ahead of its first run", dispatch.variant);
    let uniform = [(0, dispatch.params.len() as u64, BufferUsages::UNIFORM)];
    let storage = (1..=1 + dispatch.inputs.len() as u32).chain(dispatch.scratch.map(|_| SCRATCH));
    let storage = storage.map(|binding| (binding, 0, BufferUsages::STORAGE));
    let buffer = |(binding, bytes, usage)| Ok((binding, buffers::create(gpu, &label, buffers::padded(bytes), usage)?));
    let buffers = uniform.into_iter().chain(storage).map(buffer).collect::<Result<Vec<(u32, wgpu::Buffer)>>>()?;
    let entries = buffers
        .iter()
        .map(|(binding, buffer)| wgpu::BindGroupEntry { binding: *binding, resource: buffer.as_entire_binding() });
    let entries: Vec<_> = entries.collect();
    gpu.checked(&label, || {
        let layout = &pipeline.bindings;
        let bindings = wgpu::BindGroupDescriptor { label: Some(&label), layout, entries: &entries };
        let bindings = gpu.device.create_bind_group(&bindings);
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline.compute);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(0, 0, 0);
        drop(pass);
        Ok(queue.submit([encoder.finish()]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fixture::{self, BROKEN, SCALE, SCALE_ADD};
    use crate::plan::Plan;

    fn both() -> [Plan; 2] {
        [fixture::chain(&SCALE, 4), fixture::weighted(vec![1.0; 4])]
    }

    #[test]
    fn every_kind_of_dispatch_can_be_made_ahead_and_computes_afterwards() {
        let (gpu, plans) = (fixture::gpu(), both());
        let waiting = Mutex::new(plans.iter().flat_map(Plan::dispatches).collect());
        dispatch_all(&gpu, &gpu.queue(), &waiting, true).unwrap();
        assert!(lock(&waiting).is_empty());
        assert_eq!(gpu.compiled(), 2, "{} and {}", SCALE.name, SCALE_ADD.name);
        let outputs = gpu.load(&plans[0]).unwrap().run(&[("a", &fixture::ramp(4))]).unwrap();
        assert_eq!(outputs[0].1.as_real().unwrap().as_slice(), Some(&[6.0, 12.0, 18.0, 24.0][..]));
    }

    #[test]
    fn what_fails_ahead_names_the_variant() {
        let (gpu, plan) = (fixture::gpu(), fixture::chain(&BROKEN, 4));
        let waiting = Mutex::new(plan.dispatches().collect());
        let message = dispatch_all(&gpu, &gpu.queue(), &waiting, true).unwrap_err().to_string();
        assert!(message.contains("test_broken"), "{message}");
    }
}
