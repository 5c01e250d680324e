//! Every right of the chart's Roles is taken away in turn: what is missing is named where a user looks, everything else goes on, and
//! with the right given back all is well again, without a restart.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_tests::{Daemon, Kubeconfig, Kubernetes, Wire, documents, plain_client, wait_until};
use serde_json::{Value, json};

use crate::{
    ground::{Ground, SOON},
    operator::{NAME, certificate},
    operator_chart::{ACCOUNT, NAMESPACE, rendered},
    operator_ingress::{ingress, know_gateways},
};

/// A cluster into which the chart was installed, and a wire to it that can be cut. Nobody works yet.
struct Installed {
    kubernetes: Kubernetes,
    ground: Ground,
    wire: Wire,
    _account: Kubeconfig,
}

/// A right: the Role that gives it (`clusterrole/NAME`, `role/NAME`), that Role's namespace, verb and resource.
#[derive(Clone, Copy, Debug)]
struct Right(&'static str, &'static str, &'static str, &'static str);

const ALL: &str = "clusterrole/claviger";
const OWN: &str = "role/claviger";
const CLAIMED: &str = "role/claviger-claimed";
const EVENTS: &str = "role/claviger-events";

impl Installed {
    async fn new() -> Result<Self> {
        let (kubernetes, mut ground) = tokio::try_join!(Kubernetes::start(), Ground::new())?;
        for namespace in [NAMESPACE, "staging"] {
            kubernetes.kubectl(&["create", "namespace", namespace], "").await?;
        }
        kubernetes
            .kubectl(&["apply", "--server-side", "--filename=-"], &rendered(&kubernetes, NAMESPACE).await?)
            .await?;
        kubernetes.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "").await?;
        let wire = Wire::to(kubernetes.address()).await?;
        let account = kubernetes.kubeconfig_of(NAMESPACE, "claviger").await?;
        let account = account.through(&format!("https://{}", wire.address()), kubernetes.ca_pem())?;
        ground.site.in_cluster(account.path());
        Ok(Self { kubernetes, ground, wire, _account: account })
    }

    /// `staging` with its wrapping key, and `web`, which is ready.
    async fn in_order(&self) -> Result<()> {
        let all = [self.ground.staging().with_wrapping_key(), certificate("web", NAME)];
        self.kubernetes.apply(&all.join("---\n")).await?;
        self.wait_ready("web").await
    }

    async fn wait_ready(&self, certificate: &str) -> Result<()> {
        let what = format!("{certificate} to be ready");
        self.wait_status("tlscertificate", certificate, &what, |status| status["conditions"][0]["status"] == "True")
            .await
    }

    async fn status(&self, kind: &str, name: &str) -> Value {
        let text = self.kubernetes.kubectl(&["get", kind, name, "--namespace=staging", "-o", "json"], "").await;
        let object: Value = text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        object["status"].clone()
    }

    /// Waits until an object's status is so. The daemon's time flies, so that nobody waits for its next try.
    async fn wait_status(&self, kind: &str, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
        let mut last = Value::Null;
        let waited = wait_until(SOON, what, async || {
            last = self.status(kind, name).await;
            holds(&last) || self.hasten().await
        });
        waited.await.with_context(|| format!("last seen of {kind}/{name}: {last:#}"))
    }

    /// Lets a minute pass; never true.
    async fn hasten(&self) -> bool {
        let _ = self.ground.pass(Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(200)).await;
        false
    }

    /// Takes a right away, and gives what puts it back.
    async fn take(&self, right: Right) -> Result<Value> {
        let Right(role, namespace, verb, resource) = right;
        let text = self.kubernetes.kubectl(&["get", role, "--namespace", namespace, "-o", "json"], "").await?;
        let mut before: Value = serde_json::from_str(&text)?;
        before["metadata"] = json!({ "name": before["metadata"]["name"], "namespace": before["metadata"]["namespace"],
            "labels": before["metadata"]["labels"] });
        let mut after = before.clone();
        let rules = before["rules"].as_array().context("it has rules")?;
        after["rules"] = rules.iter().flat_map(|rule| without(rule, verb, resource)).collect();
        ensure!(after != before, "the Role has no such right: {right:?}");
        self.put(&after, right, "no").await?;
        Ok(before)
    }

    async fn give_back(&self, before: &Value, right: Right) -> Result<()> {
        self.put(before, right, "yes").await
    }

    /// Puts a Role, and waits until the API server goes by it.
    async fn put(&self, role: &Value, Right(_, namespace, verb, resource): Right, answer: &str) -> Result<()> {
        self.kubernetes.kubectl(&["replace", "--filename=-"], &role.to_string()).await?;
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let name = if resource == "leases" && verb != "create" { "/claviger" } else { "" };
        let group = if resource == "secrets" { "" } else { &format!(".{}", group(resource)) };
        let (resource, user) = (format!("{resource}{group}{name}"), format!("--as={ACCOUNT}"));
        let subresource = format!("--subresource={subresource}");
        let ask = ["auth", "can-i", verb, &resource, &subresource, "--namespace", namespace, &user];
        let holds = async || {
            // It ends with 1 when it says no.
            let said = self.kubernetes.kubectl(&ask, "").await;
            said.is_ok() == (answer == "yes")
        };
        wait_until(SOON, "the right to count", holds).await
    }

    /// Waits until the log has these words behind a mark.
    async fn wait_said(&self, daemon: &Daemon<'_>, mark: usize, words: &str) -> Result<()> {
        let said = async || daemon.log()[mark..].contains(words) || self.hasten().await;
        wait_until(SOON, &format!("`{words}` in the log"), said).await
    }
}

