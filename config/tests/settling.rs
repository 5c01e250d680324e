//! What stays in force when documents change, break or cannot be read.

mod support;

use claviger_config::{
    Reason,
    judge::{Incumbents, Kept, SettingsFacts},
    settle::FileRead,
};
use support::{Fleet, PRODUCTION, SHOP, STAGING, WEB, codes, file, first, object, refusal};

const BASE: &[(&str, &str)] = &[("a.yaml", STAGING), ("b.yaml", PRODUCTION), ("shop.yaml", SHOP), ("web.yaml", WEB)];

fn with<'a>(name: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    BASE.iter().filter(|(other, _)| *other != name).copied().chain([(name, text)]).collect()
}

fn generation(settled: &claviger_config::settle::Settled, name: &str) -> u64 {
    object(settled, name).expect("the object is there").generation
}

#[test]
fn everything_good_is_wanted_and_has_its_environment() {
    let settled = first(BASE);
    assert_eq!((settled.findings.len(), settled.refused.len(), settled.kept.len()), (0, 0, 0));
    assert_eq!(settled.desired.objects.len(), 6);
    assert!(!settled.desired.frozen);
    let web = object(&settled, "TlsCertificate/staging/web").unwrap();
    assert_eq!(web.environment.as_ref().unwrap().name.as_str(), "staging");
    assert_eq!(web.place.as_ref().unwrap().to_string(), "web.yaml:1:1");
}

#[test]
fn a_generation_grows_with_each_change_and_only_then() {
    let mut fleet = Fleet::with(BASE);
    assert_eq!(generation(&fleet.now(BASE), "TlsCertificate/staging/web"), 1);
    let spelled =
        format!("# a comment\n{}", WEB.replace("[www.staging.example.com]", "\n    - WWW.staging.example.com"));
    assert_eq!(generation(&fleet.now(&with("web.yaml", &spelled)), "TlsCertificate/staging/web"), 1);
    let changed = WEB.replace("www.", "api.");
    assert_eq!(generation(&fleet.now(&with("web.yaml", &changed)), "TlsCertificate/staging/web"), 2);
    assert_eq!(generation(&fleet.now(BASE), "TlsCertificate/staging/web"), 3);
}

#[test]
fn a_bad_document_keeps_its_last_accepted_version_and_everything_else_applies() {
    let mut fleet = Fleet::with(BASE);
    let bad = WEB.replace("dnsNames", "dnsName");
    let more = with("web.yaml", &bad);
    let shop = SHOP.replace("spec:", "spec:\n  reference: r1");
    let more: Vec<_> =
        more.into_iter().map(|(name, text)| (name, if name == "shop.yaml" { shop.as_str() } else { text })).collect();
    for _ in 0..2 {
        let settled = fleet.now(&more);
        assert_eq!(codes(&settled.findings), ["CLV-0104"]);
        assert_eq!(generation(&settled, "TlsCertificate/staging/web"), 1);
        assert_eq!(generation(&settled, "CustomHostname/production/shop"), 2);
        let kept: Vec<_> = settled.kept.iter().map(|(name, why)| (name.to_string(), why.clone())).collect();
        assert_eq!(kept, [("TlsCertificate/staging/web".to_owned(), Kept::Rejected(settled.findings.clone()))]);
        assert!(!settled.desired.frozen, "the broken document is known by name");
    }
}

#[test]
fn a_bad_document_without_an_earlier_version_is_not_there() {
    let settled = first(&with("web.yaml", &WEB.replace("dnsNames", "dnsName")));
    assert!(object(&settled, "TlsCertificate/staging/web").is_none());
}

