use super::*;

fn world() -> Dns {
    let mut dns = Dns::new(false);
    dns.add(0, "www.example.com", Kind::A, "192.0.2.1");
    dns
}

fn outcome(dns: &Dns, name: &str, kind: Kind) -> Outcome {
    dns.lookup(10, name, kind).outcome
}

#[test]
fn a_name_without_that_type_is_told_apart_from_no_name() {
    let dns = world();
    assert_eq!(outcome(&dns, "WWW.example.com.", Kind::A), Outcome::Found);
    assert_eq!(outcome(&dns, "www.example.com", Kind::Txt), Outcome::NoData);
    assert_eq!(outcome(&dns, "other.example.com", Kind::A), Outcome::NxDomain);
    let mut dns = world();
    dns.add(0, "a.b.example.com", Kind::Txt, "x");
    assert_eq!(outcome(&dns, "b.example.com", Kind::Txt), Outcome::NoData, "something stands below it");
    dns.remove(5, "a.b.example.com", Kind::Txt, "x");
    assert_eq!(outcome(&dns, "b.example.com", Kind::Txt), Outcome::NxDomain);
}

#[test]
fn a_chain_is_followed_and_a_loop_fails() {
    let mut dns = world();
    dns.add(0, "a.example.com", Kind::Cname, "b.example.net");
    dns.add(0, "b.example.net", Kind::Cname, "www.example.com");
    let reply = dns.lookup(10, "a.example.com", Kind::A);
    assert_eq!((reply.outcome, reply.records.len()), (Outcome::Found, 3));
    assert_eq!(reply.values(Kind::A).collect::<Vec<_>>(), ["192.0.2.1"]);
    dns.set(5, "b.example.net", Kind::Cname, vec!["a.example.com".into()]);
    assert_eq!(outcome(&dns, "a.example.com", Kind::A), Outcome::ServFail);
}

#[test]
fn a_wildcard_answers_for_names_that_do_not_exist() {
    let mut dns = world();
    dns.add(0, "*.example.com", Kind::Cname, "www.example.com");
    assert_eq!(outcome(&dns, "any.example.com", Kind::A), Outcome::Found);
    assert_eq!(outcome(&dns, "www.example.com", Kind::Txt), Outcome::NoData, "an existing name is not covered");
}

#[test]
fn each_zone_has_a_beginning_and_name_servers_with_addresses() {
    let mut dns = world();
    dns.add_zone(0, "staging.example.com");
    assert_eq!(dns.lookup(10, "x.staging.example.com", Kind::Soa).zone, "staging.example.com");
    assert_eq!(outcome(&dns, "staging.example.com", Kind::Soa), Outcome::Found);
    assert_eq!(outcome(&dns, "example.com", Kind::Soa), Outcome::Found);
    let servers = dns.lookup(10, "staging.example.com", Kind::Ns);
    let servers: Vec<&str> = servers.values(Kind::Ns).collect();
    assert_eq!(servers, ["ns1.staging.example.com", "ns2.staging.example.com"]);
    let second = dns.lookup(10, "ns2.staging.example.com", Kind::A);
    assert_eq!(second.values(Kind::A).collect::<Vec<_>>(), ["127.0.0.2"]);
}

#[test]
fn a_server_that_lags_sees_a_change_late_and_a_frozen_one_never() {
    let mut dns = world();
    dns.servers[1].lag_millis = 1_000;
    dns.add(5_000, "t.example.com", Kind::Txt, "x");
    let seen =
        |dns: &Dns, server, now| dns.lookup_at(server, now, "t.example.com", Kind::Txt).outcome == Outcome::Found;
    assert_eq!((seen(&dns, 0, 5_000), seen(&dns, 1, 5_999), seen(&dns, 1, 6_000)), (true, false, true));
    dns.servers[1].frozen_at = Some(4_000);
    assert!(!seen(&dns, 1, 60_000));
}

#[test]
fn trouble_with_a_name_is_trouble_also_behind_an_alias() {
    let mut dns = world();
    dns.add(0, "a.example.com", Kind::Cname, "www.example.com");
    for (trouble, expected) in [(Trouble::ServFail, Outcome::ServFail), (Trouble::Silent, Outcome::Silent)] {
        dns.trouble("www.example.com", Some(trouble));
        assert_eq!(outcome(&dns, "a.example.com", Kind::A), expected);
    }
    dns.trouble("www.example.com", None);
    assert_eq!(outcome(&dns, "a.example.com", Kind::A), Outcome::Found);
}

#[test]
fn the_nearest_caa_decides() {
    let mut dns = world();
    let verdict = |dns: &Dns, wildcard| dns.caa(10, "www.example.com", "letsencrypt.org", wildcard);
    assert_eq!(verdict(&dns, false), Verdict::Allowed);
    dns.add(0, "example.com", Kind::Caa, "0 issue \"pki.goog\"");
    assert_eq!(verdict(&dns, false), Verdict::Forbidden("example.com".into()));
    dns.add(0, "www.example.com", Kind::Caa, "0 issue \"letsencrypt.org\"");
    assert_eq!(verdict(&dns, false), Verdict::Allowed);
    dns.add(0, "www.example.com", Kind::Caa, "0 issuewild \";\"");
    assert_eq!(
        (verdict(&dns, false), verdict(&dns, true)),
        (Verdict::Allowed, Verdict::Forbidden("www.example.com".into()))
    );
    dns.trouble("www.example.com", Some(Trouble::ServFail));
    assert_eq!(verdict(&dns, false), Verdict::Unknown("www.example.com".into()));
}

#[test]
fn caa_binds_an_account_and_a_method() {
    let mut dns = world();
    dns.add(
        0,
        "example.com",
        Kind::Caa,
        "0 issue \"letsencrypt.org; accounturi=https://ca/1; validationmethods=dns-01\"",
    );
    let ask = |method, account| {
        let applicant = caa::Applicant { ca: "letsencrypt.org", method, account, wildcard: false };
        dns.judge_caa(10, "www.example.com", &applicant)
    };
    assert_eq!(ask("dns-01", "https://ca/1"), Verdict::Allowed);
    assert_ne!(ask("http-01", "https://ca/1"), Verdict::Allowed);
    assert_ne!(ask("dns-01", "https://ca/2"), Verdict::Allowed);
}

#[test]
fn names_that_only_look_alike_are_no_children() {
    let mut dns = world();
    dns.add(0, "a.b-c.example.com", Kind::Txt, "x");
    assert_eq!(outcome(&dns, "b.example.com", Kind::Txt), Outcome::NxDomain);
    assert_eq!(outcome(&dns, "b-c.example.com", Kind::Txt), Outcome::NoData);
    let names: Vec<String> = dns.records().map(|(name, ..)| name).collect();
    assert_eq!(names, ["a.b-c.example.com", "www.example.com"]);
}
