//! What is, at the moment of a scrape. Unknown is absent, never 0; what is deleted is gone at the next scrape.

use std::collections::BTreeMap;

use claviger_config::{
    Kind, Moment, ObjectName, certificate::TlsCertificateStatus, condition::ConditionStatus,
    hostname::CustomHostnameStatus, key::KmsKeyStatus,
};
use claviger_core::reconcile::pass::Shown;
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};

use super::metrics::Metrics;
use crate::{drive::Driver, fleet::Fleet, source::Documents};

/// Objects with series of their own, at most.
const OBJECTS: usize = 10_000;
/// Bounds of the counts of what expires soon.
const WITHIN: [(&str, i64); 6] =
    [("0", 0), ("1d", 86_400), ("3d", 259_200), ("7d", 604_800), ("14d", 1_209_600), ("30d", 2_592_000)];

/// What a scrape looks at.
pub struct Scrape<'a> {
    /// The counters.
    pub metrics: &'a Metrics,
    /// The subjects.
    pub fleet: &'a Fleet,
    /// The documents.
    pub documents: &'a Documents,
    /// The scheduler.
    pub driver: &'a Driver,
    /// Now.
    pub now: Moment,
}

impl Scrape<'_> {
    /// The exposition, text format 0.0.4.
    ///
    /// # Errors
    /// When two families have one name: a fault in claviger.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let registry = Registry::new();
        self.certificates(&registry)?;
        self.hostnames(&registry)?;
        self.keys(&registry)?;
        self.itself(&registry)?;
        let mut families = self.metrics.registry().gather();
        families.extend(registry.gather());
        families.extend(prometheus::gather());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    fn certificates(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let all =
            gauge(registry, "claviger_certificates", "Certificates by state.", &["environment", "issuer", "state"])?;
        let expiring = gauge(
            registry,
            "claviger_certificates_expiring",
            "Certificates in service that end within that time; `0`: have ended.",
            &["environment", "issuer", "within"],
        )?;
        let earliest = gauge(
            registry,
            "claviger_certificate_earliest_not_after_timestamp_seconds",
            "When the first certificate in service ends.",
            &["environment", "issuer"],
        )?;
        let each = Each::of_certificates(registry)?;
        let mut ends: BTreeMap<(String, String), i64> = BTreeMap::new();
        let (mut shown, mut omitted) = (0_usize, 0_u32);
        self.fleet.each_of(Kind::TlsCertificate, |name, subject| {
            let Ok(status) = serde_json::from_value::<TlsCertificateStatus>(subject.status.clone()) else { return };
            let environment = environment(&subject);
            let issued = status.certificate.as_ref();
            let issuer =
                issued.and_then(|issued| issued.issuer.as_ref()).map_or("", |issuer| issuer.as_str()).to_owned();
            all.with_label_values(&[environment.as_str(), issuer.as_str(), state(&subject)]).inc();
            if let Some(issued) = issued {
                let left = issued.not_after.since(self.now).0 / 1_000;
                for (word, bound) in WITHIN {
                    let within = expiring.with_label_values(&[environment.as_str(), issuer.as_str(), word]);
                    within.add(if left <= bound { 1.0 } else { 0.0 });
                }
                let end = ends.entry((environment.clone(), issuer)).or_insert(i64::MAX);
                *end = (*end).min(issued.not_after.0);
            }
            if shown < OBJECTS {
                shown += 1;
                each.certificate(name, &environment, &subject, &status, self.now);
            } else {
                omitted += 1;
            }
        });
        for ((environment, issuer), end) in ends {
            earliest.with_label_values(&[environment.as_str(), issuer.as_str()]).set(seconds(Moment(end)));
        }
        omit(registry, "TlsCertificate", omitted)
    }

    fn hostnames(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let labels = &["environment", "stage"];
        let all = gauge(registry, "claviger_hostnames", "Customers' host names by stage.", labels)?;
        let oldest = gauge(
            registry,
            "claviger_hostname_oldest_in_stage_timestamp_seconds",
            "Since when the longest waiting host name has been in its stage.",
            labels,
        )?;
        let mut since: BTreeMap<(String, &'static str), i64> = BTreeMap::new();
        self.fleet.each_of(Kind::CustomHostname, |_, subject| {
            let known = serde_json::from_value::<CustomHostnameStatus>(subject.status.clone()).is_ok();
            let key = (environment(&subject), if known { subject.said.reason.word() } else { "NotObserved" });
            all.with_label_values(&[key.0.as_str(), key.1]).inc();
            let first = since.entry(key).or_insert(i64::MAX);
            *first = (*first).min(subject.said.since.0);
        });
        for ((environment, stage), at) in since {
            oldest.with_label_values(&[environment.as_str(), stage]).set(seconds(Moment(at)));
        }
        Ok(())
    }

    fn keys(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let labels = &["environment", "kms_namespace", "state"];
        let all = gauge(registry, "claviger_keys", "Keys by the state that AWS shows.", labels)?;
        let each = Each::of_keys(registry)?;
        self.fleet.each_of(Kind::KmsKey, |name, subject| {
            let Ok(status) = serde_json::from_value::<KmsKeyStatus>(subject.status.clone()) else { return };
            let environment = environment(&subject);
            let place = subject.wanted.as_ref().and_then(|wanted| wanted.environment.clone());
            let namespace =
                place.map(|at| format!("{}/{}", at.spec.kms.account_id, at.spec.kms.region)).unwrap_or_default();
            let state = status.key.as_ref().map_or("Unknown", |key| key.state.word());
            all.with_label_values(&[environment.as_str(), namespace.as_str(), state]).inc();
            each.key(name, &environment, &subject, &status);
        });
        Ok(())
    }

    fn itself(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let build = gauge(registry, "claviger_build_info", "The build that answers.", &["version"])?;
        build.with_label_values(&[crate::VERSION]).set(1.0);
        let documents =
            gauge(registry, "claviger_documents_rejected", "Errors in documents that are not in force.", &[])?;
        documents.with_label_values(&[] as &[&str]).set(self.documents.view().rejected.len() as f64);
        let attention = gauge(
            registry,
            "claviger_attention",
            "Objects that someone must know of, by reason and whose turn it is.",
            &["environment", "kind", "reason", "turn"],
        )?;
        self.fleet.each(|name, subject| {
            if let Some(known) = &subject.common.attention {
                let environment = environment(&subject);
                let labels = [environment.as_str(), name.kind.word(), known.reason.word(), known.turn.word()];
                attention.with_label_values(&labels).inc();
            }
        });
        let depth = self.driver.depth();
        let agenda = gauge(registry, "claviger_agenda_subjects", "Subjects on the agenda.", &["place"])?;
        for (place, count) in
            [("waiting", depth.waiting), ("ready", depth.ready), ("in_line", depth.in_line), ("running", depth.running)]
        {
            agenda.with_label_values(&[place]).set(count as f64);
        }
        Ok(())
    }
}

