//! When a certificate is not worked on.

use super::{
    fleet::zone_of,
    refused::Refused,
    subject::{Rule, Subject},
};
use crate::{
    certificate::{IssuerChoice, TlsCertificateSpec},
    desired::Spec,
    document::{Document, nearest},
    environment::{ChallengeType, Issuer, Trust, Zone},
    name::DnsName,
    reason::Reason,
};

pub(super) const REFUSALS: &[Rule] = &[
    wildcard_covers_another_environment,
    names_lie_outside_the_zones,
    issuers_are_missing,
    policy_refuses,
    authority_not_supported,
    wildcard_not_supported,
    challenge_not_supported,
    secret_outlet_without_cluster,
    write_folder_missing,
    hook_missing,
    listener_missing,
];

fn spec(document: &Document) -> Option<&TlsCertificateSpec> {
    match &*document.spec {
        Spec::TlsCertificate(spec) => Some(spec),
        _ => None,
    }
}

fn names<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (String, &'a DnsName)> {
    let names = spec(subject.document).into_iter().flat_map(|spec| &spec.dns_names).enumerate();
    names.map(|(number, name)| (format!("spec.dnsNames.{number}"), name))
}

fn wildcard_covers_another_environment(subject: &Subject<'_>) -> Option<Refused> {
    let surroundings = subject.environment?;
    let excepted: Vec<&DnsName> = surroundings.spec.zones.iter().flat_map(|zone| &zone.except).collect();
    let covered = |name: &DnsName| {
        let covers =
            |inner: &&&DnsName| inner.as_str().split_once('.').is_some_and(|(_, parent)| parent == name.base());
        excepted.iter().filter(|_| name.is_wildcard()).find(covers).copied()
    };
    let (path, name, inner) = names(subject).find_map(|(path, name)| Some((path, name, covered(name)?)))?;
    let owner = subject.fleet.zone_elsewhere(inner, &surroundings.name);
    let owner = owner.map(|(owner, _)| format!(" of the environment `{owner}`")).unwrap_or_default();
    let message = format!("the wildcard `{name}` covers the excepted zone `{inner}`{owner}");
    Some(Refused::new(Reason::SeparationRefused, path, message).fix("write the names out that are needed"))
}

fn names_lie_outside_the_zones(subject: &Subject<'_>) -> Option<Refused> {
    let surroundings = subject.environment?;
    let (path, name) = names(subject).find(|(_, name)| zone_of(surroundings, name).is_none())?;
    let zones: Vec<String> = surroundings.spec.zones.iter().map(described).collect();
    let zones = if zones.is_empty() { "none".to_owned() } else { zones.join(", ") };
    let owner = subject.fleet.zone_elsewhere(name, &surroundings.name);
    let owner = owner.map(|(owner, zone)| format!("; it lies in the zone `{zone}` of the environment `{owner}`"));
    let message = format!(
        "`{name}` lies outside the zones of the environment `{}`, which are: {zones}{}",
        surroundings.name,
        owner.unwrap_or_default()
    );
    let fix = format!("remove the name, or add its zone to the environment `{}`", surroundings.name);
    Some(Refused::new(Reason::NameOutsideZones, path, message).fix(fix))
}

fn described(zone: &Zone) -> String {
    let except: Vec<&str> = zone.except.iter().map(DnsName::as_str).collect();
    match except.as_slice() {
        [] => format!("`{}`", zone.name),
        except => format!("`{}` except `{}`", zone.name, except.join("`, `")),
    }
}

/// The choices in force and where they stand.
fn choices<'a>(subject: &Subject<'a>) -> Option<(&'static str, &'a [IssuerChoice])> {
    let spec = spec(subject.document)?;
    match spec.issuers.as_slice() {
        [] => Some(("spec", &subject.environment?.spec.default_issuers)),
        issuers => Some(("spec.issuers", issuers)),
    }
}

fn issuer<'a>(subject: &Subject<'a>, choice: &IssuerChoice) -> Option<&'a Issuer> {
    subject.environment?.spec.issuers.iter().find(|issuer| issuer.name == choice.name)
}

fn issuers_are_missing(subject: &Subject<'_>) -> Option<Refused> {
    let (path, choices) = choices(subject)?;
    let surroundings = subject.environment?;
    if choices.is_empty() {
        let message = format!("neither it nor the environment `{}` names an issuer", surroundings.name);
        let refused = Refused::new(Reason::IssuerMissing, path, message);
        return Some(refused.fix("add `issuers` here, or `defaultIssuers` to the environment"));
    }
    let (number, unknown) = choices.iter().enumerate().find(|(_, choice)| issuer(subject, choice).is_none())?;
    let known: Vec<&str> = surroundings.spec.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
    let message = format!(
        "the environment `{}` has no issuer `{}`, accepted: {}",
        surroundings.name,
        unknown.name,
        if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) }
    );
    let fix = match nearest(unknown.name.as_str(), known.iter().copied()) {
        Some(meant) => format!("write `{meant}`"),
        None => format!("add the issuer to the environment `{}`, or name another one", surroundings.name),
    };
    Some(Refused::new(Reason::IssuerMissing, format!("{path}.{number}.name"), message).fix(fix))
}

