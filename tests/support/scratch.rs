use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A folder that lives as long as the test, or longer when `CLAVIGER_KEEP` is set.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// Makes a folder with `name` in its name, readable by its owner only.
    pub fn new(name: &str) -> Result<Self> {
        tempfile::Builder::new()
            .prefix(&format!("claviger-{name}-"))
            .disable_cleanup(std::env::var_os("CLAVIGER_KEEP").is_some())
            .tempdir()
            .map(Self)
            .with_context(|| format!("cannot make a temporary folder for `{name}`"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file into the folder, and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }
}
