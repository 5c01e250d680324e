//! Two environments never share what must differ: the newcomer is refused with both places named, the incumbent runs on.

use anyhow::{Context, Result, ensure};
use claviger_tests::{
    condition_of,
    documents::{self, EnvironmentText},
};
use serde_json::Value;

use crate::stage::{REGION, STAGING, Stage, TEST, TOKEN, ZONE, text};

/// Runs `staging` in `m.yaml`, then lets a newcomer appear in `a.yaml`, which is read before it.
async fn is_refused(stage: &Stage, newcomer: &EnvironmentText, code: &str, shared: &str) -> Result<()> {
    both_are_named_by_check(stage, newcomer, code, shared)?;
    let daemon = stage.start().await?;
    stage.site.wait_ready("kmskey", "staging", "wrapping").await?;
    let keys = stage.world.kms().keys().count();
    stage.site.document("a.yaml", &newcomer.with_wrapping_key())?;
    let finding = stage.wait_rejected(code).await?;
    both_places_are_named(&finding, shared)?;
    the_status_says_so(stage, code, shared)?;
    the_newcomer_is_shown_as_refused(stage, code).await?;
    the_incumbent_runs_on(stage, "more").await?;
    assert_eq!(stage.world.kms().keys().count(), keys + 1, "one more key for the incumbent, none for the newcomer");
    assert!(daemon.stop().await?.success());
    // Being refused makes nobody an incumbent, and a restart is no first start.
    let _daemon = stage.start().await?;
    both_places_are_named(&stage.wait_rejected(code).await?, shared)?;
    the_incumbent_runs_on(stage, "evenmore").await
}

fn both_places_are_named(finding: &Value, shared: &str) -> Result<()> {
    let message = finding["message"].as_str().context("a finding has a message")?;
    ensure!(finding["file"] == "a.yaml" && finding["line"].as_u64() > Some(0), "{finding:#}");
    ensure!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{finding:#}");
    for words in ["Environment/staging", "m.yaml:", shared] {
        ensure!(message.contains(words), "`{words}` is not in: {message}");
    }
    Ok(())
}

/// `clavigerd check` meets both at once, so the first by place keeps what it has.
fn both_are_named_by_check(stage: &Stage, newcomer: &EnvironmentText, code: &str, shared: &str) -> Result<()> {
    stage.site.document("z.yaml", &newcomer.with_wrapping_key())?;
    let checked = stage.site.check()?;
    let said = text(&checked);
    ensure!(checked.status.code() == Some(2), "{said}");
    for words in [code, "z.yaml:", "m.yaml:", "Environment/staging", shared] {
        ensure!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    stage.site.remove_document("z.yaml")
}

fn the_status_says_so(stage: &Stage, code: &str, shared: &str) -> Result<()> {
    let shown = stage.site.ctl(&["status", "--exit-code"])?;
    let said = text(&shown);
    ensure!(shown.status.code() == Some(6), "{said}");
    for words in [code, "a.yaml:", "m.yaml:", shared] {
        ensure!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    Ok(())
}

async fn the_newcomer_is_shown_as_refused(stage: &Stage, code: &str) -> Result<()> {
    let newcomer = stage.site.wait_condition("environment", "", "newcomer", "Ready", "False").await?;
    let reason = if code == "CLV-0301" { "NamespaceClaimed" } else { "SeparationRefused" };
    ensure!(condition_of(&newcomer, "Ready").is_some_and(|ready| ready["reason"] == reason), "{newcomer:#}");
    ensure!(newcomer["status"]["attention"]["turn"] == "Operator", "{newcomer:#}");
    ensure!(newcomer["status"]["claims"].is_null(), "it holds nothing: {newcomer:#}");
    Ok(())
}

/// Not only shown as ready: it still gets what it asks for.
async fn the_incumbent_runs_on(stage: &Stage, key: &str) -> Result<()> {
    stage.site.wait_ready("environment", "", "staging").await?;
    stage.site.document(&format!("{key}.yaml"), &documents::key("staging", key, "data", "365d"))?;
    stage.site.wait_ready("kmskey", "staging", key).await.map(drop)
}

async fn with_staging(change: impl FnOnce(EnvironmentText) -> EnvironmentText) -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.site.document("m.yaml", &change(stage.staging()).with_wrapping_key())?;
    Ok(stage)
}

fn newcomer(account: &str) -> EnvironmentText {
    documents::environment("newcomer", account, REGION).credentials("aws-credentials", "test")
}

#[tokio::test]
async fn an_alias_prefix_is_not_equal_to_another_in_the_same_account_and_region() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    let newcomer = newcomer(STAGING).kms("aliasPrefix: claviger/staging");
    is_refused(&stage, &newcomer, "CLV-0302", "`claviger/staging`").await
}

#[tokio::test]
async fn an_alias_prefix_does_not_lie_inside_another() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    let newcomer = newcomer(STAGING).kms("aliasPrefix: claviger/staging/inner");
    is_refused(&stage, &newcomer, "CLV-0302", "`claviger/staging/inner`").await
}

