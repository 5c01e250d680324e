//! What monitoring sees: metrics, `/healthz` and `/readyz`.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_sim::{
    fault::{Fault, Rule, Service},
    model::acme::Problem,
};
use claviger_tests::{Daemon, documents, plain_client, promtool, wait_until};
use serde_json::json;

use crate::{
    customers::STEP,
    stage::{SOON, STAGING, Stage},
};

const DAY: Duration = Duration::from_secs(86_400);

/// The series of a family, as lines.
pub(crate) fn series<'a>(metrics: &'a str, family: &str) -> Vec<&'a str> {
    let of = |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' ']));
    metrics.lines().filter(of).collect()
}

/// The value of the one series that has all these words in its labels.
pub(crate) fn value(metrics: &str, family: &str, labels: &[&str]) -> Option<f64> {
    let mut found = series(metrics, family).into_iter().filter(|line| labels.iter().all(|label| line.contains(label)));
    let line = found.next()?;
    line.rsplit(' ').next()?.parse().ok()
}

/// A fleet in which everything is to be seen that can be seen.
async fn everything() -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.document("production.yaml", &stage.production()?.with_wrapping_key())?;
    for name in ["data", "doomed"] {
        stage.site.document(&format!("{name}.yaml"), &documents::key("staging", name, "data", "365d"))?;
    }
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &["www.staging.example.com"], ""))?;
    Ok(stage)
}

/// What goes wrong in it, so that also what is there only while it is so is there.
async fn trouble(stage: &Stage) -> Result<()> {
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let data = stage.site.wait_ready("kmskey", "staging", "data").await?;
    stage.aws(STAGING, "RotateKeyOnDemand", &json!({ "KeyId": data["status"]["key"]["arn"] }))?;
    stage
        .pass_until("the rotation to be seen", STEP * 30, async || {
            stage.site.resource("kmskey", "staging", "data")["status"]["key"]["rotatedAt"].is_string()
        })
        .await?;
    for number in 0..20 {
        let (tenant, hostname) = (format!("c{number}"), format!("shop.c{number}.example"));
        stage
            .site
            .document(&format!("{tenant}.yaml"), &documents::hostname("production", &tenant, &hostname, &tenant))?;
    }
    let limited = Problem::new("rateLimited", "too many certificates already issued");
    let limited = Problem { retry_after: Some(7_200_000), ..limited };
    stage.world.acme().steering.reject.insert("limited.staging.example.com".into(), limited);
    stage.world.acme().steering.reject.insert("www.staging.example.com".into(), Problem::new("serverInternal", "no"));
    let names = ["limited.staging.example.com"];
    stage.site.document("limited.yaml", &documents::certificate("staging", "limited", &names, ""))?;
    stage.site.wait_condition("certificate", "staging", "limited", "Ready", "False").await?;
    stage
        .pass_until("a renewal to be late", 10 * DAY, async || {
            stage.site.resource("certificate", "staging", "web")["status"]["conditions"][1]["status"] == "False"
        })
        .await?;
    let doomed = stage.site.wait_ready("kmskey", "staging", "doomed").await?;
    let key = json!({ "KeyId": doomed["status"]["key"]["arn"], "PendingWindowInDays": 30 });
    stage.aws(STAGING, "ScheduleKeyDeletion", &key)?;
    stage
        .pass_until("the key to be looked at", Duration::from_secs(900), async || {
            let doomed = stage.site.resource("kmskey", "staging", "doomed");
            doomed["status"]["attention"]["reason"] == "KeyPendingDeletion"
        })
        .await?;
    stage.site.document("bad.yaml", "kind: Nothing\n")?;
    stage.wait_rejected("CLV-0133").await.map(drop)
}

