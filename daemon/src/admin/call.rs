//! What a request says: the parts of its path, its query, its body. Read once, then trusted.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::RawPathParams,
    http::{HeaderMap, header},
};
use claviger_config::{DnsName, EnvironmentName, Kind, ObjectName, name::BadName};
use claviger_core::ports::Actor;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::{
    errors::{self, Code, Problem},
    near::hint,
};

/// The largest body.
const BODY: usize = 64 * 1024;
/// Time to send it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that was let in.
pub(super) struct Call {
    /// Who speaks.
    pub(super) actor: Actor,
    /// The parts of the path.
    pub(super) path: Path,
    /// The query.
    pub(super) query: Query,
    /// The body; empty where none is taken.
    pub(super) body: Bytes,
}

impl Call {
    /// The body as what it must be.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| errors::body_not_understood(&error))
    }
}

/// The parts of a path by name.
pub(super) struct Path(BTreeMap<String, String>);

/// Takes the parts of a path over.
pub(super) fn path(params: RawPathParams) -> Path {
    Path(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

impl Path {
    fn read<T: FromStr<Err = BadName>>(&self, part: &str) -> Result<T, Problem> {
        self.text(part).parse().map_err(|bad| errors::path_wrong(part, &bad))
    }

    /// A part as it was written; empty when the route has no such part.
    pub(super) fn text(&self, part: &str) -> &str {
        self.0.get(part).map_or("", String::as_str)
    }

    /// The environment that is named, if one is.
    pub(super) fn environment(&self) -> Option<EnvironmentName> {
        self.0.get("environment")?.parse().ok()
    }

    /// The object that is named, if one is.
    pub(super) fn object(&self) -> Option<ObjectName> {
        self.0.get("name").and_then(|_| self.read_object().ok())
    }

    /// The environment that must be named.
    pub(super) fn read_environment(&self) -> Result<EnvironmentName, Problem> {
        self.read("environment")
    }

    /// The kind that must be named: in singular, plural, any case and as short name.
    pub(super) fn read_kind(&self) -> Result<Kind, Problem> {
        self.text("kind").parse().map_err(|bad| errors::kind_unknown(&bad))
    }

    /// The object that must be named.
    pub(super) fn read_object(&self) -> Result<ObjectName, Problem> {
        let kind = self.read_kind()?;
        match (kind, self.0.contains_key("namespace")) {
            (Kind::Environment, false) => Ok(ObjectName { kind, namespace: None, name: self.read("name")? }),
            (Kind::Environment, true) | (_, false) => Err(errors::path_of_another_shape(kind)),
            (_, true) => Ok(ObjectName { kind, namespace: Some(self.read("namespace")?), name: self.read("name")? }),
        }
    }
}

/// One parameter of a query.
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) says: &'static str,
    /// A whole number between these; absent: text.
    pub(super) number: Option<(u64, u64)>,
}

/// A query, its parameters checked against the route.
pub(super) struct Query(BTreeMap<String, String>);

/// Reads a query. What the route does not take is refused: a filter that is misspelt must not show everything.
pub(super) fn query(taken: &[Parameter], text: &str) -> Result<Query, Problem> {
    let mut query = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        if !taken.iter().any(|parameter| parameter.name == name) {
            return Err(unknown(taken, &name));
        }
        if query.insert(name.to_string(), value.into_owned()).is_some() {
            let message = format!("`{name}` stands there twice");
            return Err(errors::query_wrong(&name, message, "write it once"));
        }
    }
    Ok(Query(query))
}

fn unknown(taken: &[Parameter], name: &str) -> Problem {
    let accepted: Vec<String> = taken.iter().map(|parameter| parameter.name.to_owned()).collect();
    let words = if accepted.is_empty() { "none".to_owned() } else { accepted.join(", ") };
    let message = format!("there is no parameter `{}`; accepted: {words}", errors::short(name));
    errors::query_wrong(name, message, hint(name, accepted, "remove it"))
}

impl Query {
    /// A parameter as it was written.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter as what it must be.
    pub(super) fn read<T: FromStr<Err = BadName>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let read = |text: &str| {
            text.parse().map_err(|bad: BadName| {
                let message = format!("found `{}`; accepted: {}", errors::short(&bad.found), bad.accepted);
                errors::query_wrong(name, message, "mend the value")
            })
        };
        self.text(name).map(read).transpose()
    }

    /// A whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let read = |text: &str| {
            text.parse().map_err(|_| {
                let message = format!("found `{}`; accepted: a whole number", errors::short(text));
                errors::query_wrong(name, message, "write digits only")
            })
        };
        self.text(name).map(read).transpose()
    }

    /// How many items a page shall have: at most 5,000, 500 when nobody says.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        match self.number("limit")? {
            None => Ok(500),
            Some(limit @ 1..=5_000) => Ok(limit as usize),
            Some(found) => {
                let message = format!("found {found}; accepted: 1 to 5000");
                Err(errors::query_wrong("limit", message, "ask for less and follow `next` with `after`"))
            }
        }
    }
}

/// Reads a body: JSON, not too large, not too slow.
pub(super) async fn body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let found = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("something unreadable"));
    let media = found.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            Code::BodyOfAnotherType,
            format!("found the media type `{}`; accepted: application/json", errors::short(found)),
            "header `content-type`",
            "send JSON with `content-type: application/json`",
        ));
    }
    whole(body, PATIENCE).await
}

async fn whole(body: Body, patience: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(patience, Limited::new(body, BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(
            Code::BodyNotJson,
            format!("the body did not come whole: {error}"),
            "body",
            "send it again",
        )),
        Err(_) => Err(Problem::new(
            Code::BodyTooSlow,
            format!("the body did not come within {} s", patience.as_secs_f64()),
            "body",
            "send it in one go",
        )),
    }
}

fn too_large() -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body is larger than {BODY} bytes"), "body", "send less")
}

/// A host name that a customer can have, from a part of the path.
pub(super) fn hostname(found: &str) -> Result<DnsName, Problem> {
    let wrong = |message: String, fix: String| {
        let found = errors::short(found);
        Problem::new(Code::HostnameWrong, format!("`{found}` {message}"), "hostname", fix)
    };
    match found.parse::<DnsName>() {
        Ok(name) if name.is_wildcard() => Err(wrong(
            "is a wildcard; accepted: one host name".to_owned(),
            format!("write `{}`, and each further host name on its own", name.base()),
        )),
        Ok(name) => Ok(name),
        Err(bad) if found.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') || found.contains(':') => Err(
            wrong(format!("is an address or holds a port; accepted: {}", bad.accepted), "write the name".to_owned()),
        ),
        Err(bad) => Err(wrong(format!("is no host name; accepted: {}", bad.accepted), mended(found))),
    }
}

/// The next step: the ASCII form of a name in other letters, a name without its last dot.
fn mended(found: &str) -> String {
    let bare = found.trim_end_matches('.');
    match url::Host::parse(bare) {
        Ok(url::Host::Domain(ascii)) if ascii != found && ascii.parse::<DnsName>().is_ok() => {
            format!("write it as `{ascii}`")
        }
        _ => "write the full name that the customer's visitors type, for example `shop.customer.example`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use futures::StreamExt;

    #[tokio::test]
    async fn a_body_that_does_not_end_is_not_waited_for() {
        let begun = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        let body = Body::from_stream(begun.chain(futures::stream::pending()));
        let problem = whole(body, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(problem.into_response().status(), 408);
    }
}
