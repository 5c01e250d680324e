//! Which replica is at work: a Lease beside clavigerd. The Lease only says who begins; what keeps two from writing is that each write
//! names the version that it replaces.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::{sync::watch, task::JoinHandle};

use super::Cluster;

/// The word on who leads.
#[derive(Clone)]
pub struct Leader {
    leads: watch::Receiver<bool>,
    keeping: Arc<Mutex<Option<Keeping>>>,
}

type Keeping = JoinHandle<Result<LeaseManager, LeaseManagerError>>;

/// How long a replica that is silent keeps the Lease, and how long before that it asks for more; in seconds.
const LASTS: u64 = 15;
const GRACE: u64 = 5;

/// Stands for election, under a name that nobody else has.
///
/// # Errors
/// When the Lease can be neither read nor made.
pub async fn lead(cluster: &Cluster, name: &str, identity: &str) -> Result<Leader, String> {
    let builder = LeaseManagerBuilder::new(cluster.client.clone(), name)
        .with_namespace(cluster.namespace())
        .with_identity(identity)
        .with_duration(LASTS)
        .with_grace(GRACE);
    let manager = builder.build().await.map_err(|error| {
        let namespace = cluster.namespace();
        format!("the lease `{namespace}/{name}` cannot be had: {error}; clavigerd needs get, create and patch on leases in its own namespace")
    })?;
    let (leads, keeping) = manager.watch().await;
    Ok(Leader { leads, keeping: Arc::new(Mutex::new(Some(keeping))) })
}

impl Leader {
    /// Waits until it is.
    pub async fn elected(&mut self) {
        // Whoever keeps the lease lives as long as this.
        let _ = self.leads.wait_for(|leads| *leads).await;
    }

    /// Waits until it is no longer.
    pub async fn deposed(&mut self) {
        let _ = self.leads.wait_for(|leads| !*leads).await;
    }

    /// Gives the Lease back, so that the next replica need not wait until it runs out. Whoever else holds the word must have let go.
    pub async fn resign(self) {
        drop(self.leads);
        let keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeping) = keeping {
            let _ = tokio::time::timeout(Duration::from_secs(5), keeping).await;
        }
    }
}
