//! `reluctor run`

mod lines;
mod list;
mod many;

use super::answers::{Reading, correct, read_labels};
use super::batches::Request;
use super::bind::{Bound, bind};
use super::console::Console;
use super::device_args::{Device, DeviceArgs};
use super::drawn::{Folder, Target};
use super::fault_args::FaultArgs;
use super::feed::Feed;
use super::fusion_args::FusionArgs;
use super::input_args::{Album, InputArgs, album};
use super::input_files::is_picture;
use super::model_args::{ModelArgs, positive};
use super::quantity::milliseconds;
use super::run_report::{Accuracy, Report, Timing};
use super::task::{Answer, Reader, Task, TaskArgs, no_classifier};
use super::tune_args::TuneArgs;
use crate::answer::{View, item, sheet};
use crate::bench::since;
use crate::default_model;
use crate::error::{Error, Result, escape};
use crate::files;
use crate::graph::Graph;
use crate::image::{Picture, Placement, Preset};
use crate::onnx::Model;
use crate::passes::Fusion;
use crate::session::{Options, Session};
use crate::tensor::{Named, borrowed, row_major_slice};
use clap::Args;
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
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
    /// Write the outputs to an .npz file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save_outputs: Option<PathBuf>,
    /// Write what each layer computes to an .npz file; with --no-fuse, each node of the model is a layer
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save_layers: Option<PathBuf>,
    /// How many more times to run for the time, after the first run
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Output")]
    iterations: usize,
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

