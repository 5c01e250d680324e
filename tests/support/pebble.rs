use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::challenge_dns::loopback;
use crate::{ChallengeDns, Process, Program, TestAuthority, client_trusting, free_port, tools};

/// Where Pebble has its endpoints, for rules of a [`crate::Proxy`] and for counting.
pub mod endpoint {
    /// The directory.
    pub const DIRECTORY: &str = "/dir";
    /// newNonce.
    pub const NEW_NONCE: &str = "/nonce-plz";
    /// newAccount.
    pub const NEW_ACCOUNT: &str = "/sign-me-up";
    /// newOrder.
    pub const NEW_ORDER: &str = "/order-plz";
    /// revokeCert.
    pub const REVOKE: &str = "/revoke-cert";
    /// keyChange.
    pub const KEY_CHANGE: &str = "/rollover-account-key";
    /// Accounts.
    pub const ACCOUNT: &str = "/my-account/";
    /// Orders.
    pub const ORDER: &str = "/my-order/";
    /// Finalizing an order.
    pub const FINALIZE: &str = "/finalize-order/";
    /// Authorizations.
    pub const AUTHORIZATION: &str = "/authZ/";
    /// Challenges.
    pub const CHALLENGE: &str = "/chalZ/";
    /// Certificates.
    pub const CERTIFICATE: &str = "/certZ/";
    /// ARI.
    pub const RENEWAL_INFO: &str = "/draft-ietf-acme-ari-03/renewalInfo/";
}

/// How Pebble is to behave.
#[derive(Clone, Debug)]
pub struct PebbleOptions {
    /// Where http-01 knocks: the port of the listener under test. A free port is taken when absent.
    pub http01_port: Option<u16>,
    /// The DNS server that validation asks, over TCP. A [`ChallengeDns`] of its own is started when absent.
    pub dns_server: Option<SocketAddr>,
    /// How many good nonces of a hundred are refused.
    pub rejected_nonces_percent: u8,
    /// How often of a hundred times a valid authorization is used again.
    pub reused_authorizations_percent: u8,
    /// The certificate profiles on offer.
    pub profiles: Vec<Profile>,
    /// Refuses what a future Pebble will refuse.
    pub strict: bool,
    /// What intermediates and leaves are signed with.
    pub key_algorithm: KeyAlgorithm,
    /// How many intermediates a chain has.
    pub chain_length: u8,
    /// How many roots there are beside the first, each with a chain of its own.
    pub alternate_roots: u8,
    /// Seconds of `Retry-After` on authorizations, as a number or as a date by Pebble's whim; none when 0.
    pub authorization_retry_after: u32,
    /// The same on orders.
    pub order_retry_after: u32,
    /// Waits up to this many seconds before it validates; 0 for at once.
    pub validation_delay: u32,
    /// Key id and MAC key (base64url) of external accounts; an account needs one of them when any stands here.
    pub external_accounts: BTreeMap<String, String>,
    /// Domains that are refused.
    pub blocked_domains: Vec<String>,
}

impl Default for PebbleOptions {
    fn default() -> Self {
        Self {
            http01_port: None,
            dns_server: None,
            rejected_nonces_percent: 20,
            reused_authorizations_percent: 0,
            profiles: vec![Profile::new("default", 90), Profile::new("shortlived", 6)],
            strict: true,
            key_algorithm: KeyAlgorithm::Ecdsa,
            chain_length: 1,
            alternate_roots: 0,
            authorization_retry_after: 1,
            order_retry_after: 1,
            validation_delay: 0,
            external_accounts: BTreeMap::new(),
            blocked_domains: vec![],
        }
    }
}

/// A certificate profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// How long its certificates are valid.
    pub validity: Duration,
}

impl Profile {
    /// A profile whose certificates last so many days.
    pub fn new(name: &str, days: u64) -> Self {
        Self { name: name.into(), validity: Duration::from_secs(days * 86_400) }
    }
}

/// What the CA's keys are.
#[derive(Clone, Copy, Debug)]
pub enum KeyAlgorithm {
    /// P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

/// What Pebble knows of a certificate that it issued.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct CertificateStatus {
    /// `Valid` or `Revoked`.
    pub status: String,
    /// Why it was revoked, by RFC 5280 section 5.3.1, where a reason was given.
    pub reason: Option<u8>,
}

/// A running Pebble. A restart makes it forget everything, its root too.
#[derive(Debug)]
pub struct Pebble {
    address: SocketAddr,
    management: SocketAddr,
    http01_port: u16,
    directory: String,
    authority: TestAuthority,
    server_ca: PathBuf,
    client: Client,
    dns: Option<ChallengeDns>,
    process: Process,
}

