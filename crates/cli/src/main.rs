//! The `reluctor` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    reluctor_cli::main()
}
