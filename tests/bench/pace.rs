//! Certificates a minute against Pebble, and the processor time that one costs claviger.

use std::time::Duration;

use anyhow::Result;
use claviger_tests::{Pebble, PebbleOptions, Site, documents, wait_until};

use crate::{fleet::ready, heading, say};

const COUNT: usize = 100;

/// A burst of a hundred names, keys wrapped by the simulated KMS, control proven by http-01, nothing tuned.
pub(crate) async fn against_pebble() -> Result<()> {
    let mut site = Site::new()?.quiet();
    let world = crate::costs::world(&site, 1).await?;
    let pebble = Pebble::start(PebbleOptions {
        http01_port: Some(site.http01_port()),
        rejected_nonces_percent: 5,
        ..PebbleOptions::default()
    })
    .await?;
    let addresses = world.addresses();
    site.aws_at(&["eu-west-1"], &addresses.kms, &addresses.sts, "");
    site.secret("aws", documents::credentials(&[("fleet", "222222222222")]))?;
    let roots = format!("{}\n{}", pebble.server_ca_pem(), pebble.issuing_root().await?);
    site.secret("roots.pem", roots)?;
    let environment = documents::environment("fleet", "222222222222", "eu-west-1")
        .credentials("aws", "fleet")
        .zone("fleet.example.com", &[])
        .acme("pebble", pebble.directory(), Some("roots.pem"));
    let mut text = environment.with_wrapping_key();
    for number in 0..COUNT {
        let host = format!("c{number}.fleet.example.com");
        text += "---\n";
        text += &documents::certificate("fleet", &format!("c{number}"), &[&host], "");
    }
    site.document("fleet.yaml", &text)?;
    let began = crate::clock::now();
    let mut daemon = site.start().await?;
    wait_until(Duration::from_secs(300), "a hundred certificates", async || {
        daemon.metrics().await.is_ok_and(|text| ready(&text) >= COUNT as f64)
    })
    .await?;
    let took = (crate::clock::now() - began) as f64 / 1_000.0;
    let cpu = processor_seconds(daemon.process().id())?;
    heading(&format!("a burst of {COUNT} certificates against Pebble, keys and documents included"));
    say(&format!("{:<35} {:>6.0}", "certificates a minute", COUNT as f64 / took * 60.0));
    say(&format!("{:<35} {:>6.3}", "processor seconds per certificate", cpu / COUNT as f64));
    Ok(())
}

/// User and system time of a process, from `/proc/PID/stat`, whose clock ticks a hundred times a second on Linux.
pub(crate) fn processor_seconds(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / 100.0)
}
