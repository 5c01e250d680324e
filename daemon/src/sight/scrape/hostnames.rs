//! Customers' host names: counts by stage, and those that somebody must know of. Their names are the customers' own and stand in
//! no metric: an id of the ledger does.

use std::collections::BTreeMap;

use claviger_config::{Kind, Moment, desired::Spec, hostname::CustomHostnameStatus};
use claviger_core::reconcile::pass::Shown;
use prometheus::Registry;

use super::{OBJECTS, Scrape, environment, gauge, seconds};
use crate::ledger;

impl Scrape<'_> {
    pub(super) fn hostnames(&self, registry: &Registry) -> Result<usize, prometheus::Error> {
        let labels = &["environment", "stage"];
        let all = gauge(registry, "claviger_hostnames", "Customers' host names by stage.", labels)?;
        let oldest = gauge(
            registry,
            "claviger_hostname_oldest_in_stage_timestamp_seconds",
            "Since when the longest waiting host name has been in its stage.",
            labels,
        )?;
        let unhealthy = gauge(
            registry,
            "claviger_hostname_unhealthy",
            "A host name that somebody must know of; only while it is so.",
            &["environment", "hostname_id", "stage", "reason"],
        )?;
        let mut since: BTreeMap<(String, &'static str), Moment> = BTreeMap::new();
        let (mut told, mut omitted) = (0_usize, 0_usize);
        self.fleet.each_of(Kind::CustomHostname, |_, subject| {
            if subject.wanted.is_none() {
                return;
            }
            let key = (environment(&subject), subject.said.reason.word());
            all.with_label_values(&[key.0.as_str(), key.1]).inc();
            if let (Some(known), Some(id)) = (&subject.common.attention, id(&subject)) {
                if told < OBJECTS {
                    let labels = [key.0.as_str(), id.as_str(), stage(&subject), known.reason.word()];
                    unhealthy.with_label_values(&labels).set(1.0);
                    told += 1;
                } else {
                    omitted += 1;
                }
            }
            let first = since.entry(key).or_insert(Moment::MAX);
            *first = (*first).min(subject.said.since);
        });
        for ((environment, stage), at) in since {
            oldest.with_label_values(&[environment.as_str(), stage]).set(seconds(at));
        }
        Ok(omitted)
    }
}

fn id(subject: &Shown) -> Option<String> {
    let wanted = subject.wanted.as_ref()?;
    let Spec::CustomHostname(spec) = &wanted.spec else { return None };
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
