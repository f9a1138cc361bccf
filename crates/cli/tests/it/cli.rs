//! The command line as a stranger meets it: exit codes, one error line and one hint, JSON with the documented keys.

use reluctor::onnx::ModelBuilder;
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::scratch::Scratch;
use reluctor_testing::tree::{example_network, onnx_suite};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

pub fn reluctor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reluctor"));
    command
        .args(arguments)
        .env("NODEVICE_SELECT", "1")
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null());
    command.output().expect("the binary runs")
}

pub fn json(arguments: &[&str]) -> Value {
    let output = reluctor(arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

fn assert_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no '{key}' in {value:#}");
    }
}

#[test]
fn the_embedded_network_knows_its_sample_images_on_the_cpu_and_on_the_device() {
    for device in ["cpu", "gpu"] {
        let report = json(&["run", "--device", device, "--json"]);
        assert_keys(&report, &["model", "device", "precision", "outputs", "timing_ms"]);
        assert_keys(&report["device"], &["name", "backend", "driver", "type"]);
        assert_keys(&report["timing_ms"], &["load", "compile", "first", "run"]);
        assert_keys(&report["outputs"][0], &["name", "shape", "top"]);
    }
}

#[test]
fn the_answers_in_words_name_each_picture_and_its_class() {
    let output = reluctor(&["run", "--device", "cpu"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for (picture, class) in [("00000-ankle-boot", "Ankle boot"), ("00018-bag", "Bag"), ("00013-dress", "Dress")] {
        let (_, after) = text.split_once(picture).unwrap_or_else(|| panic!("no {picture} in {text}"));
        assert!(after.lines().nth(1).is_some_and(|winner| winner.ends_with(class)), "{picture}: {after}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains('▀'), "no pictures and no colours where nobody looks");
}

#[test]
fn compare_and_bench_report_the_documented_keys() {
    let report = json(&["compare", "--device", "gpu", "--json"]);
    assert_keys(&report, &["verdict", "layers", "first_diverging", "tolerance"]);
    let layer =
        ["name", "op", "kernel", "shape", "max_abs", "max_rel", "bound_ratio", "mismatched", "total", "verdict"];
    assert_keys(&report["layers"][0], &layer);
    assert_eq!(report["verdict"], "within_rounding");

    let spec = ["bench", "--conv", "1x4x8x8,4x3x3,p1,act=relu,pool=max2s2", "--device", "gpu", "--json"];
    let report = json(&[&spec[..], &["--duration", "0", "--warmup", "0", "--iterations", "3"]].concat());
    assert_keys(&report, &["device", "roofs", "results", "fusion", "total_ms"]);
    assert_keys(&report["roofs"], &["gflops_f32", "gbps", "launch_us"]);
    assert_keys(&report["fusion"][0], &["name", "fused_ms", "unfused_ms", "speedup", "ci95"]);
    let row =
        ["name", "kernel", "shape", "flops", "bytes", "ms", "gflops", "gbps", "percent_of_roof", "bound", "checked"];
    assert_keys(&report["results"][0], &row);
    assert_keys(&report["results"][0]["ms"], &["median", "min", "p90", "p99", "mad", "runs"]);
    assert_eq!((&report["total_ms"]["runs"], &report["results"][0]["ms"]["runs"]), (&3.into(), &3.into()));
}

#[test]
fn plan_shows_one_dispatch_for_a_fused_network_and_where_each_node_went() {
    let model = Scratch::with("default.onnx", &example_network());
    let plan = |flags: &[&str]| json(&[&["plan", model.path(), "--json", "--kernel", "conv_tile"], flags].concat());
    let fused = plan(&[]);
    assert_keys(&fused, &["dispatches", "flops", "bytes", "peak_bytes", "weights_bytes", "steps"]);
    assert_eq!(fused["dispatches"], 7, "5 convolutions, a mean and a product");
    let unfused = plan(&["--no-fuse"]);
    assert_eq!(unfused["dispatches"], 20, "every node but Flatten by itself");
    assert!(unfused["peak_bytes"].as_u64() > fused["peak_bytes"].as_u64());
}

#[test]
fn a_device_budget_is_checked_before_anything_is_allocated() {
    let refused = reluctor(&["run", "--device", "gpu", "--max-gpu-memory", "64KiB"]);
    assert_eq!(refused.status.code(), Some(6));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("error: the plan of ") && message.contains("budget is 65536"), "{message}");
    assert!(reluctor(&["run", "--device", "gpu", "--max-gpu-memory", "64MiB"]).status.success());
    let model = Scratch::with("budget.onnx", &example_network());
    for command in ["plan", "inspect"] {
        let code = |budget| reluctor(&[command, model.path(), "--max-gpu-memory", budget]).status.code();
        assert_eq!((code("64KiB"), code("64MiB")), (Some(6), Some(0)), "{command}");
    }
}

#[test]
fn a_tolerance_that_nothing_meets_is_exit_code_1() {
    let output = reluctor(&["compare", "--device", "cpu", "--atol", "0", "--rtol", "1e-12"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn each_kind_of_failure_has_its_exit_code_one_error_line_and_a_hint() {
    let png = Scratch::with("picture.onnx", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let empty = Scratch::with("empty.onnx", b"");
    let cases: [(&[&str], i32); 8] = [
        (&["run", "--device", "no such adapter"], 5),
        (&["run", "no-such-file.onnx"], 4),
        (&["run", png.path()], 4),
        (&["inspect", empty.path()], 4),
        (&["run", "--top-k", "many"], 2),
        (&["bench", "--conv", "1x1"], 2),
        (&["run", "--fuse", "everything"], 2),
        (&["run", "--shape", "nothing:1x1"], 2),
    ];
    for (arguments, code) in cases {
        let output = reluctor(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        let errors =
            text.lines().filter(|line| line.starts_with("error:") && !line.contains("XDG_RUNTIME_DIR")).count();
        assert_eq!(errors, 1, "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?} prints errors as results");
    }
}

#[test]
fn networks_with_stored_outputs_compare_clean() {
    let folder = onnx_suite().join("pytorch-converted/test_Conv2d_groups");
    let (model, data) = (folder.join("model.onnx"), folder.join("test_data_set_0"));
    let arguments = ["compare", model.to_str().unwrap(), "--test-data", data.to_str().unwrap(), "--device", "gpu"];
    let report = json(&[&arguments[..], &["--json"]].concat());
    assert_eq!(report["verdict"], "within_rounding");
    assert_eq!(report["outputs"].as_array().map(Vec::len), Some(2), "the reference and the stored output");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reluctor"))
        .args(["shaders"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_seed_makes_the_same_random_networks_again() {
    let report = |seed: &str| json(&["selftest", "--graphs", "6", "--seed", seed, "--device", "cpu", "--json"]);
    let (one, same, other) = (report("5"), report("5"), report("6"));
    assert_keys(&one, &["device", "seed", "graphs", "passed", "nodes", "operators", "variants", "refused", "failures"]);
    assert_eq!((&one["graphs"], &one["failures"]), (&6.into(), &0.into()));
    assert_eq!(one["operators"], same["operators"]);
    assert_ne!(one["operators"], other["operators"]);
}

/// Which command takes which flag: scripts rely on it.
#[test]
fn every_command_takes_the_flags_that_it_is_documented_to_take() {
    const RUNS: &[&str] = &["run", "compare", "bench", "xray"];
    const MODELS: &[&str] = &["run", "compare", "bench", "xray", "plan", "inspect"];
    let contract: [(&[&str], &[&str]); 13] = [
        (&["--device", "--checked"], &["run", "compare", "bench", "xray", "selftest"]),
        (&["--input", "--random", "--seed", "--range"], RUNS),
        (&["--test-data"], &["run", "compare"]),
        (&["--shape", "--dim", "--batch"], MODELS),
        (&["--preset", "--labels", "--top-k", "--softmax"], &["run"]),
        (&["--save-outputs", "--save-layers"], &["run", "compare"]),
        (&["--atol", "--rtol", "--fail-fast"], &["compare"]),
        (&["--precision"], &["run", "compare", "bench"]),
        (&["--fuse", "--no-fuse", "--kernel"], &["run", "compare", "bench", "plan"]),
        (&["--warmup", "--iterations", "--duration", "--percentile", "--profile", "--trace"], &["bench", "run"]),
        (&["--export-json", "--export-csv", "--export-markdown", "--export-html"], &["bench", "compare", "xray"]),
        (&["--max-memory", "--max-gpu-memory", "--max-flops", "--timeout"], MODELS),
        (&["--verbose", "--quiet", "--no-color", "--version"], MODELS),
    ];
    for (flags, commands) in contract {
        for command in commands {
            let help = String::from_utf8(reluctor(&[command, "--help"]).stdout).unwrap();
            let has = |flag: &&&str| help.split_whitespace().any(|word| word.trim_end_matches(',') == **flag);
            let missing: Vec<_> = flags.iter().filter(|flag| !has(flag)).collect();
            assert!(missing.is_empty(), "{command} lacks {missing:?}");
        }
    }
}

#[test]
fn run_measures_as_long_as_it_is_told_and_shows_each_step() {
    let scratch = Scratch::folder("profile");
    let trace = scratch.file("trace.json");
    for device in ["cpu", "gpu"] {
        let measure = ["--warmup", "1", "--iterations", "4", "--percentile", "50,99.9", "--profile", "--trace", &trace];
        let report = json(&[&["run", "--device", device, "--json"], &measure[..]].concat());
        let later = &report["timing_ms"]["later"];
        assert_eq!((&later["runs"], &later["p50"]), (&4.into(), &report["timing_ms"]["run"]));
        assert!(later["p99.9"].as_f64() >= later["p50"].as_f64());
        let steps = report["profile"].as_array().unwrap();
        assert!(steps.len() > 3 && steps.iter().all(|step| step["checked"] == false), "{steps:?}");
        let written: Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
        let events = written["traceEvents"].as_array().unwrap();
        let lasted = |name: &str| {
            let of_name = events.iter().filter(|event| event["name"] == name && event["ph"] == "X");
            of_name.map(|event| event["dur"].as_f64().unwrap() / 1e3).sum::<f64>()
        };
        for (span, timing) in [("read", "load"), ("plan and compile", "compile")] {
            assert!((lasted(span) - report["timing_ms"][timing].as_f64().unwrap()).abs() < 1e-3, "{span}");
        }
        assert!(steps.iter().all(|step| lasted(step["name"].as_str().unwrap()) > 0.0), "{written:#}");
    }
    let refused = reluctor(&["run", "--device", "cpu", "--batch", "5", "--profile"]);
    assert_eq!(refused.status.code(), Some(2), "12 images are three batches");
    let batches = json(&["run", "--device", "cpu", "--batch", "5", "--percentile", "50,-0,50", "--json"]);
    let later = batches["timing_ms"]["later"].as_object().unwrap();
    assert_eq!((&later["runs"], later.contains_key("p0")), (&1.into(), true));
    let shown = String::from_utf8(reluctor(&["run", "--device", "cpu", "--percentile", "95"]).stdout).unwrap();
    assert!(shown.contains("p95"), "{shown}");
}

#[test]
fn compare_saves_what_the_device_computed() {
    let scratch = Scratch::folder("saved");
    let [outputs, layers, ran] = ["outputs.npz", "layers.npz", "ran.npz"].map(|name| scratch.file(name));
    let saves = ["--device", "gpu", "--save-outputs", &outputs, "--save-layers", &layers];
    assert!(reluctor(&[&["compare"], &saves[..]].concat()).status.success());
    assert!(reluctor(&["run", "--device", "gpu", "--save-outputs", &ran]).status.success());
    let tensors = |file: &str| reluctor::files::read_tensors(file).unwrap();
    assert_eq!(tensors(&outputs), tensors(&ran));
    let last = tensors(&layers).pop().unwrap();
    assert_eq!(vec![last], tensors(&outputs));
    let again = ran.replace("ran.npz", "./ran.npz");
    let twice = reluctor(&["run", "--device", "cpu", "--save-outputs", &ran, "--save-layers", &again]);
    assert_eq!(twice.status.code(), Some(2), "one would overwrite the other");
}

#[test]
fn a_kernel_that_computes_nothing_is_said_so() {
    let model = Scratch::with("forced.onnx", &example_network());
    let said = |command: &[&str]| String::from_utf8(reluctor(command).stderr).unwrap();
    let unfit = said(&["plan", model.path(), "--kernel", "conv_gemm 7x7"]);
    assert!(unfit.contains("'conv_gemm 7x7' fits no convolution"), "{unfit}");
    let on_cpu = said(&["run", "--device", "cpu", "--kernel", "conv_tile"]);
    assert!(on_cpu.contains("'conv_tile' computes nothing"), "{on_cpu}");
    assert_eq!(said(&["plan", model.path(), "--kernel", "conv_tile"]), "");
}

#[test]
fn a_self_test_of_nothing_is_refused() {
    for nothing in [["--graphs", "0"], ["--minutes", "0"]] {
        let refused = reluctor(&[&["selftest", "--device", "cpu"], &nothing[..]].concat());
        assert_eq!(refused.status.code(), Some(2), "{nothing:?}");
    }
}

#[test]
fn an_input_with_a_default_takes_another_value_of_the_declared_shape() {
    let mut model = ModelBuilder::new(17);
    model
        .input("x", &TensorType::real([2]))
        .input("w", &TensorType::real([2]))
        .initializer("w", &Tensor::real(&[2], vec![1.0, 1.0]).unwrap())
        .node("Mul", "product", &["x", "w"], &["y"], &[])
        .output("y", None);
    let (model, scratch) = (Scratch::with("defaults.onnx", &model.to_bytes()), Scratch::folder("defaults"));
    let [x, w, long, saved] = ["x.npy", "w.npy", "long.npy", "y.npz"].map(|name| scratch.file(name));
    for (file, values) in [(&x, vec![3.0, 4.0]), (&w, vec![10.0, 100.0]), (&long, vec![1.0; 3])] {
        let tensor = Tensor::real(&[values.len()], values).unwrap();
        reluctor::files::write_npy(file, &tensor).unwrap();
    }
    let product = |more: &[&str]| {
        let command = ["run", model.path(), "--device", "cpu", "--input", &x, "--save-outputs", &saved];
        let output = reluctor(&[&command[..], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        reluctor::files::read_tensors(&saved).unwrap().remove(0).1
    };
    assert_eq!(product(&[]), Tensor::real(&[2], vec![3.0, 4.0]).unwrap());
    assert_eq!(product(&["--input", &format!("w={w}")]), Tensor::real(&[2], vec![30.0, 400.0]).unwrap());
    let stored = Scratch::folder("defaults-stored");
    std::fs::copy(&x, stored.file("input_0.npy")).unwrap();
    for command in ["run", "compare"] {
        let given = [command, model.path(), "--device", "cpu", "--test-data", stored.path(), "--save-outputs", &saved];
        let done = reluctor(&[&given[..], &["--input", &format!("w={w}")]].concat());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let y = reluctor::files::read_tensors(&saved).unwrap().remove(0).1;
        assert_eq!(y, Tensor::real(&[2], vec![30.0, 400.0]).unwrap());
    }
    let refused = reluctor(&["run", model.path(), "--device", "cpu", "--input", &x, "--input", &format!("w={long}")]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(4) && message.contains("declared as 2, but long.npy holds 3"), "{message}");
}

/// exp(-110) is no f32: what f64 finds larger than zero, no run in f32 can.
#[test]
fn an_output_that_f32_cannot_have_is_no_mismatch_where_every_layer_is_right() {
    let mut model = ModelBuilder::new(17);
    model
        .input("x", &TensorType::real([1, 3]))
        .initializer("zero", &Tensor::real(&[], vec![0.0]).unwrap())
        .node("Softmax", "shares", &["x"], &["s"], &[])
        .node("Greater", "is_any", &["s", "zero"], &["y"], &[])
        .output("y", None);
    let (model, scratch) = (Scratch::with("underflow.onnx", &model.to_bytes()), Scratch::folder("underflow"));
    let x = scratch.file("x.npy");
    reluctor::files::write_npy(&x, &Tensor::real(&[1, 3], vec![0.0, 1.0, -110.0]).unwrap()).unwrap();
    for device in ["cpu", "gpu"] {
        let report = json(&["compare", model.path(), "--device", device, "--input", &x, "--json"]);
        assert_eq!(report["verdict"], "within_rounding", "{report:#}");
        assert_eq!(report["outputs"][0]["off_in_f32"]["mismatched"], 1);
    }
    let strict = reluctor(&["compare", model.path(), "--device", "cpu", "--input", &x, "--atol", "0"]);
    assert_eq!(strict.status.code(), Some(1), "a tolerance that was asked for is kept");
}

#[test]
fn what_does_not_depend_on_the_inputs_is_there_once_however_many_batches_run() {
    let mut model = ModelBuilder::new(17);
    model
        .input("x", &TensorType::real([0, 2]))
        .initializer("k", &Tensor::real(&[2], vec![1.0, 2.0]).unwrap())
        .node("Relu", "relu", &["x"], &["y"], &[])
        .output("y", None)
        .output("k", None);
    let (model, scratch) = (Scratch::with("constant.onnx", &model.to_bytes()), Scratch::folder("constant"));
    let [x, saved] = ["x.npy", "out.npz"].map(|name| scratch.file(name));
    let four = Tensor::real(&[4, 2], (1..9).map(|at| at as f32).collect()).unwrap();
    reluctor::files::write_npy(&x, &four).unwrap();
    for device in ["cpu", "gpu"] {
        let command =
            ["run", model.path(), "--device", device, "--input", &x, "--batch", "2", "--save-outputs", &saved];
        assert!(reluctor(&command).status.success());
        let outputs = reluctor::files::read_tensors(&saved).unwrap();
        let of = |name: &str| outputs.iter().find(|(found, _)| found == name).unwrap().1.clone();
        assert_eq!((of("y"), of("k")), (four.clone(), Tensor::real(&[2], vec![1.0, 2.0]).unwrap()));
    }
}
