//! Keys in AWS KMS, by emulators that nobody here wrote: made once, tagged, aliased, rotating; and whatever somebody else changes is
//! seen, said, and never answered by a replacement.

use std::{ops::Deref, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_tests::{Aws, Daemon, Fault, Ministack, Moto, PlainProxy, Rule, Site, documents, endpoint, wait_until};
use serde_json::{Value, json};

use crate::ground::{ACCOUNT, Ground, Leaps, Pair, REGION, SOON, message, says};

/// The account of credentials that MiniStack does not know.
const MINISTACK: &str = "000000000000";
/// How often a key is looked at although nothing is planned, and a moment.
const LOOKED_AT: Duration = Duration::from_secs(610);

/// An emulator behind a proxy, and a daemon's folder with the keys `wrapping` and `orders`.
struct Keys<A> {
    aws: A,
    proxy: PlainProxy,
    site: Site,
    time: Leaps,
}

impl<A: Deref<Target = Aws>> Keys<A> {
    async fn at(aws: A, account: &str) -> Result<Self> {
        let (mut site, proxy) = (Site::new()?, PlainProxy::start(aws.address()).await?);
        site.aws_at(&[REGION], &proxy.endpoint(), &proxy.endpoint(), "");
        site.secret("aws-credentials", documents::credentials(&[("staging", "STAGING")]))?;
        let environment = documents::environment("staging", account, REGION)
            .credentials("aws-credentials", "staging")
            .line("classification: restricted");
        let orders = documents::key("staging", "orders", "data", "180d");
        site.document("staging.yaml", &format!("{}---\n{orders}", environment.with_wrapping_key()))?;
        let time = Leaps::at(&site);
        Ok(Self { aws, proxy, site, time })
    }

    /// Starts a daemon and waits for both keys.
    async fn ready(&self) -> Result<Daemon<'_>> {
        let daemon = self.site.start_with(&[self.time.variable()]).await?;
        for name in ["wrapping", "orders"] {
            self.site.wait_ready("kmskey", "staging", name).await?;
        }
        Ok(daemon)
    }

    fn key(&self, name: &str) -> Value {
        self.site.resource("kmskey", "staging", name)
    }

    fn arn(&self, name: &str) -> Result<String> {
        let key = self.key(name);
        Ok(key.pointer("/status/key/arn").and_then(Value::as_str).with_context(|| format!("{key:#}"))?.to_owned())
    }

    async fn ask(&self, action: &str, body: Value) -> Result<Value> {
        self.aws.kms(REGION, action, &body).await
    }

    /// Lets it be looked at again, and waits for what is then said of it.
    async fn drifted(&self, name: &str, reason: &str) -> Result<Value> {
        self.time.pass(LOOKED_AT)?;
        let seen = self.site.wait_attention("kmskey", "staging", name, reason).await?;
        let attention = &seen["status"]["attention"];
        assert_eq!(attention["turn"], "Operator", "{seen:#}");
        ensure!(attention["fix"].as_array().is_some_and(|fix| !fix.is_empty()), "{seen:#}");
        ensure!(says(&seen, "Ready", "False") && says(&seen, "OnSchedule", "False"), "{seen:#}");
        Ok(seen)
    }

    async fn mended(&self, name: &str) -> Result<()> {
        self.time.pass(LOOKED_AT)?;
        let mended =
            async || says(&self.key(name), "Ready", "True") && self.key(name)["status"].get("attention").is_none();
        wait_until(SOON, &format!("{name} to be mended"), mended).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_is_made_once_tagged_aliased_and_rotating() -> Result<()> {
    let keys = Keys::at(Moto::start().await?, ACCOUNT).await?;
    let daemon = keys.ready().await?;
    let aliases = keys.ask("ListAliases", json!({})).await?;
    for (name, purpose) in [("wrapping", "wrap"), ("orders", "data")] {
        let arn = keys.arn(name)?;
        let tags = keys.ask("ListResourceTags", json!({ "KeyId": arn })).await?;
        let tag = |name: &str| {
            let tags = tags["Tags"].as_array().into_iter().flatten();
            tags.filter(|tag| tag["TagKey"] == name).map(|tag| tag["TagValue"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(tag("claviger:environment"), [json!("staging")], "{tags:#}");
        assert_eq!(tag("claviger:object"), [json!(format!("staging/{name}"))], "{tags:#}");
        assert_eq!(tag("claviger:owner"), [json!("itops@example.com")], "{tags:#}");
        assert_eq!(tag("claviger:classification"), [json!("restricted")], "{tags:#}");
        assert_eq!(tag("claviger:purpose"), [json!(purpose)], "{tags:#}");
        let alias = format!("alias/claviger/staging/{name}");
        let targets = aliases["Aliases"].as_array().into_iter().flatten();
        let target = targets.clone().find(|found| found["AliasName"] == alias.as_str()).context("the alias")?;
        ensure!(arn.ends_with(target["TargetKeyId"].as_str().unwrap_or("nothing")), "{target:#}");
        assert_eq!(keys.key(name)["status"]["alias"], alias.as_str());
        let rotation = keys.ask("GetKeyRotationStatus", json!({ "KeyId": arn })).await?;
        assert_eq!(rotation["KeyRotationEnabled"], true, "{rotation:#}");
    }
    daemon.kill()?;
    let _daemon = keys.ready().await?;
    let there = keys.ask("ListKeys", json!({})).await?;
    assert_eq!(there["Keys"].as_array().map(Vec::len), Some(2), "a restart makes none: {there:#}");
    assert_eq!(keys.proxy.count_done_actions("EnableKeyRotation"), 2, "and sets nothing again");
    Ok(())
}

/// moto keeps no period of rotations, MiniStack does.
#[tokio::test(flavor = "multi_thread")]
async fn rotation_has_the_period_that_was_asked_for_and_another_one_is_seen() -> Result<()> {
    let keys = Keys::at(Ministack::start().await?, MINISTACK).await?;
    let _daemon = keys.ready().await?;
    for (name, days) in [("wrapping", 365), ("orders", 180)] {
        let rotation = keys.ask("GetKeyRotationStatus", json!({ "KeyId": keys.arn(name)? })).await?;
        assert_eq!(rotation["RotationPeriodInDays"], days, "{rotation:#}");
    }
    let other = json!({ "KeyId": keys.arn("orders")?, "RotationPeriodInDays": 2_560 });
    keys.ask("EnableKeyRotation", other).await?;
    let seen = keys.drifted("orders", "RotationPeriodDiffers").await?;
    let said = message(&seen, "Ready");
    ensure!(said.contains("2560d") && said.contains("180d"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_that_somebody_switched_off_stays_off_until_a_person_asks() -> Result<()> {
    let keys = Keys::at(Moto::start().await?, ACCOUNT).await?;
    let _daemon = keys.ready().await?;
    let orders = json!({ "KeyId": keys.arn("orders")? });
    keys.ask("DisableKeyRotation", orders.clone()).await?;
    keys.drifted("orders", "RotationOff").await?;
    ensure!(says(&keys.key("wrapping"), "Ready", "True"), "the other one is not concerned");
    assert_eq!(keys.ask("GetKeyRotationStatus", orders.clone()).await?["KeyRotationEnabled"], false);
    let said = keys.site.ctl(&["renew", "kmskey/orders", "-n", "staging", "--reason", "put it back"])?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    keys.mended("orders").await?;
    assert_eq!(keys.ask("GetKeyRotationStatus", orders).await?["KeyRotationEnabled"], true);
    assert_eq!(keys.proxy.count_done_actions("CreateKey"), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_somebody_moved_is_seen_and_not_moved_back() -> Result<()> {
    let keys = Keys::at(Moto::start().await?, ACCOUNT).await?;
    let _daemon = keys.ready().await?;
    let stranger = keys.ask("CreateKey", json!({})).await?;
    let stranger = stranger["KeyMetadata"]["KeyId"].as_str().context("a key")?;
    let alias = "alias/claviger/staging/orders";
    keys.ask("UpdateAlias", json!({ "AliasName": alias, "TargetKeyId": stranger })).await?;
    let seen = keys.drifted("orders", "AliasMoved").await?;
    let own = keys.arn("orders")?;
    for words in [alias, stranger, &own] {
        ensure!(message(&seen, "Ready").contains(words), "{words} is not in {seen:#}");
    }
    assert_eq!(keys.proxy.count_done_actions("UpdateAlias"), 0);
    keys.ask("UpdateAlias", json!({ "AliasName": alias, "TargetKeyId": own })).await?;
    keys.mended("orders").await?;
    assert_eq!(keys.proxy.count_done_actions("CreateKey"), 2, "no replacement");
    Ok(())
}

/// MiniStack is right about the states of keys; moto goes on using them.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_somebody_disabled_or_will_delete_gets_no_replacement() -> Result<()> {
    let keys = Keys::at(Ministack::start().await?, MINISTACK).await?;
    let _daemon = keys.ready().await?;
    let wrapping = json!({ "KeyId": keys.arn("wrapping")? });
    keys.ask("DisableKey", wrapping.clone()).await?;
    keys.drifted("wrapping", "KeyDisabled").await?;

    let deletion = json!({ "KeyId": keys.arn("wrapping")?, "PendingWindowInDays": 7 });
    keys.ask("ScheduleKeyDeletion", deletion).await?;
    let seen = keys.drifted("wrapping", "KeyPendingDeletion").await?;
    let (attention, key) = (&seen["status"]["attention"], &seen["status"]["key"]);
    ensure!(attention["hurtsAt"].is_string() && attention["hurtsAt"] == key["deletionAt"], "{seen:#}");
    ensure!(attention["fix"].to_string().contains("cancel-key-deletion"), "{seen:#}");
    assert_eq!(key["state"], "PendingDeletion");

    keys.ask("CancelKeyDeletion", wrapping.clone()).await?;
    keys.ask("EnableKey", wrapping).await?;
    keys.mended("wrapping").await?;
    assert_eq!(keys.proxy.count_done_actions("CreateKey"), 2, "no replacement");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_answer_was_lost_is_found_by_its_tags() -> Result<()> {
    let keys = Keys::at(Moto::start().await?, ACCOUNT).await?;
    for action in ["CreateKey", "CreateAlias", "EnableKeyRotation"] {
        keys.proxy.inject(Rule::on_action(action, Fault::LoseAnswer).once());
    }
    let _daemon = keys.site.start_with(&[keys.time.variable()]).await?;
    let ready = async || {
        // A minute of back-off at a time, and the time to ask whether it happened.
        let passed = keys.time.pass(Duration::from_secs(70)).is_ok();
        let both = ["wrapping", "orders"].iter().all(|name| says(&keys.key(name), "Ready", "True"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        passed && both
    };
    wait_until(SOON, "both keys", ready).await.with_context(|| format!("{:#}", keys.key("wrapping")))?;
    let there = keys.ask("ListKeys", json!({})).await?;
    assert_eq!(there["Keys"].as_array().map(Vec::len), Some(2), "{there:#}");
    assert_eq!(keys.proxy.count_done_actions("CreateKey"), 2, "one for each document");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_wrapping_key_a_certificate_serves_on_and_its_renewal_waits() -> Result<()> {
    let ground = Ground::lasting(Duration::from_secs(3_600)).await?;
    ground.ca.inject(Rule::on(endpoint::DIRECTORY, Fault::without("renewalInfo")));
    ground.write_web()?;
    let _daemon = ground.start().await?;
    ground.wait_ready("web").await?;
    let served = Pair::read(&ground.site.outlet("web"))?;
    let key = ground.site.resource("kmskey", "staging", "wrapping");
    let arn = key.pointer("/status/key/arn").and_then(Value::as_str).context("a key")?;
    // Here moto takes no ARN.
    let wrapping = json!({ "KeyId": arn.rsplit('/').next() });
    ground.moto.kms(REGION, "DisableKey", &wrapping).await?;
    ground.pass(LOOKED_AT)?;
    ground.site.wait_attention("kmskey", "staging", "wrapping", "KeyDisabled").await?;
    let refused = ground.renew("web").expect_err("nothing would follow").to_string();
    ensure!(refused.contains("somebody disabled the key"), "{refused}");
    // Half of its life is over soon.
    ground.pass(Duration::from_secs(1_500))?;
    let waits = async || {
        let explained = ground.site.ctl_json(&["explain", "certificate/web", "-n", "staging"]);
        explained.is_ok_and(|seen| seen["verdict"]["reason"] == "WrappingKeyNotReady")
    };
    wait_until(SOON, "the renewal to wait for the key", waits).await?;
    ensure!(says(&ground.certificate("web"), "Ready", "True"), "{:#}", ground.certificate("web"));
    assert_eq!(Pair::read(&ground.site.outlet("web"))?, served);
    assert_eq!((ground.orders(), ground.aws.count_done_actions("CreateKey")), (1, 1));

    ground.moto.kms(REGION, "EnableKey", &wrapping).await?;
    // A look that was under way may have seen it disabled after time had passed: then it is looked at the next time.
    let enabled = async || {
        let passed = ground.pass(LOOKED_AT).is_ok();
        tokio::time::sleep(Duration::from_millis(500)).await;
        passed && says(&ground.site.resource("kmskey", "staging", "wrapping"), "Ready", "True")
    };
    wait_until(SOON, "the key to be looked at", enabled).await?;
    ground.wait_renewed("web", &served).await.map(drop)
}
