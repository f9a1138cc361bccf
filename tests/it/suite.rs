//! ONNX's own test cases for backends, on the CPU executor and on the device. `scripts/fetch-onnx-suite` brings their files;
//! `suite_cases.txt` names those that concern networks of images, and `suite_unsupported.txt` those that are refused, each
//! with the reason: `RELUCTOR_UPDATE=1 cargo test suite` rewrites it.

use crate::device::gpu;
use reluctor::cpu;
use reluctor::error::Error;
use reluctor::files::read_tensor;
use reluctor::graph::Graph;
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::plan;
use reluctor::tensor::{Kind, Tensor};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

const CASES: &str = include_str!("suite_cases.txt");
const UNSUPPORTED: &str = include_str!("suite_unsupported.txt");

/// ONNX's own tolerances.
const RTOL: f32 = 1e-3;
const ATOL: f32 = 1e-7;
/// WGSL promises less of exp, log and division than a C library does.
const DEVICE_ATOL: f32 = 1e-5;

#[derive(Clone, Copy, PartialEq)]
enum On {
    Cpu,
    Device,
}

/// What became of a case.
enum Outcome {
    Passed,
    Unsupported(String),
    Wrong(String),
}

/// One folder `test_data_set_N`: inputs in the order in which the model declares them, and outputs.
struct DataSet {
    inputs: Vec<(String, Tensor)>,
    outputs: Vec<Tensor>,
}

type Results = Vec<(String, Tensor)>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/onnx-suite")
}

fn numbered(folder: &Path, stem: &str) -> Vec<Tensor> {
    let files = (0..).map(|index| folder.join(format!("{stem}_{index}.pb"))).take_while(|path| path.exists());
    files.map(|path| read_tensor(path).unwrap()).collect()
}

fn data_sets(model: &Model, folder: &Path) -> Vec<DataSet> {
    let declared = model.inputs().unwrap();
    let folders = (0..).map(|index| folder.join(format!("test_data_set_{index}"))).take_while(|path| path.exists());
    let read = |folder: PathBuf| {
        let names = declared.iter().map(|input| input.name.clone());
        DataSet { inputs: names.zip(numbered(&folder, "input")).collect(), outputs: numbered(&folder, "output") }
    };
    folders.map(read).collect()
}

/// Which inputs stay open until the network runs. The others are bound, as weights, shapes and axes are in a network: the
/// cases have them as inputs of the graph. Integers and truth values are always bound.
#[derive(Clone, Copy)]
enum Open {
    EveryReal,
    FirstReal,
    Nothing,
}

impl Open {
    fn split(self, inputs: &[(String, Tensor)]) -> (Bindings, Vec<(&str, &Tensor)>) {
        let (mut bindings, mut open) = (Bindings::default(), Vec::new());
        for (name, tensor) in inputs {
            let stays = match self {
                Open::EveryReal => tensor.kind() == Kind::Real,
                Open::FirstReal => tensor.kind() == Kind::Real && open.is_empty(),
                Open::Nothing => false,
            };
            if stays {
                bindings.shapes.insert(name.clone(), tensor.shape().to_vec());
                open.push((name.as_str(), tensor));
            } else {
                bindings.constants.insert(name.clone(), tensor.clone());
            }
        }
        (bindings, open)
    }
}

fn run(graph: &Graph, inputs: &[(&str, &Tensor)], on: On) -> Result<Results, Error> {
    match on {
        On::Cpu => cpu::Session::<f32>::new(graph).run(inputs),
        On::Device => gpu().load(&plan(graph, &gpu().limits())?)?.run(inputs),
    }
}

/// Runs with as many inputs open as the engine takes.
fn computed(model: &Model, inputs: &[(String, Tensor)], on: On) -> Result<Results, Error> {
    let mut refused = None;
    for open in [Open::EveryReal, Open::FirstReal, Open::Nothing] {
        let (bindings, given) = open.split(inputs);
        let graph = model.graph(&bindings).and_then(|graph| optimize(graph, &Fusion::all()));
        match graph.and_then(|graph| run(&graph, &given, on)) {
            Err(error @ Error::Unsupported { .. }) => refused = Some(error),
            other => return other,
        }
    }
    Err(refused.expect("one attempt at least"))
}

