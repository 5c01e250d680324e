//! Resources, as `kubectl get -o json` would print them.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use claviger_config::{
    API_VERSION, EnvironmentName, Kind, Namespace, ObjectName,
    admin::{List, Metadata, Resource},
    desired::{Spec, Wanted},
};
use serde_json::Value;

use super::{
    Admin, aside,
    call::{Call, Query},
    errors::{self, Problem},
    json,
    subject::Subject,
};

/// Tells one resource.
pub(super) async fn show(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    one(&admin, &call.path.read_object()?)
}

/// The answer that tells this object.
pub(super) fn one(admin: &Admin, name: &ObjectName) -> Result<Response, Problem> {
    let subject = admin.subject(name).ok_or_else(|| admin.no_such_object(name))?;
    json(StatusCode::OK, &resource(name, subject))
}

/// Tells the resources of a kind, a page at a time.
pub(super) async fn list(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let page = Page::read(&admin, &call)?;
    let items = aside(move || page.items(&admin)).await?;
    json(StatusCode::OK, &items)
}

struct Page {
    kind: Kind,
    namespace: Option<Namespace>,
    environment: Option<EnvironmentName>,
    after: Option<ObjectName>,
    limit: usize,
}

impl Page {
    fn read(admin: &Admin, call: &Call) -> Result<Self, Problem> {
        let kind = call.path.read_kind()?;
        let environment: Option<EnvironmentName> = call.query.read("environment")?;
        if let Some(environment) = &environment {
            admin.surroundings(environment)?;
        }
        Ok(Self {
            kind,
            namespace: call.query.read("namespace")?,
            environment,
            after: after(kind, &call.query)?,
            limit: call.query.limit()?,
        })
    }

    fn items(&self, admin: &Admin) -> List<Resource> {
        let like = |name: &ObjectName| {
            self.after.as_ref().is_none_or(|after| name > after)
                && self.namespace.as_ref().is_none_or(|namespace| name.namespace.as_ref() == Some(namespace))
        };
        let here = |subject: &Subject| self.environment.is_none() || subject.environment == self.environment;
        let names = admin.names(self.kind, like).into_iter();
        let subjects = names.filter_map(|name| Some((admin.subject(&name).filter(here)?, name)));
        let mut items: Vec<_> = subjects.take(self.limit + 1).map(|(it, name)| resource(&name, it)).collect();
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(|last| cursor(&last.metadata));
        List { next, ..List::whole(items) }
    }
}

fn cursor(metadata: &Metadata) -> String {
    match &metadata.namespace {
        Some(namespace) => format!("{namespace}/{}", metadata.name),
        None => metadata.name.to_string(),
    }
}

fn after(kind: Kind, query: &Query) -> Result<Option<ObjectName>, Problem> {
    let Some(text) = query.text("after") else { return Ok(None) };
    let parts = match text.split_once('/') {
        Some((namespace, name)) => namespace.parse().ok().map(Some).zip(name.parse().ok()),
        None => text.parse().ok().map(|name| (None, name)),
    };
    let (namespace, name) = parts.ok_or_else(|| {
        let message = format!("found `{}`; accepted: `next` of the page before", errors::short(text));
        errors::query_wrong("after", message, "leave it out for the first page")
    })?;
    Ok(Some(ObjectName { kind, namespace, name }))
}

fn resource(name: &ObjectName, subject: Subject) -> Resource {
    let metadata =
        Metadata { name: name.name.clone(), namespace: name.namespace.clone(), generation: subject.generation };
    Resource {
        api_version: API_VERSION.to_owned(),
        kind: name.kind,
        metadata,
        spec: subject.wanted.as_deref().map(spec),
        status: subject.status,
    }
}

/// An environment is shown resolved: with its namespaces, owner and classification filled in.
fn spec(wanted: &Wanted) -> Value {
    let written = match (&*wanted.spec, &wanted.environment) {
        (Spec::CustomHostname(spec), _) => serde_json::to_value(spec),
        (Spec::Environment(_), Some(at)) => serde_json::to_value(&at.spec),
        (Spec::Environment(spec), None) => serde_json::to_value(spec),
        (Spec::KmsKey(spec), _) => serde_json::to_value(spec),
        (Spec::TlsCertificate(spec), _) => serde_json::to_value(spec),
    };
    written.unwrap_or_default()
}
