//! The edge against servers that answer oddly.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use claviger_config::{
    DnsName, EnvironmentName, Moment, Reason, Span, desired::Surroundings, environment::TlsVersion,
    hostname::Validation,
};
use claviger_core::{
    domain::{
        budget::Class,
        effect::EdgeSettings,
        failure::{Done, Failure, Retry, Stops},
    },
    ports::{Clock, Edge},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{edge::CloudflareEdge, sender::Timing};

const ID: &str = "0d89c70d-ad9f-4843-b99f-6cc0252067e9";
const HTTP: EdgeSettings = EdgeSettings { validation: Validation::Http, min_tls_version: None };
const IMPATIENT: Timing =
    Timing { connect: Duration::from_secs(5), read: Duration::from_millis(200), total: Duration::from_secs(5) };

struct StoppedClock(Mutex<Moment>);

impl StoppedClock {
    fn pass(&self, span: Span) {
        let mut now = self.0.lock().unwrap();
        *now = *now + span;
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }

    fn draw(&self) -> u64 {
        4
    }
}

/// What a server answers: status, headers, body.
#[derive(Clone)]
struct Reply(u16, Vec<(&'static str, String)>, String);

impl Reply {
    fn json(status: u16, body: &Value) -> Self {
        Self(status, Vec::new(), body.to_string())
    }

    fn text(status: u16, body: &str) -> Self {
        Self(status, Vec::new(), body.to_owned())
    }

    fn refusal(status: u16, code: u64, message: &str) -> Self {
        let errors = json!([{ "code": code, "message": message }]);
        Self::json(status, &json!({ "success": false, "errors": errors, "messages": [], "result": null }))
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.1.push((name, value.to_owned()));
        self
    }
}

/// What a server was asked.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    token: String,
    body: Value,
}

type Script = Arc<Mutex<(VecDeque<Reply>, Vec<Asked>)>>;

struct World {
    clock: Arc<StoppedClock>,
    edge: CloudflareEdge,
    environment: Surroundings,
    counted: Arc<Mutex<Vec<(String, String)>>>,
    script: Script,
    files: tempfile::TempDir,
}

impl World {
    /// A server that answers from a list, in its order, and then with 418.
    async fn answering(replies: &[Reply]) -> Self {
        let script: Script = Arc::new(Mutex::new((replies.to_vec().into(), Vec::new())));
        let app = Router::new().fallback(answer).with_state(script.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/client/v4", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self::at(&base, script)
    }

    fn at(base: &str, script: Script) -> Self {
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("cf-token"), "first-token\n").unwrap();
        let clock = Arc::new(StoppedClock(Mutex::new("2026-11-24T10:00:00Z".parse().unwrap())));
        let counted: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let seen = counted.clone();
        let edge = CloudflareEdge::timed(
            clock.clone(),
            Some(base),
            Some(files.path().to_owned()),
            Arc::new(move |call| seen.lock().unwrap().push((call.operation.to_owned(), call.code.to_owned()))),
            IMPATIENT,
        )
        .unwrap();
        Self { clock, edge, environment: production(), counted, script, files }
    }

    async fn create(&self) -> Result<claviger_core::domain::effect::HostnameSeen, Failure> {
        self.edge.create(&self.environment, &shop(), HTTP).await
    }

    async fn refused(&self) -> Failure {
        self.create().await.unwrap_err()
    }

    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap().1.clone()
    }

    fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    fn counted(&self) -> Vec<(String, String)> {
        self.counted.lock().unwrap().clone()
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let token = request.headers()["authorization"].to_str().unwrap().to_owned();
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let reply = {
        let mut script = script.lock().unwrap();
        script.1.push(Asked { line, token, body });
        script.0.pop_front().unwrap_or_else(|| Reply::text(418, "the script has ended"))
    };
    let response = Response::builder().status(reply.0);
    let response = reply.1.iter().fold(response, |response, (name, value)| response.header(*name, value));
    response.body(Body::from(reply.2)).unwrap()
}

fn production() -> Surroundings {
    let spec = json!({
        "class": "production", "owner": "itops@example.com",
        "kms": { "accountId": "111111111111", "region": "eu-west-1", "aliasPrefix": "claviger/production", "wrappingKey": "wrapping" },
        "edge": { "cloudflare": { "zoneId": "023e105f4ecef8ad9ca31a8372d0c353", "apiToken": { "file": "cf-token" },
            "target": "saas.example.com" } }
    });
    Surroundings { name: name("production"), spec: serde_json::from_value(spec).unwrap() }
}

fn name(text: &str) -> EnvironmentName {
    text.parse().unwrap()
}

fn shop() -> DnsName {
    "shop.customer.example".parse().unwrap()
}

fn row(hostname: &str, method: &str) -> Value {
    json!({ "id": ID, "hostname": hostname, "status": "pending", "ssl": { "status": "initializing", "method": method, "settings": {} } })
}

fn one(status: u16, row: &Value) -> Reply {
    Reply::json(status, &json!({ "success": true, "errors": [], "messages": [], "result": row }))
}

fn many(rows: &[Value], per_page: usize) -> Reply {
    let info =
        json!({ "page": 1, "per_page": per_page, "count": rows.len(), "total_count": 100_000, "total_pages": 2_000 });
    Reply::json(200, &json!({ "success": true, "errors": [], "messages": [], "result": rows, "result_info": info }))
}

fn our_row() -> Value {
    row("shop.customer.example", "http")
}

const ZONE: &str = "/client/v4/zones/023e105f4ecef8ad9ca31a8372d0c353/custom_hostnames";

#[tokio::test]
async fn a_create_with_a_billing_remark_in_plain_text_succeeded() {
    let body = json!({ "success": true, "errors": [], "messages": ["this one is billed"], "result": our_row() });
    let world = World::answering(&[Reply::json(201, &body)]).await;
    let seen = world.create().await.unwrap();
    assert_eq!((seen.id.as_str(), seen.status.as_str()), (ID, "pending"));
    let asked = &world.asked()[0];
    assert_eq!(asked.line, format!("POST {ZONE}"));
    assert_eq!(asked.token, "Bearer first-token");
    assert_eq!(asked.body, json!({ "hostname": "shop.customer.example", "ssl": { "method": "http", "type": "dv" } }));
    assert_eq!(world.counted(), [("create_hostname".to_owned(), "201".to_owned())]);
    assert_eq!(world.edge.last_success(&name("production")), Some(world.now()));
}

#[tokio::test]
async fn a_duplicate_in_our_zone_is_the_answer() {
    let world = World::answering(&[Reply::refusal(409, 1406, "Duplicate"), many(&[our_row()], 50)]).await;
    assert_eq!(world.create().await.unwrap().id, ID);
    let query = "hostname.exact=shop.customer.example&page=1&per_page=50";
    assert_eq!(world.lines(), [format!("POST {ZONE}"), format!("GET {ZONE}?{query}")]);
}

#[tokio::test]
async fn a_duplicate_in_another_zone_is_told_as_such() {
    let world = World::answering(&[Reply::refusal(409, 1406, "Duplicate custom hostname found."), many(&[], 50)]).await;
    let failure = world.refused().await;
    assert_eq!((failure.reason, failure.done), (Reason::HostnameClaimed, Done::No));
    assert!(
        failure.message.contains("another zone") && failure.message.contains("1406 Duplicate custom"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn an_answer_about_another_name_is_not_believed() {
    let world = World::answering(&[one(201, &row("other.example", "http"))]).await;
    let failure = world.refused().await;
    assert_eq!((failure.reason, failure.done), (Reason::AnswerNotUnderstood, Done::Unknown));
}

#[tokio::test]
async fn a_known_id_is_asked_first_and_its_name_is_checked() {
    let world = World::answering(&[one(200, &our_row())]).await;
    assert!(world.edge.find(&world.environment, &shop(), Some(ID)).await.unwrap().is_some());
    assert_eq!(world.lines(), [format!("GET {ZONE}/{ID}")]);

    let world = World::answering(&[one(200, &row("other.example", "http")), many(&[our_row()], 50)]).await;
    let found = world.edge.find(&world.environment, &shop(), Some(ID)).await.unwrap().unwrap();
    assert_eq!(found.hostname, "shop.customer.example");
}

#[tokio::test]
async fn an_id_that_is_gone_is_looked_for_by_name() {
    let gone = Reply::refusal(404, 1436, "The custom hostname was not found.");
    let world = World::answering(&[gone.clone(), many(&[our_row()], 50)]).await;
    assert!(world.edge.find(&world.environment, &shop(), Some(ID)).await.unwrap().is_some());
    let world = World::answering(&[gone, many(&[], 50)]).await;
    assert!(world.edge.find(&world.environment, &shop(), Some(ID)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_404_of_somebody_else_does_not_make_a_name_missing() {
    let stray = Reply::text(404, "<html>no such page</html>");
    let world = World::answering(&[stray.clone(), stray]).await;
    let failure = world.edge.find(&world.environment, &shop(), Some(ID)).await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::EdgeRefused, Done::No));
}

#[tokio::test]
async fn a_filter_that_is_ignored_is_read_page_by_page() {
    let others: Vec<Value> = (0..20).map(|n| row(&format!("shop{n}.customer.example"), "http")).collect();
    let world = World::answering(&[many(&others, 20), many(&[row("SHOP.customer.example.", "http")], 20)]).await;
    let found = world.edge.find(&world.environment, &shop(), None).await.unwrap().unwrap();
    assert_eq!(found.hostname, "shop.customer.example");
    assert!(world.lines()[1].contains("page=2&"));

    let endless = vec![many(&others, 20); 30];
    let world = World::answering(&endless).await;
    let failure = world.edge.find(&world.environment, &shop(), None).await.unwrap_err();
    assert_eq!(failure.reason, Reason::AnswerNotUnderstood);
    assert_eq!(world.lines().len(), 20);
}

#[tokio::test]
async fn a_row_that_is_being_deleted_yields_to_its_successor() {
    let mut leaving = our_row();
    leaving["status"] = json!("deleted");
    let world = World::answering(&[many(&[leaving.clone(), our_row()], 50), many(&[leaving], 50)]).await;
    assert_eq!(world.edge.find(&world.environment, &shop(), None).await.unwrap().unwrap().status, "pending");
    assert_eq!(world.edge.find(&world.environment, &shop(), None).await.unwrap().unwrap().status, "deleted");
}

#[tokio::test]
async fn a_change_is_read_back() {
    let settings = EdgeSettings { validation: Validation::Txt, min_tls_version: Some(TlsVersion::V1_2) };
    let mut changed = row("shop.customer.example", "txt");
    changed["ssl"]["settings"]["min_tls_version"] = json!("1.2");
    let world = World::answering(&[one(202, &our_row()), one(200, &changed)]).await;
    let seen = world.edge.update(&world.environment, &shop(), ID, settings).await.unwrap();
    assert_eq!(seen.certificate.unwrap().method.as_deref(), Some("txt"));
    assert_eq!(world.lines(), [format!("PATCH {ZONE}/{ID}"), format!("GET {ZONE}/{ID}")]);
    let sent = json!({ "ssl": { "method": "txt", "type": "dv", "settings": { "min_tls_version": "1.2" } } });
    assert_eq!(world.asked()[0].body, sent);
}

#[tokio::test]
async fn a_change_that_was_accepted_and_not_made_is_a_failure() {
    let world = World::answering(&[one(202, &our_row()), one(200, &our_row())]).await;
    let settings = EdgeSettings { validation: Validation::Txt, min_tls_version: None };
    let failure = world.edge.update(&world.environment, &shop(), ID, settings).await.unwrap_err();
    assert_eq!(failure.reason, Reason::EdgeUnchanged);
    assert!(failure.message.ends_with("`ssl.method` is http and not txt"), "{}", failure.message);

    let world = World::answering(&[one(202, &our_row()), one(200, &our_row())]).await;
    let settings = EdgeSettings { validation: Validation::Http, min_tls_version: Some(TlsVersion::V1_3) };
    let failure = world.edge.update(&world.environment, &shop(), ID, settings).await.unwrap_err();
    assert!(failure.message.contains("min_tls_version` is nothing and not 1.3"), "{}", failure.message);
}

#[tokio::test]
async fn a_change_whose_reading_back_fails_may_have_happened() {
    let world = World::answering(&[one(202, &our_row()), Reply::text(503, "")]).await;
    let failure = world.edge.update(&world.environment, &shop(), ID, HTTP).await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::EdgeUnreachable, Done::Unknown));
}

#[tokio::test]
async fn a_429_stops_the_calls_of_its_environment_until_it_says() {
    let slow =
        Reply::refusal(429, 971, "Please wait and consider throttling your request speed").with("retry-after", "120");
    let world = World::answering(&[slow, one(201, &our_row())]).await;
    let until = world.now() + Span::minutes(2);
    let failure = world.refused().await;
    assert_eq!((failure.retry, failure.stops), (Retry::At(until), Stops::Budget(Class::EdgeCalls)));
    assert_eq!((failure.reason, failure.done), (Reason::BudgetSpent, Done::No));

    let held = world.refused().await;
    assert_eq!((held.retry, held.stops), (Retry::At(until), Stops::Budget(Class::EdgeCalls)));
    assert_eq!(world.lines().len(), 1, "nothing was sent while the gate is closed");

    world.clock.pass(Span::minutes(2));
    assert!(world.create().await.is_ok());
    let codes: Vec<String> = world.counted().into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, ["971", "201"]);
}

#[tokio::test]
async fn each_environment_has_its_own_token_and_its_own_gate() {
    let slow = Reply::refusal(429, 971, "Please wait").with("retry-after", "120");
    let world = World::answering(&[slow, one(201, &our_row())]).await;
    assert_eq!(world.refused().await.reason, Reason::BudgetSpent);
    let mut other = production();
    other.name = name("other");
    let edge = &mut other.spec.edge.as_mut().unwrap().cloudflare;
    (edge.zone_id, edge.api_token.file) = ("f".repeat(32), Some("other-token".to_owned()));
    std::fs::write(world.files.path().join("other-token"), "theirs").unwrap();
    assert!(world.edge.create(&other, &shop(), HTTP).await.is_ok());
    let asked = &world.asked()[1];
    assert_eq!(asked.token, "Bearer theirs");
    assert_eq!(asked.line, format!("POST /client/v4/zones/{}/custom_hostnames", "f".repeat(32)));
    assert_eq!(world.edge.last_success(&name("production")), None);
    assert_eq!(world.edge.last_success(&name("other")), Some(world.now()));
}

#[tokio::test]
async fn the_last_call_that_fits_succeeds_and_the_next_one_waits() {
    let last = one(201, &our_row()).with("ratelimit", "\"default\";r=0;t=30");
    let world = World::answering(&[last]).await;
    assert!(world.create().await.is_ok());
    let failure = world.refused().await;
    assert_eq!(failure.retry, Retry::At(world.now() + Span::seconds(30)));
    assert_eq!(world.lines().len(), 1);
}

#[tokio::test]
async fn the_limit_of_certificates_stops_no_reading() {
    let limit = Reply::refusal(429, 1401, "certificate issuance rate limit reached").with("retry-after", "30");
    let world = World::answering(&[limit, many(&[our_row()], 50)]).await;
    let failure = world.refused().await;
    assert_eq!(failure.stops, Stops::Budget(Class::EdgeIssuance));
    assert_eq!(failure.retry, Retry::At(world.now() + Span::seconds(30)));
    assert!(world.edge.find(&world.environment, &shop(), None).await.unwrap().is_some());
}

#[tokio::test]
async fn broken_answers_leave_a_create_open() {
    let cases = [
        (Reply::text(201, "{\"success\":tr"), Reason::AnswerNotUnderstood, Done::Unknown),
        (Reply::text(200, "<html>sign in</html>"), Reason::AnswerNotUnderstood, Done::Unknown),
        (Reply::text(502, "<html>bad gateway</html>"), Reason::EdgeUnreachable, Done::Unknown),
        (one(201, &json!(null)), Reason::AnswerNotUnderstood, Done::Unknown),
        (one(201, &json!("x".repeat(10_000))), Reason::AnswerNotUnderstood, Done::Unknown),
        (Reply::text(201, &format!("\"{}\"", "x".repeat(2 << 20))), Reason::AnswerNotUnderstood, Done::Unknown),
        (Reply::json(200, &json!({ "success": false, "errors": [] })), Reason::EdgeRefused, Done::No),
        (Reply::text(302, "").with("location", "https://elsewhere.example/"), Reason::AnswerNotUnderstood, Done::No),
    ];
    for (reply, reason, done) in cases {
        let shown = reply.2.chars().take(40).collect::<String>();
        let world = World::answering(&[reply]).await;
        let failure = world.refused().await;
        assert_eq!((failure.reason, failure.done), (reason, done), "{shown}");
        assert!(failure.message.len() < 600, "{}", failure.message.len());
        assert_eq!(world.lines().len(), 1, "one call is one attempt");
    }
}

#[tokio::test]
async fn a_token_that_is_not_accepted_stops_the_environment_and_a_new_one_counts_at_once() {
    let world = World::answering(&[Reply::refusal(403, 10_000, "Authentication error"), one(201, &our_row())]).await;
    let failure = world.refused().await;
    assert_eq!((failure.reason, failure.retry), (Reason::EdgeDenied, Retry::At(world.now() + Span::minutes(5))));
    assert!(!failure.message.contains("first-token"));
    std::fs::write(world.files.path().join("cf-token"), "second-token").unwrap();
    assert!(world.create().await.is_ok());
    assert_eq!(world.asked()[1].token, "Bearer second-token");
}

#[tokio::test]
async fn without_a_token_or_an_edge_nothing_is_sent() {
    let mut world = World::answering(&[]).await;
    std::fs::remove_file(world.files.path().join("cf-token")).unwrap();
    let failure = world.refused().await;
    assert_eq!((failure.reason, failure.stops), (Reason::EdgeDenied, Stops::Budget(Class::EdgeCalls)));
    assert!(failure.message.contains("`cf-token`") && failure.message.contains("`production`"), "{}", failure.message);
    world.environment.spec.edge = None;
    assert_eq!(world.refused().await.reason, Reason::SettingMissing);
    assert!(world.lines().is_empty() && world.counted().is_empty());
}

#[tokio::test]
async fn fallback_origin_and_quota_are_told() {
    let world = World::answering(&[
        one(200, &json!({ "origin": "origin.example.com", "status": "active", "created_at": "2026-01-01T00:00:00Z" })),
        Reply::refusal(404, 1551, "Resource not found."),
        one(200, &json!({ "allocated": 100, "used": 7, "exceeded": false, "hard_cap": 50_000 })),
    ])
    .await;
    let origin = world.edge.fallback_origin(&world.environment).await.unwrap().unwrap();
    assert_eq!((origin.origin.as_deref(), origin.status.as_deref()), (Some("origin.example.com"), Some("active")));
    assert_eq!(world.edge.fallback_origin(&world.environment).await.unwrap(), None);
    let quota = world.edge.quota(&world.environment).await.unwrap();
    assert_eq!((quota.allocated, quota.used, quota.hard_cap), (Some(100), Some(7), Some(50_000)));
    assert_eq!(world.lines()[0], format!("GET {ZONE}/fallback_origin"));
    assert_eq!(world.lines()[2], format!("GET {ZONE}/quota"));
}

/// A server that reads a request, writes these bytes and then hangs up, or not.
async fn raw(bytes: &'static str, hangs_up: bool) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/client/v4", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(bytes.as_bytes()).await;
            if !hangs_up {
                open.push(stream);
            }
        }
    });
    World::at(&base, Script::default())
}

