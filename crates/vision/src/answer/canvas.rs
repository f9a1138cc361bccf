//! Boxes and regions on a picture.

use super::View;
use super::boxes::Detection;
use super::palette::{colour, ink_on};
use super::regions::{Region, Regions};
use crate::image::{Filter, Picture};
use embedded_graphics::mono_font::{MonoTextStyle, iso_8859_1::FONT_9X18_BOLD};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use reluctor::error::{Result, escape};
use std::convert::Infallible;

/// Of the font, in pixels before it is enlarged.
const LINE: i32 = 18;
const LETTER: i32 = 9;

/// The picture's shorter side for each step of the font's size.
const PIXELS_A_STEP: u32 = 700;

/// How much of a pixel is its region's colour, of 255.
const COVER: u16 = 140;

/// Pictures with text below are at least so wide, in pixels.
const CAPTIONED: u32 = 200;

/// The longer side of a picture in a sheet, at most.
const THUMBNAIL: u32 = 400;

/// Pixels between the pictures of a sheet.
const GAP: u32 = 8;

/// In the legend, of what is left as it is.
const UNTINTED: [u8; 3] = [220; 3];

/// Characters of a name that are written.
const MOST_LETTERS: usize = 40;

/// RGB pixels that can be drawn on; what is drawn is `step` times as large.
struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<[u8; 3]>,
    step: u32,
}

impl Canvas {
    fn of(picture: &Picture) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let pixels = picture.rgb().pixels().as_chunks().0.to_vec();
        Canvas { width, height, pixels, step: (width.min(height) / PIXELS_A_STEP).max(1) }
    }

    fn picture(self) -> Result<Picture> {
        Picture::new(self.width, self.height, 3, self.pixels.into_flattened())
    }

    fn put(&mut self, x: i64, y: i64, colour: [u8; 3]) {
        if (0..i64::from(self.width)).contains(&x) && (0..i64::from(self.height)).contains(&y) {
            self.pixels[y as usize * self.width as usize + x as usize] = colour;
        }
    }

    /// A rectangle in the picture's pixels.
    fn fill(&mut self, [left, top, right, bottom]: [i64; 4], colour: [u8; 3]) {
        let (right, bottom) = (right.min(self.width.into()), bottom.min(self.height.into()));
        for y in top.max(0)..bottom {
            (left.max(0)..right).for_each(|x| self.put(x, y, colour));
        }
    }

    /// Text on a ground of a colour, its upper left corner at a place in the picture's pixels.
    fn label(&mut self, text: &str, [x, y]: [i64; 2], ground: [u8; 3]) {
        let step = self.step;
        let size = Size::new(label_width(text), LINE as u32);
        let mut at = At { canvas: self, x, y, step };
        let style = PrimitiveStyle::with_fill(rgb(ground));
        let ink = MonoTextStyle::new(&FONT_9X18_BOLD, rgb(ink_on(ground)));
        // Drawing on memory cannot fail.
        let _ = Rectangle::new(Point::zero(), size).into_styled(style).draw(&mut at);
        let _ = Text::with_baseline(text, Point::new(2, 0), ink, Baseline::Top).draw(&mut at);
    }
}

/// A canvas from a place on, enlarged.
struct At<'a> {
    canvas: &'a mut Canvas,
    x: i64,
    y: i64,
    step: u32,
}

impl OriginDimensions for At<'_> {
    fn size(&self) -> Size {
        Size::new(self.canvas.width, self.canvas.height)
    }
}

impl DrawTarget for At<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let step = i64::from(self.step);
        for Pixel(point, colour) in pixels {
            let (x, y) = (self.x + i64::from(point.x) * step, self.y + i64::from(point.y) * step);
            self.canvas.fill([x, y, x + step, y + step], [colour.r(), colour.g(), colour.b()]);
        }
        Ok(())
    }
}

/// In the font's pixels, before it is enlarged.
fn label_width(text: &str) -> u32 {
    text.chars().count() as u32 * LETTER as u32 + 4
}

fn rgb([r, g, b]: [u8; 3]) -> Rgb888 {
    Rgb888::new(r, g, b)
}

/// Something to read for a class.
fn called(label: Option<&str>, class: usize) -> String {
    label.map_or(format!("class {class}"), |label| escape(label).chars().take(MOST_LETTERS).collect())
}

/// The picture with a frame around each detection, and its class and score.
///
/// # Errors
/// None for a picture: this one is as large.
pub fn draw_boxes(picture: &Picture, found: &[Detection]) -> Result<Picture> {
    let mut canvas = Canvas::of(picture);
    // The surest last, on top of the others.
    for Detection { class, label, score, bounds } in found.iter().rev() {
        let colour = colour(*class);
        let [left, top, right, bottom] = bounds.map(|x| x.round() as i64);
        let thick = 2 * i64::from(canvas.step);
        canvas.fill([left, top, right, top + thick], colour);
        canvas.fill([left, bottom - thick, right, bottom], colour);
        canvas.fill([left, top, left + thick, bottom], colour);
        canvas.fill([right - thick, top, right, bottom], colour);
        let line = i64::from(LINE) * i64::from(canvas.step);
        let above = if top >= line { top - line } else { top };
        let text = format!("{} {score:.2}", called(label.as_deref(), *class));
        let within = i64::from(canvas.width) - i64::from(label_width(&text) * canvas.step);
        canvas.label(&text, [left.min(within).max(0), above], colour);
    }
    canvas.picture()
}

