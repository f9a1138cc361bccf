//! Tensors, pictures and labels in files that are not what they declare.

use super::bytes::{field, input, int, model, node, output};
use super::{Case, good};
use std::io::Write;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub fn cases() -> Vec<Case> {
    let mut cases = arrays();
    cases.extend(archives());
    cases.extend(safetensors());
    cases.extend(pictures());
    cases.extend(labels());
    cases
}

/// The good network, fed with this file.
fn fed(name: &str, file: &'static str, content: Vec<u8>) -> Case {
    let input = format!("x=@/{file}");
    let run = ["run", "@/model.onnx", "--device", "cpu", "--save-outputs", "@/out.npz", "--input", &input];
    Case::command(format!("{file}: {name}"), &run).file("model.onnx", good().to_bytes()).file(file, content)
}

/// An array of version 1 of the format.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat()
}

fn header(descr: &str, fortran: &str, shape: &str) -> String {
    format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
}

fn image(descr: &str, fortran: &str, data: &[u8]) -> Vec<u8> {
    npy(&header(descr, fortran, "(1, 1, 4, 4)"), data)
}

fn arrays() -> Vec<Case> {
    let refused = |name: &str, content: Vec<u8>| fed(name, "x.npy", content).refused(4, "x.npy");
    let of = |descr: &str, shape: &str, bytes: usize| npy(&header(descr, "False", shape), &vec![0; bytes]);
    let falling: Vec<f32> = (0..16).map(|at| (at % 4) as f32 * 4.0 + (at / 4) as f32).collect();
    let little: Vec<u8> = falling.iter().flat_map(|x| x.to_le_bytes()).collect();
    let big: Vec<u8> = falling.iter().flat_map(|x| x.to_be_bytes()).collect();
    // Sums over the four 3x3 windows of 0 to 15 row by row, and of the transposed numbers.
    let (sums, transposed) = ([45.0, 54.0, 81.0, 90.0], [45.0, 81.0, 54.0, 90.0]);
    vec![
        refused("no magic", b"NUMPY".repeat(20)),
        refused("empty", vec![]),
        refused("version 9", b"\x93NUMPY\x09\x00\x10\x00".to_vec()),
        refused("a header of 2^32 bytes", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}".to_vec()),
        refused("a header beyond the end", b"\x93NUMPY\x01\x00\xff\xff{}".to_vec()),
        refused("8 TiB", of("'<f4'", "(1024, 1024, 1024, 2048)", 64)),
        refused("more elements than numbers", of("'<f4'", "(4294967296, 4294967296)", 64)),
        refused("a negative size", of("'<f4'", "(-1, 4)", 64)),
        refused("1,000 dimensions", of("'<f4'", &format!("({})", "1, ".repeat(1_000)), 4)),
        refused("one byte too few", of("'<f4'", "(1, 1, 4, 4)", 63)),
        refused("one byte too many", of("'<f4'", "(1, 1, 4, 4)", 65)),
        refused("Python objects", of("'|O'", "(1, 1, 4, 4)", 128)),
        refused("records", of("[('a', '<f4'), ('b', '<f4')]", "(1, 1, 4, 4)", 128)),
        refused("text", of("'<U4'", "(1, 1, 4, 4)", 256)),
        refused("complex numbers", of("'<c8'", "(1, 1, 4, 4)", 128)),
        refused("parentheses 10,000 deep", npy(&header("'<f4'", "False", &"(".repeat(10_000)), &[])),
        refused("a call in the header", npy("{'descr': __import__('os').system('true')}", &[])),
        refused("an escape in the header", npy("{'\u{1b}[31m': 1}", &[])),
        fed("another shape", "x.npy", of("'<f4'", "(1, 1, 2, 8)", 64)).refused(4, "input 'x'"),
        fed("no elements", "x.npy", of("'<f4'", "(0,)", 0)).refused(4, "input 'x'"),
        fed("integers", "x.npy", of("'<i4'", "(1, 1, 4, 4)", 64)).refused(4, "input 'x'"),
        fed("big-endian", "x.npy", image("'>f4'", "False", &big)).gives(&transposed),
        fed("column by column", "x.npy", image("'<f4'", "True", &little)).may(4),
        fed("little-endian", "x.npy", image("'<f4'", "False", &little)).gives(&transposed),
        fed("row by row", "x.npy", {
            let rising: Vec<u8> = (0..16).flat_map(|at| (at as f32).to_le_bytes()).collect();
            image("'<f4'", "False", &rising)
        })
        .gives(&sums),
        fed("another format by its name", "x.npy", b"\x89PNG\r\n\x1a\n".to_vec()).refused(4, "x.npy"),
        fed("an unknown format", "x.dat", vec![0; 64]).refused(2, "x.dat"),
    ]
}

