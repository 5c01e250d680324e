//! From annotations and places to certificates: a plain decision, the same for an Ingress and a Gateway.

use std::collections::{BTreeMap, BTreeSet};

use claviger_config::{
    DnsName, IssuerName, Name,
    certificate::{IssuerChoice, KeyAlgorithm},
};
use serde_json::{Value, json};

/// The annotation that asks for certificates: `"true"`.
pub(super) const ISSUE: &str = "claviger.dev/issue";
/// Names of issuers of the environment, in order, with commas between them.
const ISSUERS: &str = "claviger.dev/issuers";
/// The profile that each of these issuers is asked for.
const PROFILE: &str = "claviger.dev/profile";
/// The word of `spec.key.algorithm`.
const KEY_ALGORITHM: &str = "claviger.dev/key-algorithm";

const ANNOTATIONS: [&str; 4] = [ISSUE, ISSUERS, PROFILE, KEY_ALGORITHM];

/// As many as a TlsCertificate may have.
const MOST_NAMES: usize = 100;
const MOST_ISSUERS: usize = 16;
const LONGEST_PROFILE: usize = 63;

/// An object that carries [`ISSUE`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Request {
    /// Which object.
    pub(super) asker: Asker,
    /// All its annotations.
    pub(super) annotations: BTreeMap<String, String>,
    /// Where it names a Secret.
    pub(super) places: Vec<Place>,
    /// What in it cannot be served.
    pub(super) wrong: Vec<String>,
}

/// The object that asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Asker {
    /// `networking.k8s.io/v1`, for example.
    pub(super) api_version: &'static str,
    /// `Ingress` or `Gateway`.
    pub(super) kind: &'static str,
    /// Its namespace, which is that of its Secrets.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Another object of the same name has another one.
    pub(super) uid: String,
}

/// A Secret and the hosts that are served with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// Where it stands, `spec.tls[0]` for example.
    pub(super) path: String,
    /// The name of the Secret.
    pub(super) secret: String,
    /// The hosts.
    pub(super) hosts: Vec<String>,
}

/// What it comes to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Asked {
    /// One for each Secret.
    pub(super) certificates: Vec<Wanted>,
    /// What a person must mend; each a clause.
    pub(super) wrong: Vec<String>,
}

/// A certificate that is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    /// The name of the Secret, and of the TlsCertificate.
    pub(super) secret: Name,
    /// Every host that is served with it, in the order of the object.
    pub(super) names: Vec<DnsName>,
    /// Absent: the environment's.
    issuers: Vec<IssuerChoice>,
    /// Absent: the default.
    algorithm: Option<KeyAlgorithm>,
}

impl Wanted {
    /// As `spec`, with the fields alone that are asked for.
    pub(super) fn spec(&self) -> Value {
        let outlet = json!({ "name": OUTLET, "secret": { "name": self.secret } });
        let mut spec = json!({ "dnsNames": self.names, "outlets": [outlet] });
        if !self.issuers.is_empty() {
            spec["issuers"] = json!(self.issuers);
        }
        if let Some(algorithm) = self.algorithm {
            spec["key"] = json!({ "algorithm": algorithm });
        }
        spec
    }
}

/// How status names the outlet.
const OUTLET: &str = "secret";

/// Whether these annotations speak to us at all.
pub(super) fn asks(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(ISSUE).is_some_and(|word| word != "false")
}

/// What an object asks for. With a wrong annotation nothing is: a certificate of another kind than meant helps nobody.
pub(super) fn asked(request: &Request) -> Asked {
    let mut wrong = unknown(&request.annotations);
    let wishes = wishes(&request.annotations, &mut wrong);
    wrong.extend(request.wrong.iter().cloned());
    let Some((issuers, algorithm)) = wishes else { return Asked { certificates: Vec::new(), wrong } };
    let mut certificates = Vec::new();
    for (secret, places) in by_secret(&request.places) {
        match names(secret, &places) {
            Ok((secret, names)) => {
                certificates.push(Wanted { secret, names, issuers: issuers.clone(), algorithm });
            }
            Err(why) => wrong.extend(why),
        }
    }
    if certificates.is_empty() && wrong.is_empty() {
        wrong.push(format!("`{ISSUE}` asks for nothing: no Secret is named together with a host"));
    }
    Asked { certificates, wrong }
}

/// A typo would be silent otherwise.
fn unknown(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let ours = annotations.keys().filter(|key| key.starts_with("claviger.dev/"));
    let unknown = ours.filter(|key| !ANNOTATIONS.contains(&key.as_str()));
    unknown.map(|key| format!("unknown annotation `{key}`, accepted: `{}`", ANNOTATIONS.join("`, `"))).collect()
}

