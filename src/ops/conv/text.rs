//! Inner tiles that are written out, one variable for each sum: drivers keep those in registers, arrays they often do not.

use std::fmt::{self, Write};

/// Every pair below two ends, the second the faster.
pub(super) fn grid(first: usize, second: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..first).flat_map(move |a| (0..second).map(move |b| (a, b)))
}

/// Finishes and stores the strip `at`: `sum_<pixel>_<channel>`, so many pixels of four times so many channels, from `first_block`
/// on. A loop over the channels, and a choice among their sums: written out, the stores take longer to compile than the rest.
pub(super) fn store_strip(wgsl: &mut Text, pixels: usize, fours: usize, first_block: &str) {
    wgsl.line(format_args!(
        "    for (var four = 0u; four < {fours}u; four++) {{
        let out_block = {first_block} + four;
        let bias = biases_of(out_block);"
    ));
    for pixel in 0..pixels {
        let sums = chosen(fours, |channel| format!("sum_{pixel}_{channel}"));
        wgsl.line(format_args!(
            "        let finished_{pixel} = finish_four(bias + {sums}, at.n, out_block, at.oy, at.ox + {pixel}u);"
        ));
    }
    wgsl.line(format_args!("        let to = stored_strip(at, out_block);"));
    for pixel in (0..pixels).step_by(2) {
        if pixel + 1 < pixels {
            wgsl.line(format_args!("        store_two(finished_{pixel}, finished_{}, to, {pixel}u);", pixel + 1));
        } else {
            wgsl.line(format_args!("        store_one(finished_{pixel}, to, {pixel}u);"));
        }
    }
    wgsl.line(format_args!("    }}"));
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
