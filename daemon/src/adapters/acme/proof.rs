//! Authorizations and their challenges (RFC 8555 section 7.1.4): how many wait for us, and what failed, told once.

use claviger_config::Reason;
use claviger_core::domain::{effect::Stage, failure::Failure};
use instant_acme::{AuthorizationHandle, AuthorizationStatus, ChallengeStatus, ChallengeType, Order};

use super::{
    fault::{self, Trouble},
    problem::{Problem, TOLD, clean},
    step::Step,
    trace,
};

/// What became of the proof of one name.
pub(super) struct Proof {
    name: String,
    status: AuthorizationStatus,
    challenges: Vec<Challenge>,
}

struct Challenge {
    kind: ChallengeType,
    status: ChallengeStatus,
    error: Option<Problem>,
}

impl Proof {
    fn seen(authorization: &AuthorizationHandle<'_>) -> Self {
        let challenge = |challenge: &instant_acme::Challenge| Challenge {
            kind: challenge.r#type.clone(),
            status: challenge.status,
            error: challenge.error.clone().map(Problem::from),
        };
        Self {
            name: authorization.identifier().to_string(),
            status: authorization.status,
            challenges: authorization.challenges.iter().map(challenge).collect(),
        }
    }

    fn waits(&self) -> bool {
        let open = |challenge: &Challenge| {
            challenge.kind == ChallengeType::Http01 && challenge.status == ChallengeStatus::Pending
        };
        self.status == AuthorizationStatus::Pending && self.challenges.iter().any(open)
    }

    fn lacks_http(&self) -> bool {
        let pending = self.status == AuthorizationStatus::Pending;
        pending && !self.challenges.iter().any(|challenge| challenge.kind == ChallengeType::Http01)
    }

    fn is_over(&self) -> bool {
        use AuthorizationStatus::{Deactivated, Expired, Revoked};
        matches!(self.status, Deactivated | Expired | Revoked)
    }

    fn problems(&self) -> impl Iterator<Item = (&str, &Problem)> {
        self.challenges.iter().filter_map(|challenge| challenge.error.as_ref()).map(|error| (self.name.as_str(), error))
    }
}

/// Reads every authorization of an order. With `forgiving`, one that the CA refuses to show is left out.
pub(super) async fn read(order: &mut Order, forgiving: bool) -> Result<Vec<Proof>, Trouble> {
    trace::begin(Step::ReadAuthorization);
    'again: loop {
        let mut proofs = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let error = match next {
                Ok(authorization) => {
                    proofs.push(Proof::seen(&authorization));
                    continue;
                }
                Err(error) => error,
            };
            match trace::bear(error) {
                // Those that were read are not asked for again.
                Ok(()) => continue 'again,
                Err(Trouble::Said(said)) if forgiving && said.status() < 429 => {}
                Err(trouble) => return Err(trouble),
            }
        }
        return Ok(proofs);
    }
}

/// How far an order is that the CA calls pending.
pub(super) fn stage(issuer: &str, proofs: &[Proof]) -> Stage {
    if proofs.iter().any(|proof| proof.status == AuthorizationStatus::Invalid) {
        return Stage::Invalid(Box::new(verdict(issuer, None, proofs)));
    }
    // RFC 8555 section 7.1.6: an order with such an authorization can only become invalid, although nobody failed.
    if proofs.iter().any(Proof::is_over) {
        return Stage::Gone;
    }
    match unprovable(issuer, proofs) {
        Some(failure) => Stage::Invalid(Box::new(failure)),
        None => Stage::Pending {
            unanswered: u32::try_from(proofs.iter().filter(|proof| proof.waits()).count()).unwrap_or(u32::MAX),
        },
    }
}

