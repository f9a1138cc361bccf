//! All that one command found, as it is printed and written.

use crate::device_args::DeviceReport;
use reluctor::graph::Reading;
use reluctor::tensor::format_shape;
use reluctor_lab::report::Table;
use reluctor_lab::xray::ablation::{Ablation, Remainder};
use reluctor_lab::xray::collapse::Collapse;
use reluctor_lab::xray::local::LocalMap;
use reluctor_lab::xray::tail::Tail;
use reluctor_lab::xray::{Layer, Verdict};
use serde::Serialize;

#[derive(Serialize)]
pub struct Report {
    pub model: String,
    pub device: DeviceReport,
    pub precision: String,
    /// What the network was fed.
    pub inputs: Vec<String>,
    /// How nodes of the file were read that may be read otherwise.
    pub readings: Vec<Reading>,
    /// How many pairs of inputs were tried, and how they were made.
    pub pairs: usize,
    pub pairing: &'static str,
    pub layers: Vec<Layer>,
    pub network: Network,
    /// For the page.
    #[serde(skip)]
    pub slice: Option<Square>,
    pub cost: Cost,
}

/// Linear regions on a square through three inputs.
pub struct Square {
    /// Points along a side.
    pub side: usize,
    /// The side as a part of the way to the other inputs.
    pub part: f64,
    /// A number for each point, the same for the same region.
    pub regions: Vec<u64>,
}

/// The network as one function.
#[derive(Serialize)]
pub struct Network {
    pub verdict: Verdict,
    pub additivity_defect: f64,
    pub homogeneity_defect_pos: f64,
    pub homogeneity_defect_neg: f64,
    pub rounding_floor: f64,
    #[serde(flatten)]
    pub curves: Curves,
    /// Each activation and maximum left out in turn.
    pub ablation: Vec<Ablation>,
    /// All of them left out.
    pub without_any: Option<Remainder>,
    /// Whether the network is linear from some layer on.
    pub tails: Vec<Tail>,
    /// Convolutions that are one.
    pub collapse: Vec<Collapse>,
}

/// The linear pieces on the way from one input to another, and around a circle through both.
#[derive(Default, Serialize)]
pub struct Curves {
    /// None where the network has no linear pieces, or too many.
    pub pieces_on_segment: Option<usize>,
    /// The segment's length as a part of the way from the first input to the second: all of it where --segment gives its ends
    /// or there are few pieces, less where there are many.
    pub segment_part: f64,
    /// On all of the way, by a look at nine points of it.
    pub pieces_at_least: Option<usize>,
    /// Why they were not counted.
    #[serde(rename = "pieces_not_counted_because")]
    pub reason: Option<String>,
    pub pieces_on_circle: Option<usize>,
    pub breakpoints: Vec<BreakpointReport>,
    /// The affine map at the segment's start.
    pub local_map: Option<LocalMap>,
}

/// Where the network bends.
#[derive(Serialize)]
pub struct BreakpointReport {
    /// From 0 at the first input to 1 at the second.
    pub t: f64,
    /// The layer whose unit bends.
    pub layer: String,
    /// The unit's place in the layer's result.
    pub unit: Vec<usize>,
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
