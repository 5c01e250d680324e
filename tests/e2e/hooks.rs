//! Reload hooks: what an outlet names is run after each delivery, and one that fails or hangs never costs the certificate.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_tests::{Canary, documents, wait_until};
use serde_json::Value;

use crate::ground::{Ground, Pair, SOON, says};

const NAME: &str = "www.staging.example.com";

/// A site with a hook that runs this script, and a certificate whose outlet names it.
async fn hooked(script: &str, timeout: &str) -> Result<Ground> {
    let mut ground = Ground::new().await?;
    let file = ground.site.path().join("hook.sh");
    fs::write(&file, script)?;
    ground.site.setting(format!("hooks:\n  server: {{ command: [/bin/sh, ./hook.sh], timeout: {timeout} }}"));
    let web = documents::certificate("staging", "web", &[NAME], "");
    ground.write_staging(&[web.replace("directory: web", "directory: web, reload: server")])?;
    Ok(ground)
}

fn reload(seen: &Value) -> &Value {
    &seen["status"]["outlets"][0]["reload"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_runs_after_each_delivery_and_learns_where_and_nothing_more() -> Result<()> {
    // What it sees is written beside it: its arguments, its environment, and the certificate that is in service then.
    let script = "{ echo \"run $#\"; env; readlink /proc/self/fd/0; cat \"$CLAVIGER_CERTIFICATE\"; } >> seen\n";
    let ground = hooked(script, "30s").await?;
    let canary = Canary::new("environment");
    let _daemon = ground.site.start_with(&[ground.leaps(), ("AWS_SECRET_ACCESS_KEY", canary.text()?)]).await?;
    let seen = ground.wait_ready("web").await?;
    let succeeded = async || reload(&ground.certificate("web")) == "Succeeded";
    wait_until(SOON, "the hook", succeeded).await.with_context(|| format!("{seen:#}"))?;
    let first = Pair::read(&ground.site.outlet("web"))?;
    let told = fs::read_to_string(ground.site.path().join("seen"))?;
    let directory = ground.site.outlet("web").display().to_string();
    for line in ["run 0", "CLAVIGER_OUTLET=web", &format!("CLAVIGER_DIRECTORY={directory}"), "/dev/null", &first.chain]
    {
        ensure!(told.contains(line), "{line} is not in {told}");
    }
    assert_eq!(canary.sightings_in("the hook's environment", &told), []);
    ensure!(!told.contains("HOME="), "nothing of the daemon's environment: {told}");

    ground.renew("web")?;
    let second = ground.wait_renewed("web", &first).await?;
    let runs = || fs::read_to_string(ground.site.path().join("seen")).unwrap_or_default();
    wait_until(SOON, "a second run", async || runs().ends_with(&second.chain)).await?;
    assert_eq!(runs().matches("run 0").count(), 2, "once for each delivery");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_is_told_about_and_run_again() -> Result<()> {
    let ground = hooked("echo 'no such site: web' >&2; test -e mended || exit 3\n", "30s").await?;
    let _daemon = ground.start().await?;
    let seen = ground.site.wait_attention("certificate", "staging", "web", "HookFailed").await?;
    let attention = &seen["status"]["attention"];
    assert_eq!(attention["turn"], "Operator");
    let said = attention["message"].as_str().unwrap_or_default();
    for words in ["outlet `web`", "status 3", "no such site: web"] {
        ensure!(said.contains(words), "{words} is not in {said}");
    }
    ensure!(says(&seen, "Ready", "True"), "it is delivered: {seen:#}");
    assert_eq!(reload(&seen), "Failed");
    let served = ground.verified("web", &[NAME]).await?;

    fs::write(ground.site.path().join("mended"), "")?;
    ground.pass(Duration::from_secs(70))?;
    wait_until(SOON, "the hook", async || reload(&ground.certificate("web")) == "Succeeded").await?;
    assert_eq!(ground.certificate("web")["status"].get("attention"), None);
    assert_eq!(Pair::read(&ground.site.outlet("web"))?, served, "nothing else was done");
    assert_eq!(ground.orders(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_hangs_is_ended_with_all_that_it_started() -> Result<()> {
    // Neither it nor its child minds SIGTERM.
    let script = "trap '' TERM\n/bin/sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 1; done' &\necho $$ > parent\nwait\n";
    let ground = hooked(script, "1s").await?;
    let _daemon = ground.start().await?;
    let seen = ground.site.wait_attention("certificate", "staging", "web", "HookFailed").await?;
    let said = seen["status"]["attention"]["message"].as_str().unwrap_or_default();
    ensure!(said.contains("ended by force after 1 second"), "{said}");
    ensure!(says(&seen, "Ready", "True"), "it is delivered: {seen:#}");
    for who in ["parent", "child"] {
        let process = process(&ground, who)?;
        wait_until(SOON, &format!("the {who} to be gone"), async || !process.exists()).await?;
    }
    ground.verified("web", &[NAME]).await.map(drop)
}

fn process(ground: &Ground, who: &str) -> Result<PathBuf> {
    let id = fs::read_to_string(ground.site.path().join(who))?;
    Ok(PathBuf::from(format!("/proc/{}", id.trim().parse::<u32>()?)))
}