#[test]
fn an_unreadable_file_freezes_everything_that_is_missing() {
    let mut fleet = Fleet::with(BASE);
    let unreadable = FileRead { name: "web.yaml".to_owned(), content: Err("permission denied".to_owned()) };
    let settled = fleet.read(&[file("a.yaml", STAGING), unreadable]);
    assert_eq!(codes(&settled.findings), ["CLV-0101"]);
    assert!(settled.desired.frozen);
    assert_eq!(settled.desired.objects.len(), 6);
    assert_eq!(settled.kept.len(), 4);
    assert!(settled.kept.values().all(|why| *why == Kept::Unreadable));
}

#[test]
fn broken_syntax_freezes_too_because_any_object_may_stand_there() {
    let mut fleet = Fleet::with(BASE);
    let settled = fleet.now(&with("web.yaml", "kind: [TlsCertificate"));
    assert_eq!(codes(&settled.findings), ["CLV-0105"]);
    assert!(settled.desired.frozen);
    assert!(object(&settled, "TlsCertificate/staging/web").is_some());
}

#[test]
fn an_empty_folder_removes_nothing() {
    let mut fleet = Fleet::with(BASE);
    for files in [vec![], vec![("a.yaml", "# nothing here\n")]] {
        let settled = fleet.now(&files);
        assert_eq!(codes(&settled.findings), ["CLV-0116"]);
        assert!(settled.desired.frozen);
        assert_eq!(settled.desired.objects.len(), 6);
    }
}

#[test]
fn a_file_that_is_just_being_saved_removes_nothing() {
    let mut fleet = Fleet::with(BASE);
    let settled = fleet.now(&with("web.yaml", ""));
    assert_eq!(codes(&settled.findings), ["CLV-0113"]);
    assert!(object(&settled, "TlsCertificate/staging/web").is_some());
    let settled = fleet.now(BASE);
    assert_eq!((settled.findings.len(), generation(&settled, "TlsCertificate/staging/web")), (0, 1));
}

#[test]
fn a_document_that_is_gone_is_removed() {
    let mut fleet = Fleet::with(BASE);
    let settled = fleet.now(&BASE[..3]);
    assert!(object(&settled, "TlsCertificate/staging/web").is_none());
    assert!(!settled.desired.frozen);
    assert!(!fleet.before.objects.keys().any(|name| name.to_string() == "TlsCertificate/staging/web"));
}

#[test]
fn a_document_that_moves_to_another_file_stays_the_same_object() {
    let mut fleet = Fleet::with(BASE);
    let moved: Vec<_> =
        BASE.iter().map(|(name, text)| (if *name == "web.yaml" { "z.yaml" } else { name }, *text)).collect();
    let settled = fleet.now(&moved);
    assert_eq!((settled.findings.len(), generation(&settled, "TlsCertificate/staging/web")), (0, 1));
}

#[test]
fn what_is_accepted_has_one_name_and_survives_being_stored() {
    let mut fleet = Fleet::with(BASE);
    let one = fleet.now(BASE);
    let text = serde_json::to_string(&one.accepted).unwrap();
    let stored: Incumbents = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, one.accepted);
    let reversed: Vec<_> = BASE.iter().rev().copied().collect();
    assert_eq!(fleet.now(&reversed).accepted_hash_input, one.accepted_hash_input);
    let other = fleet.now(&with("web.yaml", &WEB.replace("www.", "api.")));
    assert_ne!(other.accepted_hash_input, one.accepted_hash_input);
}

#[test]
fn what_is_for_life_cannot_be_changed() {
    for (name, text, from, to, field) in [
        ("a.yaml", STAGING, "class: non-production", "class: production", "spec.class"),
        ("a.yaml", STAGING, "purpose: wrap", "purpose: data", "spec.purpose"),
        ("shop.yaml", SHOP, "shop.customer", "other.customer", "spec.hostname"),
        ("shop.yaml", SHOP, "customer-gmbh", "other-gmbh", "spec.tenant"),
    ] {
        let mut fleet = Fleet::with(BASE);
        let changed = text.replace(from, to);
        let settled = fleet.now(&with(name, &changed));
        assert_eq!(codes(&settled.findings), ["CLV-0202"], "{field}");
        assert!(settled.findings[0].message.contains(&format!("`{field}`")), "{}", settled.findings[0].message);
        assert_eq!(fleet.now(BASE).findings, [], "putting it back mends it");
    }
}

