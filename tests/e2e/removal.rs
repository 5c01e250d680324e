//! A document goes away: claviger looks after its object no longer, and removes nothing. It comes back: claviger goes on.

use std::{fs, os::unix::fs::symlink, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_sim::model::kms::KeyState;
use claviger_tests::{condition_of, wait_until};

use crate::{
    company::{ONCE, SHOP, audited, company, counted, settles, shop, stops, web},
    stage::{SOON, Stage, ZONE},
};

/// Waits until nobody looks after an object any more.
async fn is_released(stage: &Stage, kind: &str, namespace: &str, name: &str) -> Result<()> {
    let released = async || {
        let object = stage.site.resource(kind, namespace, name);
        condition_of(&object, "Ready").is_some_and(|ready| ready["reason"] == "Released")
    };
    wait_until(SOON, "it to be released", released).await.with_context(|| format!("{kind}/{namespace}/{name}"))
}

/// Everything outside and in the files, as it is.
fn outside(stage: &Stage) -> Result<String> {
    let files = ["tls.crt", "tls.key", "ca.crt"].map(|file| fs::read(stage.site.outlet("web").join(file)));
    let files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
    let kms = stage.world.kms();
    let keys: Vec<_> = kms.keys().map(|key| (&key.arn, key.state, &key.tags, &key.schedule)).collect();
    ensure!(keys.iter().all(|key| key.1 == KeyState::Enabled), "{keys:?}");
    let cloudflare = stage.world.cloudflare();
    let shop = cloudflare.named(ZONE, SHOP).context("the host name is at Cloudflare")?;
    let counts = (cloudflare.counts().created, cloudflare.counts().edited, cloudflare.counts().deleted);
    Ok(format!("{files:?} {keys:?} {:?} {} {} {counts:?}", kms.aliases(), shop.id, shop.status))
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_documents_are_released_and_nothing_outside_is_touched() -> Result<()> {
    let stage = company().await?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    let before = (outside(&stage)?, audited(&stage)?.len());
    stage.site.remove_document("web.yaml")?;
    stage.site.remove_document("shop.yaml")?;
    is_released(&stage, "certificate", "staging", "web").await?;
    is_released(&stage, "hostname", "production", "shop").await?;
    stage.site.remove_document("production.yaml")?;
    is_released(&stage, "kmskey", "production", "wrapping").await?;
    is_released(&stage, "environment", "", "production").await?;
    stops(daemon).await?;
    let daemon = stage.start().await?;
    is_released(&stage, "certificate", "staging", "web").await?; // also after a restart
    assert_eq!((outside(&stage)?, audited(&stage)?.len()), before, "nothing was done");
    stage.site.document("production.yaml", &stage.production()?.with_wrapping_key())?;
    stage.site.document("web.yaml", &web())?;
    stage.site.document("shop.yaml", &shop())?;
    for (kind, namespace, name) in OBJECTS {
        stage.site.wait_ready(kind, namespace, name).await?;
    }
    settles(&stage).await?;
    assert_eq!((outside(&stage)?, counted(&stage)), (before.0, ONCE), "it goes on where it was");
    assert_eq!(audited(&stage)?.len(), before.1, "nothing had to be done");
    stops(daemon).await
}

/// Something happens to the folder under a daemon that runs. It is told as a finding at that file; nothing counts as removed, not
/// then, not hours later, not after a restart.
async fn removes_nothing(file: &str, happens: impl Fn(&Stage) -> Result<()>) -> Result<Stage> {
    let stage = company().await?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    happens(&stage)?;
    all_is_looked_after(&stage, file).await?;
    stage.pass(Duration::from_hours(7))?;
    all_is_looked_after(&stage, file).await?;
    stops(daemon).await?;
    let daemon = stage.start().await?;
    all_is_looked_after(&stage, file).await.context("after a restart")?;
    ensure!(!daemon.log().contains("Released"), "{}", daemon.log());
    stops(daemon).await?;
    Ok(stage)
}

async fn all_is_looked_after(stage: &Stage, file: &str) -> Result<()> {
    let told = async || stage.rejected().iter().any(|finding| finding["file"] == file);
    wait_until(SOON, "the finding", told).await?;
    settles(stage).await?;
    for (kind, namespace, name) in OBJECTS {
        stage.site.wait_ready(kind, namespace, name).await?;
    }
    ensure!(counted(stage) == ONCE, "{:?}", counted(stage));
    Ok(())
}

const OBJECTS: [(&str, &str, &str); 4] = [
    ("certificate", "staging", "web"),
    ("hostname", "production", "shop"),
    ("kmskey", "production", "wrapping"),
    ("environment", "", "production"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_removes_nothing() -> Result<()> {
    let empty = |stage: &Stage| {
        ["staging.yaml", "web.yaml", "production.yaml", "shop.yaml"]
            .into_iter()
            .try_for_each(|name| stage.site.remove_document(name))
    };
    removes_nothing(".", empty).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_removes_nothing() -> Result<()> {
    let moved =
        |stage: &Stage| Ok(fs::rename(stage.site.path().join("resources"), stage.site.path().join("elsewhere"))?);
    removes_nothing(".", moved).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_file_cannot_be_read_nothing_counts_as_removed() -> Result<()> {
    let spoil = |stage: &Stage| {
        stage.site.remove_document("shop.yaml")?;
        symlink("nowhere", stage.site.path().join("resources/shop.yaml"))?;
        stage.site.remove_document("web.yaml")
    };
    let stage = removes_nothing("shop.yaml", spoil).await?;
    let daemon = stage.start().await?;
    // Once it can be read again, what is missing beside it is missed.
    stage.site.remove_document("shop.yaml")?;
    stage.site.document("shop.yaml", &shop())?;
    is_released(&stage, "certificate", "staging", "web").await?;
    stage.site.wait_ready("hostname", "production", "shop").await?;
    assert_eq!(counted(&stage), ONCE);
    stops(daemon).await
}

/// Host names that the product's backend asked for are in no document; they go with their environment and come back with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_comes_back_brings_its_host_names_of_the_api_along() -> Result<()> {
    let stage = company().await?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    let added =
        stage.site.ctl(&["hostname", "add", "www.backend.example", "--tenant", "backend", "-e", "production"])?;
    ensure!(added.status.success(), "{}", crate::stage::text(&added));
    let there = || stage.world.cloudflare().named(ZONE, "www.backend.example").map(|one| one.id.clone());
    wait_until(SOON, "it to be at Cloudflare", async || there().is_some()).await?;
    let before = there();
    stage.site.remove_document("shop.yaml")?;
    stage.site.remove_document("production.yaml")?;
    is_released(&stage, "hostname", "production", "www.backend.example").await?;
    // With another oldest version of TLS, so that it shows what it is looked after with.
    let production = stage.production_with(", defaults: { validation: http, minTlsVersion: \"1.3\" }")?;
    stage.site.document("production.yaml", &production.with_wrapping_key())?;
    let oldest = async || {
        let cloudflare = stage.world.cloudflare();
        let one = cloudflare.named(ZONE, "www.backend.example");
        one.and_then(|one| one.ssl.as_ref()).is_some_and(|ssl| ssl.settings["min_tls_version"] == "1.3")
    };
    wait_until(SOON, "it to be looked after again", oldest).await?;
    assert_eq!(there(), before);
    stops(daemon).await
}

/// Whoever had a host name first keeps it, also when both are read anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_that_is_refused_to_a_document_stays_refused_after_a_restart() -> Result<()> {
    let stage = company().await?;
    stage.site.remove_document("shop.yaml")?;
    let daemon = stage.start().await?;
    let added = stage.site.ctl(&["hostname", "add", SHOP, "--tenant", "backend", "-e", "production"])?;
    ensure!(added.status.success(), "{}", crate::stage::text(&added));
    stage.site.document("shop.yaml", &shop())?;
    stage.site.wait_attention("hostname", "production", "shop", "HostnameClaimed").await?;
    stops(daemon).await?;
    let daemon = stage.start().await?;
    stage.site.wait_attention("hostname", "production", "shop", "HostnameClaimed").await?;
    stage.site.wait_ready("hostname", "production", SHOP).await?;
    assert_eq!(stage.world.cloudflare().counts().created, 1);
    stops(daemon).await
}
