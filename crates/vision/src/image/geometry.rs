//! How a picture is brought to a network's size, and where each of the network's pixels lies in the picture.

use super::picture::Picture;
use super::resample::{Filter, resize, resize_window};
use fast_image_resize::CropBox;
use reluctor::error::{Error, Result};

/// How a picture is brought to the network's size. Antialiased as in Pillow where it shrinks.
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
    /// The same with the shorter side in pixels.
    Shorter(u32),
    /// The whole picture to this width and height, then the centre of the network's size.
    To(u32, u32),
    /// The centre of the network's size from the picture as it is.
    Keep,
    /// The whole picture, its aspect kept, as large as fits; the rest is `fill`.
    Letterbox {
        /// Whether the picture lies in the upper left corner, as YOLOX has it, and not in the middle.
        corner: bool,
        /// The grey level of the rest.
        fill: u8,
    },
}

/// Where a network's pixels lie in the picture: `picture = network * scale + offset`, in x and y, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// The picture's pixels in one of the network's.
    pub scale: [f64; 2],
    /// The network's upper left corner.
    pub offset: [f64; 2],
}

impl Placement {
    /// The picture's place of one of the network's.
    pub fn to_picture(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [x * self.scale[0] + self.offset[0], y * self.scale[1] + self.offset[1]]
    }

    /// The network's place of one of the picture's.
    pub fn to_network(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [(x - self.offset[0]) / self.scale[0], (y - self.offset[1]) / self.scale[1]]
    }

    fn of(window: CropBox, width: u32, height: u32) -> Self {
        let CropBox { left, top, width: w, height: h } = window;
        Placement { scale: [w / f64::from(width), h / f64::from(height)], offset: [left, top] }
    }
}

impl Resize {
    /// The picture in `width x height` pixels, and where these lie.
    pub(super) fn apply(
        self,
        picture: &Picture,
        width: u32,
        height: u32,
        filter: Filter,
    ) -> Result<(Picture, Placement)> {
        let (w, h) = (picture.width(), picture.height());
        let resized = match self {
            Resize::Exact => {
                let window = CropBox { left: 0.0, top: 0.0, width: w.into(), height: h.into() };
                return Ok((resize(picture, width, height, filter)?, Placement::of(window, width, height)));
            }
            Resize::CentreCrop => {
                let (centre, [left, top]) = centre(picture, width, height)?;
                let [cw, ch] = [centre.width(), centre.height()].map(f64::from);
                let window = CropBox { left: left.into(), top: top.into(), width: cw, height: ch };
                return Ok((resize(&centre, width, height, filter)?, Placement::of(window, width, height)));
            }
            Resize::Letterbox { corner, fill } => return letterbox(picture, [width, height], corner, fill, filter),
            Resize::ShorterSide { crop_ratio } => {
                shorter(picture, shorter_side(width.into(), height.into(), crop_ratio))
            }
            Resize::Shorter(pixels) => shorter(picture, pixels.into()),
            Resize::To(width, height) => [width, height].map(f64::from),
            Resize::Keep => [w, h].map(f64::from),
        };
        if resized[0] < f64::from(width) || resized[1] < f64::from(height) {
            let reason = format!("of {}x{} is smaller than the {width}x{height} cut from it", resized[0], resized[1]);
            return Err(Error::invalid("the resized picture", reason));
        }
        let window = window(picture, resized, width, height);
        Ok((resize_window(picture, window, width, height, filter)?, Placement::of(window, width, height)))
    }

    /// What a network of any size is given: width and height, where this says so by itself.
    pub(super) fn own_size(self, picture: &Picture) -> (u32, u32) {
        match self {
            Resize::To(width, height) => (width, height),
            Resize::Shorter(pixels) => {
                let [width, height] = shorter(picture, pixels.into());
                (width as u32, height as u32)
            }
            _ => (picture.width(), picture.height()),
        }
    }

