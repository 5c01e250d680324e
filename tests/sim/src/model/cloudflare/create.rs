//! POST: a new hostname, and everything that speaks against it.

use serde_json::{Value, json};

use super::certificate::Ssl;
use super::error::{CloudflareError, invalid};
use super::hostname::{Backoff, Hostname};
use super::{Cloudflare, Outcome};

impl Cloudflare {
    /// Makes a hostname: the id, and a message when it will be billed extra.
    ///
    /// # Errors
    /// Form, entitlement, quota, duplicate, limits.
    pub fn create(&mut self, now: i64, zone: &str, body: &Value) -> Outcome<(String, Vec<String>)> {
        let name = self.wanted_name(body)?;
        self.check_entitlements(zone, body)?;
        let ssl = self.wanted_certificate(zone, &body["ssl"])?;
        let taken = |one: &Hostname| one.zone == zone || self.steering.unique_across_zones;
        if self.all_named(&name).any(taken) {
            return Err(CloudflareError::new(409, 1406, "Duplicate custom hostname found."));
        }
        let messages = self.check_quota(zone)?;
        if ssl.is_some() {
            self.take_issuance(now)?;
        }
        let mut one = self.fresh(now, zone, &name);
        set_values(&mut one, body);
        one.ssl = ssl.map(|mut ssl| {
            ssl.order(now, self.dice.millis(self.steering.times.initializing), &mut self.dice);
            ssl
        });
        let id = one.id.clone();
        self.insert(one);
        self.counts.created += 1;
        Ok((id, messages))
    }

    fn fresh(&mut self, now: i64, zone: &str, hostname: &str) -> Hostname {
        Hostname {
            id: self.dice.uuid().to_string(),
            zone: zone.to_owned(),
            hostname: hostname.to_owned(),
            created: now,
            status: "pending".into(),
            verification_errors: Vec::new(),
            ownership: self.dice.uuid().to_string(),
            custom_metadata: None,
            custom_origin_server: None,
            custom_origin_sni: None,
            ssl: None,
            pointed: false,
            checks: Backoff::begin(now),
            since: now,
            listed_at: now + self.dice.millis(self.steering.list_delay_millis),
            wake: i64::MAX,
        }
    }

