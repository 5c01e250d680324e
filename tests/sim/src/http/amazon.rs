//! KMS and STS as Amazon's own SDK sees them.

use crate::Running;
use crate::fault::{Fault, RetryAfter, Rule, Service};
use crate::http::trial::{START, world};
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    DataKeySpec, IncludeKeyMaterial, KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec, Tag,
};

const DAY: i64 = 86_400_000;

fn config(endpoint: &str, credentials: SharedCredentialsProvider) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .credentials_provider(credentials)
        .build()
}

fn user(account: &str) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new(format!("AKIA{account}"), "secret", None, None, "test"))
}

fn kms(world: &Running, account: &str) -> Client {
    Client::new(&config(&world.addresses().kms, user(account)))
}

fn code<T, E: ProvideErrorMetadata, R>(outcome: Result<T, SdkError<E, R>>) -> String {
    match outcome {
        Ok(_) => "no error".into(),
        Err(error) => error.as_service_error().and_then(|error| error.code()).unwrap_or("not from the service").into(),
    }
}

#[tokio::test]
async fn a_key_lives_its_life() {
    let (world, clock, _) = world().await;
    let kms = kms(&world, "222222222222");
    let tag = Tag::builder().tag_key("owner").tag_value("itops").build().unwrap();
    let key = kms.create_key().tags(tag).send().await.unwrap().key_metadata.unwrap();
    assert_eq!(key.creation_date.unwrap().to_millis().unwrap(), START);
    kms.create_alias().alias_name("alias/claviger/staging/w").target_key_id(&key.key_id).send().await.unwrap();
    let found = kms.describe_key().key_id("alias/claviger/staging/w").send().await.unwrap().key_metadata.unwrap();
    assert_eq!(found.key_id, key.key_id);
    kms.enable_key_rotation().key_id(&key.key_id).rotation_period_in_days(90).send().await.unwrap();
    clock.pass(91 * DAY);
    kms.rotate_key_on_demand().key_id(&key.key_id).send().await.unwrap();
    let rotations = kms.list_key_rotations().key_id(&key.key_id);
    let rotations = rotations.include_key_material(IncludeKeyMaterial::AllKeyMaterial).send().await.unwrap();
    assert_eq!(rotations.rotations.unwrap().len(), 3);
    let status = kms.get_key_rotation_status().key_id(&key.key_id).send().await.unwrap();
    assert_eq!((status.key_rotation_enabled, status.rotation_period_in_days), (true, Some(90)));
    kms.schedule_key_deletion().key_id(&key.key_id).pending_window_in_days(7).send().await.unwrap();
    assert_eq!(code(kms.enable_key().key_id(&key.key_id).send().await), "KMSInvalidStateException");
}

#[tokio::test]
async fn what_is_wrapped_opens_and_refusals_are_understood() {
    let (world, ..) = world().await;
    let (staging, production) = (kms(&world, "222222222222"), kms(&world, "111111111111"));
    let key = staging.create_key().send().await.unwrap().key_metadata.unwrap();
    let arn = key.arn.unwrap();
    let data_key = staging.generate_data_key().key_id(&arn).key_spec(DataKeySpec::Aes256);
    let data_key = data_key.encryption_context("environment", "staging").send().await.unwrap();
    let blob = data_key.ciphertext_blob.unwrap();
    let open = |client: &Client, context: &str| {
        client.decrypt().key_id(&arn).ciphertext_blob(blob.clone()).encryption_context("environment", context).send()
    };
    let opened = open(&staging, "staging").await.unwrap();
    assert_eq!((opened.plaintext, opened.key_material_id), (data_key.plaintext, key.current_key_material_id));
    assert_eq!(code(open(&staging, "production").await), "InvalidCiphertextException");
    assert_eq!(code(open(&production, "staging").await), "AccessDeniedException");
    world.faults().add(Rule::once(Service::Kms, "Decrypt", Fault::Throttle(RetryAfter::Missing)));
    assert_eq!(code(open(&staging, "staging").await), "ThrottlingException");
}

#[tokio::test]
async fn a_digest_is_signed() {
    let (world, ..) = world().await;
    let kms = kms(&world, "222222222222");
    let create = kms.create_key().key_spec(KeySpec::EccNistP384).key_usage(KeyUsageType::SignVerify);
    let key = create.send().await.unwrap().key_metadata.unwrap().key_id;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, b"certificate");
    let sign = kms.sign().key_id(&key).message(Blob::new(digest.as_ref())).message_type(MessageType::Digest);
    let signature = sign.signing_algorithm(SigningAlgorithmSpec::EcdsaSha384).send().await.unwrap().signature.unwrap();
    let public = kms.get_public_key().key_id(&key).send().await.unwrap().public_key.unwrap();
    let (_, info) = x509_parser::prelude::FromDer::from_der(public.as_ref()).unwrap();
    let info: x509_parser::x509::SubjectPublicKeyInfo<'_> = info;
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1,
        &info.subject_public_key.data,
    );
    public.verify(b"certificate", signature.as_ref()).unwrap();
}

#[tokio::test]
async fn a_role_of_another_account_is_assumed() {
    let (world, clock, _) = world().await;
    // The SDK judges the expiry by its own clock.
    clock.pass(100 * 365 * DAY);
    let sts = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(&world.addresses().sts)
        .credentials_provider(user("000000000000"))
        .load()
        .await;
    let role =
        AssumeRoleProvider::builder("arn:aws:iam::222222222222:role/claviger").session_name("test").configure(&sts);
    let given = role.build().await.provide_credentials().await.unwrap();
    let kms = Client::new(&config(&world.addresses().kms, SharedCredentialsProvider::new(given)));
    let key = kms.create_key().send().await.unwrap().key_metadata.unwrap();
    assert_eq!(key.aws_account_id.as_deref(), Some("222222222222"));
    world.kms().steering.unassumable.push("role/claviger".into());
    let role =
        AssumeRoleProvider::builder("arn:aws:iam::222222222222:role/claviger").session_name("test").configure(&sts);
    assert!(role.build().await.provide_credentials().await.is_err());
}
