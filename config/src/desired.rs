//! What the fleet shall be.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    certificate::TlsCertificateSpec,
    environment::EnvironmentSpec,
    hostname::{CustomHostnameSpec, Origin},
    key::KmsKeySpec,
    name::{EnvironmentName, ObjectName},
    reason::Reason,
};

/// A place in a file. Lines and columns count from 1.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// The file, as the user knows it.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The specification of one resource.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "spec")]
pub enum Spec {
    /// `kind: CustomHostname`.
    CustomHostname(CustomHostnameSpec),
    /// `kind: Environment`.
    Environment(Box<EnvironmentSpec>),
    /// `kind: KmsKey`.
    KmsKey(KmsKeySpec),
    /// `kind: TlsCertificate`.
    TlsCertificate(TlsCertificateSpec),
}

/// Why an accepted document cannot be worked on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refusal {
    /// The reason, also the condition's.
    pub reason: Reason,
    /// Both names, where two are at odds; what was found, what is accepted.
    pub message: String,
    /// What to do.
    pub fix: Vec<String>,
}

/// The environment of a resource, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Surroundings {
    /// Its name.
    pub name: EnvironmentName,
    /// Its document, namespaces and defaults filled in.
    pub spec: EnvironmentSpec,
}

/// One resource that shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which.
    pub name: ObjectName,
    /// The environment that it belongs to; absent while no environment claims its namespace.
    pub environment: Option<Arc<Surroundings>>,
    /// Grows with each change of the document.
    pub generation: u64,
    /// Which object of that name: `metadata.uid`. Absent where the name is all there is.
    pub identity: Option<Arc<str>>,
    /// What shall be.
    pub spec: Arc<Spec>,
    /// Why it cannot be worked on. It is then shown with this reason and nothing is done.
    pub refusal: Option<Refusal>,
    /// Where it came from.
    pub origin: Origin,
    /// Where it stands; absent when it came by the API.
    pub place: Option<Place>,
}

/// The whole of what shall be: swapped whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Every resource by name.
    pub objects: BTreeMap<ObjectName, Arc<Wanted>>,
    /// Objects that must not count as removed although their document is not there: their file could not be read.
    pub frozen: bool,
}
