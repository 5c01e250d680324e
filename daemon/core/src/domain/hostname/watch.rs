//! The two machines of a custom host name, and what each of their states asks for.

use claviger_config::{
    Moment, Reason, Span,
    hostname::{EdgeOrigin, Verdict},
};

use super::{Hostname, Place, V, records, settings, zone};
use crate::domain::{
    effect::{EdgeEffect, EdgeSettings, Effect, HostnameSeen, Query},
    lot::lot,
    plan::Plan,
    record::Seen,
};

pub(super) fn edge_missing(view: &V<'_>) -> Option<Plan> {
    zone(view).is_none().then(|| {
        Plan::rest(None, Reason::SettingMissing)
            .saying("the environment has no `edge.cloudflare`, so its host names have nowhere to go")
            .fix("add `edge.cloudflare` to the environment, or move this host name to one that has it")
    })
}

pub(super) fn unseen(view: &V<'_>) -> Option<Plan> {
    let due = view.seen.facts.seen.as_ref().is_none_or(|(_, at)| view.now >= look_again(view, *at));
    let id = view.seen.record.memory.edge.as_ref().map(|place| place.id.clone());
    let query = || Query::Hostname { hostname: view.spec.hostname.clone(), id };
    (due || view.seen.record.ask.is_some()).then(|| Plan::look(query(), view.seen.record.said.reason))
}

pub(super) fn missing(view: &V<'_>) -> Option<Plan> {
    let absent = view.seen.facts.seen.as_ref().is_some_and(|(seen, _)| seen.is_none());
    let settings = settings(view).filter(|_| absent)?;
    let create = EdgeEffect::Create { hostname: view.spec.hostname.clone(), settings };
    Some(Plan::act(Effect::Edge(create), Reason::Missing))
}

/// Only fields that claviger owns are compared; a server's own fields never cause a write.
pub(super) fn differs(view: &V<'_>) -> Option<Plan> {
    let (seen, settings) = (current(view)?, settings(view)?);
    let certificate = seen.certificate.as_ref();
    let method = certificate.and_then(|certificate| certificate.method.as_deref());
    let oldest = certificate.and_then(|certificate| certificate.min_tls_version.as_deref());
    let equal = method == Some(method_word(settings))
        && settings.min_tls_version.is_none_or(|version| oldest == Some(version.word()));
    let update = EdgeEffect::Update { id: seen.id.clone(), hostname: view.spec.hostname.clone(), settings };
    (!equal && !is_blocked(seen)).then(|| Plan::act(Effect::Edge(update), Reason::EdgeDiffers))
}

fn method_word(settings: EdgeSettings) -> &'static str {
    match settings.validation {
        claviger_config::hostname::Validation::Http => "http",
        claviger_config::hostname::Validation::Delegated | claviger_config::hostname::Validation::Txt => "txt",
    }
}

pub(super) fn records_unseen(view: &V<'_>) -> Option<Plan> {
    let (_, at) = view.seen.facts.seen.as_ref()?;
    let questions = records::questions(view);
    let due = view.seen.facts.answered_at.is_none_or(|answered| answered < *at);
    (due && !questions.is_empty()).then(|| Plan::look(Query::Records { questions }, view.seen.record.said.reason))
}

pub(super) fn blocked(view: &V<'_>) -> Option<Plan> {
    let seen = current(view).filter(|seen| is_blocked(seen))?;
    Some(
        rest(view, Reason::EdgeBlocked)
            .saying(format!("Cloudflare shows the status `{}`{}", seen.status, words(&seen.errors)))
            .fix("ask Cloudflare's support to release the name: it is held by another zone or marked as abuse"),
    )
}

/// Validation has stopped, or should long be through although DNS is right: it is started again, at growing distances.
pub(super) fn stuck(view: &V<'_>) -> Option<Plan> {
    let (seen, settings) = (current(view)?, settings(view)?);
    let points = records::traffic(view) == Verdict::Ok;
    let waited = view.seen.record.memory.since.map_or(Span(0), |since| view.now.since(since));
    let stopped = is_stopped(seen);
    let slow = points && !serves(seen) && waited >= Span::hours(1);
    if !(slow || stopped && (points || seen.status != "moved")) {
        return None;
    }
    let (last, times) = view.seen.record.memory.refreshed.unwrap_or((Moment::MIN, 0));
    let distance = Span::hours(1).times(1 << times.min(5));
    let again = last + distance;
    let refresh = EdgeEffect::Refresh { id: seen.id.clone(), hostname: view.spec.hostname.clone(), settings };
    Some(if view.now >= again {
        Plan::act(Effect::Edge(refresh), Reason::EdgeStuck)
    } else {
        let next = look_again(view, seen_at(view)).min(again);
        Plan { next: Some(next), ..rest(view, Reason::EdgeStuck) }.saying(format!(
            "Cloudflare shows `{}` and certificate `{}`{}; started again {times} times, next on {}",
            seen.status,
            certificate_status(seen),
            words(&seen.errors),
            again.to_second()
        ))
    })
}

pub(super) fn moved(view: &V<'_>) -> Option<Plan> {
    let seen = current(view)?;
    let gone = matches!(records::traffic(view), Verdict::Add | Verdict::Conflict);
    (seen.status == "moved" || serves(seen) && gone).then(|| {
        rest(view, Reason::HostnameMoved)
            .saying(format!("`{}` does not point at us any more: {}", view.spec.hostname, records::found(view)))
            .fix(records::advice(view))
    })
}

