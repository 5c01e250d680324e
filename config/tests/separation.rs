//! Two environments refused, one test per rule: both places are named, the newcomer is rejected, the incumbent runs on.

mod support;

use claviger_config::{Reason, desired::Spec};
use support::{Fleet, PRODUCTION, STAGING, WEB, codes, first, object, refusal};

/// Both orders: the second by place at the first start, and a later newcomer even in an earlier file.
fn refuses(change: (&str, &str), code: &str, said: &[&str]) {
    assert_eq!(first(&[("a.yaml", STAGING), ("b.yaml", PRODUCTION)]).findings, [], "unchanged, nothing is refused");
    let production = PRODUCTION.replace(change.0, change.1);
    assert_ne!(production, PRODUCTION, "the change takes hold");

    let settled = first(&[("a.yaml", STAGING), ("b.yaml", &production)]);
    assert_eq!(codes(&settled.findings), [code]);
    let finding = &settled.findings[0];
    assert_eq!(finding.file, "b.yaml");
    for words in said.iter().chain(&["Environment/staging", "a.yaml:"]) {
        assert!(finding.message.contains(words), "{words}: {}", finding.message);
    }
    assert!(refusal(&settled, "Environment/staging").is_none());

    let mut fleet = Fleet::with(&[("b.yaml", STAGING)]);
    let settled = fleet.now(&[("a.yaml", &production), ("b.yaml", STAGING)]);
    assert_eq!(codes(&settled.findings), [code]);
    assert_eq!(settled.findings[0].file, "a.yaml");
    assert!(refusal(&settled, "Environment/staging").is_none());
    assert!(refusal(&settled, "Environment/production").is_some());
    let again = fleet.now(&[("a.yaml", &production), ("b.yaml", STAGING)]);
    assert_eq!(codes(&again.findings), [code], "a newcomer does not become an incumbent by being refused");
}

fn in_the_same_account() -> String {
    PRODUCTION.replace("111111111111", "222222222222").replace("role/claviger", "role/claviger-production")
}

#[test]
fn a_namespace_belongs_to_one_environment() {
    refuses(("namespaces: [production]", "namespaces: [production, staging]"), "CLV-0301", &["`staging`"]);
}

#[test]
fn an_alias_prefix_is_not_equal_to_another() {
    let production = in_the_same_account().replace("aliasPrefix: claviger/production", "aliasPrefix: claviger/staging");
    let settled = first(&[("a.yaml", STAGING), ("b.yaml", &production)]);
    assert_eq!(codes(&settled.findings), ["CLV-0302"]);
    assert!(settled.findings[0].message.contains("a.yaml:12:18"), "{}", settled.findings[0].message);
}

#[test]
fn an_alias_prefix_is_not_inside_or_around_another() {
    for prefix in ["claviger", "claviger/staging/inner"] {
        let production = in_the_same_account().replace("claviger/production", prefix);
        let settled = first(&[("a.yaml", STAGING), ("b.yaml", &production)]);
        assert_eq!(codes(&settled.findings), ["CLV-0302"], "{prefix}");
    }
}

#[test]
fn the_same_prefix_in_another_account_or_region_is_another_place() {
    let account = PRODUCTION.replace("claviger/production", "claviger/staging");
    let region =
        in_the_same_account().replace("claviger/production", "claviger/staging").replace("eu-west", "eu-north");
    let beside = in_the_same_account().replace("claviger/production", "claviger/staging2");
    for production in [account, region, beside] {
        assert_eq!(first(&[("a.yaml", STAGING), ("b.yaml", &production)]).findings, []);
    }
}

#[test]
fn a_role_belongs_to_one_environment() {
    let production = PRODUCTION.replace("111111111111", "222222222222");
    let settled = first(&[("a.yaml", STAGING), ("b.yaml", &production)]);
    assert_eq!(codes(&settled.findings), ["CLV-0303"]);
    let message = &settled.findings[0].message;
    assert!(message.contains("Environment/staging in a.yaml:11:17"), "{message}");
}

#[test]
fn a_role_makes_keys_in_the_account_of_its_environment() {
    let production = PRODUCTION.replace("arn:aws:iam::111111111111", "arn:aws:iam::222222222222");
    assert_eq!(codes(&first(&[("b.yaml", &production)]).findings), ["CLV-0214"]);
    let both = production.replace("[production]", "[production, staging]");
    let settled = first(&[("a.yaml", STAGING), ("b.yaml", &both)]);
    assert_eq!(codes(&settled.findings), ["CLV-0301", "CLV-0214", "CLV-0303"], "every error at once");
}

#[test]
fn a_cloudflare_zone_belongs_to_one_environment() {
    let edge = PRODUCTION.split_once("  edge:").unwrap().1.split_once("---").unwrap().0;
    let staging = STAGING.replacen("---\n", &format!("  edge:{edge}---\n"), 1);
    let settled = first(&[("a.yaml", &staging), ("b.yaml", PRODUCTION)]);
    assert_eq!(codes(&settled.findings), ["CLV-0304"]);
    assert!(settled.findings[0].message.contains("Environment/staging in a.yaml:"));
}

