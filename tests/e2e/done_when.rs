//! The contract's staging environment, pointed at a Pebble and an emulator of KMS that nobody here wrote.

use std::fs;

use anyhow::{Context, Result};
use claviger_tests::{
    Moto, Pebble, PebbleOptions, Proxy, RetryAfter, Rule, Site, Status, documents, endpoint, openssl,
};

/// A site, a Pebble with 20 % bad nonces behind a proxy that counts and may spoil, and a moto.
struct Peers {
    site: Site,
    proxy: Proxy,
    pebble: Pebble,
    _moto: Moto,
}

async fn peers() -> Result<Peers> {
    let mut site = Site::new()?;
    let pebble =
        Pebble::start(PebbleOptions { http01_port: Some(site.http01_port()), ..PebbleOptions::default() }).await?;
    let proxy = Proxy::in_front_of(&pebble).await?;
    let moto = Moto::start().await?;
    site.aws_at(&["eu-west-1"], moto.endpoint(), moto.endpoint(), "");
    // moto takes every key id for its own account.
    site.secret("aws-credentials", "[staging]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n")?;
    site.secret("pebble.pem", format!("{}\n{}", proxy.server_ca_pem(), pebble.issuing_root().await?))?;
    Ok(Peers { site, proxy, pebble, _moto: moto })
}

/// The environment of the contract: Let's Encrypt stands in it and is used by nobody, so nobody speaks to it.
fn staging(directory: &str) -> String {
    let text = documents::environment("staging", "123456789012", "eu-west-1")
        .credentials("aws-credentials", "staging")
        .zone("staging.example.com", &[])
        .acme("pebble", directory, Some("pebble.pem"));
    let more = "  classification: internal\n";
    let issuers = "{ name: letsencrypt, trust: public, acme: { directory: \"https://acme-v02.api.letsencrypt.org/directory\" } }, \
                   { name: internal, trust: private, authority: { name: issuing } }, { name: pebble";
    let text = text.with_wrapping_key().replacen("{ name: pebble", issuers, 1);
    text.replacen("  owner:", &format!("{more}  owner:"), 1)
}

fn web(more: &str) -> String {
    documents::certificate("staging", "web", &["www.staging.example.com", "api.staging.example.com"], more)
}

fn orders(peers: &Peers) -> usize {
    let opened =
        |logged: &&claviger_tests::Logged| logged.path.starts_with(endpoint::NEW_ORDER) && logged.upstream == Some(201);
    peers.proxy.requests().iter().filter(opened).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_staging_environment_gets_a_certificate_and_goes_on_after_a_restart() -> Result<()> {
    let peers = peers().await?;
    let site = &peers.site;
    site.document("staging.yaml", &format!("{}---\n{}", staging(&peers.proxy.directory()), web("")))?;
    let daemon = site.start().await?;
    let ready = site.wait_ready("certificate", "staging", "web").await?;
    assert_eq!(ready["status"]["certificate"]["issuer"], "pebble");
    let folder = site.outlet("web");
    let served = fs::read_to_string(folder.join("tls.crt"))?;
    openssl::verify(&served, &peers.pebble.issuing_root().await?, "www.staging.example.com")?;
    let of_key = openssl::public_key_of_private_key(&fs::read_to_string(folder.join("tls.key"))?)?;
    assert_eq!(of_key, openssl::public_key_of_certificate(&served)?);
    assert_eq!(orders(&peers), 1);
    daemon.kill()?;
    let daemon = site.start().await?;
    site.wait_ready("certificate", "staging", "web").await?;
    assert_eq!(fs::read_to_string(folder.join("tls.crt"))?, served, "the same certificate");
    assert_eq!(orders(&peers), 1, "no second order");
    assert_eq!(daemon.stop().await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_ca_is_obeyed_in_both_spellings_and_shown() -> Result<()> {
    for after in [RetryAfter::Seconds(3600), RetryAfter::DateIn(3600)] {
        let peers = peers().await?;
        let site = &peers.site;
        let limited = Status::problem(429, "rateLimited", "too many new orders recently").retry_after(after);
        peers.proxy.inject(Rule::on(endpoint::NEW_ORDER, limited.into()));
        site.document("staging.yaml", &format!("{}---\n{}", staging(&peers.proxy.directory()), web("")))?;
        let _daemon = site.start().await?;
        let shown = site.wait_condition("certificate", "staging", "web", "OnSchedule", "False").await?;
        let late = claviger_tests::condition_of(&shown, "OnSchedule").context("it was just seen")?;
        assert_eq!(late["reason"], "RateLimited", "{shown:#}");
        assert!(late["message"].to_string().contains("limited until"), "{shown:#}");
        assert_eq!(peers.proxy.count(endpoint::NEW_ORDER), 1, "asked once and not again");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_away_keeps_nothing_from_going_on_when_it_is_back() -> Result<()> {
    let peers = peers().await?;
    let site = &peers.site;
    peers.proxy.inject(Rule::on(endpoint::NEW_ORDER, claviger_tests::Fault::Refuse));
    site.document("staging.yaml", &format!("{}---\n{}", staging(&peers.proxy.directory()), web("")))?;
    let _daemon = site.start().await?;
    let shown = site.wait_condition("certificate", "staging", "web", "OnSchedule", "False").await?;
    let late = claviger_tests::condition_of(&shown, "OnSchedule").context("it was just seen")?;
    assert_eq!(late["reason"], "AcmeUnreachable", "{shown:#}");
    peers.proxy.heal();
    // A changed document lifts the back-off.
    let text = format!("{}---\n{}", staging(&peers.proxy.directory()), web("key: { algorithm: ecdsa-p384 }"));
    site.document("staging.yaml", &text)?;
    site.wait_ready("certificate", "staging", "web").await?;
    Ok(())
}
