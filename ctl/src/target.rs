//! `KIND/NAME` and `KIND/NAMESPACE/NAME`, as people type them.

use claviger_config::{EnvironmentName, Kind, Name, Namespace, ObjectName, name::BadName};

use crate::failure::Failure;

/// Which resource is meant; the namespace may still have to be looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) name: Name,
}

impl Target {
    /// Read `KIND/NAME` or `KIND/NAMESPACE/NAME`; `namespace` is what `-n` said.
    pub(crate) fn read(text: &str, namespace: Option<&Namespace>) -> Result<Self, Failure> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [word, name] => Self::new(kind(word)?, namespace.cloned(), name),
            [word, within, name] => {
                let within: Namespace = within.parse().map_err(|error: BadName| unusable(text, &error.to_string()))?;
                if let Some(other) = namespace.filter(|other| **other != within) {
                    return Err(unusable(text, &format!("`-n {other}` names another namespace")));
                }
                Self::new(kind(word)?, Some(within), name)
            }
            [word] => Err(name_missing(kind(word)?)),
            _ => Err(unusable(text, "found too many `/`")),
        }
    }

    /// Put one together.
    pub(crate) fn new(kind: Kind, namespace: Option<Namespace>, name: &str) -> Result<Self, Failure> {
        let name = name.parse().map_err(|error: BadName| unusable(name, &error.to_string()))?;
        let namespace = namespace.filter(|_| kind != Kind::Environment);
        Ok(Self { kind, namespace, name })
    }

    /// An environment.
    pub(crate) fn environment(name: &EnvironmentName) -> Result<Self, Failure> {
        Self::new(Kind::Environment, None, name.as_str())
    }

    /// The full name, when nothing has to be looked up.
    pub(crate) fn resolved(&self) -> Option<ObjectName> {
        let known = self.kind == Kind::Environment || self.namespace.is_some();
        known.then(|| ObjectName { kind: self.kind, namespace: self.namespace.clone(), name: self.name.clone() })
    }
}

/// Read a kind in singular, plural, any case or as short name.
pub(crate) fn kind(word: &str) -> Result<Kind, Failure> {
    word.parse().map_err(|error: BadName| Failure::Usage {
        message: format!("`{word}` is no kind; accepted: {}", error.accepted),
        hint: nearest(word, kind_words()).map(|near| format!("did you mean `{near}`?")).unwrap_or_default(),
    })
}

fn kind_words() -> impl Iterator<Item = String> {
    let words = |kind: Kind| kind.aliases().iter().map(|alias| (*alias).to_owned());
    Kind::ALL.into_iter().flat_map(move |kind| std::iter::once(kind.word().to_ascii_lowercase()).chain(words(kind)))
}

/// The candidate that somebody who typed `word` most likely meant.
pub(crate) fn nearest(word: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let tolerance = (lower.chars().count() / 3).max(1);
    let singular = lower.trim_end_matches('s');
    let begins = |candidate: &str| singular.len() > 2 && candidate.starts_with(singular);
    candidates
        .into_iter()
        .map(|candidate| (if begins(&candidate) { 1 } else { distance(&lower, &candidate) }, candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, taken, changed or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, candidate) in other.iter().enumerate() {
            let changed = last[column] + usize::from(letter != candidate);
            let mut best = changed.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && *letter == other[column - 1] && one[row - 1] == *candidate {
                best = best.min(before_last[column - 1] + 1);
            }
            next.push(best);
        }
        before_last = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

fn unusable(found: &str, why: &str) -> Failure {
    Failure::Usage {
        message: format!("`{found}` names no resource: {why}"),
        hint: "write KIND/NAME or KIND/NAMESPACE/NAME, for example `certificate/web`".to_owned(),
    }
}

fn name_missing(kind: Kind) -> Failure {
    Failure::Usage {
        message: format!("which {kind}? the name is missing"),
        hint: format!("write `{kind}/NAME`; `clavigerctl get {kind}` lists them all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_a_name_are_read_in_any_case() {
        let target = Target::read("CERTIFICATES/web", None).unwrap();
        assert_eq!((target.kind, target.name.as_str(), target.namespace), (Kind::TlsCertificate, "web", None));
    }

    #[test]
    fn a_namespace_may_stand_in_the_middle_but_not_against_the_flag() {
        let staging: Namespace = "staging".parse().unwrap();
        let target = Target::read("key/staging/wrapping", Some(&staging)).unwrap();
        assert_eq!(target.resolved().unwrap().to_string(), "KmsKey/staging/wrapping");
        assert!(Target::read("key/production/wrapping", Some(&staging)).is_err());
    }

    #[test]
    fn an_environment_has_no_namespace_whatever_the_flag_says() {
        let target = Target::read("env/staging", Some(&"other".parse().unwrap())).unwrap();
        assert_eq!(target.resolved().unwrap().to_string(), "Environment/staging");
    }

    #[test]
    fn odd_targets_are_refused_with_a_next_step() {
        for odd in ["", "web", "certificate", "certificate/", "certificate/a/b/c", "certificate/-", "pod/web", "/"] {
            let failure = Target::read(odd, None).unwrap_err();
            assert_eq!(failure.exit(), 2, "{odd}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let words = || ["status", "certificate", "hostname"].map(str::to_owned);
        assert_eq!(nearest("hostnmae", words()).as_deref(), Some("hostname"));
        assert_eq!(nearest("certs", words()).as_deref(), Some("certificate"));
        assert_eq!(nearest("stauts", words()).as_deref(), Some("status"));
        assert_eq!(nearest("pod", words()), None);
    }
}
