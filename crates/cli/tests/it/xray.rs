//! The subcommand as a stranger meets it.

use crate::cli::{json, reluctor};
use reluctor::files::write_npy;
use reluctor::tensor::Tensor;
use reluctor_testing::scratch::Scratch;
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

#[test]
fn segments_have_ends_from_files_and_a_page_is_one_document() {
    let scratch = Scratch::folder("xray");
    let file = |name: &str, value: f32| {
        let path = scratch.file(name);
        let image = Tensor::real(&[1, 1, 28, 28], (0..784).map(|i| value * (i % 7) as f32).collect()).unwrap();
        write_npy(&path, &image).unwrap();
        path
    };
    let (a, b, page) = (file("a.npy", 0.0), file("b.npy", 0.001), scratch.file("page.html"));
    let report = json(&["xray", "--device", "cpu", "--json", "--segment", &a, &b, "--export-html", &page]);
    let network = &report["network"];
    let breakpoints = network["breakpoints"].as_array().unwrap();
    assert_eq!(network["pieces_on_segment"].as_u64(), Some(breakpoints.len() as u64 + 1));
    assert_eq!(network["segment_part"], 1.0);
    for key in ["t", "layer", "unit"] {
        assert!(breakpoints.iter().all(|point| point.get(key).is_some()), "no {key}");
    }
    for key in ["layer", "output_change", "top1_changed"] {
        assert!(network["ablation"].as_array().unwrap().iter().all(|one| one.get(key).is_some()), "no {key}");
    }
    assert_eq!(network["without_any"]["verdict"], "affine");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("<script") && !page.contains("http://"));
    let wrong = reluctor(&["xray", "--device", "cpu", "--segment", &a, "no-such.npy"]);
    assert_eq!(wrong.status.code(), Some(4));
}

#[test]
fn the_study_has_every_sibling_and_answers_both_questions_with_its_numbers() {
    let study = json(&["xray", "--study", "--device", "cpu", "--pairs", "4", "--json"]);
    let rows = study["siblings"].as_array().unwrap();
    assert_eq!(rows.len(), 10);
    let of = |file: &str| rows.iter().find(|row| row["file"] == file).unwrap();
    assert_eq!(
        (&of("identity_average")["verdict"], &of("identity_average")["pieces_on_segment"]),
        (&"affine".into(), &1.into())
    );
    for file in ["identity", "relu", "relu_average", "relu_stride", "leaky_relu", "prelu", "elu", "selu", "celu"] {
        assert_eq!(of(file)["verdict"], "nonlinear", "{file}");
        assert!(of(file)["accuracy"].as_f64() > of("identity_average")["accuracy"].as_f64(), "{file}");
    }
    assert!(of("relu")["pieces_on_segment"].as_u64() > of("identity")["pieces_on_segment"].as_u64());
    assert!(of("elu")["pieces_on_segment"].is_null(), "what is curved has no pieces");
    let answers = study["answers"].as_array().unwrap();
    let pieces = of("relu")["pieces_on_segment"].to_string();
    assert!(answers[0].as_str().unwrap().contains(&format!("With Relu it is {pieces} pieces")), "{answers:?}");
    assert!(answers[1].as_str().unwrap().contains("? No:"), "{answers:?}");
}
