//! What the fleet shall be.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use claviger_config::{
    Kind, ObjectName,
    desired::{Spec, Surroundings, Wanted},
    hostname::Origin,
};
use claviger_core::ports::Source;
use serde_json::{Value, json};

/// Desired state that a story may change.
#[derive(Default)]
pub(crate) struct Documents {
    objects: Mutex<BTreeMap<ObjectName, Arc<Wanted>>>,
    pub(crate) unreadable: AtomicBool,
}

impl Source for Documents {
    fn wanted(&self, name: &ObjectName) -> Option<Arc<Wanted>> {
        self.objects.lock().unwrap().get(name).cloned()
    }

    fn frozen(&self) -> bool {
        self.unreadable.load(Relaxed)
    }
}

impl Documents {
    /// An environment with its wrapping key; its namespace has its name.
    pub(crate) fn environment(&self, name: &str) -> ObjectName {
        let surroundings = Arc::new(surroundings(name));
        let object = ObjectName { kind: Kind::Environment, namespace: None, name: name.parse().unwrap() };
        let spec = Spec::Environment(Box::new(surroundings.spec.clone()));
        self.put(object.clone(), Some(surroundings), spec);
        self.key(name, "wrapping");
        object
    }

    pub(crate) fn key(&self, namespace: &str, name: &str) -> ObjectName {
        let purpose = if name == "wrapping" { "wrap" } else { "data" };
        let spec = json!({ "purpose": purpose, "rotation": { "period": "365d" } });
        self.object(Kind::KmsKey, namespace, name, |spec| Spec::KmsKey(serde_json::from_value(spec).unwrap()), spec)
    }

    /// A certificate with outlets; `issuers` are names, `+` behind one asks for a short life.
    pub(crate) fn certificate(&self, namespace: &str, name: &str, issuers: &[&str], outlets: &[&str]) -> ObjectName {
        let issuer = |issuer: &&str| match issuer.strip_suffix('+') {
            Some(name) => json!({ "name": name, "profile": "shortlived" }),
            None => json!({ "name": issuer }),
        };
        let outlet = |outlet: &&str| json!({ "name": outlet, "files": { "directory": format!("{name}-{outlet}") } });
        let spec = json!({
            "dnsNames": [format!("{name}.{namespace}.example"), format!("api.{name}.{namespace}.example")],
            "issuers": issuers.iter().map(issuer).collect::<Vec<_>>(),
            "outlets": outlets.iter().map(outlet).collect::<Vec<_>>(),
        });
        let into = |spec| Spec::TlsCertificate(serde_json::from_value(spec).unwrap());
        self.object(Kind::TlsCertificate, namespace, name, into, spec)
    }

    pub(crate) fn hostname(&self, namespace: &str, name: &str) -> ObjectName {
        let spec = json!({ "hostname": format!("{name}.customer.example"), "tenant": "customer" });
        let into = |spec| Spec::CustomHostname(serde_json::from_value(spec).unwrap());
        self.object(Kind::CustomHostname, namespace, name, into, spec)
    }

    fn object(&self, kind: Kind, namespace: &str, name: &str, into: fn(Value) -> Spec, spec: Value) -> ObjectName {
        let object = ObjectName { kind, namespace: Some(namespace.parse().unwrap()), name: name.parse().unwrap() };
        self.put(object.clone(), Some(Arc::new(surroundings(namespace))), into(spec));
        object
    }

    fn put(&self, name: ObjectName, environment: Option<Arc<Surroundings>>, spec: Spec) {
        let mut objects = self.objects.lock().unwrap();
        let generation = objects.get(&name).map_or(0, |before| before.generation) + 1;
        let (refusal, origin, place) = (None, Origin::Document, None);
        let wanted = Wanted {
            name: name.clone(),
            environment,
            generation,
            identity: None,
            spec: Arc::new(spec),
            refusal,
            origin,
            place,
        };
        objects.insert(name, Arc::new(wanted));
    }

    pub(crate) fn remove(&self, name: &ObjectName) -> Arc<Wanted> {
        self.objects.lock().unwrap().remove(name).unwrap()
    }

    /// Says which object of that name it is.
    pub(crate) fn identify(&self, name: &ObjectName, identity: &str) {
        let mut objects = self.objects.lock().unwrap();
        Arc::make_mut(objects.get_mut(name).unwrap()).identity = Some(identity.into());
    }

    pub(crate) fn put_back(&self, wanted: Arc<Wanted>) {
        self.objects.lock().unwrap().insert(wanted.name.clone(), wanted);
    }

    pub(crate) fn names(&self) -> Vec<ObjectName> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn of(&self, kind: Kind) -> Vec<ObjectName> {
        self.names().into_iter().filter(|name| name.kind == kind).collect()
    }
}

fn surroundings(name: &str) -> Surroundings {
    let issuer = |issuer: &str| json!({ "name": issuer, "trust": "public", "acme": { "directory": format!("https://{issuer}.example/dir") } });
    let spec = json!({
        "class": "non-production",
        "namespaces": [name],
        "owner": "itops@example.com",
        "kms": {
            "accountId": "222222222222", "region": "eu-west-1",
            "aliasPrefix": format!("claviger/{name}"), "wrappingKey": "wrapping",
        },
        "zones": [{ "name": format!("{name}.example") }],
        "issuers": [issuer("first"), issuer("second")],
        "defaultIssuers": [{ "name": "first" }],
        "edge": { "cloudflare": {
            "zoneId": format!("zone of {name}"), "apiToken": { "file": "token" }, "target": "saas.example.com",
            "defaults": { "validation": "http", "minTlsVersion": "1.2" },
        } },
    });
    Surroundings { name: name.parse().unwrap(), spec: serde_json::from_value(spec).unwrap() }
}
