//! What an environment's document may say.

use super::{Incumbent, Own, versions::Versions};
use crate::{
    admin::Finding,
    desired::Spec,
    document::{Code, Document, nearest, spelled},
    environment::{EnvironmentSpec, Issuer, Trust},
    key::Purpose,
    name::{Kind, ObjectName},
};

pub(super) const OWN: &[Own] = &[
    class_is_for_life,
    default_issuers_exist,
    excepted_names_lie_inside,
    no_wildcards,
    role_is_of_the_account,
    trust_is_what_the_issuer_has,
];

pub(super) fn spec(document: &Document) -> Option<&EnvironmentSpec> {
    match &*document.spec {
        Spec::Environment(spec) => Some(spec),
        _ => None,
    }
}

fn class_is_for_life(document: &Document, incumbent: Option<&Incumbent>) -> Vec<Finding> {
    let (Some(now), Some(Spec::Environment(then))) = (spec(document), incumbent.map(|incumbent| &*incumbent.document))
    else {
        return Vec::new();
    };
    immutable(document, "spec.class", &word(now.class), &word(then.class)).into_iter().collect()
}

/// A finding when a field that is for life has changed.
pub(super) fn immutable(document: &Document, field: &str, now: &str, then: &str) -> Option<Finding> {
    let within = format!("`{field}`");
    let blanks = [("within", within.as_str()), ("found", now), ("accepted", then)];
    let finding = || Code::FieldImmutable.at(&document.at(field), &blanks).found(now).accepts([then]);
    (now != then).then(finding)
}

/// A word as documents write it.
pub(super) fn word<T: serde::Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn default_issuers_exist(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let Some(spec) = spec(document) else { return Vec::new() };
    let names: Vec<&str> = spec.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
    let unknown = spec.default_issuers.iter().enumerate().filter(|(_, choice)| !names.contains(&choice.name.as_str()));
    unknown
        .map(|(number, choice)| {
            let place = document.at(&format!("spec.defaultIssuers.{number}.name"));
            let finding = Code::IssuerUnknown.at(&place, &[("found", choice.name.as_str())]);
            let finding = finding.found(choice.name.as_str()).accepts(names.iter().copied());
            let meant = nearest(choice.name.as_str(), names.iter().copied());
            meant.into_iter().fold(finding, |finding, meant| finding.fixed_by(format!("write `{meant}`")))
        })
        .collect()
}

fn excepted_names_lie_inside(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, zone) in spec(document).into_iter().flat_map(|spec| &spec.zones).enumerate() {
        for (inner, name) in zone.except.iter().enumerate() {
            if name == &zone.name || !name.within(&zone.name) {
                let place = document.at(&format!("spec.zones.{number}.except.{inner}"));
                let blanks = [("found", name.as_str()), ("zone", zone.name.as_str())];
                findings.push(Code::ExceptOutside.at(&place, &blanks).found(name.as_str()));
            }
        }
    }
    findings
}

fn no_wildcards(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let Some(spec) = spec(document) else { return Vec::new() };
    let mut names = Vec::new();
    for (number, zone) in spec.zones.iter().enumerate() {
        names.push((format!("spec.zones.{number}.name"), &zone.name));
        let inner = zone.except.iter().enumerate();
        names.extend(inner.map(|(inner, name)| (format!("spec.zones.{number}.except.{inner}"), name)));
    }
    let target = spec.edge.as_ref().map(|edge| &edge.cloudflare.target);
    names.extend(target.map(|target| ("spec.edge.cloudflare.target".to_owned(), target)));
    let wildcards = names.into_iter().filter(|(_, name)| name.is_wildcard());
    wildcards.map(|(path, name)| wildcard(document, &path, name.as_str())).collect()
}

/// The finding about a wildcard where a name must stand.
pub(super) fn wildcard(document: &Document, path: &str, found: &str) -> Finding {
    let within = format!("`{}`", spelled(path));
    let finding = Code::WildcardRefused.at(&document.at(path), &[("within", &within), ("found", found)]);
    finding.found(found)
}

