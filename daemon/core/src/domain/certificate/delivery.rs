//! From a verified certificate to the outlets; and back, when a lost record is found again in them.

use claviger_config::{Moment, Name, Reason, Span, certificate::Outlet};

use super::{Delivered, Memory, S, V, ended, reload_failed};
use crate::domain::{
    effect::{Effect, Issued, OutletEffect, OutletSeen, OutletTarget, Query, ReloadSeen},
    failure::Failure,
    plan::Plan,
};

/// How often outlets are looked at although nothing is planned: somebody may have deleted a file.
const LOOK_AGAIN: Span = Span::hours(1);

pub(super) fn outlets_unseen(view: &V<'_>) -> Option<Plan> {
    let facts = &view.seen.facts;
    let stale = facts.outlets_at.is_none_or(|at| at + LOOK_AGAIN <= view.now);
    let first = targets(view).next().filter(|_| stale);
    let unseen = targets(view).find(|target| !facts.outlets.contains_key(&target.name));
    let outlet = unseen.or(first)?;
    Some(Plan::look(Query::Outlet { outlet }, view.seen.record.said.reason))
}

/// A blank memory beside a full outlet: what is there is taken over instead of ordering again.
pub(super) fn adoption(view: &V<'_>) -> Option<Plan> {
    let (memory, facts) = (&view.seen.record.memory, &view.seen.facts);
    if *memory != Memory::default() || facts.adoption_refused {
        return None;
    }
    let full = |target: &OutletTarget| matches!(facts.outlets.get(&target.name), Some(OutletSeen::Pair { .. }));
    let outlet = targets(view).find(full)?;
    if view.neighbours.wrapping_key().is_none() {
        return Some(Plan::rest(Some(view.now + Span::minutes(10)), Reason::WrappingKeyNotReady));
    }
    let names = view.spec.dns_names.clone();
    Some(Plan::act(Effect::Outlet(OutletEffect::Adopt { outlet, names }), Reason::Adopted))
}

/// An outlet that holds anything but the certificate in service gets it, as long as it is valid.
pub(super) fn delivery_due(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref().filter(|issued| issued.chain.not_after > view.now)?;
    let outlet = targets(view).find(|target| !holds(view, &target.name, issued))?;
    let first = !view.seen.record.memory.outlets.contains_key(&outlet.name);
    let reason = if first { view.seen.record.said.reason } else { Reason::OutletChanged };
    let deliver = OutletEffect::Deliver { outlet, key: issued.key.key.clone(), chain: issued.chain.clone() };
    Some(Plan::act(Effect::Outlet(deliver), reason))
}

pub(super) fn reload_due(view: &V<'_>) -> Option<Plan> {
    use claviger_config::certificate::Reload;
    let memory = &view.seen.record.memory;
    let due = |target: &OutletTarget| {
        let delivered = memory.outlets.get(&target.name);
        target.files.reload.is_some()
            && delivered.is_some_and(|delivered| !matches!(delivered.reload, Some(Reload::Succeeded | Reload::None)))
    };
    let outlet = targets(view).find(due)?;
    Some(Plan::act(Effect::Outlet(OutletEffect::Reload { outlet }), view.seen.record.said.reason))
}

/// Whether every outlet of the document was given the certificate in service, as far as is known.
pub(super) fn all_delivered(view: &V<'_>) -> bool {
    let memory = &view.seen.record.memory;
    let Some(issued) = &memory.issued else { return false };
    view.spec.outlets.iter().all(|outlet| {
        let delivered = memory.outlets.get(&outlet.name);
        let spoilt = view.seen.facts.outlets.get(&outlet.name).is_some_and(|held| !is(held, issued));
        !spoilt && delivered.is_some_and(|delivered| delivered.fingerprint == issued.chain.fingerprint)
    })
}

/// The next instant at which outlets are looked at.
pub(super) fn look_again(view: &V<'_>) -> Moment {
    view.seen.facts.outlets_at.unwrap_or(view.now) + LOOK_AGAIN
}

fn targets<'a>(view: &V<'a>) -> impl Iterator<Item = OutletTarget> + use<'a> {
    view.spec.outlets.iter().filter_map(target)
}

pub(super) fn target(outlet: &Outlet) -> Option<OutletTarget> {
    let files = outlet.files.clone()?;
    Some(OutletTarget { name: outlet.name.clone(), files })
}

fn holds(view: &V<'_>, outlet: &Name, issued: &Issued) -> bool {
    view.seen.facts.outlets.get(outlet).is_some_and(|held| is(held, issued))
        && view.seen.record.memory.outlets.contains_key(outlet)
}

fn is(held: &OutletSeen, issued: &Issued) -> bool {
    matches!(held, OutletSeen::Pair { fingerprint } if *fingerprint == issued.chain.fingerprint)
}

/// What an outlet held is in service now; nothing was ordered.
pub(super) fn adopted(seen: &mut S, adopted: Option<Issued>) {
    seen.facts.adoption_refused = adopted.is_none();
    let Some(issued) = adopted else { return };
    for (name, held) in &seen.facts.outlets {
        if is(held, &issued) {
            let delivered = Delivered {
                fingerprint: issued.chain.fingerprint.clone(),
                spki_sha256: issued.key.spki_sha256.clone(),
                at: issued.at,
                reload: Some(claviger_config::certificate::Reload::None),
            };
            seen.record.memory.outlets.insert(name.clone(), delivered);
        }
    }
    let at = issued.at;
    seen.record.memory.issued = Some(issued);
    super::renewal::fall_back(seen, at);
}

pub(super) fn delivered(seen: &mut S, outlet: Name, now: Moment) {
    let Some(issued) = &seen.record.memory.issued else { return };
    let fingerprint = issued.chain.fingerprint.clone();
    seen.facts.outlets.insert(outlet.clone(), OutletSeen::Pair { fingerprint: fingerprint.clone() });
    let spki_sha256 = issued.key.spki_sha256.clone();
    seen.record.memory.outlets.insert(outlet, Delivered { fingerprint, spki_sha256, at: now, reload: None });
}

pub(super) fn reloaded(seen: &mut S, outlet: &Name, how: ReloadSeen) -> Option<Failure> {
    let delivered = seen.record.memory.outlets.get_mut(outlet)?;
    delivered.reload = Some(ended(&how));
    match how {
        ReloadSeen::Failed(text) => Some(reload_failed(&text)),
        ReloadSeen::Succeeded => None,
    }
}
