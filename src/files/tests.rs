//! Round trips, and what strangers may send.

use super::*;
use crate::tensor::array;
use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("reluctor-files-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn npy_bytes(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_of(&format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"), data)
}

fn npy_of(header: &str, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), data].concat()
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<Tensor> {
    let folder = Folder::new();
    read_tensor(folder.file(name, bytes))
}

/// The message of an error that must be `Invalid` and name the file.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let error = read_bytes(name, bytes).expect_err("must be refused");
    assert!(matches!(&error, Error::Invalid { culprit, .. } if culprit.contains(name)), "{error:?}");
    error.to_string()
}

fn real(shape: &[usize], data: &[f32]) -> Tensor {
    Tensor::real(shape, data.to_vec()).unwrap()
}

fn samples() -> Vec<(String, Tensor)> {
    let many = (0..40_000).map(|i| i as f32 * 0.25 - 7.0).collect();
    vec![
        ("/conv1/Conv_output_0".to_string(), Tensor::real(&[4, 100, 100], many).unwrap()),
        ("../../etc/passwd".to_string(), real(&[], &[f32::MIN_POSITIVE])),
        ("\u{1b}[31m\n%2F".to_string(), Tensor::ints(vec![i64::MIN, 0, i64::MAX])),
        ("empty".to_string(), real(&[2, 0, 3], &[])),
        ("mask".to_string(), Tensor::Bool(array(&[2, 2], vec![true, false, false, true]).unwrap())),
    ]
}

/// A zip archive of members as they are given, without any of the writer's care.
fn archive(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::DEFAULT.compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Replaces every occurrence of a pattern by bytes of the same length.
fn patched(bytes: &[u8], pattern: &[u8], replacement: &[u8]) -> Vec<u8> {
    let mut patched = bytes.to_vec();
    for at in 0..=bytes.len() - pattern.len() {
        if bytes[at..].starts_with(pattern) {
            patched[at..at + replacement.len()].copy_from_slice(replacement);
        }
    }
    patched
}

#[test]
fn an_npy_file_comes_back_as_it_was_written() {
    let folder = Folder::new();
    for (_, tensor) in samples() {
        let path = folder.0.join("tensor.npy");
        write_npy(&path, &tensor).unwrap();
        assert_eq!(read_tensor(&path).unwrap(), tensor);
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no temporary file stays behind");
}

#[test]
fn an_npz_file_comes_back_with_its_names_however_strange() {
    let folder = Folder::new();
    let path = folder.0.join("tensors.npz");
    write_npz(&path, &samples()).unwrap();
    assert_eq!(read_tensors(&path).unwrap(), samples());
    assert!(matches!(read_tensor(&path), Err(Error::Invalid { .. })), "five tensors are not one");
}

#[test]
fn equal_tensors_make_equal_archives() {
    let folder = Folder::new();
    let [a, b] = ["a.npz", "b.npz"].map(|name| folder.0.join(name));
    write_npz(&a, &samples()).unwrap();
    write_npz(&b, &samples()).unwrap();
    assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
}

#[test]
fn an_npz_of_one_member_is_one_tensor_compressed_or_not() {
    let bytes = npy_bytes("'<f4'", "False", "(2,)", &[0, 0, 128, 63, 0, 0, 0, 64]);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let archive = archive(&[("x.npy", &bytes)], method);
        assert_eq!(read_bytes("one.npz", &archive).unwrap(), real(&[2], &[1.0, 2.0]));
    }
}

#[test]
fn names_that_an_archive_cannot_tell_apart_are_refused_before_a_byte_is_written() {
    let folder = Folder::new();
    let path = folder.0.join("tensors.npz");
    let one = |name: &str| (name.to_string(), Tensor::ints(vec![1]));
    for tensors in [vec![one("a"), one("a")], vec![one("")], vec![one(&"/".repeat(70_000))]] {
        assert!(matches!(write_npz(&path, &tensors), Err(Error::Invalid { .. })));
        assert!(!path.exists());
    }
}

#[test]
fn every_dtype_is_read_in_both_byte_orders() {
    let cases: [(&str, &[u8], Tensor); 9] = [
        ("f2", &[0x3e, 0x00], real(&[1], &[1.5])),
        ("f4", &[0xc0, 0x20, 0, 0], real(&[1], &[-2.5])),
        ("f8", &[0x40, 0x09, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18], real(&[1], &[std::f32::consts::PI])),
        ("i2", &[0xff, 0xfe], Tensor::ints(vec![-2])),
        ("i4", &[0, 1, 0, 0], Tensor::ints(vec![65536])),
        ("i8", &[0x80, 0, 0, 0, 0, 0, 0, 0], Tensor::ints(vec![i64::MIN])),
        ("u2", &[0xff, 0xfe], Tensor::ints(vec![65534])),
        ("u4", &[0xff, 0xff, 0xff, 0xff], Tensor::ints(vec![4_294_967_295])),
        ("u8", &[0, 0, 0, 1, 0, 0, 0, 0], Tensor::ints(vec![1 << 32])),
    ];
    for (dtype, big, expected) in cases {
        let little: Vec<u8> = big.iter().rev().copied().collect();
        let read = |order, data| read_bytes("x.npy", &npy_bytes(&format!("'{order}{dtype}'"), "False", "(1,)", data));
        assert_eq!(read('>', big).unwrap(), expected);
        assert_eq!(read('<', &little).unwrap(), expected);
    }
}

#[test]
fn bytes_have_no_byte_order() {
    let read = |dtype| read_bytes("x.npy", &npy_bytes(dtype, "False", "(2,)", &[1, 0])).unwrap();
    assert_eq!(read("'|i1'"), Tensor::ints(vec![1, 0]));
    assert_eq!(read("'|u1'"), Tensor::ints(vec![1, 0]));
    assert_eq!(read("'|b1'"), Tensor::Bool(array(&[2], vec![true, false]).unwrap()));
}

#[test]
fn fortran_order_is_turned_into_row_major() {
    let bytes = npy_bytes("'|u1'", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6]);
    let tensor = read_bytes("x.npy", &bytes).unwrap();
    assert_eq!(tensor, Tensor::Int(array(&[2, 3], vec![1, 2, 3, 4, 5, 6]).unwrap()));
    assert!(tensor.as_int().unwrap().is_standard_layout());
}

