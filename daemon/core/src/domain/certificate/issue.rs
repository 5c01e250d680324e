//! From "there is none, or not the right one" to a verified certificate.

use claviger_config::{Moment, Reason, Span, certificate::IssuerChoice};

use super::{
    Former, Order, S, V,
    issuers::{acme_choices, choice, choices},
    outlets, renewal, same_names,
    waiting::{account_pending, waiting, wrapping_key_pending},
};
use crate::domain::{
    effect::{AcmeEffect, Chain, Effect, Issued, KeyUse, KmsEffect, Opened, OrderSeen, Query, Stage, Terms},
    failure::Failure,
    plan::{Plan, Step},
};

/// An order that fits the document is carried to its end before anything else is begun.
pub(super) fn order_in_flight(view: &V<'_>) -> Option<Plan> {
    let (memory, facts) = (&view.seen.record.memory, &view.seen.facts);
    let order = memory.order.as_ref().filter(|order| fits(view, order))?;
    let key = memory.next_key.as_ref().filter(|key| key.algorithm == view.spec.key.algorithm)?;
    let (issuer, url) = (order.issuer.clone(), order.url.clone());
    if !view.neighbours.accounts.contains_key(&issuer) {
        return Some(account_pending(view, &issuer));
    }
    let later = facts.ask_again.filter(|at| view.now < *at);
    Some(match (&facts.stage, later) {
        (Some(Stage::Pending { unanswered }), _) if *unanswered > 0 => {
            Plan::act(Effect::Acme(AcmeEffect::Answer { issuer, order: url }), order.cause)
        }
        (Some(Stage::Ready), later) if later.is_none() || facts.unmoved == 0 => {
            if view.neighbours.wrapping_key().is_none() {
                return Some(wrapping_key_pending(view)); // the key must be opened for it
            }
            let names = order.names.clone();
            let finalize = AcmeEffect::Finalize { issuer, order: url, names, key: key.key.clone() };
            Plan::act(Effect::Acme(finalize), order.cause)
        }
        (Some(Stage::Valid), _) => {
            let (names, spki_sha256) = (order.names.clone(), key.spki_sha256.clone());
            Plan::look(Query::Certificate { issuer, order: url, names, spki_sha256 }, order.cause)
        }
        (_, Some(later)) => Plan::rest(Some(later), Reason::ProvingControl),
        (_, None) => Plan::look(Query::Order { issuer, order: url }, order.cause),
    })
}

pub(super) fn missing(view: &V<'_>) -> Option<Plan> {
    view.seen.record.memory.issued.is_none().then(|| issue(view, Reason::Missing))
}

pub(super) fn expired(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    (issued.chain.not_after <= view.now).then(|| issue(view, Reason::Expired))
}

pub(super) fn names_changed(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    (!same_names(&issued.chain.names, &view.spec.dns_names)).then(|| issue(view, Reason::NamesChanged))
}

pub(super) fn key_algorithm_changed(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    (issued.key.algorithm != view.spec.key.algorithm).then(|| issue(view, Reason::KeyAlgorithmChanged))
}

/// Only when the issuer in service is no longer among those asked for: a failover is no change.
pub(super) fn issuer_changed(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    let from = issued.issuer.as_ref()?;
    let asked = |choice: &IssuerChoice| choice.name == *from && choice.profile == issued.profile;
    (!choices(view).iter().any(asked)).then(|| issue(view, Reason::IssuerChanged))
}

pub(super) fn requested(view: &V<'_>) -> Option<Plan> {
    view.seen.record.ask.is_some().then(|| issue(view, Reason::Requested))
}

pub(super) fn renewal_due(view: &V<'_>) -> Option<Plan> {
    let renewal = view.seen.record.memory.renewal.as_ref()?;
    (renewal.at <= view.now).then(|| issue(view, Reason::RenewalDue))
}

