use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::client::install_crypto;
use crate::pebble::endpoint;
use crate::{Pebble, Scratch, TestAuthority};

mod answer;
mod rules;

pub use rules::{Edit, Fault, RetryAfter, Rule, Status};

/// A reverse proxy that loses, refuses, delays and falsifies as told. It stands in front of Pebble with TLS of its own.
///
/// ACME signs the URL of every request, so nothing is rewritten on the way: the name under which the proxy was called is
/// passed on, and Pebble builds its URLs from it.
#[derive(Debug)]
pub struct Proxy {
    relay: Relay,
    server_ca: PathBuf,
    authority: TestAuthority,
    _scratch: Scratch,
}

impl Proxy {
    /// Starts one in front of a Pebble.
    pub async fn in_front_of(pebble: &Pebble) -> Result<Self> {
        Self::start(pebble.address(), pebble.server_ca_pem()).await
    }

    /// Starts one in front of any TLS server on loopback whose certificate comes from this CA.
    pub async fn start(upstream: SocketAddr, upstream_ca_pem: &str) -> Result<Self> {
        let scratch = Scratch::new("proxy")?;
        let authority = TestAuthority::new("the proxy's TLS")?;
        let server_ca = scratch.write("server-ca.pem", authority.pem())?;
        let identity = authority.server(&["127.0.0.1", "localhost"])?;
        let acceptor = TlsAcceptor::from(identity.tls(&["h2", "http/1.1"])?);
        let relay = Relay::start(upstream, Some((acceptor, connector(upstream_ca_pem)?))).await?;
        Ok(Self { relay, server_ca, authority, _scratch: scratch })
    }

    /// The directory's URL by way of the proxy.
    pub fn directory(&self) -> String {
        format!("https://{}{}", self.address(), endpoint::DIRECTORY)
    }

    /// The CA of its own TLS, as a file.
    pub fn server_ca(&self) -> &Path {
        &self.server_ca
    }

    /// The same as text.
    pub fn server_ca_pem(&self) -> &str {
        self.authority.pem()
    }
}

impl Deref for Proxy {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        &self.relay
    }
}

/// The same without TLS, in front of moto, MiniStack or a simulator.
#[derive(Debug)]
pub struct PlainProxy(Relay);

impl PlainProxy {
    /// Starts one in front of any HTTP server on loopback.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        Relay::start(upstream, None).await.map(Self)
    }

    /// The address to give as an endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }
}

impl Deref for PlainProxy {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        &self.0
    }
}

/// What both kinds of proxy do.
///
/// It runs on the test's own runtime; a test that blocks the thread stops it as well.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// A request that came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// The action of a request to AWS, such as `CreateKey`.
    pub action: Option<String>,
    /// What the server behind said, where the request was passed on: `Some(201)` on newOrder is an order made.
    pub upstream: Option<u16>,
    /// What the client was told, where it was told anything.
    pub answered: Option<u16>,
}

impl Logged {
    /// Whether the server behind did what was asked for, and whether or not the answer arrived.
    pub fn done(&self) -> bool {
        self.upstream.is_some_and(|status| (200..300).contains(&status))
    }
}

impl Relay {
    async fn start(upstream: SocketAddr, tls: Option<(TlsAcceptor, TlsConnector)>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (acceptor, connector) = tls.unzip();
        let shared = Arc::new(Shared { upstream, connector, rules: Mutex::default(), log: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    /// Where it hears.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a rule; of those that match a request, the oldest that is not used up decides.
    pub fn inject(&self, rule: Rule) {
        self.shared.rules().push(rule);
    }

    /// Forgets all rules: from now on everything is passed on.
    pub fn heal(&self) {
        self.shared.rules().clear();
    }

    /// All requests so far, in the order of their end; mute ones are missing.
    pub fn requests(&self) -> Vec<Logged> {
        self.shared.log().clone()
    }

    /// How many requests came by for paths that begin so.
    pub fn count(&self, path: &str) -> usize {
        self.shared.log().iter().filter(|logged| logged.path.starts_with(path)).count()
    }

    /// How often the server behind did what was asked for on such paths, whether or not the answer arrived.
    pub fn count_done(&self, path: &str) -> usize {
        self.shared.log().iter().filter(|logged| logged.path.starts_with(path) && logged.done()).count()
    }

    /// How often AWS did an action, whether or not the answer arrived.
    pub fn count_done_actions(&self, action: &str) -> usize {
        self.shared.log().iter().filter(|logged| logged.action.as_deref() == Some(action) && logged.done()).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Shared {
    upstream: SocketAddr,
    connector: Option<TlsConnector>,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Vec<Logged>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("upstream", &self.upstream).field("rules", &self.rules).finish()
    }
}

/// A connection, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Vec<Logged>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.upstream).await?;
        Ok(match &self.connector {
            None => Box::new(stream),
            Some(tls) => Box::new(tls.connect(ServerName::from(self.upstream.ip()), stream).await?),
        })
    }
}

fn connector(ca_pem: &str) -> Result<TlsConnector> {
    install_crypto();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
    let settings = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(settings)))
}

/// Dropping the set, when this task is aborted, ends every connection.
async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(greet(stream, acceptor.clone(), Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn greet(stream: TcpStream, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match acceptor {
        None => serve(stream, shared).await,
        Some(tls) => {
            // A client that does not trust the proxy hangs up, and that is its own affair.
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, shared).await;
            }
        }
    }
}

/// Serves a connection until it ends or a rule breaks it; then it is dropped as a whole, HTTP/2 streams and all.
async fn serve(stream: impl Stream + 'static, shared: Arc<Shared>) {
    let broken = Arc::new(Notify::new());
    let service = service_fn(|request| answer::answer(Arc::clone(&shared), Arc::clone(&broken), request));
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(stream), service) => {}
        () = broken.notified() => {}
    }
}