#[test]
fn a_zone_around_another_must_except_it() {
    refuses(("except: [staging.example.com]", "except: []"), "CLV-0305", &["`example.com`", "`staging.example.com`"]);
}

#[test]
fn a_zone_inside_another_must_be_excepted_there() {
    let production = PRODUCTION.replace("example.com, except: [staging.example.com]", "inner.staging.example.com");
    let settled = first(&[("a.yaml", STAGING), ("b.yaml", &production)]);
    assert_eq!(codes(&settled.findings), ["CLV-0305"]);
    assert!(
        settled.findings[0]
            .fix
            .contains("add `inner.staging.example.com` to `except` of the zone `staging.example.com`")
    );
}

#[test]
fn the_same_zone_belongs_to_one_environment() {
    let change = ("name: example.com, except: [staging.example.com]", "name: STAGING.example.com");
    refuses(change, "CLV-0306", &["`staging.example.com`"]);
}

#[test]
fn a_changed_environment_that_comes_too_close_keeps_its_last_accepted_version() {
    let mut fleet = Fleet::with(&[("a.yaml", STAGING), ("b.yaml", PRODUCTION)]);
    let greedy = STAGING.replace("namespaces: [staging]", "namespaces: [staging, production]");
    let settled = fleet.now(&[("a.yaml", &greedy), ("b.yaml", PRODUCTION)]);
    assert_eq!(codes(&settled.findings), ["CLV-0301"]);
    let staging = object(&settled, "Environment/staging").unwrap();
    assert_eq!((staging.generation, &staging.refusal), (1, &None));
    let Spec::Environment(spec) = &*staging.spec else { panic!("an environment") };
    assert_eq!(spec.namespaces.len(), 1);
    assert!(settled.kept.keys().any(|name| name.to_string() == "Environment/staging"));
}

#[test]
fn two_environments_may_swap_what_they_hold() {
    let mut fleet = Fleet::with(&[("a.yaml", STAGING), ("b.yaml", PRODUCTION)]);
    let swap = |text: &str, from: &str, to: &str| {
        text.replace(&format!("namespaces: [{from}]"), &format!("namespaces: [{to}]"))
            .replace(&format!("namespace: {from}"), &format!("namespace: {to}"))
    };
    let (staging, production) = (swap(STAGING, "staging", "production"), swap(PRODUCTION, "production", "staging"));
    let settled = fleet.now(&[("a.yaml", &staging), ("b.yaml", &production)]);
    assert_eq!(settled.findings, []);
    assert_eq!(refusal(&settled, "KmsKey/staging/wrapping"), Some(Reason::EnvironmentChanged));
}

#[test]
fn an_environment_that_loses_its_change_holds_on_to_what_a_newcomer_wanted() {
    let mut fleet = Fleet::with(&[("a.yaml", STAGING), ("b.yaml", PRODUCTION)]);
    // Staging gives its role away and, in the same breath, takes production's namespace: its change is rejected as a whole.
    let changed = STAGING
        .replace("namespaces: [staging]", "namespaces: [staging, production]")
        .replace("    assumeRole: arn:aws:iam::222222222222:role/claviger\n", "");
    let third = STAGING
        .replace("name: staging }", "name: third }")
        .replace("[staging]", "[third]")
        .replace("namespace: staging", "namespace: third")
        .replace("claviger/staging", "claviger/third")
        .replace("staging.example.com", "third.example.org");
    let settled = fleet.now(&[("a.yaml", &changed), ("b.yaml", PRODUCTION), ("c.yaml", &third)]);
    assert_eq!(codes(&settled.findings), ["CLV-0301", "CLV-0303"]);
    assert_eq!(refusal(&settled, "Environment/third"), Some(Reason::SeparationRefused));
    assert_eq!(refusal(&settled, "Environment/staging"), None);
}

#[test]
fn objects_of_a_refused_environment_say_so() {
    let production = PRODUCTION.replace("namespaces: [production]", "namespaces: [production, staging]");
    let settled = first(&[("a.yaml", STAGING), ("b.yaml", &production)]);
    assert_eq!(refusal(&settled, "Environment/production"), Some(Reason::NamespaceClaimed));
    assert_eq!(refusal(&settled, "KmsKey/production/wrapping"), Some(Reason::EnvironmentRefused));
    assert_eq!(refusal(&settled, "KmsKey/staging/wrapping"), None);
}

#[test]
fn objects_of_an_environment_that_cannot_be_read_say_so_too() {
    let broken = STAGING.replace("class: non-production", "class: none");
    let settled = first(&[("a.yaml", &broken), ("b.yaml", WEB)]);
    assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), Some(Reason::EnvironmentRefused));
}

