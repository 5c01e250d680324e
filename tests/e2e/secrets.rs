//! A secret is looked for in everything that leaves the daemon, after the whole job with all that goes wrong in it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use claviger_sim::{
    answer::Answer,
    fault::{Fault, Rule, Service},
};
use claviger_tests::{Canary, Daemon, Sighting, documents, socket_client};
use serde_json::json;

use crate::{
    customers::{SHOP, STEP},
    stage::{PRODUCTION, STAGING, Stage, ZONE, text},
};

/// What must never be seen anywhere.
struct Birds {
    token: Canary,
    amazon: Canary,
    tsig: Canary,
    inline: Canary,
    inherited: Canary,
}

impl Birds {
    fn new() -> Self {
        let [token, amazon, tsig, inline, inherited] =
            ["token", "amazon", "tsig", "inline", "inherited"].map(Canary::new);
        Self { token, amazon, tsig, inline, inherited }
    }

    fn all(&self) -> [&Canary; 5] {
        [&self.token, &self.amazon, &self.tsig, &self.inline, &self.inherited]
    }
}

/// A hook that notes everything that it can learn of itself, prints what it should not, and fails.
const HOOK: &str = "hooks:\n  tell:\n    command: [sh, -c, \"cat /proc/self/environ /proc/$$/cmdline >> $CLAVIGER_DIRECTORY/../../hook.log; \
                    cat $CLAVIGER_DIRECTORY/tls.key; exit 1\", it-reloads]";

async fn stage(birds: &Birds) -> Result<Stage> {
    let mut stage = Stage::new().await?;
    stage.site.setting(HOOK);
    let amazon = birds.amazon.text()?;
    let credentials = documents::credentials(&[("production", PRODUCTION), ("staging", STAGING)]);
    stage.site.secret("aws-credentials", credentials.replace("not-a-secret", amazon))?;
    stage.site.secret("tsig", birds.tsig.text()?)?;
    let dns = "challenges: [http-01, dns-01], dns: { rfc2136: { server: \"127.0.0.1:53\", key: { name: claviger, \
               algorithm: hmac-sha256, secret: { file: tsig } } } }";
    let staging = stage.staging().with_wrapping_key().replace("challenges: [http-01]", dns);
    stage.site.document("staging.yaml", &staging)?;
    stage.site.document("production.yaml", &stage.production()?.with_wrapping_key())?;
    stage.site.secret("cf-token", birds.token.text()?)?;
    stage.world.cloudflare().add_token(birds.token.text()?, &[ZONE], true);
    let reload = documents::certificate("staging", "web", &["www.staging.example.com"], "");
    stage.site.document("web.yaml", &reload.replace("directory: web", "directory: web, reload: tell"))?;
    Ok(stage)
}

/// Everything that can go right.
async fn the_job(stage: &Stage) -> Result<()> {
    stage.site.wait_attention("certificate", "staging", "web", "HookFailed").await?;
    stage.point(SHOP);
    stage.customer("customer", SHOP)?;
    stage.pass_until_reason(SHOP, STEP, "Active").await?;
    let renewed = stage.site.ctl(&["renew", "certificate/web", "-n", "staging", "--reason", "the key was seen"])?;
    ensure!(renewed.status.success(), "{}", text(&renewed));
    stage.pass_until("the renewal", STEP, async || stage.world.acme().counts().orders == 2).await
}

/// Everything that can go wrong, each far side repeating what it was told.
async fn the_failures(stage: &Stage, birds: &Birds) -> Result<()> {
    let token = birds.token.text()?;
    let body = json!({ "success": false, "messages": [token], "result": null,
        "errors": [{ "code": 1000, "message": format!("Bearer {token} is not accepted") }] });
    let parrot = Answer::json(401, "application/json", &body);
    stage.world.faults().add(Rule::always(Service::Cloudflare, "*", Fault::Status(parrot)));
    stage.customer("late", "shop.late.example")?;
    stage.pass_until_reason("shop.late.example", STEP, "EdgeDenied").await?;
    stage.world.faults().clear();
    for fault in [Fault::AnswerLost, Fault::Garble, Fault::Tear, Fault::RefuseBefore] {
        for service in [Service::Kms, Service::Acme, Service::Cloudflare] {
            stage.world.faults().add(Rule::once(service, "*", fault.clone()));
        }
    }
    stage.site.document("more.yaml", &documents::certificate("staging", "more", &["more.staging.example.com"], ""))?;
    let mut last = serde_json::Value::Null;
    let issued = stage.pass_until("the certificate, in spite of all", STEP * 90, async || {
        last = stage.site.resource("certificate", "staging", "more");
        last["status"]["conditions"][0]["status"] == "True"
    });
    issued.await.with_context(|| format!("{last:#}"))?;
    the_bad_documents(stage, birds).await
}

/// A secret where the name of a file should stand, where anything else should stand, and in what is not even YAML.
async fn the_bad_documents(stage: &Stage, birds: &Birds) -> Result<()> {
    let inline = birds.inline.text()?;
    let production = stage.production()?.with_wrapping_key();
    stage.site.secret("cf-token", birds.token.text()?)?;
    for (change, code) in [
        (("apiToken: { file: cf-token }", format!("apiToken: {inline}")), "CLV-0126"),
        (("apiToken: { file: cf-token }", format!("apiToken: {{ value: {inline} }}")), "CLV-0"),
        ((ZONE, inline.to_owned()), "CLV-0123"),
        (("owner: itops@example.com", format!("password: {inline}")), "CLV-0104"),
        (("owner: itops@example.com", format!("owner: [{inline}")), "CLV-0105"),
    ] {
        stage.site.document("production.yaml", &production.replace(change.0, &change.1))?;
        let rejected = stage.pass_until("the document to be rejected", STEP, async || {
            stage.rejected().iter().any(|finding| finding["code"].as_str().is_some_and(|found| found.starts_with(code)))
        });
        rejected.await.with_context(|| format!("{code}: {:#?}", stage.rejected()))?;
        let checked = stage.site.check()?;
        let seen = birds.inline.sightings_in("clavigerd check", [checked.stdout, checked.stderr].concat());
        ensure!(seen.is_empty(), "{code}: {seen:?}");
    }
    Ok(())
}

