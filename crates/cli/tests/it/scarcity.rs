//! Memory that is not to be had, caches that cannot be written, and two processes that write one.

use reluctor::onnx::{AttributeValue, ModelBuilder};
use reluctor::tensor::{Tensor, TensorType};
use reluctor_testing::scratch::Scratch;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn reluctor(cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reluctor"));
    command.args(arguments).env("NODEVICE_SELECT", "1").env("XDG_CACHE_HOME", cache);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(unix)]
#[test]
fn memory_that_is_not_to_be_had_is_a_device_error() {
    let folder = Scratch::folder("scarce-memory");
    let path = Path::new(folder.path()).join("large.onnx");
    let mut build = ModelBuilder::new(17);
    build
        .input("x", &TensorType::real([1, 3, 680, 680]))
        .initializer("w", &Tensor::real(&[64, 3, 3, 3], vec![0.0; 64 * 27]).unwrap())
        .node("Conv", "conv", &["x", "w"], &["a"], &[("pads", AttributeValue::Ints(vec![1; 4]))])
        .node("Sigmoid", "sigmoid", &["a"], &["b"], &[])
        .node("GlobalAveragePool", "mean", &["b"], &["y"], &[])
        .output("y", None);
    std::fs::write(&path, build.to_bytes()).unwrap();
    let mut refused = 0;
    // KiB of address space: too little for the driver, for the tensors, and enough.
    for limit in [700_000, 850_000, 950_000, 1_000_000, 4_000_000] {
        let run = format!(
            "ulimit -v {limit}; exec '{}' run '{}' --device gpu --random",
            env!("CARGO_BIN_EXE_reluctor"),
            path.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &run]).env("NODEVICE_SELECT", "1").env("XDG_CACHE_HOME", folder.path());
        let output = command.output().unwrap();
        match output.status.code() {
            Some(0) => {}
            Some(5) => {
                refused += 1;
                assert!(said(&output).contains("memory"), "{limit}: {}", said(&output));
            }
            // The driver's compiler ends the process where it finds no memory itself; it must not have printed results.
            None => assert!(output.stdout.is_empty(), "{limit}: {}", said(&output)),
            code => panic!("{limit}: {code:?}: {}", said(&output)),
        }
    }
    assert!(refused > 0, "no limit was too small for 240 MB of tensors");
}

#[test]
fn two_processes_may_share_a_cache() {
    let folder = Scratch::folder("shared-cache");
    let run = || reluctor(Path::new(folder.path()), &["run", "--device", "gpu"]).spawn().unwrap();
    for _ in 0..3 {
        for child in [run(), run()] {
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        }
    }
}

#[test]
fn a_cache_that_cannot_be_written_costs_no_run() {
    let file = Scratch::with("no-cache-folder", b"a file");
    for cache in [Path::new(file.path()), Path::new("/proc/none"), Path::new("/dev/full")] {
        let output = reluctor(cache, &["run", "--device", "gpu"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}: {}", cache.display(), said(&output));
    }
}
