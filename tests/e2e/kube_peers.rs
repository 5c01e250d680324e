//! The API server as a peer: it is a real one, keeps what it is given, lets nobody in without rights, and its audit log
//! tells who wrote what.

use anyhow::{Context, Result, ensure};
use claviger_tests::{Kubeconfig, Kubernetes, Proxy, Scratch, client_trusting};
use serde_json::Value;

const SHOP: &str = r"
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Secret
metadata: { name: shop-tls, namespace: shop }
type: Opaque
data: { greeting: Z29vZCBtb3JuaW5n } # good morning
";

const READER: &str = r"
apiVersion: v1
kind: ServiceAccount
metadata: { name: reader, namespace: shop }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: reader, namespace: shop }
rules: [{ apiGroups: [''], resources: [secrets], verbs: [get] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: reader, namespace: shop }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }
subjects:
- { kind: ServiceAccount, name: reader, namespace: shop }
- { apiGroup: rbac.authorization.k8s.io, kind: Group, name: auditors }
";

#[tokio::test]
async fn kubernetes_keeps_objects_over_a_restart_and_tells_who_wrote_them() -> Result<()> {
    let mut kubernetes = Kubernetes::start().await?;
    ensure!(version(&kubernetes).await?.starts_with("v1.36."), "it is not the version that we build");
    let ann = kubernetes.kubeconfig_for("ann", &["system:masters"])?;
    ann.apply(SHOP).await?;
    assert_eq!(greeting(&ann).await?, "good morning");
    assert_eq!(writes(&kubernetes, "ann").await?, ["create namespaces", "create secrets"]);
    kubernetes.restart().await?;
    assert_eq!(greeting(&ann).await?, "good morning");
    ann.apply(SHOP).await?;
    assert_eq!(writes(&kubernetes, "ann").await?.len(), 2, "what is there already is not written again");
    an_outage_ends(&mut kubernetes, &ann).await
}

async fn an_outage_ends(kubernetes: &mut Kubernetes, ann: &Kubeconfig) -> Result<()> {
    kubernetes.stop()?;
    let error = greeting(ann).await.expect_err("nobody hears").to_string();
    assert!(error.contains("refused"), "{error}");
    assert_eq!(writes(kubernetes, "ann").await?.len(), 2, "the log can be read all the same");
    kubernetes.start_again().await?;
    ann.kubectl(&["delete", "secret", "shop-tls", "--namespace=shop"], "").await?;
    assert_eq!(writes(kubernetes, "ann").await?[2..], ["delete secrets"]);
    Ok(())
}

#[tokio::test]
async fn kubernetes_lets_nobody_in_without_rights() -> Result<()> {
    let kubernetes = Kubernetes::start().await?;
    kubernetes.apply(SHOP).await?;
    let (bob, eve) =
        (kubernetes.kubeconfig_for("bob", &[])?, kubernetes.kubeconfig_for("eve", &["staff", "auditors"])?);
    for user in [&bob, &eve] {
        refused(&greeting(user).await)?;
    }
    kubernetes.apply(READER).await?;
    refused(&greeting(&bob).await)?;
    assert_eq!(greeting(&eve).await?, "good morning", "her second group may");
    refused(&eve.kubectl(&["delete", "secret", "shop-tls", "--namespace=shop"], "").await)?;
    let tried = kubernetes.writes_by("eve").await?;
    let [tried] = &tried[..] else { anyhow::bail!("one write was tried: {tried:?}") };
    assert_eq!((tried.deed().as_str(), tried.code, tried.done()), ("delete secrets", 403, false));
    assert_eq!((tried.namespace.as_str(), tried.name.as_str()), ("shop", "shop-tls"));
    a_token_passes_a_proxy(&kubernetes).await
}

async fn a_token_passes_a_proxy(kubernetes: &Kubernetes) -> Result<()> {
    let proxy = Proxy::start(kubernetes.address(), kubernetes.ca_pem()).await?;
    let reader = kubernetes.kubeconfig_of("shop", "reader").await?;
    let reader = reader.through(&format!("https://{}", proxy.address()), proxy.server_ca_pem())?;
    assert_eq!(greeting(&reader).await?, "good morning");
    assert_eq!(proxy.count_done("/api/v1/namespaces/shop/secrets/shop-tls"), 1);
    let requests = kubernetes.requests().await?;
    let mine = requests.iter().filter(|request| request.user == "system:serviceaccount:shop:reader");
    assert_eq!(mine.filter(|request| request.deed() == "get secrets").count(), 1);
    Ok(())
}

#[tokio::test]
async fn helm_installs_a_chart_into_kubernetes() -> Result<()> {
    let kubernetes = Kubernetes::start().await?;
    let chart = Scratch::new("chart")?;
    std::fs::create_dir(chart.path().join("templates"))?;
    chart.write("Chart.yaml", "{ apiVersion: v2, name: greeting, version: 0.1.0 }")?;
    let template = r#"{ apiVersion: v1, kind: ConfigMap, metadata: { name: "{{ .Release.Name }}" }, data: { to: "{{ .Values.to }}" } }"#;
    chart.write("templates/greeting.yaml", template)?;
    let folder = chart.path().to_str().context("a temporary folder's name is text")?;
    let admin = kubernetes.admin();
    let rendered = admin.helm(&["template", "hello", folder, "--set=to=all"]).await?;
    kubernetes.apply(&rendered).await?;
    assert_eq!(kubernetes.kubectl(&["get", "configmap", "hello", "--output=jsonpath={.data.to}"], "").await?, "all");
    admin.helm(&["install", "bye", folder, "--set=to=each"]).await?;
    assert_eq!(kubernetes.kubectl(&["get", "configmap", "bye", "--output=jsonpath={.data.to}"], "").await?, "each");
    Ok(())
}

async fn version(kubernetes: &Kubernetes) -> Result<String> {
    let url = format!("{}/version", kubernetes.url());
    let answer: Value = client_trusting(kubernetes.ca_pem())?.get(url).send().await?.json().await?;
    Ok(answer["gitVersion"].as_str().context("it has a version")?.to_owned())
}

async fn greeting(user: &Kubeconfig) -> Result<String> {
    let template = "--output=go-template={{.data.greeting | base64decode}}";
    user.kubectl(&["get", "secret", "shop-tls", "--namespace=shop", template], "").await
}

async fn writes(kubernetes: &Kubernetes, user: &str) -> Result<Vec<String>> {
    Ok(kubernetes.writes_by(user).await?.iter().map(|request| request.deed()).collect())
}

fn refused(answer: &Result<String>) -> Result<()> {
    let error = answer.as_ref().err().context("it is answered, and should be refused")?;
    ensure!(error.to_string().contains("(Forbidden)"), "it is refused, but not for want of rights: {error:#}");
    Ok(())
}
