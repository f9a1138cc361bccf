//! The command line: one file a subcommand. The only place that prints: results go to stdout, all else to stderr.
//!
//! To add a subcommand: a file with its `Args` and `run`, one row in `Command` and one in `Command::run`.

mod answers;
mod batches;
mod bench;
mod bind;
mod bundle_args;
mod choices;
mod compare;
mod completions;
mod console;
mod device_args;
mod devices;
mod drawn;
mod exit;
mod export_args;
mod fault_args;
mod feed;
mod fusion_args;
mod input_args;
mod input_files;
mod inspect;
mod interrupt;
mod layers;
mod measure_args;
mod model_args;
mod picture_args;
mod plan;
mod profile;
mod quantity;
mod roofs;
mod run;
mod save_args;
mod selftest;
mod shaders;
mod task;
mod timeline;
mod tune;
mod tune_args;
mod xray;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use console::Console;
use exit::Code;
use reluctor::error::{Error, Result};
use reluctor::gpu;
use std::ffi::OsString;
use std::process::ExitCode;

/// The version, and what it is built from.
pub(crate) const VERSION: &str = env!("RELUCTOR_VERSION");

/// A convolution engine for any GPU: fuses convolution with its activation and pooling, and proves its numbers.
#[derive(Parser)]
#[command(name = "reluctor", version = VERSION, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    console: ConsoleArgs,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 outputs differ or a threshold failed, 2 usage, 3 unsupported model, \
    4 invalid input, 5 device, 6 a budget would be exceeded, 70 internal, 130 interrupted.";

/// What holds for every subcommand.
#[derive(Args)]
struct ConsoleArgs {
    /// Say more on stderr
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// No colours; also where NO_COLOR is set or stdout is no terminal
    #[arg(long, global = true)]
    no_color: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a network: its answers, the device, the time
    Run(Box<run::RunArgs>),
    /// Hold the device against the CPU reference, layer by layer; names the first layer that diverges
    Compare(Box<compare::CompareArgs>),
    /// Time fused against unfused, after checking both
    Bench(Box<bench::BenchArgs>),
    /// How linear is each layer and the whole: what do the activations do?
    Xray(Box<xray::XrayArgs>),
    /// Show what will run: kernels, fusions and why not, memory, arithmetic
    Plan(plan::PlanArgs),
    /// Show inputs, outputs, operators, parameters, and what is unsupported
    Inspect(inspect::InspectArgs),
    /// List the adapters and which one `auto` takes
    Devices(devices::DevicesArgs),
    /// List or write every composed WGSL variant
    Shaders(shaders::ShadersArgs),
    /// Try random networks: is this device's arithmetic right?
    Selftest(selftest::SelftestArgs),
    /// Show, export or import what --tune has measured
    Tune(tune::TuneCommandArgs),
    /// Print a completion script
    Completions(completions::CompletionsArgs),
}

impl Command {
    fn run(&self, console: &Console) -> Result<Code> {
        match self {
            Command::Run(args) => run::run(args, console),
            Command::Compare(args) => compare::run(args, console),
            Command::Bench(args) => bench::run(args, console),
            Command::Xray(args) => xray::run(args, console),
            Command::Plan(args) => plan::run(args, console),
            Command::Inspect(args) => inspect::run(args, console),
            Command::Devices(args) => devices::run(args, console),
            Command::Shaders(args) => shaders::run(args, console),
            Command::Selftest(args) => selftest::run(args, console),
            Command::Tune(args) => tune::run(args, console),
            Command::Completions(args) => completions::run(args, console),
        }
    }
}

/// Parses the command line, does what it says and returns the exit code that its outcome stands for.
pub fn main() -> ExitCode {
    interrupt::catch();
    start_threads();
    let code = outcome(std::env::args_os());
    if gpu::is_left_at_work() {
        exit::at_once(code);
    }
    ExitCode::from(code)
}

/// Starts rayon's threads while an error can still be answered: where no other thread is to be had, this one works alone.
fn start_threads() {
    if rayon::ThreadPoolBuilder::new().build_global().is_err() {
        // It fails only where a pool is there already, which will do.
        drop(rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global());
    }
}

/// The same for another command line, the program's name first.
pub fn run<A: Into<OsString> + Clone>(command_line: impl IntoIterator<Item = A>) -> ExitCode {
    ExitCode::from(outcome(command_line))
}

fn outcome<A: Into<OsString> + Clone>(command_line: impl IntoIterator<Item = A>) -> Code {
    let Cli { console, command } = match Cli::try_parse_from(command_line) {
        Ok(cli) => cli,
        Err(error) => return exit::code_of(|| refused(&error)),
    };
    let console = Console::new(console.verbose, console.quiet, console.no_color);
    exit::code_of(|| command.run(&console))
}

/// A command line that asks for help or the version gets it; any other that does not parse is an error like the rest.
fn refused(error: &clap::Error) -> Result<Code> {
    let asks = !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if asks {
        error.print().map_err(|error| Error::io("standard output", error))?;
        return Ok(error.exit_code() as u8);
    }
    let text = error.render().to_string();
    let said = text.split("\n\n").take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    let said: Vec<&str> = said.flat_map(str::lines).map(str::trim).collect();
    let said = said.join(" ");
    Err(Error::Usage(said.strip_prefix("error: ").unwrap_or(&said).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_declared_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_full_run_command_parses() {
        let line = "reluctor run m.onnx a.png b.jpg --preset imagenet --labels l.txt --top-k 5 --shape x:0:1x3x8x8 \
            --dim N=4 --batch 2 --device llvmpipe --fuse bias,activation --seed 7 --range -1:1 --json -q";
        assert!(Cli::try_parse_from(line.split_whitespace()).is_ok());
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in ["run m.onnx --fuse bias --no-fuse", "run -v -q", "run --precision f8", "run --batch 0", "teach"] {
            let line = format!("reluctor {line}");
            assert_eq!(Cli::try_parse_from(line.split_whitespace()).err().map(|e| e.exit_code()), Some(2), "{line}");
        }
    }
}
