//! The command line with a kubeconfig: the same words as over the socket, and a port-forward where only the daemon can help.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use claviger_tests::{Kubeconfig, Kubelet, condition_of, documents, free_port, tools, wait_until};
use serde_json::{Value, json};

use crate::{
    ground::{ACCOUNT, REGION, SOON},
    operator::{Cluster, NAME, certificate, quiet},
    operator_chart::rendered,
};

/// What a program wrote, on both streams.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn data(output: &Output) -> Result<String> {
    ensure!(output.status.success(), "{}", said(output));
    Ok(String::from_utf8(output.stdout.clone())?)
}

/// Words without ages, and without the instants of looks that change nothing and hence are not stored.
fn ageless(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let unit = |word: Option<&&str>| {
        word.is_some_and(|word| ["s", "min", "h", "day", "days"].contains(&word.trim_end_matches(',')))
    };
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let number = word.bytes().all(|byte| byte.is_ascii_digit());
        match *word {
            _ if number && unit(words.get(at + 1)) => at += 1,
            "in" | "ago" | "now" | "ago," | "now," => {}
            word => kept.push(word),
        }
        at += 1;
    }
    kept.join(" ")
}

/// A value without what is seen anew all the time.
fn lasting(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.remove("observedAt");
            fields.remove("checkedAt");
            fields.values_mut().for_each(|field| *field = lasting(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = lasting(item.take())),
        _ => {}
    }
    value
}

/// `web` is ready; `elsewhere` can never be, and says why.
async fn fleet(cluster: &Cluster) -> Result<()> {
    cluster.apply(&[certificate("web", NAME), certificate("elsewhere", "www.elsewhere.example")]).await?;
    cluster.wait_ready("web").await?;
    let told = async || {
        let elsewhere = cluster.get("tlscertificate", "staging", "elsewhere").await.unwrap_or_default();
        elsewhere["status"]["attention"]["reason"].is_string()
    };
    wait_until(SOON, "the certificate of another zone to be refused", told).await?;
    quiet(cluster).await
}

const SHOWN: &[&[&str]] = &[
    &["get", "certificates", "-n", "staging"],
    &["get", "certificates", "-n", "staging", "-o", "wide"],
    &["get", "certificates", "-n", "staging", "-o", "name"],
    &["get", "certificate", "web", "-n", "staging"],
    &["get", "tlscertificate/staging/web"],
    &["get", "environments", "-o", "wide"],
    &["get", "hostnames", "-n", "staging"],
    &["get", "keys", "-n", "staging"],
    &["explain", "certificate/web", "-n", "staging"],
    &["explain", "certificate/elsewhere", "-n", "staging"],
    &["explain", "key/wrapping", "-n", "staging"],
    &["explain", "environment/staging"],
    &["keys", "-n", "staging"],
];

const AS_DATA: &[&[&str]] = &[
    &["get", "certificates", "-n", "staging"],
    &["get", "keys", "-n", "staging"],
    &["get", "environment/staging"],
    &["explain", "certificate/elsewhere", "-n", "staging"],
    &["explain", "certificate/web", "-n", "staging"],
    &["explain", "environment/staging"],
    &["keys", "-n", "staging"],
];

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_prints_the_same_over_the_socket_and_with_a_kubeconfig() -> Result<()> {
    let cluster = Cluster::new().await?;
    let _daemon = cluster.ground.start().await?;
    fleet(&cluster).await?;
    let (site, admin) = (&cluster.ground.site, cluster.kubernetes.admin());
    for command in SHOWN {
        let (socket, kubeconfig) = (data(&site.ctl(command)?)?, data(&admin.ctl(command)?)?);
        assert_eq!(ageless(&kubeconfig), ageless(&socket), "{command:?}\n{kubeconfig}\n{socket}");
    }
    for command in AS_DATA {
        let command = [command, &["-o", "json"][..]].concat();
        let read = |output: Output| -> Result<Value> { Ok(lasting(serde_json::from_str(&data(&output)?)?)) };
        let (socket, kubeconfig) = (read(site.ctl(&command)?)?, read(admin.ctl(&command)?)?);
        assert_eq!(kubeconfig, socket, "{command:?}");
    }
    is_told_at_a_glance(&cluster)?;
    is_waited_for_by_watch(&cluster).await?;
    a_login_that_fails_is_told_without_its_secrets(admin)?;
    what_is_not_there_is_told(admin)
}

