//! How far an f32 result may lie from the exact one without computing another function.
//!
//! The model is the standard one (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 2.2): each
//! operation returns `(x op y)(1 + d)` with `|d| <= u`, u = 2^-24. A sum of n rounded products, in any order, is then off by
//! at most `gamma_n * sum |x_i| |w_i|`, `gamma_n = n u / (1 - n u)` (section 3.1): any order covers tiles, vectors, split sums
//! and fused multiply-adds alike. The magnitude sum comes from the same operator run on absolute values, in f64.
//!
//! Each operator's `error_bound` takes bounds on its inputs' errors, carries them through (a convolution by its absolute
//! weights, an activation by its Lipschitz constant, a maximum by the largest in its window) and adds its own rounding.
//! Functions are good to what WGSL promises of them (W3C, WebGPU Shading Language, section "Floating point accuracy"):
//! division 2.5 ULP, `exp` 3 + 2|x| ULP, square root as 1/inverseSqrt; one ULP is at most 2u relative.
//! A device may read a subnormal number as zero and write one as zero: where that is multiplied, so is what it costs.
//! The reference's own rounding in f64 is 2^-29 of that of f32, well within the slack of counting each step in full.

/// The unit roundoff of f32.
pub const U: f64 = 1.0 / (1u64 << 24) as f64;

/// Devices may flush subnormal numbers to zero, operands and results: the smallest normal f32.
pub const FLUSH: f64 = f32::MIN_POSITIVE as f64;

/// What reading an operand may cost: all of a subnormal number, nothing of another.
pub fn flushed(x: f64) -> f64 {
    if x.abs() < FLUSH { x.abs() } else { 0.0 }
}

/// What flushing may cost a sum of `n` products: each factor, given the largest magnitude on the other side, each product and
/// each partial sum.
pub fn flush_of_products(n: usize, largest: [f64; 2]) -> f64 {
    2.0 * n as f64 * FLUSH * (1.0 + largest[0] + largest[1])
}

/// The largest finite magnitude.
pub fn largest<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().filter(|x| x.is_finite()).fold(0.0, |most, x| most.max(x.abs()))
}

/// `n u / (1 - n u)`, Higham's gamma; infinite where n is so large that the model says nothing.
pub fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U;
    if nu < 1.0 { nu / (1.0 - nu) } else { f64::INFINITY }
}
