//! Paths that stay below a folder, whatever stands in the folder or in the path.
//!
//! Every component is opened by itself from the folder before it, so that nobody can swap one for a link to elsewhere between a
//! check and its use.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat},
    io::Errno,
};

/// Why a file below a folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BelowError {
    /// The settings name no folder.
    #[error("the file `{0}` cannot be read: set `files.read` in the settings to the folder that it lies in")]
    NoFolder(String),
    /// The path is absolute, empty, or has an odd component.
    #[error("found the path `{0}`, accepted: a relative path without `..`, `.` and doubled `/`")]
    Odd(String),
    /// A symbolic link on the way leads out of the folder.
    #[error("the path `{path}` leads out of `{root}` by a symbolic link: put the file itself below `{root}`")]
    Outside {
        /// The folder.
        root: PathBuf,
        /// The path.
        path: String,
    },
    /// A symbolic link stands where none may stand.
    #[error("`{link}` below `{root}` is a symbolic link, accepted: a folder; replace the link by a folder")]
    Link {
        /// The folder.
        root: PathBuf,
        /// The link.
        link: String,
    },
    /// Nothing is there.
    #[error("there is no `{path}` below `{root}`: create it")]
    Missing {
        /// The folder.
        root: PathBuf,
        /// The path.
        path: String,
    },
    /// The folder itself is not there.
    #[error("the folder `{0}` is missing: create it, or mount its volume")]
    RootMissing(PathBuf),
    /// It is a folder, a device, a pipe.
    #[error("`{path}` below `{root}` is no regular file: replace it by one")]
    NoFile {
        /// The folder.
        root: PathBuf,
        /// The path.
        path: String,
    },
    /// It is too large.
    #[error("`{path}` below `{root}` has {found} bytes, accepted: at most {accepted}")]
    TooLarge {
        /// The folder.
        root: PathBuf,
        /// The path.
        path: String,
        /// Its size.
        found: u64,
        /// The cap.
        accepted: u64,
    },
    /// We may not.
    #[error("clavigerd's user may not enter or read `{path}` below `{root}`: give it the right to")]
    Denied {
        /// The folder.
        root: PathBuf,
        /// The path.
        path: String,
    },
    /// The system refuses.
    #[error("cannot open `{path}` below `{root}`: check the volume")]
    System {
        /// The folder.
        root: PathBuf,
        /// The path.
        path: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// Reads a file below `root` of at most [`MOST`] bytes. Symbolic links are followed as long as they stay below `root`, as in a
/// folder that Kubernetes mounts.
pub fn read_below(root: Option<&Path>, relative: &str) -> Result<Vec<u8>, BelowError> {
    let root = root.ok_or_else(|| BelowError::NoFolder(relative.to_owned()))?;
    let below = Below::open(root)?;
    below.read(below.folder.as_fd(), relative, MOST)
}

/// How large a file may be that [`read_below`] reads.
pub const MOST: u64 = 1 << 20;

/// A folder that nothing leads out of.
pub(super) struct Below {
    folder: OwnedFd,
    root: PathBuf,
}

/// What a path is to end at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    File,
    Folder,
}

impl Below {
    /// Opens the folder. Its own path comes from the settings and may lead over links.
    pub(super) fn open(root: &Path) -> Result<Self, BelowError> {
        match openat(CWD, root, FOLDER, Mode::empty()) {
            Ok(folder) => Ok(Self { folder, root: root.to_owned() }),
            Err(Errno::NOENT) => Err(BelowError::RootMissing(root.to_owned())),
            Err(errno) => Err(fault(root, "", errno)),
        }
    }

