use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_config::Reason;
use claviger_core::{
    domain::{
        effect::{KeyUse, Sealed},
        failure::{Failure, Retry},
    },
    ports::{Binding, Kms},
};
use claviger_sim::model::kms::KeyState;

use super::{PRODUCTION, Trial, binding, environment, object, production, secret, staging};
use crate::adapters::craft::envelope;

fn is_alarm(failure: &Failure) {
    assert_eq!((failure.reason, failure.retry), (Reason::CiphertextRefused, Retry::Never), "{failure:?}");
    assert!(failure.message.contains("security event"), "{failure:?}");
}

#[tokio::test]
async fn what_was_sealed_opens_and_shows_nothing_of_the_secret() {
    let (trial, at) = (Trial::start().await, staging());
    let key = trial.make(&at, "intent-1").await.unwrap();
    let bound = binding(&at.name, "web");
    let sealed = trial.kms.seal(&at, &key, &bound, &secret("a PRIVATE thing")).await.unwrap();
    let message = STANDARD.decode(&sealed.0).unwrap();
    assert!(!message.windows(7).any(|bytes| bytes == b"PRIVATE"));
    let header = envelope::Header::read(&message).unwrap();
    assert_eq!(header.data_keys().len(), 1);
    assert_eq!(header.data_keys()[0].key_arn(), Some(key.as_str()));
    assert_eq!(*header.context(), envelope::context(&bound));
    let opened = trial.kms.open(&at, &bound, &sealed).await.unwrap();
    assert_eq!(opened.expose_bytes(), b"a PRIVATE thing");
}

#[tokio::test]
async fn each_seal_has_a_data_key_of_its_own() {
    let (trial, at) = (Trial::start().await, staging());
    let key = trial.make(&at, "intent-1").await.unwrap();
    let bound = binding(&at.name, "web");
    let one = trial.kms.seal(&at, &key, &bound, &secret("same")).await.unwrap();
    let two = trial.kms.seal(&at, &key, &bound, &secret("same")).await.unwrap();
    assert_ne!(one, two);
    trial.kms.open(&at, &bound, &one).await.unwrap();
    trial.kms.open(&at, &bound, &one).await.unwrap();
    assert_eq!((trial.calls("GenerateDataKey"), trial.calls("Decrypt")), (2, 2), "nothing is cached");
}

