//! The one error type. Each variant names the culprit: file, node or tensor.

use std::fmt;
use std::path::PathBuf;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by whose fault it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line or an option contradicts itself or the model.
    #[error("{0}")]
    Usage(String),

    /// The model is well formed, but some of its nodes are beyond this engine. All of them are listed.
    #[error("{file}: {} unsupported node(s): {}", .nodes.len(), join(.nodes))]
    Unsupported {
        /// The model's file or name.
        file: String,
        /// Every node that cannot run, with its reason.
        nodes: Vec<UnsupportedNode>,
    },

    /// The bytes are not a valid model, tensor or image, or break a rule of their format.
    #[error("{culprit}: {reason}")]
    Invalid {
        /// The file, node or tensor that is at fault.
        culprit: String,
        /// Which rule it breaks.
        reason: String,
    },

    /// A file could not be read or written.
    #[error("{}: {source}", escape(&.path.display().to_string()))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// No adapter, a lost device, out of device memory, a rejected shader or a time-out.
    #[error("device: {0}")]
    Device(String),

    /// A tensor does not fit a limit of the device and cannot be split.
    #[error("tensor '{tensor}' needs {needed} {unit}, but the device's {limit_name} is {limit}")]
    DeviceLimit {
        /// The tensor (or the step's output) that is too large.
        tensor: String,
        /// What it needs.
        needed: u64,
        /// What the device allows.
        limit: u64,
        /// The limit's name in WebGPU.
        limit_name: &'static str,
        /// The unit of both numbers, for example `bytes`.
        unit: &'static str,
    },

    /// What the device computes is not what the network says, where only a right result is worth having.
    #[error("{0} computes another function: nothing is timed")]
    Mismatch(String),

    /// A budget set on the command line would be exceeded.
    #[error("{what} needs {needed} {unit}, but the budget is {budget}")]
    Budget {
        /// What exceeds the budget.
        what: String,
        /// How much it needs.
        needed: u64,
        /// How much is allowed.
        budget: u64,
        /// The unit of both numbers.
        unit: &'static str,
    },

    /// A bug in this engine.
    #[error("internal error: {0} (this is a bug in reluctor)")]
    Internal(String),
}

/// Nodes that a message lists; those of a network of today fit.
const MOST_LISTED: usize = 500;

/// One node that this engine cannot run, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UnsupportedNode {
    /// The node's name, or its first output where it has none.
    pub node: String,
    /// The ONNX operator.
    pub op_type: String,
    /// Which attribute, input or property is beyond the engine.
    pub reason: String,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}': {}", escape(&self.op_type), escape(&self.node), escape(&self.reason))
    }
}

impl Error {
    /// An [`Error::Invalid`] that names its culprit.
    pub fn invalid(culprit: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Error::Invalid { culprit: escape(&culprit.to_string()), reason: escape(&reason.to_string()) }
    }

    /// An [`Error::Io`] for `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { path: path.into(), source }
    }
}

/// Names come from strangers: control characters (ANSI escapes among them) are shown escaped, never sent to a terminal.
pub fn escape(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            let (one, many) = if is_plain(c) { (Some(c), None) } else { (None, Some(c.escape_default())) };
            one.into_iter().chain(many.into_iter().flatten())
        })
        .collect()
}

/// Whether a character shows as itself: it neither controls a terminal nor reverses the text around it.
pub(crate) fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn join(nodes: &[UnsupportedNode]) -> String {
    let listed = nodes.iter().take(MOST_LISTED).map(ToString::to_string);
    let more = nodes.len().checked_sub(MOST_LISTED + 1).map(|rest| format!("and {} more", rest + 1));
    listed.chain(more).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_names_are_escaped() {
        assert_eq!(escape("a\u{1b}[31mb\nc\u{202e}é"), "a\\u{1b}[31mb\\nc\\u{202e}é");
    }
}
