//! The fuzz targets on a fixed corpus and on what a seeded generator makes of it: no fuzzer is needed. What a fuzzer found is
//! in `fuzz/finds/<target>/`, and must stay harmless.

#[path = "../../../../fuzz/src/lib.rs"]
mod targets;

use reluctor::files::{write_npy, write_npz};
use reluctor::tensor::Tensor;
use reluctor_testing::random::Random;
use reluctor_testing::scratch::Scratch;
use reluctor_testing::tree::{asset, example_network, root};
use std::path::Path;

/// Mutations of each seed.
const TURNS: usize = 60;

/// Runs a target on each seed, on mutations of it and on what was found earlier.
fn smoke(target: &str, run: fn(&[u8]), seeds: &[Vec<u8>]) {
    let finds = root().join("fuzz/finds").join(target);
    for find in std::fs::read_dir(&finds).into_iter().flatten() {
        run(&std::fs::read(find.unwrap().path()).unwrap());
    }
    let mut random = Random::new(5);
    for seed in seeds {
        run(seed);
        for _ in 0..TURNS {
            run(&mutated(seed, &mut random));
        }
    }
}

/// A few bytes changed, left out, doubled, or cut off.
fn mutated(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.below(256) as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + 1 + random.below(8)).min(bytes.len()))),
            _ => {
                let piece = bytes[at..(at + 1 + random.below(16)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn no_model_file_does_harm() {
    let small = {
        use reluctor::onnx::{AttributeValue, ModelBuilder};
        let mut build = ModelBuilder::new(17);
        build
            .input("x", &reluctor::tensor::TensorType::real([1, 2, 5, 5]))
            .initializer("w", &Tensor::real(&[3, 2, 3, 3], (0..54).map(|i| i as f32 * 0.1).collect()).unwrap())
            .node("Conv", "conv", &["x", "w"], &["a"], &[("pads", AttributeValue::Ints(vec![1; 4]))])
            .node("Relu", "relu", &["a"], &["b"], &[])
            .node("MaxPool", "pool", &["b"], &["y"], &[("kernel_shape", AttributeValue::Ints(vec![2, 2]))])
            .output("y", None);
        build.to_bytes()
    };
    let seeds = [small.clone(), small.clone(), small, example_network()];
    smoke("protobuf", targets::protobuf, &seeds);
    smoke("model", targets::model, &seeds);
}

#[test]
fn no_nearly_right_network_does_harm() {
    let mut random = Random::new(9);
    let seeds: Vec<Vec<u8>> = (0..40).map(|_| (0..120).map(|_| random.below(256) as u8).collect()).collect();
    smoke("network", targets::network, &seeds);
}

#[test]
fn no_file_of_tensors_does_harm() {
    let folder = Scratch::folder("fuzz-tensors");
    let path = |name: &str| Path::new(folder.path()).join(name);
    let tensor = Tensor::real(&[2, 3], (0..6).map(|i| i as f32).collect()).unwrap();
    write_npy(path("a.npy"), &tensor).unwrap();
    write_npz(path("a.npz"), &[("a".to_string(), tensor)]).unwrap();
    let safetensors = {
        let header = br#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat()
    };
    let pb = vec![8, 2, 16, 1, 74, 8, 0, 0, 128, 63, 0, 0, 0, 64];
    let contents = [std::fs::read(path("a.npy")).unwrap(), std::fs::read(path("a.npz")).unwrap(), pb, safetensors];
    let seeds: Vec<Vec<u8>> = (0..).zip(contents).map(|(kind, content)| [&[kind], &content[..]].concat()).collect();
    smoke("tensors", targets::tensors, &seeds);
}

#[test]
fn no_picture_does_harm() {
    let folder = asset("images");
    let seeds: Vec<Vec<u8>> =
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    smoke("picture", targets::picture, &seeds);
}

#[test]
fn no_text_of_a_command_line_does_harm() {
    let texts = ["1x64x56x56,64x3x3,s2,p1,d1,g1,act=relu,pool=max2s2,residual", "auto", "llvmpipe", "3", "1x1"];
    smoke("spec", targets::spec, &texts.map(|text| text.as_bytes().to_vec()));
}
