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

#[cfg(unix)]
#[test]
fn an_interrupt_ends_device_work_at_once_with_exit_code_130() {
    // Before a device is open, while pipelines compile, and while the device computes.
    for wait in [100, 400, 1_500, 2_500] {
        let bench = ["bench", "--device", "gpu", "--conv", "1x64x112x112,64x3x3,p1", "--duration", "60"];
        let mut child = reluctor(&bench).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let start = Instant::now();
        let status = child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(130), "after {wait} ms: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_reader_who_goes_away_ends_the_program_without_a_word() {
    for arguments in [&["shaders"][..], &["run", "--device", "cpu", "--json"]] {
        let mut child = reluctor(arguments).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
