//! Where the knowledge comes from, and how old it is.

use std::collections::BTreeMap;

use claviger_config::{
    EnvironmentName, IssuerName, Kind, Moment, ObjectName, Reason, Span,
    admin::SourceView,
    condition::{Attention, ConditionStatus},
    desired::Surroundings,
};

use super::subject::{Subject, holds};
use crate::{sight::metrics::Metrics, source::Documents};

/// Older knowledge is stale, as long as something depends on it.
const STALE: Span = Span::hours(2);

/// Every source of the environments in force, and what subjects say of them.
#[derive(Default)]
pub(super) struct Sources(BTreeMap<EnvironmentName, Vec<Source>>);

struct Source {
    name: String,
    /// Whether this object cannot be judged without it.
    needs: fn(&ObjectName, &Subject) -> bool,
    /// The reasons that are its trouble.
    reasons: &'static [Reason],
    issuer: Option<IssuerName>,
    needed: bool,
    /// What it said last instead of answering, in the words of whoever asked it.
    trouble: Option<(Moment, String)>,
}

impl Sources {
    /// The sources that the documents name. Nobody needs them yet.
    pub(super) fn of(documents: &Documents) -> Self {
        Self(documents.environments().iter().map(|at| (at.name.clone(), of_environment(at))).collect())
    }

    /// Hears what a subject says of its sources.
    pub(super) fn take(&mut self, name: &ObjectName, subject: &Subject) {
        let here = subject.environment.as_ref().and_then(|environment| self.0.get_mut(environment));
        here.into_iter().flatten().for_each(|source| source.take(name, subject));
    }

    /// Every source, by name.
    pub(super) fn views(self, metrics: &Metrics, now: Moment) -> Vec<SourceView> {
        let mut views: Vec<_> = self.0.into_values().flatten().map(|source| source.view(metrics, now)).collect();
        views.sort_by(|left, right| left.name.cmp(&right.name));
        views
    }
}

fn of_environment(at: &Surroundings) -> Vec<Source> {
    let source = |name, needs, reasons, issuer| Source { name, needs, reasons, issuer, needed: false, trouble: None };
    let keys: fn(&ObjectName, &Subject) -> bool = |name, _| name.kind == Kind::KmsKey;
    let hostnames: fn(&ObjectName, &Subject) -> bool = |name, _| name.kind == Kind::CustomHostname;
    let certificates: fn(&ObjectName, &Subject) -> bool =
        |name, subject| name.kind == Kind::TlsCertificate && in_need(subject);
    let acme = at.spec.issuers.iter().filter(|issuer| issuer.acme.is_some()).map(|issuer| {
        let name = format!("acme/{}/{}", at.name, issuer.name);
        source(name, certificates, CA_TROUBLE, Some(issuer.name.clone()))
    });
    let edge = at.spec.edge.iter().map(|_| source(format!("cloudflare/{}", at.name), hostnames, EDGE_TROUBLE, None));
    acme.chain(edge).chain([source(format!("kms/{}", at.name), keys, KMS_TROUBLE, None)]).collect()
}

const CA_TROUBLE: &[Reason] = &[Reason::AccountRefused, Reason::AcmeUnreachable, Reason::RateLimited];
const EDGE_TROUBLE: &[Reason] = &[Reason::EdgeDenied, Reason::EdgeUnreachable];
const KMS_TROUBLE: &[Reason] = &[Reason::KmsDenied, Reason::KmsThrottled, Reason::KmsUnreachable];

/// A certificate that is good asks its CA nothing for days, and one that is refused never.
fn in_need(subject: &Subject) -> bool {
    if subject.wanted.as_ref().is_some_and(|wanted| wanted.refusal.is_some()) {
        return false;
    }
    let late = holds(&subject.common, "OnSchedule") == ConditionStatus::False;
    late || holds(&subject.common, "Ready") != ConditionStatus::True
}

impl Source {
    fn take(&mut self, name: &ObjectName, subject: &Subject) {
        self.needed |= (self.needs)(name, subject);
        let Some(attention) = subject.common.attention.as_ref() else { return };
        let newer = self.trouble.as_ref().is_none_or(|(since, _)| *since < attention.since);
        if newer && self.reasons.contains(&attention.reason) && self.was_asked(subject) {
            self.trouble = Some((attention.since, worded(attention)));
        }
    }

    /// Where it is told which issuer was asked, it must be this one.
    fn was_asked(&self, subject: &Subject) -> bool {
        let asked = subject.common.pending.as_ref().and_then(|pending| pending.issuer.as_deref());
        self.issuer.as_ref().is_none_or(|issuer| asked.is_none_or(|asked| asked == issuer.as_str()))
    }

    fn view(self, metrics: &Metrics, now: Moment) -> SourceView {
        let answered = metrics.last_success(&self.name).map(|seconds| Moment(seconds.saturating_mul(1_000)));
        let old = answered.is_none_or(|at| now.since(at) > STALE);
        let trouble = self.trouble.map(|(_, words)| words);
        SourceView { name: self.name, observed_at: answered, stale: self.needed && old, trouble }
    }
}

fn worded(attention: &Attention) -> String {
    format!("{}: {}", attention.reason, attention.message)
}
