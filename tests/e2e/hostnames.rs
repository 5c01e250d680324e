//! Customers' host names: from documents and from the product's backend, in one ledger.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_tests::{condition_of, documents, wait_until};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    customers::{SHOP, STEP, stage},
    stage::{SOON, Stage, TARGET, text},
};

#[tokio::test]
async fn a_name_is_created_and_goes_live_when_its_dns_points_at_us() -> Result<()> {
    let stage = stage().await?;
    stage.customer("customer", SHOP)?;
    let _daemon = stage.start().await?;
    let waiting = stage.pass_until_reason(SHOP, STEP, "AwaitingCustomerDns").await?;
    ensure!(
        waiting["turn"] == "Customer" && waiting["ready"] == false && waiting["origin"] == "Document",
        "{waiting:#}"
    );
    let traffic = &waiting["records"][0];
    ensure!(
        traffic["purpose"] == "Traffic" && traffic["verdict"] == "Add" && traffic["value"] == TARGET,
        "{waiting:#}"
    );
    assert_eq!(stage.changes(), (1, 0, 0));
    stage.point(SHOP);
    let live = stage.pass_until_reason(SHOP, STEP, "Active").await?;
    let edge = stage.at_the_edge(SHOP).context("it is at the edge")?;
    ensure!(live["ready"] == true && live["turn"] == "Nobody", "{live:#}");
    ensure!(live["edge"]["id"] == edge.id.as_str() && live["edge"]["origin"] == "Created", "{live:#}");
    ensure!(live["edge"]["hostname"] == "active" && live["edge"]["certificate"] == "active", "{live:#}");
    ensure!(live["edge"]["notAfter"].is_string(), "{live:#}");
    ensure!(live["records"][0]["verdict"] == "Ok" && live["records"][0]["checkedAt"].is_string(), "{live:#}");
    assert_eq!(stage.changes(), (1, 0, 0), "nothing was written that was equal");
    stage.site.wait_ready("hostname", "production", "customer").await.map(drop)
}

#[tokio::test]
async fn the_backend_asks_for_a_name_when_a_customer_types_it_in() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    let body = json!({ "tenant": "customer-gmbh", "reference": "4711" });
    let (status, made) = stage.ask("PUT", &format!("hostnames/{SHOP}"), Some(body.clone())).await?;
    assert_eq!(status, StatusCode::CREATED);
    ensure!(made["records"][0]["value"] == TARGET, "what to tell the customer is known at once: {made:#}");
    stage.point(SHOP);
    let live = stage.pass_until_reason(SHOP, STEP, "Active").await?;
    ensure!(live["origin"] == "Api" && live["tenant"] == "customer-gmbh" && live["reference"] == "4711", "{live:#}");
    let (status, again) = stage.ask("PUT", &format!("hostnames/{SHOP}"), Some(body)).await?;
    assert_eq!((status, &again["reason"]), (StatusCode::OK, &json!("Active")), "asking twice is harmless");
    assert_eq!(stage.changes(), (1, 0, 0));
    Ok(())
}

#[tokio::test]
async fn many_who_ask_for_one_name_at_once_get_one() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    let all = futures_of(&stage, 12).await?;
    assert_eq!(all.iter().filter(|status| **status == StatusCode::CREATED).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|status| **status == StatusCode::OK).count(), 11, "{all:?}");
    stage.pass_until_reason(SHOP, STEP, "AwaitingCustomerDns").await?;
    assert_eq!(stage.changes(), (1, 0, 0));
    Ok(())
}

async fn futures_of(stage: &Stage, count: usize) -> Result<Vec<StatusCode>> {
    let client = claviger_tests::socket_client(&stage.site.socket())?;
    let ask = || {
        let url = format!("http://claviger/v1/environments/production/hostnames/{SHOP}");
        let request = client.put(url).json(&json!({ "tenant": "customer" }));
        tokio::spawn(async move { request.send().await.map(|answer| answer.status()) })
    };
    let asked: Vec<_> = (0..count).map(|_| ask()).collect();
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await??);
    }
    Ok(answers)
}

