//! A picture in a terminal.

use super::picture::{Picture, luma};
use super::resample::{Filter, resize};
use std::fmt::Write;

/// From dark to light.
const SHADES: &[u8; 10] = b" .:-=+*#%@";

/// The picture in at most `columns` columns and as many lines, each of two rows of pixels. It is never enlarged.
///
/// With `colour`, each character is an upper half block whose foreground is the upper pixel and whose background is the
/// lower one, in 24-bit ANSI colours that each line resets. Without, it is one of ten ASCII shades for a dark terminal.
pub fn half_blocks(picture: &Picture, columns: usize, colour: bool) -> String {
    let (width, height) = size(picture, columns);
    // A size that is smaller than a picture's cannot be refused.
    let Ok(small) = resize(&picture.rgb(), width, height, Filter::Bilinear) else { return String::new() };
    let rows: Vec<&[[u8; 3]]> = small.pixels().as_chunks().0.chunks_exact(width as usize).collect();
    let mut text = String::new();
    for pair in rows.as_chunks().0 {
        let [upper, lower] = pair;
        for (&upper, &lower) in upper.iter().zip(*lower) {
            if colour { push_block(&mut text, upper, lower) } else { text.push(shade(upper, lower)) }
        }
        text.push_str(if colour { "\u{1b}[0m\n" } else { "\n" });
    }
    text
}

/// Columns, and an even number of rows of pixels: a character is about twice as high as wide.
fn size(picture: &Picture, columns: usize) -> (u32, u32) {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let columns = columns.max(1) as f64;
    let scale = (columns / width).min(2.0 * columns / height).min(1.0);
    let fitted = |side: f64| (side * scale).round().max(1.0) as u32;
    (fitted(width), fitted(height).next_multiple_of(2))
}

fn push_block(text: &mut String, [r, g, b]: [u8; 3], [lower_r, lower_g, lower_b]: [u8; 3]) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\u{1b}[38;2;{r};{g};{b}m\u{1b}[48;2;{lower_r};{lower_g};{lower_b}m▀");
}

fn shade(upper: [u8; 3], lower: [u8; 3]) -> char {
    let sum = usize::from(luma(upper)) + usize::from(luma(lower));
    char::from(SHADES[sum * SHADES.len() / (2 * 256)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, channels: usize, pixels: &[u8]) -> Picture {
        Picture::new(width, height, channels, pixels.to_vec()).unwrap()
    }

    #[test]
    fn shades_go_from_dark_to_light() {
        let rows = [[0, 128, 255], [0, 128, 255]].concat();
        assert_eq!(half_blocks(&picture(3, 2, 1, &rows), 80, false), " +@\n");
    }

    #[test]
    fn a_block_shows_the_upper_pixel_before_the_lower() {
        let red_over_blue = picture(1, 2, 3, &[255, 0, 0, 0, 0, 255]);
        assert_eq!(half_blocks(&red_over_blue, 80, true), "\u{1b}[38;2;255;0;0m\u{1b}[48;2;0;0;255m▀\u{1b}[0m\n");
    }

    #[test]
    fn any_picture_fits_the_columns() {
        for (width, height) in [(1, 1), (1, 16384), (16384, 1), (451, 300), (3, 3)] {
            for columns in [0, 1, 7, 100] {
                let text = half_blocks(&picture(width, height, 1, &vec![9; (width * height) as usize]), columns, false);
                assert!((1..=columns.max(1)).contains(&text.lines().count()), "{width}x{height} in {columns}");
                assert!(text.lines().all(|line| (1..=columns.max(1)).contains(&line.len())));
            }
        }
    }
}
