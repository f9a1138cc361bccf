//! PNG, JPEG and WebP files to pictures.

use super::picture::{MAX_PIXELS, Picture, check_size};
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use reluctor::error::{Error, Result};
use reluctor::files::Source;
use std::io::{Cursor, Read};
use std::path::Path;

/// Reads a picture from a file: see [`from_bytes`].
///
/// # Errors
/// `Io` where the file cannot be read, else as [`from_bytes`].
pub fn open(path: impl AsRef<Path>) -> Result<Picture> {
    let path = path.as_ref();
    let source = Source::file(path);
    let (mut file, _) = source.open()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| source.failed(e))?;
    from_bytes(&path.display().to_string(), &bytes)
}

/// Decodes a PNG, JPEG or WebP picture, told apart by content; `name` is what errors call it.
///
/// The result is what Pillow's `exif_transpose(image).convert("RGB")` gives, but that grey stays one channel:
/// the EXIF orientation is applied, palettes are expanded, alpha is dropped and not blended, and of an animation the
/// first frame is taken. 16-bit samples keep their high byte, also in grey, where Pillow would clip them.
///
/// # Errors
/// `Invalid` for other formats, truncated or corrupt data, and pictures of more than 16,384 pixels on a side or
/// 100 million in all, which is found from the header before memory is taken.
pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Picture> {
    let invalid = |reason: &dyn std::fmt::Display| Error::invalid(name, reason);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| invalid(&e))?;
    match reader.format() {
        Some(ImageFormat::Jpeg) if !is_complete(bytes) => return Err(invalid(&"JPEG data end too early")),
        Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) => {}
        _ => return Err(invalid(&"neither a PNG nor a JPEG nor a WebP picture")),
    }
    // The size is checked below, by one rule with one message for all formats; this bounds what decoders take besides.
    reader.limits(memory_limit());
    let mut decoder = reader.into_decoder().map_err(|e| invalid(&e))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height).map_err(|e| invalid(&e))?;
    // As in Pillow, EXIF data that cannot be read turn nothing.
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| invalid(&e))?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    picture(image).map_err(|e| invalid(&e))
}

fn memory_limit() -> Limits {
    // The largest picture in 16-bit RGBA, and as much again for the decoder's own buffers.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(2 * 8 * MAX_PIXELS);
    limits
}

fn picture(image: DynamicImage) -> Result<Picture> {
    let (width, height, color) = (image.width(), image.height(), image.color());
    let channels = if color.has_color() { 3 } else { 1 };
    let samples = match image {
        DynamicImage::ImageLuma8(image) => image.into_raw(),
        DynamicImage::ImageLumaA8(image) => image.into_raw(),
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageRgba8(image) => image.into_raw(),
        DynamicImage::ImageLuma16(image) => high_bytes(&image),
        DynamicImage::ImageLumaA16(image) => high_bytes(&image),
        DynamicImage::ImageRgb16(image) => high_bytes(&image),
        DynamicImage::ImageRgba16(image) => high_bytes(&image),
        _ => return Err(Error::invalid("picture", format!("{color:?} samples are not supported"))),
    };
    let pixels = if color.has_alpha() { without_last(&samples, channels + 1) } else { samples };
    Picture::new(width, height, channels, pixels)
}

fn high_bytes(samples: &[u16]) -> Vec<u8> {
    samples.iter().map(|sample| (sample >> 8) as u8).collect()
}

fn without_last(samples: &[u8], channels: usize) -> Vec<u8> {
    samples.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]).copied().collect()
}

/// Whether a JPEG has its end-of-image marker. Its decoder fills what is missing with grey and says nothing.
fn is_complete(jpeg: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    // Over the segments before the scan by their lengths: a thumbnail in one of them has an end of its own.
    let mut rest = jpeg.get(2..).unwrap_or_default();
    while let [0xff, marker, high, low, ..] = *rest
        && marker != START_OF_SCAN
    {
        // A marker may be preceded by any number of fill bytes.
        let skipped = if marker == 0xff { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])) };
        rest = rest.get(skipped..).unwrap_or_default();
    }
    rest.windows(2).any(|bytes| bytes == END_OF_IMAGE)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
