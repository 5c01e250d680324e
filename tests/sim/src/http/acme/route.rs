//! Which path does what.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::Value;

use super::super::Ask;
use super::jws::{self, Signed, Signer};
use super::{no_method, show};
use crate::answer::Answer;
use crate::model::acme::{Acme, Advice, NewOrder, Problem, Revoker, malformed};

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Account(String),
    Authorization(String),
    Certificate(String, bool),
    Challenge(String, usize),
    Directory,
    Finalize(String),
    KeyChange,
    NewAccount,
    NewNonce,
    NewOrder,
    Order(String),
    RenewalInfo(String),
    RevokeCertificate,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        Some(match parts.as_slice() {
            ["dir"] => Self::Directory,
            ["nonce"] => Self::NewNonce,
            ["new-acct"] => Self::NewAccount,
            ["acct", id] => Self::Account((*id).into()),
            ["new-order"] => Self::NewOrder,
            ["order", id] => Self::Order((*id).into()),
            ["order", id, "finalize"] => Self::Finalize((*id).into()),
            ["authz", id] => Self::Authorization((*id).into()),
            ["chall", id, place] => Self::Challenge((*id).into(), place.parse().ok()?),
            ["cert", serial] => Self::Certificate((*serial).into(), false),
            ["cert", serial, "1"] => Self::Certificate((*serial).into(), true),
            ["revoke-cert"] => Self::RevokeCertificate,
            ["key-change"] => Self::KeyChange,
            ["renewal-info", id] => Self::RenewalInfo((*id).into()),
            _ => return None,
        })
    }

    /// The operation's name: the directory's where it has one.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Authorization(_) => "authorization",
            Self::Certificate(..) => "certificate",
            Self::Challenge(..) => "challenge",
            Self::Directory => "directory",
            Self::Finalize(_) => "finalize",
            Self::KeyChange => "keyChange",
            Self::NewAccount => "newAccount",
            Self::NewNonce => "newNonce",
            Self::NewOrder => "newOrder",
            Self::Order(_) => "order",
            Self::RenewalInfo(_) => "renewalInfo",
            Self::RevokeCertificate => "revokeCert",
        }
    }
}

pub(super) fn run(acme: &mut Acme, now: i64, base: &str, ask: &Ask) -> Result<Answer, Problem> {
    let route = Route::of(&ask.path).ok_or_else(|| malformed("Page not found").status(404))?;
    match (&route, &ask.method) {
        (Route::Directory, &Method::GET) => Ok(show::directory(acme, base)),
        (Route::NewNonce, &Method::HEAD) => Ok(Answer::empty(200).with("replay-nonce", acme.nonce())),
        (Route::NewNonce, &Method::GET) => Ok(Answer::empty(204).with("replay-nonce", acme.nonce())),
        (Route::RenewalInfo(id), &Method::GET) => renewal_info(acme, now, id),
        (Route::Directory | Route::NewNonce | Route::RenewalInfo(_), _) => Err(no_method(ask)),
        (_, &Method::POST) => {
            let signed = jws::open(acme, base, ask)?;
            signed_request(acme, now, base, &route, &signed)
        }
        // Nothing but the three above may be read without a signature.
        _ => Err(no_method(ask)),
    }
}

fn signed_request(acme: &mut Acme, now: i64, base: &str, route: &Route, signed: &Signed) -> Result<Answer, Problem> {
    match route {
        Route::NewAccount => new_account(acme, now, base, signed),
        Route::NewOrder => new_order(acme, now, base, signed),
        Route::RevokeCertificate => revoke(acme, now, signed),
        Route::KeyChange => key_change(acme, base, signed),
        Route::Account(id) => account(acme, id, signed),
        Route::Order(id) => show::order(acme, now, base, acme.order(read(signed)?, id)?),
        Route::Finalize(id) => finalize(acme, now, base, id, signed),
        Route::Authorization(id) => authorization(acme, now, base, id, signed),
        Route::Challenge(id, place) => challenge(acme, now, base, id, *place, signed),
        Route::Certificate(serial, alternate) => {
            let chain = acme.chain(read(signed)?, serial, *alternate)?;
            Ok(show::chain(base, serial, *alternate, chain))
        }
        Route::Directory | Route::NewNonce | Route::RenewalInfo(_) => Err(malformed("not a signed resource")),
    }
}

fn read(signed: &Signed) -> Result<&str, Problem> {
    if signed.is_get() { signed.account() } else { Err(malformed("POST-as-GET requests must have an empty payload")) }
}

fn new_account(acme: &mut Acme, now: i64, base: &str, signed: &Signed) -> Result<Answer, Problem> {
    let (wish, key) = (signed.object()?, signed.key()?.clone());
    let flag = |name: &str| wish.get(name).and_then(Value::as_bool).unwrap_or(false);
    let (account, fresh) = acme.new_account(now, key, flag("onlyReturnExisting"), flag("termsOfServiceAgreed"))?;
    let status = if fresh { 201 } else { 200 };
    Ok(show::account(status, &account).with("location", format!("{base}/acct/{}", account.id)))
}

fn account(acme: &mut Acme, id: &str, signed: &Signed) -> Result<Answer, Problem> {
    if signed.account()? != id {
        return Err(Problem::new("unauthorized", "Request signing key did not match account key"));
    }
    let wish = if signed.is_get() { Default::default() } else { signed.object()? };
    let account = match wish.get("status").and_then(Value::as_str) {
        Some("deactivated") => acme.deactivate_account(id)?,
        Some(other) => return Err(malformed(format!("Invalid value {other:?} provided for status field"))),
        None => acme.account(id)?.clone(),
    };
    Ok(show::account(200, &account))
}

