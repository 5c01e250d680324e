//! What is, at the moment of a scrape. Unknown is absent, never 0; what is deleted is gone at the next scrape.

mod budgets;
mod certificates;
mod hostnames;
mod inventory;
mod itself;
mod keys;
mod table;

use std::collections::{BTreeMap, VecDeque};

use claviger_config::{Kind, Moment, ObjectName, condition::ConditionStatus};
use claviger_core::reconcile::pass::Shown;
use prometheus::{Encoder, Gauge, GaugeVec, Opts, Registry, TextEncoder, proto::MetricFamily};

use self::{certificates::Certificates, hostnames::Hostnames, itself::Attention, keys::Keys, table::Table};
use super::metrics::Metrics;
use crate::{drive::Driver, fleet::Fleet, journal::Journal, shared::Shared, source::Documents};

/// What a scrape looks at.
pub struct Scrape<'a> {
    metrics: &'a Metrics,
    fleet: &'a Fleet,
    documents: &'a Documents,
    driver: &'a Driver,
    journal: &'a Journal,
    shared: &'a Shared,
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
            shared,
            now: shared.clock.now(),
        }
    }

    /// Everything, collected. `clock` tells how long it took.
    ///
    /// # Errors
    /// When two families have one name: a fault in claviger.
    pub fn collect(&self, clock: impl Fn() -> Moment) -> Result<Exposition, prometheus::Error> {
        let registry = Registry::new();
        let tables = self.objects(&registry)?;
        self.budgets(&registry)?;
        self.itself(&registry)?;
        self.inventory(&registry)?;
        single(&registry, "claviger_collect_duration_seconds", "How long it took to collect this.")?
            .set(clock().since(self.now).0.max(0) as f64 / 1_000.0);
        let mut families = self.metrics.registry().gather();
        families.extend(registry.gather());
        families.extend(prometheus::gather());
        Ok(Exposition::new(families, tables))
    }

    /// Once through the fleet.
    fn objects(&self, registry: &Registry) -> Result<Vec<Table>, prometheus::Error> {
        let attention = Attention::new(registry)?;
        let (mut certificates, mut keys) = (Certificates::new(registry)?, Keys::new(registry)?);
        let mut hostnames = Hostnames::new(registry)?;
        self.fleet.each(|name, subject| {
            attention.take(name, &subject);
            match name.kind {
                _ if subject.wanted.is_none() => {}
                Kind::Authority | Kind::Environment => {}
                Kind::CustomHostname => hostnames.take(&subject),
                Kind::KmsKey => keys.take(name, &subject),
                Kind::TlsCertificate => certificates.take(name, &subject, self.now),
            }
        });
        let ([each, info], keys, hostnames) = (certificates.done(), keys.done(), hostnames.done());
        let help = "Objects without series of their own, because there are too many.";
        let omitted = gauge(registry, "claviger_metrics_objects_omitted", help, &["kind"])?;
        for (kind, table) in [(Kind::TlsCertificate, &each), (Kind::CustomHostname, &hostnames), (Kind::KmsKey, &keys)]
        {
            omitted.with_label_values(&[kind.word()]).set(table.omitted() as f64);
        }
        Ok(vec![each, info, keys, hostnames])
    }
}

/// What a scrape tells, as pieces of text (format 0.0.4), family after family in the order of their names. What is told of each
/// object is put into words piece by piece, so that the whole text never stands in memory.
pub struct Exposition {
    families: Vec<MetricFamily>,
    tables: Vec<Table>,
    order: VecDeque<Family>,
}

/// Where a family comes from.
#[derive(Clone, Copy)]
enum Family {
    Whole(usize),
    /// Table, family in it, row to go on from.
    Each(usize, usize, usize),
}

impl Exposition {
    fn new(families: Vec<MetricFamily>, tables: Vec<Table>) -> Self {
        let whole = families.iter().enumerate().map(|(at, family)| (family.name().to_owned(), Family::Whole(at)));
        let mut order: BTreeMap<String, Family> = whole.collect();
        for (at, table) in tables.iter().enumerate() {
            order
                .extend(table.names().enumerate().map(|(number, name)| (name.to_owned(), Family::Each(at, number, 0))));
        }
        Self { families, tables, order: order.into_values().collect() }
    }
}

impl Iterator for Exposition {
    type Item = Result<Vec<u8>, prometheus::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.order.pop_front()? {
                Family::Whole(at) => {
                    let mut text = Vec::new();
                    return Some(TextEncoder::new().encode(&self.families[at..=at], &mut text).map(|()| text));
                }
                Family::Each(at, number, begin) => {
                    if let Some((text, next)) = self.tables[at].piece(number, begin) {
                        self.order.push_front(Family::Each(at, number, next));
                        return Some(text);
                    }
                }
            }
        }
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

/// Labels of what is told of each resource, in the alphabetical order in which all are written.
const RESOURCE: [&str; 3] = ["environment", "resource", "resource_namespace"];

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
