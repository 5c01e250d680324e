//! The outside as simple models on virtual time: an ACME CA, KMS, the edge with its customers, outlets, the vault and the store.
//!
//! They promise what the ports promise and no more: a CA checks before it issues, KMS shows late, the edge gives up on a customer
//! who does not come, the store refuses a stale version and a claim that another environment holds.

use std::collections::{BTreeMap, BTreeSet};

use claviger_config::{
    DnsName, EnvironmentName, KeyAlgorithm, Moment, ObjectName, Reason, Span,
    key::{KeySpec, KeyState},
};
use claviger_core::{
    domain::{
        effect::{
            Chain, EdgeCertificate, EdgeSettings, HostnameSeen, KeySeen, OrderSeen, OutletSeen, RotationSeen, Sealed,
            SealedKey, Stage,
        },
        failure::{Failure, Retry},
    },
    ports::{Commit, Version},
};

/// Everything outside.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) orders: BTreeMap<String, Order>,
    pub(crate) accounts: BTreeMap<(String, String), String>,
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) aliases: BTreeMap<String, (String, Moment)>,
    pub(crate) private_keys: u64,
    pub(crate) hostnames: BTreeMap<DnsName, Hostname>,
    /// When customers point their names at us.
    pub(crate) customers: BTreeMap<DnsName, Moment>,
    pub(crate) outlets: BTreeMap<(ObjectName, String), Pair>,
    /// Outlets that take nothing.
    pub(crate) broken: BTreeSet<String>,
    pub(crate) vault: BTreeMap<(EnvironmentName, String), Sealed>,
    pub(crate) store: BTreeMap<ObjectName, Row>,
    /// How long KMS shows what was just made or changed as it was before.
    pub(crate) late: Option<Span>,
    /// Issuers that do not answer, and until when.
    pub(crate) away: BTreeMap<String, (Moment, Moment)>,
    pub(crate) commits: u64,
    /// What ran out before it was replaced.
    pub(crate) lapsed: Vec<String>,
    /// When each order was opened.
    pub(crate) opened: Vec<Moment>,
}

pub(crate) struct Order {
    pub(crate) issuer: String,
    pub(crate) names: Vec<DnsName>,
    pub(crate) days: i64,
    pub(crate) since: Moment,
    pub(crate) stage: Progress,
    pub(crate) spki: Option<String>,
    pub(crate) chain: Option<Chain>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    Pending,
    Checking,
    Ready,
    Issuing,
    Valid,
}

pub(crate) struct Key {
    pub(crate) intent: String,
    pub(crate) object: ObjectName,
    pub(crate) state: KeyState,
    pub(crate) since: Moment,
    pub(crate) rotation: Option<(Span, Moment)>,
}

pub(crate) struct Hostname {
    pub(crate) id: String,
    pub(crate) settings: EdgeSettings,
    pub(crate) since: Moment,
    pub(crate) served: Option<Moment>,
}

pub(crate) struct Pair {
    pub(crate) chain: Chain,
    pub(crate) key: Sealed,
}

pub(crate) struct Row {
    pub(crate) body: String,
    pub(crate) version: u64,
    pub(crate) environment: Option<EnvironmentName>,
    pub(crate) claims: Vec<(&'static str, String)>,
}

/// How long the edge tries before it gives up on a customer: seven days.
const EDGE_PATIENCE: Span = Span::days(7);

fn down(reason: Reason) -> Failure {
    Failure::new(reason, "it does not answer")
}

impl Model {
    // ---- the CA

    pub(crate) fn reachable(&self, issuer: &str, now: Moment) -> Result<(), Failure> {
        match self.away.get(issuer) {
            Some((from, to)) if (*from..*to).contains(&now) => Err(down(Reason::AcmeUnreachable)),
            _ => Ok(()),
        }
    }

    pub(crate) fn register(&mut self, issuer: &str, key: &Sealed) -> String {
        let url = format!("https://{issuer}.example/account/{}", self.accounts.len() + 1);
        self.accounts.entry((issuer.to_owned(), key.0.clone())).or_insert(url).clone()
    }

    pub(crate) fn open(&mut self, issuer: &str, names: &[DnsName], profile: Option<&str>, now: Moment) -> OrderSeen {
        let url = format!("https://{issuer}.example/order/{}", self.orders.len() + 1);
        let days = if profile == Some("shortlived") { 6 } else { 90 };
        let (issuer, names) = (issuer.to_owned(), names.to_vec());
        let order = Order { issuer, names, days, since: now, stage: Progress::Pending, spki: None, chain: None };
        self.orders.insert(url.clone(), order);
        self.opened.push(now);
        self.order(&url, now)
    }

