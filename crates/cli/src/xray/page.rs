//! The report as a page for someone who has never seen one.

use super::report::{BreakpointReport, Report};
use super::text::in_words;
use crate::quantity::{count, shortened};
use maud::{Markup, PreEscaped, html};
use reluctor::error::escape;
use reluctor_lab::report::chart::{Plot, Scale, WIDTH, short};
use reluctor_lab::report::page;
use reluctor_lab::xray::signs::Histogram;
use reluctor_lab::xray::{Layer, Verdict};

/// SVG units of a row of the column of layers.
const ROW: f64 = 22.0;

/// Channels in a heat strip that are told apart.
const MOST_CHANNELS: usize = 512;

pub fn page(report: &Report, command: &str) -> String {
    let title = format!("X-ray of {}", escape(&report.model));
    page::page(
        &title,
        html! {
            h1 { (title) }
            p.soft { (report.device) ", " (report.precision) ", " (count(report.pairs as u64)) " pairs of inputs: " (report.pairing) }
            (headline(report))
            (column(report))
            (histograms(report))
            (channels(report))
            (segment(report))
            (slice(report))
            (ablation(report))
            (how(report))
            pre { (escape(command)) }
        },
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn headline(report: &Report) -> Markup {
    let network = &report.network;
    let mixed = network.tails.first().map(|tail| tail.mixed_share);
    html! {
        div.big {
            div { b { (in_words(network.verdict)) } span { "the network as a whole; " (percent(network.additivity_defect)) " of f(x + y) - f(x) - f(y) + f(0) is left over, 0 for a linear one" } }
            @if let Some(pieces) = network.curves.pieces_on_segment {
                div { b { (count(pieces as u64)) } span { "linear pieces on "
                    @if network.curves.segment_part < 1.0 { "the first 1/" (format!("{:.0}", 1.0 / network.curves.segment_part)) " of " }
                    "the way from one input to another" } }
            }
            @if let Some(mixed) = mixed {
                div { b { (percent(mixed)) } span { "of the units after the first activation that can be cut off bend between these inputs" } }
            }
            @if let Some(rest) = &network.without_any {
                div { b { (in_words(rest.verdict)) } span { "is what is left without activations and maxima"
                    @if let Some(top1) = rest.top1_changed { "; " (percent(top1)) " of the answers change" } } }
            }
        }
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Affine => "three",
        Verdict::PositivelyHomogeneous => "two",
        Verdict::Nonlinear => "four",
    }
}

/// The network from top to bottom: each layer's own defect to the right, the defect of all up to it to the left.
fn column(report: &Report) -> Markup {
    let (middle, half) = (WIDTH * 0.62, WIDTH * 0.3);
    let height = ROW * report.layers.len() as f64 + 24.0;
    html! {
        h2 { "The layers, coloured by what each is" }
        p { "An affine layer cannot make a network more than linear. Bars to the right show how far the layer by itself is from additive; "
            "the line to the left of them grows with the network up to there." }
        figure {
            svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label="Every layer with its verdict and additivity defect" {
                @for (index, layer) in report.layers.iter().enumerate() {
                    @let y = ROW * index as f64 + 4.0;
                    @let chain = layer.chain.map_or(0.0, |chain| chain.additivity_defect);
                    rect class=(class(layer.verdict)) x="4" y=(y) width="10" height=(ROW - 2.0) rx="2" {}
                    text x="22" y=(y + 14.0) { (shortened(&layer.name, 34)) " " tspan.soft { (shortened(&layer.op, 12)) } }
                    rect.grid x=(short(middle - 96.0 * chain)) y=(y + 7.0) width=(short(96.0 * chain)) height="6" fill="currentColor" opacity="0.35" {
                        title { "up to here " (percent(chain)) } }
                    rect class=(class(layer.verdict)) x=(middle + 4.0) y=(y + 4.0) width=(short((half * layer.additivity_defect).max(1.5))) height="12" {
                        title { (in_words(layer.verdict)) ", defect " (format!("{:.2e}", layer.additivity_defect)) ", rounding floor " (format!("{:.1e}", layer.rounding_floor)) } }
                    text.tick x=(short(middle + 10.0 + half * layer.additivity_defect)) y=(y + 14.0) {
                        @if layer.additive_on_data { "rounding" } @else { (percent(layer.additivity_defect)) } }
                }
            }
            figcaption { span.key.three {} "affine" span.key.two {} "positively homogeneous: a kink at zero" span.key.four {} "nonlinear"
                " — grey: all layers up to here together" }
        }
    }
}

fn histograms(report: &Report) -> Markup {
    let shown: Vec<(&Layer, &Histogram)> =
        report.layers.iter().filter_map(|layer| Some((layer, layer.signs.histogram.as_ref()?))).collect();
    html! {
        @if !shown.is_empty() {
            h2 { "What the activations are given" }
            p { "Pre-activations of every unit on every input. The line is zero: what lies to its left, a Relu removes." }
            div style="display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.6rem" {
                @for (layer, histogram) in shown { (one_histogram(layer, histogram)) }
            }
        }
    }
}

fn one_histogram(layer: &Layer, histogram: &Histogram) -> Markup {
    let most = histogram.counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let width = 200.0 / histogram.counts.len() as f64;
    let zero = 200.0 * -histogram.low / (histogram.high - histogram.low);
    html! {
        figure style="margin:0" {
            svg viewBox="0 0 200 84" style="min-width:0" role="img" aria-label={ "Pre-activations of " (shortened(&layer.name, 40)) } {
                @for (bin, &number) in histogram.counts.iter().enumerate() {
                    // Roots, so that rare numbers are seen beside common ones.
                    @let height = 64.0 * (number as f64 / most).sqrt();
                    @if number > 0 {
                        rect class=(if (bin as f64 + 0.5) * width < zero { "two" } else { "one" }) x=(short(bin as f64 * width)) y=(short(66.0 - height)) width=(short(width * 0.92)) height=(short(height)) {}
                    }
                }
                line.thin x1=(short(zero)) x2=(short(zero)) y1="0" y2="68" {}
                text.tick x="0" y="80" { (format!("{:.3}", histogram.low)) }
                text.tick x=(short(zero)) y="80" text-anchor="middle" { "0" }
                text.tick x="200" y="80" text-anchor="end" { (format!("{:.3}", histogram.high)) }
            }
            figcaption { (shortened(&layer.name, 30)) br;
                (percent(layer.signs.negative_share.unwrap_or(0.0))) " below zero, "
                (percent(layer.signs.dead_share.unwrap_or(0.0))) " of units dead" }
        }
    }
}

/// A strip for each activation: dead, mixed and always-on units of each channel, stacked.
fn channels(report: &Report) -> Markup {
    let shown: Vec<_> =
        report.layers.iter().filter_map(|layer| Some((layer, layer.signs.channels.as_ref()?))).collect();
    let height = 34.0 * shown.len() as f64 + 4.0;
    html! {
        @if !shown.is_empty() {
            h2 { "Channels" }
            p { "Each column is a channel of a layer: the share of its units that are never on for these inputs, that bend between them, and that are always on." }
            figure {
                svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label="Dead and always-on units by channel" {
                    @for (row, (layer, channels)) in shown.iter().enumerate() {
                        @let (top, number) = (34.0 * row as f64, channels.dead.len().min(MOST_CHANNELS));
                        @let width = WIDTH / number.max(1) as f64;
                        text.tick x="0" y=(top + 9.0) { (shortened(&layer.name, 60)) }
                        @for channel in 0..number {
                            @let (dead, on) = (18.0 * channels.dead[channel], 18.0 * channels.always_on[channel]);
                            @let x = short(channel as f64 * width);
                            g { title { "channel " (channel) ": " (percent(channels.dead[channel])) " dead, " (percent(channels.always_on[channel])) " always on" }
                                rect.grid x=(x) y=(top + 13.0) width=(short(width * 0.94)) height="18" fill="currentColor" opacity="0.12" {}
                                rect.two x=(x) y=(short(top + 31.0 - dead)) width=(short(width * 0.94)) height=(short(dead)) {}
                                rect.one x=(x) y=(top + 13.0) width=(short(width * 0.94)) height=(short(on)) {} }
                        }
                    }
                }
                figcaption { span.key.two {} "dead: off for every input" span.key.one {} "always on: linear on the data" " — between them: bends" }
            }
        }
    }
}

/// A colour for each layer that bends.
fn hue(layers: &[&str], layer: &str) -> String {
    let index = layers.iter().position(|known| *known == layer).unwrap_or(0);
    format!("hsl({:.0} 62% 52%)", 360.0 * index as f64 / layers.len().max(1) as f64)
}

fn segment(report: &Report) -> Markup {
    let points = &report.network.curves.breakpoints;
    if points.is_empty() {
        return html! {};
    }
    let mut layers: Vec<&str> = Vec::new();
    for layer in report.layers.iter().map(|layer| layer.name.as_str()) {
        if points.iter().any(|point| point.layer == layer) {
            layers.push(layer);
        }
    }
    let plot = Plot {
        x: Scale::Linear(0.0, 1.0),
        y: Scale::from_zero([points.len() as f64 + 1.0]),
        labels: ["along the segment".to_string(), "pieces so far".to_string()],
        height: 300.0,
        title: "Linear pieces along the segment; each mark is a unit that bends".to_string(),
    };
    let stairs = points
        .iter()
        .enumerate()
        .flat_map(|(index, point)| [[point.t, index as f64 + 1.0], [point.t, index as f64 + 2.0]]);
    let line = plot.path([[0.0, 1.0]].into_iter().chain(stairs).chain([[1.0, points.len() as f64 + 1.0]]));
    let mark = |(index, point): (usize, &BreakpointReport)| {
        let [x, y] = plot.place(point.t, index as f64 + 2.0);
        html! { circle cx=(short(x)) cy=(short(y)) r="2.6" fill=(hue(&layers, &point.layer)) { title { (escape(&point.layer)) " " (format!("{:?}", point.unit)) " at t = " (point.t) } } }
    };
    let tick = |point: &BreakpointReport| {
        let [x, _] = plot.place(point.t, 0.0);
        html! { line x1=(short(x)) x2=(short(x)) y1="246" y2="258" stroke=(hue(&layers, &point.layer)) {} }
    };
    let marks = html! {
        path.line d=(line) {}
        @for point in points { (tick(point)) }
        @for both in points.iter().enumerate() { (mark(both)) }
    };
    html! {
        h2 { "Pieces along a straight way" }
        p { "Walk from one input towards another in a straight line. The network is exactly linear between two marks; at each mark one unit of one layer bends. A linear network has no mark." }
        figure { (plot.draw(marks))
            figcaption { @for layer in &layers {
                span style="display:inline-block" { (PreEscaped(format!("<span class=\"key\" style=\"background:{}\"></span>", hue(&layers, layer)))) (shortened(layer, 40)) } " " } } }
        @if let Some(local) = &report.network.curves.local_map {
            p { "Next to the first input the network is one matrix of " (local.rows) " x " (local.columns) ". It is exact up to t = " (format!("{:.1e}", local.reach))
                " of the way. Of what changes in the output it misses: "
                @for (index, at) in local.predictions.iter().enumerate() { @if index > 0 { ", " } (format!("{:.2e}", at.error)) " of that at " (format!("{:.1e}", at.t)) } "." }
        }
    }
}

fn slice(report: &Report) -> Markup {
    let Some(slice) = &report.slice else { return html! {} };
    let cell = WIDTH / slice.side as f64;
    let regions = slice.regions.iter().collect::<std::collections::HashSet<_>>().len();
    html! {
        h2 { "A square of the input space" }
        p { "Every point is an input; the first input is the upper left corner. One colour is one linear region: within it the network is one matrix. "
            (count(regions as u64)) " regions were seen on " (slice.side) " x " (slice.side) " points, on " (format!("{:.1e}", slice.part)) " of the way to two other inputs." }
        figure { svg viewBox={ "0 0 " (WIDTH) " " (WIDTH) } role="img" aria-label="Linear regions on a plane through three inputs" style="max-width:34rem" {
            @for (at, region) in slice.regions.iter().enumerate() {
                @let (row, column) = (at / slice.side, at % slice.side);
                rect x=(short(column as f64 * cell)) y=(short(row as f64 * cell)) width=(short(cell + 0.2)) height=(short(cell + 0.2))
                    fill={ "hsl(" (region % 360) " " (40 + region / 360 % 40) "% " (38 + region / 14400 % 34) "%)" } {}
            }
        } figcaption { "to the right: towards the second input; down: towards a third" } }
    }
}

fn ablation(report: &Report) -> Markup {
    let network = &report.network;
    html! {
        @if !network.ablation.is_empty() {
            h2 { "What hangs on each of them" }
            div.wide { table {
                tr { th { "left out" } th.left { "replaced by" } th { "output changed by" } th { "answers that change" } }
                @for one in &network.ablation {
                    tr { td { (shortened(&one.layer, 48)) } td.left { (one.replaced_by) } td { (format!("{:.3}", one.output_change)) } td { (one.top1_changed.map_or(String::new(), percent)) } }
                }
            } }
        }
        @if !network.tails.is_empty() {
            h2 { "Is it linear from here on?" }
            div.wide { table {
                tr { th { "cut after" } th { "defect of the rest" } th { "later units that bend" } th { "layers to come that bend" } }
                @for tail in &network.tails {
                    tr { td { (shortened(&tail.after, 48)) } td { (percent(tail.additivity_defect)) } td { (percent(tail.mixed_share)) } td { (tail.to_come) } }
                }
            } }
        }
    }
}

fn how(report: &Report) -> Markup {
    html! {
        h2 { "How it was measured" }
        p { "Each layer ran by itself on x, y, x + y, 1.5 x, -x and 0, where x and y are what it is given for two inputs. A defect is compared, element by element, "
            "with the most that rounding in f32 can make (Higham's model): 'affine' is a verdict and not a threshold. Breakpoints are solved in f64, layer by layer. "
            (count(report.cost.forward_passes as u64)) " forward passes; all of it took " (format!("{:.1}", report.cost.times_forward)) " times as long as they alone." }
    }
}
