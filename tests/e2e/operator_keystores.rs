//! Keystores in Secrets, on a real API server, opened by readers that nobody here wrote.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::{
    keystores::{self, Opened},
    openssl, wait_until,
};
use serde_json::Value;

use crate::{
    ground::SOON,
    operator::{Cluster, certificate, looked_at, quiet},
};

const NAME: &str = "www.staging.example.com";
const FIRST: &str = "correct horse";
const SECOND: &str = "battery staple";

/// `web`, whose Secret has a keystore of every kind.
fn web() -> String {
    let password = "password: { name: web-password, key: password }";
    let keystores = [
        format!("{{ name: keystore.p12, format: pkcs12, {password} }}"),
        format!("{{ name: legacy.p12, format: pkcs12-legacy, alias: web, {password} }}"),
        format!("{{ name: truststore.p12, format: pkcs12, holds: trust, {password} }}"),
        format!("{{ name: keystore.jks, format: jks, {password} }}"),
        format!("{{ name: truststore.jks, format: jks, holds: trust, {password} }}"),
    ];
    let secret = format!("name: web-tls, keystores: [{}]", keystores.join(", "));
    certificate("web", NAME).replace("name: web-tls", &secret)
}

/// The fields of the Secret.
async fn fields(cluster: &Cluster) -> Result<BTreeMap<String, Vec<u8>>> {
    let secret = cluster.get("secret", "staging", "web-tls").await?;
    let fields = secret["data"].as_object().context("it has data")?;
    let decoded = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default());
    fields.iter().map(|(name, value)| Ok((name.clone(), decoded(value)?))).collect()
}

async fn set_password(cluster: &Cluster, password: &str) -> Result<()> {
    let data = STANDARD.encode(password);
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: web-password, namespace: staging }}\ndata: {{ password: {data} }}\n"
    );
    cluster.kubernetes.apply(&secret).await.map(drop)
}

/// Whether every keystore opens with the password and holds the key and the chain that lie beside it.
fn hold_the_same(fields: &BTreeMap<String, Vec<u8>>, password: &str) -> Result<()> {
    let text = |name: &str| String::from_utf8(fields[name].clone());
    let sorted = |text: &str| {
        let mut blocks = keystores::blocks(text, "CERTIFICATE");
        blocks.sort();
        blocks
    };
    let identity = |alias: &str| -> Result<Opened> {
        Ok(Opened {
            public_key: Some(openssl::public_key_of_private_key(&text("tls.key")?)?),
            aliases: vec![alias.to_owned()],
            certificates: sorted(&text("tls.crt")?),
        })
    };
    let trust = Opened { public_key: None, aliases: vec!["ca".to_owned()], certificates: sorted(&text("ca.crt")?) };
    let field = |name: &str| fields.get(name).with_context(|| format!("`{name}` is missing"));
    let pkcs12 = |name: &str| keystores::pkcs12(field(name)?, password).context(name.to_owned());
    let jks = |name: &str| keystores::jks(field(name)?, password).context(name.to_owned());
    assert_eq!(key_of(pkcs12("keystore.p12")?), identity("certificate").map(key_of)?);
    assert_eq!(key_of(pkcs12("legacy.p12")?), identity("web").map(key_of)?);
    assert_eq!(jks("keystore.jks")?, identity("certificate")?);
    assert_eq!((pkcs12("truststore.p12")?, jks("truststore.jks")?), (trust.clone(), trust));
    Ok(())
}

/// `cryptography` tells the names of certificates, and not that of the key.
fn key_of(opened: Opened) -> Opened {
    Opened { aliases: Vec::new(), ..opened }
}

#[tokio::test(flavor = "multi_thread")]
async fn keystores_hold_the_same_key_and_chain_and_follow_their_password() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[web()]).await?;
    let daemon = cluster.ground.start().await?;
    let told = async || {
        let shown = cluster.get("tlscertificate", "staging", "web").await.unwrap_or_default();
        shown["status"]["attention"]["reason"] == "KeystorePasswordMissing"
    };
    wait_until(SOON, "the missing password to be told", told).await?;
    let shown = cluster.get("tlscertificate", "staging", "web").await?;
    let said = shown["status"]["attention"].to_string();
    ensure!(said.contains("staging/web-password") && said.contains("create secret generic web-password"), "{said}");
    ensure!(shown["status"]["conditions"][0]["reason"] == "KeystorePasswordMissing", "{shown:#}");
    let before = fields(&cluster).await?;
    ensure!(before.keys().eq(["ca.crt", "tls.crt", "tls.key"]), "key and certificate do not wait: {:?}", before.keys());

    set_password(&cluster, FIRST).await?;
    cluster.wait_ready("web").await?;
    let first = fields(&cluster).await?;
    hold_the_same(&first, FIRST)?;
    ensure!(first["tls.key"] == before["tls.key"], "the same key");

    quiet(&cluster).await?;
    let written = cluster.deeds().await?.len();
    daemon.stop().await?;
    let daemon = cluster.ground.start().await?;
    wait_until(SOON, "everything to be looked at", async || looked_at(&cluster).await).await?;
    quiet(&cluster).await?;
    assert_eq!(cluster.deeds().await?.split_off(written), Vec::<String>::new(), "what is right is not written again");
    assert_eq!(fields(&cluster).await?, first);

    set_password(&cluster, SECOND).await?;
    let follows = async || fields(&cluster).await.is_ok_and(|now| now["keystore.p12"] != first["keystore.p12"]);
    wait_until(SOON, "the keystores to follow the password", follows).await?;
    let second = fields(&cluster).await?;
    hold_the_same(&second, SECOND)?;
    ensure!(second["tls.key"] == before["tls.key"], "the same key");

    let gone = r#"[{"op":"remove","path":"/data/keystore.jks"}]"#;
    let patch = ["patch", "secret", "web-tls", "--namespace=staging", "--type=json", "--patch", gone];
    cluster.kubernetes.kubectl(&patch, "").await?;
    let back = async || fields(&cluster).await.is_ok_and(|now| now.contains_key("keystore.jks"));
    wait_until(SOON, "the keystore that was deleted by hand", back).await?;
    let third = fields(&cluster).await?;
    hold_the_same(&third, SECOND)?;
    ensure!(third["keystore.p12"] == second["keystore.p12"], "the others are left alone");

    cluster.kubernetes.apply(&certificate("web", NAME)).await?;
    let alone = async || fields(&cluster).await.is_ok_and(|now| now.len() == 3);
    wait_until(SOON, "the keystores to go with the document", alone).await?;
    assert_eq!(cluster.ground.orders(), 1);
    for secret in [FIRST, SECOND] {
        ensure!(!daemon.log().contains(secret), "a password is in the log");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keystore_that_cannot_be_is_refused_when_it_is_applied() -> Result<()> {
    let cluster = Cluster::new().await?;
    let refused = async |from: &str, to: &str, words: &str| -> Result<()> {
        let error = cluster.kubernetes.apply(&web().replacen(from, to, 1)).await.expect_err("it is refused");
        ensure!(format!("{error:#}").contains(words), "`{words}` is not in: {error:#}");
        Ok(())
    };
    refused("name: keystore.p12", "name: tls.key", "write a name of its own").await?;
    refused("name: keystore.p12", "name: legacy.p12", "Duplicate value").await?;
    refused("{ name: web-password, key: password }", "hunter2", "password").await?;
    refused("format: pkcs12,", "format: pem,", "Unsupported value").await
}