fn is_told_at_a_glance(cluster: &Cluster) -> Result<()> {
    let (site, admin) = (&cluster.ground.site, cluster.kubernetes.admin());
    let socket = site.ctl_json(&["status"])?;
    let stored: Value = serde_json::from_str(&data(&admin.ctl(&["status", "-A", "-o", "json"])?)?)?;
    assert_eq!(stored["totals"], socket["totals"]);
    assert_eq!(stored["attention"], socket["attention"]);
    assert_eq!(
        (&stored["complete"], &stored["sources"]),
        (&json!(false), &json!([])),
        "what is unknown is not claimed"
    );
    ensure!(stored["documents"].get("accepted").is_none(), "{stored:#}");
    let screen = data(&admin.ctl(&["status", "-A"])?)?;
    ensure!(
        screen.contains("as far as stored objects tell") && screen.contains("TlsCertificate/staging/elsewhere"),
        "{screen}"
    );
    let unhealthy = admin.ctl(&["status", "-A", "--exit-code"])?;
    ensure!(unhealthy.status.code() == Some(6), "{}", said(&unhealthy));
    // The context names the namespace `default`, where nothing is.
    ensure!(said(&admin.ctl(&["get", "certificates"])?).contains("no TlsCertificate found"), "as with kubectl");
    ensure!(
        data(&admin.ctl(&["get", "certificates", "-A", "-o", "name"])?)?.contains("staging/web"),
        "unless all are meant"
    );
    Ok(())
}

async fn is_waited_for_by_watch(cluster: &Cluster) -> Result<()> {
    let admin = cluster.kubernetes.admin();
    let late = admin.ctl(&["wait", "--for", "ready", "certificate/elsewhere", "-n", "staging", "--timeout", "1s"])?;
    ensure!(late.status.code() == Some(7), "{}", said(&late));
    cluster.kubernetes.apply(&certificate("late", "late.staging.example.com")).await?;
    let before = cluster.kubernetes.requests().await?.len();
    let waited = admin.ctl(&["wait", "--for", "ready", "certificate/late", "-n", "staging", "--timeout", "90s"])?;
    ensure!(
        waited.status.success() && said(&waited).contains("TlsCertificate/staging/late is ready"),
        "{}",
        said(&waited)
    );
    let requests = cluster.kubernetes.requests().await?;
    let asked =
        requests[before..].iter().filter(|request| request.user == "admin" && request.resource == "tlscertificates");
    let (watches, reads): (Vec<_>, Vec<_>) = asked.partition(|request| request.verb == "watch");
    ensure!(!watches.is_empty() && reads.len() <= 12, "{} watches, {} reads", watches.len(), reads.len());
    Ok(())
}