/// The names and labels that dashboards and alerts are built on: a change of them is a break.
#[tokio::test]
async fn every_family_is_there_and_named_as_it_was() -> Result<()> {
    let stage = everything().await?;
    let daemon = stage.start().await?;
    trouble(&stage).await?;
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let all = async || {
        let Ok(metrics) = daemon.metrics().await else { return false };
        seen.extend(families(&metrics));
        expected().is_ok_and(|golden| lines(&seen) == golden)
    };
    let accepts = std::env::var_os("CLAVIGER_ACCEPT").is_some();
    let patience = if accepts { Duration::from_secs(5) } else { SOON };
    let found = wait_until(patience, "every family of tests/golden/metrics.txt, and no other", all).await;
    if accepts {
        return Ok(std::fs::write(GOLDEN, lines(&seen))?);
    }
    found.with_context(|| format!("look at the change, then accept it with CLAVIGER_ACCEPT=1:\n{}", lines(&seen)))?;
    promtool::check_metrics(&daemon.metrics().await?)
}

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/metrics.txt");

fn expected() -> Result<String> {
    Ok(std::fs::read_to_string(GOLDEN)?)
}

fn lines(families: &BTreeMap<String, String>) -> String {
    families.iter().fold(String::new(), |mut text, (name, rest)| {
        let _ = writeln!(text, "{name} {rest}");
        text
    })
}

/// Name, type and labels of our families; each must say what it is.
fn families(metrics: &str) -> BTreeMap<String, String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let ours = types.filter(|(name, _)| name.starts_with("claviger_"));
    let family = |(name, kind): (&str, &str)| {
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} does not say what it is");
        let suffixes = if kind == "histogram" { vec!["_count"] } else { vec![""] };
        let sample = suffixes.iter().find_map(|suffix| series(metrics, &format!("{name}{suffix}")).first().copied());
        (name.to_owned(), format!("{kind} {{{}}}", labels(sample.unwrap_or_default())))
    };
    ours.map(family).collect()
}

fn labels(sample: &str) -> String {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, _)| name);
    names.collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn what_is_unknown_is_absent_and_never_0() -> Result<()> {
    let stage = everything().await?;
    stage.world.faults().add(Rule::always(Service::Kms, "*", Fault::RefuseBefore));
    let daemon = stage.start().await?;
    stage.wait_settled().await?;
    let metrics = daemon.metrics().await?;
    promtool::check_metrics(&metrics)?;
    for family in [
        "claviger_key_created_timestamp_seconds",
        "claviger_key_last_rotation_timestamp_seconds",
        "claviger_key_rotation_due_timestamp_seconds",
        "claviger_certificate_not_after_timestamp_seconds",
        "claviger_certificate_renewal_due_timestamp_seconds",
        "claviger_certificate_earliest_not_after_timestamp_seconds",
        "claviger_certificate_info",
        "claviger_sync_last_success_timestamp_seconds",
    ] {
        assert_eq!(series(&metrics, family), Vec::<&str>::new(), "{family}");
    }
    ensure!(value(&metrics, "claviger_sync_last_attempt_timestamp_seconds", &["kms/staging"]) > Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, "claviger_keys", &["staging", "state=\"Unknown\""]), Some(3.0));
    stage.world.faults().clear();
    stage
        .pass_until("the keys to be known", STEP, async || {
            let metrics = daemon.metrics().await.unwrap_or_default();
            value(&metrics, "claviger_key_created_timestamp_seconds", &["resource=\"data\""]) > Some(1.7e9)
                && value(&metrics, "claviger_keys", &["staging", "state=\"Enabled\""]) == Some(3.0)
        })
        .await
}