#[test]
fn a_header_may_order_its_keys_and_spaces_freely() {
    let header = "{ \"shape\" :( 1L , ) ,'fortran_order':False, 'descr':'|u1'}      \n";
    assert_eq!(read_bytes("x.npy", &npy_of(header, &[7])).unwrap(), Tensor::ints(vec![7]));
}

#[test]
fn values_beyond_their_kind_are_refused() {
    assert!(refusal("x.npy", &npy_bytes("'<u8'", "False", "(1,)", &[255; 8])).contains("out of range"));
    assert!(refusal("x.npy", &npy_bytes("'|b1'", "False", "(1,)", &[2])).contains("truth"));
}

#[test]
fn objects_records_and_strings_are_refused() {
    assert!(refusal("x.npy", &npy_bytes("'|O'", "False", "(1,)", b"cos\nsystem\n.")).contains("never unpickled"));
    assert!(refusal("x.npy", &npy_bytes("[('a', '<f4')]", "False", "(1,)", &[0; 4])).contains("structured"));
    for dtype in ["'<U3'", "'|S1'", "'<c8'", "'<M8[ns]'", "'<f16'", "'|V2'", "''", "'é4'", "'|f4'", "'f4'"] {
        refusal("x.npy", &npy_bytes(dtype, "False", "(1,)", &[0; 4]));
    }
}

#[test]
fn a_shape_of_eight_tebibytes_in_a_small_file_is_refused_without_memory_for_it() {
    let shapes =
        ["(1099511627776, 8)", "(4294967296, 4294967296)", "(0, 4294967296, 4294967296)", "(18446744073709551616,)"];
    for shape in shapes {
        let bytes = npy_bytes("'|u1'", "False", shape, &[0; 100]);
        refusal("x.npy", &bytes);
        refusal("x.npz", &archive(&[("x.npy", &bytes)], CompressionMethod::Stored));
    }
}

