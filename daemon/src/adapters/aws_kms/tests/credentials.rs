use std::os::unix::fs::symlink;

use claviger_config::{Reason, Span, desired::Surroundings};
use claviger_core::{
    domain::failure::{Done, Failure},
    ports::Kms,
};
use claviger_sim::fault::{Fault, Rule, Service};

use super::{STAGING, Trial, by_role, credentials, staging};

const ROLE: &str = "arn:aws:iam::222222222222:role/claviger";

async fn refused(trial: &Trial, at: &Surroundings) -> Failure {
    let failure = trial.kms.find_by_intent(at, "intent-1").await.unwrap_err();
    assert_eq!(failure.done, Done::No);
    assert!(!failure.fix.is_empty(), "{failure:?}");
    failure
}

fn with_file(file: &str, profile: &str) -> Surroundings {
    let mut at = staging();
    at.spec.kms.credentials =
        Some(claviger_config::environment::CredentialsFile { file: file.to_owned(), profile: profile.to_owned() });
    at
}

#[tokio::test]
async fn a_file_outside_the_folder_is_never_read() {
    let trial = Trial::start().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("aws"), credentials()).unwrap();
    symlink(outside.path().join("aws"), trial.files.path().join("link")).unwrap();
    symlink(outside.path(), trial.files.path().join("folder")).unwrap();
    let absolute = outside.path().join("aws").display().to_string();
    let climbing = format!("../{}/aws", outside.path().file_name().unwrap().to_string_lossy());
    for file in ["link", "folder/aws", &absolute, &climbing, ""] {
        let failure = refused(&trial, &with_file(file, "staging")).await;
        assert_eq!(failure.reason, Reason::KmsDenied, "{failure:?}");
        assert!(failure.message.contains("leads out of `files.read`"), "{failure:?}");
    }
    assert_eq!(trial.world.calls().all(Service::Kms), 0);
}