fn group(resource: &str) -> &'static str {
    match resource {
        "leases" => "coordination.k8s.io",
        "events" => "events.k8s.io",
        "ingresses" => "networking.k8s.io",
        "gateways" => "gateway.networking.k8s.io",
        _ => "claviger.dev",
    }
}

/// A rule without one verb on one resource; its other resources keep it.
fn without(rule: &Value, verb: &str, resource: &str) -> Vec<Value> {
    let list = |field: &str| rule[field].as_array().cloned().unwrap_or_default();
    if !list("resources").contains(&json!(resource)) || !list("verbs").contains(&json!(verb)) {
        return vec![rule.clone()];
    }
    let (mut others, mut less) = (rule.clone(), rule.clone());
    others["resources"] = list("resources").into_iter().filter(|other| other != resource).collect();
    less["resources"] = json!([resource]);
    less["verbs"] = list("verbs").into_iter().filter(|other| other != verb).collect();
    let whole = |rule: &Value| ["resources", "verbs"].iter().all(|field| rule[field] != json!([]));
    [others, less].into_iter().filter(whole).collect()
}

/// What makes a daemon write the status of an object of that kind, and ask for nothing outside.
fn something(kind: &str, name: &str, round: usize) -> String {
    match kind {
        "environments" => documents::environment(name, "333333333333", crate::ground::REGION)
            .credentials("aws-credentials", "staging")
            .line(&format!("namespaces: [nowhere-{round}]"))
            .yaml(), // it lacks its wrapping key, and is told so
        "kmskeys" => documents::key("staging", name, "data", "365d"),
        "customhostnames" => documents::hostname("staging", name, &format!("{name}.customer.example"), "shop"),
        _ => certificate(name, &format!("{name}.elsewhere.example")),
    }
}

const KINDS: [&str; 4] = ["customhostnames", "environments", "kmskeys", "tlscertificates"];

