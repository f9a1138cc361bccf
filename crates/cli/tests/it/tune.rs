//! Tuning: what is right and fastest is chosen, what is wrong never.

use reluctor::error::{Error, Result};
use reluctor::graph::Graph;
use reluctor::ops::conv::choice::FAMILIES;
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::fault::Fault;
use reluctor::plan::{Limits, Plan, plan};
use reluctor_lab::bench::ConvSpec;
use reluctor_lab::tune::{Key, Table, tune};
use reluctor_testing::device::gpu;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const SPEC: &str = "1x32x14x14,32x3x3,p1,act=relu";

fn graph() -> Graph {
    optimize(SPEC.parse::<ConvSpec>().unwrap().graph().unwrap(), &Fusion::all()).unwrap()
}

fn tuned(plan: &dyn Fn(&Graph, &Limits) -> Result<Plan>) -> Table {
    let mut table = Table::new(Key::new(gpu().report()));
    tune(gpu(), &graph(), &mut table, plan, &mut |_, _, _| {}).unwrap();
    table
}

/// A plan whose convolution makes no product at all: nothing is faster.
fn idle(mut plan: Plan) -> Plan {
    let edits = [("ky < p.k_h;", "ky < 0u;"), ("slab <= tile.slabs;", "slab <= 0u;"), ("point < 36u;", "point < 0u;")];
    let faults = edits.map(|(find, replace)| Fault { node: None, find: find.into(), replace: replace.into() });
    assert!(faults.iter().any(|fault| plan.inject(fault).is_ok()), "no product to leave out: {plan}");
    plan
}

#[test]
fn the_fastest_candidate_is_kept_and_planned_with() {
    let table = tuned(&plan);
    let (problem, fastest) = table.fastest.iter().next().expect("one convolution");
    assert!(problem.starts_with("1x32x14x14,32x3x3,") && problem.ends_with("act=relu"), "{problem}");
    assert!(FAMILIES.iter().any(|family| family.is_named(&fastest.candidate)), "{fastest:?}");
    assert!(fastest.ms > 0.0 && fastest.rule_ms.unwrap() >= fastest.ms, "{fastest:?}");
    assert!(table.quarantined.is_empty());
    let planned = plan(&graph(), &gpu().clone().tuned(table.choices()).limits()).unwrap();
    let because = planned.steps()[0].chosen_because.clone().unwrap();
    assert_eq!(because, format!("{} was the fastest when it was measured", fastest.candidate));
}

#[test]
fn a_wrong_candidate_is_quarantined_however_fast_it_is() {
    let right = tuned(&plan);
    let (problem, fastest) = right.fastest.iter().next().unwrap();
    // What would be chosen without the fault, and what the rule would take.
    for planted in [&fastest.candidate, &fastest.rule] {
        let table = tuned(&|graph, limits| {
            let plan = plan(graph, limits)?;
            Ok(if limits.conv_kernel.as_deref() == Some(planted) { idle(plan) } else { plan })
        });
        assert_ne!(&table.fastest[problem].candidate, planted);
        let [wrong] = &table.quarantined[problem][..] else { panic!("{:?}", table.quarantined) };
        assert!(wrong.candidate == *planted && wrong.reason.contains("computes another function"), "{wrong:?}");
        let limits = gpu().clone().tuned(table.choices()).limits();
        let because = plan(&graph(), &limits).unwrap().steps()[0].chosen_because.clone().unwrap();
        assert!(!because.starts_with(planted.as_str()), "{because}");
    }
}

#[test]
fn a_candidate_that_cannot_be_planned_is_quarantined_too() {
    let table = tuned(&|graph, limits| match limits.conv_kernel.as_deref() {
        Some("conv_tile") => Err(Error::Device("planted".into())),
        _ => plan(graph, limits),
    });
    let wrong: Vec<_> = table.quarantined.values().flatten().collect();
    assert!(wrong.len() == 1 && wrong[0].reason.contains("planted"), "{wrong:?}");
}

#[test]
fn what_is_known_is_not_measured_again() {
    let mut table = tuned(&plan);
    let before = table.clone();
    let never = |_: &Graph, _: &Limits| -> Result<Plan> { panic!("measured again") };
    tune(gpu(), &graph(), &mut table, &never, &mut |_, _, _| {}).unwrap();
    assert_eq!(table, before);
}

/// A cache of one's own, which goes away with the test.
struct Cache(PathBuf);

impl Cache {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("reluctor-tune-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Cache(folder)
    }

    fn reluctor(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reluctor"));
        command.args(arguments).env("NODEVICE_SELECT", "1").env("XDG_CACHE_HOME", &self.0).stdin(Stdio::null());
        command.output().expect("the binary runs")
    }

    fn tune(&self) -> Output {
        let quick = ["--iterations", "1", "--duration", "0", "--warmup", "0"];
        self.reluctor(&[&["bench", "--conv", SPEC, "--device", "gpu", "--tune"], &quick[..]].concat())
    }

    fn table(&self) -> Value {
        let output = self.reluctor(&["tune", "--device", "gpu", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The tables; pipelines and roofs are kept beside them.
    fn tables(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.join("reluctor")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tune-"))).collect()
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// The command line keeps its tables where Linux keeps caches; elsewhere the folder cannot be chosen by a variable.
#[cfg(target_os = "linux")]
#[test]
fn the_command_line_keeps_exports_imports_and_survives_what_it_measured() {
    let cache = Cache::new("cli");
    let output = cache.tune();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Fused, and by itself.
    let table = cache.table();
    assert_eq!(table["fastest"].as_object().unwrap().len(), 2, "{table}");

    let exported = cache.0.join("exported.json");
    let path = exported.to_str().unwrap();
    assert!(cache.reluctor(&["tune", "--device", "gpu", "--export", path]).status.success());
    let elsewhere = Cache::new("elsewhere");
    assert!(elsewhere.reluctor(&["tune", "--import", path]).status.success());
    assert_eq!(elsewhere.table(), table);

    let [file] = &cache.tables()[..] else { panic!("{:?}", cache.tables()) };
    std::fs::write(file, "{ not a table").unwrap();
    let output = cache.reluctor(&["tune", "--device", "gpu", "--json"]);
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && warning.contains("warning:") && warning.contains("is not used"), "{warning}");
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["fastest"].as_object().unwrap().len(), 0);
    assert_eq!(cache.reluctor(&["tune", "--import", file.to_str().unwrap()]).status.code(), Some(4));
}
