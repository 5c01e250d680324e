//! Talks to the daemon: HTTP/1.1 over its socket, one connection a question.

use std::{path::Path, path::PathBuf, time::Duration};

use bytes::Bytes;
use claviger_config::admin::ErrorView;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};

use crate::failure::Failure;

/// The daemon, by its socket.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    /// Speak with the daemon at that socket; `unix:` in front is how the settings write it.
    pub(crate) fn new(socket: &Path) -> Self {
        let bare = socket.to_str().and_then(|text| text.strip_prefix("unix:")).map(PathBuf::from);
        Self { socket: bare.unwrap_or_else(|| socket.to_owned()) }
    }

    /// Ask.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
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
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| Failure::Unreachable { socket: self.socket.clone(), source })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broke(path, error))?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request(method, path, body)?).await.map_err(|error| broke(path, error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
        connection.abort();
        Ok((status, body.map_err(|source| Failure::Talk { path: path.to_owned(), source })?.to_bytes()))
    }
}

fn request(method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Request<Full<Bytes>>, Failure> {
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "clavigerd")
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

/// An answer that is not what the API promises.
pub(crate) fn not_understood(path: &str, source: serde_json::Error) -> Failure {
    Failure::NotUnderstood { path: path.to_owned(), source }
}

/// A part of a path or of a query, escaped (RFC 3986 section 2.3 names what need not be).
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The daemon only reads its own memory, or writes down an ask: it never needs this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than a fleet of a hundred thousand resources takes.
const LARGEST_ANSWER: usize = 512 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_path_or_a_query_is_escaped() {
        assert_eq!(escaped("a b&c=d/é"), "a%20b%26c%3Dd%2F%C3%A9");
        assert_eq!(escaped("*.shop.example"), "%2A.shop.example");
    }

    #[test]
    fn a_socket_may_be_named_as_in_the_settings() {
        assert_eq!(Client::new(Path::new("unix:./admin.sock")).socket, Path::new("./admin.sock"));
    }
}
