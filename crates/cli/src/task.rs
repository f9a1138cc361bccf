//! `--task`: what is made of the outputs for one item.

use super::answers::{Ranked, Reading, Summary, describe, summary};
use super::choices;
use super::console::Console;
use clap::{Args, ValueEnum};
use reluctor::error::{Error, Result, escape};
use reluctor::tensor::{Tensor, format_shape};
use reluctor_vision::answer::detect::{Background, Corners, Settings, Style, detect};
use reluctor_vision::answer::{Detection, Region, Regions, View, draw_boxes, draw_lines, draw_regions, restored};
use reluctor_vision::image::{Picture, Preset};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args)]
pub struct TaskArgs {
    /// What the network is for; told by its outputs where nothing is said, as far as these tell a classifier
    #[arg(long, value_enum, help_heading = "Task")]
    pub task: Option<Task>,
    /// Where to write: a .png of the answers, a folder for one of each, or a .jsonl of results
    #[arg(long, value_name = "FILE", help_heading = "Task")]
    pub out: Option<PathBuf>,
    /// detect: what the outputs hold
    #[arg(long, value_parser = choices::style(), default_value = "auto", help_heading = "Task")]
    boxes: Style,
    /// detect: what the four numbers of a box say, where --boxes is pairs or rows
    #[arg(long, value_parser = choices::corners(), help_heading = "Task")]
    box_format: Option<Corners>,
    /// detect: which column of scores is for nothing: auto, none, or its index
    #[arg(long, value_name = "INDEX", value_parser = background, default_value = "auto", help_heading = "Task")]
    background: Background,
    /// detect: the score from which a box counts
    #[arg(long, value_name = "X", value_parser = share, default_value = "0.3", help_heading = "Task")]
    score: f32,
    /// detect: what two boxes of a class may share of what they cover and still both count
    #[arg(long, value_name = "X", value_parser = share, default_value = "0.45", help_heading = "Task")]
    iou: f32,
    /// detect: how many boxes at most
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Task")]
    max_boxes: usize,
    /// image: the outputs that are black and white; those of the pre-processing where nothing is said
    #[arg(long, value_name = "LO:HI", value_parser = levels, allow_hyphen_values = true, help_heading = "Task")]
    image_range: Option<(f32, f32)>,
}

/// What a network is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// The classes with the highest scores
    Classify,
    /// Boxes on the picture, each with its class
    Detect,
    /// A class for each pixel
    Segment,
    /// Another picture: super-resolution, style
    Image,
    /// The outputs' shapes and ranges
    Raw,
}

/// What the network is for, and how its outputs are read.
pub struct Reader<'a> {
    pub args: &'a TaskArgs,
    pub reading: &'a Reading,
    /// How pictures became inputs; none where no picture did.
    pub preset: Option<&'a Preset>,
}

/// What is known of one item.
pub struct Answer {
    pub found: Found,
    /// The picture of it, where one was asked for.
    pub picture: Option<Picture>,
}

/// What the outputs say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    Top(Vec<Ranked>),
    Detections(Vec<Detection>),
    Regions(Vec<Region>),
    Picture { width: u32, height: u32 },
    Outputs(Vec<OutputSummary>),
}

/// An output in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputSummary {
    name: String,
    shape: Vec<usize>,
    summary: Option<Summary>,
    #[serde(skip)]
    text: String,
}

impl TaskArgs {
    fn settings(&self) -> Settings {
        Settings {
            style: self.boxes,
            corners: self.box_format,
            background: self.background,
            score: self.score,
            iou: self.iou,
            most: self.max_boxes,
        }
    }

    /// Whether the answers are more than classes and ranges.
    pub fn is_beyond_classes(&self) -> bool {
        matches!(self.task, Some(Task::Detect | Task::Segment | Task::Image))
    }
}

