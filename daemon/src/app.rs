//! The composition root: settings to a running daemon.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use claviger_config::{Kind, ObjectName, Span, settings::Settings};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::{clock::Pace, directory::Watch, kubernetes::Leader, sqlite::SqliteStore},
    admin,
    drive::Driver,
    origin::{InCluster, Origin},
    serve,
    shared::Shared,
    sight::{health, metrics::Metrics},
    source::{Changed, Documents},
    start::StartError,
    wiring,
};

/// How long environments and certificates wait for a word of their wrapping keys after a start.
const KEYS_FIRST: Span = Span::seconds(5);

/// The daemon.
pub struct App;

/// A daemon that runs.
pub struct Running {
    shared: Arc<Shared>,
    stop: CancellationToken,
    driving: JoinHandle<()>,
    watching: JoinHandle<()>,
    leads: Option<Leader>,
    addresses: Addresses,
    socket: Option<PathBuf>,
}

/// Where it listens.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// The admin socket.
    pub admin: Option<PathBuf>,
    /// Metrics.
    pub metrics: Option<std::net::SocketAddr>,
    /// http-01.
    pub http01: Option<std::net::SocketAddr>,
}

impl App {
    /// Starts everything. Relative paths are relative to `base`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(settings: Settings, base: &Path, clock: Arc<dyn Pace>) -> Result<Running, StartError> {
        let metrics = Arc::new(Metrics::new().map_err(|error| StartError::part("metrics", &error))?);
        // A log that runs already is somebody else's, for example a test's.
        if let Err(why) = crate::sight::log::start(settings.log.format, metrics.log_lines_lost()) {
            tracing::debug!("{why}");
        }
        let (store, journal, state) = wiring::stores(&settings, base, &clock)?;
        let instance = format!("{}-{:08x}", hostname(), clock.draw() as u32);
        let origin = origin(&settings, base, &store, &clock, &instance).await?;
        let kept = accepted(&origin, &store).await?;
        let documents = Arc::new(Documents::new((&settings).into(), Documents::incumbents(&kept)));
        let settled = origin.judge()(&documents);
        // In a cluster one object that is wrong stops that object, also at the very first start.
        if kept.is_empty() && origin.cluster().is_none() && !settled.findings.is_empty() {
            return Err(StartError::Documents(settled.findings));
        }
        let changed = documents.put_in_force(settled);
        tell(&documents, &changed);
        let parts = wiring::Parts {
            settings: &settings,
            base,
            clock: &clock,
            metrics: &metrics,
            store: &store,
            journal: &journal,
            state: &state,
            documents: &documents,
            cluster: origin.cluster().map(|at| &**at),
        };
        let fleet = Arc::new(wiring::fleet(&parts)?);
        let records = wiring::records(&parts);
        let driver = Driver::new(Arc::clone(&fleet), Arc::clone(&documents), Arc::clone(&clock), Arc::clone(&metrics));
        let objects = origin.cluster().map(|at| Arc::clone(&at.objects));
        let found = origin.cluster().and_then(|at| Some(Arc::clone(at.discovery.as_ref()?.found())));
        let shared =
            Arc::new(Shared { clock, documents, driver, fleet, journal, metrics, store, records, objects, found });
        remember(&origin, &shared, Changed { claims: true, ..changed }).await;
        let stop = CancellationToken::new();
        let addresses = listen(&settings, base, &shared, &stop).await?;
        let (leads, driving) = drive(&origin, &shared, &instance).await?;
        let watching = tokio::spawn(watch(origin, Arc::clone(&shared), stop.clone()));
        tracing::info!(objects = shared.fleet.count(), "clavigerd {} runs", crate::VERSION);
        let socket = addresses.admin.clone();
        Ok(Running { shared, stop, driving, watching, leads, addresses, socket })
    }
}

async fn origin(
    settings: &Settings,
    base: &Path,
    store: &Arc<SqliteStore>,
    clock: &Arc<dyn Pace>,
    instance: &str,
) -> Result<Origin, StartError> {
    if settings.source.kubernetes.is_some() {
        return Ok(Origin::Cluster(Arc::new(
            InCluster::start(store, clock, instance, settings.discovery.secrets).await?,
        )));
    }
    let folder = base.join(settings.source.directory.as_deref().unwrap_or_default());
    let changes = Watch::start(&folder); // before the first reading, so that nothing falls between the two
    Ok(Origin::Folder(folder, changes))
}

/// What was accepted before: it stands in the state folder, or with each object.
async fn accepted(origin: &Origin, store: &SqliteStore) -> Result<Vec<(String, Vec<u8>)>, StartError> {
    match origin.cluster() {
        Some(at) => Ok(at.objects.accepted()),
        None => store.accepted().await.map_err(|failure| StartError::Store(failure.message)),
    }
}

