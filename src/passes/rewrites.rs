//! What passes do to a graph, one rewrite after another, and how many they may do: a wrong result is traced to one rewrite by
//! allowing fewer, as LLVM's `-opt-bisect-limit` does.

use serde::Serialize;

/// One change of a graph by a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewrite {
    /// The pass, by its name.
    pub pass: &'static str,
    /// The node that changed.
    pub node: String,
    /// The node that it took in, or that gave way to it.
    pub taken: String,
}

/// The rewrites of one optimisation.
pub(super) struct Rewrites {
    most: usize,
    pass: &'static str,
    done: Vec<Rewrite>,
}

impl Rewrites {
    pub fn up_to(most: usize) -> Self {
        Rewrites { most, pass: "", done: Vec::new() }
    }

    /// Says whose rewrites follow.
    pub fn begin(&mut self, pass: &'static str) {
        self.pass = pass;
    }

    /// Whether one more rewrite may be done; it counts as done then.
    pub fn allow(&mut self, node: &str, taken: &str) -> bool {
        let allowed = self.done.len() < self.most;
        if allowed {
            self.done.push(Rewrite { pass: self.pass, node: node.to_string(), taken: taken.to_string() });
        }
        allowed
    }

    pub fn done(self) -> Vec<Rewrite> {
        self.done
    }
}
