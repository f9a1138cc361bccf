//! A network that fails as a reproducer: the model, its inputs, what the reference makes of them, and the device.

use super::Find;
use super::check::{Subject, Witness};
use crate::bundle::Bundle;
use reluctor::cpu;
use reluctor::error::Result;
use reluctor::onnx::{Bindings, Model};
use reluctor::passes::{Fusion, optimize};
use reluctor::tensor::{Named, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What [`crate::bundle::write`] takes; `adapter` describes the device. What cannot be computed, since that may be what fails,
/// is left out.
///
/// # Errors
/// Where the network cannot be written down as a model.
pub fn reproducer(find: &Find, subject: &Subject<'_>, adapter: serde_json::Value) -> Result<Bundle> {
    let Find { seed, network, failure, .. } = find;
    let built = network.build()?;
    let unfused = matches!(failure.witness, Witness::DeviceUnfused | Witness::CpuUnfused);
    let fusion = if unfused { Fusion::none() } else { Fusion::all() };
    let mut bundle = Bundle {
        summary: format!("The smallest network of seed {seed} that fails. {failure}."),
        reference: attempt(|| reference(&built.file, &built.inputs)).unwrap_or_default(),
        adapter,
        options: if unfused { "--no-fuse".to_string() } else { String::new() },
        ..Bundle::default()
    };
    attempt(|| on_device(&built.file, &built.inputs, &fusion, subject, &mut bundle));
    Ok(Bundle { model: built.file, inputs: built.inputs, ..bundle })
}

/// What may break in any way, as it did when the network was checked.
fn attempt<T>(run: impl FnOnce() -> Result<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()?.ok()
}

/// The unfused network's outputs in f64, rounded.
fn reference(file: &[u8], inputs: &Named) -> Result<Named> {
    let graph = Model::from_bytes("network", file.to_vec())?.graph(&Bindings::default())?;
    let inputs: Vec<(&str, Tensor<f64>)> = inputs.iter().map(|(name, x)| (name.as_str(), x.cast())).collect();
    let inputs: Vec<(&str, &Tensor<f64>)> = inputs.iter().map(|(name, x)| (*name, x)).collect();
    let outputs = cpu::Session::<f64>::new(&graph).run(&inputs)?;
    Ok(outputs.into_iter().map(|(name, tensor)| (name, tensor.cast())).collect())
}

/// Shaders first: they are known also where they do not compile.
fn on_device(file: &[u8], inputs: &Named, fusion: &Fusion, subject: &Subject<'_>, bundle: &mut Bundle) -> Result<()> {
    let Some(gpu) = subject.gpu else { return Ok(()) };
    let graph = Model::from_bytes("network", file.to_vec())?.graph(&Bindings::default())?;
    let plan = (subject.planner)(&optimize(graph, fusion)?, &gpu.limits())?;
    let variants = plan.dispatches().map(|dispatch| &dispatch.variant);
    bundle.shaders = variants.map(|variant| (variant.to_string(), variant.source())).collect();
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    bundle.device = gpu.load(&plan)?.run(&inputs)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle;
    use crate::cases::numbered;
    use crate::selftest::{Failure, generate};

    #[test]
    fn a_reproducer_is_read_back_with_its_numbers() {
        let folder = std::env::temp_dir().join(format!("reluctor-selftest-{}", std::process::id()));
        let (network, _) = generate(3);
        let failure = Failure { witness: Witness::CpuFused, node: "n".into(), what: "it is wrong".into(), wrong: true };
        let find = Find { seed: 3, nodes: network.layers.len(), network, failure };
        let made = reproducer(&find, &Subject::new(None), serde_json::Value::Null).unwrap();
        bundle::write(&folder, &made).unwrap();
        let model = Model::open(folder.join("model.onnx")).unwrap();
        let graph = model.graph(&Bindings::default()).unwrap();
        let read = |stem| numbered(&folder, stem).unwrap().into_iter().map(|(_, tensor)| tensor).collect::<Vec<_>>();
        assert_eq!(read("input"), find.network.build().unwrap().inputs.into_iter().map(|(_, x)| x).collect::<Vec<_>>());
        assert_eq!(read("output").len(), graph.outputs.len());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
