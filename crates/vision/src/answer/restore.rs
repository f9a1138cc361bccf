//! From an output image to a picture: what pre-processing did, undone.

use super::View;
use crate::image::{Channels, Picture, Preset};
use reluctor::error::{Error, Result, escape};
use reluctor::tensor::{Tensor, format_shape};

/// The picture that the first output with one or three channels holds, `[1, c, h, w]` or `[1, h, w, c]`, brought back from
/// the numbers of the pre-processing to grey levels, or from `range` (its first number becomes black). Of a network of luma
/// alone the colours are those of `source`, enlarged (bicubic), as super-resolution has it; `view` is what it saw of it.
///
/// # Errors
/// [`Error::Usage`] where no output is a picture, [`Error::Invalid`] where it is too large for one.
pub fn restored(
    outputs: &[(String, Tensor)],
    preset: &Preset,
    range: Option<(f32, f32)>,
    source: &Picture,
    view: &View,
) -> Result<Picture> {
    let found = outputs.iter().find_map(|(_, tensor)| Some((tensor, frame(tensor.shape())?)));
    let Some((Tensor::Real(array), (channels, height, width, is_last))) = found else {
        let shapes = outputs.iter().map(|(name, tensor)| format!("{} {}", escape(name), format_shape(tensor.shape())));
        let shapes = shapes.take(16).collect::<Vec<_>>().join(", ");
        return Err(Error::Usage(format!("no output is a picture of one or three channels ({shapes})")));
    };
    let numbers: Vec<f32> = array.iter().copied().collect();
    let level = |x: f32, channel: usize| match range {
        Some((black, white)) => (x - black) / (white - black) * 255.0,
        None => (x * preset.std[channel] + preset.mean[channel]) * preset.divisor,
    };
    let is_bgr = channels == 3 && preset.channels == Channels::Bgr;
    let mut pixels = Vec::with_capacity(numbers.len());
    for at in 0..height * width {
        for colour in 0..channels {
            let channel = if is_bgr { 2 - colour } else { colour };
            let index = if is_last { at * channels + channel } else { channel * height * width + at };
            pixels.push(level(numbers[index], channel).round().clamp(0.0, 255.0) as u8);
        }
    }
    let side = |side: usize| u32::try_from(side).map_err(|_| Error::invalid("the output picture", "is too large"));
    let picture = Picture::new(side(width)?, side(height)?, channels, pixels)?;
    if channels == 1 && view.channels == 1 && source.channels() == 3 {
        picture.with_colours_of(&seen(source, view)?)
    } else {
        Ok(picture)
    }
}

/// The part of the picture that the network saw.
fn seen(source: &Picture, view: &View) -> Result<Picture> {
    let side = |axis: usize| {
        let (start, most) = (view.placement.offset[axis].round().max(0.0), f64::from(view.picture[axis]));
        let end = view.placement.offset[axis] + view.placement.scale[axis] * f64::from(view.network[axis]);
        [start as u32, (end.round().min(most) - start).max(1.0) as u32]
    };
    let ([left, width], [top, height]) = (side(0), side(1));
    source.crop(left, top, width, height)
}

/// Channels, height, width, and whether channels come last.
fn frame(shape: &[usize]) -> Option<(usize, usize, usize, bool)> {
    match *shape {
        [1, c @ (1 | 3), h, w] => Some((c, h, w, false)),
        [1, h, w, c @ (1 | 3)] => Some((c, h, w, true)),
        [c @ (1 | 3), h, w] => Some((c, h, w, false)),
        _ => None,
    }
}
