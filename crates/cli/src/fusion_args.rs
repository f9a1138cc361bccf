//! `--fuse` and `--no-fuse`

use clap::Args;
use reluctor::error::Result;
use reluctor::passes::{Fusion, PASSES};

#[derive(Args)]
pub struct FusionArgs {
    /// Which fusions to make, separated by commas; all where nothing is said
    #[arg(long, value_name = "LIST", help_heading = "Fusion", value_delimiter = ',', long_help = pass_list(), conflicts_with = "no_fuse")]
    fuse: Option<Vec<String>>,
    /// Make no fusion: every node of the model runs by itself
    #[arg(long, help_heading = "Fusion")]
    no_fuse: bool,
}

impl FusionArgs {
    /// The chosen passes.
    pub fn fusion(&self) -> Result<Fusion> {
        self.fusion_or(Fusion::all())
    }

    /// The chosen passes, or others where nothing is said.
    pub fn fusion_or(&self, usual: Fusion) -> Result<Fusion> {
        match &self.fuse {
            _ if self.no_fuse => Ok(Fusion::none()),
            Some(names) => Fusion::only(names.iter().map(String::as_str)),
            None => Ok(usual),
        }
    }

    /// The flag that makes the same choice, for a command that is to be repeated.
    pub fn flag(&self) -> String {
        match &self.fuse {
            _ if self.no_fuse => "--no-fuse".to_string(),
            Some(names) => format!("--fuse {}", names.join(",")),
            None => String::new(),
        }
    }
}

fn pass_list() -> String {
    let rows = PASSES.iter().map(|pass| format!("\n  {:<12} {}", pass.name, pass.summary));
    format!("Which fusions to make, separated by commas; all where nothing is said:{}", rows.collect::<String>())
}
