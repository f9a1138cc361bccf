//! Resize with `align_corners` where scale times size is no whole number: which length counts, who decides it, and where it is said.

use crate::cli::{json, reluctor};
use reluctor::files::write_npy;
use reluctor::gpu::Choice;
use reluctor::onnx::{AlignCorners, AttributeValue, Bindings, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};
use reluctor::{Model, Options};
use reluctor_testing::scratch::Scratch;
use std::fs;

/// Elements of the line that is resized, each its own place.
const OLD: usize = 5;
/// New ones: the scale of 1.5 asks for 7.5.
const NEW: usize = 7;
/// A producer, who decides, and the length that they mean together.
const DECISIONS: [(&str, AlignCorners, f32); 6] = [
    ("pytorch", AlignCorners::Auto, 7.0),
    ("tf2onnx", AlignCorners::Auto, 7.5),
    ("pytorch", AlignCorners::Onnx, 7.5),
    ("tf2onnx", AlignCorners::Onnx, 7.5),
    ("pytorch", AlignCorners::Rounded, 7.0),
    ("tf2onnx", AlignCorners::Rounded, 7.0),
];

fn resize(producer: &str, old: usize, mode: &str, coordinates: &str, scale: f32) -> Vec<u8> {
    let text = |value: &str| AttributeValue::Text(value.to_string());
    let attributes = [("mode", text(mode)), ("coordinate_transformation_mode", text(coordinates))];
    let mut model = ModelBuilder::new(13);
    model
        .producer(producer)
        .input("x", &TensorType::real([1, 1, 1, old]))
        .initializer("scales", &Tensor::real(&[4], vec![1.0, 1.0, 1.0, scale]).unwrap())
        .node("Resize", "up", &["x", "", "scales"], &["y"], &attributes)
        .output("y", None);
    model.to_bytes()
}

fn line(producer: &str) -> Vec<u8> {
    resize(producer, OLD, "linear", "align_corners", 1.5)
}

/// Linear interpolation of places gives the place that was asked for.
fn ramp() -> Tensor {
    Tensor::real(&[1, 1, 1, OLD], (0..OLD).map(|at| at as f32).collect()).unwrap()
}

/// The places of the new elements where the last old one ends this length.
fn places(length: f32) -> Vec<f32> {
    (0..NEW).map(|at| at as f32 * (OLD - 1) as f32 / (length - 1.0)).collect()
}

