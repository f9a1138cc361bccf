//! `reluctor run`

mod job;
mod lines;
mod list;
mod many;
mod report;
mod together;

use super::answers::{Reading, correct, read_labels};
use super::console::Console;
use super::device_args::DeviceArgs;
use super::drawn::{Folder, Target};
use super::exit::{Code, FINE};
use super::fault_args::FaultArgs;
use super::fusion_args::FusionArgs;
use super::input_args::InputArgs;
use super::input_files::is_picture;
use super::measure_args::MeasureArgs;
use super::model_args::{ModelArgs, positive};
use super::save_args::SaveArgs;
use super::task::{Answer, Task, TaskArgs, no_classifier};
use super::timeline::{self, TracedRun};
use super::tune_args::TuneArgs;
use clap::Args;
use job::Job;
use reluctor::error::{Error, Result, escape};
use reluctor::files;
use reluctor::tensor::{Named, row_major_slice};
use reluctor_lab::bench::since;
use reluctor_vision::answer::sheet;
use reluctor_vision::default_model;
use reluctor_vision::image::Picture;
use report::{Accuracy, Report, Timing};
use std::borrow::Cow;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Pictures: PNG, JPEG or WebP files, folders, patterns, or - for a list on stdin, one path a line
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Take every N-th picture, beginning with the I-th: 1/4 to 4/4 together are all
    #[arg(long, value_name = "I/N", help_heading = "Input")]
    shard: Option<Shard>,
    /// Go on with the results of an earlier run: pictures that have a line in --out F.jsonl are not run again
    #[arg(long, help_heading = "Input")]
    resume: bool,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    fusion: FusionArgs,
    #[command(flatten)]
    faults: FaultArgs,
    #[command(flatten)]
    tune: TuneArgs,
    #[command(flatten)]
    task: TaskArgs,
    /// The classes' names, one a line
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    labels: Option<PathBuf>,
    /// How many classes to show
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Output")]
    top_k: Option<usize>,
    /// Turn scores into probabilities
    #[arg(long, help_heading = "Output")]
    softmax: bool,
    /// The true classes, integers in an .npy file: prints the top-1 accuracy
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    expect_labels: Option<PathBuf>,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    measure: MeasureArgs,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// `1/4`: the first of four parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shard {
    part: usize,
    of: usize,
}

impl Shard {
    fn has(self, at: usize) -> bool {
        at % self.of == self.part - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<usize>().ok().filter(|&number| number > 0);
        let parts = text.split_once('/').and_then(|(part, of)| Some((number(part)?, number(of)?)));
        let fitting = parts.filter(|(part, of)| part <= of);
        fitting.map(|(part, of)| Shard { part, of }).ok_or_else(|| "expected I/N, from 1/N to N/N".to_string())
    }
}

pub fn run(args: &RunArgs, console: &Console) -> Result<Code> {
    let (model, pictures) = args.model_and_pictures();
    args.save.check()?;
    if args.takes_many(&pictures)? {
        return many::run(args, &model, &pictures, console);
    }
    let mut timing = Timing::default();
    let (mut job, device) = Job::load(args, &mut timing, console)?;
    let device = job.tune(args, device, console)?;
    let start = Instant::now();
    let session = job.session(&device, &args.fusion.fusion()?)?;
    timing.compile += since(start);
    console.readings(&job.graph().readings);
    for note in &job.graph().notes {
        console.detail(escape(note));
    }
    console.detail(format_args!("{} nodes after fusion", job.graph().nodes.len()));

    let ran = job.run(&session, &args.measure, &mut timing, console)?;
    if session.reopened() > 0 {
        console.note("the device was lost on the way; it was opened again, and the run repeated");
    }
    let outputs = ran.outputs;
    args.save.outputs(job.graph(), &outputs)?;
    if args.save.wants_layers() {
        args.save.layers(&*job.engine(&session)?, &job.inputs(0))?;
    }
    let profile = args.measure.profile().then(|| job.profile(&device, &ran.traces)).transpose()?;
    if let Some(file) = args.measure.trace() {
        let before = vec![("read", timing.load), ("plan and compile", timing.compile)];
        timeline::write(file, &[TracedRun { name: &job.graph().name, trace: ran.traces.last(), before }])?;
    }
    let reading = args.reading()?;
    // What is wrong with the labels is said before any result.
    let scores = reading.scores(&outputs)?;
    if args.task.task == Some(Task::Classify) && scores.iter().all(Option::is_none) {
        return Err(no_classifier(&outputs));
    }
    let answers = job.answers(args, &reading, &outputs)?;
    let written = args.write(&job.items, &answers)?;
    let report = Report {
        model: job.graph().name.clone(),
        device: device.report(),
        precision: args.device.precision(),
        converted: &job.graph().converted,
        feed: &job.bound.feed,
        batches: job.bound.batches,
        items: &job.items,
        album: &job.album,
        reading,
        accuracy: args.accuracy(&outputs)?,
        outputs: &outputs,
        answers: &answers,
        written: &written,
        timing,
        profile,
        percentiles: args.measure.percentiles(),
        shows_percentiles: args.measure.names_percentiles(),
    };
    if args.json {
        console.json(&report.json()?)?
    } else {
        report.print(console)?
    }
    Ok(FINE)
}

