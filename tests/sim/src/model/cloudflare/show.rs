//! A hostname as the API shows it.

use serde_json::{Value, json};

use super::proof::{challenge_name, ownership_name};
use super::{Cloudflare, Hostname, Outcome, Ssl, Token};

impl Cloudflare {
    /// `GET …/custom_hostnames/{id}`
    ///
    /// # Errors
    /// There is none.
    pub fn show(&mut self, zone: &str, id: &str) -> Outcome<Value> {
        let one = self.find(zone, id)?.clone();
        let delegation = self.open_zone(zone)?.delegation_target(&one.hostname);
        let mut shown = document(&one, &delegation);
        // A setting that nobody documents and nobody set.
        if self.steering.shuffle && shown["ssl"]["settings"].as_object().is_some_and(|settings| !settings.is_empty()) {
            shown["ssl"]["settings"]["http3"] = json!("on");
        }
        if self.steering.shuffle {
            for list in ["validation_records", "certificates", "hosts"] {
                if let Some(Value::Array(list)) = shown["ssl"].get_mut(list) {
                    self.dice.shuffle(list);
                }
            }
        }
        Ok(shown)
    }
}

fn document(one: &Hostname, delegation: &str) -> Value {
    let mut shown = json!({
        "id": one.id,
        "hostname": one.hostname,
        "status": one.status,
        "created_at": date(one.created),
    });
    if let Some(ssl) = &one.ssl {
        shown["ssl"] = certificate(&one.hostname, ssl, delegation);
    }
    if !one.verification_errors.is_empty() {
        shown["verification_errors"] = json!(one.verification_errors);
    }
    // Gone once it has done its work.
    if ["pending", "moved", "blocked", "deleted"].contains(&one.status.as_str()) {
        shown["ownership_verification"] =
            json!({ "type": "txt", "name": ownership_name(&one.hostname), "value": one.ownership });
        let url = format!("http://{}/.well-known/cf-custom-hostname-challenge/{}", one.hostname, one.id);
        shown["ownership_verification_http"] = json!({ "http_url": url, "http_body": one.ownership });
    }
    let values = [("custom_origin_server", &one.custom_origin_server), ("custom_origin_sni", &one.custom_origin_sni)];
    for (field, value) in values.into_iter().filter_map(|(field, value)| Some((field, value.as_ref()?))) {
        shown[field] = json!(value);
    }
    if let Some(metadata) = &one.custom_metadata {
        shown["custom_metadata"] = metadata.clone();
    }
    shown
}

fn certificate(hostname: &str, ssl: &Ssl, delegation: &str) -> Value {
    let mut hosts = vec![hostname.to_owned()];
    if ssl.wildcard {
        hosts.push(format!("*.{hostname}"));
    }
    let mut shown = json!({
        "id": ssl.id,
        "type": "dv",
        "method": ssl.method,
        "status": ssl.status,
        "wildcard": ssl.wildcard,
        "certificate_authority": ssl.authority,
        "bundle_method": ssl.bundle_method,
        "settings": ssl.settings,
        "hosts": hosts,
    });
    if ssl.status == "pending_validation" || ssl.status == "validation_timed_out" {
        let records: Vec<Value> = ssl.tokens.iter().map(|token| record(hostname, ssl, token)).collect();
        shown["validation_records"] = json!(records);
        let cname = challenge_name(hostname);
        shown["dcv_delegation_records"] = json!([{ "cname": cname, "cname_target": delegation, "status": "pending" }]);
    }
    if !ssl.validation_errors.is_empty() {
        let errors: Vec<Value> = ssl.validation_errors.iter().map(|message| json!({ "message": message })).collect();
        shown["validation_errors"] = json!(errors);
    }
    add_leaves(&mut shown, ssl);
    shown
}

fn add_leaves(shown: &mut Value, ssl: &Ssl) {
    let Some(first) = ssl.leaves.first() else { return };
    shown["issuer"] = json!(first.issuer);
    shown["serial_number"] = json!(first.serial_number);
    shown["signature"] = json!(first.signature);
    shown["uploaded_on"] = json!(date(first.issued));
    shown["expires_on"] = json!(date(first.expires));
    let leaf = |leaf: &super::Leaf| {
        json!({
            "id": leaf.id,
            "issuer": leaf.issuer,
            "serial_number": leaf.serial_number,
            "signature": leaf.signature,
            "fingerprint_sha256": leaf.fingerprint,
            "issued_on": date(leaf.issued),
            "expires_on": date(leaf.expires),
        })
    };
    shown["certificates"] = ssl.leaves.iter().map(leaf).collect();
}

fn record(hostname: &str, ssl: &Ssl, token: &Token) -> Value {
    let mut record = json!({ "status": "pending", "txt_name": challenge_name(hostname), "txt_value": token.value });
    if !ssl.wildcard {
        record["http_url"] = json!(format!("http://{hostname}/.well-known/pki-validation/{}.txt", token.path));
        record["http_body"] = json!(token.value);
    }
    record
}

/// RFC 3339 with microseconds, as Cloudflare writes it.
pub(super) fn date(millis: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
