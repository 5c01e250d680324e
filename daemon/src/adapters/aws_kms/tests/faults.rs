use std::sync::Arc;

use claviger_config::{Moment, Reason, Span};
use claviger_core::{
    domain::{
        budget::Class,
        failure::{Done, Failure, Retry, Stops},
    },
    ports::{Clock, Kms},
};
use claviger_sim::{
    answer::Answer,
    fault::{Fault, RetryAfter, Rule, Service},
};
use serde_json::json;

use super::{ALIAS, Trial, adapter, binding, object, production, secret, staging};

fn status(code: u16, body: &str) -> Fault {
    Fault::Status(Answer::text(code, "text/html", body))
}

fn refusal(code: u16, kind: &str, message: &str) -> Fault {
    let body = json!({ "__type": kind, "message": message });
    Fault::Status(Answer::json(code, "application/x-amz-json-1.1", &body).with("x-amzn-requestid", "req-1"))
}

async fn create(trial: &Trial, fault: Fault) -> Failure {
    trial.strike("CreateKey", fault);
    trial.make(&staging(), "intent-1").await.unwrap_err()
}

#[tokio::test]
async fn throttling_stops_who_pays_from_the_same_budget_for_some_seconds() {
    let trial = Trial::start().await;
    let now = trial.clock.now();
    let failure = create(&trial, Fault::Throttle(RetryAfter::Missing)).await;
    assert_eq!((failure.reason, failure.done), (Reason::KmsThrottled, Done::No));
    assert_eq!(failure.stops, Stops::Budget(Class::KmsChanges));
    let Retry::At(Moment(at)) = failure.retry else { panic!("{failure:?}") };
    assert!((now.0 + 2_000..now.0 + 5_000).contains(&at), "{failure:?}");
    let failure = create(&trial, Fault::Throttle(RetryAfter::Seconds(40))).await;
    assert_eq!(failure.retry, Retry::At(now + Span::seconds(40)));
    trial.strike("ListKeys", Fault::Throttle(RetryAfter::Missing));
    let failure = trial.kms.find_by_intent(&staging(), "intent-1").await.unwrap_err();
    assert_eq!(failure.stops, Stops::Budget(Class::KmsReads));
    assert_eq!(trial.calls("CreateKey"), 2, "one call is one attempt");
}

#[tokio::test]
async fn a_hard_limit_is_no_throttling_and_waits_for_a_person() {
    let trial = Trial::start().await;
    trial.world.kms().steering.key_limit = 0;
    let failure = trial.make(&staging(), "intent-1").await.unwrap_err();
    assert_eq!((failure.reason, failure.retry), (Reason::KmsLimitExceeded, Retry::Never));
    assert_eq!((failure.stops, failure.done), (Stops::Object, Done::No));
    assert_eq!(trial.calls("CreateKey"), 1);
}

#[tokio::test]
async fn an_answer_that_never_came_leaves_it_open_whether_a_key_was_made() {
    let trial = Trial::start().await;
    let faults = [Fault::AnswerLost, Fault::RefuseBefore, Fault::Tear, status(502, "<html>"), status(503, "")];
    for fault in faults {
        let failure = create(&trial, fault.clone()).await;
        assert_eq!((failure.reason, failure.done), (Reason::KmsUnreachable, Done::Unknown), "{fault:?} {failure:?}");
        assert_eq!(failure.retry, Retry::Later);
    }
    for (code, kind) in [(500, "KMSInternalException"), (503, "DependencyTimeoutException"), (500, "SomethingNew")] {
        let failure = create(&trial, refusal(code, kind, "")).await;
        assert_eq!((failure.reason, failure.done), (Reason::KmsUnreachable, Done::Unknown), "{failure:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_of_aws_is_said_to_be_that() {
    let trial = Trial::start().await;
    for fault in [Fault::Garble, status(200, "<html>welcome</html>"), status(403, "<html>blocked by proxy</html>")] {
        let failure = create(&trial, fault.clone()).await;
        assert_eq!(
            (failure.reason, failure.done),
            (Reason::AnswerNotUnderstood, Done::Unknown),
            "{fault:?} {failure:?}"
        );
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_done() {
    let trial = Trial::start().await;
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let nobody = adapter(&format!("http://{port}"), "http://127.0.0.1:1", &trial.files, &trial.clock, &trial.observed);
    let failure = nobody.create_alias(&staging(), ALIAS, &key_arn()).await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::KmsUnreachable, Done::No), "{failure:?}");
    assert!(failure.message.contains("Connection refused"), "{failure:?}");
    assert!(failure.fix[0].contains("endpoints.kms"), "{failure:?}");
}

fn key_arn() -> String {
    "arn:aws:kms:eu-west-1:222222222222:key/8f9d3c5e-0000-4000-8000-000000000000".to_owned()
}

#[tokio::test]
async fn a_question_whose_answer_is_lost_changed_nothing() {
    let (trial, at) = (Trial::start().await, staging());
    let key = trial.make(&at, "intent-1").await.unwrap();
    for operation in ["DescribeKey", "ListResourceTags", "GetKeyRotationStatus", "ListKeyRotations"] {
        trial.strike(operation, Fault::AnswerLost);
        let heard = trial.kms.read_key(&at, &key, ALIAS, &object("wrapping")).await;
        let failure = heard.expect_err(&format!("{operation} {:?}", trial.observed()));
        assert_eq!((failure.reason, failure.done), (Reason::KmsUnreachable, Done::No), "{operation} {failure:?}");
    }
    trial.strike("GenerateDataKey", Fault::AnswerLost);
    let failure = trial.kms.seal(&at, &key, &binding(&at.name, "web"), &secret("key")).await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::KmsUnreachable, Done::No));
}

