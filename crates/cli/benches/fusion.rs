//! `cargo bench`: every suite of `reluctor bench`, fused against unfused. `-- --smoke` runs each subject once, `-- NAME` one
//! suite.
//!
//! Our own harness rather than a library's: fused and unfused have to be timed in turn, round by round, and nothing is timed
//! before it was compared with the reference. It is the subcommand's, so that what is measured here is what users measure.

use reluctor_cli as cli;
use reluctor_lab::bench::suites::SUITES;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let smoke = arguments.iter().any(|argument| argument == "--smoke");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let length: &[&str] = if smoke {
        &["--iterations", "1", "--duration", "0", "--warmup", "0"]
    } else {
        &["--iterations", "15", "--duration", "2"]
    };
    for suite in SUITES.iter().filter(|suite| wanted.is_empty() || wanted.iter().any(|name| *name == suite.name)) {
        let command = [&["reluctor", "bench", "--device", "gpu", "--suite", suite.name], length].concat();
        let code = cli::run(command);
        if code != ExitCode::SUCCESS {
            return code;
        }
    }
    ExitCode::SUCCESS
}
