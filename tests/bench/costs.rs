//! Calls, writes and bytes.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use claviger_sim::{Options, Running, World, fault::Service};
use claviger_tests::{Site, documents, wait_until};

use crate::{clock::now, heading, say};

const ACCOUNT: &str = "222222222222";
const REGION: &str = "eu-west-1";
const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// A world whose time is the machine's, or faster.
pub(crate) async fn world(site: &Site, speed: i64) -> Result<Running> {
    let began = now();
    let clock = move || began + (now() - began) * speed;
    let options =
        Options { http01: Some(([127, 0, 0, 1], site.http01_port()).into()), unkind: false, ..Options::new(7, clock) };
    let world = World::start(options).await?;
    world.kms().steering.sessions_expire = false;
    world.acme().steering.limits = None;
    Ok(world)
}

/// An environment with a wrapping key, a zone and the simulated CA, at a site that knows the world.
pub(crate) fn settle(site: &mut Site, world: &Running) -> Result<()> {
    let addresses = world.addresses();
    let rest = format!("  cloudflare: \"{}\"\nresolvers: [\"{}\"]", addresses.cloudflare, addresses.dns);
    site.aws_at(&[REGION], &addresses.kms, &addresses.sts, &rest);
    site.secret("aws", documents::credentials(&[("fleet", ACCOUNT)]))?;
    site.secret("token", "token")?;
    let environment = documents::environment("fleet", ACCOUNT, REGION)
        .credentials("aws", "fleet")
        .zone("fleet.example.com", &[])
        .acme("ca", &addresses.acme, None);
    site.document("environment.yaml", &environment.with_wrapping_key())
}

/// What one certificate costs, from its document to its files, and what its renewal costs.
pub(crate) async fn of_a_certificate() -> Result<()> {
    const COUNT: u64 = 20;
    let mut site = Site::new()?.quiet();
    let world = world(&site, 1).await?;
    settle(&mut site, &world)?;
    let daemon = site.start().await?;
    site.wait_ready("kmskey", "fleet", "wrapping").await?;
    // One certificate first, so that the account is there and is not counted.
    issue(&site, 0..1).await?;
    let before =
        (world.calls(), value(&daemon.metrics().await?, "claviger_store_commits_total"), lines(&site.journal())?);
    issue(&site, 1..COUNT + 1).await?;
    let after =
        (world.calls(), value(&daemon.metrics().await?, "claviger_store_commits_total"), lines(&site.journal())?);
    heading(&format!("a certificate of one name, mean of {COUNT}"));
    for (service, operation, all) in after.0.iter() {
        let made = all - before.0.of(service, operation);
        if made > 0 && matches!(service, Service::Acme | Service::Kms) {
            say(&format!("{:<10} {operation:<24} {:>6.2}", format!("{service:?}"), ratio(made, COUNT)));
        }
    }
    let acme = after.0.all(Service::Acme) - before.0.all(Service::Acme);
    let kms = after.0.all(Service::Kms) - before.0.all(Service::Kms);
    say(&format!("{:<35} {:>6.2}", "ACME requests", ratio(acme, COUNT)));
    say(&format!("{:<35} {:>6.2}", "KMS calls", ratio(kms, COUNT)));
    say(&format!("{:<35} {:>6.2}", "commits", (after.1 - before.1) / COUNT as f64));
    say(&format!("{:<35} {:>6.2}", "journal lines", ratio(after.2 - before.2, COUNT)));
    Ok(())
}

async fn issue(site: &Site, range: std::ops::Range<u64>) -> Result<()> {
    let text = range.clone().map(|number| {
        let host = format!("c{number}.fleet.example.com");
        documents::certificate("fleet", &format!("c{number}"), &[&host], "")
    });
    site.document(&format!("certificates-{}.yaml", range.start), &text.collect::<Vec<_>>().join("---\n"))?;
    for number in range {
        site.wait_ready("certificate", "fleet", &format!("c{number}")).await?;
    }
    Ok(())
}

/// Calls to Cloudflare for a thousand names that all become active, and for a day in which nothing happens.
pub(crate) async fn of_host_names() -> Result<()> {
    const COUNT: u64 = 1_000;
    let mut site = Site::new()?.quiet();
    // An hour in 10 s: 15 certificates a minute are allowed, so a thousand names take 67 minutes.
    let world = world(&site, 360).await?;
    settle(&mut site, &world)?;
    let at = now();
    world.cloudflare().add_zone(at, ZONE, "saas.example.com");
    world.cloudflare().zone_mut(ZONE).context("the zone was just added")?.allocated = 10_000;
    world.cloudflare().add_token("token", &[ZONE], true);
    world.dns().add(at, "saas.example.com", claviger_sim::model::dns::Kind::A, "192.0.2.1");
    let mut text = documents::environment("live", "111111111111", REGION)
        .credentials("aws", "live")
        .production()
        .edge(ZONE, "token", "saas.example.com", "")
        .with_wrapping_key();
    site.secret("aws", documents::credentials(&[("fleet", ACCOUNT), ("live", "111111111111")]))?;
    for number in 0..COUNT {
        let host = format!("shop{number}.customer.example");
        world.dns().add(at, &host, claviger_sim::model::dns::Kind::Cname, "saas.example.com");
        text += "---\n";
        text += &documents::hostname("live", &format!("h{number}"), &host, "customer");
    }
    site.document("live.yaml", &text)?;
    let daemon = site.start_with(&[("CLAVIGER_SPEED", "6m/s")]).await?;
    wait_until(Duration::from_secs(400), "a thousand active host names", async || {
        daemon.metrics().await.is_ok_and(|text| active(&text) >= COUNT as f64)
    })
    .await?;
    let calls = world.calls();
    heading(&format!("{COUNT} host names from nothing to active, 15 certificates a minute"));
    for (service, operation, count) in calls.iter().filter(|(service, ..)| *service == Service::Cloudflare) {
        say(&format!("{:<10} {operation:<24} {count:>6}", format!("{service:?}")));
    }
    let text = daemon.metrics().await?;
    let refused = ["429", "971"].iter().map(|code| answered(&text, code)).sum::<f64>() as u64;
    say(&format!("{:<35} {refused:>6}", "refused by a limit"));
    Ok(())
}

fn active(text: &str) -> f64 {
    text.lines()
        .filter(|line| line.starts_with("claviger_hostnames{") && line.contains("stage=\"Active\""))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Calls to Cloudflare that were answered with that code.
fn answered(text: &str, code: &str) -> f64 {
    let of = |line: &&str| {
        line.starts_with("claviger_cloudflare_requests_total{") && line.contains(&format!("code=\"{code}\""))
    };
    text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn value(text: &str, family: &str) -> f64 {
    let of = |line: &&str| line.starts_with(family);
    text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn lines(path: &Path) -> Result<u64> {
    Ok(std::fs::read_to_string(path)?.lines().count() as u64)
}

fn ratio(all: u64, of: u64) -> f64 {
    all as f64 / of as f64
}
