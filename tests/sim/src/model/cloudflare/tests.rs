use serde_json::{Value, json};

use super::certificate::DAY;
use super::*;
use crate::model::dns::{Dns, Kind};

const START: i64 = 1_795_521_600_000;
const ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
const MINUTE: i64 = 60_000;

struct Tale {
    cloudflare: Cloudflare,
    dns: Dns,
    now: i64,
}

impl Tale {
    fn new(unkind: bool) -> Self {
        let mut cloudflare = Cloudflare::new(1, unkind);
        cloudflare.add_zone(START, ZONE, "saas.example.com");
        Self { cloudflare, dns: Dns::new(false), now: START }
    }

    fn create(&mut self, hostname: &str, ssl: Value) -> Result<String, u64> {
        let body = json!({ "hostname": hostname, "ssl": ssl });
        self.cloudflare.create(self.now, ZONE, &body).map(|(id, _)| id).map_err(|error| error.code)
    }

    fn pass(&mut self, millis: i64) {
        self.now += millis;
        self.cloudflare.advance(self.now, &self.dns);
    }

    fn show(&mut self, id: &str) -> Value {
        self.cloudflare.show(ZONE, id).unwrap()
    }

    fn states(&mut self, id: &str) -> (String, String) {
        let shown = self.show(id);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&shown["status"]), text(&shown["ssl"]["status"]))
    }

    fn edit(&mut self, id: &str, body: Value) -> Result<(), u64> {
        self.cloudflare.edit(self.now, ZONE, id, &body).map_err(|error| error.code)
    }

    fn points(&mut self, hostname: &str) {
        self.dns.set(self.now, hostname, Kind::Cname, vec!["saas.example.com".into()]);
    }
}

fn http() -> Value {
    json!({ "method": "http", "type": "dv" })
}

fn txt() -> Value {
    json!({ "method": "txt", "type": "dv" })
}

#[test]
fn both_machines_walk_their_own_way_to_active() {
    let mut tale = Tale::new(true);
    let id = tale.create("shop.customer.example", http()).unwrap();
    assert_eq!(tale.states(&id), ("pending".into(), "initializing".into()));
    assert!(tale.show(&id)["ssl"].get("validation_records").is_none(), "not there yet");
    tale.pass(10_000);
    let waiting = tale.show(&id);
    assert_eq!(waiting["ssl"]["status"], "pending_validation");
    assert!(waiting["ssl"]["validation_records"][0]["http_body"].is_string());
    assert_eq!(waiting["verification_errors"][0], "custom hostname does not CNAME to this zone.");
    tale.points("shop.customer.example");
    let mut seen = Vec::new();
    for _ in 0..300 {
        tale.pass(1_000);
        let (_, state) = tale.states(&id);
        if seen.last() != Some(&state) {
            seen.push(state);
        }
    }
    assert_eq!(seen, ["pending_validation", "pending_issuance", "pending_deployment", "active"]);
    let active = tale.show(&id);
    assert_eq!(active["status"], "active");
    assert!(active.get("ownership_verification").is_none() && active["ssl"].get("validation_records").is_none());
    assert_eq!(active["ssl"]["certificates"].as_array().unwrap().len(), 2, "one of each key kind");
}

#[test]
fn a_txt_record_proves_ownership_before_traffic_moves() {
    let mut tale = Tale::new(false);
    let id = tale.create("shop.customer.example", txt()).unwrap();
    tale.pass(0);
    let shown = tale.show(&id);
    let record = &shown["ownership_verification"];
    tale.dns.add(tale.now, record["name"].as_str().unwrap(), Kind::Txt, record["value"].as_str().unwrap());
    tale.pass(2 * MINUTE);
    assert_eq!(tale.states(&id), ("active".into(), "pending_validation".into()));
    let record = &shown["ssl"]["validation_records"][0];
    tale.dns.add(tale.now, record["txt_name"].as_str().unwrap(), Kind::Txt, record["txt_value"].as_str().unwrap());
    tale.pass(5 * MINUTE);
    assert_eq!(tale.states(&id).1, "active");
}

