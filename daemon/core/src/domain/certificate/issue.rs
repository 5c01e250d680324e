//! From "there is none, or not the right one" to a verified certificate.

use std::collections::BTreeSet;

use claviger_config::{
    DnsName, IssuerName, Moment, Reason, Span,
    certificate::{IssuerChoice, TlsCertificateSpec},
    environment::Issuer,
};

use super::{Facts, Order, S, V, next_poll, renewal};
use crate::domain::{
    effect::{AcmeEffect, Chain, Effect, Issued, KeyUse, KmsEffect, Opened, OrderSeen, Query, Stage},
    failure::Failure,
    plan::Plan,
};

/// An order that fits the document is carried to its end before anything else is begun.
pub(super) fn order_in_flight(view: &V<'_>) -> Option<Plan> {
    let (memory, facts) = (&view.seen.record.memory, &view.seen.facts);
    let order = memory.order.as_ref().filter(|order| fits(order, view.spec))?;
    let key = memory.next_key.as_ref()?;
    let (issuer, url) = (order.issuer.clone(), order.url.clone());
    let later = facts.ask_again.filter(|at| view.now < *at);
    let look = || Plan::look(Query::Order { issuer: issuer.clone(), order: url.clone() }, order.cause);
    Some(match (&facts.stage, later) {
        (Some(Stage::Pending { unanswered }), _) if *unanswered > 0 => {
            Plan::act(Effect::Acme(AcmeEffect::Answer { issuer, order: url }), order.cause)
        }
        (Some(Stage::Ready), _) => {
            let names = order.names.clone();
            let finalize = AcmeEffect::Finalize { issuer, order: url, names, key: key.key.clone() };
            Plan::act(Effect::Acme(finalize), order.cause)
        }
        (Some(Stage::Valid), _) => {
            let (names, spki_sha256) = (order.names.clone(), key.spki_sha256.clone());
            Plan::look(Query::Certificate { issuer, order: url, names, spki_sha256 }, order.cause)
        }
        (Some(Stage::Pending { .. } | Stage::Processing) | None, Some(later)) => {
            Plan::rest(Some(later), Reason::ProvingControl)
        }
        (_, _) => look(),
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

/// Whether two lists hold the same names, in any order.
pub(super) fn same_names(one: &[DnsName], other: &[DnsName]) -> bool {
    one.iter().collect::<BTreeSet<_>>() == other.iter().collect::<BTreeSet<_>>()
}

/// The issuers that the document asks for, in order.
pub(super) fn choices<'a>(view: &V<'a>) -> &'a [IssuerChoice] {
    if !view.spec.issuers.is_empty() {
        return &view.spec.issuers;
    }
    view.wanted.environment.as_ref().map_or(&[], |at| at.spec.default_issuers.as_slice())
}

/// The same, by name.
pub(super) fn issuer_names(view: &V<'_>) -> BTreeSet<IssuerName> {
    acme_choices(view).into_iter().map(|choice| choice.name.clone()).collect()
}

fn acme_choices<'a>(view: &V<'a>) -> Vec<&'a IssuerChoice> {
    let issuers: &[Issuer] = view.wanted.environment.as_ref().map_or(&[], |at| at.spec.issuers.as_slice());
    let speaks_acme = |choice: &&IssuerChoice| issuers.iter().any(|i| i.name == choice.name && i.acme.is_some());
    choices(view).iter().filter(speaks_acme).collect()
}

/// The issuer whose turn it is: after three failures in a row the next one is tried.
pub(super) fn choice<'a>(view: &V<'a>) -> Option<&'a IssuerChoice> {
    let usable = acme_choices(view);
    let failures = view.seen.record.trouble.as_ref().map_or(0, |trouble| trouble.count as usize);
    usable.get((failures / 3) % usable.len().max(1)).copied()
}

pub(super) fn issue(view: &V<'_>, cause: Reason) -> Plan {
    let Some(choice) = choice(view) else {
        return Plan::rest(None, Reason::IssuerMissing)
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
    let same_ca = |issued: &&Issued| issued.issuer.as_ref() == Some(&choice.name);
    let replaces = memory.issued.as_ref().filter(same_ca).and_then(|issued| issued.chain.renewal_id.clone());
    let order = AcmeEffect::OpenOrder {
        issuer: choice.name.clone(),
        names: view.spec.dns_names.clone(),
        profile: choice.profile.clone(),
        replaces,
    };
    Plan::act(Effect::Acme(order), cause)
}

/// What must be there first: the wrapping key, and an account.
fn waiting(view: &V<'_>, choice: &IssuerChoice) -> Option<Plan> {
    let later = Some(view.now + Span::minutes(10));
    if view.neighbours.wrapping_key().is_none() {
        let why = view.neighbours.wrapping.as_ref().and_then(|wrapping| wrapping.as_ref().err());
        let plan = Plan::rest(later, Reason::WrappingKeyNotReady);
        return Some(match why {
            Some(why) => plan.saying(format!("the wrapping key of the environment is not ready: {}", why.hint())),
            None => plan,
        });
    }
    if let Some((reason, message)) = view.neighbours.refused.get(&choice.name) {
        return Some(Plan::rest(later, *reason).saying(message.clone()));
    }
    (!view.neighbours.accounts.contains_key(&choice.name)).then(|| Plan::rest(later, Reason::AccountPending))
}

fn fits(order: &Order, spec: &TlsCertificateSpec) -> bool {
    let asked = |choice: &IssuerChoice| choice.name == order.issuer && choice.profile == order.profile;
    same_names(&order.names, &spec.dns_names) && (spec.issuers.is_empty() || spec.issuers.iter().any(asked))
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
    (seen.facts.stage, seen.facts.ask_again, seen.facts.polls) = (Some(opened.order.stage), None, 0);
}

/// Takes in how far the order is. One that failed or is gone is forgotten; the key is kept for the next one.
pub(super) fn looked(seen: &mut S, order: OrderSeen, now: Moment) -> Option<Failure> {
    match order.stage {
        Stage::Gone => {
            forget_order(seen);
            Some(Failure::new(Reason::OrderLost, format!("the CA does not know the order {} any more", order.url)))
        }
        Stage::Invalid(failure) => {
            forget_order(seen);
            Some(*failure)
        }
        stage => {
            seen.facts.polls = seen.facts.polls.saturating_add(1);
            let again = next_poll(seen, &OrderSeen { stage: stage.clone(), ..order }, now);
            (seen.facts.stage, seen.facts.ask_again) = (Some(stage), Some(again));
            None
        }
    }
}

pub(super) fn forget_order(seen: &mut S) {
    seen.record.memory.order = None;
    (seen.facts.stage, seen.facts.ask_again, seen.facts.polls) = (None, None, 0);
}

/// A verified chain for the key that was stored: from now on it is what is in service.
pub(super) fn issued(seen: &mut S, chain: Chain, now: Moment) -> Option<Failure> {
    let memory = &mut seen.record.memory;
    let key = memory.next_key.take_if(|key| key.spki_sha256 == chain.spki_sha256);
    let (Some(key), Some(order)) = (key, memory.order.take()) else {
        return Some(Failure::new(Reason::WrongCertificate, "the certificate belongs to no key of ours"));
    };
    memory.issued = Some(Issued { chain, key, issuer: Some(order.issuer), profile: order.profile, at: now });
    memory.renewal = None;
    seen.record.ask = None;
    seen.facts = Facts {
        outlets: std::mem::take(&mut seen.facts.outlets),
        outlets_at: seen.facts.outlets_at,
        ..Facts::default()
    };
    renewal::fall_back(seen, now);
    None
}
