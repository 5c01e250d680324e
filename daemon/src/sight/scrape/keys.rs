//! Keys: counts, and when each was made and is rotated.

use claviger_config::{
    ObjectName,
    key::{KeyView, KmsKeyStatus},
};
use claviger_core::reconcile::pass::Shown;
use prometheus::{Error, GaugeVec, Registry};

use super::{RESOURCE, Table, environment, gauge, namespace, ready, seconds};

const EACH: [(&str, &str); 5] = [
    ("claviger_key_created_timestamp_seconds", "When the key was made."),
    ("claviger_key_last_rotation_timestamp_seconds", "When it was last rotated."),
    ("claviger_key_rotation_due_timestamp_seconds", "When it is rotated next."),
    ("claviger_key_deletion_timestamp_seconds", "When AWS will delete it; somebody asked for that."),
    ("claviger_key_ready", "Whether the key is as the document asks."),
];

/// What is told of keys.
pub(super) struct Keys {
    all: GaugeVec,
    each: Table,
}

impl Keys {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let labels = &["environment", "kms_namespace", "state"];
        let all = gauge(registry, "claviger_keys", "Keys by the state that AWS shows.", labels)?;
        Ok(Self { all, each: Table::new(&EACH, &RESOURCE) })
    }

    pub(super) fn take(&mut self, name: &ObjectName, subject: &Shown) {
        let Ok(status) = serde_json::from_value::<KmsKeyStatus>(subject.status.clone()) else { return };
        let environment = environment(subject);
        let state = status.key.as_ref().map_or("Unknown", |key| key.state.word());
        self.all.with_label_values(&[environment.as_str(), place(subject).as_str(), state]).inc();
        let values = values(subject, status.key.as_ref());
        self.each.put(&[environment.as_str(), name.name.as_str(), namespace(name)], &values);
    }

    /// The table of each one.
    pub(super) fn done(self) -> Table {
        self.each
    }
}

fn values(subject: &Shown, key: Option<&KeyView>) -> [Option<f64>; 5] {
    [
        key.and_then(|key| key.created_at).map(seconds),
        key.and_then(|key| key.rotated_at).map(seconds),
        key.and_then(|key| key.next_rotation).map(seconds),
        key.and_then(|key| key.deletion_at).map(seconds),
        ready(subject),
    ]
}

/// The KMS namespace: account and Region.
fn place(subject: &Shown) -> String {
    let at = subject.wanted.as_ref().and_then(|wanted| wanted.environment.as_ref());
    at.map(|at| format!("{}/{}", at.spec.kms.account_id, at.spec.kms.region)).unwrap_or_default()
}
