//! Tensors in files: numpy's `.npy` and `.npz`, and `.safetensors`.
//!
//! Files come from strangers. Whatever a file declares is checked against the bytes that are really there before
//! memory is taken for it, and nothing is ever unpickled. 16-bit and 64-bit floats become `f32` (the nearest value),
//! integers of any width become `i64`.

mod member;
mod npy;
mod npy_header;
mod npz;
mod replace;
mod safetensors;
mod source;
mod stored;

pub use replace::replace;
pub use source::Source;

use crate::element::Element;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::path::Path;

/// Reads all bytes of a regular file.
///
/// # Errors
/// `Io` where it cannot be read, `Invalid` where it is not a regular file.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    read_up_to(path.as_ref(), u64::MAX)
}

/// Reads all bytes of a regular file of at most `most` bytes.
///
/// # Errors
/// `Io` where it cannot be read, `Invalid` where it is not a regular file or longer, which is known before any is read.
pub fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>> {
    let source = Source::file(path);
    let (file, length) = source.open()?;
    if length > most {
        return Err(source.invalid(format!("{length} bytes long, at most {most} are allowed")));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    std::io::Read::read_to_end(&mut std::io::Read::take(file, most), &mut bytes).map_err(|e| Error::io(path, e))?;
    Ok(bytes)
}

/// Reads the one tensor of an `.npy` or `.pb` (ONNX TensorProto) file, or of an `.npz` or `.safetensors` file that holds
/// exactly one.
///
/// # Errors
/// `Usage` for another extension, `Io` where the file cannot be read, `Invalid` where its bytes break a rule of the
/// format or hold a dtype that is neither real, integer nor boolean.
pub fn read_tensor(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    if extension(path) == "npy" {
        return npy::read(path);
    }
    if extension(path) == "pb" {
        return crate::onnx::tensor_from_bytes(&path.display().to_string(), &read(path)?);
    }
    match read_tensors(path)?.as_mut_slice() {
        [(_, tensor)] => Ok(std::mem::replace(tensor, Tensor::ints(Vec::new()))),
        several => Err(Error::invalid(path.display(), format!("holds {} tensors, one is wanted", several.len()))),
    }
}

/// Reads the named tensors of an `.npz` or `.safetensors` file, in the file's order.
///
/// In an `.npz` the percent-encoding of [`write_npz`] is undone, so that names are those of the ONNX graph again.
///
/// # Errors
/// As [`read_tensor`]; also `Invalid` for a name that occurs twice, an encrypted member, or an archive whose tensors
/// exceed 4 GiB together, or far more than a file of its length holds.
pub fn read_tensors(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
    let path = path.as_ref();
    match extension(path).as_str() {
        "npz" => npz::read(path),
        "safetensors" => safetensors::read(path),
        _ => Err(Error::Usage(format!(
            "{}: tensors are read from .npy, .npz, .pb and .safetensors files",
            crate::error::escape(&path.display().to_string())
        ))),
    }
}

/// Writes one tensor as an `.npy` file: `<f4`, `<i8` or `|b1`, row-major.
///
/// The file appears complete or not at all: it is written beside `path` and renamed.
///
/// # Errors
/// `Io` where the file cannot be written.
pub fn write_npy(path: impl AsRef<Path>, tensor: &Tensor) -> Result<()> {
    write_npy_as(path, tensor, Element::of(tensor.kind()))
}

/// The same in an element type of the tensor's kind, as [`write_npz_as`] has it.
///
/// # Errors
/// As [`write_npy`].
pub fn write_npy_as(path: impl AsRef<Path>, tensor: &Tensor, element: Element) -> Result<()> {
    npy::write(path.as_ref(), tensor, element)
}

/// Writes named tensors as an uncompressed `.npz` archive, as `numpy.savez` would: one member a tensor.
///
/// A member is called by the tensor's name and `.npy`, so that `numpy.load(path)[name]` finds it, slashes and colons
/// included. Names may be anything in ONNX, but paths that lead upwards and control characters do not belong in an archive: the
/// dots of a part `..`, backslashes and characters that steer a terminal are written as `%XX`, a byte of UTF-8 each, and so is a
/// percent sign before two hexadecimal digits; `urllib.parse.unquote` undoes it in Python.
///
/// The file appears complete or not at all: it is written beside `path` and renamed.
///
/// # Errors
/// `Invalid` for a name that is empty, too long for an archive, or occurs twice; `Io` where the file cannot be written.
pub fn write_npz(path: impl AsRef<Path>, tensors: &[(String, Tensor)]) -> Result<()> {
    npz::write(path.as_ref(), tensors, &HashMap::new())
}

/// The same with the element types of some tensors by name: reals are rounded to the nearest, and integers lose the bits that
/// the type has not. What is `bfloat16`, which numpy has not, is rounded to it and written as `<f4`; a type of another kind
/// than its tensor's counts for nothing.
///
/// # Errors
/// As [`write_npz`].
pub fn write_npz_as(
    path: impl AsRef<Path>,
    tensors: &[(String, Tensor)],
    elements: &HashMap<String, Element>,
) -> Result<()> {
    npz::write(path.as_ref(), tensors, elements)
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
