//! claviger's memory in one SQLite file: plays [`Store`], keeps the accepted documents and the ledger of host names.
//!
//! [`State`] is the folder and its lock. Two threads own a connection each: `worker` writes in groups, so that a thousand commits
//! cost a few syncs, and answers each once it is on the disk. Every row carries a checksum (`table`); one that fails is moved into
//! quarantine, told, and never skipped silently.

mod damage;
mod ledger;
mod records;
mod reserve;
mod schema;
mod state;
mod table;
mod trouble;
mod worker;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use claviger_config::{DnsName, EnvironmentName, Moment, ObjectName, admin::HostnameChange};
use claviger_core::ports::{Answer, Commit, Store, Version};
use rusqlite::{Connection, types::Value};
use tokio::sync::watch;

use self::{
    ledger::{CHANGES, HOSTNAMES},
    records::{CLAIMS, RECORDS, Write},
    table::{Row, Table, quarantine},
    trouble::Trouble,
    worker::{Shared, Worker},
};
pub use self::{
    ledger::{HostnameEntry, HostnamePage, HostnameRow},
    state::{State, StateError},
};

/// The store. Dropping it finishes what is queued.
pub struct SqliteStore {
    writer: Worker,
    reader: Worker,
    shared: Arc<Shared>,
    quarantined_at_start: Vec<Quarantined>,
}

/// A row that was damaged, taken out of its table.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Quarantined {
    /// The table.
    pub table: String,
    /// The key of the row, as it was found: `KmsKey/staging/wrapping`.
    pub key: String,
}

impl SqliteStore {
    /// Opens the database of the state folder, makes or migrates it when needed, and checks every page and row.
    pub fn open(state: &State) -> Result<Self, StateError> {
        let path = state.join("claviger.db");
        let connection = schema::open(&path)?;
        schema::check_pages(&connection, &path)?;
        let quarantined_at_start = scrub(&connection).map_err(|trouble| not_scrubbed(&path, trouble))?;
        let reader = Worker::reader(schema::open_reader(&path)?, path.clone())?;
        let shared =
            Arc::new(Shared { path, state: state.clone(), transactions: 0.into(), broken: watch::Sender::new(None) });
        let writer = Worker::writer(connection, Arc::clone(&shared))?;
        Ok(Self { writer, reader, shared, quarantined_at_start })
    }

    /// Rows that were found damaged when the store was opened.
    pub fn quarantined_at_start(&self) -> &[Quarantined] {
        &self.quarantined_at_start
    }

    /// Every row that is in quarantine.
    pub fn quarantined(&self) -> Answer<'_, Vec<Quarantined>> {
        self.ask("list the quarantine", in_quarantine)
    }

    /// How many transactions reached the disk: fewer than commits, since they go in groups.
    pub fn transactions(&self) -> u64 {
        self.shared.transactions.load(Ordering::Relaxed)
    }

    /// Why nothing is written any more: the disk lost what it was given. The process is to end and to start again.
    pub fn broken(&self) -> watch::Receiver<Option<String>> {
        self.shared.broken.subscribe()
    }

    /// Keeps documents as accepted (`Some`) or forgets them (`None`), all in one transaction.
    pub fn keep_accepted(&self, documents: Vec<(String, Option<Vec<u8>>)>) -> Answer<'_, ()> {
        self.change("keep the accepted documents", move |connection| {
            for (key, body) in &documents {
                match body {
                    Some(body) => DOCUMENTS.put(connection, &[key.clone().into(), body.clone().into()])?,
                    None => DOCUMENTS.remove(connection, &[key.clone().into()]).map(drop)?,
                }
            }
            Ok(())
        })
    }

    /// Every accepted document, by key.
    pub fn accepted(&self) -> Answer<'_, Vec<(String, Vec<u8>)>> {
        self.ask("read the accepted documents", |connection| {
            let rows = DOCUMENTS.select(connection, "ORDER BY key", &[])?;
            Ok(rows.into_iter().filter_map(document).collect())
        })
    }

    /// Writes a host name into the ledger. Twice the same is once; another origin or tenant is refused (`HostnameClaimed`).
    pub fn put_hostname(&self, entry: HostnameEntry, now: Moment) -> Answer<'_, HostnameRow> {
        let what = format!("write the host name `{}`", entry.hostname);
        self.change(what, move |connection| ledger::put(connection, &entry, now))
    }

    /// A host name of the ledger.
    pub fn hostname(&self, environment: EnvironmentName, hostname: DnsName) -> Answer<'_, Option<HostnameRow>> {
        let what = format!("read the host name `{hostname}`");
        self.ask(what, move |connection| ledger::find(connection, &environment, &hostname))
    }

    /// Removes a host name from the ledger. Whether it was there.
    pub fn remove_hostname(&self, environment: EnvironmentName, hostname: DnsName) -> Answer<'_, bool> {
        let what = format!("remove the host name `{hostname}`");
        self.change(what, move |connection| ledger::remove(connection, &environment, &hostname))
    }

    /// Host names of an environment, in the order of names.
    pub fn hostnames(&self, environment: EnvironmentName, page: HostnamePage) -> Answer<'_, Vec<HostnameRow>> {
        self.ask("list the host names", move |connection| ledger::page(connection, &environment, &page))
    }

    /// Adds a change to the feed and gives its cursor; the one in `change` is not used.
    pub fn add_change(&self, environment: EnvironmentName, change: HostnameChange) -> Answer<'_, u64> {
        let what = format!("write a change of the host name `{}`", change.hostname);
        self.change(what, move |connection| ledger::add_change(connection, &environment, &change))
    }

    /// Changes of an environment behind a cursor, oldest first; 0 begins with the first.
    pub fn changes(&self, environment: EnvironmentName, after: u64, limit: u32) -> Answer<'_, Vec<HostnameChange>> {
        self.ask("read the changes", move |connection| ledger::changes(connection, &environment, after, limit))
    }

    /// Removes changes that are older. How many.
    pub fn forget_changes(&self, before: Moment) -> Answer<'_, u64> {
        self.change("forget old changes", move |connection| ledger::forget_changes(connection, before))
    }

    fn change<'a, T: Send + 'static>(
        &'a self,
        what: impl Into<String>,
        work: impl Fn(&Connection) -> Result<T, Trouble> + Send + Sync + 'static,
    ) -> Answer<'a, T> {
        self.through(&self.writer, what.into(), work)
    }

    fn ask<'a, T: Send + 'static>(
        &'a self,
        what: impl Into<String>,
        work: impl Fn(&Connection) -> Result<T, Trouble> + Send + Sync + 'static,
    ) -> Answer<'a, T> {
        self.through(&self.reader, what.into(), work)
    }

    /// Runs it, and again once what stood in its way is out of it: a damaged row is put into quarantine, a full disk gets the space
    /// that was kept for it.
    fn through<'a, T: Send + 'static>(
        &'a self,
        worker: &'a Worker,
        what: String,
        work: impl Fn(&Connection) -> Result<T, Trouble> + Send + Sync + 'static,
    ) -> Answer<'a, T> {
        let work = Arc::new(work);
        Box::pin(async move {
            let mut rest = MOST_DAMAGED_AT_ONCE;
            let mut may_spend = true;
            loop {
                let work = Arc::clone(&work);
                match worker.run(&what, move |connection| work(connection)).await {
                    Err(Trouble::Damaged(damage)) if rest > 0 => {
                        rest -= 1;
                        self.quarantine(&what, *damage).await?;
                    }
                    // Also when another one has just spent it.
                    Err(trouble) if trouble.is_for_space() && may_spend => {
                        may_spend = false;
                        self.shared.state.spend_reserve();
                    }
                    other => return other.map_err(|trouble| trouble.into_failure(&what, &self.shared.path)),
                }
            }
        })
    }

    async fn quarantine(
        &self,
        what: &str,
        damage: damage::Damage,
    ) -> Result<(), claviger_core::domain::failure::Failure> {
        tell_damaged(damage.table, &damage.key());
        let moved = self.writer.run(what, move |connection| quarantine(connection, &damage)).await;
        moved.map_err(|trouble| trouble.into_failure(what, &self.shared.path))
    }
}

