use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;

use super::rules::{Fault, RetryAfter, Status};
use super::{Logged, Shared, rules};

/// Answers a request, by the first rule that it meets.
pub(super) async fn answer(
    shared: Arc<Shared>,
    broken: Arc<Notify>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let fault = shared.rules().iter_mut().find_map(|rule| rule.meet(&request));
    let mut logged = Logged::of(&request);
    let answer = obey(&shared, fault, request, &mut logged).await;
    logged.answered = answer.as_ref().map(|answer| answer.status().as_u16());
    shared.log().push(logged);
    match answer {
        Some(answer) => Ok(answer),
        None => {
            broken.notify_one();
            pending().await
        }
    }
}

/// The answer; `None` breaks the connection.
async fn obey(
    shared: &Shared,
    fault: Option<Fault>,
    request: Request<Incoming>,
    logged: &mut Logged,
) -> Option<Response<Answer>> {
    match &fault {
        Some(Fault::Refuse) => return None,
        Some(Fault::Mute) => pending().await,
        Some(Fault::Status(status)) => return Some(status.response()),
        Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
        _ => {}
    }
    // A server that cannot be reached looks to the client as it would without a proxy.
    let (head, body) = forward(shared, request).await.ok()?;
    logged.upstream = Some(head.status.as_u16());
    match fault {
        Some(Fault::LoseAnswer) => None,
        // A refusal (a bad nonce, RFC 8555 section 6.5) stays what it is.
        Some(Fault::ReplaceBody(other)) if head.status.is_success() => Some(Answer::whole(head, other)),
        Some(Fault::Edit(edit)) => Some(Answer::whole(head, edit(&body).into())),
        Some(Fault::Truncate) => Some(Answer::cut(head, &body)),
        _ => Some(Answer::whole(head, body)),
    }
}

impl Logged {
    fn of<B>(request: &Request<B>) -> Self {
        let (method, path) = (request.method().to_string(), request.uri().path().into());
        Self { method, path, action: rules::action(request).map(Into::into), upstream: None, answered: None }
    }
}

async fn forward(shared: &Shared, request: Request<Incoming>) -> Result<(Parts, Bytes)> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let stream = TokioIo::new(shared.connect().await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    let (answer, body) = sender.send_request(as_http1(head, body)?).await?.into_parts();
    Ok((answer, body.collect().await?.to_bytes()))
}

/// The same request in HTTP/1.1. HTTP/2 has the server's name in the URI, where HTTP/1.1 has a header.
fn as_http1(head: http::request::Parts, body: Bytes) -> Result<Request<Full<Bytes>>> {
    let path = head.uri.path_and_query().context("a request has a path")?.as_str();
    let mut request = Request::builder().method(head.method).uri(path).body(Full::new(body))?;
    *request.headers_mut() = head.headers;
    for hop_by_hop in [CONNECTION, TRANSFER_ENCODING] {
        request.headers_mut().remove(hop_by_hop);
    }
    if let Some(authority) = head.uri.authority() {
        request.headers_mut().insert(HOST, authority.as_str().parse()?);
    }
    Ok(request)
}

impl Status {
    fn response(&self) -> Response<Answer> {
        let mut response = Response::builder().status(self.code).header(CONTENT_TYPE, self.content_type);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        if let Some(retry_after) = &self.retry_after {
            response = response.header(RETRY_AFTER, retry_after.text());
        }
        let body = Answer { rest: Some(Bytes::from(self.body.clone())), cut: false };
        response.body(body).expect("a rule's status and headers are valid HTTP")
    }
}

impl RetryAfter {
    fn text(&self) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::DateIn(seconds) => http_date_in(*seconds),
            Self::Literally(text) => text.clone(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a server far away has a clock of its own")]
fn http_date_in(seconds: u32) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds.into());
    let printed = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&then);
    printed.expect("HTTP has a form for every date near today")
}

/// A body that is whole, or breaks off with an error.
pub(super) struct Answer {
    rest: Option<Bytes>,
    cut: bool,
}

impl Answer {
    fn whole(mut head: Parts, body: Bytes) -> Response<Self> {
        strip(&mut head);
        Response::from_parts(head, Self { rest: Some(body), cut: false })
    }

    /// Promises all of it and sends half.
    fn cut(mut head: Parts, body: &Bytes) -> Response<Self> {
        strip(&mut head);
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Response::from_parts(head, Self { rest: Some(body.slice(..body.len() / 2)), cut: true })
    }
}

/// Takes out what belongs to the connection that the answer came by.
fn strip(head: &mut Parts) {
    head.version = http::Version::default();
    for header in [CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING] {
        head.headers.remove(header);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let breaks_off = || io::Error::from(io::ErrorKind::ConnectionAborted);
        Poll::Ready(match self.rest.take() {
            Some(rest) => Some(Ok(Frame::data(rest))),
            None => self.cut.then(|| Err(breaks_off())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(rest) if !self.cut => SizeHint::with_exact(rest.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
