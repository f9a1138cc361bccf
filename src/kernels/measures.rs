//! Kernels that compute nothing, but measure what an adapter can do.

use super::Kernel;
use crate::uniform;

uniform! {
    /// Parameters of `roof_multiply_add`.
    pub struct MultiplyAddParams { rounds: u32, factor: f32, addend: f32 }
}

uniform! {
    /// Parameters of `roof_copy`.
    pub struct CopyParams { count: u32 }
}

uniform! {
    /// Parameters of `roof_launch`.
    pub struct LaunchParams { value: f32 }
}

macro_rules! measure {
    ($name:literal, $params:ident) => {
        Kernel {
            name: $name,
            source: include_str!(concat!("../../shaders/", $name, ".wgsl")),
            includes: &[],
            params: $params::FIELDS,
            combinations: || vec![vec![]],
        }
    };
}

/// Chains of multiply-adds in registers.
pub static MULTIPLY_ADD: Kernel = measure!("roof_multiply_add", MultiplyAddParams);
/// 16 bytes an invocation.
pub static COPY: Kernel = measure!("roof_copy", CopyParams);
/// Next to nothing.
pub static LAUNCH: Kernel = measure!("roof_launch", LaunchParams);

/// Flops of one invocation in one round: 16 times three vectors of four, as the shader has them.
pub const FLOPS_A_ROUND: u64 = 16 * 3 * 4 * 2;
