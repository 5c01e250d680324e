//! What a host name's document may say, and when it is not worked on.

use super::{
    Incumbent, Own,
    environment::{immutable, wildcard},
    refused::Refused,
    subject::{Rule, Subject},
};
use crate::{
    admin::Finding,
    desired::Spec,
    document::Document,
    hostname::{CustomHostnameSpec, Validation},
    reason::Reason,
};

pub(super) const OWN: &[Own] = &[name_and_tenant_are_for_life, name_is_no_wildcard];

pub(super) const REFUSALS: &[Rule] =
    &[policy_refuses, edge_missing, zone_of_another_environment, claimed_before, validation_not_supported];

fn spec(document: &Document) -> Option<&CustomHostnameSpec> {
    match &*document.spec {
        Spec::CustomHostname(spec) => Some(spec),
        _ => None,
    }
}

fn name_and_tenant_are_for_life(document: &Document, incumbent: Option<&Incumbent>) -> Vec<Finding> {
    let (Some(now), Some(Spec::CustomHostname(then))) =
        (spec(document), incumbent.map(|incumbent| &*incumbent.document))
    else {
        return Vec::new();
    };
    let name = immutable(document, "spec.hostname", now.hostname.as_str(), then.hostname.as_str());
    let tenant = immutable(document, "spec.tenant", &now.tenant, &then.tenant);
    name.into_iter().chain(tenant).collect()
}

fn name_is_no_wildcard(document: &Document, _: Option<&Incumbent>) -> Vec<Finding> {
    let found = spec(document).map(|spec| &spec.hostname).filter(|name| name.is_wildcard());
    found.map(|name| wildcard(document, "spec.hostname", name.as_str())).into_iter().collect()
}

fn policy_refuses(subject: &Subject<'_>) -> Option<Refused> {
    spec(subject.document)?;
    let surroundings = subject.environment?;
    let allowed = surroundings.spec.policy.allows_custom_hostnames(surroundings.spec.class);
    let message = format!("the environment `{}` does not allow customers' host names", surroundings.name);
    (!allowed).then(|| {
        Refused::new(Reason::PolicyRefuses, "spec.hostname", message)
            .fix("move the host name to an environment of the class `production`")
            .fix("or allow it there with `policy: { customHostnames: Allow }`, an exception that is audited")
    })
}

fn edge_missing(subject: &Subject<'_>) -> Option<Refused> {
    spec(subject.document)?;
    let surroundings = subject.environment?;
    let message =
        format!("the environment `{}` has no `edge`, so there is nowhere to serve the name", surroundings.name);
    surroundings
        .spec
        .edge
        .is_none()
        .then(|| Refused::new(Reason::SettingMissing, "spec.hostname", message).fix("add `edge` to the environment"))
}

fn zone_of_another_environment(subject: &Subject<'_>) -> Option<Refused> {
    let name = &spec(subject.document)?.hostname;
    let (owner, zone) = subject.fleet.zone_elsewhere(name, &subject.environment?.name)?;
    let message = format!("`{name}` lies in the zone `{zone}` of the environment `{owner}`");
    let fix = format!("remove the host name, or add it to `except` of the zone `{zone}`");
    Some(Refused::new(Reason::SeparationRefused, "spec.hostname", message).fix(fix))
}

fn claimed_before(subject: &Subject<'_>) -> Option<Refused> {
    let name = &spec(subject.document)?.hostname;
    let owner = subject.fleet.hostname_owner(&subject.environment?.name, name)?;
    let message = format!("`{name}` belongs to {} in {}", owner.name, owner.at("spec.hostname"));
    (owner.name != subject.document.name)
        .then(|| Refused::new(Reason::HostnameClaimed, "spec.hostname", message).fix("remove one of the two documents"))
}

fn validation_not_supported(subject: &Subject<'_>) -> Option<Refused> {
    let own = spec(subject.document)?.validation;
    let edge = subject.environment?.spec.edge.as_ref()?;
    let validation = own.unwrap_or(edge.cloudflare.defaults.validation);
    let message = format!("`validation: {}` comes with a later release", validation.word());
    (validation != Validation::Http)
        .then(|| Refused::new(Reason::NotSupportedYet, "spec.validation", message).fix("write `validation: http`"))
}
