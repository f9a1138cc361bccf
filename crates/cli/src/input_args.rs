//! `--input`, `--test-data`, `--random`, `--preset`: what a network is fed.

use super::bind::Policy;
use super::feed::Feed;
use super::input_files::{self, InputFile, file_name};
use super::picture_args::PictureArgs;
use clap::Args;
use reluctor::error::{Error, Result, escape};
use reluctor::files;
use reluctor::onnx::{Bindings, Declared, Model};
use reluctor::random::Random;
use reluctor::tensor::{Kind, Tensor, TensorType, format_shape, row_major};
use reluctor_lab::cases::{data_sets, numbered};
use reluctor_vision::answer::View;
use reluctor_vision::image::{self, PRESETS, Picture, Preset};
use std::ops::Range;
use std::path::{Path, PathBuf};

#[derive(Args, Clone)]
pub struct InputArgs {
    /// An input's content: .npy, .npz, .pb, .safetensors, or a picture (needs --preset)
    #[arg(long, value_name = "NAME=FILE", help_heading = "Input")]
    input: Vec<InputFile>,
    /// A folder in ONNX's test layout: input_0.npy or input_0.pb, input_1 ..., or one that holds test_data_set_0
    ///
    /// Inputs become constants where the engine needs it, as weights, pads and scales in ONNX's own test cases.
    #[arg(long, value_name = "DIR", help_heading = "Input")]
    test_data: Option<PathBuf>,
    /// Random numbers for the inputs that nothing else is given for
    #[arg(long, help_heading = "Input")]
    random: bool,
    /// The seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Input")]
    seed: u64,
    /// The range of the random numbers
    #[arg(long, value_name = "LO:HI", value_parser = range, default_value = "-1:1", allow_hyphen_values = true, help_heading = "Input")]
    range: Range<f32>,
    #[command(flatten)]
    pub pictures: PictureArgs,
    /// Write the tensor that the pictures became, or the first input, to an .npy file
    #[arg(long, value_name = "FILE", help_heading = "Pictures")]
    pub dump_input: Option<PathBuf>,
}

/// Pictures by name.
pub type Album = Vec<(String, Picture)>;

/// Decodes pictures.
pub fn album(paths: &[PathBuf]) -> Result<Album> {
    paths.iter().map(|path| Ok((file_name(path), image::open(path)?))).collect()
}

impl InputArgs {
    /// Whether anything but pictures is given.
    pub fn is_empty(&self) -> bool {
        self.input.is_empty() && self.test_data.is_none() && !self.random
    }

    /// The same, with random numbers where nothing else is given.
    pub fn and_random(self) -> Self {
        InputArgs { random: true, ..self }
    }

    /// `--test-data`: the folder of the stored tensors, the first one where there are several.
    pub fn test_data(&self) -> Option<PathBuf> {
        self.test_data.as_deref().map(|folder| data_sets(folder).swap_remove(0))
    }

    /// Which inputs become constants.
    pub fn policy(&self) -> Policy {
        if self.test_data.is_some() { Policy::AsNeeded } else { Policy::NotReal }
    }

    /// Fills the model's inputs: from files first, then from the folder, then with the pictures, then with random
    /// numbers. `preset` is how pictures are read where the command line does not say.
    pub fn feed(&self, model: &Model, bindings: &Bindings, album: &Album, preset: Option<&str>) -> Result<Feed> {
        let mut feed = Feed::of(model)?;
        let preset = self.pictures.preset(preset)?;
        let preset = preset.as_ref();
        for file in &self.input {
            fill_from_file(&mut feed, bindings, file, preset)?;
        }
        if let Some(folder) = self.test_data() {
            fill_from_folder(&mut feed, &folder)?;
        }
        if !album.is_empty() {
            fill_from_album(&mut feed, bindings, album, preset)?;
        }
        if self.random {
            self.fill_at_random(&mut feed, bindings)?;
        }
        Ok(feed)
    }

    fn fill_at_random(&self, feed: &mut Feed, bindings: &Bindings) -> Result<()> {
        let mut random = Random::new(self.seed);
        let source = format!("random in {}:{}, seed {}", self.range.start, self.range.end, self.seed);
        for declared in feed.open() {
            if declared.kind() != Kind::Real {
                let name = escape(&declared.name);
                return Err(Error::Usage(format!("input '{name}' holds no reals: give it with --input '{name}=FILE'")));
            }
            let ty = TensorType::real(declared.shape(bindings)?);
            if ty.elements().is_ok() {
                bindings.budget.tensor(&declared.name, &ty)?;
            }
            let tensor = random.tensor(&ty.shape, &self.range)?;
            feed.fill(&declared.name, tensor, source.clone())?;
        }
        Ok(())
    }
}

