//! Many pictures by few words: files, folders, patterns, and a list on stdin.

use crate::input_files::is_picture;
use reluctor::error::{Error, Result};
use std::collections::HashSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// What stands for a list on stdin, one path a line.
const STDIN: &str = "-";

/// Whether these arguments may stand for any number of pictures.
pub fn is_open_ended(arguments: &[PathBuf]) -> bool {
    arguments.iter().any(|path| path.as_os_str() == STDIN || path.is_dir() || is_pattern(path))
}

/// Whether an argument can only stand for pictures, and not for a model.
pub fn is_of_pictures(path: &Path) -> bool {
    path.as_os_str() == STDIN || is_pattern(path) || path.is_dir() && from_folder(path).is_ok()
}

/// Every picture, once each, in the order of the arguments; those of a folder or a pattern by name.
///
/// # Errors
/// [`Error::Invalid`] for a folder without pictures and a pattern that matches nothing, [`Error::Io`] where a folder or
/// stdin cannot be read.
pub fn listed(arguments: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut seen = HashSet::new();
    let mut paths = Vec::new();
    for argument in arguments {
        let found = match argument {
            path if path.as_os_str() == STDIN => from_stdin()?,
            path if path.is_dir() => from_folder(path)?,
            path if is_pattern(path) => from_pattern(path)?,
            path => vec![path.clone()],
        };
        paths.extend(found.into_iter().filter(|path| seen.insert(path.clone())));
    }
    Ok(paths)
}

fn from_stdin() -> Result<Vec<PathBuf>> {
    let lines = std::io::stdin().lock().lines().collect::<Result<Vec<String>, _>>();
    let lines = lines.map_err(|error| Error::io("standard input", error))?;
    Ok(lines
        .iter()
        .map(|line| line.trim_end_matches('\r'))
        .filter(|line| !line.is_empty())
        .map(PathBuf::from)
        .collect())
}

fn from_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.map_err(|error| Error::io(folder, error))?;
    paths.retain(|path| is_picture(path) && path.is_file());
    paths.sort();
    if paths.is_empty() { Err(Error::invalid(folder.display(), "holds no pictures")) } else { Ok(paths) }
}

/// A file may be called like a pattern; then it is a file.
fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?', '['])) && !path.exists()
}

fn from_pattern(pattern: &Path) -> Result<Vec<PathBuf>> {
    let invalid = |reason: &dyn std::fmt::Display| Error::invalid(pattern.display(), reason);
    let paths = glob::glob(pattern.to_str().unwrap_or_default()).map_err(|error| invalid(&error))?;
    // What cannot be read is reported when it is opened.
    let mut paths: Vec<PathBuf> = paths.filter_map(|path| path.ok()).filter(|path| path.is_file()).collect();
    paths.sort();
    if paths.is_empty() { Err(invalid(&"matches no file")) } else { Ok(paths) }
}
