//! The contract's staging environment, word for word, with a Pebble and an emulator of AWS in the place of the real ones: it gets a
//! certificate that OpenSSL verifies, goes on after a restart without a second order, and speaks to nobody outside of this machine.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use claviger_tests::{documents, wait_until};

use crate::ground::{Ground, Pair, SOON, says};

/// Let's Encrypt and the internal authority stand in it, and nobody uses them.
const STAGING: &str = r#"
apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: staging }
spec:
  class: non-production
  namespaces: [staging]
  owner: itops@example.com
  classification: internal
  kms:
    accountId: "222222222222"
    region: eu-west-1
    assumeRole: arn:aws:iam::222222222222:role/claviger
    credentials: { file: aws-credentials, profile: staging }
    aliasPrefix: claviger/staging
    wrappingKey: wrapping
  zones:
    - name: staging.example.com
      challenges: [dns-01, http-01]
      dns: { rfc2136: { server: "127.0.0.1:53", key: { name: claviger, algorithm: hmac-sha256, secret: { file: tsig } } } }
  issuers:
    - { name: letsencrypt, trust: public, acme: { directory: "https://acme-v02.api.letsencrypt.org/directory", contacts: ["mailto:itops@example.com"] } }
    - { name: pebble, trust: test, acme: { directory: "DIRECTORY", trustedRoots: { file: pebble.pem } } }
    - { name: internal, trust: private, authority: { name: issuing } }
  defaultIssuers: [{ name: pebble }]
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: staging }
spec: { purpose: wrap, keySpec: SYMMETRIC_DEFAULT, rotation: { period: 365d } }
---
apiVersion: claviger.dev/v1alpha1
kind: TlsCertificate
metadata: { name: web, namespace: staging }
spec:
  dnsNames: [www.staging.example.com, api.staging.example.com]
  key: { algorithm: ecdsa-p256 }
  outlets:
    - { name: nginx, files: { directory: web, mode: "0600", reload: nginx } }
"#;

const NAMES: [&str; 2] = ["www.staging.example.com", "api.staging.example.com"];

#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_staging_environment_gets_its_certificate_and_a_restart_orders_nothing() -> Result<()> {
    let mut ground = Ground::new().await?;
    ground.site.setting("hooks:\n  nginx: { command: [touch, reloaded], timeout: 30s }");
    ground.site.secret("tsig", "c2VjcmV0LW9mLXRoZS16b25l")?;
    ground.site.document("staging.yaml", &STAGING.replace("DIRECTORY", &ground.ca.directory()))?;
    let checked = ground.site.check()?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let mut daemon = ground.site.start().await?;
    let watch = Watch::over(daemon.process().id());
    let seen = ground.wait_ready("web").await?;
    assert_eq!(seen["status"]["certificate"]["issuer"], "pebble", "{seen:#}");
    let served = ground.verified("web", &NAMES).await?;
    let reloaded = ground.site.path().join("reloaded");
    wait_until(SOON, "the reload", async || reloaded.exists()).await?;
    let mut met = watch.end()?;
    daemon.kill()?;

    let mut daemon = ground.site.start().await?;
    let watch = Watch::over(daemon.process().id());
    let settled = async || {
        let complete = ground.site.ctl_json(&["status"]).is_ok_and(|status| status["complete"] == true);
        complete && says(&ground.certificate("web"), "Ready", "True")
    };
    wait_until(SOON, "everything to be looked at again", settled).await?;
    met.extend(watch.end()?);
    assert_eq!(Pair::read(&ground.site.outlet("web"))?, served, "the same certificate");
    assert_eq!((ground.orders(), ground.accounts()), (1, 1), "no second order");
    assert_eq!(ground.aws.count_done_actions("CreateKey"), 1, "no second key");
    assert_eq!(daemon.stop().await?.code(), Some(0));

    ensure!(met.contains(&ground.ca.address()) && met.contains(&ground.aws.address()), "the watch is awake: {met:?}");
    let strangers: Vec<_> = met.iter().filter(|address| !address.ip().to_canonical().is_loopback()).collect();
    assert!(strangers.is_empty(), "it spoke to {strangers:?}");
    let verified = ground.site.ctl(&["audit", "verify", &ground.site.journal().display().to_string()])?;
    ensure!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_without_its_database_costs_nothing() -> Result<()> {
    let ground = Ground::new().await?;
    let web = documents::certificate("staging", "web", &NAMES, "");
    ground.write_staging(&[web])?;
    let daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let served = ground.verified("web", &NAMES).await?;
    daemon.kill()?;
    for name in ["claviger.db", "claviger.db-wal", "claviger.db-shm"] {
        let _ = fs::remove_file(ground.site.path().join("state").join(name));
    }
    let _daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    ground.site.wait_ready("environment", "", "staging").await?;
    assert_eq!(Pair::read(&ground.site.outlet("web"))?, served);
    assert_eq!((ground.orders(), ground.aws.count_done_actions("CreateKey")), (1, 1), "0 orders, 0 keys");
    assert_eq!(ground.accounts(), 1, "0 accounts: the wrapped key beside the database leads to the one that is there");
    Ok(())
}

/// Looks at the sockets of a process, over and over, and remembers whom they lead to.
struct Watch {
    stop: Arc<AtomicBool>,
    watching: std::thread::JoinHandle<Result<BTreeSet<SocketAddr>>>,
}

impl Watch {
    fn over(process: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let folder = PathBuf::from(format!("/proc/{process}"));
        let watching = std::thread::spawn(move || {
            let mut met = BTreeSet::new();
            while !stopped.load(Ordering::SeqCst) {
                met.extend(partners(&folder)?);
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(met)
        });
        Self { stop, watching }
    }

    fn end(self) -> Result<BTreeSet<SocketAddr>> {
        self.stop.store(true, Ordering::SeqCst);
        self.watching.join().ok().context("the watch panicked")?
    }
}

/// Whom the sockets of a process lead to, or try to.
fn partners(process: &Path) -> Result<Vec<SocketAddr>> {
    let links = fs::read_dir(process.join("fd"))?.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    let own: BTreeSet<String> = links.filter_map(|link| inode(&link.to_string_lossy())).collect();
    let mut partners = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let Ok(table) = fs::read_to_string(process.join("net").join(table)) else { continue };
        let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mine = lines.filter(|fields| fields.get(9).is_some_and(|inode| own.contains(*inode)));
        partners.extend(mine.filter_map(|fields| address(fields.get(2)?)).filter(|address| address.port() != 0));
    }
    Ok(partners)
}

fn inode(link: &str) -> Option<String> {
    Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
}

/// `0100007F:1F90`: words of 32 bits in the machine's byte order (proc_net_tcp).
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = if address.len() == 8 {
        IpAddr::from(Ipv4Addr::from(word(0)?))
    } else {
        let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
        IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}