#[test]
fn a_second_document_for_the_same_object_is_rejected_and_the_first_stays() {
    let mut fleet = Fleet::with(BASE);
    let copy = WEB.replace("www.", "copy.");
    let files: Vec<_> = [("0.yaml", copy.as_str())].into_iter().chain(BASE.iter().copied()).collect();
    let settled = fleet.now(&files);
    assert_eq!(codes(&settled.findings), ["CLV-0201"]);
    assert_eq!(settled.findings[0].file, "0.yaml", "the incumbent is the one that was accepted before");
    assert_eq!(generation(&settled, "TlsCertificate/staging/web"), 1);
    assert_eq!(first(&files).findings[0].file, "web.yaml", "without an incumbent the first by file name");
}

#[test]
fn a_wrapping_key_must_be_asked_for() {
    let bare = STAGING.split_once("---").unwrap().0;
    assert_eq!(codes(&first(&[("a.yaml", bare)]).findings), ["CLV-0208"]);
    let wrong = STAGING.replace("purpose: wrap", "purpose: data");
    assert_eq!(codes(&first(&[("a.yaml", &wrong)]).findings), ["CLV-0208"]);
    let broken = STAGING.replace("purpose: wrap", "purpose: wrapp");
    assert_eq!(codes(&first(&[("a.yaml", &broken)]).findings), ["CLV-0122"], "the key's own error is enough");
    let mut fleet = Fleet::with(BASE);
    let settled = fleet.now(&with("a.yaml", bare));
    assert_eq!(codes(&settled.findings), ["CLV-0208"]);
    assert_eq!(refusal(&settled, "Environment/staging"), None, "it runs on as it was accepted");
}

#[test]
fn two_outlets_never_share_a_directory() {
    for directory in ["web", "web/inner"] {
        let api = WEB.replace("name: web,", "name: api,").replace("directory: web", &format!("directory: {directory}"));
        let mut fleet = Fleet::with(BASE);
        let files: Vec<_> = [("0.yaml", api.as_str())].into_iter().chain(BASE.iter().copied()).collect();
        let settled = fleet.now(&files);
        assert_eq!(codes(&settled.findings), ["CLV-0211"], "{directory}");
        assert!(
            settled.findings[0].message.contains("TlsCertificate/staging/web in web.yaml:7:42"),
            "{}",
            settled.findings[0].message
        );
        assert!(object(&settled, "TlsCertificate/staging/api").is_none());
    }
    let twice = WEB.replace("  outlets:\n", "  outlets:\n    - { name: other, files: { directory: web/b } }\n");
    assert_eq!(codes(&first(&with("web.yaml", &twice)).findings), ["CLV-0211"], "also within one certificate");
    let beside = WEB.replace("name: web,", "name: api,").replace("directory: web", "directory: web2");
    assert_eq!(first(&with("api.yaml", &beside)).findings, []);
}

#[test]
fn a_certificate_that_grows_into_another_directory_keeps_its_last_accepted_version() {
    let api = WEB.replace("name: web,", "name: api,").replace("directory: web", "directory: api");
    let mut fleet = Fleet::with(&with("0.yaml", &api));
    let greedy = api.replace("directory: api", "directory: web");
    let settled = fleet.now(&with("0.yaml", &greedy));
    assert_eq!(codes(&settled.findings), ["CLV-0211"]);
    assert_eq!(generation(&settled, "TlsCertificate/staging/api"), 1);
    assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), None);
}

