//! Inner tiles that are written out, one variable for each sum: drivers keep those in registers, arrays they often do not.

use std::fmt::{self, Write};

/// Every pair below two ends, the second the faster.
pub(super) fn grid(first: usize, second: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..first).flat_map(move |a| (0..second).map(move |b| (a, b)))
}

/// WGSL, line by line.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes every text");
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}
