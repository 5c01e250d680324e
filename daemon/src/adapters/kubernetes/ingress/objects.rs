//! Ingresses and Gateways as they are read: which Secret is served for which hosts.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-v1/>,
//! <https://gateway-api.sigs.k8s.io/reference/spec/>

use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    api::{ApiResource, DynamicObject, ObjectMeta},
    core::GroupVersionKind,
};
use serde_json::Value;

use super::asked::{Asker, Place, Request, asks};

/// What an Ingress asks for; nothing without the annotation, and nothing any more once it is being deleted.
pub(super) fn of_ingress(ingress: &Ingress) -> Option<Request> {
    let mut request = request("networking.k8s.io/v1", "Ingress", &ingress.metadata)?;
    let entries = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten()).enumerate();
    request.places = entries
        .map(|(number, entry)| Place {
            path: format!("spec.tls[{number}]"),
            secret: entry.secret_name.clone().unwrap_or_default(),
            hosts: entry.hosts.clone().unwrap_or_default(),
        })
        .collect();
    Some(request)
}

/// The group and version of [`gateways`].
pub(super) const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

/// Gateways, which are a custom resource.
pub(super) fn gateways() -> ApiResource {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway");
    ApiResource::from_gvk_with_plural(&kind, "gateways")
}

/// The same of a Gateway: its listeners that end TLS.
pub(super) fn of_gateway(gateway: &DynamicObject) -> Option<Request> {
    let mut request = request(GATEWAY_API, "Gateway", &gateway.metadata)?;
    let listeners = gateway.data["spec"]["listeners"].as_array().into_iter().flatten();
    for (number, listener) in listeners.enumerate().filter(|(_, listener)| ends_tls(listener)) {
        for reference in listener["tls"]["certificateRefs"].as_array().into_iter().flatten() {
            let path = format!("spec.listeners[{number}]");
            match secret(reference, &request.asker.namespace) {
                Reference::Here(secret) => {
                    let hosts = listener["hostname"].as_str().filter(|host| !host.is_empty());
                    let hosts = hosts.into_iter().map(ToOwned::to_owned).collect();
                    request.places.push(Place { path, secret: secret.to_owned(), hosts });
                }
                Reference::Elsewhere(namespace) => request.wrong.push(format!(
                    "{path}: it names a Secret of the namespace `{namespace}`, accepted: one of its own namespace"
                )),
                Reference::NoSecret => {}
            }
        }
    }
    Some(request)
}

fn ends_tls(listener: &Value) -> bool {
    matches!(listener["protocol"].as_str(), Some("HTTPS" | "TLS")) && listener["tls"]["mode"] != "Passthrough"
}

enum Reference<'a> {
    Elsewhere(&'a str),
    Here(&'a str),
    NoSecret,
}

/// Group and kind may be left out: the core's, and Secret.
fn secret<'a>(reference: &'a Value, own: &str) -> Reference<'a> {
    let word = |field: &str| reference[field].as_str();
    match (word("group").unwrap_or_default(), word("kind").unwrap_or("Secret"), word("name"), word("namespace")) {
        ("", "Secret", Some(_), Some(namespace)) if namespace != own => Reference::Elsewhere(namespace),
        ("", "Secret", Some(name), _) => Reference::Here(name),
        _ => Reference::NoSecret,
    }
}

