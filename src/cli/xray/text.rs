//! The report as text.

use super::report::Report;
use crate::cli::console::Console;
use crate::cli::quantity::{count, milliseconds, shortened};
use crate::error::{Result, escape};
use crate::xray::{Layer, Verdict};

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
    ))
}
