//! A simulated world, a daemon's folder that speaks to it, and time that both share: hours pass when a story says so.

use std::{
    fs,
    path::PathBuf,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use claviger_sim::{Options, Running, World, model::kms::Caller};
use claviger_tests::{
    Daemon, Process, Site,
    documents::{self, EnvironmentText},
    wait_until,
};
use serde_json::Value;

/// The account of `production`.
pub(crate) const PRODUCTION: &str = "111111111111";
/// The account of `staging`.
pub(crate) const STAGING: &str = "222222222222";
/// The account of `test`.
pub(crate) const TEST: &str = "333333333333";
/// Where everything lies.
pub(crate) const REGION: &str = "eu-west-1";
/// The zone at Cloudflare.
pub(crate) const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
/// What customers point at.
pub(crate) const TARGET: &str = "saas.example.com";
/// The token of the zone.
pub(crate) const TOKEN: &str = "token-of-the-simulated-zone";
/// How long a story waits for anything.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Where a story plays.
pub(crate) struct Stage {
    /// The simulators, kind ones: nothing takes longer than it must, unless a story says so.
    pub(crate) world: Running,
    /// The daemon's folder.
    pub(crate) site: Site,
    time: Arc<Time>,
}

/// The machine's time and what was let pass.
struct Time {
    ahead: AtomicI64,
    file: PathBuf,
}

impl Time {
    #[expect(clippy::disallowed_methods, reason = "the world and the daemon share the machine's time")]
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX) + self.ahead.load(Ordering::SeqCst)
    }
}

impl Stage {
    /// An empty stage: no document, no daemon.
    pub(crate) async fn new() -> Result<Self> {
        let mut site = Site::new()?;
        let time = Arc::new(Time { ahead: AtomicI64::new(0), file: site.path().join("ahead") });
        let clock = Arc::clone(&time);
        let http01 = Some(([127, 0, 0, 1], site.http01_port()).into());
        let options = Options { unkind: false, http01, ..Options::new(7, move || clock.now()) };
        let world = World::start(options).await.context("the simulated world")?;
        world.kms().steering.sessions_expire = false; // the client of AWS goes by the machine's clock
        let addresses = world.addresses();
        let rest = format!("  cloudflare: \"{}\"\nresolvers: [\"{}\"]", addresses.cloudflare, addresses.dns);
        site.aws_at(&[REGION], &addresses.kms, &addresses.sts, &rest);
        site.secret("aws-credentials", credentials())?;
        Ok(Self { world, site, time })
    }

