//! From a verified certificate to the outlets; and back, when a lost record is found again in them. An outlet that does not work
//! out holds up neither the others nor the renewal.

use claviger_config::{
    Moment, Name, Reason, Span,
    certificate::{Outlet, Reload},
};

use super::{Delivered, Memory, S, V, issue, renewal};
use crate::domain::{
    effect::{Effect, Issued, OutletEffect, OutletSeen, OutletTarget, Query, ReloadSeen},
    failure::Failure,
    plan::{Plan, Step},
    record::Trouble,
};

/// How often outlets are looked at although nothing is planned: somebody may have deleted a file.
const LOOK_AGAIN: Span = Span::hours(1);

pub(super) fn outlets_unseen(view: &V<'_>) -> Option<Plan> {
    let seen_at = |target: &OutletTarget| view.seen.facts.outlets_at.get(&target.name).copied();
    let outlet = targets(view).find(|target| seen_at(target).is_none_or(|at| at + LOOK_AGAIN <= view.now))?;
    Some(Plan::look(Query::Outlet { outlet }, view.seen.record.said.reason))
}

/// A blank memory beside a full outlet: what is there is taken over instead of ordering again.
pub(super) fn adoption(view: &V<'_>) -> Option<Plan> {
    let facts = &view.seen.facts;
    let useful = |target: &OutletTarget| {
        matches!(facts.outlets.get(&target.name), Some(OutletSeen::Pair { .. }))
            && !facts.useless.contains(&target.name)
    };
    let outlet = targets(view).filter(|_| is_blank(&view.seen.record.memory)).find(useful)?;
    if view.neighbours.wrapping_key().is_none() {
        return Some(issue::wrapping_key_pending(view));
    }
    let names = view.spec.dns_names.clone();
    Some(Plan::act(Effect::Outlet(OutletEffect::Adopt { outlet, names }), Reason::Adopted))
}

fn is_blank(memory: &Memory) -> bool {
    memory.issued.is_none() && memory.order.is_none() && memory.next_key.is_none()
}

/// An outlet that holds anything but the certificate in service gets it, as long as it is valid.
pub(super) fn delivery_due(view: &V<'_>) -> Option<Plan> {
    let memory = &view.seen.record.memory;
    let issued = memory.issued.as_ref().filter(|issued| issued.chain.not_after > view.now)?;
    let waits = |name: &Name| trouble(view, name).is_some_and(|trouble| trouble.reason != Reason::HookFailed);
    let outlet = targets(view).find(|target| !holds(view, &target.name, issued) && !waits(&target.name))?;
    if view.neighbours.wrapping_key().is_none() {
        return Some(issue::wrapping_key_pending(view)); // the key must be opened for it
    }
    let fingerprint = &issued.chain.fingerprint;
    let lost = memory.outlets.get(&outlet.name).is_some_and(|delivered| delivered.fingerprint == *fingerprint);
    let reason = if lost { Reason::OutletChanged } else { view.seen.record.said.reason };
    let deliver = OutletEffect::Deliver { outlet, key: issued.key.key.clone(), chain: issued.chain.clone() };
    Some(Plan::act(Effect::Outlet(deliver), reason))
}

pub(super) fn reload_due(view: &V<'_>) -> Option<Plan> {
    let due = |target: &OutletTarget| {
        let delivered = view.seen.record.memory.outlets.get(&target.name);
        target.files.reload.is_some()
            && delivered.is_some_and(|delivered| !matches!(delivered.reload, Some(Reload::Succeeded | Reload::None)))
            && trouble(view, &target.name).is_none()
    };
    let outlet = targets(view).find(due)?;
    Some(Plan::act(Effect::Outlet(OutletEffect::Reload { outlet }), view.seen.record.said.reason))
}

/// The certificate is as it should be, and an outlet is not.
pub(super) fn outlet_in_trouble(view: &V<'_>) -> Option<Plan> {
    let memory = &view.seen.record.memory;
    let ails = |target: OutletTarget| {
        let ailing = memory.ailing.get(&target.name).map(|t| (t.reason, &t.message, &t.fix, t.until));
        let unreadable = view.seen.facts.unreadable.get(&target.name).map(|f| (f.reason, &f.message, &f.fix, None));
        ailing.or(unreadable).map(|(reason, message, fix, until)| (target.name, reason, message, fix, until))
    };
    let ailing: Vec<_> = targets(view).filter_map(ails).collect();
    let (name, reason, message, fix, _) = ailing.first()?;
    let tries = ailing.iter().filter_map(|(.., until)| *until);
    let next = tries.chain(renewal::next(view)).min();
    let plan = Plan::rest(next, *reason).saying(format!("outlet `{name}`: {message}"));
    Some(Plan { fix: (*fix).clone(), ..plan })
}

