//! ONNX's own test cases for backends, on the CPU executor and on the device. `scripts/fetch-onnx-suite` brings their files;
//! `suite_cases.txt` names those that concern networks of images, and `suite_unsupported.txt` those that are refused, each
//! with the reason: `RELUCTOR_UPDATE=1 cargo test suite` rewrites it.

use reluctor::files::write_npy;
use reluctor::gpu::Gpu;
use reluctor::onnx::{Bindings, Model, ModelBuilder};
use reluctor::passes::Fusion;
use reluctor::plan::plan;
use reluctor::random::Random;
use reluctor::tensor::Tensor;
use reluctor_lab::compare::{Certified, Tolerance, certified};
use reluctor_lab::suite::{self, Outcome as Verdict};
use reluctor_testing::cases::{On, Outcome, Tally, check_list};
use reluctor_testing::device::gpu;
use reluctor_testing::scratch::Scratch;
use reluctor_testing::tree::onnx_suite;
use std::path::Path;

const CASES: &str = include_str!("suite_cases.txt");
const UNSUPPORTED: &str = include_str!("suite_unsupported.txt");

fn tally(on: On) -> Tally {
    let (gpu, mut tally) = ((on == On::Device).then(gpu), Tally::default());
    for case in CASES.lines() {
        let (bindings, fusion) = (Bindings::default(), Fusion::all());
        let report = suite::run(case, &onnx_suite().join(case), gpu, &bindings, &fusion, Tolerance::RoundingBound);
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
    check_list("suite_unsupported.txt", UNSUPPORTED, [On::Cpu, On::Device].map(tally));
}

/// A case of one convolution whose sums cancel, stored as another engine in f32 might have, off by so many bounds at the element
/// that is nearest to zero.
fn off_by(bounds: f64, gpu: Option<&Gpu>) -> Verdict {
    let folder = Scratch::folder(&format!("suite-off-{bounds}-{}", gpu.is_some()));
    let mut random = Random::new(11);
    let x = random.tensor(&[1, 64, 9, 11], &(-9.0..9.0)).unwrap();
    let mut model = ModelBuilder::new(17);
    model
        .input("x", &x.tensor_type())
        .initializer("w", &random.tensor(&[5, 64, 3, 3], &(-1.0..1.0)).unwrap())
        .node("Conv", "conv", &["x", "w"], &["y"], &[])
        .output("y", None);
    std::fs::write(folder.file("model.onnx"), model.to_bytes()).unwrap();
    let graph = Model::from_bytes("case", model.to_bytes()).unwrap().graph(&Bindings::default()).unwrap();
    let plan = gpu.map(|gpu| plan(&graph, &gpu.limits()).unwrap());
    let Certified { exact, bound } = certified(&graph, plan.as_ref(), &[("x", &x)]).unwrap().remove(0).unwrap();
    let (exact, bound) = (exact.as_real().unwrap(), bound.unwrap());
    let mut stored: Vec<f64> = exact.iter().copied().collect();
    let at = (0..stored.len()).min_by(|&a, &b| stored[a].abs().total_cmp(&stored[b].abs())).unwrap();
    stored[at] += bounds * bound.iter().nth(at).unwrap();
    let stored = Tensor::real(exact.shape(), stored.into_iter().map(|x| x as f32).collect()).unwrap();
    let set = std::path::PathBuf::from(folder.file("test_data_set_0"));
    std::fs::create_dir_all(&set).unwrap();
    write_npy(set.join("input_0.npy"), &x).unwrap();
    write_npy(set.join("output_0.npy"), &stored).unwrap();
    let (bindings, fusion) = (Bindings::default(), Fusion::all());
    suite::run("case", Path::new(folder.path()), gpu, &bindings, &fusion, Tolerance::RoundingBound).verdict
}

#[test]
fn stored_outputs_of_another_engine_may_be_off_by_its_bound_and_ours_and_no_further() {
    for device in [None, Some(gpu())] {
        assert_eq!(off_by(0.9, device), Verdict::Passed);
        assert_eq!(off_by(-0.9, device), Verdict::Passed);
        assert_eq!(off_by(4.0, device), Verdict::Wrong);
        assert_eq!(off_by(-4.0, device), Verdict::Wrong);
    }
}
