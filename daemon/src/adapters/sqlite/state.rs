//! The state folder: ours alone, closed to everybody else, held by one daemon at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    process::{geteuid, getpid},
};
use tokio::sync::watch;

use super::reserve::Reserve;

/// The state folder, locked. The lock ends when the last clone is dropped, or with the process, however it ends.
#[derive(Clone, Debug)]
pub struct State(Arc<Held>);

#[derive(Debug)]
struct Held {
    directory: PathBuf,
    reserve: Reserve,
    _lock: File,
}

/// Why the state folder, or what lies in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The path is taken by something else.
    #[error("the state folder `{0}` is not a folder: name another one in `state.directory`")]
    NotAFolder(PathBuf),
    /// It belongs to somebody else.
    #[error(
        "the state folder `{path}` belongs to user {found}, clavigerd runs as user {accepted}: \
             run clavigerd as its owner, or `chown -R {accepted} {path}`"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        found: u32,
        /// Who we are.
        accepted: u32,
    },
    /// Others may enter.
    #[error("the state folder `{path}` has mode {found:04o}, accepted: 0700: `chmod 700 {path}`")]
    TooOpen {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        found: u32,
    },
    /// Another daemon runs on it.
    #[error(
        "the state folder `{path}` is held by {holder}: stop that clavigerd first, or name another `state.directory`"
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// `process 4711`, or what is known of it.
        holder: String,
    },
    /// The system refuses.
    #[error("cannot {what} `{path}`: check that the volume is mounted, writable and not full")]
    System {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The database does not open.
    #[error("cannot {what} the database `{path}`")]
    Database {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// The database is damaged beyond single rows.
    #[error("the database `{path}` is damaged ({found}): {}", RESTORE_IN_A_LINE)]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check found first.
        found: String,
    },
    /// The file is a database of something else.
    #[error("the file `{0}` is not a database of clavigerd: move it away, or name another `state.directory`")]
    Foreign(PathBuf),
    /// A later release wrote it.
    #[error(
        "the database `{path}` has schema {found}, this release accepts up to {accepted}: run the release that wrote it, \
             or a later one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: i64,
        /// The newest that is known here.
        accepted: i64,
    },
}

const RESTORE_IN_A_LINE: &str = "restore the state folder from a backup, or move the database away and start again: \
                                 claviger then adopts what is in service";

impl State {
    /// Opens the folder, makes it when it is missing, and takes the lock for the life of this process.
    ///
    /// Waits up to half a second for a predecessor that is just ending.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let directory = std::path::absolute(directory).map_err(system("find", directory))?;
        make(&directory)?;
        let lock = lock(&directory)?;
        let path = directory.join("reserve");
        let reserve = Reserve::new(private().open(&path).map_err(system("open the reserve", &path))?);
        Ok(Self(Arc::new(Held { directory, reserve, _lock: lock })))
    }

    /// The folder, as an absolute path.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// Frees the space that is kept for a full disk. Whether there was any left.
    pub fn spend_reserve(&self) -> bool {
        self.0.reserve.spend()
    }

    /// Takes that space up again once there is plenty on the volume.
    pub fn refill_reserve(&self) {
        self.0.reserve.refill();
    }

    /// Whether that space is spent: the disk is or was full, and what can wait should. Also true where the volume cannot set space
    /// aside.
    pub fn reserve_spent(&self) -> watch::Receiver<bool> {
        self.0.reserve.spent()
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.directory.join(name)
    }
}

/// Turns an error of the system into ours.
pub(super) fn system(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |cause| StateError::System { what, path, cause }
}

fn make(directory: &Path) -> Result<(), StateError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    match made {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            return Err(StateError::NotAFolder(directory.to_owned()));
        }
        other => other.map_err(system("make the folder", directory))?,
    }
    let seen = fs::metadata(directory).map_err(system("look at", directory))?;
    let (found, accepted) = (seen.uid(), geteuid().as_raw());
    if found != accepted {
        return Err(StateError::NotOurs { path: directory.to_owned(), found, accepted });
    }
    let mode = seen.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StateError::TooOpen { path: directory.to_owned(), found: mode });
    }
    Ok(())
}

fn lock(directory: &Path) -> Result<File, StateError> {
    let path = directory.join("lock");
    let mut file = private().open(&path).map_err(system("open the lock", &path))?;
    for attempt in 0..ATTEMPTS {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                sign(&mut file).map_err(system("write the lock", &path))?;
                return Ok(file);
            }
            Err(rustix::io::Errno::WOULDBLOCK) if attempt + 1 < ATTEMPTS => thread::sleep(PAUSE),
            Err(rustix::io::Errno::WOULDBLOCK) => break,
            Err(errno) => return Err(system("take the lock", &path)(errno.into())),
        }
    }
    Err(StateError::Held { path: directory.to_owned(), holder: holder(&mut file) })
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// What the lock says is for people; the lock itself is the kernel's, so a file that a dead process left behind holds nobody up.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", getpid().as_raw_nonzero())?;
    file.sync_data()
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    }
}

const ATTEMPTS: u32 = 11;
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_closed_to_everybody_else() {
        let temporary = tempfile::tempdir().unwrap();
        let state = State::open(&temporary.path().join("a/state")).unwrap();
        assert_eq!(fs::metadata(state.directory()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused_with_the_fix() {
        let temporary = tempfile::tempdir().unwrap();
        for mode in [0o750, 0o701, 0o770, 0o777] {
            fs::set_permissions(temporary.path(), fs::Permissions::from_mode(mode)).unwrap();
            let text = State::open(temporary.path()).unwrap_err().to_string();
            assert!(text.contains(&format!("mode {mode:04o}")) && text.contains("`chmod 700 /"), "{text}");
        }
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(State::open(file.path()), Err(StateError::NotAFolder(_))));
    }

    #[test]
    fn a_second_daemon_is_refused_and_told_who_holds_the_folder() {
        let temporary = tempfile::tempdir().unwrap();
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let first = State::open(temporary.path()).unwrap();
        let text = State::open(temporary.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("held by process {}", std::process::id())), "{text}");
        let still = first.clone();
        drop(first);
        assert!(State::open(temporary.path()).is_err(), "a clone holds the lock too");
        drop(still);
        assert!(State::open(temporary.path()).is_ok(), "the lock ends with its last holder");
    }

    #[test]
    fn a_lock_file_that_a_dead_process_left_behind_holds_nobody_up() {
        let temporary = tempfile::tempdir().unwrap();
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(temporary.path().join("lock"), "4194304\n").unwrap();
        let _state = State::open(temporary.path()).unwrap();
        let lock = fs::read_to_string(temporary.path().join("lock")).unwrap();
        assert_eq!(lock.trim(), std::process::id().to_string());
    }

    #[test]
    fn a_link_in_place_of_the_lock_is_not_followed() {
        let temporary = tempfile::tempdir().unwrap();
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let victim = temporary.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, temporary.path().join("lock")).unwrap();
        assert!(State::open(temporary.path()).is_err());
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    }
}
