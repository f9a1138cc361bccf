//! How tensors lie in device memory, and the kernels that carry them from one layout to another.

use super::{Lowering, View};
use crate::kernels::Kernel;
use crate::ops::OpResult;
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
        if self == Layout::Plain {
            return elements.to_vec();
        }
        let mut packed = vec![0.0; self.len(shape)];
        self.each(shape, |plain, place| packed[place] = elements[plain]);
        packed
    }

    /// What lies in memory as row-major elements.
    pub fn unpack(self, shape: &[usize], packed: &[f32]) -> Vec<f32> {
        let mut elements = vec![0.0; shape.iter().product()];
        self.each(shape, |plain, place| elements[plain] = packed[place]);
        elements
    }

    /// Both places of each element.
    fn each(self, shape: &[usize], mut visit: impl FnMut(usize, usize)) {
        let (Layout::ByFour, &[n, c, h, w]) = (self, shape) else {
            return (0..shape.iter().product()).for_each(|at| visit(at, at));
        };
        let (pixels, blocks) = (h * w, c.div_ceil(CHANNELS));
        for (image, channel) in (0..n).flat_map(|image| (0..c).map(move |channel| (image, channel))) {
            let plain = (image * c + channel) * pixels;
            let place = (image * blocks + channel / CHANNELS) * pixels * CHANNELS + channel % CHANNELS;
            (0..pixels).for_each(|pixel| visit(plain + pixel, place + pixel * CHANNELS));
        }
    }
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
