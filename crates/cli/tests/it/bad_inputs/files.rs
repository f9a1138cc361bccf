//! Files that are no model, and names that are no text.

use super::bytes::{field, input, int, model, node, output, sum_with, tensor, varint};
use super::{Case, good};

/// Of the files that are made of many small fields.
const MANY: usize = 10 << 20;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::model("an empty file", vec![]).refused(4, "model.onnx: model: the file is empty"),
        Case::model("a file of one byte", vec![8]).refused(4, "model.onnx"),
        Case::model("random bytes", noise(4_096)).refused(4, "model.onnx"),
        Case::model("a megabyte of random bytes", noise(1 << 20)).refused(4, "model.onnx"),
        Case::model("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01".to_vec()).refused(4, "ONNX"),
        Case::model("a number of eleven bytes", [int(1, 8), vec![16], vec![0xff; 11]].concat()).refused(4, "64 bits"),
        Case::model("a field of 2^63 bytes", [int(1, 8), varint(7 << 3 | 2), varint(1 << 63)].concat())
            .refused(4, "ends early"),
        Case::model("a graph laid out as a number", [int(1, 8), int(7, 1)].concat()).refused(4, "laid out"),
        Case::model("a version laid out as text", field(1, "8")).refused(4, "laid out"),
        Case::model("field number 0", [int(1, 8), vec![0, 0]].concat()).refused(4, "field number"),
        Case::model("a group", [int(1, 8), vec![7 << 3 | 3]].concat()).refused(4, "wire type"),
        Case::command("a file that is not there", &["run", "@/none.onnx"]).refused(4, "none.onnx"),
        Case::command("a folder", &["run", "@/"]).refused(4, "not a regular file"),
        Case::command("a name that is not text in the model's path", &["run", "@/\u{1b}[31m\n.onnx"])
            .refused(4, "u{1b}"),
        Case::command("an option that does not exist", &["run", "--\u{1b}[31m"]).refused(2, "unexpected argument"),
        Case::command("a device with an escape in its name", &["run", "--device", "\u{1b}[31m"]).refused(5, "u{1b}"),
    ];
    cases.extend(unusual_files());
    cases.extend(truncated());
    cases.extend(many_fields());
    cases.extend(nested());
    cases.extend(names());
    cases
}

#[cfg(target_os = "linux")]
fn unusual_files() -> Vec<Case> {
    use std::os::unix::fs::PermissionsExt;
    let fifo = |folder: &std::path::Path| {
        std::process::Command::new("mkfifo").arg(folder.join("pipe.onnx")).status().expect("mkfifo runs");
    };
    let sparse = |folder: &std::path::Path| {
        let file = std::fs::File::create(folder.join("large.onnx")).unwrap();
        file.set_len(3 << 30).unwrap();
    };
    let sealed = |folder: &std::path::Path| {
        let path = folder.join("sealed.onnx");
        std::fs::write(&path, good().to_bytes()).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o0)).unwrap();
    };
    vec![
        Case::command("a pipe", &["run", "@/pipe.onnx"]).made(fifo).refused(4, "not a regular file"),
        Case::command("a device that never ends", &["run", "/dev/zero"]).refused(4, "/dev/zero: not a regular file"),
        Case::command("a file of 3 GiB", &["run", "@/large.onnx"]).made(sparse).refused(4, "large.onnx"),
        // Whoever may read everything reads it.
        Case::command("a file that may not be read", &["run", "@/sealed.onnx", "--random", "--device", "cpu"])
            .made(sealed),
    ]
}

#[cfg(not(target_os = "linux"))]
fn unusual_files() -> Vec<Case> {
    vec![]
}

/// Cut at every byte, and so at every field's boundary; a cut between two fields may leave a model.
fn truncated() -> impl Iterator<Item = Case> {
    let whole = good().to_bytes();
    let cut = move |len: usize| Case::model(format!("a model cut after {len} bytes"), whole[..len].to_vec());
    (1..good().to_bytes().len()).step_by(3).map(cut)
}

