//! Graphs of one operator against ONNX Runtime's outputs, on the CPU executor and on the device. `tests/golden/generate.py` makes
//! the archive; `golden_unsupported.txt` lists what is refused, each with the reason: `RELUCTOR_UPDATE=1 cargo test golden`
//! rewrites it.

use reluctor::files::read_tensors;
use reluctor::onnx::Model;
use reluctor::tensor::Tensor;
use reluctor_testing::cases::{DataSet, On, Tally, Tolerance, check_list, computed, difference, outcome};
use std::path::Path;
use std::sync::OnceLock;

const UNSUPPORTED: &str = include_str!("golden_unsupported.txt");

/// The unit roundoff of f32.
const U: f32 = f32::EPSILON / 2.0;

struct Golden {
    /// `OPERATOR/what is special`
    name: String,
    model: Model,
    set: DataSet,
}

/// The archive: for each case `NAME/model`, the file's bytes, then `NAME/input_INPUT` for each input, then `NAME/output`.
fn archive() -> &'static [Golden] {
    static ARCHIVE: OnceLock<Vec<Golden>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases.npz");
        let mut cases: Vec<Golden> = Vec::new();
        for (member, tensor) in read_tensors(path).unwrap() {
            let (name, part) = member.rsplit_once('/').unwrap();
            if part == "model" {
                let bytes = tensor.as_int().unwrap().iter().map(|&byte| u8::try_from(byte).unwrap()).collect();
                let model = Model::from_bytes(name, bytes).unwrap();
                let set = DataSet { inputs: Vec::new(), outputs: Vec::new() };
                cases.push(Golden { name: name.to_string(), model, set });
                continue;
            }
            let case = cases.last_mut().filter(|case| case.name == name).expect("a model comes first");
            match part.strip_prefix("input_") {
                Some(input) => case.set.inputs.push((input.to_string(), tensor)),
                None => case.set.outputs.push(tensor),
            }
        }
        cases
    })
}

/// Each case's name, model and inputs.
pub fn models() -> impl Iterator<Item = (&'static str, &'static Model, &'static [(String, Tensor)])> {
    archive().iter().map(|case| (case.name.as_str(), &case.model, case.set.inputs.as_slice()))
}

fn golden(name: &str) -> &'static Golden {
    archive().iter().find(|case| case.name == name).expect("it is in the archive")
}

/// How far a result may lie from ONNX Runtime's.
///
/// Convolutions, products and arithmetic work on multiples of powers of two so few that no partial sum rounds, whatever
/// its order, and a maximum or a move never rounds: equal, bit for bit but for the sign of zero.
fn tolerance(case: &str, on: On) -> Tolerance {
    // WGSL's exp is good to 3 + 2 |x| ULP, of at most 2 U each, and |x| is at most 16 where the result is not tiny.
    let smooth = if on == On::Device { 96.0 * U } else { 16.0 * U };
    let (operator, what) = case.split_once('/').expect("OPERATOR/what is special");
    let (rtol, atol) = match operator {
        "Conv" | "ConvTranspose" | "Gemm" | "MatMul" | "MaxPool" | "GlobalMaxPool" | "Relu" | "LeakyRelu" | "PRelu"
        | "Clip" | "ThresholdedRelu" | "Add" | "Sub" | "Mul" | "Concat" | "Pad" | "Transpose" | "DepthToSpace" => {
            (0.0, 0.0)
        }
        "Resize" if what.starts_with("nearest") => (0.0, 0.0),
        // A mean of means, which are rounded and may cancel.
        "AveragePool" if what == "volume" => (6.0 * U, 2.0 * U),
        // Sums are exact; WGSL divides to 2.5 ULP, of at most 2 U each.
        "Div" | "AveragePool" | "GlobalAveragePool" => (6.0 * U, 0.0),
        // A few roundings of numbers up to 1.
        "HardSigmoid" | "HardSwish" | "Softsign" => (6.0 * U, 4.0 * U),
        // Coordinates round, and the weights with them: up to 16 terms of up to 1, which may cancel.
        "Resize" => (16.0 * U, 16.0 * U),
        // ONNX Runtime's sigmoid and erf are polynomials with an absolute error near U, which x, up to 8, multiplies.
        "Gelu" | "Mish" | "Swish" => (smooth, 16.0 * U),
        // It takes exp(x) - 1 as it stands, and tanh from such a polynomial.
        _ => (smooth, 4.0 * U),
    };
    // A device may take denormals for zeros, before and after each operation.
    let flushed = if on == On::Device { 2.0 * f32::MIN_POSITIVE } else { 0.0 };
    Tolerance { rtol, atol: atol + flushed }
}

fn tally(on: On) -> Tally {
    Tally::of("golden cases", archive().iter().map(|case| case.name.as_str()), on, |name| {
        let Golden { model, set, .. } = golden(name);
        outcome(model, std::slice::from_ref(set), on, tolerance(name, on))
    })
}

#[test]
fn golden_cases_pass_or_are_listed_as_unsupported() {
    let tallies = [On::Cpu, On::Device].map(tally);
    assert!(tallies.iter().all(|tally| tally.passed >= 300), "too few cases to mean much");
    let idle = tallies[1].idle.clone();
    check_list("golden_unsupported.txt", UNSUPPORTED, tallies);
    assert!(idle.is_empty(), "these never reached the device: {idle:#?}");
}

#[test]
fn a_golden_output_off_by_a_little_more_than_the_tolerance_is_a_difference() {
    let mut perturbed = 0;
    for Golden { name, model, set } in archive() {
        let Ok(computed) = computed(model, &set.inputs, On::Cpu) else { continue };
        let tolerance = tolerance(name, On::Cpu);
        let expected = set.outputs[0].as_real().unwrap();
        for at in [0, expected.len() / 2, expected.len() - 1] {
            let mut wrong = expected.clone();
            let y = wrong.iter_mut().nth(at).unwrap();
            *y = beyond(*y, tolerance);
            let noticed = difference(&computed.results, &[Tensor::Real(wrong)], tolerance);
            assert!(noticed.is_some_and(|what| what.contains(&format!("[{at}]"))), "{name}: element {at}");
        }
        perturbed += 1;
    }
    assert!(perturbed >= 300, "{perturbed} cases");
}

/// A number that nothing within the tolerance of `y` may pass for.
fn beyond(y: f32, Tolerance { rtol, atol }: Tolerance) -> f32 {
    if y.is_finite() { (y + 3.0 * (atol + rtol * y.abs())).next_up() } else { 0.0 }
}

#[test]
fn a_golden_output_of_another_shape_is_a_difference() {
    let case = golden("Conv/kernel_3x5");
    let computed = computed(&case.model, &case.set.inputs, On::Cpu).unwrap();
    let exact = Tolerance { rtol: 0.0, atol: 0.0 };
    assert_eq!(difference(&computed.results, &case.set.outputs, exact), None);
    let flat = case.set.outputs[0].as_real().unwrap().flatten().into_owned().into_dyn();
    assert!(difference(&computed.results, &[Tensor::Real(flat)], exact).is_some());
}
