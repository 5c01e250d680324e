//! Certificates: a key is made and wrapped, an order is opened, proven and finalized with that key, what comes back is verified
//! and delivered, and the instant of the renewal is chosen.

mod delivery;
mod issue;
mod renewal;
mod show;

use std::collections::BTreeMap;

use claviger_config::{
    DnsName, IssuerName, Kind, Moment, Name, Reason, Span,
    admin::ExplainedStep,
    certificate::{Reload, TlsCertificateSpec},
    condition::CommonStatus,
    desired::Spec,
};
use serde::{Deserialize, Serialize};

pub use self::renewal::Renewal;
use super::{
    effect::{Issued, KeyUse, News, OrderSeen, OutletSeen, Query, ReloadSeen, SealedKey, Stage},
    failure::{Failure, Retry},
    neighbours::Share,
    noun::{Noun, OutOfTurn, Ready, Rule, View, Viewed},
    plan::Step,
    record::Seen,
};

/// `TlsCertificate`.
#[derive(Debug)]
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
    /// What was delivered where.
    pub outlets: BTreeMap<Name, Delivered>,
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
#[derive(Debug, Default)]
pub struct Facts {
    /// How far the order is.
    pub stage: Option<Stage>,
    /// When the order may be asked about again.
    pub ask_again: Option<Moment>,
    /// How often it was asked about in a row.
    pub polls: u32,
    /// What the outlets hold.
    pub outlets: BTreeMap<Name, OutletSeen>,
    /// When they were looked at.
    pub outlets_at: Option<Moment>,
    /// Whether what the outlets held was found to be of no use.
    pub adoption_refused: bool,
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
        renewal::renewal_due,
        renewal::serving,
    ];

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
        if !issue::same_names(&issued.chain.names, &view.spec.dns_names) {
            return Ready::False(Reason::NamesChanged);
        }
        if issued.key.algorithm != view.spec.key.algorithm {
            return Ready::False(Reason::KeyAlgorithmChanged);
        }
        if !delivery::all_delivered(view) {
            return Ready::False(Reason::OutletChanged);
        }
        Ready::True(Reason::Issued)
    }

    fn hear(seen: &mut Seen<Self>, news: News, now: Moment) -> Result<Option<Failure>, OutOfTurn> {
        match news {
            News::Adopted(adopted) => delivery::adopted(seen, adopted.map(|issued| *issued)),
            News::Answered => (seen.facts.stage, seen.facts.ask_again) = (None, Some(now + Span::seconds(1))),
            News::Delivered(outlet) => delivery::delivered(seen, outlet, now),
            News::Issued(chain) => return Ok(issue::issued(seen, *chain, now)),
            News::KeySealed(KeyUse::Certificate, key) => seen.record.memory.next_key = Some(key),
            News::Opened(opened) => issue::opened(seen, *opened, now),
            News::Order(order) => return Ok(issue::looked(seen, *order, now)),
            News::Outlet(name, held) => {
                seen.facts.outlets.insert(name, held);
                seen.facts.outlets_at = Some(now);
            }
            News::Reloaded(outlet, ended) => return Ok(delivery::reloaded(seen, &outlet, ended)),
            News::Window(window) => renewal::window(seen, window, now),
            news => return Err(OutOfTurn { kind: Self::KIND, news: news.word() }),
        }
        Ok(None)
    }

    fn bears(seen: &mut Seen<Self>, step: &Step, failure: &Failure, now: Moment) -> bool {
        if matches!(step, Step::Look(Query::Certificate { .. })) && failure.reason == Reason::WrongCertificate {
            issue::forget_order(seen); // the same order would give the same certificate again
        }
        let Step::Look(Query::Window { .. }) = step else { return false };
        // RFC 9773 section 4.3.3: renewal goes on without it; asked again in six hours, or when the CA said.
        seen.facts.window_again = Some(match failure.retry {
            Retry::At(at) => at.min(now + Span::days(1)),
            Retry::Later | Retry::Never => now + Span::hours(6),
        });
        renewal::fall_back(seen, now);
        true
    }

    fn end(seen: &Seen<Self>) -> Option<Moment> {
        seen.record.memory.issued.as_ref().map(|issued| issued.chain.not_after)
    }

    fn claims(view: &View<'_, Self>) -> Vec<(&'static str, String)> {
        let memory = &view.seen.record.memory;
        let keys = memory.issued.iter().map(|issued| &issued.key).chain(&memory.next_key);
        keys.map(|key| ("public-key", key.spki_sha256.clone())).collect()
    }

    fn share(view: &View<'_, Self>) -> Option<Share> {
        let order = view.seen.record.memory.order.as_ref().map(|order| order.issuer.clone());
        view.wanted.refusal.is_none().then(|| Share::Demand(issue::issuer_names(view), order))
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

fn reload_failed(text: &str) -> Failure {
    Failure::new(Reason::HookFailed, format!("the reload command failed: {text}"))
        .fix("run the command of the hook by hand and read what it prints")
}

fn ended(ended: &ReloadSeen) -> Reload {
    match ended {
        ReloadSeen::Failed(_) => Reload::Failed,
        ReloadSeen::Succeeded => Reload::Succeeded,
    }
}

fn next_poll(seen: &S, order: &OrderSeen, now: Moment) -> Moment {
    // RFC 8555 section 7.5.1 lets the server say; else three seconds, growing to a minute.
    let own = Span::seconds(3).times(i64::from(seen.facts.polls.min(20)).max(1)).min(Span::minutes(1));
    order.ask_again.map_or(now + own, |at| at.max(now + Span::seconds(1)))
}
