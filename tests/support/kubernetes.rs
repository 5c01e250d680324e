use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Client;

use crate::challenge_dns::loopback;
use crate::{Process, Program, TestAuthority, client_trusting, free_port, plain_client, tools, wait_until};

mod audit;
mod faults;
mod kubeconfig;
mod kubelet;

pub use audit::ApiRequest;
pub use faults::{ApiCall, ApiFault, ApiFaults, ApiRule, Watches};
pub use kubeconfig::Kubeconfig;
pub use kubelet::Kubelet;

/// An API server with its etcd. Role-based access control holds, nobody has rights but the administrator, and nothing
/// stands between a request and its object: no controllers run.
///
/// So what a controller would do does not happen: owned objects stay when their owner goes, a namespace that is deleted
/// stays `Terminating`, a Deployment has no Pods, a Service no endpoints, a namespace no default ServiceAccount.
#[derive(Debug)]
pub struct Kubernetes {
    address: SocketAddr,
    url: String,
    authority: TestAuthority,
    client: Client,
    admin: Kubeconfig,
    audit_log: PathBuf,
    marks: AtomicU32,
    // The server ends before the database that it keeps asking for.
    server: Process,
    etcd: Process,
}

impl Kubernetes {
    /// Starts an empty one.
    pub async fn start() -> Result<Self> {
        let (database, etcd) = start_etcd().await?;
        let address = loopback(free_port()?);
        let url = format!("https://{address}");
        let authority = TestAuthority::new("Kubernetes")?;
        let program = Program::new("kube-apiserver", tools::kube_apiserver()?)?;
        write_settings(&program, &authority)?;
        let audit_log = program.scratch().path().join(AUDIT_LOG);
        let server = program.arguments(flags(address, &database)).start()?;
        let client = client_trusting(authority.pem())?;
        let admin = Kubeconfig::by_certificate(&url, &authority, ADMINISTRATOR, &["system:masters"])?;
        let marks = AtomicU32::new(0);
        let mut kubernetes = Self { address, url, authority, client, admin, audit_log, marks, server, etcd };
        kubernetes.ready().await?;
        Ok(kubernetes)
    }

    /// Where the API is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same as a socket address, for a proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA of the API server's TLS, which is that of its clients too.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// Whoever may do everything.
    pub fn admin(&self) -> &Kubeconfig {
        &self.admin
    }

    /// Someone with a client certificate, in up to two groups. Without a binding such a user may do next to nothing.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<Kubeconfig> {
        Kubeconfig::by_certificate(&self.url, &self.authority, user, groups)
    }

    /// A ServiceAccount that exists, with a token that the API server made for it, at home in its namespace, as a Pod would have it. Unlike a
    /// certificate it works through a [`crate::Proxy`] too. To the audit log its user is
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub async fn kubeconfig_of(&self, namespace: &str, service_account: &str) -> Result<Kubeconfig> {
        let arguments = ["create", "token", service_account, "--namespace", namespace, "--duration=24h"];
        let token = self.kubectl(&arguments, "").await?;
        Kubeconfig::by_token(&self.url, self.ca_pem(), token.trim(), namespace)
    }

    /// Runs kubectl as the administrator, and gives what it printed. An error holds what it complained of.
    pub async fn kubectl(&self, arguments: &[&str], standard_input: &str) -> Result<String> {
        self.admin.kubectl(arguments, standard_input).await
    }

    /// Applies documents as the administrator.
    pub async fn apply(&self, documents: &str) -> Result<String> {
        self.admin.apply(documents).await
    }

    /// Every request that was answered so far, from all users and the API server's own, in the order of their ends. A
    /// watch counts from its beginning.
    pub async fn requests(&self) -> Result<Vec<ApiRequest>> {
        self.settle().await?;
        audit::read(&self.audit_log)
    }

    /// What this user asked to be written, with the answers.
    pub async fn writes_by(&self, user: &str) -> Result<Vec<ApiRequest>> {
        let requests = self.requests().await?;
        Ok(requests.into_iter().filter(|request| request.user == user && request.is_write()).collect())
    }

    /// Ends the API server without warning and starts it again at the same address. Objects stay, connections do not.
    pub async fn restart(&mut self) -> Result<()> {
        self.server.restart()?;
        self.ready().await
    }

    /// Ends the API server without warning: from now on connections are refused.
    pub fn stop(&mut self) -> Result<()> {
        self.server.kill()
    }

    /// Ends the outage of [`Self::stop`].
    pub async fn start_again(&mut self) -> Result<()> {
        self.restart().await
    }

    /// The API server's process, to freeze it or to read its log.
    pub fn server(&mut self) -> &mut Process {
        &mut self.server
    }

    /// The database's process: while it is frozen, the API server answers nothing or that it cannot.
    pub fn etcd(&mut self) -> &mut Process {
        &mut self.etcd
    }

    async fn ready(&mut self) -> Result<()> {
        let (client, url) = (&self.client, format!("{}/readyz", self.url));
        let healthy = async || client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
        self.server.ready(START, healthy).await
    }

    /// An answer may arrive before its line is in the log. The line of a later request is waited for, so that those of
    /// earlier ones are there. A server that has ended writes nothing any more.
    async fn settle(&self) -> Result<()> {
        let mark = format!("/settled/{}", self.marks.fetch_add(1, Ordering::Relaxed));
        match self.client.get(format!("{}{mark}", self.url)).send().await {
            Ok(_) => wait_until(START, "the audit log", async || audit::ends_with(&self.audit_log, &mark)).await,
            Err(error) if error.is_connect() => Ok(()),
            Err(error) => Err(error).context("the API server does not answer"),
        }
    }
}

