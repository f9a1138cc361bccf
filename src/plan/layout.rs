//! How tensors lie in device memory, and the kernels that carry them from one layout to another.

use super::{Lowering, View};
use crate::kernels::Kernel;
use crate::ops::{OpResult, invalid};
use crate::simd::vectorized;
use crate::uniform;

/// Channels that lie side by side in [`Layout::ByFour`]: one `vec4<f32>` of WGSL.
pub const CHANNELS: usize = 4;

/// How a tensor of reals lies in device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Row-major, as in files.
    Plain,
    /// A batch of images `[n, c, h, w]` as `[n, ceil(c / 4), h, w, 4]`: one load brings four channels of a pixel. What
    /// lies behind the last channel is zero; whoever writes such a tensor sees to it.
    ByFour,
}

impl Layout {
    /// The row-major shape of what lies in memory, for a tensor of this shape. Only images have a layout by four.
    pub fn shape(self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Layout::ByFour, &[n, c, h, w]) => vec![n, c.div_ceil(CHANNELS), h, w, CHANNELS],
            _ => shape.to_vec(),
        }
    }

    /// Numbers in memory.
    pub fn len(self, shape: &[usize]) -> usize {
        self.shape(shape).iter().product()
    }

    /// Row-major elements as they lie in memory.
    pub fn pack(self, shape: &[usize], elements: &[f32]) -> Vec<f32> {
        let mut packed = Vec::new();
        self.pack_into(shape, elements, &mut packed);
        packed
    }

    /// The same in memory that was used before, whatever it holds. On this thread: who waits for others may be holding what
    /// they wait for.
    pub fn pack_into(self, shape: &[usize], elements: &[f32], packed: &mut Vec<f32>) {
        let Some([images, channels, pixels]) = self.images(shape) else {
            packed.clear();
            return packed.extend_from_slice(elements);
        };
        if !channels.is_multiple_of(CHANNELS) {
            packed.clear();
        }
        packed.resize(self.len(shape), 0.0);
        let of_image = packed.len() / images;
        for (planes, packed) in elements.chunks(channels * pixels).zip(packed.chunks_mut(of_image)) {
            let blocks = planes.chunks(CHANNELS * pixels).zip(packed.chunks_mut(CHANNELS * pixels));
            blocks.for_each(|(planes, packed)| vectorized(|| interleave(planes, packed, pixels)));
        }
    }

    /// What lies in memory as row-major elements. Reads it once and in order: it may be a device's.
    pub fn unpack(self, shape: &[usize], packed: &[f32]) -> Vec<f32> {
        let Some([images, channels, pixels]) = self.images(shape) else { return packed.to_vec() };
        let mut elements = vec![0.0; images * channels * pixels];
        let of_image = packed.len() / images;
        for (planes, packed) in elements.chunks_mut(channels * pixels).zip(packed.chunks(of_image)) {
            let blocks = planes.chunks_mut(CHANNELS * pixels).zip(packed.chunks(CHANNELS * pixels));
            blocks.for_each(|(planes, packed)| vectorized(|| take_apart(planes, packed, pixels)));
        }
        elements
    }

    /// Images, channels, and pixels of a channel; none where both orders are one.
    fn images(self, shape: &[usize]) -> Option<[usize; 3]> {
        match (self, shape) {
            (Layout::ByFour, &[n, c, h, w]) => Some([n, c, h * w]).filter(|sizes| !sizes.contains(&0)),
            _ => None,
        }
    }
}

/// Up to four planes, pixel by pixel. Where there are fewer, what lies behind the last one is left as it is.
#[inline(always)]
fn interleave(planes: &[f32], packed: &mut [f32], pixels: usize) {
    if let Some([a, b, c, d]) = four(planes, pixels) {
        let planes = a.iter().zip(b).zip(c).zip(d);
        for (pixel, (((a, b), c), d)) in packed.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(planes) {
            *pixel = [*a, *b, *c, *d];
        }
        return;
    }
    for (channel, plane) in planes.chunks(pixels).enumerate() {
        packed.chunks_exact_mut(CHANNELS).zip(plane).for_each(|(pixel, element)| pixel[channel] = *element);
    }
}

/// The way back.
#[inline(always)]
fn take_apart(planes: &mut [f32], packed: &[f32], pixels: usize) {
    /// So many pixels stay in the first cache while their four channels are taken apart.
    const AT_ONCE: usize = 256;
    for (at, packed) in packed.chunks(AT_ONCE * CHANNELS).enumerate() {
        for (channel, plane) in planes.chunks_exact_mut(pixels).enumerate() {
            let elements = plane[at * AT_ONCE..].iter_mut().zip(packed.as_chunks::<CHANNELS>().0);
            elements.for_each(|(element, pixel)| *element = pixel[channel]);
        }
    }
}