/// Everything that a person, a program or a backup gets to see.
async fn outputs(stage: &Stage, daemon: &mut Daemon<'_>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut outputs = vec![
        ("metrics".to_owned(), daemon.metrics().await?.into_bytes()),
        ("standard error".to_owned(), daemon.log().into_bytes()),
        ("standard output".to_owned(), daemon.process().stdout().into_bytes()),
        ("its command line".to_owned(), std::fs::read(format!("/proc/{}/cmdline", daemon.process().id()))?),
    ];
    for path in [
        "status",
        "resources/Environment",
        "resources/KmsKey",
        "resources/TlsCertificate",
        "resources/CustomHostname",
        "resources/TlsCertificate/staging/web/explanation",
        "resources/CustomHostname/production/late/explanation",
        "environments/production/hostnames",
        "environments/production/changes",
        "openapi.json",
        "nowhere",
    ] {
        let answer = socket_client(&stage.site.socket())?.get(format!("http://claviger/v1/{path}")).send().await?;
        outputs.push((format!("/v1/{path}"), answer.bytes().await?.to_vec()));
    }
    for arguments in [
        vec!["status", "-o", "wide"],
        vec!["get", "certificates", "-o", "yaml"],
        vec!["keys"],
        vec!["explain", "certificate/web"],
        vec!["hostname", "records", SHOP],
    ] {
        outputs.push((format!("clavigerctl {arguments:?}"), text(&stage.site.ctl(&arguments)?).into_bytes()));
    }
    Ok(outputs)
}

fn sightings(bird: &Canary, stage: &Stage, outputs: &[(String, Vec<u8>)]) -> Result<Vec<Sighting>> {
    let mut seen: Vec<_> = outputs.iter().flat_map(|(name, output)| bird.sightings_in(name, output)).collect();
    seen.extend(bird.sightings_below(&stage.site.path().join("state"))?);
    let hook = std::fs::read(stage.site.path().join("hook.log")).context("the hook ran")?;
    seen.extend(bird.sightings_in("environment and command line of the hook", hook));
    Ok(seen)
}

#[tokio::test]
async fn no_secret_is_seen_anywhere_whatever_happens() -> Result<()> {
    let birds = Birds::new();
    let stage = stage(&birds).await?;
    let inherited = birds.inherited.text()?;
    // `trace` of our own code and `debug` of everything that we use.
    let variables = [("CLAVIGER_LOG", "debug,clavigerd=trace,claviger_core=trace"), ("DATABASE_PASSWORD", inherited)];
    let mut daemon = stage.start_with(&variables).await?;
    the_job(&stage).await?;
    the_failures(&stage, &birds).await?;
    let outputs = outputs(&stage, &mut daemon).await?;
    what_is_searched_is_really_there(&outputs)?;
    for bird in birds.all() {
        assert_eq!(sightings(bird, &stage, &outputs)?, [], "{}", bird.text()?);
    }
    for directory in ["web", "more"] {
        for part in private_parts(&stage.site.outlet(directory))? {
            assert_eq!(sightings(&part, &stage, &outputs)?, [], "the private key of {directory}");
        }
    }
    Ok(())
}

/// Silence proves nothing: the failures, the hook and the debug log must be among what was searched.
fn what_is_searched_is_really_there(outputs: &[(String, Vec<u8>)]) -> Result<()> {
    let all = outputs.iter().map(|(_, output)| String::from_utf8_lossy(output)).collect::<String>();
    for words in [
        "EdgeDenied",
        "HookFailed",
        "DocumentRejected",
        "CLV-0105",
        "it printed",
        "DEBUG",
        "claviger_acme_requests_total",
    ] {
        ensure!(all.contains(words), "`{words}` is in none of the outputs");
    }
    Ok(())
}

/// The private key of an outlet: the lines of the file, and the number itself.
fn private_parts(outlet: &Path) -> Result<Vec<Canary>> {
    let pem = std::fs::read_to_string(outlet.join("tls.key"))?;
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(lines.concat())?;
    // RFC 5915: the private key of P-256 is an octet string of 32 bytes.
    let at = der.windows(4).position(|window| window == [0x02, 0x01, 0x01, 0x04]).context("an EC private key")?;
    let number = der.get(at + 5..at + 37).context("32 bytes")?;
    Ok(lines.iter().map(|line| Canary::of(line.as_bytes())).chain([Canary::of(number)]).collect())
}

/// The files that hold secrets are closed to everybody else.
#[tokio::test]
async fn what_holds_secrets_is_closed_to_others() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let birds = Birds::new();
    let stage = stage(&birds).await?;
    let _daemon = stage.start().await?;
    stage.site.wait_attention("certificate", "staging", "web", "HookFailed").await?;
    let mode = |path: &Path| Ok::<_, anyhow::Error>(std::fs::metadata(path)?.permissions().mode() & 0o777);
    let root = stage.site.path();
    assert_eq!(mode(&root.join("state"))?, 0o700);
    assert_eq!(mode(&root.join("admin.sock"))?, 0o600);
    assert_eq!(mode(&stage.site.outlet("web").join("tls.key"))?, 0o600);
    for name in ["claviger.db", "audit.jsonl"] {
        assert_eq!(mode(&root.join("state").join(name))? & 0o077, 0, "{name}");
    }
    Ok(())
}
