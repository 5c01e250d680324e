//! The ledger of host names: one row per name and environment, with one origin and one tenant, whoever asked for it.

use claviger_config::{
    DnsName, EnvironmentName, ObjectName, Reason,
    desired::{Refusal, Spec, Surroundings},
    hostname::Origin,
};
use claviger_core::domain::failure::Failure;

use crate::{
    adapters::sqlite::{HostnameEntry, HostnamePage, HostnameRow},
    shared::Shared,
};

/// Rows of one reading.
const PAGE: u32 = 1_000;

/// A name for a host name where the name itself must not stand: it is the customer's own.
pub fn id(environment: &EnvironmentName, hostname: &DnsName) -> String {
    let mut hash = crate::adapters::craft::keys::sha256(format!("{environment}/{hostname}").as_bytes());
    hash.truncate(16);
    hash
}

/// Takes the API's host names of an environment in: after a start, and when the environment is new.
///
/// # Errors
/// When the store does not answer.
pub async fn load(shared: &Shared, at: &Surroundings) -> Result<Vec<ObjectName>, Failure> {
    let mut names = Vec::new();
    each(shared, at, |row| {
        if row.entry.origin == Origin::Api {
            names.extend(shared.documents.put_row(row));
        }
    })
    .await?;
    Ok(names)
}

async fn each(shared: &Shared, at: &Surroundings, mut with: impl FnMut(&HostnameRow)) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = HostnamePage { tenant: None, after: after.clone(), limit: PAGE };
        let rows = shared.store.hostnames(at.name.clone(), page).await?;
        rows.iter().for_each(&mut with);
        match rows.last() {
            Some(last) if rows.len() == PAGE as usize => after = Some(last.entry.hostname.clone()),
            _ => return Ok(()),
        }
    }
}

/// Writes the host names of documents into the ledger and takes out those whose document is gone. A name that belongs to
/// another origin or tenant is refused; whoever had it keeps it.
///
/// # Errors
/// When the store does not answer: who is refused stays refused, and it is to be tried again.
pub async fn claim_documents(shared: &Shared) -> Result<(), Failure> {
    let mut wanted: Vec<(ObjectName, HostnameEntry)> = Vec::new();
    shared.documents.each(|name, object| {
        if let (Spec::CustomHostname(spec), Some(at), Origin::Document) =
            (&*object.spec, &object.environment, object.origin)
        {
            let entry = HostnameEntry {
                environment: at.name.clone(),
                hostname: spec.hostname.clone(),
                origin: Origin::Document,
                tenant: spec.tenant.clone(),
                validation: spec.validation,
                reference: spec.reference.clone(),
            };
            wanted.push((name.clone(), entry));
        }
    });
    forget_gone(shared, &wanted).await?;
    for (name, entry) in wanted {
        let refusal = match shared.store.put_hostname(entry, shared.clock.now()).await {
            Ok(_) => None,
            Err(failure) if failure.reason == Reason::HostnameClaimed => {
                Some(Refusal { reason: failure.reason, message: failure.message, fix: failure.fix })
            }
            Err(failure) => return Err(failure),
        };
        if shared.documents.refuse(&name, refusal) {
            shared.driver.put(name);
        }
    }
    Ok(())
}

async fn forget_gone(shared: &Shared, wanted: &[(ObjectName, HostnameEntry)]) -> Result<(), Failure> {
    use claviger_core::ports::Source;
    if shared.documents.frozen() {
        return Ok(()); // what could not be read is not gone
    }
    for at in shared.documents.environments() {
        let mut gone = Vec::new();
        each(shared, &at, |row| {
            let kept = |(_, entry): &(ObjectName, HostnameEntry)| {
                entry.environment == row.entry.environment && entry.hostname == row.entry.hostname
            };
            if row.entry.origin == Origin::Document && !wanted.iter().any(kept) {
                gone.push(row.entry.hostname.clone());
            }
        })
        .await?;
        for hostname in gone {
            shared.store.remove_hostname(at.name.clone(), hostname).await?;
        }
    }
    Ok(())
}
