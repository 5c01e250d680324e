//! Orders: what is replaced, proven, handed in and taken.

use super::*;
#[tokio::test]
async fn a_replacement_that_is_not_wanted_costs_nothing_but_the_favour() {
    let world = World::new().await;
    let refusals = [
        problem(409, "alreadyReplaced", "replaced before"),
        problem(403, "unauthorized", "not yours"),
        problem(404, "malformed", "unknown"),
        problem(400, "malformed", "no shared name"),
    ];
    for refusal in refusals {
        world.script.on("/new", [refusal, world.made("pending")]);
        let asked = world.script.heard("/new").len();
        let order = world.open(Some("aki.serial")).await.unwrap();
        assert!(!order.replaces);
        let heard = world.script.heard("/new").split_off(asked);
        let sent: Vec<Option<&str>> = heard.iter().map(|heard| heard.payload["replaces"].as_str()).collect();
        assert_eq!(sent, [Some("aki.serial"), None]);
    }
    world.script.on("/new", [problem(429, "rateLimited", "too many new orders")]);
    world.open(Some("aki.serial")).await.unwrap_err();
    assert_eq!(world.script.heard("/new").len(), 9, "another refusal has nothing to do with it");
}

#[tokio::test]
async fn an_order_is_not_lost_when_the_ca_does_not_repeat_what_it_replaces() {
    let world = World::new().await;
    world.script.on("/new", [world.made("ready")]);
    let order = world.open(Some("aki.serial")).await.unwrap();
    assert_eq!((order.url, order.stage, order.replaces), (world.url("order"), Stage::Ready, false));
    assert_eq!(world.script.heard("/new").len(), 1, "no second order");

    let mut taken = world.order("pending");
    taken["replaces"] = json!("aki.serial");
    world.script.on("/new", [say(201, taken).with("location", world.url("order"))]);
    assert!(world.open(Some("aki.serial")).await.unwrap().replaces);
}

#[tokio::test]
async fn nothing_is_replaced_at_a_ca_without_renewal_information() {
    let world = World::new().await;
    let mut plain = world.script.directory();
    plain["renewalInfo"] = Value::Null;
    world.script.on("/dir", [say(200, plain)]);
    world.hands.0.fetch_add(Span::days(2).0, Ordering::SeqCst);
    world.script.on("/new", [world.made("pending")]);
    assert!(!world.open(Some("aki.serial")).await.unwrap().replaces);
    assert_eq!(world.script.heard("/new")[0].payload["replaces"], Value::Null);
    let key = || world.open_key();
    let with = Session { at: &world.at, account: &world.account, key: &key };
    assert_eq!(world.acme.window(with, "aki.serial").await.unwrap(), None);
}

#[tokio::test]
async fn an_order_that_the_ca_does_not_know_is_gone() {
    let world = World::new().await;
    let mut expired = world.order("pending");
    expired["expires"] = json!("2026-11-24T07:59:59Z");
    for line in [problem(404, "malformed", "no order"), problem(400, "malformed", "no order"), say(200, expired)] {
        world.script.on("/order", [line]);
        assert_eq!(world.look().await.unwrap().stage, Stage::Gone);
    }
    world.script.on("/order", [problem(404, "malformed", "no order")]);
    assert_eq!(world.answer().await.unwrap_err().reason, Reason::OrderLost);
    assert_eq!(world.certificate().await.unwrap_err().reason, Reason::OrderLost);
    assert_eq!(world.finalize().await.unwrap().stage, Stage::Gone);
}

#[tokio::test]
async fn challenges_that_wait_are_counted_and_answered_once() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("pending")).with("retry-after", "0")]);
    world.script.on("/authz/1", [world.proof(1, "pending", json!({ "type": "http-01", "status": "pending" }))]);
    world.script.on("/authz/2", [world.proof(2, "pending", json!({ "type": "http-01", "status": "processing" }))]);
    world
        .script
        .on("/chall/1", [say(200, json!({ "type": "http-01", "status": "processing", "url": "u", "token": "t" }))]);
    let order = world.look().await.unwrap();
    assert_eq!(order.stage, Stage::Pending { unanswered: 1 });
    assert_eq!(order.ask_again, Some(now() + Span::seconds(1)));
    world.answer().await.unwrap();
    assert_eq!((world.script.heard("/chall/1").len(), world.script.heard("/chall/2").len()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_came_twice_is_fine_where_the_challenge_no_longer_waits() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("pending"))]);
    let waiting = world.proof(1, "pending", json!({ "type": "http-01", "status": "pending" }));
    let done = world.proof(1, "valid", json!({ "type": "http-01", "status": "valid" }));
    world.script.on("/authz/2", [done.clone()]);
    world.script.on("/chall/1", [problem(400, "malformed", "not pending")]);
    world.script.on("/authz/1", [waiting.clone(), done]);
    world.answer().await.unwrap();
    world.script.on("/authz/1", [waiting]);
    assert_eq!(world.answer().await.unwrap_err().reason, Reason::Refused);
}

