//! The peers themselves: each is really there, and does what the stories rely on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_tests::{
    ChallengeDns, Fault, Ministack, Moto, Pebble, PebbleOptions, PlainProxy, Proxy, RetryAfter, Rule, Status,
    client_trusting, endpoint, openssl, promtool, tools,
};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

#[tokio::test]
async fn pebble_names_the_proxy_in_its_directory() -> Result<()> {
    let (_pebble, proxy) = pebble_behind_proxy().await?;
    let directory: Value = client_trusting(proxy.server_ca_pem())?.get(proxy.directory()).send().await?.json().await?;
    let expected = format!("https://{}{}", proxy.address(), endpoint::NEW_ORDER);
    assert_eq!(directory["newOrder"], json!(expected), "{directory}");
    assert_eq!(proxy.count_done(endpoint::DIRECTORY), 1);
    Ok(())
}

#[tokio::test]
async fn pebble_issues_through_the_proxy_what_openssl_verifies() -> Result<()> {
    let responder = Http01::start().await?;
    // This client gives up after three refused nonces in a row.
    let options = PebbleOptions { rejected_nonces_percent: 0, ..PebbleOptions::default() };
    let pebble = Pebble::start(PebbleOptions { http01_port: Some(responder.port), ..options }).await?;
    let proxy = Proxy::in_front_of(&pebble).await?;
    let (chain, key) = issue(&proxy, responder, "shop.example").await?;
    openssl::verify(&chain, &pebble.issuing_root().await?, "shop.example")?;
    openssl::verify(&chain, &pebble.issuing_root().await?, "other.example").unwrap_err();
    openssl::verify(&chain, proxy.server_ca_pem(), "shop.example").unwrap_err();
    assert_eq!(openssl::public_key_of_certificate(&chain)?, openssl::public_key_of_private_key(&key)?);
    assert_eq!(proxy.count_done(endpoint::FINALIZE), 1);
    assert!(pebble.dns()?.questions("shop.example").await? > 0, "validation asked the challenge server");
    renewal_info_can_be_set(&pebble, &chain).await
}

async fn renewal_info_can_be_set(pebble: &Pebble, chain: &str) -> Result<()> {
    pebble.set_renewal_info(chain, "no JSON at all").await?;
    pebble.set_renewal_info("no certificate", "").await.expect_err("there is nothing to set it for");
    assert_eq!(pebble.certificate_status("1234").await?, None);
    Ok(())
}

