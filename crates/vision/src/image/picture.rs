//! A decoded picture.

use super::resample::{Filter, resize};
use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};
use reluctor::error::{Error, Result};
use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

/// The largest width or height of a picture, in pixels.
pub(super) const MAX_SIDE: u32 = 1 << 14;

/// The largest area of a picture, in pixels.
pub(super) const MAX_PIXELS: u64 = 100_000_000;

/// Grey or RGB pixels of 8 bits a channel, interleaved, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    channels: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture of `width x height` pixels of 1 channel (grey) or 3 (RGB).
    ///
    /// # Errors
    /// `Invalid` unless there are `width * height * channels` samples, at least one pixel, at most 16,384 pixels on a
    /// side and at most 100 million in all.
    pub fn new(width: u32, height: u32, channels: usize, pixels: Vec<u8>) -> Result<Self> {
        check_size(width, height).map_err(|reason| Error::invalid("picture", reason))?;
        let samples = u64::from(width) * u64::from(height) * channels as u64;
        if !matches!(channels, 1 | 3) || samples != pixels.len() as u64 {
            let found = pixels.len();
            return Err(Error::invalid("picture", format!("{width}x{height}x{channels} cannot hold {found} samples")));
        }
        Ok(Picture { width, height, channels, pixels })
    }

    /// Pixels a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `height * width * channels` samples.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// In three channels: grey is repeated.
    pub fn rgb(&self) -> Cow<'_, Picture> {
        if self.channels == 3 {
            return Cow::Borrowed(self);
        }
        let pixels = self.pixels.iter().flat_map(|&grey| [grey; 3]).collect();
        Cow::Owned(Picture { channels: 3, pixels, ..*self })
    }

    /// In one channel: ITU-R 601 luma, rounded as Pillow's `convert("L")` does.
    pub fn grey(&self) -> Cow<'_, Picture> {
        if self.channels == 1 {
            return Cow::Borrowed(self);
        }
        let pixels = self.pixels.as_chunks().0.iter().map(|&rgb| luma(rgb)).collect();
        Cow::Owned(Picture { channels: 1, pixels, ..*self })
    }

    /// The whole picture in `width x height` pixels, antialiased as in Pillow.
    ///
    /// # Errors
    /// `Invalid` for a size that no picture may have.
    pub fn resized(&self, width: u32, height: u32, filter: Filter) -> Result<Picture> {
        resize(self, width, height, filter)
    }

    /// This picture's luma with the colours of another one, which are brought to its size.
    ///
    /// # Errors
    /// None for pictures: the result is as large as this one.
    pub fn with_colours_of(&self, other: &Picture) -> Result<Picture> {
        let colours = resize(&other.rgb(), self.width, self.height, Filter::Bicubic)?;
        let own = self.grey();
        let pixels = own.pixels().iter().zip(colours.pixels().as_chunks().0).flat_map(|(&y, &rgb)| {
            // Chroma is what a channel has beyond luma, so that another luma moves all channels alike (ITU-R 601).
            let difference = f32::from(y) - f32::from(luma(rgb));
            rgb.map(|channel| (f32::from(channel) + difference).round().clamp(0.0, 255.0) as u8)
        });
        Picture::new(self.width, self.height, 3, pixels.collect())
    }

    /// As a PNG file.
    ///
    /// # Errors
    /// `Io` where the file cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<()> {
        let colour = if self.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut bytes = Vec::new();
        let encoded = PngEncoder::new(&mut bytes).write_image(&self.pixels, self.width, self.height, colour);
        encoded.map_err(|error| Error::Internal(error.to_string()))?;
        reluctor::files::replace(path, |file| file.write_all(&bytes))
    }

    /// The part from `(left, top)` of `width x height` pixels, cut to the picture.
    ///
    /// # Errors
    /// `Invalid` where nothing of the picture is left.
    pub fn crop(&self, left: u32, top: u32, width: u32, height: u32) -> Result<Picture> {
        let (width, height) = (width.min(self.width.saturating_sub(left)), height.min(self.height.saturating_sub(top)));
        let bytes = |pixels: u32| pixels as usize * self.channels;
        let rows = self.pixels.chunks_exact(bytes(self.width)).skip(top as usize).take(height as usize);
        let pixels = rows.flat_map(|row| &row[bytes(left)..bytes(left + width)]).copied().collect();
        Picture::new(width, height, self.channels, pixels)
    }
}

/// 0.299 R + 0.587 G + 0.114 B in Pillow's 16-bit fixed point.
pub(super) fn luma([r, g, b]: [u8; 3]) -> u8 {
    let [r, g, b] = [r, g, b].map(u32::from);
    ((r * 19595 + g * 38470 + b * 7471 + (1 << 15)) >> 16) as u8
}

/// Refuses sizes that no picture may have.
pub(super) fn check_size(width: u32, height: u32) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err(format!("{width}x{height} pixels are no picture"));
    }
    if width.max(height) > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "{width}x{height} pixels exceed the limit of {MAX_SIDE} on a side and {MAX_PIXELS} in all"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luma_is_that_of_pillow() {
        assert_eq!([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3]].map(luma), [76, 150, 29, 255]);
    }

    #[test]
    fn grey_becomes_rgb_and_back() {
        let grey = Picture::new(2, 1, 1, vec![7, 200]).unwrap();
        assert_eq!(grey.rgb().pixels(), [7, 7, 7, 200, 200, 200]);
        assert_eq!(*grey.rgb().grey(), grey);
    }

    #[test]
    fn samples_must_fit_the_size() {
        for (width, height, channels, samples) in [(2, 2, 1, 3), (0, 1, 1, 0), (1, 1, 4, 4), (1 << 14, 1 << 14, 1, 0)] {
            assert!(Picture::new(width, height, channels, vec![0; samples]).is_err());
        }
    }

    #[test]
    fn a_crop_keeps_its_rows() {
        let picture = Picture::new(3, 2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(picture.crop(1, 0, 2, 2).unwrap().pixels(), [2, 3, 5, 6]);
        assert!(picture.crop(3, 0, 1, 1).is_err());
    }
}