/// Waits until an object was looked at: its status says something.
async fn wait_looked_at(at: &Installed, kind: &str, name: &str) -> Result<()> {
    at.wait_status(kind, name, &format!("{kind}/{name} to be looked at"), |status| {
        status["conditions"].as_array().is_some_and(|conditions| !conditions.is_empty())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_on_its_own_kinds_is_named_and_stops_that_kind_alone() -> Result<()> {
    let at = Installed::new().await?;
    let daemon = at.ground.start().await?;
    at.in_order().await?;
    let mut round = 0;
    for kind in KINDS {
        for (verb, resource) in [("watch", kind.to_owned()), ("patch", format!("{kind}/status"))] {
            round += 1;
            let right = Right(ALL, NAMESPACE, verb, String::leak(resource.clone()));
            let (mark, before) = (daemon.log().len(), at.take(right).await?);
            at.wire.cut();
            let name = format!("new-{round}");
            at.kubernetes.apply(&something(kind, &name, round)).await?;
            at.wait_said(&daemon, mark, &format!("cannot {verb} resource \"{resource}\"")).await?;
            // Another kind is not touched by it.
            let (other, beside) = (KINDS[(round / 2 + 2) % 4], format!("beside-{round}"));
            at.kubernetes.apply(&something(other, &beside, 100 + round)).await?;
            wait_looked_at(&at, other, &beside).await?;
            at.give_back(&before, right).await?;
            wait_looked_at(&at, kind, &name).await?;
        }
    }
    at.wait_ready("web").await?;
    ensure!(at.ground.orders() == 1, "nothing was ordered anew");
    Ok(())
}

/// Without a list nothing of that kind is known, which is not the same as that there is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_may_not_list_a_kind_says_so_and_goes_on_when_it_may() -> Result<()> {
    let at = Installed::new().await?;
    let first = at.ground.start().await?;
    at.in_order().await?;
    first.stop().await?;
    for (round, kind) in KINDS.into_iter().enumerate() {
        let right = Right(ALL, NAMESPACE, "list", kind);
        let (before, status) = (at.take(right).await?, at.status("tlscertificate", "web").await);
        let daemon = at.ground.start().await?;
        at.wait_said(&daemon, 0, &format!("cannot list resource \"{kind}\"")).await?;
        let name = format!("new-{round}");
        match kind {
            "environments" | "kmskeys" => wait_not_ready(&at, &format!("cannot list resource \"{kind}\"")).await?,
            _ => {
                at.kubernetes.apply(&something("kmskeys", &name, 0)).await?;
                wait_looked_at(&at, "kmskeys", &name).await?;
            }
        }
        ensure!(
            at.status("tlscertificate", "web").await["conditions"] == status["conditions"],
            "nobody knows otherwise"
        );
        at.kubernetes.apply(&something(kind, &format!("late-{round}"), round)).await?;
        at.give_back(&before, right).await?;
        wait_looked_at(&at, kind, &format!("late-{round}")).await?;
        daemon.stop().await?;
    }
    ensure!(at.ground.orders() == 1 && at.ground.accounts() == 1, "nothing was ordered anew");
    Ok(())
}

/// Waits until `/readyz` says these words.
async fn wait_not_ready(at: &Installed, words: &str) -> Result<()> {
    let url = format!("http://127.0.0.1:{}/readyz", at.ground.site.metrics_port());
    let (client, mut last) = (plain_client()?, String::new());
    let what = format!("`{words}` at /readyz");
    let waited = wait_until(SOON, &what, async || {
        let Ok(answer) = client.get(&url).send().await else { return false };
        let refuses = answer.status() == 503;
        last = answer.text().await.unwrap_or_default();
        refuses && last.contains(words)
    });
    waited.await.with_context(|| format!("last said: {last}"))
}

/// The Lease: without a right on it a daemon that starts waits for it and is not ready.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_on_the_lease_is_named_by_readyz_and_nobody_ends_over_it() -> Result<()> {
    let at = Installed::new().await?;
    for (verb, name) in [("create", "one"), ("get", "two")] {
        let right = Right(OWN, NAMESPACE, verb, "leases");
        let before = at.take(right).await?;
        let daemon = at.ground.start().await?;
        wait_not_ready(&at, &format!("cannot {verb} resource \"leases\"")).await?;
        at.give_back(&before, right).await?;
        at.kubernetes
            .apply(&[at.ground.staging().with_wrapping_key(), something("kmskeys", name, 0)].join("---\n"))
            .await?;
        wait_looked_at(&at, "kmskeys", name).await?;
        daemon.stop().await?;
    }
    let right = Right(OWN, NAMESPACE, "patch", "leases");
    let before = at.take(right).await?;
    let daemon = at.ground.start().await?;
    at.wait_said(&daemon, 0, "cannot patch resource \"leases\"").await?;
    at.give_back(&before, right).await?;
    at.kubernetes.apply(&something("kmskeys", "three", 0)).await?;
    wait_looked_at(&at, "kmskeys", "three").await?;
    Ok(())
}

/// What a daemon does in a claimed namespace and in its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_on_secrets_events_and_whatever_asks_is_named_and_nothing_else_suffers() -> Result<()> {
    let at = Installed::new().await?;
    know_gateways(&at.kubernetes).await?;
    let no_list = Right(CLAIMED, "staging", "list", "ingresses");
    let listed = at.take(no_list).await?;
    let daemon = at.ground.start().await?;
    at.in_order().await?;
    at.wait_said(&daemon, 0, "ingresses in `staging` may not be read (verbs list, watch)").await?;
    at.give_back(&listed, no_list).await?;
    at.kubernetes.apply(&ingress("first", "", &[("first-tls", &["first.staging.example.com"])])).await?;

    watches_are_named(&at, &daemon).await?;
    deliveries_are_named(&at, &daemon).await?;
    accounts_are_named(&at, &daemon).await?;
    events_are_named(&at, &daemon).await?;

    at.wait_ready("first-tls").await.context("the Ingress that could not be listed")?;
    asking_is_named(&at, &daemon).await?;
    at.wait_ready("web").await
}

