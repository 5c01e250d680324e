//! Customers' host names, as the product's backend sees them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    hostname::{CustomerRecord, EdgeView, Origin, Validation},
    moment::Moment,
    name::{DnsName, EnvironmentName, Kind, ObjectName},
    reason::{Reason, Turn},
};

/// What the product's backend says of a host name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostnameRequest {
    /// Whose it is.
    #[schemars(length(min = 1, max = 253))]
    pub tenant: String,
    /// How control is proven. Optional: the edge's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The product's own reference, given back unchanged. Optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub reference: Option<String>,
}

/// A row of the ledger of host names.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostnameView {
    /// `CustomHostname`.
    pub kind: Kind,
    /// The environment.
    pub environment: EnvironmentName,
    /// The name.
    pub hostname: DnsName,
    /// Stands for it in metrics, where a customer's name must not stand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The object that it is shown as.
    pub object: ObjectName,
    /// Where the row came from.
    pub origin: Origin,
    /// Whose it is.
    pub tenant: String,
    /// The product's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether it serves.
    pub ready: bool,
    /// Why.
    pub reason: Reason,
    /// Whose turn it is.
    pub turn: Turn,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
    /// The edge's view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeView>,
    /// What the customer must have in DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<CustomerRecord>,
    /// When it is looked at next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check: Option<Moment>,
}

/// One change of a host name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostnameChange {
    /// Its place in the order of changes.
    pub cursor: u64,
    /// When.
    pub at: Moment,
    /// The name.
    pub hostname: DnsName,
    /// The reason since then.
    pub reason: Reason,
    /// Whether it serves since then.
    pub ready: bool,
}
