//! Separation on a real API server: what `kubectl apply` brings is refused with the words of the folder's twins, and the incumbent
//! runs on. What a tenant may write harms nobody else.

use anyhow::{Context, Result, ensure};
use claviger_tests::{documents, documents::EnvironmentText, openssl, wait_until};
use serde_json::{Value, json};

use crate::{
    ground::{ACCOUNT, REGION, SOON},
    operator::{Cluster, NAME, certificate, decoded, quiet},
};

/// The condition of an object, as `kubectl get -o json` shows it.
fn condition<'a>(object: &'a Value, name: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == name).unwrap_or(&Value::Null)
}

/// Waits until an object is refused for that reason, and all these words stand in its message.
async fn is_refused(cluster: &Cluster, kind: &str, place: (&str, &str), reason: &str, words: &[&str]) -> Result<Value> {
    let (namespace, name) = place;
    let mut last = Value::Null;
    let what = format!("{kind}/{name} to be refused: {reason} {words:?}");
    let waited = wait_until(SOON, &what, async || {
        last = cluster.get(kind, namespace, name).await.unwrap_or_default();
        let ready = condition(&last, "Ready");
        let message = ready["message"].as_str().unwrap_or_default();
        ready["status"] == "False" && ready["reason"] == reason && words.iter().all(|word| message.contains(word))
    });
    waited.await.with_context(|| format!("last seen: {:#}", last["status"]))?;
    ensure!(last["status"]["attention"]["turn"] == "Operator", "{:#}", last["status"]);
    ensure!(last["status"]["attention"]["fix"][0].is_string(), "{:#}", last["status"]);
    ensure!(last["status"]["observedGeneration"] == last["metadata"]["generation"], "{last:#}");
    Ok(last)
}

fn newcomer(account: &str) -> EnvironmentText {
    documents::environment("newcomer", account, REGION).credentials("aws-credentials", "production")
}

