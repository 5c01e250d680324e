//! Where the knowledge comes from, and how old it is.

use std::collections::BTreeMap;

use claviger_config::{
    IssuerName, Kind, Moment, ObjectName, Reason, Span,
    admin::SourceView,
    condition::{Attention, ConditionStatus},
    desired::Surroundings,
};

use super::{Admin, status::holds, subject::Subject};

/// Older knowledge is stale, as long as something depends on it.
const STALE: Span = Span::hours(2);

/// Every source of the environments in force, by name.
pub(super) fn sources(admin: &Admin, subjects: &BTreeMap<ObjectName, Subject>, now: Moment) -> Vec<SourceView> {
    let mut views: Vec<SourceView> = Vec::new();
    for at in admin.shared.documents.environments() {
        let here: Vec<_> =
            subjects.iter().filter(|(_, subject)| subject.environment.as_ref() == Some(&at.name)).collect();
        views.extend(of_environment(&at).into_iter().map(|source| view(admin, &source, &here, now)));
    }
    views.sort_by(|left, right| left.name.cmp(&right.name));
    views.dedup_by(|same, first| same.name == first.name && merge(first, same));
    views
}

/// One source that several depend on is told once.
fn merge(first: &mut SourceView, same: &SourceView) -> bool {
    first.stale |= same.stale;
    first.trouble = first.trouble.take().or_else(|| same.trouble.clone());
    true
}

struct Source {
    name: String,
    /// Whether this object cannot be judged without it.
    needs: fn(&ObjectName, &Subject) -> bool,
    /// The reasons that are its trouble.
    reasons: &'static [Reason],
    issuer: Option<IssuerName>,
}

fn of_environment(at: &Surroundings) -> Vec<Source> {
    let kms = Source {
        name: format!("kms/{}", at.name),
        needs: |name, _| name.kind == Kind::KmsKey,
        reasons: &[Reason::KmsDenied, Reason::KmsThrottled, Reason::KmsUnreachable],
        issuer: None,
    };
    let edge = at.spec.edge.as_ref().map(|_| Source {
        name: format!("cloudflare/{}", at.name),
        needs: |name, _| name.kind == Kind::CustomHostname,
        reasons: &[Reason::EdgeDenied, Reason::EdgeUnreachable],
        issuer: None,
    });
    let acme = at.spec.issuers.iter().filter(|issuer| issuer.acme.is_some()).map(|issuer| Source {
        name: format!("acme/{}/{}", at.name, issuer.name),
        needs: |name, subject| name.kind == Kind::TlsCertificate && in_need(subject),
        reasons: &[Reason::AccountRefused, Reason::AcmeUnreachable, Reason::RateLimited],
        issuer: Some(issuer.name.clone()),
    });
    acme.chain(edge).chain([kms]).collect()
}

/// A certificate that is good asks its CA nothing for days.
fn in_need(subject: &Subject) -> bool {
    holds(&subject.common, "Ready") != ConditionStatus::True
        || holds(&subject.common, "OnSchedule") == ConditionStatus::False
}

fn view(admin: &Admin, source: &Source, here: &[(&ObjectName, &Subject)], now: Moment) -> SourceView {
    let (name, answered) = answered(admin, source);
    let needed = here.iter().any(|(name, subject)| (source.needs)(name, subject));
    let old = answered.is_none_or(|at| now.since(at) > STALE);
    SourceView { name, observed_at: answered, stale: needed && old, trouble: trouble(source, here) }
}

/// When it last answered. As long as no call is known of this issuer, all CAs stand for it, under their own name.
fn answered(admin: &Admin, source: &Source) -> (String, Option<Moment>) {
    let last = |name: &str| Some(Moment(admin.shared.metrics.last_success(name)?.saturating_mul(1_000)));
    let (own, all) = (last(&source.name), || last(CAS).filter(|_| source.issuer.is_some()));
    match own {
        Some(at) => (source.name.clone(), Some(at)),
        None => all().map_or_else(|| (source.name.clone(), None), |at| (CAS.to_owned(), Some(at))),
    }
}

/// Every CA together, as the counters know them.
const CAS: &str = "acme";

/// What it said last instead of answering, in the words of whoever asked it.
fn trouble(source: &Source, here: &[(&ObjectName, &Subject)]) -> Option<String> {
    let told = here.iter().filter_map(|(_, subject)| {
        let attention = subject.common.attention.as_ref()?;
        (source.reasons.contains(&attention.reason) && asked_here(source, subject)).then_some(attention)
    });
    told.max_by_key(|attention| attention.since).map(worded)
}

/// Where it is told which issuer was asked, it must be this one.
fn asked_here(source: &Source, subject: &Subject) -> bool {
    let asked = subject.common.pending.as_ref().and_then(|pending| pending.issuer.as_deref());
    source.issuer.as_ref().is_none_or(|issuer| asked.is_none_or(|asked| asked == issuer.as_str()))
}

fn worded(attention: &Attention) -> String {
    format!("{}: {}", attention.reason, attention.message)
}
