//! What every fleet at rest needs: leaves without a CA, and how the daemon is.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

/// Certificates of 90 days, a third of them gone, signed by a root that nobody else knows.
pub(crate) struct Leaves {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Leaves {
    pub(crate) fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        validity(&mut authority);
        let root = authority.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(authority, key), root })
    }

    /// Key and chain.
    pub(crate) fn pair(&self, host: &str) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(vec![host.to_owned()])?;
        leaf.use_authority_key_identifier_extension = true;
        validity(&mut leaf);
        Ok((key.serialize_pem(), leaf.signed_by(&key, &self.issuer)?.pem() + &self.root))
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The same as a Secret that a backup brought back.
    pub(crate) fn secret(&self, name: &str, host: &str) -> Result<Value> {
        let (key, chain) = self.pair(host)?;
        Ok(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": { "name": name },
            "data": {
                "tls.key": STANDARD.encode(key), "tls.crt": STANDARD.encode(chain), "ca.crt": STANDARD.encode(&self.root),
            },
        }))
    }
}

fn validity(params: &mut CertificateParams) {
    let now = crate::clock::wall();
    params.not_before = (now - Duration::from_secs(30 * 86_400)).into();
    params.not_after = (now + Duration::from_secs(60 * 86_400)).into();
}

/// Certificates that are Ready, by an exposition.
pub(crate) fn ready(text: &str) -> f64 {
    text.lines()
        .filter(|line| line.starts_with("claviger_certificates{") && line.contains("state=\"Ready\""))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Whether nobody waits for a pass or is on one.
pub(crate) fn settled(text: &str) -> bool {
    let place = |name: &str| {
        let start = format!("claviger_agenda_subjects{{place=\"{name}\"}}");
        text.lines().find(|line| line.starts_with(&start)).is_some_and(|line| line.ends_with(" 0"))
    };
    place("ready") && place("running")
}

/// Resident memory of a process, in KiB.
pub(crate) fn resident(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS in /proc")?;
    Ok(line.split_whitespace().nth(1).context("VmRSS without a number")?.parse()?)
}
