//! What lies wrapped on the disk, and under whose name AWS is asked: Amazon's Encryption SDK opens claviger's files, claviger opens
//! Amazon's, and each environment works in its own account as its own session.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use claviger_tests::{Fault, Moto, PlainProxy, Rule, Site, documents, tools};
use serde_json::{Value, json};

use crate::{
    esdk::{EncryptionContext, Oracle},
    ground::{Ground, Pair, REGION},
};

/// The encryption context of the account's key, as the README gives it to whoever opens a backup.
fn context(environment: &str) -> EncryptionContext {
    let entries = [
        ("application", "claviger"),
        ("environment", environment),
        ("kind", "Environment"),
        ("name", environment),
        ("use", "account/pebble"),
    ];
    entries.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn account_file(ground: &Ground) -> PathBuf {
    ground.site.path().join("state/accounts/staging--pebble.wrapped")
}

/// The oracle starts a process and waits for it: off the runtime.
async fn ask<T: Send + 'static>(
    ground: &Ground,
    question: impl FnOnce(&Oracle, &str) -> Result<T> + Send + 'static,
) -> Result<T> {
    let oracle = Oracle::new(tools::python()?, ground.moto.endpoint());
    let key = ground.site.resource("kmskey", "staging", "wrapping");
    let arn = key.pointer("/status/key/arn").and_then(Value::as_str).context("the wrapping key")?.to_owned();
    tokio::task::spawn_blocking(move || question(&oracle, &arn)).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn amazons_sdk_opens_the_account_key_and_claviger_opens_what_amazons_sdk_wrote() -> Result<()> {
    let ground = Ground::new().await?;
    ground.write_web()?;
    let daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let served = Pair::read(&ground.site.outlet("web"))?;
    let account = account(&ground)?;

    let file = account_file(&ground);
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o7777, 0o600);
    let message = STANDARD.decode(fs::read_to_string(&file)?.trim_end())?;
    let (copy, elsewhere) = (message.clone(), context("production"));
    let refused = ask(&ground, move |oracle, arn| oracle.decrypt(arn, &elsewhere, &copy)).await;
    ensure!(refused.is_err(), "Amazon's SDK opens it under another environment's context");
    let key = ask(&ground, move |oracle, arn| oracle.decrypt(arn, &context("staging"), &message)).await?;
    assert_eq!(thumbprint(&key)?, account["thumbprint"], "it is the key of the account");

    // A restored backup: claviger's memory is gone, and the key was wrapped by somebody else's program.
    let rewrapped = ask(&ground, move |oracle, arn| oracle.encrypt(arn, &context("staging"), &key)).await?;
    daemon.stop().await?;
    for name in ["claviger.db", "claviger.db-wal", "claviger.db-shm"] {
        let _ = fs::remove_file(ground.site.path().join("state").join(name));
    }
    fs::write(&file, STANDARD.encode(rewrapped))?;
    let _daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    ground.site.wait_ready("environment", "", "staging").await?;
    ground.renew("web")?;
    ground.wait_renewed("web", &served).await?;
    ground.verified("web", &["www.staging.example.com"]).await?;
    assert_eq!(self::account(&ground)?, account);
    assert_eq!(ground.accounts(), 1);
    Ok(())
}

fn account(ground: &Ground) -> Result<Value> {
    let environment = ground.site.resource("environment", "", "staging");
    let issuer = environment.pointer("/status/issuers/0").filter(|issuer| issuer["accountUrl"].is_string());
    issuer.cloned().with_context(|| format!("an account in {environment:#}"))
}

/// RFC 7638, of a private key on P-256.
fn thumbprint(pkcs8: &[u8]) -> Result<String> {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
        .map_err(|why| anyhow::anyhow!("no key on P-256: {why}"))?;
    let point = key.public_key().as_ref();
    let coordinate = |at: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[at]);
    let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, coordinate(1..33), coordinate(33..65));
    Ok(URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes())))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_environments_work_in_two_accounts_each_as_its_own_session() -> Result<()> {
    let (moto, mut site) = (Moto::start().await?, Site::new()?);
    let aws = PlainProxy::start(moto.address()).await?;
    let heard = listen(&aws);
    site.aws_at(&[REGION], &aws.endpoint(), &aws.endpoint(), "");
    site.secret("aws-credentials", documents::credentials(&[("hub", "HUB")]))?;
    let accounts = [("staging", "222222222222"), ("production", "111111111111")];
    for (name, account) in accounts {
        let environment = documents::environment(name, account, REGION)
            .credentials("aws-credentials", "hub")
            .kms(&format!("assumeRole: arn:aws:iam::{account}:role/claviger"));
        let environment = if name == "production" { environment.production() } else { environment };
        site.document(&format!("{name}.yaml"), &environment.with_wrapping_key())?;
    }
    let _daemon = site.start().await?;
    for (name, account) in accounts {
        let seen = site.wait_ready("kmskey", name, "wrapping").await?;
        let arn = seen.pointer("/status/key/arn").and_then(Value::as_str).unwrap_or_default();
        ensure!(arn.starts_with(&format!("arn:aws:kms:{REGION}:{account}:key/")), "{arn}");
        let session = format!("arn:aws:sts::{account}:assumed-role/claviger/claviger-{name}");
        ensure!(heard.lock().is_ok_and(|heard| heard.contains(&session)), "nobody signed in as {session}");
    }
    let own = moto.kms(REGION, "ListKeys", &json!({})).await?;
    assert_eq!(own["Keys"], json!([]), "nothing is made with the credentials that assume the roles");
    Ok(())
}

/// Writes down what STS answers.
fn listen(aws: &PlainProxy) -> Arc<Mutex<String>> {
    let heard = Arc::<Mutex<String>>::default();
    let diary = Arc::clone(&heard);
    let write_down = move |body: &[u8]| {
        let text = String::from_utf8_lossy(body);
        if text.contains("AssumedRoleUser") {
            diary.lock().expect("nobody panics while writing").push_str(&text);
        }
        body.to_vec()
    };
    aws.inject(Rule::on("/", Fault::edit(write_down)));
    heard
}
