//! The query protocol: a form comes in, XML goes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::Shared;
use super::{Ask, Front, kms};
use crate::answer::Answer;
use crate::fault::Service;
use crate::lock;
use crate::model::kms::{AwsError, Kms};

pub(super) const FRONT: Front = Front { service: Service::Sts, operation, answer, throttled };

fn operation(ask: &Ask) -> String {
    form(&ask.body).remove("Action").unwrap_or_else(|| "unknown".into())
}

fn answer(shared: &Arc<Shared>, ask: &Ask) -> Answer {
    let now = shared.now();
    let mut kms = lock(&shared.kms);
    let request_id = kms.request_id();
    match run(&mut kms, now, ask) {
        Ok((action, result)) => success(&action, &result, &request_id),
        Err(error) => refused(&error, &request_id),
    }
}

fn run(kms: &mut Kms, now: i64, ask: &Ask) -> Result<(String, String), AwsError> {
    let caller = kms::caller(kms, now, ask).map_err(in_query_words)?;
    let form = form(&ask.body);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let result = match field("Action") {
        "GetCallerIdentity" => format!(
            "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
            escape(&caller.principal),
            escape(&caller.principal),
            caller.account
        ),
        "AssumeRole" => {
            let seconds = form.get("DurationSeconds").map_or(Ok(3600), |text| text.parse()).unwrap_or(0);
            assume(kms, now, &caller, field("RoleArn"), field("RoleSessionName"), seconds)?
        }
        other => return Err(AwsError::new("InvalidAction", format!("Could not find operation {other}"))),
    };
    Ok((field("Action").to_owned(), result))
}

fn assume(
    kms: &mut Kms,
    now: i64,
    caller: &crate::model::kms::Caller,
    role: &str,
    name: &str,
    seconds: i64,
) -> Result<String, AwsError> {
    let given = kms.assume_role(now, caller, role, name, seconds)?;
    let expiration = jiff::Timestamp::from_millisecond(given.expires).unwrap_or_default();
    Ok(format!(
        "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>\
         <AssumedRoleUser><AssumedRoleId>AROA:{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>",
        given.access_key_id,
        given.secret_access_key,
        given.session_token,
        expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        escape(name),
        escape(&given.principal),
    ))
}

/// The query protocol has other names for the refusals that come before any operation.
fn in_query_words(error: AwsError) -> AwsError {
    match error.code {
        "UnrecognizedClientException" => AwsError { code: "InvalidClientTokenId", status: 403, ..error },
        "ExpiredTokenException" => AwsError { code: "ExpiredToken", status: 403, ..error },
        "MissingAuthenticationTokenException" => AwsError { code: "MissingAuthenticationToken", status: 403, ..error },
        _ => error,
    }
}

fn success(action: &str, result: &str, request_id: &str) -> Answer {
    let body = format!(
        "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    );
    Answer::text(200, "text/xml", body).with("x-amzn-requestid", request_id)
}

fn refused(error: &AwsError, request_id: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId></ErrorResponse>",
        error.code,
        escape(error.message.as_deref().unwrap_or_default()),
    );
    Answer::text(error.status, "text/xml", body).with("x-amzn-requestid", request_id)
}

fn throttled() -> Answer {
    refused(&AwsError::new("Throttling", "Rate exceeded"), "throttled")
}

fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}

/// `application/x-www-form-urlencoded`
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair: Vec<u8> = rest.by_ref().take(2).collect();
                bytes.extend(hex::decode(&pair).unwrap_or(pair));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

#[cfg(test)]
mod tests {
    use crate::http::trial::world;

    #[tokio::test]
    async fn a_role_is_assumed_and_knows_who_it_is() {
        let (world, _, client) = world().await;
        let ask = async |id: &str, token: Option<&str>, body: &str| {
            let scope = format!("Credential={id}/20261124/eu-west-1/sts/aws4_request");
            let mut request =
                client.post(&world.addresses().sts).header("authorization", format!("AWS4-HMAC-SHA256 {scope}"));
            if let Some(token) = token {
                request = request.header("x-amz-security-token", token);
            }
            request.body(body.to_owned()).send().await.unwrap().text().await.unwrap()
        };
        let role = "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A222222222222%3Arole%2Fclaviger&RoleSessionName=test";
        let given = ask("AKIA000000000000", None, role).await;
        let (id, token) = (between(&given, "AccessKeyId"), between(&given, "SessionToken"));
        let identity = ask(id, Some(token), "Action=GetCallerIdentity&Version=2011-06-15").await;
        assert_eq!(between(&identity, "Account"), "222222222222");
        assert_eq!(between(&identity, "Arn"), "arn:aws:sts::222222222222:assumed-role/claviger/test");
        assert_eq!(between(&ask(id, None, "Action=GetCallerIdentity").await, "Code"), "InvalidClientTokenId");
    }

    fn between<'a>(text: &'a str, tag: &str) -> &'a str {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        text.split(open.as_str()).nth(1).and_then(|rest| rest.split(close.as_str()).next()).unwrap_or(text)
    }
}
