//! A file or a folder that goes away with the test.

use std::path::PathBuf;

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn with(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("reluctor-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Scratch(path)
    }

    pub fn folder(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("reluctor-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = if self.0.is_dir() { std::fs::remove_dir_all(&self.0) } else { std::fs::remove_file(&self.0) };
    }
}
