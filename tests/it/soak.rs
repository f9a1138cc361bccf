//! Long runs: memory stays where it was, nothing is compiled again, and every run gives the same bits.

use reluctor::device::Device;
use reluctor::gpu::{Choice, Gpu};
use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::plan::plan;
use reluctor::tensor::{Tensor, TensorType};
use reluctor::{Model, Options};
use reluctor_testing::device;
use reluctor_testing::random::{Numbers, Random};
use reluctor_testing::tree::asset;
use std::collections::HashMap;
use std::path::Path;

/// Resident memory in KiB; none where the system does not say.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}

/// Runs over batches of these sizes in turn. Memory is looked at after the first tenth, when all is warm, and at the end.
fn soak(model: &Model, input: &str, image: [usize; 3], batches: &[usize], runs: usize) {
    let gpu = Gpu::open(&Choice::Gpu, &Default::default()).unwrap().unwrap();
    let options = Options { plans: batches.len(), ..Options::default() };
    let session = model.session_on(&Device::Gpu(gpu.clone()), &options).unwrap();
    let mut random = Random::new(1);
    let mut tensor = |&batch: &usize| random.tensor(Numbers::Reals, &[&[batch], &image[..]].concat());
    let inputs: Vec<Tensor> = batches.iter().map(&mut tensor).collect();
    let mut first: HashMap<usize, Vec<(String, Tensor)>> = HashMap::new();
    let mut warm = None;
    for run in 0..runs {
        let turn = run % batches.len();
        let outputs = session.run(&[(input, &inputs[turn])]).unwrap();
        let expected = first.entry(turn).or_insert_with(|| outputs.clone());
        assert_eq!(*expected, outputs, "run {run}");
        if run == (runs / 10).max(2 * batches.len()) {
            warm = Some((resident(), gpu.compiled(), gpu.allocated(), session.held()));
        }
    }
    let (was, compiled, allocated, held) = warm.expect("more runs than that");
    assert_eq!((compiled, allocated, held), (gpu.compiled(), gpu.allocated(), session.held()));
    if let (Some(was), Some(is)) = (was, resident()) {
        println!("{runs} runs: {was} KiB, at the end {is} KiB");
        // Other tests run in this process; alone, the long soaks grow by less than a MiB.
        let room = if runs >= 500 { 4 << 10 } else { 512 << 10 };
        assert!(is < was + room, "{was} KiB became {is}");
    }
}

#[test]
fn a_hundred_runs_leave_nothing_behind() {
    soak(&Model::open(asset("fashion_mnist.onnx")).unwrap(), "image", [1, 28, 28], &[1, 3, 2], 100);
}

/// `cargo test --release soak -- --ignored --test-threads 1 --nocapture`; minutes on a software adapter.
#[test]
#[ignore = "takes minutes, and must run alone"]
fn soak_ten_thousand_runs_of_the_default_network() {
    soak(&Model::open(asset("fashion_mnist.onnx")).unwrap(), "image", [1, 28, 28], &[1, 2, 5], 10_000);
}

/// A file of MobileNetV2 is looked for where `RELUCTOR_MOBILENET` says.
#[test]
#[ignore = "takes minutes, needs a file, and must run alone"]
fn soak_five_hundred_runs_of_mobilenet_with_changing_batch() {
    let path = std::env::var("RELUCTOR_MOBILENET").expect("RELUCTOR_MOBILENET names a file");
    let model = Model::open(Path::new(&path)).unwrap();
    let name = model.inputs().unwrap()[0].name.clone();
    soak(&model, &name, [3, 224, 224], &[1, 2], 500);
}

#[test]
fn what_a_plan_says_it_takes_is_what_the_device_allocates() {
    let mut random = Random::new(4);
    let pads = [("pads", AttributeValue::Ints(vec![1; 4]))];
    let mut build = ModelBuilder::new(17);
    build
        .input("x", &TensorType::real([1, 64, 96, 96]))
        .initializer("w1", &random.tensor(Numbers::Reals, &[128, 64, 3, 3]))
        .initializer("w2", &random.tensor(Numbers::Reals, &[64, 128, 3, 3]))
        .node("Conv", "one", &["x", "w1"], &["a"], &pads)
        .node("Relu", "relu", &["a"], &["b"], &[])
        .node("Conv", "two", &["b", "w2"], &["c"], &pads)
        .node("GlobalAveragePool", "mean", &["c"], &["y"], &[])
        .output("y", None);
    let graph = Model::from_bytes("large", build.to_bytes()).unwrap().graph(&Default::default()).unwrap();
    for kernel in ["conv_subgroup", "conv_winograd", "conv_tile"] {
        // A device of its own: others allocate on the shared one.
        let gpu = Gpu::open(&Choice::Gpu, &Default::default()).unwrap().unwrap();
        let limits = reluctor::plan::Limits { conv_kernel: Some(kernel.into()), ..device::gpu().limits() };
        let plan = plan(&graph, &limits).unwrap();
        let Some(before) = gpu.allocated() else { return };
        let session = gpu.load(&plan).unwrap();
        let taken = gpu.allocated().unwrap() - before;
        let ratio = taken as f64 / plan.peak_bytes() as f64;
        assert!((0.98..1.02).contains(&ratio), "{kernel}: {} bytes planned, {taken} taken", plan.peak_bytes());
        drop(session);
    }
}
