//! The `reluctor` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    reluctor::cli::main()
}
