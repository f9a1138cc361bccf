//! Named pre-processing: how a picture becomes the input that a network was trained on.
//!
//! A network run on the wrong one of these still answers, and wrongly: so they are named, listed, and printed when
//! used.

use super::picture::Picture;
use super::resample::{resize, resize_window};
use crate::error::{Error, Result};
use crate::tensor::{Tensor, format_shape};
use fast_image_resize::CropBox;
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
}

/// How a picture is brought to the network's size. Always bilinear, antialiased as in Pillow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resize {
    /// The whole picture, whatever becomes of its aspect.
    Exact,
    /// The largest centred part that has the network's aspect.
    CentreCrop,
    /// torchvision's `Resize` and `CenterCrop`: the shorter side becomes the network's longer side divided by
    /// `crop_ratio` (at most 1, and 0.875 for 256 to 224), then the centre of the network's size is cut out.
    ShorterSide {
        /// What the crop keeps of the shorter side.
        crop_ratio: f64,
    },
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
        divisor: 255.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    },
    // Caffe's classifiers, SqueezeNet among them.
    Preset {
        name: "imagenet-caffe",
        channels: Channels::Bgr,
        resize: Resize::CentreCrop,
        divisor: 1.0,
        mean: [104.0, 117.0, 123.0],
        std: [1.0; 3],
    },
    // TensorFlow's and Keras's MobileNet, Inception, ResNet V2: -1 to 1.
    Preset {
        name: "tf",
        channels: Channels::Rgb,
        resize: Resize::Exact,
        divisor: 127.5,
        mean: [1.0; 3],
        std: [1.0; 3],
    },
    // 0 to 1.
    Preset {
        name: "unit",
        channels: Channels::RgbOrGrey,
        resize: Resize::Exact,
        divisor: 255.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    },
    // 0 to 255.
    Preset {
        name: "none",
        channels: Channels::RgbOrGrey,
        resize: Resize::Exact,
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
            Error::Usage(format!("no preset '{}'; there are {names}", crate::error::escape(name)))
        })
    }

    /// The picture as a tensor of `shape`, the `[1, c, h, w]` of the network's input.
    ///
    /// # Errors
    /// `Usage` where the shape is not of one picture in this preset's channels, `Invalid` where it exceeds a picture's
    /// limits.
    pub fn apply(&self, picture: &Picture, shape: [usize; 4]) -> Result<Tensor> {
        let (width, height) = self.network_size(shape)?;
        let picture = if shape[1] == 1 { picture.grey() } else { picture.rgb() };
        let resized = self.resize.apply(&picture, width, height)?;
        Tensor::real(&shape, self.normalised(&resized))
    }

    /// The whole pipeline for an input of `shape`, in one line.
    pub fn describe(&self, [_, channels, height, width]: [usize; 4]) -> String {
        let order = match self.channels {
            Channels::RgbOrGrey if channels == 1 => "grey",
            Channels::Rgb | Channels::RgbOrGrey => "RGB",
            Channels::Bgr => "BGR",
        };
        let parts = [
            format!("{}: {order}, {}", self.name, self.resize.describe(width, height)),
            if self.divisor == 1.0 { String::new() } else { format!(", /{}", self.divisor) },
            constants("mean", self.mean, 0.0),
            constants("std", self.std, 1.0),
        ];
        parts.concat()
    }

    /// Width and height in pixels.
    fn network_size(&self, shape: [usize; 4]) -> Result<(u32, u32)> {
        let [batch, channels, height, width] = shape;
        let fits = channels == 3 || channels == 1 && self.channels == Channels::RgbOrGrey;
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width), Ok(height)) if batch == 1 && fits => Ok((width, height)),
            _ => Err(Error::Usage(format!(
                "preset '{}' cannot fill an input of {} with a picture",
                self.name,
                format_shape(&shape)
            ))),
        }
    }

    /// Channel after channel, as the network wants them.
    fn normalised(&self, picture: &Picture) -> Vec<f32> {
        let channels = picture.channels();
        let plane = |channel: usize| {
            let source = if self.channels == Channels::Bgr { channels - 1 - channel } else { channel };
            let samples = picture.pixels().iter().skip(source).step_by(channels);
            samples.map(move |&x| (f32::from(x) / self.divisor - self.mean[channel]) / self.std[channel])
        };
        (0..channels).flat_map(plane).collect()
    }
}

/// The pipeline for the usual input of 1x3x224x224.
impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe([1, 3, 224, 224]))
    }
}

impl Resize {
    fn apply(self, picture: &Picture, width: u32, height: u32) -> Result<Picture> {
        match self {
            Resize::Exact => resize(picture, width, height),
            Resize::CentreCrop => resize(&centre(picture, width, height)?, width, height),
            Resize::ShorterSide { crop_ratio } => {
                let shorter = shorter_side(width.into(), height.into(), crop_ratio);
                resize_window(picture, window(picture, shorter, width, height), width, height)
            }
        }
    }

    fn describe(self, width: usize, height: usize) -> String {
        const FILTER: &str = "(bilinear, antialiased)";
        match self {
            Resize::Exact => format!("resized to {width}x{height} {FILTER}"),
            Resize::CentreCrop => format!("centre crop resized to {width}x{height} {FILTER}"),
            Resize::ShorterSide { crop_ratio } => {
                let shorter = shorter_side(width as f64, height as f64, crop_ratio);
                format!("shorter side {shorter} {FILTER}, centre crop {width}x{height}")
            }
        }
    }
}

/// What the picture's shorter side becomes, in pixels.
fn shorter_side(width: f64, height: f64, crop_ratio: f64) -> f64 {
    (width.max(height) / crop_ratio).round()
}

/// The largest centred part of the picture that has the aspect of `width x height`.
fn centre(picture: &Picture, width: u32, height: u32) -> Result<Picture> {
    let scaled = |side: u32, by: u32, to: u32| (u64::from(side) * u64::from(by) / u64::from(to.max(1))).max(1);
    let (w, h) = (picture.width(), picture.height());
    let crop_width = scaled(h, width, height).min(w.into()) as u32;
    let crop_height = scaled(w, height, width).min(h.into()) as u32;
    picture.crop((w - crop_width) / 2, (h - crop_height) / 2, crop_width, crop_height)
}

/// Where in the picture lies what torchvision crops from it once its shorter side is resized to `shorter`.
fn window(picture: &Picture, shorter: f64, width: u32, height: u32) -> CropBox {
    let sides = [picture.width(), picture.height()];
    let smallest = f64::from(sides[0].min(sides[1]));
    let [(left, width), (top, height)] = [(sides[0], width), (sides[1], height)].map(|(side, crop)| {
        let resized = (shorter * f64::from(side) / smallest).floor();
        let pixels = f64::from(side) / resized;
        // Python's `round`, which torchvision uses, takes halves to the even number.
        let start = ((resized - f64::from(crop)) / 2.0).round_ties_even() * pixels;
        (start, (f64::from(crop) * pixels).min(f64::from(side) - start))
    });
    CropBox { left, top, width, height }
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
