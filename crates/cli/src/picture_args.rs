//! `--preset`, `--mean`, `--resize` and the like: how pictures become inputs.

use clap::{Args, ValueEnum};
use reluctor::error::Result;
use reluctor_vision::image::{Channels, Filter, Layout, PRESETS, Preset, Resize};
use std::str::FromStr;

/// Where explicit flags change a preset, or stand without one.
const CUSTOM: &str = "custom";

#[derive(Args, Clone)]
pub struct PictureArgs {
    /// How pictures become inputs
    #[arg(long, value_name = "NAME", long_help = preset_list(), help_heading = "Pictures")]
    preset: Option<String>,
    /// What grey levels of 0 to 255 are multiplied by first: 1/255, or a number
    #[arg(long, value_name = "X", help_heading = "Pictures")]
    scale: Option<Factor>,
    /// What is then subtracted: one number, or one a channel
    #[arg(long, value_name = "A,B,C", allow_hyphen_values = true, help_heading = "Pictures")]
    mean: Option<Triple>,
    /// What is divided by last: one number, or one a channel
    #[arg(long, value_name = "A,B,C", help_heading = "Pictures")]
    std: Option<Triple>,
    /// The channels and their order
    #[arg(long, value_enum, help_heading = "Pictures")]
    channels: Option<ChannelsArg>,
    /// Which dimension of the input is which; told by the number of channels where nothing is said
    #[arg(long, value_enum, help_heading = "Pictures")]
    layout: Option<LayoutArg>,
    /// The way to the network's size: exact, cover, none, N for the shorter side, or WxH
    ///
    /// exact: the whole picture, whatever becomes of its aspect. cover: the largest centred part of the network's aspect.
    /// N and WxH: to this size, then the centre of the network's size is cut out. none: the centre is cut out at once.
    #[arg(long, value_name = "SIZE", conflicts_with = "letterbox", help_heading = "Pictures")]
    resize: Option<ResizeArg>,
    /// The size of the centre that is cut out after --resize, N or WxH; the network's where that is fixed
    #[arg(long, value_name = "SIZE", conflicts_with = "letterbox", help_heading = "Pictures")]
    crop: Option<SizeArg>,
    /// Fit the whole picture into the network's size: centre or corner, and the grey level of the rest, as corner:114
    #[arg(long, value_name = "PLACE:GREY", num_args = 0..=1, require_equals = true, default_missing_value = "centre:114", help_heading = "Pictures")]
    letterbox: Option<LetterboxArg>,
    /// What resizing weighs pixels by
    #[arg(long, value_enum, help_heading = "Pictures")]
    filter: Option<FilterArg>,
}

impl PictureArgs {
    /// The pre-processing: the preset, changed by the other flags; none where nothing is said. `usual` is the preset
    /// where the command line names none.
    ///
    /// # Errors
    /// [`Error::Usage`](reluctor::error::Error::Usage) for an unknown preset.
    pub fn preset(&self, usual: Option<&str>) -> Result<Option<Preset>> {
        let named = self.preset.as_deref().or(usual);
        if named.is_none() && !self.is_explicit() {
            return Ok(None);
        }
        let mut preset = *Preset::named(named.unwrap_or("none"))?;
        if self.is_explicit() {
            self.change(&mut preset);
        }
        Ok(Some(preset))
    }

    fn is_explicit(&self) -> bool {
        let numbers = self.scale.is_some() || self.mean.is_some() || self.std.is_some();
        let order = self.channels.is_some() || self.layout.is_some() || self.filter.is_some();
        numbers || order || self.resize.is_some() || self.crop.is_some() || self.letterbox.is_some()
    }

    fn change(&self, preset: &mut Preset) {
        preset.name = CUSTOM;
        preset.divisor = self.scale.map_or(preset.divisor, |factor| factor.divisor);
        preset.mean = self.mean.map_or(preset.mean, |mean| mean.0);
        preset.std = self.std.map_or(preset.std, |std| std.0);
        preset.filter = self.filter.map_or(preset.filter, FilterArg::filter);
        preset.layout = self.layout.map_or(preset.layout, LayoutArg::layout);
        preset.channels = self.channels.map_or(preset.channels, ChannelsArg::channels);
        preset.crop = self.crop.map(|size| (size.width, size.height));
        preset.resize = match (self.resize, self.letterbox) {
            (Some(ResizeArg(resize)), _) => resize,
            (None, Some(LetterboxArg(letterbox))) => letterbox,
            (None, None) if self.crop.is_some() => Resize::Keep,
            (None, None) => preset.resize,
        };
    }
}

fn preset_list() -> String {
    format!("How pictures become inputs:{}", PRESETS.iter().map(|preset| format!("\n  {preset}")).collect::<String>())
}

/// `1/255`, or a number; kept as what is divided by, so that 1/255 is exactly that.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Factor {
    divisor: f32,
}

impl FromStr for Factor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let divisor = match text.split_once('/') {
            Some((one, divisor)) => finite(divisor)? / finite(one)?,
            None => 1.0 / finite(text)?,
        };
        let is_fine = divisor.is_finite() && divisor != 0.0;
        if is_fine { Ok(Factor { divisor }) } else { Err("expected a number other than 0, or 1/255".to_string()) }
    }
}