impl Store for SqliteStore {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        let owned = name.clone();
        self.ask(format!("read the record of `{name}`"), move |connection| records::load(connection, &owned))
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        let write = Write::from(&commit);
        self.change(format!("write the record of `{}`", commit.name), move |connection| {
            records::commit(connection, &write)
        })
    }

    fn names(&self) -> Answer<'_, Vec<ObjectName>> {
        self.ask("list the records", records::names)
    }
}

fn document(row: Row) -> Option<(String, Vec<u8>)> {
    match <[Value; 2]>::try_from(row) {
        Ok([Value::Text(key), Value::Blob(body)]) => Some((key, body)),
        _ => None,
    }
}

fn in_quarantine(connection: &Connection) -> Result<Vec<Quarantined>, Trouble> {
    let mut statement = connection.prepare("SELECT source, key FROM quarantine ORDER BY source, key")?;
    let rows = statement.query_map((), |row| Ok(Quarantined { table: row.get(0)?, key: row.get(1)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Checks every row and puts the damaged ones into quarantine.
fn scrub(connection: &Connection) -> Result<Vec<Quarantined>, Trouble> {
    let mut damaged = Vec::new();
    for table in TABLES {
        let mut after: Option<Row> = None;
        loop {
            match table.scrub(connection, after.as_deref(), ROWS_AT_ONCE) {
                Ok(None) => break,
                Ok(last) => after = last,
                Err(Trouble::Damaged(damage)) => {
                    quarantine(connection, &damage)?;
                    tell_damaged(damage.table, &damage.key());
                    damaged.push(Quarantined { table: damage.table.to_owned(), key: damage.key() });
                }
                Err(other) => return Err(other),
            }
        }
    }
    Ok(damaged)
}

fn tell_damaged(table: &str, key: &str) {
    tracing::error!(
        table,
        key,
        "a row of the database is damaged and was put into quarantine: check the disk, restore from a backup"
    );
}

fn not_scrubbed(path: &Path, trouble: Trouble) -> StateError {
    match trouble {
        Trouble::Sql(cause) => StateError::Database { what: "check the rows of", path: path.to_owned(), cause },
        other => {
            let found = other.into_failure("check the rows", path).message;
            StateError::Damaged { path: path.to_owned(), found }
        }
    }
}

const DOCUMENTS: Table = Table { name: "documents", columns: &["key", "body"], key: 1 };
const TABLES: [&Table; 5] = [&RECORDS, &CLAIMS, &DOCUMENTS, &HOSTNAMES, &CHANGES];
const ROWS_AT_ONCE: u32 = 1_000;
const MOST_DAMAGED_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests;
