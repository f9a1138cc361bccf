//! `run` on more pictures than are held at once: they are decoded on other threads while the device works, and each is
//! answered in a line of its own. An error that is one picture's is in its line, and the run goes on.

use super::RunArgs;
use super::lines::Lines;
use super::list::listed;
use super::together::Together;
use crate::console::{Console, warn};
use crate::drawn::{Folder, Target};
use crate::exit::{Code, FINE};
use crate::feed::Feed;
use crate::input_args::{Read, read_picture};
use crate::model_args::ModelArgs;
use crate::quantity::{count, milliseconds};
use crate::task::{Answer, Found, Reader};
use rayon::prelude::*;
use reluctor::error::{Error, Result, escape};
use reluctor::graph::{Graph, Reading};
use reluctor::onnx::{Bindings, Declared, DeclaredDim, Model};
use reluctor::session::{Options, Session};
use reluctor::tensor::{Kind, Named, Tensor, borrowed, row_major_slice};
use reluctor_lab::bench::since;
use reluctor_vision::answer::{View, item};
use reluctor_vision::default_model;
use reluctor_vision::image::{self, Picture, Preset};
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// Batches that are decoded ahead of the device.
const AHEAD: usize = 2;

/// Of a picture that cannot be answered: invalid input.
const SOME_FAILED: u8 = 4;

/// A picture, decoded and made an input.
struct Ready {
    read: Read,
    picture: Picture,
}

/// A batch's pictures by name, each ready or not.
type Decoded = Vec<(String, Result<Ready>)>;

/// The answers to a batch's pictures, by name.
type Answers = Vec<(String, Result<Answer>)>;

/// A line of results.
#[derive(Serialize)]
struct Line<'a> {
    item: &'a str,
    #[serde(flatten)]
    found: Option<&'a Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What does not change from picture to picture.
struct Many<'a> {
    session: Session,
    reader: Reader<'a>,
    /// The input that pictures go to.
    input: Declared,
    bindings: Bindings,
    preset: Option<Preset>,
    /// What the other inputs are given, in every run.
    others: Named,
    together: Together,
    /// Whether pictures of the answers are wanted.
    drawn: bool,
    output: Output,
}

/// Where answers go.
enum Output {
    Lines(Lines),
    Console(Option<Folder>),
}

/// How it went.
#[derive(Default)]
struct Tally {
    done: usize,
    failed: usize,
    /// Milliseconds that planning and compiling took.
    planning: f64,
    /// What was said of the file.
    readings: Vec<Reading>,
}

/// Runs on all pictures and says how it went.
///
/// # Errors
/// Those that no other picture would avoid: of the command line, the model, the device and the results' file.
pub fn run(args: &RunArgs, model: &ModelArgs, pictures: &[PathBuf], console: &Console) -> Result<Code> {
    args.refuse_for_many()?;
    let mut paths = listed(pictures)?;
    if let Some(shard) = args.shard {
        paths = paths.into_iter().enumerate().filter(|(at, _)| shard.has(*at)).map(|(_, path)| path).collect();
    }
    let total = paths.len();
    let (output, done) = args.output()?;
    paths.retain(|path| !done.contains(&name(path)));
    let reading = args.reading()?;
    let preset = args.inputs.pictures.preset(model.is_default().then_some(default_model::PRESET))?;
    let reader = Reader { args: &args.task, reading: &reading, preset: preset.as_ref() };
    let mut many = Many::load(args, &model.open()?, model.bindings(), reader, output, console)?;
    many.preset = preset;
    console.line(format_args!("model      {}", escape(many.session.model().name())))?;
    console.line(format_args!("device     {}, {}", many.session.device().report(), args.device.precision()))?;
    if total > paths.len() {
        console.line(format_args!(
            "resumed    {} of {} are done",
            count((total - paths.len()) as u64),
            count(total as u64)
        ))?;
    }
    let start = Instant::now();
    let tally = many.all(&paths, console)?;
    let ms = (since(start) - tally.planning).max(f64::MIN_POSITIVE);
    let rate = tally.done as f64 / ms * 1e3;
    console.line(format_args!(
        "images     {}, {} failed; {rate:.1} images/s over {} (planning and compiling took {} more)",
        count(tally.done as u64),
        count(tally.failed as u64),
        milliseconds(ms),
        milliseconds(tally.planning)
    ))?;
    Ok(if tally.failed == 0 { FINE } else { SOME_FAILED })
}

