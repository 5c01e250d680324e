//! Answers http-01 (RFC 8555 section 8.3) for all environments, without stored state.
//!
//! The key authorisation is the token, a period, and the thumbprint of the account (RFC 8555 section 8.1); which account that is for
//! a host is asked of the one who started the listener. Whoever can reach port 80 can reach this: one request a connection, ended
//! when it takes too long, and an empty 404 for everything but a well-formed token of a known host.
//!
//! Where we differ from RFC 8555: section 8.3 lets a client check that the token is its own. Any token of the right form is
//! answered, since the thumbprint is no secret and the CA looks at its own token only.

use std::{convert::Infallible, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Gives the thumbprint (RFC 7638, base64url) of the account that proves control of a host; absent for a host that is not ours.
pub type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Hears of every answer.
pub type Observer = Arc<dyn Fn(Answered) + Send + Sync>;

/// What was answered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Answered {
    /// The key authorisation.
    Authorised,
    /// Not found: the path is no challenge, or the token has not the form of one.
    NoChallenge,
    /// Not found: the host belongs to no environment, or its environment has no account yet.
    UnknownHost,
}

impl Answered {
    /// The word in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Authorised => "authorised",
            Self::NoChallenge => "no-challenge",
            Self::UnknownHost => "unknown-host",
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A listener that runs. Dropping it stops it; what is being answered then is answered to its end.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Running {
    /// Where it listens; names the port that was chosen when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and waits for what is being answered.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A panic in there is already told by the runtime.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Listens at `ADDRESS:PORT`.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn start(address: &str, lookup: Lookup) -> io::Result<Running> {
    start_observed(address, lookup, Arc::new(|_| {})).await
}

/// The same, and tells of every answer.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn start_observed(address: &str, lookup: Lookup, observer: Observer) -> io::Result<Running> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let desk = Desk { lookup, observer };
    let accepting = tokio::spawn(accept(listener, Arc::new(desk), stop.clone()));
    Ok(Running { address, stop, accepting })
}

/// The most connections at once: more wait in the kernel's queue.
pub const MOST_CONNECTIONS: usize = 512;
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
const MOST_HEADER_BYTES: usize = 16 * 1_024;
const MOST_HEADERS: usize = 64;
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(100);

async fn accept(listener: TcpListener, desk: Arc<Desk>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let connections = TaskTracker::new();
    while let Some(connection) = stop.run_until_cancelled(next(&listener, &places)).await {
        let Some((stream, place)) = connection else {
            // Too many open files, most often: they end by themselves.
            time::sleep(AFTER_A_FAILED_ACCEPT).await;
            continue;
        };
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            let _place = place;
            // Time is up: the connection is dropped, whatever it was doing.
            let _ = time::timeout(ANSWERED_WITHIN, serve(stream, &desk)).await;
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    listener.accept().await.ok().map(|(stream, _)| (stream, place))
}

async fn serve(stream: TcpStream, desk: &Desk) {
    let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(desk.answer(&request)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MOST_HEADER_BYTES)
        .max_headers(MOST_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that broke off, dribbled or sent nonsense was told by its status or is gone.
    let _ = connection.await;
}

/// Who answers.
struct Desk {
    lookup: Lookup,
    observer: Observer,
}

impl Desk {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (answered, response) = match token(request) {
            None => (Answered::NoChallenge, not_found()),
            Some(token) => match host(request).and_then(|host| (self.lookup)(&host)) {
                None => (Answered::UnknownHost, not_found()),
                Some(thumbprint) => (Answered::Authorised, authorisation(token, &thumbprint)),
            },
        };
        (self.observer)(answered);
        response
    }
}

/// The token, when the request is for a challenge and the token has its form: base64url of at least 128 bits (RFC 8555 section 8.3).
fn token<B>(request: &Request<B>) -> Option<&str> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) || request.uri().query().is_some() {
        return None;
    }
    let token = request.uri().path().strip_prefix("/.well-known/acme-challenge/")?;
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    ((22..=128).contains(&token.len()) && token.bytes().all(inside)).then_some(token)
}

/// The host that was asked for, lower case, without port and without the dot of the root. The one in an absolute request line
/// outranks the header (RFC 9112 section 3.2.2); two headers say nothing.
fn host<B>(request: &Request<B>) -> Option<String> {
    let mut headers = request.headers().get_all(HOST).iter();
    let header = headers.next().and_then(|host| host.to_str().ok());
    if headers.next().is_some() {
        return None;
    }
    let authority = request.uri().authority().map(http::uri::Authority::as_str).or(header)?;
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (!name.is_empty() && name.len() <= 253 && name.bytes().all(inside)).then_some(name)
}

fn authorisation(token: &str, thumbprint: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{token}.{thumbprint}")));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn not_found() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

#[cfg(test)]
mod tests;
