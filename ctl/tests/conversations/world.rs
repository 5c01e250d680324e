//! What a daemon knows, made of the views that the real one answers with: a view that changes breaks these, not the users.

use claviger_config::{
    EnvironmentName, Kind, Name, Namespace, ObjectName,
    admin::{
        DiscoveredView, ErrorView, ExecuteRequest, Explanation, FleetStatus, HostnameRequest, HostnameView, List,
        Metadata, PlanRequest, PlanView, Resource, VersionView,
    },
    certificate::{TlsCertificateSpec, TlsCertificateStatus},
    environment::{EnvironmentSpec, EnvironmentStatus},
    hostname::{CustomHostnameSpec, CustomHostnameStatus},
    key::{KmsKeySpec, KmsKeyStatus},
};
use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// How many host names the crowded world has.
pub(crate) const CROWD: usize = 250;
const PAGE: usize = 100;
const HASH: &str = "3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b";

/// All of it.
pub(crate) struct World {
    name: String,
    pub(crate) status: FleetStatus,
    resources: Vec<Resource>,
    explanations: Vec<Explanation>,
    hostnames: Vec<HostnameView>,
}

impl World {
    pub(crate) fn named(name: &str) -> Self {
        let name = name.to_owned();
        let troubled = Self {
            name: name.clone(),
            status: troubled_status(),
            resources: resources(),
            explanations: explanations(),
            hostnames: hostnames(),
        };
        match name.as_str() {
            "troubled" | "odd" => troubled,
            "calm" => Self { status: calm_status(), ..troubled },
            "starting" => Self { status: starting_status(), resources: Vec::new(), ..troubled },
            "crowded" => Self { status: crowded_status(), hostnames: crowd(), ..troubled },
            "two-edges" => Self { resources: two_edges(), ..troubled },
            other => panic!("there is no world `{other}`"),
        }
    }

