//! A CA that errs, limits, refuses, loses answers or forgets: what is in service stays, and claviger says why, whose turn it is and
//! when it tries again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_tests::{Fault, PebbleOptions, RetryAfter, Rule, Status, TestAuthority, documents, endpoint, wait_until};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::ground::{ACCOUNT, Ground, Pair, REGION, SOON, message, says, web};

const NAME: &str = "www.staging.example.com";

/// Time enough for an errant second try to be seen, in the daemon's time: a back-off begins with a minute.
const MOMENT: Duration = Duration::from_secs(30);
const BACK_OFF: Duration = Duration::from_secs(70);

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_is_not_delivered_and_asked_for_anew_later() -> Result<()> {
    let ground = Ground::new().await?;
    ground.write_web()?;
    let _daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let served = Pair::read(&ground.site.outlet("web"))?;

    let stranger = TestAuthority::new("a stranger")?.server(&[NAME])?.certificate_pem();
    ground.ca.inject(Rule::on(endpoint::CERTIFICATE, Fault::ReplaceBody(stranger.into())));
    ground.renew("web")?;
    let seen = ground.wait_late("web", "WrongCertificate").await?;
    ensure!(says(&seen, "Ready", "True"), "what is in service still serves: {seen:#}");
    ensure!(message(&seen, "OnSchedule").contains("key"), "says what differs: {seen:#}");
    assert_eq!(explained(&ground, "web")?["verdict"]["turn"], "CertificateAuthority");
    assert_eq!(Pair::read(&ground.site.outlet("web"))?, served);
    rests(&ground, MOMENT, 2).await?;

    ground.ca.heal();
    ground.pass(BACK_OFF)?;
    let after = ground.wait_renewed("web", &served).await?;
    ground.verified("web", &[NAME]).await?;
    ensure!(ground.orders() == 3, "a new order, since the old one would give the same again");
    after.check()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_away_is_waited_for_and_what_is_in_service_stays() -> Result<()> {
    let ground = Ground::new().await?;
    ground.ca.inject(Rule::on("/", Fault::Refuse));
    ground.write_web()?;
    let _daemon = ground.start().await?;
    let away = async || {
        let environment = ground.site.ctl_json(&["explain", "environment/staging"]).unwrap_or_default();
        let certificate = explained(&ground, "web").unwrap_or_default();
        [environment, certificate].iter().all(|seen| {
            let verdict = &seen["verdict"];
            verdict["reason"] == "AcmeUnreachable"
                && verdict["turn"] == "CertificateAuthority"
                && seen["next"]["at"].is_string()
        })
    };
    wait_until(SOON, "the environment and the certificate to say that the CA is away", away).await?;
    ground.ca.heal();
    ground.pass(BACK_OFF)?;
    ground.wait_ready("web").await?;

    let served = Pair::read(&ground.site.outlet("web"))?;
    ground.ca.inject(Rule::on("/", Fault::Refuse));
    ground.renew("web")?;
    let seen = ground.wait_late("web", "AcmeUnreachable").await?;
    ensure!(says(&seen, "Ready", "True"), "{seen:#}");
    ensure!(message(&seen, "OnSchedule").contains("the connection broke off"), "{seen:#}");
    ground.ca.heal();
    ground.pass(BACK_OFF)?;
    ground.wait_renewed("web", &served).await?;
    assert_eq!(ground.orders(), 2);
    assert_eq!(ground.accounts(), 1);
    Ok(())
}

/// Nothing listens there at first, and no proxy stands between.
#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_starts_later_is_found_when_it_is_there() -> Result<()> {
    let mut ground = Ground::new().await?;
    ground.pebble.process().kill()?;
    let staging = documents::environment("staging", ACCOUNT, REGION)
        .credentials("aws-credentials", "staging")
        .zone("staging.example.com", &[])
        .acme("pebble", ground.pebble.directory(), Some("pebble.pem"));
    ground.site.document("staging.yaml", &format!("{}---\n{}", staging.with_wrapping_key(), web("")))?;
    let _daemon = ground.start().await?;
    let refused = async || {
        let verdict = &explained(&ground, "web").unwrap_or_default()["verdict"];
        verdict["reason"] == "AcmeUnreachable" && verdict["message"].to_string().contains("refused")
    };
    wait_until(SOON, "the connection to be refused", refused).await?;
    ground.pebble.restart().await?;
    ground.site.secret("pebble.pem", [ground.pebble.server_ca_pem(), &ground.pebble.issuing_root().await?].concat())?;
    ground.pass(BACK_OFF)?;
    ground.wait_ready("web").await?;
    ground.verified("web", &[NAME]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_in_seconds_is_obeyed_and_shown() -> Result<()> {
    limited(RetryAfter::Seconds(7_200)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_with_a_date_is_obeyed_and_shown() -> Result<()> {
    limited(RetryAfter::DateIn(7_200)).await
}

/// Two hours, as the CA says; not a minute sooner, although the back-off begins with one.
async fn limited(retry_after: RetryAfter) -> Result<()> {
    let ground = Ground::new().await?;
    let limit = Status::problem(429, "rateLimited", "too many new orders recently").retry_after(retry_after);
    ground.ca.inject(Rule::on(endpoint::NEW_ORDER, limit.into()).once());
    ground.write_web()?;
    let _daemon = ground.start().await?;
    let end = ground.now() + SignedDuration::from_hours(2);
    let seen = ground.site.wait_attention("certificate", "staging", "web", "RateLimited").await?;
    let attention = &seen["status"]["attention"];
    assert_eq!(attention["turn"], "CertificateAuthority");
    let next_try: Timestamp = attention["nextTry"].as_str().context("a next try")?.parse()?;
    ensure!(next_try.duration_since(end).abs() < SignedDuration::from_mins(1), "{next_try} is not about {end}");
    let until = format!("limited until {next_try}");
    ensure!(attention["message"].as_str().is_some_and(|said| said.contains(&until)), "{until}: {attention:#}");
    assert_eq!(explained(&ground, "web")?["next"]["at"], attention["nextTry"]);

    ground.pass(Duration::from_secs(7_200 - 120))?;
    rests(&ground, Duration::ZERO, 0).await?;
    assert_eq!(ground.ca.count(endpoint::NEW_ORDER), 1, "asked once");
    ground.pass(Duration::from_secs(180))?;
    ground.wait_ready("web").await?;
    assert_eq!(ground.orders(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_proven_is_named_and_holds_up_no_other_certificate() -> Result<()> {
    let ground = Ground::new().await?;
    let bad = "away.staging.example.com";
    // Nobody listens there.
    ground.pebble.dns()?.set_addresses(bad, &[[127, 0, 0, 77].into()]).await?;
    let names = ["one.staging.example.com", bad, "two.staging.example.com"];
    ground.write_staging(&[documents::certificate("staging", "three", &names, ""), web("")])?;
    let _daemon = ground.start().await?;
    let seen = ground.site.wait_attention("certificate", "staging", "three", "ChallengeFailed").await?;
    let attention = &seen["status"]["attention"];
    assert_eq!(attention["turn"], "Operator");
    let said = attention["message"].as_str().unwrap_or_default();
    ensure!(said.contains(bad) && !said.contains("one.staging") && !said.contains("two.staging"), "{said}");
    ensure!(attention["fix"].to_string().contains(&format!("port 80 of `{bad}`")), "{attention:#}");
    let other = ground.wait_ready("web").await?;
    ensure!(says(&other, "OnSchedule", "True"), "{other:#}");
    ground.verified("web", &[NAME]).await?;
    ensure!(!ground.site.outlet("three").exists(), "nothing is delivered for two names of three");

    ground.pebble.dns()?.clear_addresses(bad).await?;
    ground.pass(BACK_OFF)?;
    ground.wait_ready("three").await?;
    ground.verified("three", &names).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_ca_will_not_issue_for_is_named_and_a_changed_document_lifts_the_back_off() -> Result<()> {
    let bad = "blocked.staging.example.com";
    let ground =
        Ground::with(PebbleOptions { blocked_domains: vec![bad.to_owned()], ..PebbleOptions::default() }).await?;
    let two = |names: &[&str]| documents::certificate("staging", "two", names, "");
    ground.write_staging(&[two(&["good.staging.example.com", bad]), web("")])?;
    let _daemon = ground.start().await?;
    let seen = ground.site.wait_attention("certificate", "staging", "two", "Refused").await?;
    let attention = &seen["status"]["attention"];
    assert_eq!(attention["turn"], "Operator");
    ensure!(attention["message"].as_str().is_some_and(|said| said.contains(bad)), "{attention:#}");
    ensure!(attention["nextTry"].is_string(), "{attention:#}");
    ground.wait_ready("web").await?;
    assert_eq!(ground.orders(), 1, "the other certificate's");
    // No time passes: without the change it would wait.
    ground.write_staging(&[two(&["good.staging.example.com"]), web("")])?;
    let seen = ground.wait_ready("two").await?;
    assert_eq!(seen["status"].get("attention"), None, "{seen:#}");
    ground.verified("two", &["good.staging.example.com"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_costs_one_stray_order_at_most_and_never_a_second_key() -> Result<()> {
    for (path, orders) in [(endpoint::NEW_ACCOUNT, 1), (endpoint::NEW_ORDER, 2), (endpoint::FINALIZE, 1)] {
        let ground = Ground::new().await?;
        // A bad nonce is refused before anything is done; what is to be lost is the answer to what was done.
        ground.ca.inject(Rule::on(path, Fault::LoseAnswer).once());
        ground.write_web()?;
        let _daemon = ground.start().await?;
        let lost = async || {
            ground.ca.requests().iter().any(|logged| logged.path.starts_with(path) && logged.answered.is_none())
        };
        wait_until(SOON, "an answer to be lost", lost).await?;
        let ready = async || {
            // A minute of back-off at a time, and the time to ask whether it happened.
            ground.pass(BACK_OFF).is_ok() && settles(&ground, "web").await
        };
        wait_until(SOON * 2, "the certificate", ready)
            .await
            .with_context(|| format!("{path}: {:#}", ground.certificate("web")))?;
        ground.verified("web", &[NAME]).await?;
        ensure!(ground.orders() <= orders, "{path}: {} orders", ground.orders());
        assert_eq!(ground.ca.count_done(endpoint::FINALIZE), 1, "{path}: one certificate");
        assert_eq!(ground.tried("seal_new_key"), 2, "{path}: one key for the account and one for the certificate");
    }
    Ok(())
}

/// Whether it is ready within a second.
async fn settles(ground: &Ground, name: &str) -> bool {
    let ready = async || says(&ground.certificate(name), "Ready", "True");
    wait_until(Duration::from_secs(1), "ready", ready).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_forgot_the_account_gets_no_other_one_behind_anybodys_back() -> Result<()> {
    let mut ground = Ground::new().await?;
    ground.write_web()?;
    let _daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let served = ground.verified("web", &[NAME]).await?;
    let account = account_url(&ground)?;
    ground.pebble.restart().await?;
    ground.trust().await?;
    ground.renew("web")?;
    let seen = ground.site.wait_attention("certificate", "staging", "web", "AccountRefused").await?;
    let attention = &seen["status"]["attention"];
    assert_eq!(attention["turn"], "Operator");
    ensure!(attention["message"].as_str().is_some_and(|said| said.contains("accountDoesNotExist")), "{attention:#}");
    ensure!(attention["fix"].to_string().contains("no other account by itself"), "{attention:#}");
    ensure!(says(&seen, "Ready", "True"), "what is in service still serves: {seen:#}");
    ground.pass(BACK_OFF)?;
    rests(&ground, Duration::ZERO, 1).await?;
    assert_eq!(ground.accounts(), 1);
    assert_eq!(account_url(&ground)?, account);
    assert_eq!(Pair::read(&ground.site.outlet("web"))?, served);
    Ok(())
}

fn account_url(ground: &Ground) -> Result<String> {
    let environment = ground.site.resource("environment", "", "staging");
    let url = environment.pointer("/status/issuers/0/accountUrl").and_then(Value::as_str);
    Ok(url.with_context(|| format!("an account in {environment:#}"))?.to_owned())
}

fn explained(ground: &Ground, name: &str) -> Result<Value> {
    ground.site.ctl_json(&["explain", &format!("certificate/{name}"), "-n", "staging"])
}

/// Lets time pass and gives the daemon its chance; it must not have made more orders than these.
async fn rests(ground: &Ground, span: Duration, orders: usize) -> Result<()> {
    ground.pass(span)?;
    let more = async || ground.orders() != orders;
    ensure!(wait_until(Duration::from_secs(2), "more orders", more).await.is_err(), "{} orders", ground.orders());
    Ok(())
}