#[test]
fn two_keys_of_one_environment_never_share_an_alias() {
    let staging = STAGING.replace("[staging]", "[staging, tools]");
    let key = "---\napiVersion: claviger.dev/v1alpha1\nkind: KmsKey\nmetadata: { name: wrapping, namespace: tools }\nspec: { purpose: data }\n";
    let settled = first(&[("a.yaml", &format!("{staging}{key}"))]);
    assert_eq!(codes(&settled.findings), ["CLV-0212"]);
    assert!(
        settled.findings[0].message.contains("`alias/claviger/staging/wrapping` belongs to KmsKey/staging/wrapping")
    );
}

#[test]
fn a_host_name_belongs_to_the_first_document_of_its_environment() {
    let twin = SHOP.replace("name: shop,", "name: twin,").replace("shop.customer", "SHOP.customer");
    let mut fleet = Fleet::with(BASE);
    let reference = SHOP.replace("spec:", "spec:\n  reference: r1");
    for shop in [SHOP, &reference, SHOP] {
        let files: Vec<_> = [("0.yaml", twin.as_str())].into_iter().chain(with("shop.yaml", shop)).collect();
        let settled = fleet.now(&files);
        assert_eq!(settled.findings, []);
        assert_eq!(refusal(&settled, "CustomHostname/production/twin"), Some(Reason::HostnameClaimed));
        assert_eq!(refusal(&settled, "CustomHostname/production/shop"), None);
    }
    let settled = fleet.now(&[("0.yaml", &twin), ("a.yaml", STAGING), ("b.yaml", PRODUCTION)]);
    assert_eq!(refusal(&settled, "CustomHostname/production/twin"), None, "once the first is gone");
}

#[test]
fn an_object_without_an_environment_says_so() {
    let settled = first(&[("a.yaml", STAGING), ("web.yaml", &WEB.replace("namespace: staging", "namespace: nobody"))]);
    assert_eq!(settled.findings, []);
    assert_eq!(refusal(&settled, "TlsCertificate/nobody/web"), Some(Reason::NamespaceUnclaimed));
    assert_eq!((settled.refused[0].line, settled.refused[0].column), (3, 35));
}

#[test]
fn a_certificate_that_needs_what_is_missing_says_what() {
    let zone = |challenges: &str| {
        STAGING.replace(
            "- name: staging.example.com",
            &format!("- {{ name: staging.example.com, challenges: [{challenges}] }}"),
        )
    };
    let authority = STAGING
        .replace(
            "acme: { directory: \"https://acme-v02.api.letsencrypt.org/directory\" }",
            "authority: { name: issuing }",
        )
        .replace("public", "private");
    for (staging, web, reason) in [
        (
            STAGING.to_owned(),
            WEB.replace("www.staging.example.com", "\"*.staging.example.com\""),
            Reason::NotSupportedYet,
        ),
        (zone("dns-01"), WEB.to_owned(), Reason::NotSupportedYet),
        (authority, WEB.to_owned(), Reason::NotSupportedYet),
        (
            STAGING.to_owned(),
            WEB.replace("files: { directory: web, reload: nginx }", "secret: { name: web-tls }"),
            Reason::SettingMissing,
        ),
        (STAGING.to_owned(), WEB.replace("spec:", "spec:\n  issuers: [{ name: letsencript }]"), Reason::IssuerMissing),
        (STAGING.replace("  defaultIssuers: [{ name: letsencrypt }]\n", ""), WEB.to_owned(), Reason::IssuerMissing),
        (STAGING.to_owned(), WEB.replace("reload: nginx", "reload: apache"), Reason::SettingMissing),
    ] {
        let settled = first(&[("a.yaml", &staging), ("web.yaml", &web)]);
        assert_eq!(settled.findings, [], "{web}");
        assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), Some(reason), "{web}");
    }
    let settled = first(&[("a.yaml", &zone("dns-01, http-01")), ("web.yaml", WEB)]);
    assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), None, "http-01 may stand second");
}

