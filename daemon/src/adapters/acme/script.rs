//! A CA on loopback that answers what a test wrote down for it, well or badly. It checks no signature and keeps no state: what it
//! is for are the answers that no well-behaved server gives. What a CA really does is tested against Pebble.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};

/// What is answered.
#[derive(Clone)]
pub(super) enum Line {
    /// Less than was promised, then the end.
    Cut,
    /// More than anybody should take.
    Endless,
    /// Nothing, for as long as the other side waits.
    Mute,
    /// Status, headers, body.
    Say(u16, Vec<(&'static str, String)>, String),
}

/// An answer in JSON.
pub(super) fn say(status: u16, body: Value) -> Line {
    Line::Say(status, Vec::new(), body.to_string())
}

/// A problem document.
pub(super) fn problem(status: u16, word: &str, detail: &str) -> Line {
    say(status, json!({ "type": format!("urn:ietf:params:acme:error:{word}"), "detail": detail, "status": status }))
}

impl Line {
    pub(super) fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Say(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Say(status, headers, body)
            }
            other => other,
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) head: String,
    pub(super) payload: Value,
}

/// The CA.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) base: String,
    lines: Arc<Mutex<BTreeMap<String, VecDeque<Line>>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Script {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Self::at(format!("http://{}", listener.local_addr().unwrap()));
        let server = script.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = server.clone();
                tokio::spawn(async move { script.serve(stream).await });
            }
        });
        script
    }

    pub(super) fn at(base: String) -> Self {
        let script = Self { base, lines: Arc::default(), heard: Arc::default() };
        script.on("/dir", [say(200, script.directory())]);
        script.on("/nonce", [say(200, json!({}))]);
        script
    }

    pub(super) fn directory(&self) -> Value {
        let url = |path: &str| format!("{}/{path}", self.base);
        json!({ "newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("new"), "renewalInfo": url("ari"),
            "meta": { "profiles": { "classic": "The usual one" } } })
    }

    /// Writes down what is answered at a path: each line once, the last one again and again.
    pub(super) fn on(&self, path: &str, lines: impl IntoIterator<Item = Line>) {
        self.lines.lock().unwrap().insert(path.to_owned(), lines.into_iter().collect());
    }

    /// What was asked at a path.
    pub(super) fn heard(&self, path: &str) -> Vec<Heard> {
        self.heard.lock().unwrap().iter().filter(|heard| heard.path == path).cloned().collect()
    }

    pub(super) async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let heard = hear(&mut stream).await?;
        let line = self.next(&heard.path);
        let head = heard.method == "HEAD";
        self.heard.lock().unwrap().push(heard);
        match line {
            Line::Mute => {
                stream.read_u8().await.ok();
            }
            Line::Cut => send(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"status\":").await?,
            Line::Endless => {
                send(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
                let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                while send(&mut stream, &piece).await.is_some() {}
            }
            Line::Say(status, headers, body) => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let length = body.len();
                let fixed = "replay-nonce: bm9uY2U\r\nconnection: close\r\n";
                let body = if head { String::new() } else { body };
                send(
                    &mut stream,
                    &format!("HTTP/1.1 {status} X\r\n{headers}{fixed}content-length: {length}\r\n\r\n{body}"),
                )
                .await?;
            }
        }
        stream.shutdown().await.ok()
    }

    fn next(&self, path: &str) -> Line {
        let mut lines = self.lines.lock().unwrap();
        match lines.get_mut(path) {
            Some(lines) if lines.len() > 1 => lines.pop_front().unwrap(),
            Some(lines) => lines.front().unwrap().clone(),
            None => problem(404, "malformed", "nothing here"),
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()
}

async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Option<Heard> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        bytes.push(stream.read_u8().await.ok()?);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_ascii_uppercase(), words.next()?.to_owned());
    Some(Heard { method, path, payload: payload(&body), head })
}

fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap_or_default()).unwrap();
    serde_json::from_slice(&payload).unwrap_or_default()
}
