//! Inner tiles that are written out, one variable for each sum: drivers keep those in registers, arrays they often do not.

use std::fmt::{self, Write};

/// Every pair below two ends, the second the faster.
pub(super) fn grid(first: usize, second: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..first).flat_map(move |a| (0..second).map(move |b| (a, b)))
}

/// The vec4 of a channel's variables that has the number `four` of so many.
pub(super) fn chosen(fours: usize, variable: impl Fn(usize) -> String) -> String {
    let vector = |four: usize| {
        let variables: Vec<String> = (0..4).map(|i| variable(four * 4 + i)).collect();
        format!("vec4<f32>({})", variables.join(", "))
    };
    (1..fours).fold(vector(0), |chosen, four| format!("select({chosen}, {}, four == {four}u)", vector(four)))
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
