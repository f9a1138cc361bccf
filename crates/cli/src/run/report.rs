//! What `reluctor run` says: for people, and as JSON.

use crate::answers::{Ranked, Reading, Summary, describe, summary};
use crate::batches::Batches;
use crate::console::Console;
use crate::device_args::{DeviceReport, Precision};
use crate::feed::Fed;
use crate::input_args::Album;
use crate::profile::print_steps;
use crate::quantity::{count, milliseconds};
use crate::task::{Answer, Found};
use ndarray::ArrayView2;
use reluctor::error::{Result, escape};
use reluctor::tensor::{Named, format_shape};
use reluctor_lab::bench::steps::StepRow;
use reluctor_lab::bench::{Statistics, named};
use reluctor_vision::image::half_blocks;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Characters across a picture.
const PICTURE_COLUMNS: usize = 40;

/// Items whose classes are shown to people; JSON has them all.
const ITEMS_SHOWN: usize = 20;

/// Milliseconds.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Timing {
    /// Reading files, importing, fusing.
    pub load: f64,
    /// Planning, compiling, uploading weights.
    pub compile: f64,
    /// The first run.
    pub first: f64,
    /// The median of the later runs; the first where it was the only one.
    pub run: f64,
    /// The later runs, by the wall clock; where there are several batches, of one on average.
    pub later: Option<Statistics>,
    /// The first runs of all batches together.
    #[serde(skip)]
    pub total: f64,
}

impl Timing {
    /// Takes the first run of each batch, in order.
    pub fn ran(&mut self, batches: &[f64]) {
        self.first = batches.first().copied().unwrap_or(0.0);
        self.run = match batches.get(1..) {
            Some([_, ..]) => Statistics::of(&batches[1..]).median,
            _ => self.first,
        };
        self.total = batches.iter().sum();
    }

    /// Takes runs that were made for the time alone.
    pub fn ran_again(&mut self, runs: &[f64], percentiles: &[f64]) {
        if !runs.is_empty() {
            let later = Statistics::with_percentiles(runs, percentiles);
            self.run = later.median;
            self.later = Some(later);
        }
    }
}

/// How often a classifier was right.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Accuracy {
    correct: usize,
    total: usize,
    top1: f64,
}

impl Accuracy {
    pub fn of(correct: usize, total: usize) -> Self {
        Accuracy { correct, total, top1: correct as f64 / total.max(1) as f64 }
    }
}

/// All that there is to say.
pub struct Report<'a> {
    pub model: String,
    pub device: DeviceReport,
    pub precision: Precision,
    /// Types of the file's reals that became f32.
    pub converted: &'a [&'static str],
    pub feed: &'a [Fed],
    pub batches: Batches,
    /// What the items are called, where they are pictures.
    pub items: &'a [String],
    pub album: &'a Album,
    pub reading: Reading,
    pub accuracy: Option<Accuracy>,
    pub outputs: &'a Named,
    /// What the outputs say of each item, where the task is more than classes.
    pub answers: &'a [Answer],
    /// Where pictures of the answers were written.
    pub written: &'a [PathBuf],
    pub timing: Timing,
    /// A row for each step, where that was asked for.
    pub profile: Option<Vec<StepRow>>,
    /// Percentiles that people are shown, of more runs than one or where they asked.
    pub percentiles: Vec<f64>,
    pub shows_percentiles: bool,
}

