//! Renewal at its instant: the CA's, else a share of the lifetime; by a person; after a restart; and nobody reads half of it.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use claviger_tests::{Fault, Rule, endpoint, wait_until};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::ground::{Ground, Pair, SOON, says};

const HOUR: Duration = Duration::from_secs(3_600);
/// Pebble's `Retry-After` on renewal information, and a little more.
const ASKED_AGAIN: Duration = Duration::from_secs(6 * 3_600 + 60);

#[tokio::test(flavor = "multi_thread")]
async fn the_ca_says_when_to_renew_and_may_change_its_mind() -> Result<()> {
    let ground = Ground::lasting(HOUR * 24 * 6).await?;
    ground.write_web()?;
    let _daemon = ground.start().await?;
    let seen = ground.wait_ready("web").await?;
    let before = ground.verified("web", &["www.staging.example.com"]).await?;
    let third_to_fifth_day = ground.now() + days(3)..ground.now() + days(5);
    assert_eq!(seen["status"]["renewal"]["source"], "Ari", "{seen:#}");
    ensure!(
        third_to_fifth_day.contains(&instant(&seen, "/status/renewal/at")?),
        "two days around two thirds: {seen:#}"
    );

    let later = ground.now() + hours(20)..ground.now() + hours(21);
    ground.pebble.set_renewal_info(&before.chain, &window(&later)).await?;
    ground.pass(ASKED_AGAIN)?;
    let moved = async || ground.certificate("web").pointer("/status/renewal/explanationUrl").is_some();
    wait_until(SOON, "the window to be moved", moved).await?;
    let seen = ground.certificate("web");
    ensure!(later.contains(&instant(&seen, "/status/renewal/at")?), "inside of the window: {seen:#}");
    assert_eq!(seen["status"]["renewal"]["explanationUrl"], "https://ca.example/incident");
    assert_eq!(ground.orders(), 1, "not yet");

    ground.pass(HOUR * 15)?;
    ground.wait_renewed("web", &before).await?;
    ground.verified("web", &["www.staging.example.com"]).await.map(drop)
}

/// A CA that has to revoke names a window in the past; one that always does must not be ordered from without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_in_the_past_renews_once_a_twentieth_of_the_life_is_over() -> Result<()> {
    let mut ground = Ground::lasting(HOUR * 24 * 6).await?;
    ground.write_web()?;
    let daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let before = ground.verified("web", &["www.staging.example.com"]).await?;
    let past = ground.now() - hours(2)..ground.now() - hours(1);
    ground.pebble.set_renewal_info(&before.chain, &window(&past)).await?;
    daemon.stop().await?; // the next start asks for the window
    let _daemon = ground.start().await?;
    let moved = async || ground.certificate("web").pointer("/status/renewal/explanationUrl").is_some();
    wait_until(SOON, "the window to be moved", moved).await?;
    let seen = ground.certificate("web");
    let life = hours(24 * 6) - SignedDuration::from_secs(1);
    let twentieth = instant(&seen, "/status/certificate/notBefore")? + life / 20;
    let later = instant(&seen, "/status/renewal/at")?.duration_since(twentieth); // it counts from when we had it
    ensure!((0..60).contains(&later.as_secs()), "{later}: {seen:#}");
    assert_eq!(ground.orders(), 1, "not yet");

    ground.pass(HOUR * 7 + Duration::from_secs(13 * 60))?;
    let after = ground.wait_renewed("web", &before).await?;
    ground.verified("web", &["www.staging.example.com"]).await?;
    assert_ne!(after.public_key()?, before.public_key()?, "a new certificate has a new key");
    let seen = ground.certificate("web");
    ensure!(instant(&seen, "/status/renewal/at")? > ground.now() + days(2), "as the CA says of the new one: {seen:#}");
    assert_eq!(ground.orders(), 2);
    let replaced = ground.pebble.process().stdout();
    assert_eq!(replaced.matches("is a replacement of").count(), 1, "the order says what it replaces");
    Ok(())
}

/// On the machine's own clock.
#[tokio::test(flavor = "multi_thread")]
async fn without_renewal_information_half_of_a_short_life_is_the_instant() -> Result<()> {
    let mut ground = Ground::lasting(Duration::from_secs(40)).await?;
    ground.ca.inject(Rule::on(endpoint::DIRECTORY, Fault::without("renewalInfo")));
    ground.write_web()?;
    let _daemon = ground.site.start().await?;
    let seen = ground.wait_ready("web").await?;
    let before = ground.verified("web", &["www.staging.example.com"]).await?;
    assert_eq!(seen["status"]["renewal"]["source"], "Lifetime", "{seen:#}");
    let (begin, end) =
        (instant(&seen, "/status/certificate/notBefore")?, instant(&seen, "/status/certificate/notAfter")?);
    let at = instant(&seen, "/status/renewal/at")?;
    let half = begin + end.duration_since(begin) / 2;
    ensure!(at.duration_since(half).abs() <= SignedDuration::from_secs(1), "{at} is not about {half}");

    ground.wait_renewed("web", &before).await?;
    let seen = ground.certificate("web");
    ensure!(instant(&seen, "/status/certificate/notBefore")? >= at, "not before its instant: {seen:#}");
    ground.verified("web", &["www.staging.example.com"]).await?;
    assert_eq!(ground.ca.count(endpoint::RENEWAL_INFO), 0, "a CA that offers none is not asked");
    ensure!(!ground.pebble.process().stdout().contains("is a replacement of"), "nor told what is replaced");
    Ok(())
}

