//! One run of the binary, watched.

use super::{Case, Outcome};
use reluctor::files::read_tensors;
use reluctor::tensor::Tensor;
use reluctor_testing::scratch::Scratch;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Of processor time, which does not depend on what else the machine does.
const MOST_SECONDS: f64 = 2.0;
const KILLED_AFTER: Duration = Duration::from_secs(10);
/// Beyond the input files, and what a good small run takes.
const MOST_KIB: u64 = 64 << 10;
/// An exit code.
const UNSUPPORTED: i32 = 3;
/// Of address space, so that a run that goes wrong does not take the machine with it.
const LIMITED: &str = "ulimit -v 16777216; exec \"$0\" \"$@\"";

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    seconds: f64,
    /// The most memory that was resident, as often as was looked; 0 where the system does not say.
    kib: u64,
}

/// Runs every case, and fails with a list of those that went wrong.
pub fn check(cases: Vec<Case>) {
    let good = super::Case::model("good", super::good().to_bytes());
    // It ends so soon that not every look at it finds much.
    let base = (0..5).map(|_| good_run(&good).kib).max().unwrap_or(0);
    let faults: Vec<String> = cases.iter().filter_map(|case| fault(case, base)).collect();
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

fn good_run(case: &Case) -> Ended {
    let folder = Scratch::folder(&format!("good-{:?}", std::thread::current().id()));
    case.prepare(Path::new(folder.path()));
    run(case, &folder)
}

fn fault(case: &Case, base: u64) -> Option<String> {
    let folder = Scratch::folder(&format!("bad-{:?}", std::thread::current().id()));
    let path = Path::new(folder.path()).to_path_buf();
    case.prepare(&path);
    let before = names(&path);
    let given = bytes(&path) >> 10;
    let ended = run(case, &folder);
    let mut faults = outcome(case, &ended, &path);
    if ended.seconds > MOST_SECONDS {
        faults.push(format!("took {} s", ended.seconds));
    }
    if ended.kib > base + given + MOST_KIB {
        faults.push(format!("took {} KiB; a small network {base}, the files {given}", ended.kib));
    }
    if ended.code != Some(0) && names(&path) != before {
        faults.push(format!("left {:?}", names(&path)));
    }
    let shown: String = ended.stderr.chars().take(600).collect();
    (!faults.is_empty()).then(|| format!("{}: {}\n    {shown:?}", case.name, faults.join("; ")))
}

fn outcome(case: &Case, ended: &Ended, folder: &Path) -> Vec<String> {
    let mut faults = vec![];
    let mut expect = |holds: bool, what: String| faults.extend((!holds).then_some(what));
    let clean = |text: &str| text.chars().all(|c| c == '\n' || !c.is_control());
    expect(clean(&ended.stderr) && clean(&ended.stdout), "prints control characters".to_string());
    let (code, word) = match &case.outcome {
        Outcome::Refused(code, word) => (*code, *word),
        Outcome::Survived(_) | Outcome::Fine if ended.code == Some(0) => return faults,
        Outcome::Survived(_) if ended.code == Some(UNSUPPORTED) => (UNSUPPORTED, ""),
        Outcome::Survived(code) => (*code, ""),
        Outcome::Fine => (0, ""),
        Outcome::Gives(elements) => {
            expect(ended.code == Some(0), format!("ended in {:?}", ended.code));
            if ended.code == Some(0) {
                let found = first_output(folder);
                let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                let all = found.len() == elements.len() && found.iter().zip(elements).all(same);
                expect(all, format!("gives {found:?}, not {elements:?}"));
            }
            return faults;
        }
    };
    let lines = |start: &str| ended.stderr.lines().filter(|line| line.starts_with(start)).count();
    expect(ended.code == Some(code), format!("ended in {:?}, not {code}", ended.code));
    expect(ended.stderr.contains(word), format!("does not say '{word}'"));
    expect((lines("error:"), lines("hint:")) == (1, 1), "is not one error and one hint".to_string());
    expect(ended.stderr.len() < 10_000, format!("says {} bytes", ended.stderr.len()));
    expect(ended.stdout.is_empty(), "prints results".to_string());
    faults
}

fn run(case: &Case, folder: &Scratch) -> Ended {
    let arguments = case.arguments.iter().map(|argument| argument.replace('@', folder.path()));
    let mut child = Command::new("sh")
        .args(["-c", LIMITED, env!("CARGO_BIN_EXE_reluctor")])
        .args(arguments)
        .env("NODEVICE_SELECT", "1")
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .envs(case.env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let (start, mut seconds, mut kib) = (Instant::now(), 0.0, 0);
    let code = loop {
        (seconds, kib) = watched(child.id(), seconds, kib);
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status.code();
        }
        if start.elapsed() > KILLED_AFTER {
            child.kill().expect("it still runs");
            child.wait().expect("a child can be waited for");
            seconds = start.elapsed().as_secs_f64();
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    Ended { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap(), seconds, kib }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = vec![];
        pipe.expect("it is piped").read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What Linux tells of a process while it lives: its processor time, and the peak of its resident memory.
///
/// `wait4` would tell both at the end, but counts the memory of the process that it was forked from; so does the status
/// of a child that has not become the binary yet.
fn watched(pid: u32, seconds: f64, kib: u64) -> (f64, u64) {
    const TICKS_A_SECOND: f64 = 100.0;
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let status = file("status");
    let own = status.starts_with("Name:\treluctor\n");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let peak = peak.filter(|_| own);
    // The name in parentheses may hold spaces; user and system time are the 14th and 15th field.
    let stat = file("stat");
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    (seconds.max(ticks / TICKS_A_SECOND), kib.max(peak.unwrap_or(0)))
}

fn names(folder: &Path) -> BTreeSet<std::ffi::OsString> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn bytes(folder: &Path) -> u64 {
    let lengths =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().map_or(0, |file| file.len()));
    lengths.sum::<u64>().min(1 << 30)
}

fn first_output(folder: &Path) -> Vec<f32> {
    match read_tensors(folder.join("out.npz")).unwrap().swap_remove(0).1 {
        Tensor::Real(array) => array.iter().copied().collect(),
        Tensor::Int(array) => array.iter().map(|&x| x as f32).collect(),
        Tensor::Bool(array) => array.iter().map(|&x| f32::from(x)).collect(),
    }
}
