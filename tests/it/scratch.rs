//! A file that goes away with the test.

use std::path::PathBuf;

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn with(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("reluctor-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
