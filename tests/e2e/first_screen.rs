//! The first screen explains whatever is stuck: what, why, since when, whose turn it is, when it is tried again and when it hurts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_sim::{
    fault::{Fault, Rule, Service},
    model::acme::{Problem, Refusal},
};
use claviger_tests::documents;
use serde_json::{Value, json};

use crate::{
    customers::STEP,
    stage::{STAGING, Stage, text},
};

const DAY: Duration = Duration::from_secs(86_400);
const NAME: &str = "www.staging.example.com";

async fn stage() -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &[NAME], ""))?;
    Ok(stage)
}

/// What the first screen must tell of one object.
struct Stuck {
    object: &'static str,
    reason: &'static str,
    turn: &'static str,
    words: &'static [&'static str],
    tries: bool,
    hurts: bool,
}

impl Stuck {
    async fn is_explained(&self, stage: &Stage) -> Result<Value> {
        let mut told = Value::Null;
        let found = stage.pass_until(self.reason, STEP * 30, async || {
            told = self.attention(stage).unwrap_or_default();
            told["reason"] == self.reason
        });
        found.await.with_context(|| format!("last told of {}: {told:#}", self.object))?;
        let screen = text(&stage.site.ctl(&["status"])?);
        let wide = text(&stage.site.ctl(&["status", "-o", "wide"])?);
        ensure!(told["turn"] == self.turn && told["since"].is_string(), "{told:#}");
        ensure!(told["message"].as_str().is_some_and(|message| message.len() > 20), "{told:#}");
        ensure!(told["nextTry"].is_string() == self.tries, "when it is tried again: {told:#}");
        ensure!(told["hurtsAt"].is_string() == self.hurts, "when it hurts: {told:#}");
        let line = format!("{}, turn: {}", self.reason, self.turn);
        for words in [self.object, line.as_str(), "since: "] {
            ensure!(screen.contains(words), "`{words}` is not in:\n{screen}");
        }
        for words in self.words {
            ensure!(told.to_string().contains(words), "`{words}` is not in {told:#}");
            let flat = wide.split_whitespace().collect::<Vec<_>>().join(" ");
            ensure!(flat.contains(words), "`{words}` is not in:\n{wide}");
        }
        ensure!(!self.tries || screen.contains("next try"), "{screen}");
        ensure!(!self.hurts || screen.contains("hurts in") || screen.contains("has hurt"), "{screen}");
        Ok(told)
    }

    fn attention(&self, stage: &Stage) -> Result<Value> {
        let status = stage.status()?;
        let named = |told: &&Value| {
            let object = &told["object"];
            let parts = ["kind", "namespace", "name"].map(|part| object[part].as_str().unwrap_or_default());
            parts.join("/") == self.object
        };
        Ok(status["attention"].as_array().and_then(|all| all.iter().find(named)).cloned().unwrap_or_default())
    }
}

const WEB: &str = "TlsCertificate/staging/web";

#[tokio::test]
async fn a_name_that_the_ca_cannot_verify() -> Result<()> {
    let stage = stage().await?;
    let problem = Problem::new("unauthorized", "the key authorization file from the server did not match");
    let refusal = Refusal { problem, times: None };
    stage.world.acme().steering.refuse.insert(NAME.into(), refusal);
    let _daemon = stage.start().await?;
    let words: &[&str] = &[NAME, "did not match"];
    let stuck = Stuck { object: WEB, reason: "ChallengeFailed", turn: "Operator", words, tries: true, hurts: false };
    stuck.is_explained(&stage).await.map(drop)
}

/// The old one still serves: the screen says until when.
#[tokio::test]
async fn a_renewal_that_does_not_work_out_says_when_it_will_hurt() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    let web = stage.site.wait_ready("certificate", "staging", "web").await?;
    stage.world.faults().add(Rule::always(Service::Acme, "*", Fault::RefuseBefore));
    stage
        .pass_until("the renewal to begin", DAY, async || {
            stage.site.resource("certificate", "staging", "web")["status"]["conditions"][1]["status"] == "False"
        })
        .await?;
    let words: &[&str] = &["simulated"];
    let stuck =
        Stuck { object: WEB, reason: "AcmeUnreachable", turn: "CertificateAuthority", words, tries: true, hurts: true };
    let told = stuck.is_explained(&stage).await?;
    assert_eq!(told["hurtsAt"], web["status"]["certificate"]["notAfter"]);
    let ready = stage.site.resource("certificate", "staging", "web");
    assert_eq!(ready["status"]["conditions"][0]["status"], "True", "what is delivered is still good: {ready:#}");
    Ok(())
}

