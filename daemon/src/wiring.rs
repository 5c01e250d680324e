//! Which adapter plays which port, and the layers around them.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use claviger_config::{IssuerName, desired::Surroundings, settings::Settings};
use claviger_core::{
    domain::failure::Failure,
    ports::{Answer, Audit, Clock, Outlet, Store, Vault},
    reconcile::{outside::Outside, pass::Common, world::World},
};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::{
        acme::{self, AcmeCa},
        aside::Secrets,
        aws_kms::{AwsKms, KmsOptions},
        clock::Pace,
        cloudflare::CloudflareEdge,
        craft::AwsLc,
        dns::Resolver,
        files::{self, AccountFiles, FilesOutlet},
        http01,
        kubernetes::{AccountSecrets, Outlets, SecretOutlet},
        sqlite::{SqliteStore, State},
    },
    fleet::Fleet,
    journal::Journal,
    layers::{audit::Audited, deadline::Deadline, fence::Fenced, meter::Metered},
    origin::InCluster,
    shared::Shared,
    sight::{feed, log::Teller, metrics::Metrics},
    source::Documents,
    start::StartError,
};

/// Opens the state folder: the store and the journal.
///
/// # Errors
/// When the folder cannot be used, or another daemon holds it.
pub fn stores(
    settings: &Settings,
    base: &Path,
    clock: &Arc<dyn Pace>,
) -> Result<(Arc<SqliteStore>, Arc<Journal>, State), StartError> {
    let state =
        State::open(&base.join(&settings.state.directory)).map_err(|error| StartError::State(Box::new(error)))?;
    let store = SqliteStore::open(&state).map_err(|error| StartError::State(Box::new(error)))?;
    for row in store.quarantined_at_start() {
        tracing::error!(
            reason = "StoreFailed",
            "{} {} is damaged and was put into quarantine; a record is found again in what is in service, anything else in a \
             backup of the state folder; check the disk",
            row.table,
            row.key
        );
    }
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    let journal = Journal::open(&state, clock).map_err(|error| StartError::State(Box::new(error)))?;
    for found in &journal.start().breaks {
        tracing::error!(
            "the chain of the audit journal is broken: {found:?}; keep the file and find out who changed it"
        );
    }
    Ok((Arc::new(store), Arc::new(journal), state))
}

/// What the fleet is built from.
pub struct Parts<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// What relative paths are relative to.
    pub base: &'a Path,
    /// The time.
    pub clock: &'a Arc<dyn Pace>,
    /// Counters.
    pub metrics: &'a Arc<Metrics>,
    /// Memory.
    pub store: &'a Arc<SqliteStore>,
    /// The journal.
    pub journal: &'a Arc<Journal>,
    /// The state folder.
    pub state: &'a State,
    /// What shall be.
    pub documents: &'a Arc<Documents>,
    /// The cluster, when the documents are custom resources.
    pub cluster: Option<&'a InCluster>,
}

/// Builds the fleet on the outside and its layers.
///
/// # Errors
/// When a part cannot be built.
pub fn fleet(parts: &Parts<'_>) -> Result<Fleet, StartError> {
    let clock: Arc<dyn Clock> = Arc::clone(parts.clock) as Arc<dyn Clock>;
    let feed = feed::start(Arc::clone(parts.store));
    Ok(Fleet::new(Common {
        world: world(parts, outside(parts)?)?,
        source: Arc::clone(parts.documents) as _,
        clock,
        budgets: std::sync::Mutex::default(),
        board: std::sync::Mutex::default(),
        listener: Arc::new(Teller::new(Arc::clone(parts.metrics), feed, events(parts))),
    }))
}

/// Whom news are told beside the log.
fn events(parts: &Parts<'_>) -> Option<crate::sight::log::Events> {
    let events = parts.cluster?.events.clone();
    Some(Box::new(move |name, plan| events.tell(name, plan)))
}

