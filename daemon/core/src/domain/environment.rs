//! Environments: for each ACME issuer that certificates wait for, an account whose key was wrapped and stored before it was
//! registered. Trouble with one issuer does not hold up the others.

use std::collections::BTreeMap;

use claviger_config::{
    IssuerName, KeyAlgorithm, Kind, Moment, Reason, Span,
    admin::{ExplainedStep, StepState},
    condition::CommonStatus,
    desired::{Spec, Wanted},
    environment::{Claim, EnvironmentSpec, EnvironmentStatus, IssuerStatus},
};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Account, AcmeEffect, Effect, KeyUse, KmsEffect, News, Query, Sealed, VaultEffect},
    failure::{Failure, Retry, is_away, knock},
    neighbours::Share,
    noun::{Noun, OutOfTurn, Ready, Rule, Seen, View, Viewed, explained},
    plan::{Plan, Step},
};

/// `Environment`.
#[derive(Clone, Debug)]
pub struct Environment;

/// What is remembered of an environment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// Its accounts, by issuer.
    pub accounts: BTreeMap<IssuerName, AccountMemory>,
}

/// An account on its way.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct AccountMemory {
    /// Its key, wrapped; stored before it is registered.
    pub key: Option<Sealed>,
    /// Whether the key is kept beside the records too.
    pub kept: bool,
    /// The account.
    pub account: Option<Account>,
}

/// What was seen since the start.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Facts {
    /// Issuers whose kept key was looked for.
    pub searched: Vec<IssuerName>,
    /// Issuers that do not work out.
    pub trouble: BTreeMap<IssuerName, IssuerTrouble>,
    /// When the latest account was looked at.
    pub observed_at: Option<Moment>,
}

/// An issuer that does not work out.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IssuerTrouble {
    /// What it said.
    pub failure: Failure,
    /// Failures in a row.
    pub count: u32,
    /// Since when.
    pub since: Moment,
    /// When it is tried again.
    pub until: Option<Moment>,
}

impl Noun for Environment {
    const KIND: Kind = Kind::Environment;
    type Spec = EnvironmentSpec;
    type Memory = Memory;
    type Facts = Facts;
    const RULES: &'static [Rule<Self>] = &[wrapping_key_not_ready, account_due, issuer_in_trouble, in_order];

    fn spec(spec: &Spec) -> Option<&EnvironmentSpec> {
        if let Spec::Environment(spec) = spec { Some(spec) } else { None }
    }

    fn ready(view: &View<'_, Self>) -> Ready {
        if let Some(refusal) = &view.wanted.refusal {
            return Ready::False(refusal.reason);
        }
        match &view.neighbours.wrapping {
            None => Ready::Unknown(Reason::NotObserved),
            Some(Err(_)) => Ready::False(Reason::WrappingKeyNotReady),
            Some(Ok(_)) if demanded(view).any(|issuer| account(view, issuer).is_none()) => {
                Ready::False(Reason::AccountPending)
            }
            Some(Ok(_)) => Ready::True(Reason::Ready),
        }
    }

    fn hear(seen: &mut Seen<Self>, _step: &Step, news: News, now: Moment) -> Result<Option<Failure>, OutOfTurn> {
        let accounts = &mut seen.record.memory.accounts;
        match news {
            News::AccountKey(issuer, found) => {
                if let Some(key) = found {
                    let memory = accounts.entry(issuer.clone()).or_default();
                    (memory.key, memory.kept) = (Some(key), true);
                }
                seen.facts.searched.push(issuer);
            }
            News::KeySealed(KeyUse::Account(issuer), key) => {
                accounts.insert(issuer, AccountMemory { key: Some(key.key), kept: false, account: None });
            }
            News::Kept(issuer) => accounts.entry(issuer).or_default().kept = true,
            News::Registered(account) => {
                seen.facts.trouble.remove(&account.issuer);
                seen.facts.observed_at = Some(now);
                let issuer = account.issuer.clone();
                accounts.entry(issuer).or_default().account = Some(account);
            }
            news => return Err(OutOfTurn { kind: Self::KIND, news: news.word() }),
        }
        Ok(None)
    }

    fn bears(seen: &mut Seen<Self>, step: &Step, failure: &Failure, now: Moment) -> bool {
        let Step::Act(Effect::Acme(AcmeEffect::Register { issuer, .. })) = step else { return false };
        let before = seen.facts.trouble.get(issuer);
        let count = before.map_or(1, |trouble| trouble.count.saturating_add(1));
        let alike = before.filter(|trouble| is_away(trouble.failure.reason) == is_away(failure.reason));
        let since = alike.map_or(now, |trouble| trouble.since);
        let until = match failure.retry {
            Retry::At(at) => Some(at),
            Retry::Later if is_away(failure.reason) => Some(now + knock(now.since(since), Span::minutes(10))),
            Retry::Later => Some(now + Span::minutes([1, 10, 60][count.clamp(1, 3) as usize - 1])),
            Retry::Never => None,
        };
        seen.facts.trouble.insert(issuer.clone(), IssuerTrouble { failure: failure.clone(), count, since, until });
        true
    }

