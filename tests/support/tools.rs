//! Where the programs are that the tests start.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

/// Pebble.
pub fn pebble() -> Result<PathBuf> {
    named_by("CLAVIGER_PEBBLE")
}

/// Pebble's DNS server.
pub fn challtestsrv() -> Result<PathBuf> {
    named_by("CLAVIGER_PEBBLE_CHALLTESTSRV")
}

/// A Python that has the packages of `tests/peers/requirements.txt`.
pub fn python() -> Result<PathBuf> {
    named_by("CLAVIGER_PYTHON")
}

/// Prometheus' checker.
pub fn promtool() -> Result<PathBuf> {
    named_by("CLAVIGER_PROMTOOL")
}

/// The `openssl` command.
pub fn openssl() -> Result<PathBuf> {
    named_by("CLAVIGER_OPENSSL")
}

/// The database of [`kube_apiserver`].
pub fn etcd() -> Result<PathBuf> {
    named_by("CLAVIGER_ETCD")
}

/// Kubernetes' API server.
pub fn kube_apiserver() -> Result<PathBuf> {
    named_by("CLAVIGER_KUBE_APISERVER")
}

/// Kubernetes' command line.
pub fn kubectl() -> Result<PathBuf> {
    named_by("CLAVIGER_KUBECTL")
}

/// What renders and installs charts.
pub fn helm() -> Result<PathBuf> {
    named_by("CLAVIGER_HELM")
}

/// A binary of this workspace, such as `clavigerd`, built with the same profile as the test that asks.
pub fn binary(name: &str) -> Result<PathBuf> {
    // A test program is `<target>/<profile>/deps/e2e-<hash>`, a binary of ours `<target>/<profile>/<name>`.
    let program = std::env::current_exe()?;
    let found = program.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| anyhow::anyhow!("`{name}` is not built: run `cargo build --workspace --all-targets --locked`"))
}

fn named_by(variable: &str) -> Result<PathBuf> {
    let Some(path) = std::env::var_os(variable).map(PathBuf::from) else {
        bail!("`{variable}` is not set: run the tests by `tests/run`, or first `eval \"$(tests/run --env)\"`")
    };
    ensure!(path.is_file(), "`{variable}` names `{}`, which is not there: run `tests/run --peers`", path.display());
    Ok(path)
}
