use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{Program, Scratch, TestAuthority, tools};

/// Someone who talks to an API server: a file for clients, and the command lines that use it.
#[derive(Debug)]
pub struct Kubeconfig {
    user: Value,
    namespace: String,
    path: PathBuf,
    _scratch: Scratch,
}

impl Kubeconfig {
    pub(super) fn by_certificate(url: &str, authority: &TestAuthority, name: &str, groups: &[&str]) -> Result<Self> {
        let identity = authority.client(name, groups)?;
        let user = json!({
            "client-certificate-data": STANDARD.encode(identity.certificate_pem),
            "client-key-data": STANDARD.encode(identity.key_pem),
        });
        Self::write(url, authority.pem(), user, "default")
    }

    pub(super) fn by_token(url: &str, ca_pem: &str, token: &str, namespace: &str) -> Result<Self> {
        Self::write(url, ca_pem, json!({ "token": token }), namespace)
    }

    /// The same user at another address, such as a proxy's, which answers with a certificate of this CA. A client
    /// certificate does not pass a proxy that ends TLS; a token does.
    pub fn through(&self, url: &str, ca_pem: &str) -> Result<Self> {
        Self::write(url, ca_pem, self.user.clone(), &self.namespace)
    }

    pub(super) fn write(url: &str, ca_pem: &str, user: Value, namespace: &str) -> Result<Self> {
        let cluster = json!({ "server": url, "certificate-authority-data": STANDARD.encode(ca_pem) });
        // JSON is YAML.
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "test", "user": user }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": namespace } }],
            "current-context": "test",
        });
        let scratch = Scratch::new("kubeconfig")?;
        let path = scratch.write("config", document.to_string())?;
        Ok(Self { user, namespace: namespace.to_owned(), path, _scratch: scratch })
    }

    /// The file, for `KUBECONFIG`; it lies there as long as this value lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `clavigerctl` with it and nothing else that would name a daemon.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(tools::binary("clavigerctl")?);
        command.arg("--kubeconfig").arg(&self.path).args(arguments);
        Ok(command.env_remove("KUBECONFIG").env_remove("CLAVIGER_SOCKET").env("NO_COLOR", "1").output()?)
    }

    /// Runs kubectl and gives what it printed. An error holds what it complained of.
    pub async fn kubectl(&self, arguments: &[&str], standard_input: &str) -> Result<String> {
        self.run(Program::new("kubectl", tools::kubectl()?)?, arguments, standard_input).await
    }

    /// Creates or changes what these documents describe.
    pub async fn apply(&self, documents: &str) -> Result<String> {
        self.kubectl(&["apply", "--filename=-"], documents).await
    }

    /// Runs Helm and gives what it printed. An error holds what it complained of.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.run(Program::new("helm", tools::helm()?)?, arguments, "").await
    }

    async fn run(&self, program: Program, arguments: &[&str], standard_input: &str) -> Result<String> {
        let program = program.without_tail().variable("KUBECONFIG", OsString::from(&self.path));
        let mut process = program.arguments(arguments).standard_input(standard_input)?.start()?;
        let status = process.wait(DEADLINE).await?;
        ensure!(status.success(), "`{}` ends with {status}:\n{}", arguments.join(" "), process.stderr());
        Ok(process.stdout())
    }
}

/// Longer than any `kubectl wait --timeout` of a story.
const DEADLINE: Duration = Duration::from_secs(600);
