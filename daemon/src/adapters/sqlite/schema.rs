//! Opens the database and brings it to this release's schema.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::state::{StateError, system};

/// Opens the database for writing; makes or migrates it when needed.
pub(super) fn open(path: &Path) -> Result<Connection, StateError> {
    make(path)?;
    let connection = connect(path)?;
    recognise(&connection, path)?;
    prepare(&connection).map_err(database("set up", path))?;
    migrate(&connection, path)?;
    Ok(connection)
}

/// Opens it a second time, for questions only.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StateError> {
    let connection = connect(path)?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cell_size_check = ON;")
        .map_err(database("set up", path))?;
    Ok(connection)
}

/// Checks every page, the order of keys and the indexes. Rows are checked one by one, by their checksums.
pub(super) fn check_pages(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
        .or_else(|cause| if damaged(&cause) { Ok(cause.to_string()) } else { Err(cause) })
        .map_err(database("check", path))?;
    if found == "ok" { Ok(()) } else { Err(StateError::Damaged { path: path.to_owned(), found }) }
}

/// SQLite would make the file readable by everybody; the log beside it takes over the mode of the file.
fn make(path: &Path) -> Result<(), StateError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => Err(system("make the database", path)(cause)),
        _ => Ok(()),
    }
}

fn connect(path: &Path) -> Result<Connection, StateError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(database("open", path))
}

fn recognise(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let ask = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get::<_, i64>(0));
    let id = ask("application_id").map_err(database("open", path))?;
    let version = ask("user_version").map_err(database("open", path))?;
    let pages = ask("page_count").map_err(database("open", path))?;
    match (id, pages) {
        (APPLICATION_ID, _) if version <= NEWEST => Ok(()),
        (APPLICATION_ID, _) => Err(StateError::Newer { path: path.to_owned(), found: version, accepted: NEWEST }),
        (0, 0) => Ok(()),
        _ => Err(StateError::Foreign(path.to_owned())),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // `synchronous = FULL`: in WAL mode anything less may lose the last commits with the power, and an intent must not be lost.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON; PRAGMA busy_timeout = 1000; PRAGMA journal_size_limit = 67108864;",
    )
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let failed = || database("migrate", path);
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(failed())?;
    for (step, number) in MIGRATIONS.iter().zip(1_i64..).filter(|(_, number)| *number > version) {
        let whole = format!(
            "BEGIN IMMEDIATE; {step} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
        );
        connection.execute_batch(&whole).map_err(failed())?;
    }
    Ok(())
}

fn database(what: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> StateError {
    let path = path.to_owned();
    move |cause| match damaged(&cause) {
        true => StateError::Damaged { path, found: cause.to_string() },
        false => StateError::Database { what, path, cause },
    }
}

fn damaged(cause: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(cause.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// `CLVG`.
const APPLICATION_ID: i64 = 0x434c_5647;
const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Only ever added to. Each row carries a checksum over all its columns, so that a flipped bit is found.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE records (
        kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        environment TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, checksum BLOB NOT NULL,
        PRIMARY KEY (kind, namespace, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE claims (
        what TEXT NOT NULL, value TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        environment TEXT NOT NULL, checksum BLOB NOT NULL,
        PRIMARY KEY (what, value, kind, namespace, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX claims_of_an_object ON claims (kind, namespace, name);
    CREATE TRIGGER claims_have_one_environment BEFORE INSERT ON claims
    WHEN EXISTS (SELECT 1 FROM claims WHERE what = NEW.what AND value = NEW.value AND environment <> NEW.environment)
    BEGIN SELECT RAISE(ABORT, 'another environment holds the claim'); END;
    CREATE TABLE documents (key TEXT NOT NULL PRIMARY KEY, body BLOB NOT NULL, checksum BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE hostnames (
        environment TEXT NOT NULL, hostname TEXT NOT NULL, origin TEXT NOT NULL, tenant TEXT NOT NULL,
        validation TEXT NOT NULL, reference TEXT, created_at INTEGER NOT NULL, revision INTEGER NOT NULL,
        checksum BLOB NOT NULL,
        PRIMARY KEY (environment, hostname)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX hostnames_of_a_tenant ON hostnames (environment, tenant, hostname);
    CREATE TABLE changes (
        cursor INTEGER PRIMARY KEY AUTOINCREMENT, environment TEXT NOT NULL, hostname TEXT NOT NULL, at INTEGER NOT NULL,
        reason TEXT NOT NULL, ready INTEGER NOT NULL, checksum BLOB NOT NULL
    ) STRICT;
    CREATE INDEX changes_of_an_environment ON changes (environment, cursor);
    CREATE TABLE quarantine (
        source TEXT NOT NULL, key TEXT NOT NULL, found TEXT NOT NULL,
        PRIMARY KEY (source, key)
    ) STRICT, WITHOUT ROWID;
"];
