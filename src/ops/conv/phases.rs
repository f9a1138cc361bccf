//! A transposed convolution as convolutions. With a stride of s its results are s interleaved images along each axis, its
//! phases: each is an ordinary convolution, at a stride of 1, with every s-th tap of the filter, last tap first. Phases with as
//! many taps are computed together, as channels of one convolution, and a second dispatch puts their pixels in their places
//! under the whole epilogue. Nothing is multiplied by zeros that are not in the padding.
//!
//! Source: W. Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016 (arXiv:1609.07009).

use super::by_four::{self, Bound};
use super::choice::Pooling;
use super::text::grid;
use super::{ConvParams, ConvShape, gemm, subgroup};
use crate::kernels::Kernel;
use crate::ops::OpResult;
use crate::ops::epilogue::{Epilogue, parts};
use crate::ops::window::{Pads, Window};
use crate::plan::layout::{CHANNELS, Layout};
use crate::plan::{Folded, Limits, Lowering};
use std::ops::Range;

/// Phases along an axis that have as many taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    /// The first of them.
    first: usize,
    phases: usize,
    taps: usize,
    /// Between two of these taps; above 1 only where the stride is 1.
    dilation: usize,
    /// Padding before and behind the image.
    pads: [usize; 2],
    /// Pixels of each phase.
    pixels: usize,
    /// The place of the first phase's first pixel in the result, which may lie before it.
    start: i64,
}

impl Axis {
    /// The phases of an axis; none where some phase has no tap, or taps are apart in a way that its phases are not.
    fn all(shape: &ConvShape, axis: usize) -> Option<Vec<Axis>> {
        let Window { kernel, stride, dilation, pads } = shape.window;
        let [kernel, stride, dilation, image, out] =
            [kernel, stride, dilation, shape.image, shape.out].map(|sizes| sizes[axis]);
        if kernel < stride || (stride > 1 && dilation > 1) {
            return None;
        }
        let pad = [pads.top, pads.left][axis];
        let of = |phases: Range<usize>, taps: usize| {
            // The result at `turn * stride + phase - pad` is the sum of the image at `turn - tap * dilation`.
            let reach = (taps - 1) * dilation;
            let turn = (pad / stride).min(reach);
            let end = ((out - 1 + pad) / stride + 1).saturating_sub(image);
            Axis {
                first: phases.start,
                phases: phases.len(),
                taps,
                dilation,
                pads: [reach - turn, end],
                pixels: image + end - turn,
                start: (turn * stride + phases.start) as i64 - pad as i64,
            }
        };
        let longer = kernel % stride;
        let all = [of(0..longer, kernel / stride + 1), of(longer..stride, kernel / stride)];
        Some(all.into_iter().filter(|axis| axis.phases > 0).collect())
    }

    /// The filter's tap that is the `tap`-th of a phase.
    fn tap(&self, phase: usize, tap: usize, stride: usize) -> usize {
        self.first + phase + stride * (self.taps - 1 - tap)
    }
}

/// One of the convolutions.
struct Class {
    axes: [Axis; 2],
    shape: ConvShape,
    way: Way,
}

/// What computes it.
#[derive(Clone, Copy)]
enum Way {
    Strips(subgroup::Tile),
    Tiles(gemm::Tiling),
}

impl Way {
    fn of(shape: &ConvShape, limits: &Limits) -> Option<Self> {
        let asked_for = limits.conv_kernel.as_deref().and_then(|name| name.split(' ').next());
        let strips = match asked_for {
            None => limits.software,
            Some(name) if name == subgroup::CONV_SUBGROUP.name => true,
            Some(name) if name == gemm::CONV_GEMM.name => false,
            Some(_) => return None,
        };
        if !strips {
            return gemm::cheapest_tiling(shape, limits).map(Way::Tiles);
        }
        let lanes = limits.subgroup_lanes as usize == subgroup::LANES;
        subgroup::cheapest_tile(shape, limits).filter(|_| lanes).map(Way::Strips)
    }
}