/// AWS KMS makes a key in the account of whoever asks.
fn role_is_of_the_account(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let Some(kms) = spec(document).map(|spec| &spec.kms) else { return Vec::new() };
    let account = kms.assume_role.as_deref().and_then(|role| role.split(':').nth(4));
    let foreign = account.filter(|account| *account != kms.account_id);
    let finding = |found: &str| {
        let blanks = [("found", found), ("accepted", kms.account_id.as_str())];
        Code::RoleElsewhere.at(&document.at("spec.kms.assumeRole"), &blanks).found(found).accepts([&kms.account_id])
    };
    foreign.map(finding).into_iter().collect()
}

/// A wrong label would lead around the policy of the environment.
fn trust_is_what_the_issuer_has(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let issuers = spec(document).into_iter().flat_map(|spec| &spec.issuers).enumerate();
    issuers
        .filter_map(|(number, issuer)| {
            let (wanted, why) = mislabelled(issuer)?;
            let place = document.at(&format!("spec.issuers.{number}.trust"));
            let found = word(issuer.trust);
            let blanks = [("issuer", issuer.name.as_str()), ("found", found.as_str()), ("why", why)];
            let finding = Code::TrustMislabelled.at(&place, &blanks).found(&found);
            Some(finding.accepts([word(wanted)]).fixed_by(format!("write `trust: {}`", word(wanted))))
        })
        .collect()
}

fn mislabelled(issuer: &Issuer) -> Option<(Trust, &'static str)> {
    if issuer.authority.is_some() && issuer.trust != Trust::Private {
        return Some((Trust::Private, "an internal authority is trusted by nobody else"));
    }
    let host = url::Url::parse(&issuer.acme.as_ref()?.directory).ok()?.host_str()?.to_owned();
    let known = |list: &[&str]| list.iter().any(|known| host == *known || host.ends_with(&format!(".{known}")));
    if known(TEST) {
        (issuer.trust != Trust::Test).then_some((Trust::Test, "the directory is known as a test system"))
    } else if known(PUBLIC) {
        (issuer.trust != Trust::Public).then_some((Trust::Public, "every browser trusts the CA of this directory"))
    } else {
        None
    }
}

/// Test systems of public CAs.
const TEST: &[&str] = &[
    "acme-staging-v02.api.letsencrypt.org",
    "acme-staging.api.letsencrypt.org",
    "api.test4.buypass.no",
    "dv.acme-v02.test-api.pki.goog",
];

/// Public CAs with ACME.
const PUBLIC: &[&str] = &[
    "acme.sectigo.com",
    "acme.ssl.com",
    "acme.zerossl.com",
    "api.buypass.com",
    "api.letsencrypt.org",
    "dv.acme-v02.api.pki.goog",
    "one.digicert.com",
];

/// The key that wraps everything else must be asked for in a document too.
pub(super) fn wrapping_keys(versions: &mut Versions<'_>) {
    let found: Vec<(ObjectName, Vec<Finding>)> = versions
        .of(Kind::Environment)
        .filter_map(|document| Some((document.name.clone(), vec![wrapping_key(document, versions)?])))
        .collect();
    for (name, findings) in found {
        versions.reject(&name, findings);
    }
}

fn wrapping_key(document: &Document, versions: &Versions<'_>) -> Option<Finding> {
    let spec = spec(document)?;
    let namespace = super::versions::claimed(document).into_iter().next()?;
    let name = ObjectName { kind: Kind::KmsKey, namespace: Some(namespace), name: spec.kms.wrapping_key.clone() };
    let key = versions.standing.get(&name).map(|key| &*key.spec);
    let why = match key {
        Some(Spec::KmsKey(key)) if key.purpose == Purpose::Wrap => return None,
        Some(Spec::KmsKey(key)) => format!("has the purpose `{}`, accepted is `wrap`", key.purpose.word()),
        // Its own error says what is wrong; this one would only repeat it.
        _ if versions.rejected.contains(&name) => return None,
        _ => "has no document".to_owned(),
    };
    let place = document.at("spec.kms.wrappingKey");
    let finding = Code::WrappingKeyMissing.at(&place, &[("object", &name.to_string()), ("why", &why)]);
    Some(finding.found(spec.kms.wrapping_key.as_str()))
}
