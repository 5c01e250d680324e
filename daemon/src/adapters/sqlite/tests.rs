mod disk;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, mpsc},
};

use claviger_config::{
    Kind, Reason,
    hostname::{Origin, Validation},
};
use claviger_core::{
    domain::failure::{Done, Failure, Retry},
    ports::Shows,
};
use futures::{FutureExt as _, future::join_all};
use tempfile::TempDir;

use super::*;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap();
        Self { folder }
    }

    fn open(&self) -> SqliteStore {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<SqliteStore, StateError> {
        SqliteStore::open(&State::open(self.folder.path())?)
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("claviger.db")
    }
}

fn object(kind: Kind, namespace: &str, name: &str) -> ObjectName {
    ObjectName { kind, namespace: Some(namespace.parse().unwrap()), name: name.parse().unwrap() }
}

fn key(name: &str) -> ObjectName {
    object(Kind::KmsKey, "staging", name)
}

fn environment(name: &str) -> EnvironmentName {
    name.parse().unwrap()
}

fn commit<'a>(
    name: &'a ObjectName,
    environment: Option<&'a EnvironmentName>,
    expected: Option<u64>,
    claims: &'a [(&'static str, String)],
) -> Commit<'a> {
    let status = Shows(&|| serde_json::Value::Null);
    Commit { name, environment, body: r#"{"a":1}"#, expected: expected.map(Version), claims, status, thought: status }
}

fn arn(value: &str) -> Vec<(&'static str, String)> {
    vec![("key ARN", value.to_owned())]
}

/// Keeps the writer busy until it is told to go on, so that everything queued meanwhile is one batch.
struct HoldUp<'a> {
    held: Answer<'a, ()>,
    go_on: mpsc::Sender<()>,
}

