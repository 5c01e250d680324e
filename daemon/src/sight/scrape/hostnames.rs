//! Customers' host names: counts by stage, and those that somebody must know of. Their names are the customers' own and stand in
//! no metric: an id of the ledger does.

use std::collections::BTreeMap;

use claviger_config::{Moment, desired::Spec, hostname::CustomHostnameStatus};
use claviger_core::reconcile::pass::Shown;
use prometheus::{Error, GaugeVec, Registry};

use super::{Table, environment, gauge, seconds};
use crate::ledger;

const UNHEALTHY: [(&str, &str); 1] =
    [("claviger_hostname_unhealthy", "A host name that somebody must know of; only while it is so.")];

/// What is told of host names.
pub(super) struct Hostnames {
    all: GaugeVec,
    oldest: GaugeVec,
    unhealthy: Table,
    since: BTreeMap<(String, &'static str), Moment>,
}

impl Hostnames {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let labels = &["environment", "stage"];
        Ok(Self {
            all: gauge(registry, "claviger_hostnames", "Customers' host names by stage.", labels)?,
            oldest: gauge(
                registry,
                "claviger_hostname_oldest_in_stage_timestamp_seconds",
                "Since when the longest waiting host name has been in its stage.",
                labels,
            )?,
            unhealthy: Table::new(&UNHEALTHY, &["environment", "hostname_id", "reason", "stage"]),
            since: BTreeMap::new(),
        })
    }

    pub(super) fn take(&mut self, subject: &Shown) {
        let key = (environment(subject), subject.said.reason.word());
        self.all.with_label_values(&[key.0.as_str(), key.1]).inc();
        if let (Some(known), Some(id)) = (&subject.common.attention, id(subject)) {
            let labels = [key.0.as_str(), id.as_str(), known.reason.word(), stage(subject)];
            self.unhealthy.put(&labels, &[Some(1.0)]);
        }
        let first = self.since.entry(key).or_insert(Moment::MAX);
        *first = (*first).min(subject.said.since);
    }

    /// What there is, and the table of those that are not well.
    pub(super) fn done(self) -> Table {
        for ((environment, stage), at) in &self.since {
            self.oldest.with_label_values(&[environment.as_str(), *stage]).set(seconds(*at));
        }
        self.unhealthy
    }
}

fn id(subject: &Shown) -> Option<String> {
    let wanted = subject.wanted.as_ref()?;
    let Spec::CustomHostname(spec) = &*wanted.spec else { return None };
    Some(ledger::id(&wanted.environment.as_ref()?.name, &spec.hostname))
}

/// How far it has come.
fn stage(subject: &Shown) -> &'static str {
    let status: Option<CustomHostnameStatus> = serde_json::from_value(subject.status.clone()).ok();
    match status.and_then(|status| status.edge) {
        None => "Create",
        Some(edge) if !edge.hostname.starts_with("active") => "Ownership",
        Some(edge) if edge.certificate.as_deref() != Some("active") => "Certificate",
        Some(_) => "Served",
    }
}
