//! The report as text.

use super::report::{Curves, Network, Report};
use crate::console::Console;
use crate::quantity::{count, milliseconds, shortened};
use reluctor::error::{Result, escape};
use reluctor_lab::xray::ablation::Ablation;
use reluctor_lab::xray::collapse::{Collapse, Proof};
use reluctor_lab::xray::tail::Tail;
use reluctor_lab::xray::{Layer, Verdict};

/// As people read it.
pub fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Affine => "affine",
        Verdict::PositivelyHomogeneous => "pos. homogeneous",
        Verdict::Nonlinear => "nonlinear",
    }
}

pub fn print(report: &Report, console: &Console) -> Result<()> {
    console.line(format_args!("model     {}", escape(&report.model)))?;
    console.line(format_args!("device    {}, {}", report.device, report.precision))?;
    for input in &report.inputs {
        console.line(format_args!("input     {input}"))?;
    }
    console.line(format_args!("pairs     {}, {}\n", count(report.pairs as u64), report.pairing))?;
    layers(report, console)?;
    network(report, console)?;
    let cost = &report.cost;
    console.line(format_args!(
        "\ntime      {}: {:.1} times the {} forward passes it needs ({} each)",
        milliseconds(cost.total_ms),
        cost.times_forward,
        count(cost.forward_passes as u64),
        milliseconds(cost.forward_ms),
    ))
}

fn layers(report: &Report, console: &Console) -> Result<()> {
    let wide = report.layers.iter().map(|layer| escape(&layer.name).chars().count()).max().unwrap_or(5).clamp(5, 34);
    console.line(format_args!(
        "{:<wide$}  {:<11}  {:<16}  {:>9}  {:>8}  {:>8}  {:>8}  {:>6} {:>6} {:>6} {:>6}  {:>9}",
        "layer", "op", "verdict", "additiv.", "floor", "hom. +", "hom. -", "neg", "zero", "dead", "on", "so far"
    ))?;
    for layer in &report.layers {
        let Layer { signs, .. } = layer;
        let share = |share: Option<f64>| share.map_or(String::new(), |share| format!("{:.1}%", 100.0 * share));
        console.line(format_args!(
            "{:<wide$}  {:<11}  {:<16}  {:>9.1e}  {:>8.1e}  {:>8.1e}  {:>8.1e}  {:>6} {:>6} {:>6} {:>6}  {:>9}",
            shortened(&layer.name, wide),
            shortened(&layer.op, 11),
            in_words(layer.verdict),
            layer.additivity_defect,
            layer.rounding_floor,
            layer.homogeneity_defect_pos,
            layer.homogeneity_defect_neg,
            share(signs.negative_share),
            share(signs.zero_share),
            share(signs.dead_share),
            share(signs.always_on_share),
            layer.chain.map_or(String::new(), |chain| format!("{:.1e}", chain.additivity_defect)),
        ))?;
    }
    Ok(())
}

fn network(report: &Report, console: &Console) -> Result<()> {
    let network = &report.network;
    console.line(format_args!(
        "\nnetwork   {}: additivity defect {:.3}, homogeneity {:.3} for a > 0, {:.3} for a < 0",
        in_words(network.verdict),
        network.additivity_defect,
        network.homogeneity_defect_pos,
        network.homogeneity_defect_neg
    ))?;
    pieces(&network.curves, console)?;
    tails(&network.tails, console)?;
    ablation(network, console)?;
    pooling(&report.layers, console)?;
    collapse(&network.collapse, console)
}

