//! What goes wrong behind wgpu's back: errors that no scope catches, and the loss of the device.

use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The faults that one device reported by callback.
#[derive(Debug, Default)]
pub(super) struct Faults {
    lost: OnceLock<String>,
    uncaptured: Mutex<Option<String>>,
}

impl Faults {
    /// Records the faults of `device` from now on. Without these callbacks wgpu panics.
    pub(super) fn watch(device: &wgpu::Device) -> Arc<Self> {
        let faults = Arc::new(Faults::default());
        let for_errors = Arc::clone(&faults);
        device.on_uncaptured_error(Arc::new(move |error| {
            *lock(&for_errors.uncaptured) = Some(describe(&error));
        }));
        let for_loss = Arc::clone(&faults);
        device.set_device_lost_callback(move |reason, message| {
            // Only the first reason is the cause; a later call has nothing to add.
            let _ = for_loss.lost.set(format!("{reason:?} {message}").trim().to_lowercase());
        });
        faults
    }

    /// Whether the device is lost.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// The device's loss, or the last error that no scope caught; the latter is reported once.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(reason) = self.lost.get() {
            return Err(Error::Device(format!("device lost: {reason}")));
        }
        match lock(&self.uncaptured).take() {
            Some(message) => Err(Error::Device(message)),
            None => Ok(()),
        }
    }
}

/// A wgpu error without its boilerplate heading. Shader errors keep their lines: they quote the source.
pub(super) fn describe(error: &wgpu::Error) -> String {
    let text = match error {
        wgpu::Error::OutOfMemory { source } => {
            let cause = source.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
            format!("out of device memory{cause}")
        }
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => description.clone(),
    };
    text.trim_start_matches("Validation Error").trim_start().trim_start_matches("Caused by:").trim().to_string()
}

/// Locks; what a panicking thread left behind is still whole, as every critical section here is.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
