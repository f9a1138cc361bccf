//! Where the files that tests read lie in the checkout.

use std::path::{Path, PathBuf};

/// The checkout's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is there")
}

/// A file or folder of the example network.
pub fn asset(name: &str) -> PathBuf {
    root().join("crates/vision/assets").join(name)
}

/// The bytes of the example network.
pub fn example_network() -> Vec<u8> {
    std::fs::read(asset("fashion_mnist.onnx")).expect("the example network is in the tree")
}

/// The folder of ONNX's own cases for backends.
///
/// # Panics
/// If they were not fetched.
pub fn onnx_suite() -> PathBuf {
    let suite = root().join("target/onnx-suite");
    assert!(suite.join("version").exists(), "ONNX's suite is missing: run scripts/fetch-onnx-suite");
    suite
}

/// A folder of real networks with stored outputs, which are no part of the project: `RELUCTOR_MODELS` names it.
///
/// # Panics
/// If it does not.
pub fn models() -> PathBuf {
    std::env::var_os("RELUCTOR_MODELS").expect("RELUCTOR_MODELS names the folder of the networks").into()
}