fn collapse(found: &[Collapse], console: &Console) -> Result<()> {
    for Collapse { first, second, between, proof, because, flops, .. } in found {
        let proof = match (proof, between) {
            (Proof::Nothing, _) | (_, None) => "nothing between them".to_string(),
            (Proof::IntervalBounds, Some(name)) => format!("'{}' is always on, by interval bounds", escape(name)),
            (Proof::ObservedOnly, Some(name)) => format!("'{}' is always on for these inputs", escape(name)),
        };
        let cost =
            flops.map_or(String::new(), |[two, one]| format!("; {} flops as one, {} as two", count(one), count(two)));
        let (first, second) = (shortened(first, 40), shortened(second, 40));
        let why =
            because.as_ref().map_or("; --fuse collapse merges them".to_string(), |why| format!("; {}", escape(why)));
        console.line(format_args!("one linear map: {first} and {second}, {proof}{cost}{why}"))?;
    }
    Ok(())
}

fn pieces(curves: &Curves, console: &Console) -> Result<()> {
    let number = |pieces: Option<usize>| pieces.map_or("too many".to_string(), |pieces| count(pieces as u64));
    if let Some(least) = curves.pieces_at_least {
        let way = match curves.segment_part {
            1.0 => "the segment between two inputs".to_string(),
            part => format!("the first 1/{:.0} of the way from one input to another", 1.0 / part),
        };
        console.line(format_args!(
            "pieces    {} on {way}, {} around a circle 1/16 as wide; at least {} on the whole way, if no two units bend at once",
            number(curves.pieces_on_segment),
            number(curves.pieces_on_circle),
            count(least as u64),
        ))?;
    }
    if let Some(reason) = &curves.reason {
        console.line(format_args!("pieces    {}", escape(reason)))?;
    }
    let Some(local) = &curves.local_map else { return Ok(()) };
    let far = local.predictions.iter().take_while(|prediction| prediction.same_top1).map(|prediction| prediction.t);
    // One number is always the largest.
    let same = match local.rows {
        0 | 1 => String::new(),
        _ => format!("; the same top-1 up to t = {}", far.fold(0.0, f64::max)),
    };
    console.line(format_args!(
        "local     the affine map next to the first input ({} x {}, forward differences agree to {:.1e}) is exact up to t = {:.2e}{same}",
        local.rows,
        local.columns,
        local.forward_difference_error,
        local.reach,
    ))
}

fn tails(tails: &[Tail], console: &Console) -> Result<()> {
    if tails.is_empty() {
        return Ok(());
    }
    console.line("\nlinear from here on? the rest of the network after")?;
    for tail in tails {
        console.line(format_args!(
            "  {:<40}  defect {:.3}, {:>5.1}% of {} later layers' units in different pieces for different inputs",
            shortened(&tail.after, 40),
            tail.additivity_defect,
            100.0 * tail.mixed_share,
            tail.to_come
        ))?;
    }
    Ok(())
}

fn ablation(network: &Network, console: &Console) -> Result<()> {
    if network.ablation.is_empty() {
        return Ok(());
    }
    let share =
        |share: Option<f64>| share.map_or(String::new(), |share| format!(", top-1 changed on {:.1}%", 100.0 * share));
    console.line("\nleft out, one at a time")?;
    for Ablation { layer, replaced_by, output_change, top1_changed } in &network.ablation {
        let (layer, top1) = (shortened(layer, 40), share(*top1_changed));
        console.line(format_args!("  {layer:<40}  {replaced_by:<8}  output changed by {output_change:.3}{top1}"))?;
    }
    let Some(rest) = &network.without_any else { return Ok(()) };
    console.line(format_args!(
        "  all {} of them: output changed by {:.3}{}; what is left is {}, defect {:.1e}",
        rest.replaced,
        rest.output_change,
        share(rest.top1_changed),
        in_words(rest.verdict),
        rest.additivity_defect
    ))
}

fn pooling(layers: &[Layer], console: &Console) -> Result<()> {
    for layer in layers {
        let Some(pooling) = &layer.pooling else { continue };
        console.line(format_args!(
            "\nwinners   {}: entropy {:.2} of {:.2} bits, {:.1}% change between two inputs, {:.1}% ties",
            shortened(&layer.name, 40),
            pooling.winner_entropy_bits,
            pooling.most_bits,
            100.0 * pooling.changed_share,
            100.0 * pooling.tie_share
        ))?;
    }
    Ok(())
}
