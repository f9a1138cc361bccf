//! `run` on many pictures: lists, lines of results, shards, and going on after a kill.

use crate::cli::reluctor;
use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::tensor::TensorType;
use reluctor_testing::scratch::Scratch;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vision/assets/fashion_mnist.onnx");
const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vision/assets/images");

fn lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

fn items(lines: &[Value]) -> BTreeSet<String> {
    lines.iter().map(|line| line["item"].as_str().unwrap().to_string()).collect()
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let start = ["run", MODEL, "--device", "cpu", "--preset", "unit"];
    let output = reluctor(&[&start[..], arguments].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A folder of copies of the sample images, under names of their own.
fn copies(name: &str, count: usize) -> Scratch {
    let folder = Scratch::folder(name);
    let samples: Vec<_> = std::fs::read_dir(IMAGES).unwrap().map(|entry| entry.unwrap().path()).collect();
    for at in 0..count {
        std::fs::copy(&samples[at % samples.len()], folder.file(&format!("{at:05}.png"))).unwrap();
    }
    folder
}

#[test]
fn folders_patterns_and_lists_name_the_same_pictures() {
    let by_pattern = format!("{IMAGES}/*.png");
    let answers = |argument: &str, list: Option<&str>| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_reluctor"))
            .args(["run", MODEL, argument, "--device", "cpu", "--preset", "unit", "--batch", "5"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(list.unwrap_or_default().as_bytes()).unwrap();
        drop(stdin);
        let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        text.lines().filter(|line| line.contains(".png  ")).map(str::to_string).collect::<Vec<_>>()
    };
    let folder = answers(IMAGES, None);
    assert_eq!(folder.len(), 12);
    let embedded = reluctor(&["run", IMAGES, "--device", "cpu"]);
    let embedded = String::from_utf8(embedded.stdout).unwrap();
    assert!(folder.iter().all(|line| embedded.contains(line.split("  ").next().unwrap())), "{embedded}");
    assert_eq!(answers(&by_pattern, None), folder);
    let list: String = folder.iter().map(|line| format!("{}\r\n", line.split("  ").next().unwrap())).collect();
    assert_eq!(answers("-", Some(&format!("{list}\n{list}"))), folder, "each one once");
}

#[test]
fn an_error_is_in_its_line_and_the_run_goes_on() {
    let folder = copies("some-broken", 10);
    std::fs::write(folder.file("00003.png"), b"no picture").unwrap();
    let results = Scratch::with("broken.jsonl", b"");
    let (code, text, errors) = run(&[folder.path(), "--batch", "4", "--out", results.path()]);
    assert_eq!(code, Some(4), "{errors}");
    assert!(text.contains("images     10, 1 failed") && text.contains("images/s"), "{text}");
    assert!(errors.contains("00003.png"), "{errors}");
    assert!(!errors.contains('\u{1b}'), "no bar where there is no terminal");
    let lines = lines(results.path());
    assert_eq!(lines.len(), 10);
    for (at, line) in lines.iter().enumerate() {
        let has_failed = at == 3;
        assert_eq!((line.get("error").is_some(), line.get("top").is_some()), (has_failed, !has_failed), "{line}");
    }
    let all = reluctor(&["run", MODEL, IMAGES, "--device", "cpu", "--preset", "unit"]);
    assert!(all.status.success());
}

#[test]
fn answers_do_not_depend_on_batches_nor_on_their_neighbours() {
    let folder = copies("batches", 11);
    let results = |batch: &str| {
        let file = Scratch::with(&format!("batch-{batch}.jsonl"), b"");
        let (code, _, errors) = run(&[folder.path(), "--batch", batch, "--out", file.path()]);
        assert_eq!(code, Some(0), "{errors}");
        std::fs::read_to_string(file.path()).unwrap()
    };
    let (one, four) = (results("1"), results("4"));
    let classes = |text: &str| -> Vec<(String, u64)> {
        let parsed = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        parsed.map(|line| (line["item"].to_string(), line["top"][0]["index"].as_u64().unwrap())).collect()
    };
    assert_eq!(classes(&one), classes(&four));
}

#[test]
fn shards_together_are_all_and_share_nothing() {
    let mut seen = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let file = Scratch::with(&format!("shard-{}.jsonl", &shard[..1]), b"");
        assert_eq!(run(&[IMAGES, "--shard", shard, "--out", file.path()]).0, Some(0));
        let lines = lines(file.path());
        assert_eq!(lines.len(), 4);
        seen.extend(items(&lines));
    }
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (12, 12));
    for shard in ["0/3", "4/3", "1", "1/0", "a/b"] {
        assert_eq!(run(&[IMAGES, "--shard", shard]).0, Some(2), "{shard}");
    }
}

#[test]
fn a_run_that_was_killed_is_resumed_with_each_line_once() {
    const COUNT: usize = 1500;
    let folder = copies("killed", COUNT);
    let results = Scratch::with("killed.jsonl", b"");
    let arguments = ["run", MODEL, folder.path(), "--device", "cpu", "--preset", "unit", "--out", results.path()];
    let mut child = Command::new(env!("CARGO_BIN_EXE_reluctor"))
        .args(arguments)
        .args(["--batch", "1"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while std::fs::metadata(results.path()).unwrap().len() < 10_000 {
        assert!(child.try_wait().unwrap().is_none(), "it ends too early to be killed");
    }
    child.kill().unwrap(); // SIGKILL: it can do nothing about it.
    child.wait().unwrap();
    let before = std::fs::read_to_string(results.path()).unwrap().matches('\n').count();
    assert!((1..COUNT).contains(&before), "{before} lines before the kill");
    // As if it had been killed within a line.
    let mut file = std::fs::OpenOptions::new().append(true).open(results.path()).unwrap();
    file.write_all(br#"{"item":"half a li"#).unwrap();

    let output = reluctor(&[&arguments[..], &["--resume"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = lines(results.path());
    assert_eq!((lines.len(), items(&lines).len()), (COUNT, COUNT));
    let again = reluctor(&[&arguments[..], &["--resume"]].concat());
    assert!(again.status.success() && std::fs::metadata(results.path()).unwrap().len() > 0);
    assert_eq!(items(&self::lines(results.path())).len(), COUNT, "nothing is left to do");
}

#[test]
fn answers_that_are_pictures_go_to_a_folder() {
    let (model, out) = (Scratch::with("pictures.onnx", &crate::pictures::mirror(1)), Scratch::folder("written"));
    let run = ["run", model.path(), IMAGES, "--device", "cpu", "--preset", "unit", "--task", "image"];
    let output = reluctor(&[&run[..], &["--out", out.path()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for entry in std::fs::read_dir(IMAGES).unwrap() {
        let source = entry.unwrap().path();
        let written = Path::new(out.path()).join(source.file_name().unwrap());
        let open = |path: &Path| reluctor_vision::image::open(path).unwrap();
        assert_eq!(open(&written), open(&source), "a network that changes nothing");
    }
}

#[test]
fn what_takes_all_outputs_at_once_is_refused() {
    for flags in [&["--json"][..], &["--save-outputs", "x.npz"], &["--resume"], &["--out", "one.png"]] {
        assert_eq!(run(&[&[IMAGES][..], flags].concat()).0, Some(2), "{flags:?}");
    }
    assert_eq!(run(&["/nonexistent/*.png"]).0, Some(4));
}

#[test]
fn pictures_that_a_network_would_mix_are_answered_one_by_one_or_not_at_all() {
    let mut model = ModelBuilder::new(17);
    let over_items = [("axes", AttributeValue::Ints(vec![0]))];
    model
        .input("x", &TensorType::real([0, 1, 28, 28]))
        .node("Flatten", "flat", &["x"], &["f"], &[])
        .node("ReduceMean", "mean", &["f"], &["m"], &over_items)
        .node("Add", "sum", &["f", "m"], &["y"], &[])
        .output("y", None);
    let model = Scratch::with("mixes.onnx", &model.to_bytes());
    let results = |flags: &[&str]| {
        let file = Scratch::with(&format!("mixes-{}.jsonl", flags.concat()), b"");
        let start = ["run", model.path(), IMAGES, "--device", "cpu", "--preset", "unit", "--out", file.path()];
        let output = reluctor(&[&start[..], flags].concat());
        let text = std::fs::read_to_string(file.path()).unwrap();
        (output.status.code(), text, String::from_utf8(output.stderr).unwrap())
    };
    let (usual, alone) = (results(&[]), results(&["--batch", "1"]));
    assert_eq!((usual.0, alone.0, usual.1.lines().count()), (Some(0), Some(0), 12), "{}", usual.2);
    assert_eq!(usual.1, alone.1);
    let (code, _, reason) = results(&["--batch", "4"]);
    assert!(code == Some(2) && reason.contains("'mean'") && reason.contains("--batch 1"), "{reason}");
}
