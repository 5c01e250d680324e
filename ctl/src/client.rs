//! Talks to the daemon: HTTP/1.1 over its socket or over a forwarded port, one connection a question.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use claviger_config::{Moment, admin::ErrorView};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    time::timeout,
};

use crate::{
    cluster::{self, Cluster, Forwarded},
    failure::{Failure, not_understood},
};

/// The daemon, by its socket or in a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    /// In a cluster.
    Cluster(Arc<Cluster>),
    /// By its socket.
    Socket {
        /// Where.
        socket: PathBuf,
        /// Whether that is only where a socket would be if nothing is said.
        guessed: bool,
    },
}

impl Client {
    /// Speak with the daemon at that socket; `unix:` in front is how the settings write it.
    pub(crate) fn at(socket: &Path, guessed: bool) -> Self {
        let bare = socket.to_str().and_then(|text| text.strip_prefix("unix:")).map(PathBuf::from);
        Self::Socket { socket: bare.unwrap_or_else(|| socket.to_owned()), guessed }
    }

    /// The cluster, where it is one.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::Cluster(cluster) => Some(cluster),
            Self::Socket { .. } => None,
        }
    }

    /// The present, where it is known.
    pub(crate) async fn present(&self) -> Option<Moment> {
        if self.cluster().is_some() {
            return Some(cluster::present());
        }
        let answer = self.get("/v1/status").await.unwrap_or_default();
        answer.get("asOf").and_then(Value::as_str).and_then(|text| text.parse::<Moment>().ok())
    }

    /// Waits until looking at it again may show something new.
    pub(crate) async fn news(&self, path: &str) {
        match self {
            Self::Cluster(cluster) => cluster.news(path).await,
            Self::Socket { .. } => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }

    /// Ask.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        if let Some(cluster) = self.cluster()
            && let Some(answer) = cluster.answer(path).await?
        {
            return Ok(answer);
        }
        self.call(Method::GET, path, None).await
    }

    /// Ask for something to be done; an answer without a body is `null`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Value, Failure> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|source| not_understood(path, source))?;
        self.call(method, path, body).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Value, Failure> {
        let answer = self.call_once(method.clone(), path, body.clone()).await;
        match (self, answer) {
            // It stands by and has done nothing: another replica has taken over since the Lease was read.
            (Self::Cluster(cluster), Err(Failure::Refused { view, .. })) if view.code == STANDS_BY => {
                cluster.forget_leader();
                self.call_once(method, path, body).await
            }
            (_, answer) => answer,
        }
    }

    async fn call_once(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Value, Failure> {
        let (status, body) = timeout(PATIENCE, self.exchange(method, path, body))
            .await
            .map_err(|_| Failure::Silent { path: path.to_owned(), seconds: PATIENCE.as_secs() })??;
        if !status.is_success() {
            return Err(refused(status, path, &body));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|source| not_understood(path, source))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        match self {
            Self::Socket { socket, guessed } => {
                let stream = UnixStream::connect(socket).await.map_err(|source| Failure::Unreachable {
                    socket: socket.clone(),
                    kubeconfig: cluster::configured().filter(|_| *guessed),
                    source,
                })?;
                speak(stream, method, path, body).await
            }
            Self::Cluster(cluster) => {
                let mut stream = cluster.forward().await?;
                let refused = stream.take_refused();
                let spoken = speak(stream, method, path, body).await;
                let Err(failure @ Failure::Talk { .. }) = spoken else { return spoken };
                cluster.forget_leader();
                match Forwarded::refusal(refused).await {
                    Some(what) => Err(Failure::NoDaemon {
                        what: format!("the port was forwarded to nobody: {what}"),
                        hint: "look into the log of clavigerd in that pod".to_owned(),
                    }),
                    None => Err(failure),
                }
            }
        }
    }
}

/// One question and its answer over a connection.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<(StatusCode, Bytes), Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broke(path, error))?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request(method, path, body)?).await.map_err(|error| broke(path, error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
    connection.abort();
    Ok((status, body.map_err(|source| Failure::Talk { path: path.to_owned(), source })?.to_bytes()))
}

fn request(method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Request<Full<Bytes>>, Failure> {
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "localhost")
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::USER_AGENT, concat!("clavigerctl/", env!("CARGO_PKG_VERSION")));
    if body.is_some() {
        builder = builder.header(http::header::CONTENT_TYPE, "application/json");
    }
    builder.body(Full::from(body.unwrap_or_default())).map_err(|error| broke(path, error))
}

/// What the daemon said instead of doing it; a proxy or an older daemon may not speak in `Error` objects.
fn refused(status: StatusCode, path: &str, body: &[u8]) -> Failure {
    let view = serde_json::from_slice(body).unwrap_or_else(|_| {
        ErrorView::new(
            "CLV-0912",
            format!("the daemon answers {status} and does not say why"),
            path,
            "compare `clavigerctl version`: the daemon may not know this question",
        )
    });
    Failure::Refused { status: status.as_u16(), view: Box::new(view) }
}

fn broke(path: &str, error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Talk { path: path.to_owned(), source: Box::new(error) }
}

/// The daemon only reads its own memory, or writes down an ask: it never needs this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Reads of the daemon's memory are cheap; a person notices a second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// The code of a replica that stands by.
const STANDS_BY: &str = "CLV-0753";
/// More than a fleet of a hundred thousand resources takes.
const LARGEST_ANSWER: usize = 512 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_may_be_named_as_in_the_settings() {
        let client = Client::at(Path::new("unix:./admin.sock"), false);
        assert!(matches!(client, Client::Socket { socket, .. } if socket == Path::new("./admin.sock")));
    }
}
