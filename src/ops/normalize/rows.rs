//! Rows on a device, in four dispatches: parts of each row's sum, parts of the sum of its squared distances from the mean, mean
//! and deviation of each row from these, and the affine map of each element. Many invocations share a row, so that few long
//! rows keep an adapter busy; none waits for another, since barriers are what software adapters do worst.

use super::Normalize;
use crate::kernels::{Kernel, Part, WORKGROUP};
use crate::ops::activate::{FOUR, ONE, either_behind};
use crate::ops::activation::activation_parts;
use crate::ops::strided::{FOUR_NUMBERS, NUMBER};
use crate::ops::{OpResult, real_type, unsupported};
use crate::plan::Lowering;
use crate::plan::layout::{CHANNELS, Layout};
use crate::{part, uniform};

uniform! {
    /// Parameters of `row_sums` and `row_statistics`.
    pub struct RowParams { rows: u32, row: u32, splits: u32, scale: f32, epsilon: f32 }
}

uniform! {
    /// Parameters of `normalize_rows`.
    pub struct NormalizeParams {
        row: u32, segment: u32, segments: u32, chunks: u32, inner: u32, scales: u32,
        activation_a: f32, activation_b: f32,
    }
}

/// What lies in a row: numbers, fours of its own, or one of each of four rows side by side.
const ROWS: [[Part; 2]; 3] = [
    [NUMBER, part!("shared", "row_alone")],
    [FOUR_NUMBERS, part!("shared", "row_of_fours")],
    [FOUR_NUMBERS, part!("shared", "row_alone")],
];

const MEAN: Part = part!("shared", "row_mean");
const VALUES: Part = part!("shared", "row_values");
const SQUARES: Part = part!("shared", "row_squares");

/// One part of a row an invocation.
pub static ROW_SUMS: Kernel = Kernel {
    name: "row_sums",
    source: include_str!("../../../shaders/row_sums.wgsl"),
    includes: &[],
    params: RowParams::FIELDS,
    combinations: || ROWS.iter().flat_map(|rows| [values(rows), squares(rows)]).collect(),
};

fn values(rows: &[Part; 2]) -> Vec<Part> {
    [&[VALUES], rows.as_slice()].concat()
}

fn squares(rows: &[Part; 2]) -> Vec<Part> {
    [&[SQUARES, MEAN], rows.as_slice()].concat()
}

/// One row an invocation, or four.
pub static ROW_STATISTICS: Kernel = Kernel {
    name: "row_statistics",
    source: include_str!("../../../shaders/row_statistics.wgsl"),
    includes: &[MEAN],
    params: RowParams::FIELDS,
    combinations: || ROWS.map(|rows| rows.to_vec()).to_vec(),
};

const OF_SEGMENT: Part = part!("shared", "scale_of_segment");
const OF_PLACE: Part = part!("shared", "scale_of_place");

/// Eight elements an invocation, or eight times four.
pub static NORMALIZE_ROWS: Kernel = Kernel {
    name: "normalize_rows",
    source: include_str!("../../../shaders/normalize_rows.wgsl"),
    includes: &[],
    params: NormalizeParams::FIELDS,
    combinations: || {
        let scaled = either_behind(&activation_parts(), [&[OF_SEGMENT], &[OF_PLACE]]);
        either_behind(&scaled, [&ONE, &FOUR])
    },
};

/// Elements that an invocation of `normalize_rows` computes: `STEPS` there.
const STEPS: usize = 8;

/// A segment of fewer elements would leave most of a workgroup idle.
const SHORTEST_SEGMENT: usize = 16;

/// Fewer elements are not worth an invocation of their own, and more than so many parts of a row take long to add up.
const SHORTEST_PART: usize = 16;
const MOST_PARTS: usize = 128;

/// Invocations that keep a large adapter busy.
const BUSY: usize = 1 << 14;

/// How x and the scales lie, all in elements: numbers, or four of them.
struct Walk {
    layout: Layout,
    /// Numbers of an element.
    width: usize,
    /// The place in [`ROWS`].
    rows: usize,
    /// Elements of a row, which may be of four rows at once.
    row: usize,
    /// Neighbouring elements that share a scale.
    inner: usize,
    /// Scales, and then biases, an element each.
    scales: Vec<f32>,
    biases: Vec<f32>,
}

impl Walk {
    /// Number by number, or in fours of a row.
    fn plain(op: &Normalize) -> Self {
        let count = op.affine.factor.len();
        let shared = count == 1 || op.inner.is_multiple_of(CHANNELS);
        let fours = op.row.is_multiple_of(CHANNELS) && (shared || op.inner == 1 && count.is_multiple_of(CHANNELS));
        let width = if fours { CHANNELS } else { 1 };
        let copies = if fours && shared { CHANNELS } else { 1 };
        let lain = |values: &[f64]| values.iter().flat_map(|&x| std::iter::repeat_n(x as f32, copies)).collect();
        Walk {
            layout: Layout::Plain,
            width,
            rows: usize::from(fours),
            row: op.row / width,
            inner: if count == 1 { op.row / width } else { (op.inner / copies).max(1) },
            scales: lain(&op.affine.factor),
            biases: lain(&op.affine.offset),
        }
    }