type Wishes = (Vec<IssuerChoice>, Option<KeyAlgorithm>);

fn wishes(annotations: &BTreeMap<String, String>, wrong: &mut Vec<String>) -> Option<Wishes> {
    let before = wrong.len();
    if let Some(word) = annotations.get(ISSUE).filter(|word| *word != "true") {
        wrong.push(refused(ISSUE, word, "`true` or `false`"));
    }
    let profile = profile(annotations, wrong);
    let issuers = issuers(annotations, profile, wrong);
    let algorithm = annotations.get(KEY_ALGORITHM).and_then(|word| {
        let found = KeyAlgorithm::ALL.into_iter().find(|algorithm| algorithm.word() == word);
        if found.is_none() {
            let words = KeyAlgorithm::ALL.map(KeyAlgorithm::word).join("`, `");
            wrong.push(refused(KEY_ALGORITHM, word, &format!("`{words}`")));
        }
        found
    });
    (wrong.len() == before).then_some((issuers, algorithm))
}

fn profile(annotations: &BTreeMap<String, String>, wrong: &mut Vec<String>) -> Option<String> {
    let word = annotations.get(PROFILE)?;
    if word.is_empty() || word.chars().count() > LONGEST_PROFILE {
        wrong.push(refused(PROFILE, word, &format!("1 to {LONGEST_PROFILE} characters")));
    }
    if !annotations.contains_key(ISSUERS) {
        wrong.push(format!("`{PROFILE}` needs `{ISSUERS}`: a profile belongs to an issuer"));
    }
    Some(word.clone())
}

fn issuers(
    annotations: &BTreeMap<String, String>,
    profile: Option<String>,
    wrong: &mut Vec<String>,
) -> Vec<IssuerChoice> {
    let Some(text) = annotations.get(ISSUERS) else { return Vec::new() };
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut seen = BTreeSet::new();
    if words.len() > MOST_ISSUERS || !words.iter().all(|word| seen.insert(*word)) {
        wrong.push(refused(ISSUERS, text, &format!("at most {MOST_ISSUERS} names, each once")));
    }
    let mut choice = |word: &&str| match word.parse::<IssuerName>() {
        Ok(name) => Some(IssuerChoice { name, profile: profile.clone() }),
        Err(bad) => {
            wrong.push(refused(
                ISSUERS,
                word,
                &format!("names of issuers with commas between them, each {}", bad.accepted),
            ));
            None
        }
    };
    words.iter().filter_map(&mut choice).collect()
}

fn refused(annotation: &str, found: &str, accepted: &str) -> String {
    let found: String = found.chars().take(MOST_SHOWN).collect();
    format!("annotation `{annotation}`: found `{found}`, accepted: {accepted}")
}

const MOST_SHOWN: usize = 100;

/// In the order in which they are named first; a place without a Secret or without hosts is the owner's own business.
fn by_secret(places: &[Place]) -> Vec<(&str, Vec<&Place>)> {
    let mut found: Vec<(&str, Vec<&Place>)> = Vec::new();
    for place in places.iter().filter(|place| !place.secret.is_empty() && !place.hosts.is_empty()) {
        match found.iter_mut().find(|(secret, _)| *secret == place.secret) {
            Some((_, together)) => together.push(place),
            None => found.push((&place.secret, vec![place])),
        }
    }
    found
}