    pub(super) fn describe(self, width: usize, height: usize, filter: Filter) -> String {
        let antialiased = if filter == Filter::Nearest { "" } else { ", antialiased" };
        let filter = format!("({filter}{antialiased})");
        match self {
            Resize::Exact => format!("resized to {width}x{height} {filter}"),
            Resize::CentreCrop => format!("centre crop resized to {width}x{height} {filter}"),
            Resize::ShorterSide { crop_ratio } => {
                let shorter = shorter_side(width as f64, height as f64, crop_ratio);
                format!("shorter side {shorter} {filter}, centre crop {width}x{height}")
            }
            Resize::Shorter(pixels) => format!("shorter side {pixels} {filter}, centre crop {width}x{height}"),
            Resize::To(w, h) if (w as usize, h as usize) == (width, height) => format!("resized to {w}x{h} {filter}"),
            Resize::To(w, h) => format!("resized to {w}x{h} {filter}, centre crop {width}x{height}"),
            Resize::Keep => format!("centre crop {width}x{height}"),
            Resize::Letterbox { corner, fill } => {
                let place = if corner { "upper left" } else { "centred" };
                format!("fitted into {width}x{height} {filter}, {place}, the rest {fill}")
            }
        }
    }
}

/// What the picture's shorter side becomes, in pixels.
fn shorter_side(width: f64, height: f64, crop_ratio: f64) -> f64 {
    (width.max(height) / crop_ratio).round()
}

/// Width and height once the shorter side is `pixels`: torchvision cuts the fraction off the longer one.
fn shorter(picture: &Picture, pixels: f64) -> [f64; 2] {
    let sides = [picture.width(), picture.height()].map(f64::from);
    let smallest = sides[0].min(sides[1]);
    sides.map(|side| (pixels * side / smallest).floor())
}

/// The largest centred part of the picture that has the aspect of `width x height`, and its corner.
fn centre(picture: &Picture, width: u32, height: u32) -> Result<(Picture, [u32; 2])> {
    let scaled = |side: u32, by: u32, to: u32| (u64::from(side) * u64::from(by) / u64::from(to.max(1))).max(1);
    let (w, h) = (picture.width(), picture.height());
    let crop_width = scaled(h, width, height).min(w.into()) as u32;
    let crop_height = scaled(w, height, width).min(h.into()) as u32;
    let corner = [(w - crop_width) / 2, (h - crop_height) / 2];
    Ok((picture.crop(corner[0], corner[1], crop_width, crop_height)?, corner))
}

/// Where in the picture lies what torchvision crops from it once it is resized.
fn window(picture: &Picture, resized: [f64; 2], width: u32, height: u32) -> CropBox {
    let sides = [(picture.width(), resized[0], width), (picture.height(), resized[1], height)];
    let [(left, width), (top, height)] = sides.map(|(side, resized, crop)| {
        let pixels = f64::from(side) / resized;
        // Python's `round`, which torchvision uses, takes halves to the even number.
        let start = ((resized - f64::from(crop)) / 2.0).round_ties_even() * pixels;
        (start, (f64::from(crop) * pixels).min(f64::from(side) - start))
    });
    CropBox { left, top, width, height }
}

fn letterbox(
    picture: &Picture,
    size: [u32; 2],
    corner: bool,
    fill: u8,
    filter: Filter,
) -> Result<(Picture, Placement)> {
    let sides = [picture.width(), picture.height()];
    let ratio = (0..2).map(|at| f64::from(size[at]) / f64::from(sides[at])).fold(f64::INFINITY, f64::min);
    let fitted = [0, 1].map(|at| ((f64::from(sides[at]) * ratio).round() as u32).clamp(1, size[at].max(1)));
    let small = resize(picture, fitted[0], fitted[1], filter)?;
    let pad = [0, 1].map(|at| if corner { 0 } else { (size[at] - fitted[at]) / 2 });
    let channels = picture.channels();
    let mut pixels = vec![fill; size[0] as usize * size[1] as usize * channels];
    let row = fitted[0] as usize * channels;
    for (y, line) in small.pixels().chunks_exact(row).enumerate() {
        let start = ((y + pad[1] as usize) * size[0] as usize + pad[0] as usize) * channels;
        pixels[start..start + row].copy_from_slice(line);
    }
    let scale = [0, 1].map(|at| f64::from(sides[at]) / f64::from(fitted[at]));
    let offset = [0, 1].map(|at| -f64::from(pad[at]) * scale[at]);
    Ok((Picture::new(size[0], size[1], channels, pixels)?, Placement { scale, offset }))
}
