//! Three networks small enough to be written by hand, and a picture to try them on: what the README's pictures are made with.
//!
//! `cargo run --release --example small_networks -- demo` writes `scene.png`, `edges.onnx`, `colours.onnx` and `balloons.onnx`
//! with their labels into the folder `demo`.

use reluctor::error::{Error, Result};
use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};
use reluctor_vision::image::Picture;
use std::path::{Path, PathBuf};

/// Of the scene, and of what the networks take.
const WIDTH: usize = 480;
const HEIGHT: usize = 256;

/// Balloons: centre and diameter, in pixels.
const BALLOONS: [[f32; 3]; 5] =
    [[100.0, 76.0, 64.0], [212.0, 124.0, 48.0], [300.0, 60.0, 32.0], [364.0, 140.0, 64.0], [436.0, 92.0, 32.0]];

/// Pixels between the places where the detector looks.
const STRIDE: usize = 8;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("demo".to_string()));
    std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
    scene()?.save_png(&folder.join("scene.png"))?;
    write(&folder, "edges.onnx", &edges()?.to_bytes())?;
    write(&folder, "colours.onnx", &colours()?.to_bytes())?;
    write(&folder, "colours.txt", b"sky\ngrass\nballoon\nsun\n")?;
    write(&folder, "balloons.onnx", &balloons()?.to_bytes())?;
    write(&folder, "balloons.txt", b"balloon\n")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(|error| Error::io(path, error))
}

/// Hills under a sky with a sun and balloons.
fn scene() -> Result<Picture> {
    let colour = |at: usize| {
        let (x, y) = ((at % WIDTH) as f32, (at / WIDTH) as f32);
        let within = |[cx, cy, d]: [f32; 3]| (x - cx).hypot(y - cy) < d / 2.0;
        let hill = 200.0 + 22.0 * (x / 55.0).sin() + 9.0 * (x / 23.0).cos();
        match () {
            // A little lighter towards the upper left, as round things are.
            () if BALLOONS.into_iter().any(within) => [225.0 - (x + y) / 12.0, 40.0, 30.0],
            () if within([40.0, 36.0, 44.0]) => [255.0, 215.0, 60.0],
            () if y > hill => [50.0, 150.0 - (y - hill) * 0.6, 50.0],
            () => [90.0 + y * 0.35, 150.0 + y * 0.25, 240.0],
        }
    };
    let pixels = (0..WIDTH * HEIGHT).flat_map(|at| colour(at).map(|level: f32| level as u8)).collect();
    Picture::new(WIDTH as u32, HEIGHT as u32, 3, pixels)
}

/// How steep the luma is at each pixel (Sobel's operator), dark on white. `[n, 3, h, w]` of 0 to 1 to `[n, 1, h, w]`.
fn edges() -> Result<ModelBuilder> {
    let sobel = vec![-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0, -1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0];
    let mut model = ModelBuilder::new(17);
    model
        .input("image", &TensorType::real([0, 3, 0, 0]))
        .initializer("luma", &Tensor::real(&[1, 3, 1, 1], vec![0.299, 0.587, 0.114])?)
        .initializer("sobel", &Tensor::real(&[2, 1, 3, 3], sobel)?)
        .initializer("sum", &Tensor::real(&[1, 2, 1, 1], vec![1.0, 1.0])?)
        .initializer("white", &Tensor::real(&[], vec![1.0])?)
        .node("Conv", "grey", &["image", "luma"], &["grey"], &[])
        .node("Conv", "slopes", &["grey", "sobel"], &["slopes"], &[("pads", AttributeValue::Ints(vec![1; 4]))])
        .node("Mul", "squares", &["slopes", "slopes"], &["squares"], &[])
        .node("Conv", "both", &["squares", "sum"], &["both"], &[])
        .node("Sqrt", "steepness", &["both"], &["steepness"], &[])
        .node("Sub", "ink", &["white", "steepness"], &["edges"], &[])
        .output("edges", None);
    Ok(model)
}