    /// The answer to a question that is asked for the `look`th time.
    pub(crate) fn answer(&self, method: &Method, path: &str, body: &str, look: usize) -> (u16, String) {
        if self.name == "odd" {
            return odd(path);
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let segments: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match (method.as_str(), &segments[..]) {
            ("GET", ["status"]) => fine(&self.status),
            ("GET", ["version"]) => fine(&VersionView::of(env!("CARGO_PKG_VERSION"))),
            ("GET", ["resources", kind]) => fine(&List::whole(self.of_kind(kind))),
            ("GET", ["resources", rest @ .., "explanation"]) => self.explanation(rest),
            ("GET", ["resources", rest @ ..]) => self.resource(rest, look),
            ("POST", ["plans"]) => plan(&read(body)),
            ("POST", ["plans", hash, "execute"]) => execute(hash, &read(body)),
            (method, ["environments", environment, "hostnames", rest @ ..]) => {
                self.hostname(method, environment, rest, query, body, look)
            }
            ("GET", ["environments", environment, "inventory"]) => fine(&List::whole(self.inventory(environment))),
            _ => refuse(404, "CLV-0801", "there is nothing at this path", path, "read the API's description"),
        }
    }

    fn inventory(&self, environment: &str) -> Vec<DiscoveredView> {
        let all = if self.name == "calm" { Vec::new() } else { inventory() };
        all.into_iter().filter(|view| view.environment.as_str() == environment).collect()
    }

    fn of_kind(&self, kind: &str) -> Vec<Resource> {
        let kind: Kind = kind.parse().unwrap();
        self.resources.iter().filter(|resource| resource.kind == kind).cloned().collect()
    }

    fn resource(&self, rest: &[&str], look: usize) -> (u16, String) {
        let found = self.of_kind(rest[0]).into_iter().find(|resource| names(resource) == rest[1..]);
        match found {
            Some(resource) if names(&resource) == ["staging", "fresh"] && look > 2 => fine(&issued(resource)),
            Some(resource) => fine(&resource),
            None => missing(&rest.join("/")),
        }
    }

    fn explanation(&self, rest: &[&str]) -> (u16, String) {
        let kind: Kind = rest[0].parse().unwrap();
        let same = |object: &ObjectName| {
            object.kind == kind && names_of(object) == rest[1..].iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        match self.explanations.iter().find(|explanation| same(&explanation.object)) {
            Some(explanation) => fine(explanation),
            None => missing(&rest.join("/")),
        }
    }

    fn hostname(
        &self,
        method: &str,
        environment: &str,
        rest: &[&str],
        query: &str,
        body: &str,
        look: usize,
    ) -> (u16, String) {
        let Some(name) = rest.first() else { return self.page(environment, query) };
        let known = self.hostnames.iter().find(|view| view.hostname.as_str() == *name);
        let known = known.filter(|view| view.environment.as_str() == environment);
        match (method, &rest[1..], known) {
            ("PUT", [], Some(view)) => claim(view, &read(body)),
            ("PUT", [], None) => fine(&fresh(environment, name, &read(body))),
            ("GET", [], None) if *name == "new.customer.example" && look > 1 => fine(&served(environment, name)),
            ("GET", [], None) if *name == "new.customer.example" => fine(&fresh(environment, name, &request())),
            ("GET", [], Some(view)) => fine(view),
            ("POST", ["check"], Some(view)) => fine(view),
            ("DELETE", [], Some(_)) => (204, String::new()),
            _ => missing(name),
        }
    }

    fn page(&self, environment: &str, query: &str) -> (u16, String) {
        let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        let begin: usize = parameter("after").map_or(0, |after| after.parse().unwrap());
        let meant = self.hostnames.iter().filter(|view| view.environment.as_str() == environment);
        let meant: Vec<_> =
            meant.filter(|view| parameter("tenant").is_none_or(|tenant| view.tenant == tenant)).cloned().collect();
        let end = (begin + PAGE).min(meant.len());
        let next = (end < meant.len()).then(|| end.to_string());
        fine(&List { next, ..List::whole(meant[begin..end].to_vec()) })
    }
}

fn fine(view: &impl Serialize) -> (u16, String) {
    (200, serde_json::to_string(view).unwrap())
}

fn refuse(status: u16, code: &str, message: &str, at: &str, fix: &str) -> (u16, String) {
    (status, serde_json::to_string(&ErrorView::new(code, message, at, fix)).unwrap())
}

fn missing(what: &str) -> (u16, String) {
    refuse(404, "CLV-0802", &format!("there is no `{what}`"), what, "list what there is")
}

/// Answers that no daemon of this release gives.
fn odd(path: &str) -> (u16, String) {
    match path {
        "/v1/status" => (200, r#"{"kind":"FleetStatus","asOf":"yesterday"}"#.to_owned()),
        "/v1/version" => (200, "<html>".to_owned()),
        _ => (502, "<html>Bad gateway</html>".to_owned()),
    }
}

fn plan(request: &PlanRequest) -> (u16, String) {
    match request.object.name.as_str() {
        "issuing" => refuse(
            403,
            "CLV-0701",
            "`renew` in `production` needs the role operator; uid 1000 has the role viewer",
            "KmsKey/production/issuing",
            "ask somebody with the role, or have the role given to you",
        ),
        _ => fine(&typed::<PlanView>(json!({
            "hash": HASH, "expires": "2026-11-24T10:15:00Z",
            "effects": ["place an order at letsencrypt for www.staging.example.com", "finalize it with a new key", "deliver to nginx"],
            "cost": [{"budget": "letsencrypt orders per account", "calls": 1}, {"budget": "letsencrypt duplicates of this name set", "calls": 1}],
        }))),
    }
}

fn execute(hash: &str, request: &ExecuteRequest) -> (u16, String) {
    assert!(!request.reason.is_empty());
    if hash == HASH {
        return (202, String::new());
    }
    refuse(
        409,
        "CLV-0702",
        "the world has changed since this plan was made: the certificate was renewed at 2026-11-24T09:58:00Z",
        hash,
        "make a new plan",
    )
}

fn claim(view: &HostnameView, request: &HostnameRequest) -> (u16, String) {
    if view.tenant == request.tenant {
        return fine(view);
    }
    let message = format!("HostnameClaimed: `{}` belongs to tenant `{}`", view.hostname, view.tenant);
    refuse(409, "CLV-0703", &message, view.hostname.as_str(), "remove it there first, or ask for another host name")
}

/// A value that went through the type it is meant to be.
fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value:#}"))
}

fn read<T: DeserializeOwned>(body: &str) -> T {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn names(resource: &Resource) -> Vec<String> {
    let metadata = resource.metadata.clone();
    names_of(&ObjectName { kind: resource.kind, namespace: metadata.namespace, name: metadata.name })
}

fn names_of(object: &ObjectName) -> Vec<String> {
    object.namespace.iter().map(ToString::to_string).chain([object.name.to_string()]).collect()
}

fn troubled_status() -> FleetStatus {
    typed(json!({
        "apiVersion": "claviger.dev/v1alpha1", "kind": "FleetStatus", "asOf": "2026-11-24T10:00:00.123Z", "complete": false,
        "sources": [
            {"name": "documents", "observedAt": "2026-11-24T09:59:58Z", "stale": false},
            {"name": "kms/staging", "observedAt": "2026-11-24T09:55:00Z", "stale": false},
            {"name": "cloudflare/production", "observedAt": "2026-11-24T07:00:00Z", "stale": true, "trouble": "503 Service Unavailable"},
        ],
        "documents": {
            "accepted": "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "rejected": [{"file": "resources/staging/web.yaml", "line": 7, "column": 3, "code": "CLV-0104", "found": "dnsName", "accepted": ["dnsNames"],
                "message": "unknown field `dnsName` in `spec` of TlsCertificate", "fix": "write `dnsNames`"}],
            "findings": [{"file": "resources/production.yaml", "line": 12, "column": 13, "code": "CLV-0201",
                "message": "production allows public ACME, against the default of its class", "fix": "remove `policy.publicAcme`, or leave it and know it"}],
        },
        "totals": [
            {"environment": "production", "kind": "CustomHostname", "ready": 1, "notReady": 1, "unknown": 0, "late": 0},
            {"environment": "production", "kind": "KmsKey", "ready": 1, "notReady": 1, "unknown": 0, "late": 0},
            {"environment": "staging", "kind": "TlsCertificate", "ready": 2, "notReady": 1, "unknown": 1, "late": 1},
            {"kind": "KmsKey", "ready": 0, "notReady": 1, "unknown": 0, "late": 0},
        ],
        "attention": [
            {"environment": "production", "object": {"kind": "CustomHostname", "namespace": "production", "name": "shop"}, "reason": "CustomerDnsConflict",
             "turn": "Customer", "since": "2026-11-22T10:00:00Z", "nextTry": "2026-11-24T10:05:00Z",
             "message": "shop.customer.example points at old.example.net", "fix": ["have customer-gmbh change the CNAME of shop.customer.example to saas.example.com"]},
            {"environment": "staging", "object": {"kind": "TlsCertificate", "namespace": "staging", "name": "web"}, "reason": "DnsNotPropagated", "turn": "Operator",
             "since": "2026-11-24T07:00:00Z", "nextTry": "2026-11-24T10:05:00Z", "hurtsAt": "2027-01-08T10:00:00Z",
             "message": "ns2.example.com (203.0.113.53) lacks the TXT value of _acme-challenge.www.staging.example.com, ns1.example.com has it",
             "fix": ["check the zone transfer from ns1.example.com to ns2.example.com"]},
            {"environment": "production", "object": {"kind": "KmsKey", "namespace": "production", "name": "issuing"}, "reason": "KeyPendingDeletion", "turn": "Operator",
             "since": "2026-11-21T10:00:00Z", "hurtsAt": "2026-11-28T10:00:00Z",
             "message": "somebody scheduled arn:aws:kms:eu-west-1:111111111111:key/2b1f for deletion on 2026-11-28",
             "fix": ["aws kms cancel-key-deletion --key-id 2b1f", "aws kms enable-key --key-id 2b1f"]},
            {"object": {"kind": "KmsKey", "namespace": "lost", "name": "data"}, "reason": "NamespaceUnclaimed", "turn": "Operator", "since": "2026-11-24T09:59:30Z",
             "hurtsAt": "2026-11-24T09:59:30Z", "message": "no environment claims the namespace `lost`", "fix": ["add `lost` to `spec.namespaces` of an environment"]},
        ],
    }))
}

fn calm_status() -> FleetStatus {
    typed(json!({
        "apiVersion": "claviger.dev/v1alpha1", "kind": "FleetStatus", "asOf": "2026-11-24T10:00:00Z", "complete": true,
        "sources": [{"name": "documents", "observedAt": "2026-11-24T09:59:58Z", "stale": false}],
        "documents": {"accepted": "sha256:5891", "rejected": []},
        "totals": [
            {"environment": "production", "kind": "KmsKey", "ready": 12, "notReady": 0, "unknown": 0, "late": 0},
            {"environment": "staging", "kind": "TlsCertificate", "ready": 30, "notReady": 0, "unknown": 0, "late": 0},
        ],
        "attention": [],
    }))
}

fn starting_status() -> FleetStatus {
    let totals = json!([{"environment": "staging", "kind": "TlsCertificate", "ready": 0, "notReady": 0, "unknown": 4, "late": 0}]);
    let sources = json!([{"name": "documents", "observedAt": "2026-11-24T09:59:58Z", "stale": false}, {"name": "kms/staging", "stale": true}]);
    FleetStatus { complete: false, totals: typed(totals), sources: typed(sources), ..calm_status() }
}

fn crowded_status() -> FleetStatus {
    let attention = (0..25).map(|number| {
        typed(json!({"environment": "production", "object": {"kind": "CustomHostname", "namespace": "production", "name": format!("shop-{number:02}")},
            "reason": "AwaitingCustomerDns", "turn": "Customer", "since": "2026-11-24T09:00:00Z", "message": "1 of 2 records is missing"}))
    });
    FleetStatus { attention: attention.collect(), ..calm_status() }
}

fn resource(kind: Kind, path: &str, spec: impl Serialize, status: impl Serialize) -> Resource {
    let (namespace, name) = match path.split_once('/') {
        Some((namespace, name)) => (Some(namespace.parse::<Namespace>().unwrap()), name),
        None => (None, path),
    };
    let mut status = serde_json::to_value(status).unwrap();
    status["record"] = json!("AgV4VerySecretMemory");
    Resource {
        api_version: claviger_config::API_VERSION.to_owned(),
        kind,
        metadata: Metadata { name: name.parse::<Name>().unwrap(), namespace, generation: 2 },
        spec: Some(serde_json::to_value(spec).unwrap()),
        status,
    }
}

fn conditions(ready: &str, reason: &str, on_schedule: &str, late: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "observedGeneration": 2, "lastTransitionTime": "2026-11-24T07:00:00Z"});
    json!([condition("Ready", ready, reason), condition("OnSchedule", on_schedule, late)])
}

