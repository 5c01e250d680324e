use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use http::response::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, mpsc};

use super::{ApiCall, ApiFault, Shared, stream};

/// An answer that is kept: its head and what stood in it.
pub(super) type Kept = (Parts, Bytes);

/// Answers a call, by the first rule that it meets.
pub(super) async fn answer(
    shared: Arc<Shared>,
    broken: Arc<Notify>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let mut call = ApiCall::of(&request);
    shared.moving().await;
    let fault = shared.rules().iter_mut().find_map(|rule| rule.meet(&call));
    let answer = obey(&shared, fault, request, &mut call).await;
    shared.log().push(call);
    shared.moving().await;
    match answer {
        Some(answer) => {
            shared.answers.fetch_add(1, Ordering::SeqCst);
            Ok(answer)
        }
        None => {
            broken.notify_one();
            pending().await
        }
    }
}

/// The answer; `None` breaks the connection.
async fn obey(
    shared: &Arc<Shared>,
    fault: Option<ApiFault>,
    request: Request<Incoming>,
    call: &mut ApiCall,
) -> Option<Response<Answer>> {
    match fault {
        Some(ApiFault::CutBefore) => return None,
        Some(ApiFault::Hang) => pending().await,
        Some(ApiFault::Status(code, reason, retry_after)) => return Some(refusal(code, reason, retry_after)),
        Some(ApiFault::Stop(false)) => {
            shared.standing.send_replace(true);
            shared.moving().await;
        }
        _ => {}
    }
    let place = request.uri().to_string();
    if call.verb == "watch" {
        return watched(shared, request, call).await;
    }
    if let Some((true, (head, body))) = shared.lists().get(&place).cloned() {
        return Some(whole(head, body));
    }
    let (head, body) = forward(shared, request).await.ok()?.into_parts();
    call.upstream = Some(head.status.as_u16());
    let body = body.collect().await.ok()?.to_bytes();
    if call.verb == "list" && head.status.is_success() {
        let mut lists = shared.lists();
        let kept = lists.get(&place).is_some_and(|(kept, _)| *kept);
        lists.insert(place, (kept, (head.clone(), body.clone())));
    }
    match fault {
        Some(ApiFault::CutAfter) => None,
        Some(ApiFault::Half) => Some(whole(head, body.slice(..body.len() / 2))),
        Some(ApiFault::Stop(true)) => {
            shared.standing.send_replace(true);
            Some(whole(head, body))
        }
        _ => Some(whole(head, body)),
    }
}

/// A watch, line by line.
async fn watched(shared: &Arc<Shared>, request: Request<Incoming>, call: &mut ApiCall) -> Option<Response<Answer>> {
    let place = request.uri().path().to_owned();
    let (mut head, body) = forward(shared, request).await.ok()?.into_parts();
    call.upstream = Some(head.status.as_u16());
    if !head.status.is_success() {
        return Some(whole(head, body.collect().await.ok()?.to_bytes()));
    }
    strip(&mut head);
    let (lines, answer) = mpsc::channel(16);
    tokio::spawn(stream::carry(Arc::clone(shared), place, body, lines));
    Some(Response::from_parts(head, Answer::Lines(answer)))
}

/// Passes it on, on a connection of its own.
async fn forward(shared: &Shared, request: Request<Incoming>) -> Result<Response<Incoming>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path_and_query().context("a call has a path")?.as_str().parse()?;
    head.uri = path;
    head.headers.insert(HOST, HeaderValue::from_str(&shared.upstream.to_string())?);
    for hop_by_hop in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(hop_by_hop);
    }
    let stream = TokioIo::new(shared.connect().await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(Request::from_parts(head, Full::new(body))).await?)
}

/// As the API server refuses.
fn refusal(code: u16, reason: &str, retry_after: Option<u32>) -> Response<Answer> {
    let mut status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("a story says {reason}"), "reason": reason, "code": code,
    });
    let mut response = Response::builder().status(code).header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        status["details"] = serde_json::json!({ "retryAfterSeconds": seconds });
        response = response.header(RETRY_AFTER, seconds);
    }
    let body = Answer::Whole(Some(status.to_string().into()));
    response.body(body).expect("a rule's status is valid HTTP")
}

fn whole(mut head: Parts, body: Bytes) -> Response<Answer> {
    strip(&mut head);
    Response::from_parts(head, Answer::Whole(Some(body)))
}

/// Takes out what belongs to the connection that the answer came by.
fn strip(head: &mut Parts) {
    head.version = http::Version::default();
    for header in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        head.headers.remove(header);
    }
}

/// A body that is whole, or comes as it is told.
pub(super) enum Answer {
    Lines(mpsc::Receiver<Bytes>),
    Whole(Option<Bytes>),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Lines(lines) => lines.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line)))),
            Self::Whole(rest) => Poll::Ready(rest.take().map(|rest| Ok(Frame::data(rest)))),
        }
    }
}
