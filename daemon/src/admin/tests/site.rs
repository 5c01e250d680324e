//! A daemon without listeners, and an outside that is a few fields.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use claviger_config::{
    Moment, ObjectName, Reason, Span,
    judge::{Incumbents, SettingsFacts},
    key::KeyState,
    settle::FileRead,
};
use claviger_core::{
    domain::{
        effect::{
            DnsAnswer, EdgeCertificate, EdgeEffect, Effect, HostnameSeen, KeySeen, KmsEffect, News, Query, RotationSeen,
        },
        failure::Failure,
        record::Intent,
    },
    ports::{Answer, Clock, Commit, Store, Version},
    reconcile::{
        pass::{Common, Listener, Told},
        world::{Scene, World},
    },
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    adapters::{
        clock::Pace,
        sqlite::{SqliteStore, State},
    },
    admin::{Admin, routes},
    drive::Driver,
    fleet::Fleet,
    journal::Journal,
    serve::Peer,
    shared::Shared,
    sight::metrics::Metrics,
    source::Documents,
};

pub(super) const START: Moment = Moment(1_795_000_000_000);

/// A clock that stands still until it is moved.
pub(super) struct Dial(AtomicI64);

impl Dial {
    pub(super) fn forward(&self, span: Span) {
        self.0.fetch_add(span.0, Ordering::Relaxed);
    }
}

impl Clock for Dial {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }

    fn draw(&self) -> u64 {
        7
    }
}

impl Pace for Dial {
    fn real_wait(&self, _: Moment, cap: Duration) -> Duration {
        cap
    }

    fn real_since(&self, _: Moment) -> Duration {
        Duration::ZERO
    }
}

/// The outside: an edge that has names or fails, and a KMS whose rotation somebody has switched off.
pub(super) struct Outside {
    store: Arc<SqliteStore>,
    pub(super) edge: Mutex<Result<Option<HostnameSeen>, Failure>>,
    pub(super) looks: Mutex<u32>,
    pub(super) rotates: Mutex<bool>,
}

const ARN: &str = "arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-0000-0000-000000000001";

impl Outside {
    fn key(&self) -> KeySeen {
        let enabled = *self.rotates.lock().unwrap();
        KeySeen {
            arn: ARN.to_owned(),
            state: KeyState::Enabled,
            spec: None,
            material: None,
            created_at: None,
            deletion_at: None,
            rotation: Some(RotationSeen { enabled, period: enabled.then(|| Span::days(365)), next: None, last: None }),
            alias_target: Some(ARN.to_owned()),
            ours: true,
        }
    }

    fn answer(&self, query: &Query) -> Result<News, Failure> {
        Ok(match query {
            Query::Hostname { .. } => {
                *self.looks.lock().unwrap() += 1;
                News::Hostname(self.edge.lock().unwrap().clone()?.map(Box::new))
            }
            Query::Records { questions } => {
                let answer = |question: &_| DnsAnswer {
                    question: Clone::clone(question),
                    values: Some(Vec::new()),
                    server: "ns1.customer.example".to_owned(),
                };
                News::Records(questions.iter().map(answer).collect())
            }
            Query::Key { .. } | Query::LostKey { .. } => News::Key(Some(Box::new(self.key()))),
            other => return Err(Failure::new(Reason::AcmeUnreachable, format!("nobody answers {}", other.word()))),
        })
    }

    fn done(&self, effect: &Effect) -> Result<News, Failure> {
        Ok(match effect {
            Effect::Edge(EdgeEffect::Create { hostname, .. }) => {
                let seen = HostnameSeen {
                    id: "f00d".to_owned(),
                    hostname: hostname.to_string(),
                    status: "pending".to_owned(),
                    certificate: Some(EdgeCertificate {
                        status: "pending_validation".to_owned(),
                        method: Some("http".to_owned()),
                        min_tls_version: Some("1.2".to_owned()),
                        not_after: None,
                        txt: Vec::new(),
                        http: Vec::new(),
                        errors: Vec::new(),
                    }),
                    ownership: None,
                    errors: Vec::new(),
                };
                *self.edge.lock().unwrap() = Ok(Some(seen.clone()));
                News::Hostname(Some(Box::new(seen)))
            }
            Effect::Kms(KmsEffect::SetRotation { period, .. }) => News::Rotation(*period),
            other => return Err(Failure::new(Reason::Refused, format!("`{}` is refused", other.terms().word))),
        })
    }
}

impl World for Outside {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        self.store.load(name)
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        self.store.commit(commit)
    }

    fn look<'a>(&'a self, _: Scene<'a>, query: &'a Query) -> Answer<'a, News> {
        Box::pin(async { self.answer(query) })
    }

    fn perform<'a>(&'a self, _: Scene<'a>, effect: &'a Effect) -> Answer<'a, News> {
        Box::pin(async { self.done(effect) })
    }

    fn recall<'a>(&'a self, _: Scene<'a>, _: &'a Intent) -> Answer<'a, Option<News>> {
        Box::pin(async { Ok(None) })
    }
}

struct Deaf;

