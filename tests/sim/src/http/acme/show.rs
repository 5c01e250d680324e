//! Documents (RFC 8555 section 7.1).

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::model::acme::{
    Account, AccountStatus, Acme, Authorization, AuthorizationStatus, Challenge, ChallengeStatus, Order, OrderStatus,
    Problem, RenewalInfo,
};

pub(super) fn directory(acme: &Acme, base: &str) -> Answer {
    let profiles: Map<String, Value> =
        acme.steering.profiles.iter().map(|profile| (profile.name.clone(), json!(profile.url))).collect();
    let mut directory = json!({
        "newNonce": format!("{base}/nonce"),
        "newAccount": format!("{base}/new-acct"),
        "newOrder": format!("{base}/new-order"),
        "revokeCert": format!("{base}/revoke-cert"),
        "keyChange": format!("{base}/key-change"),
        "meta": {
            "termsOfService": format!("{base}/terms"),
            "website": "https://claviger.dev",
            "caaIdentities": [acme.steering.caa_identity],
            "profiles": profiles,
        },
        // Let's Encrypt puts a stray entry in, so that clients learn to bear it.
        "lA3bqVzOuXY": "https://community.letsencrypt.org/t/adding-random-entries-to-the-directory/33417",
    });
    if acme.steering.offer_renewal_info {
        directory["renewalInfo"] = json!(format!("{base}/renewal-info"));
    }
    Answer::json(200, "application/json", &directory)
}

pub(super) fn account(status: u16, account: &Account) -> Answer {
    let state = if account.status == AccountStatus::Valid { "valid" } else { "deactivated" };
    Answer::json(status, "application/json", &json!({ "status": state, "createdAt": date(account.created) }))
}

pub(super) fn order(acme: &Acme, now: i64, base: &str, order: &Order) -> Result<Answer, Problem> {
    let answer = Answer::json(200, "application/json", &order_document(acme, now, base, order));
    let waits = matches!(acme.order_status(now, order), OrderStatus::Pending | OrderStatus::Processing);
    Ok(patience(acme, answer, waits))
}

pub(super) fn order_document(acme: &Acme, now: i64, base: &str, order: &Order) -> Value {
    let status = acme.order_status(now, order);
    let identifiers: Vec<Value> = order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    let authorizations: Vec<String> = order.authorizations.iter().map(|id| format!("{base}/authz/{id}")).collect();
    let mut document = json!({
        "status": format!("{status:?}").to_ascii_lowercase(),
        "expires": date(order.expires),
        "identifiers": identifiers,
        "authorizations": authorizations,
        "finalize": format!("{base}/order/{}/finalize", order.id),
        "profile": order.profile.0,
    });
    if let Some(serial) = &order.certificate {
        document["certificate"] = json!(format!("{base}/cert/{serial}"));
    }
    if let Some(problem) = acme.order_problem(order).filter(|_| status == OrderStatus::Invalid) {
        document["error"] = problem.document();
    }
    document
}

pub(super) fn authorization(acme: &Acme, now: i64, base: &str, one: &Authorization) -> Answer {
    let status = one.status_at(now);
    // What led nowhere is not shown any more once there is a verdict.
    let shown = |challenge: &Challenge| match status {
        AuthorizationStatus::Valid => challenge.status == ChallengeStatus::Valid,
        AuthorizationStatus::Invalid => challenge.status == ChallengeStatus::Invalid,
        _ => true,
    };
    let places = one.challenges.iter().enumerate().filter(|(_, challenge)| shown(challenge));
    let mut challenges: Vec<Value> = places.map(|(place, _)| challenge_document(base, one, place)).collect();
    if acme.steering.strange_challenges && status == AuthorizationStatus::Pending {
        challenges.insert(0, strange_challenge(acme, base, one));
    }
    let mut document = json!({
        "identifier": { "type": "dns", "value": one.name },
        "status": format!("{status:?}").to_ascii_lowercase(),
        "expires": date(one.expires),
        "challenges": challenges,
    });
    if one.wildcard {
        document["wildcard"] = json!(true);
    }
    let answer = Answer::json(200, "application/json", &document);
    patience(acme, answer, status == AuthorizationStatus::Pending)
}

fn patience(acme: &Acme, answer: Answer, waits: bool) -> Answer {
    match acme.steering.poll_seconds.filter(|_| waits) {
        Some(seconds) => answer.with("retry-after", seconds.to_string()),
        None => answer,
    }
}

pub(super) fn challenge(base: &str, one: &Authorization, place: usize) -> Option<Answer> {
    one.challenges.get(place)?;
    let answer = Answer::json(200, "application/json", &challenge_document(base, one, place));
    Some(answer.with("link", format!("<{base}/authz/{}>;rel=\"up\"", one.id)))
}

fn challenge_document(base: &str, one: &Authorization, place: usize) -> Value {
    let challenge = &one.challenges[place];
    let mut document = json!({
        "type": challenge.method.name(),
        "url": format!("{base}/chall/{}/{place}", one.id),
        "status": format!("{:?}", challenge.status).to_ascii_lowercase(),
        "token": challenge.token,
    });
    if let Some(at) = challenge.validated {
        document["validated"] = json!(date(at));
    }
    if let Some(problem) = &challenge.error {
        document["error"] = problem.document();
    }
    document
}

/// draft-ietf-acme-dns-persist-01. It is only shown; whoever answers it finds nothing there.
fn strange_challenge(acme: &Acme, base: &str, one: &Authorization) -> Value {
    json!({
        "type": "dns-persist-01",
        "url": format!("{base}/chall/{}/{}", one.id, one.challenges.len()),
        "status": "pending",
        "accounturi": format!("{base}/acct/{}", one.account),
        "issuer-domain-names": [acme.steering.caa_identity],
    })
}

pub(super) fn chain(base: &str, serial: &str, alternate: bool, chain: String) -> Answer {
    let other = if alternate { format!("{base}/cert/{serial}") } else { format!("{base}/cert/{serial}/1") };
    let answer = Answer::text(200, "application/pem-certificate-chain", chain);
    answer.with("link", format!("<{other}>;rel=\"alternate\""))
}

pub(super) fn renewal_info(info: &RenewalInfo) -> Answer {
    let mut document = json!({ "suggestedWindow": { "start": date(info.start), "end": date(info.end) } });
    if let Some(explanation) = &info.explanation {
        document["explanationURL"] = json!(explanation);
    }
    let answer = Answer::json(200, "application/json", &document);
    info.retry_after.into_iter().fold(answer, |answer, seconds| answer.with("retry-after", seconds.to_string()))
}

/// RFC 3339, whole seconds.
fn date(millis: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