async fn watches_are_named(at: &Installed, daemon: &Daemon<'_>) -> Result<()> {
    for (resource, words) in [
        ("secrets", "cannot watch resource \"secrets\""),
        ("ingresses", "ingresses in `staging` may not be read"),
        ("gateways", "gateways in `staging` may not be read"),
    ] {
        let right = Right(CLAIMED, "staging", "watch", resource);
        let (mark, before) = (daemon.log().len(), at.take(right).await?);
        at.wire.cut();
        at.wait_said(daemon, mark, words).await?;
        at.give_back(&before, right).await?;
    }
    Ok(())
}

/// A certificate that cannot be delivered says why in its status, and is delivered without another order.
async fn deliveries_are_named(at: &Installed, daemon: &Daemon<'_>) -> Result<()> {
    for verb in ["get", "create", "patch"] {
        let right = Right(CLAIMED, "staging", verb, "secrets");
        let (before, name) = (at.take(right).await?, format!("for-{verb}"));
        at.kubernetes.apply(&certificate(&name, &format!("{name}.staging.example.com"))).await?;
        let words = format!("cannot {verb} resource \"secrets\"");
        let what = format!("{name} to say `{words}`");
        at.wait_status("tlscertificate", &name, &what, |status| told(status, &words)).await?;
        at.kubernetes.apply(&something("kmskeys", &name, 0)).await?;
        wait_looked_at(at, "kmskeys", &name).await?;
        at.give_back(&before, right).await?;
        at.wait_ready(&name).await?;
    }
    ensure!(at.ground.orders() <= 5, "one for each certificate: {}", at.ground.orders());
    let right = Right(CLAIMED, "staging", "list", "secrets");
    let (mark, before) = (daemon.log().len(), at.take(right).await?);
    at.kubernetes.kubectl(&["delete", "secret", "web-tls", "--namespace=staging"], "").await?;
    at.wait_ready("web").await?;
    at.give_back(&before, right).await?;
    ensure!(!daemon.log()[mark..].contains("panic"), "{}", daemon.log());
    Ok(())
}

fn told(status: &Value, words: &str) -> bool {
    status["attention"]["message"].as_str().is_some_and(|message| message.contains(words))
        && status["attention"]["fix"].to_string().contains("verb")
}

