//! The questions of the admin API that stored objects can answer.

use claviger_config::{DnsName, EnvironmentName, Kind, ObjectName};

use crate::escape::unescaped;

/// A question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Question {
    /// `…/explanation`
    Explanation(ObjectName),
    /// `/v1/environments/E/hostnames/H`
    Hostname { environment: EnvironmentName, hostname: DnsName },
    /// `/v1/environments/E/hostnames`
    Hostnames { environment: EnvironmentName, tenant: Option<String> },
    /// `/v1/resources/KIND`
    List(Kind),
    /// `/v1/resources/KIND[/NAMESPACE]/NAME`
    One(ObjectName),
    /// `/v1/status`
    Status,
}

impl Question {
    /// Reads it from the path that it would be asked by.
    pub(super) fn read(path: &str) -> Option<Self> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<String> = path.split('/').skip(1).map(unescaped).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            ["v1", "status"] => Some(Self::Status),
            ["v1", "resources", kind] => Some(Self::List(kind.parse().ok()?)),
            ["v1", "resources", kind, ref rest @ ..] => Self::about(kind.parse().ok()?, rest),
            ["v1", "environments", environment, "hostnames"] => {
                let tenant = query.split('&').find_map(|pair| pair.strip_prefix("tenant="));
                Some(Self::Hostnames { environment: environment.parse().ok()?, tenant: tenant.map(unescaped) })
            }
            ["v1", "environments", environment, "hostnames", hostname] => {
                Some(Self::Hostname { environment: environment.parse().ok()?, hostname: hostname.parse().ok()? })
            }
            _ => None,
        }
    }

    fn about(kind: Kind, rest: &[&str]) -> Option<Self> {
        let object = |namespace: Option<&str>, name: &str| {
            let namespace = match namespace {
                Some(namespace) => Some(namespace.parse().ok()?),
                None => None,
            };
            Some(ObjectName { kind, namespace, name: name.parse().ok()? })
        };
        match (kind, rest) {
            (Kind::Environment, [name]) => Some(Self::One(object(None, name)?)),
            (Kind::Environment, [name, "explanation"]) => Some(Self::Explanation(object(None, name)?)),
            (_, [namespace, name]) => Some(Self::One(object(Some(namespace), name)?)),
            (_, [namespace, name, "explanation"]) => Some(Self::Explanation(object(Some(namespace), name)?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_its_path() {
        let web: ObjectName =
            ObjectName { kind: Kind::TlsCertificate, namespace: "staging".parse().ok(), name: "web".parse().unwrap() };
        let staging = ObjectName { kind: Kind::Environment, namespace: None, name: "staging".parse().unwrap() };
        let called = ObjectName { name: "explanation".parse().unwrap(), ..web.clone() };
        for (path, question) in [
            ("/v1/status", Question::Status),
            ("/v1/resources/kmskey", Question::List(Kind::KmsKey)),
            ("/v1/resources/tlscertificate/staging/web", Question::One(web.clone())),
            ("/v1/resources/tlscertificate/staging/web/explanation", Question::Explanation(web)),
            ("/v1/resources/tlscertificate/staging/explanation", Question::One(called)),
            ("/v1/resources/environment/staging", Question::One(staging.clone())),
            ("/v1/resources/environment/staging/explanation", Question::Explanation(staging)),
        ] {
            assert_eq!(Question::read(path), Some(question), "{path}");
        }
        for other in
            ["/v1/plans", "/v1/version", "/v1/environments/a/hostnames/b.example/check", "", "/v1/resources/pod/a/b"]
        {
            assert_eq!(Question::read(other), None, "{other}");
        }
    }
}