#[test]
fn an_archive_may_not_promise_more_than_it_delivers() {
    // Within the limit of an archive, so that only the missing bytes can betray it.
    let bytes = npy_bytes("'|u1'", "False", "(30000000,)", &[0; 100]);
    let message = refusal("x.npz", &archive(&[("x.npy", &bytes)], CompressionMethod::Deflated));
    assert!(message.contains("too early"), "{message}");
}

#[test]
fn the_limit_of_an_archive_is_for_all_its_members_together() {
    let big = npy_bytes("'|u1'", "False", "(4294967290,)", &[]);
    let small = npy_bytes("'|u1'", "False", "(10,)", &[0; 10]);
    let message = refusal("x.npz", &archive(&[("a.npy", &small), ("b.npy", &big)], CompressionMethod::Stored));
    assert!(message.contains("[b.npy]") && message.contains("allowed"), "{message}");
}

#[test]
fn a_zip_bomb_is_not_inflated_beyond_the_declared_array() {
    let mut bytes = npy_bytes("'<f4'", "False", "(2,)", &[0; 8]);
    bytes.resize(8 << 20, 0);
    let bomb = archive(&[("x.npy", &bytes)], CompressionMethod::Deflated);
    assert!(bomb.len() < 1 << 17);
    assert!(refusal("x.npz", &bomb).contains("more bytes follow"));
}

#[test]
fn hostile_headers_are_refused() {
    let ok = npy_bytes("'|u1'", "False", "(1,)", &[7]);
    let longest = [b"\x93NUMPY\x02\x00\xff\xff\xff\xff".as_slice(), &[b' '; 100]].concat();
    for bytes in [b"".as_slice(), b"x", b"\x93NUMPY", &longest, &patched(&ok, b"NUMPY\x01", b"NUMPY\x09"), &[0; 200]] {
        refusal("x.npy", bytes);
    }
    let headers = [
        "",
        "{",
        "{}",
        "{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{",
        "{'descr': '|u1', 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'descr': '|u1'}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': 1}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} + __import__('os')",
        "{'descr': '|u1",
    ];
    for header in headers {
        refusal("x.npy", &npy_of(header, &[7]));
    }
    refusal("x.npy", &npy_of(&"(".repeat(60_000), &[]));
    refusal("x.npy", &npy_bytes("'|u1'", "False", &format!("({})", "1,".repeat(1000)), &[7]));
}

#[test]
fn a_file_truncated_anywhere_is_refused() {
    let folder = Folder::new();
    let tensors = [("a".to_string(), real(&[2, 2], &[1.0, 2.0, 3.0, 4.0]))];
    write_npy(folder.0.join("whole.npy"), &tensors[0].1).unwrap();
    write_npz(folder.0.join("whole.npz"), &tensors).unwrap();
    folder.file(
        "whole.safetensors",
        &safetensors_bytes("{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]}}", &[1; 4]),
    );
    for extension in ["npy", "npz", "safetensors"] {
        let name = format!("whole.{extension}");
        let whole = fs::read(folder.0.join(&name)).unwrap();
        assert!(read_bytes(&name, &whole).is_ok());
        for end in 0..whole.len() {
            refusal(&name, &whole[..end]);
        }
    }
}

#[test]
fn bytes_after_an_array_are_refused() {
    let bytes = npy_bytes("'|u1'", "False", "(1,)", &[7, 7]);
    assert!(refusal("x.npy", &bytes).contains("2 follow"));
}

#[test]
fn corrupt_and_encrypted_members_are_refused() {
    let array = npy_bytes("'|u1'", "False", "(8,)", b"payload!");
    let whole = archive(&[("x.npy", &array)], CompressionMethod::Stored);
    refusal("x.npz", &patched(&whole, b"payload!", b"PAYLOAD!"));
    // Flag bit 0 of the local and of the central header.
    let mut encrypted = whole;
    let directory = encrypted.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    encrypted[6] |= 1;
    encrypted[directory + 8] |= 1;
    let message = refusal("x.npz", &encrypted);
    assert!(message.to_lowercase().contains("password"), "{message}");
}

