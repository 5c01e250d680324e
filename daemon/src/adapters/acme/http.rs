//! Our own HTTP client below `instant-acme`, whose default one has no time-outs and shows no headers.
//!
//! https with the system's roots or exactly the issuer's, plain http only to loopback; no proxy, no redirects, no cookies, no
//! retries; every answer has a ceiling and a deadline.

use std::{error::Error as StdError, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use claviger_config::{EnvironmentName, IssuerName, Moment, Span};
use claviger_core::ports::Clock;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use url::{Host, Url};

use super::{
    header as headers,
    reply::{Break, Broken, Reply},
    trace::{self, Exchange},
};

/// Hears of every request: what it was for, and its status or how it broke.
pub type Observer = Arc<dyn Fn(&Observed<'_>) + Send + Sync>;

/// One request, as metrics count it.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// Its issuer.
    pub issuer: &'a IssuerName,
    /// What it was for, for example `open_order`.
    pub operation: &'a str,
    /// The HTTP status, else a word such as `lost`.
    pub code: &'a str,
    /// Whether the CA answered, if only to refuse.
    pub answered: bool,
    /// When it ended.
    pub at: Moment,
    /// How long it took.
    pub took: Span,
}

/// Whose requests a wire carries.
#[derive(Clone, Debug)]
pub(super) struct Whose {
    pub(super) environment: EnvironmentName,
    pub(super) issuer: IssuerName,
}

const CEILING: usize = 1024 * 1024;
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("claviger/", env!("CARGO_PKG_VERSION")));

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Name, connection and TLS.
    pub(super) connect: Duration,
    /// Between two pieces of an answer.
    pub(super) read: Duration,
    /// For all of it.
    pub(super) total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), read: Duration::from_secs(20), total: Duration::from_secs(60) }
    }
}

/// The way to one CA.
#[derive(Clone)]
pub(super) struct Wire {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    observer: Observer,
    whose: Whose,
}

impl Wire {
    /// A way with the system's roots, or with exactly these (PEM).
    pub(super) fn new(
        roots: Option<&[u8]>,
        patience: Patience,
        clock: Arc<dyn Clock>,
        observer: Observer,
        whose: Whose,
    ) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(patience.connect)
            .read_timeout(patience.read)
            .timeout(patience.total)
            .pool_idle_timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(USER_AGENT);
        if let Some(pem) = roots {
            builder = builder.tls_certs_only(certificates(pem)?);
        }
        let client = builder.build().map_err(|error| innermost(&error))?;
        Ok(Self { client, clock, observer, whose })
    }

    /// A plain GET.
    pub(super) async fn get(&self, url: &str) -> Result<Reply, Broken> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url.parse().map_err(|_| forbidden(url))?;
        let (_, reply) = self.speak(request).await?;
        Ok(reply)
    }

    async fn speak(&self, mut request: Request<Bytes>) -> Result<(HeaderMap, Reply), Broken> {
        let url = request.uri().to_string();
        let nonce = request.method() == Method::HEAD;
        let step = trace::step();
        let changes = step.changes() && request.method() == Method::POST;
        // RFC 8555 section 6.1: a User-Agent is a MUST, and the name in it is ours; a language is a SHOULD.
        request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
        request.headers_mut().insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        let began = self.clock.now();
        let outcome = self.exchange(request, &url).await;
        self.tell(if nonce { "new_nonce" } else { step.word() }, began, &outcome);
        let seen = outcome.as_ref().map(|(_, reply)| reply.clone()).map_err(Clone::clone);
        trace::record(Exchange { changes, nonce, url, outcome: seen });
        outcome
    }

    fn tell(&self, operation: &str, began: Moment, outcome: &Result<(HeaderMap, Reply), Broken>) {
        let status = outcome.as_ref().ok().map(|(_, reply)| reply.status);
        let code =
            outcome.as_ref().map_or_else(|broken| broken.how.word().to_owned(), |(_, reply)| reply.status.to_string());
        let at = self.clock.now();
        (self.observer)(&Observed {
            environment: &self.whose.environment,
            issuer: &self.whose.issuer,
            operation,
            code: &code,
            answered: status.is_some_and(|status| status < 500),
            at,
            took: at.since(began),
        });
    }

    async fn exchange(&self, request: Request<Bytes>, url: &str) -> Result<(HeaderMap, Reply), Broken> {
        let told = |error: reqwest::Error| Broken { how: how(&error), url: url.to_owned(), words: innermost(&error) };
        let request = reqwest::Request::try_from(request).map_err(told)?;
        if !is_allowed(request.url()) {
            return Err(forbidden(url));
        }
        let response = self.client.execute(request).await.map_err(told)?;
        let status = response.status().as_u16();
        let found = response.headers().clone();
        let body = collect(response, url).await?;
        let reply = Reply {
            status,
            retry_after: headers::retry_after(&found, self.clock.now()),
            date: headers::date(&found),
            location: headers::location(&found),
            links: headers::links(&found),
            body,
        };
        Ok((found, reply))
    }
}

