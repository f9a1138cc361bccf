//! Roofs are measured once for an adapter and driver, and kept in the user's cache.

use crate::console::warn;
use crate::device_args::Device;
use reluctor::error::{Error, Result};
use reluctor::files::replace;
use reluctor::gpu::Gpu;
use reluctor::kernels::measures;
use reluctor_lab::bench::roofs::Roofs;
use reluctor_lab::tune::Key;
use reluctor_lab::tune::store::Store;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize)]
struct Kept {
    key: Key,
    roofs: Roofs,
}

/// The roofs of a device: kept ones, unless they are to be measured again.
///
/// # Errors
/// Those of [`Roofs::of_gpu`].
pub fn of(device: &Device, fresh: bool) -> Result<Roofs> {
    let Some(gpu) = device.gpu() else { return Ok(Roofs::of_cpu()) };
    let key = Key::new(gpu.report());
    // Those of other shaders are others' roofs.
    let shaders: String = measures().map(|variant| variant.source()).collect();
    let what = format!("roofs-{:08x}", crc32fast::hash(shaders.as_bytes()));
    let path = Store::of_user().map(|store| store.path_of(&what, &key));
    match path.as_deref().filter(|_| !fresh).and_then(|path| kept(path, &key)) {
        Some(roofs) => Ok(roofs),
        None => measured(gpu, key, path),
    }
}

/// A file that is missing, damaged or another key's is a miss: measuring takes a second.
fn kept(path: &Path, key: &Key) -> Option<Roofs> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (kept.key == *key).then_some(kept.roofs)
}

fn measured(gpu: &Gpu, key: Key, path: Option<PathBuf>) -> Result<Roofs> {
    let roofs = Roofs::of_gpu(gpu)?;
    if let Some(path) = path
        && let Err(error) = keep(&path, &Kept { key, roofs: roofs.clone() })
    {
        warn(format_args!("warning: the roofs will be measured again: {error}"));
    }
    Ok(roofs)
}

fn keep(path: &Path, kept: &Kept) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let text = serde_json::to_string_pretty(kept).map_err(|error| Error::Internal(error.to_string()))?;
    replace(path, |file| file.write_all(text.as_bytes()))
}