#[tokio::test]
async fn an_alias_prefix_does_not_lie_around_another() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    is_refused(&stage, &newcomer(STAGING).kms("aliasPrefix: claviger"), "CLV-0302", "`claviger/staging`").await
}

#[tokio::test]
async fn two_environments_do_not_assume_the_same_role() -> Result<()> {
    let role = format!("arn:aws:iam::{STAGING}:role/claviger");
    let line = format!("assumeRole: {role}");
    let stage = with_staging(|staging| staging.kms(&line)).await?;
    is_refused(&stage, &newcomer(STAGING).kms(&line), "CLV-0303", &role).await
}

#[tokio::test]
async fn a_namespace_belongs_to_one_environment() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    let newcomer = newcomer(TEST).line("namespaces: [newcomer, staging]");
    is_refused(&stage, &newcomer, "CLV-0301", "`staging`").await
}

#[tokio::test]
async fn a_cloudflare_zone_belongs_to_one_environment() -> Result<()> {
    let allowed = "policy: { customHostnames: Allow }";
    let stage = with_staging(|staging| staging.line(allowed).edge(ZONE, "cf-token", "saas.example.com", "")).await?;
    stage.site.secret("cf-token", TOKEN)?;
    let newcomer = newcomer(TEST).line(allowed).edge(ZONE, "cf-token", "other.example.com", "");
    is_refused(&stage, &newcomer, "CLV-0304", ZONE).await
}

#[tokio::test]
async fn a_dns_zone_belongs_to_one_environment() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    is_refused(&stage, &newcomer(TEST).zone("staging.example.com", &[]), "CLV-0306", "`staging.example.com`").await
}

#[tokio::test]
async fn a_dns_zone_around_another_must_except_it() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    is_refused(&stage, &newcomer(TEST).zone("example.com", &[]), "CLV-0305", "`staging.example.com`").await
}

#[tokio::test]
async fn a_dns_zone_inside_another_must_be_excepted_there() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    let newcomer = newcomer(TEST).zone("inner.staging.example.com", &[]);
    is_refused(&stage, &newcomer, "CLV-0305", "`inner.staging.example.com`").await
}

#[tokio::test]
async fn a_newcomer_that_mends_its_document_is_let_in() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("kmskey", "staging", "wrapping").await?;
    stage.site.document("a.yaml", &newcomer(TEST).zone("example.com", &[]).with_wrapping_key())?;
    stage.wait_rejected("CLV-0305").await?;
    stage.site.document("a.yaml", &newcomer(TEST).zone("example.com", &["staging.example.com"]).with_wrapping_key())?;
    stage.wait_mended().await?;
    stage.site.wait_ready("environment", "", "newcomer").await?;
    stage.site.wait_ready("environment", "", "staging").await.map(drop)
}

/// The objects in a refused environment say so, and nothing is made for them.
#[tokio::test]
async fn what_belongs_to_a_refused_newcomer_waits_for_it() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("kmskey", "staging", "wrapping").await?;
    let documents = newcomer(TEST).zone("example.com", &[]).with_wrapping_key();
    stage.site.document("a.yaml", &documents)?;
    let key = stage.site.wait_attention("kmskey", "newcomer", "wrapping", "EnvironmentRefused").await?;
    assert_eq!(key["status"]["attention"]["turn"], "Operator");
    assert_eq!(stage.world.kms().key_count(TEST), 0);
    Ok(())
}

#[tokio::test]
async fn one_alias_prefix_in_two_accounts_is_two_places() -> Result<()> {
    let stage = with_staging(|staging| staging).await?;
    let newcomer = newcomer(TEST).kms("aliasPrefix: claviger/staging");
    stage.site.document("a.yaml", &newcomer.with_wrapping_key())?;
    assert_eq!(stage.site.check()?.status.code(), Some(0));
    let _daemon = stage.start().await?;
    stage.site.wait_ready("environment", "", "newcomer").await?;
    stage.site.wait_ready("environment", "", "staging").await?;
    assert_eq!(stage.rejected(), Vec::<Value>::new());
    stage.wait_settled().await
}