#[tokio::test]
async fn an_answer_that_breaks_off_may_hide_a_success() {
    for (bytes, hangs_up) in [
        ("HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"success\":true,", true),
        ("", true),
        ("HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"success\":true,", false),
        ("", false),
    ] {
        let world = raw(bytes, hangs_up).await;
        let failure = world.refused().await;
        assert_eq!((failure.reason, failure.done), (Reason::EdgeUnreachable, Done::Unknown), "{bytes:?} {hangs_up}");
        let question = world.edge.find(&world.environment, &shop(), None).await.unwrap_err();
        assert_eq!(question.done, Done::No, "a question changes nothing");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/client/v4", listener.local_addr().unwrap());
    drop(listener);
    let world = World::at(&base, Script::default());
    let failure = world.refused().await;
    assert_eq!((failure.reason, failure.done), (Reason::EdgeUnreachable, Done::No));
    assert_eq!(world.counted(), [("create_hostname".to_owned(), "unreachable".to_owned())]);
}

#[tokio::test]
async fn an_endpoint_of_the_crate_itself_can_be_sent_and_a_bare_delete_read() {
    use cloudflare::endpoints::dns::dns::DeleteDnsRecord;
    let script: Script = Arc::default();
    script.lock().unwrap().0.push_back(Reply::json(200, &json!({ "id": "372e6795" })));
    let app = Router::new().fallback(answer).with_state(script.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/client/v4", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let world = World::at(&base, script);
    let sender = super::sender::Sender::new(Some(&base), IMPATIENT).unwrap();
    let token = token_in(world.files.path()).await;
    let delete = DeleteDnsRecord { zone_identifier: "z", identifier: "372e6795" };
    let reply = sender.send(&*world.clock, &token, &delete, 1 << 20).await.unwrap();
    assert_eq!(reply.result.id, "372e6795");
    assert_eq!(world.lines(), ["DELETE /client/v4/zones/z/dns_records/372e6795"]);
}

async fn token_in(folder: &Path) -> super::token::Token {
    let reference = claviger_config::environment::SecretReference { file: Some("cf-token".to_owned()), secret: None };
    super::token::read(Some(folder), &reference).await.unwrap_or_else(|problem| panic!("{problem}"))
}
