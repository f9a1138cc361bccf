//! Resizing with Pillow's antialiased filters: when a picture shrinks, the filter's window grows as much.

use super::picture::{Picture, check_size};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use reluctor::error::{Error, Result};
use std::fmt;

/// What resizing weighs a pixel's neighbours by, under Pillow's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The nearest pixel alone: not antialiased.
    Nearest,
    /// A triangle.
    Bilinear,
    /// Keys's cubic with a = -0.5.
    Bicubic,
}

impl Filter {
    fn algorithm(self) -> ResizeAlg {
        match self {
            Filter::Nearest => ResizeAlg::Nearest,
            Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Filter::Nearest => "nearest",
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
        })
    }
}

/// The whole picture in `width x height` pixels.
pub(super) fn resize(picture: &Picture, width: u32, height: u32, filter: Filter) -> Result<Picture> {
    let [w, h] = [picture.width(), picture.height()].map(f64::from);
    resize_window(picture, CropBox { left: 0.0, top: 0.0, width: w, height: h }, width, height, filter)
}

/// The part of the picture in `window` (in its pixels, fractions allowed) in `width x height` pixels. The filter sees
/// beyond the window, so that this equals resizing the whole picture and then cropping, at the cost of the crop alone.
///
/// First along the rows and then along the columns, as in Pillow: what lies between is rounded and clipped to a byte, so
/// that the other order, which the crate prefers, gives other levels where a cubic overshoots.
pub(super) fn resize_window(
    picture: &Picture,
    window: CropBox,
    width: u32,
    height: u32,
    filter: Filter,
) -> Result<Picture> {
    check_size(width, height).map_err(|e| invalid(&e))?;
    let options = ResizeOptions::new().resize_alg(filter.algorithm());
    let rows = options.crop(window.left, 0.0, window.width, picture.height().into());
    let along_rows = resample(picture, width, picture.height(), rows)?;
    let columns = options.crop(0.0, window.top, width.into(), window.height);
    resample(&along_rows, width, height, columns)
}

/// One and three channels are named as types, rather than asked of the crate at run time: that would compile its filters
/// for every pixel format it knows, which took longer than the rest of this crate.
fn resample(picture: &Picture, width: u32, height: u32, options: ResizeOptions) -> Result<Picture> {
    if picture.channels() == 1 {
        resample_pixels::<U8>(picture, width, height, &options)
    } else {
        resample_pixels::<U8x3>(picture, width, height, &options)
    }
}

fn resample_pixels<P: PixelTrait>(
    picture: &Picture,
    width: u32,
    height: u32,
    options: &ResizeOptions,
) -> Result<Picture> {
    let source = TypedImageRef::<P>::from_buffer(picture.width(), picture.height(), picture.pixels());
    let source = source.map_err(|e| invalid(&e))?;
    let mut bytes = vec![0; width as usize * height as usize * picture.channels()];
    let mut resized = TypedImage::<P>::from_buffer(width, height, &mut bytes).map_err(|e| invalid(&e))?;
    Resizer::new().resize_typed(&source, &mut resized, options).map_err(|e| invalid(&e))?;
    Picture::new(width, height, picture.channels(), bytes)
}

fn invalid(reason: &dyn std::fmt::Display) -> Error {
    Error::invalid("resized picture", reason)
}
