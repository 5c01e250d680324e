//! What is accepted and worth knowing.

use super::environment::word;
use crate::{
    admin::Finding,
    desired::Spec,
    document::{Code, Document, spelled},
    environment::{Class, EnvironmentSpec, Rule, SecretReference},
};

/// The notices about a document.
pub(super) fn notices(document: &Document) -> Vec<Finding> {
    match &*document.spec {
        Spec::Environment(spec) => {
            let mut notices = exceptions(document, spec);
            notices.extend(not_used(document, spec));
            notices
        }
        _ => Vec::new(),
    }
}

fn exceptions(document: &Document, spec: &EnvironmentSpec) -> Vec<Finding> {
    let allows = |rule: Option<Rule>| rule == Some(Rule::Allow);
    let mut fields = Vec::new();
    if spec.class == Class::Production && allows(spec.policy.public_acme) {
        fields.push("publicAcme");
    }
    if spec.class == Class::NonProduction && allows(spec.policy.custom_hostnames) {
        fields.push("customHostnames");
    }
    let notice = |field: &str| {
        let (found, class) = (format!("{field}: Allow"), word(spec.class));
        let place = document.at(&format!("spec.policy.{field}"));
        Code::PolicyException.at(&place, &[("found", &found), ("class", &class)]).found(&found)
    };
    fields.into_iter().map(notice).collect()
}

fn not_used(document: &Document, spec: &EnvironmentSpec) -> Vec<Finding> {
    let dns = spec.zones.iter().enumerate().filter(|(_, zone)| zone.dns.is_some());
    let authorities = spec.issuers.iter().enumerate().filter(|(_, issuer)| issuer.authority.is_some());
    let paths = dns.map(|(number, _)| format!("spec.zones.{number}.dns"));
    let paths = paths.chain(authorities.map(|(number, _)| format!("spec.issuers.{number}.authority")));
    let notice =
        |path: String| Code::NotUsedYet.at(&document.at(&path), &[("within", &format!("`{}`", spelled(&path)))]);
    paths.map(notice).collect()
}

/// The references to secrets that are used, each with its path.
pub(super) fn secrets(spec: &EnvironmentSpec) -> Vec<(String, &SecretReference)> {
    let token = spec.edge.as_ref().map(|edge| ("spec.edge.cloudflare.apiToken".to_owned(), &edge.cloudflare.api_token));
    let roots = spec.issuers.iter().enumerate().filter_map(|(number, issuer)| {
        let roots = issuer.acme.as_ref()?.trusted_roots.as_ref()?;
        Some((format!("spec.issuers.{number}.acme.trustedRoots"), roots))
    });
    token.into_iter().chain(roots).collect()
}