/// Series per object.
struct Each {
    families: BTreeMap<&'static str, GaugeVec>,
}

const LABELS: [&str; 3] = ["environment", "resource_namespace", "resource"];

impl Each {
    fn of_certificates(registry: &Registry) -> Result<Self, prometheus::Error> {
        Self::of(
            registry,
            &[
                ("claviger_certificate_not_before_timestamp_seconds", "When the certificate in service begins."),
                ("claviger_certificate_not_after_timestamp_seconds", "When the certificate in service ends."),
                ("claviger_certificate_renewal_due_timestamp_seconds", "When it is renewed."),
                ("claviger_certificate_renewal_overdue_ratio", "How much of the time between renewal and end is gone."),
                ("claviger_certificate_ready", "Whether what is delivered satisfies the document now."),
            ],
        )
    }

    fn of_keys(registry: &Registry) -> Result<Self, prometheus::Error> {
        Self::of(
            registry,
            &[
                ("claviger_key_created_timestamp_seconds", "When the key was made."),
                ("claviger_key_last_rotation_timestamp_seconds", "When it was last rotated."),
                ("claviger_key_rotation_due_timestamp_seconds", "When it is rotated next."),
                ("claviger_key_deletion_timestamp_seconds", "When AWS will delete it; somebody asked for that."),
                ("claviger_key_ready", "Whether the key is as the document asks."),
            ],
        )
    }