/// At once, or as soon as this replica is elected.
async fn drive(
    origin: &Origin,
    shared: &Arc<Shared>,
    instance: &str,
) -> Result<(Option<Leader>, JoinHandle<()>), StartError> {
    let shared = Arc::clone(shared);
    let Some(at) = origin.cluster().cloned() else {
        begin(&shared).await?;
        return Ok((None, tokio::spawn(async move { shared.driver.run().await })));
    };
    shared.metrics.leads(false);
    let leader = at.stand(instance, &shared).await;
    let mut word = leader.clone();
    let driving = tokio::spawn(async move {
        word.elected().await;
        tracing::info!("this replica is at work");
        shared.metrics.leads(true);
        if at.take_over(&shared).await {
            reload(&Origin::Cluster(Arc::clone(&at)), &shared).await;
        }
        at.watch_claimed(&shared);
        at.tell_rejected(&shared).await;
        if let Err(error) = begin(&shared).await {
            tracing::error!("the work cannot begin: {error}");
            return;
        }
        shared.driver.run().await;
    });
    Ok((Some(leader), driving))
}

/// The name of this machine, or of this pod.
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Running {
    /// What the listeners share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Stops: passes that are out come to their end, everything else is dropped.
    pub async fn stop(self) {
        self.shared.driver.stop();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(20), self.driving).await;
        self.stop.cancel();
        self.watching.abort();
        if let Some(leader) = self.leads {
            leader.resign().await;
        }
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }

    /// Runs until it is told to end, or the disk loses what it was given.
    pub async fn until_signal(mut self, signals: &mut Signals) -> ExitCode {
        let (mut store, mut journal) = (self.shared.store.broken(), self.shared.journal.broken());
        let deposed = deposed(self.leads.as_mut());
        let code = tokio::select! {
            () = signals.any() => ExitCode::SUCCESS,
            () = deposed => {
                tracing::error!("another replica may be at work: the lease was lost, so this one ends and stands again");
                ExitCode::FAILURE
            }
            lost = store.wait_for(Option::is_some) => broken("store", lost.ok().as_deref()),
            lost = journal.wait_for(Option::is_some) => broken("audit journal", lost.ok().as_deref()),
        };
        tracing::info!("clavigerd ends");
        self.stop().await;
        code
    }
}

/// Waits until a replica that was at work no longer is; for ever where there is no election.
async fn deposed(leader: Option<&mut Leader>) {
    match leader {
        Some(leader) => {
            leader.elected().await;
            leader.deposed().await;
        }
        None => std::future::pending().await,
    }
}

/// The disk lost what it was given: nothing is built on that.
fn broken(what: &str, why: Option<&Option<String>>) -> ExitCode {
    let why = why.and_then(Option::as_deref).unwrap_or("it ended");
    tracing::error!("the {what} is broken, so the daemon ends; start it again once the disk works: {why}");
    ExitCode::FAILURE
}

/// SIGINT and SIGTERM, heard from the beginning on, so that one that comes during the start ends the daemon as cleanly as later.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Hears them from now on.
    ///
    /// # Errors
    /// When the system does not let us hear them.
    pub fn new() -> Result<Self, StartError> {
        let hear = |kind| signal(kind).map_err(|error| StartError::part("hearing signals", &error));
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    /// Waits for one of them.
    pub async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Puts everything that is known on the agenda: documents, host names of the API, and records whose document is gone.
async fn begin(shared: &Shared) -> Result<(), StartError> {
    let failed = |failure: claviger_core::domain::failure::Failure| StartError::Store(failure.message);
    for at in shared.documents.environments() {
        crate::ledger::load(shared, &at).await.map_err(failed)?;
    }
    let mut names: Vec<ObjectName> = shared.records.names().await.map_err(failed)?;
    shared.documents.each(|name, _| names.push(name.clone()));
    names.sort();
    names.dedup();
    let first = |name: &ObjectName| !matches!(name.kind, Kind::KmsKey | Kind::Environment);
    names.sort_by_key(first);
    for name in names {
        match name.kind {
            // Woken once the wrapping key has been looked at: before, they could only say that they do not know.
            Kind::Environment | Kind::TlsCertificate => shared.driver.put_within(name, KEYS_FIRST),
            _ => shared.driver.put(name),
        }
    }
    Ok(())
}

async fn listen(
    settings: &Settings,
    base: &Path,
    shared: &Arc<Shared>,
    stop: &CancellationToken,
) -> Result<Addresses, StartError> {
    let failed = |what, address: &str, setting| {
        let address = address.to_owned();
        move |cause| StartError::Listen { what, address, setting, cause }
    };
    let mut addresses = Addresses::default();
    if let Some(http01) = &settings.http01 {
        let address = wiring::http01(&http01.listen, shared, stop).await;
        addresses.http01 = Some(address.map_err(failed("the http-01 listener", &http01.listen, "http01.listen"))?);
    }
    let routes = health::routes(Arc::clone(shared));
    let address = health::serve(&settings.metrics.listen, routes, stop.clone()).await;
    addresses.metrics = Some(address.map_err(failed("metrics", &settings.metrics.listen, "metrics.listen"))?);
    let path = base.join(settings.admin.listen.strip_prefix("unix:").unwrap_or(&settings.admin.listen));
    let socket = wiring::socket(&path).map_err(failed("the admin API", &settings.admin.listen, "admin.listen"))?;
    let routes = admin::routes(admin::Admin::of(shared));
    if let Some(address) = &settings.admin.port_forward {
        let failed = failed("the admin API for port-forwards", address, "admin.portForward");
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let routes = routes.clone().layer(axum::extract::Extension(serve::Peer::Forwarded));
        tokio::spawn(serve::tcp(listener, routes, stop.clone()));
    }
    tokio::spawn(serve::unix(socket, routes, stop.clone()));
    addresses.admin = Some(path);
    Ok(addresses)
}

/// Reads everything again whenever something happened there.
async fn watch(mut origin: Origin, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = origin.next() => {}
            () = stop.cancelled() => return,
        }
        reload(&origin, &shared).await;
    }
}

