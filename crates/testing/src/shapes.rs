//! Odd shapes: small images with every kind of irregularity that a kernel may get wrong.

use reluctor::ops::window::{Pads, Window};
use reluctor::ops::{Conv, ConvTranspose, Epilogue, Pool, PoolKind};

/// One convolution, transposed or not.
#[derive(Clone, Copy, Debug)]
pub struct ConvShape {
    pub batch: usize,
    pub in_c: usize,
    pub out_c: usize,
    pub groups: usize,
    pub image: [usize; 2],
    pub window: Window,
}

impl ConvShape {
    pub fn input(&self) -> [usize; 4] {
        [self.batch, self.in_c, self.image[0], self.image[1]]
    }

    /// `[out_c, in_c / groups, k_h, k_w]`.
    pub fn filters(&self) -> [usize; 4] {
        [self.out_c, self.in_c / self.groups, self.window.kernel[0], self.window.kernel[1]]
    }

    /// `[in_c, out_c / groups, k_h, k_w]`.
    pub fn transposed_filters(&self) -> [usize; 4] {
        [self.in_c, self.out_c / self.groups, self.window.kernel[0], self.window.kernel[1]]
    }

    pub fn conv(&self, epilogue: Epilogue) -> Conv {
        Conv { window: self.window, groups: self.groups, epilogue }
    }

    pub fn conv_output(&self) -> [usize; 4] {
        let [h, w] = self.window.output_size(self.image).unwrap();
        [self.batch, self.out_c, h, w]
    }

    /// The transposed convolution that cuts the padding off its output.
    pub fn conv_transpose(&self, epilogue: Epilogue) -> ConvTranspose {
        let [_, _, h, w] = self.conv_transpose_output();
        ConvTranspose { window: self.window, groups: self.groups, output: [h, w], epilogue }
    }

    pub fn conv_transpose_output(&self) -> [usize; 4] {
        let Window { stride, pads, .. } = self.window;
        let full = [0, 1].map(|axis| (self.image[axis] - 1) * stride[axis] + self.window.extent()[axis]);
        [self.batch, self.out_c, full[0] - pads.top - pads.bottom, full[1] - pads.left - pads.right]
    }
}

pub fn window(kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2], pads: [usize; 4]) -> Window {
    let [top, left, bottom, right] = pads;
    Window { kernel, stride, dilation, pads: Pads { top, left, bottom, right } }
}

/// What the project promises to be right for. Every convolution kernel sees all of them.
pub fn conv_shapes() -> Vec<ConvShape> {
    let image = [7, 13];
    let three = window([3, 3], [1, 1], [1, 1], [1; 4]);
    let plain = ConvShape { batch: 1, in_c: 3, out_c: 8, groups: 1, image, window: three };
    let with = |window| ConvShape { window, ..plain };
    let mut shapes = vec![
        plain,
        ConvShape { batch: 3, ..plain },
        ConvShape { batch: 2, image: [1, 1], ..plain },
        ConvShape { image: [5, 1], ..plain },
        with(window([1, 1], [1, 1], [1, 1], [0; 4])),
        with(window([1, 1], [2, 3], [1, 1], [0; 4])),
        with(window([2, 2], [3, 4], [1, 1], [0; 4])),
        with(window([3, 3], [2, 2], [1, 1], [0, 0, 1, 1])),
        with(window([3, 3], [2, 2], [1, 1], [1, 1, 0, 0])),
        with(window([3, 3], [1, 1], [1, 1], [2, 0, 0, 1])),
        with(window([3, 3], [1, 1], [2, 3], [2, 3, 2, 3])),
        with(window([3, 2], [2, 1], [3, 2], [0, 1, 4, 0])),
        with(window([1, 5], [1, 2], [1, 1], [0, 2, 0, 2])),
        with(window([7, 7], [2, 2], [1, 1], [3; 4])),
        with(window([7, 13], [1, 1], [1, 1], [0; 4])),
        ConvShape { batch: 3, in_c: 6, out_c: 9, groups: 3, ..plain },
        ConvShape { in_c: 8, out_c: 8, groups: 8, ..plain },
        ConvShape { batch: 2, in_c: 5, out_c: 10, groups: 5, ..plain },
        ConvShape { in_c: 6, out_c: 8, groups: 2, ..plain },
        ConvShape { batch: 2, in_c: 9, out_c: 24, groups: 3, ..plain },
        ConvShape { batch: 2, in_c: 8, out_c: 16, groups: 2, ..with(window([4, 3], [2, 2], [1, 1], [1; 4])) },
        ConvShape { in_c: 4, out_c: 6, groups: 2, ..with(window([3, 3], [2, 2], [1, 1], [1; 4])) },
    ];
    // Channel counts around every multiple that a tile may have, on either side of the convolution.
    for channels in [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        shapes.push(ConvShape { in_c: channels, out_c: 5, ..plain });
        shapes.push(ConvShape { in_c: 3, out_c: channels, image: [5, 4], ..plain });
    }
    shapes
}

/// Pools for images of at least 3x3.
pub fn pools(kind: PoolKind) -> Vec<Pool> {
    let pool = |ceil, window| Pool { kind, window, ceil };
    vec![
        pool(false, window([2, 2], [2, 2], [1, 1], [0; 4])),
        pool(false, window([3, 3], [2, 2], [1, 1], [1; 4])),
        pool(true, window([3, 3], [2, 2], [1, 1], [0; 4])),
        pool(true, window([2, 3], [3, 2], [1, 1], [1, 0, 0, 2])),
        pool(false, window([2, 2], [1, 1], [2, 1], [0, 1, 1, 0])),
        pool(true, window([2, 2], [3, 4], [1, 2], [1, 1, 1, 1])),
        pool(false, window([1, 1], [2, 2], [1, 1], [0; 4])),
        pool(true, window([1, 2], [2, 3], [1, 1], [0; 4])),
    ]
}

/// Maximum, and mean without and with padding counted.
pub const POOL_KINDS: [PoolKind; 3] =
    [PoolKind::Max, PoolKind::Average { count_include_pad: false }, PoolKind::Average { count_include_pad: true }];
