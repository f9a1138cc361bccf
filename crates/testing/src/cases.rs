//! ONNX models with inputs and the outputs they must have, on the CPU executor and on the device: what ONNX's own cases and
//! the golden ones have in common.

use crate::device::gpu;
use crate::tree::root;
use reluctor::cpu;
use reluctor::error::Error;
use reluctor::graph::Graph;
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::plan;
use reluctor::tensor::{Kind, Tensor};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum On {
    Cpu,
    Device,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == On::Cpu { "cpu" } else { "device" })
    }
}

/// What became of a case.
pub enum Outcome {
    /// With so many dispatches.
    Passed(usize),
    Unsupported(String),
    Wrong(String),
}

/// Inputs in the order in which the model declares them, and outputs.
pub struct DataSet {
    pub inputs: Vec<(String, Tensor)>,
    pub outputs: Vec<Tensor>,
}

/// `|x - y| <= atol + rtol |y|`, as numpy's `allclose` has it.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    pub rtol: f32,
    pub atol: f32,
}

impl Tolerance {
    /// Equal numbers (zeros of either sign are), the same infinities, NaN where NaN is expected, or close enough.
    fn allows(self, x: f32, y: f32) -> bool {
        let close = (x - y).abs() <= self.atol + self.rtol * y.abs();
        x == y || (x.is_nan() && y.is_nan()) || (y.is_finite() && close)
    }
}

/// Reals stay open until the network runs; integers and truth values are bound.
fn split(inputs: &[(String, Tensor)]) -> (Bindings, Vec<(&str, &Tensor)>) {
    let (mut bindings, mut open) = (Bindings::default(), Vec::new());
    for (name, tensor) in inputs {
        if tensor.kind() == Kind::Real {
            bindings.shapes.insert(name.clone(), tensor.shape().to_vec());
            open.push((name.as_str(), tensor));
        } else {
            bindings.constants.insert(name.clone(), tensor.clone());
        }
    }
    (bindings, open)
}

/// What a run gave, and how many dispatches it took.
pub struct Computed {
    pub results: Vec<(String, Tensor)>,
    pub dispatches: usize,
}

fn run(graph: &Graph, inputs: &[(&str, &Tensor)], on: On) -> Result<Computed, Error> {
    if on == On::Cpu {
        return Ok(Computed { results: cpu::Session::<f32>::new(graph).run(inputs)?, dispatches: 0 });
    }
    let plan = plan(graph, &gpu().limits())?;
    Ok(Computed { dispatches: plan.dispatches().count(), results: gpu().load(&plan)?.run(inputs)? })
}

/// Runs with all fusions allowed.
pub fn computed(model: &Model, inputs: &[(String, Tensor)], on: On) -> Result<Computed, Error> {
    let (bindings, given) = split(inputs);
    let graph = model.graph(&bindings).and_then(|graph| optimize(graph, &Fusion::all()))?;
    run(&graph, &given, on)
}

/// Runs a model on each set of inputs and holds what it gives against the outputs.
pub fn outcome(model: &Model, sets: &[DataSet], on: On, tolerance: Tolerance) -> Outcome {
    let mut dispatches = 0;
    for set in sets {
        match computed(model, &set.inputs, on) {
            Ok(computed) => {
                if let Some(difference) = difference(&computed.results, &set.outputs, tolerance) {
                    return Outcome::Wrong(difference);
                }
                dispatches += computed.dispatches;
            }
            Err(Error::Unsupported { nodes, .. }) => {
                let reasons: BTreeSet<String> =
                    nodes.iter().map(|node| format!("{}: {}", node.op_type, node.reason)).collect();
                return Outcome::Unsupported(reasons.into_iter().collect::<Vec<_>>().join("; "));
            }
            Err(error) => return Outcome::Wrong(error.to_string()),
        }
    }
    Outcome::Passed(dispatches)
}

