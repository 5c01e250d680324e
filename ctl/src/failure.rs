//! All that can go wrong, mapped once to words, hints, stable codes and exit codes.

use std::{io, path::PathBuf};

use claviger_config::{Kind, Namespace, Reason, Turn, admin::ErrorView, moment::Span};

/// How a command ends when nothing failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// 0.
    Fine,
    /// 6: asked for by `--exit-code`.
    Unhealthy,
}

impl Exit {
    /// The exit code of contract section 4.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Unhealthy => 6,
        }
    }

    /// 6 when it is asked for and something is wrong.
    pub(crate) const fn of(healthy: bool, asked: bool) -> Self {
        if asked && !healthy { Self::Unhealthy } else { Self::Fine }
    }
}

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The API server cannot be reached, or cannot answer.
    #[error("cannot ask the API server at `{url}`")]
    ApiServer { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// One name, several resources.
    #[error("`{name}` is not unique among {kind}: it exists in {}", joined(.namespaces))]
    Ambiguous { kind: Kind, name: String, namespaces: Vec<Namespace> },
    /// No environment, or more than one, could be meant.
    #[error("which environment? {}", edges(.choices))]
    EnvironmentOpen { choices: Vec<String> },
    /// A file could not be read.
    #[error("cannot read `{}`", .path.display())]
    File { path: PathBuf, source: io::Error },
    /// A right in the cluster is missing.
    #[error("the right to {verb} {resource} {} is missing: {said}", within(.namespace))]
    Forbidden { verb: String, resource: String, namespace: Option<String>, said: String },
    /// The chain of a journal does not hold.
    #[error("the journal does not hold at line {line}: {what}")]
    JournalBroken { line: u64, what: String },
    /// A head that was kept elsewhere is not in a journal.
    #[error("no line of the journal hashes to `{head}`: lines are missing, or it is another journal")]
    JournalShort { head: String },
    /// No cluster is known.
    #[error("{what}")]
    Kubeconfig { what: String },
    /// There is no way to the replica at work.
    #[error("no clavigerd to ask: {what}")]
    NoDaemon { what: String, hint: String },
    /// There is no such resource.
    #[error("there is no {kind} named `{name}`{}", place(.scope))]
    NotFound { kind: Kind, name: String, scope: Option<String>, near: Option<String> },
    /// The API server does not know who asks.
    #[error("the API server at `{url}` does not let you in: {said}")]
    NotLoggedIn { url: String, said: String },
    /// The daemon answered something else than its API promises.
    #[error("the answer of `{path}` cannot be understood")]
    NotUnderstood { path: String, source: serde_json::Error },
    /// The daemon said no.
    #[error("{}", .view.message)]
    Refused { status: u16, view: Box<ErrorView> },
    /// The daemon answers, but not in time.
    #[error("the daemon does not answer `{path}` within {seconds} s")]
    Silent { path: String, seconds: u64 },
    /// The connection broke.
    #[error("the connection broke while `{path}` was asked for")]
    Talk { path: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// What was waited for did not come.
    #[error("{object} {lacks} after {timeout}{}", because(.reason, .message))]
    TimedOut {
        object: String,
        lacks: String,
        timeout: Span,
        reason: Option<(Reason, Turn)>,
        message: String,
        fix: Vec<String>,
    },
    /// The cluster does not have our definitions.
    #[error("the cluster at `{url}` does not know {resource}")]
    Unknown { resource: String, url: String },
    /// Nobody listens at the socket.
    #[error("cannot reach the daemon at `{}`", .socket.display())]
    Unreachable { socket: PathBuf, kubeconfig: Option<String>, source: io::Error },
    /// What was typed makes no sense.
    #[error("{message}")]
    Usage { message: String, hint: String },
    /// What was to be written could not be.
    #[error("cannot write the answer")]
    Write { source: io::Error },
}

impl Failure {
    /// The exit code of contract section 4.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Ambiguous { .. } | Self::EnvironmentOpen { .. } | Self::Kubeconfig { .. } | Self::Usage { .. } => 2,
            Self::NotFound { .. } | Self::Refused { status: 404, .. } => 3,
            Self::NotLoggedIn { .. } | Self::Refused { status: 401, .. } => 4,
            Self::Forbidden { .. } | Self::Refused { status: 403, .. } => 5,
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => 5,
            Self::TimedOut { .. } => 7,
            Self::ApiServer { .. }
            | Self::NoDaemon { .. }
            | Self::Silent { .. }
            | Self::Talk { .. }
            | Self::Unreachable { .. } => 8,
            Self::File { .. }
            | Self::JournalBroken { .. }
            | Self::JournalShort { .. }
            | Self::NotUnderstood { .. }
            | Self::Refused { .. }
            | Self::Unknown { .. }
            | Self::Write { .. } => 1,
        }
    }

    /// The stable code; those of the command line are `CLV-09..`.
    fn code(&self) -> &str {
        match self {
            Self::Usage { .. } => "CLV-0901",
            Self::Ambiguous { .. } => "CLV-0902",
            Self::EnvironmentOpen { .. } => "CLV-0903",
            Self::NotFound { .. } => "CLV-0904",
            Self::Unreachable { .. } => "CLV-0905",
            Self::Silent { .. } | Self::Talk { .. } => "CLV-0906",
            Self::NotUnderstood { .. } => "CLV-0907",
            Self::TimedOut { .. } => "CLV-0908",
            Self::File { .. } => "CLV-0909",
            Self::JournalBroken { .. } | Self::JournalShort { .. } => "CLV-0910",
            Self::Write { .. } => "CLV-0911",
            Self::Kubeconfig { .. } => "CLV-0913",
            Self::ApiServer { .. } => "CLV-0914",
            Self::NotLoggedIn { .. } => "CLV-0915",
            Self::Forbidden { .. } => "CLV-0916",
            Self::Unknown { .. } => "CLV-0917",
            Self::NoDaemon { .. } => "CLV-0918",
            Self::Refused { view, .. } => &view.code,
        }
    }

    /// What it is about.
    fn at(&self) -> String {
        match self {
            Self::Ambiguous { kind, name, .. } | Self::NotFound { kind, name, .. } => format!("{kind}/{name}"),
            Self::ApiServer { url, .. } | Self::NotLoggedIn { url, .. } => url.clone(),
            Self::EnvironmentOpen { .. } => "--environment".to_owned(),
            Self::Forbidden { resource, .. } | Self::Unknown { resource, .. } => resource.clone(),
            Self::Kubeconfig { .. } => "kubeconfig".to_owned(),
            Self::NoDaemon { .. } => "clavigerd".to_owned(),
            Self::File { path, .. } | Self::Unreachable { socket: path, .. } => path.display().to_string(),
            Self::JournalBroken { line, .. } => format!("line {line}"),
            Self::JournalShort { head } => head.clone(),
            Self::NotUnderstood { path, .. } | Self::Silent { path, .. } | Self::Talk { path, .. } => path.clone(),
            Self::Refused { view, .. } => view.at.clone(),
            Self::TimedOut { object, .. } => object.clone(),
            Self::Usage { .. } => "command line".to_owned(),
            Self::Write { .. } => "standard output".to_owned(),
        }
    }

    /// What to do next, one step a line.
    pub(crate) fn hints(&self) -> Vec<String> {
        match self {
            Self::Ambiguous { kind, name, namespaces } => choose_one(*kind, name, namespaces),
            Self::ApiServer { .. } => {
                vec!["`kubectl cluster-info` with the same kubeconfig and context shows more".to_owned()]
            }
            Self::EnvironmentOpen { choices } => vec![choose_environment(choices)],
            Self::File { .. } => vec!["check the path and who may read it".to_owned()],
            Self::Forbidden { verb, resource, namespace, .. } => ask_for(verb, resource, namespace.as_deref()),
            Self::Kubeconfig { .. } => vec![
                "name a kubeconfig with `--kubeconfig` or KUBECONFIG and a context of it with `--context`".to_owned(),
            ],
            Self::NoDaemon { hint, .. } => vec![hint.clone()],
            Self::NotLoggedIn { .. } => vec!["log in to the cluster again, as for kubectl".to_owned()],
            Self::Unknown { .. } => {
                vec![
                    "another cluster or context may be meant; else `clavigerd crds | kubectl apply --server-side -f -`"
                        .to_owned(),
                ]
            }
            Self::JournalBroken { .. } | Self::JournalShort { .. } => vec![
                "keep the file as it is, compare it with the shipped copy, and find out who wrote to it".to_owned(),
            ],
            Self::NotFound { kind, near, .. } => vec![look_for(*kind, near.as_deref())],
            Self::NotUnderstood { .. } => {
                vec![
                    "compare `clavigerctl version`: the daemon may be newer; `-o json` shows the answer as it is"
                        .to_owned(),
                ]
            }
            Self::Refused { view, .. } => Some(view.fix.clone()).filter(|fix| !fix.is_empty()).into_iter().collect(),
            Self::Silent { .. } | Self::Talk { .. } => {
                vec!["look into the log of clavigerd, then try again".to_owned()]
            }
            Self::TimedOut { fix, .. } => fix.clone(),
            Self::Unreachable { source, kubeconfig, .. } => {
                let cluster = kubeconfig.as_ref().map(|path| {
                    format!("only the socket was tried; with `--cluster` it is the cluster of the kubeconfig `{path}`")
                });
                std::iter::once(reach(source).to_owned()).chain(cluster).collect()
            }
            Self::Usage { hint, .. } => Some(hint.clone()).filter(|hint| !hint.is_empty()).into_iter().collect(),
            Self::Write { .. } => vec!["check the place that the output goes to".to_owned()],
        }
    }

    /// The text with its causes.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// The `Error` object of the contract.
    pub(crate) fn view(&self) -> ErrorView {
        ErrorView::new(self.code(), self.chain(), self.at(), self.hints().join("; "))
    }
}