fn resources() -> Vec<Resource> {
    [environments(), keys(), certificates(), custom_hostnames()].concat()
}

fn environments() -> Vec<Resource> {
    let staging: EnvironmentSpec = typed(json!({
        "class": "non-production", "namespaces": ["staging", "preview"], "owner": "itops@example.com", "classification": "internal",
        "kms": {"accountId": "222222222222", "region": "eu-west-1", "aliasPrefix": "claviger/staging", "wrappingKey": "wrapping"},
        "zones": [{"name": "staging.example.com", "challenges": ["http-01"]}],
        "issuers": [{"name": "letsencrypt", "trust": "public", "acme": {"directory": "https://acme-v02.api.letsencrypt.org/directory", "contacts": ["mailto:itops@example.com"]}}],
        "defaultIssuers": [{"name": "letsencrypt"}],
    }));
    let production: EnvironmentSpec = typed(json!({
        "class": "production", "namespaces": ["production"], "owner": "itops@example.com", "classification": "confidential",
        "kms": {"accountId": "111111111111", "region": "eu-west-1", "aliasPrefix": "claviger/production", "wrappingKey": "wrapping"},
        "zones": [{"name": "example.com", "except": ["staging.example.com"]}],
        "edge": {"cloudflare": {"zoneId": "023e105f4ecef8ad9ca31a8372d0c353", "apiToken": {"file": "cf-token"}, "target": "saas.example.com"}},
    }));
    let status: EnvironmentStatus =
        typed(json!({"observedGeneration": 2, "conditions": conditions("True", "Ready", "True", "Ready")}));
    vec![
        resource(Kind::Environment, "production", production, &status),
        resource(Kind::Environment, "staging", staging, &status),
    ]
}

