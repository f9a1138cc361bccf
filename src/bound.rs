//! How far an f32 result may lie from the exact one without computing another function.
//!
//! A comparison needs to know, for each element, how large an error rounding alone can make. A fixed tolerance does not tell:
//! the sum of 4,608 products may be off by a thousand times what a single one may. Each operator therefore states a bound of
//! its own (`Operator::error_bound`), computed in f64 beside the reference. An error above the bound is proof that the device
//! computed another function; an error below it is none of the opposite, but the bound is close enough to catch a wrong tap,
//! a wrong channel or 16-bit storage (`tests/it/mutants.rs`).
//!
//! The derivation follows N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, SIAM 2002; section
//! numbers are that book's.
//!
//! # The model of rounding
//!
//! Each operation returns `(x op y)(1 + d)` with `|d| <= u`, `u` = 2^-24 ([`U`]), unless it underflows (section 2.2, the
//! standard model). Products of n such factors are gathered by `|prod (1 + d_i) - 1| <= gamma_n`, `gamma_n = n u / (1 - n u)`
//! (lemma 3.1, [`gamma`]).
//!
//! # Sums of products
//!
//! A sum of n products, in whatever order it is formed, is off by at most `gamma_n * sum |x_i| |w_i|` (section 3.1, and
//! section 4.2 for the order of summation). No more is assumed than that each product takes part in at most n roundings. That
//! holds for tiles, vectors, sums split over dispatches, tree reductions, and for fused multiply-adds, which only leave
//! roundings out. A filter tap outside the image adds an exact zero.
//!
//! The **magnitude sum** `sum |x_i| |w_i|` comes from the same operator run on absolute values, in f64. With bias `b`,
//! residual `r` and a batch normalization folded into the filters as `w' = fl(f w)` and `b' = fl(f b + o)`, each rounded once
//! from f64, the sum `S = f sum x w + f b + o + r` is off by at most
//!
//! ```text
//! gamma_(n+3) (|f| sum |x||w| + |f b + o| + |r|) + FLUSH
//! ```
//!
//! where n counts the products, and 3 the rounding of the folded factor, of adding the bias and of adding the residual.
//! Weights that were folded on the CPU are the reference's own too, in f64, so that folding has no other error.
//!
//! # Sums by Winograd's algorithm
//!
//! `conv_winograd` forms a tile of sums as `A^T [sum over C channels of U * V] A` with `V = B^T d B` of the pixels `d` and
//! `U = G g G^T` of the filters `g` (matrices: `src/ops/conv/winograd/transform.rs`). A pixel takes part in 2 products with a
//! rounded constant and at most 6 additions on its way through `B`, which makes 10 roundings; in one of `U`, which is
//! rounded once from f64; in C of the sum over channels, its product included; and in 10 more through `A`. So each sum is
//! off by at most
//!
//! ```text
//! gamma_(C+21) |A^T| [sum over channels of |U| * (|B^T| |d| |B|)] |A|
//! ```
//!
//! and by what bias, residual and folded factors add, as above. The bound is computed tile by tile as the device computes,
//! with absolute values, so that it is as close as that of plain sums; but the terms are larger than the products
//! themselves, and with them bound and error. Small numbers beside large ones in a tile lose their last digits. Nor does it
//! keep NaN and infinities to the results that read them: they reach all 16 results of each tile that they lie under.
//!
//! # What comes after a sum
//!
//! With `e` the bound so far and `x` the exact value:
//!
//! - An **activation** with Lipschitz constant `L` near `x` is off by `L e` and its own rounding. The constants are the largest
//!   slopes: 1 for Relu, Clip, Tanh, Softplus, Softsign; max(1, |alpha|) for LeakyRelu and Elu; max(1, |slope|) for PRelu;
//!   |gamma| max(1, |alpha|) for Selu; 1/4 for Sigmoid; |alpha| for HardSigmoid; 3/2 for HardSwish; 1.09 for Mish, 1.13 for Gelu,
//!   1.1 for Swish, each the maximum rounded up. ThresholdedRelu jumps: within `e` of its step, either side is right.
//! - A **maximum** is off by at most the largest bound in its window, since max is 1-Lipschitz in the maximum norm.
//! - A **mean** of n is off by the mean of the bounds, `gamma_n` of the mean magnitude for the sum, and 5u for the division.
//! - **Softmax** subtracts the row's maximum exactly up to one rounding; with d = x - max, an exponential is off by (6 + 5|d|) u,
//!   relative, the sum by the weighted mean of that and gamma, the division by 5u; inputs off by `e` change a result by a factor
//!   of at most exp(2e).
//! - A **batch normalization** that stands alone multiplies by a factor and adds an offset, each rounded once: 3u of the
//!   magnitudes, and `|f| e`.
//! - **Moving, copying, reshaping, selecting** is exact.
//!
//! # Underflow
//!
//! A device may read a subnormal number as zero and write one as zero. Each flushed operation is off by at most the smallest
//! normal number, which [`FLUSH`] adds where a product or quotient can be that small (the term eta of chapter 2); where a
//! flushed number is multiplied, so is what it costs.
//!
//! # From layer to layer
//!
//! By default each layer is judged on its own, and its inputs are the device's, so `e` = 0 at its start. Cumulatively, the
//! bound of each layer is an error of the next one's input: a linear operator carries it by its absolute weights, `|W| e`
//! (section 3.5), and adds its own rounding, which is that of the reference's inputs and not of the perturbed ones; the
//! second-order term `gamma_n |W| e` is left to the slack of counting each step in full. Such bounds grow with depth and soon
//! say little: they are right, but never tight.
//!
//! The reference's own rounding in f64 is 2^-29 of that of f32, and lies within the same slack.
//!
//! # What WGSL promises
//!
//! One ULP is at most 2u relative. From W3C, WebGPU Shading Language, sections "Floating Point Accuracy" and "Accuracy of
//! Concrete Floating Point Expressions", for f32:
//!
//! | expression | accuracy | counted as | used in |
//! |---|---|---|---|
//! | `x + y`, `x - y`, `x * y` | correctly rounded | u | everywhere |
//! | `fma(x, y, z)` | as `x * y + z` | 2u | sums, where a driver fuses them |
//! | `x / y` | 2.5 ULP for 2^-126 <= \|y\| <= 2^126 | 5u | mean, softmax, sigmoid, swish, tanh, softsign, mish, gelu, celu, hard swish, div, reciprocal |
//! | `exp(x)` | 3 + 2\|x\| ULP | (6 + 4\|x\|) u | softmax, sigmoid, swish, softplus, mish, gelu, and expm1 below -0.35 (elu, selu, celu, tanh) |
//! | `exp2(x)` | 3 + 2\|x\| ULP | (6 + 4\|x\|) u | pow |
//! | `log(x)`, `log2(x)` | 2^-21 absolute in \[0.5, 2\], else 3 ULP | 8u and 6u | log, pow |
//! | `pow(x, y)` | as `exp2(y * log2(x))` | both, the exponent's error through exp2 | pow |
//! | `inverseSqrt(x)` | 2 ULP | 4u | sqrt |
//! | `sqrt(x)` | as `1 / inverseSqrt(x)` | 10u | sqrt |
//! | `tanh(x)` | an absolute error | never used: of expm1 and a division instead | none |
//! | `abs`, `floor`, `ceil`, `trunc`, `sign`, `min`, `max`, `clamp`, `select`, `-x`, comparisons | exact or correctly rounded | 0 | activations, pools, rounding |
//! | erf, expm1, log1p | not in WGSL | their polynomials' own errors: 1.5e-7, 16u, 16u | erf and gelu; elu, selu, celu, tanh; softplus |
//!
//! Two things it does not promise. "Correctly rounded" there names no rounding mode: either neighbour of the exact result
//! will do. The model above takes the nearest one, as every driver does that is known to us; one that truncates would be up
//! to twice a bound off, and would be reported. And an implementation may reassociate: sums are covered in any order, other
//! expressions are written so that their terms are of one sign or of one size.
//!
//! NaN and infinities have no bound: `special_values` of the package `reluctor-lab` says what holds of them.

/// How sums of products were formed, where that decides how far rounding may take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Summation {
    /// In whatever order, of the products themselves.
    #[default]
    Plain,
    /// Of products of transformed tiles.
    Winograd,
}

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
