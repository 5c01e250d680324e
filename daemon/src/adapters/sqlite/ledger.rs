//! The ledger of host names and the feed of their changes.

use claviger_config::{
    DnsName, EnvironmentName, Moment, Reason,
    admin::HostnameChange,
    hostname::{Origin, Validation},
};
use claviger_core::domain::failure::{Failure, Retry};
use rusqlite::{Connection, types::Value};

use super::{
    records::{integer, text},
    table::{Row, Table},
    trouble::Trouble,
};

pub(super) const HOSTNAMES: Table = Table {
    name: "hostnames",
    columns: &["environment", "hostname", "origin", "tenant", "validation", "reference", "created_at", "revision"],
    key: 2,
};
pub(super) const CHANGES: Table =
    Table { name: "changes", columns: &["cursor", "environment", "hostname", "at", "reason", "ready"], key: 1 };

/// A host name that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostnameEntry {
    /// The environment.
    pub environment: EnvironmentName,
    /// The name.
    pub hostname: DnsName,
    /// Where it came from: one origin for life.
    pub origin: Origin,
    /// Whose it is: one tenant for life.
    pub tenant: String,
    /// How control is proven; absent: the edge's default.
    pub validation: Option<Validation>,
    /// The product's own reference.
    pub reference: Option<String>,
}

/// A row of the ledger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostnameRow {
    /// What was asked for.
    pub entry: HostnameEntry,
    /// When it was first asked for.
    pub created_at: Moment,
    /// Grows with each change.
    pub revision: u64,
}

/// Which rows of an environment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HostnamePage {
    /// Of this tenant only.
    pub tenant: Option<String>,
    /// Behind this name, in the order of names.
    pub after: Option<DnsName>,
    /// At most so many.
    pub limit: u32,
}

/// Writes what was asked for. Twice the same is once; another origin or tenant is refused.
pub(super) fn put(connection: &Connection, entry: &HostnameEntry, now: Moment) -> Result<HostnameRow, Trouble> {
    let key = key(&entry.environment, &entry.hostname);
    let found = HOSTNAMES.find(connection, &key)?.map(|row| read(&row)).transpose()?;
    let row = match found {
        None => HostnameRow { entry: entry.clone(), created_at: now, revision: 1 },
        Some(row) if row.entry == *entry => return Ok(row),
        Some(row) if (row.entry.origin, &row.entry.tenant) != (entry.origin, &entry.tenant) => {
            return Err(claimed(&row.entry, entry).into());
        }
        Some(row) => HostnameRow { entry: entry.clone(), revision: row.revision + 1, ..row },
    };
    HOSTNAMES.put(connection, &written(&row))?;
    Ok(row)
}

/// One row.
pub(super) fn find(
    connection: &Connection,
    environment: &EnvironmentName,
    hostname: &DnsName,
) -> Result<Option<HostnameRow>, Trouble> {
    HOSTNAMES.find(connection, &key(environment, hostname))?.map(|row| read(&row)).transpose()
}

/// Removes a row. Whether it was there.
pub(super) fn remove(
    connection: &Connection,
    environment: &EnvironmentName,
    hostname: &DnsName,
) -> Result<bool, Trouble> {
    HOSTNAMES.remove(connection, &key(environment, hostname))
}

/// A page of an environment, by name.
pub(super) fn page(
    connection: &Connection,
    environment: &EnvironmentName,
    page: &HostnamePage,
) -> Result<Vec<HostnameRow>, Trouble> {
    let after = page.after.as_ref().map(DnsName::as_str).unwrap_or_default();
    let mut values = vec![Value::from(environment.as_str().to_owned()), after.to_owned().into()];
    let tenant = page.tenant.as_ref().map_or("", |tenant| {
        values.push(tenant.clone().into());
        "AND tenant = ?"
    });
    let clause = format!("WHERE environment = ? AND hostname > ? {tenant} ORDER BY hostname LIMIT {}", page.limit);
    HOSTNAMES.select(connection, &clause, &values)?.iter().map(read).collect()
}

/// Adds a change and gives its cursor.
pub(super) fn add_change(
    connection: &Connection,
    environment: &EnvironmentName,
    change: &HostnameChange,
) -> Result<u64, Trouble> {
    let last: i64 = connection
        .prepare_cached("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)")?
        .query_row((), |row| row.get(0))?;
    let row = [
        Value::Integer(last + 1),
        environment.as_str().to_owned().into(),
        change.hostname.as_str().to_owned().into(),
        change.at.0.into(),
        change.reason.word().to_owned().into(),
        i64::from(change.ready).into(),
    ];
    CHANGES.put(connection, &row)?;
    Ok((last + 1).cast_unsigned())
}