const OTHER: &str = "444444444444";
const ROLE: &str = "arn:aws:iam::123456789012:role/claviger";
const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// `staging` with all that a newcomer could want of it.
fn incumbent(cluster: &Cluster) -> EnvironmentText {
    let staging = cluster.ground.staging().line("policy: { customHostnames: Allow }");
    staging.edge(ZONE, "cf-token", "saas.staging.example.com", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_refused_by_kubectl_apply_with_both_names_and_the_incumbent_runs_on() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.namespace("newcomer").await?;
    cluster.ground.site.secret("cf-token", "not-a-token")?;
    let staging = incumbent(&cluster).with_wrapping_key();
    cluster.kubernetes.apply(&[staging, certificate("web", NAME)].join("---\n")).await?;
    let _daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    let keys = cluster.ground.aws.count_done_actions("CreateKey");

    let allowed = "policy: { customHostnames: Allow }";
    let cases: [(&str, EnvironmentText, &str, &str); 8] = [
        ("CLV-0302", newcomer(ACCOUNT).kms("aliasPrefix: claviger/staging"), "`claviger/staging`", SEPARATION),
        (
            "CLV-0302",
            newcomer(ACCOUNT).kms("aliasPrefix: claviger/staging/inner"),
            "`claviger/staging/inner`",
            SEPARATION,
        ),
        ("CLV-0302", newcomer(ACCOUNT).kms("aliasPrefix: claviger"), "`claviger/staging`", SEPARATION),
        ("CLV-0301", newcomer(OTHER).line("namespaces: [newcomer, staging]"), "`staging`", "NamespaceClaimed"),
        ("CLV-0304", newcomer(OTHER).line(allowed).edge(ZONE, "cf-token", "other.example.com", ""), ZONE, SEPARATION),
        ("CLV-0306", newcomer(OTHER).zone("staging.example.com", &[]), "`staging.example.com`", SEPARATION),
        ("CLV-0305", newcomer(OTHER).zone("example.com", &[]), "`staging.example.com`", SEPARATION),
        ("CLV-0305", newcomer(OTHER).zone("inner.staging.example.com", &[]), "`inner.staging.example.com`", SEPARATION),
    ];
    for (code, document, shared, reason) in cases {
        cluster.kubernetes.apply(&document.with_wrapping_key()).await?;
        let seen =
            is_refused(&cluster, "environment", ("", "newcomer"), reason, &["Environment/staging", shared]).await?;
        ensure!(seen["status"]["claims"].is_null(), "it holds nothing: {:#}", seen["status"]);
        let status = cluster.ground.site.ctl_json(&["status"])?["documents"]["rejected"].to_string();
        ensure!(status.contains(code), "`{code}` is not in {status}");
        cluster.kubernetes.kubectl(&["delete", "environment", "newcomer"], "").await?;
    }
    ensure!(cluster.ground.aws.count_done_actions("CreateKey") == keys, "no key for a newcomer");

    // Not only shown as ready: it still gets what it asks for.
    cluster.kubernetes.apply(&certificate("more", "more.staging.example.com")).await?;
    cluster.wait_ready("more").await
}

const SEPARATION: &str = "SeparationRefused";

#[tokio::test(flavor = "multi_thread")]
async fn two_roles_names_outside_policy_and_unclaimed_namespaces_are_refused_where_they_stand() -> Result<()> {
    let cluster = Cluster::new().await?;
    for namespace in ["newcomer", "nobody", "production"] {
        cluster.namespace(namespace).await?;
    }
    let _daemon = cluster.ground.start().await?;
    let production =
        documents::environment("production", OTHER, REGION).production().credentials("aws-credentials", "production");
    let issuer = cluster.ground.ca.directory();
    let public = format!("issuers: [{{ name: letsencrypt, trust: public, acme: {{ directory: \"{issuer}\" }} }}]");
    let production =
        production.zone("example.com", &["staging.example.com"]).with_wrapping_key().replace("issuers: []", &public);
    let staging = cluster.ground.staging().kms(&format!("assumeRole: {ROLE}")).with_wrapping_key();
    cluster.kubernetes.apply(&[staging, production].join("---\n")).await?;

    let role = newcomer(ACCOUNT).kms(&format!("assumeRole: {ROLE}")).with_wrapping_key();
    let at = |namespace: &str, name: &str, host: &str, more: &str| {
        documents::certificate(namespace, name, &[host], more)
            .replace(&format!("files: {{ directory: {name} }}"), &format!("secret: {{ name: {name}-tls }}"))
    };
    let wanted = [
        at("staging", "outside", "shop.example.com", ""),
        at("production", "excepted", "www.staging.example.com", ""),
        at("production", "wildcard", "\"*.example.com\"", ""),
        at("production", "public", "www.example.com", "issuers: [{ name: letsencrypt }]"),
        at("nobody", "unclaimed", "www.example.com", ""),
        documents::hostname("staging", "customer", "shop.customer.example", "customer"),
    ];
    cluster.kubernetes.apply(&[&[role], &wanted[..]].concat().join("---\n")).await?;
    let refused =
        async |kind, place, reason, words: &[&str]| is_refused(&cluster, kind, place, reason, words).await.map(drop);
    refused("environment", ("", "newcomer"), SEPARATION, &["Environment/staging", ROLE]).await?;
    let tls = "tlscertificate";
    refused(tls, ("staging", "outside"), "NameOutsideZones", &["`shop.example.com`", "`staging`", "`production`"])
        .await?;
    let both = ["`www.staging.example.com`", "`production`", "`staging`"];
    refused(tls, ("production", "excepted"), "NameOutsideZones", &both).await?;
    let both = ["`*.example.com`", "`staging.example.com`", "`staging`"];
    refused(tls, ("production", "wildcard"), SEPARATION, &both).await?;
    refused(tls, ("production", "public"), "PolicyRefuses", &["`production`", "`letsencrypt`"]).await?;
    refused(tls, ("nobody", "unclaimed"), "NamespaceUnclaimed", &["`nobody`"]).await?;
    refused("customhostname", ("staging", "customer"), "PolicyRefuses", &["`staging`"]).await?;
    ensure!(cluster.ground.orders() == 0, "nothing is ordered for what is refused");
    Ok(())
}

/// The newest version is rejected: the one before stays in force, and the object itself says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_newest_version_is_rejected_says_so_and_serves_by_the_one_before() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.namespace("other").await?;
    let other = documents::environment("other", OTHER, REGION).credentials("aws-credentials", "production");
    let (well, bad) = (other.clone().zone("other.example.com", &[]), other.zone("staging.example.com", &[]));
    cluster.apply(&[certificate("web", NAME), well.with_wrapping_key()]).await?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    let seen = async || cluster.get("environment", "", "other").await.unwrap_or_default();
    let looked_at = async || condition(&seen().await, "Ready")["status"].is_string();
    wait_until(SOON, "the other environment to be looked at", looked_at).await?;
    ensure!(condition(&seen().await, "Accepted").is_null(), "nothing is said of what is well");
    let before = seen().await;

    cluster.kubernetes.apply(&bad.yaml()).await?;
    let mut last = Value::Null;
    let waited = wait_until(SOON, "the condition", async || {
        last = seen().await;
        condition(&last, "Accepted")["status"] == "False"
    });
    waited.await.with_context(|| format!("last seen: {:#}", last["status"]))?;
    let accepted = condition(&last, "Accepted");
    ensure!(accepted["reason"] == "DocumentRejected" && accepted["observedGeneration"] == json!(2), "{accepted:#}");
    for words in ["CLV-0306", "Environment/staging", "`staging.example.com`"] {
        ensure!(accepted["message"].as_str().is_some_and(|message| message.contains(words)), "{accepted:#}");
    }
    ensure!(
        condition(&last, "Ready")["observedGeneration"] == 1 && last["status"]["observedGeneration"] == 1,
        "{last:#}"
    );
    ensure!(last["status"]["record"] == before["status"]["record"], "the memory is as it was");

    // It is said once, also over a restart, and stands beside what is said later.
    daemon.stop().await?;
    let _daemon = cluster.ground.start().await?;
    quiet(&cluster).await?;
    let again = seen().await;
    ensure!(condition(&again, "Accepted") == accepted, "{:#}", again["status"]);

    cluster.kubernetes.apply(&well.line("classification: internal").yaml()).await?;
    let mended = async || {
        let now = seen().await;
        condition(&now, "Accepted").is_null() && now["status"]["observedGeneration"] == 3
    };
    wait_until(SOON, "the condition to go", mended).await
}

