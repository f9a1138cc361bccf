//! The sliding window of convolutions and pools: kernel size, stride, dilation and padding, rows before columns.

use super::{OpResult, invalid, line, unsupported};
use crate::onnx::OnnxNode;
use crate::plan::Limits;
use std::ops::Range;

/// Rows and columns of padding on each side of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[allow(missing_docs)]
pub struct Pads {
    pub top: usize,
    pub left: usize,
    pub bottom: usize,
    pub right: usize,
}

/// A window of `kernel` taps, `dilation` apart, that moves by `stride` over a padded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub pads: Pads,
}

/// How ONNX's `auto_pad` asks for padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoPad {
    /// By the `pads` attribute.
    NotSet,
    /// None.
    Valid,
    /// As much as makes the output `ceil(input / stride)` large, an odd row or column at the end.
    SameUpper,
    /// The same, with the odd row or column at the beginning.
    SameLower,
}

/// No attribute may exceed this: sums of a few products of such numbers stay far inside 64 bits.
const LARGEST: i64 = 1 << 31;

impl Window {
    /// Reads `kernel_shape`, `strides`, `dilations`, `pads` and `auto_pad`, and resolves the padding for an input of
    /// `[h, w]`. `weights` is the kernel's size where a weight tensor tells it.
    pub(crate) fn import(node: &mut OnnxNode<'_>, input: [usize; 2], weights: Option<[usize; 2]>) -> OpResult<Self> {
        let kernel = kernel_size(spatial_pair(node, "kernel_shape", 1, 1)?, weights)?;
        let stride = spatial_pair(node, "strides", 1, 1)?.unwrap_or([1, 1]);
        let dilation = spatial_pair(node, "dilations", 1, 1)?.unwrap_or([1, 1]);
        let (auto_pad, explicit) = padding(node)?;
        let pads = resolve_padding(auto_pad, explicit, input, kernel, stride, dilation);
        Ok(Window { kernel, stride, dilation, pads })
    }

    /// A window that sees one pixel at a time.
    pub fn pointwise() -> Self {
        Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: Pads::default() }
    }

    /// Pixels that the dilated kernel spans.
    pub fn extent(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.kernel[axis] - 1) * self.dilation[axis] + 1)
    }

    /// The padded image's size.
    pub fn padded(&self, input: [usize; 2]) -> [usize; 2] {
        [input[0] + self.pads.top + self.pads.bottom, input[1] + self.pads.left + self.pads.right]
    }

    /// Positions of the window that lie within the padded image.
    pub fn output_size(&self, input: [usize; 2]) -> OpResult<[usize; 2]> {
        self.positions(input, |room, stride| room.div_euclid(stride))
    }

    /// The same, where a last position that hangs over the end counts too, unless it would start in the padding
    /// (`ceil_mode`).
    pub fn output_size_ceil(&self, input: [usize; 2]) -> OpResult<[usize; 2]> {
        let starts = [input[0] + self.pads.top, input[1] + self.pads.left];
        let mut size = self.positions(input, |room, stride| -(-room).div_euclid(stride))?;
        for axis in 0..2 {
            if (size[axis] - 1) * self.stride[axis] >= starts[axis] && size[axis] > 1 {
                size[axis] -= 1;
            }
        }
        Ok(size)
    }

    /// Steps from the first position, of so much room and at such a stride; there is none where they are negative.
    fn positions(&self, input: [usize; 2], steps: impl Fn(i64, i64) -> i64) -> OpResult<[usize; 2]> {
        let (padded, extent) = (self.padded(input), self.extent());
        let positions = |axis: usize| {
            let [padded, extent, stride] = [padded, extent, self.stride].map(|sizes| sizes[axis] as i64);
            usize::try_from(steps(padded - extent, stride) + 1).ok().filter(|&count| count > 0 && padded > 0)
        };
        match [positions(0), positions(1)] {
            [Some(down), Some(across)] => Ok([down, across]),
            _ => {
                let [kernel, image] = [extent, padded].map(|[h, w]| format!("{h}x{w}"));
                invalid(format!("the kernel spans {kernel} pixels, more than the padded image's {image}"))
            }
        }
    }

    /// Loop iterations of one walk over the taps, each of which costs `inner` more, as a driver that limits them may count:
    /// up to two for every loop beside its turns. Measured on Mesa 22.3's software Vulkan.
    pub fn loop_iterations(&self, inner: u64) -> u64 {
        let [k_h, k_w] = self.kernel.map(|size| size as u64);
        let line = k_w.saturating_mul(inner.saturating_add(1)).saturating_add(2);
        k_h.saturating_mul(line.saturating_add(1)).saturating_add(2)
    }

    /// Refuses a window that no invocation can walk over.
    pub(super) fn limit_taps(&self, limits: &Limits) -> OpResult<()> {
        let (taps, most) = (self.kernel[0].saturating_mul(self.kernel[1]), limits.max_loop_iterations);
        if self.loop_iterations(0) > u64::from(most) {
            return unsupported(format!("a window of {taps} elements; the limit is {most}"));
        }
        Ok(())
    }

    /// Along one axis, the positions at which tap `k` lies inside an image of `size` pixels, and the pixel under it at the
    /// first of them.
    pub fn seen(&self, axis: usize, k: usize, size: usize, positions: usize) -> (Range<usize>, usize) {
        let (stride, before) = (self.stride[axis], [self.pads.top, self.pads.left][axis]);
        let start = k * self.dilation[axis];
        let first = before.saturating_sub(start).div_ceil(stride).min(positions);
        let end = (before + size).saturating_sub(start).div_ceil(stride).clamp(first, positions);
        (first..end, (first * stride + start).saturating_sub(before))
    }

    /// The window that makes a range of output rows of the input rows that they read, out of so many, and which those are.
    /// None where a row reads nothing but padding.
    pub fn of_rows(&self, range: &Range<usize>, rows: usize) -> Option<(Window, Range<usize>)> {
        let start = range.start * self.stride[0];
        let end = range.end.checked_sub(1)? * self.stride[0] + self.extent()[0];
        let before = self.pads.top;
        let (first, last) = (start.saturating_sub(before), end.saturating_sub(before).min(rows));
        let pads = Pads { top: before.saturating_sub(start), bottom: end - (last + before).min(end), ..self.pads };
        (first < last).then_some((Window { pads, ..*self }, first..last))
    }

    /// The input row and column under tap `k` at output position `o`; either may lie in the padding.
    pub fn source(&self, o: [usize; 2], k: [usize; 2]) -> [isize; 2] {
        let before = [self.pads.top, self.pads.left];
        [0, 1]
            .map(|axis| (o[axis] * self.stride[axis] + k[axis] * self.dilation[axis]) as isize - before[axis] as isize)
    }
}

