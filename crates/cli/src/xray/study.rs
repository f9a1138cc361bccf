//! `xray --study`: siblings of the default network that differ in their non-linearity alone, in one table, and two questions.

use super::XrayArgs;
use super::report::Report;
use super::text::in_words;
use crate::console::Console;
use crate::device_args::{Device, DeviceReport};
use crate::quantity::count;
use maud::html;
use reluctor::error::{Error, Result};
use reluctor_lab::report::Table;
use reluctor_lab::report::chart::{Plot, Scale, short};
use reluctor_lab::xray::Verdict;
use reluctor_lab::xray::study::SIBLINGS;
use serde::Serialize;

/// One sibling's numbers.
#[derive(Serialize)]
pub struct Row {
    pub name: &'static str,
    pub file: &'static str,
    /// Per cent of the 10,000 test images.
    pub accuracy: f64,
    pub verdict: Verdict,
    pub additivity_defect: f64,
    /// On the same part of the same way for all; none where it is curved.
    pub pieces_on_segment: Option<usize>,
    pub pieces_on_the_whole_way_at_least: Option<usize>,
    pub dead_share: Option<f64>,
    pub negative_share: Option<f64>,
    pub top1_changed_without_any: Option<f64>,
}

#[derive(Serialize)]
pub struct Study {
    pub device: DeviceReport,
    pub segment_part: f64,
    pub siblings: Vec<Row>,
    /// The two questions, answered with these numbers.
    pub answers: [String; 2],
}

/// The part of the way between two test images on which pieces are counted.
const PART: f64 = 1.0 / 128.0;

impl XrayArgs {
    pub fn study(&self, device: &Device, console: &Console) -> Result<Study> {
        let mut reports = Vec::new();
        for (index, sibling) in SIBLINGS.iter().enumerate() {
            console.progress(index, SIBLINGS.len(), sibling.name);
            reports.push(self.report(&sibling.model()?, device, Some(PART))?);
        }
        console.progress_done();
        let answers = answers(&reports)?;
        let siblings = SIBLINGS.iter().zip(&reports).map(|(sibling, report)| Row {
            name: sibling.name,
            file: sibling.file,
            accuracy: sibling.accuracy,
            verdict: report.network.verdict,
            additivity_defect: report.network.additivity_defect,
            pieces_on_segment: report.network.curves.pieces_on_segment,
            pieces_on_the_whole_way_at_least: report.network.curves.pieces_at_least,
            dead_share: over_units(report, |layer| layer.dead_share),
            negative_share: over_units(report, |layer| layer.negative_share),
            top1_changed_without_any: report.network.without_any.as_ref().and_then(|rest| rest.top1_changed),
        });
        Ok(Study { device: device.report(), segment_part: PART, siblings: siblings.collect(), answers })
    }
}

/// The mean of a share over all units; none where there is no activation.
fn over_units(report: &Report, share: impl Fn(&reluctor_lab::xray::measure::SignKeys) -> Option<f64>) -> Option<f64> {
    let (mut sum, mut units) = (0.0, 0);
    for layer in &report.layers {
        if let (Some(share), Some(of)) = (share(&layer.signs), layer.signs.units) {
            sum += share * of as f64;
            units += of;
        }
    }
    (units > 0).then(|| sum / units as f64)
}

fn answers(reports: &[Report]) -> Result<[String; 2]> {
    let find = |file: &str| {
        let at = SIBLINGS.iter().position(|sibling| sibling.file == file);
        at.map(|at| (&SIBLINGS[at], &reports[at])).ok_or_else(|| Error::Internal(format!("no sibling {file}")))
    };
    let ((bare, bare_report), (maxima, maxima_report)) = (find("identity_average")?, find("identity")?);
    let ((means, _), (relu, report)) = (find("relu_average")?, find("relu")?);
    let conv = report.layers.iter().find(|layer| layer.op == "Conv");
    let conv = conv.ok_or_else(|| Error::Internal("a sibling without a convolution".to_string()))?;
    let (defect, floor) = (conv.additivity_defect, conv.rounding_floor);
    let pieces =
        |report: &Report| report.network.curves.pieces_on_segment.map_or("no".to_string(), |n| count(n as u64));
    let first = format!(
        "Is convolution not already non-linear, or does max pooling not bend enough? Convolution is {}: what is left of \
         f(x + y) - f(x) - f(y) + f(0) is {defect:.1e} of its terms, and rounding alone may leave {floor:.1e}. Without \
         activations and with average pools the whole network is {} ({} piece on the way) and right on {:.2} % of the test \
         images. Max pools do bend ({} pieces, a defect of {:.1} %): {:.2} %. With Relu it is {} pieces, a defect of {:.1} % and \
         {:.2} %; and with Relu the maxima are hardly missed: average pools reach {:.2} %.",
        in_words(conv.verdict),
        in_words(bare_report.network.verdict),
        pieces(bare_report),
        bare.accuracy,
        pieces(maxima_report),
        100.0 * maxima_report.network.additivity_defect,
        maxima.accuracy,
        pieces(report),
        100.0 * report.network.additivity_defect,
        relu.accuracy,
        means.accuracy,
    );
    let later = report.layers.iter().filter(|layer| layer.signs.negative_share.is_some()).skip(1);
    let negative: Vec<f64> = later.filter_map(|layer| layer.signs.negative_share).collect();
    let (least, most) = negative.iter().fold((1.0f64, 0.0f64), |(least, most), &x| (least.min(x), most.max(x)));
    let (Some(early), Some(late)) = (report.network.tails.first(), report.network.tails.last()) else {
        return Err(Error::Internal("a sibling that cannot be cut".to_string()));
    };
    let second = format!(
        "After convolution and Relu everything is >= 0: is the network linear from there on? No: the next filters have weights of \
         either sign, so that {:.0} to {:.0} % of each later layer's pre-activations are below zero again, and {:.0} % of the later \
         units are on for one image and off for another. The rest of the network after the first Relu has a defect of {:.1} %. Only \
         after the last one it is linear: {:.1e}.",
        100.0 * least,
        100.0 * most,
        100.0 * early.mixed_share,
        100.0 * early.additivity_defect,
        late.additivity_defect,
    );
    Ok([first, second])
}

