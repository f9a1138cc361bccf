//! Elements in a file of their own beside the model, read without letting the model choose what else is read.
//!
//! The rules answer the attacks known on ONNX: a path that leaves the folder (CVE-2022-25882, CVE-2024-27318), a link
//! that does (CVE-2026-27489, CVE-2026-34447, CVE-2026-34446), and entries taken on trust (CVE-2026-34445).

use super::proto::TensorProto;
use crate::error::{Error, Result};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The files that a model may read elements from.
#[derive(Debug, Clone)]
pub struct External {
    /// The model's folder, or none where the model is no file.
    base: Option<PathBuf>,
}

impl External {
    /// Regular files in the folder of the model file, and in folders below.
    pub fn beside(model: &Path) -> Self {
        // The parent of a bare file name is the empty path, which names no folder.
        let parent = model.parent().filter(|parent| !parent.as_os_str().is_empty());
        External { base: Some(parent.unwrap_or(Path::new(".")).to_path_buf()) }
    }

    /// No files: for a model that came as bytes.
    pub fn none() -> Self {
        External { base: None }
    }

    /// The `size` bytes of a tensor whose `external_data` says where they are.
    ///
    /// # Errors
    /// There is no folder; an entry is unknown, doubled or malformed; the path is not relative, leaves the folder or
    /// goes through a symbolic link; the file is not regular or has a second name; the range is not `size` bytes within
    /// the file; reading fails.
    pub fn read(&self, tensor: &TensorProto, size: usize) -> Result<Vec<u8>> {
        let Some(base) = &self.base else {
            return Err(fault(tensor, "is stored in another file, but the model was not loaded from a folder"));
        };
        let range = Range::parse(tensor)?;
        let (path, mut file) = open(tensor, base, range.location)?;
        let len = file.metadata().map_err(|e| Error::io(&path, e))?.len();
        range.check(size as u64, len).map_err(|reason| fault(tensor, reason))?;
        read(&mut file, range.offset, size).map_err(|e| Error::io(path, e))
    }
}

/// What the entries of a tensor's `external_data` say. A checksum is of the whole file, and is not verified.
struct Range<'a> {
    /// A path relative to the model's folder.
    location: &'a str,
    /// In bytes.
    offset: u64,
    /// In bytes, or none for all to the end.
    length: Option<u64>,
}

impl<'a> Range<'a> {
    fn parse(tensor: &TensorProto<'a>) -> Result<Self> {
        let [mut location, mut offset, mut length, mut checksum] = [None; 4];
        for &(key, value) in &tensor.external_data {
            let entry = match key {
                "location" => &mut location,
                "offset" => &mut offset,
                "length" => &mut length,
                "checksum" => &mut checksum,
                _ => return Err(fault(tensor, format!("has the unknown external_data key '{key}'"))),
            };
            if entry.replace(value).is_some() {
                return Err(fault(tensor, format!("has two external_data keys '{key}'")));
            }
        }
        let bytes = |text| number(text).ok_or_else(|| fault(tensor, format!("'{text}' is not a number of bytes")));
        Ok(Range {
            location: location.ok_or_else(|| fault(tensor, "has no location of its external data"))?,
            offset: offset.map(bytes).transpose()?.unwrap_or(0),
            length: length.map(bytes).transpose()?,
        })
    }

