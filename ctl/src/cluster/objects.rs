//! Custom resources, told as the daemon tells them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_config::{
    API_VERSION, EnvironmentName, Kind, Moment, Namespace, ObjectName, Reason,
    admin::{ExplainedVerdict, Explanation, List, Metadata, Remembered, Resource},
    certificate::TlsCertificateSpec,
    condition::{CommonStatus, Condition, ConditionStatus},
    crd,
    environment::EnvironmentSpec,
    hostname::CustomHostnameSpec,
    key::KmsKeySpec,
};
use kube::{
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::failure::{Failure, not_understood};

/// One object as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) name: ObjectName,
    generation: u64,
    created: Moment,
    spec: Value,
    /// Without the record; absent while nobody has looked at it.
    status: Option<Value>,
    common: CommonStatus,
    remembered: Option<Remembered>,
}

impl Stored {
    /// Reads it; absent when its name is none that claviger would take.
    pub(super) fn of(kind: Kind, object: DynamicObject) -> Option<Self> {
        let namespace = match &object.metadata.namespace {
            Some(namespace) => Some(namespace.parse().ok()?),
            None => None,
        };
        let name = ObjectName { kind, namespace, name: object.metadata.name.as_ref()?.parse().ok()? };
        let created = object.metadata.creation_timestamp.as_ref().and_then(|time| time.0.to_string().parse().ok());
        let mut status = object.data.get("status").filter(|status| status.is_object()).cloned();
        let record = status.as_mut().and_then(Value::as_object_mut).and_then(|status| status.shift_remove("record"));
        let record = record.as_ref().and_then(Value::as_str).and_then(|record| STANDARD.decode(record).ok());
        Some(Self {
            name,
            generation: object.metadata.generation.and_then(|number| number.try_into().ok()).unwrap_or_default(),
            created: created.unwrap_or(Moment::MIN),
            spec: object.data.get("spec").cloned().unwrap_or_default(),
            common: status.clone().and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default(),
            status,
            remembered: record.and_then(|record| Remembered::of(&record)),
        })
    }

    /// Whether claviger has said something of it.
    pub(super) fn is_observed(&self) -> bool {
        self.status.is_some()
    }

    /// What every status begins with.
    pub(super) fn common(&self, claims: &BTreeMap<Namespace, EnvironmentName>) -> CommonStatus {
        if self.is_observed() {
            return self.common.clone();
        }
        let condition = |r#type: &str| Condition {
            r#type: r#type.to_owned(),
            status: ConditionStatus::Unknown,
            reason: Reason::NotObserved,
            message: String::new(),
            observed_generation: 0,
            last_transition_time: self.created,
        };
        let environment = self.environment_name(claims).map(|environment| environment.to_string());
        let conditions = ["Ready", "OnSchedule"].map(condition).into();
        CommonStatus { environment, conditions, ..CommonStatus::default() }
    }

    /// As the daemon shows it.
    pub(super) fn resource(&self, claims: &BTreeMap<Namespace, EnvironmentName>) -> Value {
        let ObjectName { kind, namespace, name } = self.name.clone();
        let unseen = || serde_json::to_value(self.common(claims)).unwrap_or_default();
        let resource = Resource {
            api_version: API_VERSION.to_owned(),
            kind,
            metadata: Metadata { name, namespace, generation: self.generation },
            spec: Some(self.spec()),
            status: self.status.clone().unwrap_or_else(unseen),
        };
        serde_json::to_value(resource).unwrap_or_default()
    }

    /// With defaults filled in, an environment with its namespaces; as it stands where this release does not understand it.
    fn spec(&self) -> Value {
        let written = match self.name.kind {
            Kind::Authority => None,
            Kind::CustomHostname => again::<CustomHostnameSpec>(&self.spec),
            Kind::Environment => self.environment().and_then(|spec| serde_json::to_value(spec).ok()),
            Kind::KmsKey => again::<KmsKeySpec>(&self.spec),
            Kind::TlsCertificate => again::<TlsCertificateSpec>(&self.spec),
        };
        written.unwrap_or_else(|| self.spec.clone())
    }

    /// The environment that it describes, its namespaces filled in.
    pub(super) fn environment(&self) -> Option<EnvironmentSpec> {
        let mut spec: EnvironmentSpec = self.read_spec().filter(|_| self.name.kind == Kind::Environment)?;
        if spec.namespaces.is_empty() {
            spec.namespaces.extend(self.name.name.as_str().parse::<Namespace>());
        }
        Some(spec)
    }

    /// Its specification, where this release understands it.
    pub(super) fn read_spec<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.spec.clone()).ok()
    }

    /// Its status, where this release understands it.
    pub(super) fn read_status<T: DeserializeOwned + Default>(&self) -> T {
        self.status.clone().and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default()
    }

    /// The environment that it belongs to.
    pub(super) fn environment_name(&self, claims: &BTreeMap<Namespace, EnvironmentName>) -> Option<EnvironmentName> {
        if self.name.kind == Kind::Environment {
            return self.name.name.as_str().parse().ok();
        }
        let told = self.common.environment.as_ref().and_then(|environment| environment.parse().ok());
        told.or_else(|| self.name.namespace.as_ref().and_then(|namespace| claims.get(namespace).cloned()))
    }

    /// Explained from what is stored.
    pub(super) fn explanation(&self, claims: &BTreeMap<Namespace, EnvironmentName>) -> Explanation {
        let environment = self.environment_name(claims);
        let ready = self.common.condition("Ready");
        // A version that was refused when it was read says so in its status; the record speaks of the one before.
        let refused = ready.is_some_and(|ready| ready.reason == Reason::DocumentRejected);
        if let Some(remembered) = self.remembered.clone().filter(|_| !refused) {
            return Explanation::of(&self.name, remembered, environment);
        }
        let explanation = Explanation { environment, ..Explanation::unseen(&self.name) };
        match (&self.common.attention, ready) {
            (Some(attention), _) => Explanation {
                verdict: ExplainedVerdict {
                    reason: attention.reason,
                    turn: attention.turn,
                    message: attention.message.clone(),
                    since: Some(attention.since),
                    hurts_at: attention.hurts_at,
                    fix: attention.fix.clone(),
                },
                ..explanation
            },
            (None, Some(ready)) => Explanation {
                verdict: ExplainedVerdict {
                    reason: ready.reason,
                    turn: ready.reason.turn(),
                    message: ready.message.clone(),
                    since: Some(ready.last_transition_time),
                    ..explanation.verdict
                },
                ..explanation
            },
            (None, None) => explanation,
        }
    }
}

