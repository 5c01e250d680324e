//! A CA's directory (RFC 8555 section 7.1.1), read forgivingly: a field that we do not know, or that is not what it should be,
//! costs nothing unless we need it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a CA does what.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub(super) renewal_info: Option<String>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Meta {
    #[serde(default, deserialize_with = "names")]
    profiles: BTreeMap<String, String>,
}

impl Directory {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// The same as `instant-acme` reads it, with nothing in it that could trip it.
    pub(super) fn plain(&self) -> Bytes {
        serde_json::to_vec(self).map(Bytes::from).unwrap_or_default()
    }

    /// The profiles that the CA offers, in alphabetical order.
    pub(super) fn profiles(&self) -> impl Iterator<Item = &str> {
        self.meta.profiles.keys().map(String::as_str)
    }
}

fn text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Value::deserialize(from)?.as_str().map(str::to_owned))
}

fn names<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let Value::Object(found) = Value::deserialize(from)? else { return Ok(BTreeMap::new()) };
    Ok(found.into_iter().map(|(name, words)| (name, words.as_str().unwrap_or_default().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_or_odd_in_a_directory_costs_nothing() {
        let body = br#"{"newNonce":"n","newAccount":"a","newOrder":"o","renewalInfo":7,"x":["https://unused"],
            "meta":{"profiles":{"tlsserver":{"since":2025},"classic":"The usual one"},"caaIdentities":3}}"#;
        let directory = Directory::read(body).unwrap();
        assert_eq!(directory.renewal_info, None);
        assert_eq!(directory.profiles().collect::<Vec<_>>(), ["classic", "tlsserver"]);
        assert_eq!(Directory::read(&directory.plain()).unwrap(), directory);
    }

    #[test]
    fn a_directory_without_what_we_need_is_none() {
        for body in ["", "<html>", "{}", r#"{"newNonce":"n","newAccount":"a"}"#] {
            assert!(Directory::read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