fn what_is_not_there_is_told(admin: &Kubeconfig) -> Result<()> {
    let missing = admin.ctl(&["get", "certificate/wep", "-n", "staging"])?;
    ensure!(
        missing.status.code() == Some(3) && said(&missing).contains("did you mean `staging/web`?"),
        "{}",
        said(&missing)
    );
    let missing = admin.ctl(&["explain", "key/nothing", "-n", "staging"])?;
    ensure!(missing.status.code() == Some(3), "{}", said(&missing));
    let context = admin.ctl(&["--context", "elsewhere", "status"])?;
    ensure!(context.status.code() == Some(2) && said(&context).contains("accepted: `test`"), "{}", said(&context));
    let ctl = || -> Result<Command> {
        let mut command = Command::new(tools::binary("clavigerctl")?);
        command.env_remove("CLAVIGER_SOCKET").env("NO_COLOR", "1").current_dir("/").stdin(Stdio::null());
        Ok(command)
    };
    let neither = ctl()?.arg("status").env("KUBECONFIG", admin.path()).output()?;
    let words = said(&neither);
    ensure!(
        neither.status.code() == Some(8) && words.contains("./admin.sock") && words.contains("--cluster"),
        "{words}"
    );
    let by_variable =
        ctl()?.args(["--cluster", "get", "certificates", "-A"]).env("KUBECONFIG", admin.path()).output()?;
    ensure!(by_variable.status.success(), "{}", said(&by_variable));
    let both = ctl()?.args(["--socket", "./admin.sock", "--cluster", "status"]).output()?;
    ensure!(both.status.code() == Some(2), "{}", said(&both));
    let gone = fs::read_to_string(admin.path())?.replace("https://127.0.0.1:", "https://127.0.0.1:1");
    let path = admin.path().with_file_name("gone");
    fs::write(&path, gone.replace("127.0.0.1:1", "127.0.0.1:9/"))?;
    let gone = ctl()?.arg("--kubeconfig").arg(&path).arg("status").output()?;
    ensure!(gone.status.code() == Some(8) && said(&gone).contains("cannot ask the API server"), "{}", said(&gone));
    Ok(())
}

/// What a kubeconfig's login command prints, is called with or finds in its environment may be a token.
fn a_login_that_fails_is_told_without_its_secrets(admin: &Kubeconfig) -> Result<()> {
    let path = admin.path().with_file_name("login");
    for (script, words) in [
        ("echo token-in-output; echo the session is over >&2; exit 3", "the session is over"),
        ("echo '{ token-in-output: ['", "does not print an ExecCredential"),
    ] {
        let mut config: Value = serde_json::from_str(&fs::read_to_string(admin.path())?)?;
        config["users"][0]["user"] = json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script, "token-in-argument"],
            "env": [{ "name": "LOGIN", "value": "token-in-environment" }], "interactiveMode": "Never",
        } });
        fs::write(&path, config.to_string())?;
        let mut command = Command::new(tools::binary("clavigerctl")?);
        let failed = command.arg("--kubeconfig").arg(&path).arg("status").env("NO_COLOR", "1").output()?;
        ensure!(failed.status.code() == Some(4) && said(&failed).contains(words), "{}", said(&failed));
        ensure!(!said(&failed).contains("token-in"), "{}", said(&failed));
    }
    Ok(())
}

const NODE: &str = "node";
/// Where the daemon's Lease lies: the namespace of its kubeconfig.
const HOME: &str = "default";

