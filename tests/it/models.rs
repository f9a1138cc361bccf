//! Real networks with stored outputs. Their files are no part of this project: `RELUCTOR_MODELS` names their folder, and
//! `cargo test -- --ignored real_networks` runs these tests.

use reluctor::cpu;
use reluctor::files::read_tensor;
use reluctor::graph::Graph;
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::{Fusion, optimize};
use reluctor::plan::{Limits, plan};
use reluctor::tensor::Tensor;
use reluctor_testing::device::gpu;
use reluctor_testing::tree::models;
use std::path::{Path, PathBuf};

const MODELS: [&str; 7] = [
    "squeezenet_imagenet",
    "mobilenet_v2_imagenet",
    "resnet20_cifar10_b4",
    "mnist_cntk",
    "super_resolution_x3",
    "mtcnn_onet",
    "waifu2x_upconv7_2x",
];

/// The networks' folders.
fn networks() -> impl Iterator<Item = PathBuf> {
    MODELS.iter().map(|name| models().join(name))
}

struct Case {
    graph: Graph,
    inputs: Vec<(String, Tensor)>,
    outputs: Vec<Tensor>,
}

fn load(folder: &Path, fusion: &Fusion) -> Case {
    let model = Model::open(folder.join("model.onnx")).unwrap();
    let mut bindings = Bindings::default();
    let mut inputs = Vec::new();
    for (index, declared) in model.inputs().unwrap().iter().enumerate() {
        let tensor = read_tensor(folder.join(format!("input_{index}.npy"))).unwrap();
        bindings.shapes.insert(declared.name.clone(), tensor.shape().to_vec());
        inputs.push((declared.name.clone(), tensor));
    }
    let graph = optimize(model.graph(&bindings).unwrap(), fusion).unwrap();
    let stored = (0..graph.outputs.len()).map(|index| read_tensor(folder.join(format!("output_{index}.npy"))).unwrap());
    Case { outputs: stored.collect(), graph, inputs }
}

fn given(case: &Case) -> Vec<(&str, &Tensor)> {
    case.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

#[test]
#[ignore = "needs the networks of RELUCTOR_MODELS"]
fn real_networks_take_little_more_memory_than_weights_and_what_lives_at_one_time() {
    for path in networks() {
        let graph = load(&path, &Fusion::all()).graph;
        for limits in [gpu().limits(), Limits::default()] {
            let plan = plan(&graph, &limits).unwrap();
            let (peak, least) = (plan.peak_bytes() as f64, (plan.weights_bytes() + plan.live_bytes()) as f64);
            assert!(peak <= 1.25 * least, "{}: {:.3} times", path.display(), peak / least);
        }
    }
}

/// |d| <= 1e-3 of the output's range + 1e-3 of the element, and the same winner in each row of a classifier's output.
fn assert_close(what: &str, computed: &[(String, Tensor)], stored: &[Tensor]) {
    assert_eq!(computed.len(), stored.len(), "{what}");
    for ((name, computed), stored) in computed.iter().zip(stored) {
        let (computed, stored) = (computed.as_real().unwrap(), stored.as_real().unwrap());
        assert_eq!(computed.shape(), stored.shape(), "{what}: {name}");
        let largest = stored.iter().fold(0f32, |most, x| most.max(x.abs()));
        for (index, (&x, &y)) in computed.iter().zip(stored).enumerate() {
            assert!((x - y).abs() <= 1e-3 * largest + 1e-3 * y.abs(), "{what}: {name}[{index}] is {x}, not {y}");
        }
        if let &[_, classes] = stored.shape() {
            for (x, y) in rows(computed, classes).zip(rows(stored, classes)) {
                assert_eq!(winner(&x), winner(&y), "{what}: {name}");
            }
        }
    }
}

fn rows(array: &ndarray::ArrayD<f32>, classes: usize) -> impl Iterator<Item = Vec<f32>> {
    let all: Vec<f32> = array.iter().copied().collect();
    (0..all.len() / classes).map(move |row| all[row * classes..][..classes].to_vec())
}

fn winner(row: &[f32]) -> Option<usize> {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]))
}

#[test]
#[ignore = "needs the networks of RELUCTOR_MODELS"]
fn real_networks_give_their_stored_outputs_on_the_cpu_fused_and_unfused() {
    for folder in networks() {
        for fusion in [Fusion::all(), Fusion::none()] {
            let case = load(&folder, &fusion);
            let outputs = cpu::Session::<f32>::new(&case.graph).run(&given(&case)).unwrap();
            assert_close(&format!("{}, {fusion:?}", folder.display()), &outputs, &case.outputs);
        }
    }
}

#[test]
#[ignore = "needs the networks of RELUCTOR_MODELS"]
fn real_networks_give_their_stored_outputs_on_the_device() {
    for folder in networks() {
        let case = load(&folder, &Fusion::all());
        let session = gpu().load(&plan(&case.graph, &gpu().limits()).unwrap()).unwrap();
        let outputs = session.run(&given(&case)).unwrap();
        assert_close(&folder.display().to_string(), &outputs, &case.outputs);
    }
}
