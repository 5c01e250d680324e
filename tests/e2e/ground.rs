//! Firm ground: servers that nobody here wrote, faults before them, and a daemon's folder that speaks to them.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use claviger_tests::{
    Daemon, Logged, Moto, Pebble, PebbleOptions, PlainProxy, Profile, Proxy, Site, condition_of,
    documents::{self, EnvironmentText},
    endpoint, openssl, wait_until,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Where the keys lie.
pub(crate) const REGION: &str = "eu-west-1";
/// The account of credentials that moto does not know.
pub(crate) const ACCOUNT: &str = "123456789012";
/// How long a story waits for anything.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// Where a story plays: a CA behind a proxy, KMS and STS behind another, and the daemon's folder.
pub(crate) struct Ground {
    pub(crate) pebble: Pebble,
    /// The way to the CA.
    pub(crate) ca: Proxy,
    pub(crate) moto: Moto,
    /// The way to KMS and STS.
    pub(crate) aws: PlainProxy,
    pub(crate) site: Site,
    time: Leaps,
}

impl Ground {
    /// Pebble with its bad nonces and profiles, an empty moto, and no document.
    pub(crate) async fn new() -> Result<Self> {
        Self::with(PebbleOptions::default()).await
    }

    /// The same with certificates that last so long by default.
    pub(crate) async fn lasting(validity: Duration) -> Result<Self> {
        let profile = Profile { name: "default".to_owned(), validity };
        Self::with(PebbleOptions { profiles: vec![profile], ..PebbleOptions::default() }).await
    }

    /// The same with a Pebble as told; it knocks at the site's http-01 listener in any case.
    pub(crate) async fn with(options: PebbleOptions) -> Result<Self> {
        let mut site = Site::new()?;
        let options = PebbleOptions { http01_port: Some(site.http01_port()), ..options };
        let (pebble, moto) = tokio::try_join!(Pebble::start(options), Moto::start())?;
        let (ca, aws) = (Proxy::in_front_of(&pebble).await?, PlainProxy::start(moto.address()).await?);
        site.aws_at(&[REGION], &aws.endpoint(), &aws.endpoint(), "");
        site.secret(
            "aws-credentials",
            documents::credentials(&[("staging", "STAGING"), ("production", "PRODUCTION")]),
        )?;
        let time = Leaps::at(&site);
        let ground = Self { pebble, ca, moto, aws, site, time };
        ground.trust().await?;
        Ok(ground)
    }

    /// Writes the roots that `trustedRoots` names: that of the CA's own TLS, and the one that certificates lead to.
    pub(crate) async fn trust(&self) -> Result<()> {
        let roots = format!("{}{}", self.ca.server_ca_pem(), self.pebble.issuing_root().await?);
        self.site.secret("pebble.pem", roots).map(drop)
    }

    /// `staging`: a zone proven by http-01, and Pebble as the issuer `pebble`.
    pub(crate) fn staging(&self) -> EnvironmentText {
        documents::environment("staging", ACCOUNT, REGION)
            .credentials("aws-credentials", "staging")
            .zone("staging.example.com", &[])
            .acme("pebble", &self.ca.directory(), Some("pebble.pem"))
    }

    /// Writes `staging` with its wrapping key, and these documents behind it.
    pub(crate) fn write_staging(&self, more: &[String]) -> Result<()> {
        let all = [&[self.staging().with_wrapping_key()], more].concat();
        self.site.document("staging.yaml", &all.join("---\n"))
    }

    /// Writes `staging` and the certificate `web` for one name.
    pub(crate) fn write_web(&self) -> Result<()> {
        self.write_staging(&[web("")])
    }