#[test]
fn a_host_name_that_needs_what_is_missing_says_what() {
    let bare = PRODUCTION.split_once("  edge:").unwrap().0.to_owned() + "---" + PRODUCTION.split_once("---").unwrap().1;
    let defaults = PRODUCTION.replace("      target:", "      defaults: { validation: txt }\n      target:");
    for (production, shop, reason) in [
        (bare, SHOP.to_owned(), Some(Reason::SettingMissing)),
        (PRODUCTION.to_owned(), format!("{SHOP}  validation: delegated\n"), Some(Reason::NotSupportedYet)),
        (defaults.clone(), SHOP.to_owned(), Some(Reason::NotSupportedYet)),
        (defaults, format!("{SHOP}  validation: http\n"), None),
    ] {
        let settled = first(&[("b.yaml", &production), ("shop.yaml", &shop)]);
        assert_eq!(settled.findings, []);
        assert_eq!(refusal(&settled, "CustomHostname/production/shop"), reason, "{shop}");
    }
}

#[test]
fn settings_that_lack_what_documents_need_are_named() {
    let files: Vec<FileRead> = BASE.iter().map(|(name, text)| file(name, text)).collect();
    let whole = support::settings();
    for (settings, object, reason) in [
        (SettingsFacts { writes: false, ..whole.clone() }, "TlsCertificate/staging/web", Reason::SettingMissing),
        (SettingsFacts { http01: false, ..whole.clone() }, "TlsCertificate/staging/web", Reason::HttpListenerMissing),
        (
            SettingsFacts { hooks: Default::default(), ..whole.clone() },
            "TlsCertificate/staging/web",
            Reason::SettingMissing,
        ),
        (SettingsFacts { reads: false, ..whole.clone() }, "Environment/production", Reason::SettingMissing),
        (SettingsFacts { reads: false, ..whole }, "CustomHostname/production/shop", Reason::EnvironmentRefused),
    ] {
        let settled = claviger_config::settle::settle(&files, &Incumbents::default(), &settings);
        assert_eq!(settled.findings, []);
        assert_eq!(refusal(&settled, object), Some(reason), "{settings:?}");
    }
}

#[test]
fn a_secret_of_the_cluster_needs_a_cluster() {
    let production = PRODUCTION.replace("{ file: cf-token }", "{ secret: { name: cloudflare, key: token } }");
    let settled = first(&[("b.yaml", &production)]);
    assert_eq!(refusal(&settled, "Environment/production"), Some(Reason::SettingMissing));
    let in_cluster = SettingsFacts { kubernetes: true, ..support::settings() };
    let settled = claviger_config::settle::settle(&[file("b.yaml", &production)], &Incumbents::default(), &in_cluster);
    assert_eq!(refusal(&settled, "Environment/production"), None);
}

#[test]
fn dns_providers_are_read_and_said_to_be_unused() {
    let staging =
        STAGING.replace("- name: staging.example.com", "- { name: staging.example.com, dns: { route53: {} } }");
    let settled = first(&[("a.yaml", &staging), ("web.yaml", WEB)]);
    assert_eq!((codes(&settled.findings), codes(&settled.notices)), (vec![], vec!["CLV-0402"]));
    assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), None);
}

#[test]
fn a_namespace_that_changes_hands_does_not_carry_its_objects_along() {
    let mut fleet = Fleet::with(BASE);
    let given = STAGING.replace("[staging]", "[staging2]").replace("namespace: staging", "namespace: staging2");
    let taken = PRODUCTION.replace("[production]", "[production, staging]");
    let files = [("a.yaml", given.as_str()), ("b.yaml", taken.as_str()), ("web.yaml", WEB)];
    for _ in 0..2 {
        let settled = fleet.now(&files);
        assert_eq!(settled.findings, []);
        assert_eq!(refusal(&settled, "TlsCertificate/staging/web"), Some(Reason::EnvironmentChanged));
    }
}
