//! How nodes of a file were read that may be read otherwise.

use super::Graph;
use crate::error::escape;
use serde::{Serialize, Serializer};
use std::fmt;

/// A way to read nodes, where another one that the standard leaves open gives other numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Their ONNX operator.
    pub op_type: String,
    /// Their names.
    pub nodes: Vec<String>,
    /// What was made of them, and what else could be.
    pub how: String,
}

impl Graph {
    /// Records how a node was read, beside others that were read alike.
    pub fn read_as(&mut self, op_type: &str, node: &str, how: String) {
        let alike = |reading: &&mut Reading| reading.op_type == op_type && reading.how == how;
        match self.readings.iter_mut().find(alike) {
            Some(reading) => reading.nodes.push(node.to_string()),
            None => self.readings.push(Reading { op_type: op_type.into(), nodes: vec![node.into()], how }),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 3;
        let Reading { op_type, nodes, how } = self;
        let named: Vec<String> = nodes.iter().take(NAMED).map(|name| format!("'{}'", escape(name))).collect();
        let more = nodes.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(f, "{} {}{more}: {how}", escape(op_type), named.join(", "))
    }
}

/// As its line.
impl Serialize for Reading {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_are_read_alike_share_a_line() {
        let mut graph = Graph::default();
        ["a", "b", "c", "d", "e"].iter().for_each(|node| graph.read_as("Resize", node, "rounded".into()));
        graph.read_as("Resize", "f", "as it is".into());
        let lines: Vec<String> = graph.readings.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["Resize 'a', 'b', 'c' and 2 more: rounded", "Resize 'f': as it is"]);
    }
}