fn request(api_version: &'static str, kind: &'static str, metadata: &ObjectMeta) -> Option<Request> {
    let annotations = metadata.annotations.as_ref().filter(|annotations| asks(annotations))?;
    if metadata.deletion_timestamp.is_some() {
        return None;
    }
    let (namespace, name, uid) = (metadata.namespace.clone()?, metadata.name.clone()?, metadata.uid.clone()?);
    let asker = Asker { api_version, kind, namespace, name, uid };
    Some(Request { asker, annotations: annotations.clone(), places: Vec::new(), wrong: Vec::new() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::asked::asked, *};

    fn metadata() -> Value {
        json!({ "name": "web", "namespace": "staging", "uid": "1", "annotations": { "claviger.dev/issue": "true" } })
    }

    fn ingress(metadata: Value, tls: Value) -> Option<Request> {
        let ingress = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": { "tls": tls } });
        of_ingress(&serde_json::from_value(ingress).unwrap())
    }

    fn gateway(listeners: Value) -> Request {
        let gateway = json!({ "apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": metadata(), "spec": { "listeners": listeners } });
        of_gateway(&serde_json::from_value(gateway).unwrap()).unwrap()
    }

    /// Each Secret with its names.
    fn told(request: &Request) -> Vec<(String, Vec<String>)> {
        let names = |names: &[claviger_config::DnsName]| names.iter().map(ToString::to_string).collect();
        asked(request).certificates.iter().map(|wanted| (wanted.secret.to_string(), names(&wanted.names))).collect()
    }

    fn one(secret: &str, hosts: &[&str]) -> (String, Vec<String>) {
        (secret.to_owned(), hosts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_ingress_asks_for_each_secret_that_it_names_with_hosts() {
        let tls = json!([
            { "secretName": "a", "hosts": ["a.example.com"] },
            { "hosts": ["default.example.com"] },
            { "secretName": "b", "hosts": ["b.example.com", "c.example.com"] },
            { "secretName": "by-hand" },
        ]);
        let request = ingress(metadata(), tls).unwrap();
        assert_eq!(told(&request), [one("a", &["a.example.com"]), one("b", &["b.example.com", "c.example.com"])]);
    }

    #[test]
    fn an_ingress_without_the_annotation_or_one_that_is_being_deleted_asks_for_nothing() {
        let tls = json!([{ "secretName": "a", "hosts": ["a.example.com"] }]);
        let mut plain = metadata();
        plain["annotations"] = json!({ "other.dev/issue": "true" });
        assert_eq!(ingress(plain, tls.clone()), None);
        let mut leaving = metadata();
        leaving["deletionTimestamp"] = json!("2026-11-24T00:00:00Z");
        assert_eq!(ingress(leaving, tls), None);
    }

    #[test]
    fn listeners_that_share_a_secret_are_one_certificate_with_all_names() {
        let listener = |host: &str, secret: &str| json!({ "protocol": "HTTPS", "hostname": host, "tls": { "certificateRefs": [{ "name": secret }] } });
        let request = gateway(json!([
            listener("a.example.com", "web"),
            listener("c.example.com", "c"),
            listener("b.example.com", "web")
        ]));
        assert_eq!(told(&request), [one("web", &["a.example.com", "b.example.com"]), one("c", &["c.example.com"])]);
    }

    #[test]
    fn listeners_that_do_not_end_tls_or_have_no_host_ask_for_nothing() {
        let tls = json!({ "certificateRefs": [{ "name": "web", "kind": "Secret", "group": "" }] });
        let mut passes = tls.clone();
        passes["mode"] = json!("Passthrough");
        let request = gateway(json!([
            { "protocol": "HTTP", "hostname": "a.example.com", "tls": tls },
            { "protocol": "TLS", "hostname": "b.example.com", "tls": passes },
            { "protocol": "HTTPS", "tls": tls },
            { "protocol": "HTTPS", "hostname": "c.example.com", "tls": { "certificateRefs": [{ "name": "x", "kind": "Other", "group": "a.b" }] } },
            { "protocol": "TLS", "hostname": "d.example.com", "tls": tls },
        ]));
        assert_eq!(told(&request), [one("web", &["d.example.com"])]);
    }

    #[test]
    fn a_secret_of_another_namespace_is_refused_aloud() {
        let reference = json!({ "certificateRefs": [{ "name": "web", "namespace": "production" }] });
        let request = gateway(json!([{ "protocol": "HTTPS", "hostname": "a.example.com", "tls": reference }]));
        let asked = asked(&request);
        assert!(asked.certificates.is_empty() && asked.wrong[0].contains("the namespace `production`"), "{asked:?}");
    }
}