/// An answer that is not what the API promises.
pub(crate) fn not_understood(path: &str, source: serde_json::Error) -> Failure {
    Failure::NotUnderstood { path: path.to_owned(), source }
}

fn joined<T: ToString>(words: &[T]) -> String {
    words.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn place(scope: &Option<String>) -> String {
    scope.as_ref().map(|scope| format!(" in {scope}")).unwrap_or_default()
}

fn edges(choices: &[String]) -> String {
    match choices {
        [] => "no environment has an edge".to_owned(),
        some => format!("{} have an edge", joined(some)),
    }
}

fn because(reason: &Option<(Reason, Turn)>, message: &str) -> String {
    let told = if message.is_empty() { String::new() } else { format!(": {message}") };
    reason.as_ref().map(|(reason, turn)| format!(": {reason} (turn: {turn}){told}")).unwrap_or_default()
}

fn within(namespace: &Option<String>) -> String {
    namespace
        .as_ref()
        .map_or_else(|| "in the whole cluster".to_owned(), |namespace| format!("in the namespace `{namespace}`"))
}

/// The right that is missing, as kubectl shows and a Role grants it.
fn ask_for(verb: &str, resource: &str, namespace: Option<&str>) -> Vec<String> {
    let place = namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"));
    let verb = verb.split(' ').next().unwrap_or_default();
    let mut hints = vec![format!(
        "have it granted until `kubectl auth can-i {verb} {resource}{place}` says yes; the chart's `rbac.operate` makes roles for this"
    )];
    if namespace.is_none() && verb == "list" && !resource.starts_with("environments") {
        hints.push("or name a namespace in which you may, with `-n`".to_owned());
    }
    hints
}

fn choose_one(kind: Kind, name: &str, namespaces: &[Namespace]) -> Vec<String> {
    namespaces
        .iter()
        .take(1)
        .map(|first| format!("choose one, for example `{kind}/{first}/{name}` or `-n {first}`"))
        .collect()
}

fn choose_environment(choices: &[String]) -> String {
    match choices {
        [] => "give one environment an `edge`, or name another with `-e`".to_owned(),
        [first, ..] => format!("choose one, for example `-e {first}`"),
    }
}

fn look_for(kind: Kind, near: Option<&str>) -> String {
    near.map_or_else(|| format!("`clavigerctl get {kind}` lists them all"), |near| format!("did you mean `{near}`?"))
}

fn reach(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "become the user that clavigerd runs as, or one who may use its socket",
        io::ErrorKind::ConnectionRefused => "the socket is there but nobody listens: start clavigerd",
        _ => "start clavigerd, or name its socket with `--socket` or CLAVIGER_SOCKET",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Failure {
        Failure::Refused { status, view: Box::new(ErrorView::new("CLV-0001", "no", "here", "ask")) }
    }

    #[test]
    fn what_the_daemon_answers_becomes_the_exit_code_of_the_contract() {
        for (status, exit) in [(400, 1), (401, 4), (403, 5), (404, 3), (409, 1), (500, 1), (503, 1)] {
            assert_eq!(refused(status).exit(), exit, "{status}");
        }
    }

    #[test]
    fn a_socket_that_may_not_be_used_is_a_denial_and_no_absence() {
        let unreachable =
            |kind: io::ErrorKind| Failure::Unreachable { socket: "s".into(), kubeconfig: None, source: kind.into() };
        assert_eq!(unreachable(io::ErrorKind::PermissionDenied).exit(), 5);
        assert_eq!(unreachable(io::ErrorKind::ConnectionRefused).exit(), 8);
    }

    #[test]
    fn a_cause_is_told_once() {
        let failure = Failure::File { path: "a".into(), source: io::Error::other("gone") };
        assert_eq!(failure.chain(), "cannot read `a`: gone");
    }
}