    /// The folder itself.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Opens a folder below it, without following any link; the missing parts are made when `make` is set, else it is absent.
    pub(super) fn folder(&self, parts: &[&str], make: bool) -> Result<Option<OwnedFd>, BelowError> {
        let mut here = self.dup(&self.folder)?;
        for (number, part) in parts.iter().enumerate() {
            let path = parts[..=number].join("/");
            here = match openat(&here, *part, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) if !make => return Ok(None),
                Err(Errno::NOENT) => self.make(&here, part, &path)?,
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(BelowError::Link { root: self.root.clone(), link: path });
                }
                Err(errno) => return Err(self.fault(&path, errno)),
            };
        }
        Ok(Some(here))
    }

    /// Opens a folder below it, over links that stay below it; absent when it is missing.
    pub(super) fn folder_over_links(&self, relative: &str) -> Result<Option<OwnedFd>, BelowError> {
        match self.walk(self.root(), relative, End::Folder) {
            Err(BelowError::Missing { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Reads a regular file of `folder`, which lies below the root.
    pub(super) fn read(&self, folder: BorrowedFd<'_>, relative: &str, most: u64) -> Result<Vec<u8>, BelowError> {
        let file = self.walk(folder, relative, End::File)?;
        let seen = fstat(&file).map_err(|errno| self.fault(relative, errno))?;
        let (root, path) = (self.root.clone(), relative.to_owned());
        if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile {
            return Err(BelowError::NoFile { root, path });
        }
        let size = u64::try_from(seen.st_size).unwrap_or(u64::MAX);
        // With room for one byte more, so that the buffer never grows: growing would leave copies of a secret behind.
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(most)).unwrap_or(0) + 1);
        let mut limited = File::from(file).take(most + 1);
        limited.read_to_end(&mut bytes).map_err(|cause| BelowError::System {
            root: root.clone(),
            path: path.clone(),
            cause,
        })?;
        match bytes.len() as u64 {
            found if found > most => Err(BelowError::TooLarge { root, path, found: size.max(found), accepted: most }),
            _ => Ok(bytes),
        }
    }

    /// Goes from `start` to the end of the path, over links that stay below the folder where the way began.
    fn walk(&self, start: BorrowedFd<'_>, relative: &str, end: End) -> Result<OwnedFd, BelowError> {
        let mut way: VecDeque<String> = components(relative)?.into_iter().map(str::to_owned).collect();
        let mut folders: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(part) = way.pop_front() {
            if part == ".." {
                folders.pop().ok_or_else(|| self.outside(relative))?;
                continue;
            }
            let here = folders.last().map_or(start, OwnedFd::as_fd);
            let last = way.is_empty();
            let flags = if last && end == End::File { FILE } else { FOLDER };
            match openat(here, &part, flags | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(opened) if last => return Ok(opened),
                Ok(opened) => folders.push(opened),
                Err(errno @ (Errno::LOOP | Errno::NOTDIR)) => {
                    links += 1;
                    let target = self.target(here, &part, relative, errno)?;
                    if links > MOST_LINKS || target.starts_with('/') {
                        return Err(self.outside(relative));
                    }
                    let parts = target.split('/').filter(|part| !matches!(*part, "" | "."));
                    parts.rev().for_each(|part| way.push_front(part.to_owned()));
                }
                Err(errno) => return Err(self.fault(relative, errno)),
            }
        }
        match (end, folders.pop()) {
            (End::Folder, Some(folder)) => Ok(folder),
            _ => Err(BelowError::NoFile { root: self.root.clone(), path: relative.to_owned() }),
        }
    }

    fn target(&self, here: BorrowedFd<'_>, part: &str, path: &str, met: Errno) -> Result<String, BelowError> {
        let target = readlinkat(here, part, Vec::new()).map_err(|_| self.fault(path, met))?;
        target.into_string().map_err(|_| BelowError::Odd(path.to_owned()))
    }

    /// Made for passing through only: what is secret lies deeper, in folders of its own.
    fn make(&self, here: &OwnedFd, part: &str, path: &str) -> Result<OwnedFd, BelowError> {
        let mode = Mode::from_raw_mode(0o711);
        match mkdirat(here, part, mode) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.fault(path, errno)),
        }
        let made = openat(here, part, FOLDER | OFlags::NOFOLLOW, Mode::empty());
        let made = made.map_err(|errno| self.fault(path, errno))?;
        rustix::fs::fchmod(&made, mode).map_err(|errno| self.fault(path, errno))?;
        rustix::fs::fsync(here).map_err(|errno| self.fault(path, errno))?;
        Ok(made)
    }

    fn dup(&self, folder: &OwnedFd) -> Result<OwnedFd, BelowError> {
        folder.try_clone().map_err(|cause| BelowError::System { root: self.root.clone(), path: String::new(), cause })
    }

    fn outside(&self, path: &str) -> BelowError {
        BelowError::Outside { root: self.root.clone(), path: path.to_owned() }
    }

    fn fault(&self, path: &str, errno: Errno) -> BelowError {
        fault(&self.root, path, errno)
    }
}

