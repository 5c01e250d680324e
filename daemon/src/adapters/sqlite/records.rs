//! Records and claims.

use claviger_config::{EnvironmentName, Kind, Name, Namespace, ObjectName, Reason};
use claviger_core::{
    domain::failure::Failure,
    ports::{Commit, Version},
};
use rusqlite::{Connection, OptionalExtension as _, types::Value};

use super::{
    table::{Row, Table},
    trouble::Trouble,
};

pub(super) const RECORDS: Table =
    Table { name: "records", columns: &["kind", "namespace", "name", "environment", "version", "body"], key: 3 };
pub(super) const CLAIMS: Table =
    Table { name: "claims", columns: &["what", "value", "kind", "namespace", "name", "environment"], key: 5 };

/// A [`Commit`] that owns what it says.
pub(super) struct Write {
    name: ObjectName,
    environment: Option<EnvironmentName>,
    body: String,
    expected: Option<Version>,
    claims: Vec<(&'static str, String)>,
}

impl From<&Commit<'_>> for Write {
    fn from(commit: &Commit<'_>) -> Self {
        Self {
            name: commit.name.clone(),
            environment: commit.environment.cloned(),
            body: commit.body.to_owned(),
            expected: commit.expected,
            claims: commit.claims.to_vec(),
        }
    }
}

/// The record and its version. A record is memory and not truth: one that is in quarantine is as good as lost, its object is taken
/// over again from what is in service, and its claims still hold.
pub(super) fn load(connection: &Connection, name: &ObjectName) -> Result<Option<(String, Version)>, Trouble> {
    let Some(row) = RECORDS.find_well(connection, &key(name))? else { return Ok(None) };
    Ok(Some((text(&row[5]).to_owned(), version(&row))))
}

/// Every object that has a record, in order.
pub(super) fn names(connection: &Connection) -> Result<Vec<ObjectName>, Trouble> {
    let sql = "SELECT kind, namespace, name FROM records ORDER BY kind, namespace, name";
    let mut statement = connection.prepare_cached(sql)?;
    let read = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    read.map(|row: rusqlite::Result<(String, String, String)>| {
        let (kind, namespace, name) = row?;
        object(&kind, &namespace, &name).ok_or_else(|| unreadable(&format!("{kind}/{namespace}/{name}")).into())
    })
    .collect()
}

/// Writes record and claims, or nothing.
pub(super) fn commit(connection: &Connection, write: &Write) -> Result<Version, Trouble> {
    let row = RECORDS.find_well(connection, &key(&write.name))?;
    let found = row.as_ref().map(version);
    if found != write.expected {
        return Err(stale(write, found).into());
    }
    claim(connection, write)?;
    let next = Version(found.map_or(0, |version| version.0) + 1);
    let [kind, namespace, name] = key(&write.name);
    let record =
        [kind, namespace, name, environment(write), Value::Integer(next.0.cast_signed()), write.body.clone().into()];
    RECORDS.put(connection, &record)?;
    Ok(next)
}

/// Replaces the claims of the object. Without an environment those that it has stay as they are: nobody else may have them before
/// an environment is named again.
fn claim(connection: &Connection, write: &Write) -> Result<(), Trouble> {
    for claim in &write.claims {
        refuse_if_held_elsewhere(connection, write, claim)?;
    }
    let [kind, namespace, name] = key(&write.name);
    if write.environment.is_some() {
        let of_the_object = "DELETE FROM claims WHERE kind = ? AND namespace = ? AND name = ?";
        connection.prepare_cached(of_the_object)?.execute((&kind, &namespace, &name))?;
    }
    for (what, value) in &write.claims {
        let (what, value) = (Value::from((*what).to_owned()), Value::from(value.clone()));
        let row = [what, value, kind.clone(), namespace.clone(), name.clone(), environment(write)];
        if write.environment.is_some() || CLAIMS.find(connection, &row[..5])?.is_none() {
            CLAIMS.put(connection, &row)?;
        }
    }
    Ok(())
}