#[tokio::test]
async fn a_link_that_stays_inside_is_followed_as_kubernetes_mounts_secrets() {
    let trial = Trial::start().await;
    std::fs::create_dir(trial.files.path().join("..2026")).unwrap();
    std::fs::rename(trial.files.path().join("aws"), trial.files.path().join("..2026/aws")).unwrap();
    symlink("..2026", trial.files.path().join("..data")).unwrap();
    symlink("..data/aws", trial.files.path().join("aws")).unwrap();
    trial.kms.find_by_intent(&staging(), "intent-1").await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_a_credentials_file_is_said_without_showing_it() {
    let trial = Trial::start().await;
    let write = |name: &str, text: &str| std::fs::write(trial.files.path().join(name), text).unwrap();
    write("half", "[staging]\naws_access_key_id = AKIA222222222222EXAMPLE\n");
    write("broken", "[staging\naws_secret_access_key = hunter2\n");
    write("loose", "aws_secret_access_key hunter2\n");
    write("role", "[staging]\nrole_arn = arn:aws:iam::222222222222:role/admin\nsource_profile = hub\n");
    write("command", "[staging]\ncredential_process = touch hunter2\n");
    std::fs::create_dir(trial.files.path().join("folder")).unwrap();
    let cases = [
        ("half", "staging", "no key `aws_secret_access_key`"),
        ("broken", "staging", "`broken` is no AWS credentials file"),
        ("loose", "staging", "`loose` is no AWS credentials file"),
        ("aws", "qa", "has no profile `qa`"),
        ("absent", "staging", "`absent` below `files.read` cannot be read"),
        ("folder", "staging", "`folder` below `files.read` cannot be read"),
        ("role", "staging", "`role_arn`"),
        ("command", "staging", "`credential_process`"),
    ];
    for (file, profile, expected) in cases {
        let failure = refused(&trial, &with_file(file, profile)).await;
        assert_eq!(failure.reason, Reason::KmsDenied, "{failure:?}");
        assert!(failure.message.contains(expected), "{expected}: {failure:?}");
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }
    assert_eq!(trial.world.calls().all(Service::Kms), 0, "no other credentials are tried");
}

#[tokio::test]
async fn a_missing_setting_is_named() {
    let trial = Trial::start().await;
    let kms = super::AwsKms::new(super::KmsOptions {
        endpoints: claviger_config::settings::Endpoints::default(),
        files_read: None,
        observer: std::sync::Arc::new(|_| ()),
        clock: std::sync::Arc::clone(&trial.clock) as std::sync::Arc<dyn claviger_core::ports::Clock>,
    });
    let failure = kms.find_by_intent(&staging(), "intent-1").await.unwrap_err();
    assert_eq!(failure.reason, Reason::SettingMissing, "{failure:?}");
    assert!(failure.message.contains("`files.read` is not set"), "{failure:?}");
}

#[tokio::test]
async fn a_renewed_file_is_read_as_soon_as_the_old_keys_are_refused() {
    let trial = Trial::start().await;
    let file = trial.files.path().join("aws");
    std::fs::write(&file, "[staging]\naws_access_key_id = AKIADELETED\naws_secret_access_key = x\n").unwrap();
    let failure = refused(&trial, &staging()).await;
    assert_eq!(failure.reason, Reason::KmsDenied, "{failure:?}");
    assert!(failure.message.contains("UnrecognizedClientException"), "{failure:?}");
    std::fs::write(&file, credentials()).unwrap();
    trial.kms.find_by_intent(&staging(), "intent-1").await.unwrap();
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_named_and_nothing_else_is_tried() {
    let trial = Trial::start().await;
    trial.world.kms().steering.unassumable.push(ROLE.to_owned());
    let failure = refused(&trial, &by_role(staging(), ROLE)).await;
    assert_eq!(failure.reason, Reason::KmsDenied, "{failure:?}");
    for part in [ROLE, "AccessDenied", "sts:AssumeRole"] {
        assert!(failure.message.contains(part), "{part}: {failure:?}");
    }
    assert_eq!(trial.world.calls().all(Service::Kms), 0);
}

#[tokio::test]
async fn an_outage_of_sts_costs_nothing_until_the_session_ends() {
    let trial = Trial::start().await;
    let at = by_role(staging(), ROLE);
    trial.kms.find_by_intent(&at, "intent-1").await.unwrap();
    trial.world.faults().add(Rule::always(Service::Sts, "*", Fault::RefuseBefore));
    trial.pass(Span::minutes(50));
    trial.kms.find_by_intent(&at, "intent-1").await.unwrap();
    trial.pass(Span::minutes(20));
    let failure = refused(&trial, &at).await;
    assert_eq!(failure.reason, Reason::KmsUnreachable, "{failure:?}");
    assert!(failure.message.contains(ROLE), "{failure:?}");
    trial.world.faults().clear();
    trial.kms.find_by_intent(&at, "intent-1").await.unwrap();
}

#[tokio::test]
async fn credentials_that_expire_under_way_are_replaced() {
    let trial = Trial::start().await;
    let at = by_role(staging(), ROLE);
    let expired = claviger_sim::answer::Answer::json(
        400,
        "application/x-amz-json-1.1",
        &serde_json::json!({ "__type": "ExpiredTokenException", "message": "expired" }),
    );
    trial.strike("ListKeys", Fault::Status(expired));
    let failure = refused(&trial, &at).await;
    assert_eq!(failure.reason, Reason::KmsDenied);
    trial.kms.find_by_intent(&at, "intent-1").await.unwrap();
    assert_eq!(trial.world.calls().of(Service::Sts, "AssumeRole"), 2);
    assert_eq!(trial.world.kms().key_count(STAGING), 0);
}

#[tokio::test]
async fn where_sts_is_mute_nothing_was_sent_to_kms() {
    let trial = Trial::start().await;
    let at = by_role(staging(), ROLE);
    trial.world.faults().add(Rule::once(Service::Sts, "AssumeRole", Fault::Mute));
    let failure = trial.make(&at, "intent-1").await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::KmsUnreachable, Done::No), "{failure:?}");
    assert!(failure.message.contains(ROLE) && failure.fix[0].contains("STS"), "{failure:?}");
    trial.make(&at, "intent-1").await.unwrap();
}

#[tokio::test]
async fn throttling_by_sts_is_no_refusal() {
    let trial = Trial::start().await;
    let fault = Fault::Throttle(claviger_sim::fault::RetryAfter::Missing);
    trial.world.faults().add(Rule::once(Service::Sts, "AssumeRole", fault));
    let failure = refused(&trial, &by_role(staging(), ROLE)).await;
    assert_eq!(failure.reason, Reason::KmsThrottled, "{failure:?}");
}