fn new_order(acme: &mut Acme, now: i64, base: &str, signed: &Signed) -> Result<Answer, Problem> {
    let (wish, account) = (signed.object()?, signed.account()?);
    if wish.contains_key("notBefore") || wish.contains_key("notAfter") {
        return Err(malformed("NotBefore and NotAfter are not supported"));
    }
    let identifiers = wish.get("identifiers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names = identifiers.iter().map(|one| match (one["type"].as_str(), one["value"].as_str()) {
        (Some("dns"), Some(name)) => Ok(name.to_owned()),
        (kind, _) => {
            let detail = format!("NewOrder request included unsupported identifier: type {kind:?}");
            Err(Problem::new("unsupportedIdentifier", detail))
        }
    });
    let text = |name: &str| wish.get(name).and_then(Value::as_str).map(str::to_owned);
    let wish =
        NewOrder { names: names.collect::<Result<_, _>>()?, profile: text("profile"), replaces: text("replaces") };
    let order = acme.new_order(now, account, &wish)?;
    let mut answer = show::order_document(acme, now, base, &order);
    // Shown here and never again, as at Let's Encrypt.
    if let Some(replaces) = order.replaces.as_ref().filter(|_| acme.steering.echo_replaces) {
        answer["replaces"] = replaces.as_str().into();
    }
    Ok(Answer::json(201, "application/json", &answer).with("location", format!("{base}/order/{}", order.id)))
}

fn finalize(acme: &mut Acme, now: i64, base: &str, id: &str, signed: &Signed) -> Result<Answer, Problem> {
    let account = signed.account()?;
    let csr = signed.object()?.get("csr").and_then(Value::as_str).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let csr = csr.ok_or_else(|| malformed("Error unmarshaling finalize order request"))?;
    acme.finalize(now, account, id, &csr)?;
    let order = acme.order(account, id)?;
    Ok(show::order(acme, now, base, order)?.with("location", format!("{base}/order/{id}")))
}

fn authorization(acme: &mut Acme, now: i64, base: &str, id: &str, signed: &Signed) -> Result<Answer, Problem> {
    let account = signed.account()?;
    if !signed.is_get() {
        match signed.object()?.get("status").and_then(Value::as_str) {
            Some("deactivated") => acme.deactivate_authorization(now, account, id)?,
            _ => return Err(malformed("Invalid status value")),
        }
    }
    Ok(show::authorization(acme, now, base, acme.authorization(now, account, id)?))
}

fn challenge(
    acme: &mut Acme,
    now: i64,
    base: &str,
    id: &str,
    place: usize,
    signed: &Signed,
) -> Result<Answer, Problem> {
    let account = signed.account()?;
    if !signed.is_get() {
        signed.object()?;
        acme.answer_challenge(now, account, id, place)?;
    }
    let one = acme.authorization(now, account, id)?;
    show::challenge(base, one, place).ok_or_else(|| malformed("No such challenge").status(404))
}

fn revoke(acme: &mut Acme, now: i64, signed: &Signed) -> Result<Answer, Problem> {
    let wish = signed.object()?;
    let der = wish.get("certificate").and_then(Value::as_str).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let der = der.ok_or_else(|| malformed("Unable to parse certificate DER"))?;
    let reason = wish.get("reason").and_then(Value::as_u64).unwrap_or(0);
    let by = match &signed.signer {
        Signer::Account(id) => Revoker::Account(id),
        Signer::Key(key) => Revoker::Key(key),
    };
    acme.revoke(now, by, &der, u8::try_from(reason).unwrap_or(u8::MAX))?;
    Ok(Answer::empty(200))
}

fn key_change(acme: &mut Acme, base: &str, signed: &Signed) -> Result<Answer, Problem> {
    let account = signed.account()?;
    let inner = jws::open_inner(&format!("{base}/key-change"), &Value::Object(signed.object()?))?;
    let (wish, key) = (inner.object()?, inner.key()?.clone());
    if wish.get("account").and_then(Value::as_str) != Some(format!("{base}/acct/{account}").as_str()) {
        return Err(malformed("Inner key rollover request specified Account that does not match outer JWS Key ID"));
    }
    let old = crate::model::acme::Jwk::read(wish.get("oldKey").unwrap_or(&Value::Null))?;
    if old != acme.account(account)?.key {
        return Err(malformed("Inner JWS does not contain old key field matching current account key"));
    }
    let taken = acme.account_of(&key).map(|other| format!("{base}/acct/{}", other.id));
    match (acme.change_key(account, key), taken) {
        (Ok(account), _) => Ok(show::account(200, &account)),
        (Err(problem), Some(other)) if problem.status == 409 => {
            Ok(Answer::json(409, "application/problem+json", &problem.document()).with("location", other))
        }
        (Err(problem), _) => Err(problem),
    }
}

fn renewal_info(acme: &mut Acme, now: i64, id: &str) -> Result<Answer, Problem> {
    if !acme.steering.offer_renewal_info {
        return Err(malformed("Page not found").status(404));
    }
    Ok(match acme.renewal_info(now, id)? {
        Ok(info) => show::renewal_info(&info),
        Err(Advice::Raw { status, body, retry_after }) => {
            let answer = Answer::text(status, "application/json", body);
            retry_after.into_iter().fold(answer, |answer, seconds| answer.with("retry-after", seconds.to_string()))
        }
        Err(Advice::Window { .. }) => return Err(malformed("a window is shown as one")),
    })
}