fn fill_from_file(feed: &mut Feed, bindings: &Bindings, file: &InputFile, preset: Option<&Preset>) -> Result<()> {
    let InputFile { name, path } = file;
    let source = file_name(path);
    if name.is_none() && input_files::is_archive(path) {
        return files::read_tensors(path)?
            .into_iter()
            .try_for_each(|(member, tensor)| feed.fill(&member, tensor, source.clone()));
    }
    let name = match name {
        Some(name) => name.clone(),
        None => only_input(feed)?.name,
    };
    if input_files::is_picture(path) {
        let read = read_picture(&image::open(path)?, feed.named(&name)?, bindings, preset)?;
        return feed.fill(&name, read.tensor, format!("{source}, {}", read.pipeline));
    }
    feed.named(&name)?;
    feed.fill(&name, input_files::tensor_for(&name, path)?, source)
}

fn only_input(feed: &Feed) -> Result<Declared> {
    let mut declared = feed.declared();
    match (declared.next(), declared.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(Error::Usage("the model has several inputs: say which one as --input NAME=FILE".to_string())),
    }
}

fn fill_from_folder(feed: &mut Feed, folder: &Path) -> Result<()> {
    let tensors = numbered(folder, "input")?;
    if tensors.is_empty() {
        return Err(Error::invalid(folder.display(), "holds neither input_0.npy nor input_0.pb"));
    }
    let open = feed.open();
    if tensors.len() > open.len() {
        let reason = format!("holds {} inputs, but the model needs {}", tensors.len(), open.len());
        return Err(Error::invalid(folder.display(), reason));
    }
    let pairs = open.iter().zip(tensors);
    pairs.into_iter().try_for_each(|(declared, (path, tensor))| feed.fill(&declared.name, tensor, file_name(&path)))
}

fn fill_from_album(feed: &mut Feed, bindings: &Bindings, album: &Album, preset: Option<&Preset>) -> Result<()> {
    let open = feed.open();
    let declared = open.iter().find(|declared| declared.kind() == Kind::Real);
    let declared = declared.ok_or_else(|| Error::Usage("the model has no input left for a picture".to_string()))?;
    let (mut elements, mut shape, mut source) = (Vec::new(), Vec::new(), String::new());
    for (name, picture) in album {
        let read = read_picture(picture, declared, bindings, preset)?;
        if !shape.is_empty() && shape != read.tensor.shape() {
            let (name, own) = (escape(name), format_shape(read.tensor.shape()));
            let first = format_shape(&shape);
            let message =
                format!("{name} becomes {own}, the pictures before it {first}: give --resize WxH, or --out F.jsonl");
            return Err(Error::Usage(message));
        }
        (shape, source) = (read.tensor.shape().to_vec(), read.pipeline);
        feed.views.push(read.view);
        if let Tensor::Real(array) = read.tensor {
            elements.extend(row_major(array));
        }
    }
    shape[0] = album.len();
    feed.fill(&declared.name, Tensor::real(&shape, elements)?, source)?;
    feed.items = album.iter().map(|(name, _)| name.clone()).collect();
    Ok(())
}

/// A picture as an input.
pub struct Read {
    /// A batch of one.
    pub tensor: Tensor,
    /// The pipeline in words.
    pub pipeline: String,
    /// Where the network sees it.
    pub view: View,
}

/// One picture as a batch of one. Sizes that the network leaves open are those that the pre-processing gives.
pub fn read_picture(
    picture: &Picture,
    declared: &Declared,
    bindings: &Bindings,
    preset: Option<&Preset>,
) -> Result<Read> {
    let Some(preset) = preset else {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let names = names.join(", ");
        return Err(Error::Usage(format!("a picture needs the network's own pre-processing: --preset {names}")));
    };
    let known = declared.known(bindings).unwrap_or(vec![None; 4]);
    let known: [Option<usize>; 4] = known.try_into().map_err(|known: Vec<_>| {
        let name = escape(&declared.name);
        Error::Usage(format!("input '{name}' has {} dimensions and takes no picture", known.len()))
    })?;
    let shape = preset.shape_for(picture, known);
    bindings.budget.tensor(&declared.name, &TensorType::real(shape))?;
    let (tensor, placement) = preset.place(picture, shape)?;
    let (network, channels) = (preset.size_of(shape), preset.channels_of(shape));
    let view = View { picture: [picture.width(), picture.height()], network, channels, placement };
    Ok(Read { tensor, pipeline: preset.describe(shape), view })
}

/// `LO:HI`, both finite, the first not above the second.
fn range(text: &str) -> Result<Range<f32>, String> {
    let expected = || "expected LO:HI, for example -1:1".to_string();
    let (low, high) = text.split_once(':').ok_or_else(expected)?;
    let bound = |text: &str| text.parse::<f32>().ok().filter(|bound| bound.is_finite()).ok_or_else(expected);
    let range = bound(low)?..bound(high)?;
    if range.start > range.end { Err(expected()) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_two_finite_ends_in_order() {
        assert_eq!(range("-1:1"), Ok(-1.0..1.0));
        assert_eq!(range("0:0"), Ok(0.0..0.0));
        for text in ["", "1", "1:", ":1", "2:1", "0:inf", "nan:1", "0:1:2"] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
