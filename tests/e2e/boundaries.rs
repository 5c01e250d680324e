//! What an object may not want in its environment, and what only shows at run time: a key, an account, a private key that
//! another environment has already.

use anyhow::{Context, Result, ensure};
use claviger_sim::{
    answer::Answer,
    fault::{Fault, Rule, Service},
};
use claviger_tests::documents;
use serde_json::json;

use crate::stage::{STAGING, Stage, TEST, text};

/// `production` with the zone around `staging`, and `staging`.
async fn two_environments() -> Result<Stage> {
    let stage = Stage::new().await?;
    let acme = &stage.world.addresses().acme;
    let production = stage.production()?.zone("example.com", &["staging.example.com"]).acme("simulated", acme, None);
    stage.site.document("production.yaml", &production.with_wrapping_key())?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    Ok(stage)
}

/// Waits for the refusal of one object; everything around it works. `clavigerd check` tells of it too.
async fn is_refused(stage: &Stage, kind: &str, namespace: &str, reason: &str, words: &[&str]) -> Result<()> {
    let checked = stage.site.check()?;
    let said = text(&checked);
    ensure!(checked.status.code() == Some(2) && said.contains("CLV-0501"), "{said}");
    let _daemon = stage.start().await?;
    let object = stage.site.wait_attention(kind, namespace, "wanted", reason).await?;
    let attention = &object["status"]["attention"];
    ensure!(attention["turn"] == "Operator" && attention["fix"][0].is_string(), "{attention:#}");
    let status = text(&stage.site.ctl(&["status", "-o", "wide"])?);
    for words in words {
        ensure!(attention["message"].to_string().contains(words), "`{words}` is not in {attention:#}");
        ensure!(said.contains(words), "`{words}` is not in:\n{said}");
        ensure!(status.contains(words), "`{words}` is not in:\n{status}");
    }
    stage.site.wait_ready("environment", "", namespace).await?;
    assert_eq!(stage.world.acme().counts().orders, 0);
    assert_eq!(stage.world.cloudflare().counts().created, 0);
    Ok(())
}

#[tokio::test]
async fn a_name_outside_the_zones_is_refused_and_its_owner_is_named() -> Result<()> {
    let stage = two_environments().await?;
    let names = ["www.staging.example.com", "shop.example.com"];
    stage.site.document("wanted.yaml", &documents::certificate("staging", "wanted", &names, ""))?;
    let words = ["`shop.example.com`", "`staging`", "`production`"];
    is_refused(&stage, "certificate", "staging", "NameOutsideZones", &words).await
}

#[tokio::test]
async fn a_name_in_an_excepted_zone_is_refused() -> Result<()> {
    let stage = two_environments().await?;
    stage
        .site
        .document("wanted.yaml", &documents::certificate("production", "wanted", &["www.staging.example.com"], ""))?;
    let words = ["`www.staging.example.com`", "`production`", "`staging`"];
    is_refused(&stage, "certificate", "production", "NameOutsideZones", &words).await
}

#[tokio::test]
async fn a_wildcard_that_covers_an_excepted_zone_is_refused() -> Result<()> {
    let stage = two_environments().await?;
    stage.site.document("wanted.yaml", &documents::certificate("production", "wanted", &["\"*.example.com\""], ""))?;
    let words = ["`*.example.com`", "`staging.example.com`", "`staging`"];
    is_refused(&stage, "certificate", "production", "SeparationRefused", &words).await
}

#[tokio::test]
async fn production_refuses_public_certificates_by_acme() -> Result<()> {
    let stage = Stage::new().await?;
    let acme = &stage.world.addresses().acme;
    let public = format!("issuers: [{{ name: letsencrypt, trust: public, acme: {{ directory: \"{acme}\" }} }}]");
    let production = stage.production()?.zone("example.com", &[]);
    let production = production.with_wrapping_key().replace("issuers: []", &public);
    stage.site.document("production.yaml", &production)?;
    let more = "issuers: [{ name: letsencrypt }]";
    stage.site.document("wanted.yaml", &documents::certificate("production", "wanted", &["www.example.com"], more))?;
    let words = ["`production`", "`letsencrypt`"];
    is_refused(&stage, "certificate", "production", "PolicyRefuses", &words).await
}

#[tokio::test]
async fn non_production_refuses_customers_host_names() -> Result<()> {
    let stage = two_environments().await?;
    stage
        .site
        .document("wanted.yaml", &documents::hostname("staging", "wanted", "shop.customer.example", "customer"))?;
    is_refused(&stage, "hostname", "staging", "PolicyRefuses", &["`staging`"]).await
}

#[tokio::test]
async fn a_customers_host_name_does_not_lie_in_a_zone_of_another_environment() -> Result<()> {
    let stage = two_environments().await?;
    let wanted = documents::hostname("production", "wanted", "shop.staging.example.com", "customer");
    stage.site.document("wanted.yaml", &wanted)?;
    let words = ["`shop.staging.example.com`", "`staging.example.com`", "`staging`"];
    is_refused(&stage, "hostname", "production", "SeparationRefused", &words).await
}

/// An exception from the policy of a class is allowed, and is shown as long as it lasts.
#[tokio::test]
async fn an_exception_from_the_policy_works_and_is_shown() -> Result<()> {
    let stage = Stage::new().await?;
    let acme = &stage.world.addresses().acme;
    let public = format!("issuers: [{{ name: letsencrypt, trust: public, acme: {{ directory: \"{acme}\" }} }}]");
    let production = stage.production()?.zone("example.com", &[]).line("policy: { publicAcme: Allow }");
    let production = production.with_wrapping_key().replace("issuers: []", &public);
    stage.site.document("production.yaml", &production)?;
    let more = "issuers: [{ name: letsencrypt }]";
    stage.site.document("web.yaml", &documents::certificate("production", "web", &["www.example.com"], more))?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "production", "web").await?;
    let findings = &stage.status()?["documents"]["findings"];
    ensure!(findings[0]["code"] == "CLV-0401" && findings[0]["file"] == "production.yaml", "{findings:#}");
    let shown = text(&stage.site.ctl(&["status"])?);
    ensure!(shown.contains("publicAcme: Allow") && shown.contains("production.yaml:"), "{shown}");
    Ok(())
}