/// Whether what lies in every outlet satisfies the document now, as far as is known: the certificate in service, or the one before
/// it as long as it is valid.
pub(super) fn all_serve(view: &V<'_>) -> bool {
    let (memory, facts) = (&view.seen.record.memory, &view.seen.facts);
    let Some(issued) = &memory.issued else { return false };
    let former = memory.former.as_ref().filter(|former| {
        former.not_after > view.now
            && former.algorithm == view.spec.key.algorithm
            && issue::same_names(&former.names, &view.spec.dns_names)
    });
    view.spec.outlets.iter().all(|outlet| {
        let Some(Delivered { fingerprint, .. }) = memory.outlets.get(&outlet.name) else { return false };
        let untouched = facts.outlets.get(&outlet.name).is_none_or(|held| is(held, fingerprint));
        let good =
            *fingerprint == issued.chain.fingerprint || former.is_some_and(|former| former.fingerprint == *fingerprint);
        untouched && good
    })
}

/// The next instant at which an outlet is looked at.
pub(super) fn look_again(view: &V<'_>) -> Moment {
    let seen_at = targets(view).filter_map(|target| view.seen.facts.outlets_at.get(&target.name)).min();
    *seen_at.unwrap_or(&view.now) + LOOK_AGAIN
}

fn targets<'a>(view: &V<'a>) -> impl Iterator<Item = OutletTarget> + use<'a> {
    view.spec.outlets.iter().filter_map(target)
}

fn target(outlet: &Outlet) -> Option<OutletTarget> {
    let files = outlet.files.clone()?;
    Some(OutletTarget { name: outlet.name.clone(), files })
}

/// What keeps an outlet waiting.
fn trouble<'a>(view: &V<'a>, outlet: &Name) -> Option<&'a Trouble> {
    let trouble = view.seen.record.memory.ailing.get(outlet)?;
    (!view.lifted() && trouble.holds(view.now)).then_some(trouble)
}

/// What could not be looked at holds what was last delivered there.
fn holds(view: &V<'_>, outlet: &Name, issued: &Issued) -> bool {
    let fingerprint = &issued.chain.fingerprint;
    let Some(delivered) = view.seen.record.memory.outlets.get(outlet) else { return false };
    let held = view.seen.facts.outlets.get(outlet);
    held.map_or(delivered.fingerprint == *fingerprint, |held| is(held, fingerprint))
}

fn is(held: &OutletSeen, wanted: &str) -> bool {
    matches!(held, OutletSeen::Pair { fingerprint } if fingerprint == wanted)
}

pub(super) fn looked(seen: &mut S, outlet: Name, held: OutletSeen, now: Moment) {
    seen.facts.unreadable.remove(&outlet);
    seen.facts.outlets_at.insert(outlet.clone(), now);
    seen.facts.outlets.insert(outlet, held);
}

/// Unknown, until the next look; but nothing is ordered while what was lost might still lie there.
pub(super) fn unreadable(seen: &mut S, outlet: &Name, failure: &Failure, now: Moment) -> bool {
    if is_blank(&seen.record.memory) {
        return false;
    }
    seen.facts.outlets.remove(outlet);
    seen.facts.outlets_at.insert(outlet.clone(), now);
    seen.facts.unreadable.insert(outlet.clone(), failure.clone());
    true
}

/// What an outlet held is in service now; nothing was ordered.
pub(super) fn adopted(seen: &mut S, step: &Step, adopted: Option<Issued>) {
    let Some(issued) = adopted else {
        if let Some(Effect::Outlet(OutletEffect::Adopt { outlet, .. })) = step.effect() {
            seen.facts.useless.insert(outlet.name.clone());
        }
        return;
    };
    for (name, held) in &seen.facts.outlets {
        if is(held, &issued.chain.fingerprint) {
            let delivered = Delivered {
                fingerprint: issued.chain.fingerprint.clone(),
                spki_sha256: issued.key.spki_sha256.clone(),
                at: issued.at,
                reload: Some(Reload::None),
            };
            seen.record.memory.outlets.insert(name.clone(), delivered);
        }
    }
    let at = issued.at;
    seen.record.memory.issued = Some(issued);
    renewal::fall_back(seen, at);
}

