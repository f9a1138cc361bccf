//! The subcommand as a stranger meets it.

use crate::cli::{json, reluctor};
use serde_json::Value;

fn verdicts(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let layers = report["layers"].as_array().unwrap();
    layers.iter().map(|layer| (text(&layer["name"]), text(&layer["verdict"]))).collect()
}

#[test]
fn the_embedded_network_has_the_documented_keys_and_the_expected_verdicts() {
    let report = json(&["xray", "--device", "gpu", "--json"]);
    let keys = [
        "name",
        "op",
        "verdict",
        "additivity_defect",
        "homogeneity_defect_pos",
        "homogeneity_defect_neg",
        "rounding_floor",
        "negative_share",
        "zero_share",
        "dead_share",
        "always_on_share",
    ];
    for layer in report["layers"].as_array().unwrap() {
        keys.iter().for_each(|key| assert!(layer.get(key).is_some(), "no {key} in {layer:#}"));
        let expected = match layer["op"].as_str().unwrap() {
            "relu" | "MaxPool" => "positively_homogeneous",
            _ => "affine",
        };
        assert_eq!(layer["verdict"], expected, "{}", layer["name"]);
    }
    assert_eq!(report["network"]["verdict"], "nonlinear");
}

#[test]
fn an_activation_that_a_fused_kernel_drops_changes_the_verdict() {
    let fused = ["xray", "--device", "gpu", "--json", "--fuse", "batch-norm,activation", "--kernel", "conv_tile"];
    let fault = "/stage3/convolution/Conv:select(x, 0.0, x < 0.0)=>x";
    let right = verdicts(&json(&fused));
    let wrong = verdicts(&json(&[&fused[..], &["--inject-fault", fault]].concat()));
    let changed: Vec<_> = right.iter().zip(&wrong).filter(|(right, wrong)| right != wrong).collect();
    let [((name, right), (_, wrong))] = changed[..] else { panic!("one verdict changes, not {changed:?}") };
    assert_eq!((name.as_str(), right.as_str(), wrong.as_str()), ("/stage3/convolution/Conv", "nonlinear", "affine"));
}

#[test]
fn inputs_and_pairs_are_said_in_words() {
    let output = reluctor(&["xray", "--device", "cpu", "--pairs", "4", "--batch", "2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("pairs     4, each input with the next one"), "{text}");
    assert!(text.contains("pos. homogeneous") && text.contains("network   nonlinear"), "{text}");
}
