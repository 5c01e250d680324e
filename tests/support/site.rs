//! A place where a real `clavigerd` runs for a test: settings, documents, secrets and state in one folder that outlives the
//! process, so that it can be killed and started again.

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Process, Program, Scratch, free_port, plain_client, tools, wait_until};

/// The folder of a daemon.
#[derive(Debug)]
pub struct Site {
    folder: Scratch,
    http01: u16,
    metrics: u16,
    settings: Vec<String>,
    kubeconfig: Option<PathBuf>,
    port_forward: Option<u16>,
    quiet: bool,
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon<'a> {
    site: &'a Site,
    process: Process,
}

impl Site {
    /// An empty site: nothing is written before [`Site::start`].
    pub fn new() -> Result<Self> {
        let folder = Scratch::new("clavigerd")?;
        for name in ["resources", "secrets", "certificates"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        Ok(Self {
            folder,
            http01: free_port()?,
            metrics: free_port()?,
            settings: Vec::new(),
            kubeconfig: None,
            port_forward: None,
            quiet: false,
        })
    }

    /// Says nothing of what the daemon wrote when it ends: for benchmarks, whose output nobody captures.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Runs as an operator: with custom resources instead of a folder, as whoever that kubeconfig says.
    pub fn in_cluster(&mut self, kubeconfig: &Path) {
        self.kubeconfig = Some(kubeconfig.to_owned());
    }

    /// Listens for port-forwards, as in a pod; gives the port.
    pub fn hear_port_forwards(&mut self) -> Result<u16> {
        let port = free_port()?;
        self.port_forward = Some(port);
        Ok(port)
    }

    /// Another replica beside this one: a folder and listeners of its own, everything else the same.
    pub fn replica(&self) -> Result<Self> {
        let other = Self::new()?;
        for file in std::fs::read_dir(self.path().join("secrets"))? {
            let file = file?;
            std::fs::copy(file.path(), other.path().join("secrets").join(file.file_name()))?;
        }
        Ok(Self { settings: self.settings.clone(), kubeconfig: self.kubeconfig.clone(), quiet: self.quiet, ..other })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The port of its http-01 listener.
    pub const fn http01_port(&self) -> u16 {
        self.http01
    }

    /// The port of its metrics.
    pub const fn metrics_port(&self) -> u16 {
        self.metrics
    }

    /// Adds lines to the settings: `endpoints`, `hooks`, `resolvers`.
    pub fn setting(&mut self, lines: impl Into<String>) {
        self.settings.push(lines.into());
    }

    /// Sends every KMS and STS call of these Regions to an emulator.
    pub fn aws_at(&mut self, regions: &[&str], kms: &str, sts: &str, rest: &str) {
        let at = |url: &str| regions.iter().map(|region| format!("{region}: \"{url}\"")).collect::<Vec<_>>().join(", ");
        self.setting(format!("endpoints:\n  kms: {{ {} }}\n  sts: {{ {} }}\n{rest}", at(kms), at(sts)));
    }

    /// Writes or replaces a document file.
    pub fn document(&self, name: &str, text: &str) -> Result<()> {
        // Beside and renamed, as editors do: the daemon never sees half a file.
        let (beside, at) =
            (self.path().join("resources").join(format!(".{name}")), self.path().join("resources").join(name));
        std::fs::write(&beside, text)?;
        Ok(std::fs::rename(beside, at)?)
    }

    /// Removes a document file.
    pub fn remove_document(&self, name: &str) -> Result<()> {
        Ok(std::fs::remove_file(self.path().join("resources").join(name))?)
    }

    /// Writes a file that documents may read.
    pub fn secret(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path().join("secrets").join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Where an outlet's folder lies.
    pub fn outlet(&self, directory: &str) -> PathBuf {
        self.path().join("certificates").join(directory)
    }

    /// The admin socket.
    pub fn socket(&self) -> PathBuf {
        self.path().join("admin.sock")
    }

    /// The audit journal.
    pub fn journal(&self) -> PathBuf {
        self.path().join("state").join("audit.jsonl")
    }

    /// Writes the settings file and gives its path.
    pub fn write_settings(&self) -> Result<PathBuf> {
        let (http01, metrics, more) = (self.http01, self.metrics, self.settings.join("\n"));
        let forward = self.port_forward.map(|port| format!(", portForward: \"127.0.0.1:{port}\""));
        let forward = forward.unwrap_or_default();
        let source = if self.kubeconfig.is_some() { "kubernetes: {}" } else { "directory: ./resources" };
        let text = format!(
            "apiVersion: claviger.dev/v1alpha1\nkind: Settings\n\
             source: {{ {source} }}\nstate: {{ directory: ./state }}\n\
             files: {{ read: ./secrets, write: ./certificates }}\n\
             http01: {{ listen: \"127.0.0.1:{http01}\" }}\n\
             admin: {{ listen: \"unix:./admin.sock\"{forward} }}\nmetrics: {{ listen: \"127.0.0.1:{metrics}\" }}\n{more}\n"
        );
        let path = self.path().join("settings.yaml");
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts a daemon and waits until it answers.
    pub async fn start(&self) -> Result<Daemon<'_>> {
        self.start_with(&[]).await
    }

    /// The same with variables set, for example a crash point.
    pub async fn start_with(&self, variables: &[(&str, &str)]) -> Result<Daemon<'_>> {
        let mut process = self.spawn(variables)?;
        let client = plain_client()?;
        let url = format!("http://127.0.0.1:{}/healthz", self.metrics);
        let answers = async || client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
        process.ready(Duration::from_secs(60), answers).await?;
        let socket = self.socket();
        wait_until(Duration::from_secs(20), "the admin socket", async || socket.exists()).await?;
        Ok(Daemon { site: self, process })
    }

    /// Starts a daemon and does not wait: it may be about to die.
    pub fn spawn(&self, variables: &[(&str, &str)]) -> Result<Process> {
        let settings = self.write_settings()?;
        let program =
            Program::new("clavigerd", tools::binary("clavigerd")?)?.arguments(["run", "--config"]).argument(settings);
        let kubeconfig = self.kubeconfig.iter();
        let program = kubeconfig.fold(program, |program, path| program.variable("KUBECONFIG", path));
        let program = if self.quiet { program.without_tail() } else { program };
        let program = variables.iter().fold(program, |program, (name, value)| program.variable(*name, *value));
        program.start()
    }

    /// Runs `clavigerd check`.
    pub fn check(&self) -> Result<Output> {
        let settings = self.write_settings()?;
        let mut command = std::process::Command::new(tools::binary("clavigerd")?);
        Ok(command.args(["check", "--config"]).arg(settings).output()?)
    }

    /// Runs `clavigerctl` against the socket.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = std::process::Command::new(tools::binary("clavigerctl")?);
        Ok(command.arg("--socket").arg(self.socket()).args(arguments).env("NO_COLOR", "1").output()?)
    }

    /// Runs `clavigerctl … -o json` and reads what it prints.
    pub fn ctl_json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.ctl(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("clavigerctl {arguments:?} ({}): {}", output.status, String::from_utf8_lossy(&output.stderr))
        })
    }

    /// One resource as JSON; `Null` while it is not there.
    pub fn resource(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let namespaced: &[&str] = if namespace.is_empty() { &[] } else { &["-n", namespace] };
        self.ctl_json(&[&["get", kind, name], namespaced].concat()).unwrap_or(Value::Null)
    }

    /// Waits until a condition of a resource has that status.
    pub async fn wait_condition(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        condition: &str,
        status: &str,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let what = format!("{kind}/{namespace}/{name} to be {condition}={status}");
        let waited = wait_until(Duration::from_secs(90), &what, async || {
            last = self.resource(kind, namespace, name);
            condition_of(&last, condition).is_some_and(|found| found["status"] == status)
        });
        waited.await.with_context(|| format!("last seen: {last:#}"))?;
        Ok(last)
    }

    /// Waits until a resource is ready.
    pub async fn wait_ready(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        self.wait_condition(kind, namespace, name, "Ready", "True").await
    }

    /// Waits until attention is asked for with that reason.
    pub async fn wait_attention(&self, kind: &str, namespace: &str, name: &str, reason: &str) -> Result<Value> {
        let mut last = Value::Null;
        let what = format!("{kind}/{namespace}/{name} to ask for attention: {reason}");
        let waited = wait_until(Duration::from_secs(90), &what, async || {
            last = self.resource(kind, namespace, name);
            last["status"]["attention"]["reason"] == reason
        });
        waited.await.with_context(|| format!("last seen: {last:#}"))?;
        Ok(last)
    }
}

/// A condition of a resource.
pub fn condition_of<'a>(resource: &'a Value, r#type: &str) -> Option<&'a Value> {
    resource["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == r#type)
}

impl Daemon<'_> {
    /// Its process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its metrics, as Prometheus would scrape them.
    pub async fn metrics(&self) -> Result<String> {
        let url = format!("http://127.0.0.1:{}/metrics", self.site.metrics);
        Ok(plain_client()?.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Ends it without warning.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) -> Result<std::process::ExitStatus> {
        self.process.terminate()?;
        self.process.wait(Duration::from_secs(30)).await
    }
}