#[tokio::test]
async fn documents_and_the_backend_share_one_ledger() -> Result<()> {
    let stage = stage().await?;
    stage.customer("paper", "shop.paper.example")?;
    let daemon = stage.start().await?;
    stage.put("shop.wire.example", "wire").await?;
    stage.put("www.wire.example", "wire").await?;
    both_are_listed(&stage).await?;
    daemon.stop().await?;
    let _daemon = stage.start().await?;
    both_are_listed(&stage).await?;
    let wire = stage.ask("GET", "hostnames?tenant=wire&limit=1", None).await?.1;
    ensure!(wire["items"][0]["hostname"] == "shop.wire.example" && wire["next"] == "shop.wire.example", "{wire:#}");
    let rest = stage.ask("GET", "hostnames?tenant=wire&after=shop.wire.example", None).await?.1;
    ensure!(rest["items"][0]["hostname"] == "www.wire.example" && rest["next"].is_null(), "{rest:#}");
    Ok(())
}

async fn both_are_listed(stage: &Stage) -> Result<()> {
    let mut last = Value::Null;
    let expected =
        json!([["shop.paper.example", "Document"], ["shop.wire.example", "Api"], ["www.wire.example", "Api"]]);
    let listed = wait_until(SOON, "all names to be listed", async || {
        last = stage.ask("GET", "hostnames", None).await.unwrap_or_default().1;
        let rows = last["items"].as_array().cloned().unwrap_or_default();
        let rows: Vec<Value> = rows.iter().map(|row| json!([row["hostname"], row["origin"]])).collect();
        json!(rows) == expected
    });
    listed.await.with_context(|| format!("{last:#}"))
}

#[tokio::test]
async fn a_second_origin_or_tenant_is_told_who_has_the_name() -> Result<()> {
    let stage = stage().await?;
    stage.customer("paper", "shop.paper.example")?;
    let _daemon = stage.start().await?;
    stage.wait_settled().await?;
    stage.put("shop.wire.example", "wire").await?;
    // The backend asks for a document's name, and for its own name on behalf of another tenant.
    for (hostname, tenant, holder) in [("shop.paper.example", "wire", "paper"), ("shop.wire.example", "thief", "wire")]
    {
        let (status, error) = stage.put(hostname, tenant).await?;
        assert_eq!(status, StatusCode::CONFLICT, "{error:#}");
        ensure!(error["kind"] == "Error" && error["fix"].is_string(), "{error:#}");
        ensure!(error["message"].to_string().contains(holder), "`{holder}` is not in {error:#}");
    }
    // A document asks for the backend's name, and another document for a document's name.
    stage.customer("late", "shop.wire.example")?;
    let twin = documents::hostname("production", "twin", "shop.paper.example", "twin");
    stage.site.document("twin.yaml", &twin)?;
    for (name, holder) in [("late", "wire"), ("twin", "paper")] {
        let refused = stage.site.wait_attention("hostname", "production", name, "HostnameClaimed").await?;
        let attention = &refused["status"]["attention"];
        ensure!(attention["turn"] == "Operator" && attention["message"].to_string().contains(holder), "{refused:#}");
    }
    let kept = stage.shown("shop.wire.example").await;
    ensure!(kept["tenant"] == "wire" && kept["origin"] == "Api", "{kept:#}");
    assert_eq!(stage.shown("shop.paper.example").await["tenant"], "paper");
    Ok(())
}

#[tokio::test]
async fn a_removed_name_is_released_and_cloudflare_is_not_touched() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.serving("paper", "shop.paper.example").await?;
    stage.point("shop.wire.example");
    stage.put("shop.wire.example", "wire").await?;
    stage.pass_until_reason("shop.wire.example", STEP, "Active").await?;
    assert_eq!(
        stage.delete("shop.paper.example").await?,
        StatusCode::CONFLICT,
        "a document's name goes with its document"
    );
    for _ in 0..2 {
        assert_eq!(stage.delete("shop.wire.example").await?, StatusCode::NO_CONTENT, "twice is once");
    }
    stage.site.remove_document("paper.yaml")?;
    for name in ["paper", "shop.wire.example"] {
        let released = stage.site.wait_condition("hostname", "production", name, "Ready", "Unknown").await?;
        ensure!(condition_of(&released, "Ready").is_some_and(|ready| ready["reason"] == "Released"), "{released:#}");
    }
    assert_eq!(stage.ask("GET", "hostnames/shop.wire.example", None).await?.0, StatusCode::NOT_FOUND);
    stage.pass(Duration::from_secs(86_400))?;
    stage.wait_settled().await?;
    for hostname in ["shop.paper.example", "shop.wire.example"] {
        let left = stage.at_the_edge(hostname).context("it is left where it is")?;
        assert_eq!(left.status, "active");
    }
    assert_eq!(stage.changes(), (2, 0, 0));
    Ok(())
}