impl Study {
    pub fn table(&self) -> Table {
        let mut table = Table::new(&[
            "network",
            "accuracy %",
            "verdict",
            "defect %",
            "pieces",
            "whole way, at least",
            "negative %",
            "dead %",
            "top-1 changed without any %",
        ]);
        let percent = |share: Option<f64>| share.map_or("-".to_string(), |share| format!("{:.1}", 100.0 * share));
        let number = |number: Option<usize>| number.map_or("curved".to_string(), |number| count(number as u64));
        for row in &self.siblings {
            table.rows.push(vec![
                row.name.to_string(),
                format!("{:.2}", row.accuracy),
                in_words(row.verdict).to_string(),
                percent(Some(row.additivity_defect)),
                number(row.pieces_on_segment),
                row.pieces_on_the_whole_way_at_least.map_or("-".to_string(), |number| count(number as u64)),
                percent(row.negative_share),
                percent(row.dead_share),
                percent(row.top1_changed_without_any),
            ]);
        }
        table
    }

    /// Accuracy against the defect of the whole network, a point a sibling.
    pub fn plot(&self) -> String {
        let plot = Plot {
            x: Scale::Linear(0.0, 50.0),
            y: Scale::Linear(75.0, 95.0),
            labels: ["additivity defect of the network, %".to_string(), "test images it is right on, %".to_string()],
            height: 340.0,
            title: "Siblings that differ in their non-linearity: accuracy against how far each is from linear"
                .to_string(),
        };
        let place = |row: &Row| plot.place(100.0 * row.additivity_defect, row.accuracy);
        // Most lie close together: their names stand in a column of their own, in order of accuracy.
        let mut rows: Vec<&Row> = self.siblings.iter().collect();
        rows.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
        let class = |row: &Row| match row.pieces_on_segment {
            Some(1) => "three",
            Some(_) => "two",
            None => "four",
        };
        plot.file(html! {
            @for (index, row) in rows.iter().enumerate() {
                @let [x, y] = place(row);
                circle class=(class(row)) cx=(short(x)) cy=(short(y)) r="5" { title { (row.name) } }
                text x=(short(x)) y=(short(y + if index % 2 == 0 { -9.0 } else { 16.0 })) text-anchor="middle" { (index + 1) }
                text x="300" y=(120.0 + 15.0 * index as f64) { (index + 1) " " (row.name) ", " (format!("{:.2} %", row.accuracy)) }
            }
        })
    }

    pub fn print(&self, console: &Console) -> Result<()> {
        console.line(format_args!("device    {}", self.device))?;
        console.line(format_args!(
            "pieces    on the first 1/{:.0} of the way between two test images\n",
            1.0 / self.segment_part
        ))?;
        let table = self.table();
        let width = |column: usize| {
            let cells = table.rows.iter().map(|row| row[column].chars().count());
            cells.chain([table.columns[column].chars().count()]).max().unwrap_or(0)
        };
        for row in std::iter::once(&table.columns).chain(&table.rows) {
            let cells = row.iter().enumerate().map(|(column, cell)| match column {
                0 => format!("{cell:<width$}", width = width(column)),
                _ => format!("{cell:>width$}", width = width(column)),
            });
            console.line(cells.collect::<Vec<_>>().join("  "))?;
        }
        self.answers.iter().try_for_each(|answer| console.line(format_args!("\n{answer}")))
    }
}
