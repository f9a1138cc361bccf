//! ONNX's own test cases for backends, on the CPU executor and on the device. `scripts/fetch-onnx-suite` brings their files;
//! `suite_cases.txt` names those that concern networks of images, and `suite_unsupported.txt` those that are refused, each
//! with the reason: `RELUCTOR_UPDATE=1 cargo test suite` rewrites it.

use crate::cases::{On, Outcome, Tally, check_list};
use crate::device::gpu;
use reluctor::onnx::Bindings;
use reluctor::passes::Fusion;
use reluctor::suite::{self, Outcome as Verdict};
use std::path::{Path, PathBuf};

const CASES: &str = include_str!("suite_cases.txt");
const UNSUPPORTED: &str = include_str!("suite_unsupported.txt");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/onnx-suite")
}

fn tally(on: On) -> Tally {
    let (gpu, mut tally) = ((on == On::Device).then(gpu), Tally::default());
    for case in CASES.lines() {
        let tolerance = suite::usual_tolerance(gpu.is_some());
        let report = suite::run(case, &folder().join(case), gpu, &Bindings::default(), &Fusion::all(), tolerance);
        tally.add(
            case,
            on,
            match report.verdict {
                Verdict::Passed => Outcome::Passed(report.dispatches.unwrap_or(0)),
                Verdict::Unsupported => Outcome::Unsupported(report.reason.unwrap_or_default()),
                Verdict::Wrong => Outcome::Wrong(report.reason.unwrap_or_default()),
            },
        );
    }
    println!("suite on {on}: {tally}");
    tally
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
