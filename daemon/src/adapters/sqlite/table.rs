//! Rows with checksums: how they are written, read and, when a bit has flipped, put into quarantine.

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::{
    Connection, OptionalExtension as _, params_from_iter,
    types::{Value, ValueRef},
};

use super::{
    damage::{Damage, word, words},
    trouble::Trouble,
};

/// A table whose rows carry a checksum over all other columns.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// Its columns, the key first, without the checksum.
    pub(super) columns: &'static [&'static str],
    /// How many of them make the key.
    pub(super) key: usize,
}

/// A row without its checksum.
pub(super) type Row = Vec<Value>;

impl Table {
    /// The row with that key, verified. A row in quarantine is refused, not absent.
    pub(super) fn find(&self, connection: &Connection, key: &[Value]) -> Result<Option<Row>, Trouble> {
        match self.find_well(connection, key)? {
            None => self.refuse_quarantined(connection, &words(key)).map(|()| None),
            found => Ok(found),
        }
    }

    /// The row with that key, verified. A row in quarantine is absent: for what may be lost.
    pub(super) fn find_well(&self, connection: &Connection, key: &[Value]) -> Result<Option<Row>, Trouble> {
        Ok(self.select(connection, &self.key_is(), key)?.pop())
    }

    /// Rows, verified; the first damaged one ends it. `clause` stands behind `FROM`.
    pub(super) fn select(&self, connection: &Connection, clause: &str, values: &[Value]) -> Result<Vec<Row>, Trouble> {
        let sql = format!("SELECT {}, checksum FROM {} {clause}", self.columns.join(", "), self.name);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut selected = Vec::new();
        while let Some(row) = rows.next()? {
            let mut read =
                (0..=self.columns.len()).map(|column| row.get_ref(column).map(value)).collect::<Result<Row, _>>()?;
            let checksum = read.pop().unwrap_or(Value::Null);
            selected.push(self.verified(read, &checksum)?);
        }
        Ok(selected)
    }

    /// Writes a row, over an older one with the same key.
    pub(super) fn put(&self, connection: &Connection, row: &[Value]) -> Result<(), Trouble> {
        let marks = vec!["?"; self.columns.len() + 1].join(", ");
        let sql =
            format!("INSERT OR REPLACE INTO {} ({}, checksum) VALUES ({marks})", self.name, self.columns.join(", "));
        let checksum = Value::Blob(self.checksum(row));
        connection.prepare_cached(&sql)?.execute(params_from_iter(row.iter().chain([&checksum])))?;
        Ok(())
    }

    /// Removes a row. Whether it was there.
    pub(super) fn remove(&self, connection: &Connection, key: &[Value]) -> Result<bool, Trouble> {
        let sql = format!("DELETE FROM {} {}", self.name, self.key_is());
        Ok(connection.prepare_cached(&sql)?.execute(params_from_iter(key))? > 0)
    }

    /// Refuses when a row of that key is in quarantine.
    pub(super) fn refuse_quarantined(&self, connection: &Connection, key: &str) -> Result<(), Trouble> {
        let sql = "SELECT 1 FROM quarantine WHERE source = ? AND key = ?";
        let there = connection.prepare_cached(sql)?.query_row((self.name, key), |_| Ok(())).optional()?;
        match there {
            None => Ok(()),
            Some(()) => Err(Trouble::Quarantined { table: self.name, key: key.to_owned() }),
        }
    }

    /// The damaged row that comes first behind `after`, and where the search ended: at most `limit` rows further.
    pub(super) fn scrub(
        &self,
        connection: &Connection,
        after: Option<&[Value]>,
        limit: u32,
    ) -> Result<Scrubbed, Trouble> {
        let keys = self.columns[..self.key].join(", ");
        let marks = vec!["?"; self.key].join(", ");
        let from = after.map(|_| format!("WHERE ({keys}) > ({marks})")).unwrap_or_default();
        let clause = format!("{from} ORDER BY {keys} LIMIT {limit}");
        let rows = self.select(connection, &clause, after.unwrap_or_default())?;
        Ok(rows.last().map(|row| row[..self.key].to_vec()))
    }

    /// The checksum of a row: the first 8 bytes of SHA-256 over its columns, each with its kind and length. It finds accidents; it
    /// is no seal against somebody who writes to the file.
    pub(super) fn checksum(&self, row: &[Value]) -> Vec<u8> {
        let mut context = Context::new(&SHA256);
        context.update(self.name.as_bytes());
        for value in row {
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Integer(number) => (1, &number.to_be_bytes()),
                Value::Real(number) => (2, &number.to_be_bytes()),
                Value::Text(text) => (3, text.as_bytes()),
                Value::Blob(bytes) => (4, bytes),
            };
            context.update(&[kind]);
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        }
        context.finish().as_ref()[..8].to_vec()
    }

    fn verified(&self, row: Row, checksum: &Value) -> Result<Row, Trouble> {
        if matches!(checksum, Value::Blob(bytes) if *bytes == self.checksum(&row)) {
            return Ok(row);
        }
        let found = row.iter().chain([checksum]).map(word).collect::<Vec<_>>().join("\n");
        let key = row[..self.key].to_vec();
        Err(Trouble::Damaged(Box::new(Damage { table: self.name, key_columns: &self.columns[..self.key], key, found })))
    }

    fn key_is(&self) -> String {
        let same = |column: &&str| format!("{column} IS ?");
        format!("WHERE {}", self.columns[..self.key].iter().map(same).collect::<Vec<_>>().join(" AND "))
    }
}

/// The key of the last row that was looked at; absent at the end.
pub(super) type Scrubbed = Option<Row>;

/// Moves a damaged row out of its table, as it was found. Fails when the row cannot be found by its own key any more: then more
/// than the row is damaged.
pub(super) fn quarantine(connection: &Connection, damage: &Damage) -> Result<(), Trouble> {
    connection.execute(
        "INSERT OR REPLACE INTO quarantine (source, key, found) VALUES (?, ?, ?)",
        (damage.table, damage.key(), &damage.found),
    )?;
    // As bytes, since a damaged key may be no text any more.
    let same = |column: &&str| format!("CAST({column} AS BLOB) IS CAST(? AS BLOB)");
    let key_is = damage.key_columns.iter().map(same).collect::<Vec<_>>().join(" AND ");
    let sql = format!("DELETE FROM {} WHERE {key_is}", damage.table);
    match connection.execute(&sql, params_from_iter(&damage.key))? {
        0 => Err(Trouble::Quarantined { table: damage.table, key: damage.key() }),
        _ => Ok(()),
    }
}

/// A column as it stands there; text that is no text any more is bytes.
fn value(read: ValueRef<'_>) -> Value {
    match read {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => {
            String::from_utf8(text.to_vec()).map_or_else(|_| Value::Blob(text.to_vec()), Value::Text)
        }
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