/// An item's name in results, by which `--resume` knows it again.
fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl RunArgs {
    /// What makes no sense, or takes all outputs at once.
    fn refuse_for_many(&self) -> Result<()> {
        let refused = [
            (self.json, "--json: use --out F.jsonl"),
            (self.save.is_given(), "--save-outputs or --save-layers"),
            (self.measure.is_given(), "--iterations, --duration, --warmup, --percentile, --profile or --trace"),
            (self.expect_labels.is_some(), "--expect-labels"),
            (self.inputs.dump_input.is_some(), "--dump-input"),
            (self.tune.is_wanted(), "--tune: what it measures on one picture is kept for the others"),
        ];
        match refused.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, flag)) => Err(Error::Usage(format!("folders, patterns, lists and .jsonl results take no {flag}"))),
            None => Ok(()),
        }
    }

    /// Where answers go, and which items are there already.
    fn output(&self) -> Result<(Output, HashSet<String>)> {
        let target = self.task.out.as_deref().map(Target::of).transpose()?;
        match target {
            Some(Target::Lines(path)) if self.resume => {
                let (lines, done) = Lines::resume(&path)?;
                Ok((Output::Lines(lines), done))
            }
            _ if self.resume => Err(Error::Usage("--resume takes --out F.jsonl".to_string())),
            Some(Target::Lines(path)) => Ok((Output::Lines(Lines::create(&path)?), HashSet::new())),
            Some(Target::Folder(path)) => Ok((Output::Console(Some(Folder::make(&path)?)), HashSet::new())),
            Some(Target::File(_)) => {
                Err(Error::Usage("--out takes a folder or a .jsonl for many pictures".to_string()))
            }
            None => Ok((Output::Console(None), HashSet::new())),
        }
    }
}

impl<'a> Many<'a> {
    fn load(
        args: &RunArgs,
        model: &Model,
        mut bindings: Bindings,
        reader: Reader<'a>,
        output: Output,
        console: &Console,
    ) -> Result<Self> {
        let feed = args.inputs.feed(model, &bindings, &Vec::new(), None)?;
        bindings.constants.extend(feed.overrides().iter().map(|fed| (fed.name.clone(), fed.tensor.clone())));
        let input = feed.open().into_iter().find(|declared| declared.kind() == Kind::Real);
        let input = input.ok_or_else(|| Error::Usage("the model has no input left for a picture".to_string()))?;
        let others = others(&feed, &input)?;
        let fixed = match bindings.shapes.get(&input.name).map(|shape| shape.first()) {
            Some(first) => first.copied(),
            None => match input.dims.as_ref().and_then(|dims| dims.first()) {
                Some(DeclaredDim::Size(size)) => Some(*size),
                Some(DeclaredDim::Open(name)) => bindings.dims.get(name).copied(),
                None => None,
            },
        };
        let together = Together::of(fixed, bindings.batch)?;
        let device = args.device.open(console)?;
        let options = Options { fusion: args.fusion.fusion()?, bindings: bindings.clone(), ..Options::default() };
        let session = model.session_on(&device, &options)?;
        let drawn = matches!(output, Output::Console(Some(_)));
        Ok(Many { session, reader, input, bindings, preset: None, others, together, drawn, output })
    }

