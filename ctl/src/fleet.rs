//! The fleet as the daemon tells of it: lists page by page, names looked up, views read.

use std::sync::Arc;

use claviger_config::{EnvironmentName, Kind, Namespace, ObjectName, admin::Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    args::{Format, Global},
    client::Client,
    cluster::Cluster,
    escape::escaped,
    failure::{Failure, not_understood},
    print::clean,
    target::{Target, nearest},
    way::Way,
    when::When,
};

/// The daemon, and what of its fleet is meant.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) client: Client,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) environment: Option<EnvironmentName>,
}

impl Fleet {
    /// What the flags say.
    pub(crate) async fn new(global: &Global) -> Result<Self, Failure> {
        let client = match global.way() {
            Way::Cluster(access) => Client::Cluster(Arc::new(Cluster::connect(access).await?)),
            Way::Socket { path, guessed } => Client::at(&path, guessed),
        };
        Ok(Self { client, namespace: global.namespace.clone(), environment: global.environment.clone() })
    }

    /// The resource that was typed; what names no namespace lies in the one that is meant.
    pub(crate) fn target(&self, text: &str) -> Result<Target, Failure> {
        let target = Target::read(text, self.namespace.as_ref())?;
        let namespace =
            target.namespace.or_else(|| self.within().cloned()).filter(|_| target.kind != Kind::Environment);
        Ok(Target { namespace, ..target })
    }

    /// The namespace that is meant: the one that was named, else that of a kubeconfig's context.
    pub(crate) fn within(&self) -> Option<&Namespace> {
        self.namespace.as_ref().or_else(|| self.client.cluster().and_then(Cluster::namespace))
    }

    /// The resources of a kind that are meant, as the daemon shows them.
    pub(crate) async fn resources(&self, kind: Kind) -> Result<Vec<Value>, Failure> {
        let path = format!("/v1/resources/{}", segment(kind));
        let mut found = Vec::new();
        for mut item in self.pages(&path).await? {
            let resource: Resource = read(&path, &item)?;
            if self.means(&resource) {
                forget_record(&mut item);
                found.push(item);
            }
        }
        Ok(found)
    }

    /// One resource, as the daemon shows it.
    pub(crate) async fn resource(&self, object: &ObjectName) -> Result<Value, Failure> {
        let mut answer = self.client.get(&path_of(object)).await?;
        forget_record(&mut answer);
        Ok(answer)
    }

