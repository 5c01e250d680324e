//! What the customer must have in DNS, and whether it is there. Could not be asked is never "missing".

use claviger_config::{
    Moment,
    hostname::{CustomerRecord, RecordPurpose, Verdict},
};

use super::{Hostname, V, watch, zone};
use crate::domain::{
    effect::{DnsAnswer, DnsQuestion, HostnameSeen, RecordType},
    noun::Viewed,
};

/// CAs that Cloudflare uses for custom host names.
/// <https://developers.cloudflare.com/ssl/reference/certificate-authorities/>
const AUTHORITIES: [&str; 3] = ["letsencrypt.org", "pki.goog", "ssl.com"];

pub(super) fn questions(view: &V<'_>) -> Vec<DnsQuestion> {
    let (Some(zone), hostname) = (zone(view), view.spec.hostname.as_str()) else { return Vec::new() };
    let ask = |name: &str, r#type| DnsQuestion { name: name.to_owned(), r#type };
    let mut questions = vec![
        ask(hostname, RecordType::Cname),
        ask(hostname, RecordType::A),
        ask(hostname, RecordType::Aaaa),
        ask(zone.target.as_str(), RecordType::A),
        ask(zone.target.as_str(), RecordType::Aaaa),
    ];
    let Some(seen) = watch::current(view).filter(|seen| !watch::serves(seen, view.now)) else { return questions };
    questions.extend(climb(hostname).map(|name| ask(name, RecordType::Caa)));
    questions.extend(proofs(seen).map(|(_, name, _)| ask(name, RecordType::Txt)));
    questions.dedup();
    questions
}

/// RFC 8659 section 3: the name itself, then its parents.
fn climb(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent))
        .filter(|name| name.contains('.'))
}

fn proofs(seen: &HostnameSeen) -> impl Iterator<Item = (RecordPurpose, &str, &str)> {
    let ownership =
        seen.ownership.iter().map(|(name, value)| (RecordPurpose::Ownership, name.as_str(), value.as_str()));
    let texts = seen.certificate.iter().flat_map(|certificate| &certificate.txt);
    ownership.chain(texts.map(|(name, value)| (RecordPurpose::Certificate, name.as_str(), value.as_str())))
}

/// Whether the name points at us.
pub(super) fn traffic(view: &V<'_>) -> Verdict {
    let Some(zone) = zone(view) else { return Verdict::Unknown };
    pointing(&view.seen.facts.answers, view.spec.hostname.as_str(), zone.target.as_str()).0
}

/// What the name points at, in a sentence.
pub(super) fn found(view: &V<'_>) -> String {
    let hostname = &view.spec.hostname;
    let target = zone(view).map_or("", |zone| zone.target.as_str());
    let (verdict, found) = pointing(&view.seen.facts.answers, hostname.as_str(), target);
    match verdict {
        Verdict::Add => format!("`{hostname}` has no record yet; it must be a CNAME to `{target}`"),
        Verdict::Conflict => format!("`{hostname}` points at {}; it must be a CNAME to `{target}`", found.join(", ")),
        Verdict::Ok => format!("`{hostname}` points at `{target}`"),
        Verdict::Unknown => format!("DNS could not be asked about `{hostname}`"),
    }
}

/// The one thing that the customer must do.
pub(super) fn advice(view: &V<'_>) -> String {
    let hostname = &view.spec.hostname;
    let target = zone(view).map_or("", |zone| zone.target.as_str());
    match traffic(view) {
        Verdict::Conflict => format!("ask the customer to replace it by `{hostname} CNAME {target}`"),
        _ => format!("ask the customer to add `{hostname} CNAME {target}`"),
    }
}

