//! `clavigerctl` against the real daemon: exit codes, the shapes that scripts read, and commands that change something.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use claviger_sim::fault::Service;
use claviger_tests::{condition_of, documents, wait_until};
use serde_json::{Value, json};

use crate::{
    customers::STEP,
    stage::{SOON, Stage, text},
};

async fn stage() -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &["www.staging.example.com"], ""))?;
    stage.site.document("data.yaml", &documents::key("staging", "data", "data", "365d"))?;
    Ok(stage)
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// Standard error as JSON: what `-o json` makes of an error.
fn error(output: &Output) -> Result<Value> {
    serde_json::from_slice(&output.stderr).with_context(|| text(output))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// Unknown is absent, never null; instants are RFC 3339 in UTC, to the second.
fn is_well_formed(at: &str, value: &Value) -> Result<()> {
    match value {
        Value::Null => anyhow::bail!("{at} is null"),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| is_well_formed(&format!("{at}[{index}]"), item))
        }
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, field)| is_well_formed(&format!("{at}.{name}"), field))
        }
        Value::String(text)
            if at.ends_with("At") || at.ends_with(".at") || at.ends_with("asOf") || at.ends_with("since") =>
        {
            let _: jiff::Timestamp = text.parse().with_context(|| format!("{at} is {text}"))?;
            ensure!(text.ends_with('Z') && text.len() == 20, "{at} is {text}");
            Ok(())
        }
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_fleet_that_is_well_says_so_in_a_line() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    stage.site.wait_ready("kmskey", "staging", "data").await?;
    stage.wait_settled().await?;
    let well = async || stage.site.ctl(&["status", "--exit-code"]).is_ok_and(|output| code(&output) == Some(0));
    wait_until(SOON, "all to be well", well).await?;
    let said = stage.site.ctl(&["status"])?;
    let out = String::from_utf8_lossy(&said.stdout).into_owned();
    ensure!(out.starts_with("All is well: 4 objects are ready and on schedule") && out.lines().count() == 1, "{out}");
    ensure!(said.stderr.is_empty(), "data goes to standard output, and there is nothing to talk about");
    Ok(())
}

#[tokio::test]
async fn the_status_has_the_shape_that_scripts_read() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    stage
        .site
        .document("bad.yaml", &documents::certificate("staging", "bad", &["b.staging.example.com"], "dnsName: x"))?;
    stage.wait_rejected("CLV-0104").await?;
    stage.site.document("lost.yaml", &documents::certificate("staging", "lost", &["www.example.org"], ""))?;
    stage.site.wait_attention("certificate", "staging", "lost", "NameOutsideZones").await?;
    let status = stage.status()?;
    is_well_formed("status", &status)?;
    assert_eq!((&status["apiVersion"], &status["kind"]), (&json!("claviger.dev/v1alpha1"), &json!("FleetStatus")));
    let fields = keys(&status);
    for field in ["asOf", "complete", "sources", "documents", "totals", "attention"] {
        ensure!(fields.contains(&field), "`{field}` is missing in {status:#}");
    }
    let sources = status["sources"].as_array().context("sources")?;
    let names: Vec<_> = sources.iter().map(|source| source["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["acme/staging/simulated", "kms/staging"]);
    ensure!(sources.iter().all(|source| source["stale"] == false && source["observedAt"].is_string()), "{status:#}");
    ensure!(status["documents"]["accepted"].as_str().is_some_and(|hash| hash.starts_with("sha256:")), "{status:#}");
    let rejected = &status["documents"]["rejected"][0];
    for field in ["file", "line", "column", "code", "found", "accepted", "message", "fix"] {
        ensure!(!rejected[field].is_null(), "`{field}` is missing in {rejected:#}");
    }
    let totals = status["totals"].as_array().context("totals")?;
    let certificates = totals.iter().find(|total| total["kind"] == "TlsCertificate").context("certificates")?;
    let expected = json!({ "environment": "staging", "kind": "TlsCertificate", "ready": 1, "notReady": 1, "unknown": 0, "late": 1 });
    assert_eq!(*certificates, expected);
    let told = &status["attention"][0];
    assert_eq!(told["object"], json!({ "kind": "TlsCertificate", "namespace": "staging", "name": "lost" }));
    assert_eq!((&told["environment"], &told["turn"]), (&json!("staging"), &json!("Operator")));
    Ok(())
}

#[tokio::test]
async fn a_resource_is_shown_as_kubectl_would_and_is_named_in_any_way() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let web = stage.site.ctl_json(&["get", "tlscertificate", "web", "-n", "staging"])?;
    is_well_formed("web", &web)?;
    assert_eq!(keys(&web), ["apiVersion", "kind", "metadata", "spec", "status"]);
    assert_eq!(web["metadata"], json!({ "name": "web", "namespace": "staging", "generation": 1 }));
    assert_eq!((&web["status"]["environment"], &web["status"]["observedGeneration"]), (&json!("staging"), &json!(1)));
    ensure!(web["status"]["record"].is_null(), "claviger's own memory is nobody's business");
    let certificate = &web["status"]["certificate"];
    for field in ["issuer", "serial", "spkiSha256", "notBefore", "notAfter"] {
        ensure!(certificate[field].is_string(), "`{field}` is missing in {web:#}");
    }
    ensure!(web["status"]["renewal"]["at"].is_string() && web["status"]["renewal"]["source"] == "Ari", "{web:#}");
    ensure!(web["status"]["outlets"][0]["deliveredAt"].is_string(), "{web:#}");
    for condition in ["Ready", "OnSchedule"] {
        let found = condition_of(&web, condition).context("both are there")?;
        ensure!(
            found["status"] == "True" && found["reason"] == "Issued" && found["observedGeneration"] == 1,
            "{web:#}"
        );
    }
    for kind in ["certificates", "Certificate", "cert", "TLSCERTIFICATES"] {
        let list = stage.site.ctl_json(&["get", kind])?;
        assert_eq!((&list["kind"], list["items"].as_array().map(Vec::len)), (&json!("List"), Some(1)), "{kind}");
    }
    assert_eq!(
        String::from_utf8_lossy(&stage.site.ctl(&["get", "certs", "-o", "name"])?.stdout),
        "TlsCertificate/staging/web\n"
    );
    let environment = stage.site.ctl_json(&["get", "environment", "staging"])?;
    is_well_formed("environment", &environment)?;
    assert_eq!(environment["spec"]["classification"], "internal", "what is inherited is shown resolved");
    ensure!(environment["status"]["issuers"][0]["accountUrl"].is_string(), "{environment:#}");
    let key = stage.site.ctl_json(&["get", "key", "data", "-n", "staging"])?;
    is_well_formed("key", &key)?;
    for field in ["arn", "state", "material", "createdAt", "nextRotation", "observedAt"] {
        ensure!(key["status"]["key"][field].is_string(), "`{field}` is missing in {key:#}");
    }
    Ok(())
}

