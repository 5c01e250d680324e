//! The CA's validator: it fetches http-01 for real, from one address whatever the name, and looks dns-01 up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::super::world::Shared;
use crate::fault::Service;
use crate::lock;
use crate::model::acme::{Method, Probe, Problem};

/// Works on validations until the world stops.
pub(crate) async fn validate(shared: Arc<Shared>, base: String) {
    // The world's clock may be moved by hand, so there is no moment to sleep until.
    let mut glance = tokio::time::interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = glance.tick() => {}
        }
        let probes = lock(&shared.acme).take_probes(shared.now());
        for probe in probes {
            shared.tasks.spawn(one(Arc::clone(&shared), base.clone(), probe));
        }
    }
}

async fn one(shared: Arc<Shared>, base: String, probe: Probe) {
    let seen = tokio::select! {
        () = shared.stop.cancelled() => return,
        seen = look(&shared, &probe) => seen,
    };
    let now = shared.now();
    {
        let mut acme = lock(&shared.acme);
        let account = acme.authorizations().find(|one| one.id == probe.authorization).map(|one| one.account.clone());
        let url = format!("{base}/acct/{}", account.unwrap_or_default());
        acme.conclude(now, &lock(&shared.dns), &url, &probe, seen);
    }
    // A state that cannot be written shows at the next call, which then fails.
    let _ = shared.keep(Service::Acme);
}

async fn look(shared: &Shared, probe: &Probe) -> Result<(), Problem> {
    if probe.method == Method::Dns01 {
        return Ok(());
    }
    let at = format!("http://{}/.well-known/acme-challenge/{}", probe.name, probe.token);
    let broken = |why: &str| Problem::new("connection", format!("127.0.0.1: Fetching {at}: {why}"));
    let address = shared.options.http01.ok_or_else(|| broken("Connection refused"))?;
    let fetched = tokio::time::timeout(PATIENCE, fetch(address, probe)).await;
    let (status, body) = match fetched {
        Err(_) => return Err(broken("Timeout during connect (likely firewall problem)")),
        Ok(Err(error)) => return Err(broken(&error)),
        Ok(Ok(fetched)) => fetched,
    };
    if status != 200 {
        return Err(Problem::new("unauthorized", format!("127.0.0.1: Invalid response from {at}: {status}")));
    }
    let body = String::from_utf8_lossy(&body).trim_end().to_owned();
    if body != probe.key_authorization {
        let detail = format!(
            "The key authorization file from the server did not match this challenge. Expected {:?} (got {body:?})",
            probe.key_authorization
        );
        return Err(Problem::new("unauthorized", detail));
    }
    Ok(())
}

async fn fetch(address: SocketAddr, probe: &Probe) -> Result<(u16, Bytes), String> {
    let stream = TcpStream::connect(address).await.map_err(|_| "Connection refused")?;
    let broken = |error: hyper::Error| format!("Error getting validation data: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("/.well-known/acme-challenge/{}", probe.token))
        .header("host", &probe.name)
        .header("user-agent", "Mozilla/5.0 (compatible; claviger-sim validation server)")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), LARGEST_FILE).collect().await.map_err(|error| error.to_string())?;
    connection.abort();
    Ok((status, body.to_bytes()))
}

const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST_FILE: usize = 64 * 1024;