fn refuse_if_held_elsewhere(connection: &Connection, write: &Write, claim: &(&str, String)) -> Result<(), Trouble> {
    let (what, value) = claim;
    let pair = [Value::from((*what).to_owned()), Value::from(value.clone())];
    refuse_quarantined(connection, what, value)?;
    let mine = environment(write);
    for row in CLAIMS.select(connection, "WHERE what = ? AND value = ?", &pair)? {
        let same_object = row[2..5] == key(&write.name);
        let nobodys = text(&row[5]).is_empty() || text(&mine).is_empty();
        if row[5] != mine && !(same_object && nobodys) {
            return Err(claimed_elsewhere(write, claim, &row).into());
        }
    }
    Ok(())
}

/// A damaged claim still holds: who had it cannot be told any more, so nobody gets it.
fn refuse_quarantined(connection: &Connection, what: &str, value: &str) -> Result<(), Trouble> {
    let sql = "SELECT key FROM quarantine WHERE source = 'claims' AND substr(key, 1, length(?1)) = ?1";
    let start = format!("{what}/{value}/");
    let found: Option<String> = connection.prepare_cached(sql)?.query_row((start,), |row| row.get(0)).optional()?;
    found.map_or(Ok(()), |key| Err(Trouble::Quarantined { table: CLAIMS.name, key }))
}

fn claimed_elsewhere(write: &Write, (what, value): &(&str, String), row: &Row) -> Failure {
    let ours = place(&write.name.to_string(), write.environment.as_ref().map_or("", EnvironmentName::as_str));
    let holder = format!("{}/{}", text(&row[2]), [text(&row[3]), text(&row[4])].join("/").trim_start_matches('/'));
    let theirs = place(&holder, text(&row[5]));
    let message = format!("{ours} claims the {what} `{value}`, which belongs to {theirs}: the holder keeps it");
    Failure::new(Reason::ClaimedElsewhere, message)
        .retry(claviger_core::domain::failure::Retry::Never)
        .fix(format!("give `{}` a {what} of its own", write.name))
        .fix(format!("or remove `{holder}` first, if the {what} shall move"))
}

fn place(object: &str, environment: &str) -> String {
    match environment {
        "" => format!("`{object}` (no environment)"),
        environment => format!("`{object}` of environment `{environment}`"),
    }
}

fn stale(write: &Write, found: Option<Version>) -> Failure {
    let words = |version: Option<Version>| version.map_or_else(|| "none".to_owned(), |version| version.0.to_string());
    let message = format!(
        "the record of `{}` has version {}, the write was to replace version {}: it is read again",
        write.name,
        words(found),
        words(write.expected)
    );
    Failure::new(Reason::StoreFailed, message)
}

fn unreadable(key: &str) -> Failure {
    Failure::new(Reason::StoreFailed, format!("the record `{key}` has no valid name: it was not written by clavigerd"))
        .fix("restore the state folder from a backup")
}

fn environment(write: &Write) -> Value {
    Value::Text(write.environment.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default())
}

/// The key of an object. An empty namespace is none: no namespace has an empty name.
pub(super) fn key(name: &ObjectName) -> [Value; 3] {
    let namespace = name.namespace.as_ref().map(Namespace::as_str).unwrap_or_default();
    [name.kind.word(), namespace, name.name.as_str()].map(|word| Value::Text(word.to_owned()))
}

fn object(kind: &str, namespace: &str, name: &str) -> Option<ObjectName> {
    let kind = Kind::ALL.into_iter().find(|known| known.word() == kind)?;
    let namespace = if namespace.is_empty() { None } else { Some(namespace.parse().ok()?) };
    Some(ObjectName { kind, namespace, name: name.parse::<Name>().ok()? })
}

fn version(row: &Row) -> Version {
    Version(integer(&row[4]).cast_unsigned())
}

/// A text column. The schema is strict, so a column that is text holds text.
pub(super) fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

/// A number column.
pub(super) fn integer(value: &Value) -> i64 {
    if let Value::Integer(number) = value { *number } else { 0 }
}
