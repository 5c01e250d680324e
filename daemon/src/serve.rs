//! Serving HTTP with the limits that a bare server lacks: time to send headers, header size, number of connections.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, extract::Extension};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

/// Time to send the headers of a request.
const HEADERS: Duration = Duration::from_secs(5);
/// A connection lives so long at most.
const CONNECTION: Duration = Duration::from_secs(600);
/// Connections at once.
const CONNECTIONS: usize = 256;

/// Who speaks.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// Somebody whom the API server let forward to the pod; who that is stands in its audit log alone.
    Forwarded,
    /// This user, by the kernel's word; absent when it does not say.
    User(Option<u32>),
}

/// Serves on TCP until the token is cancelled.
pub async fn tcp(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map(|(stream, _)| stream),
            () = stop.cancelled() => return,
        };
        spawn(stream, routes.clone(), &places).await;
    }
}

/// Serves on a unix socket until the token is cancelled, each request with its peer.
pub async fn unix(listener: UnixListener, routes: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.map(|(stream, _)| stream),
            () = stop.cancelled() => return,
        };
        let uid = stream.as_ref().ok().and_then(|stream| stream.peer_cred().ok()).map(|cred| cred.uid());
        spawn(stream, routes.clone().layer(Extension(Peer::User(uid))), &places).await;
    }
}

async fn spawn<S>(stream: io::Result<S>, routes: Router, places: &Arc<Semaphore>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => {
            // Out of descriptors, most likely: give those that are open a moment to close.
            tracing::warn!("a connection could not be accepted: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        }
    };
    let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
    tokio::spawn(async move {
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(16 * 1024);
        let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
        let _ = tokio::time::timeout(CONNECTION, served).await; // how a client leaves is its own affair
        drop(place);
    });
}