/// When the certificate is planned to be renewed.
fn renewal(stage: &Stage) -> Value {
    stage.site.resource("certificate", "staging", "web")["status"]["renewal"]["at"].clone()
}

#[tokio::test]
async fn an_explanation_tells_the_way_step_by_step() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let explained = stage.site.ctl_json(&["explain", "certificate/web"])?;
    is_well_formed("explanation", &explained)?;
    assert_eq!((&explained["kind"], &explained["verdict"]["reason"]), (&json!("Explanation"), &json!("Issued")));
    assert_eq!((&explained["owner"], &explained["classification"]), (&json!("itops@example.com"), &json!("internal")));
    let steps: Vec<_> =
        explained["steps"].as_array().context("steps")?.iter().map(|step| step["step"].clone()).collect();
    for step in ["SealNewKey", "OpenOrder", "Finalize", "Deliver"] {
        ensure!(steps.contains(&json!(step)), "`{step}` is not among {steps:?}");
    }
    ensure!(explained["history"].as_array().is_some_and(|history| history.len() >= 2), "{explained:#}");
    assert_eq!((&explained["next"]["at"], &explained["next"]["because"]), (&renewal(&stage), &json!("Schedule")));
    let said = text(&stage.site.ctl(&["explain", "certificate/web"])?);
    for words in ["verdict", "Issued", "The way", "OpenOrder", "What comes next", "What happened, newest first"] {
        ensure!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_person_renews_and_the_journal_says_who_and_why() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    let before = stage.site.wait_ready("certificate", "staging", "web").await?;
    let rehearsed = stage.site.ctl(&["renew", "certificate/web", "-n", "staging", "--dry-run"])?;
    ensure!(code(&rehearsed) == Some(0) && text(&rehearsed).contains("open_order"), "{}", text(&rehearsed));
    stage.wait_settled().await?;
    assert_eq!(stage.world.acme().counts().orders, 1, "a dry run does nothing");
    let arguments = ["renew", "certificate/web", "-n", "staging", "--reason", "the key was seen", "--ticket", "OPS-1"];
    let renewed = stage.site.ctl(&arguments)?;
    ensure!(code(&renewed) == Some(0), "{}", text(&renewed));
    let another = async || {
        let web = stage.site.resource("certificate", "staging", "web");
        let serial = &web["status"]["certificate"]["serial"];
        serial.is_string() && *serial != before["status"]["certificate"]["serial"]
    };
    stage.pass_until("another certificate", STEP / 10, another).await?;
    assert_eq!(stage.world.acme().counts().orders, 2);
    let journal = std::fs::read_to_string(stage.site.journal())?;
    let orders: Vec<Value> = journal
        .lines()
        .filter(|line| line.contains("open_order"))
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let person = orders.iter().filter(|line| line["actor"]["kind"] == "person").count();
    ensure!(
        person == 2 && orders.len() == 4,
        "intent and outcome of each order, the second one a person's: {orders:#?}"
    );
    ensure!(journal.contains("the key was seen") && journal.contains("OPS-1"), "{journal}");
    let verified = stage.site.ctl(&["audit", "verify", &stage.site.journal().display().to_string()])?;
    ensure!(code(&verified) == Some(0), "{}", text(&verified));
    Ok(())
}