    pub(crate) fn order(&mut self, url: &str, now: Moment) -> OrderSeen {
        let gone = OrderSeen { url: url.to_owned(), stage: Stage::Gone, ask_again: None, replaces: false };
        let Some(order) = self.orders.get_mut(url) else { return gone };
        if order.chain.is_none() && order.since + Span::days(7) <= now {
            return gone;
        }
        match order.stage {
            Progress::Checking if order.since + Span::seconds(5) <= now => order.stage = Progress::Ready,
            Progress::Issuing if order.since + Span::seconds(4) <= now => order.issue(url, now),
            _ => {}
        }
        let stage = match order.stage {
            Progress::Pending => Stage::Pending { unanswered: u32::try_from(order.names.len()).unwrap() },
            Progress::Checking => Stage::Pending { unanswered: 0 },
            Progress::Ready => Stage::Ready,
            Progress::Issuing => Stage::Processing,
            Progress::Valid => Stage::Valid,
        };
        OrderSeen { stage, ..gone }
    }

    pub(crate) fn answer(&mut self, url: &str, now: Moment) {
        if let Some(order) = self.orders.get_mut(url).filter(|order| order.stage == Progress::Pending) {
            (order.stage, order.since) = (Progress::Checking, now);
        }
    }

    pub(crate) fn finalize(&mut self, url: &str, key: &Sealed, now: Moment) -> OrderSeen {
        if let Some(order) = self.orders.get_mut(url).filter(|order| order.stage == Progress::Ready) {
            (order.stage, order.since, order.spki) = (Progress::Issuing, now, Some(spki(key)));
        }
        self.order(url, now)
    }

    pub(crate) fn certificate(&self, url: &str, expected: &str) -> Result<Chain, Failure> {
        let chain = self.orders.get(url).and_then(|order| order.chain.clone());
        let chain = chain.filter(|chain| chain.spki_sha256 == expected);
        chain.ok_or_else(|| Failure::new(Reason::WrongCertificate, "it is for another key"))
    }

    // ---- keys

    pub(crate) fn seal(&mut self, algorithm: KeyAlgorithm) -> SealedKey {
        self.private_keys += 1;
        let key = Sealed(format!("wrapped key-{}", self.private_keys));
        SealedKey { spki_sha256: spki(&key), key, algorithm }
    }

    pub(crate) fn create_key(&mut self, object: &ObjectName, intent: &str, _spec: KeySpec, now: Moment) -> String {
        let arn = format!("arn:aws:kms:eu-west-1:222222222222:key/{}", self.keys.len() + 1);
        let (intent, object) = (intent.to_owned(), object.clone());
        self.keys.insert(arn.clone(), Key { intent, object, state: KeyState::Enabled, since: now, rotation: None });
        arn
    }

    fn shown(&self, since: Moment, now: Moment) -> bool {
        self.late.is_none_or(|late| since + late <= now)
    }

    pub(crate) fn find_by_intent(&self, intent: &str, now: Moment) -> Option<String> {
        let found = self.keys.iter().find(|(_, key)| key.intent == intent && self.shown(key.since, now));
        found.map(|(arn, _)| arn.clone())
    }

    pub(crate) fn find_by_object(&self, object: &ObjectName, alias: &str, now: Moment) -> Option<KeySeen> {
        let found = self.keys.iter().find(|(_, key)| key.object == *object && self.shown(key.since, now));
        found.and_then(|(arn, _)| self.read_key(arn, alias, object, now))
    }

    pub(crate) fn read_key(&self, arn: &str, alias: &str, object: &ObjectName, now: Moment) -> Option<KeySeen> {
        let key = self.keys.get(arn).filter(|key| self.shown(key.since, now))?;
        let set = key.rotation.filter(|(_, at)| self.shown(*at, now));
        let alias = self.aliases.get(alias).filter(|(_, at)| self.shown(*at, now));
        Some(KeySeen {
            arn: arn.to_owned(),
            state: key.state,
            spec: None,
            material: Some(format!("material of {arn}")),
            created_at: Some(key.since),
            deletion_at: None,
            rotation: Some(RotationSeen {
                enabled: set.is_some(),
                period: set.map(|(period, _)| period),
                next: None,
                last: None,
            }),
            alias_target: alias.map(|(arn, _)| arn.clone()),
            ours: key.object == *object,
        })
    }

    // ---- the edge

    pub(crate) fn create_hostname(&mut self, name: &DnsName, settings: EdgeSettings, now: Moment) -> HostnameSeen {
        let id = format!("id-{}", self.hostnames.len() + 1);
        self.hostnames.entry(name.clone()).or_insert(Hostname { id, settings, since: now, served: None });
        self.hostname(name, now).unwrap()
    }

    pub(crate) fn update_hostname(&mut self, name: &DnsName, settings: EdgeSettings, now: Moment) -> HostnameSeen {
        let hostname = self.hostnames.get_mut(name).unwrap();
        hostname.settings = settings;
        if hostname.served.is_none() {
            hostname.since = now; // any change starts validation again
        }
        self.hostname(name, now).unwrap()
    }

