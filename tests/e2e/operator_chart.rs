//! Installed by its chart, with the rights that the chart gives and no others.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, ensure};
use claviger_tests::{Kubernetes, wait_until};
use serde_json::Value;

use crate::{
    ground::{Ground, SOON},
    operator::{NAME, certificate},
};

pub(crate) const NAMESPACE: &str = "claviger";
pub(crate) const ACCOUNT: &str = "system:serviceaccount:claviger:claviger";

/// What Helm renders of our chart for one claimed namespace.
pub(crate) async fn rendered(kubernetes: &Kubernetes, home: &str) -> Result<String> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/claviger");
    let chart = chart.to_str().context("a path in UTF-8")?;
    let set = ["--set", "namespaces={staging}"];
    kubernetes.admin().helm(&[&["template", "claviger", chart, "--namespace", home], set.as_slice()].concat()).await
}

/// A right: verb, group, resource.
type Right = (String, String, String);

/// Every right in the Roles and ClusterRoles that are bound to the account.
async fn granted(kubernetes: &Kubernetes) -> Result<BTreeSet<Right>> {
    let mut rights = BTreeSet::new();
    for kind in ["clusterroles", "roles"] {
        let selector = "--selector=app.kubernetes.io/name=claviger";
        let text = kubernetes.kubectl(&["get", kind, selector, "--all-namespaces", "-o", "json"], "").await?;
        let roles: Value = serde_json::from_str(&text)?;
        let own = |role: &&Value| {
            role["metadata"]["labels"]["claviger.dev/rights-of"].is_null()
                && role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"].is_null()
                && role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"].is_null()
        };
        for rule in roles["items"].as_array().into_iter().flatten().filter(own).flat_map(rules) {
            for group in words(&rule["apiGroups"]) {
                for resource in words(&rule["resources"]) {
                    let right = |verb: String| (verb, group.clone(), resource.clone());
                    rights.extend(words(&rule["verbs"]).into_iter().map(right));
                }
            }
        }
    }
    Ok(rights)
}

fn rules(role: &Value) -> Vec<Value> {
    role["rules"].as_array().cloned().unwrap_or_default()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_by_its_chart_it_issues_with_every_right_that_it_has_and_needs_no_other() -> Result<()> {
    let (kubernetes, mut ground) = tokio::try_join!(Kubernetes::start(), Ground::new())?;
    for namespace in [NAMESPACE, "staging"] {
        kubernetes.kubectl(&["create", "namespace", namespace], "").await?;
    }
    kubernetes.kubectl(&["apply", "--server-side", "--filename=-"], &rendered(&kubernetes, NAMESPACE).await?).await?;
    kubernetes.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "").await?;
    let account = kubernetes.kubeconfig_of(NAMESPACE, "claviger").await?;
    ground.site.in_cluster(account.path());
    let _daemon = ground.start().await?;

    kubernetes.apply(&[ground.staging().with_wrapping_key(), certificate("web", NAME)].join("---\n")).await?;
    let wait = ["wait", "--for=condition=Ready", "tlscertificate/web", "--namespace=staging", "--timeout=90s"];
    kubernetes.kubectl(&wait, "").await?;
    let told = async || {
        let events = kubernetes.kubectl(&["get", "events", "--all-namespaces", "-o", "name"], "").await;
        events.is_ok_and(|events| events.contains("web"))
    };
    wait_until(SOON, "an event of the certificate", told).await?;

    let requests = kubernetes.requests().await?;
    let own: Vec<_> = requests.iter().filter(|request| request.user == ACCOUNT).collect();
    let refused: BTreeSet<_> = own.iter().filter(|request| request.code == 403).map(|request| request.deed()).collect();
    ensure!(refused.is_empty(), "it needs what it has not: {refused:?}");
    let used: BTreeSet<Right> = own
        .iter()
        .filter(|request| !request.resource.is_empty())
        .map(|request| {
            let resource = match request.subresource.as_str() {
                "" => request.resource.clone(),
                sub => format!("{}/{sub}", request.resource),
            };
            (request.verb.clone(), request.group.clone(), resource)
        })
        .collect();
    let unused: Vec<_> = granted(&kubernetes).await?.into_iter().filter(|right| !used.contains(right)).collect();
    let seldom = |right: &&Right| !SELDOM.iter().any(|(verb, resource, _)| *verb == right.0 && *resource == right.2);
    let unused: Vec<_> = unused.iter().filter(seldom).collect();
    ensure!(unused.is_empty(), "it has what it does not use: {unused:?}");
    Ok(())
}

/// Rights that are needed and leave no trace here: verb, resource, why.
const SELDOM: &[(&str, &str, &str)] = &[
    ("create", "secrets", "an apply of what is not there yet needs it, and is told as a patch"),
    ("create", "tlscertificates", "for Ingresses and Gateways that ask"),
    ("patch", "tlscertificates", "for Ingresses and Gateways that ask"),
    ("get", "customhostnames", "after a conflict"),
    ("get", "environments", "after a conflict"),
    ("get", "kmskeys", "after a conflict"),
    ("get", "tlscertificates", "after a conflict"),
    ("get", "gateways", "for those that ask"),
    ("list", "gateways", "for those that ask"),
    ("watch", "gateways", "for those that ask"),
    ("get", "ingresses", "for those that ask"),
    ("list", "ingresses", "for those that ask"),
    ("watch", "ingresses", "for those that ask"),
    ("patch", "customhostnames/status", "there is no host name here"),
    ("patch", "events", "when the same is said again"),
];
