//! Pre-processing by flags, held against Pillow's and torchvision's pictures (`tests/pictures/generate.py`).

use crate::cli::reluctor;
use reluctor::files::read_tensor;
use reluctor::onnx::ModelBuilder;
use reluctor::tensor::TensorType;
use reluctor_testing::scratch::Scratch;
use reluctor_vision::image;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures")
}

/// Gives back what it is given, of any number of pictures of any size.
pub fn mirror(channels: usize) -> Vec<u8> {
    let mut model = ModelBuilder::new(17);
    model.input("x", &TensorType::real([0, channels, 0, 0])).node("Relu", "relu", &["x"], &["y"], &[]);
    model.output("y", None).to_bytes()
}

/// What `reluctor run` makes of a picture under these flags, channel after channel, and its shape.
fn input(model: &Scratch, picture: &Path, flags: &[&str], name: &str) -> (Vec<usize>, Vec<f32>) {
    let npy = Scratch::with(name, b"");
    let run = ["run", model.path(), picture.to_str().unwrap(), "--device", "cpu", "--dump-input", npy.path()];
    let output = reluctor(&[&run[..], flags].concat());
    assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
    let tensor = read_tensor(npy.path()).unwrap();
    (tensor.shape().to_vec(), tensor.as_real().unwrap().iter().copied().collect())
}

#[test]
fn pictures_become_what_pillow_and_torchvision_make_of_them_within_a_grey_level() {
    let model = Scratch::with("mirror3.onnx", &mirror(3));
    let cases: Value = serde_json::from_slice(&std::fs::read(folder().join("cases.json")).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let file = |key: &str| folder().join(case[key].as_str().unwrap());
        let flags: Vec<&str> = case["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()).collect();
        let expected = image::open(file("expected")).unwrap();
        let expected = expected.rgb();
        let (shape, numbers) = input(&model, &file("source"), &flags, "pillow.npy");
        let (width, height) = (expected.width() as usize, expected.height() as usize);
        assert_eq!(shape, [1, 3, height, width], "{case}");
        let worst = numbers.iter().enumerate().map(|(at, &x)| {
            let (channel, pixel) = (at / (width * height), at % (width * height));
            (x - f32::from(expected.pixels()[pixel * 3 + channel])).abs()
        });
        let worst = worst.fold(0.0, f32::max);
        assert!(worst <= 1.0, "{case}: off by {worst}");
    }
}

#[test]
fn flags_normalise_in_either_layout() {
    let (model, source) = (Scratch::with("mirror.onnx", &mirror(3)), folder().join("tall.png"));
    let picture = image::open(&source).unwrap();
    let flags = ["--scale", "1/255", "--mean", "0.1,0.2,0.3", "--std", "0.5,0.25,2", "--channels", "bgr"];
    let (_, numbers) = input(&model, &source, &flags, "bgr.npy");
    let blue = f32::from(picture.pixels()[2]) / 255.0;
    assert!((numbers[0] - (blue - 0.1) / 0.5).abs() < 1e-6, "the first channel is blue, with the first mean");

    let mut last = ModelBuilder::new(17);
    last.input("x", &TensorType::real([0, 0, 0, 3])).node("Relu", "relu", &["x"], &["y"], &[]).output("y", None);
    let last = Scratch::with("last.onnx", &last.to_bytes());
    let (shape, numbers) = input(&last, &source, &["--preset", "none"], "nhwc.npy");
    assert_eq!(shape, [1, picture.height() as usize, picture.width() as usize, 3]);
    assert!(numbers.iter().zip(picture.pixels()).all(|(&x, &level)| x == f32::from(level)));
}

#[test]
fn the_pipeline_in_force_is_printed() {
    let (model, source) = (Scratch::with("mirror2.onnx", &mirror(3)), folder().join("wide.png"));
    let run = ["run", model.path(), source.to_str().unwrap(), "--device", "cpu", "--preset", "tf", "--crop", "20x10"];
    let output = String::from_utf8(reluctor(&run).stdout).unwrap();
    assert!(output.contains("x 1x3x10x20, custom: RGB, centre crop 20x10, /127.5, mean 1\n"), "{output}");
    let too_large = reluctor(&[&run[..7], &["--crop", "1000"]].concat());
    assert_eq!(too_large.status.code(), Some(4));
}
