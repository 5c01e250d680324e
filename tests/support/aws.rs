use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde_json::Value;

use crate::challenge_dns::loopback;
use crate::{Process, Program, free_port, plain_client, tools};

/// An AWS that nobody here wrote, at one address for all its services.
#[derive(Debug)]
pub struct Aws {
    address: SocketAddr,
    endpoint: String,
    client: Client,
    process: Process,
}

impl Aws {
    /// The address to give as the endpoint of `kms` and `sts`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The same as a socket address, for a proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, to freeze it, end it or read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks KMS directly, past the code under test: to see with other eyes what it did.
    pub async fn kms(&self, region: &str, action: &str, body: &Value) -> Result<Value> {
        self.kms_by(&self.endpoint, region, action, body).await
    }

    /// The same by way of another endpoint, such as a proxy's.
    pub async fn kms_by(&self, endpoint: &str, region: &str, action: &str, body: &Value) -> Result<Value> {
        let scope = format!("Credential=AKIAIOSFODNN7EXAMPLE/20260101/{region}/kms/aws4_request");
        let request = self
            .client
            .post(endpoint)
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=unchecked"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("TrentService.{action}"))
            .body(body.to_string());
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "`{action}` is refused ({status}): {text}");
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).with_context(|| text) }
    }

    async fn start(program: Program, port: u16, health: &str) -> Result<Self> {
        let address = loopback(port);
        let endpoint = format!("http://{address}");
        let client = plain_client()?;
        let mut process = program.start()?;
        let url = format!("{endpoint}{health}");
        let healthy = async || client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
        process.ready(START, healthy).await?;
        Ok(Self { address, endpoint, client, process })
    }
}

/// moto: right about rotation, encryption contexts, accounts by AssumeRole and Region isolation; wrong about `Sign` with
/// a digest (it hashes again) and about disabled keys (it still uses them).
#[derive(Debug)]
pub struct Moto(Aws);

impl Moto {
    /// Starts an empty one.
    pub async fn start() -> Result<Self> {
        let port = free_port()?;
        let program = Program::new("moto", tools::python()?)?
            .arguments(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .argument(port.to_string());
        Aws::start(program, port, "/moto-api/data.json").await.map(Self)
    }
}

/// MiniStack: right about signing, key states and material ids; it has no rotation, and decrypts with the wrong key to
/// garbage.
#[derive(Debug)]
pub struct Ministack(Aws);

impl Ministack {
    /// Starts an empty one. Whatever would hear on another port, or on all addresses, is switched off.
    pub async fn start() -> Result<Self> {
        let port = free_port()?;
        let program = Program::new("ministack", tools::python()?)?
            .arguments(["-m", "ministack"])
            .variable("BIND_HOST", "127.0.0.1")
            .variable("GATEWAY_PORT", port.to_string())
            .variable("SERVICES", "kms,sts,iam")
            .variable("SFTP_ENABLED", "0")
            .variable("IOT_MTLS_ENABLED", "0");
        Aws::start(program, port, "/_ministack/health").await.map(Self)
    }
}

impl Deref for Moto {
    type Target = Aws;

    fn deref(&self) -> &Aws {
        &self.0
    }
}

impl DerefMut for Moto {
    fn deref_mut(&mut self) -> &mut Aws {
        &mut self.0
    }
}

impl Deref for Ministack {
    type Target = Aws;

    fn deref(&self) -> &Aws {
        &self.0
    }
}

impl DerefMut for Ministack {
    fn deref_mut(&mut self) -> &mut Aws {
        &mut self.0
    }
}

/// Python on a busy machine takes its time.
const START: Duration = Duration::from_secs(60);
