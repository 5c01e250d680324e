//! STS: who a caller is, and AssumeRole.

use serde::{Deserialize, Serialize};

use super::error::validation;
use super::{AwsError, Caller, Kms};

/// The credentials of an assumed role, as this world remembers them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The ARN of the assumed role, session name included.
    pub principal: String,
    /// What must come along in `X-Amz-Security-Token`.
    pub token: String,
    /// When it ends.
    pub expires: i64,
}

/// What AssumeRole hands out.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Holds the role's account.
    pub access_key_id: String,
    /// Never looked at again: signatures are not checked.
    pub secret_access_key: String,
    /// Must come along with each request.
    pub session_token: String,
    /// When they end.
    pub expires: i64,
    /// The ARN of the assumed role, session name included.
    pub principal: String,
}

impl Kms {
    /// Says who calls: the account is the twelve digits inside the access key id. The signature itself is not
    /// verified; a temporary id must come with its token and must not be expired.
    ///
    /// # Errors
    /// `UnrecognizedClientException`, `ExpiredTokenException`.
    pub fn caller(&self, now: i64, access_key_id: &str, token: Option<&str>, region: &str) -> Result<Caller, AwsError> {
        let account = account_in(access_key_id).ok_or_else(unrecognized)?.to_owned();
        let region = region.to_owned();
        if !access_key_id.starts_with("ASIA") {
            return Ok(Caller { principal: format!("arn:aws:iam::{account}:user/{access_key_id}"), account, region });
        }
        let session = self.sessions.get(access_key_id).filter(|session| token == Some(session.token.as_str()));
        let session = session.ok_or_else(unrecognized)?;
        if self.steering.sessions_expire && session.expires <= now {
            let text = "The security token included in the request is expired";
            return Err(AwsError::new("ExpiredTokenException", text));
        }
        Ok(Caller { account, region, principal: session.principal.clone() })
    }

    /// Gives credentials of `role`, whose account the new access key id holds.
    ///
    /// # Errors
    /// `AccessDenied` (403) for a role that may not be assumed, `ValidationError` for a malformed one.
    pub fn assume_role(
        &mut self,
        now: i64,
        caller: &Caller,
        role: &str,
        name: &str,
        duration_seconds: i64,
    ) -> Result<Credentials, AwsError> {
        let (account, role_name) = split_role(role)?;
        if name.len() < 2 || name.len() > 64 {
            return Err(AwsError {
                code: "ValidationError",
                ..validation("roleSessionName must have 2 to 64 characters")
            });
        }
        if !(900..=43_200).contains(&duration_seconds) {
            return Err(AwsError { code: "ValidationError", ..validation("durationSeconds must be 900 to 43200") });
        }
        if self.steering.unassumable.iter().any(|part| role.contains(part)) {
            let text =
                format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role}", caller.principal);
            return Err(AwsError::new("AccessDenied", text).status(403));
        }
        let expires = now + duration_seconds * 1000;
        let principal = format!("arn:aws:sts::{account}:assumed-role/{role_name}/{name}");
        let credentials = self.fresh_credentials(account, principal, expires);
        self.sessions.retain(|_, session| session.expires > now - KEEP);
        let Credentials { access_key_id, session_token, principal, .. } = credentials.clone();
        self.sessions.insert(access_key_id, Session { principal, token: session_token, expires });
        Ok(credentials)
    }

    fn fresh_credentials(&mut self, account: &str, principal: String, expires: i64) -> Credentials {
        let id = loop {
            let id = format!("ASIA{account}{}", self.dice.word("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 8));
            if !self.sessions.contains_key(&id) {
                break id;
            }
        };
        Credentials {
            access_key_id: id,
            secret_access_key: self.dice.hex(20),
            session_token: self.dice.hex(48),
            expires,
            principal,
        }
    }
}

/// The first run of exactly twelve digits.
fn account_in(id: &str) -> Option<&str> {
    id.split(|letter: char| !letter.is_ascii_digit()).find(|run| run.len() == 12)
}

fn split_role(role: &str) -> Result<(&str, &str), AwsError> {
    let rest = role.strip_prefix("arn:aws:iam::");
    let parts = rest.and_then(|rest| rest.split_once(":role/")).filter(|(account, name)| {
        account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty()
    });
    let wrong = || AwsError { code: "ValidationError", ..validation(format!("{role} is invalid")) };
    parts.map(|(account, name)| (account, name.rsplit('/').next().unwrap_or(name))).ok_or_else(wrong)
}

fn unrecognized() -> AwsError {
    AwsError::new("UnrecognizedClientException", "The security token included in the request is invalid.")
}

const KEEP: i64 = 86_400_000;