/// Audit around the others, so that what is journalled is what was tried; crash points innermost, next to the far side. In a cluster
/// nothing is tried by whoever does not lead.
fn world(parts: &Parts<'_>, outside: Outside) -> Result<Arc<dyn World>, StartError> {
    #[cfg(feature = "dev")]
    let outside = crate::layers::crash::Crashing::new(outside)
        .map_err(|why| StartError::Part { what: "the crash point", why })?;
    let clock = || Arc::clone(parts.clock) as Arc<dyn Clock>;
    let metered = Metered::new(Deadline::new(outside, clock()), Arc::clone(parts.metrics));
    let audited = Audited::new(metered, Arc::clone(parts.journal) as Arc<dyn Audit>);
    Ok(match parts.cluster {
        Some(at) => Arc::new(Fenced::new(audited, Arc::clone(&at.fence), clock())),
        None => Arc::new(audited),
    })
}

fn outside(parts: &Parts<'_>) -> Result<Outside, StartError> {
    let (settings, base) = (parts.settings, parts.base);
    let clock: Arc<dyn Clock> = Arc::clone(parts.clock) as Arc<dyn Clock>;
    let below = |folder: &Option<String>| folder.as_ref().map(|folder| base.join(folder));
    let (read, write) = (below(&settings.files.read), below(&settings.files.write));
    Ok(Outside {
        acme: Arc::new(AcmeCa::new(
            Arc::clone(&clock),
            acme::Files { read: read.clone(), secrets: secrets(parts) },
            seen_acme(parts),
        )),
        craft: Arc::new(AwsLc::new(roots(read.clone(), secrets(parts)))),
        dns: Arc::new(resolver(&settings.resolvers)?),
        edge: Arc::new(edge(parts, read.clone())?),
        kms: Arc::new(AwsKms::new(KmsOptions {
            endpoints: settings.endpoints.clone(),
            files_read: read,
            observer: seen_kms(parts),
            clock,
        })),
        outlet: outlet(parts, FilesOutlet::new(write, hooks(settings), parts.base)),
        store: records(parts),
        vault: vault(parts),
    })
}

/// In a cluster an outlet may be a Secret too.
fn outlet(parts: &Parts<'_>, files: FilesOutlet) -> Arc<dyn Outlet> {
    let Some(at) = parts.cluster else { return Arc::new(files) };
    let secrets = SecretOutlet::new(at.cluster.clone(), Arc::clone(parts.clock) as Arc<dyn Clock>);
    Arc::new(Outlets { files, secrets })
}

/// Where the records of subjects are kept: in the state folder, or in the status of the objects.
pub fn records(parts: &Parts<'_>) -> Arc<dyn Store> {
    match parts.cluster {
        Some(at) => Arc::clone(&at.records) as _,
        None => Arc::clone(parts.store) as _,
    }
}

fn vault(parts: &Parts<'_>) -> Arc<dyn Vault> {
    match parts.cluster {
        Some(at) => Arc::new(AccountSecrets::new(&at.cluster, Arc::clone(parts.clock) as Arc<dyn Clock>)),
        None => Arc::new(AccountFiles::new(parts.state)),
    }
}

fn hooks(settings: &Settings) -> std::collections::BTreeMap<claviger_config::Name, claviger_config::settings::Hook> {
    settings.hooks.clone()
}

fn edge(parts: &Parts<'_>, read: Option<PathBuf>) -> Result<CloudflareEdge, StartError> {
    let (metrics, clock) = (Arc::clone(parts.metrics), Arc::clone(parts.clock) as Arc<dyn Clock>);
    let observer: crate::adapters::cloudflare::Observer = Arc::new(move |seen| {
        metrics.cloudflare(seen.environment.as_str(), seen.operation, seen.code, seen.took);
        metrics.asked(&format!("cloudflare/{}", seen.environment), seen.at.0 / 1_000, seen.succeeded);
    });
    let base = parts.settings.endpoints.cloudflare.as_deref();
    let edge = CloudflareEdge::new(clock, base, read, observer);
    Ok(edge.map_err(|error| StartError::part("the edge", &error))?.with_secrets(secrets(parts)))
}

fn seen_acme(parts: &Parts<'_>) -> acme::Observer {
    let metrics = Arc::clone(parts.metrics);
    Arc::new(move |seen| {
        metrics.acme(seen.environment.as_str(), seen.issuer.as_str(), seen.operation, seen.code, seen.took);
        metrics.asked(&format!("acme/{}/{}", seen.environment, seen.issuer), seen.at.0 / 1_000, seen.answered);
    })
}