#[tokio::test]
async fn what_is_deleted_disappears_at_the_next_scrape() -> Result<()> {
    let stage = everything().await?;
    let daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    stage.site.wait_ready("kmskey", "staging", "data").await?;
    let before = daemon.metrics().await?;
    for label in ["resource=\"web\"", "resource=\"data\""] {
        ensure!(before.contains(label), "{label} is not in:\n{before}");
    }
    assert_eq!(value(&before, "claviger_certificates", &["staging", "Ready"]), Some(1.0));
    ensure!(value(&before, "claviger_certificate_not_after_timestamp_seconds", &["web"]) > Some(1.7e9), "{before}");
    stage.site.remove_document("web.yaml")?;
    stage.site.remove_document("data.yaml")?;
    stage.site.wait_condition("certificate", "staging", "web", "Ready", "Unknown").await?;
    stage.site.wait_condition("kmskey", "staging", "data", "Ready", "Unknown").await?;
    let after = daemon.metrics().await?;
    for label in ["resource=\"web\"", "resource=\"data\""] {
        ensure!(!after.contains(label), "{label} is still in:\n{after}");
    }
    assert_eq!(value(&after, "claviger_certificates", &["staging"]), None);
    promtool::check_metrics(&after)
}

#[tokio::test]
async fn counters_tell_what_was_asked_and_done() -> Result<()> {
    let stage = everything().await?;
    let daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let metrics = daemon.metrics().await?;
    let of = |family: &str, labels: &[&str]| value(&metrics, family, labels).unwrap_or_default();
    ensure!(of("claviger_issuances_total", &["Accepted"]) == 1.0, "{metrics}");
    assert_eq!(of("claviger_issuances_total", &["staging", "simulated", "Accepted"]), 1.0);
    assert_eq!(of("claviger_steps_total", &["staging", "step=\"open_order\"", "Done"]), 1.0);
    let orders = stage.world.calls().of(Service::Acme, "newOrder") as f64;
    assert_eq!(of("claviger_acme_requests_total", &["staging", "simulated", "new_order", "201"]), orders);
    let made = stage.world.calls().of(Service::Kms, "CreateKey") as f64;
    let counted: f64 = series(&metrics, "claviger_kms_requests_total")
        .iter()
        .filter(|line| line.contains("CreateKey"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert_eq!(counted, made);
    ensure!(of("claviger_kms_request_duration_seconds_count", &["CreateKey"]) == made, "{metrics}");
    ensure!(of("claviger_reconcile_total", &["TlsCertificate", "Rested"]) >= 1.0, "{metrics}");
    ensure!(of("claviger_sync_last_success_timestamp_seconds", &["acme/staging/simulated"]) > 1.7e9, "{metrics}");
    ensure!(metrics.contains("process_resident_memory_bytes"), "the process tells of itself");
    the_journal_is_counted(&stage, &daemon).await
}

/// As many lines as the file has.
async fn the_journal_is_counted(stage: &Stage, daemon: &Daemon<'_>) -> Result<()> {
    let mut last = (0, None);
    let counted = wait_until(SOON, "the journal to be counted", async || {
        let lines = std::fs::read_to_string(stage.site.journal()).unwrap_or_default().lines().count();
        let metrics = daemon.metrics().await.unwrap_or_default();
        last = (lines, value(&metrics, "claviger_audit_events_total", &["file", "Done"]));
        last.1 == Some(lines as f64)
            && value(&metrics, "claviger_audit_last_delivered_timestamp_seconds", &["file"]) > Some(1.7e9)
    });
    counted.await.with_context(|| format!("{last:?}"))
}

async fn health(stage: &Stage, path: &str) -> Result<(u16, String)> {
    let url = format!("http://127.0.0.1:{}{path}", stage.site.metrics_port());
    let answer = plain_client()?.get(url).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn wait_ready_is(stage: &Stage, status: u16) -> Result<String> {
    let mut last = (0, String::new());
    let what = format!("/readyz to be {status}");
    let waited = wait_until(SOON, &what, async || {
        last = health(stage, "/readyz").await.unwrap_or_default();
        last.0 == status
    });
    waited.await.with_context(|| format!("{last:?}"))?;
    Ok(last.1)
}

#[tokio::test]
async fn a_daemon_that_is_well_is_ready_also_after_it_was_frozen() -> Result<()> {
    let stage = everything().await?;
    let mut daemon = stage.start().await?;
    assert_eq!(health(&stage, "/healthz").await?, (200, "ok\n".to_owned()));
    wait_ready_is(&stage, 200).await?;
    daemon.process().freeze()?;
    let asked = tokio::time::timeout(Duration::from_millis(500), health(&stage, "/healthz")).await;
    ensure!(!matches!(asked, Ok(Ok(_))), "whoever is frozen does not answer");
    stage.pass(DAY)?; // a suspended machine
    daemon.process().thaw()?;
    wait_ready_is(&stage, 200).await?;
    stage.site.wait_ready("certificate", "staging", "web").await.map(drop)
}

/// A far side that takes calls and never answers, in numbers: no pass is left for anybody else.
#[tokio::test]
async fn a_scheduler_that_stands_still_is_not_ready() -> Result<()> {
    let stage = everything().await?;
    let keys = (0..70).map(|number| documents::key("staging", &format!("key-{number}"), "data", "365d"));
    stage.site.document("keys.yaml", &keys.collect::<Vec<_>>().join("---\n"))?;
    stage.world.faults().add(Rule::always(Service::Kms, "*", Fault::Mute));
    let daemon = stage.start().await?;
    let running = async || {
        let metrics = daemon.metrics().await.unwrap_or_default();
        value(&metrics, "claviger_agenda_subjects", &["running"]) == Some(64.0)
    };
    wait_until(SOON, "every place to be taken", running).await?;
    stage.pass(Duration::from_secs(300))?;
    let said = wait_ready_is(&stage, 503).await?;
    ensure!(said.contains("stood still"), "{said}");
    assert_eq!(health(&stage, "/healthz").await?.0, 200, "the process itself answers");
    assert_eq!(value(&daemon.metrics().await?, "claviger_scheduler_ready", &[]), Some(0.0));
    stage.world.faults().clear();
    wait_ready_is(&stage, 200).await.map(drop)
}

/// Another process holds the database: nothing can be written, so nothing new is begun, and it is said.
#[tokio::test]
async fn a_store_that_takes_nothing_is_not_ready() -> Result<()> {
    let stage = everything().await?;
    let daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let mut thief = Thief::lock(&stage)?;
    let key = documents::key("staging", "late", "data", "365d");
    stage.site.document("late.yaml", &key)?;
    let said = wait_ready_is(&stage, 503).await?;
    ensure!(said.contains("store"), "{said}");
    assert_eq!(health(&stage, "/healthz").await?.0, 200);
    ensure!(daemon.metrics().await?.contains("claviger_scheduler_ready 0"), "a metric says so too");
    let made = stage.world.kms().keys().count();
    assert_eq!(made, 4, "no key is made whose making could not be written down first");
    thief.let_go()?;
    stage
        .pass_until("/readyz to be 200", STEP, async || health(&stage, "/readyz").await.is_ok_and(|(s, _)| s == 200))
        .await?;
    stage.site.wait_ready("kmskey", "staging", "late").await.map(drop)
}

/// Holds the database of a stage, as a careless backup would.
struct Thief(claviger_tests::Process);

impl Thief {
    fn lock(stage: &Stage) -> Result<Self> {
        let script = "import sqlite3, sys, time\n\
                      held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n\
                      held.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\ntime.sleep(600)\n";
        let database = stage.site.path().join("state/claviger.db");
        let program = claviger_tests::Program::new("thief", claviger_tests::tools::python()?)?;
        let process = program.arguments(["-c", script]).argument(database).start()?;
        while process.stdout() != "held\n" {
            std::thread::sleep(Duration::from_millis(10));
            ensure!(process.stderr().is_empty(), "{}", process.stderr());
        }
        Ok(Self(process))
    }

    fn let_go(&mut self) -> Result<()> {
        self.0.kill()
    }
}