pub(super) fn forbidden_by_caa(view: &V<'_>) -> Option<Plan> {
    let seen = current(view).filter(|seen| !certified(seen))?;
    let (name, values) = records::forbidding_caa(view)?;
    let said = seen.certificate.as_ref().map(|certificate| words(&certificate.errors)).unwrap_or_default();
    Some(
        rest(view, Reason::CustomerCaaForbids)
            .saying(format!("the CAA records of `{name}` allow only {}{said}", values.join(", ")))
            .fix(format!(
                "ask the customer to add `{name} CAA 0 issue \"letsencrypt.org\"` and `{name} CAA 0 issue \"pki.goog\"`"
            )),
    )
}

pub(super) fn awaiting_customer(view: &V<'_>) -> Option<Plan> {
    current(view).filter(|seen| !serves(seen))?;
    let reason = match records::traffic(view) {
        Verdict::Add => Reason::AwaitingCustomerDns,
        Verdict::Conflict => Reason::CustomerDnsConflict,
        Verdict::Ok | Verdict::Unknown => return None,
    };
    Some(rest(view, reason).saying(records::found(view)).fix(records::advice(view)))
}

pub(super) fn awaiting_certificate(view: &V<'_>) -> Option<Plan> {
    let seen = current(view).filter(|seen| !serves(seen))?;
    let text = format!(
        "Cloudflare shows `{}` and certificate `{}`{}",
        seen.status,
        certificate_status(seen),
        words(&seen.errors)
    );
    Some(rest(view, Reason::AwaitingCertificate).saying(text))
}

pub(super) fn active(view: &V<'_>) -> Option<Plan> {
    current(view)?;
    Some(rest(view, Reason::Active))
}

/// The reason that goes with a host name that does not serve yet.
pub(super) fn phase(view: &V<'_>, seen: &HostnameSeen) -> Reason {
    let rules = [blocked, forbidden_by_caa, awaiting_customer];
    let first = rules.iter().find_map(|rule| rule(view)).map(|plan| plan.reason);
    first.unwrap_or_else(|| if is_stopped(seen) { Reason::EdgeStuck } else { Reason::AwaitingCertificate })
}

pub(super) fn current<'a>(view: &V<'a>) -> Option<&'a HostnameSeen> {
    view.seen.facts.seen.as_ref()?.0.as_deref()
}

fn seen_at(view: &V<'_>) -> Moment {
    view.seen.facts.seen.as_ref().map_or(view.now, |(_, at)| *at)
}

/// Ownership is proven.
pub(super) fn owned(seen: &HostnameSeen) -> bool {
    matches!(seen.status.as_str(), "active" | "active_redeploying")
}

/// A certificate serves; at renewal Cloudflare's status leaves `active` while the old one still does.
pub(super) fn certified(seen: &HostnameSeen) -> bool {
    matches!(certificate_status(seen), "active" | "pending_cleanup" | "backup_issued" | "holding_deployment")
}

pub(super) fn serves(seen: &HostnameSeen) -> bool {
    owned(seen) && certified(seen)
}

fn is_blocked(seen: &HostnameSeen) -> bool {
    matches!(seen.status.as_str(), "blocked" | "pending_blocked" | "test_blocked")
}

fn is_stopped(seen: &HostnameSeen) -> bool {
    let certificate = certificate_status(seen);
    certificate.ends_with("_timed_out")
        || certificate == "expired"
        || matches!(seen.status.as_str(), "moved" | "deleted")
}

fn certificate_status(seen: &HostnameSeen) -> &str {
    seen.certificate.as_ref().map_or("none", |certificate| certificate.status.as_str())
}

fn words(errors: &[String]) -> String {
    if errors.is_empty() { String::new() } else { format!(": {}", errors.join("; ")) }
}

pub(super) fn remember(seen: &mut Seen<Hostname>, found: Option<&HostnameSeen>, now: Moment) {
    let memory = &mut seen.record.memory;
    let Some(found) = found else {
        (memory.state, memory.since) = (None, Some(now));
        return;
    };
    let new = memory.edge.as_ref().is_none_or(|place| place.id != found.id);
    if new {
        let origin = if seen.record.said.reason == Reason::Missing { EdgeOrigin::Created } else { EdgeOrigin::Adopted };
        memory.edge = Some(Place { id: found.id.clone(), origin });
    }
    let state = (found.status.clone(), certificate_status(found).to_owned());
    if memory.state.as_ref() != Some(&state) {
        (memory.since, memory.state) = (Some(now), Some(state));
        memory.refreshed = memory.refreshed.filter(|_| !serves(found));
    }
    if seen.record.said.reason == Reason::EdgeStuck {
        let times = memory.refreshed.map_or(0, |(_, times)| times);
        let due = memory.refreshed.is_none_or(|(last, _)| last + Span::hours(1).times(1 << times.min(5)) <= now);
        if due {
            memory.refreshed = Some((now, times + 1));
        }
    }
}

fn rest(view: &V<'_>, reason: Reason) -> Plan {
    Plan::rest(Some(look_again(view, seen_at(view))), reason)
}

/// Often while something moves, rarely while nothing does: 20 s, a minute, ten minutes, an hour; six hours once it serves.
fn look_again(view: &V<'_>, last: Moment) -> Moment {
    let Some(seen) = current(view) else { return last + Span::minutes(10) };
    let waited = view.seen.record.memory.since.map_or(Span(0), |since| last.since(since));
    let step = match waited {
        _ if serves(seen) && reachable(view) => Span::hours(6),
        waited if waited < Span::minutes(2) => Span::seconds(20),
        waited if waited < Span::minutes(20) => Span::minutes(1),
        waited if waited < Span::hours(4) => Span::minutes(10),
        _ => Span::hours(1),
    };
    last + step + Span(lot(view.seen.record.seed, last.0, step.0 / 10))
}

fn reachable(view: &V<'_>) -> bool {
    !matches!(records::traffic(view), Verdict::Add | Verdict::Conflict)
}
