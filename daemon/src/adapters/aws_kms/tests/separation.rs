use claviger_config::{Reason, Span};
use claviger_core::{domain::failure::Retry, ports::Kms};
use claviger_sim::fault::Service;

use super::{ALIAS, PRODUCTION, STAGING, Trial, by_role, environment, object, production, staging};

const STAGING_ROLE: &str = "arn:aws:iam::222222222222:role/claviger";
const PRODUCTION_ROLE: &str = "arn:aws:iam::111111111111:role/claviger";

#[tokio::test]
async fn roles_lead_each_environment_into_its_own_account() {
    let trial = Trial::start().await;
    let (one, two) = (by_role(staging(), STAGING_ROLE), by_role(production(), PRODUCTION_ROLE));
    let in_staging = trial.make(&one, "intent-1").await.unwrap();
    let in_production = trial.make(&two, "intent-1").await.unwrap();
    assert!(in_staging.contains(STAGING) && in_production.contains(PRODUCTION), "{in_staging} {in_production}");
    assert_eq!(trial.kms.find_by_intent(&one, "intent-1").await.unwrap(), Some(in_staging));
    assert_eq!(trial.kms.find_by_intent(&two, "intent-1").await.unwrap(), Some(in_production));
    assert_eq!(trial.world.kms().key_count("000000000000"), 0);
    assert_eq!(trial.world.calls().of(Service::Sts, "AssumeRole"), 2, "credentials are kept until they expire");
}

#[tokio::test]
async fn the_session_bears_the_name_of_the_environment() {
    let trial = Trial::start().await;
    let at = by_role(staging(), STAGING_ROLE);
    let denial = claviger_sim::model::kms::Denial {
        principal: "assumed-role/claviger/claviger-staging".to_owned(),
        operation: "CreateKey".to_owned(),
        key: String::new(),
    };
    trial.world.kms().steering.denials.push(denial);
    let failure = trial.make(&at, "intent-1").await.unwrap_err();
    assert_eq!((failure.reason, failure.retry), (Reason::KmsDenied, Retry::Later));
    let expected =
        ["kms:CreateKey", "arn:aws:sts::222222222222:assumed-role/claviger/claviger-staging", "`*`", "(request "];
    for part in &expected[..2] {
        assert!(failure.message.contains(part), "{part}: {failure:?}");
        assert!(failure.fix[0].contains(part), "{part}: {failure:?}");
    }
    assert!(failure.message.contains(expected[3]), "{failure:?}");
}

#[tokio::test]
async fn credentials_of_another_account_make_no_key_anywhere() {
    let trial = Trial::start().await;
    // The document says production's account, its profile is staging's.
    let mut at = environment("staging", PRODUCTION);
    at.spec.kms.assume_role = None;
    let failures = [
        trial.make(&at, "intent-1").await.unwrap_err(),
        trial.kms.find_by_object(&at, ALIAS, &object("wrapping")).await.unwrap_err(),
    ];
    for failure in failures {
        assert_eq!((failure.reason, failure.retry), (Reason::SeparationRefused, Retry::Never));
        assert!(failure.message.contains(STAGING) && failure.message.contains(PRODUCTION), "{failure:?}");
    }
    assert_eq!(trial.world.kms().keys().count(), 0);
}

#[tokio::test]
async fn a_role_of_another_account_signs_nothing() {
    let trial = Trial::start().await;
    let at = by_role(production(), STAGING_ROLE);
    let failure = trial.kms.find_by_intent(&at, "intent-1").await.unwrap_err();
    assert_eq!(failure.reason, Reason::SeparationRefused, "{failure:?}");
    assert!(failure.message.contains(STAGING) && failure.message.contains(PRODUCTION), "{failure:?}");
    assert_eq!(trial.world.calls().all(Service::Kms), 0);
}

#[tokio::test]
async fn a_list_that_holds_only_foreign_keys_is_refused() {
    let trial = Trial::start().await;
    trial.make(&staging(), "intent-1").await.unwrap();
    let failure = trial.kms.find_by_intent(&environment("staging", PRODUCTION), "intent-1").await.unwrap_err();
    assert_eq!(failure.reason, Reason::SeparationRefused, "{failure:?}");
}

#[tokio::test]
async fn a_key_elsewhere_is_not_even_asked_about() {
    let (trial, at) = (Trial::start().await, staging());
    let foreign = trial.make(&production(), "intent-1").await.unwrap();
    let before = trial.world.calls().all(Service::Kms);
    let refused = [
        trial.kms.read_key(&at, &foreign, ALIAS, &object("wrapping")).await.unwrap_err(),
        trial.kms.create_alias(&at, ALIAS, &foreign).await.unwrap_err(),
        trial.kms.set_rotation(&at, &foreign, Span::days(365)).await.unwrap_err(),
        trial.kms.seal(&at, &foreign, &super::binding(&at.name, "web"), &super::secret("key")).await.unwrap_err(),
    ];
    for failure in refused {
        assert_eq!(failure.reason, Reason::SeparationRefused);
        assert!(failure.message.contains(&foreign) && failure.message.contains(STAGING), "{failure:?}");
    }
    assert_eq!(trial.world.calls().all(Service::Kms), before);
}

#[tokio::test]
async fn a_changed_document_gets_a_client_of_its_own() {
    let trial = Trial::start().await;
    let ireland = staging();
    let mut london = staging();
    london.spec.kms.region = "eu-west-2".to_owned();
    let arn = trial.make(&ireland, "intent-1").await.unwrap();
    assert_eq!(trial.kms.find_by_intent(&london, "intent-1").await.unwrap(), None);
    let moved = trial.make(&london, "intent-1").await.unwrap();
    assert!(arn.contains(":eu-west-1:") && moved.contains(":eu-west-2:"), "{arn} {moved}");
    assert_eq!(trial.kms.find_by_intent(&ireland, "intent-1").await.unwrap(), Some(arn));
}