/// A node, and on it the pod that the Lease names, whose port `admin` is the daemon's.
async fn in_a_pod(cluster: &Cluster, port: u16) -> Result<(Kubelet, String)> {
    let kubelet = Kubelet::start(&cluster.kubernetes, NODE).await?;
    let mut holder = String::new();
    let leads = async || {
        let lease = cluster.get("lease", HOME, "claviger").await.unwrap_or_default();
        lease["spec"]["holderIdentity"].as_str().is_some_and(|holder| !holder.is_empty())
    };
    wait_until(SOON, "a leader", leads).await?;
    let lease = cluster.get("lease", HOME, "claviger").await?;
    holder.push_str(lease["spec"]["holderIdentity"].as_str().context("a holder")?);
    let (pod, _) = holder.rsplit_once('-').context("an identity is a pod and a process")?;
    Kubelet::run(&cluster.kubernetes, NODE, HOME, pod, ("admin", port)).await?;
    Ok((kubelet, pod.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_daemon_can_do_goes_by_a_port_forward_and_the_journal_says_so() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    let port = cluster.ground.site.hear_port_forwards()?;
    // Nobody is there: no host name is made anywhere.
    let nobody = format!("  cloudflare: \"http://127.0.0.1:{}\"", free_port()?);
    cluster.ground.site.setting(nobody); // behind the other endpoints
    cluster.ground.site.secret("cf-token", "token")?;
    cluster.namespace("production").await?;
    let daemon = cluster.ground.start().await?;
    cluster.apply(&[certificate("web", NAME), production()]).await?;
    cluster.wait_ready("web").await?;
    let (kubelet, pod) = in_a_pod(&cluster, port).await?;
    let person = cluster.kubernetes.kubeconfig_for("itops@example.com", &[])?;
    rights_that_are_missing_are_named(&cluster, &person).await?;

    let ctl = |arguments: &[&str]| person.ctl(&[&["--daemon-namespace", HOME], arguments].concat());
    let before = cluster.secret("web-tls").await?["tls.crt"].clone();
    let renewed =
        ctl(&["renew", "certificate/web", "-n", "staging", "--reason", "key seen in a log", "--ticket", "OPS-7"])?;
    ensure!(renewed.status.success() && said(&renewed).contains("claviger is at it"), "{}", said(&renewed));
    let another = async || cluster.secret("web-tls").await.is_ok_and(|now| now["tls.crt"] != before);
    wait_until(SOON, "another certificate", another).await?;
    let line = journal(&cluster, "plan.execute")?;
    assert_eq!(line["actor"], json!({ "kind": "person", "id": "unknown", "via": "port-forward" }), "{line:#}");
    ensure!(line.to_string().contains("OPS-7"), "{line:#}");
    let path = format!("/portForward/{HOME}/{pod}");
    ensure!(kubelet.asked().iter().all(|asked| asked.starts_with(&path)), "{:?}", kubelet.asked());

    a_host_name_is_added(&cluster, &ctl)?;
    let version = data(&ctl(&["version"])?)?;
    ensure!(version.lines().count() == 2, "{version}");
    let whole: Value = serde_json::from_str(&data(&ctl(&["--port-forward", "status", "-A", "-o", "json"])?)?)?;
    ensure!(
        whole["sources"].as_array().is_some_and(|sources| !sources.is_empty()),
        "the daemon knows its sources: {whole:#}"
    );
    let unknown = ctl(&["apply", "0123", "--reason", "drill"])?;
    ensure!(unknown.status.code() == Some(3) && said(&unknown).contains("there is no plan"), "{}", said(&unknown));

    daemon.stop().await?;
    let dead = ctl(&["version"])?;
    ensure!(dead.status.code() == Some(8) && !said(&dead).contains("panicked"), "{}", said(&dead));
    Ok(())
}

/// An environment with an edge, so that host names have a place.
fn production() -> String {
    documents::environment("production", ACCOUNT, REGION)
        .production()
        .credentials("aws-credentials", "production")
        .edge("023e105f4ecef8ad9ca31a8372d0c353", "cf-token", "saas.example.com", "")
        .with_wrapping_key()
}

fn a_host_name_is_added(cluster: &Cluster, ctl: &impl Fn(&[&str]) -> Result<Output>) -> Result<()> {
    let added = ctl(&["hostname", "add", "shop.customer.example", "--tenant", "customer-gmbh", "-e", "production"])?;
    ensure!(added.status.success() && said(&added).contains("saas.example.com"), "{}", said(&added));
    let line = journal(cluster, "hostname.put")?;
    assert_eq!(line["actor"]["via"], "port-forward", "{line:#}");
    // It is no object: the daemon is asked.
    let records = ctl(&["hostname", "records", "shop.customer.example", "-e", "production", "-o", "zone"])?;
    ensure!(data(&records)?.contains("shop.customer.example. IN CNAME saas.example.com."), "{}", said(&records));
    let listed = ctl(&["hostname", "list", "-e", "production", "-o", "name"])?;
    ensure!(listed.stdout.is_empty() && said(&listed).contains("--port-forward"), "{}", said(&listed));
    let listed = data(&ctl(&["--port-forward", "hostname", "list", "-e", "production", "-o", "name"])?)?;
    assert_eq!(listed, "shop.customer.example\n");
    let removed = ctl(&["hostname", "remove", "shop.customer.example", "-e", "production"])?;
    ensure!(removed.status.success(), "{}", said(&removed));
    Ok(())
}

fn journal(cluster: &Cluster, verb: &str) -> Result<Value> {
    let text = fs::read_to_string(cluster.ground.site.journal())?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.rev().find(|line| line["verb"] == verb).with_context(|| format!("no line `{verb}` in:\n{text}"))
}

/// Each right is asked for by name until the chart's roles give them all.
async fn rights_that_are_missing_are_named(cluster: &Cluster, person: &Kubeconfig) -> Result<()> {
    let renew = ["--daemon-namespace", HOME, "renew", "certificate/web", "-n", "staging", "--dry-run"];
    let denied = |words: &str, arguments: &[&str]| -> Result<()> {
        let output = person.ctl(arguments)?;
        ensure!(output.status.code() == Some(5), "{}", said(&output));
        ensure!(said(&output).contains(words), "`{words}` is not in:\n{}", said(&output));
        Ok(())
    };
    denied(
        "the right to list tlscertificates.claviger.dev in the namespace `staging`",
        &["get", "certificates", "-n", "staging"],
    )?;
    denied(
        "the right to get kmskeys.claviger.dev in the namespace `staging`",
        &["explain", "key/wrapping", "-n", "staging"],
    )?;
    denied("the right to list customhostnames.claviger.dev in the whole cluster", &["status", "-A"])?;
    denied("the right to get leases.coordination.k8s.io in the namespace `default`", &renew)?;
    let bind = async |role: &str, rules: &str| -> Result<()> {
        let subject = json!([{ "kind": "User", "name": "itops@example.com", "apiGroup": "rbac.authorization.k8s.io" }]);
        let text = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: {role}, namespace: {HOME} }}\nrules: [{rules}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{ name: {role}, namespace: {HOME} }}\n\
             roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: {role} }}\nsubjects: {subject}\n"
        );
        cluster.kubernetes.apply(&text).await.map(drop)
    };
    bind("leases", "{ apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get] }").await?;
    denied("the right to get pods in the namespace `default`", &renew)?;
    bind("pods", "{ apiGroups: [\"\"], resources: [pods], verbs: [get] }").await?;
    denied("the right to create and get pods/portforward in the namespace `default`", &renew)?;
    cluster.kubernetes.kubectl(&["delete", "rolebinding", "leases", "pods", "--namespace", HOME], "").await?;

    let chart = rendered(&cluster.kubernetes, HOME).await?;
    cluster
        .kubernetes
        .kubectl(&["apply", "--server-side", "--selector=claviger.dev/rights-of=people", "--filename=-"], &chart)
        .await?;
    let user = "--user=itops@example.com";
    cluster
        .kubernetes
        .kubectl(&["create", "clusterrolebinding", "itops", "--clusterrole=claviger-operate", user], "")
        .await?;
    cluster
        .kubernetes
        .kubectl(&["create", "rolebinding", "itops", "--role=claviger-operate", "--namespace", HOME, user], "")
        .await?;
    let planned = person.ctl(&renew)?;
    ensure!(planned.status.success() && said(&planned).contains("nothing has been done"), "{}", said(&planned));
    let web: Value = serde_json::from_str(&data(&person.ctl(&["get", "certificate/staging/web", "-o", "json"])?)?)?;
    ensure!(condition_of(&web, "Ready").is_some_and(|ready| ready["status"] == "True"), "{web:#}");
    Ok(())
}