fn inventory() -> Vec<DiscoveredView> {
    let certificate = |names: &[&str], begins: &str, ends: &str| {
        json!({
            "names": names, "issuer": "CN=Somebody's CA", "serial": "04ab", "spkiSha256": "9f00",
            "notBefore": begins, "notAfter": ends,
        })
    };
    let unowned = json!({
        "name": "Unowned", "message": "nobody is named who looks after it", "fix": "kubectl annotate secret old claviger.dev/owner=SOMEBODY",
    });
    let shared = json!({
        "name": "KeyShared", "message": "its private key is also that of `Secret/production/shop`", "fix": "let each have a key of its own",
    });
    typed(json!([
        {
            "environment": "staging", "namespace": "staging", "name": "old", "owner": "itops@example.com", "state": "Expired",
            "certificate": certificate(&["old.staging.example.com"], "2025-09-01T00:00:00Z", "2026-09-01T00:00:00Z"),
            "findings": [unowned.clone()],
        },
        {
            "environment": "staging", "namespace": "preview", "name": "shop", "owner": "shop@example.com", "managedBy": "cert-manager/shop",
            "state": "Expiring", "certificate": certificate(&["shop.example.com", "ip:192.0.2.1"], "2026-09-01T00:00:00Z", "2026-11-30T00:00:00Z"),
            "findings": [shared],
        },
        {
            "environment": "production", "namespace": "production", "name": "shop", "owner": "shop@example.com", "managedBy": "Helm",
            "state": "Valid", "certificate": certificate(&["shop.example.com"], "2026-11-01T00:00:00Z", "2027-01-30T00:00:00Z"),
        },
        {
            "environment": "production", "namespace": "production", "name": "broken", "owner": "itops@example.com", "state": "Unreadable",
            "findings": [{"name": "Unreadable", "message": "`tls.crt` holds no certificate", "fix": "look at it"}, unowned],
        },
    ]))
}

