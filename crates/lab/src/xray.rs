//! What do the activations do? Measures of how far a network is from linear, on its own data.
//!
//! Two questions are asked again and again about convolutional networks: is convolution not already non-linear, or does max
//! pooling not bend enough, so why activations? And after convolution and Relu everything is >= 0: is the network linear from
//! there on? The measures here answer them for the network at hand. `docs/xray.md` defines each, with units and sources.

pub mod ablation;
pub mod affinity;
pub mod apart;
pub mod chain;
pub mod collapse;
pub mod curve;
pub mod floor;
pub mod local;
pub mod measure;
pub mod pooling;
pub mod regions;
pub mod role;
pub mod run;
pub mod sampled;
pub mod signs;
mod solve;
pub mod study;
pub mod tail;

pub use affinity::Verdict;
pub use curve::Curve;
pub use measure::{Layer, Measured, Subject, measure};
pub use regions::{Breakpoint, Regions, Solver};
pub use run::{Loaded, OnCpu, Passes, Runner};
