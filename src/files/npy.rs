//! `.npy`: one array, numpy's own format.

use super::npy_header;
use super::replace::replace;
use super::source::Source;
use crate::element::Element;
use crate::error::Result;
use crate::tensor::Tensor;
use half::{bf16, f16};
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
pub(super) fn write(path: &Path, tensor: &Tensor, element: Element) -> Result<()> {
    replace(path, |file| write_stream(file, tensor, element))
}

/// Writes header and elements, row-major and little-endian, as this type where it is of the tensor's kind.
pub(super) fn write_stream(writer: impl Write, tensor: &Tensor, element: Element) -> io::Result<()> {
    let element = if element.kind() == tensor.kind() { element } else { Element::of(tensor.kind()) };
    let mut writer = BufWriter::new(writer);
    writer.write_all(&npy_header::of(tensor.shape(), element)?)?;
    match tensor {
        Tensor::Real(a) => a.iter().try_for_each(|&x| write_real(&mut writer, x, element))?,
        // The lowest bytes of an integer are all that a narrower type has of it.
        Tensor::Int(a) => a.iter().try_for_each(|x| writer.write_all(&x.to_le_bytes()[..element.size()]))?,
        Tensor::Bool(a) => a.iter().try_for_each(|&x| writer.write_all(&[x.into()]))?,
    }
    writer.flush()
}

fn write_real(writer: &mut impl Write, x: f32, element: Element) -> io::Result<()> {
    match element {
        Element::F16 => writer.write_all(&f16::from_f32(x).to_le_bytes()),
        Element::Bf16 => writer.write_all(&bf16::from_f32(x).to_f32().to_le_bytes()),
        Element::F64 => writer.write_all(&f64::from(x).to_le_bytes()),
        _ => writer.write_all(&x.to_le_bytes()),
    }
}
