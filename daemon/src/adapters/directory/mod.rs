//! A folder of YAML documents, read whole and watched.
//!
//! Kubernetes swaps a mounted folder by a link named `..data`, editors write beside and rename: so the folder is watched, not the
//! files, and whatever happens in it leads to one whole reading a moment later. Names that begin with a dot are passed over.

use std::{fs, io::Read, path::Path, sync::Arc, time::Duration};

use claviger_config::settle::FileRead;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// A larger file is no document.
const FILE: u64 = 1024 * 1024;
/// Folders inside folders, at most.
const DEPTH: usize = 8;
/// Quiet for so long: what was being written is there.
const QUIET: Duration = Duration::from_millis(150);
/// Read again although nothing was heard: not every file system tells.
const AGAIN: Duration = Duration::from_secs(60);

/// Reads every document file of the folder, in the order of names. What cannot be read is said, never left out.
pub fn read(folder: &Path) -> Vec<FileRead> {
    let mut files = Vec::new();
    gather(folder, "", DEPTH, &mut files);
    files.sort_by(|left, right| left.name.cmp(&right.name));
    files
}

fn gather(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<FileRead>) {
    let unreadable = |name: &str, error: String| FileRead { name: name.to_owned(), content: Err(error) };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return files.push(unreadable(if prefix.is_empty() { "." } else { prefix }, error.to_string())),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return files.push(unreadable(prefix, error.to_string())),
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        // Followed on purpose: a mounted ConfigMap is made of links.
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() && depth > 0 => gather(&path, &full, depth - 1, files),
            Ok(meta) if meta.is_file() && is_document(&name) => {
                files.push(FileRead {
                    name: full,
                    content: content(&path).map(Arc::from).map_err(|error| error.to_string()),
                });
            }
            Ok(_) => {}
            Err(error) if is_document(&name) => files.push(unreadable(&full, error.to_string())),
            Err(_) => {}
        }
    }
}

fn is_document(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

/// One byte more than is accepted, so that the reader of documents can say that it is too much.
fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Tells when the folder should be read again. Dropping it ends the watch.
pub struct Watch {
    heard: mpsc::Receiver<()>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Watch {
    /// Watches a folder. Where the system cannot tell, it is read every minute all the same.
    pub fn start(folder: &Path) -> Self {
        let (say, heard) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |_| {
            let _ = say.try_send(()); // full: it will be read anyway
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!("{} cannot be watched and is read every minute instead: {error}", folder.display());
        });
        Self { heard, _watcher: watcher.ok() }
    }

    /// Returns when it is time to read again.
    pub async fn next(&mut self) {
        let told = tokio::time::timeout(AGAIN, self.heard.recv()).await;
        if !matches!(told, Ok(Some(()))) {
            if told.is_ok() {
                tokio::time::sleep(AGAIN).await; // the watcher is gone
            }
            return;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.heard.recv()).await {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_in_order_and_other_files_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inner")).unwrap();
        for name in ["b.yaml", "a.yml", "inner/c.yaml", "readme.md", ".hidden.yaml"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let names: Vec<_> = read(folder.path()).into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["a.yml", "b.yaml", "inner/c.yaml"]);
    }

    #[test]
    fn a_missing_folder_is_said_and_is_not_an_empty_one() {
        let files = read(Path::new("/nonexistent/claviger"));
        assert!(matches!(&files[..], [FileRead { content: Err(_), .. }]));
    }

    #[test]
    fn a_dangling_link_is_said() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("a.yaml")).unwrap();
        assert!(read(folder.path())[0].content.is_err());
    }

    #[tokio::test]
    async fn a_change_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(folder.path());
        fs::write(folder.path().join("a.yaml"), "x").unwrap();
        tokio::time::timeout(Duration::from_secs(10), watch.next()).await.expect("the change should be told");
    }
}