impl Listener for Deaf {
    fn hear(&self, _: Told<'_>) {}
}

/// A daemon without listeners.
pub(super) struct Site {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<Dial>,
    pub(super) outside: Arc<Outside>,
    router: Router,
    // Last: the folder goes when everything that uses it is gone.
    folder: tempfile::TempDir,
}

/// An answer.
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Said {
    pub(super) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

impl Site {
    pub(super) fn new() -> Self {
        Self::with(DOCUMENTS)
    }

    pub(super) fn with(documents: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state")).unwrap();
        let store = Arc::new(SqliteStore::open(&state).unwrap());
        let clock = Arc::new(Dial(AtomicI64::new(START.0)));
        let journal = Arc::new(Journal::open(&state, Arc::clone(&clock) as Arc<dyn Clock>).unwrap());
        let outside = Arc::new(Outside {
            store: Arc::clone(&store),
            edge: Mutex::new(Ok(None)),
            looks: Mutex::new(0),
            rotates: Mutex::new(true),
        });
        let documents = in_force(documents);
        let fleet = Arc::new(Fleet::new(Common {
            world: Arc::clone(&outside) as Arc<dyn World>,
            source: Arc::clone(&documents) as _,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            budgets: Mutex::default(),
            board: Mutex::default(),
            listener: Arc::new(Deaf),
        }));
        let pace = Arc::clone(&clock) as Arc<dyn Pace>;
        let metrics = Arc::new(Metrics::new().unwrap());
        let driver = Driver::new(Arc::clone(&fleet), Arc::clone(&documents), Arc::clone(&pace), Arc::clone(&metrics));
        let records = Arc::clone(&store) as _;
        let shared = Arc::new(Shared {
            clock: pace,
            documents,
            driver,
            fleet,
            journal,
            metrics,
            store,
            records,
            objects: None,
            found: None,
        });
        let router = routes(Admin::of(&shared));
        Self { shared, clock, outside, router, folder }
    }

    /// What the journal holds, line by line, once it holds that many: an outcome is written soon, not at once.
    pub(super) async fn journal(&self, lines: usize) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let text = std::fs::read_to_string(self.folder.path().join("state/audit.jsonl")).unwrap();
            let found: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if found.len() >= lines {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "{found:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets a subject be passed over.
    pub(super) async fn pass(&self, name: &str) {
        self.shared.fleet.pass(&object(name)).await.unwrap();
    }

    pub(super) async fn get(&self, path: &str) -> Said {
        self.send("GET", path, None).await
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Said {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.hear(request.body(body).unwrap()).await
    }

    pub(super) async fn hear(&self, request: Request<Body>) -> Said {
        self.hear_from(Some(rustix::process::geteuid().as_raw()), request).await
    }

    pub(super) async fn hear_from(&self, uid: Option<u32>, request: Request<Body>) -> Said {
        self.hear_by(Peer::User(uid), request).await
    }

    pub(super) async fn hear_by(&self, peer: Peer, request: Request<Body>) -> Said {
        let router = self.router.clone().layer(Extension(peer));
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Said { status: parts.status, headers: parts.headers, body }
    }
}

/// `KIND/NAMESPACE/NAME`, or `Environment/NAME`.
pub(super) fn object(text: &str) -> ObjectName {
    let parts: Vec<&str> = text.split('/').collect();
    let (namespace, name) = match parts[..] {
        [_, name] => (None, name),
        [_, namespace, name] => (Some(namespace.parse().unwrap()), name),
        _ => panic!("{text}"),
    };
    ObjectName { kind: parts[0].parse().unwrap(), namespace, name: name.parse().unwrap() }
}

fn in_force(text: &str) -> Arc<Documents> {
    let facts = SettingsFacts { hooks: Default::default(), http01: true, kubernetes: false, reads: true, writes: true };
    let documents = Documents::new(facts, Incumbents::default());
    let file = FileRead { name: "fleet.yaml".to_owned(), content: Ok(text.as_bytes().into()) };
    let settled = documents.judge(&[file]);
    assert_eq!(settled.findings, []);
    documents.put_in_force(settled);
    Arc::new(documents)
}

pub(super) const DOCUMENTS: &str = r#"
apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: production }
spec:
  class: production
  owner: itops@example.com
  classification: confidential
  kms: { accountId: "111111111111", region: eu-west-1, aliasPrefix: claviger/production, wrappingKey: wrapping }
  edge:
    cloudflare:
      zoneId: 023e105f4ecef8ad9ca31a8372d0c353
      apiToken: { file: cf-token }
      target: saas.example.com
      defaults: { validation: http, minTlsVersion: "1.2" }
---
apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: staging }
spec:
  class: non-production
  owner: dev@example.com
  kms: { accountId: "222222222222", region: eu-west-1, aliasPrefix: claviger/staging, wrappingKey: wrapping }
  zones: [{ name: staging.example.com }]
---
apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: bare }
spec:
  class: production
  owner: itops@example.com
  kms: { accountId: "333333333333", region: eu-west-1, aliasPrefix: claviger/bare, wrappingKey: wrapping }
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: production }
spec: { purpose: wrap, keySpec: SYMMETRIC_DEFAULT, rotation: { period: 365d } }
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: staging }
spec: { purpose: wrap, keySpec: SYMMETRIC_DEFAULT, rotation: { period: 365d } }
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: bare }
spec: { purpose: wrap, keySpec: SYMMETRIC_DEFAULT }
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: signing, namespace: production }
spec: { purpose: sign, keySpec: ECC_NIST_P256 }
---
apiVersion: claviger.dev/v1alpha1
kind: CustomHostname
metadata: { name: documented, namespace: production }
spec: { hostname: documented.customer.example, tenant: customer-gmbh }
"#;
