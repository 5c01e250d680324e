//! The four keepers as one: every subject of the fleet by its name.

use std::sync::Arc;

use claviger_config::{Kind, ObjectName};
use claviger_core::{
    domain::{
        certificate::Certificate, environment::Environment, hostname::Hostname, key::Key, plan::Plan, record::Ask,
    },
    reconcile::pass::{Common, Explained, Keeper, PassError, Rehearsed, Rested, Shown},
};

/// Every subject of the fleet.
pub struct Fleet {
    common: Arc<Common>,
    certificates: Keeper<Certificate>,
    environments: Keeper<Environment>,
    hostnames: Keeper<Hostname>,
    keys: Keeper<Key>,
}

/// Calls the keeper of a kind; `None` for a kind that has none yet.
macro_rules! of_kind {
    ($fleet:expr, $name:expr, $keeper:ident => $call:expr) => {
        match $name.kind {
            Kind::Authority => None,
            Kind::CustomHostname => Some({
                let $keeper = &$fleet.hostnames;
                $call
            }),
            Kind::Environment => Some({
                let $keeper = &$fleet.environments;
                $call
            }),
            Kind::KmsKey => Some({
                let $keeper = &$fleet.keys;
                $call
            }),
            Kind::TlsCertificate => Some({
                let $keeper = &$fleet.certificates;
                $call
            }),
        }
    };
}

impl Fleet {
    /// A fleet that knows nothing yet.
    pub fn new(common: Common) -> Self {
        let common = Arc::new(common);
        Self {
            certificates: Keeper::new(Arc::clone(&common)),
            environments: Keeper::new(Arc::clone(&common)),
            hostnames: Keeper::new(Arc::clone(&common)),
            keys: Keeper::new(Arc::clone(&common)),
            common,
        }
    }

    /// What all keepers share.
    pub fn common(&self) -> &Common {
        &self.common
    }

    /// Brings one subject on until it rests.
    ///
    /// # Errors
    /// When the store fails, or claviger has a fault.
    pub async fn pass(&self, name: &ObjectName) -> Result<Rested, PassError> {
        let rested = of_kind!(self, name, keeper => keeper.pass(name).await);
        rested.unwrap_or_else(|| {
            let plan = Plan::rest(None, claviger_config::Reason::NotSupportedYet);
            Ok(Rested { plan, wakes: Vec::new() })
        })
    }

    /// Every subject that is known.
    pub fn each(&self, mut with: impl FnMut(&ObjectName, Shown)) {
        self.environments.each(&mut with);
        self.keys.each(&mut with);
        self.certificates.each(&mut with);
        self.hostnames.each(&mut with);
    }

    /// Every subject of a kind.
    pub fn each_of(&self, kind: Kind, mut with: impl FnMut(&ObjectName, Shown)) {
        match kind {
            Kind::Authority => {}
            Kind::CustomHostname => self.hostnames.each(&mut with),
            Kind::Environment => self.environments.each(&mut with),
            Kind::KmsKey => self.keys.each(&mut with),
            Kind::TlsCertificate => self.certificates.each(&mut with),
        }
    }

    /// The name of every subject of a kind.
    pub fn names_of(&self, kind: Kind, mut with: impl FnMut(&ObjectName)) {
        match kind {
            Kind::Authority => {}
            Kind::CustomHostname => self.hostnames.names(&mut with),
            Kind::Environment => self.environments.names(&mut with),
            Kind::KmsKey => self.keys.names(&mut with),
            Kind::TlsCertificate => self.certificates.names(&mut with),
        }
    }

    /// One subject as it is shown.
    pub fn shown(&self, name: &ObjectName) -> Option<Shown> {
        of_kind!(self, name, keeper => keeper.shown(name))?
    }

    /// One subject explained.
    pub fn explained(&self, name: &ObjectName) -> Option<Explained> {
        of_kind!(self, name, keeper => keeper.explained(name))?
    }

    /// What an ask would lead to.
    pub fn rehearse(&self, name: &ObjectName, ask: Ask) -> Option<Rehearsed> {
        of_kind!(self, name, keeper => keeper.rehearse(name, ask))?
    }

    /// A person's ask, to be answered by the next pass.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn ask(&self, name: &ObjectName, ask: Ask) -> Result<(), PassError> {
        of_kind!(self, name, keeper => keeper.ask(name, ask).await).unwrap_or(Ok(()))
    }

    /// What was seen of a subject no longer counts: its next pass looks again.
    pub fn doubt(&self, name: &ObjectName) {
        of_kind!(self, name, keeper => keeper.doubt(name));
    }

    /// How many subjects are known.
    pub fn count(&self) -> usize {
        self.environments.count() + self.keys.count() + self.certificates.count() + self.hostnames.count()
    }
}