#[test]
fn members_that_are_no_arrays_or_share_a_name_are_refused() {
    let array = npy_bytes("'|u1'", "False", "(1,)", &[7]);
    refusal("x.npz", &archive(&[("readme.txt", b"hello")], CompressionMethod::Stored));
    let spellings = archive(&[("a/b.npy", &array), ("a%2Fb.npy", &array)], CompressionMethod::Stored);
    assert!(refusal("x.npz", &spellings).contains("a/b"));
    let twice = archive(&[("a1.npy", &array), ("a2.npy", &array)], CompressionMethod::Stored);
    assert!(refusal("x.npz", &patched(&twice, b"a2.npy", b"a1.npy")).contains("same name"));
}

fn safetensors_bytes(header: &str, data: &[u8]) -> Vec<u8> {
    let header = header.replace('\'', "\"");
    [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), data].concat()
}

#[test]
fn safetensors_are_read_in_the_order_of_their_bytes() {
    let header = "{'z':{'dtype':'F32','shape':[1],'data_offsets':[0,4]},\
                  'a':{'dtype':'BF16','shape':[2],'data_offsets':[4,8]},\
                  'm':{'dtype':'BOOL','shape':[1],'data_offsets':[8,9]}}";
    let folder = Folder::new();
    let data = [0, 0, 128, 63, 0xc0, 0x3f, 0x00, 0xc0, 1];
    let tensors = read_tensors(folder.file("x.safetensors", &safetensors_bytes(header, &data))).unwrap();
    let expected = [("z", real(&[1], &[1.0])), ("a", real(&[2], &[1.5, -2.0]))];
    for ((name, tensor), (expected_name, expected)) in tensors.iter().zip(expected) {
        assert_eq!((name.as_str(), tensor), (expected_name, &expected));
    }
    assert_eq!(tensors[2].1, Tensor::Bool(array(&[1], vec![true]).unwrap()));
}

#[test]
fn safetensors_with_offsets_that_overlap_or_leave_the_file_are_refused() {
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!("{{'a':{{'dtype':'{dtype}','shape':{shape},'data_offsets':{offsets}}}}}")
    };
    // Contiguous, and each small enough on its own; together they come within a header's length of 2^64.
    let size = (1u64 << 61) - 1;
    let link =
        |i: u64| format!("'t{i}':{{'dtype':'U8','shape':[{size}],'data_offsets':[{},{}]}}", i * size, (i + 1) * size);
    let chain = (0..8).map(link).collect::<Vec<_>>().join(",");
    let headers = [
        one("U8", "[4]", "[0,3]"),
        one("U8", "[3]", "[1,4]"),
        one("U8", "[8]", "[0,8]"),
        one("U8", "[8796093022208]", "[0,8796093022208]"),
        one("U8", "[4294967296,4294967296]", "[0,4]"),
        one("U8", "[0,4294967296,4294967296]", "[0,0]"),
        one("F8_E4M3", "[4]", "[0,4]"),
        one("F4", "[8]", "[0,4]"),
        one("NOPE", "[4]", "[0,4]"),
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},'b':{'dtype':'U8','shape':[2],'data_offsets':[2,4]}}"
            .into(),
        "[".repeat(10_000),
        format!("{{{chain}}}"),
    ];
    for header in headers {
        refusal("x.safetensors", &safetensors_bytes(&header, &[0; 4]));
    }
    refusal("x.safetensors", &[255; 100]);
}

#[test]
fn what_is_no_regular_file_is_neither_read_nor_replaced() {
    let folder = Folder::new();
    let path = folder.0.join("folder.npy");
    fs::create_dir(&path).unwrap();
    assert!(matches!(read_tensor(&path), Err(Error::Invalid { .. })));
    assert!(matches!(write_npy(&path, &Tensor::ints(vec![1])), Err(Error::Invalid { .. })));
    assert!(matches!(read_tensor(folder.0.join("missing.npy")), Err(Error::Io { .. })));
    assert!(matches!(read_tensor(folder.0.join("x.txt")), Err(Error::Usage(_))));
    assert!(matches!(write_npy(folder.0.join("missing/x.npy"), &Tensor::ints(vec![1])), Err(Error::Io { .. })));
}
