//! The fusion that made a network wrong, where each step of the fused network computes what it should and the whole does not.

use reluctor::error::Result;
use reluctor::passes::Rewrite;
use serde::Serialize;

/// The rewrite of a graph after which its outputs are wrong.
#[derive(Debug, Clone, Serialize)]
pub struct WrongFusion {
    /// What was rewritten.
    #[serde(flatten)]
    pub rewrite: Rewrite,
    /// Rewrites before it, with which the outputs are right.
    pub after: usize,
    /// Rewrites of the whole optimisation.
    pub of: usize,
}

/// The first of `count` rewrites after which outputs are wrong, by halves; none if they are wrong without any. `is_right` runs
/// the network with so many rewrites; with all of them it is known to be wrong.
///
/// # Errors
/// Those of `is_right`.
pub fn first_wrong_rewrite(count: usize, is_right: &mut dyn FnMut(usize) -> Result<bool>) -> Result<Option<usize>> {
    if !is_right(0)? {
        return Ok(None);
    }
    let (mut right, mut wrong) = (0, count);
    while wrong - right > 1 {
        let half = right.midpoint(wrong);
        *(if is_right(half)? { &mut right } else { &mut wrong }) = half;
    }
    Ok(Some(right))
}