impl Class {
    fn new(whole: &ConvShape, axes: [Axis; 2], limits: &Limits) -> Option<Self> {
        let [y, x] = axes;
        let window = Window {
            kernel: axes.map(|axis| axis.taps),
            stride: [1, 1],
            dilation: axes.map(|axis| axis.dilation),
            pads: Pads { top: y.pads[0], left: x.pads[0], bottom: y.pads[1], right: x.pads[1] },
        };
        let per_phase = (whole.out_c / whole.groups).next_multiple_of(CHANNELS);
        let out_c = whole.groups * y.phases * x.phases * per_phase;
        let shape = ConvShape { out_c, out: axes.map(|axis| axis.pixels), window, ..*whole }.flattened();
        let bytes = (Layout::ByFour.len(&shape.output()) * size_of::<f32>()) as u64;
        let fits = bytes <= limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        Way::of(&shape, limits).filter(|_| fits).map(|way| Class { axes, shape, way })
    }

    /// Numbers that it leaves in scratch memory.
    fn sums(&self) -> usize {
        Layout::ByFour.len(&self.shape.output())
    }

    /// `[group][phase][oc / group][ic / group][ky][kx]`, of filters `[oc][ic / group][ky][kx]`; zeros behind a phase's last
    /// channel.
    fn filters(&self, whole: &ConvShape, filters: &[f32]) -> Folded {
        let ([y, x], [s_h, s_w], [k_h, k_w]) = (self.axes, whole.window.stride, whole.window.kernel);
        let row = whole.terms();
        let per_group = whole.out_c / whole.groups;
        let mut weights = Vec::new();
        for of_group in filters.chunks_exact(per_group * row) {
            for (phase_y, phase_x) in grid(y.phases, x.phases) {
                for plane in of_group.chunks_exact(k_h * k_w) {
                    let taps = grid(y.taps, x.taps);
                    weights.extend(taps.map(|(ky, kx)| plane[y.tap(phase_y, ky, s_h) * k_w + x.tap(phase_x, kx, s_w)]));
                }
                let missing = per_group.next_multiple_of(CHANNELS) - per_group;
                weights.resize(weights.len() + missing * self.shape.terms(), 0.0);
            }
        }
        let nothing = vec![0.0; self.shape.out_c];
        Folded { weights, bias: nothing.clone(), slope: nothing }
    }

    fn convolve(&self, node: &mut Lowering<'_>, filters: &Folded, bound: &Bound) -> OpResult<()> {
        let (shapes, epilogue) = ([&self.shape; 2], Epilogue::default());
        match self.way {
            Way::Strips(tile) => subgroup::convolve(node, shapes, &epilogue, filters, tile, Pooling::Behind, bound),
            Way::Tiles(tiling) => gemm::convolve(node, shapes, &epilogue, filters, tiling, Pooling::Behind, bound),
        }
    }
}

/// A transposed convolution, taken apart.
pub(in crate::ops) struct Phases(Vec<Class>);

impl Phases {
    /// None where phases have no taps, groups share blocks of channels, or the device lacks a kernel that suits it and fits.
    pub(in crate::ops) fn of(whole: &ConvShape, limits: &Limits) -> Option<Self> {
        let per_group = [whole.in_c, whole.out_c].map(|channels| channels / whole.groups);
        let shared = whole.groups > 1 && per_group.iter().any(|channels| !channels.is_multiple_of(CHANNELS));
        if whole.is_empty() || shared {
            return None;
        }
        let (rows, columns) = (Axis::all(whole, 0)?, Axis::all(whole, 1)?);
        let pairs = rows.iter().flat_map(|&y| columns.iter().map(move |&x| [y, x]));
        pairs.map(|axes| Class::new(whole, axes, limits)).collect::<Option<_>>().map(Phases)
    }

    /// Appends the dispatches. The filters lie as a convolution's.
    pub(in crate::ops) fn lower(
        &self,
        node: &mut Lowering<'_>,
        whole: &ConvShape,
        epilogue: &Epilogue,
        folded: &Folded,
    ) -> OpResult<()> {
        by_four::with_pool(node, whole, epilogue, Layout::ByFour, Pooling::Behind, |node, bound| {
            let padded = whole.out_c.next_multiple_of(CHANNELS);
            let mut per_channel = Vec::new();
            folded.append_per_channel(&mut per_channel, 0..whole.out_c, CHANNELS);
            let per_channel = node.constant_buffer("bias, slope", per_channel)?;
            let most = self.0.iter().map(Class::sums).max().unwrap_or(0);
            let sums = node.scratch("phases", most)?;
            let mut inputs = bound.inputs(per_channel);
            inputs[0] = sums;
            for class in &self.0 {
                class.convolve(node, &class.filters(whole, &folded.weights), &Bound::plain(bound.input, sums))?;
                let [y, x] = class.axes;
                let places = whole.batch * padded / CHANNELS * y.pixels * y.phases * x.pixels * x.phases;
                let params = ConvParams {
                    in_h: y.pixels as u32,
                    in_w: x.pixels as u32,
                    k_h: y.phases as u32,
                    k_w: x.phases as u32,
                    pad_top: -y.start as i32,
                    pad_left: -x.start as i32,
                    ..bound.params(whole, epilogue, 0..whole.out_c, 0, padded)
                };
                let parts = bound.parts.clone();
                node.dispatch(&CONV_TRANSPOSE_PHASES, parts, places as u32, params, bound.output, &inputs)?;
            }
            Ok(())
        })
    }
}

