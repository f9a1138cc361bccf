//! A user who interrupts, and a reader who goes away.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn reluctor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reluctor"));
    command.args(arguments).env("NODEVICE_SELECT", "1").env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A long measurement whose pipelines neither we nor the driver have compiled before.
fn cold_bench(seconds: &str, extra: &[&str]) -> Command {
    let mut command =
        reluctor(&["bench", "--device", "gpu", "--conv", "1x64x112x112,64x3x3,p1", "--duration", seconds]);
    command.args(extra).env("MESA_SHADER_CACHE_DISABLE", "true").env("XDG_CACHE_HOME", "/dev/null");
    command
}

fn text_of(mut said: impl Read) -> String {
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    text
}

/// Waits until this process handles interrupts: one that comes before ends it as it ends every program.
#[cfg(target_os = "linux")]
fn wait_for_handler(process: u32) {
    const SIGINT: u32 = 2;
    let start = Instant::now();
    let handles = |status: String| {
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a row of every status");
        u64::from_str_radix(caught.trim(), 16).unwrap() >> (SIGINT - 1) & 1 == 1
    };
    while !handles(std::fs::read_to_string(format!("/proc/{process}/status")).unwrap()) {
        assert!(start.elapsed() < Duration::from_secs(60), "no handler");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_device_work_at_once_with_exit_code_130() {
    // Before a device is open, while pipelines compile, and while the device computes.
    for wait in [0, 100, 400, 800, 1_200, 2_500] {
        let mut child = cold_bench("60", &[]).spawn().unwrap();
        wait_for_handler(child.id());
        std::thread::sleep(Duration::from_millis(wait));
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let start = Instant::now();
        let status = child.wait().unwrap();
        let said = text_of(child.stderr.take().unwrap());
        assert_eq!(status.code(), Some(130), "after {wait} ms: {status}: {said}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// The driver's threads compile on while the process ends.
#[test]
fn a_timeout_ends_the_program_with_exit_code_5_whatever_the_driver_does() {
    for milliseconds in 0..16 {
        // No device answers within the first of these times.
        let time = f64::from(milliseconds).max(0.01) / 1e3;
        let output = cold_bench("0", &["--timeout", &time.to_string()]).output().unwrap();
        let said = text_of(&output.stderr[..]);
        if output.status.success() && milliseconds > 0 {
            break; // It will within longer ones too.
        }
        assert_eq!(output.status.code(), Some(5), "{time} s: {}: {said}", output.status);
        assert!(said.contains("error: device: timeout: no answer within"), "{said}");
    }
}

#[test]
fn a_reader_who_goes_away_ends_the_program_without_a_word() {
    for arguments in [&["shaders"][..], &["run", "--device", "cpu", "--json"]] {
        let mut child = reluctor(arguments).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let said = text_of(child.stderr.take().unwrap());
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
