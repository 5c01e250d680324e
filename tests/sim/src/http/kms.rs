//! AWS JSON 1.1: the operation stands in a header, the answer is JSON, refusals name their code twice.

use std::sync::Arc;

use serde_json::Value;

use super::world::Shared;
use super::{Ask, Front};
use crate::answer::Answer;
use crate::fault::Service;
use crate::lock;
use crate::model::kms::{AwsError, Caller, Kms};

pub(super) const FRONT: Front = Front { service: Service::Kms, operation, answer, throttled };

fn operation(ask: &Ask) -> String {
    let target = ask.header("x-amz-target").unwrap_or_default();
    target.strip_prefix("TrentService.").unwrap_or("unknown").to_owned()
}

fn answer(shared: &Arc<Shared>, ask: &Ask) -> Answer {
    let now = shared.now();
    let mut kms = lock(&shared.kms);
    let request_id = kms.request_id();
    let outcome = run(&mut kms, now, ask);
    let answer = match outcome {
        Ok(Value::Null) => Answer::text(200, CONTENT_TYPE, ""),
        Ok(value) => Answer::json(200, CONTENT_TYPE, &value),
        Err(error) => refused(&error),
    };
    answer.with("x-amzn-requestid", request_id)
}

fn run(kms: &mut Kms, now: i64, ask: &Ask) -> Result<Value, AwsError> {
    let caller = caller(kms, now, ask)?;
    let empty = |_| AwsError::bare("SerializationException");
    let input: Value = serde_json::from_slice(&ask.body).map_err(empty)?;
    kms.call(now, &caller, &operation(ask), &input)
}

/// Who calls, from `Authorization: AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, …`.
pub(super) fn caller(kms: &Kms, now: i64, ask: &Ask) -> Result<Caller, AwsError> {
    let missing = || AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token");
    let authorization = ask.header("authorization").ok_or_else(missing)?;
    let scope = authorization.split("Credential=").nth(1).and_then(|rest| rest.split([',', ' ']).next());
    let mut parts = scope.unwrap_or_default().split('/');
    let (Some(id), Some(_), Some(region), Some(_), Some("aws4_request")) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let text = "Authorization header requires a credential scope of five parts";
        return Err(AwsError::new("IncompleteSignatureException", text));
    };
    kms.caller(now, id, ask.header("x-amz-security-token"), region)
}

fn refused(error: &AwsError) -> Answer {
    Answer::json(error.status, CONTENT_TYPE, &error.body()).with("x-amzn-errortype", error.code)
}

