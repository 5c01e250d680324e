//! What Cloudflare shows, read leniently: only what says which thing it is must be there.

use std::fmt;

use claviger_config::Moment;
use claviger_core::domain::effect::{EdgeCertificate, HostnameSeen};
use cloudflare::framework::response::ApiResult;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::envelope::words;

/// The word for a status that is not there.
const UNKNOWN: &str = "unknown";

/// A custom host name.
#[derive(Debug, Deserialize)]
pub(super) struct Hostname {
    pub(super) id: String,
    pub(super) hostname: String,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    ssl: Option<Certificate>,
    #[serde(default, deserialize_with = "lenient")]
    ownership_verification: Option<Ownership>,
    #[serde(default, deserialize_with = "lenient")]
    verification_errors: Vec<Value>,
}

/// One page of a list. A row that cannot be read spoils it: the row could be the one that is looked for.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Page(pub(super) Vec<Hostname>);

/// Where requests go that no custom origin is set for; no host name validates before it is active.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct FallbackOrigin {
    /// The name of the origin.
    #[serde(default, deserialize_with = "lenient")]
    pub origin: Option<String>,
    /// Cloudflare's word, for example `active`.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<String>,
}

/// How many custom host names the zone may have. What Cloudflare does not say is absent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Quota {
    /// Included; more is billed.
    #[serde(default, deserialize_with = "lenient")]
    pub allocated: Option<u64>,
    /// In use, pending ones too.
    #[serde(default, deserialize_with = "lenient")]
    pub used: Option<u64>,
    /// Where creating is refused.
    #[serde(default, deserialize_with = "lenient")]
    pub hard_cap: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Ownership {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
struct Certificate {
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    method: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    settings: Option<TlsSettings>,
    #[serde(default, deserialize_with = "lenient")]
    expires_on: Option<Value>,
    #[serde(default, deserialize_with = "rows")]
    certificates: Vec<Leaf>,
    #[serde(default, deserialize_with = "rows")]
    validation_records: Vec<Proof>,
    #[serde(default, deserialize_with = "lenient")]
    validation_errors: Vec<Value>,
    // Older answers tell the proof here.
    #[serde(flatten)]
    proof: Proof,
}

#[derive(Debug, Deserialize)]
struct TlsSettings {
    #[serde(default, deserialize_with = "lenient")]
    min_tls_version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Leaf {
    #[serde(default, deserialize_with = "lenient")]
    expires_on: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Proof {
    #[serde(default, deserialize_with = "lenient")]
    txt_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    txt_value: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    http_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    http_body: Option<String>,
}

impl ApiResult for FallbackOrigin {}
impl ApiResult for Hostname {}
impl ApiResult for Page {}
impl ApiResult for Quota {}

impl Hostname {
    /// Whether it is the one of that name.
    pub(super) fn is(&self, hostname: &str) -> bool {
        self.hostname.trim_end_matches('.').eq_ignore_ascii_case(hostname)
    }

    /// Whether it is only still told, and no longer there.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.status.as_deref(), Some("deleted" | "pending_deletion"))
    }

    /// In the words of the core. `now` tells certificates that have expired from those that serve.
    pub(super) fn into_seen(self, now: Moment) -> HostnameSeen {
        HostnameSeen {
            id: self.id,
            hostname: self.hostname.trim_end_matches('.').to_ascii_lowercase(),
            status: self.status.unwrap_or_else(|| UNKNOWN.to_owned()),
            certificate: self.ssl.filter(Certificate::says_something).map(|ssl| ssl.into_seen(now)),
            ownership: self.ownership_verification.map(|proof| (proof.name, proof.value)),
            errors: self.verification_errors.iter().filter_map(words).collect(),
        }
    }
}

impl Certificate {
    /// `{}` is what some answers hold for "none".
    fn says_something(&self) -> bool {
        self.status.is_some() || self.method.is_some()
    }

    fn into_seen(self, now: Moment) -> EdgeCertificate {
        let not_after = self.not_after(now);
        let proofs = || std::iter::once(&self.proof).chain(&self.validation_records);
        EdgeCertificate {
            not_after,
            txt: distinct(proofs().filter_map(|proof| proof.txt_name.clone().zip(proof.txt_value.clone()))),
            http: distinct(proofs().filter_map(|proof| proof.http_url.clone().zip(proof.http_body.clone()))),
            errors: self.validation_errors.iter().filter_map(words).collect(),
            status: self.status.unwrap_or_else(|| UNKNOWN.to_owned()),
            method: self.method,
            min_tls_version: self.settings.and_then(|settings| settings.min_tls_version),
        }
    }

    /// A pair is served (ECDSA and RSA): the first that ends counts, and one that has ended already no longer serves.
    fn not_after(&self, now: Moment) -> Option<Moment> {
        let ends = || self.certificates.iter().filter_map(|leaf| leaf.expires_on.as_ref().and_then(moment));
        let first = ends().filter(|end| *end > now).min();
        first.or_else(|| self.expires_on.as_ref().and_then(moment)).or_else(|| ends().max())
    }
}

/// Sorted, since Cloudflare keeps no order.
fn distinct(pairs: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let pairs: std::collections::BTreeSet<_> =
        pairs.filter(|(name, value)| !name.is_empty() && !value.is_empty()).collect();
    pairs.into_iter().collect()
}

/// RFC 3339, the same without an offset or with a blank, `2026-11-24 10:00:00 +0000 UTC`, a date, or seconds since 1970.
fn moment(value: &Value) -> Option<Moment> {
    match value {
        Value::Number(seconds) => seconds.as_i64()?.checked_mul(1_000).map(Moment),
        Value::String(text) => text.trim().parse().ok().or_else(|| in_utc(text.trim())),
        _ => None,
    }
}

fn in_utc(text: &str) -> Option<Moment> {
    let text = ["UTC", "+0000"].iter().fold(text, |text, offset| text.trim_end_matches(offset).trim_end());
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Moment(zoned.timestamp().as_millisecond()))
}

/// What does not look as it should is not there.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// The rows that look as they should.
fn rows<'de, D: Deserializer<'de>, T: DeserializeOwned + fmt::Debug>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let rows: Vec<Value> = lenient(deserializer)?;
    Ok(rows.into_iter().filter_map(|row| serde_json::from_value(row).ok()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn seen(value: Value) -> HostnameSeen {
        serde_json::from_value::<Hostname>(value).unwrap().into_seen(at(NOW))
    }

    fn at(text: &str) -> Moment {
        text.parse().unwrap()
    }

    fn certificate(ssl: Value) -> Option<EdgeCertificate> {
        seen(json!({ "id": "1", "hostname": "shop.example", "status": "active", "ssl": ssl })).certificate
    }

    #[test]
    fn a_pending_host_name_shows_all_that_a_customer_must_place() {
        let seen = seen(json!({
            "id": "023e", "hostname": "Shop.Example", "status": "pending",
            "ownership_verification": { "type": "txt", "name": "_cf-custom-hostname.shop.example", "value": "5cc07c04" },
            "verification_errors": ["None of the A or AAAA records are owned by this account"],
            "ssl": { "status": "pending_validation", "method": "txt", "type": "dv", "settings": { "min_tls_version": "1.2" },
                "validation_records": [
                    { "status": "pending", "txt_name": "_acme-challenge.shop.example", "txt_value": "b" },
                    { "status": "pending", "txt_name": "_acme-challenge.shop.example", "txt_value": "a" }],
                "validation_errors": [{ "message": "no such record" }] }
        }));
        assert_eq!((seen.hostname.as_str(), seen.status.as_str()), ("shop.example", "pending"));
        assert_eq!(seen.ownership, Some(("_cf-custom-hostname.shop.example".to_owned(), "5cc07c04".to_owned())));
        assert_eq!(seen.errors.len(), 1);
        let certificate = seen.certificate.unwrap();
        assert_eq!(certificate.method.as_deref(), Some("txt"));
        assert_eq!(certificate.min_tls_version.as_deref(), Some("1.2"));
        assert_eq!(certificate.txt.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(certificate.errors, ["no such record"]);
    }

    #[test]
    fn a_host_name_without_a_certificate_is_told_in_five_ways() {
        for ssl in [json!(null), json!("null"), json!({}), json!([]), json!(7)] {
            assert_eq!(certificate(ssl.clone()), None, "{ssl}");
        }
        assert_eq!(seen(json!({ "id": "1", "hostname": "shop.example" })).certificate, None);
    }

    #[test]
    fn words_that_no_reference_knows_are_kept() {
        let kept = certificate(json!({ "status": "holding_breath", "method": "carrier-pigeon" })).unwrap();
        assert_eq!((kept.status.as_str(), kept.method.as_deref()), ("holding_breath", Some("carrier-pigeon")));
    }

    #[test]
    fn older_answers_tell_the_proof_at_the_top() {
        let told =
            certificate(json!({ "status": "pending_validation", "http_url": "http://shop.example/.well-known/x",
            "http_body": "ca3-1", "txt_name": "_acme-challenge.shop.example", "txt_value": "ca3-2" }))
            .unwrap();
        assert_eq!(told.http, [("http://shop.example/.well-known/x".to_owned(), "ca3-1".to_owned())]);
        assert_eq!(told.txt, [("_acme-challenge.shop.example".to_owned(), "ca3-2".to_owned())]);
    }

    #[test]
    fn the_leaf_that_ends_first_counts_unless_it_has_ended() {
        let ends = |ssl| certificate(ssl).unwrap().not_after;
        let pair = json!([{ "expires_on": "2026-11-01T00:00:00Z" }, { "expires_on": "2027-02-01T00:00:00Z" },
            { "expires_on": "2027-01-01T00:00:00Z" }, {}, "odd"]);
        assert_eq!(ends(json!({ "status": "active", "certificates": pair })), Some(at("2027-01-01T00:00:00Z")));
        let ended = json!([{ "expires_on": "2026-11-01T00:00:00Z" }]);
        assert_eq!(
            ends(json!({ "status": "active", "certificates": ended, "expires_on": "2027-03-01T00:00:00Z" })),
            Some(at("2027-03-01T00:00:00Z"))
        );
        assert_eq!(ends(json!({ "status": "expired", "certificates": ended })), Some(at("2026-11-01T00:00:00Z")));
        assert_eq!(ends(json!({ "status": "active" })), None);
    }

    #[test]
    fn dates_are_read_in_the_forms_that_have_been_seen() {
        for told in [
            "2027-01-01T00:00:00Z",
            "2027-01-01T00:00:00.000000Z",
            "2027-01-01T00:00:00",
            "2027-01-01 00:00:00",
            "2027-01-01 00:00:00 +0000 UTC",
            "2027-01-01",
            "2027-01-01T01:00:00+01:00",
        ] {
            assert_eq!(moment(&json!(told)), Some(at("2027-01-01T00:00:00Z")), "{told}");
        }
        assert_eq!(moment(&json!(1_798_761_600)), Some(at("2027-01-01T00:00:00Z")));
        for told in [json!("soon"), json!(""), json!(null), json!([]), json!(i64::MAX)] {
            assert_eq!(moment(&told), None, "{told}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_named_spoils_the_page() {
        assert!(
            serde_json::from_value::<Page>(json!([{ "id": "1", "hostname": "a.example" }, { "id": "2" }])).is_err()
        );
        assert!(serde_json::from_value::<Page>(json!(null)).is_err());
    }
}