#[tokio::test]
async fn a_failed_order_tells_of_each_name_what_the_ca_said() {
    let world = World::new().await;
    let failed = |word: &str, detail: &str| json!({ "type": "http-01", "status": "invalid", "error": { "type": format!("urn:ietf:params:acme:error:{word}"), "detail": detail } });
    world.script.on("/order", [say(200, world.order("invalid"))]);
    world.script.on("/authz/1", [world.proof(1, "invalid", failed("caa", "CAA forbids it"))]);
    world.script.on("/authz/2", [world.proof(2, "invalid", failed("connection", "timed out\u{1b}[2J"))]);
    let Stage::Invalid(failure) = world.look().await.unwrap().stage else { panic!("the order is invalid") };
    assert_eq!(failure.reason, Reason::ChallengeFailed);
    assert_eq!(
        failure.message,
        "`pebble` could not verify `1.dev.example.com`: CAA forbids it (caa); `2.dev.example.com`: timed out [2J (connection)"
    );
    assert_eq!(failure.fix.len(), 2);

    world.script.on("/authz/2", [world.proof(2, "valid", json!({ "type": "http-01", "status": "valid" }))]);
    let Stage::Invalid(failure) = world.look().await.unwrap().stage else { panic!("the order is invalid") };
    assert_eq!(failure.reason, Reason::CaaForbids);
}

#[tokio::test]
async fn an_order_that_failed_while_it_was_issued_tells_why() {
    let world = World::new().await;
    let mut order = world.order("invalid");
    order["error"] = json!({ "type": "urn:ietf:params:acme:error:caa", "detail": "rechecked", "subproblems": [
        { "type": "urn:ietf:params:acme:error:caa", "detail": "no", "identifier": { "type": "dns", "value": "1.dev.example.com" } }] });
    world.script.on("/order", [say(200, order)]);
    let Stage::Invalid(failure) = world.look().await.unwrap().stage else { panic!("the order is invalid") };
    assert_eq!(failure.reason, Reason::CaaForbids, "although its authorizations can no longer be read");
    assert!(failure.message.contains("`1.dev.example.com`: no (caa)"), "{}", failure.message);
}

#[tokio::test]
async fn an_order_that_cannot_be_proven_by_http_says_what_is_offered() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("pending"))]);
    for number in [1, 2] {
        world.script.on(
            &format!("/authz/{number}"),
            [world.proof(number, "pending", json!({ "type": "dns-99", "status": "pending" }))],
        );
    }
    let Stage::Invalid(failure) = world.look().await.unwrap().stage else { panic!("it cannot be proven") };
    assert_eq!(failure.reason, Reason::ChallengeFailed);
    assert!(failure.message.contains("offers `dns-99`"), "{}", failure.message);
    assert_eq!(world.answer().await.unwrap_err().reason, Reason::ChallengeFailed);
}

#[tokio::test]
async fn a_request_is_handed_in_only_when_the_order_is_ready() {
    let world = World::new().await;
    for (status, stage) in [("processing", Stage::Processing), ("valid", Stage::Valid)] {
        world.script.on("/order", [say(200, world.order(status))]);
        assert_eq!(world.finalize().await.unwrap().stage, stage);
    }
    assert!(world.script.heard("/finalize").is_empty());

    world.script.on("/order", [say(200, world.order("ready")), say(200, world.order("valid"))]);
    world.script.on("/finalize", [problem(403, "orderNotReady", "another was quicker")]);
    assert_eq!(world.finalize().await.unwrap().stage, Stage::Valid);

    world.script.on("/order", [say(200, world.order("ready"))]);
    world.script.on("/finalize", [say(200, world.order("processing")).with("retry-after", "9999999")]);
    let order = world.finalize().await.unwrap();
    assert_eq!((order.stage, order.ask_again), (Stage::Processing, Some(now() + Span::hours(1))));
}

