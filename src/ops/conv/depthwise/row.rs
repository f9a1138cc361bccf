//! The rows of `conv_depthwise`: neighbouring pixels of one invocation, and the WGSL that sums them.

use super::super::choice::VEC4_LOAD;
use super::super::text::Text;
use crate::kernels::Part;
use crate::ops::window::Window;
use crate::part;
use crate::plan::layout::CHANNELS;
use std::sync::LazyLock;

/// Pixels of a row that an invocation computes.
pub(super) const PIXELS: usize = 4;

/// How an invocation loads what its pixels need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// Each column of the image once, for all taps of a row of the filter that lie over it: so many taps at this stride.
    Shared { taps: usize, stride: usize },
    /// Four columns for each tap, whatever the filter.
    Any,
}

/// Every row, the most wanted first: the filters of mobile networks.
pub(super) static ROWS: [Row; 6] = [shared(3, 1), shared(3, 2), shared(5, 1), shared(5, 2), shared(7, 1), Row::Any];

const fn shared(taps: usize, stride: usize) -> Row {
    Row::Shared { taps, stride }
}

/// Columns of the image under a row's pixels.
fn columns(taps: usize, stride: usize) -> usize {
    (PIXELS - 1) * stride + taps
}

impl Row {
    pub(super) fn fits(&self, window: &Window) -> bool {
        match *self {
            Row::Shared { taps, stride } => {
                [window.kernel[1], window.stride[1], window.dilation[1]] == [taps, stride, 1]
            }
            Row::Any => true,
        }
    }

    /// What a product costs with its share of the loads, in units of a multiply-add.
    pub(super) fn cost(&self) -> f64 {
        let loads_a_tap = match *self {
            Row::Shared { taps, stride } => (columns(taps, stride) + taps) as f64 / taps as f64,
            Row::Any => (PIXELS + 1) as f64,
        };
        1.0 + VEC4_LOAD * loads_a_tap / (PIXELS * CHANNELS) as f64
    }

    /// The part that defines `convolve_row`.
    pub(super) fn part(&self) -> Part {
        let at = ROWS.iter().position(|row| row == self).expect("a row of the list");
        PARTS[at]
    }
}

/// Made once a process: parts live as long as it does.
static PARTS: LazyLock<Vec<Part>> = LazyLock::new(|| {
    let part = |row: &Row| match *row {
        Row::Shared { taps, stride } => {
            let name = format!("row_{taps}s{stride}").leak();
            Part { name, source: text(taps, stride).leak() }
        }
        Row::Any => part!("shared", "any_row"),
    };
    ROWS.iter().map(part).collect()
});

/// `convolve_row`, with one variable for each column.
fn text(taps: usize, stride: usize) -> String {
    let columns = columns(taps, stride);
    let mut wgsl = Text::default();
    wgsl.line(format_args!(
        "// Depthwise filters of {taps} taps a row at a stride of {stride}: each pixel of the image is loaded once a row.
fn convolve_row(n: u32, block: u32, oy: u32, ox: u32) -> Row {{
    let plane = (n * ((p.in_c + 3u) / 4u) + block) * p.in_h;
    let filter_at = (block - p.first_c / 4u) * p.k_h * {taps}u;
    let first_ix = i32(ox) * {stride} - p.pad_left;"
    ));
    for column in 0..columns {
        wgsl.line(format_args!(
            "    let ix_{column} = first_ix + {column};
    let inside_{column} = ix_{column} >= 0 && ix_{column} < i32(p.in_w);
    let at_{column} = u32(clamp(ix_{column}, 0, i32(p.in_w) - 1));"
        ));
    }
    wgsl.line(format_args!("    let bias = biases_of(block);"));
    (0..PIXELS).for_each(|pixel| wgsl.line(format_args!("    var sum_{pixel} = bias;")));
    wgsl.line(format_args!(
        "    for (var ky = 0u; ky < p.k_h; ky++) {{
        let iy = i32(oy * p.stride_h + ky * p.dilation_h) - p.pad_top;
        if (iy < 0 || iy >= i32(p.in_h)) {{
            continue;
        }}
        let row = (plane + u32(iy)) * p.in_w;
        let weight_at = filter_at + ky * {taps}u;"
    ));
    (0..taps).for_each(|tap| {
        wgsl.line(format_args!("        let weight_{tap} = from_memory(weights[weight_at + {tap}u]);"))
    });
    for column in 0..columns {
        wgsl.line(format_args!(
            "        let in_{column} = select(vec4<f32>(), from_memory(input[row + at_{column}]), inside_{column});"
        ));
        // The taps of each pixel come in their order, as in a loop over them.
        let under = (0..PIXELS).filter_map(|pixel| Some((pixel, column.checked_sub(pixel * stride)?)));
        for (pixel, tap) in under.filter(|&(_, tap)| tap < taps) {
            wgsl.line(format_args!("        sum_{pixel} += weight_{tap} * in_{column};"));
        }
    }
    let sums: Vec<String> = (0..PIXELS).map(|pixel| format!("sum_{pixel}")).collect();
    wgsl.line(format_args!("    }}\n    return Row({});\n}}", sums.join(", ")));
    wgsl.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_gets_every_tap_once() {
        let text = text(5, 2);
        for (pixel, tap) in (0..PIXELS).flat_map(|pixel| (0..5).map(move |tap| (pixel, tap))) {
            let product = format!("sum_{pixel} += weight_{tap} * in_{};", 2 * pixel + tap);
            assert_eq!(text.matches(&product).count(), 1, "{product}");
        }
        assert_eq!(text.matches("+= ").count(), 4 * 5);
    }

    #[test]
    fn sharing_columns_is_worth_more_the_more_taps_lie_over_one() {
        let costs = [shared(5, 1), shared(3, 1), shared(3, 2), Row::Any].map(|row| row.cost());
        assert!(costs.is_sorted(), "{costs:?}");
    }
}