    /// Decodes on other threads, and answers here.
    fn all(&mut self, paths: &[PathBuf], console: &Console) -> Result<Tally> {
        let (input, bindings, preset) = (self.input.clone(), self.bindings.clone(), self.preset);
        let (sender, receiver) = sync_channel(AHEAD);
        let size = self.together.most();
        std::thread::scope(|scope| {
            scope.spawn(move || decode(paths, size, &input, &bindings, preset.as_ref(), &sender));
            self.answer_all(&receiver, paths.len(), console)
        })
    }

    fn answer_all(&mut self, batches: &Receiver<Decoded>, total: usize, console: &Console) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut is_said = false;
        for batch in batches {
            if let Some((_, Ok(ready))) = batch.iter().find(|(_, ready)| ready.is_ok()).filter(|_| !is_said) {
                console.line(format_args!("input      {}, {}", escape(&self.input.name), ready.read.pipeline))?;
                is_said = true;
            }
            let answers = self.answers(batch, &mut tally, console)?;
            tally.done += answers.len();
            let last = answers.last().map(|(name, _)| name.clone()).unwrap_or_default();
            self.write(answers, &mut tally, console)?;
            console.progress(tally.done, total, &last);
        }
        console.progress_done();
        Ok(tally)
    }

    /// The answers to a batch, in its order. Pictures of one size run together.
    fn answers(&self, batch: Decoded, tally: &mut Tally, console: &Console) -> Result<Answers> {
        let (mut names, mut answers) = (Vec::new(), Vec::new());
        let mut ready: Vec<(usize, Ready)> = Vec::new();
        for (at, (name, decoded)) in batch.into_iter().enumerate() {
            match decoded {
                Ok(picture) => {
                    ready.push((at, picture));
                    answers.push(None);
                }
                Err(error) if concerns_all(&error) => return Err(error),
                Err(error) => answers.push(Some(Err(error))),
            }
            names.push(name);
        }
        while let Some((_, first)) = ready.first() {
            let shape = first.read.tensor.shape().to_vec();
            let (same, others) = ready.into_iter().partition(|(_, ready)| ready.read.tensor.shape() == shape);
            ready = others;
            let same: Vec<(usize, Ready)> = same;
            let found = self.run(&same, &shape, tally, console);
            match found {
                Err(error) if concerns_all(&error) => return Err(error),
                Err(error) => {
                    let text = error.to_string();
                    same.iter().for_each(|(at, _)| answers[*at] = Some(Err(Error::invalid("the network", &text))));
                }
                Ok(found) => {
                    same.iter().zip(found).for_each(|((at, _), found)| answers[*at] = Some(Ok(found)));
                }
            }
        }
        let missing = || Err(Error::Internal("a picture was never answered".to_string()));
        let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(missing));
        Ok(names.into_iter().zip(answers).collect())
    }

    /// Runs on pictures of one size, as many at a time as go through the network apart from each other.
    fn run(
        &self,
        ready: &[(usize, Ready)],
        shape: &[usize],
        tally: &mut Tally,
        console: &Console,
    ) -> Result<Vec<Answer>> {
        let of_batch = |batch| self.graph(batch, shape);
        let together = self.together.of_shape(shape, &self.input.name, of_batch)?;
        let mut answers = Vec::new();
        for batch in ready.chunks(together) {
            answers.extend(self.run_together(batch, shape, together, tally, console)?);
        }
        Ok(answers)
    }

    /// The network for so many pictures of a size.
    fn graph(&self, batch: usize, shape: &[usize]) -> Result<Graph> {
        let mut bindings = Bindings { batch: Some(batch), ..self.bindings.clone() };
        bindings.shapes.insert(self.input.name.clone(), [&[batch], &shape[1..]].concat());
        for (name, tensor) in &self.others {
            match tensor.kind() {
                Kind::Real => _ = bindings.shapes.insert(name.clone(), tensor.shape().to_vec()),
                Kind::Int | Kind::Bool => _ = bindings.constants.insert(name.clone(), tensor.clone()),
            }
        }
        self.session.model().graph(&bindings)
    }

    /// One run; where pictures are short of a batch, the last one is repeated.
    fn run_together(
        &self,
        ready: &[(usize, Ready)],
        shape: &[usize],
        batch: usize,
        tally: &mut Tally,
        console: &Console,
    ) -> Result<Vec<Answer>> {
        let mut elements = Vec::new();
        for at in 0..batch {
            let (_, ready) = &ready[at.min(ready.len() - 1)];
            elements.extend_from_slice(&row_major_slice(ready.read.tensor.as_real()?));
        }
        let tensor = Tensor::real(&[&[batch], &shape[1..]].concat(), elements)?;
        let mut inputs = self.others.clone();
        inputs.push((self.input.name.clone(), tensor));
        let start = Instant::now();
        let engine = self.session.engine(&borrowed(&inputs))?;
        tally.planning += since(start);
        let new = |reading: &&Reading| !tally.readings.contains(reading);
        let new: Vec<Reading> = engine.graph().readings.iter().filter(new).cloned().collect();
        console.readings(&new);
        tally.readings.extend(new);
        drop(engine);
        let outputs = self.session.run(&borrowed(&inputs))?;
        let answer = |(at, (_, ready)): (usize, &(usize, Ready))| {
            let view: &View = &ready.read.view;
            let outputs = item(&outputs, at, batch)?;
            self.reader.answer(&outputs, Some(&ready.picture), Some(view), self.drawn)
        };
        ready.iter().enumerate().map(answer).collect()
    }

    fn write(&mut self, answers: Answers, tally: &mut Tally, console: &Console) -> Result<()> {
        let mut lines = Vec::new();
        for (name, answer) in &answers {
            if let Err(error) = answer {
                tally.failed += 1;
                console.progress_done();
                warn(format_args!("warning: {}: {}", escape(name), escape(&error.to_string())));
            }
            match &mut self.output {
                Output::Lines(_) => {
                    let error = answer.as_ref().err().map(|error| error.to_string());
                    let line = Line { item: name, found: answer.as_ref().ok().map(|answer| &answer.found), error };
                    lines.push(serde_json::to_string(&line).map_err(|error| Error::Internal(error.to_string()))?);
                }
                Output::Console(folder) => {
                    let Ok(Answer { found, picture }) = answer else { continue };
                    console.progress_done();
                    console.line(format_args!("{}  {}", escape(name), found.in_short()))?;
                    if let (Some(folder), Some(picture)) = (folder, picture) {
                        folder.write(name, picture)?;
                    }
                }
            }
        }
        match &mut self.output {
            Output::Lines(file) => file.append(&lines),
            Output::Console(_) => Ok(()),
        }
    }
}

