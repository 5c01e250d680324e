//! clavigerd's own file: what belongs to the machine.
//!
//! Sockets, folders, commands and addresses stand here and never in a resource, because whoever may write a resource must not
//! gain a file, a command or a network address by it.

mod read;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::read::read;
use crate::{moment::Span, name::Name};

/// The settings. Relative paths are relative to the settings file.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// `claviger.dev/v1alpha1`.
    pub api_version: String,
    /// `Settings`.
    pub kind: String,
    /// Where documents come from.
    pub source: Source,
    /// Where claviger keeps its memory.
    pub state: State,
    /// Folders that documents may name files in. Optional: none.
    #[serde(default)]
    pub files: Files,
    /// Commands that an outlet may name as `reload`. Optional: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-keys-format" = "name"))]
    pub hooks: BTreeMap<Name, Hook>,
    /// The listener that answers http-01 for all environments. Optional: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http01: Option<Listen>,
    /// Name servers that are asked beside the authoritative ones. Optional: the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-items-format" = "socket-address"))]
    pub resolvers: Vec<String>,
    /// Addresses of VPC endpoints and emulators. Optional: the vendors' own.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// What is looked for beside what the documents name. Optional.
    #[serde(default)]
    pub discovery: Discovery,
    /// The admin API. Optional: `unix:./admin.sock`.
    #[serde(default = "default_admin")]
    pub admin: AdminListen,
    /// `/metrics`, `/healthz` and `/readyz`. Optional: `127.0.0.1:9464`.
    #[serde(default = "default_metrics")]
    pub metrics: Listen,
    /// What the log looks like. Optional.
    #[serde(default)]
    pub log: Log,
}

fn default_admin() -> AdminListen {
    AdminListen { listen: default_socket(), port_forward: None }
}

fn default_socket() -> String {
    "unix:./admin.sock".to_owned()
}

fn default_metrics() -> Listen {
    Listen { listen: "127.0.0.1:9464".to_owned() }
}

/// Exactly one source of documents.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-exactly-one" = ["directory", "kubernetes"]))]
pub struct Source {
    /// A folder of YAML documents, watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub directory: Option<String>,
    /// Custom resources of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
}

/// Custom resources of the cluster that clavigerd runs in; nothing to set.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubernetes {}

/// claviger's memory.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// The folder of the embedded database and the audit journal, created 0700; a second daemon is refused.
    #[schemars(length(min = 1, max = 4096))]
    pub directory: String,
}

/// Folders that documents may name files in.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Files {
    /// Documents may read below it. Optional: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub read: Option<String>,
    /// Documents may write below it. Optional: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub write: Option<String>,
}

/// A command that an outlet may name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// Program and arguments; no shell.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// When it is ended by force. Optional: `30s`.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
}

fn default_timeout() -> Span {
    Span::seconds(30)
}

/// Where the admin API listens.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdminListen {
    /// `unix:PATH`. Optional: `unix:./admin.sock`.
    #[serde(default = "default_socket")]
    #[schemars(extend("format" = "listen-address"))]
    pub listen: String,
    /// In a cluster: a loopback address of the pod, for whoever may port-forward to it. Optional: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "socket-address"))]
    pub port_forward: Option<String>,
}

/// An address to listen at.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listen {
    /// `ADDRESS:PORT`.
    #[schemars(extend("format" = "listen-address"))]
    pub listen: String,
}

/// Addresses in place of the vendors' own.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoints {
    /// AWS KMS by Region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-keys-format" = "aws-region", "x-values-format" = "endpoint-url"))]
    pub kms: BTreeMap<String, String>,
    /// AWS STS by Region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-keys-format" = "aws-region", "x-values-format" = "endpoint-url"))]
    pub sts: BTreeMap<String, String>,
    /// Cloudflare's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "endpoint-url"))]
    pub cloudflare: Option<String>,
}

/// What is looked for beside what the documents name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Discovery {
    /// In a cluster: TLS Secrets of others in the namespaces that environments claim. Of each, the certificate is read and its facts are
    /// kept; the private key beside it is thrown away unread. Optional: `true`.
    #[serde(default = "yes")]
    pub secrets: bool,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { secrets: true }
    }
}

const fn yes() -> bool {
    true
}

/// What the log looks like.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Log {
    /// `text` or `json`. Optional: `text`.
    #[serde(default)]
    pub format: LogFormat,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One JSON object a line, ECS field names.
    Json,
    /// One line for people.
    #[default]
    Text,
}
