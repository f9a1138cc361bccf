//! Siblings of the default network: the same layers, size and training, and another non-linearity each. `crates/vision/assets/README.md`
//! says how they were trained, and gives the command that measures each one's accuracy.

use reluctor::error::Result;
use reluctor::onnx::Model;

/// One of them.
pub struct Sibling {
    /// What stands after each convolution, and what halves the image.
    pub name: &'static str,
    /// The file in `assets/siblings/`.
    pub file: &'static str,
    /// Per cent of the 10,000 test images, as `reluctor run --expect-labels` prints.
    pub accuracy: f64,
    model: &'static [u8],
}

macro_rules! sibling {
    ($name:literal, $file:literal, $accuracy:literal) => {
        Sibling {
            name: $name,
            file: $file,
            accuracy: $accuracy,
            model: include_bytes!(concat!("../../assets/siblings/", $file, ".onnx")),
        }
    };
}

/// All of them, the linear ones first.
pub static SIBLINGS: &[Sibling] = &[
    sibling!("identity, average pool", "identity_average", 78.66),
    sibling!("identity, max pool", "identity", 88.92),
    sibling!("Relu, average pool", "relu_average", 92.78),
    sibling!("Relu, max pool", "relu", 92.69),
    sibling!("Relu, stride 2", "relu_stride", 91.90),
    sibling!("LeakyRelu, max pool", "leaky_relu", 92.51),
    sibling!("PRelu, max pool", "prelu", 92.55),
    sibling!("Elu, max pool", "elu", 92.00),
    sibling!("Selu, max pool", "selu", 91.91),
    sibling!("Celu, max pool", "celu", 92.15),
];

impl Sibling {
    /// The network.
    ///
    /// # Errors
    /// None that a test of this crate would let pass.
    pub fn model(&self) -> Result<Model> {
        Model::from_bytes(self.name, self.model.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor::onnx::Bindings;
    use reluctor::passes::{Fusion, optimize};
    use reluctor::tensor::Shape;

    /// Convolutions have the same filters' shapes; only PRelu has numbers of its own.
    #[test]
    fn siblings_differ_in_nothing_but_the_non_linearity() {
        let filters = |sibling: &Sibling| -> Vec<Shape> {
            let bindings = Bindings { batch: Some(1), ..Bindings::default() };
            let graph = optimize(sibling.model().unwrap().graph(&bindings).unwrap(), &Fusion::none()).unwrap();
            let constants = graph.values.iter().filter(|value| value.constant.is_some() && value.ty.shape.len() == 4);
            constants.map(|value| value.ty.shape.clone()).collect()
        };
        let first = filters(&SIBLINGS[0]);
        assert!(first.len() >= 5);
        assert!(SIBLINGS.iter().all(|sibling| filters(sibling) == first));
    }
}
