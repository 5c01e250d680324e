//! Plays `Dns`: asks the first name server that answers.

use std::{net::SocketAddr, time::Duration};

use claviger_core::{
    domain::effect::{DnsAnswer, DnsQuestion},
    ports::{Answer, Dns},
};
use futures::{
    StreamExt,
    stream::{FuturesOrdered, FuturesUnordered},
};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{op::ResponseCode, rr::Name},
    system_conf::read_system_conf,
};
use tokio::{sync::Semaphore, time::timeout};

use super::values::{record_type, values};

/// Questions that may be on the wire at once, over all calls.
const AT_ONCE: usize = 16;

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the answer to a question, over all servers.
    pub(super) question: Duration,
    /// Before the next server is asked too.
    pub(super) server: Duration,
}

const PATIENCE: Patience = Patience { question: Duration::from_secs(5), server: Duration::from_millis(1_500) };

/// Why no resolver could be made.
#[derive(Debug, thiserror::Error)]
pub enum BadResolvers {
    /// The machine has no name servers.
    #[error("this machine names no name server; name one in the setting `resolvers`")]
    None,
    /// The client refuses a name server.
    #[error("the name server `{server}` cannot be used; name another one in the setting `resolvers`")]
    Server {
        /// Which.
        server: String,
        /// Why.
        #[source]
        source: Box<NetError>,
    },
    /// The machine's name servers could not be read.
    #[error("the name servers of this machine could not be read; name some in the setting `resolvers`")]
    System(#[source] Box<NetError>),
}

/// Asks name servers in their order; keeps no answers, so that each is fresh.
pub struct Resolver {
    servers: Vec<Server>,
    patience: Patience,
    turns: Semaphore,
}

struct Server {
    address: String,
    client: TokioResolver,
}

impl Resolver {
    /// Asks these name servers, or the machine's own when there are none.
    pub fn new(addresses: Vec<SocketAddr>) -> Result<Self, BadResolvers> {
        Self::patient(addresses, PATIENCE)
    }

    pub(super) fn patient(addresses: Vec<SocketAddr>, patience: Patience) -> Result<Self, BadResolvers> {
        let configured = if addresses.is_empty() { of_the_machine()? } else { of(&addresses) };
        let servers = configured.into_iter().map(|server| Server::new(server, patience)).collect::<Result<_, _>>()?;
        Ok(Self { servers, patience, turns: Semaphore::new(AT_ONCE) })
    }

    async fn answer(&self, question: &DnsQuestion) -> DnsAnswer {
        let _turn = self.turns.acquire().await;
        let told = match name_of(&question.name) {
            Some(name) => timeout(self.patience.question, self.first(&name, question)).await.ok().flatten(),
            None => None,
        };
        let (values, server) = told.map_or_else(|| (None, self.everybody()), |(values, server)| (Some(values), server));
        DnsAnswer { question: question.clone(), values, server }
    }

    /// The first answer. The next server is asked as soon as the one before has failed or been slow.
    async fn first(&self, name: &Name, question: &DnsQuestion) -> Option<(Vec<String>, String)> {
        let mut waiting = self.servers.iter();
        let mut asked = FuturesUnordered::new();
        loop {
            match waiting.next() {
                Some(server) => asked.push(server.ask(name, question)),
                None if asked.is_empty() => return None,
                None => {}
            }
            if let Ok(Some(Some(answer))) = timeout(self.patience.server, asked.next()).await {
                return Some(answer);
            }
        }
    }

    fn everybody(&self) -> String {
        self.servers.iter().map(|server| server.address.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Dns for Resolver {
    fn ask<'a>(&'a self, questions: &'a [DnsQuestion]) -> Answer<'a, Vec<DnsAnswer>> {
        let answers: FuturesOrdered<_> = questions.iter().map(|question| self.answer(question)).collect();
        Box::pin(async move { Ok(answers.collect().await) })
    }
}

impl Server {
    fn new(server: NameServerConfig, patience: Patience) -> Result<Self, BadResolvers> {
        let port = server.connections.first().map_or(53, |connection| connection.port);
        let address = SocketAddr::new(server.ip, port).to_string();
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let client = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options(patience))
            .build()
            .map_err(|source| BadResolvers::Server { server: address.clone(), source: Box::new(source) })?;
        Ok(Self { address, client })
    }

    async fn ask(&self, name: &Name, question: &DnsQuestion) -> Option<(Vec<String>, String)> {
        let told = match self.client.lookup(name.clone(), record_type(question.r#type)).await {
            Ok(lookup) => values(lookup.answers(), name, question.r#type),
            Err(error) if says_there_is_none(&error) => Some(Vec::new()),
            Err(error) => {
                tracing::debug!(server = self.address, name = question.name, %error, "no answer from a name server");
                None
            }
        };
        told.map(|values| (values, self.address.clone()))
    }
}

fn options(patience: Patience) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    // A lost datagram is sent again within the time-out; the plan repeats the rest.
    options.attempts = 0;
    options.timeout = patience.question;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options
}

/// NXDOMAIN or NODATA. An empty answer with name servers and no SOA is a referral (RFC 2308 section 2.2): it says nothing.
fn says_there_is_none(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, soa, ns, .. })) => match *response_code {
            ResponseCode::NXDomain => true,
            ResponseCode::NoError => soa.is_some() || ns.is_none(),
            _ => false,
        },
        _ => false,
    }
}

fn of(addresses: &[SocketAddr]) -> Vec<NameServerConfig> {
    let at = |mut connection: ConnectionConfig, port| {
        connection.port = port;
        connection
    };
    addresses
        .iter()
        .map(|address| {
            let connections =
                vec![at(ConnectionConfig::udp(), address.port()), at(ConnectionConfig::tcp(), address.port())];
            NameServerConfig::new(address.ip(), true, connections)
        })
        .collect()
}

fn of_the_machine() -> Result<Vec<NameServerConfig>, BadResolvers> {
    let (config, _) = read_system_conf().map_err(|source| BadResolvers::System(Box::new(source)))?;
    match config.name_servers() {
        [] => Err(BadResolvers::None),
        servers => Ok(servers.to_vec()),
    }
}

/// The name, absolute, so that no search list is tried.
fn name_of(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?.to_lowercase();
    name.set_fqdn(true);
    Some(name)
}
