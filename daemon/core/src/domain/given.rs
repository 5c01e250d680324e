//! What tests begin with: one subject of one environment at one instant, and what it hears.

use std::sync::Arc;

use claviger_config::{
    DnsName, KeyAlgorithm, Kind, Moment, ObjectName, Reason, Span,
    desired::{Spec, Surroundings, Wanted},
    hostname::Origin,
};
use serde_json::json;

use super::{
    actor::Actor,
    certificate::Certificate,
    decide::plan,
    effect::{
        Account, AcmeEffect, Chain, EdgeCertificate, Effect, HostnameSeen, KeySeen, News, OrderSeen, OutletSeen, Query,
        RotationSeen, Sealed, SealedKey, Stage,
    },
    environment::Environment,
    failure::Failure,
    hostname::Hostname,
    key::Key,
    neighbours::Neighbours,
    noun::{Noun, Ready, Seen, View, Viewed},
    plan::{Plan, Step},
    record::{Ask, Record},
};

pub(crate) const ARN: &str = "arn:aws:kms:eu-west-1:222222222222:key/1";
pub(crate) const ALIAS: &str = "alias/claviger/staging/wrapping";
pub(crate) const ORDER: &str = "https://ca.example/order/1";

/// 2026-11-24T09:00:00Z.
pub(crate) const NOW: Moment = Moment(1_795_510_800_000);

/// A subject and all that its rules look at.
pub(crate) struct Given<N: Noun> {
    pub(crate) wanted: Wanted,
    pub(crate) seen: Seen<N>,
    pub(crate) neighbours: Neighbours,
    pub(crate) now: Moment,
}

impl<N: Noun> Given<N> {
    fn new(spec: Spec, name: &str) -> Self {
        let name = ObjectName {
            kind: N::KIND,
            namespace: (N::KIND != Kind::Environment).then(|| "staging".parse().unwrap()),
            name: name.parse().unwrap(),
        };
        let (environment, spec) = (Some(Arc::new(surroundings())), Arc::new(spec));
        let wanted = Wanted {
            name,
            environment,
            generation: 1,
            identity: None,
            spec,
            refusal: None,
            origin: Origin::Document,
            place: None,
        };
        let neighbours = Neighbours {
            wrapping: Some(Ok(ARN.to_owned())),
            accounts: ["first", "second"].into_iter().map(|name| (name.parse().unwrap(), account(name))).collect(),
            ..Neighbours::default()
        };
        Self { wanted, seen: Seen::new(Record::blank(7, NOW)), neighbours, now: NOW }
    }

    pub(crate) fn view(&self) -> View<'_, N> {
        let spec = N::spec(&self.wanted.spec).unwrap();
        View { spec, wanted: &self.wanted, seen: &self.seen, neighbours: &self.neighbours, now: self.now }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.view())
    }

    pub(crate) fn step(&self) -> Step {
        self.plan().step
    }

    pub(crate) fn reason(&self) -> Reason {
        self.plan().reason
    }

    pub(crate) fn ready(&self) -> Ready {
        N::ready(&self.view())
    }

    /// The effect that comes next.
    pub(crate) fn act(&self) -> Effect {
        match self.step() {
            Step::Act(effect) => effect,
            step => panic!("it acts next, and does not {}", step.word()),
        }
    }

    /// The question that comes next.
    pub(crate) fn look(&self) -> Query {
        match self.step() {
            Step::Look(query) => query,
            step => panic!("it asks next, and does not {}", step.word()),
        }
    }

    /// The rest that comes next: why and until when.
    pub(crate) fn rest(&self) -> (Reason, Option<Moment>) {
        let plan = self.plan();
        assert_eq!(plan.step, Step::Rest, "it rests next");
        (plan.reason, plan.next)
    }

    pub(crate) fn shown<T>(&self, with: impl FnOnce(&Viewed<'_, N>) -> T) -> T {
        let plan = self.plan();
        let spec = N::spec(&self.wanted.spec);
        with(&Viewed { spec, wanted: Some(&self.wanted), seen: &self.seen, plan: &plan, now: self.now })
    }

    /// Notes what comes next, as a pass does before it commits.
    pub(crate) fn noted(mut self) -> Self {
        let (plan, ready) = (self.plan(), self.ready());
        self.seen.note(&self.wanted, &plan, ready, self.now);
        self
    }

    fn heard(self, heard: Result<Option<News>, Failure>) -> Self {
        let step = self.step();
        let mut noted = self.noted();
        noted.seen.hear(&step, heard, noted.now).unwrap();
        noted
    }

    /// Takes the step that comes next; that is what came of it.
    pub(crate) fn hears(self, news: News) -> Self {
        self.heard(Ok(Some(news)))
    }

    /// Takes the step that comes next; it fails.
    pub(crate) fn fails(self, failure: Failure) -> Self {
        self.heard(Err(failure))
    }

    /// The far side says that what is recalled never happened.
    pub(crate) fn denies(self) -> Self {
        self.heard(Ok(None))
    }

    pub(crate) fn later(mut self, span: Span) -> Self {
        self.now = self.now + span;
        self
    }

    pub(crate) fn at(mut self, moment: Moment) -> Self {
        self.now = moment;
        self
    }

    /// Rests, and goes on at the instant that the rest named.
    pub(crate) fn rested(self) -> Self {
        let (_, next) = self.rest();
        self.noted().at(next.unwrap())
    }

    /// Dies and begins again with what is remembered.
    pub(crate) fn restarted(mut self) -> Self {
        let body = serde_json::to_string(&self.seen.record).unwrap();
        self.seen = Seen::new(serde_json::from_str(&body).unwrap());
        self
    }

    /// The document changes.
    pub(crate) fn changed(mut self, change: impl FnOnce(&mut Spec)) -> Self {
        self.wanted.generation += 1;
        change(Arc::make_mut(&mut self.wanted.spec));
        self
    }

    /// The environment's document changes.
    pub(crate) fn surrounded(mut self, change: impl FnOnce(&mut Surroundings)) -> Self {
        let mut surroundings = self.wanted.environment.as_deref().unwrap().clone();
        change(&mut surroundings);
        self.wanted.environment = Some(Arc::new(surroundings));
        self
    }

    /// A person asks.
    pub(crate) fn asked(mut self) -> Self {
        let (actor, reason) = (Actor::system(), "because".to_owned());
        self.seen.record.ask = Some(Ask { actor, reason, ticket: None, at: self.now, fresh: true });
        self
    }
}

