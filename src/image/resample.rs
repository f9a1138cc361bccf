//! Resizing with Pillow's antialiased bilinear filter: when a picture shrinks, the filter's window grows as much.

use super::picture::{Picture, check_size};
use crate::error::{Error, Result};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{CropBox, FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

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

/// One and three channels are named as types, rather than asked of the crate at run time: that would compile its filters
/// for every pixel format it knows, which took longer than the rest of this crate.
fn resample(picture: &Picture, width: u32, height: u32, options: ResizeOptions) -> Result<Picture> {
    check_size(width, height).map_err(|e| invalid(&e))?;
    let options = options.resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
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
