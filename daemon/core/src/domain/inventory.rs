//! Certificates that claviger did not issue: how they stand, who looks after them, and what two environments share.

use std::collections::BTreeMap;

use claviger_config::{
    EnvironmentName, Moment, Name, Namespace, ObjectName,
    admin::{DiscoveredCertificate, DiscoveredFinding, DiscoveredProblem, DiscoveredState, DiscoveredView},
};

/// A Secret that was discovered, and the environment that claims its namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// The environment.
    pub environment: EnvironmentName,
    /// The environment's owner.
    pub owner: String,
    /// The namespace.
    pub namespace: Namespace,
    /// The Secret.
    pub name: Name,
    /// What its metadata says.
    pub about: About,
    /// What was read of it.
    pub reading: Reading,
}

/// What the metadata of a Secret says of who looks after it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct About {
    /// `claviger.dev/owner`.
    pub owner: Option<String>,
    /// What keeps it.
    pub managed_by: Option<String>,
}

/// What is known of the certificate in a Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reading {
    /// The certificate.
    Certificate(Box<DiscoveredCertificate>),
    /// Nothing yet; when it was tried in vain: why.
    Unread(Option<String>),
    /// That it is none, and why.
    Unreadable(String),
}

/// The key of a certificate of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnKey {
    /// Its environment.
    pub environment: EnvironmentName,
    /// The certificate.
    pub object: ObjectName,
    /// SHA-256 over the SubjectPublicKeyInfo, lower hexadecimal.
    pub spki_sha256: String,
}

/// How a certificate stands. Nobody tells when it is to be renewed, so the last fifth of its life is late: whoever renews at two thirds
/// as we do, or at four fifths, is done before.
pub fn state(reading: &Reading, now: Moment) -> DiscoveredState {
    let certificate = match reading {
        Reading::Certificate(certificate) => certificate,
        Reading::Unread(_) => return DiscoveredState::Unread,
        Reading::Unreadable(_) => return DiscoveredState::Unreadable,
    };
    let (begins, ends) = (certificate.not_before, certificate.not_after);
    let left = i128::from(ends.0) - i128::from(now.0);
    let life = i128::from(ends.0) - i128::from(begins.0);
    match () {
        () if left <= 0 => DiscoveredState::Expired,
        () if now < begins => DiscoveredState::NotYetValid,
        () if left * 5 <= life => DiscoveredState::Expiring,
        () => DiscoveredState::Valid,
    }
}

/// Everything that was discovered, what ends first in front; what has no known end comes last.
pub fn inventory(found: &[Discovered], ours: &[OwnKey], now: Moment) -> Vec<DiscoveredView> {
    let keys = Keys::of(found, ours);
    let mut views: Vec<DiscoveredView> = found.iter().map(|one| view(one, &keys, now)).collect();
    views.sort_by_cached_key(|view| {
        let ends = view.certificate.as_ref().map_or(Moment::MAX, |certificate| certificate.not_after);
        (ends, view.environment.clone(), view.namespace.clone(), view.name.clone())
    });
    views
}

fn view(one: &Discovered, keys: &Keys<'_>, now: Moment) -> DiscoveredView {
    let certificate = match &one.reading {
        Reading::Certificate(certificate) => Some((**certificate).clone()),
        Reading::Unread(_) | Reading::Unreadable(_) => None,
    };
    let findings = [unread(one), keys.shared(one), unowned(one)];
    DiscoveredView {
        environment: one.environment.clone(),
        namespace: one.namespace.clone(),
        name: one.name.clone(),
        owner: one.about.owner.clone().unwrap_or_else(|| one.owner.clone()),
        managed_by: one.about.managed_by.clone(),
        state: state(&one.reading, now),
        certificate,
        findings: findings.into_iter().flatten().collect(),
    }
}