#[test]
fn a_wildcard_needs_both_values_or_delegation() {
    let mut tale = Tale::new(false);
    let wild = json!({ "method": "txt", "type": "dv", "wildcard": true });
    assert_eq!(
        tale.create("x.customer.example", json!({ "method": "http", "type": "dv", "wildcard": true })),
        Err(1434)
    );
    let id = tale.create("shop.customer.example", wild.clone()).unwrap();
    tale.points("shop.customer.example");
    tale.pass(MINUTE);
    let shown = tale.show(&id);
    let values: Vec<&str> = shown["ssl"]["validation_records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["txt_value"].as_str().unwrap())
        .collect();
    assert_eq!(values.len(), 2);
    tale.dns.add(tale.now, "_acme-challenge.shop.customer.example", Kind::Txt, values[0]);
    tale.pass(10 * MINUTE);
    assert_eq!(tale.states(&id).1, "pending_validation");
    tale.dns.add(tale.now, "_acme-challenge.shop.customer.example", Kind::Txt, values[1]);
    tale.pass(30 * MINUTE);
    assert_eq!(tale.states(&id).1, "active");

    let id = tale.create("other.customer.example", wild).unwrap();
    tale.pass(0);
    let shown = tale.show(&id);
    let delegation = &shown["ssl"]["dcv_delegation_records"][0];
    tale.dns.add(
        tale.now,
        delegation["cname"].as_str().unwrap(),
        Kind::Cname,
        delegation["cname_target"].as_str().unwrap(),
    );
    tale.pass(5 * MINUTE);
    assert_eq!(tale.states(&id).1, "active");
}

#[test]
fn nobody_comes_and_everything_times_out_until_a_patch_revives_it() {
    let mut tale = Tale::new(false);
    let id = tale.create("shop.customer.example", http()).unwrap();
    let ownership = tale.show(&id)["ownership_verification"]["value"].clone();
    tale.pass(20 * DAY);
    assert_eq!(tale.states(&id), ("deleted".into(), "validation_timed_out".into()), "moved, and a week later deleted");
    tale.edit(&id, json!({ "ssl": http() })).unwrap();
    assert_eq!(tale.states(&id), ("pending".into(), "pending_validation".into()));
    assert_eq!(tale.show(&id)["ownership_verification"]["value"], ownership);
    tale.points("shop.customer.example");
    tale.pass(5 * MINUTE);
    assert_eq!(tale.states(&id), ("active".into(), "active".into()));
}

#[test]
fn a_hostname_that_points_elsewhere_has_moved() {
    let mut tale = Tale::new(false);
    let id = tale.create("shop.customer.example", http()).unwrap();
    tale.points("shop.customer.example");
    tale.pass(5 * MINUTE);
    tale.dns.set(tale.now, "shop.customer.example", Kind::Cname, vec!["elsewhere.example.net".into()]);
    tale.pass(2 * 60 * MINUTE);
    assert_eq!(tale.states(&id).0, "moved");
    tale.points("shop.customer.example");
    tale.edit(&id, json!({})).unwrap();
    tale.pass(0);
    assert_eq!(tale.states(&id).0, "active");
}

#[test]
fn caa_that_forbids_is_an_error_and_rotates_the_tokens() {
    let mut tale = Tale::new(false);
    tale.dns.add(0, "customer.example", Kind::Caa, "0 issue \"digicert.com\"");
    let id = tale.create("shop.customer.example", txt()).unwrap();
    tale.pass(0);
    let before = tale.show(&id)["ssl"]["validation_records"].clone();
    tale.points("shop.customer.example");
    tale.pass(2 * MINUTE);
    let shown = tale.show(&id);
    assert!(shown["ssl"]["validation_errors"][0]["message"].as_str().unwrap().starts_with("caa_error"));
    assert_ne!(shown["ssl"]["validation_records"], before);
    tale.dns.set(tale.now, "customer.example", Kind::Caa, vec!["0 issue \"letsencrypt.org\"".into()]);
    tale.pass(5 * MINUTE);
    assert_eq!(
        (tale.states(&id).1, &tale.show(&id)["ssl"]["certificate_authority"]),
        ("active".into(), &json!("lets_encrypt"))
    );
}

#[test]
fn a_certificate_is_renewed_a_month_before_its_end_or_expires() {
    let mut tale = Tale::new(false);
    let id = tale.create("shop.customer.example", http()).unwrap();
    tale.points("shop.customer.example");
    tale.pass(5 * MINUTE);
    let first = tale.show(&id)["ssl"]["serial_number"].clone();
    tale.pass(61 * DAY);
    assert_eq!(tale.states(&id).1, "active");
    assert_ne!(tale.show(&id)["ssl"]["serial_number"], first);
    tale.dns.clear(tale.now, "shop.customer.example");
    tale.pass(60 * DAY);
    assert_ne!(tale.states(&id).1, "active", "tokens are needed and nobody places them");
    assert!(tale.show(&id)["ssl"]["certificates"].is_array(), "the old certificate still serves");
    tale.pass(31 * DAY);
    assert_eq!(tale.states(&id).1, "expired");
}

#[test]
fn a_patch_needs_method_and_type_and_keeps_tokens_unless_it_orders_again() {
    let mut tale = Tale::new(false);
    let id = tale.create("shop.customer.example", txt()).unwrap();
    tale.pass(0);
    let before = tale.show(&id)["ssl"]["validation_records"].clone();
    assert_eq!(tale.edit(&id, json!({ "ssl": { "settings": { "min_tls_version": "1.2" } } })), Err(1440));
    let settings = json!({ "ssl": { "method": "txt", "type": "dv", "settings": { "min_tls_version": "1.2" } } });
    tale.edit(&id, settings).unwrap();
    let shown = tale.show(&id);
    assert_eq!(
        (&shown["ssl"]["settings"]["min_tls_version"], &shown["ssl"]["validation_records"]),
        (&json!("1.2"), &before)
    );
    tale.edit(&id, json!({ "ssl": http() })).unwrap();
    tale.pass(0);
    assert_ne!(tale.show(&id)["ssl"]["validation_records"], before);
    tale.points("shop.customer.example");
    tale.pass(5 * MINUTE);
    tale.edit(&id, json!({ "ssl": http() })).unwrap();
    assert_eq!(tale.states(&id), ("active_redeploying".into(), "active".into()));
    tale.pass(MINUTE);
    assert_eq!(tale.states(&id).0, "active");
}

#[test]
fn what_is_wrong_with_a_hostname_has_its_own_code() {
    let mut tale = Tale::new(false);
    let long = format!("{}.customer.example", "a".repeat(60));
    for (name, code) in [
        ("192.0.2.1", 1407),
        ("a b.customer.example", 1407),
        ("bücher.customer.example", 1408),
        ("a.test", 1409),
        ("single", 1410),
        ("example.com", 1411),
        ("*.customer.example", 1448),
        (long.as_str(), 1469),
    ] {
        assert_eq!(tale.create(name, http()), Err(code), "{name}");
    }
    assert_eq!(tale.create("a.customer.example", json!({ "method": "pigeon", "type": "dv" })), Err(1432));
    assert_eq!(tale.create("a.customer.example", json!({ "method": "http", "type": "ev" })), Err(1433));
    let chosen = json!({ "method": "http", "type": "dv", "certificate_authority": "google" });
    assert_eq!(tale.create("a.customer.example", chosen), Err(1459));
    tale.cloudflare.steering.allow_example = false;
    assert_eq!(tale.create("a.customer.example", http()), Err(1409));
}

#[test]
fn a_name_is_taken_once_over_all_zones() {
    let mut tale = Tale::new(false);
    tale.cloudflare.add_zone(START, "other", "saas.example.net");
    tale.create("shop.customer.example", http()).unwrap();
    assert_eq!(tale.create("SHOP.customer.example", http()), Err(1406));
    let again = tale.cloudflare.create(START, "other", &json!({ "hostname": "shop.customer.example" }));
    assert_eq!(again.unwrap_err().code, 1406);
}

#[test]
fn entitlements_and_quotas_refuse_and_warn() {
    let mut tale = Tale::new(false);
    let zone = tale.cloudflare.zone_mut(ZONE).unwrap();
    (zone.metadata, zone.custom_origin, zone.allocated, zone.hard_cap) = (false, false, 1, Some(2));
    let mut create = |extra: Value| {
        let mut body = json!({ "hostname": format!("h{}.customer.example", tale.cloudflare.counts().created) });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        tale.cloudflare.create(START, ZONE, &body).map(|(_, messages)| messages.len()).map_err(|error| error.code)
    };
    assert_eq!(create(json!({ "custom_metadata": { "a": "b" } })), Err(1413));
    assert_eq!(create(json!({ "custom_origin_server": "o.example.com" })), Err(1414));
    assert_eq!((create(json!({})), create(json!({})), create(json!({}))), (Ok(0), Ok(1), Err(1405)));
    tale.cloudflare.zone_mut(ZONE).unwrap().enabled = false;
    assert_eq!(tale.create("x.customer.example", http()), Err(1404));
}

#[test]
fn fifteen_certificates_a_minute_and_then_a_pause() {
    let mut tale = Tale::new(false);
    for at in 0..15 {
        tale.create(&format!("h{at}.customer.example"), http()).unwrap();
    }
    assert_eq!(tale.create("h15.customer.example", http()), Err(971));
    tale.pass(10_000);
    assert_eq!(tale.create("h15.customer.example", http()), Err(971));
    tale.pass(20_000);
    assert!(tale.create("h15.customer.example", http()).is_ok());
}

#[test]
fn no_hostname_is_validated_without_a_fallback_origin() {
    let mut tale = Tale::new(false);
    tale.cloudflare.delete_fallback_origin(START, ZONE).unwrap();
    assert_eq!(tale.cloudflare.fallback_origin(START, ZONE).unwrap_err().code, 1551);
    let id = tale.create("shop.customer.example", http()).unwrap();
    tale.points("shop.customer.example");
    tale.pass(0);
    assert_eq!(tale.show(&id)["verification_errors"][0], "Zone does not have a fallback origin set.");
    tale.cloudflare.set_fallback_origin(tale.now, ZONE, &json!({ "origin": "o.example.com" })).unwrap();
    tale.pass(2 * MINUTE);
    assert_eq!(tale.states(&id).0, "active");
}

#[test]
fn an_unkind_list_comes_in_small_pages_newest_first_and_late() {
    let mut tale = Tale::new(true);
    tale.cloudflare.steering.issuance = None;
    for at in 0..120 {
        tale.create(&format!("h{at}.customer.example"), http()).unwrap();
        tale.pass(100);
    }
    tale.pass(5_000);
    let page = |tale: &mut Tale, number: usize| {
        let query = [("page", number.to_string()), ("per_page", "1000".into())];
        let filter = Filter(query.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        tale.cloudflare.list(tale.now, ZONE, &filter).unwrap()
    };
    let first = page(&mut tale, 1);
    assert_eq!((first.ids.len(), first.per_page, first.total_pages), (50, 50, 3));
    tale.create("fresh.customer.example", http()).unwrap();
    tale.pass(5_000);
    assert_eq!(page(&mut tale, 2).ids[0], first.ids[49], "a row has shifted to the next page");
}

#[test]
fn a_steered_state_stays_and_a_lost_hostname_is_gone() {
    let mut tale = Tale::new(false);
    let id = tale.create("shop.customer.example", http()).unwrap();
    tale.cloudflare.force_status(START, &id, "blocked");
    tale.points("shop.customer.example");
    tale.pass(DAY);
    assert_eq!(tale.states(&id), ("blocked".into(), "pending_validation".into()));
    tale.cloudflare.force_ssl_status(&id, "issuance_timed_out");
    tale.edit(&id, json!({ "ssl": http() })).unwrap();
    assert_eq!(tale.states(&id).1, "initializing");
    tale.cloudflare.lose(&id);
    assert!(tale.cloudflare.show(ZONE, &id).is_err());
}

#[test]
fn a_world_that_was_written_down_goes_on() {
    let mut tale = Tale::new(true);
    let id = tale.create("shop.customer.example", http()).unwrap();
    tale.points("shop.customer.example");
    let written = serde_json::to_string(&tale.cloudflare).unwrap();
    tale.cloudflare = serde_json::from_str(&written).unwrap();
    tale.pass(10 * MINUTE);
    assert_eq!(tale.states(&id), ("active".into(), "active".into()));
}

#[test]
fn whoever_proves_a_name_takes_it_from_the_other_zone() {
    let mut tale = Tale::new(false);
    tale.cloudflare.steering.unique_across_zones = false;
    tale.cloudflare.add_zone(START, "other", "saas.example.net");
    let first = tale.create("shop.customer.example", http()).unwrap();
    tale.points("shop.customer.example");
    tale.pass(MINUTE);
    let body = json!({ "hostname": "shop.customer.example", "ssl": http() });
    let (second, _) = tale.cloudflare.create(tale.now, "other", &body).unwrap();
    tale.dns.set(tale.now, "shop.customer.example", Kind::Cname, vec!["saas.example.net".into()]);
    tale.pass(MINUTE);
    assert_eq!(tale.states(&first).0, "moved");
    assert_eq!(tale.cloudflare.show("other", &second).unwrap()["status"], "active");
}

#[test]
fn ten_thousand_hostnames_are_no_trouble() {
    let mut tale = Tale::new(false);
    tale.cloudflare.steering.issuance = None;
    tale.cloudflare.zone_mut(ZONE).unwrap().allocated = 10_000;
    for at in 0..10_000 {
        tale.points(&format!("h{at}.customer{at}.example"));
        tale.create(&format!("h{at}.customer{at}.example"), http()).unwrap();
    }
    assert_eq!(tale.cloudflare.quota(ZONE).unwrap()["used"], 10_000);
    let exact = Filter([("hostname.exact".to_owned(), "h77.customer77.example".to_owned())].into());
    assert_eq!(tale.cloudflare.list(tale.now, ZONE, &exact).unwrap().ids.len(), 1);
}
