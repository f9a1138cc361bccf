//! A file, a device, an input, an answer: the library in five lines.
//!
//! `cargo run --release --example five_lines -- cpu` (or `gpu`, `auto`, a part of an adapter's name)

use reluctor::{Model, Options, error::Result};
use reluctor_vision::image::{self, Preset};

fn main() -> Result<()> {
    let device = std::env::args().nth(1).unwrap_or("auto".into()).parse()?;
    let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_mnist.onnx"))?;
    let picture = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/images/00018-bag.png"))?;

    let session = model.session(&Options::on(device))?;
    let input = Preset::named("unit")?.apply(&picture, [1, 1, 28, 28])?; // [n, c, h, w], 0 to 1
    let outputs = session.run(&[("image", &input)])?; // logits [n, 10]

    let labels = include_str!("../assets/fashion_mnist.labels.txt").lines();
    for (label, logit) in labels.zip(outputs[0].1.as_real()?) {
        println!("{logit:8.3}  {label}");
    }
    Ok(())
}