/// The environment that everything lives in.
pub(crate) fn surroundings() -> Surroundings {
    let spec = serde_json::from_value(json!({
        "class": "non-production",
        "namespaces": ["staging"],
        "owner": "itops@example.com",
        "kms": {
            "accountId": "222222222222", "region": "eu-west-1", "aliasPrefix": "claviger/staging", "wrappingKey": "wrapping",
        },
        "zones": [{ "name": "example.com" }],
        "issuers": [
            { "name": "first", "trust": "public", "acme": { "directory": "https://first.example/dir" } },
            { "name": "second", "trust": "test", "acme": { "directory": "https://second.example/dir" } },
            { "name": "inner", "trust": "private", "authority": { "name": "issuing" } },
        ],
        "defaultIssuers": [{ "name": "first" }],
        "edge": { "cloudflare": {
            "zoneId": "023e105f4ecef8ad9ca31a8372d0c353",
            "apiToken": { "file": "token" },
            "target": "saas.example.com",
            "defaults": { "validation": "http", "minTlsVersion": "1.2" },
        } },
    }));
    Surroundings { name: "staging".parse().unwrap(), spec: spec.unwrap() }
}

pub(crate) fn account(issuer: &str) -> Account {
    Account {
        issuer: issuer.parse().unwrap(),
        directory: format!("https://{issuer}.example/dir"),
        url: format!("https://{issuer}.example/account/1"),
        key: Sealed("account".to_owned()),
        thumbprint: "thumbprint".to_owned(),
    }
}

pub(crate) fn environment() -> Given<Environment> {
    let mut given = Given::new(Spec::Environment(Box::new(surroundings().spec)), "staging");
    given.neighbours.accounts.clear();
    given.neighbours.demand = ["first".parse().unwrap()].into();
    given
}

/// The wrapping key of the environment.
pub(crate) fn key() -> Given<Key> {
    let spec = json!({ "purpose": "wrap", "rotation": { "period": "365d" } });
    Given::new(Spec::KmsKey(serde_json::from_value(spec).unwrap()), "wrapping")
}

pub(crate) fn key_seen() -> KeySeen {
    KeySeen {
        arn: ARN.to_owned(),
        state: claviger_config::key::KeyState::Enabled,
        spec: None,
        material: Some("material-1".to_owned()),
        created_at: Some(NOW),
        deletion_at: None,
        rotation: Some(RotationSeen { enabled: true, period: Some(Span::days(365)), next: None, last: None }),
        alias_target: Some(ARN.to_owned()),
        ours: true,
    }
}

/// A key that is as it should be.
pub(crate) fn key_in_order() -> Given<Key> {
    key().hears(News::Key(Some(Box::new(key_seen())))).hears(News::Key(Some(Box::new(key_seen()))))
}

/// Two names and one outlet without a hook.
pub(crate) fn certificate() -> Given<Certificate> {
    certificate_with(&["nginx"])
}