/// Why an order cannot be proven by http-01, where that is so.
pub(super) fn unprovable(issuer: &str, proofs: &[Proof]) -> Option<Failure> {
    let stuck = proofs.iter().find(|proof| proof.lacks_http())?;
    let offered: Vec<String> =
        stuck.challenges.iter().map(|challenge| format!("`{}`", word(&challenge.kind))).collect();
    let offered = if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") };
    let message = format!("`{issuer}` offers {offered} to prove `{}`, not `http-01`", clean(&stuck.name));
    let fix = if stuck.name.starts_with("*.") {
        "a wildcard cannot be proven by http-01: list the names one by one"
    } else {
        "choose an issuer that offers http-01"
    };
    Some(Failure::new(Reason::ChallengeFailed, message).fix(fix))
}

/// Everything that failed in an order, as one failure: the reason per name in the CA's words, and what to do.
pub(super) fn verdict(issuer: &str, order: Option<&Problem>, proofs: &[Proof]) -> Failure {
    let failed: Vec<(&str, &Problem)> = proofs.iter().flat_map(Proof::problems).collect();
    if failed.is_empty() {
        return dismissed(issuer, order);
    }
    let forbidden = failed.iter().all(|(_, problem)| problem.word() == "caa");
    let reason = if forbidden { Reason::CaaForbids } else { Reason::ChallengeFailed };
    let told: Vec<String> =
        failed.iter().take(TOLD).map(|(name, problem)| format!("`{}`: {}", clean(name), problem.words())).collect();
    let rest = failed.len().saturating_sub(TOLD);
    let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    let message = format!("`{issuer}` could not verify {}{rest}", told.join("; "));
    failed.iter().take(TOLD).fold(Failure::new(reason, message), |failure, (name, problem)| {
        failure.fix(advice(problem.word(), &clean(name)))
    })
}

/// An order that failed although no proof did: while it was being issued.
fn dismissed(issuer: &str, order: Option<&Problem>) -> Failure {
    let Some(problem) = order else {
        return Failure::new(Reason::OrderLost, format!("`{issuer}` has closed the order and does not say why"));
    };
    let parts: Vec<(&str, &Problem)> = problem.parts().iter().filter_map(|part| Some((part.name()?, part))).collect();
    let all_caa = !parts.is_empty() && parts.iter().all(|(_, part)| part.word() == "caa");
    let reason = match problem.word() {
        _ if all_caa => Reason::CaaForbids,
        "rateLimited" => Reason::RateLimited,
        "serverInternal" => Reason::AcmeUnreachable,
        // Beside an order this is the proof that was refused, not the account.
        "unauthorized" => Reason::ChallengeFailed,
        word => fault::reason(word).unwrap_or(Reason::Refused),
    };
    let failure = Failure::new(reason, format!("`{issuer}` has closed the order: {}", problem.words()));
    parts.iter().take(TOLD).fold(failure, |failure, (name, part)| failure.fix(advice(part.word(), &clean(name))))
}

/// What a person can do about a proof that failed (RFC 8555 section 6.7).
fn advice(word: &str, name: &str) -> String {
    match word {
        "caa" => format!("allow the CA in the CAA records of `{name}`, or choose another issuer"),
        "connection" => format!("let port 80 of `{name}` be reached from the internet, and lead to `http01.listen`"),
        "dns" => format!("give `{name}` an A or AAAA record that every name server of it shows"),
        "incorrectResponse" | "unauthorized" => {
            format!(
                "something else answers on port 80 of `{name}`: lead `/.well-known/acme-challenge/` to `http01.listen`"
            )
        }
        "rateLimited" => format!("too many proofs of `{name}` failed: mend the cause before trying again"),
        "tls" => format!(
            "`{name}` redirects to a server with broken TLS: leave `/.well-known/acme-challenge/` out of the redirect"
        ),
        _ => format!("look at the CA's words about `{name}`"),
    }
}

fn word(kind: &ChallengeType) -> String {
    match kind {
        ChallengeType::DeviceAttest01 => "device-attest-01".to_owned(),
        ChallengeType::Dns01 => "dns-01".to_owned(),
        ChallengeType::Http01 => "http-01".to_owned(),
        ChallengeType::TlsAlpn01 => "tls-alpn-01".to_owned(),
        ChallengeType::Unknown(other) => clean(other),
        _ => "an unknown one".to_owned(),
    }
}
