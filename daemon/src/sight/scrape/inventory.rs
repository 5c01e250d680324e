//! Certificates that claviger did not issue: counts and the first end, by environment. There are no series of each one, since anybody who
//! may write a Secret would make them.

use std::collections::BTreeMap;

use claviger_config::Moment;
use claviger_core::domain::inventory::{Reading, state};
use prometheus::Registry;

use super::{Done, Scrape, gauge, seconds};
use crate::inventory;

impl Scrape<'_> {
    /// Told in a cluster only.
    pub(super) fn inventory(&self, registry: &Registry) -> Done {
        let labels = &["environment", "state"];
        let help = "Certificates that claviger did not issue, by state.";
        let all = gauge(registry, "claviger_discovered_certificates", help, labels)?;
        let earliest = gauge(
            registry,
            "claviger_discovered_certificate_earliest_not_after_timestamp_seconds",
            "When the first certificate that claviger did not issue, and that has not ended, ends.",
            &["environment"],
        )?;
        let mut ends: BTreeMap<String, Moment> = BTreeMap::new();
        for one in inventory::discovered(self.shared) {
            all.with_label_values(&[one.environment.as_str(), state(&one.reading, self.now).word()]).inc();
            if let Reading::Certificate(certificate) = &one.reading
                && certificate.not_after > self.now
            {
                let first = ends.entry(one.environment.to_string()).or_insert(Moment::MAX);
                *first = (*first).min(certificate.not_after);
            }
        }
        for (environment, at) in &ends {
            earliest.with_label_values(&[environment.as_str()]).set(seconds(*at));
        }
        Ok(())
    }
}
