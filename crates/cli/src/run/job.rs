//! One network on inputs that are held at once: bound, planned, run, timed.

use super::RunArgs;
use super::report::Timing;
use crate::answers::Reading;
use crate::batches::{Request, USUAL_BATCH};
use crate::bind::{Bound, bind};
use crate::console::Console;
use crate::device_args::Device;
use crate::feed::Feed;
use crate::input_args::{Album, album};
use crate::measure_args::MeasureArgs;
use crate::quantity::milliseconds;
use crate::roofs;
use crate::task::{Answer, Reader};
use crate::timeline::{has_timestamps, no_timestamps};
use reluctor::engine::Engine;
use reluctor::error::{Error, Result};
use reluctor::files;
use reluctor::gpu::Trace;
use reluctor::graph::Graph;
use reluctor::onnx::Model;
use reluctor::passes::Fusion;
use reluctor::plan::{self, Limits, Plan};
use reluctor::session::{Options, Session};
use reluctor::tensor::{Named, borrowed};
use reluctor_lab::bench::steps::{StepRow, rows};
use reluctor_lab::bench::{Length, interleaved, since};
use reluctor_vision::answer::{View, item};
use reluctor_vision::default_model;
use reluctor_vision::image::{Placement, Preset};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A network, ready to be loaded, and what it is fed.
pub struct Job {
    pub model: Model,
    pub bound: Bound,
    pub album: Album,
    pub items: Vec<String>,
    pub views: Vec<View>,
    /// How pictures became inputs.
    preset: Option<Preset>,
}

impl Job {
    /// What the outputs say of each item, where the task is more than classes.
    pub fn answers(&self, args: &RunArgs, reading: &Reading, outputs: &Named) -> Result<Vec<Answer>> {
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
    pub fn tune(&mut self, args: &RunArgs, device: Device, console: &Console) -> Result<Device> {
        let device = args.tune.apply(device, &[&self.bound.network.graph], &args.faults, console)?;
        if args.tune.is_wanted() {
            self.bound.network.plan = args.faults.plan_on(&device, &self.bound.network.graph)?;
        }
        Ok(device)
    }

    /// Reads the model before the device is opened: what is wrong with the model is said first.
    pub fn load(args: &RunArgs, timing: &mut Timing, console: &Console) -> Result<(Self, Device)> {
        let start = Instant::now();
        let (model_args, pictures) = args.model_and_pictures();
        let (model, bindings) = (model_args.open()?, model_args.bindings());
        let preset = model_args.is_default().then_some(default_model::PRESET);
        let samples = model_args.is_default() && pictures.is_empty() && args.inputs.is_empty();
        let album = if samples { default_model::images()? } else { album(&pictures)? };
        let feed = args.inputs.feed(&model, &bindings, &album, preset)?;
        let are_counted = !album.is_empty() || args.expect_labels.is_some();
        let (items, views) = (feed.items.clone(), feed.views.clone());
        if let Some(path) = &args.inputs.dump_input {
            dump(path, &feed)?;
        }
        let usual = are_counted.then_some(USUAL_BATCH);
        let request = Request { batch: model_args.batch(), usual };
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
            let plan = args.faults.plan_on(device.insert(opened), graph);
            timing.compile = since(start);
            plan
        };
        let (policy, fusion) = (args.inputs.policy(), args.fusion.fusion()?);
        let bound = bind(&model, &bindings, feed.complete()?, request, policy, &fusion, &mut plan)?;
        let device = device.ok_or_else(|| Error::Internal("nothing was planned".to_string()))?;
        let preset = args.inputs.pictures.preset(preset)?;
        if args.measure.times_steps() {
            has_timestamps(&device)?;
        }
        let flags =
            [(args.measure.times_steps(), "--profile and --trace"), (args.save.wants_layers(), "--save-layers")];
        if let Some((_, flag)) = flags.iter().find(|(is_given, _)| *is_given && bound.batches.count() > 1) {
            let reason = format!("{flag} take one batch; use fewer items or a larger --batch");
            return Err(Error::Usage(reason));
        }
        args.device.warn_where_unused(bound.network.plan.as_ref().map(Plan::kernels).as_ref(), console);
        Ok((Job { model, bound, album, items, views, preset }, device))
    }