fn outcome(case: &str, on: On) -> Outcome {
    let folder = folder().join(case);
    let model = match Model::open(&folder.join("model.onnx")) {
        Ok(model) => model,
        Err(error) => return Outcome::Wrong(error.to_string()),
    };
    for set in data_sets(&model, &folder) {
        match computed(&model, &set.inputs, on) {
            Ok(results) => {
                if let Some(difference) = difference(&results, &set.outputs, on) {
                    return Outcome::Wrong(difference);
                }
            }
            Err(Error::Unsupported { nodes, .. }) => {
                let reasons: BTreeSet<String> =
                    nodes.iter().map(|node| format!("{}: {}", node.op_type, node.reason)).collect();
                return Outcome::Unsupported(reasons.into_iter().collect::<Vec<_>>().join("; "));
            }
            Err(error) => return Outcome::Wrong(error.to_string()),
        }
    }
    Outcome::Passed
}

/// The first difference that ONNX's tolerances do not allow.
fn difference(results: &Results, expected: &[Tensor], on: On) -> Option<String> {
    if results.len() != expected.len() {
        return Some(format!("{} outputs, not {}", results.len(), expected.len()));
    }
    results.iter().zip(expected).find_map(|((name, result), expected)| {
        if result.tensor_type() != expected.tensor_type() {
            let [got, wanted] = [result, expected].map(|tensor| format!("{:?} {:?}", tensor.kind(), tensor.shape()));
            return Some(format!("'{name}' is {got}, not {wanted}"));
        }
        match (result, expected) {
            (Tensor::Real(result), Tensor::Real(expected)) => {
                let atol = if on == On::Device { DEVICE_ATOL } else { ATOL };
                let close =
                    |x: f32, y: f32| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= atol + RTOL * y.abs();
                first_unlike(name, result, expected, |&x, &y| close(x, y))
            }
            (Tensor::Int(result), Tensor::Int(expected)) => first_unlike(name, result, expected, i64::eq),
            (Tensor::Bool(result), Tensor::Bool(expected)) => first_unlike(name, result, expected, bool::eq),
            _ => unreachable!("of one type"),
        }
    })
}

fn first_unlike<E: fmt::Display>(
    name: &str,
    result: &ndarray::ArrayD<E>,
    expected: &ndarray::ArrayD<E>,
    alike: impl Fn(&E, &E) -> bool,
) -> Option<String> {
    let mut pairs = result.iter().zip(expected).enumerate();
    let (at, (x, y)) = pairs.find(|(_, (x, y))| !alike(x, y))?;
    Some(format!("'{name}'[{at}] is {x}, not {y}"))
}

/// Runs every case; gives a line for each that is refused, and for each that is wrong.
fn tally(on: On) -> (BTreeSet<String>, Vec<String>) {
    let place = if on == On::Cpu { "cpu" } else { "device" };
    let (mut passed, mut refused, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for case in CASES.lines() {
        match catch_unwind(|| outcome(case, on)).unwrap_or_else(|_| Outcome::Wrong("panicked".to_string())) {
            Outcome::Passed => passed += 1,
            Outcome::Unsupported(reason) => drop(refused.insert(format!("{case}: unsupported: {reason}"))),
            Outcome::Wrong(what) => wrong.push(format!("{place} {case}: {what}")),
        }
    }
    println!("suite on {place}: {passed} passed, {} unsupported, {} wrong", refused.len(), wrong.len());
    (refused, wrong)
}

/// Rewrites the list, or says where it differs from what was refused.
fn check_list(refused: &BTreeSet<String>) {
    if std::env::var_os("RELUCTOR_UPDATE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/suite_unsupported.txt");
        std::fs::write(path, refused.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        return;
    }
    let listed: BTreeSet<String> = UNSUPPORTED.lines().map(str::to_string).collect();
    let unlisted: Vec<_> = refused.difference(&listed).collect();
    let surplus: Vec<_> = listed.difference(refused).collect();
    assert!(
        unlisted.is_empty() && surplus.is_empty(),
        "refused, not listed: {unlisted:#?}\nlisted, not so: {surplus:#?}"
    );
}

#[test]
fn cases_of_onnx_s_suite_pass_or_are_listed_as_unsupported() {
    if !folder().join("version").exists() {
        println!("SKIPPED {} cases of ONNX's suite: run scripts/fetch-onnx-suite", CASES.lines().count());
        assert!(std::env::var_os("CI").is_none(), "ONNX's suite is missing: run scripts/fetch-onnx-suite");
        return;
    }
    let [(on_cpu, mut wrong), (on_device, wrong_too)] = [On::Cpu, On::Device].map(tally);
    wrong.extend(wrong_too);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let only = on_device.difference(&on_cpu).map(|line| format!("{line} (device only)"));
    let refused: BTreeSet<String> = on_cpu.iter().cloned().chain(only).collect();
    check_list(&refused);
}