fn two_edges() -> Vec<Resource> {
    let mut all = environments();
    all[1].spec = all[0].spec.clone();
    all
}

fn keys() -> Vec<Resource> {
    let spec: KmsKeySpec = typed(json!({"purpose": "wrap", "rotation": {"period": "365d"}}));
    let wrapping = |environment: &str| -> KmsKeyStatus {
        typed(
            json!({"observedGeneration": 2, "environment": environment, "conditions": conditions("True", "KeyReady", "True", "KeyReady"),
            "alias": format!("alias/claviger/{environment}/wrapping"),
            "key": {"arn": format!("arn:aws:kms:eu-west-1:111111111111:key/{environment}"), "state": "Enabled", "createdAt": "2026-01-24T10:00:00Z",
                "nextRotation": "2027-01-24T10:00:00Z", "observedAt": "2026-11-24T09:55:00Z"}}),
        )
    };
    let signing: KmsKeySpec = typed(json!({"purpose": "sign-authority", "keySpec": "ECC_NIST_P384"}));
    let issuing: KmsKeyStatus = typed(json!({"observedGeneration": 2, "environment": "production",
        "conditions": conditions("False", "KeyPendingDeletion", "True", "KeyReady"),
        "attention": {"reason": "KeyPendingDeletion", "turn": "Operator", "since": "2026-11-21T10:00:00Z", "message": "it will be deleted on 2026-11-28"},
        "alias": "alias/claviger/production/issuing",
        "key": {"arn": "arn:aws:kms:eu-west-1:111111111111:key/2b1f", "state": "PendingDeletion", "createdAt": "2024-11-24T10:00:00Z",
            "deletionAt": "2026-11-28T10:00:00Z", "observedAt": "2026-11-24T09:55:00Z"}}));
    let data: KmsKeySpec = typed(json!({"purpose": "data"}));
    let lost: KmsKeyStatus = typed(
        json!({"observedGeneration": 2, "conditions": conditions("False", "NamespaceUnclaimed", "True", "NotObserved")}),
    );
    vec![
        resource(Kind::KmsKey, "lost/data", data, lost),
        resource(Kind::KmsKey, "production/issuing", signing, issuing),
        resource(Kind::KmsKey, "production/wrapping", &spec, wrapping("production")),
        resource(Kind::KmsKey, "staging/wrapping", &spec, wrapping("staging")),
    ]
}

fn certificate(path: &str, status: Value) -> Resource {
    let (environment, name) = path.split_once('/').unwrap();
    let spec: TlsCertificateSpec = typed(json!({"dnsNames": [format!("{name}.{environment}.example.com")],
        "outlets": [{"name": "nginx", "files": {"directory": name, "reload": "nginx"}}]}));
    let mut whole = json!({"observedGeneration": 2, "environment": environment});
    whole.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
    resource(Kind::TlsCertificate, path, spec, typed::<TlsCertificateStatus>(whole))
}