impl RunArgs {
    /// The model and the pictures. Where the first argument is a picture, the embedded network is meant.
    fn model_and_pictures(&self) -> (Cow<'_, ModelArgs>, Vec<PathBuf>) {
        match &self.model.path {
            Some(path) if is_picture(path) || list::is_of_pictures(path) => {
                let pictures = [path].into_iter().chain(&self.images).cloned().collect();
                (Cow::Owned(ModelArgs { path: None, ..self.model.clone() }), pictures)
            }
            _ => (Cow::Borrowed(&self.model), self.images.clone()),
        }
    }

    /// Whether pictures come and go, one batch after another.
    fn takes_many(&self, pictures: &[PathBuf]) -> Result<bool> {
        let target = self.task.out.as_deref().map(Target::of).transpose()?;
        let is_lines = matches!(target, Some(Target::Lines(_)));
        Ok(is_lines || self.resume || self.shard.is_some() || list::is_open_ended(pictures))
    }

    fn is_default(&self) -> bool {
        self.model_and_pictures().0.is_default()
    }

    fn reading(&self) -> Result<Reading> {
        let given = self.labels.as_deref().map(read_labels).transpose()?;
        let usual = if self.is_default() { 3 } else { 5 };
        Ok(Reading {
            labels: given.or_else(|| self.is_default().then(default_model::labels)),
            top_k: self.top_k.unwrap_or(usual),
            softmax: self.softmax || self.is_default(),
            raw: self.task.is_beyond_classes() || self.task.task == Some(Task::Raw),
        })
    }

    /// Writes the pictures of the answers where `--out` says, and returns where.
    fn write(&self, items: &[String], answers: &[Answer]) -> Result<Vec<PathBuf>> {
        let Some(path) = &self.task.out else { return Ok(Vec::new()) };
        let pictures: Vec<&Picture> = answers.iter().filter_map(|answer| answer.picture.as_ref()).collect();
        if pictures.is_empty() {
            return Err(Error::Usage("--out takes a picture, and a --task that says more than ranges".to_string()));
        }
        match Target::of(path)? {
            Target::Folder(folder) => {
                let mut folder = Folder::make(&folder)?;
                items.iter().zip(pictures).map(|(item, picture)| folder.write(item, picture)).collect()
            }
            Target::File(file) if pictures.len() == 1 => pictures[0].save_png(&file).map(|()| vec![file]),
            Target::File(file) => sheet(&pictures)?.save_png(&file).map(|()| vec![file]),
            Target::Lines(_) => Err(Error::Internal("lines are written one batch after another".to_string())),
        }
    }

    fn accuracy(&self, outputs: &Named) -> Result<Option<Accuracy>> {
        let Some(path) = &self.expect_labels else { return Ok(None) };
        let invalid = |reason: String| Error::invalid(path.display(), reason);
        let labels = files::read_tensor(path)?;
        let labels = row_major_slice(labels.as_int().map_err(|error| invalid(error.to_string()))?).into_owned();
        let scores = self.reading()?.scores(outputs)?;
        let mut classifiers = scores.into_iter().flatten();
        let (Some(scores), None) = (classifiers.next(), classifiers.next()) else {
            return Err(Error::Usage("--expect-labels needs a network with one classifier's output".to_string()));
        };
        if scores.nrows() != labels.len() {
            return Err(invalid(format!("holds {} labels for {} items", labels.len(), scores.nrows())));
        }
        Ok(Some(Accuracy::of(correct(scores, &labels), labels.len())))
    }
}
