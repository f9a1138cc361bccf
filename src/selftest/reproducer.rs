//! A network as files that any ONNX tool reads: the model, its inputs, and what the reference makes of them.

use super::network::Network;
use crate::cpu;
use crate::error::{Error, Result};
use crate::files::write_npy;
use crate::onnx::{Bindings, Model};
use crate::tensor::Tensor;
use std::path::Path;

/// Writes `model.onnx`, `input_K.npy` and `output_K.npy` into a folder, which is made where it is missing. Outputs are left
/// out where the reference cannot compute the network.
///
/// # Errors
/// [`Error::Io`], and where the network cannot be written down as a model.
pub fn save(network: &Network, folder: &Path) -> Result<()> {
    let built = network.build()?;
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let path = folder.join("model.onnx");
    std::fs::write(&path, &built.file).map_err(|error| Error::io(&path, error))?;
    for (at, (_, tensor)) in built.inputs.iter().enumerate() {
        write_npy(folder.join(format!("input_{at}.npy")), tensor)?;
    }
    for (at, tensor) in reference(&built.file, &built.inputs).into_iter().flatten().enumerate() {
        write_npy(folder.join(format!("output_{at}.npy")), &tensor)?;
    }
    Ok(())
}

/// The unfused network's outputs in f64, rounded.
fn reference(file: &[u8], inputs: &[(String, Tensor)]) -> Option<Vec<Tensor>> {
    let run = || {
        let graph = Model::from_bytes("network", file.to_vec())?.graph(&Bindings::default())?;
        let inputs: Vec<(&str, Tensor<f64>)> = inputs.iter().map(|(name, x)| (name.as_str(), x.cast())).collect();
        let inputs: Vec<(&str, &Tensor<f64>)> = inputs.iter().map(|(name, x)| (*name, x)).collect();
        cpu::Session::<f64>::new(&graph).run(&inputs)
    };
    // What is to be reproduced may be a panic of the reference itself.
    let outputs = std::panic::catch_unwind(run).ok()?.ok()?;
    Some(outputs.into_iter().map(|(_, tensor)| tensor.cast()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::read_tensor;
    use crate::selftest::generate;

    #[test]
    fn a_saved_network_is_read_back_with_its_numbers() {
        let folder = std::env::temp_dir().join(format!("reluctor-reproducer-{}", std::process::id()));
        let (network, _) = generate(3);
        save(&network, &folder).unwrap();
        let built = network.build().unwrap();
        let model = Model::open(&folder.join("model.onnx")).unwrap();
        let graph = model.graph(&Bindings::default()).unwrap();
        assert_eq!(read_tensor(folder.join("input_0.npy")).unwrap(), built.inputs[0].1);
        let output = read_tensor(folder.join("output_0.npy")).unwrap();
        assert_eq!(output.tensor_type(), graph.value(graph.outputs[0]).ty);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