/// The account keys lie in clavigerd's own namespace.
async fn accounts_are_named(at: &Installed, daemon: &Daemon<'_>) -> Result<()> {
    let (mut staging, directory) = (at.ground.staging(), at.ground.ca.directory());
    for verb in ["get", "create", "patch"] {
        let right = Right(OWN, NAMESPACE, verb, "secrets");
        let (mark, before) = (daemon.log().len(), at.take(right).await?);
        let name = format!("ca-{verb}");
        staging = staging.acme(&name, &directory, Some("pebble.pem"));
        let uses = certificate(&name, &format!("{name}.staging.example.com"))
            .replace("  outlets", &format!("  issuers: [{{ name: {name} }}]\n  outlets"));
        at.kubernetes.apply(&[staging.with_wrapping_key(), uses].join("---\n")).await?;
        at.wait_said(daemon, mark, &format!("cannot {verb} resource \"secrets\"")).await?;
        let beside = format!("beside-{verb}");
        at.kubernetes.apply(&certificate(&beside, &format!("{beside}.staging.example.com"))).await?;
        at.wait_ready(&beside).await.context("another issuer is not touched by it")?;
        at.give_back(&before, right).await?;
        at.wait_ready(&name).await?;
    }
    ensure!(at.ground.accounts() == 4, "one for each issuer: {}", at.ground.accounts());
    Ok(())
}

/// Events are a courtesy: without them everything works.
async fn events_are_named(at: &Installed, daemon: &Daemon<'_>) -> Result<()> {
    let right = Right(CLAIMED, "staging", "create", "events");
    let (mark, before) = (daemon.log().len(), at.take(right).await?);
    let outside = certificate("outside", "outside.elsewhere.example");
    at.kubernetes.apply(&outside).await?;
    at.wait_said(daemon, mark, "cannot create resource \"events\"").await?;
    at.give_back(&before, right).await?;

    let right = Right(EVENTS, "default", "create", "events");
    let (mark, before) = (daemon.log().len(), at.take(right).await?);
    at.kubernetes.kubectl(&["create", "namespace", "second"], "").await?;
    let second = documents::environment("second", crate::ground::ACCOUNT, crate::ground::REGION);
    at.kubernetes.apply(&second.credentials("aws-credentials", "production").with_wrapping_key()).await?;
    at.wait_said(daemon, mark, "events in `default` cannot be published").await?;
    at.give_back(&before, right).await?;

    // The same said again within minutes is the same event, counted.
    let unknown = certificate("outside", "outside.staging.example.com")
        .replace("  outlets", "  issuers: [{ name: nobody }]\n  outlets");
    let says = async |text: &str, reason: &str| {
        at.kubernetes.apply(text).await?;
        at.wait_status("tlscertificate", "outside", reason, |status| status["conditions"][0]["reason"] == reason).await
    };
    says(&unknown, "IssuerMissing").await?;
    says(&outside, "NameOutsideZones").await?;
    let right = Right(CLAIMED, "staging", "patch", "events");
    let (mark, before) = (daemon.log().len(), at.take(right).await?);
    says(&unknown, "IssuerMissing").await?;
    at.wait_said(daemon, mark, "cannot patch resource \"events\"").await?;
    at.give_back(&before, right).await
}

/// An Ingress that asks gets its certificate as soon as it may be made.
async fn asking_is_named(at: &Installed, daemon: &Daemon<'_>) -> Result<()> {
    for verb in ["create", "patch"] {
        let right = Right(CLAIMED, "staging", verb, "tlscertificates");
        let (mark, before) = (daemon.log().len(), at.take(right).await?);
        let (name, host) = (format!("asked-{verb}"), format!("asked-{verb}.staging.example.com"));
        at.kubernetes.apply(&ingress(&name, "", &[(&name, &[&host])])).await?;
        at.wait_said(daemon, mark, &format!("cannot {verb} resource \"tlscertificates\"")).await?;
        at.give_back(&before, right).await?;
        at.wait_ready(&name).await?;
    }
    Ok(())
}
