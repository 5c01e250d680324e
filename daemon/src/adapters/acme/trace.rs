//! What went over the wire during one call, kept beside the call.
//!
//! `instant-acme` drops status and headers of whatever it takes for an error, and loses the URL of an order whose answer it
//! does not like. So each call of the port runs in [`traced`], each request in it is written down here by
//! [`http`](super::http), and what became of it is read from here.

use std::{cell::RefCell, future::Future};

use instant_acme::Error;

use super::{
    fault::{Said, Trouble},
    reply::{Broken, Reply},
    step::Step,
};

/// How often one request is tried again. With a fifth of all nonces refused, `instant-acme`'s own three attempts fail once in 125
/// requests; with these, once in 10¹².
const PATIENCE: u32 = 5;

tokio::task_local! {
    static TRACE: RefCell<Trace>;
}

struct Trace {
    step: Step,
    last: Option<Exchange>,
    patience: u32,
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// Whether it could have changed something at the CA.
    pub(super) changes: bool,
    /// Whether it asked for a nonce only.
    pub(super) nonce: bool,
    /// Where it went.
    pub(super) url: String,
    /// What became of it.
    pub(super) outcome: Result<Reply, Broken>,
}

/// Runs one call of the port with a trace of its own.
pub(super) async fn traced<T>(call: impl Future<Output = T>) -> T {
    let trace = Trace { step: Step::Directory, last: None, patience: PATIENCE };
    TRACE.scope(RefCell::new(trace), call).await
}

/// Says what the next requests are for, and forgets the last exchange.
pub(super) fn begin(step: Step) {
    with(|trace| {
        trace.step = step;
        trace.last = None;
    });
}

/// What the present request is for.
pub(super) fn step() -> Step {
    with(|trace| trace.step).unwrap_or(Step::Directory)
}

/// Writes down what became of a request. Each request that succeeds gives its successor new patience.
pub(super) fn record(exchange: Exchange) {
    let success = !exchange.nonce && exchange.outcome.as_ref().is_ok_and(Reply::is_success);
    with(|trace| {
        trace.last = Some(exchange);
        if success {
            trace.patience = PATIENCE;
        }
    });
}

/// The last exchange of this step.
fn last() -> Option<Exchange> {
    with(|trace| trace.last.clone()).flatten()
}

/// The last answer of this step to what it asked, which a nonce is not.
pub(super) fn answer() -> Option<Reply> {
    last().filter(|exchange| !exchange.nonce)?.outcome.ok()
}

/// Takes an error of `instant-acme`: fine, try again, when the CA refused a nonce and patience is left; else what it means, as
/// the wire saw it. RFC 8555 section 6.5: "a client SHOULD retry the request using the new nonce".
pub(super) fn bear(error: Error) -> Result<(), Trouble> {
    let trouble = explain(error);
    let patient = matches!(&trouble, Trouble::Said(said) if said.word() == "badNonce") && take_patience();
    if patient { Ok(()) } else { Err(trouble) }
}

fn explain(error: Error) -> Trouble {
    let step = step();
    let Some(exchange) = last() else { return Trouble::Unsent { step, words: error.to_string() } };
    match exchange.outcome {
        Err(broken) => Trouble::Broken { step, changes: exchange.changes, broken },
        Ok(reply) if reply.is_success() => {
            Trouble::Garbled { step, changes: exchange.changes, words: error.to_string() }
        }
        Ok(reply) => Trouble::Said(Box::new(Said::new(step, exchange.changes, exchange.nonce, exchange.url, reply))),
    }
}

fn take_patience() -> bool {
    let left = with(|trace| {
        let left = trace.patience > 0;
        trace.patience = trace.patience.saturating_sub(1);
        left
    });
    left.unwrap_or(false)
}

fn with<T>(look: impl FnOnce(&mut Trace) -> T) -> Option<T> {
    TRACE.try_with(|trace| look(&mut trace.borrow_mut())).ok()
}
