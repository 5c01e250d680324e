//! The adapter against a simulated AWS, over real sockets.

mod credentials;
mod faults;
mod keys;
mod separation;
mod table;
mod wrap;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use std::time::Duration;

use claviger_config::{
    EnvironmentName, Moment, ObjectName, Span,
    desired::Surroundings,
    environment::{CredentialsFile, EnvironmentSpec},
    key::{KeySpec, Purpose},
    settings::Endpoints,
};
use claviger_core::{
    domain::{effect::KeyUse, failure::Failure},
    ports::{Binding, Clock, Kms, NewKey, Secret},
};
use claviger_sim::{
    Options, Running, World,
    fault::{Fault, Rule, Service},
};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{AwsKms, KmsOptions, clients::Patience};

const STAGING: &str = "222222222222";
const PRODUCTION: &str = "111111111111";
const ALIAS: &str = "alias/claviger/staging/wrapping";

/// A clock that moves by hand.
struct Hand {
    now: AtomicI64,
    lots: AtomicU64,
}

impl Clock for Hand {
    fn now(&self) -> Moment {
        Moment(self.now.load(Ordering::SeqCst))
    }

    fn draw(&self) -> u64 {
        self.lots.fetch_add(1, Ordering::SeqCst)
    }
}

/// A world, the adapter, and a credentials file that names it.
struct Trial {
    world: Running,
    kms: AwsKms,
    clock: Arc<Hand>,
    files: TempDir,
    observed: Arc<Mutex<Vec<String>>>,
}

impl Trial {
    async fn start() -> Self {
        Self::start_with(false).await
    }

    /// A world with short pages, quotas and late views.
    async fn unkind() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(unkind: bool) -> Self {
        // 2026-11-24, noon.
        let clock = Arc::new(Hand { now: AtomicI64::new(1_795_521_600_000), lots: AtomicU64::new(7) });
        let time = Arc::clone(&clock);
        let options = Options { unkind, ..Options::new(1, move || time.now().0) };
        let world = World::start(options).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("aws"), credentials()).unwrap();
        let observed = Arc::new(Mutex::new(Vec::new()));
        let kms = adapter(&world.addresses().kms, &world.addresses().sts, &files, &clock, &observed);
        Self { world, kms, clock, files, observed }
    }

    fn pass(&self, span: Span) {
        self.clock.now.fetch_add(span.0, Ordering::SeqCst);
    }

    fn calls(&self, operation: &str) -> u64 {
        self.world.calls().of(Service::Kms, operation)
    }

    fn strike(&self, operation: &str, fault: Fault) {
        self.world.faults().add(Rule::once(Service::Kms, operation, fault));
    }

    async fn make(&self, at: &Surroundings, intent: &str) -> Result<String, Failure> {
        let object = object("wrapping");
        let key = NewKey { object: &object, intent, spec: KeySpec::SymmetricDefault, purpose: Purpose::Wrap };
        self.kms.create_key(at, key).await
    }

    /// What the observer heard: environment, operation and code.
    fn observed(&self) -> Vec<String> {
        self.observed.lock().unwrap().clone()
    }
}

fn adapter(kms: &str, sts: &str, files: &TempDir, clock: &Arc<Hand>, observed: &Arc<Mutex<Vec<String>>>) -> AwsKms {
    let everywhere = |url: &str| ["eu-west-1", "eu-west-2"].map(|region| (region.to_owned(), url.to_owned())).into();
    let heard = Arc::clone(observed);
    let options = KmsOptions {
        endpoints: Endpoints { kms: everywhere(kms), sts: everywhere(sts), cloudflare: None },
        files_read: Some(files.path().to_owned()),
        observer: Arc::new(move |seen| {
            heard.lock().unwrap().push(format!("{} {} {}", seen.environment, seen.operation, seen.code));
        }),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    };
    AwsKms::patient(options, Patience { read: Duration::from_secs(2), ..Patience::default() })
}

/// The simulator reads the account from the access key.
fn credentials() -> String {
    let profile = |name: &str, account: &str| {
        format!("[{name}]\naws_access_key_id = AKIA{account}EXAMPLE\naws_secret_access_key = not-a-secret\n")
    };
    [profile("staging", STAGING), profile("production", PRODUCTION), profile("hub", "000000000000")].concat()
}

fn environment(name: &str, account: &str) -> Surroundings {
    let spec = serde_json::json!({
        "class": "non-production", "namespaces": [name], "owner": "IT Ops <itops@example.com>",
        "classification": "confidential",
        "kms": {
            "accountId": account, "region": "eu-west-1", "credentials": { "file": "aws", "profile": name },
            "aliasPrefix": format!("claviger/{name}"), "wrappingKey": "wrapping"
        }
    });
    let spec: EnvironmentSpec = serde_json::from_value(spec).unwrap();
    Surroundings { name: name.parse().unwrap(), spec }
}

fn staging() -> Surroundings {
    environment("staging", STAGING)
}

fn production() -> Surroundings {
    environment("production", PRODUCTION)
}

/// The environment by way of a role that the hub's credentials assume.
fn by_role(mut at: Surroundings, role: &str) -> Surroundings {
    at.spec.kms.credentials = Some(CredentialsFile { file: "aws".to_owned(), profile: "hub".to_owned() });
    at.spec.kms.assume_role = Some(role.to_owned());
    at
}

fn object(name: &str) -> ObjectName {
    serde_json::from_value(serde_json::json!({ "kind": "KmsKey", "namespace": "shop", "name": name })).unwrap()
}

fn binding(environment: &EnvironmentName, name: &str) -> Binding {
    Binding { environment: environment.clone(), object: object(name), r#use: KeyUse::Certificate }
}

fn secret(text: &str) -> Secret {
    Secret::new(Zeroizing::new(text.as_bytes().to_vec()))
}
