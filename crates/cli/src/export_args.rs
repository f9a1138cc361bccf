//! `--export-json`, `--export-csv`, `--export-markdown`, `--export-html`: a report as files.

use clap::Args;
use reluctor::error::{Error, Result};
use reluctor_lab::report::{Format, Table};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args)]
pub struct ExportArgs {
    /// Write the JSON document to a file as well
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_json: Option<PathBuf>,
    /// Write the table to a file as comma-separated values
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_csv: Option<PathBuf>,
    /// Write the table to a file in Markdown
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_markdown: Option<PathBuf>,
    /// Write the table to a file as a page
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_html: Option<PathBuf>,
}

impl ExportArgs {
    /// Whether a page is asked for.
    pub fn wants_page(&self) -> bool {
        self.export_html.is_some()
    }

    /// Writes the files that are asked for.
    ///
    /// # Errors
    /// [`Error::Io`] where one cannot be written.
    pub fn write(&self, document: &impl Serialize, table: &Table) -> Result<()> {
        self.write_with(document, table, || table.render(Format::Html))
    }

    /// The same, with a page of its own.
    ///
    /// # Errors
    /// [`Error::Io`] where one cannot be written.
    pub fn write_with(&self, document: &impl Serialize, table: &Table, page: impl Fn() -> String) -> Result<()> {
        let write = |path: &Option<PathBuf>, text: &dyn Fn() -> Result<String>| match path {
            Some(path) => std::fs::write(path, text()?).map_err(|error| Error::io(path, error)),
            None => Ok(()),
        };
        let json = || serde_json::to_string_pretty(document).map_err(|error| Error::Internal(error.to_string()));
        write(&self.export_json, &json)?;
        write(&self.export_csv, &|| Ok(table.render(Format::Csv)))?;
        write(&self.export_markdown, &|| Ok(table.render(Format::Markdown)))?;
        write(&self.export_html, &|| Ok(page()))
    }
}
