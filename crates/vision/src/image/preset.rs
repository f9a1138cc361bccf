//! Named pre-processing: how a picture becomes the input that a network was trained on.
//!
//! A network run on the wrong one of these still answers, and wrongly: so they are named, listed, and printed when
//! used.

use super::geometry::{Placement, Resize};
use super::picture::Picture;
use super::resample::Filter;
use reluctor::error::{Error, Result};
use reluctor::tensor::{Tensor, format_shape};
use std::borrow::Cow;
use std::fmt;

/// Which channels a network takes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue; or luma, where the network takes one channel.
    RgbOrGrey,
    /// Luma, in as many channels as the network takes.
    Grey,
}

/// Which dimension of a network's input is which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[n, c, h, w]`, as PyTorch has it.
    Nchw,
    /// `[n, h, w, c]`, as TensorFlow has it.
    Nhwc,
    /// Whichever has one or three channels; `[n, c, h, w]` where both have.
    Either,
}

/// A picture's way into a network: channels, size, then `(pixel / divisor - mean) / std` for pixels of 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// The name it is chosen by.
    pub name: &'static str,
    /// The channels and their order.
    pub channels: Channels,
    /// The way to the network's size.
    pub resize: Resize,
    /// The width and height of what is cut out; the network's size where nothing is said.
    pub crop: Option<(u32, u32)>,
    /// What resizing weighs pixels by.
    pub filter: Filter,
    /// Which dimension of the input is which.
    pub layout: Layout,
    /// What each pixel is divided by first.
    pub divisor: f32,
    /// What is then subtracted, by channel in the order of `channels`.
    pub mean: [f32; 3],
    /// What each channel is divided by last.
    pub std: [f32; 3],
}

/// All presets.
pub const PRESETS: &[Preset] = &[
    // torchvision's classifiers.
    Preset {
        name: "imagenet",
        channels: Channels::Rgb,
        resize: Resize::ShorterSide { crop_ratio: 0.875 },
        crop: None,
        filter: Filter::Bilinear,
        layout: Layout::Either,
        divisor: 255.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    },
    // Caffe's classifiers, SqueezeNet among them.
    Preset {
        name: "imagenet-caffe",
        channels: Channels::Bgr,
        resize: Resize::CentreCrop,
        crop: None,
        filter: Filter::Bilinear,
        layout: Layout::Either,
        divisor: 1.0,
        mean: [104.0, 117.0, 123.0],
        std: [1.0; 3],
    },
    // TensorFlow's and Keras's MobileNet, Inception, ResNet V2: -1 to 1.
    Preset {
        name: "tf",
        channels: Channels::Rgb,
        resize: Resize::Exact,
        crop: None,
        filter: Filter::Bilinear,
        layout: Layout::Either,
        divisor: 127.5,
        mean: [1.0; 3],
        std: [1.0; 3],
    },
    // 0 to 1.
    Preset {
        name: "unit",
        channels: Channels::RgbOrGrey,
        resize: Resize::Exact,
        crop: None,
        filter: Filter::Bilinear,
        layout: Layout::Either,
        divisor: 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    },
    // 0 to 255.
    Preset {
        name: "none",
        channels: Channels::RgbOrGrey,
        resize: Resize::Exact,
        crop: None,
        filter: Filter::Bilinear,
        layout: Layout::Either,
        divisor: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    },
];

