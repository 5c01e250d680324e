//! The KMS adapter against servers that nobody here wrote, and Amazon's Encryption SDK as the judge over what it wraps.
//!
//! Where a server strays from AWS, it is said beside the test that meets it; the other server, or the simulator, is then right.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_config::{
    ObjectName, Reason, Span,
    desired::Surroundings,
    key::{KeySpec, KeyState, Purpose},
    settings::Endpoints,
};
use claviger_core::{
    domain::{
        effect::{KeyUse, Sealed},
        failure::{Done, Failure, Retry},
    },
    ports::{Binding, Kms, NewKey, Secret},
};
use claviger_tests::{Aws, Fault, Ministack, Moto, PlainProxy, Rule, Scratch, Status, tools};
use clavigerd::adapters::{
    aws_kms::{AwsKms, KmsOptions},
    clock::SystemClock,
    craft::envelope::{self, DataKey},
};
use serde_json::json;

use crate::esdk::{self, EncryptionContext, Envelope, Oracle};

const REGION: &str = "eu-west-1";
const STAGING: &str = "222222222222";
const PRODUCTION: &str = "111111111111";
/// The account of credentials that moto does not know.
const MOTO: &str = "123456789012";
/// The same of MiniStack.
const MINISTACK: &str = "000000000000";

/// The adapter, speaking to one endpoint with credentials from a file.
struct Trial {
    kms: AwsKms,
    _files: Scratch,
}

impl Trial {
    fn at(endpoint: &str) -> Result<Self> {
        let files = Scratch::new("kms")?;
        files.write("aws", "[hub]\naws_access_key_id = AKIAHUB\naws_secret_access_key = not-a-secret\n")?;
        let everywhere: BTreeMap<String, String> = [(REGION.to_owned(), endpoint.to_owned())].into();
        let kms = AwsKms::new(KmsOptions {
            endpoints: Endpoints { kms: everywhere.clone(), sts: everywhere, cloudflare: None },
            files_read: Some(files.path().to_owned()),
            observer: Arc::new(|_| ()),
            clock: Arc::new(SystemClock::new()),
        });
        Ok(Self { kms, _files: files })
    }

    async fn make(&self, at: &Surroundings, name: &str, intent: &str) -> Result<String, Failure> {
        let object = object(name);
        let key = NewKey { object: &object, intent, spec: KeySpec::SymmetricDefault, purpose: Purpose::Wrap };
        self.kms.create_key(at, key).await
    }
}

/// An environment whose role is assumed in `account`.
fn by_role(name: &str, account: &str) -> Surroundings {
    let role = format!("arn:aws:iam::{account}:role/claviger");
    environment(name, account, &json!({ "assumeRole": role }))
}