fn throttled() -> Answer {
    refused(&AwsError::new("ThrottlingException", "Rate exceeded"))
}

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::fault::{Fault, Moment, RetryAfter, Rule};
    use crate::http::trial::{Clock, client, world};
    use crate::{Running, World};

    async fn call(world: &Running, account: &str, operation: &str, input: Value) -> reqwest::Result<reqwest::Response> {
        call_for(Duration::from_secs(10), world, account, operation, input).await
    }

    async fn call_for(
        patience: Duration,
        world: &Running,
        account: &str,
        operation: &str,
        input: Value,
    ) -> reqwest::Result<reqwest::Response> {
        let scope = format!("AKIA{account}/20261124/eu-west-1/kms/aws4_request");
        client()
            .post(&world.addresses().kms)
            .header("x-amz-target", format!("TrentService.{operation}"))
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
            .body(input.to_string())
            .timeout(patience)
            .send()
            .await
    }

    #[tokio::test]
    async fn a_key_is_made_and_a_refusal_names_its_code_twice() {
        let (world, ..) = world().await;
        let made = call(&world, "222222222222", "CreateKey", json!({})).await.unwrap();
        assert_eq!(made.status(), 200);
        let made: Value = made.json().await.unwrap();
        assert_eq!(made["KeyMetadata"]["AWSAccountId"], "222222222222");
        let refused = call(&world, "222222222222", "DescribeKey", json!({ "KeyId": "alias/none" })).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["x-amzn-errortype"]),
            (400, &"NotFoundException".parse().unwrap())
        );
        assert_eq!(refused.json::<Value>().await.unwrap()["__type"], "NotFoundException");
        assert_eq!(world.calls().of(Service::Kms, "CreateKey"), 1);
    }

    #[tokio::test]
    async fn a_lost_answer_has_happened_and_a_refused_call_has_not() {
        let (world, ..) = world().await;
        world.faults().add(Rule::once(Service::Kms, "CreateKey", Fault::RefuseBefore));
        assert!(call(&world, "222222222222", "CreateKey", json!({})).await.is_err());
        assert_eq!(world.kms().keys().count(), 0);
        world.faults().add(Rule::once(Service::Kms, "CreateKey", Fault::AnswerLost));
        assert!(call(&world, "222222222222", "CreateKey", json!({})).await.is_err());
        assert_eq!(world.kms().keys().count(), 1);
    }

    #[tokio::test]
    async fn a_mute_service_never_answers_and_a_torn_answer_breaks() {
        let (world, ..) = world().await;
        world.faults().add(Rule::once(Service::Kms, "CreateKey", Fault::Mute));
        let short = Duration::from_millis(200);
        let mute = call_for(short, &world, "222222222222", "CreateKey", json!({})).await;
        assert!(mute.unwrap_err().is_timeout());
        world.faults().add(Rule::once(Service::Kms, "CreateKey", Fault::Tear));
        let torn = call(&world, "222222222222", "CreateKey", json!({})).await.unwrap();
        assert!(torn.bytes().await.is_err());
        world.faults().add(Rule::once(Service::Kms, "CreateKey", Fault::Garble));
        let garbled = call(&world, "222222222222", "CreateKey", json!({})).await.unwrap().bytes().await.unwrap();
        assert!(serde_json::from_slice::<Value>(&garbled).is_err());
        assert_eq!(world.kms().keys().count(), 2);
    }

    #[tokio::test]
    async fn throttling_is_said_in_the_words_of_the_service() {
        let (world, ..) = world().await;
        world.faults().add(Rule::once(Service::Kms, "*", Fault::Throttle(RetryAfter::Date(60))));
        let slow = call(&world, "222222222222", "CreateKey", json!({})).await.unwrap();
        assert_eq!(slow.headers()["retry-after"], "Tue, 24 Nov 2026 12:01:00 GMT");
        assert_eq!(slow.headers()["date"], "Tue, 24 Nov 2026 12:00:00 GMT");
        assert_eq!(slow.json::<Value>().await.unwrap()["__type"], "ThrottlingException");
    }

    #[tokio::test]
    async fn a_hook_sees_each_call_before_and_after() {
        let (world, ..) = world().await;
        static KEYS: AtomicU64 = AtomicU64::new(0);
        world.faults().on_call(|seen| {
            let weight = if seen.moment == Moment::Before { 1 } else { 100 };
            KEYS.fetch_add(weight * seen.number, Ordering::SeqCst);
        });
        call(&world, "222222222222", "CreateKey", json!({})).await.unwrap();
        assert_eq!(KEYS.load(Ordering::SeqCst), 101);
    }

    #[tokio::test]
    async fn a_world_with_a_state_folder_goes_on_at_the_same_address() {
        let folder = tempfile::tempdir().unwrap();
        let options = || crate::Options { state: Some(folder.path().into()), ..Clock::new().options() };
        let world = World::start(options()).await.unwrap();
        let made: Value = call(&world, "222222222222", "CreateKey", json!({})).await.unwrap().json().await.unwrap();
        let before = world.addresses().clone();
        world.stop().await;
        let world = World::start(options()).await.unwrap();
        assert_eq!(*world.addresses(), before);
        let named = json!({ "KeyId": made["KeyMetadata"]["KeyId"] });
        assert_eq!(call(&world, "222222222222", "DescribeKey", named).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn only_loopback_is_ever_fetched_from() {
        let options = crate::Options { http01: Some("192.0.2.1:80".parse().unwrap()), ..Clock::new().options() };
        assert!(World::start(options).await.is_err());
    }
}