fn fault(root: &Path, path: &str, errno: Errno) -> BelowError {
    let (root, path) = (root.to_owned(), path.to_owned());
    match errno {
        Errno::NOENT => BelowError::Missing { root, path },
        Errno::ACCESS | Errno::PERM => BelowError::Denied { root, path },
        Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => BelowError::NoFile { root, path },
        errno => BelowError::System { root, path, cause: errno.into() },
    }
}

/// The components of a relative path that says what it means.
pub(super) fn components(relative: &str) -> Result<Vec<&str>, BelowError> {
    let parts: Vec<_> = relative.split('/').collect();
    let odd = |part: &&str| matches!(*part, "" | "." | "..") || part.contains('\0');
    if parts.iter().any(odd) { Err(BelowError::Odd(relative.to_owned())) } else { Ok(parts) }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
// Without waiting: opening a pipe would wait for its other end.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);
const MOST_LINKS: u32 = 40;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn world() -> (tempfile::TempDir, PathBuf) {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("secrets");
        fs::create_dir_all(root.join("deep")).unwrap();
        fs::write(outer.path().join("outside"), "precious").unwrap();
        fs::write(root.join("token"), "inside").unwrap();
        fs::write(root.join("deep/token"), "deep").unwrap();
        (outer, root)
    }

    #[test]
    fn files_below_the_folder_are_read() {
        let (_outer, root) = world();
        assert_eq!(read_below(Some(&root), "token").unwrap(), b"inside");
        assert_eq!(read_below(Some(&root), "deep/token").unwrap(), b"deep");
    }

    #[test]
    fn links_are_followed_as_long_as_they_stay_below() {
        let (_outer, root) = world();
        fs::create_dir(root.join("..2026")).unwrap();
        fs::write(root.join("..2026/key"), "as kubernetes does").unwrap();
        symlink("..2026", root.join("..data")).unwrap();
        symlink("..data/key", root.join("key")).unwrap();
        symlink("../token", root.join("deep/up")).unwrap();
        assert_eq!(read_below(Some(&root), "key").unwrap(), b"as kubernetes does");
        assert_eq!(read_below(Some(&root), "deep/up").unwrap(), b"inside");
    }

    #[test]
    fn nothing_leads_out() {
        let (outer, root) = world();
        symlink("../outside", root.join("relative")).unwrap();
        symlink(outer.path().join("outside"), root.join("absolute")).unwrap();
        symlink(root.join("token"), root.join("absolute-inside")).unwrap();
        symlink("..", root.join("deep/parent")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("../..", root.join("deep/far")).unwrap();
        for path in ["relative", "absolute", "absolute-inside", "loop", "deep/far/outside", "deep/parent/../outside"] {
            let error = read_below(Some(&root), path).unwrap_err();
            assert!(matches!(error, BelowError::Outside { .. } | BelowError::Odd(_)), "{path}: {error}");
        }
        assert_eq!(read_below(Some(&root), "deep/parent/token").unwrap(), b"inside");
    }

    #[test]
    fn odd_paths_are_refused_and_not_cleaned() {
        let (_outer, root) = world();
        for path in ["", "/etc/passwd", "..", "../outside", "deep/../token", "./token", "deep//token", "token/", "a\0b"]
        {
            assert!(matches!(read_below(Some(&root), path), Err(BelowError::Odd(_))), "{path:?}");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let (_outer, root) = world();
        rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        for path in ["deep", "pipe", "socket", "token/below"] {
            assert!(matches!(read_below(Some(&root), path), Err(BelowError::NoFile { .. })), "{path}");
        }
    }

    #[test]
    fn the_cap_and_what_is_missing_are_told() {
        let (outer, root) = world();
        fs::write(root.join("exact"), vec![0; MOST as usize]).unwrap();
        fs::write(root.join("large"), vec![0; MOST as usize + 1]).unwrap();
        assert_eq!(read_below(Some(&root), "exact").unwrap().len() as u64, MOST);
        let told = |path: &str, root: &Path| read_below(Some(root), path).unwrap_err().to_string();
        assert!(told("large", &root).contains("has 1048577 bytes, accepted: at most 1048576"));
        assert!(told("none", &root).starts_with("there is no `none` below"));
        assert!(told("token", &outer.path().join("gone")).contains("is missing: create it"));
        assert!(read_below(None, "token").unwrap_err().to_string().contains("set `files.read`"));
    }
}