/// The first difference that the tolerance does not allow.
pub fn difference(results: &[(String, Tensor)], expected: &[Tensor], tolerance: Tolerance) -> Option<String> {
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
                first_unlike(name, result, expected, |&x, &y| tolerance.allows(x, y))
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

/// What became of many cases.
#[derive(Default)]
pub struct Tally {
    pub passed: usize,
    /// Those that passed without a dispatch: on the CPU all of them.
    pub idle: Vec<String>,
    /// `CASE: unsupported: REASON`
    pub refused: BTreeSet<String>,
    /// `PLACE CASE: WHAT`
    pub wrong: Vec<String>,
}

impl Tally {
    /// Runs every case; one that panics is wrong.
    pub fn of<'a>(suite: &str, cases: impl Iterator<Item = &'a str>, on: On, run: impl Fn(&str) -> Outcome) -> Self {
        let mut tally = Tally::default();
        for case in cases {
            let outcome = catch_unwind(AssertUnwindSafe(|| run(case)));
            tally.add(case, on, outcome.unwrap_or_else(|_| Outcome::Wrong("panicked".to_string())));
        }
        println!("{suite} on {on}: {tally}");
        tally
    }

    /// Counts a case.
    pub fn add(&mut self, case: &str, on: On, outcome: Outcome) {
        match outcome {
            Outcome::Passed(dispatches) => {
                self.passed += 1;
                if dispatches == 0 {
                    self.idle.push(case.to_string());
                }
            }
            Outcome::Unsupported(reason) => drop(self.refused.insert(format!("{case}: unsupported: {reason}"))),
            Outcome::Wrong(what) => self.wrong.push(format!("{on} {case}: {what}")),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [passed, idle, wrong] = [self.passed, self.idle.len(), self.wrong.len()];
        write!(f, "{passed} passed ({idle} without a dispatch), {} unsupported, {wrong} wrong", self.refused.len())
    }
}

/// Panics where a case is wrong, is refused and not in the list, or is in the list and not refused. `RELUCTOR_UPDATE=1`
/// rewrites the list, which lies beside the tests under the name `file`.
pub fn check_list(file: &str, listed: &str, [on_cpu, on_device]: [Tally; 2]) {
    let wrong = [on_cpu.wrong, on_device.wrong].concat();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let only = on_device.refused.difference(&on_cpu.refused).map(|line| format!("{line} (device only)"));
    let refused: BTreeSet<String> = on_cpu.refused.iter().cloned().chain(only).collect();
    if std::env::var_os("RELUCTOR_UPDATE").is_some() {
        let path = root().join("tests/it").join(file);
        std::fs::write(path, refused.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        return;
    }
    if let Some(complaint) = out_of_date(listed, &refused) {
        panic!("{file}: {complaint}");
    }
}

/// Where a list differs from what was refused.
fn out_of_date(listed: &str, refused: &BTreeSet<String>) -> Option<String> {
    let listed: BTreeSet<String> = listed.lines().map(str::to_string).collect();
    let unlisted: Vec<_> = refused.difference(&listed).collect();
    let surplus: Vec<_> = listed.difference(refused).collect();
    let same = unlisted.is_empty() && surplus.is_empty();
    (!same).then(|| format!("refused, not listed: {unlisted:#?}\nlisted, not so: {surplus:#?}"))
}

#[test]
fn a_list_is_out_of_date_where_a_case_is_missing_or_starts_to_pass() {
    let refused = BTreeSet::from(["a: unsupported: x".to_string(), "b: unsupported: y".to_string()]);
    assert_eq!(out_of_date("a: unsupported: x\nb: unsupported: y\n", &refused), None);
    for listed in [
        "a: unsupported: x\n",
        "a: unsupported: x\nb: unsupported: y\nc: unsupported: z\n",
        "a: unsupported: x\nb: unsupported: x\n",
    ] {
        assert!(out_of_date(listed, &refused).is_some(), "{listed}");
    }
}

#[test]
fn a_tolerance_does_not_extend_to_infinities_and_nan() {
    let tolerance = Tolerance { rtol: 0.5, atol: 1.0 };
    for (x, y) in [(1.0, 1.5), (0.0, -0.0), (f32::INFINITY, f32::INFINITY), (f32::NAN, f32::NAN)] {
        assert!(tolerance.allows(x, y), "{x} for {y}");
    }
    for (x, y) in
        [(1.0, 5.0), (f32::MAX, f32::INFINITY), (f32::NEG_INFINITY, f32::INFINITY), (f32::NAN, 1.0), (1.0, f32::NAN)]
    {
        assert!(!tolerance.allows(x, y), "{x} for {y}");
    }
}
