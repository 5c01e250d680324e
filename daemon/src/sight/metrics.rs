//! Counters: what was done, asked and answered since the start.

use claviger_config::Reason;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector};

/// Everything that only grows, and when a source was last asked.
pub struct Metrics {
    registry: Registry,
    issuances: IntCounterVec,
    requests: IntCounterVec,
    steps: IntCounterVec,
    decisions: IntCounterVec,
    commits: IntCounterVec,
    audit: IntCounterVec,
    attempts: IntGaugeVec,
    successes: IntGaugeVec,
    log_lines_lost: IntCounter,
}

impl Metrics {
    /// Registers every family.
    ///
    /// # Errors
    /// When two families have one name: a fault in claviger.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &["source"])?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let lost = IntCounter::new("claviger_log_lines_lost_total", "Log lines that could not be written.")?;
        registry.register(Box::new(lost.clone()))?;
        Ok(Self {
            issuances: counter(
                "claviger_issuances_total",
                "Certificates that a CA handed out, and whether they were accepted.",
                &["environment", "issuer", "outcome", "reason"],
            )?,
            requests: counter(
                "claviger_requests_total",
                "Calls to AWS, to a CA and to Cloudflare by what they answered.",
                &["system", "environment", "operation", "code"],
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
            audit: counter("claviger_audit_events_total", "Lines of the audit journal.", &["sink", "outcome"])?,
            attempts: gauge("claviger_sync_last_attempt_timestamp_seconds", "When a source was last asked.")?,
            successes: gauge("claviger_sync_last_success_timestamp_seconds", "When a source last answered.")?,
            log_lines_lost: lost,
            registry,
        })
    }

    /// One call to a far side. `code` is the HTTP status or the word of the failure.
    pub fn request(&self, system: &str, environment: &str, operation: &str, code: &str) {
        self.requests.with_label_values(&[system, environment, operation, code]).inc();
    }

    /// A source was asked; whether it answered.
    pub fn asked(&self, source: &str, at_seconds: i64, answered: bool) {
        self.attempts.with_label_values(&[source]).set(at_seconds);
        if answered {
            self.successes.with_label_values(&[source]).set(at_seconds);
        }
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

    /// A line of the audit journal.
    pub fn audited(&self, done: bool) {
        self.audit.with_label_values(&["file", if done { "Done" } else { "Failed" }]).inc();
    }

    /// The counter of lost log lines.
    pub fn log_lines_lost(&self) -> IntCounter {
        self.log_lines_lost.clone()
    }

    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }
}