fn unread(one: &Discovered) -> Option<DiscoveredFinding> {
    let (name, message, fix) = match &one.reading {
        Reading::Certificate(_) | Reading::Unread(None) => return None,
        Reading::Unread(Some(why)) => {
            let fix = format!(
                "give clavigerd's ServiceAccount `get` on Secrets in `{}`; the chart's Roles have it",
                one.namespace
            );
            (DiscoveredProblem::Unread, format!("it could not be read: {why}"), fix)
        }
        Reading::Unreadable(why) => {
            let fix = format!("look at it: kubectl --namespace {} get secret {} -o yaml", one.namespace, one.name);
            (DiscoveredProblem::Unreadable, format!("`tls.crt` holds no certificate: {why}"), fix)
        }
    };
    Some(DiscoveredFinding { name, message, fix })
}

fn unowned(one: &Discovered) -> Option<DiscoveredFinding> {
    if one.about.owner.is_some() || one.about.managed_by.is_some() {
        return None;
    }
    let message = format!(
        "nobody is named who looks after it, and nothing keeps it: `{}` owns the environment `{}`",
        one.owner, one.environment
    );
    let fix = format!(
        "kubectl --namespace {} annotate secret {} claviger.dev/owner=SOMEBODY, or let a TlsCertificate take its place",
        one.namespace, one.name
    );
    Some(DiscoveredFinding { name: DiscoveredProblem::Unowned, message, fix })
}

