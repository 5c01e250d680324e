//! Bad documents: every error at once, nothing done before the first start is clean, and later a bad document stops itself alone.

use anyhow::{Context, Result, ensure};
use claviger_sim::fault::Service;
use claviger_tests::{Site, condition_of, documents, wait_until};
use serde_json::{Value, json};

use crate::stage::{SOON, Stage, text};

/// Two files with four errors, each of another kind.
fn four_errors(stage: &Stage) -> Result<()> {
    let staging = stage.staging().with_wrapping_key().replace("class: non-production", "class: nonproduction");
    stage.site.document("staging.yaml", &staging)?;
    let web = documents::certificate("staging", "web", &["www.staging.example.com"], "dnsName: [a.example.com]");
    let key = documents::key("staging", "data", "data", "10d");
    let twice = documents::key("staging", "wrapping", "wrap", "365d");
    stage.site.document("web.yaml", &[web, key, twice].join("---\n"))
}

const FOUR: [(&str, &str); 4] = [
    ("CLV-0122", "staging.yaml:5:10"),
    ("CLV-0104", "web.yaml:7:3"),
    ("CLV-0206", "web.yaml:12:44"),
    ("CLV-0201", "web.yaml:14:1"),
];

fn all_four_are_told(said: &str) -> Result<()> {
    for (code, place) in FOUR {
        ensure!(said.contains(code) && said.contains(place), "{code} at {place} is not in:\n{said}");
    }
    for words in ["non-production", "dnsNames", "hint:"] {
        ensure!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    Ok(())
}

#[tokio::test]
async fn check_tells_every_error_at_once_and_contacts_nobody() -> Result<()> {
    let stage = Stage::new().await?;
    four_errors(&stage)?;
    let checked = stage.site.check()?;
    assert_eq!(checked.status.code(), Some(2));
    all_four_are_told(&text(&checked))?;
    assert_eq!(stage.world.calls().iter().count(), 0, "nobody was asked anything");
    assert!(!stage.site.path().join("state").exists(), "nothing was made");
    Ok(())
}

#[tokio::test]
async fn the_first_start_with_an_error_ends_with_2_and_does_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    four_errors(&stage)?;
    let mut process = stage.site.spawn(&[])?;
    assert_eq!(process.wait(SOON).await?.code(), Some(2));
    all_four_are_told(&process.stderr())?;
    assert_eq!(stage.world.calls().iter().count(), 0, "nobody was asked anything");
    // Once it is clean, it starts, as if nothing had been.
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.remove_document("web.yaml")?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("environment", "", "staging").await.map(drop)
}

#[tokio::test]
async fn wrong_settings_end_with_2_and_name_the_place() -> Result<()> {
    let mut site = Site::new()?;
    site.setting("resolver: [\"127.0.0.1:53\"]\nlog: { format: xml }");
    for output in [site.check()?, run(&site).await?] {
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for words in ["settings.yaml:9:1", "`resolver`", "resolvers", "settings.yaml:10:16", "json, text"] {
            assert!(said.contains(words), "`{words}` is not in:\n{said}");
        }
    }
    Ok(())
}

async fn run(site: &Site) -> Result<std::process::Output> {
    let mut process = site.spawn(&[])?;
    let status = process.wait(SOON).await?;
    Ok(std::process::Output { status, stdout: process.stdout().into(), stderr: process.stderr().into() })
}

const NAMES: [&str; 1] = ["www.staging.example.com"];

/// A fleet of one certificate that is issued.
async fn issued() -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &NAMES, ""))?;
    Ok(stage)
}

async fn web_is_as_it_was(stage: &Stage, serial: &Value) -> Result<()> {
    let web = stage.site.wait_ready("certificate", "staging", "web").await?;
    ensure!(web["status"]["certificate"]["serial"] == *serial, "{web:#}");
    ensure!(condition_of(&web, "Ready").is_some_and(|ready| ready["reason"] == "Issued"), "{web:#}");
    Ok(())
}

/// Whatever is wrong with one document, another one is taken in.
async fn others_apply(stage: &Stage, name: &str) -> Result<()> {
    stage.site.document(&format!("{name}.yaml"), &documents::key("staging", name, "data", "365d"))?;
    stage.site.wait_ready("kmskey", "staging", name).await.map(drop)
}