async fn reload(origin: &Origin, shared: &Arc<Shared>) {
    origin.cluster().iter().for_each(|at| at.catch_up(&shared.documents));
    let (documents, judge) = (Arc::clone(&shared.documents), origin.judge());
    let settled = match tokio::task::spawn_blocking(move || judge(&documents)).await {
        Ok(settled) => settled,
        Err(error) => {
            // What is in force stays; the next change is read like this one.
            tracing::error!("reading the documents was broken off, what is in force stays; please report it: {error}");
            return;
        }
    };
    for finding in &settled.findings {
        tracing::debug!("{}:{}:{}: {}", finding.file, finding.line, finding.column, finding.message);
    }
    let changed = shared.documents.put_in_force(settled);
    tell(&shared.documents, &changed);
    let mut objects = changed.objects.clone();
    objects.extend(take_in(shared, &changed).await);
    remember(origin, shared, changed).await;
    objects.into_iter().for_each(|name| shared.driver.put(name));
}

/// Says which documents are rejected, when that is news; also at a start.
fn tell(documents: &Documents, changed: &Changed) {
    if !changed.news {
        return;
    }
    for finding in documents.view().rejected {
        let place = format!("{}:{}:{}", finding.file, finding.line, finding.column);
        tracing::warn!(code = finding.code, reason = "DocumentRejected", "{place}: {}", finding.message);
    }
}

/// The API's host names of environments that are new, different or gone.
async fn take_in(shared: &Shared, changed: &Changed) -> Vec<ObjectName> {
    let mut woken = Vec::new();
    for name in changed.objects.iter().filter(|name| name.kind == Kind::Environment) {
        let Ok(environment) = name.name.as_str().parse() else { continue };
        woken.extend(shared.documents.drop_rows(&environment));
        let Some(at) = shared.documents.environment(&environment) else { continue };
        match crate::ledger::load(shared, &at).await {
            Ok(names) => woken.extend(names),
            Err(failure) => {
                tracing::error!(reason = failure.reason.word(), "the ledger of host names: {}", failure.message);
                shared.documents.owe(Changed { objects: [name.clone()].into(), ..Changed::default() });
            }
        }
    }
    woken
}

/// What is in force is what a restart goes on with. What could not be stored is stored with the next reading.
async fn remember(origin: &Origin, shared: &Arc<Shared>, changed: Changed) {
    if let Some(at) = origin.cluster() {
        at.remember(&changed);
        if shared.driver.works() {
            at.watch_claimed(shared);
            at.tell_rejected(shared).await;
        }
    }
    if changed.accepted.is_empty() && !changed.claims {
        return;
    }
    let in_folder = if origin.cluster().is_some() { Vec::new() } else { changed.accepted.clone() };
    let kept = match shared.store.keep_accepted(in_folder).await {
        Ok(()) => crate::ledger::claim_documents(shared).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = kept {
        let reason = failure.reason.word();
        tracing::error!(reason, "accepted documents could not be kept: {}", failure.message);
        shared.documents.owe(Changed { claims: true, objects: BTreeSet::new(), ..changed });
    }
}
