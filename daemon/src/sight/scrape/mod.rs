//! What is, at the moment of a scrape. Unknown is absent, never 0; what is deleted is gone at the next scrape.

mod budgets;
mod certificates;
mod hostnames;
mod itself;
mod keys;

use std::collections::BTreeMap;

use claviger_config::{Moment, ObjectName, condition::ConditionStatus};
use claviger_core::reconcile::pass::Shown;
use prometheus::{Encoder, Gauge, GaugeVec, Opts, Registry, TextEncoder};

use super::metrics::Metrics;
use crate::{drive::Driver, fleet::Fleet, journal::Journal, shared::Shared, source::Documents};

/// Objects of a kind with series of their own, at most.
const OBJECTS: usize = 10_000;

/// What a scrape looks at.
pub struct Scrape<'a> {
    metrics: &'a Metrics,
    fleet: &'a Fleet,
    documents: &'a Documents,
    driver: &'a Driver,
    journal: &'a Journal,
    now: Moment,
}

type Done = Result<(), prometheus::Error>;

impl<'a> Scrape<'a> {
    /// A scrape of what the listeners share.
    pub fn of(shared: &'a Shared) -> Self {
        Self {
            metrics: &shared.metrics,
            fleet: &shared.fleet,
            documents: &shared.documents,
            driver: &shared.driver,
            journal: &shared.journal,
            now: shared.clock.now(),
        }
    }

    /// The exposition, text format 0.0.4. `clock` tells how long it took.
    ///
    /// # Errors
    /// When two families have one name: a fault in claviger.
    pub fn text(&self, clock: impl Fn() -> Moment) -> Result<Vec<u8>, prometheus::Error> {
        let registry = Registry::new();
        let omitted = gauge(
            &registry,
            "claviger_metrics_objects_omitted",
            "Objects without series of their own, because there are too many.",
            &["kind"],
        )?;
        let omit = |kind: &str, count: usize| omitted.with_label_values(&[kind]).set(count as f64);
        omit("TlsCertificate", self.certificates(&registry)?);
        omit("CustomHostname", self.hostnames(&registry)?);
        omit("KmsKey", self.keys(&registry)?);
        self.budgets(&registry)?;
        self.itself(&registry)?;
        single(&registry, "claviger_collect_duration_seconds", "How long it took to collect this.")?
            .set(clock().since(self.now).0.max(0) as f64 / 1_000.0);
        let mut families = self.metrics.registry().gather();
        families.extend(registry.gather());
        families.extend(prometheus::gather());
        families.sort_by(|left, right| left.name().cmp(right.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    let family = GaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn single(registry: &Registry, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
    let family = Gauge::new(name, help)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

/// Series per object, up to a limit.
struct Each {
    families: BTreeMap<&'static str, GaugeVec>,
    shown: usize,
    omitted: usize,
}

const LABELS: [&str; 3] = ["environment", "resource_namespace", "resource"];

impl Each {
    fn of(registry: &Registry, families: &[(&'static str, &'static str)]) -> Result<Self, prometheus::Error> {
        let families = families.iter().map(|(name, help)| Ok((*name, gauge(registry, name, help, &LABELS)?)));
        Ok(Self { families: families.collect::<Result<_, prometheus::Error>>()?, shown: 0, omitted: 0 })
    }

    /// Whether there is room for one more object.
    fn admit(&mut self) -> bool {
        let room = self.shown < OBJECTS;
        if room {
            self.shown += 1
        } else {
            self.omitted += 1
        }
        room
    }

    fn set(&self, family: &str, name: &ObjectName, environment: &str, value: Option<f64>) {
        let (Some(family), Some(value)) = (self.families.get(family), value) else { return };
        family.with_label_values(&[environment, namespace(name), name.name.as_str()]).set(value);
    }
}

fn namespace(name: &ObjectName) -> &str {
    name.namespace.as_ref().map_or("", |namespace| namespace.as_str())
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

fn seconds(moment: Moment) -> f64 {
    moment.0 as f64 / 1_000.0
}