    fn of(registry: &Registry, families: &[(&'static str, &'static str)]) -> Result<Self, prometheus::Error> {
        let families = families.iter().map(|(name, help)| Ok((*name, gauge(registry, name, help, &LABELS)?)));
        Ok(Self { families: families.collect::<Result<_, prometheus::Error>>()? })
    }

    fn set(&self, family: &str, name: &ObjectName, environment: &str, value: Option<f64>) {
        let (Some(family), Some(value)) = (self.families.get(family), value) else { return };
        let namespace = name.namespace.as_ref().map_or("", |namespace| namespace.as_str());
        family.with_label_values(&[environment, namespace, name.name.as_str()]).set(value);
    }

    fn certificate(
        &self,
        name: &ObjectName,
        environment: &str,
        subject: &Shown,
        status: &TlsCertificateStatus,
        now: Moment,
    ) {
        let issued = status.certificate.as_ref();
        let set = |family: &str, value| self.set(family, name, environment, value);
        set("claviger_certificate_not_before_timestamp_seconds", issued.map(|issued| seconds(issued.not_before)));
        set("claviger_certificate_not_after_timestamp_seconds", issued.map(|issued| seconds(issued.not_after)));
        let due = status.renewal.as_ref().map(|renewal| renewal.at);
        set("claviger_certificate_renewal_due_timestamp_seconds", due.map(seconds));
        let late = due.zip(issued).and_then(|(due, issued)| overdue(due, issued.not_after, now));
        set("claviger_certificate_renewal_overdue_ratio", late);
        set("claviger_certificate_ready", ready(subject));
    }

    fn key(&self, name: &ObjectName, environment: &str, subject: &Shown, status: &KmsKeyStatus) {
        let key = status.key.as_ref();
        let set = |family: &str, value: Option<Moment>| self.set(family, name, environment, value.map(seconds));
        set("claviger_key_created_timestamp_seconds", key.and_then(|key| key.created_at));
        set("claviger_key_last_rotation_timestamp_seconds", key.and_then(|key| key.rotated_at));
        set("claviger_key_rotation_due_timestamp_seconds", key.and_then(|key| key.next_rotation));
        set("claviger_key_deletion_timestamp_seconds", key.and_then(|key| key.deletion_at));
        self.set("claviger_key_ready", name, environment, ready(subject));
    }
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    let family = GaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn omit(registry: &Registry, kind: &str, omitted: u32) -> Result<(), prometheus::Error> {
    let help = "Objects without series of their own, because there are too many.";
    gauge(registry, "claviger_metrics_objects_omitted", help, &["kind"])?
        .with_label_values(&[kind])
        .set(f64::from(omitted));
    Ok(())
}

fn environment(subject: &Shown) -> String {
    subject.environment.as_ref().map(ToString::to_string).unwrap_or_default()
}

const fn state(subject: &Shown) -> &'static str {
    match subject.said.ready.status {
        ConditionStatus::True => "Ready",
        ConditionStatus::False => "NotReady",
        ConditionStatus::Unknown => "Unknown",
    }
}

/// Absent while it is unknown.
const fn ready(subject: &Shown) -> Option<f64> {
    match subject.said.ready.status {
        ConditionStatus::True => Some(1.0),
        ConditionStatus::False => Some(0.0),
        ConditionStatus::Unknown => None,
    }
}

/// Only while a renewal is late.
fn overdue(due: Moment, end: Moment, now: Moment) -> Option<f64> {
    let room = end.since(due).0.max(1) as f64;
    (now > due).then(|| now.since(due).0 as f64 / room)
}

fn seconds(moment: Moment) -> f64 {
    moment.0 as f64 / 1_000.0
}
