//! `reluctor compare` on a shader with a fault, on test cases, and on numbers that are no ordinary ones.

use crate::cli::{json, reluctor};
use reluctor::cpu;
use reluctor::files::write_npy;
use reluctor::graph::{Graph, Node};
use reluctor::onnx::ModelBuilder;
use reluctor::ops::activation::ACTIVATIONS;
use reluctor::ops::{Activate, Activation};
use reluctor::plan::plan;
use reluctor::tensor::{Tensor, TensorType};
use reluctor_lab::compare::{Verdict, difference};
use reluctor_lab::special_values::SpecialValues;
use reluctor_testing::device::gpu;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("reluctor-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self, below: &str) -> String {
        self.0.join(below).to_str().unwrap().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const GUILTY: &str = "/residual/second/convolution/Conv";
const FAULT: &str = "/residual/second/convolution/Conv:select(x, 0.0, x < 0.0)=>select(x, 0.5, x < 0.0)";

#[test]
fn a_fault_is_located_bundled_and_replayed() {
    let folder = Folder::new("bundle");
    let bundle = folder.path("b");
    let report = json(&["compare", "--device", "gpu", "--json", "--inject-fault", FAULT, "--bundle", &bundle]);
    assert_eq!((&report["first_diverging"], &report["verdict"]), (&GUILTY.into(), &"mismatch".into()));
    let guilty = &report["guilty"];
    assert_eq!(guilty["node"], GUILTY);
    assert_eq!(guilty["fused_parts"].as_array().map(Vec::len), Some(4), "conv, bias, add, relu: {guilty:#}");
    assert_eq!((&guilty["only_fused"], &guilty["first_wrong_part"]), (&true.into(), &"activation".into()));
    for file in ["model.onnx", "input_0.npy", "input_1.npy", "output_0.npy", "tensors.npz", "adapter.json"] {
        assert!(Path::new(&bundle).join(file).exists(), "{file}");
    }
    let shader = fs::read_dir(Path::new(&bundle).join("shaders")).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read_to_string(shader).unwrap().contains("select(x, 0.5, x < 0.0)"), "the shader as it ran");

    let model = format!("{bundle}/model.onnx");
    let replay = ["compare", &model, "--test-data", &bundle, "--device", "gpu", "--json"];
    let fine = json(&replay);
    assert_eq!((&fine["verdict"], &fine["guilty"]), (&"within_rounding".into(), &serde_json::Value::Null));
    assert_eq!(fine["outputs"].as_array().map(Vec::len), Some(2), "the reference and the stored output");
    let faulty = json(&[&replay[..], &["--inject-fault", FAULT]].concat());
    assert_eq!((&faulty["first_diverging"], &faulty["verdict"]), (&GUILTY.into(), &"mismatch".into()));
}

/// Every layer computes what it says, and says the wrong thing.
#[test]
fn a_wrong_fusion_is_named_bundled_and_replayed() {
    for device in ["cpu", "gpu"] {
        let folder = Folder::new(&format!("wrong-fusion-{device}"));
        let bundle = folder.path("b");
        let wrong = ["--device", device, "--json", "--inject-wrong-fusion", "dropped-stage"];
        let report = json(&[&["compare"], &wrong[..], &["--bundle", &bundle]].concat());
        assert_eq!((&report["first_diverging"], &report["verdict"]), (&serde_json::Value::Null, &"mismatch".into()));
        let fusion = &report["wrong_fusion"];
        assert_eq!((&fusion["pass"], &fusion["taken"]), (&"residual".into(), &"/residual/Add".into()), "{fusion:#}");

        let model = format!("{bundle}/model.onnx");
        let replay = ["compare", &model, "--test-data", &bundle];
        let fine = json(&[&replay[..], &["--device", device, "--json"]].concat());
        assert_ne!((&fine["verdict"], &fine["wrong_fusion"]), (&"mismatch".into(), &serde_json::Value::Null));
        let again = json(&[&replay[..], &wrong[..]].concat());
        assert_eq!((&again["verdict"], &again["wrong_fusion"]["pass"]), (&"mismatch".into(), &"residual".into()));
    }
}