pub(super) fn issue(view: &V<'_>, cause: Reason) -> Plan {
    let Some(choice) = choice(view) else {
        return Plan::rest(Some(outlets::look_again(view)), Reason::IssuerMissing)
            .saying("neither the certificate nor its environment names an issuer that can be used")
            .fix("name an ACME issuer in `spec.issuers`, or in `defaultIssuers` of the environment");
    };
    if let Some(waiting) = waiting(view, choice) {
        return waiting;
    }
    let (memory, algorithm) = (&view.seen.record.memory, view.spec.key.algorithm);
    if memory.next_key.as_ref().is_none_or(|key| key.algorithm != algorithm) {
        return Plan::act(Effect::Kms(KmsEffect::SealNewKey { algorithm, r#use: KeyUse::Certificate }), cause);
    }
    // RFC 9773 section 5: the same CA and at least one name in common.
    let names = &view.spec.dns_names;
    let replaced = |issued: &&Issued| {
        issued.issuer.as_ref() == Some(&choice.name) && issued.chain.names.iter().any(|name| names.contains(name))
    };
    let replaces = memory.issued.as_ref().filter(replaced).and_then(|issued| issued.chain.renewal_id.clone());
    let order = AcmeEffect::OpenOrder {
        issuer: choice.name.clone(),
        names: names.clone(),
        profile: choice.profile.clone(),
        replaces,
    };
    Plan::act(Effect::Acme(order), cause)
}

/// What an issuance does, when all goes well.
pub(super) const WAY: &[Terms] =
    &[Terms::SEAL_NEW_KEY, Terms::OPEN_ORDER, Terms::ANSWER, Terms::FINALIZE, Terms::DELIVER];

/// Whether an order is for what the document asks, at the issuer whose turn it is.
fn fits(view: &V<'_>, order: &Order) -> bool {
    let asked = |choice: &IssuerChoice| choice.name == order.issuer && choice.profile == order.profile;
    let moved_on = view.seen.record.memory.refusals >= 3 && choice(view).is_some_and(|choice| !asked(choice));
    same_names(&order.names, &view.spec.dns_names) && acme_choices(view).into_iter().any(asked) && !moved_on
}

pub(super) fn opened(seen: &mut S, opened: Opened, now: Moment) {
    let cause = seen.record.said.reason;
    seen.record.memory.order = Some(Order {
        issuer: opened.issuer,
        url: opened.order.url.clone(),
        cause,
        names: opened.names,
        profile: opened.profile,
        opened: now,
    });
    forget_stage(seen);
    seen.facts.stage = Some(opened.order.stage);
}

/// The CA was told that the proofs are in place; it needs a moment.
pub(super) fn answered(seen: &mut S, now: Moment) {
    let wait = if seen.facts.polls == 0 { Span::seconds(1) } else { own_pace(seen.facts.polls) };
    seen.facts.polls = seen.facts.polls.saturating_add(1);
    (seen.facts.stage, seen.facts.ask_again) = (None, Some(now + wait));
}

/// Takes in how far the order is. One that failed or is gone is forgotten; the key is kept for the next one.
pub(super) fn looked(seen: &mut S, step: &Step, order: OrderSeen, now: Moment) -> Option<Failure> {
    let failure = match order.stage {
        Stage::Gone => {
            Failure::new(Reason::OrderLost, format!("the CA does not know the order {} any more", order.url))
        }
        Stage::Invalid(failure) => *failure,
        stage => {
            let handed_in = matches!(step, Step::Act(Effect::Acme(AcmeEffect::Finalize { .. })));
            let facts = &mut seen.facts;
            facts.unmoved =
                if handed_in && stage == Stage::Ready { facts.unmoved.saturating_add(1) } else { facts.unmoved };
            // RFC 8555 section 7.5.1 lets the server say when; else at our own pace.
            let own = now + own_pace(facts.polls);
            let again = order.ask_again.map_or(own, |at| at.clamp(now + Span::seconds(1), now + Span::days(1)));
            facts.polls = facts.polls.saturating_add(1);
            (facts.stage, facts.ask_again) = (Some(stage), Some(again));
            return None;
        }
    };
    forget_order(seen);
    refused(seen, &failure);
    Some(failure)
}

/// Three seconds, growing to a minute.
fn own_pace(polls: u32) -> Span {
    Span::seconds(3).times(i64::from(polls.clamp(1, 20)))
}

/// One more failure at the issuer.
pub(super) fn refused(seen: &mut S, failure: &Failure) {
    if failure.reason == Reason::WrongCertificate {
        forget_order(seen); // the same order would give the same certificate again
    }
    if !is_ours(failure.reason) {
        seen.record.memory.refusals = seen.record.memory.refusals.saturating_add(1);
    }
}

/// Whether a step at the issuer failed before it came there.
fn is_ours(reason: Reason) -> bool {
    use Reason::{
        AccountPending, CiphertextRefused, KmsDenied, KmsLimitExceeded, KmsRefused, KmsThrottled, KmsUnreachable,
        StoreFailed,
    };
    matches!(
        reason,
        AccountPending
            | CiphertextRefused
            | KmsDenied
            | KmsLimitExceeded
            | KmsRefused
            | KmsThrottled
            | KmsUnreachable
            | StoreFailed
    )
}

fn forget_order(seen: &mut S) {
    seen.record.memory.order = None;
    forget_stage(seen);
}

fn forget_stage(seen: &mut S) {
    let facts = &mut seen.facts;
    (facts.stage, facts.ask_again, facts.polls, facts.unmoved) = (None, None, 0, 0);
}

/// A verified chain for the key that was stored: from now on it is what is in service.
pub(super) fn issued(seen: &mut S, chain: Chain, now: Moment) -> Option<Failure> {
    let memory = &mut seen.record.memory;
    let key = memory.next_key.take_if(|key| key.spki_sha256 == chain.spki_sha256);
    let (Some(key), Some(order)) = (key, memory.order.take()) else {
        let failure = Failure::new(Reason::WrongCertificate, "the certificate belongs to no key of ours");
        refused(seen, &failure);
        return Some(failure);
    };
    let issued = Issued { chain, key, issuer: Some(order.issuer), profile: order.profile, at: now };
    memory.former = memory.issued.replace(issued).map(|old| Former {
        fingerprint: old.chain.fingerprint,
        names: old.chain.names,
        algorithm: old.key.algorithm,
        not_after: old.chain.not_after,
    });
    (memory.renewal, memory.refusals) = (None, 0);
    seen.record.ask = None;
    forget_stage(seen);
    (seen.facts.window_again, seen.facts.window_at) = (None, None);
    renewal::fall_back(seen, now);
    None
}

#[cfg(test)]
mod tests;