impl Report<'_> {
    /// For people.
    pub fn print(&self, console: &Console) -> Result<()> {
        self.print_header(console)?;
        // Of thousands of labelled items the accuracy is what is wanted.
        let accuracy_only = self.accuracy.is_some() && self.items.is_empty();
        if !accuracy_only {
            console.line("")?;
            self.print_outputs(console)?;
        }
        self.print_footer(console)
    }

    fn print_outputs(&self, console: &Console) -> Result<()> {
        if !self.answers.is_empty() {
            return self.print_answers(console);
        }
        let scores = self.reading.scores(self.outputs)?;
        for ((name, output), scores) in self.outputs.iter().zip(scores) {
            match scores {
                Some(scores) => self.print_classes(console, name, scores)?,
                None => {
                    let shape = format_shape(output.shape());
                    console.line(format_args!("{} {shape}: {}", escape(name), describe(output)))?;
                }
            }
        }
        Ok(())
    }

    fn print_answers(&self, console: &Console) -> Result<()> {
        for (at, answer) in self.answers.iter().enumerate() {
            console.line(self.item(at).unwrap_or_else(|| format!("item {at}")))?;
            answer.found.print(console)?;
        }
        self.written
            .iter()
            .try_for_each(|path| console.line(format_args!("written    {}", escape(&path.display().to_string()))))
    }

    fn print_header(&self, console: &Console) -> Result<()> {
        console.line(format_args!("model      {}", escape(&self.model)))?;
        let converted = match self.converted {
            [] => String::new(),
            types => format!(" ({} in the file)", types.join(", ").to_lowercase()),
        };
        console.line(format_args!("device     {}, {}{converted}", self.device, self.precision))?;
        self.feed.iter().try_for_each(|fed| console.line(format_args!("input      {fed}")))?;
        if self.batches.count() > 1 {
            let Batches { items, size } = self.batches;
            console.line(format_args!("batches    {} of {size} for {items} items", self.batches.count()))?;
        }
        Ok(())
    }

    fn print_classes(&self, console: &Console, output: &str, scores: ArrayView2<'_, f32>) -> Result<()> {
        for (at, row) in scores.rows().into_iter().enumerate().take(ITEMS_SHOWN) {
            console.line(self.item(at).unwrap_or_else(|| format!("{} item {at}", escape(output))))?;
            if let Some((_, picture)) = self.album.get(at).filter(|_| console.is_terminal()) {
                console.print(half_blocks(picture, PICTURE_COLUMNS, console.has_colour()))?;
            }
            self.reading.top(row).iter().try_for_each(|ranked| console.line(ranked))?;
        }
        if scores.nrows() > ITEMS_SHOWN {
            console.line(format_args!("... and {} items more; --json has all", scores.nrows() - ITEMS_SHOWN))?;
        }
        Ok(())
    }

    fn item(&self, at: usize) -> Option<String> {
        self.items.get(at).map(|name| escape(name))
    }

    fn print_footer(&self, console: &Console) -> Result<()> {
        console.line("")?;
        if let Some(Accuracy { correct, total, top1 }) = self.accuracy {
            let (correct, total) = (count(correct as u64), count(total as u64));
            console.line(format_args!("accuracy   {:.2} % ({correct} of {total})", top1 * 100.0))?;
        }
        let Timing { load, compile, first, run, total, later } = &self.timing;
        let [load, compile, first, run, total] = [load, compile, first, run, total].map(|&ms| milliseconds(ms));
        let all = if self.batches.count() > 1 { format!(", all batches {total}") } else { String::new() };
        console.line(format_args!("time       load {load}, compile {compile}, first run {first}, run {run}{all}"))?;
        if let Some(later) = later.as_ref().filter(|later| later.runs > 1 || self.shows_percentiles) {
            let percentile = |&p: &f64| format!(", {} {}", named(p), milliseconds(later.percentile(p)));
            let percentiles: String = self.percentiles.iter().map(percentile).collect();
            let (runs, min) = (count(later.runs as u64), milliseconds(later.min));
            console.line(format_args!("runs       {runs} later ones: least {min}, median {run}{percentiles}"))?;
        }
        let Some(profile) = &self.profile else { return Ok(()) };
        console.line("")?;
        print_steps(profile, console)
    }

    /// For programs.
    pub fn json(&self) -> Result<Value> {
        let scores = self.reading.scores(self.outputs)?;
        let outputs: Vec<OutputReport> = self
            .outputs
            .iter()
            .zip(scores)
            .map(|((name, output), scores)| {
                let tops: Vec<_> = scores.iter().flat_map(|s| s.rows()).map(|row| self.reading.top(row)).collect();
                OutputReport {
                    name,
                    shape: output.shape(),
                    top: tops.first().cloned().unwrap_or_default(),
                    items: tops
                        .into_iter()
                        .enumerate()
                        .map(|(at, top)| ItemReport { item: self.item(at), top })
                        .collect(),
                    summary: summary(output),
                }
            })
            .collect();
        let input = |fed: &Fed| json!({ "name": fed.name, "shape": fed.tensor.shape(), "source": fed.source });
        Ok(json!({
            "model": self.model,
            "device": self.device,
            "precision": self.precision,
            "converted": self.converted,
            "inputs": self.feed.iter().map(input).collect::<Vec<_>>(),
            "batch": self.batches.size,
            "outputs": outputs,
            "answers": self.answers.iter().enumerate().map(|(at, answer)| ItemAnswer {
                item: self.item(at),
                found: &answer.found,
            }).collect::<Vec<_>>(),
            "written": self.written,
            "accuracy": self.accuracy,
            "timing_ms": self.timing,
            "profile": self.profile,
        }))
    }
}

/// One output in JSON.
#[derive(Serialize)]
struct OutputReport<'a> {
    name: &'a str,
    shape: &'a [usize],
    /// The classes of the first item; empty where the output is no classifier's.
    top: Vec<Ranked>,
    /// The classes of every item.
    items: Vec<ItemReport>,
    summary: Option<Summary>,
}

/// What is known of one item in JSON.
#[derive(Serialize)]
struct ItemAnswer<'a> {
    item: Option<String>,
    #[serde(flatten)]
    found: &'a Found,
}

/// One item of a batch in JSON.
#[derive(Serialize)]
struct ItemReport {
    item: Option<String>,
    top: Vec<Ranked>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_does_not_count_among_the_later_ones() {
        let mut timing = Timing::default();
        timing.ran(&[5.0]);
        assert_eq!((timing.first, timing.run, timing.later.is_none()), (5.0, 5.0, true));
        timing.ran_again(&[3.0, 1.0, 2.0], &[50.0]);
        assert_eq!((timing.first, timing.run, timing.total), (5.0, 2.0, 5.0));
        timing.ran(&[100.0, 3.0, 1.0, 2.0]);
        assert_eq!((timing.first, timing.run, timing.total), (100.0, 2.0, 106.0));
    }
}