/// The picture, enlarged where it is small, with lines of text on white below.
///
/// # Errors
/// [`Error::Invalid`](reluctor::error::Error::Invalid) where the text makes it too large for a picture.
pub fn draw_lines(picture: &Picture, lines: &[String]) -> Result<Picture> {
    let times = CAPTIONED.div_ceil(picture.width()).max(1);
    let picture = picture.rgb();
    let enlarged = picture.resized(picture.width() * times, picture.height() * times, Filter::Nearest)?;
    let mut canvas = Canvas::of(&enlarged);
    let (top, line) = (canvas.height, LINE as u32 * canvas.step);
    canvas.height += line * lines.len() as u32;
    canvas.pixels.resize(canvas.width as usize * canvas.height as usize, [255; 3]);
    for (row, text) in (0..).zip(lines) {
        canvas.label(&escape(text), [0, i64::from(top + row * line)], [255; 3]);
    }
    canvas.picture()
}

/// Pictures in rows, each in a field of the size of the largest, on white; large ones are made smaller.
///
/// # Errors
/// [`Error::Invalid`](reluctor::error::Error::Invalid) where together they are too large for a picture.
pub fn sheet(pictures: &[&Picture]) -> Result<Picture> {
    let pictures = pictures.iter().map(|picture| thumbnail(picture)).collect::<Result<Vec<Picture>>>()?;
    let most = |side: fn(&Picture) -> u32| pictures.iter().map(side).max().unwrap_or(1);
    let (width, height) = (most(Picture::width) + GAP, most(Picture::height) + GAP);
    let count = pictures.len().max(1) as u32;
    // About as wide as a screen, with as few fields left over as may be.
    let usual = (f64::from(count) * 1.6 * f64::from(height) / f64::from(width)).sqrt().round() as u32;
    let near = usual.saturating_sub(1).max(1)..=usual + 1;
    let left_over = |columns: &u32| (columns - 1 - (count - 1) % columns, columns.abs_diff(usual));
    let columns = near.min_by_key(left_over).unwrap_or(1).min(count);
    let rows = count.div_ceil(columns);
    let pixels = vec![255; 3 * (columns * width) as usize * (rows * height) as usize];
    let mut canvas = Canvas::of(&Picture::new(columns * width, rows * height, 3, pixels)?);
    for (at, picture) in (0..).zip(&pictures) {
        let corner = [at % columns * width, at / columns * height];
        let rgb = picture.rgb();
        for (row, line) in (0..).zip(rgb.pixels().as_chunks().0.chunks_exact(rgb.width() as usize)) {
            let start = (corner[1] + row) as usize * canvas.width as usize + corner[0] as usize;
            canvas.pixels[start..start + line.len()].copy_from_slice(line);
        }
    }
    canvas.picture()
}

fn thumbnail(picture: &Picture) -> Result<Picture> {
    let side = picture.width().max(picture.height());
    if side <= THUMBNAIL {
        return Ok(picture.clone());
    }
    let scaled = |own: u32| (own * THUMBNAIL / side).max(1);
    picture.resized(scaled(picture.width()), scaled(picture.height()), Filter::Bilinear)
}

/// The picture with each pixel tinted in its class's colour, class 0 left as it is, and a legend below.
///
/// # Errors
/// [`Error::Invalid`](reluctor::error::Error::Invalid) where the legend makes it too large for a picture.
pub fn draw_regions(picture: &Picture, regions: &Regions, shares: &[Region], view: &View) -> Result<Picture> {
    let mut canvas = Canvas::of(picture);
    let width = canvas.width as usize;
    for (at, pixel) in canvas.pixels.iter_mut().enumerate() {
        let class = regions.at((at % width) as u32, (at / width) as u32, view);
        if let Some(class) = class.filter(|&class| class != 0) {
            let tint = colour(class as usize);
            let mixed = |own: u8, tint: u8| ((u16::from(own) * (255 - COVER) + u16::from(tint) * COVER) / 255) as u8;
            *pixel = [0, 1, 2].map(|channel| mixed(pixel[channel], tint[channel]));
        }
    }
    let shown: Vec<&Region> = shares.iter().filter(|region| region.share >= 0.001).take(24).collect();
    let line = LINE as u32 * canvas.step + 2;
    let legend_top = canvas.height;
    canvas.height += line * shown.len() as u32;
    canvas.pixels.resize(width * canvas.height as usize, [255; 3]);
    for (row, Region { class, label, share }) in (0..).zip(shown) {
        let text = format!("{} {:.1} %", called(label.as_deref(), *class), share * 100.0);
        let ground = if *class == 0 { UNTINTED } else { colour(*class) };
        canvas.label(&text, [0, i64::from(legend_top + row * line)], ground);
    }
    canvas.picture()
}
