//! A row that is damaged, and keys in words.

use rusqlite::types::Value;

/// A row that does not match its checksum.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Damage {
    pub(super) table: &'static str,
    pub(super) key_columns: &'static [&'static str],
    pub(super) key: Vec<Value>,
    pub(super) found: String,
}

impl Damage {
    /// The row's key in words.
    pub(super) fn key(&self) -> String {
        words(&self.key)
    }
}

/// A key in words, for people: `KmsKey/staging/wrapping`.
pub(super) fn words(key: &[Value]) -> String {
    key.iter().map(word).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("/")
}

pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => hex::encode(bytes),
    }
}