fn pointing(answers: &[DnsAnswer], hostname: &str, target: &str) -> (Verdict, Vec<String>) {
    let Some(aliases) = values(answers, hostname, RecordType::Cname) else { return (Verdict::Unknown, Vec::new()) };
    if aliases.iter().any(|alias| alias == target) {
        return (Verdict::Ok, aliases.to_vec());
    }
    let both = |name| Some([values(answers, name, RecordType::A)?, values(answers, name, RecordType::Aaaa)?].concat());
    let Some(addresses) = both(hostname) else { return (Verdict::Unknown, Vec::new()) };
    let ours = both(target).unwrap_or_default();
    // An apex cannot be a CNAME: its provider flattens it, and only the addresses can be compared.
    if !addresses.is_empty() && addresses.iter().all(|address| ours.contains(address)) {
        return (Verdict::Ok, addresses);
    }
    match (aliases.is_empty(), addresses.is_empty()) {
        (true, true) => (Verdict::Add, Vec::new()),
        (false, _) => (Verdict::Conflict, aliases.to_vec()),
        (true, false) => (Verdict::Conflict, addresses),
    }
}

fn values<'a>(answers: &'a [DnsAnswer], name: &str, r#type: RecordType) -> Option<&'a [String]> {
    let answer = answers.iter().find(|a| a.question.r#type == r#type && a.question.name.eq_ignore_ascii_case(name))?;
    answer.values.as_deref()
}

/// The CAA records that forbid every CA that Cloudflare uses, if there are any.
pub(super) fn forbidding_caa(view: &V<'_>) -> Option<(String, Vec<String>)> {
    let answers = &view.seen.facts.answers;
    for name in climb(view.spec.hostname.as_str()) {
        let found = values(answers, name, RecordType::Caa)?; // unknown: nothing can be said
        let issuers: Vec<String> = found.iter().filter(|value| value.contains(" issue ")).cloned().collect();
        if found.is_empty() {
            continue;
        }
        let allowed = issuers.is_empty() || issuers.iter().any(|value| AUTHORITIES.iter().any(|ca| value.contains(ca)));
        return (!allowed).then(|| (name.to_owned(), issuers));
    }
    None
}

/// Every record that the customer must or may have, with what DNS shows of it.
pub(super) fn shown(view: &Viewed<'_, Hostname>) -> Vec<CustomerRecord> {
    let facts = &view.seen.facts;
    let at = facts.answered_at.filter(|_| !facts.answers.is_empty()).map(Moment::to_second);
    let edge = view.wanted.and_then(|wanted| wanted.environment.as_ref()?.spec.edge.as_ref());
    let (Some(spec), Some(edge)) = (view.spec, edge) else { return Vec::new() };
    let target = edge.cloudflare.target.as_str();
    let (verdict, found) = pointing(&facts.answers, spec.hostname.as_str(), target);
    let traffic = CustomerRecord {
        purpose: RecordPurpose::Traffic,
        r#type: "CNAME".to_owned(),
        name: spec.hostname.to_string(),
        value: target.to_owned(),
        optional: false,
        verdict,
        found: if verdict == Verdict::Ok { Vec::new() } else { found },
        checked_at: at,
    };
    let seen = facts.seen.as_ref().and_then(|(seen, _)| seen.as_deref()).filter(|seen| !watch::serves(seen, view.now));
    let proofs = seen.into_iter().flat_map(proofs).map(|proof| text(&facts.answers, proof, at));
    std::iter::once(traffic).chain(proofs).collect()
}

/// A TXT record is an alternative proof: good for moving traffic only once everything is in place.
fn text(
    answers: &[DnsAnswer],
    (purpose, name, value): (RecordPurpose, &str, &str),
    at: Option<Moment>,
) -> CustomerRecord {
    let found = values(answers, name, RecordType::Txt);
    let verdict = match found {
        None => Verdict::Unknown,
        Some(found) if found.iter().any(|text| text == value) => Verdict::Ok,
        Some([]) => Verdict::Add,
        Some(_) => Verdict::Conflict,
    };
    CustomerRecord {
        purpose,
        r#type: "TXT".to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
        optional: true,
        verdict,
        found: found.filter(|_| verdict == Verdict::Conflict).unwrap_or_default().to_vec(),
        checked_at: at,
    }
}