/// The name that the audit log has for [`Kubernetes::admin`].
const ADMINISTRATOR: &str = "admin";

/// It takes four seconds on a machine that does nothing else.
const START: Duration = Duration::from_secs(90);

const AUDIT_LOG: &str = "audit.log";

async fn start_etcd() -> Result<(String, Process)> {
    let [clients, peers] = [free_port()?, free_port()?].map(|port| format!("http://{}", loopback(port)));
    let mut process = Program::new("etcd", tools::etcd()?)?
        .arguments(["--name=test", "--data-dir=data", "--log-level=warn", "--unsafe-no-fsync"])
        .argument(format!("--listen-client-urls={clients}"))
        .argument(format!("--advertise-client-urls={clients}"))
        .argument(format!("--listen-peer-urls={peers}"))
        .argument(format!("--initial-advertise-peer-urls={peers}"))
        .argument(format!("--initial-cluster=test={peers}"))
        .start()?;
    let (client, url) = (plain_client()?, format!("{clients}/readyz"));
    let healthy = async || client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
    process.ready(START, healthy).await?;
    Ok((clients, process))
}

fn write_settings(program: &Program, authority: &TestAuthority) -> Result<()> {
    let folder = program.scratch();
    let identity = authority.server(&["127.0.0.1", "localhost", "kubernetes.default.svc"])?;
    let signer = rcgen::KeyPair::generate()?;
    folder.write("ca.pem", authority.pem())?;
    folder.write("server.pem", identity.certificate_pem())?;
    folder.write("server.key", identity.key_pem())?;
    folder.write("tokens.key", signer.serialize_pem())?;
    folder.write("tokens.pub", signer.public_key_pem())?;
    folder.write("audit.yaml", AUDIT_POLICY)?;
    Ok(())
}

/// Who did what to which object, without bodies, so no secret stands in it.
const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{ level: Metadata }]
";

fn flags(address: SocketAddr, database: &str) -> Vec<String> {
    let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
    flags.push(format!("--etcd-servers={database}"));
    flags.push(format!("--secure-port={}", address.port()));
    flags
}

const FLAGS: &[&str] = &[
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    "--endpoint-reconciler-type=none",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--cert-dir=certificates",
    "--tls-cert-file=server.pem",
    "--tls-private-key-file=server.key",
    "--client-ca-file=ca.pem",
    "--authorization-mode=RBAC",
    // It would refuse Pods of namespaces without a default ServiceAccount, which a controller makes.
    "--disable-admission-plugins=ServiceAccount",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--service-account-key-file=tokens.pub",
    "--service-account-signing-key-file=tokens.key",
    "--audit-policy-file=audit.yaml",
    "--audit-log-path=audit.log",
    // In megabytes; beyond them it would begin another file.
    "--audit-log-maxsize=16384",
];