/// What the other inputs are given.
fn others(feed: &Feed, pictures: &Declared) -> Result<Named> {
    let missing: Vec<String> =
        feed.open().iter().filter(|open| open.name != pictures.name).map(|open| escape(&open.name)).collect();
    if !missing.is_empty() {
        return Err(Error::Usage(format!("nothing is given for input {}", missing.join(", "))));
    }
    Ok(feed.filled().map(|fed| (fed.name.clone(), fed.tensor.clone())).collect())
}

/// Sends batch after batch, each decoded on all threads, until nobody listens.
fn decode(
    paths: &[PathBuf],
    size: usize,
    input: &Declared,
    bindings: &Bindings,
    preset: Option<&Preset>,
    sender: &SyncSender<Decoded>,
) {
    let ready = |path: &PathBuf| {
        let picture = image::open(path)?;
        // One picture at a time, whatever the batch is.
        let read = read_picture(&picture, input, bindings, preset)?;
        Ok(Ready { read, picture })
    };
    for batch in paths.chunks(size) {
        let decoded = batch.par_iter().map(|path| (name(path), ready(path))).collect();
        if sender.send(decoded).is_err() {
            return;
        }
    }
}

/// Whether an error would be any other picture's too.
fn concerns_all(error: &Error) -> bool {
    !matches!(error, Error::Invalid { .. } | Error::Io { .. } | Error::Budget { .. })
}