    fn wanted_name(&self, body: &Value) -> Outcome<String> {
        if !body.is_object() {
            return Err(invalid(1400, "Unable to decode the JSON request body. Check your input and try again."));
        }
        let name = body["hostname"].as_str().unwrap_or_default().to_ascii_lowercase();
        let branding = body["ssl"]["cloudflare_branding"].as_bool().unwrap_or(false);
        if name.starts_with("*.") {
            return Err(invalid(1448, "Wildcard custom hostnames are not supported. Use the wildcard setting."));
        }
        if !name.is_ascii() {
            return Err(invalid(
                1408,
                "Custom hostnames with non-ASCII characters are not supported. Check your input and try again.",
            ));
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if name.len() > 255 || name.parse::<std::net::IpAddr>().is_ok() || !name.split('.').all(label) {
            return Err(invalid(1407, "Invalid custom hostname. Check your input and try again."));
        }
        let top = name.rsplit('.').next().unwrap_or_default();
        if ["test", "invalid", "localhost"].contains(&top) || top == "example" && !self.steering.allow_example {
            return Err(invalid(
                1409,
                "Reserved top domain custom hostnames are not supported. Check your input and try again.",
            ));
        }
        if !name.contains('.') {
            return Err(invalid(
                1410,
                format!("Unable to parse custom hostname - publicsuffix: cannot derive eTLD+1 for domain {name:?}"),
            ));
        }
        if ["example.com", "example.net", "example.org"].contains(&name.as_str()) {
            return Err(invalid(1411, "Custom hostnames that are example domains are not supported."));
        }
        if name.len() > 64 && !branding {
            return Err(invalid(1469, "Hostname is longer than 64 characters: cloudflare_branding is needed."));
        }
        Ok(name)
    }

    pub(super) fn check_entitlements(&self, zone: &str, body: &Value) -> Outcome<()> {
        let zone = self.open_zone(zone)?;
        let has = |field: &str| body.get(field).is_some_and(|value| !value.is_null());
        if has("custom_metadata") && !zone.metadata {
            return Err(CloudflareError::new(
                403,
                1413,
                "No custom metadata access has been allocated for this zone or account.",
            ));
        }
        if body["custom_metadata"].to_string().len() > 4096 {
            return Err(invalid(1401, "Unable to encode the Custom Metadata as JSON. Check your input and try again."));
        }
        if (has("custom_origin_server") || has("custom_origin_sni")) && !zone.custom_origin {
            return Err(CloudflareError::new(
                403,
                1414,
                "Access to setting a custom origin server has not been granted for this zone.",
            ));
        }
        let origin = body["custom_origin_server"].as_str().unwrap_or_default();
        if origin.parse::<std::net::IpAddr>().is_ok() {
            return Err(invalid(1415, "Invalid custom origin hostname. Check your input and try again."));
        }
        Ok(())
    }

    /// Reads `ssl` of a request; None when there is none.
    pub(super) fn wanted_certificate(&self, zone: &str, wish: &Value) -> Outcome<Option<Ssl>> {
        if wish.is_null() {
            return Ok(None);
        }
        let text = |field: &str| wish[field].as_str().unwrap_or_default();
        let (method, kind) = (text("method"), text("type"));
        if method.is_empty() || kind.is_empty() {
            return Err(invalid(1440, "Both method and type are required for SSL. Check your input and try again."));
        }
        if !["http", "txt", "email"].contains(&method) {
            return Err(invalid(1432, "Invalid SSL method. Check your input and try again."));
        }
        if kind != "dv" {
            return Err(invalid(1433, "Invalid SSL type. Check your input and try again."));
        }
        let wildcard = wish["wildcard"].as_bool().unwrap_or(false);
        if wildcard && method != "txt" {
            return Err(invalid(1434, "Invalid SSL attribute: a wildcard can be validated by TXT only."));
        }
        let authority = text("certificate_authority");
        if !authority.is_empty() && !self.open_zone(zone)?.choose_authority {
            return Err(CloudflareError::new(
                403,
                1459,
                "Certificate authority selection is only available on an Enterprise plan.",
            ));
        }
        check_settings(&wish["settings"])?;
        Ok(Some(Ssl {
            id: String::new(),
            status: "initializing".into(),
            method: method.into(),
            wildcard,
            wanted_authority: authority.into(),
            authority: if authority.is_empty() { "google".into() } else { authority.into() },
            settings: if wish["settings"].is_object() { wish["settings"].clone() } else { json!({}) },
            bundle_method: if text("bundle_method").is_empty() {
                "ubiquitous".into()
            } else {
                text("bundle_method").into()
            },
            tokens: Vec::new(),
            validation_errors: Vec::new(),
            leaves: Vec::new(),
            checks: Backoff::begin(0),
            ordered: 0,
            until: 0,
        }))
    }

    fn check_quota(&self, id: &str) -> Outcome<Vec<String>> {
        let (zone, used) = (self.open_zone(id)?, self.used(id));
        if zone.hard_cap.is_some_and(|cap| used >= cap) {
            return Err(CloudflareError::new(
                403,
                1405,
                "Quota exceeded: the maximum number of custom hostnames is reached.",
            ));
        }
        let over = used >= zone.allocated;
        let text = || format!("{used} of {} custom hostnames are in use: this one will be billed.", zone.allocated);
        Ok(over.then(text).into_iter().collect())
    }
}

/// Takes over the values that are there; `{}` and `""` clear.
pub(super) fn set_values(one: &mut Hostname, body: &Value) {
    if let Some(metadata) = body.get("custom_metadata").filter(|value| value.is_object()) {
        let empty = metadata.as_object().is_some_and(serde_json::Map::is_empty);
        one.custom_metadata = (!empty).then(|| metadata.clone());
    }
    let set = |field: &str, place: &mut Option<String>| {
        if let Some(text) = body[field].as_str() {
            *place = (!text.is_empty()).then(|| text.to_owned());
        }
    };
    set("custom_origin_server", &mut one.custom_origin_server);
    set("custom_origin_sni", &mut one.custom_origin_sni);
}

fn check_settings(settings: &Value) -> Outcome<()> {
    let version = &settings["min_tls_version"];
    if !version.is_null() && !["1.0", "1.1", "1.2", "1.3"].iter().any(|known| version == known) {
        return Err(invalid(1424, "Invalid minimum TLS version. Check your input and try again."));
    }
    for switch in ["http2", "tls_1_3", "early_hints"] {
        if !settings[switch].is_null() && settings[switch] != "on" && settings[switch] != "off" {
            return Err(invalid(1422, format!("Invalid setting {switch}. Check your input and try again.")));
        }
    }
    Ok(())
}