/// Puts the pixels of phases in their places.
pub static CONV_TRANSPOSE_PHASES: Kernel = Kernel {
    name: "conv_transpose_phases",
    source: include_str!("../../../shaders/conv_transpose_phases.wgsl"),
    includes: &parts::INCLUDES_BY_FOUR,
    params: ConvParams::FIELDS,
    combinations: parts::by_four_combinations,
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of these sizes: taps, stride, dilation, padding before it, image, result.
    fn line([kernel, stride, dilation, pad, image, out]: [usize; 6]) -> ConvShape {
        let pads = Pads { left: pad, ..Pads::default() };
        let window = Window { kernel: [1, kernel], stride: [1, stride], dilation: [1, dilation], pads };
        ConvShape { batch: 1, in_c: 1, image: [1, image], out_c: 1, out: [1, out], groups: 1, window }
    }

    /// Which tap of the filter takes which pixel of the image to a place, by the definition.
    fn defined(shape: &ConvShape, place: usize) -> Vec<[usize; 2]> {
        let Window { kernel, stride, dilation, pads } = shape.window;
        let reached = |tap: usize, pixel: usize| pixel * stride[1] + tap * dilation[1] == place + pads.left;
        let all = grid(kernel[1], shape.image[1]).filter(|&(tap, pixel)| reached(tap, pixel));
        all.map(|(tap, pixel)| [tap, pixel]).collect()
    }

    /// The same, of the phases; in the order of the taps.
    fn by_phases(shape: &ConvShape, axes: &[Axis], place: usize) -> Vec<[usize; 2]> {
        let stride = shape.window.stride[1];
        let mut found = Vec::new();
        for axis in axes {
            for (pixel, phase) in grid(axis.pixels, axis.phases) {
                if (pixel * stride + phase) as i64 + axis.start != place as i64 {
                    continue;
                }
                for tap in 0..axis.taps {
                    let image = (pixel + tap * axis.dilation).checked_sub(axis.pads[0]);
                    let image = image.filter(|&image| image < shape.image[1]);
                    found.extend(image.map(|image| [axis.tap(phase, tap, stride), image]));
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn phases_have_the_products_of_the_definition() {
        let mut whole = 0;
        for (kernel, stride) in grid(8, 5) {
            for (pad, extra) in grid(9, 7) {
                for (image, dilation) in [(1, 1), (2, 1), (5, 1), (4, 3)] {
                    let [kernel, stride] = [kernel + 1, stride + 1];
                    let full = (image - 1) * stride + (kernel - 1) * dilation + 1;
                    // Cut at both ends, or longer than anything reaches.
                    let Some(out) = (full + 3).checked_sub(pad + extra).filter(|&out| out > 0) else { continue };
                    let shape = line([kernel, stride, dilation, pad, image, out]);
                    let Some(axes) = Axis::all(&shape, 1) else {
                        assert!(kernel < stride || (stride > 1 && dilation > 1), "{shape:?}");
                        continue;
                    };
                    whole += 1;
                    assert_eq!(axes.iter().map(|axis| axis.phases).sum::<usize>(), stride, "{shape:?}");
                    assert_eq!(axes.iter().map(|axis| axis.phases * axis.taps).sum::<usize>(), kernel, "{shape:?}");
                    for place in 0..out {
                        assert_eq!(by_phases(&shape, &axes, place), defined(&shape, place), "{shape:?} {place}");
                    }
                    for axis in &axes {
                        // As the window itself has it.
                        let padded = image + axis.pads[0] + axis.pads[1];
                        assert_eq!(axis.pixels + (axis.taps - 1) * axis.dilation, padded, "{shape:?}");
                    }
                }
            }
        }
        assert!(whole > 1_000, "{whole}");
    }
}
