//! Reluctor: a convolution engine for any GPU.
//!
//! It reads a CNN (ONNX), fuses each convolution with its bias, residual, activation and pooling, runs it as WGSL compute
//! shaders through wgpu, and proves its numbers against a CPU reference.
//!
//! ```text
//! bytes --onnx::Model--> Graph --passes::optimize--> Graph --plan::plan--> Plan --Gpu::load--> Session --run--> Tensors
//! ```

pub mod analysis;
pub mod answer;
pub mod bench;
pub mod bound;
pub mod budget;
pub mod bundle;
pub mod cases;
pub mod cli;
pub mod compare;
pub mod cpu;
pub mod default_model;
pub mod device;
pub mod element;
pub mod engine;
pub mod error;
pub mod files;
pub mod gpu;
pub mod graph;
pub mod image;
pub mod items;
pub mod kernels;
pub mod linalg;
pub mod onnx;
pub mod ops;
pub mod passes;
pub mod plan;
pub mod random;
pub mod report;
pub mod selftest;
pub mod session;
pub mod simd;
pub mod special_values;
pub mod suite;
pub mod tensor;
pub mod tune;
pub mod xray;

pub use onnx::Model;
pub use session::{Options, Session};
