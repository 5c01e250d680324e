//! Keys: counts, and when each was made and is rotated.

use claviger_config::{
    Kind, Moment, ObjectName,
    key::{KeyView, KmsKeyStatus},
};
use claviger_core::reconcile::pass::Shown;
use prometheus::Registry;

use super::{Each, Scrape, environment, gauge, ready, seconds};

const EACH: [(&str, &str); 5] = [
    ("claviger_key_created_timestamp_seconds", "When the key was made."),
    ("claviger_key_last_rotation_timestamp_seconds", "When it was last rotated."),
    ("claviger_key_rotation_due_timestamp_seconds", "When it is rotated next."),
    ("claviger_key_deletion_timestamp_seconds", "When AWS will delete it; somebody asked for that."),
    ("claviger_key_ready", "Whether the key is as the document asks."),
];

impl Scrape<'_> {
    pub(super) fn keys(&self, registry: &Registry) -> Result<usize, prometheus::Error> {
        let labels = &["environment", "kms_namespace", "state"];
        let all = gauge(registry, "claviger_keys", "Keys by the state that AWS shows.", labels)?;
        let mut each = Each::of(registry, &EACH)?;
        self.fleet.each_of(Kind::KmsKey, |name, subject| {
            if subject.wanted.is_none() {
                return;
            }
            let Ok(status) = serde_json::from_value::<KmsKeyStatus>(subject.status.clone()) else { return };
            let environment = environment(&subject);
            let state = status.key.as_ref().map_or("Unknown", |key| key.state.word());
            all.with_label_values(&[environment.as_str(), place(&subject).as_str(), state]).inc();
            if each.admit() {
                one(&each, name, &environment, &subject, status.key.as_ref());
            }
        });
        Ok(each.omitted)
    }
}

fn one(each: &Each, name: &ObjectName, environment: &str, subject: &Shown, key: Option<&KeyView>) {
    let set = |family: &str, value: Option<Moment>| each.set(family, name, environment, value.map(seconds));
    set("claviger_key_created_timestamp_seconds", key.and_then(|key| key.created_at));
    set("claviger_key_last_rotation_timestamp_seconds", key.and_then(|key| key.rotated_at));
    set("claviger_key_rotation_due_timestamp_seconds", key.and_then(|key| key.next_rotation));
    set("claviger_key_deletion_timestamp_seconds", key.and_then(|key| key.deletion_at));
    each.set("claviger_key_ready", name, environment, ready(subject));
}

/// The KMS namespace: account and Region.
fn place(subject: &Shown) -> String {
    let at = subject.wanted.as_ref().and_then(|wanted| wanted.environment.as_ref());
    at.map(|at| format!("{}/{}", at.spec.kms.account_id, at.spec.kms.region)).unwrap_or_default()
}
