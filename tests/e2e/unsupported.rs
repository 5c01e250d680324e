//! What is read and judged and comes with a later release says so on the object, with what to write instead; it is never
//! silently left out.

use anyhow::{Result, ensure};
use claviger_sim::fault::Service;
use claviger_tests::{condition_of, documents};

use crate::stage::{Stage, text};

/// `staging` works; the object `wanted` needs what there is not yet.
async fn says_so(stage: &Stage, kind: &str, namespace: &str, words: &str) -> Result<()> {
    says(stage, kind, namespace, words, "NotSupportedYet").await
}

async fn says(stage: &Stage, kind: &str, namespace: &str, words: &str, reason: &str) -> Result<()> {
    let checked = stage.site.check()?;
    ensure!(text(&checked).contains(reason) && text(&checked).contains(words), "{}", text(&checked));
    let _daemon = stage.start().await?;
    let wanted = stage.site.wait_attention(kind, namespace, "wanted", reason).await?;
    let attention = &wanted["status"]["attention"];
    ensure!(attention["turn"] == "Operator", "{attention:#}");
    ensure!(attention["message"].to_string().contains(words), "`{words}` is not in {attention:#}");
    ensure!(attention["fix"][0].as_str().is_some_and(|fix| !fix.is_empty()), "{attention:#}");
    for condition in ["Ready", "OnSchedule"] {
        let found = condition_of(&wanted, condition);
        ensure!(found.is_some_and(|found| found["status"] == "False" && found["reason"] == reason), "{wanted:#}");
    }
    let explained = text(&stage.site.ctl(&["explain", &format!("{kind}/wanted")])?);
    ensure!(explained.contains(reason) && explained.contains("Operator"), "{explained}");
    stage.site.wait_ready("environment", "", "staging").await?;
    assert_eq!(stage.world.acme().counts().orders, 0);
    assert_eq!(stage.world.calls().all(Service::Cloudflare), 0);
    Ok(())
}

async fn with_certificate(environment: impl FnOnce(String) -> String, certificate: String) -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &environment(stage.staging().with_wrapping_key()))?;
    stage.site.document("wanted.yaml", &certificate)?;
    Ok(stage)
}

const NAME: [&str; 1] = ["www.staging.example.com"];

#[tokio::test]
async fn a_zone_that_is_proven_by_dns_01_alone() -> Result<()> {
    let dns_alone = |yaml: String| yaml.replace("challenges: [http-01]", "challenges: [dns-01]");
    let stage = with_certificate(dns_alone, documents::certificate("staging", "wanted", &NAME, "")).await?;
    says_so(&stage, "certificate", "staging", "dns-01").await
}

#[tokio::test]
async fn a_wildcard() -> Result<()> {
    let wildcard = documents::certificate("staging", "wanted", &["\"*.staging.example.com\""], "");
    let stage = with_certificate(|yaml| yaml, wildcard).await?;
    says_so(&stage, "certificate", "staging", "`*.staging.example.com`").await
}

#[tokio::test]
async fn a_kubernetes_secret_as_outlet() -> Result<()> {
    let certificate = documents::certificate("staging", "wanted", &NAME, "");
    let certificate = certificate.replace("files: { directory: wanted }", "secret: { name: wanted-tls }");
    let stage = with_certificate(|yaml| yaml, certificate).await?;
    says(&stage, "certificate", "staging", "Kubernetes Secret", "SettingMissing").await
}

#[tokio::test]
async fn an_internal_authority_as_issuer() -> Result<()> {
    let authority = "issuers: [{ name: internal, trust: private, authority: { name: issuing } }, {";
    let environment = |yaml: String| yaml.replacen("issuers: [{", authority, 1);
    let certificate = documents::certificate("staging", "wanted", &NAME, "issuers: [{ name: internal }]");
    let stage = with_certificate(environment, certificate).await?;
    says_so(&stage, "certificate", "staging", "`internal`").await
}

async fn with_hostname(default: &str, own: &str) -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    let production = stage.production_with(&format!(", defaults: {{ validation: {default} }}"))?;
    stage.site.document("production.yaml", &production.with_wrapping_key())?;
    let wanted = documents::hostname("production", "wanted", "shop.customer.example", "customer");
    stage.site.document("wanted.yaml", &wanted.replace("tenant: customer", &format!("tenant: customer{own}")))?;
    Ok(stage)
}

#[tokio::test]
async fn validation_by_a_txt_record() -> Result<()> {
    let stage = with_hostname("http", ", validation: txt").await?;
    says_so(&stage, "hostname", "production", "txt").await
}

#[tokio::test]
async fn delegated_validation() -> Result<()> {
    let stage = with_hostname("http", ", validation: delegated").await?;
    says_so(&stage, "hostname", "production", "delegated").await
}

#[tokio::test]
async fn a_default_validation_counts_for_those_who_name_none() -> Result<()> {
    let stage = with_hostname("txt", "").await?;
    says_so(&stage, "hostname", "production", "txt").await
}

/// The environment itself says so, and what belongs to it waits for that.
#[tokio::test]
async fn a_kubernetes_secret_as_the_place_of_a_token() -> Result<()> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    let production = stage.production()?.with_wrapping_key();
    let secret = "apiToken: { secret: { name: cloudflare, key: token } }";
    let production =
        production.replace("apiToken: { file: cf-token }", secret).replace("name: production", "name: wanted");
    stage.site.document("wanted.yaml", &production.replace("namespace: production", "namespace: wanted"))?;
    says(&stage, "environment", "wanted", "`spec.edge.cloudflare.apiToken`", "SettingMissing").await
}

/// A field that nothing needs yet is no obstacle, and is not passed over in silence either.
#[tokio::test]
async fn a_field_that_is_not_used_yet_is_told_as_a_note() -> Result<()> {
    let stage = Stage::new().await?;
    let dns = "challenges: [http-01, dns-01], dns: { rfc2136: { server: \"127.0.0.1:53\", key: { name: claviger, \
               algorithm: hmac-sha256, secret: { file: tsig } } } }";
    let staging = stage.staging().with_wrapping_key().replace("challenges: [http-01]", dns);
    stage.site.document("staging.yaml", &staging)?;
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &NAME, ""))?;
    let checked = stage.site.check()?;
    ensure!(checked.status.success() && text(&checked).contains("note[CLV-0402]"), "{}", text(&checked));
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let shown = text(&stage.site.ctl(&["status"])?);
    ensure!(shown.contains("CLV-0402") && shown.contains("spec.zones"), "{shown}");
    Ok(())
}