#[tokio::test]
async fn a_released_name_that_is_asked_for_again_is_the_one_at_the_edge() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.point(SHOP);
    stage.put(SHOP, "customer").await?;
    let live = stage.pass_until_reason(SHOP, STEP, "Active").await?;
    stage.delete(SHOP).await?;
    assert_eq!(stage.put(SHOP, "another").await?.0, StatusCode::CREATED, "whoever gave it up has no claim");
    let again = stage.pass_until_reason(SHOP, STEP, "Active").await?;
    assert_eq!(again["edge"]["id"], live["edge"]["id"]);
    assert_eq!(stage.changes(), (1, 0, 0));
    Ok(())
}

#[tokio::test]
async fn the_backend_follows_changes_by_a_cursor_also_over_a_restart() -> Result<()> {
    let stage = stage().await?;
    let daemon = stage.start().await?;
    stage.put(SHOP, "customer").await?;
    stage.pass_until_reason(SHOP, STEP, "AwaitingCustomerDns").await?;
    let (first, cursor) = changes(&stage, 0).await?;
    assert_eq!(first.last().map(String::as_str), Some("AwaitingCustomerDns false"), "{first:?}");
    daemon.stop().await?;
    let _daemon = stage.start().await?;
    stage.point(SHOP);
    stage.pass_until_reason(SHOP, STEP, "Active").await?;
    let mut second = Vec::new();
    let told = async || {
        second = changes(&stage, cursor).await.unwrap_or_default().0;
        second.last().is_some_and(|last| last == "Active true")
    };
    wait_until(SOON, "the change to be told", told).await?;
    let (all, _) = changes(&stage, 0).await?;
    assert_eq!(all, [first, second].concat(), "nothing is told twice, nothing is left out");
    Ok(())
}

async fn changes(stage: &Stage, cursor: u64) -> Result<(Vec<String>, u64)> {
    let (status, page) = stage.ask("GET", &format!("changes?cursor={cursor}"), None).await?;
    ensure!(status.is_success(), "{page:#}");
    let items = page["items"].as_array().context("a page has items")?;
    let last = items.last().and_then(|item| item["cursor"].as_u64()).unwrap_or(cursor);
    ensure!(items.iter().all(|item| item["hostname"] == SHOP && item["at"].is_string()), "{page:#}");
    let line = |item: &Value| format!("{} {}", item["reason"].as_str().unwrap_or_default(), item["ready"]);
    Ok((items.iter().map(line).collect(), last))
}

#[tokio::test]
async fn the_command_line_adds_checks_lists_and_removes() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    let run = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let output = stage.site.ctl(&[&["hostname"], arguments].concat())?;
        Ok((output.status.code(), text(&output)))
    };
    let (code, said) = run(&["add", SHOP, "--tenant", "customer-gmbh", "-e", "production"])?;
    ensure!(code == Some(0) && said.contains(SHOP) && said.contains(TARGET), "{said}");
    stage.pass_until_reason(SHOP, STEP, "AwaitingCustomerDns").await?;
    let (code, said) = run(&["records", SHOP])?;
    ensure!(code == Some(0) && said.contains("CNAME") && said.contains(TARGET) && said.contains("add"), "{said}");
    let (code, said) = run(&["records", SHOP, "-o", "zone"])?;
    ensure!(
        code == Some(0) && said.contains(&format!("{SHOP}.")) && said.contains(&format!("CNAME {TARGET}.")),
        "{said}"
    );
    let (code, said) = run(&["check", SHOP, "--exit-code"])?;
    ensure!(code == Some(6) && said.contains("AwaitingCustomerDns") && said.contains("Customer"), "{said}");
    stage.point(SHOP);
    stage.pass_until_reason(SHOP, STEP, "Active").await?;
    let (code, said) = run(&["check", SHOP, "--exit-code"])?;
    ensure!(code == Some(0) && said.contains("serves in production"), "{said}");
    let (code, said) = run(&["list", "-e", "production", "--tenant", "customer-gmbh"])?;
    ensure!(code == Some(0) && said.contains(SHOP) && said.contains("customer-gmbh"), "{said}");
    let (code, said) = run(&["add", SHOP, "--tenant", "thief", "-e", "production"])?;
    ensure!(code == Some(1) && said.contains("customer-gmbh"), "{said}");
    let (code, said) = run(&["remove", SHOP])?;
    ensure!(code == Some(0), "{said}");
    let (code, said) = run(&["records", SHOP])?;
    ensure!(code == Some(3), "{said}");
    assert_eq!(stage.changes(), (1, 0, 0));
    Ok(())
}