#[tokio::test]
async fn a_later_bad_document_keeps_its_last_accepted_version_also_over_a_restart() -> Result<()> {
    let stage = issued().await?;
    let daemon = stage.start().await?;
    let serial =
        stage.site.wait_ready("certificate", "staging", "web").await?["status"]["certificate"]["serial"].clone();
    let bad = documents::certificate("staging", "web", &["other.staging.example.com"], "dnsName: [a.example.com]");
    stage.site.document("web.yaml", &bad)?;
    let finding = stage.wait_rejected("CLV-0104").await?;
    assert_eq!((&finding["file"], &finding["found"]), (&json!("web.yaml"), &json!("dnsName")));
    others_apply(&stage, "one").await?;
    web_is_as_it_was(&stage, &serial).await?;
    assert!(daemon.metrics().await?.contains("claviger_documents_rejected 1\n"));
    daemon.stop().await?;
    let daemon = stage.start().await?;
    stage.wait_rejected("CLV-0104").await?;
    web_is_as_it_was(&stage, &serial).await?;
    others_apply(&stage, "two").await?;
    assert_eq!(stage.world.acme().counts().orders, 1, "nothing was ordered for a document that is not in force");
    let status = stage.site.ctl(&["status", "--exit-code"])?;
    assert_eq!(status.status.code(), Some(6));
    assert!(text(&status).contains("web.yaml:7:3"), "{}", text(&status));
    mended(&stage).await?;
    assert!(daemon.metrics().await?.contains("claviger_documents_rejected 0\n"));
    Ok(())
}

async fn mended(stage: &Stage) -> Result<()> {
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &["other.staging.example.com"], ""))?;
    stage.wait_mended().await?;
    let names = json!(["other.staging.example.com"]);
    let taken_in =
        async || stage.site.resource("certificate", "staging", "web")["status"]["certificate"]["dnsNames"] == names;
    wait_until(SOON, "the mended document to be obeyed", taken_in).await
}

#[tokio::test]
async fn an_unreadable_file_freezes_its_objects_also_over_a_restart() -> Result<()> {
    let stage = issued().await?;
    let daemon = stage.start().await?;
    let serial =
        stage.site.wait_ready("certificate", "staging", "web").await?["status"]["certificate"]["serial"].clone();
    let file = stage.site.path().join("resources/web.yaml");
    let beside = stage.site.path().join("resources/.link");
    // A link to nowhere cannot be read, not even by root.
    std::os::unix::fs::symlink("nowhere", &beside)?;
    std::fs::rename(&beside, &file)?;
    let finding = stage.wait_rejected("CLV-0101").await?;
    assert_eq!(finding["file"], "web.yaml");
    others_apply(&stage, "one").await?;
    web_is_as_it_was(&stage, &serial).await?;
    daemon.stop().await?;
    let _daemon = stage.start().await?;
    stage.wait_rejected("CLV-0101").await?;
    web_is_as_it_was(&stage, &serial).await?;
    // While one file cannot be read nothing counts as removed.
    stage.site.remove_document("one.yaml")?;
    others_apply(&stage, "two").await?;
    stage.site.wait_ready("kmskey", "staging", "one").await.map(drop)
}

#[tokio::test]
async fn an_empty_folder_freezes_everything_also_over_a_restart() -> Result<()> {
    let stage = issued().await?;
    let daemon = stage.start().await?;
    let serial =
        stage.site.wait_ready("certificate", "staging", "web").await?["status"]["certificate"]["serial"].clone();
    stage.site.remove_document("web.yaml")?;
    stage.site.remove_document("staging.yaml")?;
    let finding = stage.wait_rejected("CLV-0116").await?;
    assert!(finding["fix"].as_str().is_some_and(|fix| fix.contains("mount")), "{finding:#}");
    web_is_as_it_was(&stage, &serial).await?;
    daemon.stop().await?;
    let _daemon = stage.start().await?;
    stage.wait_rejected("CLV-0116").await?;
    web_is_as_it_was(&stage, &serial).await?;
    stage.site.wait_ready("environment", "", "staging").await?;
    assert_eq!(stage.world.acme().counts().orders, 1);
    Ok(())
}

#[tokio::test]
async fn a_removed_document_releases_its_object_and_removes_nothing() -> Result<()> {
    let stage = issued().await?;
    let _daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    others_apply(&stage, "spare").await?;
    let keys = stage.world.kms().keys().count();
    let asked = stage.world.calls().of(Service::Kms, "ScheduleKeyDeletion");
    for name in ["web.yaml", "spare.yaml"] {
        stage.site.remove_document(name)?;
    }
    for (kind, name) in [("certificate", "web"), ("kmskey", "spare")] {
        let released = stage.site.wait_condition(kind, "staging", name, "Ready", "Unknown").await?;
        let ready = condition_of(&released, "Ready").context("it is still shown")?;
        assert_eq!(ready["reason"], "Released", "{released:#}");
        assert!(released["spec"].is_null() && released["status"]["attention"].is_null(), "{released:#}");
    }
    assert!(stage.site.outlet("web").join("tls.crt").is_file(), "the delivered certificate stays");
    assert_eq!(stage.world.kms().keys().count(), keys);
    assert_eq!(stage.world.calls().of(Service::Kms, "ScheduleKeyDeletion"), asked);
    Ok(())
}