#[test]
fn any_step_can_be_bundled_and_one_that_is_not_there_is_refused() {
    let folder = Folder::new("bundle-step");
    let bundle = folder.path("b");
    // Named by what was fused into it.
    let arguments = ["compare", "--device", "gpu", "--bundle", &bundle, "--bundle-step"];
    assert!(reluctor(&[&arguments[..], &["/classifier/Gemm"]].concat()).status.success());
    let replay = ["compare", &format!("{bundle}/model.onnx"), "--test-data", &bundle, "--device", "gpu", "--json"];
    let report = json(&replay);
    assert_eq!(report["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(reluctor(&[&arguments[..], &["no such layer"]].concat()).status.code(), Some(2));
}

fn write_case(folder: &Path, op_type: &str, second_is_constant: bool, expected: [f32; 2]) {
    let ty = TensorType::real([2]);
    let mut builder = ModelBuilder::new(13);
    builder.input("x", &ty);
    let number = if second_is_constant { TensorType::real([]) } else { ty.clone() };
    builder.input("w", &number).output("y", Some(&ty));
    builder.node(op_type, "node", &["x", "w"], &["y"], &[]);
    let data = folder.join("test_data_set_0");
    fs::create_dir_all(&data).unwrap();
    fs::write(folder.join("model.onnx"), builder.to_bytes()).unwrap();
    write_npy(data.join("input_0.npy"), &Tensor::real(&[2], vec![-2.0, 3.0]).unwrap()).unwrap();
    let second = if second_is_constant { vec![0.0] } else { vec![10.0, 20.0] };
    write_npy(data.join("input_1.npy"), &Tensor::real(&number.shape, second).unwrap()).unwrap();
    write_npy(data.join("output_0.npy"), &Tensor::real(&[2], expected.to_vec()).unwrap()).unwrap();
}

#[test]
fn a_suite_reports_each_case_and_only_a_wrong_one_fails_it() {
    let folder = Folder::new("suite");
    write_case(&folder.0.join("sums/right"), "Add", false, [8.0, 23.0]);
    // Clip's bound is an input here, and must become a constant.
    write_case(&folder.0.join("clip"), "Clip", true, [0.0, 3.0]);
    write_case(&folder.0.join("unknown"), "NoSuchOperator", false, [0.0, 0.0]);
    let arguments = ["compare", "--suite", &folder.path(""), "--device", "gpu"];
    let report = json(&[&arguments[..], &["--json"]].concat());
    let verdicts: Vec<_> = report["cases"].as_array().unwrap().iter().map(|case| &case["verdict"]).collect();
    assert_eq!(verdicts, ["passed", "passed", "unsupported"], "{report:#}");
    assert_eq!(report["cases"][0]["dispatches"], 1);
    assert_eq!((&report["totals"]["host_only"], &report["totals"]["unsupported"]), (&0.into(), &1.into()));
    assert_eq!(reluctor(&arguments).status.code(), Some(0), "what is unsupported is not wrong");

    write_case(&folder.0.join("wrong"), "Add", false, [8.0, 24.0]);
    fs::create_dir_all(folder.0.join("broken/test_data_set_0")).unwrap();
    fs::write(folder.0.join("broken/model.onnx"), b"no model").unwrap();
    let table = folder.path("table.md");
    let output = reluctor(&[&arguments[..], &["--export-markdown", &table]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.ends_with("5 cases: 2 passed, 1 unsupported, 2 wrong\n"), "{text}");
    assert_eq!(fs::read_to_string(table).unwrap().lines().count(), 2 + 5);
}

#[test]
fn run_and_compare_take_a_case_s_folder_and_bind_what_must_be_constant() {
    let folder = Folder::new("case");
    write_case(&folder.0, "Clip", true, [0.0, 3.0]);
    let (model, data) = (folder.path("model.onnx"), folder.path(""));
    let report = json(&["compare", &model, "--test-data", &data, "--device", "gpu", "--json"]);
    assert_eq!(report["outputs"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["verdict"], "identical");
    for device in ["cpu", "gpu"] {
        assert!(reluctor(&["run", &model, "--test-data", &data, "--device", device]).status.success(), "{device}");
    }
}

#[test]
fn the_statistics_of_a_layer_are_reported() {
    let report = json(&["compare", "--device", "gpu", "--json"]);
    let layer = &report["layers"][0];
    for key in ["mean_abs", "quantiles", "max_ulp", "p99_ulp", "cosine"] {
        assert!(layer.get(key).is_some(), "no '{key}' in {layer:#}");
    }
    assert!(layer["quantiles"]["p50"].as_f64() <= layer["quantiles"]["p99"].as_f64());
    assert!(layer["cosine"].as_f64().is_some_and(|cosine| cosine > 0.999_999));
    assert!(report["nan"].get("NaN != NaN").is_some());
}

/// Where the device's comparisons honour NaN, every activation gives what the reference gives for numbers that are no
/// ordinary ones. Where they do not, the probe says so, and nothing is promised.
#[test]
fn activations_treat_special_values_as_the_reference_does_where_the_device_honours_them() {
    if !SpecialValues::of(gpu()).unwrap().keeps_nan() {
        println!("SKIPPED 1 test: this device does not honour NaN");
        return;
    }
    let given = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 3e38, -3e38];
    let x = Tensor::real(&[given.len()], given.clone()).unwrap();
    let mut wrong = Vec::new();
    for &activation in ACTIVATIONS.iter().filter(|&&activation| activation != Activation::PRelu) {
        let mut graph = Graph::default();
        let input = graph.add_value("x", x.tensor_type(), None);
        let output = graph.add_value("y", x.tensor_type(), None);
        graph.nodes.push(Node::new("y", Activate { activation }, vec![Some(input)], vec![output]));
        (graph.inputs, graph.outputs) = (vec![input], vec![output]);
        let session = gpu().load(&plan(&graph, &gpu().limits()).unwrap()).unwrap();
        let result = session.run(&[("x", &x)]).unwrap().remove(0).1;
        let reference = cpu::Session::<f64>::new(&graph).run(&[("x", &x.cast())]).unwrap().remove(0).1;
        let (result, reference) = (result.as_real().unwrap(), reference.as_real().unwrap());
        let found = difference(result, reference, |_, y| 1e-5 * y.abs() + 1e-30);
        if found.verdict == Verdict::Mismatch {
            wrong.push(format!("{activation:?} of {given:?}: {result}, not {reference}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