    fn lift(seen: &mut Seen<Self>) {
        seen.facts.trouble.clear();
    }

    fn claims(view: &View<'_, Self>) -> Vec<(&'static str, String)> {
        if never_stood(Some(view.wanted), view.seen) { Vec::new() } else { claims(view.spec, &view.seen.record.memory) }
    }

    fn share(view: &View<'_, Self>) -> Option<Share> {
        let memory = &view.seen.record.memory;
        let known = |issuer: &IssuerName| account(view, issuer).cloned().map(|account| (issuer.clone(), account));
        let accounts = memory.accounts.keys().filter_map(known).collect();
        let refused = view.seen.facts.trouble.iter();
        let refused =
            refused.map(|(issuer, t)| (issuer.clone(), (t.failure.reason, t.failure.message.clone()))).collect();
        Some(Share::Accounts(accounts, refused))
    }

    fn status(view: &Viewed<'_, Self>, common: CommonStatus) -> serde_json::Value {
        let memory = &view.seen.record.memory;
        let holder = view.spec.filter(|_| !never_stood(view.wanted, view.seen));
        let claimed = holder.map(|spec| claims(spec, memory)).unwrap_or_default();
        let claims = claimed.into_iter().map(|(what, value)| Claim { what: what.to_owned(), value }).collect();
        let issuers = memory.accounts.iter().map(|(name, memory)| IssuerStatus {
            name: name.clone(),
            account_url: memory.account.as_ref().map(|account| account.url.clone()),
            thumbprint: memory.account.as_ref().map(|account| account.thumbprint.clone()),
        });
        let observed_at = view.seen.facts.observed_at.map(|at| at.to_second());
        let status = EnvironmentStatus { common, claims, issuers: issuers.collect(), observed_at };
        serde_json::to_value(status).unwrap_or_default()
    }

    fn steps(view: &Viewed<'_, Self>) -> Vec<ExplainedStep> {
        let memory = &view.seen.record.memory;
        let step = |(issuer, memory): (&IssuerName, &AccountMemory)| {
            let state = match (&memory.account, view.seen.facts.trouble.contains_key(issuer)) {
                (Some(_), _) => StepState::Done,
                (None, true) => StepState::Failed,
                (None, false) => StepState::Current,
            };
            let url = memory.account.as_ref().map(|account| account.url.clone());
            ExplainedStep { r#ref: url, ..explained(&format!("Account/{issuer}"), state) }
        };
        memory.accounts.iter().map(step).collect()
    }
}

type V<'a> = View<'a, Environment>;

/// A newcomer that was never in force holds nothing: it is refused for what it wants, and must not be for claiming it.
fn never_stood(wanted: Option<&Wanted>, seen: &Seen<Environment>) -> bool {
    seen.record.environment.is_none() && wanted.is_none_or(|wanted| wanted.environment.is_none())
}

fn claims(spec: &EnvironmentSpec, memory: &Memory) -> Vec<(&'static str, String)> {
    let namespaces = spec.namespaces.iter().map(|namespace| ("namespace", namespace.to_string()));
    let accounts = memory.accounts.values().filter_map(|memory| memory.account.as_ref());
    let zone = spec.edge.as_ref().map(|edge| ("cloudflare-zone", edge.cloudflare.zone_id.clone()));
    namespaces.chain(accounts.map(|account| ("acme-account", account.url.clone()))).chain(zone).collect()
}

/// The account, as long as the issuer still stands at the directory that it was registered at.
fn account<'a>(view: &V<'a>, issuer: &IssuerName) -> Option<&'a Account> {
    let account = view.seen.record.memory.accounts.get(issuer)?.account.as_ref()?;
    let issuer = view.spec.issuers.iter().find(|candidate| candidate.name == *issuer)?;
    (issuer.acme.as_ref()?.directory == account.directory).then_some(account)
}

fn demanded<'a>(view: &V<'a>) -> impl Iterator<Item = &'a IssuerName> + use<'a> {
    let issuers = &view.spec.issuers;
    view.neighbours
        .demand
        .iter()
        .filter(|name| issuers.iter().any(|issuer| issuer.name == **name && issuer.acme.is_some()))
}