    /// That this is `size` bytes within a file of `len`.
    fn check(&self, size: u64, len: u64) -> Result<(), String> {
        let Range { offset, length, .. } = *self;
        let left = len.checked_sub(offset).ok_or(format!("starts at byte {offset} of a file of {len}"))?;
        let length = length.unwrap_or(left);
        if length != size {
            return Err(format!("has {length} bytes of external data, but its shape calls for {size}"));
        }
        if length > left {
            return Err(format!("needs {length} bytes from byte {offset} of a file of {len}"));
        }
        Ok(())
    }
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Opens the file at `location` below `base`, and refuses it unless it is what was found there.
fn open(tensor: &TensorProto, base: &Path, location: &str) -> Result<(PathBuf, File)> {
    let refuse = |reason| Err(refusal(tensor, location, reason));
    let (path, found) = find(tensor, base, location)?;
    // Opening a pipe would wait for its writer, so this cannot be left to what is asked of the open file.
    if !found.is_file() {
        return refuse("is not a regular file");
    }
    let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
    let opened = file.metadata().map_err(|e| Error::io(&path, e))?;
    if identity(&opened) != identity(&found) {
        return refuse("was replaced while it was being opened");
    }
    if identity(&opened).names > 1 {
        return refuse("is a hard link, perhaps to a file elsewhere");
    }
    Ok((path, file))
}

/// Walks from `base` to `location`, through folders only.
fn find(tensor: &TensorProto, base: &Path, location: &str) -> Result<(PathBuf, Metadata)> {
    let refuse = |reason| Err(refusal(tensor, location, reason));
    if location.is_empty() || location.contains('\0') {
        return refuse("is not a path");
    }
    let mut path = base.to_path_buf();
    for component in Path::new(location).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => continue,
            _ => return refuse("leaves the model's folder"),
        }
        let metadata = fs::symlink_metadata(&path).map_err(|e| Error::io(&path, e))?;
        if metadata.is_symlink() {
            return refuse("goes through a symbolic link");
        }
    }
    // A second line of defence, against whatever a system resolves that is neither `..` nor a link.
    if !canonical(&path)?.starts_with(canonical(base)?) {
        return refuse("leaves the model's folder");
    }
    let metadata = fs::symlink_metadata(&path).map_err(|e| Error::io(&path, e))?;
    Ok((path, metadata))
}

fn canonical(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(|e| Error::io(path, e))
}

/// What a file is, whatever its path.
#[derive(PartialEq)]
struct Identity {
    device: u64,
    inode: u64,
    /// How many paths lead to it.
    names: u64,
}

#[cfg(unix)]
fn identity(file: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    Identity { device: file.dev(), inode: file.ino(), names: file.nlink() }
}

/// The standard library does not tell here, so the checks on it pass.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {
    Identity { device: 0, inode: 0, names: 1 }
}

