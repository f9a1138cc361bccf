//! `reluctor completions SHELL`

use super::Cli;
use super::console::Console;
use super::exit::{Code, FINE};
use clap::{Args, CommandFactory};
use reluctor::error::Result;

#[derive(Args)]
pub struct CompletionsArgs {
    shell: clap_complete::Shell,
}

pub fn run(args: &CompletionsArgs, console: &Console) -> Result<Code> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "reluctor", &mut script);
    console.print(String::from_utf8_lossy(&script))?;
    Ok(FINE)
}