    /// Starts a daemon whose time may leap.
    pub(crate) async fn start(&self) -> Result<Daemon<'_>> {
        self.site.start_with(&[self.leaps()]).await
    }

    /// The variable that lets a daemon's time leap.
    pub(crate) fn leaps(&self) -> (&str, &str) {
        self.time.variable()
    }

    /// Lets time pass for the daemon. The servers stay in the machine's time, where orders last for a day.
    pub(crate) fn pass(&self, span: Duration) -> Result<()> {
        self.time.pass(span)
    }

    /// The daemon's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// A certificate of `staging` as it is shown.
    pub(crate) fn certificate(&self, name: &str) -> Value {
        self.site.resource("certificate", "staging", name)
    }

    /// Waits until a certificate of `staging` is ready.
    pub(crate) async fn wait_ready(&self, name: &str) -> Result<Value> {
        self.site.wait_ready("certificate", "staging", name).await
    }

    /// Waits until a certificate of `staging` is late for that reason, whether or not it still serves.
    pub(crate) async fn wait_late(&self, name: &str, reason: &str) -> Result<Value> {
        let (mut last, what) = (Value::Null, format!("{name} to be late: {reason}"));
        let waited = wait_until(SOON, &what, async || {
            last = self.certificate(name);
            condition_of(&last, "OnSchedule")
                .is_some_and(|found| found["status"] == "False" && found["reason"] == reason)
        });
        waited.await.with_context(|| format!("last seen: {last:#}"))?;
        Ok(last)
    }

    /// Waits until another certificate than that one is delivered and shown.
    pub(crate) async fn wait_renewed(&self, name: &str, before: &Pair) -> Result<Pair> {
        let directory = self.site.outlet(name);
        let renewed = async || {
            let now = Pair::read(&directory);
            let delivered = |now: &Pair| now.chain != before.chain;
            let seen = self.certificate(name);
            let told = seen.pointer("/status/pending").is_none() && says(&seen, "Ready", "True");
            now.is_ok_and(|now| delivered(&now)) && told
        };
        wait_until(SOON, &format!("{name} to be renewed"), renewed)
            .await
            .with_context(|| format!("last seen: {:#}", self.certificate(name)))?;
        Pair::read(&directory)
    }

    /// Asks for a renewal as a person would.
    pub(crate) fn renew(&self, name: &str) -> Result<()> {
        let renew = ["renew", &format!("certificate/{name}"), "-n", "staging", "--reason", "a story"];
        let said = self.site.ctl(&renew)?;
        ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        Ok(())
    }

    /// What was delivered for a certificate, after OpenSSL has verified it for each of these names.
    pub(crate) async fn verified(&self, name: &str, names: &[&str]) -> Result<Pair> {
        let (pair, root) = (Pair::read(&self.site.outlet(name))?, self.pebble.issuing_root().await?);
        for server_name in names {
            openssl::verify(&pair.chain, &root, server_name)?;
        }
        pair.check()?;
        Ok(pair)
    }

    /// How many orders the CA made, whether or not the answers arrived.
    pub(crate) fn orders(&self) -> usize {
        self.ca.count_done(endpoint::NEW_ORDER)
    }

    /// How many accounts the CA made: it answers 200 where there was one for the key.
    pub(crate) fn accounts(&self) -> usize {
        let made = |logged: &&Logged| logged.path == endpoint::NEW_ACCOUNT && logged.upstream == Some(201);
        self.ca.requests().iter().filter(made).count()
    }

    /// How often an effect was tried, by the journal.
    pub(crate) fn tried(&self, verb: &str) -> usize {
        let journal = fs::read_to_string(self.site.journal()).unwrap_or_default();
        let lines = journal.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["verb"] == verb && line["stage"] == "Intent").count()
    }
}

/// A daemon's time: the machine's, and what was let pass.
pub(crate) struct Leaps {
    file: String,
    ahead: AtomicI64,
}

impl Leaps {
    /// The time of a site's daemon; no leap yet.
    pub(crate) fn at(site: &Site) -> Self {
        Self { file: site.path().join("ahead").display().to_string(), ahead: AtomicI64::new(0) }
    }

    /// What a daemon must be started with.
    pub(crate) fn variable(&self) -> (&str, &str) {
        ("CLAVIGER_AHEAD", &self.file)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, span: Duration) -> Result<()> {
        let more = i64::try_from(span.as_millis()).context("a span that fits")?;
        let ahead = self.ahead.fetch_add(more, Ordering::SeqCst) + more;
        let beside = format!("{}.new", self.file);
        fs::write(&beside, ahead.to_string())?;
        Ok(fs::rename(beside, &self.file)?)
    }

    /// Now.
    #[expect(clippy::disallowed_methods, reason = "the daemon's time is the machine's and what was let pass")]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.ahead.load(Ordering::SeqCst))
    }
}

/// The certificate `web` for `www.staging.example.com`; `more` are further lines of `spec`.
pub(crate) fn web(more: &str) -> String {
    documents::certificate("staging", "web", &["www.staging.example.com"], more)
}

/// Whether a condition has that status.
pub(crate) fn says(resource: &Value, condition: &str, status: &str) -> bool {
    condition_of(resource, condition).is_some_and(|found| found["status"] == status)
}

/// What a condition says, in words.
pub(crate) fn message(resource: &Value, condition: &str) -> String {
    condition_of(resource, condition).and_then(|found| found["message"].as_str()).unwrap_or_default().to_owned()
}

/// The three files of an outlet.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) chain: String,
    pub(crate) issuers: String,
}

impl Pair {
    /// Reads an outlet as a careful server does: its folder is looked up once, then the files in it are read.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let folder = fs::canonicalize(directory).with_context(|| format!("nothing at {}", directory.display()))?;
        let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
        Ok(Self { key: read("tls.key")?, chain: read("tls.crt")?, issuers: read("ca.crt")? })
    }

    /// Key and certificate belong together, and `ca.crt` is what stands above the leaf.
    pub(crate) fn check(&self) -> Result<()> {
        let (one, other) =
            (openssl::public_key_of_certificate(&self.chain)?, openssl::public_key_of_private_key(&self.key)?);
        ensure!(one == other, "the key is another certificate's");
        ensure!(
            !self.issuers.is_empty() && self.chain.ends_with(&self.issuers),
            "`ca.crt` is not the rest of the chain"
        );
        Ok(())
    }

    /// The public key, PEM.
    pub(crate) fn public_key(&self) -> Result<String> {
        openssl::public_key_of_certificate(&self.chain)
    }
}