fn certificates() -> Vec<Resource> {
    let issued = json!({"issuer": "letsencrypt", "serial": "04ab9f", "spkiSha256": "9f86", "notBefore": "2026-10-10T10:00:00Z", "notAfter": "2027-01-08T10:00:00Z"});
    let renewal = json!({"at": "2026-12-24T03:11:09Z", "source": "Ari"});
    let well = conditions("True", "Issued", "True", "Issued");
    vec![
        certificate(
            "production/web",
            json!({"conditions": conditions("False", "PolicyRefuses", "True", "NotObserved"),
            "attention": {"reason": "PolicyRefuses", "turn": "Operator", "since": "2026-11-24T09:00:00Z", "message": "production refuses public ACME"}}),
        ),
        certificate("staging/api", json!({"conditions": well, "certificate": issued, "renewal": renewal})),
        certificate("staging/fresh", json!({"conditions": conditions("False", "Missing", "True", "Missing")})),
        certificate(
            "staging/legacy",
            json!({"conditions": conditions("Unknown", "NotObserved", "Unknown", "NotObserved")}),
        ),
        certificate(
            "staging/web",
            json!({"conditions": conditions("True", "Issued", "False", "DnsNotPropagated"), "certificate": issued,
            "renewal": {"at": "2026-11-24T07:00:00Z", "source": "Ari"},
            "attention": {"reason": "DnsNotPropagated", "turn": "Operator", "since": "2026-11-24T07:00:00Z", "message": "ns2 lacks the TXT value",
                "fix": ["check the zone transfer to ns2"]}}),
        ),
    ]
}

/// The same certificate, once it has been issued.
fn issued(resource: Resource) -> Resource {
    let status = TlsCertificateStatus {
        certificate: None,
        ..typed(json!({"observedGeneration": 2, "environment": "staging",
        "conditions": conditions("True", "Issued", "True", "Issued")}))
    };
    Resource { status: serde_json::to_value(status).unwrap(), ..resource }
}

fn custom_hostnames() -> Vec<Resource> {
    let spec: CustomHostnameSpec =
        typed(json!({"hostname": "shop.customer.example", "tenant": "customer-gmbh", "validation": "http"}));
    let status: CustomHostnameStatus =
        typed(json!({"observedGeneration": 2, "environment": "production", "origin": "Document",
        "conditions": conditions("False", "CustomerDnsConflict", "True", "CustomerDnsConflict")}));
    vec![resource(Kind::CustomHostname, "production/shop", spec, status)]
}

fn explanations() -> Vec<Explanation> {
    vec![
        typed(json!({
            "apiVersion": "claviger.dev/v1alpha1", "kind": "Explanation", "object": {"kind": "TlsCertificate", "namespace": "staging", "name": "web"},
            "environment": "staging", "owner": "itops@example.com", "classification": "internal",
            "verdict": {"reason": "DnsNotPropagated", "turn": "Operator", "message": "ns2.example.com lacks the TXT value of _acme-challenge.www.staging.example.com",
                "since": "2026-11-24T07:00:00Z", "hurtsAt": "2027-01-08T10:00:00Z", "fix": ["check the zone transfer to ns2.example.com"]},
            "steps": [
                {"step": "SealNewKey", "state": "Done", "at": "2026-11-24T07:00:00Z", "ref": "arn:aws:kms:eu-west-1:222222222222:key/9c1e"},
                {"step": "OpenOrder", "state": "Done", "at": "2026-11-24T07:00:01Z", "ref": "https://acme.example/order/1"},
                {"step": "Publish", "state": "Done", "at": "2026-11-24T07:00:03Z"},
                {"step": "ProvePropagation", "state": "Current", "checks": [
                    {"server": "ns1.example.com", "saw": ["x9y8z7"], "want": "x9y8z7"}, {"server": "ns2.example.com", "saw": [], "want": "x9y8z7"}]},
                {"step": "Finalize", "state": "Waiting"}, {"step": "Deliver", "state": "Waiting"},
            ],
            "history": [
                {"at": "2026-11-24T07:05:00Z", "reason": "DnsNotPropagated", "message": "ns2 lacks it", "intent": "5f0c2a91-3"},
                {"at": "2026-11-24T07:00:00Z", "reason": "RenewalDue"},
            ],
            "next": {"at": "2026-11-24T10:05:00Z", "because": "BackOff"},
        })),
        typed(json!({
            "apiVersion": "claviger.dev/v1alpha1", "kind": "Explanation", "object": {"kind": "Environment", "name": "staging"},
            "verdict": {"reason": "Ready", "turn": "Nobody"}, "steps": [], "history": [],
        })),
    ]
}

