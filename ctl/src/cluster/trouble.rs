//! What an API server's refusals mean to the person who asked.

use claviger_config::{Kind, Namespace, ObjectName, admin::ErrorView, crd};
use kube::{Error, client::AuthError};

use super::Cluster;
use crate::{failure::Failure, target::nearest};

/// What was asked of the API server: the right that it takes.
pub(super) struct Place {
    verb: &'static str,
    resource: String,
    namespace: Option<String>,
}

impl Place {
    /// A right.
    pub(super) fn new(verb: &'static str, resource: impl Into<String>, namespace: Option<&str>) -> Self {
        Self { verb, resource: resource.into(), namespace: namespace.map(str::to_owned) }
    }

    /// A right on a kind of ours.
    pub(super) fn kind(verb: &'static str, kind: Kind, namespace: Option<&Namespace>) -> Self {
        let namespace = namespace.filter(|_| kind != Kind::Environment).map(Namespace::as_str);
        Self::new(verb, format!("{}.{}", crd::plural(kind), crd::GROUP), namespace)
    }
}

impl Cluster {
    /// A call that failed.
    pub(super) fn failed(&self, place: &Place, error: Error) -> Failure {
        let Place { verb, resource, namespace } = place;
        let said = match error {
            Error::Api(status) => status,
            other => return unanswered(&self.url, &other),
        };
        match said.code {
            401 => Failure::NotLoggedIn { url: self.url.clone(), said: said.message.clone() },
            403 => Failure::Forbidden {
                verb: (*verb).to_owned(),
                resource: resource.clone(),
                namespace: namespace.clone(),
                said: said.message.clone(),
            },
            404 if resource.ends_with(crd::GROUP) => {
                Failure::Unknown { resource: resource.clone(), url: self.url.clone() }
            }
            404 => Failure::NoDaemon {
                what: format!("the API server has no such {resource}: {}", said.message),
                hint: "another replica may just have taken over: try again".to_owned(),
            },
            code => {
                let words = format!("it answers {code} to {verb} {resource}: {}", said.message);
                Failure::ApiServer { url: self.url.clone(), source: Box::new(Told(words)) }
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

/// There was no answer: the API server was not reached, or not even asked.
pub(super) fn unanswered(url: &str, error: &Error) -> Failure {
    match login(error) {
        Some(said) => Failure::NotLoggedIn { url: url.to_owned(), said },
        None => Failure::ApiServer { url: url.to_owned(), source: Box::new(Told(chain(error))) },
    }
}

/// What went wrong with the command that a kubeconfig logs in by. Its output, its arguments and its environment hold tokens: of them
/// only what it complained of is told.
fn login(error: &Error) -> Option<String> {
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        match error.downcast_ref::<AuthError>() {
            Some(AuthError::AuthExecRun { out, .. }) => {
                let complaint: String = String::from_utf8_lossy(&out.stderr).trim().chars().take(MOST).collect();
                return Some(format!("the login command of the kubeconfig ends with {}: {complaint}", out.status));
            }
            Some(AuthError::AuthExecParse(_)) => {
                return Some("the login command of the kubeconfig does not print an ExecCredential".to_owned());
            }
            _ => link = error.source(),
        }
    }
    None
}

/// As much as is told of what a program complained of.
const MOST: usize = 400;

/// The error with its causes, none twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = deeper.source();
    }
    text
}

/// The refusal of the daemon for an object that is not there, with what was most likely meant.
pub(super) fn not_found(name: &ObjectName, others: &[ObjectName]) -> Failure {
    let slash =
        |name: &ObjectName| name.to_string().split_once('/').map_or_else(String::new, |(_, rest)| rest.to_owned());
    let kind = name.kind;
    let fix = match nearest(&slash(name), others.iter().map(slash)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("`clavigerctl --cluster get {kind} -A` lists them all"),
    };
    let view = ErrorView::new("CLV-0721", format!("there is no `{name}`"), name.to_string(), fix);
    Failure::Refused { status: 404, view: Box::new(view) }
}