/// Whether a pixel is blue, green, red or yellow. `[n, 3, h, w]` of 0 to 1 to scores `[n, 4, h, w]`.
fn colours() -> Result<ModelBuilder> {
    let scores = vec![-1.0, 0.0, 1.0, -0.5, 1.0, -0.5, 1.0, -0.5, -0.5, 0.5, 0.5, -1.0];
    let mut model = ModelBuilder::new(17);
    model
        .input("image", &TensorType::real([0, 3, 0, 0]))
        .initializer("scores", &Tensor::real(&[4, 3, 1, 1], scores)?)
        .node("Conv", "score", &["image", "scores"], &["classes"], &[])
        .output("classes", None);
    Ok(model)
}

/// Where a square holds more red than what is around it: boxes `[1, n, 4]` and scores `[1, n, 1]` at three sizes.
fn balloons() -> Result<ModelBuilder> {
    let mut model = ModelBuilder::new(17);
    model
        .input("image", &TensorType::real([1, 3, HEIGHT, WIDTH]))
        .initializer("red", &Tensor::real(&[1, 3, 1, 1], vec![1.8, -0.9, -0.9])?)
        .initializer("column", &Tensor::<f32>::ints(vec![1, -1, 1]))
        .node("Conv", "red", &["image", "red"], &["redness"], &[])
        .node("Relu", "only", &["redness"], &["only"], &[]);
    let (mut boxes, mut scores) = (Vec::new(), Vec::new());
    for size in [32, 48, 64] {
        boxes.extend(squares(size));
        scores.push(contrast(&mut model, size));
    }
    let scores: Vec<&str> = scores.iter().map(String::as_str).collect();
    model
        .node("Concat", "all", &scores, &["scores"], &[("axis", AttributeValue::Int(1))])
        .initializer("boxes", &Tensor::real(&[1, boxes.len() / 4, 4], boxes)?)
        .output("boxes", None)
        .output("scores", None);
    Ok(model)
}

/// Left, top, right, bottom of a square at each place, relative to the picture.
fn squares(size: usize) -> Vec<f32> {
    let places = (0..HEIGHT / STRIDE).flat_map(|y| (0..WIDTH / STRIDE).map(move |x| [x, y]));
    let bounds = |[x, y]: [usize; 2]| {
        let [x, y] = [x, y].map(|at| (at * STRIDE + STRIDE / 2) as f32);
        let half = size as f32 / 2.0;
        let [w, h] = [WIDTH, HEIGHT].map(|side| side as f32);
        [(x - half) / w, (y - half) / h, (x + half) / w, (y + half) / h]
    };
    places.flat_map(bounds).collect()
}

/// Twice the mean in a square less that in one of half as much more: most where a disc just fits. Names the scores.
fn contrast(model: &mut ModelBuilder, size: usize) -> String {
    let name = |what: &str| format!("{what}{size}");
    for (what, window) in [("inner", size), ("outer", size * 3 / 2)] {
        let pad = ((window - STRIDE) / 2) as i64;
        let attributes = [
            ("kernel_shape", AttributeValue::Ints(vec![window as i64; 2])),
            ("strides", AttributeValue::Ints(vec![STRIDE as i64; 2])),
            ("pads", AttributeValue::Ints(vec![pad; 4])),
            ("count_include_pad", AttributeValue::Int(1)),
        ];
        model.node("AveragePool", &name(what), &["only"], &[&name(what)], &attributes);
    }
    model.node("Sub", &name("contrast"), &[&name("inner"), &name("outer")], &[&name("contrast")], &[]);
    model.node("Add", &name("twice"), &[&name("contrast"), &name("contrast")], &[&name("twice")], &[]);
    model.node("Reshape", &name("scores"), &[&name("twice"), "column"], &[&name("scores")], &[]);
    name("scores")
}
