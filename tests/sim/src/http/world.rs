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

use super::{Front, acme, cloudflare, dns, kms, server, sts};
use crate::fault::{Faults, Moment, Seen, Service};
use crate::keep::Keep;
use crate::lock;
use crate::model::acme::Acme;
use crate::model::cloudflare::Cloudflare;
use crate::model::dns::Dns;
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
    /// The ACME CA.
    pub acme: u16,
    /// Cloudflare's API.
    pub cloudflare: u16,
    /// The name servers, over UDP and TCP.
    pub dns: u16,
    /// AWS KMS.
    pub kms: u16,
    /// AWS STS.
    pub sts: u16,
}

/// Where the simulators listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The directory of the ACME CA.
    pub acme: String,
    /// The base of Cloudflare's API, up to `/client/v4`.
    pub cloudflare: String,
    /// The first name server.
    pub dns: SocketAddr,
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
        let acme = shared.listen(acme::FRONT, ports.acme, &mut taken.acme).await?;
        let cloudflare = shared.listen(cloudflare::FRONT, ports.cloudflare, &mut taken.cloudflare).await?;
        let servers = lock(&shared.dns).servers.len();
        let dns = dns::listen(&shared, ports.dns, servers).await?;
        taken.dns = dns.port();
        let kms = shared.listen(kms::FRONT, ports.kms, &mut taken.kms).await?;
        let sts = shared.listen(sts::FRONT, ports.sts, &mut taken.sts).await?;
        ports_kept.save(&Mutex::new(taken))?;
        shared.tasks.spawn(acme::validate(Arc::clone(&shared), format!("http://{acme}")));
        let addresses = Addresses {
            acme: format!("http://{acme}/dir"),
            cloudflare: format!("http://{cloudflare}{}", cloudflare::BASE),
            dns,
            kms: format!("http://{kms}"),
            sts: format!("http://{sts}"),
        };
        let running = Running { shared, addresses };
        running.keep()?;
        Ok(running)
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

    /// Locks the CA as it is now, to steer and to look. Calls wait meanwhile. Whoever needs DNS too locks it after the
    /// CA.
    pub fn acme(&self) -> MutexGuard<'_, Acme> {
        let mut acme = lock(&self.shared.acme);
        acme.advance(self.shared.now());
        acme
    }

    /// Locks Cloudflare as it is now, to steer and to look. Calls wait meanwhile. Whoever needs DNS too locks it
    /// afterwards: time can only do its work while DNS is free.
    pub fn cloudflare(&self) -> MutexGuard<'_, Cloudflare> {
        let mut cloudflare = lock(&self.shared.cloudflare);
        cloudflare.advance(self.shared.now(), &lock(&self.shared.dns));
        cloudflare
    }

    /// Locks DNS, to steer and to look. Calls wait meanwhile.
    pub fn dns(&self) -> MutexGuard<'_, Dns> {
        lock(&self.shared.dns)
    }

    /// Locks KMS and STS as they are now, to steer and to look. Calls wait meanwhile.
    pub fn kms(&self) -> MutexGuard<'_, Kms> {
        let mut kms = lock(&self.shared.kms);
        kms.advance(self.shared.now());
        kms
    }

    /// Rules for faults, and hooks.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// How often each operation was called so far, calls that met a fault included.
    pub fn calls(&self) -> Calls {
        Calls(lock(&self.shared.calls).clone())
    }

    /// Writes down what was steered. Calls do so themselves, for the model that they touch.
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
    pub(crate) acme: Mutex<Acme>,
    pub(crate) cloudflare: Mutex<Cloudflare>,
    pub(crate) dns: Mutex<Dns>,
    pub(crate) kms: Mutex<Kms>,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    calls: Mutex<BTreeMap<(Service, String), u64>>,
    acme_kept: Keep,
    cloudflare_kept: Keep,
    dns_kept: Keep,
    kms_kept: Keep,
}

impl Shared {
    fn load(options: Options) -> io::Result<Self> {
        let folder = options.state.as_deref();
        let (seed, unkind) = (options.seed, options.unkind);
        let names = ["acme.json", "cloudflare.json", "dns.json", "kms.json"];
        let [acme_kept, cloudflare_kept, dns_kept, kms_kept] = names.map(|name| Keep::new(folder, name));
        let acme = acme_kept.load()?.unwrap_or_else(|| Acme::new(seed, (options.now)(), unkind));
        let cloudflare = cloudflare_kept.load()?.unwrap_or_else(|| Cloudflare::new(seed, unkind));
        let dns = dns_kept.load()?.unwrap_or_else(|| Dns::new(unkind));
        let kms = kms_kept.load()?.unwrap_or_else(|| Kms::new(seed, unkind));
        Ok(Self {
            acme: Mutex::new(acme),
            cloudflare: Mutex::new(cloudflare),
            dns: Mutex::new(dns),
            faults: Faults::new(options.seed),
            kms: Mutex::new(kms),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            calls: Mutex::default(),
            acme_kept,
            cloudflare_kept,
            dns_kept,
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
            Service::Acme => self.acme_kept.save(&self.acme),
            Service::Cloudflare => self.cloudflare_kept.save(&self.cloudflare),
            Service::Dns => self.dns_kept.save(&self.dns),
            Service::Kms | Service::Sts => self.kms_kept.save(&self.kms),
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
        Self {
            acme: pick(self.acme, kept.acme),
            cloudflare: pick(self.cloudflare, kept.cloudflare),
            dns: pick(self.dns, kept.dns),
            kms: pick(self.kms, kept.kms),
            sts: pick(self.sts, kept.sts),
        }
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