#[tokio::test]
async fn what_is_said_of_a_spoilt_answer_shows_nothing_of_a_data_key() {
    let (trial, at) = (Trial::start().await, staging());
    let key = trial.make(&at, "intent-1").await.unwrap();
    let body = r#"{"KeyId":"k","CiphertextBlob":"AAAA","Plaintext":"hunter2\q"}"#;
    trial.strike("GenerateDataKey", Fault::Status(Answer::text(200, "application/x-amz-json-1.1", body)));
    let failure = trial.kms.seal(&at, &key, &binding(&at.name, "web"), &secret("key")).await.unwrap_err();
    assert_eq!(failure.reason, Reason::AnswerNotUnderstood, "{failure:?}");
    assert!(failure.message.ends_with("the answer is not what AWS specifies"), "{failure:?}");
}

#[tokio::test]
async fn a_mute_service_costs_one_time_out() {
    let trial = Trial::start().await;
    trial.strike("CreateKey", Fault::Mute);
    let failure = trial.make(&staging(), "intent-1").await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::KmsUnreachable, Done::Unknown), "{failure:?}");
    assert_eq!(trial.calls("CreateKey"), 1);
}

#[tokio::test]
async fn an_answer_about_another_key_is_thrown_away() {
    let (trial, at) = (Trial::start().await, staging());
    let (one, other) = (trial.make(&at, "intent-1").await.unwrap(), trial.make(&at, "intent-2").await.unwrap());
    let body = json!({ "KeyMetadata": { "KeyId": "x", "Arn": other, "KeyState": "Enabled" } });
    trial.strike("DescribeKey", Fault::Status(Answer::json(200, "application/x-amz-json-1.1", &body)));
    let failure = trial.kms.read_key(&at, &one, ALIAS, &object("wrapping")).await.unwrap_err();
    assert_eq!(failure.reason, Reason::AnswerNotUnderstood, "{failure:?}");
    let body = json!({ "KeyId": other, "Plaintext": "AAAA", "CiphertextBlob": "AAAA" });
    trial.strike("GenerateDataKey", Fault::Status(Answer::json(200, "application/x-amz-json-1.1", &body)));
    let failure = trial.kms.seal(&at, &one, &binding(&at.name, "web"), &secret("key")).await.unwrap_err();
    assert_eq!(failure.reason, Reason::AnswerNotUnderstood, "{failure:?}");
}

#[tokio::test]
async fn a_key_that_an_answer_places_elsewhere_is_refused_and_named() {
    let trial = Trial::start().await;
    let foreign = "arn:aws:kms:eu-west-1:999999999999:key/8f9d3c5e-0000-4000-8000-000000000000";
    let body = json!({ "KeyMetadata": { "KeyId": "x", "Arn": foreign } });
    let failure = create(&trial, Fault::Status(Answer::json(200, "application/x-amz-json-1.1", &body))).await;
    assert_eq!((failure.reason, failure.done), (Reason::SeparationRefused, Done::Unknown), "{failure:?}");
    assert!(failure.message.contains(foreign) && failure.message.contains("222222222222"), "{failure:?}");
}

#[tokio::test]
async fn every_call_is_counted_for_its_environment() {
    let trial = Trial::start().await;
    assert_eq!(trial.kms.last_success(&staging().name), None);
    trial.make(&staging(), "intent-1").await.unwrap();
    let first = trial.clock.now();
    trial.pass(Span::seconds(9));
    create(&trial, Fault::Throttle(RetryAfter::Missing)).await;
    trial.make(&production(), "intent-1").await.unwrap();
    let expected = [
        "staging DescribeKey NotFoundException",
        "staging CreateKey 200",
        "staging CreateKey ThrottlingException",
        "production DescribeKey NotFoundException",
        "production CreateKey 200",
    ];
    assert_eq!(trial.observed(), expected);
    assert_eq!(trial.kms.last_success(&staging().name), Some(first));
    assert_eq!(trial.kms.last_success(&production().name), Some(trial.clock.now()));
}

#[tokio::test]
async fn one_environment_throttled_leaves_the_other_alone() {
    let trial = Arc::new(Trial::start().await);
    trial.world.faults().add(Rule::always(Service::Kms, "ListKeys", Fault::Throttle(RetryAfter::Missing)).times(5));
    for _ in 0..5 {
        trial.kms.find_by_intent(&staging(), "intent-1").await.unwrap_err();
    }
    trial.kms.find_by_intent(&production(), "intent-1").await.unwrap();
    assert_eq!(trial.calls("ListKeys"), 6);
}