#[test]
fn a_wildcard_does_not_cover_an_excepted_zone() {
    let certificate = WEB
        .replace("namespace: staging", "namespace: production")
        .replace("www.staging.example.com", "\"*.example.com\"");
    let production = PRODUCTION.replace("  edge:", "  policy: { publicAcme: Allow }\n  edge:");
    let settled = first(&[("a.yaml", STAGING), ("b.yaml", &production), ("c.yaml", &certificate)]);
    assert_eq!(refusal(&settled, "TlsCertificate/production/web"), Some(Reason::SeparationRefused));
    let finding = settled.refused.iter().find(|finding| finding.file == "c.yaml").unwrap();
    assert!(finding.message.contains("`staging.example.com` of the environment `staging`"), "{}", finding.message);
    assert_eq!((finding.line, finding.column), (5, 14));
}

#[test]
fn a_name_lies_inside_the_zones_of_its_environment() {
    for name in ["www.example.com", "staging.example.com.evil.example", "badstaging.example.com"] {
        let settled = first(&[
            ("a.yaml", STAGING),
            ("b.yaml", PRODUCTION),
            ("c.yaml", &WEB.replace("www.staging.example.com", name)),
        ]);
        assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), Some(Reason::NameOutsideZones), "{name}");
    }
    let settled =
        first(&[("a.yaml", STAGING), ("b.yaml", PRODUCTION), ("c.yaml", &WEB.replace("www.staging", "staging"))]);
    assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), None, "the zone itself is inside");
}

#[test]
fn a_name_of_an_excepted_zone_lies_outside() {
    let production = PRODUCTION.replace("  edge:", "  issuers: [{ name: test, trust: test, acme: { directory: \"https://127.0.0.1/dir\" } }]\n  defaultIssuers: [{ name: test }]\n  edge:");
    let certificate = WEB.replace("namespace: staging", "namespace: production");
    let settled = first(&[("a.yaml", STAGING), ("b.yaml", &production), ("c.yaml", &certificate)]);
    assert_eq!(refusal(&settled, "TlsCertificate/production/web"), Some(Reason::NameOutsideZones));
}

#[test]
fn a_customers_host_name_does_not_lie_in_a_zone_of_another_environment() {
    let hostname = support::SHOP.replace("shop.customer.example", "www.staging.example.com");
    let settled = first(&[("a.yaml", STAGING), ("b.yaml", PRODUCTION), ("c.yaml", &hostname)]);
    assert_eq!(refusal(&settled, "CustomHostname/production/shop"), Some(Reason::SeparationRefused));
}

/// The full matrix of class, policy and trust for certificates by ACME.
#[test]
fn public_certificates_by_acme_follow_the_policy() {
    let directory = |trust: &str| match trust {
        "public" => "https://acme-v02.api.letsencrypt.org/directory",
        "test" => "https://acme-staging-v02.api.letsencrypt.org/directory",
        _ => "https://ca.internal.example/acme",
    };
    for class in ["production", "non-production"] {
        for policy in ["{}", "{ publicAcme: Allow }", "{ publicAcme: Refuse }"] {
            for trust in ["public", "private", "test"] {
                let staging = STAGING
                    .replace("class: non-production", &format!("class: {class}\n  policy: {policy}"))
                    .replace("trust: public", &format!("trust: {trust}"))
                    .replace("https://acme-v02.api.letsencrypt.org/directory", directory(trust));
                let settled = first(&[("a.yaml", &staging), ("b.yaml", WEB)]);
                assert_eq!(settled.findings, []);
                let allowed =
                    trust != "public" || policy.contains("Allow") || class == "non-production" && policy == "{}";
                let expected = (!allowed).then_some(Reason::PolicyRefuses);
                assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), expected, "{class} {policy} {trust}");
                let exception = class == "production" && policy.contains("Allow");
                assert_eq!(
                    codes(&settled.notices),
                    if exception { vec!["CLV-0401"] } else { vec![] },
                    "{class} {policy}"
                );
            }
        }
    }
}

/// The full matrix of class and policy for customers' host names.
#[test]
fn customers_host_names_follow_the_policy() {
    for class in ["production", "non-production"] {
        for policy in ["{}", "{ customHostnames: Allow }", "{ customHostnames: Refuse }"] {
            let production = PRODUCTION.replace("class: production", &format!("class: {class}\n  policy: {policy}"));
            let settled = first(&[("a.yaml", &production), ("b.yaml", support::SHOP)]);
            let allowed = policy.contains("Allow") || class == "production" && policy == "{}";
            let expected = (!allowed).then_some(Reason::PolicyRefuses);
            assert_eq!(refusal(&settled, "CustomHostname/production/shop"), expected, "{class} {policy}");
            let exception = class == "non-production" && policy.contains("Allow");
            assert_eq!(codes(&settled.notices), if exception { vec!["CLV-0401"] } else { vec![] }, "{class} {policy}");
        }
    }
}
