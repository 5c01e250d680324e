//! Accepting connections, and everything that may happen to a call on its way.

use std::convert::Infallible;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::world::Shared;
use super::{Ask, Front};
use crate::answer::Answer;
use crate::fault::{Fault, Moment, RetryAfter};

/// Serves `front` until the world stops.
pub(super) async fn serve(shared: Arc<Shared>, front: Front, listener: TcpListener) {
    let Ok(here) = listener.local_addr() else { return };
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let shared = Arc::clone(&shared);
                    shared.tasks.clone().spawn(connection(shared, front, stream, here));
                }
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, front: Front, stream: TcpStream, here: SocketAddr) {
    let stop = shared.stop.clone();
    let service = service_fn(move |request| call(Arc::clone(&shared), front, request, here));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = stop.cancelled() => {}
        // A connection that breaks, or that a fault closed, is the caller's matter.
        _ = connection => {}
    }
}

type Reply = Response<Either<Full<Bytes>, Torn>>;

/// One call, with whatever befalls it. An error closes the connection without an answer.
async fn call(shared: Arc<Shared>, front: Front, request: Request<Incoming>, here: SocketAddr) -> io::Result<Reply> {
    let ask = read(request, here).await?;
    let operation = (front.operation)(&ask);
    let mut seen = shared.count(front.service, operation);
    shared.faults.tell(&seen);
    let fault = shared.faults.strike(front.service, &seen.operation);
    match &fault {
        Some(Fault::Mute) => future::pending().await,
        Some(Fault::RefuseBefore) => return Err(closed()),
        Some(Fault::Status(answer)) => return Ok(whole(&shared, answer.clone())),
        Some(Fault::Throttle(after)) => return Ok(whole(&shared, throttled(&shared, front, *after))),
        _ => {}
    }
    let answer = (front.answer)(&shared, &ask);
    shared.keep(front.service)?;
    seen.moment = Moment::After;
    shared.faults.tell(&seen);
    match fault {
        Some(Fault::AnswerLost) => Err(closed()),
        Some(Fault::Garble) => Ok(whole(&shared, halved(answer))),
        Some(Fault::Tear) => Ok(torn(&shared, answer)),
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            Ok(whole(&shared, answer))
        }
        _ => Ok(whole(&shared, answer)),
    }
}

async fn read(request: Request<Incoming>, here: SocketAddr) -> io::Result<Ask> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Ask {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        here,
    })
}

fn throttled(shared: &Shared, front: Front, after: RetryAfter) -> Answer {
    let answer = (front.throttled)();
    match after {
        RetryAfter::Missing => answer,
        RetryAfter::Seconds(seconds) => answer.with("retry-after", seconds.to_string()),
        RetryAfter::Date(ahead) => answer.with("retry-after", http_date(shared.now() + ahead * 1000)),
    }
}

fn halved(mut answer: Answer) -> Answer {
    answer.body.truncate(answer.body.len() / 2);
    answer
}

fn whole(shared: &Shared, answer: Answer) -> Reply {
    let (head, body) = split(shared, answer);
    head.map(|()| Either::Left(Full::new(body)))
}

fn torn(shared: &Shared, answer: Answer) -> Reply {
    let (head, body) = split(shared, answer);
    let promised = body.len() as u64;
    let first = Some(body.slice(..body.len() / 2));
    head.map(|()| Either::Right(Torn { first, promised, rests: 3 }))
}

/// The head, with a `Date` of the world's own time.
fn split(shared: &Shared, answer: Answer) -> (Response<()>, Bytes) {
    let mut response = Response::builder().status(answer.status).header("date", http_date(shared.now()));
    for (name, value) in &answer.headers {
        response = response.header(name.as_str(), value.as_str());
    }
    let head = response.body(()).unwrap_or_else(|_| {
        let mut broken = Response::new(());
        *broken.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        broken
    });
    (head, answer.body.into())
}

/// A body that promises more than it gives.
struct Torn {
    first: Option<Bytes>,
    promised: u64,
    /// How often the server gets a chance to send what it has.
    rests: u8,
}

impl Body for Torn {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(bytes) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        // What was given must be on the wire before the end: ending too early makes the server drop the connection.
        if this.rests > 0 {
            this.rests -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}

/// A moment as HTTP writes it (RFC 9110 section 5.6.7).
pub(crate) fn http_date(millis: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed by a fault")
}

const LARGEST_BODY: usize = 1 << 20;
