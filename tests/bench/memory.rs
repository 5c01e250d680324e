//! Resident memory of fleets at rest: 0, 1,000 and 10,000 certificates that are in their outlets already, found again by a daemon
//! that has lost its memory. So it also shows what a restore costs: no order.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use anyhow::Result;
use claviger_sim::fault::Service;
use claviger_tests::{Site, documents, wait_until};

use crate::{
    fleet::{Leaves, ready, resident, settled},
    heading, say,
};

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
    let leaves = Leaves::new()?;
    let mut text = String::new();
    for number in 0..count {
        let host = format!("c{number}.fleet.example.com");
        place(&site.outlet(&format!("c{number}")), &host, &leaves)?;
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
    let kilobytes = resident(process)?;
    Ok((kilobytes, world.calls().of(Service::Acme, "new_order"), crate::pace::processor_seconds(process)?))
}

fn place(folder: &Path, host: &str, leaves: &Leaves) -> Result<()> {
    let (key, chain) = leaves.pair(host)?;
    fs::create_dir_all(folder)?;
    for (name, text) in [("tls.key", key.as_str()), ("tls.crt", &chain), ("ca.crt", leaves.root())] {
        fs::write(folder.join(name), text)?;
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}
