//! Records for `--version` which commit and which wgpu this is built from.

use std::path::Path;
use std::process::Command;

/// The lock file of a package by itself, and of the workspace.
const LOCKS: [&str; 2] = ["Cargo.lock", "../../Cargo.lock"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    LOCKS.iter().filter(|lock| Path::new(lock).exists()).for_each(|lock| println!("cargo::rerun-if-changed={lock}"));
    let known =
        [commit_of_checkout().or_else(commit_of_package), locked_version("wgpu").map(|wgpu| format!("wgpu {wgpu}"))];
    let known: Vec<String> = known.into_iter().flatten().collect();
    let version = env!("CARGO_PKG_VERSION");
    let suffix = if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) };
    println!("cargo::rustc-env=RELUCTOR_VERSION={version}{suffix}");
}

/// The commit of the working tree whose command line this package is. A package unpacked somewhere inside another repository is
/// no part of that one.
fn commit_of_checkout() -> Option<String> {
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let here = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    if Path::new(&root).join("crates/cli").canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // A commit appends to this log, in a linked working tree too.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short", "HEAD"])
}

/// The commit that `cargo package` noted.
fn commit_of_package() -> Option<String> {
    let note = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, after) = note.split_once("\"sha1\"")?;
    let sha1 = after.split('"').nth(1)?;
    sha1.get(..7).map(str::to_string)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_string();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn locked_version(package: &str) -> Option<String> {
    let lock = LOCKS.iter().find_map(|lock| std::fs::read_to_string(lock).ok())?;
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    after.split('"').next().map(str::to_string)
}
