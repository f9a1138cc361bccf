//! Files that appear complete or not at all.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes `path` through a temporary file beside it, renamed over it once all is written, removed where that fails.
///
/// A symbolic link is followed. What exists but is no regular file (a device, a directory) is refused: a rename would
/// put a file in its place.
///
/// # Errors
/// `Invalid` if `path` is no regular file; `Io` if it cannot be written.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::invalid(path.display(), "not a regular file, so it is not written over"));
    }
    let temporary = beside(&target);
    let written = write_new(&temporary, write).and_then(|()| fs::rename(&temporary, &target));
    written.map_err(|error| {
        // Nothing to add where there is nothing to remove: the first error is the one to report.
        let _ = fs::remove_file(&temporary);
        Error::io(path, error)
    })
}

fn write_new(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create_new(path)?);
    write(&mut file)?;
    file.flush()
}

/// `.NAME.PID.partial`, in the same folder and so on the same file system.
fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}
