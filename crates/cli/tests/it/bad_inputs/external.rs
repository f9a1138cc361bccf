//! Elements in other files, and how a model may ask for files that it should not have.

use super::Case;
use super::bytes::{field, int, sum_with, tensor};
use std::path::Path;

pub fn cases() -> Vec<Case> {
    let entry = |key: &str, value: &str| field(13, [field(1, key), field(2, value)].concat());
    let case = |name: &str, entries: &[(&str, &str)]| {
        let entries: Vec<u8> = entries.iter().flat_map(|(key, value)| entry(key, value)).collect();
        let folder = |folder: &Path| {
            std::fs::write(folder.join("w.bin"), [0; 16]).unwrap();
            std::fs::create_dir(folder.join("sub")).unwrap();
        };
        let model = sum_with(tensor("w", &[2], 1, &[entries, int(14, 1)]));
        Case::model(format!("external data: {name}"), model).made(folder)
    };
    let at = |name: &str, location: &str| case(name, &[("location", location)]);
    let range = |name: &str, offset: &str, length: &str| {
        case(name, &[("location", "w.bin"), ("offset", offset), ("length", length)])
    };
    let link = |from: &'static str, to: &'static str| {
        move |folder: &Path| std::os::unix::fs::symlink(to, folder.join(from)).unwrap()
    };
    vec![
        range("a part of a file", "8", "8").fed(&[2], &[1.0, 2.0]).gives(&[1.0, 2.0]),
        at("an absolute path", "/etc/passwd").refused(4, "tensor 'w'"),
        at("the folder above", "../secret").refused(4, "tensor 'w'"),
        at("the folder above by a way round", "sub/../../secret").refused(4, "tensor 'w'"),
        at("a folder", "sub").refused(4, "not a regular file"),
        at("a file that is not there", "none.bin").refused(4, "none.bin"),
        at("NUL in the path", "w.bin\0").refused(4, "tensor 'w'"),
        at("an escape in the path", "\u{1b}[31m").refused(4, "u{1b}"),
        at("no path", "").refused(4, "tensor 'w'"),
        at("a link", "link").made(link("link", "/etc/passwd")).refused(4, "symbolic link"),
        at("a link within the folder", "link").made(link("link", "w.bin")).refused(4, "symbolic link"),
        at("a folder that is a link", "etc/passwd").made(link("etc", "/etc")).refused(4, "symbolic link"),
        at("a hard link", "hard")
            .made(|folder: &Path| std::fs::hard_link(folder.join("w.bin"), folder.join("hard")).unwrap())
            .refused(4, "hard link"),
        at("a pipe", "pipe")
            .made(|folder: &Path| {
                std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().expect("mkfifo runs");
            })
            .refused(4, "not a regular file"),
        range("an offset below 0", "-8", "8").refused(4, "tensor 'w'"),
        range("a length below 0", "0", "-8").refused(4, "tensor 'w'"),
        range("an offset beyond the end", "17", "8").refused(4, "tensor 'w'"),
        range("a range beyond the end", "12", "8").refused(4, "tensor 'w'"),
        range("a range that overflows", "18446744073709551615", "8").refused(4, "tensor 'w'"),
        range("a huge length", "0", "1000000000000").refused(4, "tensor 'w'"),
        range("a length that is not the shape's", "0", "16").refused(4, "tensor 'w'"),
        case("an unknown key", &[("location", "w.bin"), ("__class__", "x")]).refused(4, "__class__"),
        case("a key twice", &[("location", "w.bin"), ("location", "x")]).refused(4, "two"),
        case("no location", &[("offset", "0")]).refused(4, "location"),
        Case::model("external data: and raw bytes", {
            sum_with(tensor("w", &[2], 1, &[entry("location", "w.bin"), int(14, 1), field(9, [0; 8])]))
        })
        .refused(4, "more than one place"),
        Case::model("external data: an unknown place", sum_with(tensor("w", &[2], 1, &[int(14, 2)]))).refused(4, "'w'"),
        Case::model("external data: of 8 TiB", {
            sum_with(tensor("w", &[1 << 41], 1, &[entry("location", "model.onnx"), int(14, 1)]))
        })
        .refused(4, "tensor 'w'"),
    ]
}
