//! Compiled pipelines from one process to the next, where the driver can keep them (Vulkan's pipeline cache).

use super::faults::lock;
use crate::error::{Error, Result};
use crate::files::replace;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The driver's cache and the file that it is kept in.
#[derive(Debug)]
pub(super) struct PipelineCache {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    /// The checksum of what the file holds.
    stored: Mutex<Option<u32>>,
}

impl PipelineCache {
    /// With what is stored in this folder for the adapter; none where the driver has no such cache.
    pub(super) fn open(device: &wgpu::Device, adapter: &wgpu::AdapterInfo, folder: &Path) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder.join(format!("{}.bin", wgpu::util::pipeline_cache_key(adapter)?));
        let data = fs::read(&path).ok().and_then(|bytes| intact(&bytes).map(<[u8]>::to_vec));
        let stored = Mutex::new(data.as_deref().map(crc32fast::hash));
        Some(PipelineCache { cache: create(device, data.as_deref()), path, stored })
    }

    /// What pipelines are created with.
    pub(super) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Stores what is new. A cache that cannot be written costs time in the next process, and nothing else.
    pub(super) fn save(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let crc = crc32fast::hash(&data);
        let mut stored = lock(&self.stored);
        if *stored != Some(crc) && self.write(crc, &data).is_ok() {
            *stored = Some(crc);
        }
    }

    /// Whole or not at all: two processes may write at once.
    fn write(&self, crc: u32, data: &[u8]) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        replace(&self.path, |file| file.write_all(&crc.to_le_bytes()).and_then(|()| file.write_all(data)))
    }
}

/// What follows the checksum, where the file is as it was written.
fn intact(bytes: &[u8]) -> Option<&[u8]> {
    let (crc, data) = bytes.split_first_chunk()?;
    (crc32fast::hash(data) == u32::from_le_bytes(*crc)).then_some(data)
}

#[allow(unsafe_code)]
fn create(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("reluctor"), data, fallback: true };
    // SAFETY: the data came from `get_data` on an adapter with the same key, as far as a file can say: its name is the key,
    // and its checksum is right. wgpu holds its header against the adapter and the driver, and drops what is foreign.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Options;
    use crate::gpu::fixture::{self, SCALE};

    #[test]
    fn pipelines_are_kept_and_a_damaged_file_is_a_miss() {
        let folder = std::env::temp_dir().join(format!("reluctor-pipelines-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let compile = || {
            let gpu = fixture::gpu_with(&Options { pipeline_cache: Some(folder.clone()), ..Options::default() });
            gpu.compile(&fixture::chain(&SCALE, 4)).unwrap();
            gpu.pipelines.cache.is_some()
        };
        if !compile() {
            return; // Not with this driver.
        }
        let entries: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = &entries[..] else { panic!("{entries:?}") };
        let whole = fs::read(file).unwrap();
        assert!(intact(&whole).is_some());
        for damaged in [&whole[..whole.len() - 1], &[], &[0; 40]] {
            fs::write(file, damaged).unwrap();
            assert!(intact(damaged).is_none() && compile());
            assert!(intact(&fs::read(file).unwrap()).is_some(), "written anew");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
