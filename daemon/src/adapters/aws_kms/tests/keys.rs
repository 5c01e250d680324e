use std::collections::BTreeMap;

use claviger_config::{
    Reason, Span,
    key::{KeySpec, KeyState, Purpose},
};
use claviger_core::{
    domain::failure::Retry,
    ports::{Kms, NewKey},
};
use claviger_sim::{
    fault::Fault,
    model::kms::{Caller, Denial},
};
use serde_json::{Value, json};

use super::{ALIAS, STAGING, Trial, object, staging};

/// What somebody else does in the account.
fn elsewhere(trial: &Trial, operation: &str, input: Value) -> Value {
    let caller = Caller {
        account: STAGING.to_owned(),
        region: "eu-west-1".to_owned(),
        principal: format!("arn:aws:iam::{STAGING}:user/somebody"),
    };
    let now = claviger_core::ports::Clock::now(&*trial.clock).0;
    trial.world.kms().call(now, &caller, operation, &input).unwrap()
}

#[tokio::test]
async fn a_new_key_carries_its_tags_from_the_start() {
    let trial = Trial::start().await;
    let arn = trial.make(&staging(), "intent-1").await.unwrap();
    assert!(arn.starts_with("arn:aws:kms:eu-west-1:222222222222:key/"), "{arn}");
    let world = trial.world.kms();
    let key = world.keys().next().unwrap();
    let expected = [
        ("claviger:classification", "confidential"),
        ("claviger:environment", "staging"),
        ("claviger:intent", "intent-1"),
        ("claviger:object", "shop/wrapping"),
        ("claviger:owner", "IT Ops -itops@example.com-"),
        ("claviger:purpose", "wrap"),
    ];
    let expected: BTreeMap<String, String> =
        expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(key.tags, expected);
    assert_eq!((key.arn.as_str(), key.usage.as_str(), key.multi_region), (arn.as_str(), "ENCRYPT_DECRYPT", false));
    assert_eq!(key.description, "claviger: shop/wrapping (wrap)");
}

#[tokio::test]
async fn a_key_is_made_aliased_rotated_and_read_back() {
    let (trial, at) = (Trial::start().await, staging());
    let arn = trial.make(&at, "intent-1").await.unwrap();
    trial.kms.create_alias(&at, ALIAS, &arn).await.unwrap();
    trial.kms.set_rotation(&at, &arn, Span::days(90)).await.unwrap();
    trial.kms.set_rotation(&at, &arn, Span::days(90)).await.unwrap();
    trial.pass(Span::days(100));
    let seen = trial.kms.read_key(&at, &arn, ALIAS, &object("wrapping")).await.unwrap().unwrap();
    let rotation = seen.rotation.clone().unwrap();
    assert_eq!((seen.state, seen.spec, seen.ours), (KeyState::Enabled, Some(KeySpec::SymmetricDefault), true));
    assert_eq!((seen.alias_target.as_deref(), seen.arn.as_str()), (Some(arn.as_str()), arn.as_str()));
    assert_eq!((rotation.enabled, rotation.period), (true, Some(Span::days(90))));
    let created = seen.created_at.unwrap();
    assert_eq!(rotation.last, Some(created + Span::days(90)));
    assert_eq!(rotation.next, Some(created + Span::days(180)));
    assert_eq!(seen.material.unwrap(), trial.world.kms().keys().next().unwrap().current().id);
}

#[tokio::test]
async fn a_signing_key_has_no_rotation_and_no_alias_until_it_gets_one() {
    let (trial, at, object) = (Trial::start().await, staging(), object("issuing"));
    let key =
        NewKey { object: &object, intent: "intent-1", spec: KeySpec::EccNistP384, purpose: Purpose::SignAuthority };
    let arn = trial.kms.create_key(&at, key).await.unwrap();
    let seen = trial.kms.read_key(&at, &arn, "alias/claviger/staging/issuing", &object).await.unwrap().unwrap();
    assert_eq!((seen.spec, seen.rotation, seen.alias_target), (Some(KeySpec::EccNistP384), None, None));
    assert_eq!(trial.calls("GetKeyRotationStatus"), 0);
}

