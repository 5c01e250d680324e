//! Customers' host names: asked for by the product's backend at the moment when a customer types one in.
//!
//! The ledger in the store is written first, then what shall be, then the agenda: a crash in between is repaired by the start,
//! which reads the ledger.

mod request;
mod view;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use claviger_config::{
    DnsName, EnvironmentName, Moment, ObjectName, Reason, Span,
    admin::{HostnameRequest, List},
    desired::Surroundings,
    hostname::Origin,
};
use claviger_core::{
    domain::record::Ask,
    ports::{Audit, Entry},
};
use tokio::sync::MutexGuard;

use self::view::Objects;
use super::{
    Admin,
    call::{self, Call},
    errors::{self, Code, Problem},
    json,
};
use crate::{
    adapters::sqlite::{HostnameEntry, HostnamePage, HostnameRow},
    source,
};

/// Between two checks of one name.
const BETWEEN: Span = Span::seconds(10);
/// Names whose last check is remembered; older ones are forgotten once their time is over.
const REMEMBERED: usize = 10_000;
/// Changes of one name take turns; so many names at once.
const STRIPES: usize = 64;

/// What is remembered between two requests.
pub(super) struct Desk {
    checked: Mutex<BTreeMap<ObjectName, Moment>>,
    /// Ledger and wishes are two writes: without turns, a removal could slip between those of an addition.
    turns: [tokio::sync::Mutex<()>; STRIPES],
}

impl Default for Desk {
    fn default() -> Self {
        Self { checked: Mutex::default(), turns: std::array::from_fn(|_| tokio::sync::Mutex::new(())) }
    }
}

impl Desk {
    async fn turn(&self, hostname: &DnsName) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(hostname);
        let stripe = usize::try_from(hash % STRIPES as u64).unwrap_or_default();
        self.turns[stripe].lock().await
    }

    /// Whether a check may begin now; else how long to wait.
    fn begin_check(&self, name: &ObjectName, now: Moment) -> Result<(), Span> {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(again) = checked.get(name).map(|last| *last + BETWEEN).filter(|again| now < *again) {
            return Err(again.since(now));
        }
        if checked.len() >= REMEMBERED {
            checked.retain(|_, last| now < *last + BETWEEN);
        }
        checked.insert(name.clone(), now);
        Ok(())
    }
}

impl Admin {
    /// An environment that is in force.
    pub(super) fn surroundings(&self, name: &EnvironmentName) -> Result<Arc<Surroundings>, Problem> {
        let documents = &self.shared.documents;
        documents.environment(name).ok_or_else(|| {
            errors::environment_unknown(name, documents.environments().into_iter().map(|at| at.name.to_string()))
        })
    }
}

/// What the path names.
struct Named {
    at: Arc<Surroundings>,
    hostname: DnsName,
}

impl Named {
    fn read(admin: &Admin, call: &Call) -> Result<Self, Problem> {
        let at = admin.surroundings(&call.path.read_environment()?)?;
        Ok(Self { at, hostname: call::hostname(call.path.text("hostname"))? })
    }

    fn object(&self) -> Result<ObjectName, Problem> {
        source::row_name(&self.at, &self.hostname)
            .ok_or_else(|| errors::bug("a host name makes no object name", &self.hostname))
    }

    async fn row(&self, admin: &Admin) -> Result<Option<HostnameRow>, Problem> {
        Ok(admin.shared.store.hostname(self.at.name.clone(), self.hostname.clone()).await?)
    }

    async fn known(&self, admin: &Admin) -> Result<HostnameRow, Problem> {
        self.row(admin).await?.ok_or_else(|| {
            let message = format!("the environment `{}` has no host name `{}`", self.at.name, self.hostname);
            let fix = "ask for it with PUT on the same path, `{\"tenant\": …}` in the body";
            Problem::new(Code::HostnameUnknown, message, self.hostname.as_str(), fix)
        })
    }
}

/// Tells one host name.
pub(super) async fn show(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let named = Named::read(&admin, &call)?;
    let row = named.known(&admin).await?;
    json(StatusCode::OK, &view::view(&admin, &named.at, &Objects::of(&admin, &[&row]), &row)?)
}