impl Pebble {
    /// Starts it, and what it needs.
    pub async fn start(options: PebbleOptions) -> Result<Self> {
        let dns = match options.dns_server {
            Some(_) => None,
            None => Some(ChallengeDns::start().await?),
        };
        let resolver = options.dns_server.or_else(|| dns.as_ref().map(ChallengeDns::address));
        let resolver = resolver.context("one of the two is set")?;
        let (address, management) = (loopback(free_port()?), loopback(free_port()?));
        let http01_port = options.http01_port.map_or_else(free_port, Ok)?;
        let authority = TestAuthority::new("Pebble's TLS")?;
        let program = Program::new("pebble", tools::pebble()?)?;
        let server_ca = program.scratch().write("server-ca.pem", authority.pem())?;
        write_identity(&program, &authority)?;
        let settings = settings(&options, address, management, http01_port);
        program.scratch().write("pebble.json", settings.to_string())?;
        let process = with_options(program, &options, resolver).start()?;
        let client = client_trusting(authority.pem())?;
        let directory = format!("https://{address}{}", endpoint::DIRECTORY);
        let mut pebble =
            Self { address, management, http01_port, directory, authority, server_ca, client, dns, process };
        pebble.ready().await?;
        Ok(pebble)
    }

    /// The ACME directory's URL.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Where the ACME endpoints are.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where validation by http-01 knocks.
    pub fn http01_port(&self) -> u16 {
        self.http01_port
    }

    /// The CA of the endpoints' TLS, as a file: what an issuer's `trustedRoots` names.
    pub fn server_ca(&self) -> &Path {
        &self.server_ca
    }

    /// The same as text.
    pub fn server_ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The DNS server started with it.
    pub fn dns(&self) -> Result<&ChallengeDns> {
        self.dns.as_ref().context("this Pebble asks the `dns_server` of its options")
    }

    /// Its process, to freeze it or to read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The root that issued certificates lead to.
    pub async fn issuing_root(&self) -> Result<String> {
        self.root(0).await
    }

    /// The root with this number; the first is 0, alternate ones follow.
    pub async fn root(&self, number: u8) -> Result<String> {
        let answer = self.client.get(self.managed(&format!("roots/{number}"))).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Makes ARI answer this body, which may be anything, for a certificate.
    pub async fn set_renewal_info(&self, certificate_pem: &str, body: &str) -> Result<()> {
        let question = json!({ "certificate": certificate_pem, "ariResponse": body });
        let answer = self.client.post(self.managed("set-renewal-info/")).json(&question).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "Pebble refuses the renewal info ({status}): {}", answer.text().await?);
        Ok(())
    }

    /// What it knows of a certificate, by serial in hexadecimal; nothing when it never issued it.
    pub async fn certificate_status(&self, serial: &str) -> Result<Option<CertificateStatus>> {
        let answer = self.client.get(self.managed(&format!("cert-status-by-serial/{serial}"))).send().await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            _ => Ok(Some(answer.error_for_status()?.json().await?)),
        }
    }

    /// Starts it again at the same address: accounts, orders and root are gone.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<()> {
        let (directory, root) = (self.directory.clone(), self.managed("roots/0"));
        let client = self.client.clone();
        let answers = async |url: &str| client.get(url).send().await.is_ok_and(|answer| answer.status().is_success());
        self.process.ready(START, async || answers(&directory).await && answers(&root).await).await
    }

    fn managed(&self, path: &str) -> String {
        format!("https://{}/{path}", self.management)
    }
}

const START: Duration = Duration::from_secs(30);

fn write_identity(program: &Program, authority: &TestAuthority) -> Result<()> {
    let identity = authority.server(&["127.0.0.1", "localhost"])?;
    program.scratch().write("server.pem", identity.certificate_pem())?;
    program.scratch().write("server.key", identity.key_pem())?;
    Ok(())
}

fn settings(options: &PebbleOptions, address: SocketAddr, management: SocketAddr, http01_port: u16) -> Value {
    let profiles: BTreeMap<&str, Value> = options.profiles.iter().map(described).collect();
    json!({ "pebble": {
        "listenAddress": address,
        "managementListenAddress": management,
        "certificate": "server.pem",
        "privateKey": "server.key",
        "httpPort": http01_port,
        // Nobody hears there: tls-alpn-01 fails, as it should.
        "tlsPort": 1,
        "profiles": profiles,
        "keyAlgorithm": match options.key_algorithm { KeyAlgorithm::Ecdsa => "ecdsa", KeyAlgorithm::Rsa => "rsa" },
        "retryAfter": { "authz": options.authorization_retry_after, "order": options.order_retry_after },
        "domainBlocklist": options.blocked_domains,
        "externalAccountBindingRequired": !options.external_accounts.is_empty(),
        "externalAccountMACKeys": options.external_accounts,
    }})
}

fn described(profile: &Profile) -> (&str, Value) {
    let value = json!({ "description": profile.name, "validityPeriod": profile.validity.as_secs() });
    (&profile.name, value)
}

fn with_options(program: Program, options: &PebbleOptions, resolver: SocketAddr) -> Program {
    let program = program
        .arguments(["-config", "pebble.json", "-dnsserver", &resolver.to_string()])
        .variable("PEBBLE_WFE_NONCEREJECT", options.rejected_nonces_percent.to_string())
        .variable("PEBBLE_AUTHZREUSE", options.reused_authorizations_percent.to_string())
        .variable("PEBBLE_CHAIN_LENGTH", options.chain_length.to_string())
        .variable("PEBBLE_ALTERNATE_ROOTS", options.alternate_roots.to_string());
    let program = match options.validation_delay {
        0 => program.variable("PEBBLE_VA_NOSLEEP", "1"),
        seconds => program.variable("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
    };
    if options.strict { program.argument("-strict") } else { program }
}