/// Timers stand still while a machine sleeps: its time leaps, and no timer has run out.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_wakes_up_renews_within_a_minute() -> Result<()> {
    let ground = Ground::lasting(HOUR).await?;
    ground.ca.inject(Rule::on(endpoint::DIRECTORY, Fault::without("renewalInfo")));
    ground.write_web()?;
    let _daemon = ground.site.start_with(&[ground.leaps(), ("CLAVIGER_SUSPENDED", "1")]).await?;
    ground.wait_ready("web").await?;
    let before = Pair::read(&ground.site.outlet("web"))?;
    ground.pass(HOUR / 2 + Duration::from_secs(60))?;
    let a_minute_and_an_issuance = Duration::from_secs(60 + 20);
    let renewed = async || Pair::read(&ground.site.outlet("web")).is_ok_and(|now| now != before);
    wait_until(a_minute_and_an_issuance, "the renewal", renewed).await?;
    ground.verified("web", &["www.staging.example.com"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_sees_half_of_a_swap() -> Result<()> {
    let ground = Ground::new().await?;
    ground.write_web()?;
    let _daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let reader = Reader::start(ground.site.outlet("web"));
    for _ in 0..3 {
        let before = Pair::read(&ground.site.outlet("web"))?;
        ground.renew("web")?;
        ground.wait_renewed("web", &before).await?;
    }
    let (reads, pairs) = reader.finish(10_000)?;
    ensure!(reads >= 10_000, "{reads} reads");
    assert_eq!(pairs.len(), 4, "what was served, one after the other");
    pairs.iter().try_for_each(Pair::check)
}

/// Reads an outlet over and over, as servers do that start at any moment.
struct Reader {
    stop: Arc<AtomicBool>,
    reading: std::thread::JoinHandle<Result<(usize, BTreeSet<Pair>)>>,
    enough: Arc<std::sync::atomic::AtomicUsize>,
}

impl Reader {
    fn start(directory: PathBuf) -> Self {
        let (stop, enough) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, least): (_, Arc<std::sync::atomic::AtomicUsize>) = (Arc::clone(&stop), Arc::clone(&enough));
        let reading = std::thread::spawn(move || {
            let (mut reads, mut pairs) = (0, BTreeSet::new());
            while !stopped.load(Ordering::SeqCst) || reads < least.load(Ordering::SeqCst) {
                pairs.insert(Pair::read(&directory)?);
                reads += 1;
                std::thread::sleep(Duration::from_micros(100));
            }
            Ok((reads, pairs))
        });
        Self { stop, reading, enough }
    }

    fn finish(self, least: usize) -> Result<(usize, BTreeSet<Pair>)> {
        self.enough.store(least, Ordering::SeqCst);
        self.stop.store(true, Ordering::SeqCst);
        self.reading.join().ok().context("the reader panicked")?
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_goes_on_with_the_same_order_and_key() -> Result<()> {
    let ground = Ground::new().await?;
    ground.ca.inject(Rule::on(endpoint::FINALIZE, Fault::Delay(HOUR)));
    ground.write_web()?;
    let daemon = ground.start().await?;
    wait_until(SOON, "the order to be handed in", async || ground.tried("finalize") == 1).await?;
    daemon.kill()?;
    ground.ca.heal();
    let daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    ground.verified("web", &["www.staging.example.com"]).await?;
    assert_eq!((ground.orders(), ground.ca.count_done(endpoint::FINALIZE)), (1, 1));
    assert_eq!(ground.tried("seal_new_key"), 2, "the account's key and the certificate's");

    let served = Pair::read(&ground.site.outlet("web"))?;
    daemon.stop().await?;
    let _daemon = ground.start().await?;
    let settled = async || ground.site.ctl_json(&["status"]).is_ok_and(|status| status["complete"] == true);
    wait_until(SOON, "everything to be looked at", settled).await?;
    let seen = ground.certificate("web");
    ensure!(says(&seen, "Ready", "True") && says(&seen, "OnSchedule", "True"), "{seen:#}");
    assert_eq!((ground.orders(), ground.accounts()), (1, 1), "nothing is ordered again");
    assert_eq!(Pair::read(&ground.site.outlet("web"))?, served);
    Ok(())
}

fn window(bounds: &std::ops::Range<Timestamp>) -> String {
    let bounds = json!({ "start": bounds.start.to_string(), "end": bounds.end.to_string() });
    json!({ "suggestedWindow": bounds, "explanationURL": "https://ca.example/incident" }).to_string()
}

fn instant(seen: &Value, pointer: &str) -> Result<Timestamp> {
    let text = seen.pointer(pointer).and_then(Value::as_str).with_context(|| format!("{pointer} in {seen:#}"))?;
    Ok(text.parse()?)
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn days(days: i64) -> SignedDuration {
    hours(days * 24)
}
