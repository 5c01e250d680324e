//! One resource, and lists of anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{Kind, Name, Namespace};

/// One resource, as `kubectl get -o json` would print it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// `claviger.dev/v1alpha1`.
    pub api_version: String,
    /// What it is.
    pub kind: Kind,
    /// Its names.
    pub metadata: Metadata,
    /// What shall be; absent when the document is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<serde_json::Value>,
    /// What is.
    pub status: serde_json::Value,
}

/// Names of a resource.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Its name.
    pub name: Name,
    /// Its namespace; absent for an `Environment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Grows with each change of the document.
    pub generation: u64,
}

/// A list of anything.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// `List`.
    pub kind: String,
    /// Its items.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A list without a next page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { kind: "List".to_owned(), items, next: None }
    }
}