    pub(crate) fn hostname(&mut self, name: &DnsName, now: Moment) -> Option<HostnameSeen> {
        let points = self.points(name, now);
        let hostname = self.hostnames.get_mut(name)?;
        let tried = hostname.since + Span::minutes(2) <= now && now < hostname.since + EDGE_PATIENCE;
        if points && tried && hostname.served.is_none() {
            hostname.served = Some(now);
        }
        let gave_up = hostname.served.is_none() && hostname.since + EDGE_PATIENCE <= now;
        let (status, certificate) = match hostname.served {
            Some(_) => ("active", "active"),
            None if gave_up => ("pending", "validation_timed_out"),
            None => ("pending", "pending_validation"),
        };
        Some(HostnameSeen {
            id: hostname.id.clone(),
            hostname: name.to_string(),
            status: status.to_owned(),
            certificate: Some(EdgeCertificate {
                status: certificate.to_owned(),
                method: Some(hostname.settings.validation.word().to_owned()),
                min_tls_version: hostname.settings.min_tls_version.map(|version| version.word().to_owned()),
                // The edge renews by itself, every thirty days.
                not_after: hostname.served.map(|_| Moment(now.0 - now.0.rem_euclid(Span::days(30).0)) + Span::days(90)),
                txt: Vec::new(),
                http: Vec::new(),
                errors: Vec::new(),
            }),
            ownership: None,
            errors: Vec::new(),
        })
    }

    pub(crate) fn points(&self, name: &DnsName, now: Moment) -> bool {
        self.customers.get(name).is_some_and(|since| *since <= now)
    }

    // ---- outlets

    pub(crate) fn outlet(&self, object: &ObjectName, outlet: &str) -> Result<OutletSeen, Failure> {
        self.writable(outlet)?;
        let pair = self.outlets.get(&(object.clone(), outlet.to_owned()));
        Ok(pair.map_or(OutletSeen::Empty, |pair| OutletSeen::Pair { fingerprint: pair.chain.fingerprint.clone() }))
    }

    pub(crate) fn deliver(
        &mut self,
        object: &ObjectName,
        outlet: &str,
        key: &Sealed,
        chain: &Chain,
        now: Moment,
    ) -> Result<(), Failure> {
        self.writable(outlet)?;
        assert_eq!(spki(key), chain.spki_sha256, "key and chain that belong together are delivered");
        let pair = Pair { chain: chain.clone(), key: key.clone() };
        let before = self.outlets.insert((object.clone(), outlet.to_owned()), pair);
        if let Some(before) = before.filter(|before| before.chain.not_after <= now) {
            self.lapsed.push(format!("{object} in {outlet} lapsed on {}", before.chain.not_after));
        }
        Ok(())
    }

    fn writable(&self, outlet: &str) -> Result<(), Failure> {
        let broken = self.broken.contains(outlet);
        if broken { Err(Failure::new(Reason::DeliveryFailed, "no space left")) } else { Ok(()) }
    }

    // ---- the store

    pub(crate) fn commit(&mut self, commit: &Commit<'_>) -> Result<Version, Failure> {
        let version = self.store.get(commit.name).map(|row| row.version);
        if version != commit.expected.map(|version| version.0) {
            return Err(Failure::new(Reason::StoreFailed, "a stale version"));
        }
        let held = |claim: &&(&'static str, String)| {
            self.store.values().any(|row| row.environment.as_ref() != commit.environment && row.claims.contains(claim))
        };
        if let Some((kind, value)) = commit.claims.iter().find(held) {
            let message = format!("another environment holds {kind} `{value}`");
            return Err(Failure::new(Reason::ClaimedElsewhere, message).retry(Retry::Never));
        }
        let version = version.unwrap_or(0) + 1;
        let (body, environment) = (commit.body.to_owned(), commit.environment.cloned());
        let row = Row { body, version, environment, claims: commit.claims.to_vec() };
        self.store.insert(commit.name.clone(), row);
        self.commits += 1;
        Ok(Version(version))
    }

    // ---- what is counted

    pub(crate) fn issued(&self) -> usize {
        self.orders.values().filter(|order| order.chain.is_some()).count()
    }

    /// What is out of service now.
    pub(crate) fn out_of_service(&self, now: Moment) -> Vec<String> {
        let late = self.outlets.iter().filter(|(_, pair)| pair.chain.not_after <= now);
        late.map(|((object, outlet), _)| format!("{object} in {outlet}")).collect()
    }
}

impl Order {
    fn issue(&mut self, url: &str, now: Moment) {
        let Some(spki) = self.spki.clone() else { return };
        let mut names = self.names.clone();
        names.sort();
        self.stage = Progress::Valid;
        self.chain = Some(Chain {
            pem: "PEM".to_owned(),
            serial: url.to_owned(),
            spki_sha256: spki,
            fingerprint: format!("leaf of {url}"),
            names,
            not_before: now,
            not_after: now + Span::days(self.days),
            renewal_id: Some(url.to_owned()),
        });
    }
}

/// The public half of a wrapped key.
pub(crate) fn spki(key: &Sealed) -> String {
    key.0.replace("wrapped ", "spki of ")
}