pub(super) fn delivered(seen: &mut S, outlet: Name, now: Moment) {
    let memory = &mut seen.record.memory;
    let Some(issued) = &memory.issued else { return };
    let (fingerprint, spki_sha256) = (issued.chain.fingerprint.clone(), issued.key.spki_sha256.clone());
    memory.ailing.remove(&outlet);
    memory
        .outlets
        .insert(outlet.clone(), Delivered { fingerprint: fingerprint.clone(), spki_sha256, at: now, reload: None });
    if memory.outlets.values().all(|delivered| delivered.fingerprint == fingerprint) {
        memory.former = None;
    }
    looked(seen, outlet, OutletSeen::Pair { fingerprint }, now);
}

pub(super) fn reloaded(seen: &mut S, outlet: &Name, how: &ReloadSeen, now: Moment) {
    let memory = &mut seen.record.memory;
    let Some(delivered) = memory.outlets.get_mut(outlet) else { return };
    match how {
        ReloadSeen::Succeeded => {
            delivered.reload = Some(Reload::Succeeded);
            memory.ailing.remove(outlet);
        }
        ReloadSeen::Failed(text) => {
            delivered.reload = Some(Reload::Failed);
            let failure = Failure::new(Reason::HookFailed, format!("the reload command failed: {text}"))
                .fix("run the command of the hook by hand and read what it prints");
            failed(seen, outlet, failure, now);
        }
    }
}

/// An outlet did not take what it was given; it is tried again by its own back-off.
pub(super) fn failed(seen: &mut S, outlet: &Name, failure: Failure, now: Moment) {
    let before = seen.record.memory.ailing.remove(outlet);
    let trouble = seen.worse(before.as_ref(), failure, now);
    seen.record.memory.ailing.insert(outlet.clone(), trouble);
}

#[cfg(test)]
mod tests {
    use claviger_config::{KeyAlgorithm, condition::ConditionStatus, desired::Spec};

    use super::*;
    use crate::{
        domain::{
            certificate::Certificate,
            effect::News,
            given::{self, Given, NOW, certificate_with, chain, glance, sealed, serving, serving_for},
            noun::Ready,
        },
        report,
    };

    fn name(outlet: &str) -> Name {
        outlet.parse().unwrap()
    }

    fn pair(key: &str) -> OutletSeen {
        OutletSeen::Pair { fingerprint: format!("leaf-{key}") }
    }

    fn full_disk() -> Failure {
        Failure::new(Reason::DeliveryFailed, "no space left").fix("make room")
    }

    fn adopted(key: &str) -> News {
        let issued = Issued {
            chain: chain(key, NOW - Span::days(30), 90),
            key: sealed(key, KeyAlgorithm::EcdsaP256),
            issuer: None,
            profile: None,
            at: NOW,
        };
        News::Adopted(Some(Box::new(issued)))
    }

    fn hook(given: Given<Certificate>) -> Given<Certificate> {
        given.changed(|spec| {
            let Spec::TlsCertificate(spec) = spec else { panic!("a certificate") };
            spec.outlets[0].files.as_mut().unwrap().reload = Some(name("nginx"));
        })
    }

    fn renewed(given: Given<Certificate>) -> Given<Certificate> {
        let at = given.seen.record.memory.renewal.as_ref().unwrap().at;
        given::issue(glance(given.at(at)).hears(News::Window(None)), "key-2", 90)
    }

    /// The outlet that is delivered to next.
    fn delivers(given: &Given<Certificate>) -> Name {
        let Effect::Outlet(OutletEffect::Deliver { outlet, .. }) = given.act() else { panic!("it delivers next") };
        outlet.name
    }

    #[test]
    fn a_lost_record_is_found_again_in_an_outlet_and_nothing_is_ordered() {
        let given = certificate_with(&["nginx"]).hears(News::Outlet(name("nginx"), pair("key-1")));
        assert!(matches!(given.act(), Effect::Outlet(OutletEffect::Adopt { names, .. }) if names.len() == 2));
        assert_eq!(given.reason(), Reason::Adopted);
        let given = given.hears(adopted("key-1")).hears(News::Window(None)).noted();
        assert_eq!((given.reason(), given.ready()), (Reason::Issued, Ready::True(Reason::Issued)));
        assert_eq!(given.seen.record.intents, 1, "it adopted, and did nothing else");
    }

    #[test]
    fn what_is_adopted_also_goes_to_the_outlet_that_lacks_it() {
        let given = certificate_with(&["one", "two"]).hears(News::Outlet(name("one"), pair("key-1")));
        let given = given.hears(News::Outlet(name("two"), OutletSeen::Empty)).hears(adopted("key-1"));
        assert_eq!(delivers(&given), name("two"));
    }

