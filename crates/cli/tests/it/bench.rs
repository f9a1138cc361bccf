//! `reluctor bench` as a stranger meets it: thresholds, earlier runs, sweeps, suites, and pages that a browser opens.

use crate::cli::{json, reluctor};
use reluctor_testing::scratch::Scratch;
use serde_json::Value;
use std::process::Command;

const LAYER: [&str; 5] = ["bench", "--conv", "1x4x16x16,8x3x3,p1,act=relu,pool=max2s2", "--device", "gpu"];
const SHORT: [&str; 6] = ["--duration", "0", "--warmup", "0", "--iterations", "3"];

fn bench<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&LAYER[..], &SHORT, more].concat()
}

#[test]
fn a_convolution_beyond_a_budget_is_exit_code_6_before_anything_is_allocated() {
    for (spec, budget) in [
        ("1x8x99999999x99999999,8x3x3", &["--max-memory", "64MiB"][..]),
        ("1x99999999x9x9,99999999x3x3", &[]),
        ("1x8x32x32,8x3x3", &["--max-flops", "1"]),
        ("1x8x32x32,8x3x3", &["--max-memory", "1KiB"]),
    ] {
        let ran = reluctor(&[&["bench", "--conv", spec, "--device", "cpu"], budget, &SHORT].concat());
        assert_eq!(ran.status.code(), Some(6), "{spec}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn a_threshold_that_does_not_hold_is_exit_code_1_and_one_on_nothing_a_usage_error() {
    let code = |assertion| reluctor(&bench(&["--assert", assertion])).status.code();
    assert_eq!(code("total.median<1000s"), Some(0));
    assert_eq!(code("total.median<1ns"), Some(1));
    assert_eq!(code("total.mode<1ns"), Some(2));
    assert_eq!(code("total.median"), Some(2));
}

#[test]
fn an_earlier_run_is_compared_with_and_one_of_another_subject_refused() {
    let scratch = Scratch::folder("against");
    let file = &scratch.file("earlier.json");
    assert!(reluctor(&bench(&["--export-json", file])).status.success());
    let report = json(&bench(&["--against", file, "--json"]));
    assert!(report["against"]["speedup"].as_f64().is_some_and(|speedup| speedup > 0.0), "{}", report["against"]);
    let other = ["bench", "--conv", "1x4x16x16,8x1x1", "--device", "gpu", "--against", file];
    let refused = reluctor(&[&other[..], &SHORT].concat());
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

#[test]
fn a_sweep_reports_a_point_for_each_size_and_an_exponent() {
    let report = json(&bench(&["--sweep", "size=8,16,32", "--json"]));
    let points = report["growth"]["points"].as_array().unwrap();
    assert_eq!(points.iter().map(|point| point["size"].as_u64().unwrap()).collect::<Vec<_>>(), [8, 16, 32]);
    assert!(points.windows(2).all(|pair| pair[0]["memory"].as_u64() < pair[1]["memory"].as_u64()));
    assert!(report["growth"]["exponent"].as_f64().is_some());
    let fixed = ["bench", "--sweep", "channels=1,2", "--device", "gpu"];
    assert_eq!(reluctor(&[&fixed[..], &SHORT].concat()).status.code(), Some(2));
}

#[test]
fn a_network_can_be_measured_on_the_cpu_and_with_cold_caches() {
    let cpu = json(&[&["bench", "--device", "cpu", "--batch", "2", "--json"][..], &SHORT].concat());
    assert!(cpu["results"].as_array().is_some_and(|rows| rows.len() > 3), "{cpu:#}");
    let cold = json(&bench(&["--cold", "--json"]));
    assert_eq!((&cold["cache"], &cpu["cache"]), (&"cold".into(), &"hot".into()));
}

#[test]
fn a_timeline_has_host_and_device_on_one_clock() {
    let scratch = Scratch::folder("timeline");
    let file = scratch.file("trace.json");
    assert!(reluctor(&bench(&["--trace", &file])).status.success());
    let trace: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let events: Vec<&Value> =
        trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
    let of = |thread: u64| events.iter().filter(move |event| event["tid"] == thread);
    let on_host: Vec<&str> = of(0).map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(on_host, ["plan", "load", "upload", "encode", "submit", "wait", "readback"]);
    let end = |event: &Value| event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap();
    let last = of(0).map(|event| end(event)).fold(0.0, f64::max);
    assert!(of(1).count() > 0 && of(1).all(|event| end(event) <= last + 1.0));
}

#[test]
fn percentiles_are_those_asked_for_and_a_threshold_may_be_on_one() {
    let report = json(&bench(&["--percentile", "50,99.9", "--json", "--assert", "total.p99.9<1000s"]));
    assert_eq!(report["total_ms"]["p50"], report["total_ms"]["median"]);
    assert!(report["ways"][1]["ms"]["p99.9"].as_f64() >= report["ways"][1]["ms"]["p90"].as_f64());
}

#[test]
fn without_fusion_there_is_nothing_to_compare() {
    let report = json(&bench(&["--no-fuse", "--json"]));
    let [way] = &report["ways"].as_array().unwrap()[..] else { panic!("{:#}", report["ways"]) };
    assert_eq!((&way["name"], &way["dispatches"]), (&"unfused".into(), &3.into()));
    assert_eq!((&report["fusion"], &report["savings"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    let activation_only = json(&bench(&["--fuse", "activation", "--json"]));
    assert_eq!(activation_only["ways"][0]["dispatches"], 2);
}

#[test]
fn steps_that_cannot_be_timed_are_refused_before_anything_is() {
    for flag in [&["--profile"][..], &["--trace", "never.json"]] {
        let refused = reluctor(&[&bench(&["--without", "timestamps"]), flag].concat());
        assert_eq!(refused.status.code(), Some(2), "{flag:?}");
    }
}

#[test]
fn a_profile_of_a_suite_has_the_steps_of_each_subject() {
    let suite = ["bench", "--suite", "pools", "--device", "cpu", "--json", "--no-fuse", "--profile"];
    let report = json(&[&suite[..], &["--duration", "0", "--warmup", "0", "--iterations", "1"]].concat());
    let (subjects, rows) = (report["ways"].as_array().unwrap(), report["results"].as_array().unwrap());
    assert_eq!(rows.len(), 3 * subjects.len(), "convolution, activation and pool");
    assert_eq!(rows[3]["subject"], subjects[1]["subject"]);
}

/// Chromium, where it is installed.
fn browser() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
}

#[test]
fn the_page_opens_without_a_request_or_an_error() {
    let scratch = Scratch::folder("page");
    let file = scratch.file("report.html");
    assert!(reluctor(&bench(&["--export-html", &file])).status.success());
    let text = std::fs::read_to_string(&file).unwrap();
    for forbidden in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!text.contains(forbidden), "the page contains {forbidden}");
    }
    let Some(browser) = browser() else { return println!("SKIPPED: no Chromium here opens the page") };
    let opened = opened(browser, &file, &scratch.file("browser"));
    assert!(opened.contains("<h2>Roofline</h2>") && opened.contains("</svg>"), "{opened}");
}

/// The page as the browser understood it. Nothing resolves, so a request would be an error in its log.
fn opened(browser: &str, page: &str, profile: &str) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--log-level=0"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"])
        .arg(format!("--user-data-dir={profile}"))
        .arg(format!("file://{page}"))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE") || line.contains("ERR_")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