    /// Starts a daemon.
    pub(crate) async fn start(&self) -> Result<Daemon<'_>> {
        self.start_with(&[]).await
    }

    /// The same with variables set.
    pub(crate) async fn start_with(&self, variables: &[(&str, &str)]) -> Result<Daemon<'_>> {
        let always = self.variables();
        self.site.start_with(&[&all(&always), variables].concat()).await
    }

    /// Starts a daemon and does not wait: it may be about to die.
    pub(crate) fn spawn_with(&self, variables: &[(&str, &str)]) -> Result<Process> {
        let always = self.variables();
        self.site.spawn(&[&all(&always), variables].concat())
    }

    /// The variables that every daemon here runs with. Without credentials the AWS client would ask the machine's own metadata
    /// service: nothing here leaves loopback.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let ahead = self.time.file.display().to_string();
        [("CLAVIGER_AHEAD", ahead), ("AWS_EC2_METADATA_DISABLED", "true".to_owned())]
    }

    /// The time of the world and the daemon, in milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.time.now()
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, span: Duration) -> Result<()> {
        let more = i64::try_from(span.as_millis()).context("a span that fits")?;
        let ahead = self.time.ahead.load(Ordering::SeqCst) + more;
        let beside = self.time.file.with_extension("new");
        fs::write(&beside, ahead.to_string())?;
        fs::rename(beside, &self.time.file)?;
        self.time.ahead.store(ahead, Ordering::SeqCst);
        Ok(())
    }

    /// Lets time pass, `step` by `step`, until the condition holds. After each step the daemon gets a moment to act.
    pub(crate) async fn pass_until(
        &self,
        what: &str,
        step: Duration,
        mut condition: impl AsyncFnMut() -> bool,
    ) -> Result<()> {
        let mut left = 200;
        while wait_until(Duration::from_millis(500), what, &mut condition).await.is_err() {
            ensure!(left > 0, "in vain for {what}, {left} steps of {} s left", step.as_secs());
            left -= 1;
            self.pass(step)?;
        }
        Ok(())
    }

    /// `staging`: its account, a zone proven by http-01, the simulated CA.
    pub(crate) fn staging(&self) -> EnvironmentText {
        self.environment("staging", STAGING)
    }

    /// An environment with a zone `NAME.example.com` proven by http-01 and the simulated CA.
    pub(crate) fn environment(&self, name: &str, account: &str) -> EnvironmentText {
        documents::environment(name, account, REGION)
            .credentials("aws-credentials", name)
            .zone(&format!("{name}.example.com"), &[])
            .acme("simulated", &self.world.addresses().acme, None)
    }

    /// `production`, whose customers' host names lie in a zone at the simulated Cloudflare; the zone and its token are made.
    pub(crate) fn production(&self) -> Result<EnvironmentText> {
        self.production_with("")
    }

    /// The same with more fields of `edge.cloudflare`, each with a comma before it.
    pub(crate) fn production_with(&self, more: &str) -> Result<EnvironmentText> {
        let now = self.now();
        {
            let mut cloudflare = self.world.cloudflare();
            cloudflare.add_zone(now, ZONE, TARGET);
            cloudflare.add_token(TOKEN, &[ZONE], true);
        }
        self.world.dns().add(now, TARGET, claviger_sim::model::dns::Kind::A, "192.0.2.10");
        self.site.secret("cf-token", TOKEN)?;
        Ok(documents::environment("production", PRODUCTION, REGION)
            .production()
            .credentials("aws-credentials", "production")
            .edge(ZONE, "cf-token", TARGET, more))
    }

    /// Asks for a KMS operation as somebody in that account would.
    pub(crate) fn aws(&self, account: &str, operation: &str, input: &Value) -> Result<Value> {
        let principal = format!("arn:aws:iam::{account}:user/somebody");
        let caller = Caller { account: account.to_owned(), region: REGION.to_owned(), principal };
        let answer = self.world.kms().call(self.now(), &caller, operation, input);
        answer.map_err(|error| anyhow::anyhow!("{operation}: {error:?}"))
    }

    /// `clavigerctl status -o json`.
    pub(crate) fn status(&self) -> Result<Value> {
        self.site.ctl_json(&["status"])
    }

    /// What is rejected, as the status says it.
    pub(crate) fn rejected(&self) -> Vec<Value> {
        let status = self.status().unwrap_or_default();
        status["documents"]["rejected"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until a document is rejected with that code, and gives the finding.
    pub(crate) async fn wait_rejected(&self, code: &str) -> Result<Value> {
        let mut found = Value::Null;
        let what = format!("a document to be rejected with {code}");
        let waited = wait_until(SOON, &what, async || {
            found = self.rejected().into_iter().find(|finding| finding["code"] == code).unwrap_or_default();
            !found.is_null()
        });
        waited.await.with_context(|| format!("rejected: {:#?}", self.rejected()))?;
        Ok(found)
    }

    /// Waits until everything has been looked at.
    pub(crate) async fn wait_settled(&self) -> Result<()> {
        let settled = async || self.status().is_ok_and(|status| status["complete"] == true);
        wait_until(SOON, "everything to be looked at", settled).await
    }

    /// Waits until no document is rejected.
    pub(crate) async fn wait_mended(&self) -> Result<()> {
        let mended =
            async || self.status().is_ok_and(|status| status["documents"]["rejected"] == serde_json::json!([]));
        wait_until(SOON, "all documents to be in force", mended).await
    }
}

fn all<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// An AWS credentials file with a profile for each account.
fn credentials() -> String {
    documents::credentials(&[("production", PRODUCTION), ("staging", STAGING), ("test", TEST)])
}

/// What a program printed.
pub(crate) fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
