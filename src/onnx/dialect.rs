//! What nodes of a file mean beyond what they say: by the version of their operators, and by the tool that wrote them.

use super::{Bindings, import, proto};
use crate::ops::resample::Length;

/// How a Resize reads `align_corners` where scale times size is no whole number: which length of the resized axis ends at the
/// last element. ONNX's text says `length_resized` and leaves open which one that is.
///
/// Source: <https://github.com/onnx/onnx/issues/2462>.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AlignCorners {
    /// As the tool that wrote the file means it: rounded where the file names PyTorch as its producer, else as ONNX
    #[default]
    Auto,
    /// Scale times size as it is, like ONNX's own test data and reference evaluator
    Onnx,
    /// The whole number of elements that there are, like PyTorch and ONNX Runtime
    Rounded,
}

/// What each node of a file is read by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    /// The version of ONNX's operators.
    pub opset: i64,
    /// Which length `align_corners` means.
    pub length: Length,
    /// Why that one.
    reason: &'static str,
}

impl Dialect {
    /// That of a file, where the caller says nothing else.
    pub fn of(model: &proto::Model<'_>, bindings: &Bindings) -> Self {
        let by_pytorch = model.producer_name.eq_ignore_ascii_case("pytorch");
        let (length, reason) = match bindings.align_corners {
            AlignCorners::Auto if by_pytorch => {
                (Length::Rounded, "as PyTorch computes it, which the file names as its producer")
            }
            AlignCorners::Auto => (Length::Exact, "as in ONNX's own test data"),
            AlignCorners::Onnx => (Length::Exact, "as was asked for"),
            AlignCorners::Rounded => (Length::Rounded, "as was asked for"),
        };
        Dialect { opset: import::opset(model), length, reason }
    }

    /// What was made of `align_corners` where the other length gives other numbers.
    pub fn length_in_words(&self) -> String {
        let (taken, other) = match self.length {
            Length::Exact => ("as it is", "rounded"),
            Length::Rounded => ("rounded", "onnx"),
        };
        let Dialect { reason, .. } = self;
        format!(
            "corners are aligned by a length that is no whole number, taken {taken}, {reason}; --align-corners {other} gives other numbers"
        )
    }
}
