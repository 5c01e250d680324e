//! What may be asked for.

use claviger_config::{
    DnsName, ObjectName,
    admin::HostnameRequest,
    desired::{Place, Spec, Surroundings},
    document::finding::cannot_be_seen,
    hostname::{Origin, Validation},
};

use super::Named;
use crate::{
    adapters::sqlite::HostnameRow,
    admin::{
        Admin,
        errors::{self, Code, Problem},
    },
};

/// Refuses what would be refused as a document too.
pub(super) fn judge(admin: &Admin, named: &Named, asked: &HostnameRequest) -> Result<(), Problem> {
    texts(asked)?;
    policy(&named.at)?;
    let edge = named.at.spec.edge.as_ref().ok_or_else(|| edge_missing(&named.at))?;
    separation(admin, named)?;
    validation(asked.validation, edge.cloudflare.defaults.validation)
}

fn texts(asked: &HostnameRequest) -> Result<(), Problem> {
    text("tenant", &asked.tenant, 1)?;
    text("reference", asked.reference.as_deref().unwrap_or_default(), 0)
}

/// A text of the body, as its schema says it, without characters that cannot be seen.
fn text(field: &str, found: &str, shortest: usize) -> Result<(), Problem> {
    let length = found.chars().count();
    if !(shortest..=LONGEST).contains(&length) {
        let message = format!("found {length} characters; accepted: {shortest} to {LONGEST}");
        return Err(errors::field_wrong(field, message, "use an id instead of a text"));
    }
    if found.chars().any(cannot_be_seen) {
        let message = format!("`{}` holds a character that cannot be seen", errors::short(found));
        return Err(errors::field_wrong(field, message, "remove the character"));
    }
    Ok(())
}

const LONGEST: usize = 253;

fn policy(at: &Surroundings) -> Result<(), Problem> {
    if at.spec.policy.allows_custom_hostnames(at.spec.class) {
        return Ok(());
    }
    let message = format!("the policy of the environment `{}` refuses customers' host names", at.name);
    let fix = "add the host name to an environment whose policy allows it";
    Err(Problem::new(Code::PolicyRefuses, message, at.name.as_str(), fix))
}

fn edge_missing(at: &Surroundings) -> Problem {
    let message = format!("the environment `{}` has no `edge`, so there is nowhere to serve the name", at.name);
    Problem::new(Code::SettingMissing, message, at.name.as_str(), "add `edge.cloudflare` to its document")
}

fn separation(admin: &Admin, named: &Named) -> Result<(), Problem> {
    for other in admin.shared.documents.environments() {
        if let Some(zone) = zone_of(&other, &named.hostname).filter(|_| other.name != named.at.name) {
            let message = format!(
                "`{}` lies in the zone `{zone}` of the environment `{}`, asked for in `{}`",
                named.hostname, other.name, named.at.name
            );
            let fix = format!("ask for another name, or add it to `except` of the zone `{zone}`");
            return Err(Problem::new(Code::SeparationRefused, message, named.hostname.as_str(), fix));
        }
    }
    Ok(())
}

fn zone_of<'a>(at: &'a Surroundings, hostname: &DnsName) -> Option<&'a DnsName> {
    let mine = |zone: &&claviger_config::environment::Zone| {
        hostname.within(&zone.name) && !zone.except.iter().any(|except| hostname.within(except))
    };
    at.spec.zones.iter().find(mine).map(|zone| &zone.name)
}

fn validation(asked: Option<Validation>, default: Validation) -> Result<(), Problem> {
    let validation = asked.unwrap_or(default);
    if validation == Validation::Http {
        return Ok(());
    }
    let message = format!("validation `{}` comes with a later release; accepted: http", validation.word());
    Err(Problem::new(Code::NotSupportedYet, message, "body, field `validation`", "send `\"validation\": \"http\"`"))
}

/// A document that asks for the name keeps it; one that has the name's object for another host name must give it up first.
pub(super) fn not_taken_by_a_document(admin: &Admin, named: &Named, row: Option<&HostnameRow>) -> Result<(), Problem> {
    if let Some(row) = row.filter(|row| row.entry.origin == Origin::Document) {
        return Err(claimed(admin, named, row));
    }
    let object = named.object()?;
    let taken = claviger_core::ports::Source::wanted(&*admin.shared.documents, &object);
    match taken.filter(|wanted| wanted.origin == Origin::Document) {
        None => Ok(()),
        Some(wanted) => {
            let message = format!(
                "`{}` would be shown as `{object}`, which {} is",
                named.hostname,
                stands(wanted.place.as_ref())
            );
            let fix = format!("rename `{object}` in its document, then ask again");
            Err(Problem::new(Code::HostnameClaimed, message, object.to_string(), fix))
        }
    }
}

fn claimed(admin: &Admin, named: &Named, row: &HostnameRow) -> Problem {
    let message = format!(
        "the host name `{}` of environment `{}` belongs to tenant `{}` (origin Document: {}), the API asks for it: the document keeps it",
        named.hostname,
        named.at.name,
        row.entry.tenant,
        holder(admin, named)
    );
    let fix = "remove the document first, then ask again";
    Problem::new(Code::HostnameClaimed, message, named.hostname.as_str(), fix)
}

/// What a document asks for goes with the document only.
pub(super) fn not_of_a_document(admin: &Admin, named: &Named, row: &HostnameRow) -> Result<(), Problem> {
    if row.entry.origin != Origin::Document {
        return Ok(());
    }
    let message = format!("the host name `{}` is asked for by a document: {}", named.hostname, holder(admin, named));
    let fix = "remove the document; the host name goes with it";
    Err(Problem::new(Code::HostnameFromDocument, message, named.hostname.as_str(), fix))
}

fn holder(admin: &Admin, named: &Named) -> String {
    let mut holder = None;
    admin.shared.documents.each(|name, wanted| {
        let here = wanted.environment.as_ref().is_some_and(|at| at.name == named.at.name);
        if let (Spec::CustomHostname(spec), true, Origin::Document) = (&*wanted.spec, here, wanted.origin)
            && spec.hostname == named.hostname
        {
            holder = Some(worded(name, wanted.place.as_ref()));
        }
    });
    holder.unwrap_or_else(|| "a document that is no longer in force".to_owned())
}

fn worded(name: &ObjectName, place: Option<&Place>) -> String {
    format!("`{name}`, {}", stands(place))
}

fn stands(place: Option<&Place>) -> String {
    place.map_or_else(|| "a document".to_owned(), |place| format!("a document at {place}"))
}
