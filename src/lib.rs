//! Reluctor: a convolution engine for any GPU.
//!
//! It reads a CNN (ONNX), fuses each convolution with its bias, residual, activation and pooling, runs it as WGSL compute
//! shaders through wgpu, and proves its numbers against a CPU reference.
//!
//! ```text
//! bytes --onnx::Model--> Graph --passes::optimize--> Graph --plan::plan--> Plan --Gpu::load--> Session --run--> Tensors
//! ```

pub mod analysis;
pub mod bound;
pub mod budget;
pub mod cpu;
pub mod device;
pub mod element;
pub mod engine;
pub mod error;
pub mod files;
pub mod gpu;
pub mod graph;
pub mod items;
pub mod kernels;
pub mod linalg;
pub mod onnx;
pub mod ops;
pub mod passes;
pub mod plan;
pub mod random;
pub mod session;
pub mod simd;
pub mod tensor;

pub use onnx::Model;
pub use session::{Options, Session};