fn policy_refuses(subject: &Subject<'_>) -> Option<Refused> {
    let surroundings = subject.environment?;
    let (path, choices) = choices(subject)?;
    if surroundings.spec.policy.allows_public_acme(surroundings.spec.class) {
        return None;
    }
    let public = |issuer: &Issuer| issuer.trust == Trust::Public && issuer.acme.is_some();
    let (number, choice) =
        choices.iter().enumerate().find(|(_, choice)| issuer(subject, choice).is_some_and(public))?;
    let message = format!(
        "the environment `{}` does not allow public certificates by ACME, and the issuer `{}` is one",
        surroundings.name, choice.name
    );
    let refused = Refused::new(Reason::PolicyRefuses, format!("{path}.{number}.name"), message);
    Some(
        refused
            .fix("name another issuer")
            .fix("or allow it with `policy: { publicAcme: Allow }`, an exception that is audited"),
    )
}

fn authority_not_supported(subject: &Subject<'_>) -> Option<Refused> {
    let (path, choices) = choices(subject)?;
    let internal = |choice: &IssuerChoice| issuer(subject, choice).is_some_and(|issuer| issuer.authority.is_some());
    let (number, choice) = choices.iter().enumerate().find(|(_, choice)| internal(choice))?;
    let message = format!("the issuer `{}` is an internal authority, which comes with a later release", choice.name);
    let refused = Refused::new(Reason::NotSupportedYet, format!("{path}.{number}.name"), message);
    Some(refused.fix("name an ACME issuer"))
}

fn wildcard_not_supported(subject: &Subject<'_>) -> Option<Refused> {
    let (path, name) = names(subject).find(|(_, name)| name.is_wildcard())?;
    let message = format!("the wildcard `{name}` needs dns-01, which comes with a later release");
    Some(Refused::new(Reason::NotSupportedYet, path, message).fix("write the names out that are needed"))
}

fn challenge_not_supported(subject: &Subject<'_>) -> Option<Refused> {
    let surroundings = subject.environment?;
    let dns_alone =
        |name: &DnsName| zone_of(surroundings, name).filter(|zone| !zone.challenges.contains(&ChallengeType::Http01));
    let (path, name, zone) = names(subject).find_map(|(path, name)| Some((path, name, dns_alone(name)?)))?;
    let message = format!(
        "`{name}` lies in the zone `{}`, which allows dns-01 alone; that comes with a later release",
        zone.name
    );
    let fix = format!("add `http-01` to `challenges` of the zone `{}`", zone.name);
    Some(Refused::new(Reason::NotSupportedYet, path, message).fix(fix))
}

fn secret_outlet_without_cluster(subject: &Subject<'_>) -> Option<Refused> {
    let outlets = spec(subject.document)?.outlets.iter().enumerate();
    let (number, outlet) = outlets.into_iter().find(|(_, outlet)| outlet.secret.is_some())?;
    let message = format!(
        "the outlet `{}` is a Kubernetes Secret, and the settings lack `source: {{ kubernetes: {{}} }}`",
        outlet.name
    );
    let refused = Refused::new(Reason::SettingMissing, format!("spec.outlets.{number}.secret"), message);
    (!subject.settings.kubernetes)
        .then(|| refused.fix("write `files: { directory: … }`, or run clavigerd in a cluster"))
}

fn write_folder_missing(subject: &Subject<'_>) -> Option<Refused> {
    let outlets = spec(subject.document)?.outlets.iter().enumerate();
    let (number, outlet) = outlets.into_iter().find(|(_, outlet)| outlet.files.is_some())?;
    let message = format!("the outlet `{}` writes files, and the settings lack `files.write`", outlet.name);
    let refused = Refused::new(Reason::SettingMissing, format!("spec.outlets.{number}.files"), message);
    (!subject.settings.writes).then(|| refused.fix("add `files: { write: FOLDER }` to the settings"))
}

fn hook_missing(subject: &Subject<'_>) -> Option<Refused> {
    let hooks = &subject.settings.hooks;
    let outlets = spec(subject.document)?.outlets.iter().enumerate();
    let named = outlets.filter_map(|(number, outlet)| Some((number, outlet.files.as_ref()?.reload.as_ref()?)));
    let (number, hook) = named.into_iter().find(|(_, hook)| !hooks.contains(hook))?;
    let known: Vec<&str> = hooks.iter().map(|hook| hook.as_str()).collect();
    let accepted = if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
    let message = format!("the settings have no hook `{hook}`, accepted: {accepted}");
    let fix = match nearest(hook.as_str(), known.iter().copied()) {
        Some(meant) => format!("write `reload: {meant}`"),
        None => format!("add `hooks: {{ {hook}: {{ command: […] }} }}` to the settings"),
    };
    Some(Refused::new(Reason::SettingMissing, format!("spec.outlets.{number}.files.reload"), message).fix(fix))
}

fn listener_missing(subject: &Subject<'_>) -> Option<Refused> {
    let (path, name) = names(subject).next()?;
    let message = format!("`{name}` is proven by http-01, and the settings lack `http01.listen`");
    let refused = Refused::new(Reason::HttpListenerMissing, path, message);
    (!subject.settings.http01).then(|| refused.fix("add `http01: { listen: \"0.0.0.0:80\" }` to the settings"))
}