#[tokio::test]
async fn a_key_that_aws_does_not_know_is_no_error() {
    let (trial, at) = (Trial::start().await, staging());
    let arn = "arn:aws:kms:eu-west-1:222222222222:key/8f9d3c5e-0000-4000-8000-000000000000";
    assert_eq!(trial.kms.read_key(&at, arn, ALIAS, &object("wrapping")).await.unwrap(), None);
    assert_eq!(trial.kms.find_by_object(&at, ALIAS, &object("wrapping")).await.unwrap(), None);
    assert_eq!(trial.kms.find_by_intent(&at, "intent-1").await.unwrap(), None);
}

#[tokio::test]
async fn a_key_whose_answer_was_lost_is_found_by_its_intent() {
    let (trial, at) = (Trial::start().await, staging());
    trial.make(&at, "intent-0").await.unwrap();
    trial.strike("CreateKey", Fault::AnswerLost);
    let failure = trial.make(&at, "intent-1").await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::KmsUnreachable, claviger_core::domain::failure::Done::Unknown));
    let found = trial.kms.find_by_intent(&at, "intent-1").await.unwrap().unwrap();
    let made: Vec<String> = trial.world.kms().keys().map(|key| key.arn.clone()).collect();
    assert!(made.contains(&found) && made.len() == 2, "{made:?}");
    assert_eq!(trial.kms.find_by_intent(&at, "intent-2").await.unwrap(), None);
}

#[tokio::test]
async fn a_key_is_found_behind_pages_among_keys_that_are_not_ours_to_read() {
    let (trial, at) = (Trial::unkind().await, staging());
    for number in 0..40 {
        let made = elsewhere(&trial, "CreateKey", json!({}));
        if number % 3 == 0 {
            let key = made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned();
            let denial = Denial { principal: "AKIA".to_owned(), operation: "ListResourceTags".to_owned(), key };
            trial.world.kms().steering.denials.push(denial);
        }
        trial.pass(Span::seconds(1));
    }
    let arn = trial.make(&at, "intent-1").await.unwrap();
    trial.pass(Span::minutes(1));
    assert_eq!(trial.kms.find_by_intent(&at, "intent-1").await.unwrap().as_ref(), Some(&arn));
    let seen = trial.kms.find_by_object(&at, ALIAS, &object("wrapping")).await.unwrap().unwrap();
    assert!(seen.ours && seen.arn == arn, "{seen:?}");
    assert!(trial.calls("ListKeys") > 2, "the world gives short pages");
}

#[tokio::test]
async fn many_objects_that_look_for_their_keys_read_each_tag_once() {
    let (trial, at) = (Trial::start().await, staging());
    for _ in 0..20 {
        elsewhere(&trial, "CreateKey", json!({}));
    }
    for name in ["a", "b", "c", "d"] {
        let alias = format!("alias/claviger/staging/{name}");
        assert_eq!(trial.kms.find_by_object(&at, &alias, &object(name)).await.unwrap(), None);
    }
    assert_eq!(trial.calls("ListResourceTags"), 20);
    let arn = trial.make(&at, "intent-1").await.unwrap();
    assert_eq!(trial.kms.find_by_intent(&at, "intent-1").await.unwrap(), Some(arn), "a new key is never overlooked");
    trial.pass(Span::minutes(1));
    trial.kms.find_by_intent(&at, "intent-2").await.unwrap();
    assert_eq!(trial.calls("ListResourceTags"), 20 + 1 + 21, "what was read is forgotten soon");
}

#[tokio::test]
async fn the_key_behind_the_alias_is_found_without_a_search() {
    let (trial, at) = (Trial::start().await, staging());
    let arn = trial.make(&at, "intent-1").await.unwrap();
    trial.kms.create_alias(&at, ALIAS, &arn).await.unwrap();
    let seen = trial.kms.find_by_object(&at, ALIAS, &object("wrapping")).await.unwrap().unwrap();
    assert_eq!((seen.arn.as_str(), seen.ours), (arn.as_str(), true));
    assert_eq!(trial.calls("ListKeys"), 0);
}

