//! What is fuzzed: each function takes any bytes and must come back, whatever they are, without a panic, in little memory.
//! The coverage-guided targets in `fuzz_targets/` call these, and so does the smoke test of the crate itself, which needs no
//! fuzzer.

mod skeleton;

pub use skeleton::network;

use reluctor::budget::Budget;
use reluctor::graph::Graph;
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::{Limits, plan};
use reluctor::{cpu, files};
use reluctor_lab::bench::ConvSpec;
use reluctor_vision::image;
use std::str::FromStr;

/// What any of them may ask for: little, so that each run is short.
fn bindings() -> Bindings {
    let budget = Budget { memory: 16 << 20, flops: Some(1 << 24), nodes: Some(1_000) };
    Bindings { budget, ..Bindings::default() }
}

/// The reader of the wire format and of the messages: a file's outline.
pub fn protobuf(data: &[u8]) {
    if let Ok(model) = Model::from_bytes("fuzzed", data.to_vec()) {
        let _ = (model.opset(), model.inputs());
    }
}

/// A file from its bytes to plans for two kinds of device, and through the CPU executor.
pub fn model(data: &[u8]) {
    if let Ok(graph) = Model::from_bytes("fuzzed", data.to_vec()).and_then(|model| model.graph(&bindings())) {
        lowered(graph);
    }
}

/// Passes, planning and one run with zeros.
fn lowered(graph: Graph) {
    let Ok(fused) = optimize(graph, &Fusion::all()) else { return };
    fused.validate().expect("a pass keeps a graph whole");
    for limits in [Limits::default(), Limits { software: true, subgroup_lanes: 8, ..Limits::default() }] {
        let _ = plan(&fused, &Limits { max_memory: Some(64 << 20), ..limits });
    }
    let real =
        fused.inputs.iter().map(|&id| fused.value(id)).filter(|value| value.ty.kind == reluctor::tensor::Kind::Real);
    let inputs: Vec<_> = real.map(|value| (value.name.clone(), zeros(&value.ty.shape))).collect();
    if inputs.len() == fused.inputs.len() && bindings().budget.run_on_cpu(&fused).is_ok() {
        let inputs: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let _ = cpu::Session::<f32>::new(&fused).run(&inputs);
    }
}

fn zeros(shape: &[usize]) -> reluctor::tensor::Tensor {
    let numbers = vec![0.0; shape.iter().product()];
    reluctor::tensor::Tensor::real(shape, numbers).expect("as many numbers as elements")
}

/// Files of tensors: the first byte says of which kind.
pub fn tensors(data: &[u8]) {
    let Some((&kind, content)) = data.split_first() else { return };
    let extension = ["npy", "npz", "pb", "safetensors"][usize::from(kind) % 4];
    // One for each thread that fuzzes: readers take paths, as they may map or seek.
    let thread = format!("{:?}", std::thread::current().id());
    let name = format!("reluctor-fuzz-{}-{thread}.{extension}", std::process::id());
    let path = std::env::temp_dir().join(name);
    if std::fs::write(&path, content).is_ok() {
        let _ = (files::read_tensors(&path), files::read_tensor(&path));
    }
}

/// PNG, JPEG and WebP.
pub fn picture(data: &[u8]) {
    if let Ok(picture) = image::from_bytes("fuzzed", data) {
        let _ = (picture.rgb(), picture.grey());
    }
}

/// What is written on a command line: convolutions, and names of devices.
pub fn spec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = ConvSpec::from_str(text);
    let _ = reluctor::gpu::Choice::from_str(text);
}
