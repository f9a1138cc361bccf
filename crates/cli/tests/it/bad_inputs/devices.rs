//! Devices that are not there, limits that are too small, caches that cannot be used, readers that go away.

use super::bytes::{input, model, node, output};
use super::{Case, good};

pub fn cases() -> Vec<Case> {
    let run = |name: &str, device: &str, flags: &[&str]| {
        let arguments = ["run", "@/model.onnx", "--random", "--device", device];
        Case::command(name, &arguments).with(flags).file("model.onnx", good().to_bytes())
    };
    vec![
        run("no such adapter", "a device that nobody built", &[]).refused(5, "device"),
        run("an adapter of index 999", "999", &[]).refused(5, "999"),
        run("an empty name", "", &[]).refused(2, "device"),
        run("no adapter", "gpu", &[]).env("WGPU_BACKEND", "dx12").refused(5, "device"),
        run("no adapter, and any will do", "auto", &[]).env("WGPU_BACKEND", "dx12").gives_any(),
        run("a time of nothing", "gpu", &["--timeout", "0"]).refused(2, "timeout"),
        run("half the precision", "cpu", &["--precision", "f16"]).refused(2, "f16"),
        run("an output that cannot be written", "cpu", &["--save-outputs", "@/none/out.npz"]).refused(4, "out.npz"),
        run("an output that is a folder", "cpu", &["--save-outputs", "@/"]).refused(4, ""),
        Case::command("a tensor larger than any binding", &["plan", "@/large.onnx"])
            .file("large.onnx", model(&[node("Relu", &["x"], &["y"], &[]), input(&[1 << 16, 1 << 14]), output("y")]))
            .refused(5, "'x'"),
    ]
}