impl Preset {
    /// The preset of this name.
    ///
    /// # Errors
    /// `Usage`, with the names there are.
    pub fn named(name: &str) -> Result<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
            let names = PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
            Error::Usage(format!("no preset '{}'; there are {names}", reluctor::error::escape(name)))
        })
    }

    /// The picture as a tensor of `shape`, the network's input: `[1, c, h, w]`, or `[1, h, w, c]` under
    /// [`Preset::layout`].
    ///
    /// # Errors
    /// `Usage` where the shape is not of one picture in this preset's channels, `Invalid` where it exceeds a picture's
    /// limits, or more than the resized picture is to be cut from it.
    pub fn apply(&self, picture: &Picture, shape: [usize; 4]) -> Result<Tensor> {
        self.place(picture, shape).map(|(tensor, _)| tensor)
    }

    /// The same, and where the input's pixels lie in the picture.
    ///
    /// # Errors
    /// As [`Preset::apply`].
    pub fn place(&self, picture: &Picture, shape: [usize; 4]) -> Result<(Tensor, Placement)> {
        let frame = self.frame(shape)?;
        let (resized, placement) =
            self.resize.apply(&self.coloured(picture, frame.channels), frame.width, frame.height, self.filter)?;
        Ok((Tensor::real(&shape, self.normalised(&resized, frame.layout))?, placement))
    }

    /// The shape of the input that a picture becomes where the network leaves sizes open (none): the sizes that this
    /// pre-processing gives, or the picture's own.
    pub fn shape_for(&self, picture: &Picture, known: [Option<usize>; 4]) -> [usize; 4] {
        let (width, height) = self.crop.unwrap_or_else(|| self.resize.own_size(picture));
        let channels = if self.channels == Channels::Grey { 1 } else { 3 };
        let usual = match self.layout_of(known) {
            Layout::Nhwc => [1, height as usize, width as usize, channels],
            _ => [1, channels, height as usize, width as usize],
        };
        std::array::from_fn(|axis| if axis == 0 { 1 } else { known[axis].unwrap_or(usual[axis]) })
    }

    /// The whole pipeline for an input of `shape`, in one line.
    pub fn describe(&self, shape: [usize; 4]) -> String {
        let [_, channels, height, width] = match self.layout_of(shape.map(Some)) {
            Layout::Nhwc => [shape[0], shape[3], shape[1], shape[2]],
            _ => shape,
        };
        let order = match self.channels {
            Channels::Grey => "grey",
            Channels::RgbOrGrey if channels == 1 => "grey",
            Channels::Rgb | Channels::RgbOrGrey => "RGB",
            Channels::Bgr => "BGR",
        };
        let layout = if self.layout_of(shape.map(Some)) == Layout::Nhwc { ", NHWC" } else { "" };
        let parts = [
            format!("{}: {order}, {}", self.name, self.resize.describe(width, height, self.filter)),
            factor(self.divisor),
            constants("mean", self.mean, 0.0),
            constants("std", self.std, 1.0),
            layout.to_string(),
        ];
        parts.concat()
    }

    /// The channels of an input of this shape.
    pub fn channels_of(&self, shape: [usize; 4]) -> usize {
        if self.layout_of(shape.map(Some)) == Layout::Nhwc { shape[3] } else { shape[1] }
    }

    /// Width and height of an input of this shape, in pixels.
    pub fn size_of(&self, shape: [usize; 4]) -> [u32; 2] {
        let [height, width] = match self.layout_of(shape.map(Some)) {
            Layout::Nhwc => [shape[1], shape[2]],
            _ => [shape[2], shape[3]],
        };
        [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX))
    }

    /// The layout of an input with these sizes, where they are known.
    fn layout_of(&self, known: [Option<usize>; 4]) -> Layout {
        let is_channels = |axis: usize| matches!(known[axis], Some(1 | 3));
        match self.layout {
            Layout::Either if !is_channels(1) && is_channels(3) => Layout::Nhwc,
            Layout::Either => Layout::Nchw,
            layout => layout,
        }
    }

    fn frame(&self, shape: [usize; 4]) -> Result<Frame> {
        let layout = self.layout_of(shape.map(Some));
        let [batch, channels, height, width] = match layout {
            Layout::Nhwc => [shape[0], shape[3], shape[1], shape[2]],
            _ => shape,
        };
        let fits = channels == 3 || channels == 1 && matches!(self.channels, Channels::RgbOrGrey | Channels::Grey);
        let is_cut = |size: (u32, u32)| self.crop.is_none_or(|crop| crop == size);
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width), Ok(height)) if batch == 1 && fits && !is_cut((width, height)) => {
                let (w, h) = self.crop.unwrap_or_default();
                Err(Error::Usage(format!("--crop gives {w}x{h}, but the network takes {width}x{height}")))
            }
            (Ok(width), Ok(height)) if batch == 1 && fits => Ok(Frame { layout, channels, width, height }),
            _ => Err(Error::Usage(format!(
                "preset '{}' cannot fill an input of {} with a picture",
                self.name,
                format_shape(&shape)
            ))),
        }
    }

    fn coloured<'a>(&self, picture: &'a Picture, channels: usize) -> Cow<'a, Picture> {
        match self.channels {
            _ if channels == 1 => picture.grey(),
            Channels::Grey => Cow::Owned(picture.grey().rgb().into_owned()),
            _ => picture.rgb(),
        }
    }

    /// In the order in which the network wants the numbers.
    fn normalised(&self, picture: &Picture, layout: Layout) -> Vec<f32> {
        let channels = picture.channels();
        let bgr = self.channels == Channels::Bgr;
        let value = |channel: usize, x: u8| (f32::from(x) / self.divisor - self.mean[channel]) / self.std[channel];
        let source = |channel: usize| if bgr { channels - 1 - channel } else { channel };
        if layout == Layout::Nhwc {
            let pixel = |pixel: &[u8]| (0..channels).map(|c| value(c, pixel[source(c)])).collect::<Vec<f32>>();
            return picture.pixels().chunks_exact(channels).flat_map(pixel).collect();
        }
        let plane = |channel: usize| {
            let samples = picture.pixels().iter().skip(source(channel)).step_by(channels);
            samples.map(move |&x| value(channel, x))
        };
        (0..channels).flat_map(plane).collect()
    }
}

/// A network's input as a picture's frame.
struct Frame {
    layout: Layout,
    channels: usize,
    width: u32,
    height: u32,
}

/// The pipeline for the usual input of 1x3x224x224.
impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe([1, 3, 224, 224]))
    }
}

/// `, /255` or `, x2`; nothing where it changes nothing.
fn factor(divisor: f32) -> String {
    match divisor {
        1.0 => String::new(),
        small if small < 1.0 => format!(", x{}", 1.0 / small),
        _ => format!(", /{divisor}"),
    }
}

/// `, mean 0.485 0.456 0.406`; one number where all are equal, nothing where they change nothing.
fn constants(name: &str, values: [f32; 3], neutral: f32) -> String {
    match values {
        [a, b, c] if a == b && b == c => {
            if a == neutral {
                String::new()
            } else {
                format!(", {name} {a}")
            }
        }
        [a, b, c] => format!(", {name} {a} {b} {c}"),
    }
}

#[cfg(test)]
#[path = "preset_tests.rs"]
mod tests;
