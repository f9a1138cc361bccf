//! A file of results, a line of JSON for each item, that outlives the process that writes it.

use reluctor::error::{Error, Result};
use serde_json::Value;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Lines are appended whole; what is in the file stays there.
pub struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    /// An empty file.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| Error::io(path, error))?;
        Ok(Lines { path: path.to_path_buf(), file })
    }

    /// Goes on behind what another process wrote, and says which items are there. A last line that was cut off when that
    /// process died is taken away.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read or written, [`Error::Invalid`] where a line is no result.
    pub fn resume(path: &Path) -> Result<(Self, HashSet<String>)> {
        let io = |error| Error::io(path, error);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let mut done = HashSet::new();
        for (number, line) in
            text[..whole].split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
        {
            let result: Option<Value> = serde_json::from_slice(line).ok();
            let item = result.as_ref().and_then(|result| result["item"].as_str());
            let item =
                item.ok_or_else(|| Error::invalid(path.display(), format!("line {} is no result", number + 1)))?;
            done.insert(item.to_string());
        }
        Ok((Lines { path: path.to_path_buf(), file }, done))
    }

    /// Appends lines, in one write.
    ///
    /// # Errors
    /// [`Error::Io`] where that fails.
    pub fn append(&mut self, lines: &[String]) -> Result<()> {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        self.file.write_all(text.as_bytes()).map_err(|error| Error::io(&self.path, error))
    }
}
