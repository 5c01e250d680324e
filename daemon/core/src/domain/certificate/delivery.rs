//! From a verified certificate to the outlets; and back, when a lost record is found again in them. An outlet that does not work
//! out holds up neither the others nor the renewal.

use claviger_config::{Moment, Name, Reason, certificate::Reload};

use super::{
    Delivered, Memory, S, V,
    outlets::{LOOK_AGAIN, holds, is, targets, trouble},
    renewal, waiting,
};
use crate::domain::{
    effect::{Effect, Issued, OutletEffect, OutletPlace, OutletSeen, OutletTarget, Query, ReloadSeen},
    failure::Failure,
    plan::{Plan, Step},
};

pub(super) fn outlets_unseen(view: &V<'_>) -> Option<Plan> {
    let facts = &view.seen.facts;
    let seen_at = |target: &OutletTarget| facts.outlets_at.get(&target.name).copied();
    let moved = |target: &OutletTarget| facts.places.get(&target.name).is_some_and(|place| !place.is(&target.place));
    let outlet =
        targets(view).find(|target| seen_at(target).is_none_or(|at| at + LOOK_AGAIN <= view.now) || moved(target))?;
    Some(Plan::look(Query::Outlet { outlet }, view.seen.record.said.reason))
}

/// A blank memory beside a full outlet: what is there is taken over instead of ordering again.
pub(super) fn adoption(view: &V<'_>) -> Option<Plan> {
    let facts = &view.seen.facts;
    let useful = |target: &OutletTarget| {
        let pair = |held: &OutletSeen| !matches!(held, OutletSeen::Empty | OutletSeen::Spoilt);
        facts.outlets.get(&target.name).is_some_and(pair) && !facts.useless.contains(&target.name)
    };
    let outlet = targets(view).filter(|_| is_blank(&view.seen.record.memory)).find(useful)?;
    if view.neighbours.wrapping_key().is_none() {
        return Some(waiting::wrapping_key_pending(view));
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
        return Some(waiting::wrapping_key_pending(view)); // the key must be opened for it
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
        target.reload().is_some()
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

/// Whatever comes of it, it is about the place that the document names now.
pub(super) fn about(seen: &mut S, step: &Step) {
    if let Step::Look(Query::Outlet { outlet }) | Step::Act(Effect::Outlet(OutletEffect::Deliver { outlet, .. })) = step
    {
        seen.facts.places.insert(outlet.name.clone(), outlet.place.clone());
    }
}

pub(super) fn looked(seen: &mut S, outlet: Name, held: OutletSeen, now: Moment) {
    match &held {
        OutletSeen::Locked { failure, .. } => seen.facts.unreadable.insert(outlet.clone(), (**failure).clone()),
        _ => seen.facts.unreadable.remove(&outlet),
    };
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
    if seen.facts.places.get(&outlet).is_some_and(OutletPlace::may_lack) {
        // What became of its keystores is for the next look to say.
        seen.facts.outlets.remove(&outlet);
        seen.facts.outlets_at.remove(&outlet);
        return;
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
mod tests;
