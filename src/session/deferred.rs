//! Runs for callers that must not block.

use super::Session;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use futures_channel::oneshot;
use std::future::Future;
use std::thread;

impl Session {
    /// As [`Session::run`], for callers that must not block: a device is polled, and the CPU executor computes, on a
    /// thread of its own. It starts at once, whether the future is polled or not, with a copy of the inputs; what is
    /// dropped before its end is computed for nobody.
    ///
    /// # Errors
    /// As [`Session::run`]; [`Error::Internal`] where that panics or no thread can be had.
    pub fn run_async(
        &self,
        inputs: &[(&str, &Tensor)],
    ) -> impl Future<Output = Result<Vec<(String, Tensor)>>> + Send + 'static {
        let (session, inputs) = (self.clone(), owned(inputs));
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
            // Where the future is gone nobody listens any more.
            drop(sender.send(session.run(&inputs)));
        };
        let started = thread::Builder::new().name("reluctor run".to_string()).spawn(work);
        async move {
            started.map_err(|error| Error::Internal(format!("no thread for a run: {error}")))?;
            receiver.await.map_err(|_| Error::Internal("a run panicked".to_string()))?
        }
    }
}

fn owned(inputs: &[(&str, &Tensor)]) -> Vec<(String, Tensor)> {
    inputs.iter().map(|&(name, tensor)| (name.to_string(), tensor.clone())).collect()
}
