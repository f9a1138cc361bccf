//! `.safetensors`: a JSON header of names, dtypes, shapes and offsets, then the bytes.
//!
//! The header is parsed and its offsets are validated by the `safetensors` crate; the file's length is compared here,
//! so that the tensors are read one by one and never all at once as bytes.

use super::source::Source;
use super::stored::Stored;
use crate::element::Element;
use crate::error::Result;
use crate::tensor::Tensor;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The crate's own limit.
const MAX_HEADER: u64 = 100_000_000;

/// Reads every tensor, in the order of their bytes.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let source = Source::file(path);
    let (file, length) = source.open()?;
    let mut reader = BufReader::new(file);
    let (metadata, start) = read_metadata(&mut reader, length, &source)?;
    let read = |name: String| {
        let tensor = read_one(&mut reader, &metadata, start, Source { path, member: Some(&name) })?;
        Ok((name, tensor))
    };
    metadata.offset_keys().into_iter().map(read).collect()
}

/// The header, and the position of the first tensor's bytes.
fn read_metadata(reader: &mut BufReader<File>, length: u64, source: &Source) -> Result<(Metadata, u64)> {
    let mut prefix = [0; 8];
    reader.read_exact(&mut prefix).map_err(|e| source.failed(e))?;
    let (header, room) = (u64::from_le_bytes(prefix), length.saturating_sub(8));
    if header > room.min(MAX_HEADER) {
        return Err(source.invalid(format!("safetensors header of {header} bytes in a file of {length}")));
    }
    let mut text = vec![0; header as usize];
    reader.read_exact(&mut text).map_err(|e| source.failed(e))?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|e| source.invalid(e))?;
    let (declared, present) = (metadata.data_len() as u64, room - header);
    if declared != present {
        return Err(source.invalid(format!("its tensors take {declared} bytes, {present} follow the header")));
    }
    Ok((metadata, 8 + header))
}

fn read_one(reader: &mut BufReader<File>, metadata: &Metadata, start: u64, source: Source) -> Result<Tensor> {
    let info = source.member.and_then(|name| metadata.info(name)).ok_or_else(|| source.invalid("no such tensor"))?;
    let element = element(info.dtype)
        .ok_or_else(|| source.invalid(format!("dtype {} is neither real, integer nor boolean", info.dtype)))?;
    let stored = Stored { element, big_endian: false, column_major: false, shape: info.shape.clone() };
    // The crate has found that the offsets lie in the file and fit the shape; this adds the limits of an array.
    let bytes = stored.bytes(&source)?;
    let position = SeekFrom::Start(start + info.data_offsets.0 as u64);
    reader.seek(position).map_err(|e| source.failed(e))?;
    stored.read(reader.take(bytes), &source)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        Dtype::U8 => Element::U8,
        Dtype::U16 => Element::U16,
        Dtype::U32 => Element::U32,
        Dtype::U64 => Element::U64,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}