fn seen_kms(parts: &Parts<'_>) -> crate::adapters::aws_kms::Observer {
    let metrics = Arc::clone(parts.metrics);
    Arc::new(move |seen| {
        metrics.kms(seen.environment.as_str(), seen.operation, seen.code, seen.took);
        metrics.asked(&format!("kms/{}", seen.environment), seen.at.0 / 1_000, seen.succeeded);
    })
}

fn resolver(addresses: &[String]) -> Result<Resolver, StartError> {
    let parsed: Result<Vec<SocketAddr>, _> = addresses.iter().map(|address| address.parse()).collect();
    let parsed = parsed.map_err(|error| StartError::part("the resolvers", &error))?;
    Resolver::new(parsed).map_err(|error| StartError::part("the resolvers", &error))
}

/// The reader of what documents name in clavigerd's own namespace.
fn secrets(parts: &Parts<'_>) -> Option<Secrets> {
    Some(parts.cluster?.cluster.secrets(Arc::clone(parts.clock) as Arc<dyn Clock>))
}

/// The trusted roots of an issuer, PEM; read each time, since they are few and may be replaced.
fn roots(read: Option<PathBuf>, secrets: Option<Secrets>) -> crate::adapters::craft::Roots {
    Arc::new(move |at: &Surroundings, issuer: &IssuerName| -> Answer<'_, Option<String>> {
        let named = at.spec.issuers.iter().find(|candidate| candidate.name == *issuer);
        let reference = named.and_then(|issuer| issuer.acme.as_ref()?.trusted_roots.clone());
        let (read, secrets) = (read.clone(), secrets.clone());
        Box::pin(async move {
            let Some(reference) = reference else { return Ok(None) };
            let bytes = match (reference.secret, secrets, reference.file) {
                (Some(key), Some(secrets), _) => secrets(key).await?.to_vec(),
                (_, _, Some(file)) => {
                    let bytes = tokio::task::spawn_blocking(move || files::read_below(read.as_deref(), &file)).await;
                    bytes.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?
                }
                _ => return Ok(None),
            };
            String::from_utf8(bytes).map(Some).map_err(|error| unreadable(&error))
        })
    })
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(claviger_config::Reason::SettingMissing, format!("the trusted roots cannot be read: {error}"))
}

/// Starts the listener that answers http-01 for all environments, without stored state.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn http01(address: &str, shared: &Arc<Shared>, stop: &CancellationToken) -> std::io::Result<SocketAddr> {
    let shared = Arc::clone(shared);
    let lookup: http01::Lookup = Arc::new(move |host: &str| thumbprint(&shared, host));
    let running = http01::start(address, lookup).await?;
    let bound = running.address();
    let stop = stop.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        drop(running);
    });
    Ok(bound)
}

/// The account of the issuer in the pending order of the certificate for that host, else of the environment's first ACME issuer
/// that has one. The longest zone wins; a host outside every zone has none.
fn thumbprint(shared: &Shared, host: &str) -> Option<String> {
    let host = host.parse().ok()?;
    let (at, certificates) = shared.documents.around(&host)?;
    let board = shared.fleet.common().board.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let pending = certificates.iter().find_map(|certificate| board.order_at(certificate));
    let first = at.spec.issuers.iter().filter(|issuer| issuer.acme.is_some()).map(|issuer| &issuer.name);
    let issuers = || pending.into_iter().chain(first.clone());
    let account = issuers().find_map(|issuer| board.thumbprint(&at.name, issuer).map(str::to_owned));
    // A replica that is not at work knows the accounts from the status of their environment.
    account.or_else(|| issuers().find_map(|issuer| shared.objects.as_ref()?.thumbprint(&at.name, issuer)))
}

/// Binds the admin socket: ours alone. One that a dead daemon left is replaced; the state folder's lock says that it is dead.
///
/// # Errors
/// When the path cannot be bound.
pub fn socket(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) => std::fs::remove_file(path)?,
        Ok(_) => {
            return Err(std::io::Error::other("something else than a socket is there; remove it or name another path"));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