/// `size` is known to be within the file, but the file may be larger than memory, or shrink.
fn read(file: &mut File, offset: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.seek(SeekFrom::Start(offset))?;
    file.take(size as u64).read_to_end(&mut bytes)?;
    if bytes.len() == size { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn refusal(tensor: &TensorProto, location: &str, reason: &str) -> Error {
    fault(tensor, format!("external data '{location}' {reason}"))
}

fn fault(tensor: &TensorProto, reason: impl fmt::Display) -> Error {
    Error::invalid(format!("tensor '{}'", tensor.name), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::data;
    use crate::tensor::Tensor;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A folder `model` holding `w.bin` (bytes 0 to 15) and a folder `sub`, beside a file `secret`; gone when dropped.
    struct Scene(PathBuf);

    impl Scene {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("reluctor-external-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let scene = Scene(std::env::temp_dir().join(name));
            fs::create_dir_all(scene.path("model/sub")).unwrap();
            fs::write(scene.path("model/w.bin"), (0..16).collect::<Vec<u8>>()).unwrap();
            fs::write(scene.path("secret"), [42; 16]).unwrap();
            scene
        }

        fn path(&self, relative: &str) -> PathBuf {
            self.0.join(relative)
        }

        fn read(&self, entries: &[(&str, &str)], size: usize) -> Result<Vec<u8>> {
            External::beside(&self.path("model/model.onnx")).read(&tensor(entries), size)
        }

        fn refusal(&self, entries: &[(&str, &str)]) -> String {
            self.read(entries, 16).expect_err("this tensor is hostile").to_string()
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn tensor<'a>(entries: &[(&'a str, &'a str)]) -> TensorProto<'a> {
        TensorProto { name: "w", data_location: 1, external_data: entries.to_vec(), ..TensorProto::default() }
    }

    #[test]
    fn a_range_of_a_file_is_read() {
        let scene = Scene::new();
        assert_eq!(scene.read(&[("location", "w.bin")], 16).unwrap(), (0..16).collect::<Vec<u8>>());
        assert_eq!(scene.read(&[("offset", "12"), ("location", "./w.bin")], 4).unwrap(), [12, 13, 14, 15]);
        let entries = [("location", "w.bin"), ("offset", "2"), ("length", "3"), ("checksum", "unverified")];
        assert_eq!(scene.read(&entries, 3).unwrap(), [2, 3, 4]);
        assert_eq!(scene.read(&[("location", "w.bin"), ("offset", "16")], 0).unwrap(), [0u8; 0]);
    }

    #[test]
    fn a_tensor_takes_its_elements_from_the_file() {
        let scene = Scene::new();
        let proto = TensorProto { data_type: 4, dims: vec![2], ..tensor(&[("location", "w.bin"), ("length", "4")]) };
        let external = External::beside(&scene.path("model/model.onnx"));
        assert_eq!(data::tensor(&proto, &external).unwrap(), Tensor::ints(vec![0x0100, 0x0302]));
    }

    #[test]
    fn a_model_of_bytes_has_no_folder_to_read_from() {
        let error = External::none().read(&tensor(&[("location", "w.bin")]), 16).unwrap_err();
        assert!(error.to_string().contains("not loaded from a folder"), "{error}");
    }

    #[test]
    fn the_folder_of_a_bare_file_name_is_the_current_one() {
        assert_eq!(External::beside(Path::new("model.onnx")).base, Some(PathBuf::from(".")));
    }

    #[test]
    fn hostile_entries_are_refused() {
        let scene = Scene::new();
        let absolute = scene.path("secret");
        let cases: [(&[(&str, &str)], &str); 17] = [
            (&[], "has no location"),
            (&[("location", "")], "is not a path"),
            (&[("location", "w.bin\0")], "is not a path"),
            (&[("location", absolute.to_str().unwrap())], "leaves the model's folder"),
            (&[("location", "../secret")], "leaves the model's folder"),
            (&[("location", "sub/../../secret")], "leaves the model's folder"),
            (&[("location", "sub/../w.bin")], "leaves the model's folder"),
            (&[("location", "sub")], "is not a regular file"),
            (&[("location", ".")], "is not a regular file"),
            (&[("location", "missing")], "missing"),
            (&[("location", "w.bin"), ("location", "w.bin")], "two external_data keys 'location'"),
            (&[("location", "w.bin"), ("__class__", "x")], "unknown external_data key '__class__'"),
            (&[("location", "w.bin"), ("offset", "-1")], "'-1' is not a number of bytes"),
            (&[("location", "w.bin"), ("offset", "17")], "starts at byte 17 of a file of 16"),
            (&[("location", "w.bin"), ("offset", "1")], "has 15 bytes"),
            (&[("location", "w.bin"), ("offset", "1"), ("length", "16")], "needs 16 bytes from byte 1 of a file of 16"),
            (&[("location", "w.bin"), ("length", "18446744073709551615")], "has 18446744073709551615 bytes"),
        ];
        for (entries, reason) in cases {
            let error = scene.refusal(entries);
            assert!(error.contains(reason), "{entries:?} gave {error}");
        }
        for number in ["", "+1", "1 ", "0x1", "18446744073709551616"] {
            assert!(scene.refusal(&[("location", "w.bin"), ("length", number)]).contains("not a number of bytes"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_are_refused() {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;
        let scene = Scene::new();
        symlink(scene.path("secret"), scene.path("model/link")).unwrap();
        symlink("w.bin", scene.path("model/inner")).unwrap();
        symlink(&scene.0, scene.path("model/up")).unwrap();
        fs::hard_link(scene.path("secret"), scene.path("model/hard")).unwrap();
        let _socket = UnixListener::bind(scene.path("model/socket")).unwrap();
        for (location, reason) in [
            ("link", "symbolic link"),
            ("inner", "symbolic link"),
            ("up/secret", "symbolic link"),
            ("hard", "hard link"),
            ("socket", "not a regular file"),
        ] {
            let error = scene.refusal(&[("location", location)]);
            assert!(error.contains(reason), "{location} gave {error}");
        }
    }
}