fn many_fields() -> Vec<Case> {
    let of = |what: &str, unit: Vec<u8>| {
        let count = MANY / unit.len();
        (format!("10 MB of {what}"), unit.repeat(count))
    };
    let graph = |(name, fields): (String, Vec<u8>)| Case::model(name, model(&[fields])).refused(4, "model.onnx");
    let top = |(name, fields): (String, Vec<u8>)| Case::model(name, [int(1, 8), fields].concat()).refused(4, "");
    let inside = |(name, fields): (String, Vec<u8>), around: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        Case::model(name, model(&[around(fields)])).refused(4, "model.onnx")
    };
    let of_node = |fields: Vec<u8>| field(1, [field(4, "Add"), fields].concat());
    let of_tensor = |fields: Vec<u8>| tensor("w", &[], 1, &[fields]);
    let of_shape =
        |dims: Vec<u8>| field(11, [field(1, "x"), field(2, field(1, [int(1, 1), field(2, dims)].concat()))].concat());
    let of_attribute = |fields: Vec<u8>| of_node(field(5, [field(1, "a"), fields].concat()));
    vec![
        top(of("empty operator sets", field(8, ""))),
        top(of("unknown fields", field(100, ""))),
        top(of("empty graphs", field(7, ""))),
        graph(of("nodes without anything", field(1, ""))),
        graph(of("nodes", field(1, field(4, "A")))),
        graph(of("constants without a name", field(5, ""))),
        graph(of("constants", field(5, field(8, "w")))),
        graph(of("values", field(13, field(1, "v")))),
        graph(of("inputs", field(11, field(1, "v")))),
        graph(of("outputs", field(12, field(1, "v")))),
        inside(of("inputs of a node", field(1, "")), &of_node),
        inside(of("outputs of a node", field(2, "")), &of_node),
        inside(of("attributes of a node", field(5, field(1, "a"))), &of_node),
        inside(of("sizes of a tensor", int(1, 1)), &of_tensor),
        inside(of("external data", field(13, "")), &of_tensor),
        inside(of("sizes of an input", field(1, "")), &of_shape),
        inside(of("texts of an attribute", field(9, "")), &of_attribute),
        inside(of("numbers of an attribute", int(8, 1)), &of_attribute),
    ]
}

fn nested() -> Vec<Case> {
    let deep = |wrap: &dyn Fn(Vec<u8>) -> Vec<u8>| (0..10_000).fold(vec![], |inner, _| wrap(inner));
    let body =
        |graph: Vec<u8>| node("If", &[], &["y"], &[field(5, [field(1, "then_branch"), field(6, graph)].concat())]);
    let list = |graph: Vec<u8>| node("Loop", &[], &["y"], &[field(5, [field(1, "b"), field(11, graph)].concat())]);
    vec![
        Case::model("bodies 10,000 deep", model(&[deep(&body)])).refused(4, "nest deeper"),
        Case::model("lists of bodies 10,000 deep", model(&[deep(&list), output("y")])).refused(3, "Loop"),
        Case::model(
            "types 10,000 deep",
            model(&[field(11, [field(1, "x"), field(2, deep(&|ty| field(4, ty)))].concat())]),
        ),
    ]
}

fn names() -> Vec<Case> {
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[31m\r\n\0../../\u{202e}x";
    let with = |name: &str| {
        let addend = tensor(name, &[2], 1, &[field(9, [0; 8])]);
        let sum = node("Add", &["x", name], &[name, ""], &[field(3, name)]);
        (model(&[addend.clone(), sum, input(&[2]), output(name)]), addend)
    };
    let renamed = {
        let w = tensor("w", &[2], 1, &[field(9, [0; 8])]);
        let add = node("Add", &["x", "w"], &[hostile], &[field(3, hostile)]);
        model(&[field(2, hostile), w, add, input(&[2]), output(hostile)])
    };
    let mut cases = vec![
        Case::model("a name that is not UTF-8", sum_with(tensor("w", &[2], 1, &[field(8, [0xff, 0xfe])])))
            .refused(4, "utf-8"),
        Case::model("a tensor defined twice under a hostile name", with(hostile).0).refused(4, "u{1b}"),
        Case::model("an operator with a hostile name", model(&[node(hostile, &[], &["y"], &[]), output("y")]))
            .refused(3, "u{1b}"),
        Case::model("an attribute with a hostile name", {
            let attribute = field(5, [field(1, hostile), int(3, 1), int(20, 2)].concat());
            model(&[node("Relu", &["x"], &["y"], &[attribute]), input(&[2]), output("y")])
        })
        .refused(3, "u{1b}"),
        Case::model("a name of a megabyte", {
            let name = "n".repeat(1 << 20);
            model(&[node("Relu", &[&name], &["y"], &[]), output("y")])
        })
        .refused(4, "nnn"),
        Case::model("hostile names", renamed.clone()).gives_any(),
    ];
    for command in [
        &["inspect", "@/model.onnx"][..],
        &["plan", "@/model.onnx", "--explain"],
        &["compare", "@/model.onnx", "--random", "--device", "cpu", "-v"],
        &["run", "@/model.onnx", "--random", "--device", "cpu", "-v"],
        &["run", "@/model.onnx", "--device", "cpu"],
        &["run", "@/model.onnx", "--device", "cpu", "--shape", "\u{1b}[31m:1"],
        &["run", "@/model.onnx", "--device", "cpu", "--input", "\u{1b}[31m=@/x.npy"],
    ] {
        cases.push(
            Case::command(format!("hostile names: {command:?}"), command).file("model.onnx", renamed.clone()).may(2),
        );
    }
    cases
}

/// The same bytes each time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}