impl Reader<'_> {
    /// What one item's outputs say. `source` is its picture and where the network saw it; `drawn` asks for a picture of
    /// the answer.
    ///
    /// # Errors
    /// [`Error::Usage`] where the outputs are not those of the task.
    pub fn answer(
        &self,
        outputs: &[(String, Tensor)],
        source: Option<&Picture>,
        view: Option<&View>,
        drawn: bool,
    ) -> Result<Answer> {
        let view = || view.ok_or_else(|| Error::Usage("this task needs a picture".to_string()));
        let labels = self.reading.labels.as_deref();
        let onto = source.filter(|_| drawn);
        match self.args.task {
            Some(Task::Detect) => {
                let found = detect(outputs, view()?, &self.args.settings(), labels)?;
                let picture = onto.map(|picture| draw_boxes(picture, &found)).transpose()?;
                Ok(Answer { found: Found::Detections(found), picture })
            }
            Some(Task::Segment) => {
                let (regions, view) = (Regions::of(outputs)?, view()?);
                let shares = regions.shares(labels);
                let picture = onto.map(|picture| draw_regions(picture, &regions, &shares, view)).transpose()?;
                Ok(Answer { found: Found::Regions(shares), picture })
            }
            Some(Task::Image) => {
                let (Some(source), Some(preset)) = (source, self.preset) else {
                    return Err(Error::Usage("--task image needs a picture".to_string()));
                };
                let picture = restored(outputs, preset, self.args.image_range, source, view()?)?;
                let found = Found::Picture { width: picture.width(), height: picture.height() };
                Ok(Answer { found, picture: Some(picture) })
            }
            Some(Task::Raw) => Ok(Answer { found: summaries(outputs), picture: None }),
            Some(Task::Classify) | None => self.classes(outputs, onto),
        }
    }

    fn classes(&self, outputs: &[(String, Tensor)], onto: Option<&Picture>) -> Result<Answer> {
        let scores = self.reading.scores(outputs)?;
        let top = match scores.iter().flatten().next() {
            Some(scores) => self.reading.top(scores.row(0)),
            None if self.args.task == Some(Task::Classify) => return Err(no_classifier(outputs)),
            None => return Ok(Answer { found: summaries(outputs), picture: None }),
        };
        let lines: Vec<String> = top.iter().map(|ranked| ranked.to_string().trim().to_string()).collect();
        let picture = onto.map(|picture| draw_lines(picture, &lines)).transpose()?;
        Ok(Answer { found: Found::Top(top), picture })
    }
}

/// That no output is a classifier's.
pub fn no_classifier(outputs: &[(String, Tensor)]) -> Error {
    let shapes = outputs.iter().map(|(name, tensor)| format!("{} {}", escape(name), format_shape(tensor.shape())));
    let shapes = shapes.take(16).collect::<Vec<_>>().join(", ");
    Error::Usage(format!("no output is a classifier's, or several are and --labels does not say which ({shapes})"))
}

fn summaries(outputs: &[(String, Tensor)]) -> Found {
    let summary = |(name, tensor): &(String, Tensor)| OutputSummary {
        name: name.clone(),
        shape: tensor.shape().to_vec(),
        summary: summary(tensor),
        text: describe(tensor),
    };
    Found::Outputs(outputs.iter().map(summary).collect())
}

impl Found {
    /// For people, a line each.
    pub fn print(&self, console: &Console) -> Result<()> {
        match self {
            Found::Top(top) => top.iter().try_for_each(|ranked| console.line(ranked)),
            Found::Detections(found) if found.is_empty() => console.line("    nothing found"),
            Found::Detections(found) => found.iter().try_for_each(|found| {
                let [left, top, right, bottom] = found.bounds;
                let name = named(found.label.as_deref(), found.class);
                let place = format!("({left:.0}, {top:.0}) to ({right:.0}, {bottom:.0})");
                console.line(format_args!("    {:.4}  {name}  {place}", found.score))
            }),
            Found::Regions(regions) => regions.iter().try_for_each(|region| {
                let name = named(region.label.as_deref(), region.class);
                console.line(format_args!("    {:5.1} %  {name}", region.share * 100.0))
            }),
            Found::Picture { width, height } => console.line(format_args!("    a picture of {width}x{height}")),
            Found::Outputs(outputs) => outputs.iter().try_for_each(|output| {
                console.line(format_args!(
                    "    {} {}: {}",
                    escape(&output.name),
                    format_shape(&output.shape),
                    output.text
                ))
            }),
        }
    }

    /// For people, in one line.
    pub fn in_short(&self) -> String {
        match self {
            Found::Top(top) => top.first().map(|best| best.to_string().trim().to_string()).unwrap_or_default(),
            Found::Detections(found) => format!("{} found", found.len()),
            Found::Regions(regions) => {
                let first = regions.iter().take(3);
                let named = first.map(|r| format!("{} {:.0} %", named(r.label.as_deref(), r.class), r.share * 100.0));
                named.collect::<Vec<_>>().join(", ")
            }
            Found::Picture { width, height } => format!("{width}x{height}"),
            Found::Outputs(outputs) => outputs.iter().map(|output| output.text.clone()).collect::<Vec<_>>().join("; "),
        }
    }
}

fn named(label: Option<&str>, class: usize) -> String {
    label.map_or(format!("class {class}"), escape)
}

fn background(text: &str) -> Result<Background, String> {
    match text {
        "auto" => Ok(Background::Auto),
        "none" => Ok(Background::None),
        _ => text.parse().map(Background::Class).map_err(|_| "expected auto, none or an index".to_string()),
    }
}

fn share(text: &str) -> Result<f32, String> {
    let share = text.parse::<f32>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_string())
}

fn levels(text: &str) -> Result<(f32, f32), String> {
    let (black, white) = text.split_once(':').ok_or("expected LO:HI, for example 0:1")?;
    let level = |text: &str| text.parse::<f32>().ok().filter(|level| level.is_finite());
    match (level(black), level(white)) {
        (Some(black), Some(white)) if black != white => Ok((black, white)),
        _ => Err("expected two different numbers, for example 0:1".to_string()),
    }
}
