//! What each state of a custom host name asks for.

use claviger_config::{
    Moment, Reason, Span,
    hostname::{EdgeOrigin, Verdict},
};

use super::{
    Hostname, Memory, Place, V,
    machine::{certificate_status, certified, current, is_blocked, is_equal, is_gone, is_stopped, seen_at, serves},
    records, settings, zone,
};
use crate::domain::{
    effect::{EdgeEffect, Effect, HostnameSeen, Query},
    failure::Failure,
    lot::lot,
    noun::Seen,
    plan::{Plan, Step},
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

/// A server's own fields never cause a write.
pub(super) fn differs(view: &V<'_>) -> Option<Plan> {
    let (seen, settings) = (current(view)?, settings(view)?);
    let update = EdgeEffect::Update { id: seen.id.clone(), hostname: view.spec.hostname.clone(), settings };
    let due = !is_equal(seen, settings) && !is_blocked(seen);
    due.then(|| Plan::act(Effect::Edge(update), Reason::EdgeDiffers))
}

/// An update that was accepted and not made is a failure: made again at once, it would be made for ever.
pub(super) fn unchanged(step: &Step, found: &HostnameSeen) -> Option<Failure> {
    let Some(Effect::Edge(EdgeEffect::Update { hostname, settings, .. })) = step.effect() else { return None };
    (!is_equal(found, *settings)).then(|| {
        Failure::new(Reason::EdgeUnchanged, format!("Cloudflare accepted a change of `{hostname}` and did not make it"))
            .fix("change it in Cloudflare's dashboard, or ask its support")
    })
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
    let waited = view.seen.record.memory.since.map_or(Span(0), |since| view.now.since(since));
    // Without the customer's record nothing can come of it, and a name that went away is started again only when it is back.
    let due = match records::traffic(view) {
        Verdict::Ok => is_stopped(seen) || is_gone(seen) || !serves(seen, view.now) && waited >= Span::hours(1),
        Verdict::Unknown => is_stopped(seen),
        Verdict::Add | Verdict::Conflict => false,
    };
    if !due {
        return None;
    }
    let (last, times) = view.seen.record.memory.refreshed.unwrap_or((Moment::MIN, 0));
    let again = last + Span::hours(1).times(1 << times.min(5));
    let refresh = EdgeEffect::Refresh { id: seen.id.clone(), hostname: view.spec.hostname.clone(), settings };
    Some(if view.now >= again {
        Plan::act(Effect::Edge(refresh), Reason::EdgeStuck)
    } else {
        let next = look_again(view, seen_at(view)).min(again);
        let often = if times == 1 { "once".to_owned() } else { format!("{times} times") };
        Plan { next: Some(next), ..rest(view, Reason::EdgeStuck) }.saying(format!(
            "Cloudflare shows `{}` and certificate `{}`{}; started again {often}, next on {}",
            seen.status,
            certificate_status(seen),
            words(&seen.errors),
            again.to_second()
        ))
    })
}

pub(super) fn moved(view: &V<'_>) -> Option<Plan> {
    let seen = current(view)?;
    let away = matches!(records::traffic(view), Verdict::Add | Verdict::Conflict);
    (is_gone(seen) || serves(seen, view.now) && away).then(|| {
        rest(view, Reason::HostnameMoved)
            .saying(format!("`{}` does not point at us any more: {}", view.spec.hostname, records::found(view)))
            .fix(records::advice(view))
    })
}

pub(super) fn forbidden_by_caa(view: &V<'_>) -> Option<Plan> {
    let seen = current(view).filter(|seen| !certified(seen, view.now))?;
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
    current(view).filter(|seen| !serves(seen, view.now))?;
    let reason = match records::traffic(view) {
        Verdict::Add => Reason::AwaitingCustomerDns,
        Verdict::Conflict => Reason::CustomerDnsConflict,
        Verdict::Ok | Verdict::Unknown => return None,
    };
    Some(rest(view, reason).saying(records::found(view)).fix(records::advice(view)))
}

pub(super) fn awaiting_certificate(view: &V<'_>) -> Option<Plan> {
    let seen = current(view).filter(|seen| !serves(seen, view.now))?;
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
pub(super) fn phase(view: &V<'_>) -> Reason {
    let rules = [blocked, forbidden_by_caa, stuck, moved, awaiting_customer];
    let first = rules.iter().find_map(|rule| rule(view)).map(|plan| plan.reason);
    first.unwrap_or(Reason::AwaitingCertificate)
}

fn words(errors: &[String]) -> String {
    if errors.is_empty() { String::new() } else { format!(": {}", errors.join("; ")) }
}

/// A certificate that is still on its way to the edge serves nobody: until it is there, what was in service before counts.
pub(super) fn take_end_of_service(memory: &mut Memory, seen: &mut HostnameSeen) {
    let Some(certificate) = &mut seen.certificate else { return };
    if matches!(certificate.status.as_str(), "pending_deployment" | "deployment_timed_out") {
        certificate.not_after = memory.served_until;
    } else {
        memory.served_until = certificate.not_after;
    }
}

pub(super) fn remember(seen: &mut Seen<Hostname>, step: &Step, found: Option<&HostnameSeen>, now: Moment) {
    let memory = &mut seen.record.memory;
    let Some(found) = found else {
        (memory.state, memory.since) = (None, None);
        return;
    };
    if memory.edge.as_ref().is_none_or(|place| place.id != found.id) {
        let created = matches!(step.effect(), Some(Effect::Edge(EdgeEffect::Create { .. })));
        let origin = if created { EdgeOrigin::Created } else { EdgeOrigin::Adopted };
        memory.edge = Some(Place { id: found.id.clone(), origin });
    }
    let state = (found.status.clone(), certificate_status(found).to_owned());
    if memory.state.as_ref() != Some(&state) {
        (memory.since, memory.state) = (Some(now), Some(state));
    }
    if let Some(Effect::Edge(EdgeEffect::Refresh { .. })) = step.effect() {
        let times = memory.refreshed.map_or(0, |(_, times)| times);
        memory.refreshed = Some((now, times.saturating_add(1)));
    } else if serves(found, now) && !is_stopped(found) {
        memory.refreshed = None;
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
        _ if serves(seen, view.now) && !is_stopped(seen) && reachable(view) => Span::hours(6),
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

#[cfg(test)]
mod tests;