pub(crate) fn certificate_with(outlets: &[&str]) -> Given<Certificate> {
    let outlets: Vec<_> = outlets.iter().map(|name| json!({ "name": name, "files": { "directory": name } })).collect();
    let spec = json!({ "dnsNames": ["www.example.com", "api.example.com"], "outlets": outlets });
    Given::new(Spec::TlsCertificate(serde_json::from_value(spec).unwrap()), "web")
}

pub(crate) fn names(names: &[&str]) -> Vec<DnsName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(crate) fn sealed(key: &str, algorithm: KeyAlgorithm) -> SealedKey {
    SealedKey { key: Sealed(format!("wrapped {key}")), spki_sha256: key.to_owned(), algorithm }
}

/// A chain for a key, from `from`, for so many days.
pub(crate) fn chain(key: &str, from: Moment, days: i64) -> Chain {
    Chain {
        pem: "PEM".to_owned(),
        serial: format!("serial-{key}"),
        spki_sha256: key.to_owned(),
        fingerprint: format!("leaf-{key}"),
        names: names(&["api.example.com", "www.example.com"]),
        not_before: from,
        not_after: from + Span::days(days),
        renewal_id: Some(format!("id-{key}")),
    }
}

pub(crate) fn order(stage: Stage) -> OrderSeen {
    OrderSeen { url: ORDER.to_owned(), stage, ask_again: None, replaces: false }
}

/// Looks at outlets, which hold what they held.
pub(crate) fn glance(mut given: Given<Certificate>) -> Given<Certificate> {
    while let Step::Look(Query::Outlet { outlet }) = given.step() {
        let held = given.seen.facts.outlets.get(&outlet.name).cloned();
        let delivered = given.seen.record.memory.outlets.get(&outlet.name);
        let remembered = delivered
            .map_or(OutletSeen::Empty, |delivered| OutletSeen::Pair { fingerprint: delivered.fingerprint.clone() });
        given = given.hears(News::Outlet(outlet.name, held.unwrap_or(remembered)));
    }
    given
}

/// Carries a certificate from wherever it needs a key to what was issued for it.
pub(crate) fn issue(given: Given<Certificate>, key: &str, days: i64) -> Given<Certificate> {
    use super::effect::{KeyUse, Opened};
    let algorithm = if let Spec::TlsCertificate(spec) = &*given.wanted.spec { spec.key.algorithm } else { panic!() };
    let given = match given.act() {
        Effect::Kms(_) => given.hears(News::KeySealed(KeyUse::Certificate, sealed(key, algorithm))),
        _ => given,
    };
    let Effect::Acme(AcmeEffect::OpenOrder { issuer, names, profile, .. }) = given.act() else {
        panic!("an order is opened next")
    };
    let mut certificate = chain(key, given.now, days);
    certificate.names = names.clone();
    certificate.names.sort();
    given
        .hears(News::Opened(Box::new(Opened { issuer, names, profile, order: order(Stage::Ready) })))
        .hears(News::Order(Box::new(order(Stage::Valid))))
        .hears(News::Issued(Box::new(certificate)))
}

/// Delivers to every outlet that lacks it.
pub(crate) fn deliver(mut given: Given<Certificate>) -> Given<Certificate> {
    use super::effect::OutletEffect;
    while let Step::Act(Effect::Outlet(OutletEffect::Deliver { outlet, .. })) = given.step() {
        given = given.hears(News::Delivered(outlet.name));
    }
    given
}

/// A certificate that was issued for 90 days by a CA that offers no windows, and delivered just now.
pub(crate) fn serving() -> Given<Certificate> {
    serving_for(90, &["nginx"])
}

pub(crate) fn serving_for(days: i64, outlets: &[&str]) -> Given<Certificate> {
    let given = glance(certificate_with(outlets));
    deliver(issue(given, "key-1", days)).hears(News::Window(None)).noted()
}

/// A host name that is not at the edge yet.
pub(crate) fn hostname() -> Given<Hostname> {
    let spec = json!({ "hostname": "shop.customer.example", "tenant": "customer-gmbh" });
    Given::new(Spec::CustomHostname(serde_json::from_value(spec).unwrap()), "shop")
}

pub(crate) fn hostname_seen(status: &str, certificate: &str) -> HostnameSeen {
    HostnameSeen {
        id: "id-1".to_owned(),
        hostname: "shop.customer.example".to_owned(),
        status: status.to_owned(),
        certificate: Some(EdgeCertificate {
            status: certificate.to_owned(),
            method: Some("http".to_owned()),
            min_tls_version: Some("1.2".to_owned()),
            not_after: None,
            txt: Vec::new(),
            http: Vec::new(),
            errors: Vec::new(),
        }),
        ownership: None,
        errors: Vec::new(),
    }
}