    #[test]
    fn an_outlet_that_holds_nothing_of_use_does_not_hide_another_one() {
        let given = certificate_with(&["one", "two"]).hears(News::Outlet(name("one"), pair("old")));
        let given = given.hears(News::Outlet(name("two"), pair("key-1"))).hears(News::Adopted(None));
        let Effect::Outlet(OutletEffect::Adopt { outlet, .. }) = given.act() else { panic!("it adopts") };
        assert_eq!(outlet.name, name("two"));
        let given = given.hears(News::Adopted(None));
        assert_eq!(given.reason(), Reason::Missing, "a new one is ordered");
    }

    #[test]
    fn nothing_is_ordered_while_what_was_lost_might_lie_in_an_outlet_that_cannot_be_looked_at() {
        let given = certificate_with(&["nginx"]).fails(full_disk());
        assert_eq!(given.reason(), Reason::DeliveryFailed);
        assert!(matches!(given.rested().look(), Query::Outlet { .. }));
    }

    #[test]
    fn adoption_waits_for_the_wrapping_key() {
        let mut given = certificate_with(&["nginx"]).hears(News::Outlet(name("nginx"), pair("key-1")));
        given.neighbours.wrapping = None;
        assert_eq!(given.reason(), Reason::WrappingKeyNotReady);
    }

    #[test]
    fn delivery_waits_for_the_wrapping_key_without_counting_a_failure() {
        let mut given = given::issue(glance(certificate_with(&["nginx"])), "key-1", 90);
        given.neighbours.wrapping = Some(Err(Reason::KeyDisabled));
        assert_eq!(given.reason(), Reason::WrappingKeyNotReady);
        let mut given = given.noted();
        assert!(given.seen.record.memory.ailing.is_empty());
        given.neighbours.wrapping = Some(Ok(given::ARN.to_owned()));
        assert_eq!(delivers(&given), name("nginx"));
    }

    #[test]
    fn every_outlet_gets_what_was_issued() {
        let given = given::issue(glance(certificate_with(&["one", "two"])), "key-1", 90);
        assert_eq!((delivers(&given), given.ready()), (name("one"), Ready::False(Reason::OutletChanged)));
        let given = given.hears(News::Delivered(name("one")));
        assert_eq!(delivers(&given), name("two"));
        let given = given.hears(News::Delivered(name("two")));
        assert_eq!(given.ready(), Ready::True(Reason::Issued));
    }

    #[test]
    fn each_outlet_is_looked_at_every_hour_and_gets_back_what_it_lost() {
        let given = serving_for(90, &["one", "two"]).later(Span::hours(1));
        let given = given.hears(News::Outlet(name("one"), pair("key-1")));
        assert!(matches!(given.look(), Query::Outlet { outlet } if outlet.name == name("two")));
        let given = given.hears(News::Outlet(name("two"), OutletSeen::Spoilt));
        assert_eq!((delivers(&given), given.reason()), (name("two"), Reason::OutletChanged));
        assert_eq!(given.ready(), Ready::False(Reason::OutletChanged));
        let given = given.hears(News::Delivered(name("two")));
        assert_eq!(given.reason(), Reason::Issued);
    }

    #[test]
    fn an_outlet_that_cannot_be_looked_at_keeps_what_it_has_and_is_shown() {
        let given = serving().later(Span::hours(1)).fails(full_disk());
        let (reason, next) = given.rest();
        assert_eq!((reason, next), (Reason::DeliveryFailed, Some(given.now + Span::hours(1))));
        assert_eq!(given.ready(), Ready::True(Reason::Issued), "unknown is not failed");
        let given = given.rested().hears(News::Outlet(name("nginx"), pair("key-1")));
        assert_eq!(given.reason(), Reason::Issued);
    }

    #[test]
    fn a_renewal_keeps_ready_until_the_old_certificate_ends() {
        let given = renewed(serving());
        assert_eq!(given.ready(), Ready::True(Reason::Issued), "the old one still serves");
        assert_eq!(given.reason(), Reason::RenewalDue, "nobody changed the outlet");
        let given = given.fails(full_disk()).hears(News::Window(None)).noted();
        assert_eq!((given.reason(), given.ready()), (Reason::DeliveryFailed, Ready::True(Reason::Issued)));
        assert_eq!(given.seen.record.said.on_schedule.status, ConditionStatus::False);
        let given = given.at(NOW + Span::days(90));
        assert_eq!(given.ready(), Ready::False(Reason::OutletChanged));
    }