#[tokio::test]
async fn only_a_chain_of_a_sane_size_is_taken() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("valid"))]);
    let chain = |length| Line::Say(200, Vec::new(), format!("-----BEGIN CERTIFICATE-----\n{}", "A".repeat(length)));
    world.script.on("/cert", [chain(4_000)]);
    assert_eq!(world.certificate().await.unwrap().len(), 4_028);
    world.script.on("/cert", [chain(300_000)]);
    assert_eq!(world.certificate().await.unwrap_err().reason, Reason::WrongCertificate);
    world.script.on("/cert", [Line::Say(200, Vec::new(), "soon".to_owned())]);
    assert_eq!(world.certificate().await.unwrap_err().reason, Reason::AnswerNotUnderstood);
    world.script.on("/order", [say(200, world.order("invalid"))]);
    assert_eq!(world.certificate().await.unwrap_err().reason, Reason::OrderLost);
}

#[tokio::test]
async fn a_profile_is_looked_up_before_anything_is_ordered() {
    let world = World::new().await;
    world.script.on("/new", [world.made("pending")]);
    let names = [name("shop.dev.example.com")];
    let key = || world.open_key();
    let with = Session { at: &world.at, account: &world.account, key: &key };
    let failure = world.acme.open_order(with, &names, Some("shortlived"), None).await.unwrap_err();
    assert_eq!(failure.reason, Reason::ProfileUnknown);
    assert!(failure.message.contains("it offers `classic`"), "{}", failure.message);
    assert!(world.script.heard("/new").is_empty());

    let mut grown = world.script.directory();
    grown["meta"]["profiles"]["shortlived"] = json!("Six days");
    world.script.on("/dir", [say(200, grown)]);
    world.acme.open_order(with, &names, Some("shortlived"), None).await.unwrap();
    assert_eq!(world.script.heard("/new")[0].payload["profile"], "shortlived");
}

#[tokio::test]
async fn renewal_information_that_does_not_exist_is_none() {
    let world = World::new().await;
    let key = || world.open_key();
    let with = Session { at: &world.at, account: &world.account, key: &key };
    assert_eq!(world.acme.window(with, "aki.serial").await.unwrap(), None);
    world.script.on("/ari/aki.serial", [problem(500, "serverInternal", "oops")]);
    assert_eq!(world.acme.window(with, "aki.serial").await.unwrap_err().reason, Reason::AcmeUnreachable);
    let window = json!({ "suggestedWindow": { "start": "2026-12-01T00:00:00Z", "end": "2026-12-02T00:00:00Z" } });
    world.script.on("/ari/aki.serial", [say(200, window)]);
    assert!(world.acme.window(with, "aki.serial").await.unwrap().is_some());
    assert_eq!(world.opened.load(Ordering::SeqCst), 0, "no key is needed");
}

#[tokio::test]
async fn contacts_follow_the_registration_and_every_request_says_who_asks() {
    let world = World::new().await;
    let mut at = world.at.clone();
    at.spec.issuers[0].acme.as_mut().unwrap().contacts = vec!["mailto:itops@example.com".to_owned()];
    world.script.on("/acct/1", [say(200, json!({ "status": "valid" }))]);
    for _ in 0..2 {
        let registered = world.acme.register(&at, &issuer(), &secret(&world.key)).await.unwrap();
        assert_eq!(
            (registered.url.as_str(), registered.thumbprint.as_str()),
            (&*world.account.url, &*world.account.thumbprint)
        );
    }
    assert_eq!(world.script.heard("/account")[0].payload["termsOfServiceAgreed"], true);
    let told = &world.script.heard("/acct/1")[1];
    assert_eq!(told.payload["contact"], json!(["mailto:itops@example.com"]));
    assert!(told.head.contains(concat!("user-agent: claviger/", env!("CARGO_PKG_VERSION"), "\r\n")), "{}", told.head);
}

#[tokio::test]
async fn a_key_or_directory_that_is_not_the_accounts_is_refused() {
    let world = World::new().await;
    let key = || world.open_key();
    let mut account = world.account.clone();
    account.thumbprint = "another".to_owned();
    let with = Session { at: &world.at, account: &account, key: &key };
    assert_eq!(world.acme.order(with, "http://127.0.0.1:1/order").await.unwrap_err().reason, Reason::AccountRefused);

    let mut account = world.account.clone();
    account.directory = "https://ca.example/directory".to_owned();
    let with = Session { at: &world.at, account: &account, key: &key };
    let failure = world.acme.order(with, "http://127.0.0.1:1/order").await.unwrap_err();
    assert_eq!(failure.reason, Reason::AccountRefused);
    assert!(failure.message.contains("https://ca.example/directory"), "{}", failure.message);
}
