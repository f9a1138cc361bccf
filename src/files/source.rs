//! The place that bytes come from, named in every error about them.

use crate::error::{Error, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// A file, or one member of an archive.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The file.
    pub path: &'a Path,
    /// The member's name, where the file is an archive.
    pub member: Option<&'a str>,
}

impl<'a> Source<'a> {
    /// A whole file.
    pub fn file(path: &'a Path) -> Self {
        Source { path, member: None }
    }

    /// Opens the file and tells its length in bytes. Only regular files: a pipe or a device has no length to check by.
    pub fn open(&self) -> Result<(File, u64)> {
        // Before opening, since to open a pipe without a writer is to wait for ever.
        let metadata = std::fs::metadata(self.path).map_err(|e| Error::io(self.path, e))?;
        if !metadata.is_file() {
            return Err(self.invalid("not a regular file"));
        }
        let file = File::open(self.path).map_err(|e| Error::io(self.path, e))?;
        Ok((file, metadata.len()))
    }

    /// The error for bytes that break a rule.
    pub fn invalid(&self, reason: impl fmt::Display) -> Error {
        Error::invalid(self, reason)
    }

    /// The error for a failed read: the system's fault where it gives its code, else that of too few or corrupt bytes.
    pub fn failed(&self, error: io::Error) -> Error {
        match error.kind() {
            _ if error.raw_os_error().is_some() => Error::io(self.path, error),
            ErrorKind::UnexpectedEof => self.invalid("ends too early"),
            _ => self.invalid(error),
        }
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member {
            Some(member) => write!(f, "{}[{member}]", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}
