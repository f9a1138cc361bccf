//! The network that runs when no other is given: Fashion-MNIST, with its labels and some of its test images, inside the
//! executable. `crates/vision/assets/README.md` says where it comes from and how well it does.

use crate::image::{self, Picture, Preset};
use reluctor::error::Result;
use reluctor::onnx::Model;

/// What it is called in reports.
pub const NAME: &str = "fashion_mnist (embedded)";

/// The pre-processing it was trained with.
pub const PRESET: &str = "unit";

const MODEL: &[u8] = include_bytes!("../assets/fashion_mnist.onnx");

const LABELS: &str = include_str!("../assets/fashion_mnist.labels.txt");

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../assets/images/", $name, ".png")))),*]
    };
}

/// Test images: index in the test set, true class, PNG bytes.
const IMAGES: &[(&str, &[u8])] = embedded![
    "00000-ankle-boot",
    "00001-pullover",
    "00002-trouser",
    "00003-trouser",
    "00004-shirt",
    "00005-trouser",
    "00006-coat",
    "00008-sandal",
    "00009-sneaker",
    "00013-dress",
    "00018-bag",
    "00019-t-shirt-top",
];

/// The network.
///
/// # Errors
/// None that a test of this crate would let pass.
pub fn model() -> Result<Model> {
    Model::from_bytes(NAME, MODEL.to_vec())
}

/// The names of its ten classes, in the order of its output.
pub fn labels() -> Vec<String> {
    LABELS.lines().map(str::to_string).collect()
}

/// Its pre-processing.
///
/// # Errors
/// None that a test of this crate would let pass.
pub fn preset() -> Result<&'static Preset> {
    Preset::named(PRESET)
}

/// The sample images, by name.
///
/// # Errors
/// None that a test of this crate would let pass.
pub fn images() -> Result<Vec<(String, Picture)>> {
    IMAGES.iter().map(|(name, png)| Ok((name.to_string(), image::from_bytes(name, png)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_can_be_read_and_fits_together() {
        assert_eq!(model().unwrap().inputs().unwrap().len(), 1);
        assert_eq!(labels().len(), 10);
        assert!(preset().unwrap().apply(&images().unwrap()[0].1, [1, 1, 28, 28]).is_ok());
    }

    #[test]
    fn every_sample_image_is_called_by_one_of_the_labels() {
        let slug = |label: &str| label.to_lowercase().replace([' ', '/'], "-");
        for (name, _) in images().unwrap() {
            assert!(labels().iter().any(|label| name.ends_with(&slug(label))), "{name}");
        }
    }
}
