//! Certificates: counts, ends, and what each one is.

use std::collections::BTreeMap;

use claviger_config::{
    Moment, ObjectName, Reason,
    certificate::{IssuedView, TlsCertificateStatus},
};
use claviger_core::reconcile::pass::Shown;
use prometheus::{Error, GaugeVec, Registry};

use super::{RESOURCE, Table, environment, gauge, namespace, ready, seconds, state};

/// Bounds of the counts of what expires soon.
const WITHIN: [(&str, i64); 6] =
    [("0", 0), ("1d", 86_400), ("3d", 259_200), ("7d", 604_800), ("14d", 1_209_600), ("30d", 2_592_000)];

const EACH: [(&str, &str); 5] = [
    ("claviger_certificate_not_before_timestamp_seconds", "When the certificate in service begins."),
    ("claviger_certificate_not_after_timestamp_seconds", "When the certificate in service ends."),
    ("claviger_certificate_renewal_due_timestamp_seconds", "When it is renewed."),
    ("claviger_certificate_renewal_overdue_ratio", "How much of the time between renewal and end is gone."),
    ("claviger_certificate_ready", "Whether what is delivered satisfies the document now."),
];

const INFO: [(&str, &str); 1] = [("claviger_certificate_info", "Which certificate is in service.")];
const INFO_LABELS: [&str; 5] = ["environment", "issuer", "resource", "resource_namespace", "serial"];

/// What is told of certificates.
pub(super) struct Certificates {
    all: GaugeVec,
    expiring: GaugeVec,
    earliest: GaugeVec,
    limited: GaugeVec,
    each: Table,
    info: Table,
    ends: BTreeMap<(String, String), Moment>,
}

impl Certificates {
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name, help, labels: &[&str]| gauge(registry, name, help, labels);
        Ok(Self {
            all: gauge("claviger_certificates", "Certificates by state.", &["environment", "issuer", "state"])?,
            expiring: gauge(
                "claviger_certificates_expiring",
                "Certificates in service that end within that time; `0`: have ended.",
                &["environment", "issuer", "within"],
            )?,
            earliest: gauge(
                "claviger_certificate_earliest_not_after_timestamp_seconds",
                "When the first certificate in service ends.",
                &["environment", "issuer"],
            )?,
            limited: gauge(
                "claviger_acme_rate_limited_until_timestamp_seconds",
                "Until when a CA lets an environment wait; only while it does.",
                &["environment", "issuer"],
            )?,
            each: Table::new(&EACH, &RESOURCE),
            info: Table::new(&INFO, &INFO_LABELS),
            ends: BTreeMap::new(),
        })
    }

    pub(super) fn take(&mut self, name: &ObjectName, subject: &Shown, now: Moment) {
        let Ok(status) = serde_json::from_value::<TlsCertificateStatus>(subject.status.clone()) else { return };
        let environment = environment(subject);
        let issued = status.certificate.as_ref();
        let issuer = issued.and_then(|issued| issued.issuer.as_ref()).map_or("", |issuer| issuer.as_str());
        self.all.with_label_values(&[environment.as_str(), issuer, state(subject)]).inc();
        self.wait(&environment, subject);
        if let Some(issued) = issued {
            self.count(&environment, issuer, issued, now);
        }
        self.one(name, &environment, subject, &status, now);
    }

    /// What there is, and the tables of each one.
    pub(super) fn done(self) -> [Table; 2] {
        for ((environment, issuer), end) in &self.ends {
            self.earliest.with_label_values(&[environment.as_str(), issuer.as_str()]).set(seconds(*end));
        }
        [self.each, self.info]
    }

    fn count(&mut self, environment: &str, issuer: &str, issued: &IssuedView, now: Moment) {
        let left = issued.not_after.since(now).0 / 1_000;
        for (word, bound) in WITHIN {
            let within = self.expiring.with_label_values(&[environment, issuer, word]);
            within.add(if left <= bound { 1.0 } else { 0.0 });
        }
        let end = self.ends.entry((environment.to_owned(), issuer.to_owned())).or_insert(Moment::MAX);
        *end = (*end).min(issued.not_after);
    }

    /// The latest instant counts: until then somebody waits.
    fn wait(&self, environment: &str, subject: &Shown) {
        let waits = subject.said.reason == Reason::RateLimited;
        let Some(until) = subject.next.filter(|_| waits).map(seconds) else { return };
        let issuer = subject.common.pending.as_ref().and_then(|pending| pending.issuer.as_deref()).unwrap_or_default();
        let gauge = self.limited.with_label_values(&[environment, issuer]);
        gauge.set(gauge.get().max(until));
    }

    fn one(
        &mut self,
        name: &ObjectName,
        environment: &str,
        subject: &Shown,
        status: &TlsCertificateStatus,
        now: Moment,
    ) {
        let (issued, due) = (status.certificate.as_ref(), status.renewal.as_ref().map(|renewal| renewal.at));
        let values = [
            issued.map(|issued| seconds(issued.not_before)),
            issued.map(|issued| seconds(issued.not_after)),
            due.map(seconds),
            due.zip(issued).and_then(|(due, issued)| overdue(due, issued.not_after, now)),
            ready(subject),
        ];
        let (namespace, resource) = (namespace(name), name.name.as_str());
        self.each.put(&[environment, resource, namespace], &values);
        if let Some(issued) = issued {
            let issuer = issued.issuer.as_ref().map_or("", |issuer| issuer.as_str());
            self.info.put(&[environment, issuer, resource, namespace, issued.serial.as_str()], &[Some(1.0)]);
        }
    }
}

/// Only while a renewal is late.
fn overdue(due: Moment, end: Moment, now: Moment) -> Option<f64> {
    let room = end.since(due).0.max(1) as f64;
    (now > due).then(|| now.since(due).0 as f64 / room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_that_is_not_late_has_no_ratio_and_one_at_the_end_has_1() {
        let (due, end) = (Moment(1_000_000), Moment(2_000_000));
        assert_eq!(overdue(due, end, due), None);
        assert_eq!(overdue(due, end, Moment(1_500_000)), Some(0.5));
        assert_eq!(overdue(due, end, end), Some(1.0));
        assert!(overdue(due, due, end).is_some_and(f64::is_finite));
    }
}
