//! `--out`: where the pictures of answers go.

use reluctor::error::{Error, Result};
use reluctor_vision::image::Picture;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One picture.
    File(PathBuf),
    /// One picture for each item, by its name.
    Folder(PathBuf),
    /// A line of JSON for each item.
    Lines(PathBuf),
}

impl Target {
    /// By the name's extension: .png, .jsonl, or none for a folder that is there or can be made.
    ///
    /// # Errors
    /// [`Error::Usage`] for any other, and for a file that is where a folder would be.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("png") => Ok(Target::File(path.to_path_buf())),
            Some("jsonl") => Ok(Target::Lines(path.to_path_buf())),
            _ if path.is_dir() => Ok(Target::Folder(path.to_path_buf())),
            None if !path.exists() && path != Path::new("-") => Ok(Target::Folder(path.to_path_buf())),
            _ => Err(Error::Usage("--out takes a .png, a .jsonl or a folder".to_string())),
        }
    }
}

/// A folder that pictures are written to, each under a name of its own.
pub struct Folder {
    path: PathBuf,
    taken: HashSet<OsString>,
}

impl Folder {
    /// Makes it where it is not there.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be made.
    pub fn make(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| Error::io(path, error))?;
        Ok(Folder { path: path.to_path_buf(), taken: HashSet::new() })
    }

    /// Writes a picture under the item's name as a PNG file, and returns where.
    ///
    /// # Errors
    /// Those of [`Picture::save_png`].
    pub fn write(&mut self, item: &str, picture: &Picture) -> Result<PathBuf> {
        let stem = Path::new(item).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut name = OsString::from(format!("{stem}.png"));
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = OsString::from(format!("{stem}-{number}.png"));
        }
        let path = self.path.join(name);
        picture.save_png(&path)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reluctor_testing::scratch::Scratch;

    #[test]
    fn the_extension_says_what_is_written() {
        let (target, file) = (|path: &str| Target::of(Path::new(path)).ok(), Scratch::with("drawn", b""));
        assert_eq!(target("a/b.PNG"), Some(Target::File("a/b.PNG".into())));
        assert_eq!(target("r.jsonl"), Some(Target::Lines("r.jsonl".into())));
        assert_eq!(target("pictures"), Some(Target::Folder("pictures".into())));
        assert_eq!(target("a.jpg"), None);
        assert_eq!(target("-"), None);
        assert_eq!(target(file.path()), None);
    }
}
