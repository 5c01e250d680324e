//! What can go wrong with the database, and how it is told.

use std::path::Path;

use claviger_config::Reason;
use claviger_core::domain::failure::Failure;
use rusqlite::{ErrorCode, ffi};

use super::damage::Damage;

/// Why a piece of work did not succeed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A row does not match its checksum; it has yet to be put into quarantine.
    Damaged(Box<Damage>),
    /// A row is in quarantine.
    Quarantined { table: &'static str, key: String },
    /// The work itself says no.
    Refused(Box<Failure>),
    /// SQLite says no.
    Sql(rusqlite::Error),
    /// The transaction around it did not come to its end.
    Undone(Box<Undone>),
}

/// A transaction that did not come to its end.
#[derive(Clone, Debug)]
pub(super) struct Undone {
    pub(super) failure: Failure,
    /// Because the disk is full.
    pub(super) full: bool,
}

impl From<Undone> for Trouble {
    fn from(undone: Undone) -> Self {
        Self::Undone(Box::new(undone))
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sql(cause)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Refused(Box::new(failure))
    }
}

impl Trouble {
    /// Whether it may succeed once there is space.
    pub(super) fn is_for_space(&self) -> bool {
        match self {
            Self::Sql(cause) => is_full(cause),
            Self::Undone(undone) => undone.full,
            Self::Damaged(_) | Self::Quarantined { .. } | Self::Refused(_) => false,
        }
    }

    /// As the port says it. `what` completes "cannot …".
    pub(super) fn into_failure(self, what: &str, path: &Path) -> Failure {
        match self {
            Self::Refused(failure) => *failure,
            Self::Undone(undone) => undone.failure,
            Self::Sql(cause) => sql_failure(what, path, &cause),
            Self::Damaged(damage) => quarantined(what, path, damage.table, &damage.key()),
            Self::Quarantined { table, key } => quarantined(what, path, table, &key),
        }
    }
}

fn quarantined(what: &str, path: &Path, table: &str, key: &str) -> Failure {
    let path = path.display();
    let message = format!(
        "cannot {what}: the row `{key}` of `{table}` in `{path}` was damaged and is in quarantine; nothing is done with it"
    );
    Failure::new(Reason::StoreFailed, message)
        .fix("check the disk: a bit has flipped in the database")
        .fix("stop clavigerd and restore the state folder from a backup")
        .fix(format!(
            "or let claviger begin anew with it from what is in service: stop clavigerd and run \
             `sqlite3 {path} \"DELETE FROM quarantine WHERE source = '{table}' AND key = '{key}'\"`"
        ))
}

/// What SQLite said, as a failure.
pub(super) fn sql_failure(what: &str, path: &Path, cause: &rusqlite::Error) -> Failure {
    let (found, fix) = explain(path, cause);
    Failure::new(Reason::StoreFailed, format!("cannot {what} in `{}`: {found}", path.display())).fix(fix)
}

fn explain(path: &Path, cause: &rusqlite::Error) -> (String, String) {
    let folder = path.parent().unwrap_or(path).display();
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (
            "the disk is full".to_owned(),
            format!("free space on the volume of `{folder}`; claviger then goes on by itself"),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            "it cannot be written".to_owned(),
            format!("mount the volume of `{folder}` writable and give its files to clavigerd's user, mode 0600"),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            "another program holds the database".to_owned(),
            "close what has opened it, for example `sqlite3` or a backup".to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            "the database is damaged".to_owned(),
            "stop clavigerd and restore the state folder from a backup, or move the database away: \
             claviger then adopts what is in service"
                .to_owned(),
        ),
        Some(ErrorCode::SystemIoFailure) => (
            format!("the disk reports an error ({cause})"),
            format!("check the disk behind `{folder}` and start clavigerd again"),
        ),
        _ => (cause.to_string(), "if it stays, report it with this message".to_owned()),
    }
}

/// Whether there is no space.
pub(super) fn is_full(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Whether the kernel could not bring what was written to the disk. What it then holds is not known, and asking again would be
/// answered with "fine" although the data is gone: the database is not written again by this process.
pub(super) fn lost_sync(cause: &rusqlite::Error) -> bool {
    let code = cause.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> Failure {
        let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        sql_failure("write the record of `KmsKey/staging/wrapping`", Path::new("/state/claviger.db"), &cause)
    }

    #[test]
    fn each_trouble_says_what_where_and_what_next() {
        let cases = [
            (ffi::SQLITE_FULL, "the disk is full", "free space on the volume of `/state`"),
            (ffi::SQLITE_READONLY, "it cannot be written", "mount the volume of `/state` writable"),
            (ffi::SQLITE_BUSY, "another program holds the database", "close what has opened it"),
            (ffi::SQLITE_CORRUPT, "the database is damaged", "restore the state folder from a backup"),
            (ffi::SQLITE_IOERR_FSYNC, "the disk reports an error", "check the disk behind `/state`"),
        ];
        for (code, found, fix) in cases {
            let failure = failure(code);
            let start = "cannot write the record of `KmsKey/staging/wrapping` in `/state/claviger.db`: ";
            assert!(failure.message.starts_with(start) && failure.message.contains(found), "{}", failure.message);
            assert!(failure.fix[0].contains(fix), "{:?}", failure.fix);
        }
    }

    #[test]
    fn only_a_failed_sync_ends_the_writing() {
        let lost = |code| lost_sync(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(lost(ffi::SQLITE_IOERR_FSYNC) && lost(ffi::SQLITE_IOERR_DIR_FSYNC));
        assert!(!lost(ffi::SQLITE_IOERR_WRITE) && !lost(ffi::SQLITE_FULL));
    }
}
