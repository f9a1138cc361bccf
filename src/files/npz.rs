//! `.npz`: a zip archive of `.npy` members, one a tensor.

use super::member;
use super::npy;
use super::replace::replace;
use super::source::Source;
use crate::element::Element;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::collections::{HashMap, HashSet};
use std::io::BufReader;
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// What the arrays of an archive may take together.
const MAX_BYTES: u64 = 4 << 30;

/// Of that, what a small archive may take, and what each of its bytes adds: compressed zeros are a thousandth of themselves,
/// tensors that hold something rarely a tenth.
const FREE_BYTES: u64 = 32 << 20;
const BYTES_A_BYTE: u64 = 64;

const EXTENSION: &str = ".npy";

/// Reads every member, in the archive's order.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let archive = Source::file(path);
    let (file, length) = archive.open()?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|e| archive.failed(e.into()))?;
    if zip.has_duplicate_names() {
        return Err(archive.invalid("two members have the same name"));
    }
    let allowed = length.saturating_mul(BYTES_A_BYTE).saturating_add(FREE_BYTES).min(MAX_BYTES);
    let (mut budget, mut seen) = (allowed, HashSet::new());
    let mut tensors = Vec::new();
    for index in 0..zip.len() {
        let file = zip.by_index(index).map_err(|e| archive.failed(e.into()))?;
        let file_name = file.name().map_err(|e| archive.failed(e.into()))?.into_owned();
        let source = Source { path, member: Some(&file_name) };
        let stem = file_name.strip_suffix(EXTENSION).ok_or_else(|| source.invalid("not an .npy member"))?;
        let name = member::decode(stem);
        // Two spellings, one name.
        if !seen.insert(name.clone()) {
            return Err(source.invalid(format!("a second tensor named '{name}'")));
        }
        tensors.push((name, npy::read_stream(file, &source, &mut budget)?));
    }
    Ok(tensors)
}

/// Writes an archive. Its bytes depend on the tensors and their types alone: no time is recorded.
pub(super) fn write(path: &Path, tensors: &[(String, Tensor)], elements: &HashMap<String, Element>) -> Result<()> {
    let names = file_names(tensors)?;
    replace(path, |file| {
        let mut zip = ZipWriter::new(file);
        for (file_name, (name, tensor)) in names.iter().zip(tensors) {
            let element = elements.get(name).copied().unwrap_or(Element::of(tensor.kind()));
            zip.start_file(file_name, options(tensor))?;
            npy::write_stream(&mut zip, tensor, element)?;
        }
        zip.finish()?;
        Ok(())
    })
}

/// The members' names, checked before a byte is written.
fn file_names(tensors: &[(String, Tensor)]) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    let file_name = |(name, _): &(String, Tensor)| {
        let file_name = member::encode(name) + EXTENSION;
        let refused = if name.is_empty() {
            "a tensor without a name cannot be a member of an archive"
        } else if file_name.len() > usize::from(u16::MAX) {
            "too long a name for a member of an archive"
        } else if !seen.insert(file_name.clone()) {
            "two tensors have this name"
        } else {
            return Ok(file_name);
        };
        Err(Error::invalid(format!("tensor '{}'", name.chars().take(80).collect::<String>()), refused))
    };
    tensors.iter().map(file_name).collect()
}

fn options(tensor: &Tensor) -> SimpleFileOptions {
    // Sizes of 4 GiB and more need zip64 records; 8 is the largest element, a header is below 64 KiB.
    let may_be_large = tensor.len().saturating_mul(8) >= (u32::MAX - u32::from(u16::MAX)) as usize;
    SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored).large_file(may_be_large)
}
