use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
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
///
/// It runs on the test's own runtime; a test that blocks the thread stops it as well.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    server_ca: PathBuf,
    authority: TestAuthority,
    shared: Arc<Shared>,
    accepting: AbortHandle,
    _scratch: Scratch,
}

/// A request that came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// What the server behind said, where the request was passed on: `Some(201)` on newOrder is an order made.
    pub upstream: Option<u16>,
    /// What the client was told, where it was told anything.
    pub answered: Option<u16>,
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
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(upstream, connector(upstream_ca_pem)?));
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, server_ca, authority, shared, accepting, _scratch: scratch })
    }

    /// The directory's URL by way of the proxy.
    pub fn directory(&self) -> String {
        format!("https://{}{}", self.address, endpoint::DIRECTORY)
    }

    /// Where it hears.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA of its own TLS, as a file.
    pub fn server_ca(&self) -> &Path {
        &self.server_ca
    }

    /// The same as text.
    pub fn server_ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// Adds a rule; of those that match a request, the oldest that is not used up decides.
    pub fn inject(&self, rule: Rule) {
        self.shared.rules().push(rule);
    }

    /// Forgets all rules: from now on everything is passed on.
    pub fn heal(&self) {
        self.shared.rules().clear();
    }

    /// All requests so far, in the order of their end; mute ones are missing until their client gives up.
    pub fn requests(&self) -> Vec<Logged> {
        self.shared.log().clone()
    }

    /// How many requests came by for paths that begin so.
    pub fn count(&self, path: &str) -> usize {
        self.shared.log().iter().filter(|logged| logged.path.starts_with(path)).count()
    }

    /// How often the server behind did what was asked for on such paths, whether or not the answer arrived.
    pub fn count_done(&self, path: &str) -> usize {
        let done = |logged: &&Logged| logged.upstream.is_some_and(|status| (200..300).contains(&status));
        self.shared.log().iter().filter(|logged| logged.path.starts_with(path)).filter(done).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    connector: Connector,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Vec<Logged>>,
}

struct Connector(TlsConnector);

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Connector")
    }
}

impl Shared {
    fn new(upstream: SocketAddr, connector: TlsConnector) -> Self {
        Self { upstream, connector: Connector(connector), rules: Mutex::default(), log: Mutex::default() }
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Vec<Logged>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let name = ServerName::from(self.upstream.ip());
        let stream = TcpStream::connect(self.upstream).await?;
        Ok(self.connector.0.connect(name, stream).await?)
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
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

/// Serves a connection until it ends or a rule breaks it; then it is dropped as a whole, HTTP/2 streams and all.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let broken = Arc::new(Notify::new());
    let service = service_fn(|request| answer::answer(Arc::clone(&shared), Arc::clone(&broken), request));
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(stream), service) => {}
        () = broken.notified() => {}
    }
}