#[tokio::test]
async fn a_secret_of_another_object_or_use_is_refused_before_aws_is_asked() {
    let (trial, at) = (Trial::start().await, staging());
    let key = trial.make(&at, "intent-1").await.unwrap();
    let bound = binding(&at.name, "web");
    let sealed = trial.kms.seal(&at, &key, &bound, &secret("key")).await.unwrap();
    let others = [
        binding(&at.name, "api"),
        Binding { r#use: KeyUse::Account("letsencrypt".parse().unwrap()), ..bound.clone() },
        Binding { object: object("web2"), ..bound.clone() },
    ];
    for other in others {
        let failure = trial.kms.open(&at, &other, &sealed).await.unwrap_err();
        is_alarm(&failure);
    }
    assert_eq!(trial.calls("Decrypt"), 0);
}

#[tokio::test]
async fn a_ciphertext_that_moved_to_another_environment_does_not_open() {
    let (trial, at, other) = (Trial::start().await, staging(), production());
    let key = trial.make(&at, "intent-1").await.unwrap();
    trial.make(&other, "intent-2").await.unwrap();
    let sealed = trial.kms.seal(&at, &key, &binding(&at.name, "web"), &secret("key")).await.unwrap();
    is_alarm(&trial.kms.open(&other, &binding(&other.name, "web"), &sealed).await.unwrap_err());
    let moved = trial.kms.open(&other, &binding(&at.name, "web"), &sealed).await.unwrap_err();
    assert_eq!(moved.reason, Reason::SeparationRefused, "{moved:?}");
    // The name of the environment is right, its account is not: what it was wrapped with lies elsewhere.
    let renamed = environment("staging", PRODUCTION);
    let failure = trial.kms.open(&renamed, &binding(&renamed.name, "web"), &sealed).await.unwrap_err();
    is_alarm(&failure);
    assert!(failure.message.contains(&key) && failure.message.contains(PRODUCTION), "{failure:?}");
    assert_eq!(trial.calls("Decrypt"), 0);
}

#[tokio::test]
async fn a_damaged_message_never_opens_wherever_the_damage_lies() {
    let (trial, at) = (Trial::start().await, staging());
    let key = trial.make(&at, "intent-1").await.unwrap();
    let bound = binding(&at.name, "web");
    let sealed = trial.kms.seal(&at, &key, &bound, &secret("key")).await.unwrap();
    let message = STANDARD.decode(&sealed.0).unwrap();
    let name = message.windows(key.len()).position(|bytes| bytes == key.as_bytes()).unwrap();
    for place in (0..message.len()).step_by(3) {
        let mut damaged = message.clone();
        damaged[place] ^= 1;
        let failure = trial.kms.open(&at, &bound, &Sealed(STANDARD.encode(damaged))).await.unwrap_err();
        // A damaged name of the key in its own account looks like a key that is gone.
        if !(name..name + key.len()).contains(&place) || failure.reason != Reason::KeyUnavailable {
            is_alarm(&failure);
        }
    }
    is_alarm(&trial.kms.open(&at, &bound, &Sealed("no base64!".to_owned())).await.unwrap_err());
    is_alarm(&trial.kms.open(&at, &bound, &Sealed(String::new())).await.unwrap_err());
}

#[tokio::test]
async fn a_data_key_of_another_key_or_context_is_an_alarm() {
    let (trial, at) = (Trial::start().await, staging());
    let (key, other) = (trial.make(&at, "intent-1").await.unwrap(), trial.make(&at, "intent-2").await.unwrap());
    let bound = binding(&at.name, "web");
    let sealed = trial.kms.seal(&at, &key, &bound, &secret("key")).await.unwrap();
    // Somebody rewrites the name of the wrapping key: AWS refuses, since the ciphertext is another key's.
    let message = STANDARD.decode(&sealed.0).unwrap();
    let at_key = message.windows(key.len()).position(|bytes| bytes == key.as_bytes()).unwrap();
    let mut renamed = message.clone();
    renamed[at_key..at_key + key.len()].copy_from_slice(other.as_bytes());
    let failure = trial.kms.open(&at, &bound, &Sealed(STANDARD.encode(renamed))).await.unwrap_err();
    is_alarm(&failure);
    assert!(failure.message.contains("IncorrectKeyException"), "{failure:?}");
}

#[tokio::test]
async fn a_disabled_wrapping_key_is_named_with_the_way_back() {
    let (trial, at) = (Trial::start().await, staging());
    let key = trial.make(&at, "intent-1").await.unwrap();
    let bound = binding(&at.name, "web");
    let sealed = trial.kms.seal(&at, &key, &bound, &secret("key")).await.unwrap();
    let caller = claviger_sim::model::kms::Caller {
        account: super::STAGING.to_owned(),
        region: "eu-west-1".to_owned(),
        principal: "somebody".to_owned(),
    };
    let input = serde_json::json!({ "KeyId": key });
    trial.world.kms().call(1_795_521_600_000, &caller, "DisableKey", &input).unwrap();
    assert_eq!(trial.world.kms().keys().next().unwrap().state, KeyState::Disabled);
    let failures = [
        trial.kms.seal(&at, &key, &bound, &secret("key")).await.unwrap_err(),
        trial.kms.open(&at, &bound, &sealed).await.unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.reason, Reason::KeyDisabled);
        assert_eq!(failure.fix, [format!("aws kms enable-key --key-id {key}")]);
    }
    trial.world.kms().call(1_795_521_600_000, &caller, "ScheduleKeyDeletion", &input).unwrap();
    let failure = trial.kms.open(&at, &bound, &sealed).await.unwrap_err();
    assert_eq!(failure.reason, Reason::KeyPendingDeletion);
}