/// Two environments in one account; somebody gives the key of one the tags and the alias of the other.
#[tokio::test]
async fn a_key_that_another_environment_has_is_not_taken_over() -> Result<()> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    let _daemon = stage.start().await?;
    let key = stage.site.wait_ready("kmskey", "staging", "wrapping").await?;
    let arn = key["status"]["key"]["arn"].as_str().context("a key has an ARN")?;
    let tag = |name: &str, value: &str| json!({ "TagKey": name, "TagValue": value });
    let tags = json!([tag("claviger:environment", "newcomer"), tag("claviger:object", "newcomer/wrapping"),]);
    stage.aws(STAGING, "TagResource", &json!({ "KeyId": arn, "Tags": tags }))?;
    let alias = json!({ "AliasName": "alias/claviger/newcomer/wrapping", "TargetKeyId": arn });
    stage.aws(STAGING, "CreateAlias", &alias)?;
    let newcomer =
        documents::environment("newcomer", STAGING, crate::stage::REGION).credentials("aws-credentials", "staging");
    stage.site.document("newcomer.yaml", &newcomer.with_wrapping_key())?;
    is_claimed_elsewhere(&stage, "kmskey", "newcomer", "wrapping", &[arn, "`staging`"]).await?;
    // The incumbent sees that its key was tampered with, and goes on using it.
    stage.site.wait_ready("environment", "", "staging").await?;
    assert_eq!(stage.world.kms().key_count(STAGING), 1, "nothing is made beside it either");
    Ok(())
}

async fn is_claimed_elsewhere(stage: &Stage, kind: &str, namespace: &str, name: &str, words: &[&str]) -> Result<()> {
    let object = stage.site.wait_attention(kind, namespace, name, "ClaimedElsewhere").await?;
    let attention = &object["status"]["attention"];
    ensure!(attention["turn"] == "Operator" && attention["fix"][0].is_string(), "{attention:#}");
    let status = text(&stage.site.ctl(&["status", "-o", "wide"])?);
    for words in words {
        ensure!(attention["message"].to_string().contains(words), "`{words}` is not in {attention:#}");
        ensure!(status.contains(words), "`{words}` is not in:\n{status}");
    }
    Ok(())
}

/// A CA that answers a second registration with the account of the first.
#[tokio::test]
async fn an_acme_account_that_another_environment_has_is_not_used() -> Result<()> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &["www.staging.example.com"], ""))?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let environment = stage.site.wait_ready("environment", "", "staging").await?;
    let account = environment["status"]["issuers"][0]["accountUrl"].as_str().context("it is registered")?;
    let answer = Answer::json(200, "application/json", &json!({ "status": "valid" }))
        .with("location", account)
        .with("replay-nonce", "bm9uY2Utb2Ytbm9ib2R5");
    stage.world.faults().add(Rule::always(Service::Acme, "newAccount", Fault::Status(answer)));
    stage.site.document("test.yaml", &stage.environment("test", TEST).with_wrapping_key())?;
    stage.site.document("ci.yaml", &documents::certificate("test", "ci", &["ci.test.example.com"], ""))?;
    is_claimed_elsewhere(&stage, "environment", "", "test", &[account, "`staging`", "`test`"]).await?;
    assert_eq!(stage.world.acme().counts().orders, 1, "no order is placed with it");
    stage.site.wait_ready("certificate", "staging", "web").await.map(drop)
}

/// A zone moves to another environment, and the folder of the old certificate with it: the key in it belongs to the old one.
#[tokio::test]
async fn a_private_key_that_another_environment_knows_is_not_taken_over() -> Result<()> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.document("test.yaml", &stage.environment("test", TEST).with_wrapping_key())?;
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &["www.staging.example.com"], ""))?;
    let _daemon = stage.start().await?;
    let web = stage.site.wait_ready("certificate", "staging", "web").await?;
    let spki = web["status"]["certificate"]["spkiSha256"].as_str().context("it is issued")?;
    let moved = |zones: &str, yaml: String| yaml.replace("zones: [{", &format!("zones: [{zones}{{"));
    stage.site.document(
        "staging.yaml",
        &stage.staging().with_wrapping_key().replace("staging.example.com", "other.example.com"),
    )?;
    let zone = "{ name: staging.example.com, challenges: [http-01] }, ";
    stage.wait_settled().await?;
    stage.site.document("test.yaml", &moved(zone, stage.environment("test", TEST).with_wrapping_key()))?;
    stage.site.wait_attention("certificate", "staging", "web", "NameOutsideZones").await?;
    copy_folder(&stage, "web", "taken")?;
    stage.site.document("taken.yaml", &documents::certificate("test", "taken", &["www.staging.example.com"], ""))?;
    is_claimed_elsewhere(&stage, "certificate", "test", "taken", &[spki, "`staging`", "`test`"]).await
}

fn copy_folder(stage: &Stage, from: &str, to: &str) -> Result<()> {
    let (from, to) = (stage.site.outlet(from), stage.site.outlet(to));
    std::fs::create_dir_all(&to)?;
    for name in ["tls.key", "tls.crt", "ca.crt"] {
        std::fs::copy(from.join(name), to.join(name))?;
    }
    Ok(())
}
