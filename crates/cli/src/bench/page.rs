//! The report as a page: one that can be put into a report of one's own.

use super::report::Report;
use super::text::{in_words, verdict};
use crate::quantity::{bytes, milliseconds, shortened};
use maud::{Markup, html};
use reluctor::error::escape;
use reluctor::tensor::format_shape;
use reluctor_lab::bench::growth::Growth;
use reluctor_lab::bench::roofs::Bound;
use reluctor_lab::bench::steps::StepRow;
use reluctor_lab::report::chart::{Plot, Scale, WIDTH, short};
use reluctor_lab::report::page;

/// SVG units for each bar with its label.
const BAR: f64 = 20.0;

/// Points of the roofline that are numbered, those that take the most time: more would cover one another.
const LABELLED: usize = 6;

pub fn page(report: &Report) -> String {
    let title = format!("{} on {}", escape(&report.subject), report.device);
    page::page(
        &title,
        html! {
            h1 { (escape(&report.subject)) }
            p.soft { (report.device) ", " (report.precision.name()) ", " (report.cache) " caches" }
            (headline(report))
            @for line in &report.diagnostics { p.soft { "Warning: " (line) "." } }
            (roofline(report))
            (bars(report))
            @if report.fusion.len() > 1 { (comparison(report)) }
            @if report.memory.len() > 2 { (memory(report)) }
            @if let Some(growth) = &report.growth { (growing(growth)) }
            (table(report))
            h2 { "How it was measured" }
            p { "Every layer was compared with a reference in f64 before anything was timed. Fused and unfused ran in turn, in an "
                "order that changes from round to round; medians are shown, and intervals hold 95 % of bootstrapped ratios. "
                "1 multiply-add = 2 flops. Roofs were measured on this device: " (format!("{:.1}", report.roofs.gflops_f32))
                " GFLOP/s of multiply-adds, " (format!("{:.1}", report.roofs.gbps)) " GB/s of copies, "
                (format!("{:.1}", report.roofs.launch_us)) " µs a launch." }
            pre { (escape(&report.command)) "\nreluctor " (report.version) }
        },
    )
}

fn headline(report: &Report) -> Markup {
    let total = &report.total_ms;
    let one = report.fusion.first().filter(|_| report.fusion.len() == 1);
    let flops: u64 = report.ways.iter().step_by(report.ways_each()).map(|way| way.flops).sum();
    html! {
        div.big {
            div { b { (milliseconds(total.median)) } span { "median, wall clock, " (report.ways[0].name) " (" (total.runs) " runs)" } }
            @if let Some(fusion) = one {
                div { b { (format!("{:.2}×", fusion.ratio.speedup)) } span { (verdict(&fusion.ratio, "fused is", "as fast")) } }
            }
            div { b { (format!("{:.1} GFLOP/s", flops as f64 / (total.median * 1e6))) } span { "by the wall clock" } }
            @if let Some(around) = &report.around {
                div { b { (format!("{:.0} %", 100.0 * (around.steps_ms + around.gaps_ms) / total.median)) }
                    span { "of a run on the device; " (milliseconds(around.unattributed_ms)) " unattributed" } }
            }
        }
    }
}

/// Characters of a name in a chart.
const LONGEST: usize = 46;

/// SVG units that names take at the left of a chart.
fn label_width<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    const CHARACTER: f64 = 6.1;
    let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
    CHARACTER * longest.min(LONGEST) as f64 + 30.0
}

fn class(bound: Bound) -> &'static str {
    match bound {
        Bound::Compute => "one",
        Bound::Memory => "two",
        Bound::Launch => "three",
    }
}

