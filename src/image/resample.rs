//! Resizing with Pillow's antialiased bilinear filter: when a picture shrinks, the filter's window grows as much.

use super::picture::{Picture, check_size};
use crate::error::{Error, Result};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{CropBox, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// The whole picture in `width x height` pixels.
pub(super) fn resize(picture: &Picture, width: u32, height: u32) -> Result<Picture> {
    resample(picture, width, height, ResizeOptions::new())
}

/// The part of the picture in `window` (in its pixels, fractions allowed) in `width x height` pixels. The filter sees
/// beyond the window, so that this equals resizing the whole picture and then cropping, at the cost of the crop alone.
pub(super) fn resize_window(picture: &Picture, window: CropBox, width: u32, height: u32) -> Result<Picture> {
    let CropBox { left, top, width: w, height: h } = window;
    resample(picture, width, height, ResizeOptions::new().crop(left, top, w, h))
}

fn resample(picture: &Picture, width: u32, height: u32, options: ResizeOptions) -> Result<Picture> {
    let invalid = |reason: &dyn std::fmt::Display| Error::invalid("resized picture", reason);
    check_size(width, height).map_err(|e| invalid(&e))?;
    let pixel_type = if picture.channels() == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let source = ImageRef::new(picture.width(), picture.height(), picture.pixels(), pixel_type);
    let mut resized = Image::new(width, height, pixel_type);
    let options = options.resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let source = source.map_err(|e| invalid(&e))?;
    Resizer::new().resize(&source, &mut resized, &options).map_err(|e| invalid(&e))?;
    Picture::new(width, height, picture.channels(), resized.into_vec())
}
