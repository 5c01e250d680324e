//! Documents, judged: which version of each is in force, and which object cannot be worked on.
//!
//! There are two ways to say no. An **error** rejects a document: its last accepted version stays in force, or nothing when
//! there is none. A **refusal** accepts the document and shows the object with a reason, and nothing is done about it. What can
//! never work, and what would take something from another environment, is an error; what only lacks a feature, a setting or a
//! claimed namespace is a refusal.
//!
//! Whoever was accepted first keeps what it has: the newcomer is rejected, with both places in the message.

mod certificate;
mod contest;
mod environment;
mod every;
mod fleet;
mod hostname;
mod key;
mod notices;
mod refused;
mod separation;
mod subject;
mod verdict;
mod versions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use self::versions::Versions;
pub use self::versions::{Gathered, Kept};
use crate::{
    admin::Finding,
    desired::{Place, Spec, Wanted},
    document::Document,
    name::{EnvironmentName, Name, ObjectName},
    reason::Reason,
    settings::Settings,
};

/// What the settings offer to documents.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SettingsFacts {
    /// The names of the hooks.
    pub hooks: BTreeSet<Name>,
    /// Whether there is a listener for http-01.
    pub http01: bool,
    /// Whether the documents are custom resources, so that there are Secrets.
    pub kubernetes: bool,
    /// Whether documents may read files.
    pub reads: bool,
    /// Whether documents may write files.
    pub writes: bool,
}

impl From<&Settings> for SettingsFacts {
    fn from(settings: &Settings) -> Self {
        Self {
            hooks: settings.hooks.keys().cloned().collect(),
            http01: settings.http01.is_some(),
            kubernetes: settings.source.kubernetes.is_some(),
            reads: settings.files.read.is_some(),
            writes: settings.files.write.is_some(),
        }
    }
}

/// The last accepted document of an object; stored in its record.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Incumbent {
    /// Which object.
    pub name: ObjectName,
    /// What it said.
    pub document: Arc<Spec>,
    /// The generation that it was given.
    pub generation: u64,
    /// The environment that the object belongs to for life; absent as long as none claimed its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Where it stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Why it was not worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
}

/// All that was accepted before.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(from = "Vec<Incumbent>", into = "Vec<Incumbent>")]
pub struct Incumbents {
    /// By name.
    pub objects: BTreeMap<ObjectName, Incumbent>,
}

impl From<Vec<Incumbent>> for Incumbents {
    fn from(incumbents: Vec<Incumbent>) -> Self {
        incumbents.into_iter().collect()
    }
}

impl From<Incumbents> for Vec<Incumbent> {
    fn from(incumbents: Incumbents) -> Self {
        incumbents.objects.into_values().collect()
    }
}

impl FromIterator<Incumbent> for Incumbents {
    fn from_iter<All: IntoIterator<Item = Incumbent>>(incumbents: All) -> Self {
        Self { objects: incumbents.into_iter().map(|incumbent| (incumbent.name.clone(), incumbent)).collect() }
    }
}

/// What came of judging.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// What shall be.
    pub objects: BTreeMap<ObjectName, Arc<Wanted>>,
    /// Errors.
    pub findings: Vec<Finding>,
    /// Allowed, and worth knowing.
    pub notices: Vec<Finding>,
    /// Objects that are accepted and not worked on, each with its reason.
    pub refused: Vec<Finding>,
    /// Objects whose last accepted version stays in force.
    pub kept: BTreeMap<ObjectName, Kept>,
    /// What to remember: the incumbents of the next time.
    pub accepted: Incumbents,
}

/// Judge all documents together.
pub fn judge(gathered: Gathered, before: &Incumbents, settings: &SettingsFacts) -> Judgement {
    let mut versions = Versions::new(gathered, before);
    each_alone(&mut versions);
    environment::wrapping_keys(&mut versions);
    separation::separate(&mut versions);
    contest::contest(&mut versions);
    verdict::judgement(&versions, settings)
}

/// What a document says alone, and compared with what was accepted before.
type Own = fn(&Document, Option<&Incumbent>) -> Vec<Finding>;

const OWN: &[&[Own]] = &[environment::OWN, key::OWN, hostname::OWN];

fn each_alone(versions: &mut Versions<'_>) {
    let judged: Vec<(ObjectName, Vec<Finding>)> = versions
        .newest()
        .map(|document| {
            let incumbent = versions.before.objects.get(&document.name);
            (document.name.clone(), OWN.iter().copied().flatten().flat_map(|rule| rule(document, incumbent)).collect())
        })
        .collect();
    for (name, findings) in judged {
        versions.reject(&name, findings);
    }
}
