//! Counters: what was done, asked and answered since the start.

use claviger_config::{Reason, Span};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
};

/// Everything that only grows, and when a source was last asked.
pub struct Metrics {
    registry: Registry,
    acme: Requests,
    cloudflare: Requests,
    kms: Requests,
    issuances: IntCounterVec,
    steps: IntCounterVec,
    decisions: IntCounterVec,
    commits: IntCounterVec,
    passes: IntCounterVec,
    attempts: IntGaugeVec,
    successes: IntGaugeVec,
    leader: IntGaugeVec,
    log_lines_lost: IntCounter,
}

/// Calls to one system.
struct Requests {
    count: IntCounterVec,
    duration: HistogramVec,
}

impl Requests {
    fn new(registry: &Registry, system: &str, called: &str, labels: &[&str]) -> Result<Self, prometheus::Error> {
        let name = format!("claviger_{system}_requests_total");
        let count = counter(registry, &name, &format!("Calls to {called}, by what they answered."), labels)?;
        let name = format!("claviger_{system}_request_duration_seconds");
        let duration = HistogramOpts::new(name, format!("How long calls to {called} take.")).buckets(BUCKETS.to_vec());
        let duration = HistogramVec::new(duration, &["operation"])?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self { count, duration })
    }

    fn note(&self, labels: &[&str], operation: &str, took: Span) {
        self.count.with_label_values(labels).inc();
        self.duration.with_label_values(&[operation]).observe(took.0.max(0) as f64 / 1_000.0);
    }
}

/// From a machine beside us to the patience of the slowest adapter.
const BUCKETS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// When two families have one name: a fault in claviger.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| counter(&registry, name, help, labels);
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &["source"])?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let leader = IntGaugeVec::new(Opts::new("claviger_leader", "Whether this replica is at work."), &[])?;
        registry.register(Box::new(leader.clone()))?;
        let lost = IntCounter::new("claviger_log_lines_lost_total", "Log lines that could not be written.")?;
        registry.register(Box::new(lost.clone()))?;
        Ok(Self {
            acme: Requests::new(&registry, "acme", "a CA", &["environment", "issuer", "operation", "code"])?,
            cloudflare: Requests::new(&registry, "cloudflare", "Cloudflare", &["environment", "operation", "code"])?,
            kms: Requests::new(&registry, "kms", "AWS KMS and STS", &["environment", "operation", "code"])?,
            issuances: counter(
                "claviger_issuances_total",
                "Certificates that a CA handed out, and whether they were accepted.",
                &["environment", "issuer", "outcome", "reason"],
            )?,
            steps: counter(
                "claviger_steps_total",
                "Effects and questions by how they ended: `Done` or the reason of the failure.",
                &["environment", "step", "outcome"],
            )?,
            decisions: counter(
                "claviger_decisions_total",
                "Plans that differ from the one before, by kind and reason.",
                &["environment", "kind", "reason"],
            )?,
            commits: counter("claviger_store_commits_total", "Writes of records.", &["outcome"])?,
            passes: counter(
                "claviger_reconcile_total",
                "Passes over subjects of a kind: `Rested`, or `Failed` when the store did not let them through.",
                &["controller", "outcome"],
            )?,
            attempts: gauge("claviger_sync_last_attempt_timestamp_seconds", "When a source was last asked.")?,
            successes: gauge("claviger_sync_last_success_timestamp_seconds", "When a source last answered.")?,
            leader,
            log_lines_lost: lost,
            registry,
        })
    }

    /// One request to a CA. `code` is the HTTP status or the word of the failure.
    pub fn acme(&self, environment: &str, issuer: &str, operation: &str, code: &str, took: Span) {
        self.acme.note(&[environment, issuer, operation, code], operation, took);
    }

    /// One call to Cloudflare.
    pub fn cloudflare(&self, environment: &str, operation: &str, code: &str, took: Span) {
        self.cloudflare.note(&[environment, operation, code], operation, took);
    }

    /// One call to AWS.
    pub fn kms(&self, environment: &str, operation: &str, code: &str, took: Span) {
        self.kms.note(&[environment, operation, code], operation, took);
    }

    /// A source was asked; whether it answered.
    pub fn asked(&self, source: &str, at_seconds: i64, answered: bool) {
        self.attempts.with_label_values(&[source]).set(at_seconds);
        if answered {
            self.successes.with_label_values(&[source]).set(at_seconds);
        }
    }

    /// Whether this replica is at work; told in a cluster only.
    pub fn leads(&self, leads: bool) {
        self.leader.with_label_values::<&str>(&[]).set(i64::from(leads));
    }

    /// When a source last answered, seconds since 1970. Asking for it by its label would make the series: what is unknown must
    /// stay absent from `/metrics`, not be 0.
    pub fn last_success(&self, source: &str) -> Option<i64> {
        let families = self.successes.collect();
        let mut series = families.iter().flat_map(|family| family.get_metric());
        let found = series.find(|metric| metric.get_label().iter().any(|label| label.value() == source))?;
        Some(found.get_gauge().get_value() as i64).filter(|at| *at > 0)
    }

    /// One step and how it ended.
    pub fn step(&self, environment: &str, step: &str, outcome: &str) {
        self.steps.with_label_values(&[environment, step, outcome]).inc();
    }

    /// A plan that differs from the one before.
    pub fn decision(&self, environment: &str, kind: &str, reason: Reason) {
        self.decisions.with_label_values(&[environment, kind, reason.word()]).inc();
    }

    /// A certificate that a CA handed out.
    pub fn issuance(&self, environment: &str, issuer: &str, accepted: bool, reason: Reason) {
        let outcome = if accepted { "Accepted" } else { "Refused" };
        self.issuances.with_label_values(&[environment, issuer, outcome, reason.word()]).inc();
    }

    /// A write of a record.
    pub fn commit(&self, done: bool) {
        self.commits.with_label_values(&[if done { "Done" } else { "Failed" }]).inc();
    }

    /// How many writes the store has taken.
    pub fn committed(&self) -> u64 {
        self.commits.with_label_values(&["Done"]).get()
    }

    /// A pass over a subject of that kind.
    pub fn pass(&self, kind: &str, rested: bool) {
        self.passes.with_label_values(&[kind, if rested { "Rested" } else { "Failed" }]).inc();
    }

    /// The counter of lost log lines.
    pub fn log_lines_lost(&self) -> IntCounter {
        self.log_lines_lost.clone()
    }

    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