/// What a user with the chart's role `edit` in one namespace may do.
const TENANT: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: tenant, namespace: other }
rules: [{ apiGroups: [claviger.dev], resources: [tlscertificates], verbs: [get, create, update, patch, delete] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: tenant, namespace: other }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: User, name: tenant }]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_reaches_no_other_environment_and_a_forged_record_opens_and_takes_nothing() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.namespace("other").await?;
    let other = documents::environment("other", ACCOUNT, REGION)
        .credentials("aws-credentials", "production")
        .zone("other.example.com", &[])
        .acme("mine", &cluster.ground.ca.directory(), Some("pebble.pem"));
    cluster.apply(&[certificate("web", NAME), other.with_wrapping_key()]).await?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    let (web, secret) = (cluster.get("tlscertificate", "staging", "web").await?, cluster.secret("web-tls").await?);
    cluster.kubernetes.apply(TENANT).await?;
    let tenant = cluster.kubernetes.kubeconfig_for("tenant", &[])?;

    let mine = |name: &str, host: &str| certificate(name, host).replace("namespace: staging", "namespace: other");
    let issuer = "  issuers: [{ name: pebble }]\n  outlets";
    tenant.apply(&mine("borrows", "a.other.example.com").replace("  outlets", issuer)).await?;
    tenant.apply(&mine("names", NAME)).await?;
    is_refused(&cluster, "tlscertificate", ("other", "borrows"), "IssuerMissing", &["`pebble`", "`other`"]).await?;
    is_refused(&cluster, "tlscertificate", ("other", "names"), "NameOutsideZones", &[NAME, "`other`", "`staging`"])
        .await?;
    let refused = async |said: Result<String>, words: &str| -> Result<()> {
        let error = format!("{:#}", said.expect_err("it is refused"));
        ensure!(error.contains(words), "`{words}` is not in: {error}");
        Ok(())
    };
    refused(tenant.apply(&certificate("web", "evil.staging.example.com")).await, "Forbidden").await?;
    let elsewhere = mine("reaches", "a.other.example.com").replace("secret: {", "secret: { namespace: staging,");
    refused(tenant.apply(&elsewhere).await, "unknown field").await?;
    let patch = json!({ "status": { "record": web["status"]["record"] } }).to_string();
    let forge = [
        "patch",
        "tlscertificate",
        "names",
        "--namespace=other",
        "--subresource=status",
        "--type=merge",
        "--patch",
        &patch,
    ];
    refused(tenant.kubectl(&forge, "").await, "Forbidden").await?;

    // Even where somebody may write it: a copied record opens nothing, and takes nothing from its owner.
    daemon.stop().await?;
    tenant.apply(&mine("names", "b.other.example.com")).await?;
    cluster.kubernetes.kubectl(&forge, "").await?;
    let _daemon = cluster.ground.start().await?;
    let told = async || {
        let names = cluster.get("tlscertificate", "other", "names").await.unwrap_or_default();
        names["status"]["attention"]["reason"] == "EnvironmentChanged"
            && condition(&names, "Ready")["status"] == "False"
    };
    wait_until(SOON, "the record to be told as another environment's", told).await?;
    ensure!(cluster.get("secret", "other", "names-tls").await.is_err(), "nothing is delivered");
    tenant.kubectl(&["delete", "tlscertificate", "names", "--namespace=other"], "").await?;
    tenant.apply(&mine("names", "b.other.example.com")).await?;
    let issued = async || {
        let names = cluster.get("tlscertificate", "other", "names").await.unwrap_or_default();
        condition(&names, "Ready")["status"] == "True"
    };
    wait_until(SOON, "a certificate with a key of its own", issued).await?;
    let theirs = cluster.get("secret", "other", "names-tls").await?;
    let key = openssl::public_key_of_certificate(&decoded(&theirs["data"]["tls.crt"])?)?;
    ensure!(key != openssl::public_key_of_certificate(&secret["tls.crt"])?, "the key of another environment");
    cluster.wait_ready("web").await?;
    ensure!(cluster.secret("web-tls").await? == secret, "web serves as before");
    Ok(())
}
