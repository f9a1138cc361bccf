//! The widest vectors that the machine has, for loops which the compiler vectorizes.

/// Does some work with them: what is inlined into the closure is compiled once for each generation of vectors, and the one
/// that suits the machine is run. Results are the same on all of them: products and sums are never fused.
#[inline(always)]
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
