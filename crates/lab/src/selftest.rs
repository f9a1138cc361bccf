//! A differential fuzzer: random networks, made at ONNX's level so that the importer and every pass have their part, run on a
//! device and on the CPU executor and held against the f64 reference. A network that fails is shrunk to a minimal one.
//!
//! ```text
//! seed --generate--> Network --check--> Outcome --shrink--> a Network of few nodes that still fails
//! ```

mod check;
mod generate;
mod network;
mod reproducer;
mod shrink;
mod tally;

pub use check::{Failure, Optimizer, Outcome, Planner, Subject, Witness, check};
pub use generate::generate;
pub use network::{Built, Constant, Id, Layer, Network, Numbers, OPSET, Types};
pub use reproducer::reproducer;
pub use shrink::shrink;
pub use tally::Tally;

use reluctor::random::Random;

/// Smaller networks that are tried for one that fails.
const TRIES: usize = 600;

/// A network that fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// The seed that made it.
    pub seed: u64,
    /// How many nodes it had.
    pub nodes: usize,
    /// The smallest network found that fails in the same way.
    pub network: Network,
    /// How that one fails.
    pub failure: Failure,
}

/// The seeds of a run's networks: the run's own, then those drawn from it. A network's seed, given to a run, makes that
/// network its first.
pub fn seeds(seed: u64) -> impl Iterator<Item = u64> {
    let mut random = Random::new(seed);
    std::iter::once(seed).chain(std::iter::repeat_with(move || random.bits()))
}

/// Makes a seed's network, checks and counts it; where it fails, looks for a smaller one.
pub fn try_seed(seed: u64, subject: &Subject<'_>, tally: &mut Tally) -> Option<Find> {
    let (network, refused) = generate(seed);
    let outcome = check(&network, subject);
    tally.count(&network, &refused, &outcome);
    let Outcome::Failed(mut failure) = outcome else { return None };
    let smallest = shrink(&network, TRIES, &mut |candidate| match check(candidate, subject) {
        Outcome::Failed(other) if other.is_like(&failure) => {
            failure = other;
            true
        }
        _ => false,
    });
    Some(Find { seed, nodes: network.layers.len(), network: smallest, failure })
}
