//! How tensors lie in device memory, and the kernels that carry them from one layout to another.

use super::{Lowering, View};
use crate::kernels::Kernel;
use crate::ops::OpResult;
use crate::uniform;
use std::ops::Range;

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
        let Some(blocks) = self.blocks(shape) else { return elements.to_vec() };
        let mut packed = vec![0.0; self.len(shape)];
        for Block { plain, packed: place } in blocks {
            let planes = elements[plain].chunks(place.len() / CHANNELS).enumerate();
            for (channel, plane) in planes {
                let pixels = packed[place.clone()].chunks_exact_mut(CHANNELS).zip(plane);
                pixels.for_each(|(pixel, element)| pixel[channel] = *element);
            }
        }
        packed
    }

    /// What lies in memory as row-major elements. Reads it once and in order: it may be a device's.
    pub fn unpack(self, shape: &[usize], packed: &[f32]) -> Vec<f32> {
        /// So many pixels stay in the first cache while their four channels are taken apart.
        const PIXELS: usize = 256;
        let Some(blocks) = self.blocks(shape) else { return packed.to_vec() };
        let mut elements = vec![0.0; shape.iter().product()];
        for Block { plain, packed: place } in blocks {
            let plane = place.len() / CHANNELS;
            let elements = &mut elements[plain];
            for (at, pixels) in packed[place].chunks(PIXELS * CHANNELS).enumerate() {
                for (channel, plane) in elements.chunks_exact_mut(plane).enumerate() {
                    let elements = plane[at * PIXELS..].iter_mut().zip(pixels.chunks_exact(CHANNELS));
                    elements.for_each(|(element, pixel)| *element = pixel[channel]);
                }
            }
        }
        elements
    }

    /// Where the channels that lie side by side are in both orders; none where both orders are one.
    fn blocks(self, shape: &[usize]) -> Option<impl Iterator<Item = Block>> {
        let (Layout::ByFour, &[n, c, h, w]) = (self, shape) else { return None };
        let (pixels, blocks) = (h * w, c.div_ceil(CHANNELS));
        let filled = n * blocks * usize::from(pixels > 0);
        Some((0..filled).map(move |at| {
            let (image, block) = (at / blocks, at % blocks);
            let [first, end] = [block, block + 1].map(|block| (image * c + (block * CHANNELS).min(c)) * pixels);
            let packed = at * pixels * CHANNELS;
            Block { plain: first..end, packed: packed..packed + pixels * CHANNELS }
        }))
    }
}

/// Up to four neighbouring channels of an image: `plain` one plane after another, `packed` pixel by pixel.
struct Block {
    plain: Range<usize>,
    packed: Range<usize>,
}

/// Whether both layouts of a tensor are the same bytes.
pub(super) fn is_both(shape: &[usize]) -> bool {
    matches!(*shape, [_, c, 1, 1] if c.is_multiple_of(CHANNELS))
}

uniform! {
    /// Parameters of both kernels: channels, pixels of an image, and vec4s in all.
    pub struct LayoutParams { channels: u32, pixels: u32, count: u32 }
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
pub(super) fn convert(
    node: &mut Lowering<'_>,
    shape: &[usize],
    to: Layout,
    [output, input]: [View; 2],
) -> OpResult<()> {
    let count = (Layout::ByFour.len(shape) / CHANNELS) as u32;
    let params = LayoutParams { channels: shape[1] as u32, pixels: (shape[2] * shape[3]) as u32, count };
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
    fn single_pixels_of_whole_vectors_are_the_same_in_both_layouts() {
        let elements: Vec<f32> = (0..16).map(|x| x as f32).collect();
        assert!(is_both(&[2, 8, 1, 1]) && !is_both(&[2, 6, 1, 1]) && !is_both(&[2, 8, 1, 2]));
        assert_eq!(Layout::ByFour.pack(&[2, 8, 1, 1], &elements), elements);
    }
}