/// Asks for a host name. Twice the same is once.
pub(super) async fn put(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let named = Named::read(&admin, &call)?;
    let asked: HostnameRequest = call.read()?;
    request::judge(&admin, &named, &asked)?;
    let _turn = admin.hostnames.turn(&named.hostname).await;
    let before = named.row(&admin).await?;
    request::not_taken_by_a_document(&admin, &named, before.as_ref())?;
    let entry = HostnameEntry {
        environment: named.at.name.clone(),
        hostname: named.hostname.clone(),
        origin: Origin::Api,
        tenant: asked.tenant,
        validation: asked.validation,
        reference: asked.reference,
    };
    let row = match before.clone().filter(|row| row.entry == entry) {
        Some(same) => same,
        None => written(&admin, &call, &named, entry).await?,
    };
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    json(status, &view::view(&admin, &named.at, &Objects::default(), &row)?)
}

async fn written(admin: &Admin, call: &Call, named: &Named, entry: HostnameEntry) -> Result<HostnameRow, Problem> {
    let line = line(call, "hostname.put", named)?;
    let write = async { Ok(admin.shared.store.put_hostname(entry, admin.now()).await?) };
    let row = admin.journalled(line, write).await.map_err(|problem| problem.about(named.hostname.as_str()))?;
    if let Some(name) = admin.shared.documents.put_row(&row) {
        admin.shared.driver.put(name);
    }
    Ok(row)
}

/// No longer asks for a host name. Twice is once.
pub(super) async fn remove(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let named = Named::read(&admin, &call)?;
    let _turn = admin.hostnames.turn(&named.hostname).await;
    let Some(row) = named.row(&admin).await? else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    request::not_of_a_document(&admin, &named, &row)?;
    let line = line(&call, "hostname.remove", &named)?;
    let name = line.object.clone();
    let write = async {
        admin.shared.store.remove_hostname(named.at.name.clone(), named.hostname.clone()).await?;
        Ok(())
    };
    admin.journalled(line, write).await?;
    admin.shared.documents.drop_row(&name);
    admin.shared.driver.put(name);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Has DNS and the edge looked at now.
pub(super) async fn check(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let named = Named::read(&admin, &call)?;
    let row = named.known(&admin).await?;
    let objects = Objects::of(&admin, &[&row]);
    let name = objects.name(&named.at, &row)?;
    let now = admin.now();
    admin.hostnames.begin_check(&name, now).map_err(|wait| {
        let message = format!("`{}` was checked less than {BETWEEN} ago", named.hostname);
        let fix = "wait, then check again; `GET` on the name tells what was seen";
        Problem::new(Code::TooSoon, message, named.hostname.as_str(), fix).retry_after(wait)
    })?;
    let ask = Ask { actor: call.actor, reason: "check".to_owned(), ticket: None, at: now, fresh: true };
    admin.ask(&name, ask).await?;
    admin.shared.driver.put(name);
    json(StatusCode::OK, &view::view(&admin, &named.at, &objects, &row)?)
}

/// Tells the host names of an environment, a page at a time.
pub(super) async fn list(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let at = admin.surroundings(&call.path.read_environment()?)?;
    let limit = call.query.limit()?;
    let page = HostnamePage {
        tenant: call.query.text("tenant").map(str::to_owned),
        after: call.query.read("after")?,
        limit: u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1),
    };
    let mut rows = admin.shared.store.hostnames(at.name.clone(), page).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let objects = Objects::of(&admin, &rows.iter().collect::<Vec<_>>());
    let items: Vec<_> = rows.iter().map(|row| view::view(&admin, &at, &objects, row)).collect::<Result<_, _>>()?;
    let next = items.last().filter(|_| more).map(|last| last.hostname.to_string());
    json(StatusCode::OK, &List { next, ..List::whole(items) })
}

/// The line of the journal for what a caller changes in the ledger. It has no intent of a record: none exists yet.
fn line(call: &Call, verb: &str, named: &Named) -> Result<Entry, Problem> {
    Ok(Entry {
        actor: call.actor.clone(),
        verb: verb.to_owned(),
        environment: Some(named.at.name.clone()),
        object: named.object()?,
        reason: Reason::Requested,
        intent: String::new(),
        asked: None,
        outcome: None,
    })
}

impl Admin {
    /// One line in the journal before, durable, and one after.
    pub(super) async fn journalled<T>(
        &self,
        mut line: Entry,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        self.shared.journal.intend(&line).await?;
        let done = work.await;
        line.outcome = Some(match &done {
            Ok(_) => ("Done".to_owned(), String::new()),
            Err(problem) => ("Failed".to_owned(), problem.worded()),
        });
        if let Err(failure) = self.shared.journal.conclude(&line).await {
            tracing::error!(object = %line.object, "an outcome could not be journalled: {}", failure.message);
        }
        done
    }
}
