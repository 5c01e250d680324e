//! What OpenSSL says to certificates and keys.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{Scratch, tools};

/// Verifies a chain (leaf first, as a server sends it) up to one of these roots, for a server of this name.
pub fn verify(chain: &str, roots: &str, server_name: &str) -> Result<()> {
    let scratch = Scratch::new("openssl")?;
    let (chain, roots) = (scratch.write("chain.pem", chain)?, scratch.write("roots.pem", roots)?);
    let mut command = Command::new(tools::openssl()?);
    command.args(["verify", "-no-CApath", "-no-CAstore", "-purpose", "sslserver"]);
    command.args(["-verify_hostname", server_name, "-CAfile"]).arg(roots).arg("-untrusted").arg(&chain).arg(&chain);
    run(&mut command).map(drop)
}

/// The public key of a certificate, as PEM.
pub fn public_key_of_certificate(certificate: &str) -> Result<String> {
    let scratch = Scratch::new("openssl")?;
    let file = scratch.write("certificate.pem", certificate)?;
    run(Command::new(tools::openssl()?).args(["x509", "-noout", "-pubkey", "-in"]).arg(file))
}

/// The public key that belongs to a private key, as PEM.
pub fn public_key_of_private_key(key: &str) -> Result<String> {
    let scratch = Scratch::new("openssl")?;
    let file = scratch.write("key.pem", key)?;
    run(Command::new(tools::openssl()?).args(["pkey", "-pubout", "-in"]).arg(file))
}

/// A certificate in words: its key, names, dates and extensions.
pub fn describe(certificate: &str) -> Result<String> {
    let scratch = Scratch::new("openssl")?;
    let file = scratch.write("certificate.pem", certificate)?;
    run(Command::new(tools::openssl()?).args(["x509", "-noout", "-text", "-in"]).arg(file))
}

/// What a PKCS#12 file holds, as PEM with words around it.
pub fn pkcs12(file: &Path, password: &str) -> Result<String> {
    let mut command = Command::new(tools::openssl()?);
    command.args(["pkcs12", "-noenc", "-passin", "env:PASSWORD", "-in"]).arg(file).env("PASSWORD", password);
    run(&mut command)
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context("cannot run openssl")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl refuses it:\n{complaint}");
    Ok(String::from_utf8(output.stdout)?)
}
