//! ONNX's own test cases for backends, on the CPU executor and on the device. `scripts/fetch-onnx-suite` brings their files;
//! `suite_cases.txt` names those that concern networks of images, and `suite_unsupported.txt` those that are refused, each
//! with the reason: `RELUCTOR_UPDATE=1 cargo test suite` rewrites it.

use crate::device::gpu;
use reluctor::gpu::Gpu;
use reluctor::passes::Fusion;
use reluctor::suite::{self, CaseReport, Outcome, Totals};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const CASES: &str = include_str!("suite_cases.txt");
const UNSUPPORTED: &str = include_str!("suite_unsupported.txt");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/onnx-suite")
}

/// Runs every case; gives a line for each that is refused, and for each that is wrong.
fn tally(gpu: Option<&Gpu>) -> (BTreeSet<String>, Vec<String>) {
    let (place, tolerance) = (if gpu.is_some() { "device" } else { "cpu" }, suite::usual_tolerance(gpu.is_some()));
    let run = |case: &str| suite::run(case, &folder().join(case), gpu, &Fusion::all(), tolerance);
    let reports: Vec<CaseReport> = CASES.lines().map(run).collect();
    let Totals { passed, host_only, unsupported, wrong, .. } = Totals::of(&reports);
    println!("suite on {place}: {passed} passed, {unsupported} unsupported, {wrong} wrong");
    if gpu.is_some() {
        println!(
            "suite on {place}: {} of those that passed ran there, {host_only} on the host only",
            passed - host_only
        );
    }
    let line = |report: &CaseReport| {
        let CaseReport { case, reason, .. } = report;
        let reason = reason.as_deref().unwrap_or_default();
        if report.verdict == Outcome::Unsupported {
            format!("{case}: unsupported: {reason}")
        } else {
            format!("{place} {case}: {reason}")
        }
    };
    let of = |verdict| reports.iter().filter(move |report| report.verdict == verdict).map(line);
    (of(Outcome::Unsupported).collect(), of(Outcome::Wrong).collect())
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
    let [(on_cpu, mut wrong), (on_device, wrong_too)] = [None, Some(gpu())].map(tally);
    wrong.extend(wrong_too);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let only = on_device.difference(&on_cpu).map(|line| format!("{line} (device only)"));
    let refused: BTreeSet<String> = on_cpu.iter().cloned().chain(only).collect();
    check_list(&refused);
}
