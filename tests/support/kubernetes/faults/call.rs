use http::{Method, Request};

/// A call to an API server, as its path tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiCall {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// The resource in the plural, such as `secrets`; empty for what is no resource.
    pub resource: String,
    /// The subresource, such as `status`; mostly empty.
    pub subresource: String,
    /// The namespace; empty for objects of the cluster.
    pub namespace: String,
    /// The object's name, where the path has it.
    pub name: String,
    /// What the API server said, where the call was passed on.
    pub upstream: Option<u16>,
}

impl ApiCall {
    /// Reads it from method, path and query.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
        let rest = match path.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            _ => &[],
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let part = |number: usize| rest.get(number).map(ToString::to_string).unwrap_or_default();
        Self {
            verb: verb(request, rest.len() > 1),
            resource: part(0),
            subresource: part(2),
            namespace: namespace.to_owned(),
            name: part(1),
            upstream: None,
        }
    }

    /// Whether it asks for a change, of anything but a Lease.
    pub fn is_write(&self) -> bool {
        matches!(self.verb, "create" | "update" | "patch" | "delete") && self.resource != "leases"
    }

    /// Whether it is a change that was done, of anything but a Lease.
    pub fn wrote(&self) -> bool {
        self.is_write() && self.upstream.is_some_and(|code| (200..300).contains(&code))
    }

    /// Verb and resource in words, such as `patch tlscertificates/status`.
    pub fn deed(&self) -> String {
        let slash = if self.subresource.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.verb, self.resource, self.subresource)
    }
}

fn verb<B>(request: &Request<B>, named: bool) -> &'static str {
    let watches = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
    match *request.method() {
        Method::GET if watches => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: Method, path: &str) -> (String, String, String) {
        let call = ApiCall::of(&Request::builder().method(method).uri(path).body(()).unwrap());
        (call.deed(), call.namespace, call.name)
    }

    #[test]
    fn a_call_is_known_by_its_path() {
        let named = |deed: &str, namespace: &str, name: &str| (deed.to_owned(), namespace.to_owned(), name.to_owned());
        let status = "/apis/claviger.dev/v1alpha1/namespaces/staging/tlscertificates/web/status?force=true";
        assert_eq!(told(Method::PATCH, status), named("patch tlscertificates/status", "staging", "web"));
        let all = "/apis/claviger.dev/v1alpha1/tlscertificates?limit=500";
        assert_eq!(told(Method::GET, all), named("list tlscertificates", "", ""));
        assert_eq!(told(Method::GET, &format!("{all}&watch=true")), named("watch tlscertificates", "", ""));
        let secret = "/api/v1/namespaces/staging/secrets/web-tls";
        assert_eq!(told(Method::GET, secret), named("get secrets", "staging", "web-tls"));
        assert_eq!(told(Method::GET, "/api/v1/namespaces/staging"), named("get namespaces", "", "staging"));
        assert_eq!(told(Method::GET, "/version"), named("list ", "", ""));
    }
}
