//! ONNX's own test cases for backends, on the CPU executor and on the device. `scripts/fetch-onnx-suite` brings their files;
//! `suite_cases.txt` names those that concern networks of images, and `suite_unsupported.txt` those that are refused, each
//! with the reason: `RELUCTOR_UPDATE=1 cargo test suite` rewrites it.

use crate::cases::{DataSet, On, Open, Outcome, Tally, Tolerance, check_list, outcome};
use reluctor::files::read_tensor;
use reluctor::onnx::Model;
use reluctor::tensor::Tensor;
use std::path::{Path, PathBuf};

const CASES: &str = include_str!("suite_cases.txt");
const UNSUPPORTED: &str = include_str!("suite_unsupported.txt");

/// ONNX's own.
const TOLERANCE: Tolerance = Tolerance { rtol: 1e-3, atol: 1e-7 };
/// WGSL promises less of exp, log and division than a C library does.
const DEVICE_TOLERANCE: Tolerance = Tolerance { atol: 1e-5, ..TOLERANCE };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/onnx-suite")
}

fn numbered(folder: &Path, stem: &str) -> Vec<Tensor> {
    let files = (0..).map(|index| folder.join(format!("{stem}_{index}.pb"))).take_while(|path| path.exists());
    files.map(|path| read_tensor(path).unwrap()).collect()
}

/// The folders `test_data_set_N`.
fn data_sets(model: &Model, folder: &Path) -> Vec<DataSet> {
    let declared = model.inputs().unwrap();
    let folders = (0..).map(|index| folder.join(format!("test_data_set_{index}"))).take_while(|path| path.exists());
    let read = |folder: PathBuf| {
        let names = declared.iter().map(|input| input.name.clone());
        DataSet { inputs: names.zip(numbered(&folder, "input")).collect(), outputs: numbered(&folder, "output") }
    };
    folders.map(read).collect()
}

fn tally(on: On) -> Tally {
    let tolerance = if on == On::Device { DEVICE_TOLERANCE } else { TOLERANCE };
    Tally::of("suite", CASES.lines(), on, |case| {
        let folder = folder().join(case);
        match Model::open(&folder.join("model.onnx")) {
            Ok(model) => {
                let choices = [Open::EveryReal, Open::FirstReal, Open::Nothing];
                outcome(&model, &data_sets(&model, &folder), &choices, on, tolerance)
            }
            Err(error) => Outcome::Wrong(error.to_string()),
        }
    })
}

#[test]
fn cases_of_onnx_s_suite_pass_or_are_listed_as_unsupported() {
    if !folder().join("version").exists() {
        println!("SKIPPED {} cases of ONNX's suite: run scripts/fetch-onnx-suite", CASES.lines().count());
        assert!(std::env::var_os("CI").is_none(), "ONNX's suite is missing: run scripts/fetch-onnx-suite");
        return;
    }
    check_list("suite_unsupported.txt", UNSUPPORTED, [On::Cpu, On::Device].map(tally));
}
