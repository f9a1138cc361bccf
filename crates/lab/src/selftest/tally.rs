//! What a run has tried.

use super::check::Outcome;
use super::network::Network;
use reluctor::kernels::variants;
use serde::Serialize;
use std::collections::BTreeMap;

/// Counts over the networks of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Networks made.
    pub graphs: usize,
    /// Those of which all numbers agree.
    pub passed: usize,
    /// Nodes of those.
    pub nodes: usize,
    /// Nodes of those by operator.
    pub operators: BTreeMap<String, usize>,
    /// Dispatches of those by kernel variant.
    pub variants: BTreeMap<String, usize>,
    /// Kernel variants that there are.
    pub known_variants: usize,
    /// Why networks, or nodes tried for one, were refused, and how often.
    pub refused: BTreeMap<String, usize>,
    /// Networks that failed.
    pub failures: usize,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
        Tally { known_variants: variants().count(), ..Tally::default() }
    }

    /// Counts a network, and nodes that were refused while it was made.
    pub fn count(&mut self, network: &Network, refused: &[String], outcome: &Outcome) {
        self.graphs += 1;
        refused.iter().for_each(|reason| self.refuse(reason));
        match outcome {
            Outcome::Passed { variants } => {
                self.passed += 1;
                self.nodes += network.layers.len();
                for (op_type, count) in network.operators() {
                    *self.operators.entry(op_type.to_string()).or_insert(0) += count;
                }
                for (variant, count) in variants {
                    *self.variants.entry(variant.clone()).or_insert(0) += count;
                }
            }
            Outcome::Refused(reasons) => reasons.iter().for_each(|reason| self.refuse(reason)),
            Outcome::Failed(_) => self.failures += 1,
        }
    }

    fn refuse(&mut self, reason: &str) {
        *self.refused.entry(reason.to_string()).or_insert(0) += 1;
    }
}
