use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{Process, Program, free_port, plain_client, tools};

/// The DNS server that Pebble asks: every name is 127.0.0.1 until told otherwise. It hears UDP and TCP.
#[derive(Debug)]
pub struct ChallengeDns {
    address: SocketAddr,
    management: SocketAddr,
    client: Client,
    _process: Process,
}

impl ChallengeDns {
    /// Starts it, with no challenge server but DNS.
    pub async fn start() -> Result<Self> {
        let (address, management) = (loopback(free_port()?), loopback(free_port()?));
        let mut process = Program::new("challtestsrv", tools::challtestsrv()?)?
            .arguments(["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""])
            .arguments(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .arguments(["-dnsserver", &address.to_string(), "-management", &management.to_string()])
            .start()?;
        let client = plain_client()?;
        let history = format!("http://{management}/dns-request-history");
        let question = json!({ "host": "ready.invalid" });
        process
            .ready(Duration::from_secs(20), async || {
                let heard = tokio::net::TcpStream::connect(address).await.is_ok();
                heard
                    && client
                        .post(&history)
                        .json(&question)
                        .send()
                        .await
                        .is_ok_and(|answer| answer.status().is_success())
            })
            .await?;
        Ok(Self { address, management, client, _process: process })
    }

    /// Where it hears.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a TXT value.
    pub async fn add_txt(&self, name: &str, value: &str) -> Result<()> {
        self.tell("set-txt", json!({ "host": absolute(name), "value": value })).await
    }

    /// Forgets the TXT values of a name.
    pub async fn clear_txt(&self, name: &str) -> Result<()> {
        self.tell("clear-txt", json!({ "host": absolute(name) })).await
    }

    /// Gives a name addresses of its own.
    pub async fn set_addresses(&self, name: &str, addresses: &[Ipv4Addr]) -> Result<()> {
        self.tell("add-a", json!({ "host": absolute(name), "addresses": addresses })).await
    }

    /// Gives a name the usual address again.
    pub async fn clear_addresses(&self, name: &str) -> Result<()> {
        self.tell("clear-a", json!({ "host": absolute(name) })).await
    }

    /// Makes a name an alias.
    pub async fn set_cname(&self, name: &str, target: &str) -> Result<()> {
        self.tell("set-cname", json!({ "host": absolute(name), "target": absolute(target) })).await
    }

    /// Forgets an alias.
    pub async fn clear_cname(&self, name: &str) -> Result<()> {
        self.tell("clear-cname", json!({ "host": absolute(name) })).await
    }

    /// Answers SERVFAIL to every question about a name.
    pub async fn set_servfail(&self, name: &str) -> Result<()> {
        self.tell("set-servfail", json!({ "host": absolute(name) })).await
    }

    /// Ends the SERVFAIL of a name.
    pub async fn clear_servfail(&self, name: &str) -> Result<()> {
        self.tell("clear-servfail", json!({ "host": absolute(name) })).await
    }

    /// How often a name was asked about.
    pub async fn questions(&self, name: &str) -> Result<usize> {
        // The history, unlike all else there, knows names without their last dot.
        let answer = self.ask("dns-request-history", json!({ "host": name.trim_end_matches('.') })).await?;
        let history: Value = answer.json().await.context("the history is no JSON")?;
        Ok(history.as_array().map_or(0, Vec::len))
    }

    async fn tell(&self, verb: &str, body: Value) -> Result<()> {
        self.ask(verb, body).await.map(drop)
    }

    async fn ask(&self, verb: &str, body: Value) -> Result<reqwest::Response> {
        let url = format!("http://{}/{verb}", self.management);
        let answer = self.client.post(url).json(&body).send().await.and_then(reqwest::Response::error_for_status);
        answer.with_context(|| format!("the challenge server refuses `{verb}` of {body}"))
    }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The server knows names only with their last dot.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}