/// An archive of members with their names.
fn zip(members: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(vec![]));
    for (name, content) in members {
        zip.start_file(*name, SimpleFileOptions::DEFAULT.compression_method(method)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The same with some bytes replaced wherever they occur.
fn patched(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

fn archives() -> Vec<Case> {
    let stored = CompressionMethod::Stored;
    let array = || image("'<f4'", "False", &[0; 64]);
    let refused = |name: &str, content: Vec<u8>| fed(name, "x.npz", content).refused(4, "x.npz");
    let zeros = [0.0; 4];
    let bomb = npy(&header("'<f4'", "False", "(1, 1, 8192, 8192)"), &vec![0; 256 << 20]);
    let liar = npy(&header("'<f4'", "False", "(1, 1, 65536, 65536)"), &[0; 64]);
    let two = zip(&[("x.npy", array()), ("y.npy", array())], stored);
    let one = zip(&[("x.npy", array())], stored);
    let mut encrypted = one.clone();
    // The general purpose flags of the local and of the central header.
    for (signature, offset) in [(&b"PK\x03\x04"[..], 6), (b"PK\x01\x02", 8)] {
        let at = encrypted.windows(4).position(|bytes| bytes == signature).expect("an archive has both");
        encrypted[at + offset] |= 1;
    }
    vec![
        refused("empty", vec![]),
        refused("no archive", vec![b'P'; 100]),
        refused("cut", one[..one.len() / 2].to_vec()),
        refused("16 GiB in 64 bytes", zip(&[("x.npy", liar)], stored)),
        refused("two members of one name", patched(two, b"y.npy", b"x.npy")),
        refused("encrypted", encrypted),
        refused(
            "a size that lies",
            patched(one.clone(), &(array().len() as u32).to_le_bytes(), &9_999u32.to_le_bytes()),
        ),
        refused("a wrong checksum", patched(one, b"(1, 1", b"(1,1 ,")),
        refused("a member that is no array", zip(&[("x.txt", array())], stored)),
        refused("Python objects", zip(&[("x.npy", npy(&header("'|O'", "False", "(2,)"), &[0; 16]))], stored)),
        fed("a path out of the archive", "x.npz", zip(&[("../../x.npy", array())], stored)).gives(&zeros),
        fed("a name with an escape", "x.npz", zip(&[("\u{1b}[31m.npy", array())], stored)).gives(&zeros),
        fed("compressed", "x.npz", zip(&[("x.npy", array())], CompressionMethod::Deflated)).gives(&zeros),
        fed("256 MiB in 256 KiB", "x.npz", zip(&[("x.npy", bomb)], CompressionMethod::Deflated)).refused(4, "x.npz"),
    ]
}

fn safetensors() -> Vec<Case> {
    let file = |header: &str, data: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let one = |offsets: &str, data| {
        file(&format!("{{\"x\":{{\"dtype\":\"F32\",\"shape\":[1,1,4,4],\"data_offsets\":{offsets}}}}}"), data)
    };
    let refused = |name: &str, content: Vec<u8>| fed(name, "x.safetensors", content).refused(4, "x.safetensors");
    let overlapping = "{\"x\":{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[0,64]},\
                        \"y\":{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[32,96]}}";
    let huge = "{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,64]}}";
    vec![
        refused("empty", vec![]),
        refused("a header longer than the file", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        refused("a header of 90 MB in a small file", [&90_000_000u64.to_le_bytes()[..], b"{}"].concat()),
        refused("offsets beyond the end", one("[0,64]", 32)),
        refused("offsets that leave a gap", one("[8,72]", 72)),
        refused("offsets that run backwards", one("[64,0]", 64)),
        refused("offsets of another length", one("[0,32]", 32)),
        refused("tensors that overlap", file(overlapping, 96)),
        refused("a shape that overflows", file(huge, 64)),
        refused("lists 100,000 deep", file(&format!("{{\"x\":{}", "[".repeat(100_000)), 0)),
        refused("an unknown type", file("{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[16],\"data_offsets\":[0,16]}}", 16)),
        fed("as it should be", "x.safetensors", one("[0,64]", 64)).gives(&[0.0; 4]),
    ]
}

/// A PNG file of these chunks after its signature, with their checksums.
fn png(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in chunks {
        let body = [&name[..], content].concat();
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(&body);
        file.extend(crc32fast::hash(&body).to_be_bytes());
    }
    file
}

fn ihdr(width: u32, height: u32, rest: [u8; 5]) -> Vec<u8> {
    [&width.to_be_bytes()[..], &height.to_be_bytes(), &rest].concat()
}

fn pictures() -> Vec<Case> {
    const GREY: [u8; 5] = [8, 0, 0, 0, 0];
    let fed = |name: &str, file: &'static str, content: Vec<u8>| {
        let picture = format!("x=@/{file}");
        let run = ["run", "@/model.onnx", "--device", "cpu", "--preset", "unit", "--input", &picture];
        let graph = [node("Relu", &["x"], &["y"], &[]), input(&[1, 1, 8, 8]), output("y")];
        Case::command(format!("{file}: {name}"), &run).file("model.onnx", model(&graph)).file(file, content)
    };
    let refused = |name: &str, file: &'static str, content: Vec<u8>| fed(name, file, content).refused(4, file);
    let start = |width, height, rest| {
        png(&[(b"IHDR", ihdr(width, height, rest)), (b"IDAT", vec![0x78, 0x9c]), (b"IEND", vec![])])
    };
    vec![
        refused("empty", "x.png", vec![]),
        refused("60,000 by 60,000", "x.png", start(60_000, 60_000, GREY)),
        refused("2^31 by 2^31", "x.png", start(1 << 31, 1 << 31, GREY)),
        refused("0 by 0", "x.png", start(0, 0, GREY)),
        refused("16,000 by 6,000 without data", "x.png", start(16_000, 6_000, [16, 6, 0, 0, 0])).may(4),
        refused("cut within the header", "x.png", start(1, 1, GREY)[..20].to_vec()),
        refused("an unknown kind of colour", "x.png", start(1, 1, [8, 9, 0, 0, 0])),
        refused(
            "a chunk of 2^31 bytes",
            "x.png",
            [&start(1, 1, GREY)[..33], &[0x7f, 0xff, 0xff, 0xff], b"IDAT"].concat(),
        ),
        refused("an ONNX file", "x.png", good().to_bytes()),
        refused("a GIF", "x.png", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;".to_vec()),
        refused("random bytes after a JPEG's start", "x.jpg", [&[0xff, 0xd8, 0xff, 0xe0][..], &[7; 500]].concat()),
        refused("a WebP cut short", "x.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8 ".to_vec()),
    ]
}

fn labels() -> Vec<Case> {
    let classes = |name: &str, content: Vec<u8>| {
        let run = ["run", "@/model.onnx", "--device", "cpu", "--random", "--labels", "@/labels.txt"];
        let dims: Vec<u8> = [1, 3].iter().flat_map(|&size| field(1, int(1, size))).collect();
        let x = field(11, [field(1, "x"), field(2, field(1, [int(1, 1), field(2, dims)].concat()))].concat());
        let graph = [node("Relu", &["x"], &["y"], &[]), x, output("y")];
        Case::command(format!("labels: {name}"), &run).file("model.onnx", model(&graph)).file("labels.txt", content)
    };
    vec![
        classes("as many as classes", b"a\nb\nc\n".to_vec()).gives_any(),
        classes("fewer than classes", b"a\n".to_vec()).refused(2, "1 labels"),
        classes("none", vec![]).refused(2, "0 labels"),
        classes("not UTF-8", vec![0xff, 0xfe, b'\n']).may(4),
        classes("with escapes", b"\x1b[31ma\n\x1b]0;b\x07\nc\0\n".to_vec()).may(4),
        classes("with a mark and carriage returns", b"\xef\xbb\xbfa\r\nb\r\nc\r\n".to_vec()).gives_any(),
        classes("a line of 20 MB", vec![b'a'; 20 << 20]).refused(4, "labels.txt"),
    ]
}