fn readings(file: Vec<u8>, align_corners: AlignCorners) -> Vec<String> {
    let bindings = Bindings { align_corners, ..Bindings::default() };
    let graph = Model::from_bytes("resize", file).unwrap().graph(&bindings).unwrap();
    graph.readings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_producer_says_which_length_counts_unless_the_caller_does() {
    for device in [Choice::Cpu, Choice::Gpu] {
        for (producer, align_corners, length) in DECISIONS {
            let bindings = Bindings { align_corners, ..Bindings::default() };
            let options = Options { bindings, ..Options::on(device.clone()) };
            let session = Model::from_bytes("line", line(producer)).unwrap().session(&options).unwrap();
            let outputs = session.run(&[("x", &ramp())]).unwrap();
            let computed = outputs[0].1.as_real().unwrap();
            assert_eq!(computed.len(), NEW);
            for (found, expected) in computed.iter().zip(places(length)) {
                assert!((found - expected).abs() < 1e-5, "{producer} {align_corners:?} on {device}: {computed}");
            }
        }
    }
}

#[test]
fn a_graph_says_how_it_was_read_where_the_other_length_gives_other_numbers() {
    for (producer, align_corners, length) in DECISIONS {
        let readings = readings(line(producer), align_corners);
        let [reading] = &readings[..] else { panic!("{readings:?}") };
        let other = if length == 7.0 { "--align-corners onnx" } else { "--align-corners rounded" };
        assert!(reading.starts_with("Resize 'up': ") && reading.contains(other), "{reading}");
    }
}

#[test]
fn a_graph_says_nothing_where_both_lengths_give_the_same_numbers() {
    let same = [
        ("a whole length", resize("pytorch", 5, "linear", "align_corners", 2.0)),
        ("other coordinates", resize("pytorch", 5, "linear", "half_pixel", 1.5)),
        ("one element", resize("pytorch", 1, "linear", "align_corners", 2.5)),
        ("to one element", resize("pytorch", 5, "linear", "align_corners", 0.3)),
        ("the same nearest elements", resize("pytorch", 2, "nearest", "align_corners", 1.25)),
    ];
    for (what, file) in same {
        assert_eq!(readings(file, AlignCorners::Auto), Vec::<String>::new(), "{what}");
    }
    let nearest = resize("pytorch", OLD, "nearest", "align_corners", 1.5);
    assert_eq!(readings(nearest, AlignCorners::Auto).len(), 1, "other nearest elements");
}

#[test]
fn each_command_notes_the_reading_and_takes_the_switch() {
    let fractional = Scratch::with("fractional.onnx", &line("pytorch"));
    let whole = Scratch::with("whole.onnx", &resize("pytorch", OLD, "linear", "align_corners", 2.0));
    for command in ["run", "compare", "bench", "xray", "plan", "inspect"] {
        let mut flags = match command {
            "plan" | "inspect" => vec![],
            "bench" => vec!["--device", "gpu", "--random", "--duration", "0", "--warmup", "0", "--iterations", "1"],
            _ => vec!["--device", "cpu", "--random"],
        };
        let notes = |model: &Scratch, flags: &[&str]| {
            let output = reluctor(&[&[command, model.path()], flags].concat());
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{command}: {text}");
            text.lines().filter(|line| line.starts_with("note: Resize")).map(str::to_string).collect::<Vec<_>>()
        };
        let said = notes(&fractional, &flags);
        assert!(said.len() == 1 && said[0].contains("taken rounded, as PyTorch"), "{command}: {said:?}");
        assert_eq!(notes(&whole, &flags), Vec::<String>::new(), "{command}");
        flags.extend(["--align-corners", "onnx"]);
        let said = notes(&fractional, &flags);
        assert!(said.len() == 1 && said[0].contains("taken as it is"), "{command}: {said:?}");
    }
    for command in ["plan", "compare"] {
        let report = json(&[command, fractional.path(), "--device", "gpu", "--json"]);
        assert_eq!(report["readings"].as_array().map(Vec::len), Some(1), "{command}: {report:#}");
    }
}

#[test]
fn a_suite_reads_its_cases_as_their_producers_or_the_switch_say() {
    let folder = Scratch::folder("corners");
    let set = folder.file("case/test_data_set_0");
    fs::create_dir_all(&set).unwrap();
    fs::write(folder.file("case/model.onnx"), line("pytorch")).unwrap();
    write_npy(format!("{set}/input_0.npy"), &ramp()).unwrap();
    write_npy(format!("{set}/output_0.npy"), &Tensor::real(&[1, 1, 1, NEW], places(7.0)).unwrap()).unwrap();
    for device in ["cpu", "gpu"] {
        let suite = ["compare", "--suite", folder.path(), "--device", device];
        let exact = ["--align-corners", "onnx"];
        for (flags, code) in [(&[][..], 0), (&exact[..], 1)] {
            let output = reluctor(&[&suite[..], flags].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{flags:?} on {device}: {said}");
            assert!(said.contains("note: case: Resize 'up': "), "{said}");
        }
    }
}

#[test]
fn a_bundle_is_replayed_as_its_model_was_read() {
    let model = Scratch::with("bundled.onnx", &line("pytorch"));
    let folder = Scratch::folder("bundle-of-corners");
    let bundle = folder.file("b");
    let flags = ["--device", "gpu", "--align-corners", "onnx", "--bundle", &bundle, "--bundle-step", "up#1", "--json"];
    let report = json(&[&["compare", model.path()], &flags[..]].concat());
    let command = report["bundle"].as_str().unwrap();
    assert!(command.contains("--align-corners onnx"), "{command}");
    let replay = ["compare", &format!("{bundle}/model.onnx"), "--test-data", &bundle, "--device", "gpu"];
    assert_eq!(reluctor(&[&replay[..], &["--align-corners", "onnx"]].concat()).status.code(), Some(0));
    assert_eq!(reluctor(&replay).status.code(), Some(1), "the stored outputs are of the other length");
}
