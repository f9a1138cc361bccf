//! Inner tiles that are written out, one variable for each sum: drivers keep those in registers, arrays they often do not.

use std::fmt::{self, Write};
use std::ops::Range;

/// Every pair below two ends, the second the faster.
pub(super) fn grid(first: usize, second: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..first).flat_map(move |a| (0..second).map(move |b| (a, b)))
}

/// Finishes and stores the strip `at`: `sum_<pixel>_<channel>`, so many pixels of four times so many channels, from `first_block`
/// on. A loop over the channels, and a choice among a few of their sums: written out, the stores take longer to compile than the
/// rest.
pub(super) fn store_strip(wgsl: &mut Text, pixels: usize, fours: usize, first_block: &str) {
    const CHOICES: usize = 4;
    let turns = fours.min(CHOICES);
    let each = || (0..fours).step_by(turns).enumerate();
    wgsl.line(format_args!("    for (var turn = 0u; turn < {turns}u; turn++) {{"));
    for (part, first) in each() {
        wgsl.line(format_args!(
            "        let block_{part} = {first_block} + {first}u + turn;
        let bias_{part} = biases_of(block_{part});"
        ));
        for pixel in 0..pixels {
            let sums = chosen(first..first + turns, |channel| format!("sum_{pixel}_{channel}"));
            wgsl.line(format_args!(
                "        let finished_{part}_{pixel} =
            finish_four(bias_{part} + {sums}, at.n, block_{part}, at.oy, at.ox + {pixel}u);"
            ));
        }
    }
    for (part, _) in each() {
        wgsl.line(format_args!("        let to_{part} = stored_strip(at, block_{part});"));
    }
    for (part, _) in each() {
        for pixel in (0..pixels).step_by(2) {
            let left = format!("finished_{part}_{pixel}");
            if pixel + 1 < pixels {
                let right = format!("finished_{part}_{}", pixel + 1);
                wgsl.line(format_args!("        store_two({left}, {right}, to_{part}, {pixel}u);"));
            } else {
                wgsl.line(format_args!("        store_one({left}, to_{part}, {pixel}u);"));
            }
        }
    }
    wgsl.line(format_args!("    }}"));
}

/// The vec4 of a channel's variables that is `turn` behind the first of these.
fn chosen(mut fours: Range<usize>, variable: impl Fn(usize) -> String) -> String {
    let first = fours.start;
    let vector = |four: usize| {
        let variables: Vec<String> = (0..4).map(|i| variable(four * 4 + i)).collect();
        format!("vec4<f32>({})", variables.join(", "))
    };
    let start = fours.next().map(vector).unwrap_or_default();
    fours.fold(start, |chosen, four| format!("select({chosen}, {}, turn == {}u)", vector(four), four - first))
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
