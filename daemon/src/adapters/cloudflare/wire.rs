//! The calls: each is an `EndpointSpec` of the `cloudflare` crate with a name.

use claviger_config::{DnsName, hostname::Validation};
use claviger_core::domain::effect::EdgeSettings;
use cloudflare::framework::{
    endpoint::{Method, RequestBody, spec::EndpointSpec},
    response::ApiSuccess,
};
use serde_json::{Value, json};

use super::seen::{FallbackOrigin, Hostname, Page, Quota};

/// Rows asked for at once. The name is exact, so that one row is expected.
pub(super) const ROWS: usize = 50;

/// One row and what surrounds it.
const SHORT: usize = 1 << 20;
const LONG: usize = 16 << 20;

/// A common name has at most 64 characters (RFC 5280 appendix A.1, ub-common-name); above, Cloudflare puts its own in front.
const LONGEST_COMMON_NAME: usize = 64;

/// What claviger calls an endpoint.
pub(super) trait Call: EndpointSpec {
    /// The word in metrics.
    const OPERATION: &'static str;
    /// The verb in messages.
    const TASK: &'static str;
    /// Whether it changes something.
    const CHANGES: bool = false;
    /// The longest answer that is read.
    const LONGEST: usize = SHORT;
}

pub(super) struct Create<'a> {
    pub(super) zone: &'a str,
    pub(super) hostname: &'a DnsName,
    pub(super) settings: EdgeSettings,
}

pub(super) struct Edit<'a> {
    pub(super) zone: &'a str,
    pub(super) id: &'a str,
    pub(super) hostname: &'a DnsName,
    pub(super) settings: EdgeSettings,
}

pub(super) struct ReadFallbackOrigin<'a> {
    pub(super) zone: &'a str,
}

pub(super) struct ReadOne<'a> {
    pub(super) zone: &'a str,
    pub(super) id: &'a str,
}

pub(super) struct ReadQuota<'a> {
    pub(super) zone: &'a str,
}

pub(super) struct Search<'a> {
    pub(super) zone: &'a str,
    pub(super) hostname: &'a DnsName,
    pub(super) page: usize,
}

impl Call for Create<'_> {
    const OPERATION: &'static str = "create_hostname";
    const TASK: &'static str = "create";
    const CHANGES: bool = true;
}

impl EndpointSpec for Create<'_> {
    type JsonResponse = Hostname;
    type ResponseType = ApiSuccess<Hostname>;

    fn method(&self) -> Method {
        Method::POST
    }

    fn path(&self) -> String {
        hostnames(self.zone)
    }

    fn body(&self) -> Option<RequestBody<'_>> {
        Some(body(&json!({ "hostname": self.hostname.as_str(), "ssl": ssl(self.hostname, self.settings) })))
    }
}

impl Call for Edit<'_> {
    const OPERATION: &'static str = "edit_hostname";
    const TASK: &'static str = "change";
    const CHANGES: bool = true;
}

impl EndpointSpec for Edit<'_> {
    type JsonResponse = Hostname;
    type ResponseType = ApiSuccess<Hostname>;

    fn method(&self) -> Method {
        Method::PATCH
    }

    fn path(&self) -> String {
        one(self.zone, self.id)
    }

    fn body(&self) -> Option<RequestBody<'_>> {
        Some(body(&json!({ "ssl": ssl(self.hostname, self.settings) })))
    }
}

impl Call for ReadFallbackOrigin<'_> {
    const OPERATION: &'static str = "read_fallback_origin";
    const TASK: &'static str = "read the fallback origin of zone";
}

impl EndpointSpec for ReadFallbackOrigin<'_> {
    type JsonResponse = FallbackOrigin;
    type ResponseType = ApiSuccess<FallbackOrigin>;

    fn method(&self) -> Method {
        Method::GET
    }

    fn path(&self) -> String {
        format!("{}/fallback_origin", hostnames(self.zone))
    }
}

impl Call for ReadOne<'_> {
    const OPERATION: &'static str = "read_hostname";
    const TASK: &'static str = "read";
}

impl EndpointSpec for ReadOne<'_> {
    type JsonResponse = Hostname;
    type ResponseType = ApiSuccess<Hostname>;

    fn method(&self) -> Method {
        Method::GET
    }

    fn path(&self) -> String {
        one(self.zone, self.id)
    }
}