#[tokio::test]
async fn a_limit_of_the_ca_is_waited_for_until_the_instant_that_it_names() -> Result<()> {
    let stage = stage().await?;
    let problem = Problem::new("rateLimited", "too many certificates (5) already issued for this exact set");
    let problem = Problem { retry_after: Some(30 * 3_600_000), ..problem };
    stage.world.acme().steering.reject.insert(NAME.into(), problem);
    let _daemon = stage.start().await?;
    let words: &[&str] = &["already issued", "`simulated`"];
    let stuck =
        Stuck { object: WEB, reason: "RateLimited", turn: "CertificateAuthority", words, tries: true, hurts: false };
    let told = stuck.is_explained(&stage).await?;
    let next: jiff::Timestamp = told["nextTry"].as_str().context("it is told")?.parse()?;
    let hours = (next.as_millisecond() - stage.now()) / 3_600_000;
    ensure!((27..=30).contains(&hours), "{hours} hours: {told:#}");
    Ok(())
}

#[tokio::test]
async fn a_key_that_somebody_scheduled_for_deletion() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    let key = stage.site.wait_ready("kmskey", "staging", "wrapping").await?;
    let input = json!({ "KeyId": key["status"]["key"]["arn"], "PendingWindowInDays": 30 });
    stage.aws(STAGING, "ScheduleKeyDeletion", &input)?;
    let words: &[&str] = &["arn:aws:kms:eu-west-1:222222222222:key/", "aws kms cancel-key-deletion"];
    let object = "KmsKey/staging/wrapping";
    Stuck { object, reason: "KeyPendingDeletion", turn: "Operator", words, tries: true, hurts: true }
        .is_explained(&stage)
        .await
        .map(drop)
}

#[tokio::test]
async fn an_outlet_that_cannot_be_written() -> Result<()> {
    let stage = stage().await?;
    std::fs::write(stage.site.outlet("web"), "a file stands where the folder goes")?;
    let _daemon = stage.start().await?;
    let stuck = Stuck {
        object: WEB,
        reason: "DeliveryFailed",
        turn: "Operator",
        words: &["`web`", "remove what stands at"],
        tries: true,
        hurts: true,
    };
    stuck.is_explained(&stage).await?;
    std::fs::remove_file(stage.site.outlet("web"))?;
    stage.pass_until("the delivery", STEP * 30, async || stage.site.outlet("web").join("tls.crt").is_file()).await?;
    assert_eq!(stage.world.acme().counts().orders, 1, "the certificate was there all the time");
    Ok(())
}

/// Several at once: what hurts soonest comes first, and a person can stop reading after it.
#[tokio::test]
async fn what_hurts_soonest_is_told_first() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    stage.site.document("lost.yaml", &documents::certificate("staging", "a-lost-one", &["www.example.org"], ""))?;
    stage.site.wait_attention("certificate", "staging", "a-lost-one", "NameOutsideZones").await?;
    let key = stage.site.resource("kmskey", "staging", "wrapping");
    let input = json!({ "KeyId": key["status"]["key"]["arn"], "PendingWindowInDays": 7 });
    stage.aws(STAGING, "ScheduleKeyDeletion", &input)?;
    stage.pass(Duration::from_secs(1_200))?;
    stage.site.wait_attention("kmskey", "staging", "wrapping", "KeyPendingDeletion").await?;
    let status = stage.status()?;
    let names: Vec<&Value> =
        status["attention"].as_array().context("a list")?.iter().map(|told| &told["object"]["name"]).collect();
    let place = |name: &str| names.iter().position(|found| **found == name);
    ensure!(place("wrapping") < place("a-lost-one") && place("wrapping").is_some(), "{status:#}");
    let output = stage.site.ctl(&["status", "--exit-code"])?;
    assert_eq!(output.status.code(), Some(6));
    Ok(())
}