    pub fn session(&self, device: &Device, fusion: &Fusion) -> Result<Session> {
        let options = Options { fusion: fusion.clone(), bindings: self.bound.bindings.clone(), ..Options::default() };
        Session::holding(&self.model, device, &options, &self.bound.network)
    }

    pub fn graph(&self) -> &Graph {
        &self.bound.network.graph
    }

    pub fn inputs(&self, batch: usize) -> Named {
        self.bound.batches.inputs(batch, &self.bound.feed)
    }

    /// What runs the first batch.
    pub fn engine(&self, session: &Session) -> Result<Arc<Engine<'static>>> {
        session.engine(&borrowed(&self.inputs(0)))
    }

    /// Runs every batch. One that is alone, and all where the time is asked for, run again for it.
    pub fn run(&self, session: &Session, measure: &MeasureArgs, timing: &mut Timing, console: &Console) -> Result<Ran> {
        let count = self.bound.batches.count();
        let (mut outputs, mut runs) = (Named::new(), Vec::new());
        for index in 0..count {
            let inputs = self.inputs(index);
            let start = Instant::now();
            let result = session.run(&borrowed(&inputs))?;
            let ms = since(start);
            runs.push(ms);
            console.detail(format_args!("batch {} of {count}: {}", index + 1, milliseconds(ms)));
            self.bound.batches.append(&mut outputs, index, result, |name| self.bound.same.contains(name))?;
        }
        timing.ran(&runs);
        let once = usize::from(count == 1 || measure.is_given());
        let usual = Length { iterations: once, duration: Duration::ZERO, warmup: Duration::ZERO };
        let (length, mut traces) = (measure.length(usual), Vec::new());
        if measure.times_steps() {
            let engine = self.engine(session)?;
            let inputs = self.inputs(0);
            let mut run = || session.run(&borrowed(&inputs)).map(drop);
            let mut trace = || {
                traces.push(engine.trace(&inputs)?.ok_or_else(no_timestamps)?);
                Ok(())
            };
            let times = interleaved(&mut [&mut run, &mut trace], measure.length_of_some(usual))?;
            timing.ran_again(&times.of[0], &measure.percentiles());
            // Those of the warm-up come first.
            traces.drain(..traces.len() - times.of[1].len());
        } else if length.iterations > 0 || !length.duration.is_zero() {
            let all = (0..count).map(|index| self.inputs(index)).collect::<Vec<_>>();
            let mut run = || all.iter().try_for_each(|inputs| session.run(&borrowed(inputs)).map(drop));
            let times = interleaved(&mut [&mut run], length)?;
            let of_a_batch: Vec<f64> = times.of[0].iter().map(|ms| ms / count as f64).collect();
            timing.ran_again(&of_a_batch, &measure.percentiles());
        }
        Ok(Ran { outputs, traces })
    }

    /// Where the time goes, step by step. Unlike a benchmark, nobody has held these results against the reference.
    pub fn profile(&self, device: &Device, traces: &[Trace]) -> Result<Vec<StepRow>> {
        let plan = match &self.bound.network.plan {
            Some(plan) => Cow::Borrowed(plan),
            None => Cow::Owned(plan::plan(self.graph(), &Limits::default())?),
        };
        Ok(rows(&plan, traces, &roofs::of(device, false)?, false))
    }
}

/// What came of the runs.
pub struct Ran {
    pub outputs: Named,
    /// Runs whose steps were timed, where that was asked for.
    pub traces: Vec<Trace>,
}

/// The tensor of the first input, as the network gets it.
fn dump(path: &Path, feed: &Feed) -> Result<()> {
    match feed.filled().next() {
        Some(fed) => files::write_npy(path, &fed.tensor),
        None => Err(Error::Usage("--dump-input has no input to write".to_string())),
    }
}
