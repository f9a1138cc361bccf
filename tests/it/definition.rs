//! Convolution, its transpose and pooling as ONNX's text defines them: plain loops, which share no code with the engine.
//! Images are `[n, c, h, w]`, row-major.

/// An image batch or filters.
#[derive(Clone)]
pub struct Image {
    pub shape: [usize; 4],
    pub data: Vec<f64>,
}

impl Image {
    pub fn zeros(shape: [usize; 4]) -> Self {
        Image { shape, data: vec![0.0; shape.iter().product()] }
    }

    fn place(&self, [n, c, y, x]: [usize; 4]) -> usize {
        let [_, channels, h, w] = self.shape;
        ((n * channels + c) * h + y) * w + x
    }

    fn at(&self, place: [usize; 4]) -> f64 {
        self.data[self.place(place)]
    }

    /// The element, or 0 in the padding.
    fn at_or_zero(&self, n: usize, c: usize, y: i64, x: i64) -> f64 {
        let [_, _, h, w] = self.shape;
        let inside = (0..h as i64).contains(&y) && (0..w as i64).contains(&x);
        if inside { self.at([n, c, y as usize, x as usize]) } else { 0.0 }
    }
}

/// Attributes of Conv and ConvTranspose.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    pub strides: [usize; 2],
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    pub group: usize,
}

/// `Y[n, oc, oy, ox] = B[oc] + sum over ic, ky, kx of X[n, ic, oy * stride + ky * dilation - pad, ..] * W[oc, ic, ky, kx]`.
#[expect(clippy::needless_range_loop)] // All seven loops alike.
pub fn conv(x: &Image, w: &Image, bias: &[f64], a: Attributes) -> Image {
    let ([batch, _, in_h, in_w], [out_c, group_c, k_h, k_w]) = (x.shape, w.shape);
    let size = |size: usize, kernel: usize, axis: usize| {
        (size + a.pads[axis] + a.pads[axis + 2] - a.dilations[axis] * (kernel - 1) - 1) / a.strides[axis] + 1
    };
    let (out_h, out_w) = (size(in_h, k_h, 0), size(in_w, k_w, 1));
    let mut y = Image::zeros([batch, out_c, out_h, out_w]);
    for n in 0..batch {
        for oc in 0..out_c {
            for oy in 0..out_h {
                for ox in 0..out_w {
                    let mut sum = bias[oc];
                    for ic in 0..group_c {
                        for ky in 0..k_h {
                            for kx in 0..k_w {
                                let iy = (oy * a.strides[0] + ky * a.dilations[0]) as i64 - a.pads[0] as i64;
                                let ix = (ox * a.strides[1] + kx * a.dilations[1]) as i64 - a.pads[1] as i64;
                                let channel = oc / (out_c / a.group) * group_c + ic;
                                sum += x.at_or_zero(n, channel, iy, ix) * w.at([oc, ic, ky, kx]);
                            }
                        }
                    }
                    let place = y.place([n, oc, oy, ox]);
                    y.data[place] = sum;
                }
            }
        }
    }
    y
}

/// Each input element spreads the filters over the output, of which the padding is cut off. `W` is
/// `[in_c, out_c / group, k_h, k_w]`; the output's size is given.
pub fn conv_transpose(x: &Image, w: &Image, bias: &[f64], a: Attributes, [out_h, out_w]: [usize; 2]) -> Image {
    let ([batch, in_c, in_h, in_w], [_, group_c, k_h, k_w]) = (x.shape, w.shape);
    let mut y = Image::zeros([batch, group_c * a.group, out_h, out_w]);
    for n in 0..batch {
        for ic in 0..in_c {
            for iy in 0..in_h {
                for ix in 0..in_w {
                    for c in 0..group_c {
                        for ky in 0..k_h {
                            for kx in 0..k_w {
                                let oy = (iy * a.strides[0] + ky * a.dilations[0]) as i64 - a.pads[0] as i64;
                                let ox = (ix * a.strides[1] + kx * a.dilations[1]) as i64 - a.pads[1] as i64;
                                if (0..out_h as i64).contains(&oy) && (0..out_w as i64).contains(&ox) {
                                    let oc = ic / (in_c / a.group) * group_c + c;
                                    let place = y.place([n, oc, oy as usize, ox as usize]);
                                    y.data[place] += x.at([n, ic, iy, ix]) * w.at([ic, c, ky, kx]);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    for (place, sum) in y.data.iter_mut().enumerate() {
        *sum += bias[place / (out_h * out_w) % (group_c * a.group)];
    }
    y
}

/// Attributes of MaxPool and AveragePool.
#[derive(Clone, Copy, Debug)]
pub struct PoolAttributes {
    pub kernel_shape: [usize; 2],
    pub strides: [usize; 2],
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    pub ceil_mode: bool,
    /// None for MaxPool.
    pub count_include_pad: Option<bool>,
}

impl PoolAttributes {
    /// ONNX: `floor` or `ceil` of `(input + pads - ((kernel - 1) * dilation + 1)) / stride + 1`; a last window that would
    /// start in the end padding is ignored.
    fn positions(&self, input: usize, axis: usize) -> usize {
        let [begin, end] = [self.pads[axis], self.pads[axis + 2]];
        let room = (input + begin + end) as f64 - ((self.kernel_shape[axis] - 1) * self.dilations[axis] + 1) as f64;
        let steps = room / self.strides[axis] as f64;
        let positions = if self.ceil_mode { steps.ceil() as usize + 1 } else { steps.floor() as usize + 1 };
        let dropped = self.ceil_mode && (positions - 1) * self.strides[axis] >= input + begin;
        positions - usize::from(dropped)
    }
}

/// The largest element, or the mean, of each window. Padding is never the maximum; it counts as zeros in the mean where
/// the attribute says so, but what hangs over the padding's end does not.
pub fn pool(x: &Image, a: PoolAttributes) -> Image {
    let [batch, channels, in_h, in_w] = x.shape;
    let (out_h, out_w) = (a.positions(in_h, 0), a.positions(in_w, 1));
    let mut y = Image::zeros([batch, channels, out_h, out_w]);
    for place in 0..y.data.len() {
        let (plane, oy, ox) = (place / (out_h * out_w), place / out_w % out_h, place % out_w);
        let (mut elements, mut padding) = (Vec::new(), 0);
        for ky in 0..a.kernel_shape[0] {
            for kx in 0..a.kernel_shape[1] {
                let iy = (oy * a.strides[0] + ky * a.dilations[0]) as i64 - a.pads[0] as i64;
                let ix = (ox * a.strides[1] + kx * a.dilations[1]) as i64 - a.pads[1] as i64;
                if (0..in_h as i64).contains(&iy) && (0..in_w as i64).contains(&ix) {
                    elements.push(x.at([plane / channels, plane % channels, iy as usize, ix as usize]));
                } else if iy < (in_h + a.pads[2]) as i64 && ix < (in_w + a.pads[3]) as i64 {
                    padding += 1;
                }
            }
        }
        y.data[place] = match a.count_include_pad {
            None => elements.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Some(false) => elements.iter().sum::<f64>() / elements.len() as f64,
            Some(true) => elements.iter().sum::<f64>() / (elements.len() + padding) as f64,
        };
    }
    y
}