    /// An image by four channels: of four rows at once, or of rows that are whole fours of channels.
    fn by_four(op: &Normalize) -> Option<Self> {
        let &[batch, channels, h, w] = &op.shape[..] else { return None };
        let pixels = h * w;
        let alone = op.row == pixels;
        let whole = channels.is_multiple_of(CHANNELS);
        // Behind the last channel there are zeros, which stay zeros: their deviation is that of epsilon.
        let keeps_zeros = op.epsilon > 0.0 && op.activation.apply(0.0f32, 0.0) == 0.0;
        let rows = if whole { alone || op.row.is_multiple_of(pixels * CHANNELS) } else { alone && keeps_zeros };
        let count = op.affine.factor.len();
        let of_channels = count == 1 || op.inner.is_multiple_of(pixels);
        if !rows || !of_channels {
            return None;
        }
        // Numbers may differ from image to image: those of one image serve all only if they begin anew with each.
        let begins_anew = count == 1 || (channels * pixels).is_multiple_of(op.inner * count);
        let images = if begins_anew { 1 } else { batch };
        let padded = channels.next_multiple_of(CHANNELS);
        let lain = |values: &[f64]| {
            let of = |image, c| values[(image * channels + c) * pixels / op.inner % count] as f32;
            let places = (0..images).flat_map(|image| (0..padded).map(move |c| (image, c)));
            places.map(|(image, c)| if c < channels { of(image, c) } else { 0.0 }).collect()
        };
        Some(Walk {
            layout: Layout::ByFour,
            width: CHANNELS,
            rows: if alone { 2 } else { 1 },
            row: if alone { pixels } else { op.row / CHANNELS },
            inner: pixels,
            scales: lain(&op.affine.factor),
            biases: lain(&op.affine.offset),
        })
    }
}

pub(super) fn lower(op: &Normalize, node: &mut Lowering<'_>) -> OpResult<()> {
    let types = node.input_types();
    let x = real_type(&types, 0)?;
    let by_four = if node.lies_by_four(0) && x.shape == op.shape { Walk::by_four(op) } else { None };
    let walk = by_four.unwrap_or_else(|| Walk::plain(op));
    let Walk { layout, width, row, .. } = walk;

    let (input, output) = (node.input_as(0, layout)?, node.output_as(0, layout)?);
    let elements = node.count(output) as usize / width;
    if elements == 0 {
        return Ok(());
    }
    let rows = elements / row;
    let splits = (BUSY / rows).min(row / SHORTEST_PART).clamp(1, MOST_PARTS);
    let longest = node.limits().max_loop_iterations as usize;
    if row.div_ceil(splits) > longest {
        return unsupported(format!("a row of {} elements; the most is {}", op.row, longest * splits * width));
    }
    let params = RowParams {
        rows: rows as u32,
        row: row as u32,
        splits: splits as u32,
        scale: (1.0 / op.row as f64) as f32,
        epsilon: op.epsilon,
    };
    let parts = &ROWS[walk.rows];
    let sums = node.scratch("sums", rows * splits * width)?;
    let squared = node.scratch("squares", rows * splits * width)?;
    let statistics = node.scratch("mean, 1 / deviation", 2 * rows * width)?;
    let shares = (rows * splits) as u32;
    node.dispatch(&ROW_SUMS, values(parts), shares, params, sums, &[input])?;
    node.dispatch(&ROW_SUMS, squares(parts), shares, params, squared, &[input, sums])?;
    node.dispatch(&ROW_STATISTICS, parts.to_vec(), rows as u32, params, statistics, &[sums, squared])?;

    let scales = walk.scales.len() / width;
    let per_scale = node.constant_buffer("scale, bias", [walk.scales, walk.biases].concat())?;
    // Either a segment has one scale and lies in one row, or it is a row in which the scales come one after another.
    let shared = greatest_common_divisor(row, walk.inner);
    let (scale, segment) = match shared < SHORTEST_SEGMENT && row.is_multiple_of(walk.inner * scales) {
        true => (OF_PLACE, row),
        false => (OF_SEGMENT, shared),
    };
    let chunks = segment.div_ceil(WORKGROUP as usize * STEPS);
    let [activation_a, activation_b] = op.activation.parameters();
    let params = NormalizeParams {
        row: row as u32,
        segment: segment as u32,
        segments: (elements / segment) as u32,
        chunks: chunks as u32,
        inner: walk.inner as u32,
        scales: scales as u32,
        activation_a,
        activation_b,
    };
    let element = if width == 1 { &ONE[..] } else { &FOUR };
    let parts = [&op.activation.parts()[..], &[scale], element].concat();
    let groups = (elements / segment * chunks) as u32;
    node.dispatch_groups(&NORMALIZE_ROWS, parts, groups, params, output, &[input, statistics, per_scale])
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