/// Read and written again, so that defaults are filled in.
fn again<T: DeserializeOwned + Serialize>(spec: &Value) -> Option<Value> {
    let read: T = serde_json::from_value(spec.clone()).ok()?;
    serde_json::to_value(read).ok()
}

/// Which environment claims which namespace; of two, the one that was first.
pub(super) fn claims(environments: &[Stored]) -> BTreeMap<Namespace, EnvironmentName> {
    let mut claims = BTreeMap::new();
    let mut oldest_first: Vec<&Stored> = environments.iter().collect();
    oldest_first.sort_by_key(|environment| environment.created);
    for environment in oldest_first {
        let Ok(name) = environment.name.name.as_str().parse::<EnvironmentName>() else { continue };
        for namespace in environment.environment().map(|spec| spec.namespaces).unwrap_or_default() {
            claims.entry(namespace).or_insert_with(|| name.clone());
        }
    }
    claims
}

/// A list as the contract writes it.
pub(super) fn as_list(items: impl Iterator<Item = Value>) -> Value {
    serde_json::to_value(List::whole(items.collect())).unwrap_or_default()
}

/// A view as programs read it.
pub(super) fn value(what: &str, view: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(view).map_err(|source| not_understood(what, source))
}

/// A kind as the API server knows it.
pub(super) fn resource(kind: Kind) -> ApiResource {
    let named = GroupVersionKind::gvk(crd::GROUP, crd::VERSION, kind.word());
    ApiResource::from_gvk_with_plural(&named, crd::plural(kind))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(status: Value) -> Stored {
        let object = json!({
            "apiVersion": API_VERSION, "kind": "KmsKey",
            "metadata": { "name": "wrapping", "namespace": "staging", "generation": 2, "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-11-24T10:00:00Z", "labels": { "team": "web" } },
            "spec": { "purpose": "wrap", "keySpec": "SYMMETRIC_DEFAULT" },
            "status": status,
        });
        Stored::of(Kind::KmsKey, serde_json::from_value(object).unwrap()).unwrap()
    }

    fn ready(reason: &str) -> Value {
        json!([{ "type": "Ready", "status": "False", "reason": reason, "observedGeneration": 2,
            "lastTransitionTime": "2026-11-24T11:00:00Z" }])
    }

    #[test]
    fn an_object_is_told_without_what_kubernetes_adds_and_without_the_record() {
        let told = stored(json!({ "observedGeneration": 2, "record": "e30=" })).resource(&BTreeMap::new());
        assert_eq!(told["metadata"], json!({ "name": "wrapping", "namespace": "staging", "generation": 2 }));
        assert_eq!(told["status"], json!({ "observedGeneration": 2 }));
    }

    #[test]
    fn an_object_that_nobody_has_looked_at_is_unknown_in_the_environment_that_claims_it() {
        let claims = BTreeMap::from([("staging".parse().unwrap(), "staging".parse().unwrap())]);
        let told = stored(Value::Null).resource(&claims);
        assert_eq!(told["status"]["environment"], "staging");
        assert_eq!(told["status"]["conditions"][0]["status"], "Unknown");
        assert_eq!(stored(Value::Null).explanation(&claims).verdict.reason, Reason::NotObserved);
    }

    #[test]
    fn a_version_that_was_refused_is_explained_by_its_status_and_not_by_the_record() {
        let body = r#"{"said":{"reason":"Ready","since":"2026-11-24T10:00:00Z"},"history":[]}"#;
        let record = STANDARD.encode(json!({ "version": 1, "body": body, "thought": {} }).to_string());
        let explained = |reason: &str| {
            let status = json!({ "observedGeneration": 2, "conditions": ready(reason), "record": record });
            stored(status).explanation(&BTreeMap::new()).verdict.reason
        };
        assert_eq!(explained("DocumentRejected"), Reason::DocumentRejected);
        assert_eq!(explained("KeyDisabled"), Reason::Ready, "the record is what the daemon says too");
    }

    #[test]
    fn a_status_without_a_record_explains_as_far_as_it_goes() {
        let status = json!({ "observedGeneration": 2, "conditions": ready("KeyDisabled") });
        let explained = stored(status).explanation(&BTreeMap::new());
        assert_eq!((explained.verdict.reason, explained.steps.len()), (Reason::KeyDisabled, 0));
    }
}
