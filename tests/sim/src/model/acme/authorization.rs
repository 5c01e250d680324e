//! Authorizations and challenges (RFC 8555 sections 7.1.4, 7.5 and 8).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Acme;
use super::problem::{Problem, malformed, nowhere, unauthorized};
use crate::model::dns::caa::Applicant;
use crate::model::dns::{Dns, Kind, Outcome, Verdict};

/// How a name is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// A TXT record.
    Dns01,
    /// A file on port 80.
    Http01,
}

impl Method {
    /// The word of RFC 8555.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns01 => "dns-01",
            Self::Http01 => "http-01",
        }
    }
}

/// The state of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeStatus {
    /// Nobody asked for it yet.
    Pending,
    /// Being looked at.
    Processing,
    /// Proven.
    Valid,
    /// Failed, for good.
    Invalid,
}

/// One way to prove a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// Its kind.
    pub method: Method,
    /// What the proof is built from.
    pub token: String,
    /// Its state.
    pub status: ChallengeStatus,
    /// When it was proven.
    pub validated: Option<i64>,
    /// Why it failed.
    pub error: Option<Problem>,
}

/// The state of an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorizationStatus {
    /// Not proven yet.
    Pending,
    /// Proven.
    Valid,
    /// Failed.
    Invalid,
    /// Given up by the client.
    Deactivated,
    /// Its time is over.
    Expired,
}

/// The proof that an account controls a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authorization {
    /// The last part of its URL.
    pub id: String,
    /// The account it belongs to.
    pub account: String,
    /// Without the asterisk.
    pub name: String,
    /// Is it for the wildcard of that name?
    pub wildcard: bool,
    /// When it was proven.
    pub validated: Option<i64>,
    /// When it ends.
    pub expires: i64,
    /// The ways to prove it.
    pub challenges: Vec<Challenge>,
    status: AuthorizationStatus,
}

impl Authorization {
    pub(super) fn new(id: &str, account: &str, name: &str, wildcard: bool, expires: i64, token: &str) -> Self {
        let methods: &[Method] = if wildcard { &[Method::Dns01] } else { &[Method::Http01, Method::Dns01] };
        let challenge = |method: &Method| Challenge {
            method: *method,
            token: token.to_owned(),
            status: ChallengeStatus::Pending,
            validated: None,
            error: None,
        };
        Self {
            id: id.into(),
            account: account.into(),
            name: name.into(),
            wildcard,
            validated: None,
            expires,
            challenges: methods.iter().map(challenge).collect(),
            status: AuthorizationStatus::Pending,
        }
    }

    /// Its state at a moment.
    pub fn status_at(&self, now: i64) -> AuthorizationStatus {
        let lives = matches!(self.status, AuthorizationStatus::Pending | AuthorizationStatus::Valid);
        if lives && self.expires <= now { AuthorizationStatus::Expired } else { self.status }
    }

    /// What made it fail.
    pub fn problem(&self) -> Option<&Problem> {
        self.challenges.iter().find_map(|challenge| challenge.error.as_ref())
    }
}

/// A validation that waits for its moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Attempt {
    authorization: String,
    challenge: usize,
    due: i64,
}

/// What a validator needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The authorization.
    pub authorization: String,
    /// The place of the challenge within it.
    pub challenge: usize,
    /// How to look.
    pub method: Method,
    /// Without the asterisk.
    pub name: String,
    /// The file's name.
    pub token: String,
    /// The file's content; the TXT value is its digest.
    pub key_authorization: String,
}

impl Probe {
    /// The TXT value of dns-01.
    pub fn txt_value(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.key_authorization.as_bytes()))
    }
}

impl Acme {
    /// An authorization of an account.
    ///
    /// # Errors
    /// There is none, it is somebody else's, or its time is over.
    pub fn authorization(&self, now: i64, account: &str, id: &str) -> Result<&Authorization, Problem> {
        self.account(account)?;
        let found =
            self.authorizations.get(id).filter(|one| one.account == account).ok_or_else(|| nowhere("authorization"))?;
        match found.status_at(now) {
            AuthorizationStatus::Expired => Err(malformed("Expired authorization").status(404)),
            _ => Ok(found),
        }
    }

    /// Gives an authorization up.
    ///
    /// # Errors
    /// As [`Acme::authorization`].
    pub fn deactivate_authorization(&mut self, now: i64, account: &str, id: &str) -> Result<(), Problem> {
        self.authorization(now, account, id)?;
        if let Some(one) = self.authorizations.get_mut(id) {
            one.status = AuthorizationStatus::Deactivated;
        }
        Ok(())
    }

    /// The client says that a challenge is ready. It is looked at once, never again.
    ///
    /// # Errors
    /// As [`Acme::authorization`]; an authorization that is not pending any more is given back as it is.
    pub fn answer_challenge(&mut self, now: i64, account: &str, id: &str, place: usize) -> Result<(), Problem> {
        let pending = self.authorization(now, account, id)?.status_at(now) == AuthorizationStatus::Pending;
        let due = now + self.dice.millis(self.steering.validation_millis);
        let one = self.authorizations.get_mut(id).and_then(|one| one.challenges.get_mut(place));
        let challenge = one.ok_or_else(|| nowhere("challenge"))?;
        if pending && challenge.status == ChallengeStatus::Pending {
            challenge.status = ChallengeStatus::Processing;
            self.attempts.push(Attempt { authorization: id.to_owned(), challenge: place, due });
        }
        Ok(())
    }

