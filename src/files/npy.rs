//! `.npy`: one array, numpy's own format.

use super::npy_header;
use super::replace::replace;
use super::source::Source;
use crate::error::Result;
use crate::tensor::Tensor;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Reads a file whose length must be just that of its header and its declared array.
pub(super) fn read(path: &Path) -> Result<Tensor> {
    let source = Source::file(path);
    let (file, length) = source.open()?;
    let mut reader = BufReader::new(file);
    let (stored, header) = npy_header::read(&mut reader, &source)?;
    let (declared, present) = (stored.bytes(&source)?, length.saturating_sub(header));
    if declared != present {
        return Err(source.invalid(format!("{stored} takes {declared} bytes, {present} follow the header")));
    }
    stored.read(reader, &source)
}

/// Reads an array from a stream of unknown length that must end with it. `budget` is the bytes it may still take.
pub(super) fn read_stream(mut reader: impl Read, source: &Source, budget: &mut u64) -> Result<Tensor> {
    let (stored, _) = npy_header::read(&mut reader, source)?;
    let declared = stored.bytes(source)?;
    *budget = budget
        .checked_sub(declared)
        .ok_or_else(|| source.invalid(format!("{stored} takes {declared} bytes, only {budget} are allowed here")))?;
    let tensor = stored.read(&mut reader, source)?;
    // To read past the end is also what makes an archive verify its checksum.
    match reader.read(&mut [0]).map_err(|e| source.failed(e))? {
        0 => Ok(tensor),
        _ => Err(source.invalid(format!("more bytes follow the {declared} of its {stored}"))),
    }
}

/// Writes a file.
pub(super) fn write(path: &Path, tensor: &Tensor) -> Result<()> {
    replace(path, |file| write_stream(file, tensor))
}

/// Writes header and elements, row-major and little-endian.
pub(super) fn write_stream(writer: impl Write, tensor: &Tensor) -> io::Result<()> {
    let mut writer = BufWriter::new(writer);
    writer.write_all(&npy_header::of(tensor)?)?;
    match tensor {
        Tensor::Real(a) => a.iter().try_for_each(|x| writer.write_all(&x.to_le_bytes()))?,
        Tensor::Int(a) => a.iter().try_for_each(|x| writer.write_all(&x.to_le_bytes()))?,
        Tensor::Bool(a) => a.iter().try_for_each(|&x| writer.write_all(&[x.into()]))?,
    }
    writer.flush()
}