fn hostname(name: &str, tenant: &str, more: Value) -> HostnameView {
    let label = name.split('.').next().unwrap();
    let mut whole = json!({"kind": "CustomHostname", "environment": "production", "hostname": name, "origin": "Api", "tenant": tenant,
        "object": {"kind": "CustomHostname", "namespace": "production", "name": label}});
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    typed(whole)
}

fn hostnames() -> Vec<HostnameView> {
    vec![
        hostname(
            "cafe.other.example",
            "other-ag",
            json!({"ready": true, "reason": "Active", "turn": "Nobody",
            "edge": {"id": "8a1b", "origin": "Created", "hostname": "active", "certificate": "active", "notAfter": "2027-02-12T10:00:00Z", "observedAt": "2026-11-24T09:58:00Z"},
            "records": [{"purpose": "Traffic", "type": "CNAME", "name": "cafe.other.example", "value": "saas.example.com", "verdict": "Ok", "checkedAt": "2026-11-24T09:58:00Z"}]}),
        ),
        hostname(
            "shop.customer.example",
            "customer-gmbh",
            json!({"origin": "Document", "reference": "order-4711", "ready": false, "reason": "CustomerDnsConflict", "turn": "Customer",
            "message": "shop.customer.example points at old.example.net", "fix": ["ask customer-gmbh whether the old shop may go"],
            "edge": {"id": "8a1c", "origin": "Created", "hostname": "pending", "certificate": "pending_validation", "observedAt": "2026-11-24T09:57:00Z"},
            "nextCheck": "2026-11-24T10:05:00Z",
            "records": [
                {"purpose": "Traffic", "type": "CNAME", "name": "shop.customer.example", "value": "saas.example.com", "verdict": "Conflict",
                    "found": ["CNAME old.example.net", "TXT \u{1b}[31mred"], "checkedAt": "2026-11-24T09:57:00Z"},
                {"purpose": "Ownership", "type": "TXT", "name": "_cf-custom-hostname.shop.customer.example", "value": "0e2d5a7f-1f0a-4ee3-a00f-5b2ff7c5e9a1", "verdict": "Add",
                    "checkedAt": "2026-11-24T09:57:00Z"},
                {"purpose": "Certificate", "type": "HTTP", "name": "http://shop.customer.example/.well-known/acme-challenge/abc", "value": "abc.def", "optional": true, "verdict": "Unknown"},
            ]}),
        ),
    ]
}

fn crowd() -> Vec<HostnameView> {
    (0..CROWD)
        .map(|number| {
            hostname(
                &format!("shop-{number}.customer.example"),
                "crowd",
                json!({"ready": true, "reason": "Active", "turn": "Nobody"}),
            )
        })
        .collect()
}

fn request() -> HostnameRequest {
    HostnameRequest { tenant: "new-kg".to_owned(), validation: None, reference: None }
}

/// A host name that has just been asked for.
fn fresh(environment: &str, name: &str, request: &HostnameRequest) -> HostnameView {
    let waiting = json!({"ready": false, "reason": "AwaitingCustomerDns", "turn": "Customer", "nextCheck": "2026-11-24T10:01:00Z",
        "records": [{"purpose": "Traffic", "type": "CNAME", "name": name, "value": "saas.example.com", "verdict": "Add", "checkedAt": "2026-11-24T10:00:00Z"}]});
    let view = hostname(name, &request.tenant, waiting);
    HostnameView {
        environment: environment.parse::<EnvironmentName>().unwrap(),
        reference: request.reference.clone(),
        ..view
    }
}

fn served(environment: &str, name: &str) -> HostnameView {
    let view = fresh(environment, name, &request());
    let done = json!({"ready": true, "reason": "Active", "turn": "Nobody", "records": []});
    HostnameView { environment: view.environment, ..hostname(name, "new-kg", done) }
}