fn roofline(report: &Report) -> Markup {
    let rows: Vec<&StepRow> = report.results.iter().filter(|row| row.flops > 0 && row.gflops > 0.0).collect();
    if rows.is_empty() {
        return html! {};
    }
    let roofs = &report.roofs;
    let plot = Plot {
        x: Scale::log(rows.iter().map(|row| row.intensity).chain([roofs.ridge()])),
        y: Scale::log(rows.iter().map(|row| row.gflops).chain([roofs.gflops_f32])),
        labels: ["flops a byte".to_string(), "GFLOP/s".to_string()],
        height: 340.0,
        title: "Roofline: each step's speed against its arithmetic intensity, below what the device can do".to_string(),
    };
    let Scale::Log(low, high) = plot.x else { unreachable!("made by Scale::log") };
    let Scale::Log(floor, _) = plot.y else { unreachable!("made by Scale::log") };
    let ridge = roofs.ridge();
    let start = low.max(floor / roofs.gbps).min(ridge);
    let roof = plot.path([[start, start * roofs.gbps], [ridge, roofs.gflops_f32], [high.max(ridge), roofs.gflops_f32]]);
    // What caches hold is read faster: the roof of steps that are small.
    let cached = roofs.cached.iter().map(|cached| cached.gbps).fold(roofs.gbps, f64::max);
    let start = low.max(floor / cached).min(roofs.gflops_f32 / cached);
    let roof_in_cache = plot.path([[start, start * cached], [roofs.gflops_f32 / cached, roofs.gflops_f32]]);
    let mut by_time: Vec<(usize, &StepRow)> = (1..).zip(&report.results).filter(|(_, row)| row.flops > 0).collect();
    by_time.sort_by(|a, b| b.1.ms.median.total_cmp(&a.1.ms.median));
    let marks = html! {
        path.line d=(roof) {}
        @if cached > roofs.gbps { path.line d=(roof_in_cache) stroke-dasharray="4 4" {} }
        @for row in &rows {
            @let [x, y] = plot.place(row.intensity, row.gflops);
            circle class=(class(row.bound)) cx=(short(x)) cy=(short(y)) r=(short(3.0 + 9.0 * row.share.sqrt())) opacity="0.75" {
                title { (escape(&row.label())) ": " (milliseconds(row.ms.median)) ", " (format!("{:.0} % of its roof", row.percent_of_roof)) }
            }
        }
        @for (number, row) in by_time.iter().take(LABELLED) {
            @let [x, y] = plot.place(row.intensity, row.gflops);
            text x=(short(x)) y=(short(y - 14.0)) text-anchor="middle" { (number) }
        }
    };
    html! {
        h2 { "Roofline" }
        figure {
            (plot.draw(marks))
            figcaption {
                "A point a step, larger where it takes more time; the line is what this device can do, dashed where "
                "caches hold what a step reads. Numbered: the steps that take the most time. Bound by"
                span.key.one {} "arithmetic" span.key.two {} "memory" span.key.three {} "launching"
            }
        }
    }
}

/// Each step, and what it stands for run apart.
fn bars(report: &Report) -> Markup {
    let is_suite = report.fusion.len() > 1;
    let unfused = |row: &StepRow| report.ways.iter().find(|way| way.subject == row.name && way.name == "unfused");
    let apart = |row: &StepRow| match is_suite {
        true => unfused(row).and_then(|unfused| unfused.device_ms),
        false => report.savings.iter().find(|saving| saving.name == row.name).map(|saving| saving.apart_ms),
    };
    let rows: Vec<_> = report.results.iter().map(|row| (row, row.label(), apart(row))).collect();
    let most = rows.iter().flat_map(|(row, _, apart)| [row.ms.median, apart.unwrap_or(0.0)]).fold(0.0, f64::max);
    let label = label_width(rows.iter().map(|(_, label, _)| label.as_str()));
    let width = |ms: f64| short((WIDTH - label - 62.0) * ms / most.max(f64::MIN_POSITIVE));
    let height = BAR * rows.len() as f64 + 6.0;
    html! {
        h2 { "Time of each step" }
        figure {
            svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label="Device time of each step, fused and apart" {
                @for (index, (row, name, apart)) in rows.iter().enumerate() {
                    @let y = BAR * index as f64 + 3.0;
                    text x=(label - 8.0) y=(y + 12.0) text-anchor="end" { (shortened(name, LONGEST)) " " tspan.soft { (index + 1) } }
                    @if let Some(apart) = apart {
                        rect.two x=(label) y=(y + 9.0) width=(width(*apart)) height="6" { title { "apart " (milliseconds(*apart)) } }
                    }
                    rect.one x=(label) y=(y + if apart.is_some() { 2.0 } else { 4.0 }) width=(width(row.ms.median)) height=(if apart.is_some() { 7 } else { 9 }) {
                        title { (milliseconds(row.ms.median)) }
                    }
                    text.tick x=(label + width(row.ms.median.max(apart.unwrap_or(0.0))) + 5.0) y=(y + 12.0) { (milliseconds(row.ms.median)) }
                }
            }
            figcaption { span.key.one {} "as it runs" span.key.two {} "its parts run apart" }
        }
    }
}