#[tokio::test]
async fn a_restarted_pebble_has_another_root() -> Result<()> {
    let mut pebble = Pebble::start(PebbleOptions::default()).await?;
    let before = pebble.issuing_root().await?;
    pebble.restart().await?;
    assert_ne!(pebble.issuing_root().await?, before);
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_was_done_and_a_refused_request_was_not() -> Result<()> {
    let (_pebble, proxy) = pebble_behind_proxy().await?;
    let client = client_trusting(proxy.server_ca_pem())?;
    proxy.inject(Rule::on(endpoint::DIRECTORY, Fault::LoseAnswer).once());
    proxy.inject(Rule::on(endpoint::DIRECTORY, Fault::Refuse).once());
    for _ in 0..2 {
        client.get(proxy.directory()).send().await.unwrap_err();
    }
    client.get(proxy.directory()).send().await?.error_for_status()?;
    let told: Vec<_> = proxy.requests().iter().map(|logged| (logged.upstream, logged.answered)).collect();
    assert_eq!(told, [(Some(200), None), (None, None), (Some(200), Some(200))]);
    Ok(())
}

#[tokio::test]
async fn the_proxy_throttles_in_both_notations() -> Result<()> {
    let (_pebble, proxy) = pebble_behind_proxy().await?;
    let client = client_trusting(proxy.server_ca_pem())?;
    let limited = |after| Status::problem(429, "rateLimited", "too many new orders").retry_after(after);
    proxy.inject(Rule::on("/", limited(RetryAfter::Seconds(7)).into()).once());
    proxy.inject(Rule::on("/", limited(RetryAfter::DateIn(60)).into()).once());
    let seconds = client.get(proxy.directory()).send().await?;
    assert_eq!((seconds.status().as_u16(), &seconds.headers()["retry-after"]), (429, &"7".parse()?));
    let problem: Value = seconds.json().await?;
    assert_eq!(problem["type"], "urn:ietf:params:acme:error:rateLimited");
    let date = client.get(proxy.directory()).send().await?;
    assert!(date.headers()["retry-after"].to_str()?.ends_with(" GMT"), "{date:?}");
    Ok(())
}

#[tokio::test]
async fn the_proxy_falsifies_delays_and_breaks_off_answers() -> Result<()> {
    let (_pebble, proxy) = pebble_behind_proxy().await?;
    let client = client_trusting(proxy.server_ca_pem())?;
    let body = async || anyhow::Ok(client.get(proxy.directory()).send().await?.text().await?);
    proxy.inject(Rule::on("/", Fault::without("renewalInfo")).once());
    let directory: Value = serde_json::from_str(&body().await?)?;
    assert!(directory.get("renewalInfo").is_none() && directory.get("newOrder").is_some(), "{directory}");
    proxy.inject(Rule::on("/", Fault::ReplaceBody("{".into())).once());
    assert_eq!(body().await?, "{");
    proxy.inject(Rule::on("/", Fault::Truncate).once());
    body().await.unwrap_err();
    proxy.inject(Rule::on("/", Fault::Delay(Duration::from_millis(300))).once());
    tokio::time::timeout(Duration::from_millis(200), body()).await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn a_mute_proxy_answers_nobody_until_it_is_healed() -> Result<()> {
    let (_pebble, proxy) = pebble_behind_proxy().await?;
    let client = client_trusting(proxy.server_ca_pem())?;
    proxy.inject(Rule::on("/", Fault::Mute));
    tokio::time::timeout(Duration::from_millis(300), client.get(proxy.directory()).send()).await.unwrap_err();
    proxy.heal();
    client.get(proxy.directory()).send().await?.error_for_status()?;
    Ok(())
}

#[tokio::test]
async fn the_challenge_server_answers_with_what_it_was_given() -> Result<()> {
    let dns = ChallengeDns::start().await?;
    dns.add_txt("_acme-challenge.shop.example", "proof").await?;
    let answer = ask_txt(&dns, "_acme-challenge.shop.example").await?;
    assert!(answer.windows(6).any(|bytes| bytes == b"\x05proof"), "{answer:?}");
    dns.set_servfail("_acme-challenge.shop.example").await?;
    assert_eq!(ask_txt(&dns, "_acme-challenge.shop.example").await?[3] & 0x0f, 2, "SERVFAIL");
    assert_eq!(dns.questions("_acme-challenge.shop.example").await?, 2);
    Ok(())
}

#[tokio::test]
async fn moto_makes_a_key() -> Result<()> {
    let moto = Moto::start().await?;
    let made = moto.kms("eu-west-1", "CreateKey", &json!({ "Description": "smoke" })).await?;
    let arn = made["KeyMetadata"]["Arn"].as_str().context("a key has an ARN")?;
    assert!(arn.starts_with("arn:aws:kms:eu-west-1:"), "{made}");
    moto.kms("eu-west-1", "DescribeKey", &json!({ "KeyId": "no-such-key" })).await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn a_key_whose_answer_was_lost_was_made_all_the_same() -> Result<()> {
    let moto = Moto::start().await?;
    let proxy = PlainProxy::start(moto.address()).await?;
    let by_proxy = async |action| moto.kms_by(&proxy.endpoint(), "eu-west-1", action, &json!({})).await;
    proxy.inject(Rule::on_action("CreateKey", Fault::LoseAnswer).once());
    proxy.inject(Rule::on_action("CreateKey", Status::aws(400, "ThrottlingException", "Rate exceeded").into()).once());
    by_proxy("CreateKey").await.unwrap_err();
    assert!(by_proxy("CreateKey").await.unwrap_err().to_string().contains("ThrottlingException"));
    assert_eq!(by_proxy("ListKeys").await?["Keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(proxy.count_done_actions("CreateKey"), 1);
    Ok(())
}

#[tokio::test]
async fn ministack_lists_the_key_that_it_made() -> Result<()> {
    let ministack = Ministack::start().await?;
    let made = ministack.kms("eu-west-1", "CreateKey", &json!({})).await?;
    let listed = ministack.kms("eu-west-1", "ListKeys", &json!({})).await?;
    assert_eq!(listed["Keys"][0]["KeyId"], made["KeyMetadata"]["KeyId"], "{listed}");
    Ok(())
}

#[test]
fn promtool_tells_good_metrics_from_bad() -> Result<()> {
    let good =
        "# HELP claviger_orders_total Orders placed.\n# TYPE claviger_orders_total counter\nclaviger_orders_total 3\n";
    promtool::check_metrics(good)?;
    let unparsable = promtool::check_metrics("claviger_orders_total three\n").unwrap_err();
    assert!(unparsable.to_string().contains("error while linting"), "{unparsable}");
    promtool::check_metrics(&good.replace("_total", "")).expect_err("a counter whose name does not end in _total");
    Ok(())
}

#[test]
fn the_programs_under_test_are_built() -> Result<()> {
    tools::binary("clavigerd")?;
    tools::binary("clavigerctl")?;
    tools::binary("claviger-of-another-world").unwrap_err();
    Ok(())
}

#[test]
fn python_has_the_packages_of_the_oracles() -> Result<()> {
    let script = "import aws_encryption_sdk, boto3, cryptography, ministack, moto";
    let python = std::process::Command::new(tools::python()?).args(["-c", script]).output()?;
    ensure!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    Ok(())
}

async fn pebble_behind_proxy() -> Result<(Pebble, Proxy)> {
    let pebble = Pebble::start(PebbleOptions::default()).await?;
    let proxy = Proxy::in_front_of(&pebble).await?;
    Ok((pebble, proxy))
}

/// A chain and its key, by a client that is not ours.
async fn issue(proxy: &Proxy, responder: Http01, name: &str) -> Result<(String, String)> {
    let contact = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_root(proxy.server_ca())?;
    let (account, _) = builder.create(&contact, proxy.directory(), None).await?;
    let mut order = account.new_order(&NewOrder::new(&[Identifier::Dns(name.into())])).await?;
    prove(&mut order, responder).await?;
    ensure!(order.poll_ready(&RetryPolicy::default()).await? == OrderStatus::Ready, "{:?}", order.state());
    let key = order.finalize().await?;
    Ok((order.poll_certificate(&RetryPolicy::default()).await?, key))
}

async fn prove(order: &mut Order, responder: Http01) -> Result<()> {
    let mut authorizations = order.authorizations();
    let mut authorization = authorizations.next().await.context("one name, one authorization")??;
    ensure!(authorization.status == AuthorizationStatus::Pending, "a new account has no valid authorization");
    let mut challenge = authorization.challenge(ChallengeType::Http01).context("http-01 is on offer")?;
    responder.answer_always(challenge.key_authorization().as_str().to_owned());
    Ok(challenge.set_ready().await?)
}

/// Hears where http-01 knocks.
struct Http01 {
    listener: TcpListener,
    port: u16,
}

impl Http01 {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    fn answer_always(self, body: String) {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = self.listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
    }
}

/// A question for TXT records (RFC 1035 section 4), and the answer as it is.
async fn ask_txt(dns: &ChallengeDns, name: &str) -> Result<Vec<u8>> {
    let mut question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend(label.bytes());
    }
    question.extend(b"\0\0\x10\0\x01");
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    socket.send_to(&question, dns.address()).await?;
    let mut answer = vec![0; 512];
    let length = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut answer)).await??;
    answer.truncate(length);
    Ok(answer)
}
