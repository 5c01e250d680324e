use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Certificate, Client, ClientBuilder};

/// An HTTPS client that trusts this CA and no other.
pub fn client_trusting(pem: &str) -> Result<Client> {
    let roots = Certificate::from_pem_bundle(pem.as_bytes()).context("cannot read the CA's certificate")?;
    finish(builder().tls_certs_only(roots))
}

/// An HTTP client for peers without TLS.
pub fn plain_client() -> Result<Client> {
    finish(builder())
}

/// Loopback is never reached through a proxy, whatever the environment says.
fn builder() -> ClientBuilder {
    install_crypto();
    Client::builder().no_proxy().timeout(Duration::from_secs(20)).user_agent("claviger-tests")
}

fn finish(builder: ClientBuilder) -> Result<Client> {
    builder.build().context("cannot make an HTTP client")
}

/// Only the first caller in a process can install it; all install the same.
pub(crate) fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// An HTTP client that says everything to this socket, whatever host a URL names.
pub fn socket_client(socket: &std::path::Path) -> Result<Client> {
    finish(builder().unix_socket(socket))
}
