use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Kubeconfig, Kubernetes};
use crate::challenge_dns::loopback;
use crate::client::install_crypto;
use crate::{ClientIdentity, TestAuthority};

mod answer;
mod call;
mod rules;
mod stream;

pub use call::ApiCall;
pub use rules::{ApiFault, ApiRule, Watches};

/// A reverse proxy in front of an API server, for one client: it cuts, refuses, delays, and shows the past, as told.
///
/// Towards the API server it is the client itself, by a certificate of that client's, so that rights and audit log see who asks.
/// Watches pass line by line. What it does to the API server follows Sieve (OSDI'22): a client dies between two writes
/// ([`ApiFault::Stop`]), sees the past ([`Self::keep_lists`], [`Watches::Replay`]), or misses states ([`Watches::Merge`]).
#[derive(Debug)]
pub struct ApiFaults {
    shared: Arc<Shared>,
    kubeconfig: Kubeconfig,
    accepting: AbortHandle,
}

impl Kubernetes {
    /// Starts one for someone in these groups.
    pub async fn faults_for(&self, user: &str, groups: &[&str]) -> Result<ApiFaults> {
        let identity = self.authority.client(user, groups)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", loopback(listener.local_addr()?.port()));
        let kubeconfig = Kubeconfig::write(&url, self.ca_pem(), serde_json::json!({}), "default")?;
        let shared = Arc::new(Shared {
            upstream: self.address,
            connector: connector(&self.authority, &identity)?,
            rules: Mutex::default(),
            log: Mutex::default(),
            lists: Mutex::default(),
            history: Mutex::default(),
            watches: watch::Sender::new(Watches::Pass),
            silences: watch::Sender::new(0),
            silent: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            standing: watch::Sender::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(ApiFaults { shared, kubeconfig, accepting })
    }
}

impl ApiFaults {
    /// What the client is to use.
    pub fn kubeconfig(&self) -> &Kubeconfig {
        &self.kubeconfig
    }

    /// Adds a rule; of those that meet a call, the oldest that is not used up decides.
    pub fn inject(&self, rule: ApiRule) {
        self.shared.rules().push(rule);
    }

    /// Forgets all rules, lets watches pass, and lets everything go on that stood still.
    pub fn heal(&self) {
        self.shared.rules().clear();
        self.shared.lists().clear();
        self.shared.standing.send_replace(false);
        self.watches(Watches::Pass);
    }

    /// Whether a rule with [`ApiFault::Stop`] has stopped everything.
    pub fn stands_still(&self) -> bool {
        *self.shared.standing.borrow()
    }

    /// From now on nothing passes, as if somebody had pulled the plug of the network: nothing is closed either.
    pub fn stand_still(&self) {
        self.shared.standing.send_replace(true);
    }

    /// From now on all watches go so, those that run and those that begin.
    pub fn watches(&self, how: Watches) {
        self.shared.watches.send_replace(how);
    }

    /// Nothing more comes over the watches that run now, and nothing is closed, not even when the API server ends them: half open.
    pub fn silence(&self) {
        self.shared.silences.send_modify(|number| *number += 1);
    }

    /// How many watches have been silenced.
    pub fn silent(&self) -> usize {
        self.shared.silent.load(Ordering::SeqCst)
    }

    /// From now on every list that came by is answered as it was last answered, until [`Self::heal`]: an API server whose cache is
    /// behind. Watches begin there.
    pub fn keep_lists(&self) {
        for list in self.shared.lists().values_mut() {
            list.0 = true;
        }
    }

    /// All calls so far, in the order of their ends; a watch ends when it begins.
    pub fn calls(&self) -> Vec<ApiCall> {
        self.shared.log().clone()
    }

    /// How many answers were given, whether or not anybody reads them.
    pub fn answers(&self) -> usize {
        self.shared.answers.load(Ordering::SeqCst)
    }

    /// How many calls so far are such.
    pub fn count(&self, such: impl Fn(&ApiCall) -> bool) -> usize {
        self.shared.log().iter().filter(|call| such(call)).count()
    }
}

impl Drop for ApiFaults {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Shared {
    upstream: SocketAddr,
    connector: TlsConnector,
    rules: Mutex<Vec<ApiRule>>,
    log: Mutex<Vec<ApiCall>>,
    /// The last answer to each list, by its path and query, and whether it is to be given again.
    lists: Mutex<BTreeMap<String, (bool, answer::Kept)>>,
    /// What watches have told, by their path: lines.
    history: Mutex<BTreeMap<String, Vec<hyper::body::Bytes>>>,
    watches: watch::Sender<Watches>,
    silences: watch::Sender<usize>,
    silent: AtomicUsize,
    answers: AtomicUsize,
    standing: watch::Sender<bool>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Vec<ApiRule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Vec<ApiCall>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lists(&self) -> MutexGuard<'_, BTreeMap<String, (bool, answer::Kept)>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn history(&self) -> MutexGuard<'_, BTreeMap<String, Vec<hyper::body::Bytes>>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while everything stands still.
    async fn moving(&self) {
        let _ = self.standing.subscribe().wait_for(|stands| !*stands).await;
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.upstream).await?;
        Ok(self.connector.connect(ServerName::from(self.upstream.ip()), stream).await?)
    }
}

fn connector(authority: &TestAuthority, identity: &ClientIdentity) -> Result<TlsConnector> {
    install_crypto();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?;
    let settings = rustls::ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?;
    Ok(TlsConnector::from(Arc::new(settings)))
}

/// Dropping the set, when this task is aborted, ends every connection.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

/// Serves a connection until it ends or a rule breaks it.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let broken = Arc::new(Notify::new());
    let service = service_fn(|request| answer::answer(Arc::clone(&shared), Arc::clone(&broken), request));
    let server = hyper::server::conn::http1::Builder::new();
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(stream), service) => {}
        () = broken.notified() => {}
    }
}
