//! The one error type. Each variant names the culprit (file, node or tensor) and maps to one exit code.

use std::fmt;
use std::path::PathBuf;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by whose fault it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line or an option contradicts itself or the model. Exit code 2.
    #[error("{0}")]
    Usage(String),

    /// The model is well formed, but some of its nodes are beyond this engine. All of them are listed. Exit code 3.
    #[error("{file}: {} unsupported node(s): {}", .nodes.len(), join(.nodes))]
    Unsupported {
        /// The model's file or name.
        file: String,
        /// Every node that cannot run, with its reason.
        nodes: Vec<UnsupportedNode>,
    },

    /// The bytes are not a valid model, tensor or image, or break a rule of their format. Exit code 4.
    #[error("{culprit}: {reason}")]
    Invalid {
        /// The file, node or tensor that is at fault.
        culprit: String,
        /// Which rule it breaks.
        reason: String,
    },

    /// A file could not be read or written. Exit code 4.
    #[error("{}: {source}", escape(&.path.display().to_string()))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },

    /// No adapter, a lost device, out of device memory, a rejected shader or a time-out. Exit code 5.
    #[error("device: {0}")]
    Device(String),

    /// A tensor does not fit a limit of the device and cannot be split. Exit code 5.
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

    /// What the device computes is not what the network says, where only a right result is worth having. Exit code 1.
    #[error("{0} computes another function: nothing is timed")]
    Mismatch(String),

    /// A budget set on the command line would be exceeded. Exit code 6.
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

    /// A bug in this engine. Exit code 70.
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

    /// The process exit code: 1 mismatch, 2 usage, 3 unsupported, 4 invalid input, 5 device, 6 budget, 70 internal.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Mismatch(_) => 1,
            Error::Usage(_) => 2,
            Error::Unsupported { .. } => 3,
            Error::Invalid { .. } | Error::Io { .. } => 4,
            Error::Device(_) | Error::DeviceLimit { .. } => 5,
            Error::Budget { .. } => 6,
            Error::Internal(_) => 70,
        }
    }

    /// What the user can do about it, in one line.
    pub fn hint(&self) -> String {
        match self {
            Error::Usage(_) => "see `reluctor help`",
            Error::Unsupported { .. } => "`reluctor inspect MODEL` lists every node and what is supported",
            Error::Invalid { .. } => "check the file with the tool that wrote it, or with `onnx.checker`",
            Error::Io { .. } => "check the path and its permissions",
            Error::Device(_) => "`reluctor devices` lists the adapters; `--device cpu` needs none",
            Error::DeviceLimit { .. } => "a smaller batch or image, or `--device cpu`, avoids this limit",
            Error::Mismatch(_) => "`reluctor compare` says which part of the layer it is",
            Error::Budget { .. } => "raise the budget, or use a smaller batch or image",
            Error::Internal(_) => "please report it with the command and the model",
        }
        .to_string()
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

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!(Error::Usage(String::new()).exit_code(), 2);
        assert_eq!(Error::Unsupported { file: String::new(), nodes: vec![] }.exit_code(), 3);
        assert_eq!(Error::invalid("x", "y").exit_code(), 4);
        assert_eq!(Error::Device(String::new()).exit_code(), 5);
        assert_eq!(Error::Internal(String::new()).exit_code(), 70);
    }
}
