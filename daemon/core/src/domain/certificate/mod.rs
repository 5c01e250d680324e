//! Certificates: a key is made and wrapped, an order is opened, proven and finalized with that key, what comes back is verified
//! and delivered, and the instant of the renewal is chosen.

mod delivery;
mod issue;
mod issuers;
mod outlets;
mod renewal;
mod show;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

use claviger_config::{
    DnsName, IssuerName, KeyAlgorithm, Kind, Moment, Name, Reason,
    admin::ExplainedStep,
    certificate::{Reload, TlsCertificateSpec},
    condition::CommonStatus,
    desired::Spec,
};
use serde::{Deserialize, Serialize};

pub use self::renewal::Renewal;
use super::{
    effect::{Effect, Issued, KeyUse, News, OutletEffect, OutletPlace, OutletSeen, Query, SealedKey, Stage, Terms},
    failure::Failure,
    neighbours::Share,
    noun::{Noun, OutOfTurn, Ready, Rule, Seen, View, Viewed},
    plan::Step,
    record::Trouble,
};

/// `TlsCertificate`.
#[derive(Clone, Debug)]
pub struct Certificate;

/// What is remembered of a certificate.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// The key of the next certificate: stored before an order is opened.
    pub next_key: Option<SealedKey>,
    /// The order in flight.
    pub order: Option<Order>,
    /// What is in service.
    pub issued: Option<Issued>,
    /// When it is renewed.
    pub renewal: Option<Renewal>,
    /// What was in service before, until every outlet has what is in service now.
    #[serde(default)]
    pub former: Option<Former>,
    /// What was delivered where.
    pub outlets: BTreeMap<Name, Delivered>,
    /// Outlets that do not work out; the others are served all the same.
    #[serde(default)]
    pub ailing: BTreeMap<Name, Trouble>,
    /// Failures in a row at the issuer: after three the next issuer is tried.
    #[serde(default)]
    pub refusals: u32,
}

/// A certificate that was in service before.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Former {
    /// The leaf certificate's fingerprint.
    pub fingerprint: String,
    /// The names.
    pub names: Vec<DnsName>,
    /// The key's algorithm.
    pub algorithm: KeyAlgorithm,
    /// Valid until.
    pub not_after: Moment,
}

/// An order in flight.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Order {
    /// The issuer.
    pub issuer: IssuerName,
    /// Its URL.
    pub url: String,
    /// Why it was opened.
    pub cause: Reason,
    /// The names.
    pub names: Vec<DnsName>,
    /// The profile.
    pub profile: Option<String>,
    /// When it was opened.
    pub opened: Moment,
}

/// What was delivered to an outlet.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Delivered {
    /// The leaf certificate's fingerprint.
    pub fingerprint: String,
    /// The key's fingerprint.
    pub spki_sha256: String,
    /// When.
    pub at: Moment,
    /// How the reload ended; absent: it is still to be run.
    pub reload: Option<Reload>,
}

/// What was seen since the start.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Facts {
    /// How far the order is.
    pub stage: Option<Stage>,
    /// When the order may be asked about again.
    pub ask_again: Option<Moment>,
    /// How often it was asked about in a row.
    pub polls: u32,
    /// How often it was handed in and not taken.
    pub unmoved: u32,
    /// What the outlets hold; absent while one could not be looked at.
    pub outlets: BTreeMap<Name, OutletSeen>,
    /// When they were looked at.
    pub outlets_at: BTreeMap<Name, Moment>,
    /// What they were then: a document may name another place.
    pub places: BTreeMap<Name, OutletPlace>,
    /// Outlets that could not be looked at, or that lack what cannot be made, and why.
    pub unreadable: BTreeMap<Name, Failure>,
    /// Outlets whose content was found to be of no use.
    pub useless: BTreeSet<Name>,
    /// When the CA is asked for a window again.
    pub window_again: Option<Moment>,
    /// When the CA last answered.
    pub window_at: Option<Moment>,
}

