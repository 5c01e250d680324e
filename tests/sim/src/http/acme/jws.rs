//! Signed requests (RFC 8555 section 6.2): flattened JSON, one signature, nothing unprotected.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::super::Ask;
use crate::model::acme::{Acme, Jwk, Problem, malformed};

/// A request whose signature is right.
pub(super) struct Signed {
    pub(super) signer: Signer,
    pub(super) payload: Vec<u8>,
}

/// Who signed.
pub(super) enum Signer {
    /// An account that may be used.
    Account(String),
    /// Whoever has this key.
    Key(Jwk),
}

impl Signed {
    /// The payload as an object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Problem> {
        serde_json::from_slice(&self.payload).map_err(|_| malformed("Request payload did not parse as JSON"))
    }

    /// POST-as-GET: the payload must be empty (RFC 8555 section 6.3).
    pub(super) fn is_get(&self) -> bool {
        self.payload.is_empty()
    }

    pub(super) fn account(&self) -> Result<&str, Problem> {
        match &self.signer {
            Signer::Account(id) => Ok(id),
            Signer::Key(_) => Err(malformed("No Key ID in JWS header")),
        }
    }

    pub(super) fn key(&self) -> Result<&Jwk, Problem> {
        match &self.signer {
            Signer::Key(key) => Ok(key),
            Signer::Account(_) => Err(malformed("No embedded JWK in JWS header")),
        }
    }
}

/// Checks a request from the outside in: form, key, signature, nonce, URL.
pub(super) fn open(acme: &mut Acme, base: &str, ask: &Ask) -> Result<Signed, Problem> {
    if ask.header("content-type") != Some("application/jose+json") {
        let text = "Invalid Content-Type header on POST. Content-Type must be \"application/jose+json\"";
        return Err(malformed(text).status(415));
    }
    if acme.steering.need_user_agent && ask.header("user-agent").is_none_or(str::is_empty) {
        return Err(malformed("User-Agent header is required"));
    }
    let outer = Parts::read(&serde_json::from_slice(&ask.body).map_err(|_| malformed("Parse error reading JWS"))?)?;
    let signer = outer.signer(acme, base)?;
    let key = match &signer {
        Signer::Account(id) => acme.account(id)?.key.clone(),
        Signer::Key(key) => key.clone(),
    };
    outer.check_signature(&key)?;
    let nonce =
        outer.header["nonce"].as_str().ok_or_else(|| Problem::new("badNonce", "JWS has no anti-replay nonce"))?;
    acme.spend_nonce(nonce)?;
    outer.check_url(&format!("{base}{}", ask.path))?;
    Ok(Signed { signer, payload: outer.payload })
}

/// The request inside a key change (RFC 8555 section 7.3.5): signed by the new key, without a nonce.
pub(super) fn open_inner(url: &str, jws: &Value) -> Result<Signed, Problem> {
    let inner = Parts::read(jws)?;
    let key = Jwk::read(&inner.header["jwk"])?;
    inner.check_signature(&key)?;
    inner.check_url(url)?;
    if !inner.header["nonce"].is_null() {
        return Err(malformed("Inner JWS must not have a nonce"));
    }
    Ok(Signed { signer: Signer::Key(key), payload: inner.payload })
}

struct Parts {
    header: Value,
    payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

impl Parts {
    fn read(jws: &Value) -> Result<Self, Problem> {
        if !jws["header"].is_null() || !jws["signatures"].is_null() {
            return Err(malformed("JWS \"header\" field not allowed, and only one signature"));
        }
        let text = |name: &str| jws[name].as_str().ok_or_else(|| malformed(format!("JWS has no {name:?}")));
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed("JWS is not base64url"));
        let (protected, payload) = (text("protected")?, text("payload")?);
        let header = serde_json::from_slice(&decode(protected)?).map_err(|_| malformed("JWS header is not JSON"))?;
        let signed = format!("{protected}.{payload}");
        Ok(Self { header, payload: decode(payload)?, signed, signature: decode(text("signature")?)? })
    }

    fn signer(&self, acme: &Acme, base: &str) -> Result<Signer, Problem> {
        match (&self.header["jwk"], self.header["kid"].as_str()) {
            (Value::Null, Some(kid)) => {
                let id = kid.strip_prefix(&format!("{base}/acct/"));
                let id = id.ok_or_else(|| malformed("KeyID header contained an invalid account URL"))?;
                acme.account(id).map(|account| Signer::Account(account.id.clone()))
            }
            (Value::Null, None) => Err(malformed("JWS has neither jwk nor kid")),
            (_, Some(_)) => Err(malformed("jwk and kid header fields are mutually exclusive")),
            (jwk, None) => Jwk::read(jwk).map(Signer::Key),
        }
    }

    fn check_signature(&self, key: &Jwk) -> Result<(), Problem> {
        let algorithm = self.header["alg"].as_str().unwrap_or_default();
        if algorithm != key.algorithm() {
            let detail = format!("JWS signature header contains unsupported algorithm {algorithm:?}");
            return Err(Problem::new("badSignatureAlgorithm", detail));
        }
        match key.verifies(self.signed.as_bytes(), &self.signature) {
            true => Ok(()),
            false => Err(malformed("JWS verification error")),
        }
    }

    fn check_url(&self, expected: &str) -> Result<(), Problem> {
        match self.header["url"].as_str() {
            Some(url) if url == expected => Ok(()),
            found => {
                let detail = format!("JWS header parameter 'url' incorrect. Expected {expected:?} got {found:?}");
                Err(Problem::new("unauthorized", detail))
            }
        }
    }
}
