//! The files that hold inputs: tensors in four formats, pictures in three, and folders in ONNX's test layout.

use reluctor::error::{Error, Result, escape};
use reluctor::files;
use reluctor::tensor::Tensor;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `--input NAME=FILE`, or `FILE` alone where that leaves no doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// The input's name; none where the file or the model says it.
    pub name: Option<String>,
    /// Where its content is.
    pub path: PathBuf,
}

impl FromStr for InputFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (Some(name.to_string()), path),
            None => (None, text),
        };
        if path.is_empty() || name.as_deref() == Some("") {
            return Err("expected NAME=FILE, for example data=cat.npy".to_string());
        }
        Ok(InputFile { name, path: PathBuf::from(path) })
    }
}

/// Whether this is a picture, by its name.
pub fn is_picture(path: &Path) -> bool {
    matches!(extension(path).as_str(), "png" | "jpg" | "jpeg" | "webp")
}

/// Whether this may hold several named tensors.
pub fn is_archive(path: &Path) -> bool {
    matches!(extension(path).as_str(), "npz" | "safetensors")
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// The file's tensor for the input of this name: in an archive the one so called, else the only one.
pub fn tensor_for(name: &str, path: &Path) -> Result<Tensor> {
    if !is_archive(path) {
        return files::read_tensor(path);
    }
    let mut tensors = files::read_tensors(path)?;
    let named = tensors.iter().position(|(member, _)| member == name);
    match named.or((tensors.len() == 1).then_some(0)) {
        Some(at) => Ok(tensors.swap_remove(at).1),
        None => Err(Error::invalid(path.display(), format!("holds {} tensors, none named '{name}'", tensors.len()))),
    }
}

/// A picture's or tensor's file, for reports.
pub fn file_name(path: &Path) -> String {
    escape(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_file_with_or_without_a_name() {
        let file = |name: Option<&str>, path: &str| {
            Ok(InputFile { name: name.map(str::to_string), path: PathBuf::from(path) })
        };
        assert_eq!("a.npy".parse(), file(None, "a.npy"));
        assert_eq!("x:0=d/a.npy".parse(), file(Some("x:0"), "d/a.npy"));
        assert_eq!("x=a=b.npy".parse(), file(Some("x"), "a=b.npy"));
        for text in ["", "=", "x=", "=a.npy"] {
            assert!(text.parse::<InputFile>().is_err(), "{text}");
        }
    }

    #[test]
    fn pictures_are_told_by_their_extension_in_any_case() {
        assert!(["a.png", "b.JPG", "c.jpeg", "d.WebP"].iter().all(|path| is_picture(Path::new(path))));
        assert!(!["a.onnx", "png", "b.npy", ""].iter().any(|path| is_picture(Path::new(path))));
    }
}
