//! `reluctor shaders`

use super::console::Console;
use super::exit::{Code, FINE};
use clap::Args;
use reluctor::error::{Error, Result};
use reluctor::kernels::variants;
use std::path::PathBuf;

#[derive(Args)]
pub struct ShadersArgs {
    /// Write each variant to DIR/<variant>.wgsl instead of listing them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &ShadersArgs, console: &Console) -> Result<Code> {
    let Some(folder) = &args.out else {
        let list: String = variants().map(|variant| format!("{variant}\n")).collect();
        console.print(list)?;
        return Ok(FINE);
    };
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let mut written = 0;
    for variant in variants() {
        let path = folder.join(format!("{variant}.wgsl"));
        std::fs::write(&path, variant.source()).map_err(|error| Error::io(&path, error))?;
        written += 1;
    }
    console.line(format_args!("{written} variants in {}", folder.display()))?;
    Ok(FINE)
}
