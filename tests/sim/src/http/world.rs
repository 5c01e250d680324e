//! A whole world: the models, their servers, faults, counts and what is kept.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::{fmt, fs, io};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Front, kms, server, sts};
use crate::fault::{Faults, Moment, Seen, Service};
use crate::keep::Keep;
use crate::lock;
use crate::model::kms::Kms;

/// What a world is made of.
#[derive(Clone)]
pub struct Options {
    /// The same seed tells the same story.
    pub seed: u64,
    /// The world's time in milliseconds since 1970.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// A folder for the state, created if missing; a world started there again goes on where it was, also at the same
    /// addresses. None: the world ends with the process.
    pub state: Option<PathBuf>,
    /// Refused nonces, shuffled lists, short pages, slow consistency, quotas.
    pub unkind: bool,
    /// Where the ACME CA fetches http-01, whatever the name; must be a loopback address.
    pub http01: Option<SocketAddr>,
    /// Which ports to take.
    pub ports: Ports,
}

impl Options {
    /// An unkind world without a memory, on ports that the system picks.
    pub fn new(seed: u64, now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { seed, now: Arc::new(now), state: None, unkind: true, http01: None, ports: Ports::default() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Options")
            .field("seed", &self.seed)
            .field("state", &self.state)
            .field("unkind", &self.unkind)
            .field("http01", &self.http01)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// Fixed ports; 0 lets the system pick one, or takes the one that the state folder remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// AWS KMS.
    pub kms: u16,
    /// AWS STS.
    pub sts: u16,
}

/// Where the simulators listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Endpoint of KMS, for all Regions.
    pub kms: String,
    /// Endpoint of STS, for all Regions.
    pub sts: String,
}

/// How often each operation was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<(Service, String), u64>);

impl Calls {
    /// The calls of one operation.
    pub fn of(&self, service: Service, operation: &str) -> u64 {
        self.0.get(&(service, operation.to_owned())).copied().unwrap_or(0)
    }

    /// The calls of all operations of a service.
    pub fn all(&self, service: Service) -> u64 {
        self.iter().filter(|(of, _, _)| *of == service).map(|(_, _, count)| count).sum()
    }

    /// Every operation that was called.
    pub fn iter(&self) -> impl Iterator<Item = (Service, &str, u64)> {
        self.0.iter().map(|((service, operation), count)| (*service, operation.as_str(), *count))
    }
}

/// The beginning of all worlds.
#[derive(Debug)]
pub struct World;

impl World {
    /// Starts all simulators on the loopback interface.
    ///
    /// # Errors
    /// A port is taken, or the state folder cannot be used.
    pub async fn start(options: Options) -> io::Result<Running> {
        refuse_the_outside(&options)?;
        if let Some(folder) = &options.state {
            fs::create_dir_all(folder)?;
        }
        let ports_kept = Keep::new(options.state.as_deref(), "ports.json");
        let ports = options.ports.or(ports_kept.load()?.unwrap_or_default());
        let shared = Arc::new(Shared::load(options)?);
        let mut taken = Ports::default();
        let kms = shared.listen(kms::FRONT, ports.kms, &mut taken.kms).await?;
        let sts = shared.listen(sts::FRONT, ports.sts, &mut taken.sts).await?;
        ports_kept.save(&Mutex::new(taken))?;
        let addresses = Addresses { kms: format!("http://{kms}"), sts: format!("http://{sts}") };
        Ok(Running { shared, addresses })
    }
}

/// A world that runs; dropping it stops it.
pub struct Running {
    shared: Arc<Shared>,
    addresses: Addresses,
}

impl Running {
    /// Where everything listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Locks KMS and STS, to steer and to look. Calls wait meanwhile.
    pub fn kms(&self) -> MutexGuard<'_, Kms> {
        lock(&self.shared.kms)
    }

    /// Rules for faults, and hooks.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// How often each operation was called so far.
    pub fn calls(&self) -> Calls {
        Calls(lock(&self.shared.calls).clone())
    }

    /// Writes down what was steered; calls do so themselves.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn keep(&self) -> io::Result<()> {
        SERVICES.iter().try_for_each(|service| self.shared.keep(*service))
    }

    /// Ends the world and waits until the last connection is closed.
    pub async fn stop(self) {
        let tasks = self.shared.tasks.clone();
        drop(self);
        tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Running").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// What all servers share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) faults: Faults,
    pub(crate) kms: Mutex<Kms>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    calls: Mutex<BTreeMap<(Service, String), u64>>,
    kms_kept: Keep,
}

impl Shared {
    fn load(options: Options) -> io::Result<Self> {
        let folder = options.state.as_deref();
        let kms_kept = Keep::new(folder, "kms.json");
        let kms = kms_kept.load()?.unwrap_or_else(|| Kms::new(options.seed, options.unkind));
        Ok(Self {
            faults: Faults::new(options.seed),
            kms: Mutex::new(kms),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            calls: Mutex::default(),
            kms_kept,
            options,
        })
    }

    pub(crate) fn now(&self) -> i64 {
        (self.options.now)()
    }

    /// Counts a call that has just come.
    pub(crate) fn count(&self, service: Service, operation: String) -> Seen {
        let mut calls = lock(&self.calls);
        let number = calls.entry((service, operation.clone())).or_insert(0);
        *number += 1;
        Seen { service, operation, number: *number, moment: Moment::Before }
    }

    /// Writes down the model behind a service.
    pub(crate) fn keep(&self, service: Service) -> io::Result<()> {
        match service {
            Service::Kms | Service::Sts => self.kms_kept.save(&self.kms),
            _ => Ok(()),
        }
    }

    async fn listen(self: &Arc<Self>, front: Front, port: u16, taken: &mut u16) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        *taken = address.port();
        self.tasks.spawn(server::serve(Arc::clone(self), front, listener));
        Ok(address)
    }
}

impl Ports {
    /// Own wishes first, then what was kept.
    fn or(self, kept: Self) -> Self {
        let pick = |wish, kept| if wish == 0 { kept } else { wish };
        Self { kms: pick(self.kms, kept.kms), sts: pick(self.sts, kept.sts) }
    }
}

fn refuse_the_outside(options: &Options) -> io::Result<()> {
    match options.http01 {
        Some(address) if !address.ip().is_loopback() => {
            let text = format!("http01 is {address}, but a simulator talks to loopback addresses only");
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        _ => Ok(()),
    }
}

const SERVICES: [Service; 5] = [Service::Acme, Service::Cloudflare, Service::Dns, Service::Kms, Service::Sts];