    /// The validations whose moment has come and that nobody works on. After a restart they are all given out again.
    pub fn take_probes(&mut self, now: i64) -> Vec<Probe> {
        let due = self.attempts.iter().filter(|attempt| attempt.due <= now);
        let free = due.map(|attempt| (attempt.authorization.clone(), attempt.challenge));
        let free: Vec<_> = free.filter(|place| !self.probing.contains(place)).collect();
        self.probing.extend(free.iter().cloned());
        free.iter().filter_map(|(id, place)| self.probe(id, *place)).collect()
    }

    /// Takes in what a validator saw: for http-01 what came of the fetch, for dns-01 `Ok`, since DNS is looked at here.
    pub fn conclude(&mut self, now: i64, dns: &Dns, account_url: &str, probe: &Probe, seen: Result<(), Problem>) {
        self.probing.remove(&(probe.authorization.clone(), probe.challenge));
        self.attempts.retain(|one| (&one.authorization, one.challenge) != (&probe.authorization, probe.challenge));
        let verdict = self.steered(&probe.name).and(seen).and_then(|()| self.look(now, dns, account_url, probe));
        let reuse = self.steering.profiles.iter().map(|profile| profile.reuse).max().unwrap_or(0);
        let Some(one) = self.authorizations.get_mut(&probe.authorization) else { return };
        if one.status != AuthorizationStatus::Pending {
            return;
        }
        let Some(challenge) = one.challenges.get_mut(probe.challenge) else { return };
        let (account, name) = (one.account.clone(), one.name.clone());
        match verdict {
            Ok(()) => {
                (challenge.status, challenge.validated) = (ChallengeStatus::Valid, Some(now));
                (one.status, one.validated, one.expires) = (AuthorizationStatus::Valid, Some(now), now + reuse);
                self.note_success(&account, &name);
            }
            Err(problem) => {
                (challenge.status, challenge.error) = (ChallengeStatus::Invalid, Some(problem));
                one.status = AuthorizationStatus::Invalid;
                self.note_failure(now, &account, &name);
            }
        }
    }

    fn probe(&self, id: &str, place: usize) -> Option<Probe> {
        let one = self.authorizations.get(id)?;
        let (challenge, account) = (one.challenges.get(place)?, self.accounts.get(&one.account)?);
        Some(Probe {
            authorization: id.to_owned(),
            challenge: place,
            method: challenge.method,
            name: one.name.clone(),
            token: challenge.token.clone(),
            key_authorization: format!("{}.{}", challenge.token, account.key.thumbprint()),
        })
    }

    /// A failure that somebody ordered.
    fn steered(&mut self, name: &str) -> Result<(), Problem> {
        let Some(refusal) = self.steering.refuse.get_mut(name).filter(|refusal| refusal.times != Some(0)) else {
            return Ok(());
        };
        refusal.times = refusal.times.map(|times| times - 1);
        Err(refusal.problem.clone())
    }

    fn look(&self, now: i64, dns: &Dns, account_url: &str, probe: &Probe) -> Result<(), Problem> {
        let wildcard = self.authorizations.get(&probe.authorization).is_some_and(|one| one.wildcard);
        if probe.method == Method::Dns01 {
            look_at_txt(now, dns, probe)?;
        }
        let method = probe.method.name();
        let applicant = Applicant { ca: &self.steering.caa_identity, method, account: account_url, wildcard };
        match dns.judge_caa(now, &probe.name, &applicant) {
            Verdict::Allowed => Ok(()),
            Verdict::Forbidden(at) => Err(Problem::new("caa", format!("CAA record for {at} prevents issuance"))),
            Verdict::Unknown(at) => Err(Problem::new("dns", format!("DNS problem: SERVFAIL looking up CAA for {at}"))),
        }
    }
}

/// Every name server that answers must have the value: the CA looks from many places, and one wrong server is enough
/// to spoil one of them.
fn look_at_txt(now: i64, dns: &Dns, probe: &Probe) -> Result<(), Problem> {
    let at = format!("_acme-challenge.{}", probe.name);
    let wanted = probe.txt_value();
    let replies: Vec<_> = (0..dns.servers.len()).map(|server| dns.lookup_at(server, now, &at, Kind::Txt)).collect();
    let failed = |outcome| matches!(outcome, Outcome::ServFail | Outcome::Silent | Outcome::Refused);
    if replies.iter().all(|reply| failed(reply.outcome)) {
        return Err(Problem::new(
            "dns",
            format!("DNS problem: SERVFAIL looking up TXT for {at} - the domain's nameservers may be malfunctioning"),
        ));
    }
    for reply in replies.iter().filter(|reply| !failed(reply.outcome)) {
        let values: Vec<&str> = reply.values(Kind::Txt).collect();
        match reply.outcome {
            Outcome::NxDomain => {
                return Err(Problem::new(
                    "dns",
                    format!(
                        "DNS problem: NXDOMAIN looking up TXT for {at} - check that a DNS record exists for this domain"
                    ),
                ));
            }
            _ if values.is_empty() => return Err(unauthorized(format!("No TXT record found at {at}"))),
            _ if !values.contains(&wanted.as_str()) => {
                return Err(unauthorized(format!("Incorrect TXT record {:?} found at {at}", values[0])));
            }
            _ => {}
        }
    }
    Ok(())
}