#[tokio::test]
async fn a_key_that_waits_for_its_deletion_is_still_ours() {
    let (trial, at) = (Trial::start().await, staging());
    let arn = trial.make(&at, "intent-1").await.unwrap();
    let scheduled = elsewhere(&trial, "ScheduleKeyDeletion", json!({ "KeyId": arn, "PendingWindowInDays": 7 }));
    let seen = trial.kms.find_by_object(&at, ALIAS, &object("wrapping")).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.ours), (KeyState::PendingDeletion, true));
    let expected = scheduled["DeletionDate"].as_f64().unwrap();
    assert_eq!(seen.deletion_at.unwrap().0 / 1000, expected as i64);
    assert!(!seen.rotation.unwrap().enabled);
}

#[tokio::test]
async fn of_two_keys_with_the_same_tags_the_usable_one_is_taken() {
    let (trial, at) = (Trial::start().await, staging());
    let first = trial.make(&at, "intent-1").await.unwrap();
    trial.pass(Span::seconds(5));
    let second = trial.make(&at, "intent-2").await.unwrap();
    let found = async || trial.kms.find_by_object(&at, ALIAS, &object("wrapping")).await.unwrap().unwrap().arn;
    assert_eq!(found().await, first);
    elsewhere(&trial, "DisableKey", json!({ "KeyId": first }));
    assert_eq!(found().await, second);
}

#[tokio::test]
async fn an_alias_is_made_once_and_never_moved() {
    let (trial, at) = (Trial::start().await, staging());
    let arn = trial.make(&at, "intent-1").await.unwrap();
    let other = trial.make(&at, "intent-2").await.unwrap();
    trial.kms.create_alias(&at, ALIAS, &arn).await.unwrap();
    trial.kms.create_alias(&at, ALIAS, &arn).await.unwrap();
    let failure = trial.kms.create_alias(&at, ALIAS, &other).await.unwrap_err();
    assert_eq!((failure.reason, failure.retry), (Reason::AliasMoved, Retry::Never));
    assert!(failure.message.contains(&arn) && failure.message.contains(&other), "{failure:?}");
    let seen = trial.kms.read_key(&at, &other, ALIAS, &object("wrapping")).await.unwrap().unwrap();
    assert_eq!(seen.alias_target, Some(arn));
}

#[tokio::test]
async fn an_alias_whose_answer_was_lost_is_made_once() {
    let (trial, at) = (Trial::start().await, staging());
    let arn = trial.make(&at, "intent-1").await.unwrap();
    trial.strike("CreateAlias", Fault::AnswerLost);
    trial.kms.create_alias(&at, ALIAS, &arn).await.unwrap_err();
    trial.kms.create_alias(&at, ALIAS, &arn).await.unwrap();
    assert_eq!(trial.world.kms().aliases().len(), 1);
}

#[tokio::test]
async fn somebody_elses_key_behind_our_alias_is_not_ours() {
    let (trial, at) = (Trial::start().await, staging());
    let foreign = elsewhere(&trial, "CreateKey", json!({}));
    let foreign = foreign["KeyMetadata"]["Arn"].as_str().unwrap();
    elsewhere(&trial, "CreateAlias", json!({ "AliasName": ALIAS, "TargetKeyId": foreign }));
    assert_eq!(trial.kms.find_by_object(&at, ALIAS, &object("wrapping")).await.unwrap(), None);
    let arn = trial.make(&at, "intent-1").await.unwrap();
    let seen = trial.kms.find_by_object(&at, ALIAS, &object("wrapping")).await.unwrap().unwrap();
    assert_eq!((seen.arn, seen.alias_target.as_deref()), (arn, Some(foreign)));
}

#[tokio::test]
async fn rotations_that_may_not_be_listed_leave_only_their_date_unknown() {
    let (trial, at) = (Trial::start().await, staging());
    let arn = trial.make(&at, "intent-1").await.unwrap();
    trial.kms.set_rotation(&at, &arn, Span::days(365)).await.unwrap();
    let denial = Denial { principal: "AKIA".to_owned(), operation: "ListKeyRotations".to_owned(), key: String::new() };
    trial.world.kms().steering.denials.push(denial);
    trial.pass(Span::days(400));
    let seen = trial.kms.read_key(&at, &arn, ALIAS, &object("wrapping")).await.unwrap().unwrap();
    let rotation = seen.rotation.unwrap();
    assert_eq!((rotation.enabled, rotation.last), (true, None));
}