/// One number for all channels, or one for each of three.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Triple([f32; 3]);

impl FromStr for Triple {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split([',', ' ']).filter(|part| !part.is_empty()).map(finite).collect::<Result<Vec<_>, _>>()?;
        match numbers[..] {
            [one] => Ok(Triple([one; 3])),
            [a, b, c] => Ok(Triple([a, b, c])),
            _ => Err("expected one number or three, as 0.485,0.456,0.406".to_string()),
        }
    }
}

fn finite(text: &str) -> Result<f32, String> {
    let number = text.trim().parse::<f32>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("'{}' is no number", reluctor::error::escape(text)))
}

/// `224`, or `320x240`: width, then height.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SizeArg {
    width: u32,
    height: u32,
}

impl FromStr for SizeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.parse::<u32>().ok().filter(|&side| side > 0);
        let (width, height) = text.split_once('x').unwrap_or((text, text));
        match (side(width), side(height)) {
            (Some(width), Some(height)) => Ok(SizeArg { width, height }),
            _ => Err("expected N or WxH in pixels, as 224 or 320x240".to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct ResizeArg(Resize);

impl FromStr for ResizeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(ResizeArg(match text {
            "exact" => Resize::Exact,
            "cover" => Resize::CentreCrop,
            "none" => Resize::Keep,
            _ => match text.parse::<SizeArg>() {
                Ok(size) if text.contains('x') => Resize::To(size.width, size.height),
                Ok(size) => Resize::Shorter(size.width),
                Err(_) => return Err("expected exact, cover, none, N or WxH".to_string()),
            },
        }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct LetterboxArg(Resize);

impl FromStr for LetterboxArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, grey) = text.split_once(':').unwrap_or((text, "114"));
        let corner = match place {
            "corner" => Some(true),
            "centre" | "center" => Some(false),
            _ => None,
        };
        match (corner, grey.parse()) {
            (Some(corner), Ok(fill)) => Ok(LetterboxArg(Resize::Letterbox { corner, fill })),
            _ => Err("expected centre or corner, and a grey level of 0 to 255, as corner:114".to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChannelsArg {
    Rgb,
    Bgr,
    Grey,
}

impl ChannelsArg {
    fn channels(self) -> Channels {
        match self {
            ChannelsArg::Rgb => Channels::Rgb,
            ChannelsArg::Bgr => Channels::Bgr,
            ChannelsArg::Grey => Channels::Grey,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutArg {
    Nchw,
    Nhwc,
}

impl LayoutArg {
    fn layout(self) -> Layout {
        match self {
            LayoutArg::Nchw => Layout::Nchw,
            LayoutArg::Nhwc => Layout::Nhwc,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FilterArg {
    Nearest,
    Bilinear,
    Bicubic,
}

impl FilterArg {
    fn filter(self) -> Filter {
        match self {
            FilterArg::Nearest => Filter::Nearest,
            FilterArg::Bilinear => Filter::Bilinear,
            FilterArg::Bicubic => Filter::Bicubic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        pictures: PictureArgs,
    }

    fn preset(flags: &str) -> Option<Preset> {
        let line = Line::try_parse_from(["x"].into_iter().chain(flags.split_whitespace()));
        line.unwrap_or_else(|error| panic!("{flags}: {error}")).pictures.preset(None).unwrap()
    }

    #[test]
    fn explicit_flags_say_what_a_preset_says() {
        let explicit = "--scale 1/255 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --resize 256 --channels rgb";
        let (explicit, imagenet) = (preset(explicit).unwrap(), Preset::named("imagenet").unwrap());
        assert_eq!((explicit.divisor, explicit.mean, explicit.std), (255.0, imagenet.mean, imagenet.std));
        assert_eq!((explicit.resize, explicit.channels), (Resize::Shorter(256), Channels::Rgb));
        assert_eq!(preset("--preset tf"), Some(*Preset::named("tf").unwrap()));
        assert_eq!(preset(""), None);
    }

    #[test]
    fn flags_change_a_preset() {
        let changed = preset("--preset tf --letterbox=corner:7 --mean -1").unwrap();
        assert_eq!(changed.resize, Resize::Letterbox { corner: true, fill: 7 });
        assert_eq!((changed.divisor, changed.mean, changed.name), (127.5, [-1.0; 3], CUSTOM));
        let cut = preset("--crop 320x240").unwrap();
        assert_eq!((cut.resize, cut.crop), (Resize::Keep, Some((320, 240))));
        assert_eq!(preset("--letterbox").unwrap().resize, Resize::Letterbox { corner: false, fill: 114 });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for flags in ["--scale 0", "--scale x", "--mean 1,2", "--std nan", "--resize 0", "--crop 1x", "--letterbox=up"]
        {
            assert!(Line::try_parse_from(["x"].into_iter().chain(flags.split_whitespace())).is_err(), "{flags}");
        }
    }
}