/// What was thought through on another state of the world is not executed.
#[tokio::test]
async fn a_plan_whose_world_has_changed_is_refused() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let planned = stage.site.ctl(&["plan", "renew", "certificate/web", "-n", "staging", "-o", "name"])?;
    let hash = String::from_utf8_lossy(&planned.stdout).trim().to_owned();
    ensure!(!hash.is_empty(), "{}", text(&planned));
    let names = ["www.staging.example.com", "shop.staging.example.com"];
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &names, ""))?;
    let renewed = async || stage.site.resource("certificate", "staging", "web")["status"]["observedGeneration"] == 2;
    wait_until(SOON, "the document to be taken in", renewed).await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let orders = stage.world.calls().of(Service::Acme, "newOrder");
    let applied = stage.site.ctl(&["apply", &hash, "--reason", "drill", "-o", "json"])?;
    ensure!(code(&applied) == Some(1), "{}", text(&applied));
    let error = error(&applied)?;
    for field in ["kind", "code", "message", "at", "fix"] {
        ensure!(error[field].is_string(), "`{field}` is missing in {error:#}");
    }
    assert_eq!(error["kind"], "Error");
    assert_eq!(stage.world.calls().of(Service::Acme, "newOrder"), orders);
    Ok(())
}

#[tokio::test]
async fn keys_are_listed_with_their_rotation() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("kmskey", "staging", "wrapping").await?;
    let rotates =
        |name: &str| stage.site.resource("kmskey", "staging", name)["status"]["key"]["nextRotation"].is_string();
    wait_until(SOON, "both to rotate", async || rotates("wrapping") && rotates("data")).await?;
    let said = text(&stage.site.ctl(&["keys", "-e", "staging"])?);
    for words in ["wrapping", "data", "Enabled", "KeyReady", "in 365 days"] {
        ensure!(said.contains(words) || said.contains("in 364 days"), "`{words}` is not in:\n{said}");
    }
    let list = stage.site.ctl_json(&["keys"])?;
    is_well_formed("keys", &list)?;
    assert_eq!((&list["kind"], list["items"].as_array().map(Vec::len)), (&json!("List"), Some(2)));
    Ok(())
}

#[tokio::test]
async fn waiting_ends_when_it_holds_when_time_is_up_and_when_there_is_nothing() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.wait_settled().await?;
    let socket = stage.site.socket();
    let wait = |object: &'static str, timeout: &'static str| {
        let (program, socket) = (claviger_tests::tools::binary("clavigerctl"), socket.clone());
        tokio::task::spawn_blocking(move || {
            let mut command = std::process::Command::new(program?);
            command.arg("--socket").arg(socket).args(["wait", "--for", "ready", object, "--timeout", timeout]);
            anyhow::Ok(command.output()?)
        })
    };
    let ready = wait("certificate/staging/web", "60s").await??;
    ensure!(code(&ready) == Some(0), "{}", text(&ready));
    stage.site.document("lost.yaml", &documents::certificate("staging", "lost", &["www.example.org"], ""))?;
    stage.site.wait_attention("certificate", "staging", "lost", "NameOutsideZones").await?;
    let late = wait("certificate/staging/lost", "1s").await??;
    ensure!(code(&late) == Some(7) && text(&late).contains("NameOutsideZones"), "{}", text(&late));
    let nothing = wait("certificate/staging/nothing", "1s").await??;
    ensure!(code(&nothing) == Some(3), "{}", text(&nothing));
    Ok(())
}

#[tokio::test]
async fn exit_codes_tell_what_went_wrong() -> Result<()> {
    let stage = stage().await?;
    let nobody = stage.site.ctl(&["status", "-o", "json"])?;
    assert_eq!(code(&nobody), Some(8), "{}", text(&nobody));
    ensure!(nobody.stdout.is_empty() && error(&nobody)?["kind"] == "Error", "{}", text(&nobody));
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    for (arguments, expected, words) in [
        (vec!["get", "certificate", "wbe", "-n", "staging"], 3, "web"),
        (vec!["explain", "certificate/staging/nothing"], 3, "nothing"),
        (vec!["get", "certificats"], 2, "did you mean `certificate`?"),
        (vec!["get"], 2, "<KIND>"),
        (vec!["frobnicate"], 2, "unrecognized"),
        (vec!["renew", "environment/staging"], 1, "staging"),
        (vec!["apply", "0000", "--reason", "x"], 3, "plan again"),
    ] {
        let output = stage.site.ctl(&arguments)?;
        let said = text(&output);
        ensure!(code(&output) == Some(expected) && said.contains(words), "{arguments:?}: {:?}\n{said}", code(&output));
        ensure!(output.stdout.is_empty(), "an error is no data: {said}");
    }
    Ok(())
}