fn wrapping_key_not_ready(view: &V<'_>) -> Option<Plan> {
    let why = match &view.neighbours.wrapping {
        Some(Ok(_)) => return None,
        Some(Err(why)) => why.hint(),
        None => "it has not been looked at yet",
    };
    let text = format!("the wrapping key `{}` is not ready: {why}", view.spec.kms.wrapping_key);
    Some(Plan::rest(Some(view.now + Span::minutes(10)), Reason::WrappingKeyNotReady).saying(text))
}

fn account_due(view: &V<'_>) -> Option<Plan> {
    let waits = |trouble: &IssuerTrouble| trouble.until.is_none_or(|until| view.now < until);
    let calm = |issuer: &&IssuerName| view.lifted() || !view.seen.facts.trouble.get(*issuer).is_some_and(waits);
    let issuer = demanded(view).filter(|issuer| account(view, issuer).is_none()).find(calm)?.clone();
    let memory = view.seen.record.memory.accounts.get(&issuer);
    let effect = match memory.and_then(|memory| Some((memory.key.clone()?, memory.kept))) {
        None if !view.seen.facts.searched.contains(&issuer) => {
            return Some(Plan::look(Query::AccountKey { issuer }, Reason::AccountPending));
        }
        None => {
            Effect::Kms(KmsEffect::SealNewKey { algorithm: KeyAlgorithm::EcdsaP256, r#use: KeyUse::Account(issuer) })
        }
        Some((key, false)) => Effect::Vault(VaultEffect::Keep { issuer, key }),
        Some((key, true)) => Effect::Acme(AcmeEffect::Register { issuer, key }),
    };
    Some(Plan::act(effect, Reason::AccountPending))
}

fn issuer_in_trouble(view: &V<'_>) -> Option<Plan> {
    let waiting = demanded(view).filter(|issuer| account(view, issuer).is_none());
    let troubles: Vec<_> = waiting.filter_map(|issuer| view.seen.facts.trouble.get_key_value(issuer)).collect();
    let (issuer, IssuerTrouble { failure, .. }) = troubles.first()?;
    let next = troubles.iter().filter_map(|(_, trouble)| trouble.until).min();
    let plan = Plan::rest(next, failure.reason).saying(format!("issuer `{issuer}`: {}", failure.message));
    Some(Plan { fix: failure.fix.clone(), ..plan })
}

fn in_order(view: &V<'_>) -> Option<Plan> {
    Some(Plan::rest(Some(view.now + Span::days(1)), Reason::Ready))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        effect::SealedKey,
        given::{Given, account, environment, sealed},
        plan::Step,
    };

    fn issuer(name: &str) -> IssuerName {
        name.parse().unwrap()
    }

    fn key() -> SealedKey {
        sealed("account", KeyAlgorithm::EcdsaP256)
    }

    fn kept(given: Given<Environment>) -> Given<Environment> {
        let Query::AccountKey { issuer } = given.look() else { panic!("the kept key is looked for next") };
        given.hears(News::AccountKey(issuer, Some(key().key)))
    }

    fn down() -> Failure {
        Failure::new(Reason::AcmeUnreachable, "no answer")
    }

    fn wants(mut given: Given<Environment>, issuers: &[&str]) -> Given<Environment> {
        given.neighbours.demand = issuers.iter().map(|name| issuer(name)).collect();
        given
    }

    #[test]
    fn an_account_gets_a_key_that_is_wrapped_and_kept_before_it_is_registered() {
        let given = environment();
        assert_eq!((given.reason(), given.ready()), (Reason::AccountPending, Ready::False(Reason::AccountPending)));
        let given = given.hears(News::AccountKey(issuer("first"), None));
        assert!(
            matches!(given.act(), Effect::Kms(KmsEffect::SealNewKey { r#use: KeyUse::Account(name), .. }) if name == issuer("first"))
        );
        let given = given.hears(News::KeySealed(KeyUse::Account(issuer("first")), key()));
        assert!(matches!(given.act(), Effect::Vault(VaultEffect::Keep { .. })));
        let given = given.hears(News::Kept(issuer("first")));
        let Effect::Acme(AcmeEffect::Register { key: registered, .. }) = given.act() else { panic!("it registers") };
        assert_eq!(registered, key().key);
        let given = given.hears(News::Registered(account("first"))).noted();
        assert_eq!((given.reason(), given.ready()), (Reason::Ready, Ready::True(Reason::Ready)));
        let Some(Share::Accounts(accounts, refused)) = Environment::share(&given.view()) else { panic!("it shares") };
        assert!(accounts.contains_key(&issuer("first")) && refused.is_empty());
    }

    #[test]
    fn a_lost_record_registers_with_the_key_that_was_kept() {
        let given = kept(environment());
        assert!(
            matches!(given.act(), Effect::Acme(AcmeEffect::Register { key: registered, .. }) if registered == key().key)
        );
    }

    #[test]
    fn no_account_is_made_that_no_certificate_waits_for() {
        for demand in [&[] as &[&str], &["inner"], &["unknown"]] {
            let given = wants(environment(), demand);
            assert_eq!((given.reason(), given.ready()), (Reason::Ready, Ready::True(Reason::Ready)));
        }
    }

    #[test]
    fn accounts_wait_for_the_wrapping_key() {
        let mut given = environment();
        given.neighbours.wrapping = None;
        assert_eq!((given.reason(), given.ready()), (Reason::WrappingKeyNotReady, Ready::Unknown(Reason::NotObserved)));
        given.neighbours.wrapping = Some(Err(Reason::KeyPendingDeletion));
        assert_eq!(given.ready(), Ready::False(Reason::WrappingKeyNotReady));
        assert!(given.plan().message.contains(Reason::KeyPendingDeletion.hint()));
    }

    #[test]
    fn trouble_with_one_issuer_does_not_hold_up_the_others() {
        let given = kept(wants(environment(), &["first", "second"])).fails(down());
        assert!(given.seen.record.trouble.is_none());
        let given = kept(given).hears(News::Registered(account("second")));
        let (reason, next) = given.rest();
        assert_eq!((reason, next), (Reason::AcmeUnreachable, Some(given.now + Span::seconds(15))));
        let Some(Share::Accounts(accounts, refused)) = Environment::share(&given.view()) else { panic!("it shares") };
        assert!(accounts.contains_key(&issuer("second")) && refused.contains_key(&issuer("first")));
        let given = given.rested();
        assert!(
            matches!(given.act(), Effect::Acme(AcmeEffect::Register { issuer: name, .. }) if name == issuer("first"))
        );
    }

    #[test]
    fn the_sooner_of_two_troubles_is_waited_for() {
        let given = kept(wants(environment(), &["first", "second"]));
        let given = kept(given.fails(down().retry(Retry::Never))).fails(down());
        assert_eq!(given.rest().1, Some(given.now + Span::seconds(15)));
    }

    #[test]
    fn registration_is_tried_again_more_and_more_slowly() {
        let mut given = kept(environment());
        for minutes in [1, 10, 60, 60] {
            given = given.fails(Failure::new(Reason::Refused, "no"));
            assert_eq!(given.rest().1, Some(given.now + Span::minutes(minutes)));
            given = given.rested();
        }
    }

    #[test]
    fn a_ca_that_is_away_is_asked_again_after_a_quarter_of_that_time_and_every_ten_minutes_at_most() {
        let mut given = kept(environment());
        let since = given.now;
        for _ in 0..30 {
            given = given.fails(down());
            let away = given.now.since(since);
            assert_eq!(given.rest().1, Some(given.now + knock(away, Span::minutes(10))), "away for {away}");
            given = given.rested();
        }
        assert!(given.now > since + Span::hours(1));
    }

    #[test]
    fn a_refusal_waits_for_a_changed_document_or_a_person_and_so_do_all_of_them() {
        let no = || Failure::new(Reason::AccountRefused, "terms").retry(Retry::Never).fix("agree");
        let given = kept(kept(wants(environment(), &["first", "second"])).fails(no())).fails(no());
        assert_eq!((given.rest(), given.plan().fix), ((Reason::AccountRefused, None), vec!["agree".to_owned()]));
        let given = given.changed(|_| {}).fails(no());
        assert!(
            matches!(given.act(), Effect::Acme(AcmeEffect::Register { issuer: name, .. }) if name == issuer("second"))
        );
        let given = given.fails(no()).asked();
        assert!(matches!(given.step(), Step::Act(_)));
    }

    #[test]
    fn an_issuer_that_stands_at_another_directory_gets_another_account() {
        let given = kept(environment()).hears(News::Registered(account("first"))).changed(|spec| {
            let Spec::Environment(spec) = spec else { panic!("an environment") };
            spec.issuers[0].acme.as_mut().unwrap().directory = "https://elsewhere.example/dir".to_owned();
        });
        assert!(matches!(given.act(), Effect::Acme(AcmeEffect::Register { .. })));
        assert_eq!(given.ready(), Ready::False(Reason::AccountPending));
    }

    #[test]
    fn an_environment_claims_namespaces_accounts_and_zone() {
        let given = kept(environment()).hears(News::Registered(account("first")));
        let kinds: Vec<_> = Environment::claims(&given.view()).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["namespace", "acme-account", "cloudflare-zone"]);
    }
}
