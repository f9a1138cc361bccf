//! Runs a [`Plan`](crate::plan::Plan) on a GPU. The only module that names wgpu: everything before it is plain data.
//!
//! [`adapters`] lists what there is, [`Choice`] picks one, [`Gpu::open`] opens it, [`Gpu::load`] uploads a plan once
//! and [`Session`] runs it as often as wanted. Nothing here panics: whatever wgpu or the driver reports, or fails to
//! report in time, becomes an [`Error`](crate::error::Error) that names the variant, step or tensor at fault.

mod adapter;
mod buffers;
mod choice;
mod device;
mod faults;
#[cfg(test)]
mod fixture;
mod launch;
mod pipeline_cache;
mod pipelines;
mod readback;
mod session;
mod timing;
mod warm_up;

pub use adapter::{AdapterFeatures, AdapterKind, AdapterLimits, AdapterReport, Feature, adapters};
pub use choice::Choice;
pub use device::{Gpu, Options, is_left_at_work};
pub use session::Session;
pub use timing::{Phase, Span, StepTime, Trace};