impl Call for ReadQuota<'_> {
    const OPERATION: &'static str = "read_quota";
    const TASK: &'static str = "read the quota of zone";
}

impl EndpointSpec for ReadQuota<'_> {
    type JsonResponse = Quota;
    type ResponseType = ApiSuccess<Quota>;

    fn method(&self) -> Method {
        Method::GET
    }

    fn path(&self) -> String {
        format!("{}/quota", hostnames(self.zone))
    }
}

impl Call for Search<'_> {
    const OPERATION: &'static str = "list_hostnames";
    const TASK: &'static str = "look up";
    const LONGEST: usize = LONG;
}

impl EndpointSpec for Search<'_> {
    type JsonResponse = Page;
    type ResponseType = ApiSuccess<Page>;

    fn method(&self) -> Method {
        Method::GET
    }

    fn path(&self) -> String {
        hostnames(self.zone)
    }

    fn query(&self) -> Option<String> {
        let (page, rows) = (self.page.to_string(), ROWS.to_string());
        let pairs = [("hostname.exact", self.hostname.as_str()), ("page", &page), ("per_page", &rows)];
        Some(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    }
}

/// The word at Cloudflare: a delegated name is proven by TXT records too, which Cloudflare places itself.
pub(super) const fn method(validation: Validation) -> &'static str {
    match validation {
        Validation::Delegated | Validation::Txt => "txt",
        Validation::Http => "http",
    }
}

/// Method and type always (1440, and a change without them is silently dropped), else only what claviger owns.
fn ssl(hostname: &DnsName, settings: EdgeSettings) -> Value {
    let mut ssl = json!({ "method": method(settings.validation), "type": "dv" });
    if let Some(version) = settings.min_tls_version {
        ssl["settings"] = json!({ "min_tls_version": version.word() });
    }
    if hostname.as_str().len() > LONGEST_COMMON_NAME {
        ssl["cloudflare_branding"] = json!(true);
    }
    ssl
}

fn body(value: &Value) -> RequestBody<'static> {
    RequestBody::Json(value.to_string())
}

fn hostnames(zone: &str) -> String {
    format!("zones/{}/custom_hostnames", segment(zone))
}

fn one(zone: &str, id: &str) -> String {
    format!("{}/{}", hostnames(zone), segment(id))
}

/// A stranger's id as one part of a path.
fn segment(id: &str) -> String {
    let mut written = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => written.push(char::from(byte)),
            _ => written.push_str(&format!("%{byte:02X}")),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use claviger_config::environment::TlsVersion;

    use super::*;

    fn sent(hostname: &str, validation: Validation, min_tls_version: Option<TlsVersion>) -> Value {
        let hostname: DnsName = hostname.parse().unwrap();
        let settings = EdgeSettings { validation, min_tls_version };
        match (Edit { zone: "z", id: "i", hostname: &hostname, settings }).body() {
            Some(RequestBody::Json(body)) => serde_json::from_str(&body).unwrap(),
            _ => panic!("a change has a JSON body"),
        }
    }

    #[test]
    fn a_change_carries_method_and_type_and_what_is_owned_and_nothing_else() {
        assert_eq!(sent("shop.example", Validation::Http, None), json!({ "ssl": { "method": "http", "type": "dv" } }));
        assert_eq!(
            sent("shop.example", Validation::Delegated, Some(TlsVersion::V1_2)),
            json!({ "ssl": { "method": "txt", "type": "dv", "settings": { "min_tls_version": "1.2" } } })
        );
    }

    #[test]
    fn only_names_above_64_characters_ask_for_branding() {
        let just = format!("{}.example", "a".repeat(56));
        assert_eq!(sent(&just, Validation::Http, None)["ssl"]["cloudflare_branding"], Value::Null);
        let long = format!("{}.example", "a".repeat(57));
        assert_eq!(sent(&long, Validation::Http, None)["ssl"]["cloudflare_branding"], json!(true));
    }

    #[test]
    fn a_strange_id_stays_one_part_of_the_path() {
        assert_eq!(ReadOne { zone: "z", id: "../x?y/ä" }.path(), "zones/z/custom_hostnames/%2E%2E%2Fx%3Fy%2F%C3%A4");
    }
}
