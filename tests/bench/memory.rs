//! Resident memory of fleets at rest: 0, 1,000 and 10,000 certificates that are in their outlets already, found again by a daemon
//! that has lost its memory. So it also shows what a restore costs: no order.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use claviger_sim::fault::Service;
use claviger_tests::{Site, documents, wait_until};
use rcgen::{CertificateParams, Issuer, KeyPair};

use crate::{heading, say};

/// The three fleets, or an empty one and one of that size.
pub(crate) async fn of_fleets(only: Option<u32>) -> Result<()> {
    heading("resident memory at rest, certificates adopted from their outlets");
    let mut empty = None;
    for count in only.map_or_else(|| vec![0, 1_000, 10_000], |count| vec![0, count]) {
        let (kilobytes, orders, cpu) = of_fleet(count).await?;
        let base = *empty.get_or_insert(kilobytes);
        let each = if count == 0 { 0.0 } else { (kilobytes - base) as f64 / f64::from(count) };
        say(&format!(
            "{count:>6} certificates  {:>7.1} MiB  {each:>5.2} kB each  {orders} orders  {cpu:>6.1} s of processor",
            kilobytes as f64 / 1_024.0
        ));
    }
    Ok(())
}

async fn of_fleet(count: u32) -> Result<(u64, u64, f64)> {
    let mut site = Site::new()?.quiet();
    let world = crate::costs::world(&site, 1).await?;
    world.kms().steering.quotas = false;
    crate::costs::settle(&mut site, &world)?;
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    validity(&mut authority);
    let root = authority.self_signed(&key)?.pem();
    let issuer = Issuer::new(authority, key);
    let mut text = String::new();
    for number in 0..count {
        let host = format!("c{number}.fleet.example.com");
        place(&site.outlet(&format!("c{number}")), &host, &issuer, &root)?;
        text += &documents::certificate("fleet", &format!("c{number}"), &[&host], "");
        text += "---\n";
        if number % 500 == 499 || number + 1 == count {
            site.document(&format!("fleet-{number}.yaml"), &text)?;
            text.clear();
        }
    }
    let mut daemon = site.start().await?;
    wait_until(Duration::from_secs(900), "the fleet to be adopted", async || {
        // A scrape every now and then, as Prometheus does, so that the waiting is not what is measured.
        tokio::time::sleep(Duration::from_secs(5)).await;
        daemon.metrics().await.is_ok_and(|text| ready(&text) >= f64::from(count) && settled(&text))
    })
    .await?;
    let process = daemon.process().id();
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS in /proc")?;
    let kilobytes = line.split_whitespace().nth(1).context("VmRSS without a number")?.parse()?;
    Ok((kilobytes, world.calls().of(Service::Acme, "new_order"), crate::pace::processor_seconds(process)?))
}

fn place(folder: &Path, host: &str, issuer: &Issuer<'_, KeyPair>, root: &str) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(vec![host.to_owned()])?;
    leaf.use_authority_key_identifier_extension = true;
    validity(&mut leaf);
    let chain = leaf.signed_by(&key, issuer)?.pem() + root;
    fs::create_dir_all(folder)?;
    fs::write(folder.join("tls.key"), key.serialize_pem())?;
    fs::write(folder.join("tls.crt"), chain)?;
    fs::write(folder.join("ca.crt"), root)?;
    use std::os::unix::fs::PermissionsExt;
    for name in ["tls.key", "tls.crt", "ca.crt"] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// 90 days, a third of them gone.
fn validity(params: &mut CertificateParams) {
    let now = crate::clock::wall();
    params.not_before = (now - Duration::from_secs(30 * 86_400)).into();
    params.not_after = (now + Duration::from_secs(60 * 86_400)).into();
}

fn ready(text: &str) -> f64 {
    text.lines()
        .filter(|line| line.starts_with("claviger_certificates{") && line.contains("state=\"Ready\""))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn settled(text: &str) -> bool {
    let place = |name: &str| {
        let start = format!("claviger_agenda_subjects{{place=\"{name}\"}}");
        text.lines().find(|line| line.starts_with(&start)).is_some_and(|line| line.ends_with(" 0"))
    };
    place("ready") && place("running")
}
