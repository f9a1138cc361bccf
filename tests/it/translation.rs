//! Translation validation: what a pass leaves computes what it was given, held against each other in f64 on the CPU. Each pass
//! alone and all of them, over the graphs of ONNX's suite, the golden ones, random networks, and the networks of the tree.

use crate::golden;
use reluctor::cpu;
use reluctor::error::Error;
use reluctor::graph::Graph;
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::{Fusion, PASSES, Rewrite, optimize, optimize_up_to};
use reluctor::random::Random;
use reluctor::tensor::{Kind, Tensor};
use reluctor_lab::cases::{data_sets, numbered};
use reluctor_lab::selftest::generate;
use reluctor_testing::tree::{onnx_suite, root};

/// How far f64 may be off, of an output's largest element or of 1, about which intermediate results lie: passes only change the order of operations that are each off by
/// 2^-53 (1.1e-16), some thousand of them behind one another; f32 is off by 2^-24 (6e-8).
const OF_F64: f64 = 1e-10;
/// The same where a formula is recognised: its constants, such as 1 / 6 and the square root of 2, are rounded to f32 in files.
const OF_RECOGNISED: f64 = 1e-6;

/// Random networks.
const SEEDS: u64 = 2000;
/// Elements of the largest tensor of a network that is small enough.
const SMALL: usize = 1 << 20;

/// How many graphs were held against each other, and what was found.
#[derive(Default)]
struct Found {
    graphs: usize,
    rewrites: usize,
    wrong: Vec<String>,
}

impl Found {
    /// Tries each pass by itself and all of them on a graph.
    fn try_graph(&mut self, name: &str, graph: &Graph, inputs: &[(String, Tensor)]) {
        let unfused = optimize(graph.clone(), &Fusion::none()).unwrap();
        let wanted = match in_f64(&unfused, inputs) {
            Ok(wanted) => wanted,
            Err(error) => panic!("{name}: {error}"),
        };
        self.graphs += 1;
        let fusions = PASSES.iter().map(|pass| pass.name).filter(|name| *name != "collapse").map(Some).chain([None]);
        for pass in fusions {
            let fusion = pass.map_or_else(Fusion::all, |pass| Fusion::only([pass]).unwrap());
            let (fused, rewrites) = optimize_up_to(graph.clone(), &fusion, usize::MAX).unwrap();
            if rewrites.is_empty() {
                continue;
            }
            self.rewrites += rewrites.len();
            let found = in_f64(&fused, inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
            if let Some(output) = first_unlike(&wanted, &found, tolerance(&rewrites)) {
                self.wrong.push(format!("{name}, {}: '{output}'", pass.unwrap_or("all passes")));
            }
        }
    }

    fn check(&self, what: &str, graphs: usize) {
        println!("{what}: {} graphs, {} rewrites", self.graphs, self.rewrites);
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        assert!(self.graphs >= graphs && self.rewrites > 0, "too few to mean much");
    }
}

fn tolerance(rewrites: &[Rewrite]) -> f64 {
    if rewrites.iter().any(|rewrite| rewrite.pass == "patterns") { OF_RECOGNISED } else { OF_F64 }
}

fn in_f64(graph: &Graph, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor<f64>)>, Error> {
    let wide: Vec<(&str, Tensor<f64>)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.cast())).collect();
    let wide: Vec<(&str, &Tensor<f64>)> = wide.iter().map(|(name, tensor)| (*name, tensor)).collect();
    cpu::Session::<f64>::new(graph).run(&wide)
}

/// The first output of another name, kind, shape or content.
fn first_unlike(wanted: &[(String, Tensor<f64>)], found: &[(String, Tensor<f64>)], tolerance: f64) -> Option<String> {
    assert_eq!(wanted.len(), found.len());
    type Output = (String, Tensor<f64>);
    let differs = |((name, wanted), (same, found)): &(&Output, &Output)| {
        let agree = match (wanted, found) {
            (Tensor::Real(wanted), Tensor::Real(found)) => {
                let finite = wanted.iter().filter(|x| x.is_finite());
                let largest = finite.fold(1.0f64, |most, x| most.max(x.abs()));
                let close =
                    |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * largest;
                wanted.shape() == found.shape() && wanted.iter().zip(found).all(close)
            }
            _ => wanted == found,
        };
        name != same || !agree
    };
    wanted.iter().zip(found).find(differs).map(|((name, _), _)| name.clone())
}

/// Reals stay open; what decides shapes is bound.
fn bound(model: &Model, inputs: &[(String, Tensor)]) -> Result<(Graph, Vec<(String, Tensor)>), Error> {
    let mut bindings = Bindings::default();
    let (open, constant): (Vec<_>, Vec<_>) = inputs.iter().cloned().partition(|(_, x)| x.kind() == Kind::Real);
    bindings.shapes = open.iter().map(|(name, x)| (name.clone(), x.shape().to_vec())).collect();
    bindings.constants = constant.into_iter().collect();
    Ok((model.graph(&bindings)?, open))
}

#[test]
fn passes_keep_what_golden_graphs_compute() {
    let mut found = Found::default();
    for (name, model, inputs) in golden::models() {
        if let Ok((graph, open)) = bound(model, inputs) {
            found.try_graph(name, &graph, &open);
        }
    }
    found.check("golden graphs", 300);
}

#[test]
fn passes_keep_what_the_graphs_of_onnx_s_suite_compute() {
    let suite = onnx_suite();
    let mut found = Found::default();
    for case in include_str!("suite_cases.txt").lines() {
        let model = Model::open(suite.join(case).join("model.onnx")).unwrap();
        for set in data_sets(&suite.join(case)) {
            let names = model.inputs().unwrap().into_iter().map(|declared| declared.name);
            let tensors = numbered(&set, "input").unwrap().into_iter().map(|(_, tensor)| tensor);
            let inputs: Vec<(String, Tensor)> = names.zip(tensors).collect();
            if let Ok((graph, open)) = bound(&model, &inputs) {
                found.try_graph(case, &graph, &open);
            }
        }
    }
    found.check("ONNX's suite", 300);
}

#[test]
fn passes_keep_what_random_networks_compute() {
    let mut found = Found::default();
    for seed in 0..SEEDS {
        let built = generate(seed).0.build().unwrap();
        let model = Model::from_bytes("random", built.file).unwrap();
        found.try_graph(&format!("seed {seed}"), &model.graph(&Bindings::default()).unwrap(), &built.inputs);
    }
    found.check("random networks", SEEDS as usize);
}

#[test]
fn passes_keep_what_the_networks_of_the_tree_compute() {
    let root = root();
    let mut found = Found::default();
    for folder in ["crates/vision/assets", "crates/lab/assets/siblings"] {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "onnx")) {
            for batch in [1, 3] {
                let model = Model::open(&file).unwrap();
                let graph = model.graph(&Bindings { batch: Some(batch), ..Bindings::default() }).unwrap();
                let elements = |shape: &[usize]| shape.iter().product::<usize>();
                assert!(graph.values.iter().all(|value| elements(&value.ty.shape) <= SMALL));
                let mut random = Random::new(batch as u64);
                let input = |&id: &reluctor::graph::ValueId| {
                    let value = graph.value(id);
                    (value.name.clone(), random.tensor(&value.ty.shape, &(-2.0..2.0)).unwrap())
                };
                let inputs: Vec<(String, Tensor)> = graph.inputs.iter().map(input).collect();
                found.try_graph(&file.display().to_string(), &graph, &inputs);
            }
        }
    }
    found.check("networks of the tree", 20);
}