/// All or none: a certificate that lacks a host would be taken for whole.
fn names(secret: &str, places: &[&Place]) -> Result<(Name, Vec<DnsName>), Vec<String>> {
    let (mut names, mut wrong): (Vec<DnsName>, _) = (Vec::new(), Vec::new());
    for place in places {
        for host in &place.hosts {
            match host.parse::<DnsName>() {
                Ok(name) if names.contains(&name) => {}
                Ok(name) => names.push(name),
                Err(bad) => wrong.push(format!("{}: found the host `{host}`, accepted: {}", place.path, bad.accepted)),
            }
        }
    }
    if names.len() > MOST_NAMES {
        let count = names.len();
        wrong.push(format!("the Secret `{secret}` is named with {count} hosts, accepted are at most {MOST_NAMES}"));
    }
    let secret = secret
        .parse::<Name>()
        .map_err(|bad| vec![format!("{}: found the Secret `{secret}`, accepted: {}", places[0].path, bad.accepted)])?;
    if wrong.is_empty() { Ok((secret, names)) } else { Err(wrong) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn annotations(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let all = [&[(ISSUE, "true")], more].concat();
        all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn place(number: usize, secret: &str, hosts: &[&str]) -> Place {
        let hosts = hosts.iter().map(ToString::to_string).collect();
        Place { path: format!("spec.tls[{number}]"), secret: secret.to_owned(), hosts }
    }

    fn request(more: &[(&str, &str)], places: Vec<Place>) -> Request {
        let text = |text: &str| text.to_owned();
        let (namespace, name, uid) = (text("staging"), text("web"), text("1"));
        let asker = Asker { api_version: "networking.k8s.io/v1", kind: "Ingress", namespace, name, uid };
        Request { asker, annotations: annotations(more), places, wrong: Vec::new() }
    }

    fn specs(request: &Request) -> Vec<Value> {
        let asked = asked(request);
        assert_eq!(asked.wrong, Vec::<String>::new());
        asked.certificates.iter().map(Wanted::spec).collect()
    }

    fn wrong(more: &[(&str, &str)], places: Vec<Place>) -> String {
        asked(&request(more, places)).wrong.join("; ")
    }

    #[test]
    fn each_secret_gets_one_certificate_with_every_host_once() {
        let places = vec![
            place(0, "b", &["b.example.com", "B.example.com"]),
            place(1, "a", &["a.example.com"]),
            place(2, "b", &["c.example.com", "b.example.com"]),
        ];
        let outlet = |name: &str| json!([{ "name": "secret", "secret": { "name": name } }]);
        let wanted = [
            json!({ "dnsNames": ["b.example.com", "c.example.com"], "outlets": outlet("b") }),
            json!({ "dnsNames": ["a.example.com"], "outlets": outlet("a") }),
        ];
        assert_eq!(specs(&request(&[], places)), wanted);
    }

    #[test]
    fn issuers_profile_and_kind_of_key_are_taken_over() {
        let more = [(ISSUERS, "first, second"), (PROFILE, "short"), (KEY_ALGORITHM, "rsa-3072")];
        let spec = &specs(&request(&more, vec![place(0, "a", &["a.example.com"])]))[0];
        let issuers = json!([{ "name": "first", "profile": "short" }, { "name": "second", "profile": "short" }]);
        assert_eq!((&spec["issuers"], &spec["key"]), (&issuers, &json!({ "algorithm": "rsa-3072" })));
    }

    #[test]
    fn a_wrong_annotation_is_told_and_nothing_is_asked_for() {
        for (more, words) in [
            (&[(KEY_ALGORITHM, "rsa-1024")][..], "found `rsa-1024`, accepted: `ecdsa-p256`, `ecdsa-p384`, `rsa-2048`"),
            (&[(ISSUERS, "a,,b")], "names of issuers with commas between them"),
            (&[(ISSUERS, "a,a")], "each once"),
            (&[(PROFILE, "short")], "needs `claviger.dev/issuers`"),
            (&[(ISSUERS, "a"), (PROFILE, "")], "1 to 63 characters"),
            (&[(ISSUE, "yes")], "found `yes`, accepted: `true` or `false`"),
        ] {
            let asked = asked(&request(more, vec![place(0, "a", &["a.example.com"])]));
            assert!(asked.wrong.join("; ").contains(words), "{words}: {:?}", asked.wrong);
            assert_eq!(asked.certificates, [], "{words}");
        }
    }

    #[test]
    fn an_annotation_with_a_typo_is_told() {
        let told = wrong(&[("claviger.dev/issuer", "a"), ("other.dev/issuer", "b")], vec![]);
        assert!(
            told.contains("unknown annotation `claviger.dev/issuer`, accepted: ") && !told.contains("other"),
            "{told}"
        );
    }

    #[test]
    fn a_secret_with_one_wrong_host_is_left_out_and_the_others_are_not() {
        let places = vec![place(0, "a", &["a.example.com", "localhost"]), place(1, "b", &["b.example.com"])];
        let asked = asked(&request(&[], places));
        assert!(asked.wrong[0].starts_with("spec.tls[0]: found the host `localhost`"), "{:?}", asked.wrong);
        assert_eq!(asked.certificates.iter().map(|wanted| wanted.secret.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn whoever_asks_for_nothing_hears_so() {
        for places in [vec![], vec![place(0, "", &["a.example.com"])], vec![place(0, "a", &[])]] {
            assert!(wrong(&[], places).contains("asks for nothing"));
        }
    }

    #[test]
    fn more_hosts_than_a_certificate_may_have_are_refused() {
        let hosts: Vec<String> = (0..=MOST_NAMES).map(|number| format!("h{number}.example.com")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        assert!(wrong(&[], vec![place(0, "a", &hosts)]).contains("101 hosts, accepted are at most 100"));
    }

    #[test]
    fn only_the_word_false_and_no_word_are_silent() {
        assert!(asks(&annotations(&[])) && asks(&annotations(&[(ISSUE, "yes")])));
        assert!(!asks(&annotations(&[(ISSUE, "false")])) && !asks(&BTreeMap::new()));
    }
}
