//! Reading a request, with AWS's refusals for what is missing or of the wrong form.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::{AwsError, validation};

/// The fields of a request.
pub(super) struct Input<'a>(pub(super) &'a Value);

impl<'a> Input<'a> {
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, AwsError> {
        self.read(name, Value::as_str, "a string")
    }

    pub(super) fn need(&self, name: &str) -> Result<&'a str, AwsError> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| missing(name))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, AwsError> {
        self.read(name, Value::as_i64, "an integer")
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, AwsError> {
        Ok(self.read(name, Value::as_bool, "a boolean")?.unwrap_or(false))
    }

    /// A number that must lie within `from..=to` when it is there.
    pub(super) fn within(&self, name: &str, from: i64, to: i64) -> Result<Option<i64>, AwsError> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        if (from..=to).contains(&number) { Ok(Some(number)) } else { Err(out_of_range(name, number, from, to)) }
    }

    /// A blob of at least 1 and at most `most` bytes, if it is there.
    pub(super) fn optional_blob(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>, AwsError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let bytes = STANDARD.decode(text).map_err(|_| serialization(name, "base64"))?;
        if bytes.is_empty() || bytes.len() > most {
            return Err(out_of_range(name, bytes.len() as i64, 1, most as i64));
        }
        Ok(Some(bytes))
    }

    pub(super) fn blob(&self, name: &str, most: usize) -> Result<Vec<u8>, AwsError> {
        self.optional_blob(name, most)?.ok_or_else(|| missing(name))
    }

    /// An encryption context.
    pub(super) fn context(&self, name: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let Some(map) = self.read(name, Value::as_object, "a map")? else { return Ok(BTreeMap::new()) };
        map.iter()
            .map(|(key, value)| match value.as_str() {
                Some(value) => Ok((key.clone(), value.to_owned())),
                None => Err(serialization(name, "a map of strings")),
            })
            .collect()
    }

    pub(super) fn list(&self, name: &str) -> Result<&'a [Value], AwsError> {
        Ok(self.read(name, Value::as_array, "a list")?.map_or(&[], Vec::as_slice))
    }

    fn read<T>(&self, name: &str, how: impl Fn(&'a Value) -> Option<T>, what: &str) -> Result<Option<T>, AwsError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => how(value).map(Some).ok_or_else(|| serialization(name, what)),
        }
    }
}

fn missing(name: &str) -> AwsError {
    validation(format!(
        "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
        lower_camel(name)
    ))
}

fn out_of_range(name: &str, found: i64, from: i64, to: i64) -> AwsError {
    validation(format!(
        "1 validation error detected: Value '{found}' at '{}' failed to satisfy constraint: Member must have value \
         between {from} and {to}",
        lower_camel(name)
    ))
}

fn serialization(name: &str, what: &str) -> AwsError {
    AwsError::new("SerializationException", format!("{name} must be {what}"))
}

fn lower_camel(name: &str) -> String {
    let (first, rest) = name.split_at(name.len().min(1));
    first.to_ascii_lowercase() + rest
}