impl<'a> HoldUp<'a> {
    fn of(store: &'a SqliteStore) -> Self {
        let ((go_on, wait), (begun, running)) = (mpsc::channel::<()>(), mpsc::channel());
        let channels = Mutex::new((begun, wait));
        let mut held = store.change("wait", move |_| {
            let (begun, wait) = &*channels.lock().unwrap();
            begun.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        assert!(held.as_mut().now_or_never().is_none());
        running.recv().unwrap();
        Self { held, go_on }
    }

    async fn end(self) {
        self.go_on.send(()).unwrap();
        self.held.await.unwrap();
    }
}

async fn as_one_batch<T>(store: &SqliteStore, work: Vec<Answer<'_, T>>) -> Vec<Result<T, Failure>> {
    let hold_up = HoldUp::of(store);
    // Without the runtime's own brake, which would hold some of them back.
    let mut all = tokio::task::unconstrained(join_all(work));
    assert!((&mut all).now_or_never().is_none());
    hold_up.end().await;
    all.await
}

#[tokio::test]
async fn a_record_is_read_as_it_was_written_also_after_a_restart() {
    let place = Place::new();
    let store = place.open();
    let (name, staging) = (key("wrapping"), environment("staging"));
    assert_eq!(store.load(&name).await.unwrap(), None);
    assert_eq!(store.commit(commit(&name, Some(&staging), None, &[])).await.unwrap(), Version(1));
    assert_eq!(store.commit(commit(&name, Some(&staging), Some(1), &[])).await.unwrap(), Version(2));
    let expected = Some((r#"{"a":1}"#.to_owned(), Version(2)));
    assert_eq!(store.load(&name).await.unwrap(), expected);
    drop(store);
    let store = place.open();
    assert_eq!(store.load(&name).await.unwrap(), expected);
    assert_eq!(store.names().await.unwrap(), [name]);
}

#[tokio::test]
async fn an_environment_has_no_namespace_and_keeps_its_name() {
    let place = Place::new();
    let store = place.open();
    let name = ObjectName { kind: Kind::Environment, namespace: None, name: "staging".parse().unwrap() };
    store.commit(commit(&name, None, None, &[])).await.unwrap();
    assert_eq!(store.names().await.unwrap(), std::slice::from_ref(&name));
    assert!(store.load(&name).await.unwrap().is_some());
}

#[tokio::test]
async fn a_stale_version_is_refused_and_changes_nothing() {
    let place = Place::new();
    let store = place.open();
    let (name, staging) = (key("wrapping"), environment("staging"));
    store.commit(commit(&name, Some(&staging), None, &[])).await.unwrap();
    for stale in [None, Some(0), Some(2)] {
        let failure = store.commit(commit(&name, Some(&staging), stale, &[])).await.unwrap_err();
        assert_eq!((failure.reason, failure.done), (Reason::StoreFailed, Done::No));
        assert!(failure.message.contains("`KmsKey/staging/wrapping` has version 1"), "{}", failure.message);
    }
    assert_eq!(store.load(&name).await.unwrap().unwrap().1, Version(1));
}

#[tokio::test]
async fn a_claim_of_another_environment_is_refused_with_both_names_and_the_holder_keeps_it() {
    let place = Place::new();
    let store = place.open();
    let (holder, newcomer) = (key("wrapping"), object(Kind::KmsKey, "production", "wrapping"));
    let (staging, production) = (environment("staging"), environment("production"));
    let claims = arn("arn:aws:kms:eu-west-1:222222222222:key/1");
    store.commit(commit(&holder, Some(&staging), None, &claims)).await.unwrap();
    let failure = store.commit(commit(&newcomer, Some(&production), None, &claims)).await.unwrap_err();
    assert_eq!((failure.reason, failure.retry), (Reason::ClaimedElsewhere, Retry::Never));
    for part in [
        "`KmsKey/production/wrapping` of environment `production`",
        "`KmsKey/staging/wrapping` of environment `staging`",
        &claims[0].1,
    ] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    assert_eq!(store.load(&newcomer).await.unwrap(), None, "nothing of a refused commit stays");
    store.commit(commit(&holder, Some(&staging), Some(1), &claims)).await.unwrap();
    store.commit(commit(&holder, Some(&staging), Some(2), &[])).await.unwrap();
    store.commit(commit(&newcomer, Some(&production), None, &claims)).await.unwrap();
}

#[tokio::test]
async fn two_objects_of_one_environment_may_share_a_claim_and_each_lets_go_of_its_own() {
    let place = Place::new();
    let store = place.open();
    let (staging, production) = (environment("staging"), environment("production"));
    let (one, other, foreign) = (key("one"), key("other"), object(Kind::KmsKey, "production", "k"));
    let claims = arn("x");
    store.commit(commit(&one, Some(&staging), None, &claims)).await.unwrap();
    store.commit(commit(&other, Some(&staging), None, &claims)).await.unwrap();
    store.commit(commit(&one, Some(&staging), Some(1), &[])).await.unwrap();
    assert!(store.commit(commit(&foreign, Some(&production), None, &claims)).await.is_err());
    store.commit(commit(&other, Some(&staging), Some(1), &[])).await.unwrap();
    assert!(store.commit(commit(&foreign, Some(&production), None, &claims)).await.is_ok());
}

#[tokio::test]
async fn an_object_without_an_environment_keeps_what_it_claimed() {
    let place = Place::new();
    let store = place.open();
    let (staging, production) = (environment("staging"), environment("production"));
    let (name, foreign) = (key("one"), object(Kind::KmsKey, "production", "k"));
    store.commit(commit(&name, Some(&staging), None, &arn("x"))).await.unwrap();
    store.commit(commit(&name, None, Some(1), &arn("y"))).await.unwrap();
    for claimed in ["x", "y"] {
        let failure = store.commit(commit(&foreign, Some(&production), None, &arn(claimed))).await.unwrap_err();
        assert_eq!(failure.reason, Reason::ClaimedElsewhere, "{claimed}");
    }
    let failure = store.commit(commit(&name, Some(&production), Some(2), &arn("x"))).await.unwrap_err();
    assert_eq!(
        failure.reason,
        Reason::ClaimedElsewhere,
        "an object does not take its key along to another environment"
    );
    store.commit(commit(&name, Some(&staging), Some(2), &arn("y"))).await.unwrap();
}

#[tokio::test]
async fn a_thousand_commits_that_wait_together_are_one_transaction() {
    let place = Place::new();
    let store = place.open();
    let staging = environment("staging");
    let names: Vec<_> = (0..1_000).map(|number| key(&format!("k{number}"))).collect();
    let before = store.transactions();
    let work = names.iter().map(|name| store.commit(commit(name, Some(&staging), None, &[]))).collect();
    let answers = as_one_batch(&store, work).await;
    assert!(answers.iter().all(|answer| answer == &Ok(Version(1))));
    assert!(store.transactions() - before == 2, "{} transactions", store.transactions() - before);
    assert_eq!(store.names().await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_refused_commit_spoils_none_of_its_batch() {
    let place = Place::new();
    let store = place.open();
    let (staging, production) = (environment("staging"), environment("production"));
    let names = [key("a"), object(Kind::KmsKey, "production", "b"), key("c"), key("c")];
    let claims = arn("x");
    let work = vec![
        store.commit(commit(&names[0], Some(&staging), None, &claims)),
        store.commit(commit(&names[1], Some(&production), None, &claims)),
        store.commit(commit(&names[2], Some(&staging), None, &[])),
        store.commit(commit(&names[3], Some(&staging), None, &[])),
    ];
    let answers = as_one_batch(&store, work).await;
    let reasons: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|failure| failure.reason)).collect();
    assert_eq!(reasons, [None, Some(Reason::ClaimedElsewhere), None, Some(Reason::StoreFailed)]);
    drop(store);
    assert_eq!(place.open().names().await.unwrap(), [key("a"), key("c")]);
}

#[tokio::test]
async fn work_that_fails_half_way_leaves_nothing_behind() {
    let place = Place::new();
    let store = place.open();
    let half = store.change("write half", |connection| -> Result<(), Trouble> {
        DOCUMENTS.put(connection, &["half".to_owned().into(), vec![1].into()])?;
        Err(Failure::new(Reason::StoreFailed, "no").into())
    });
    let whole = store.keep_accepted(vec![("whole".to_owned(), Some(vec![2]))]);
    let answers = as_one_batch(&store, vec![half, whole]).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true]);
    assert_eq!(store.accepted().await.unwrap(), [("whole".to_owned(), vec![2])]);
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_any_more_is_done_all_the_same() {
    let place = Place::new();
    let store = place.open();
    let name = key("a");
    let hold_up = HoldUp::of(&store);
    assert!(store.commit(commit(&name, None, None, &[])).now_or_never().is_none());
    hold_up.end().await;
    store.commit(commit(&name, None, Some(1), &[])).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_undoes_its_batch_and_is_over_when_there_is_space() {
    let place = Place::new();
    let state = State::open(place.folder.path()).unwrap();
    let (store, reserve) = (SqliteStore::open(&state).unwrap(), state.reserve_spent());
    assert!(!*reserve.borrow());
    let (small, large) = (key("small"), key("large"));
    store.commit(commit(&small, None, None, &[])).await.unwrap();
    let pages = |limit: &'static str| {
        store.change("limit", move |connection| Ok(connection.query_row(limit, (), |row| row.get::<_, i64>(0))?))
    };
    let now = pages("PRAGMA page_count").await.unwrap();
    pages(Box::leak(format!("PRAGMA max_page_count = {}", now + 2).into_boxed_str())).await.unwrap();
    let body = "x".repeat(100_000);
    let too_large = Commit { body: &body, ..commit(&large, None, None, &[]) };
    let work = vec![store.commit(commit(&small, None, Some(1), &[])), store.commit(too_large.clone())];
    let answers = as_one_batch(&store, work).await;
    let failure = answers[1].clone().unwrap_err();
    assert!(failure.message.contains("the disk is full"), "{}", failure.message);
    assert!(failure.fix[0].contains("free space on the volume of"), "{:?}", failure.fix);
    let version = store.load(&small).await.unwrap().unwrap().1;
    assert_eq!(answers[0].is_ok(), version == Version(2), "an answer of success and the disk agree");
    assert!(*reserve.borrow(), "what was kept for this day was given up first");
    pages("PRAGMA max_page_count = 1000000").await.unwrap();
    store.commit(too_large).await.unwrap();
    assert_eq!(store.load(&large).await.unwrap().unwrap().0, body);
    for more in 0..100 {
        store.commit(commit(&small, None, Some(version.0 + more), &[])).await.unwrap();
    }
    assert!(!*reserve.borrow(), "and is kept again once there is plenty");
}

#[tokio::test]
async fn a_flipped_bit_puts_the_row_into_quarantine_and_its_object_begins_with_a_blank_memory() {
    let place = Place::new();
    let (hurt, well) = (key("hurt"), key("well"));
    {
        let store = place.open();
        for (name, body) in [(&hurt, "needle"), (&well, "haystack")] {
            store.commit(Commit { body, ..commit(name, None, None, &[]) }).await.unwrap();
        }
    }
    flip(&place.database(), find(&place.database(), b"needle"), 0x20);
    let store = place.open();
    let expected = Quarantined { table: "records".to_owned(), key: "KmsKey/staging/hurt".to_owned() };
    assert_eq!(store.quarantined_at_start(), std::slice::from_ref(&expected));
    assert_eq!(store.load(&hurt).await.unwrap(), None);
    assert_eq!(store.load(&well).await.unwrap().unwrap().0, "haystack");
    store.commit(Commit { body: "anew", ..commit(&hurt, None, None, &[]) }).await.unwrap();
    drop(store);
    let store = place.open();
    assert!(store.quarantined_at_start().is_empty(), "told once at a start");
    assert_eq!(store.quarantined().await.unwrap(), [expected], "and kept for whoever wants to look into it");
    assert_eq!(store.load(&hurt).await.unwrap().unwrap().0, "anew");
}

#[tokio::test]
async fn a_bit_that_flips_while_the_daemon_runs_is_found_when_the_row_is_read() {
    let place = Place::new();
    let store = place.open();
    let name = key("hurt");
    store.commit(commit(&name, None, None, &[])).await.unwrap();
    let damage = "UPDATE records SET body = '{}' WHERE name = 'hurt'";
    store.change("damage", move |connection| Ok(connection.execute(damage, ())?)).await.unwrap();
    assert_eq!(store.load(&name).await.unwrap(), None);
    assert_eq!(store.quarantined().await.unwrap().len(), 1);
    assert!(store.names().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_damaged_claim_still_holds() {
    let place = Place::new();
    let store = place.open();
    let (staging, production) = (environment("staging"), environment("production"));
    let (holder, newcomer) = (key("k"), object(Kind::KmsKey, "production", "k"));
    store.commit(commit(&holder, Some(&staging), None, &arn("x"))).await.unwrap();
    let damage = "UPDATE claims SET environment = 'production'";
    store.change("damage", move |connection| Ok(connection.execute(damage, ())?)).await.unwrap();
    for _ in 0..2 {
        let failure = store.commit(commit(&newcomer, Some(&production), None, &arn("x"))).await.unwrap_err();
        assert!(failure.message.contains("in quarantine"), "{}", failure.message);
    }
}

/// Wherever a bit flips, the store refuses to open, or tells of the row, or has lost nothing.
#[tokio::test]
async fn no_flipped_bit_loses_a_record_silently() {
    let place = Place::new();
    let names: Vec<_> = (0..40).map(|number| key(&format!("k{number}"))).collect();
    let staging = environment("staging");
    {
        let store = place.open();
        for name in &names {
            let body = format!("{{\"of\":\"{name}\",\"fill\":\"{}\"}}", "z".repeat(200));
            store
                .commit(Commit { body: &body, ..commit(name, Some(&staging), None, &arn(name.name.as_str())) })
                .await
                .unwrap();
        }
    }
    let whole = fs::read(place.database()).unwrap();
    let (mut refused, mut told, mut same) = (0, 0, 0);
    for step in 0..400_usize {
        let offset = step * 7_919 % whole.len();
        fs::write(place.database(), &whole).unwrap();
        flip(&place.database(), offset as u64, 1 << (step % 8));
        let Ok(store) = place.try_open() else {
            refused += 1;
            continue;
        };
        let mut lost = false;
        for name in &names {
            match store.load(name).await {
                Ok(Some((body, Version(1)))) => assert!(body.contains(&format!("\"of\":\"{name}\"")), "byte {offset}"),
                Ok(Some((_, version))) => panic!("byte {offset}: version {version:?}"),
                Ok(None) | Err(_) => lost = true,
            }
        }
        assert!(!lost || !store.quarantined_at_start().is_empty(), "byte {offset}: lost and not told");
        if store.quarantined_at_start().is_empty() { same += 1 } else { told += 1 }
    }
    assert!(refused > 10 && told > 40 && same > 0, "refused {refused}, told {told}, same {same}");
}

#[tokio::test]
async fn a_file_of_something_else_and_one_of_a_later_release_are_refused() {
    let place = Place::new();
    fs::write(place.database(), "these are not the pages you are looking for").unwrap();
    assert!(matches!(place.try_open().err().unwrap(), StateError::Damaged { .. }));
    fs::remove_file(place.database()).unwrap();
    Connection::open(place.database()).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    assert!(matches!(place.try_open().err().unwrap(), StateError::Foreign(_)));
    fs::remove_file(place.database()).unwrap();
    drop(place.open());
    Connection::open(place.database()).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(matches!(place.try_open().err().unwrap(), StateError::Newer { found: 99, .. }));
}

#[test]
fn only_the_owner_may_read_the_files() {
    let place = Place::new();
    let _store = place.open();
    for file in ["claviger.db", "claviger.db-wal", "claviger.db-shm", "lock"] {
        let mode = fs::metadata(place.folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn accepted_documents_are_kept_and_forgotten_together() {
    let place = Place::new();
    let store = place.open();
    let entry = |key: &str, body: Option<&[u8]>| (key.to_owned(), body.map(<[u8]>::to_vec));
    store.keep_accepted(vec![entry("a", Some(b"1")), entry("b", Some(&[0xff, 0]))]).await.unwrap();
    store.keep_accepted(vec![entry("a", None), entry("c", Some(b""))]).await.unwrap();
    drop(store);
    let found = place.open().accepted().await.unwrap();
    assert_eq!(found, [("b".to_owned(), vec![0xff, 0]), ("c".to_owned(), vec![])]);
}

fn shop(tenant: &str, hostname: &str) -> HostnameEntry {
    HostnameEntry {
        environment: environment("production"),
        hostname: hostname.parse().unwrap(),
        origin: Origin::Api,
        tenant: tenant.to_owned(),
        validation: None,
        reference: None,
    }
}

#[tokio::test]
async fn a_host_name_is_put_once_and_changed_in_place() {
    let place = Place::new();
    let store = place.open();
    let entry = shop("customer", "shop.customer.example");
    let first = store.put_hostname(entry.clone(), Moment(1)).await.unwrap();
    assert_eq!((first.revision, first.created_at), (1, Moment(1)));
    assert_eq!(store.put_hostname(entry.clone(), Moment(2)).await.unwrap(), first, "twice the same is once");
    let changed =
        HostnameEntry { validation: Some(Validation::Txt), reference: Some("42".to_owned()), ..entry.clone() };
    let second = store.put_hostname(changed.clone(), Moment(3)).await.unwrap();
    assert_eq!(second, HostnameRow { entry: changed, created_at: Moment(1), revision: 2 });
    let found = store.hostname(entry.environment.clone(), entry.hostname.clone()).await.unwrap();
    assert_eq!(found, Some(second));
    assert!(store.remove_hostname(entry.environment.clone(), entry.hostname.clone()).await.unwrap());
    assert!(!store.remove_hostname(entry.environment.clone(), entry.hostname.clone()).await.unwrap());
}

#[tokio::test]
async fn a_second_tenant_or_origin_of_a_host_name_is_refused() {
    let place = Place::new();
    let store = place.open();
    let entry = shop("customer", "shop.customer.example");
    store.put_hostname(entry.clone(), Moment(1)).await.unwrap();
    let thief = HostnameEntry { tenant: "thief".to_owned(), ..entry.clone() };
    let document = HostnameEntry { origin: Origin::Document, ..entry.clone() };
    for (newcomer, word) in [(thief, "thief"), (document, "Document")] {
        let failure = store.put_hostname(newcomer, Moment(2)).await.unwrap_err();
        assert_eq!((failure.reason, failure.retry), (Reason::HostnameClaimed, Retry::Never));
        assert!(failure.message.contains("`customer`") && failure.message.contains(word), "{}", failure.message);
    }
}

#[tokio::test]
async fn host_names_are_listed_by_page_and_by_tenant() {
    let place = Place::new();
    let store = place.open();
    for number in 0..10 {
        let tenant = if number % 2 == 0 { "even" } else { "odd" };
        store.put_hostname(shop(tenant, &format!("h{number}.example")), Moment(0)).await.unwrap();
    }
    let list = async |tenant: Option<&str>, after: Option<&str>, limit| {
        let page =
            HostnamePage { tenant: tenant.map(str::to_owned), after: after.map(|name| name.parse().unwrap()), limit };
        let rows = store.hostnames(environment("production"), page).await.unwrap();
        rows.into_iter().map(|row| row.entry.hostname.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 2).await, ["h0.example", "h1.example"]);
    assert_eq!(list(None, Some("h8.example"), 9).await, ["h9.example"]);
    assert_eq!(list(Some("odd"), Some("h1.example"), 2).await, ["h3.example", "h5.example"]);
    assert!(
        store
            .hostnames(environment("staging"), HostnamePage { limit: 9, ..Default::default() })
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_cursor_sees_each_change_once_and_is_never_used_again() {
    let place = Place::new();
    let change = |at: i64| HostnameChange {
        cursor: 0,
        at: Moment(at),
        hostname: "shop.customer.example".parse().unwrap(),
        reason: Reason::Issued,
        ready: true,
    };
    let production = environment("production");
    let store = place.open();
    for at in 1..=3 {
        store.add_change(production.clone(), change(at)).await.unwrap();
    }
    store.add_change(environment("staging"), change(9)).await.unwrap();
    let seen = store.changes(production.clone(), 1, 10).await.unwrap();
    assert_eq!(
        seen.iter().map(|change| (change.cursor, change.at)).collect::<Vec<_>>(),
        [(2, Moment(2)), (3, Moment(3))]
    );
    assert_eq!(store.forget_changes(Moment(100)).await.unwrap(), 4);
    drop(store);
    let store = place.open();
    assert_eq!(store.add_change(production.clone(), change(10)).await.unwrap(), 5);
    assert_eq!(store.changes(production, 3, 10).await.unwrap().len(), 1);
}

fn find(path: &Path, needle: &[u8]) -> u64 {
    let whole = fs::read(path).unwrap();
    whole.windows(needle.len()).position(|window| window == needle).unwrap() as u64
}

fn flip(path: &Path, offset: u64, bit: u8) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ bit], offset).unwrap();
}
