//! `--save-outputs`, `--save-layers`: what a network computes, as archives that numpy reads.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::files;
use crate::tensor::Named;
use clap::Args;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct SaveArgs {
    /// Write the outputs to an .npz file
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

    /// Writes the outputs where they were asked for.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn outputs(&self, outputs: &Named) -> Result<()> {
        self.save_outputs.as_ref().map_or(Ok(()), |path| save(path, outputs.clone()))
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
        save(path, layers)
    }
}

/// The same for every way to name a file.
fn place(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or(folder.to_path_buf());
    file.file_name().map_or(folder.clone(), |name| folder.join(name))
}

/// A network may give one value twice, and an archive holds it once.
fn save(path: &Path, mut tensors: Named) -> Result<()> {
    let mut seen = HashSet::new();
    tensors.retain(|(name, _)| seen.insert(name.clone()));
    files::write_npz(path, &tensors)
}