    /// All items of a list, page by page.
    pub(crate) async fn pages(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut page = path.to_owned();
        loop {
            let mut answer = self.client.get(&page).await?;
            let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) else {
                return Err(not_understood(&page, serde::de::Error::missing_field("items")));
            };
            let end = more.is_empty();
            items.extend(more);
            let Some(next) = answer.get("next").and_then(Value::as_str).filter(|_| !end) else {
                return Ok(items);
            };
            let joint = if path.contains('?') { '&' } else { '?' };
            page = format!("{path}{joint}after={}", escaped(next));
        }
    }

    /// The full name of what is meant: the namespace is looked up where it was left out.
    pub(crate) async fn resolve(&self, target: &Target) -> Result<ObjectName, Failure> {
        if let (Some(object), None) = (target.resolved(), &self.environment) {
            return Ok(object);
        }
        Self { namespace: target.namespace.clone(), ..self.clone() }.look_up(target).await
    }

    /// The full name of what is meant, found in the list of its kind.
    pub(crate) async fn look_up(&self, target: &Target) -> Result<ObjectName, Failure> {
        let path = format!("/v1/resources/{}", segment(target.kind));
        let all = self.resources(target.kind).await?;
        let all: Vec<Resource> = all.iter().map(|item| read(&path, item)).collect::<Result<_, _>>()?;
        let mut same = all.iter().filter(|resource| resource.metadata.name == target.name);
        match (same.next(), same.next()) {
            (Some(resource), None) => Ok(name_of(resource)),
            (None, _) => Err(self.missing(target, &all)),
            (Some(_), Some(_)) => Err(ambiguous(target, &all)),
        }
    }

    /// How instants are to be told: beside the daemon's present where it says what that is.
    pub(crate) async fn when(&self, format: Format) -> When {
        if format != Format::Table {
            return When::ABSOLUTE;
        }
        self.client.present().await.map_or(When::ABSOLUTE, When::seen_from)
    }

    /// The environments that are meant and have an edge, by name.
    pub(crate) async fn edges(&self) -> Result<Vec<EnvironmentName>, Failure> {
        if let Some(environment) = &self.environment {
            return Ok(vec![environment.clone()]);
        }
        let items = self.resources(Kind::Environment).await?;
        let with_edge = items.iter().filter(|item| item.pointer("/spec/edge").is_some_and(|edge| !edge.is_null()));
        with_edge
            .map(|item| read("/v1/resources/environment", &item["metadata"]["name"]))
            .collect::<Result<Vec<EnvironmentName>, Failure>>()
    }

    /// The one environment with an edge that is meant.
    pub(crate) async fn edge(&self) -> Result<EnvironmentName, Failure> {
        let mut edges = self.edges().await?;
        if edges.len() > 1 {
            let choices = edges.iter().map(ToString::to_string).collect();
            return Err(Failure::EnvironmentOpen { choices });
        }
        edges.pop().ok_or(Failure::EnvironmentOpen { choices: Vec::new() })
    }

    fn means(&self, resource: &Resource) -> bool {
        let cluster_scoped = resource.kind == Kind::Environment;
        let within = |namespace: &Namespace| resource.metadata.namespace.as_ref() == Some(namespace);
        let belongs = |environment: &EnvironmentName| environment_of(resource) == Some(environment.as_str());
        self.within().is_none_or(|namespace| cluster_scoped || within(namespace))
            && self.environment.as_ref().is_none_or(belongs)
    }

    fn missing(&self, target: &Target, all: &[Resource]) -> Failure {
        let namespace = self.within().map(|namespace| format!("namespace `{namespace}`"));
        let environment = self.environment.as_ref().map(|environment| format!("environment `{environment}`"));
        let scope: Vec<String> = namespace.into_iter().chain(environment).collect();
        Failure::NotFound {
            kind: target.kind,
            name: target.name.to_string(),
            scope: Some(scope.join(", ")).filter(|scope| !scope.is_empty()),
            near: nearest(target.name.as_str(), all.iter().map(|resource| resource.metadata.name.to_string())),
        }
    }
}

/// Read a view out of an answer, cleaned for people. What programs read is passed on as it came.
pub(crate) fn read<T: DeserializeOwned>(path: &str, value: &Value) -> Result<T, Failure> {
    serde_json::from_value(cleaned(value)).map_err(|source| not_understood(path, source))
}

/// The path of one resource.
pub(crate) fn path_of(object: &ObjectName) -> String {
    let namespace = object.namespace.as_ref().map(|namespace| format!("/{namespace}")).unwrap_or_default();
    format!("/v1/resources/{}{namespace}/{}", segment(object.kind), object.name)
}

/// The full name of a resource.
pub(crate) fn name_of(resource: &Resource) -> ObjectName {
    let metadata = resource.metadata.clone();
    ObjectName { kind: resource.kind, namespace: metadata.namespace, name: metadata.name }
}

/// The environment that a resource belongs to; absent while none claims it.
pub(crate) fn environment_of(resource: &Resource) -> Option<&str> {
    if resource.kind == Kind::Environment {
        return Some(resource.metadata.name.as_str());
    }
    resource.status.get("environment").and_then(Value::as_str)
}

fn segment(kind: Kind) -> String {
    kind.word().to_ascii_lowercase()
}

fn ambiguous(target: &Target, all: &[Resource]) -> Failure {
    let same = all.iter().filter(|resource| resource.metadata.name == target.name);
    let mut namespaces: Vec<Namespace> = same.filter_map(|resource| resource.metadata.namespace.clone()).collect();
    namespaces.sort();
    Failure::Ambiguous { kind: target.kind, name: target.name.to_string(), namespaces }
}

/// claviger's own memory is nobody else's business, whatever a daemon shows.
fn forget_record(resource: &mut Value) {
    if let Some(status) = resource.get_mut("status").and_then(Value::as_object_mut) {
        status.shift_remove("record");
    }
}

fn cleaned(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => Value::Array(items.iter().map(cleaned).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), cleaned(value))).collect())
        }
        other => other.clone(),
    }
}