pub fn run(args: &RunArgs, console: &Console) -> Result<ExitCode> {
    let (model, pictures) = args.model_and_pictures();
    if args.takes_many(&pictures)? {
        return many::run(args, &model, &pictures, console);
    }
    let mut timing = Timing::default();
    let (mut job, device) = Job::load(args, &mut timing, console)?;
    let device = job.tune(args, device, console)?;
    let start = Instant::now();
    let session = job.session(&device, &args.fusion.fusion()?)?;
    timing.compile += since(start);
    for note in &job.graph().notes {
        console.detail(escape(note));
    }
    console.detail(format_args!("{} nodes after fusion", job.graph().nodes.len()));

    let outputs = job.run(&session, args.iterations, &mut timing, console)?;
    if session.reopened() > 0 {
        console.note("the device was lost on the way; it was opened again, and the run repeated");
    }
    if let Some(path) = &args.save_outputs {
        save(path, outputs.clone())?;
    }
    if let Some(path) = &args.save_layers {
        job.save_layers(&session, path)?;
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
    };
    if args.json {
        console.json(&report.json()?)?
    } else {
        report.print(console)?
    }
    Ok(ExitCode::SUCCESS)
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

/// A network, ready to be loaded, and what it is fed.
struct Job {
    model: Model,
    bound: Bound,
    album: Album,
    items: Vec<String>,
    views: Vec<View>,
    /// How pictures became inputs.
    preset: Option<Preset>,
}

impl Job {
    /// What the outputs say of each item, where the task is more than classes.
    fn answers(&self, args: &RunArgs, reading: &Reading, outputs: &Named) -> Result<Vec<Answer>> {
        if !args.task.is_beyond_classes() && args.task.out.is_none() {
            return Ok(Vec::new());
        }
        let reader = Reader { args: &args.task, reading, preset: self.preset.as_ref() };
        let items = self.bound.batches.items;
        let own = self.own_view();
        let answer = |at: usize| {
            let source = self.album.get(at).map(|(_, picture)| picture);
            let view = self.views.get(at).or(own.as_ref());
            reader.answer(&item(outputs, at, items)?, source, view, args.task.out.is_some())
        };
        (0..items).map(answer).collect()
    }

    /// Where there is no picture, the input itself is one.
    fn own_view(&self) -> Option<View> {
        let shape: [usize; 4] = self.bound.feed.iter().find(|fed| fed.open)?.tensor.shape().try_into().ok()?;
        let preset = Preset::named("none").ok()?;
        let (size, channels) = (preset.size_of(shape), preset.channels_of(shape));
        let placement = Placement { scale: [1.0; 2], offset: [0.0; 2] };
        Some(View { picture: size, network: size, channels, placement })
    }

    /// Measures first where that was asked for, and plans again with what was found.
    fn tune(&mut self, args: &RunArgs, device: Device, console: &Console) -> Result<Device> {
        let device = args.tune.apply(device, &[&self.bound.network.graph], &args.faults, console)?;
        if args.tune.is_wanted() {
            self.bound.network.plan = device.plan(&self.bound.network.graph, &args.faults)?;
        }
        Ok(device)
    }

    /// Reads the model before the device is opened: what is wrong with the model is said first.
    fn load(args: &RunArgs, timing: &mut Timing, console: &Console) -> Result<(Self, Device)> {
        let start = Instant::now();
        let (model_args, pictures) = args.model_and_pictures();
        let (model, bindings) = (model_args.open()?, model_args.bindings());
        let preset = model_args.is_default().then_some(default_model::PRESET);
        let samples = model_args.is_default() && pictures.is_empty() && args.inputs.is_empty();
        let album = if samples { default_model::images()? } else { album(&pictures)? };
        let feed = args.inputs.feed(&model, &bindings, &album, preset)?;
        let independent = !album.is_empty() || args.expect_labels.is_some();
        let (items, views) = (feed.items.clone(), feed.views.clone());
        if let Some(path) = &args.inputs.dump_input {
            dump(path, &feed)?;
        }
        let request = Request { batch: model_args.batch(), independent };
        let mut device: Option<Device> = None;
        let mut plan = |graph: &Graph| {
            timing.load = since(start);
            let opened = match device.take() {
                Some(device) => device,
                None => {
                    let opened = args.device.open(console)?;
                    args.faults.announce(&opened)?;
                    opened
                }
            };
            let start = Instant::now();
            let plan = device.insert(opened).plan(graph, &args.faults);
            timing.compile = since(start);
            plan
        };
        let (policy, fusion) = (args.inputs.policy(), args.fusion.fusion()?);
        let bound = bind(&model, &bindings, feed.complete()?, request, policy, &fusion, &mut plan)?;
        let device = device.ok_or_else(|| Error::Internal("nothing was planned".to_string()))?;
        let preset = args.inputs.pictures.preset(preset)?;
        Ok((Job { model, bound, album, items, views, preset }, device))
    }

    fn session(&self, device: &Device, fusion: &Fusion) -> Result<Session> {
        let options = Options { fusion: fusion.clone(), bindings: self.bound.bindings.clone(), ..Options::default() };
        Session::holding(&self.model, device, &options, &self.bound.network)
    }

    fn graph(&self) -> &Graph {
        &self.bound.network.graph
    }

    /// Runs every batch; where there is one, `iterations` times more for the time.
    fn run(&self, session: &Session, iterations: usize, timing: &mut Timing, console: &Console) -> Result<Named> {
        let (mut outputs, mut runs) = (Named::new(), Vec::new());
        for index in 0..self.bound.batches.count() {
            let inputs = self.bound.batches.inputs(index, &self.bound.feed);
            let start = Instant::now();
            let result = session.run(&borrowed(&inputs))?;
            let ms = since(start);
            runs.push(ms);
            console.detail(format_args!("batch {} of {}: {}", index + 1, self.bound.batches.count(), milliseconds(ms)));
            self.bound.batches.append(&mut outputs, index, result)?;
        }
        if runs.len() == 1 {
            let inputs = self.bound.batches.inputs(0, &self.bound.feed);
            for _ in 0..iterations {
                let start = Instant::now();
                session.run(&borrowed(&inputs))?;
                runs.push(since(start));
            }
        }
        timing.record(&runs);
        Ok(outputs)
    }

    fn save_layers(&self, session: &Session, path: &Path) -> Result<()> {
        if self.bound.batches.count() > 1 {
            return Err(Error::Usage("--save-layers takes one batch; use fewer items or a larger --batch".to_string()));
        }
        let mut layers = Named::new();
        let inputs = self.bound.batches.inputs(0, &self.bound.feed);
        session.engine(&borrowed(&inputs))?.observe(&inputs, &mut |outputs| {
            layers.extend(outputs);
            Ok(())
        })?;
        save(path, layers)
    }
}

/// The tensor of the first input, as the network gets it.
fn dump(path: &Path, feed: &Feed) -> Result<()> {
    match feed.filled().next() {
        Some(fed) => files::write_npy(path, &fed.tensor),
        None => Err(Error::Usage("--dump-input has no input to write".to_string())),
    }
}

/// A network may give one value twice, and an archive holds it once.
fn save(path: &Path, mut tensors: Named) -> Result<()> {
    let mut seen = HashSet::new();
    tensors.retain(|(name, _)| seen.insert(name.clone()));
    files::write_npz(path, &tensors)
}