/// Changes of an environment behind a cursor, oldest first.
pub(super) fn changes(
    connection: &Connection,
    environment: &EnvironmentName,
    after: u64,
    limit: u32,
) -> Result<Vec<HostnameChange>, Trouble> {
    let clause = format!("WHERE environment = ? AND cursor > ? ORDER BY cursor LIMIT {limit}");
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = CHANGES.select(connection, &clause, &[environment.as_str().to_owned().into(), after.into()])?;
    rows.iter().map(|row| read_change(row).ok_or_else(|| unreadable(row).into())).collect()
}

/// Removes changes that are older. How many.
pub(super) fn forget_changes(connection: &Connection, before: Moment) -> Result<u64, Trouble> {
    Ok(connection.prepare_cached("DELETE FROM changes WHERE at < ?")?.execute((before.0,))? as u64)
}

fn key(environment: &EnvironmentName, hostname: &DnsName) -> [Value; 2] {
    [environment.as_str().to_owned().into(), hostname.as_str().to_owned().into()]
}

fn claimed(holder: &HostnameEntry, newcomer: &HostnameEntry) -> Failure {
    let words = |entry: &HostnameEntry| format!("tenant `{}` (origin {:?})", entry.tenant, entry.origin);
    let message = format!(
        "the host name `{}` of environment `{}` belongs to {}, {} asks for it: the holder keeps it",
        holder.hostname,
        holder.environment,
        words(holder),
        words(newcomer)
    );
    Failure::new(Reason::HostnameClaimed, message)
        .retry(Retry::Never)
        .fix(format!("remove `{}` where it came from, then add it again", holder.hostname))
}

fn written(row: &HostnameRow) -> Row {
    let [environment, hostname] = key(&row.entry.environment, &row.entry.hostname);
    vec![
        environment,
        hostname,
        origin_word(row.entry.origin).to_owned().into(),
        row.entry.tenant.clone().into(),
        row.entry.validation.map(Validation::word).unwrap_or_default().to_owned().into(),
        row.entry.reference.clone().map_or(Value::Null, Value::Text),
        row.created_at.0.into(),
        row.revision.cast_signed().into(),
    ]
}

fn read(row: &Row) -> Result<HostnameRow, Trouble> {
    read_entry(row)
        .map(|entry| HostnameRow {
            entry,
            created_at: Moment(integer(&row[6])),
            revision: integer(&row[7]).cast_unsigned(),
        })
        .ok_or_else(|| unreadable(row).into())
}

fn read_entry(row: &Row) -> Option<HostnameEntry> {
    let validation = match text(&row[4]) {
        "" => None,
        word => Some(VALIDATIONS.into_iter().find(|known| known.word() == word)?),
    };
    Some(HostnameEntry {
        environment: text(&row[0]).parse().ok()?,
        hostname: text(&row[1]).parse().ok()?,
        origin: ORIGINS.into_iter().find(|known| origin_word(*known) == text(&row[2]))?,
        tenant: text(&row[3]).to_owned(),
        validation,
        reference: Some(text(&row[5]).to_owned()).filter(|_| row[5] != Value::Null),
    })
}

fn read_change(row: &Row) -> Option<HostnameChange> {
    Some(HostnameChange {
        cursor: integer(&row[0]).cast_unsigned(),
        at: Moment(integer(&row[3])),
        hostname: text(&row[2]).parse().ok()?,
        reason: text(&row[4]).parse().ok()?,
        ready: integer(&row[5]) != 0,
    })
}

fn unreadable(row: &Row) -> Failure {
    let key = super::damage::words(&row[..2]);
    Failure::new(Reason::StoreFailed, format!("the row `{key}` holds a word that this release does not know"))
        .fix("run the release that wrote it, or a later one")
}

const fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Api => "Api",
        Origin::Document => "Document",
        Origin::Import => "Import",
    }
}

const ORIGINS: [Origin; 3] = [Origin::Api, Origin::Document, Origin::Import];
const VALIDATIONS: [Validation; 3] = [Validation::Delegated, Validation::Http, Validation::Txt];
