//! A reproducer of one step: a folder with a small model, its inputs and outputs, and all that is needed to see the fault
//! again on another machine.
//!
//! The folder is a test case in ONNX's layout, so that `reluctor compare DIR/model.onnx --test-data DIR` replays it, and any
//! other ONNX tool reads it.

use reluctor::element::Element;
use reluctor::error::{Error, Result, escape};
use reluctor::files::{write_npy_as, write_npz};
use reluctor::tensor::{Tensor, format_shape};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a reproducer holds.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// What went wrong, in a sentence or a few.
    pub summary: String,
    /// The bytes of the ONNX file.
    pub model: Vec<u8>,
    /// What the model is given, in its order.
    pub inputs: Vec<(String, Tensor)>,
    /// What it should give, in its order: the reference's results.
    pub reference: Vec<(String, Tensor)>,
    /// The types that integers of these have in the model, where they are not of 64 bits.
    pub elements: HashMap<String, Element>,
    /// What the device gave.
    pub device: Vec<(String, Tensor)>,
    /// The composed WGSL that ran, by variant, in order.
    pub shaders: Vec<(String, String)>,
    /// The adapter, its driver and its limits.
    pub adapter: serde_json::Value,
    /// Options that the replaying command needs beside the model and the data, for example `--no-fuse`.
    pub options: String,
}

/// Writes a reproducer. The folder appears complete or not at all.
///
/// # Errors
/// [`Error::Usage`] where the folder exists and is not empty, [`Error::Io`] where it cannot be written.
pub fn write(folder: &Path, bundle: &Bundle) -> Result<()> {
    let taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken || folder.is_file() {
        let folder = escape(&folder.display().to_string());
        return Err(Error::Usage(format!("{folder} exists already: a bundle needs a new or empty folder")));
    }
    let partial = partial(folder)?;
    let written = fill(&partial, folder, bundle).and_then(|()| {
        // An empty folder gives way.
        let _ = fs::remove_dir(folder);
        fs::rename(&partial, folder).map_err(|error| Error::io(folder, error))
    });
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

/// The command that replays a bundle which lies in this folder.
pub fn command(folder: &Path, options: &str) -> String {
    let folder = folder.display();
    format!("reluctor compare '{folder}/model.onnx' --test-data '{folder}' {options}").trim_end().to_string()
}

/// A new folder beside the one that is wanted.
fn partial(folder: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(folder).map_err(|error| Error::io(folder, error))?;
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let partial = absolute.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    fs::create_dir_all(partial.join("shaders")).map_err(|error| Error::io(&partial, error))?;
    Ok(partial)
}

fn fill(partial: &Path, folder: &Path, bundle: &Bundle) -> Result<()> {
    let text = |name: &str, content: &[u8]| {
        let path = partial.join(name);
        fs::write(&path, content).map_err(|error| Error::io(path, error))
    };
    text("model.onnx", &bundle.model)?;
    for (stem, tensors) in [("input", &bundle.inputs), ("output", &bundle.reference)] {
        for (index, (name, tensor)) in tensors.iter().enumerate() {
            let element = bundle.elements.get(name).copied().unwrap_or(Element::of(tensor.kind()));
            write_npy_as(partial.join(format!("{stem}_{index}.npy")), tensor, element)?;
        }
    }
    let named = |what: &'static str, tensors: &[(String, Tensor)]| {
        tensors.iter().map(move |(name, tensor)| (format!("{what}/{name}"), tensor.clone())).collect::<Vec<_>>()
    };
    let [inputs, reference, device] =
        [named("input", &bundle.inputs), named("reference", &bundle.reference), named("device", &bundle.device)];
    write_npz(partial.join("tensors.npz"), &[inputs, reference, device].concat())?;
    for (index, (variant, source)) in bundle.shaders.iter().enumerate() {
        text(&format!("shaders/{index}-{}.wgsl", file_name(variant)), source.as_bytes())?;
    }
    let adapter = serde_json::to_string_pretty(&bundle.adapter).map_err(|error| Error::Internal(error.to_string()))?;
    text("adapter.json", adapter.as_bytes())?;
    let command = command(folder, &bundle.options);
    text("command.txt", format!("{command}\n").as_bytes())?;
    text("README.md", readme(bundle, &command).as_bytes())
}

/// A variant's name without what a file's name should not hold.
fn file_name(variant: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "+-_.".contains(c) { c } else { '_' };
    variant.chars().map(plain).take(120).collect()
}

fn readme(bundle: &Bundle, command: &str) -> String {
    let list = |tensors: &[(String, Tensor)]| {
        let line = |(name, tensor): &(String, Tensor)| format!("`{}` {}", escape(name), format_shape(tensor.shape()));
        tensors.iter().map(line).collect::<Vec<_>>().join(", ")
    };
    format!(
        "# A reproducer\n\n{}\n\n```\n{command}\n```\n\n\
         - `model.onnx`: the step by itself\n\
         - `input_K.npy`: {}\n\
         - `output_K.npy`: what the reference computes in f64: {}\n\
         - `tensors.npz`: the same, and what the device computed, as `input/`, `reference/` and `device/`\n\
         - `shaders/`: the WGSL that ran\n\
         - `adapter.json`: where it ran\n",
        escape(&bundle.summary),
        list(&bundle.inputs),
        list(&bundle.reference),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let tensor = |x: f32| Tensor::real(&[2], vec![x, -x]).unwrap();
        Bundle {
            model: b"onnx".to_vec(),
            inputs: vec![("x".to_string(), tensor(1.0))],
            reference: vec![("y".to_string(), tensor(2.0))],
            device: vec![("y".to_string(), tensor(3.0))],
            shaders: vec![("k+relu[a/../b => c]".to_string(), "fn main() {}".to_string())],
            ..Bundle::default()
        }
    }

    #[test]
    fn a_bundle_is_a_whole_folder_that_is_never_written_over() {
        let folder = std::env::temp_dir().join(format!("reluctor-bundle-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        write(&folder, &bundle()).unwrap();
        assert!(matches!(write(&folder, &bundle()), Err(Error::Usage(_))));
        let tensors = reluctor::files::read_tensors(folder.join("tensors.npz")).unwrap();
        let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["input/x", "reference/y", "device/y"]);
        assert_eq!(crate::cases::numbered(&folder, "output").unwrap()[0].1, bundle().reference[0].1);
        assert_eq!(fs::read(folder.join("shaders/0-k+relu_a_.._b____c_.wgsl")).unwrap(), b"fn main() {}");
        let command = fs::read_to_string(folder.join("command.txt")).unwrap();
        assert!(command.contains("model.onnx' --test-data"), "{command}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_bundle_that_cannot_be_written_leaves_nothing_behind() {
        let parent = std::env::temp_dir().join(format!("reluctor-bundle-fails-{}", std::process::id()));
        let _ = fs::remove_dir_all(&parent);
        fs::create_dir(&parent).unwrap();
        let nameless = Bundle { inputs: vec![(String::new(), Tensor::ints(vec![1])); 2], ..bundle() };
        assert!(write(&parent.join("b"), &nameless).is_err());
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir_all(&parent).unwrap();
    }
}
