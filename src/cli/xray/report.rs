//! All that one command found, as it is printed and written.

use crate::cli::device_args::DeviceReport;
use crate::report::Table;
use crate::tensor::format_shape;
use crate::xray::{Layer, Verdict};
use serde::Serialize;

#[derive(Serialize)]
pub struct Report {
    pub model: String,
    pub device: DeviceReport,
    pub precision: String,
    /// What the network was fed.
    pub inputs: Vec<String>,
    /// How many pairs of inputs were tried, and how they were made.
    pub pairs: usize,
    pub pairing: &'static str,
    pub layers: Vec<Layer>,
    pub network: Network,
    pub cost: Cost,
}

/// The network as one function.
#[derive(Serialize)]
pub struct Network {
    pub verdict: Verdict,
    pub additivity_defect: f64,
    pub homogeneity_defect_pos: f64,
    pub homogeneity_defect_neg: f64,
    pub rounding_floor: f64,
}

/// What it took.
#[derive(Serialize)]
pub struct Cost {
    /// Forward passes of one item.
    pub forward_passes: usize,
    /// What one takes where nothing is measured.
    pub forward_ms: f64,
    pub total_ms: f64,
    /// The total as a multiple of the forward passes.
    pub times_forward: f64,
}

impl Report {
    /// The layers, one a row.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&[
            "layer",
            "op",
            "shape",
            "verdict",
            "additivity defect",
            "homogeneity defect +",
            "homogeneity defect -",
            "rounding floor",
            "chain defect",
            "negative",
            "zero",
            "dead",
            "always on",
        ]);
        for layer in &self.layers {
            let share = |share: Option<f64>| share.map_or(String::new(), |share| format!("{share:.4}"));
            let Layer { signs, .. } = layer;
            table.rows.push(vec![
                layer.name.clone(),
                layer.op.clone(),
                format_shape(&layer.shape),
                layer.verdict.name().to_string(),
                format!("{:e}", layer.additivity_defect),
                format!("{:e}", layer.homogeneity_defect_pos),
                format!("{:e}", layer.homogeneity_defect_neg),
                format!("{:e}", layer.rounding_floor),
                layer.chain.map_or(String::new(), |chain| format!("{:e}", chain.additivity_defect)),
                share(signs.negative_share),
                share(signs.zero_share),
                share(signs.dead_share),
                share(signs.always_on_share),
            ]);
        }
        table
    }
}