/// What `instant-acme` speaks through: our wire, and a directory that was read before.
pub(super) struct Door {
    /// The wire.
    pub(super) wire: Wire,
    /// The directory's URL.
    pub(super) url: String,
    /// The directory, JSON.
    pub(super) directory: Bytes,
}

impl HttpClient for Door {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let wire = self.wire.clone();
        let known = (request.method() == Method::GET && *request.uri() == *self.url).then(|| self.directory.clone());
        Box::pin(async move {
            if let Some(directory) = known {
                return Ok(answer(200, HeaderMap::new(), directory));
            }
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(parts, body.to_bytes());
            let (headers, reply) = wire.speak(request).await.map_err(|broken| Error::Other(Box::new(broken)))?;
            Ok(answer(reply.status, headers, reply.body))
        })
    }
}

fn answer(status: u16, headers: HeaderMap, body: Bytes) -> BytesResponse {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_GATEWAY);
    parts.headers = headers;
    BytesResponse { parts, body: Box::new(body) }
}

async fn collect(mut response: reqwest::Response, url: &str) -> Result<Bytes, Broken> {
    let broken = |how, words| Broken { how, url: url.to_owned(), words };
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) if body.len() + piece.len() > CEILING => {
                return Err(broken(Break::TooLarge, format!("the answer has more than {CEILING} bytes")));
            }
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return Ok(body.freeze()),
            Err(error) if error.is_timeout() => return Err(broken(Break::Timeout, innermost(&error))),
            Err(error) => return Err(broken(Break::Cut, innermost(&error))),
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, String> {
    match reqwest::Certificate::from_pem_bundle(pem) {
        Ok(certificates) if certificates.is_empty() => Err("it holds no certificate in PEM".to_owned()),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(innermost(&error)),
    }
}

/// https to anywhere; plain http only to this machine, so that nothing in a directory can make us speak in the clear.
fn is_allowed(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && here)
}

fn forbidden(url: &str) -> Broken {
    Broken {
        how: Break::Forbidden,
        url: url.to_owned(),
        words: "only https is spoken, and http to loopback".to_owned(),
    }
}

fn how(error: &reqwest::Error) -> Break {
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => Break::ConnectTimeout,
        (true, false) if error.is_dns() => Break::Dns,
        (true, false) if is_tls(error) => Break::Tls,
        (true, false) => Break::Connect,
        (false, true) => Break::Timeout,
        (false, false) if error.is_builder() => Break::Forbidden,
        (false, false) => Break::Cut,
    }
}

fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>() || cause.downcast_ref().is_some_and(hides_tls))
}

/// An `io::Error` hides the error that it was made of from `source`, and may hold another of its kind.
fn hides_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>() || inner.downcast_ref().is_some_and(hides_tls))
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The innermost cause says what happened; the layers around it say it again.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let cause = causes(error).last().unwrap_or(error);
    let cut = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::UnexpectedEof;
    match cause.downcast_ref() {
        // The TLS library's words are meant for whoever writes a client.
        Some(cause) if cut(cause) => "the connection broke off".to_owned(),
        _ => cause.to_string(),
    }
}