/// Speed-ups of a suite's subjects, with their intervals.
fn comparison(report: &Report) -> Markup {
    let most = report.fusion.iter().map(|row| row.ratio.ci95[1]).fold(1.5, f64::max);
    let plot = Plot {
        x: Scale::Linear(0.0, (2.0 * most).ceil() / 2.0),
        y: Scale::Linear(0.0, 1.0),
        labels: ["times as fast fused".to_string(), String::new()],
        height: BAR * report.fusion.len() as f64 + 52.0,
        title: "Speed-up by fusion with 95 % intervals".to_string(),
    };
    let label = label_width(report.fusion.iter().map(|row| row.name.as_str()));
    let x = |ratio: f64| {
        let Scale::Linear(_, high) = plot.x else { unreachable!("made above") };
        short(label + (WIDTH - label - 20.0) * ratio / high)
    };
    html! {
        h2 { "What fusing buys" }
        figure {
            svg viewBox={ "0 0 " (WIDTH) " " (plot.height) } role="img" aria-label=(plot.title) {
                @for tick in plot.x.ticks() {
                    line.grid x1=(x(tick)) x2=(x(tick)) y1="4" y2=(plot.height - 34.0) {}
                    text.tick x=(x(tick)) y=(plot.height - 20.0) text-anchor="middle" { (reluctor_lab::report::chart::tick_label(tick)) }
                }
                line.thin x1=(x(1.0)) x2=(x(1.0)) y1="4" y2=(plot.height - 34.0) stroke-dasharray="3 3" {}
                text.label x=(x(most / 2.0)) y=(plot.height - 5.0) text-anchor="middle" { (plot.labels[0]) }
                @for (index, row) in report.fusion.iter().enumerate() {
                    @let y = BAR * index as f64 + 14.0;
                    @let [low, high] = row.ratio.ci95;
                    text x=(label - 8.0) y=(y + 3.5) text-anchor="end" { (shortened(&row.name, LONGEST)) }
                    line.thin x1=(x(low)) x2=(x(high)) y1=(y) y2=(y) {}
                    circle class=(if row.ratio.is_measurable() { "one" } else { "two" }) cx=(x(row.ratio.speedup)) cy=(y) r="4" {
                        title { (verdict(&row.ratio, "fused is", "as fast")) }
                    }
                }
            }
            figcaption { span.key.one {} "measurable" span.key.two {} "no measurable difference: the interval holds 1" }
        }
    }
}

fn memory(report: &Report) -> Markup {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let count = report.memory.len();
    let plot = Plot {
        x: Scale::Linear(0.0, count as f64),
        y: Scale::from_zero(report.memory.iter().map(|&bytes| mib(bytes))),
        labels: ["step".to_string(), "MiB of tensors".to_string()],
        height: 200.0,
        title: "Memory of tensors in use at each step".to_string(),
    };
    let points =
        report.memory.iter().enumerate().flat_map(|(step, &bytes)| [step, step + 1].map(|x| [x as f64, mib(bytes)]));
    let outline = plot.path(std::iter::once([0.0, 0.0]).chain(points).chain([[count as f64, 0.0]])) + "Z";
    let most = report.memory.iter().max().copied().unwrap_or(0);
    html! {
        h2 { "Memory over the plan's steps" }
        figure {
            (plot.draw(html! { path.one d=(outline) opacity="0.7" {} }))
            figcaption { "At most " (bytes(most)) " of tensors are in use at once; all buffers with the weights take "
                (report.ways.first().map_or(String::new(), |way| bytes(way.memory))) "." }
        }
    }
}

fn growing(growth: &Growth) -> Markup {
    let plot = Plot {
        x: Scale::log(growth.points.iter().map(|point| point.size as f64)),
        y: Scale::log(growth.points.iter().map(|point| point.ms)),
        labels: [growth.axis.to_string(), "ms".to_string()],
        height: 300.0,
        title: format!("Time against {}", growth.axis),
    };
    let line = plot.path(growth.points.iter().map(|point| [point.size as f64, point.ms]));
    let marks = html! {
        path.line d=(line) {}
        @for point in &growth.points {
            @let [x, y] = plot.place(point.size as f64, point.ms);
            circle.one cx=(short(x)) cy=(short(y)) r="4" { title { (point.size) ": " (milliseconds(point.ms)) } }
            text x=(short(x)) y=(short(y - 8.0)) text-anchor="middle" { (format!("{:.0} %", point.percent_of_roof)) }
        }
    };
    html! {
        h2 { "How cost grows" }
        figure { (plot.draw(marks)) figcaption { (in_words(growth)) ". At each point, the percent of its roof." } }
    }
}

fn table(report: &Report) -> Markup {
    html! {
        h2 { "Figures" }
        div.wide { table {
            tr { th { "" } th.left { "step" } th { "output" } th { "median" } th { "MAD" } th { "p90" } th { "share" } th { "GFLOP/s" } th { "GB/s" }
                th { "flops/byte" } th { "% of roof" } th { "bound" } th.left { "kernel" } }
            @for (index, row) in report.results.iter().enumerate() {
                tr {
                    td.soft { (index + 1) }
                    td.left { (shortened(&row.label(), 48)) }
                    td { (format_shape(&row.shape)) }
                    td { (milliseconds(row.ms.median)) }
                    td { (milliseconds(row.ms.mad)) }
                    td { (milliseconds(row.ms.percentile(90.0))) }
                    td { (format!("{:.1} %", 100.0 * row.share)) }
                    td { (format!("{:.2}", row.gflops)) }
                    td { (format!("{:.2}", row.gbps)) }
                    td { (format!("{:.1}", row.intensity)) }
                    td { (format!("{:.1}", row.percent_of_roof)) }
                    td { (row.bound.name()) }
                    td.left { (shortened(&row.kernel, 90)) }
                }
            }
        } }
    }
}
