//! Memory that is lost costs nothing: what is in service is found again where it is.

use std::fs;

use anyhow::{Result, ensure};
use claviger_tests::{condition_of, wait_until};
use serde_json::{Value, json};

use crate::{
    company::{Counted, ONCE, audited, company, counted, is_settled, serves, settle, settles, stops},
    stage::{SOON, Stage, text},
};

/// A company in which everything is ready, and nobody at work.
async fn in_order() -> Result<Stage> {
    let stage = company().await?;
    settle(&stage).await?;
    Ok(stage)
}

fn forget(stage: &Stage, names: &[&str]) -> Result<()> {
    for name in names {
        let path = stage.site.path().join(name);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path)?,
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
    }
    Ok(())
}

const DATABASE: [&str; 3] = ["state/claviger.db", "state/claviger.db-wal", "state/claviger.db-shm"];

/// Waits for the account: a certificate that was adopted is ready without one.
async fn account(stage: &Stage) -> Result<Value> {
    let mut url = Value::Null;
    let there = async || {
        url = stage.site.resource("environment", "", "staging")["status"]["issuers"][0]["accountUrl"].clone();
        url.is_string()
    };
    wait_until(SOON, "the account", there).await?;
    Ok(url)
}

/// What is served, byte for byte.
fn served(stage: &Stage) -> Result<[Vec<u8>; 2]> {
    Ok([fs::read(stage.site.outlet("web").join("tls.crt"))?, fs::read(stage.site.outlet("web").join("tls.key"))?])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_costs_no_order_no_key_no_account_and_no_host_name() -> Result<()> {
    let stage = in_order().await?;
    let before = (served(&stage)?, audited(&stage)?.len());
    forget(&stage, &DATABASE)?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    account(&stage).await?;
    assert_eq!(counted(&stage), ONCE);
    assert_eq!(served(&stage)?, before.0);
    serves(&stage)?;
    everything_was_adopted(&stage)?;
    let after = audited(&stage)?;
    let made = after[before.1..].iter().map(|line| line["verb"].as_str().unwrap_or_default());
    let made: std::collections::BTreeSet<_> = made.collect();
    assert_eq!(made, ["adopt", "register_account"].into(), "an account is asked for by its kept key, and is the same");
    stops(daemon).await
}

fn everything_was_adopted(stage: &Stage) -> Result<()> {
    let web = stage.site.resource("certificate", "staging", "web");
    ensure!(web["status"]["certificate"]["issuer"].is_null(), "who issued it was lost: {web:#}");
    let shop = stage.site.resource("hostname", "production", "shop");
    ensure!(shop["status"]["edge"]["origin"] == "Adopted", "{shop:#}");
    let key = stage.site.resource("kmskey", "staging", "wrapping");
    let arns: Vec<_> = stage.world.kms().keys().map(|key| json!(key.arn)).collect();
    ensure!(arns.contains(&key["status"]["key"]["arn"]), "{key:#}");
    Ok(())
}

/// The account is found by the wrapped key that lies beside the database; without it there is a new one, and nothing else is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_account_key_costs_a_new_account_and_nothing_else() -> Result<()> {
    let stage = in_order().await?;
    let before = served(&stage)?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    let account_before = account(&stage).await?;
    stops(daemon).await?;
    forget(&stage, &DATABASE)?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    assert_eq!(account(&stage).await?, account_before);
    stops(daemon).await?;
    forget(&stage, &["state"])?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    assert_ne!(account(&stage).await?, account_before);
    assert_eq!(counted(&stage), Counted { accounts: 2, ..ONCE });
    assert_eq!(served(&stage)?, before);
    let verbs: Vec<_> = audited(&stage)?.iter().map(|line| line["verb"].clone()).collect();
    assert!(verbs.contains(&json!("seal_new_key")) && verbs.contains(&json!("register_account")), "{verbs:?}");
    stops(daemon).await
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied_outlets_are_filled_from_memory_without_an_order() -> Result<()> {
    let stage = in_order().await?;
    let before = served(&stage)?;
    forget(&stage, &["certificates/web"])?;
    let daemon = stage.start().await?;
    wait_until(SOON, "the outlet to be filled", async || served(&stage).is_ok_and(|now| now == before)).await?;
    settles(&stage).await?;
    assert_eq!(counted(&stage), ONCE);
    stops(daemon).await
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_outlets_lost_cost_one_order_and_nothing_else() -> Result<()> {
    let stage = in_order().await?;
    forget(&stage, &DATABASE)?;
    forget(&stage, &["certificates/web"])?;
    settle(&stage).await?;
    assert_eq!(counted(&stage), Counted { orders: 2, certificates: 2, ..ONCE });
    Ok(())
}

/// One bit has flipped in each record: they are put aside, said, and everything goes on from what is in service.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_rows_are_put_aside_and_their_objects_go_on_by_adoption() -> Result<()> {
    let stage = in_order().await?;
    let before = served(&stage)?;
    {
        let database = rusqlite::Connection::open(stage.site.path().join("state/claviger.db"))?;
        database.execute("UPDATE records SET body = replace(body, 'seed', 'sead')", ())?;
    }
    let daemon = stage.start().await?;
    settles(&stage).await?;
    assert_eq!((counted(&stage), served(&stage)?), (ONCE, before));
    everything_was_adopted(&stage)?;
    for record in ["TlsCertificate/staging/web", "KmsKey/production/wrapping", "CustomHostname/production/shop"] {
        let told = daemon.log().lines().any(|line| line.contains("ERROR") && line.contains(record));
        ensure!(told, "{record} is not told:\n{}", daemon.log());
    }
    stops(daemon).await?;
    let database = rusqlite::Connection::open(stage.site.path().join("state/claviger.db"))?;
    let kept: i64 = database.query_row("SELECT count(*) FROM quarantine", (), |row| row.get(0))?;
    assert_eq!(kept, 6, "what was found is kept");
    Ok(())
}

/// The wrapped keys beside the certificate survive nothing but their own loss: what cannot be adopted is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_outlet_beside_a_lost_database_is_replaced_and_not_served_on() -> Result<()> {
    let stage = in_order().await?;
    forget(&stage, &DATABASE)?;
    fs::write(stage.site.outlet("web").join("tls.key"), "no key\n")?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    serves(&stage)?;
    assert_eq!(counted(&stage), Counted { orders: 2, certificates: 2, ..ONCE });
    let web = stage.site.resource("certificate", "staging", "web");
    ensure!(condition_of(&web, "Ready").is_some_and(|ready| ready["reason"] == "Issued"), "{web:#}");
    ensure!(is_settled(&stage), "{}", text(&stage.site.ctl(&["status"])?));
    stops(daemon).await
}