/// The kernel's size, from `kernel_shape` and from the weights where there are any; both must agree.
pub(crate) fn kernel_size<const N: usize>(
    stated: Option<[usize; N]>,
    weights: Option<[usize; N]>,
) -> OpResult<[usize; N]> {
    let kernel = match (stated, weights) {
        (Some(stated), Some(weights)) if stated != weights => {
            return invalid(format!("kernel_shape {stated:?} differs from the weights' {weights:?}"));
        }
        (Some(kernel), _) | (None, Some(kernel)) => kernel,
        (None, None) => return invalid("kernel_shape is missing"),
    };
    if kernel.contains(&0) {
        return invalid("the kernel has no taps");
    }
    Ok(kernel)
}

/// Every `stride`th element of `from`, to all of `to`.
pub(super) fn copy_strided<T: Copy>(from: &[T], stride: usize, to: &mut [T]) {
    if stride == 1 {
        to.copy_from_slice(&from[..to.len()]);
    } else {
        to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &from)| *to = from);
    }
}

/// Turns `auto_pad` or explicit pads into four numbers: the only place where padding is decided.
///
/// SAME makes the output `ceil(input / stride)` in each dimension; the total padding that takes is split in halves, and
/// an odd pixel goes to the end (upper) or to the beginning (lower). Source: ONNX, operator Conv.
pub fn resolve_padding(
    auto_pad: AutoPad,
    explicit: Pads,
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
) -> Pads {
    let total = |axis: usize| {
        let output = input[axis].div_ceil(stride[axis]);
        let span = (output.max(1) - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
        span.saturating_sub(input[axis])
    };
    match auto_pad {
        AutoPad::NotSet => explicit,
        AutoPad::Valid => Pads::default(),
        AutoPad::SameUpper | AutoPad::SameLower => {
            let [fewer, more] = [[total(0) / 2, total(1) / 2], [total(0).div_ceil(2), total(1).div_ceil(2)]];
            let (begin, end) = if auto_pad == AutoPad::SameUpper { (fewer, more) } else { (more, fewer) };
            Pads { top: begin[0], left: begin[1], bottom: end[0], right: end[1] }
        }
    }
}

/// The `auto_pad` and `pads` attributes; both at once contradict each other.
pub(crate) fn padding(node: &mut OnnxNode<'_>) -> OpResult<(AutoPad, Pads)> {
    let auto_pad = auto_pad(node)?;
    let stated = node.ints("pads")?;
    if auto_pad != AutoPad::NotSet && stated.as_ref().is_some_and(|pads| pads.iter().any(|&pad| pad != 0)) {
        return invalid("auto_pad and pads are both given");
    }
    let line = line::is_line(node)?;
    let [top, left, bottom, right] = match stated.as_deref() {
        None => [0; 4],
        Some(&[left, right]) if line => [0, within("pads", left, 0)?, 0, within("pads", right, 0)?],
        Some(&[top, left, bottom, right]) => {
            let mut pads = [0; 4];
            for (pad, given) in pads.iter_mut().zip([top, left, bottom, right]) {
                *pad = within("pads", given, 0)?;
            }
            pads
        }
        Some(other) => return invalid(format!("pads has {} numbers; an image takes 4", other.len())),
    };
    Ok((auto_pad, Pads { top, left, bottom, right }))
}

/// The `auto_pad` attribute.
pub(super) fn auto_pad(node: &mut OnnxNode<'_>) -> OpResult<AutoPad> {
    Ok(match node.string("auto_pad", "NOTSET")?.as_str() {
        "NOTSET" | "" => AutoPad::NotSet,
        "VALID" => AutoPad::Valid,
        "SAME_UPPER" => AutoPad::SameUpper,
        "SAME_LOWER" => AutoPad::SameLower,
        other => return invalid(format!("auto_pad '{other}' is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER")),
    })
}

/// An attribute's sizes for rows and columns, none less than `least`; `rows` stands for the one row of a line.
pub(crate) fn spatial_pair(node: &mut OnnxNode<'_>, name: &str, rows: i64, least: i64) -> OpResult<Option<[usize; 2]>> {
    let Some(mut values) = node.ints(name)? else { return Ok(None) };
    if line::is_line(node)? && values.len() == 1 {
        values.insert(0, rows);
    }
    pair(name, &values, least).map(Some)
}

/// Two sizes, rows and columns.
pub(crate) fn pair(name: &str, values: &[i64], least: i64) -> OpResult<[usize; 2]> {
    match *values {
        [rows, columns] => Ok([within(name, rows, least)?, within(name, columns, least)?]),
        _ => invalid(format!("{name} has {} numbers; an image takes 2", values.len())),
    }
}

pub(super) fn within(name: &str, value: i64, least: i64) -> OpResult<usize> {
    if (least..LARGEST).contains(&value) {
        return Ok(value as usize);
    }
    invalid(format!("{name} has {value}; it must be {least} or more, and below {LARGEST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_larger_than_the_image_has_a_position_where_the_last_one_may_hang_over() {
        let window = |stride| Window { kernel: [3, 3], stride: [stride; 2], ..Window::pointwise() };
        assert!(window(2).output_size([2, 2]).is_err());
        assert_eq!(window(2).output_size_ceil([2, 2]).unwrap(), [1, 1]);
        assert!(window(1).output_size_ceil([2, 2]).is_err() && window(4).output_size_ceil([0, 2]).is_err());
    }

    #[test]
    fn same_padding_yields_the_ceiling_of_input_by_stride_for_every_small_window() {
        for (input, kernel, stride, dilation) in itertools(1..12, 1..8, 1..8, 1..4) {
            let [i, k, s, d] = [[input, 13], [kernel, 3], [stride, 2], [dilation, 1]];
            for auto_pad in [AutoPad::SameUpper, AutoPad::SameLower] {
                let pads = resolve_padding(auto_pad, Pads::default(), i, k, s, d);
                let window = Window { kernel: k, stride: s, dilation: d, pads };
                let rows = input.div_ceil(stride);
                let [least, most] = [pads.top.min(pads.bottom), pads.top.max(pads.bottom)];
                assert!(most - least <= 1, "halves of one total");
                assert_eq!(pads.bottom >= pads.top, auto_pad == AutoPad::SameUpper || pads.bottom == pads.top);
                // A stride beyond the kernel needs no padding, and may leave rows over.
                assert_eq!(window.output_size(i).unwrap()[0], rows, "{i:?} {window:?}");
            }
        }
    }

    type Four = std::ops::Range<usize>;
    fn itertools(a: Four, b: Four, c: Four, d: Four) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        a.flat_map(move |w| {
            let (c, d) = (c.clone(), d.clone());
            b.clone().flat_map(move |x| {
                let d = d.clone();
                c.clone().flat_map(move |y| d.clone().map(move |z| (w, x, y, z)))
            })
        })
    }

    #[test]
    fn a_last_window_that_would_start_in_the_padding_is_dropped() {
        let pads = Pads { top: 0, left: 0, bottom: 1, right: 1 };
        let window = Window { kernel: [1, 2], stride: [2, 2], dilation: [1, 1], pads };
        // Rows: 0, 2 and, by rounding up, 4: row 4 is the padding below 4 rows.
        assert_eq!(window.output_size_ceil([4, 5]).unwrap(), [2, 3]);
    }

    #[test]
    fn a_kernel_larger_than_the_padded_image_is_invalid() {
        let window = Window { kernel: [5, 1], ..Window::pointwise() };
        assert!(window.output_size([4, 4]).is_err());
    }
}