impl Noun for Certificate {
    const KIND: Kind = Kind::TlsCertificate;
    type Spec = TlsCertificateSpec;
    type Memory = Memory;
    type Facts = Facts;
    const RULES: &'static [Rule<Self>] = &[
        delivery::outlets_unseen,
        delivery::adoption,
        delivery::delivery_due,
        delivery::reload_due,
        issue::order_in_flight,
        issue::missing,
        issue::expired,
        issue::names_changed,
        issue::key_algorithm_changed,
        issue::issuer_changed,
        issue::requested,
        renewal::window_unknown,
        issue::renewal_due,
        delivery::outlet_in_trouble,
        renewal::serving,
    ];
    const WAY: &'static [Terms] = issue::WAY;

    fn spec(spec: &Spec) -> Option<&TlsCertificateSpec> {
        if let Spec::TlsCertificate(spec) = spec { Some(spec) } else { None }
    }

    fn ready(view: &View<'_, Self>) -> Ready {
        let memory = &view.seen.record.memory;
        let Some(issued) = &memory.issued else {
            return Ready::False(view.wanted.refusal.as_ref().map_or(Reason::Missing, |refusal| refusal.reason));
        };
        if issued.chain.not_after <= view.now {
            return Ready::False(Reason::Expired);
        }
        if !same_names(&issued.chain.names, &view.spec.dns_names) {
            return Ready::False(Reason::NamesChanged);
        }
        if issued.key.algorithm != view.spec.key.algorithm {
            return Ready::False(Reason::KeyAlgorithmChanged);
        }
        if outlets::any_locked(view) {
            return Ready::False(Reason::KeystorePasswordMissing);
        }
        if !outlets::all_serve(view) {
            return Ready::False(Reason::OutletChanged);
        }
        Ready::True(Reason::Issued)
    }

    fn hear(seen: &mut Seen<Self>, step: &Step, news: News, now: Moment) -> Result<Option<Failure>, OutOfTurn> {
        delivery::about(seen, step);
        match news {
            News::Adopted(adopted) => delivery::adopted(seen, step, adopted.map(|issued| *issued)),
            News::Answered => issue::answered(seen, now),
            News::Delivered(outlet) => delivery::delivered(seen, outlet, now),
            News::Issued(chain) => return Ok(issue::issued(seen, *chain, now)),
            News::KeySealed(KeyUse::Certificate, key) => seen.record.memory.next_key = Some(key),
            News::Opened(opened) => issue::opened(seen, *opened, now),
            News::Order(order) => return Ok(issue::looked(seen, step, *order, now)),
            News::Outlet(name, held) => delivery::looked(seen, name, held, now),
            News::Reloaded(outlet, how) => delivery::reloaded(seen, &outlet, &how, now),
            News::Window(window) => renewal::window(seen, window, now),
            news => return Err(OutOfTurn { kind: Self::KIND, news: news.word() }),
        }
        Ok(None)
    }

    fn bears(seen: &mut Seen<Self>, step: &Step, failure: &Failure, now: Moment) -> bool {
        delivery::about(seen, step);
        match step {
            Step::Act(Effect::Outlet(OutletEffect::Deliver { outlet, .. } | OutletEffect::Reload { outlet })) => {
                delivery::failed(seen, &outlet.name, failure.clone(), now);
                true
            }
            Step::Look(Query::Outlet { outlet }) => delivery::unreadable(seen, &outlet.name, failure, now),
            Step::Look(Query::Window { .. }) => {
                renewal::unanswered(seen, failure, now);
                true
            }
            Step::Look(Query::Certificate { .. } | Query::Order { .. }) | Step::Act(Effect::Acme(_)) => {
                issue::refused(seen, failure);
                false
            }
            _ => false,
        }
    }

    fn doubt(seen: &mut Seen<Self>) {
        seen.facts.outlets.clear();
        seen.facts.outlets_at.clear();
    }

    fn lift(seen: &mut Seen<Self>) {
        seen.record.memory.ailing.clear();
        seen.record.memory.refusals = 0;
    }

    fn end(seen: &Seen<Self>) -> Option<Moment> {
        seen.record.memory.issued.as_ref().map(|issued| issued.chain.not_after)
    }

    fn planned(seen: &Seen<Self>) -> Option<Moment> {
        seen.record.memory.renewal.as_ref().map(|renewal| renewal.at)
    }

    fn claims(view: &View<'_, Self>) -> Vec<(&'static str, String)> {
        let memory = &view.seen.record.memory;
        let keys = memory.issued.iter().map(|issued| &issued.key).chain(&memory.next_key);
        keys.map(|key| ("public-key", key.spki_sha256.clone())).collect()
    }

    fn share(view: &View<'_, Self>) -> Option<Share> {
        let order = view.seen.record.memory.order.as_ref().map(|order| order.issuer.clone());
        let refused = view.wanted.refusal.is_some();
        Some(Share::Demand(if refused { BTreeSet::new() } else { issuers::issuer_names(view) }, order))
    }

    fn status(view: &Viewed<'_, Self>, common: CommonStatus) -> serde_json::Value {
        show::status(view, common)
    }

    fn steps(view: &Viewed<'_, Self>) -> Vec<ExplainedStep> {
        show::steps(view)
    }
}

type V<'a> = View<'a, Certificate>;
type S = Seen<Certificate>;

/// Whether two lists hold the same names, in any order.
fn same_names(one: &[DnsName], other: &[DnsName]) -> bool {
    one.iter().collect::<BTreeSet<_>>() == other.iter().collect::<BTreeSet<_>>()
}