/// Who has a key, by the key: the environment and a name for people.
struct Keys<'a>(BTreeMap<&'a str, Vec<(&'a EnvironmentName, String)>>);

impl<'a> Keys<'a> {
    fn of(found: &'a [Discovered], ours: &'a [OwnKey]) -> Self {
        let mut holders: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for own in ours {
            holders.entry(&own.spki_sha256).or_default().push((&own.environment, own.object.to_string()));
        }
        for one in found {
            if let Reading::Certificate(certificate) = &one.reading {
                let name = format!("Secret/{}/{}", one.namespace, one.name);
                holders.entry(&certificate.spki_sha256).or_default().push((&one.environment, name));
            }
        }
        Self(holders)
    }

    /// The same private key in two environments: whoever has the one has the other.
    fn shared(&self, one: &Discovered) -> Option<DiscoveredFinding> {
        let Reading::Certificate(certificate) = &one.reading else { return None };
        let holders = self.0.get(certificate.spki_sha256.as_str())?;
        let (environment, other) = holders.iter().find(|(environment, _)| **environment != one.environment)?;
        let message = format!(
            "its private key is also that of `{other}` of the environment `{environment}`: whoever holds one holds both"
        );
        let fix = format!(
            "let each environment have a certificate with a key of its own, then delete the secret `{}/{}`",
            one.namespace, one.name
        );
        Some(DiscoveredFinding { name: DiscoveredProblem::KeyShared, message, fix })
    }
}

#[cfg(test)]
mod tests {
    use claviger_config::{Kind, Span};

    use super::*;

    const NOW: Moment = Moment(1_795_000_000_000);

    fn certificate(key: &str, age: i64, life: i64) -> Reading {
        let not_before = NOW - Span::days(age);
        Reading::Certificate(Box::new(DiscoveredCertificate {
            names: vec!["shop.example.com".to_owned()],
            issuer: "CN=somebody".to_owned(),
            serial: "01".to_owned(),
            spki_sha256: key.to_owned(),
            not_before,
            not_after: not_before + Span::days(life),
        }))
    }

    fn found(environment: &str, name: &str, reading: Reading) -> Discovered {
        Discovered {
            environment: environment.parse().unwrap(),
            owner: "itops@example.com".to_owned(),
            namespace: environment.parse().unwrap(),
            name: name.parse().unwrap(),
            about: About::default(),
            reading,
        }
    }

    fn problems(view: &DiscoveredView) -> Vec<DiscoveredProblem> {
        view.findings.iter().map(|finding| finding.name).collect()
    }

    #[test]
    fn the_last_fifth_of_a_life_is_late_however_long_it_is() {
        for (age, life, expected) in [
            (71, 90, DiscoveredState::Valid),
            (72, 90, DiscoveredState::Expiring),
            (4, 6, DiscoveredState::Valid),
            (5, 6, DiscoveredState::Expiring),
            (291, 365, DiscoveredState::Valid),
            (292, 365, DiscoveredState::Expiring),
            (90, 90, DiscoveredState::Expired),
            (-1, 90, DiscoveredState::NotYetValid),
            (0, 0, DiscoveredState::Expired),
        ] {
            assert_eq!(state(&certificate("a", age, life), NOW), expected, "day {age} of {life}");
        }
        assert_eq!(state(&Reading::Unread(None), NOW), DiscoveredState::Unread);
        assert_eq!(state(&Reading::Unreadable(String::new()), NOW), DiscoveredState::Unreadable);
    }

    #[test]
    fn an_end_beyond_all_time_is_no_fault() {
        let Reading::Certificate(mut endless) = certificate("a", 1, 90) else { panic!() };
        (endless.not_before, endless.not_after) = (Moment(-Moment::MAX.0), Moment::MAX);
        assert_eq!(state(&Reading::Certificate(endless), NOW), DiscoveredState::Valid);
    }

    #[test]
    fn what_ends_first_stands_first_and_what_is_unknown_last() {
        let all = [
            found("staging", "unknown", Reading::Unread(None)),
            found("staging", "late", certificate("a", 80, 90)),
            found("staging", "fresh", certificate("b", 1, 90)),
        ];
        let names: Vec<String> = inventory(&all, &[], NOW).iter().map(|view| view.name.to_string()).collect();
        assert_eq!(names, ["late", "fresh", "unknown"]);
    }

    #[test]
    fn nobody_is_named_only_where_neither_owner_nor_keeper_is() {
        let mut all = [0, 1, 2].map(|number| found("staging", &format!("s{number}"), certificate("a", number, 90)));
        all[1].about.owner = Some("shop@example.com".to_owned());
        all[2].about.managed_by = Some("Certificate/shop".to_owned());
        let views = inventory(&all, &[], NOW);
        let told: Vec<_> = views.iter().map(|view| (view.owner.as_str(), problems(view))).collect();
        let (unowned, itops) = (vec![DiscoveredProblem::Unowned], "itops@example.com");
        assert_eq!(told, [(itops, vec![]), ("shop@example.com", vec![]), (itops, unowned)]);
    }

    #[test]
    fn a_key_that_two_environments_share_is_told_with_both_names_and_a_copy_within_one_is_not() {
        let all = [
            found("staging", "copy", certificate("a", 1, 90)),
            found("staging", "again", certificate("a", 1, 90)),
            found("production", "shop", certificate("a", 1, 90)),
            found("production", "own", certificate("b", 1, 90)),
        ];
        let ours = OwnKey {
            environment: "staging".parse().unwrap(),
            object: ObjectName {
                kind: Kind::TlsCertificate,
                namespace: Some("staging".parse().unwrap()),
                name: "web".parse().unwrap(),
            },
            spki_sha256: "b".to_owned(),
        };
        let views = inventory(&all, &[ours], NOW);
        let shared = |name: &str| {
            let view = views.iter().find(|view| view.name.as_str() == name).unwrap();
            view.findings.iter().find(|finding| finding.name == DiscoveredProblem::KeyShared)
        };
        assert!(shared("copy").unwrap().message.contains("`Secret/production/shop` of the environment `production`"));
        assert!(shared("own").unwrap().message.contains("`TlsCertificate/staging/web` of the environment `staging`"));
        assert!(inventory(&all[..2], &[], NOW).iter().all(|view| problems(view) == [DiscoveredProblem::Unowned]));
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let none = found("staging", "none", Reading::Unreadable("there is no block".to_owned()));
        let denied = found("staging", "denied", Reading::Unread(Some("403".to_owned())));
        let views = inventory(&[none, denied], &[], NOW);
        assert!(views[0].findings[0].message.contains("403"), "{:?}", views[0]);
        assert!(views[1].findings[0].message.contains("there is no block"), "{:?}", views[1]);
    }
}
