use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::{Shared, Watches};

/// Carries a watch to its client until either side ends it.
pub(super) async fn carry(shared: Arc<Shared>, place: String, upstream: Incoming, client: mpsc::Sender<Bytes>) {
    let (mut weather, mut silences) = (shared.watches.subscribe(), shared.silences.subscribe());
    silences.mark_unchanged();
    let began = weather.borrow_and_update().clone();
    if began == Watches::Replay {
        let past = shared.history().get(&place).cloned().unwrap_or_default();
        for line in past {
            let _ = client.send(line).await;
        }
    }
    let mut watched = Watch { shared, place, lines: Lines { upstream, rest: Vec::new() }, client, waiting: Vec::new() };
    tokio::select! {
        () = watched.run(began, weather) => return,
        _ = silences.changed() => {}
    }
    // Whoever hangs up is noticed, and nothing else.
    watched.shared.silent.fetch_add(1, Ordering::SeqCst);
    watched.client.closed().await;
}

struct Watch {
    shared: Arc<Shared>,
    place: String,
    lines: Lines,
    client: mpsc::Sender<Bytes>,
    /// What is held back.
    waiting: Vec<Bytes>,
}

impl Watch {
    async fn run(&mut self, mut how: Watches, mut weather: watch::Receiver<Watches>) {
        loop {
            if how == Watches::Expired {
                return self.expire().await;
            }
            let client = self.client.clone();
            tokio::select! {
                biased;
                () = client.closed() => return,
                changed = weather.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    how = weather.borrow_and_update().clone();
                    if how == Watches::Replay {
                        return;
                    }
                    if how == Watches::Pass {
                        self.release().await;
                    }
                }
                () = ripe(&how), if !self.waiting.is_empty() => match how {
                    Watches::Drop(_) => return self.expire().await,
                    _ => self.release().await,
                },
                line = self.lines.next() => match line {
                    Some(line) => self.hear(line, &how).await,
                    None => return,
                },
            }
        }
    }

    async fn hear(&mut self, line: Bytes, how: &Watches) {
        self.shared.moving().await;
        let bookmark = kind_of(&line).as_deref() == Some("BOOKMARK");
        if !bookmark {
            self.shared.history().entry(self.place.clone()).or_default().push(line.clone());
        }
        match how {
            Watches::Hold | Watches::Merge(_) | Watches::Drop(_) if !bookmark => {
                if matches!(how, Watches::Merge(_)) {
                    let object = object_of(&line);
                    self.waiting.retain(|other| object_of(other) != object);
                }
                self.waiting.push(line);
            }
            Watches::Hold | Watches::Merge(_) | Watches::Drop(_) => {} // a bookmark
            _ => drop(self.client.send(line).await),
        }
    }

    async fn release(&mut self) {
        for line in std::mem::take(&mut self.waiting) {
            let _ = self.client.send(line).await;
        }
    }

    /// As the API server ends a watch that it can no longer serve: with a Status in the stream.
    async fn expire(&mut self) {
        let status = serde_json::json!({ "type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410,
        }});
        let _ = self.client.send(format!("{status}\n").into()).await;
    }
}

/// When what waits has waited long enough; never while it waits for other weather.
async fn ripe(how: &Watches) {
    match how {
        Watches::Merge(time) | Watches::Drop(time) => tokio::time::sleep(*time).await,
        _ => pending().await,
    }
}

/// The lines of a body.
struct Lines {
    upstream: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                return Some(self.rest.drain(..=end).collect::<Vec<u8>>().into());
            }
            let frame = self.upstream.frame().await?.ok()?;
            self.rest.extend_from_slice(frame.data_ref()?);
        }
    }
}

fn kind_of(line: &[u8]) -> Option<String> {
    serde_json::from_slice::<Value>(line).ok()?["type"].as_str().map(ToOwned::to_owned)
}

/// Namespace and name.
fn object_of(line: &[u8]) -> Option<(Value, Value)> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let metadata = &event["object"]["metadata"];
    Some((metadata["namespace"].clone(), metadata["name"].clone()))
}
