//! `--save-outputs`, `--save-layers`: what a network computes, as archives that numpy reads.

use clap::Args;
use reluctor::engine::Engine;
use reluctor::error::{Error, Result};
use reluctor::files;
use reluctor::graph::{Graph, ValueId};
use reluctor::tensor::Named;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct SaveArgs {
    /// Write the outputs to an .npz file, each in the type that the model declares
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save_outputs: Option<PathBuf>,
    /// Write what each layer computes to an .npz file; with --no-fuse, each node of the model is a layer
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save_layers: Option<PathBuf>,
}

impl SaveArgs {
    /// Whether something is to be written.
    pub fn is_given(&self) -> bool {
        self.save_outputs.is_some() || self.save_layers.is_some()
    }

    /// Whether the layers are.
    pub fn wants_layers(&self) -> bool {
        self.save_layers.is_some()
    }

    /// Before anything is computed.
    ///
    /// # Errors
    /// [`Error::Usage`] where one file would overwrite the other.
    pub fn check(&self) -> Result<()> {
        match (&self.save_outputs, &self.save_layers) {
            (Some(outputs), Some(layers)) if place(outputs) == place(layers) => {
                Err(Error::Usage("--save-outputs and --save-layers name the same file".to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Writes the outputs of a graph where they were asked for.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn outputs(&self, graph: &Graph, outputs: &Named) -> Result<()> {
        self.save_outputs.as_ref().map_or(Ok(()), |path| save(path, graph, outputs.clone()))
    }

    /// Runs layer by layer where the layers were asked for, and writes them.
    ///
    /// # Errors
    /// Those of [`Engine::observe`], and [`Error::Io`].
    pub fn layers(&self, engine: &Engine<'_>, inputs: &Named) -> Result<()> {
        let Some(path) = &self.save_layers else { return Ok(()) };
        let mut layers = Named::new();
        engine.observe(inputs, &mut |outputs| {
            layers.extend(outputs);
            Ok(())
        })?;
        save(path, engine.graph(), layers)
    }
}

/// The same for every way to name a file.
fn place(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or(folder.to_path_buf());
    file.file_name().map_or(folder.clone(), |name| folder.join(name))
}

/// A network may give one value twice, and an archive holds it once. Each has the type that the model's file says.
fn save(path: &Path, graph: &Graph, mut tensors: Named) -> Result<()> {
    let mut seen = HashSet::new();
    tensors.retain(|(name, _)| seen.insert(name.clone()));
    let ids = (0..graph.values.len()).map(ValueId).filter(|&id| seen.contains(&graph.value(id).name));
    let elements = ids.map(|id| (graph.value(id).name.clone(), graph.element(id))).collect();
    files::write_npz_as(path, &tensors, &elements)
}