fn environment(name: &str, account: &str, more: &serde_json::Value) -> Surroundings {
    let mut kms = json!({
        "accountId": account, "region": REGION, "credentials": { "file": "aws", "profile": "hub" },
        "aliasPrefix": format!("claviger/{name}"), "wrappingKey": "wrapping"
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        kms[key] = value.clone();
    }
    let spec = json!({ "class": "non-production", "owner": "itops@example.com", "kms": kms });
    let spec = serde_json::from_value(spec).expect("it is a document");
    Surroundings { name: name.parse().expect("it is a name"), spec }
}

fn object(name: &str) -> ObjectName {
    let named = json!({ "kind": "KmsKey", "namespace": "shop", "name": name });
    serde_json::from_value(named).expect("it is an object's name")
}

fn alias(at: &Surroundings, name: &str) -> String {
    format!("alias/{}/{name}", at.spec.kms.alias_prefix)
}

fn binding(at: &Surroundings, name: &str) -> Binding {
    Binding { environment: at.name.clone(), object: object(name), r#use: KeyUse::Certificate }
}

fn secret(bytes: impl Into<Vec<u8>>) -> Secret {
    Secret::new(bytes.into().into())
}

fn told<T>(heard: Result<T, Failure>) -> Result<T> {
    heard.map_err(|failure| anyhow::anyhow!("{failure:?}"))
}

/// moto keeps no period of rotations.
#[tokio::test]
async fn moto_shows_a_key_made_aliased_and_rotating() -> Result<()> {
    let moto = Moto::start().await?;
    let (trial, at) = (Trial::at(moto.endpoint())?, environment("staging", MOTO, &json!({})));
    let (object, alias) = (object("wrapping"), alias(&at, "wrapping"));
    assert_eq!(told(trial.kms.find_by_object(&at, &alias, &object).await)?, None);
    let arn = told(trial.make(&at, "wrapping", "intent-1").await)?;
    told(trial.kms.create_alias(&at, &alias, &arn).await)?;
    told(trial.kms.create_alias(&at, &alias, &arn).await)?;
    told(trial.kms.set_rotation(&at, &arn, Span::days(120)).await)?;
    let seen = told(trial.kms.read_key(&at, &arn, &alias, &object).await)?.context("it is there")?;
    assert_eq!((seen.state, seen.ours, seen.alias_target.as_deref()), (KeyState::Enabled, true, Some(arn.as_str())));
    let rotation = seen.rotation.context("a symmetric key rotates")?;
    assert_eq!((rotation.enabled, rotation.last), (true, None));
    moto.kms(REGION, "RotateKeyOnDemand", &json!({ "KeyId": arn })).await?;
    let seen = told(trial.kms.read_key(&at, &arn, &alias, &object).await)?.context("it is still there")?;
    assert!(seen.rotation.is_some_and(|rotation| rotation.last.is_some()), "it was rotated");
    let found = told(trial.kms.find_by_object(&at, &alias, &object).await)?.context("it is found")?;
    assert_eq!(found.arn, arn);
    let other = told(trial.make(&at, "other", "intent-2").await)?;
    let moved = trial.kms.create_alias(&at, &alias, &other).await.expect_err("an alias is never moved");
    assert_eq!((moved.reason, moved.retry), (Reason::AliasMoved, Retry::Never));
    Ok(())
}

#[tokio::test]
async fn moto_keeps_the_accounts_of_two_roles_apart() -> Result<()> {
    let moto = Moto::start().await?;
    let trial = Trial::at(moto.endpoint())?;
    let (staging, production) = (by_role("staging", STAGING), by_role("production", PRODUCTION));
    let one = told(trial.make(&staging, "wrapping", "intent-1").await)?;
    let two = told(trial.make(&production, "wrapping", "intent-1").await)?;
    assert!(one.contains(STAGING) && two.contains(PRODUCTION), "{one} {two}");
    assert_eq!(told(trial.kms.find_by_intent(&staging, "intent-1").await)?, Some(one.clone()));
    let sealed = told(trial.kms.seal(&staging, &one, &binding(&staging, "web"), &secret("key")).await)?;
    // The record of staging, given to an environment of that name in production's account.
    let moved = by_role("staging", PRODUCTION);
    let refused = trial.kms.open(&moved, &binding(&moved, "web"), &sealed).await.expect_err("it is another account's");
    assert_eq!((refused.reason, refused.retry), (Reason::CiphertextRefused, Retry::Never));
    assert!(refused.message.contains(&one) && refused.message.contains(PRODUCTION), "{refused:?}");
    let hub = moto.kms(REGION, "ListKeys", &json!({})).await?;
    assert_eq!(hub["Keys"], json!([]), "nothing was made with the credentials that assume the roles");
    Ok(())
}

#[tokio::test]
async fn a_role_of_another_account_makes_no_key() -> Result<()> {
    let moto = Moto::start().await?;
    let trial = Trial::at(moto.endpoint())?;
    let role = json!({ "assumeRole": format!("arn:aws:iam::{STAGING}:role/claviger") });
    let at = environment("production", PRODUCTION, &role);
    let refused = trial.make(&at, "wrapping", "intent-1").await.expect_err("the role leads elsewhere");
    assert_eq!(refused.reason, Reason::SeparationRefused, "{refused:?}");
    let staging = by_role("staging", STAGING);
    assert_eq!(told(trial.kms.find_by_object(&staging, &alias(&at, "wrapping"), &object("wrapping")).await)?, None);
    Ok(())
}

#[tokio::test]
async fn a_key_whose_answer_was_lost_is_found_at_moto_and_at_ministack() -> Result<()> {
    let (moto, ministack) = (Moto::start().await?, Ministack::start().await?);
    lost_and_found(&moto, MOTO).await?;
    lost_and_found(&ministack, MINISTACK).await
}

async fn lost_and_found(aws: &Aws, account: &str) -> Result<()> {
    let proxy = PlainProxy::start(aws.address()).await?;
    let (trial, at) = (Trial::at(&proxy.endpoint())?, environment("staging", account, &json!({})));
    told(trial.make(&at, "other", "intent-0").await)?;
    proxy.inject(Rule::on_action("CreateKey", Fault::LoseAnswer).once());
    let lost = trial.make(&at, "wrapping", "intent-1").await.expect_err("the answer was lost");
    assert_eq!((lost.reason, lost.done), (Reason::KmsUnreachable, Done::Unknown), "{lost:?}");
    let found = told(trial.kms.find_by_intent(&at, "intent-1").await)?.context("it was made all the same")?;
    let seen = told(trial.kms.find_by_object(&at, &alias(&at, "wrapping"), &object("wrapping")).await)?;
    assert_eq!(seen.map(|seen| (seen.arn, seen.ours)), Some((found, true)));
    assert_eq!(told(trial.kms.find_by_intent(&at, "intent-2").await)?, None);
    assert_eq!(proxy.count_done_actions("CreateKey"), 2);
    Ok(())
}

#[tokio::test]
async fn a_limit_of_aws_is_met_once_and_throttling_passes() -> Result<()> {
    let moto = Moto::start().await?;
    let proxy = PlainProxy::start(moto.address()).await?;
    let (trial, at) = (Trial::at(&proxy.endpoint())?, environment("staging", MOTO, &json!({})));
    let limit = Status::aws(400, "LimitExceededException", "You have reached the maximum number of keys");
    proxy.inject(Rule::on_action("CreateKey", limit.into()).once());
    let refused = trial.make(&at, "wrapping", "intent-1").await.expect_err("the limit is reached");
    assert_eq!((refused.reason, refused.retry), (Reason::KmsLimitExceeded, Retry::Never));
    let throttled = Status::aws(400, "ThrottlingException", "Rate exceeded");
    proxy.inject(Rule::on_action("CreateKey", throttled.into()).once());
    let refused = trial.make(&at, "wrapping", "intent-1").await.expect_err("it is throttled");
    assert_eq!(refused.reason, Reason::KmsThrottled);
    told(trial.make(&at, "wrapping", "intent-1").await)?;
    let asked = proxy.requests().iter().filter(|logged| logged.action.as_deref() == Some("CreateKey")).count();
    assert_eq!(asked, 3, "one call is one attempt");
    Ok(())
}

#[tokio::test]
async fn what_is_sealed_opens_for_its_own_object_alone() -> Result<()> {
    let (moto, ministack) = (Moto::start().await?, Ministack::start().await?);
    sealed_for_one(&moto, MOTO).await?;
    sealed_for_one(&ministack, MINISTACK).await
}

async fn sealed_for_one(aws: &Aws, account: &str) -> Result<()> {
    let (trial, at) = (Trial::at(aws.endpoint())?, environment("staging", account, &json!({})));
    let key = told(trial.make(&at, "wrapping", "intent-1").await)?;
    let sealed = told(trial.kms.seal(&at, &key, &binding(&at, "web"), &secret("key")).await)?;
    let opened = told(trial.kms.open(&at, &binding(&at, "web"), &sealed).await)?;
    assert_eq!(opened.expose_bytes(), b"key");
    let refused = trial.kms.open(&at, &binding(&at, "wet"), &sealed).await.expect_err("it is another object's");
    assert_eq!(refused.reason, Reason::CiphertextRefused);
    // Whoever writes another object's name into the message meets KMS, which holds the context that was sealed.
    let renamed = with(&sealed, b"\x00\x04name\x00\x03web", b"\x00\x04name\x00\x03wet")?;
    let refused = trial.kms.open(&at, &binding(&at, "wet"), &renamed).await.expect_err("the context is another one");
    assert_eq!((refused.reason, refused.retry), (Reason::CiphertextRefused, Retry::Never), "{refused:?}");
    assert!(refused.message.contains("security event"), "{refused:?}");
    assert!(refused.message.contains("InvalidCiphertextException"), "{refused:?}");
    Ok(())
}

/// The message with some bytes replaced by as many others.
fn with(sealed: &Sealed, found: &[u8], other: &[u8]) -> Result<Sealed> {
    let mut message = STANDARD.decode(&sealed.0)?;
    let at = message.windows(found.len()).position(|bytes| bytes == found).context("the message names its object")?;
    message[at..at + found.len()].copy_from_slice(other);
    Ok(Sealed(STANDARD.encode(message)))
}

/// MiniStack opens with the wrong key to garbage where AWS refuses; moto refuses with another code. Nothing gets out in either.
#[tokio::test]
async fn a_message_that_names_the_wrong_key_gives_nothing_away() -> Result<()> {
    let (moto, ministack) = (Moto::start().await?, Ministack::start().await?);
    for (aws, account) in [(&*moto, MOTO), (&*ministack, MINISTACK)] {
        let (trial, at) = (Trial::at(aws.endpoint())?, environment("staging", account, &json!({})));
        let key = told(trial.make(&at, "wrapping", "intent-1").await)?;
        let other = told(trial.make(&at, "other", "intent-2").await)?;
        let sealed = told(trial.kms.seal(&at, &key, &binding(&at, "web"), &secret("key")).await)?;
        let renamed = with(&sealed, key.as_bytes(), other.as_bytes())?;
        let refused = trial.kms.open(&at, &binding(&at, "web"), &renamed).await.expect_err("it is another key's");
        ensure!(matches!(refused.reason, Reason::CiphertextRefused | Reason::KmsDenied), "{refused:?}");
    }
    Ok(())
}

/// MiniStack keeps the period of rotations, and knows none that happened.
#[tokio::test]
async fn ministack_shows_the_period_that_was_set() -> Result<()> {
    let ministack = Ministack::start().await?;
    let (trial, at) = (Trial::at(ministack.endpoint())?, environment("staging", MINISTACK, &json!({})));
    let key = told(trial.make(&at, "wrapping", "intent-1").await)?;
    told(trial.kms.set_rotation(&at, &key, Span::days(120)).await)?;
    let seen = told(trial.kms.read_key(&at, &key, &alias(&at, "wrapping"), &object("wrapping")).await)?;
    let seen = seen.context("it is there")?;
    let rotation = seen.rotation.context("a symmetric key rotates")?;
    assert_eq!((rotation.enabled, rotation.period, rotation.last), (true, Some(Span::days(120)), None));
    assert_eq!(seen.alias_target, None);
    Ok(())
}

/// moto goes on using keys that are disabled or wait for deletion; MiniStack does not.
#[tokio::test]
async fn ministack_refuses_what_a_disabled_key_wrapped() -> Result<()> {
    let ministack = Ministack::start().await?;
    let (trial, at) = (Trial::at(ministack.endpoint())?, environment("staging", MINISTACK, &json!({})));
    let key = told(trial.make(&at, "wrapping", "intent-1").await)?;
    let sealed = told(trial.kms.seal(&at, &key, &binding(&at, "web"), &secret("key")).await)?;
    ministack.kms(REGION, "DisableKey", &json!({ "KeyId": key })).await?;
    let refused = trial.kms.open(&at, &binding(&at, "web"), &sealed).await.expect_err("the key is disabled");
    assert_eq!(refused.reason, Reason::KeyDisabled, "{refused:?}");
    ministack.kms(REGION, "ScheduleKeyDeletion", &json!({ "KeyId": key, "PendingWindowInDays": 7 })).await?;
    let refused = trial.kms.open(&at, &binding(&at, "web"), &sealed).await.expect_err("the key will be deleted");
    assert_eq!(refused.reason, Reason::KeyPendingDeletion, "{refused:?}");
    let seen = told(trial.kms.find_by_object(&at, &alias(&at, "wrapping"), &object("wrapping")).await)?;
    let seen = seen.context("a key that waits for its deletion is still ours")?;
    assert_eq!((seen.state, seen.arn.as_str(), seen.ours), (KeyState::PendingDeletion, key.as_str(), true));
    assert!(seen.deletion_at.is_some() && seen.material.is_some(), "{seen:?}");
    Ok(())
}

/// The AWS chain looks into the process's environment, so this test runs once more in a process of its own.
#[tokio::test]
async fn without_credentials_in_the_document_the_aws_chain_is_asked() -> Result<()> {
    const ENDPOINT: &str = "CLAVIGER_TEST_CHAIN_ENDPOINT";
    let at = environment("staging", MOTO, &json!({ "credentials": null }));
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        let trial = Trial::at(&endpoint)?;
        return told(trial.make(&at, "wrapping", "intent-1").await).map(drop);
    }
    let moto = Moto::start().await?;
    let child = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "kms_peers::without_credentials_in_the_document_the_aws_chain_is_asked"])
        .env_clear()
        .env(ENDPOINT, moto.endpoint())
        .env("AWS_ACCESS_KEY_ID", "AKIACHAIN")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        // What a machine may have set for others leads nowhere.
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .output()
        .await?;
    ensure!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(moto.kms(REGION, "ListKeys", &json!({})).await?["Keys"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn amazons_encryption_sdk_opens_what_we_seal_and_we_what_it_seals() -> Result<()> {
    let moto = Moto::start().await?;
    let (trial, at) = (Trial::at(moto.endpoint())?, environment("staging", MOTO, &json!({})));
    let key = told(trial.make(&at, "wrapping", "intent-1").await)?;
    let bound = binding(&at, "web");
    for length in [0, 241, 5000] {
        let plaintext: Vec<u8> = (0..length).map(|index: usize| (index % 251) as u8).collect();
        let ours = told(trial.kms.seal(&at, &key, &bound, &secret(plaintext.clone())).await)?;
        let message = STANDARD.decode(&ours.0)?;
        let (oracle, arn, context) = (oracle(&moto)?, key.clone(), envelope::context(&bound));
        let (opened, theirs) = tokio::task::spawn_blocking({
            let plaintext = plaintext.clone();
            move || anyhow::Ok((oracle.decrypt(&arn, &context, &message)?, oracle.encrypt(&arn, &context, &plaintext)?))
        })
        .await??;
        assert_eq!(opened, plaintext, "Amazon opens ours");
        let theirs = told(trial.kms.open(&at, &bound, &Sealed(STANDARD.encode(theirs))).await)?;
        assert_eq!(theirs.expose_bytes(), plaintext, "we open Amazon's");
    }
    Ok(())
}

#[tokio::test]
async fn amazons_encryption_sdk_and_our_envelope_agree_byte_by_byte() -> Result<()> {
    let moto = Moto::start().await?;
    let oracle = oracle(&moto)?;
    let context = envelope::context(&binding(&environment("staging", MOTO, &json!({})), "web"));
    tokio::task::spawn_blocking(move || esdk::cross_check(&oracle, &Ours, &context)).await?
}

fn oracle(moto: &Moto) -> Result<Oracle> {
    Ok(Oracle::new(tools::python()?, moto.endpoint()))
}

struct Ours;

impl Envelope for Ours {
    fn seal(&self, data_key: &esdk::DataKey, context: &EncryptionContext, plaintext: &[u8]) -> Result<Vec<u8>> {
        let esdk::DataKey { plaintext: key, ciphertext, key_arn } = data_key;
        let data_key = DataKey::new(key, ciphertext.clone(), key_arn.clone())?;
        Ok(envelope::seal(&data_key, context, plaintext)?)
    }

    fn read(&self, message: &[u8], key_arn: &str) -> Result<(Vec<u8>, EncryptionContext)> {
        let header = envelope::Header::read(message)?;
        Ok((header.data_key(key_arn)?.ciphertext.clone(), header.context().clone()))
    }

    fn open(&self, message: &[u8], data_key: &[u8]) -> Result<Vec<u8>> {
        Ok(envelope::open(message, &*envelope::data_key(data_key)?)?.to_vec())
    }
}