    #[test]
    fn an_outlet_that_fails_holds_up_neither_the_others_nor_the_renewal() {
        let given = given::issue(glance(certificate_with(&["one", "two"])), "key-1", 90).fails(full_disk());
        assert_eq!(delivers(&given), name("two"));
        let given = given.hears(News::Delivered(name("two"))).hears(News::Window(None));
        let (reason, next) = given.rest();
        assert_eq!((reason, next.is_some_and(|next| next < NOW + Span::minutes(2))), (Reason::DeliveryFailed, true));
        assert!(given.seen.record.trouble.is_none());
        let due = given.seen.record.memory.renewal.as_ref().unwrap().at;
        let given = glance(given.at(due)).fails(full_disk()).hears(News::Window(None));
        let given = given::issue(given, "key-2", 90);
        assert_eq!(given.seen.record.memory.issued.as_ref().unwrap().chain.serial, "serial-key-2");
        assert_eq!(delivers(&given), name("two"));
    }

    #[test]
    fn a_failed_delivery_is_tried_again_after_1_10_and_100_minutes_and_by_a_changed_document() {
        let mut given = given::issue(glance(certificate_with(&["nginx"])), "key-1", 90);
        for minutes in [1, 10, 100] {
            given = given.fails(full_disk());
            if let Step::Look(Query::Window { .. }) = given.step() {
                given = given.hears(News::Window(None));
            }
            let until = given.seen.record.memory.ailing[&name("nginx")].until.unwrap();
            let waits = until.since(given.now).0 / 60_000;
            assert!((minutes..=minutes * 11 / 10).contains(&waits), "{waits} minutes instead of {minutes}");
            given = given.noted().restarted();
            given = glance(given.at(until));
        }
        let given = given.fails(full_disk()).changed(|_| {});
        assert_eq!(delivers(&given), name("nginx"));
    }

    #[test]
    fn a_hook_runs_after_each_delivery() {
        let given = hook(glance(certificate_with(&["nginx"])));
        let given = given::deliver(given::issue(given, "key-1", 90));
        assert!(matches!(given.act(), Effect::Outlet(OutletEffect::Reload { .. })));
        let given = given.hears(News::Reloaded(name("nginx"), ReloadSeen::Succeeded)).hears(News::Window(None)).noted();
        assert_eq!(given.reason(), Reason::Issued);
        let given = given::deliver(renewed(given));
        assert!(matches!(given.act(), Effect::Outlet(OutletEffect::Reload { .. })));
    }

    #[test]
    fn a_hook_that_fails_is_issued_not_served_and_holds_up_no_renewal() {
        let given = hook(glance(certificate_with(&["nginx"])));
        let given = given::deliver(given::issue(given, "key-1", 90));
        let mut given = given.hears(News::Reloaded(name("nginx"), ReloadSeen::Failed("status 1".to_owned())));
        given = given.hears(News::Window(None)).noted();
        assert_eq!((given.reason(), given.ready()), (Reason::HookFailed, Ready::True(Reason::Issued)));
        let attention = given.shown(report::common).attention.unwrap();
        assert!(attention.message.contains("status 1") && !attention.fix.is_empty());
        let due = given.seen.record.memory.renewal.as_ref().unwrap().at;
        while given.now < due {
            given = match given.step() {
                Step::Act(_) => given.hears(News::Reloaded(name("nginx"), ReloadSeen::Failed("status 1".to_owned()))),
                Step::Rest => given.rested(),
                _ if matches!(given.step(), Step::Look(Query::Window { .. })) => given.hears(News::Window(None)),
                _ => glance(given),
            };
        }
        assert!(given.seen.record.memory.ailing[&name("nginx")].count > 20, "once a day");
        while given.reason() == Reason::HookFailed {
            given = given.hears(News::Reloaded(name("nginx"), ReloadSeen::Failed("status 1".to_owned())));
        }
        assert_eq!(given.reason(), Reason::RenewalDue);
    }

    #[test]
    fn an_outlet_that_was_emptied_is_filled_although_its_hook_fails() {
        let given = hook(glance(certificate_with(&["nginx"])));
        let given = given::deliver(given::issue(given, "key-1", 90));
        let given = given.hears(News::Reloaded(name("nginx"), ReloadSeen::Failed("status 1".to_owned())));
        let given = given.later(Span::hours(1)).hears(News::Outlet(name("nginx"), OutletSeen::Empty));
        assert_eq!(delivers(&given), name("nginx"));
    }

    #[test]
    fn what_expired_is_not_delivered() {
        let given = serving().later(Span::days(90)).hears(News::Outlet(name("nginx"), OutletSeen::Empty));
        assert_eq!(given.reason(), Reason::Expired);
    }
}