/// Four planes of so many pixels; none where there are fewer.
#[inline(always)]
fn four(planes: &[f32], pixels: usize) -> Option<[&[f32]; CHANNELS]> {
    let (a, rest) = planes.split_at_checked(pixels)?;
    let (b, rest) = rest.split_at_checked(pixels)?;
    let (c, d) = rest.split_at_checked(pixels)?;
    (d.len() == pixels).then_some([a, b, c, d])
}

/// Whether both layouts of a tensor are the same bytes.
pub(super) fn is_both(shape: &[usize]) -> bool {
    matches!(*shape, [_, c, 1, 1] if c.is_multiple_of(CHANNELS))
}

uniform! {
    /// Parameters of both kernels: channels, fours of channels that they lie in, pixels of an image, and vec4s in all.
    pub struct LayoutParams { channels: u32, blocks: u32, pixels: u32, count: u32 }
}

/// Row-major to four channels side by side, a pixel's four an invocation.
pub static CHANNELS_BY_FOUR: Kernel = Kernel {
    name: "channels_by_four",
    source: include_str!("../../shaders/channels_by_four.wgsl"),
    includes: &[],
    params: LayoutParams::FIELDS,
    combinations: || vec![vec![]],
};

/// The way back.
pub static CHANNELS_APART: Kernel = Kernel {
    name: "channels_apart",
    source: include_str!("../../shaders/channels_apart.wgsl"),
    includes: &[],
    params: LayoutParams::FIELDS,
    combinations: || vec![vec![]],
};

/// Appends the dispatch that copies a batch of images into this layout from the other one.
pub(super) fn convert(node: &mut Lowering<'_>, shape: &[usize], to: Layout, views: [View; 2]) -> OpResult<()> {
    convert_among(node, shape, shape[1].div_ceil(CHANNELS), to, views)
}

/// The same where each image has so many fours of channels, at least as many as its channels take.
pub(crate) fn convert_among(
    node: &mut Lowering<'_>,
    shape: &[usize],
    blocks: usize,
    to: Layout,
    [output, input]: [View; 2],
) -> OpResult<()> {
    let &[images, channels, h, w] = shape else { return invalid("what lies by four channels is an image") };
    let count = (images * blocks * h * w) as u32;
    let params = LayoutParams { channels: channels as u32, blocks: blocks as u32, pixels: (h * w) as u32, count };
    let kernel = if to == Layout::ByFour { &CHANNELS_BY_FOUR } else { &CHANNELS_APART };
    node.dispatch(kernel, vec![], count, params, output, &[input])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_by_four_with_zeros_behind_the_last() {
        let elements: Vec<f32> = (1..=10).map(|x| x as f32).collect();
        let packed = Layout::ByFour.pack(&[1, 5, 1, 2], &elements);
        assert_eq!(packed, [1., 3., 5., 7., 2., 4., 6., 8., 9., 0., 0., 0., 10., 0., 0., 0.]);
        assert_eq!(Layout::ByFour.unpack(&[1, 5, 1, 2], &packed), elements);
    }

    #[test]
    fn many_images_come_back_as_they_went() {
        for shape in [[3, 6, 130, 97], [2, 7, 3, 5], [2, 3, 0, 4], [0, 3, 2, 2], [1, 1, 300, 300]] {
            let elements: Vec<f32> = (0..shape.iter().product()).map(|at| at as f32).collect();
            let mut packed = vec![f32::NAN; 1000];
            Layout::ByFour.pack_into(&shape, &elements, &mut packed);
            assert_eq!(packed, Layout::ByFour.pack(&shape, &elements));
            assert_eq!(packed.len(), Layout::ByFour.len(&shape));
            let [_, c, h, w] = shape;
            for (at, element) in elements.iter().enumerate() {
                let (image, channel, pixel) = (at / (c * h * w), at / (h * w) % c, at % (h * w));
                let block = image * c.div_ceil(CHANNELS) + channel / CHANNELS;
                assert_eq!(packed[(block * h * w + pixel) * CHANNELS + channel % CHANNELS], *element);
            }
            assert_eq!(Layout::ByFour.unpack(&shape, &packed), elements);
        }
    }

    #[test]
    fn single_pixels_of_whole_vectors_are_the_same_in_both_layouts() {
        let elements: Vec<f32> = (0..16).map(|x| x as f32).collect();
        assert!(is_both(&[2, 8, 1, 1]) && !is_both(&[2, 6, 1, 1]) && !is_both(&[2, 8, 1, 2]));
        assert_eq!(Layout::ByFour.pack(&[2, 8, 1, 1], &elements), elements);
    }
}
