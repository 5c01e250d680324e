//! State that survives `kill -9`: one JSON file for each model in one folder, replaced as a whole.
//!
//! A model is written before the answer to the call that changed it leaves, so that nobody ever remembers more than
//! the world does. Calls that wait together share one write. Nothing is synced to disk: a power cut may lose the end.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, io};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lock;

/// One file.
pub(crate) struct Keep {
    path: Option<PathBuf>,
    written: Mutex<Vec<u8>>,
}

impl Keep {
    /// The file `name` in `folder`; without a folder nothing is kept.
    pub(crate) fn new(folder: Option<&Path>, name: &str) -> Self {
        Self { path: folder.map(|folder| folder.join(name)), written: Mutex::default() }
    }

    /// What was kept, if anything was.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let Some(path) = &self.path else { return Ok(None) };
        match fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the model, unless it is as it was.
    pub(crate) fn save<T: Serialize>(&self, model: &Mutex<T>) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        // The file's lock comes first: whoever waits for it finds its change written by the one before.
        let mut written = lock(&self.written);
        let bytes = serde_json::to_vec(&*lock(model))?;
        if *written == bytes {
            return Ok(());
        }
        replace(path, &bytes)?;
        *written = bytes;
        Ok(())
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, bytes)?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep::new(Some(folder.path()), "x.json");
        assert_eq!(keep.load::<Vec<u32>>().unwrap(), None);
        keep.save(&Mutex::new(vec![1, 2])).unwrap();
        assert_eq!(Keep::new(Some(folder.path()), "x.json").load::<Vec<u32>>().unwrap(), Some(vec![1, 2]));
    }

    #[test]
    fn a_broken_file_is_an_error_and_not_an_empty_world() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.json"), "{").unwrap();
        assert!(Keep::new(Some(folder.path()), "x.json").load::<Vec<u32>>().is_err());
    }
}
