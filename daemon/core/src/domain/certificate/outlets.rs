//! What lies in the outlets, as far as is known.

use claviger_config::{Moment, Name, ObjectName, Span, certificate::Outlet};

use super::{Delivered, V, same_names};
use crate::domain::{
    effect::{Issued, OutletPlace, OutletSeen, OutletTarget, SecretTarget},
    record::Trouble,
};

/// How often outlets are looked at although nothing is planned: somebody may have deleted a file.
pub(super) const LOOK_AGAIN: Span = Span::hours(1);

pub(super) fn targets<'a>(view: &V<'a>) -> impl Iterator<Item = OutletTarget> + use<'a> {
    let certificate = &view.wanted.name;
    view.spec.outlets.iter().filter_map(|outlet| target(certificate, outlet))
}

fn target(certificate: &ObjectName, outlet: &Outlet) -> Option<OutletTarget> {
    let files = outlet.files.clone().map(OutletPlace::Files);
    let secret = || {
        let (secret, namespace) = (outlet.secret.as_ref()?, certificate.namespace.clone()?);
        let (name, certificate) = (secret.name.clone(), certificate.name.clone());
        let (labels, annotations) = (secret.labels.clone(), secret.annotations.clone());
        let keystores = secret.keystores.clone();
        Some(OutletPlace::Secret(Box::new(SecretTarget {
            namespace,
            name,
            certificate,
            labels,
            annotations,
            keystores,
        })))
    };
    Some(OutletTarget { name: outlet.name.clone(), place: files.or_else(secret)? })
}

/// The next instant at which an outlet is looked at.
pub(super) fn look_again(view: &V<'_>) -> Moment {
    let seen_at = targets(view).filter_map(|target| view.seen.facts.outlets_at.get(&target.name)).min();
    *seen_at.unwrap_or(&view.now) + LOOK_AGAIN
}

/// What keeps an outlet waiting.
pub(super) fn trouble<'a>(view: &V<'a>, outlet: &Name) -> Option<&'a Trouble> {
    let trouble = view.seen.record.memory.ailing.get(outlet)?;
    (!view.lifted() && trouble.holds(view.now)).then_some(trouble)
}

/// What could not be looked at holds what was last delivered there.
pub(super) fn holds(view: &V<'_>, outlet: &Name, issued: &Issued) -> bool {
    let fingerprint = &issued.chain.fingerprint;
    let Some(delivered) = view.seen.record.memory.outlets.get(outlet) else { return false };
    let held = view.seen.facts.outlets.get(outlet);
    let locked =
        |held: &OutletSeen| matches!(held, OutletSeen::Locked { fingerprint: held, .. } if held == fingerprint);
    held.map_or(delivered.fingerprint == *fingerprint, |held| is(held, fingerprint) || locked(held))
}

/// Whether an outlet lacks a keystore for want of its password.
pub(super) fn any_locked(view: &V<'_>) -> bool {
    let held = |target: OutletTarget| view.seen.facts.outlets.get(&target.name);
    targets(view).filter_map(held).any(|held| matches!(held, OutletSeen::Locked { .. }))
}

/// Whether what lies in every outlet satisfies the document now, as far as is known: the certificate in service, or the one before
/// it as long as it is valid.
pub(super) fn all_serve(view: &V<'_>) -> bool {
    let (memory, facts) = (&view.seen.record.memory, &view.seen.facts);
    let Some(issued) = &memory.issued else { return false };
    let former = memory.former.as_ref().filter(|former| {
        former.not_after > view.now
            && former.algorithm == view.spec.key.algorithm
            && same_names(&former.names, &view.spec.dns_names)
    });
    view.spec.outlets.iter().all(|outlet| {
        let Some(Delivered { fingerprint, .. }) = memory.outlets.get(&outlet.name) else { return false };
        let untouched = facts.outlets.get(&outlet.name).is_none_or(|held| is(held, fingerprint));
        let good =
            *fingerprint == issued.chain.fingerprint || former.is_some_and(|former| former.fingerprint == *fingerprint);
        untouched && good
    })
}

pub(super) fn is(held: &OutletSeen, wanted: &str) -> bool {
    matches!(held, OutletSeen::Pair { fingerprint } if fingerprint == wanted)
}
