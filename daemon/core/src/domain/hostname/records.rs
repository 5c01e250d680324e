//! What the customer must have in DNS, and whether it is there. Could not be asked is never "missing".

use claviger_config::{
    Moment,
    hostname::{CustomerRecord, RecordPurpose, Verdict},
};

use super::{Hostname, V, machine, zone};
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
    let Some(seen) = machine::current(view).filter(|seen| !machine::serves(seen, view.now)) else { return questions };
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
    let seen =
        facts.seen.as_ref().and_then(|(seen, _)| seen.as_deref()).filter(|seen| !machine::serves(seen, view.now));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        effect::News,
        given::{Given, hostname, hostname_seen},
    };

    const NAME: &str = "shop.customer.example";
    const TARGET: &str = "saas.example.com";

    fn answer(name: &str, r#type: RecordType, values: Option<&[&str]>) -> DnsAnswer {
        let values = values.map(|values| values.iter().map(|value| (*value).to_owned()).collect());
        DnsAnswer { question: DnsQuestion { name: name.to_owned(), r#type }, values, server: "10.0.0.1".to_owned() }
    }

    fn verdict(answers: &[DnsAnswer]) -> Verdict {
        pointing(answers, NAME, TARGET).0
    }

    /// Seen at the edge like that, DNS not asked yet.
    fn seen(found: HostnameSeen) -> Given<Hostname> {
        hostname().hears(News::Hostname(Some(Box::new(found))))
    }

    #[test]
    fn a_cname_to_the_target_is_as_it_must_be() {
        assert_eq!(verdict(&[answer(NAME, RecordType::Cname, Some(&[TARGET]))]), Verdict::Ok);
    }

    #[test]
    fn an_apex_is_compared_by_its_addresses() {
        let apex = |ours: &[&str]| {
            [
                answer(NAME, RecordType::Cname, Some(&[])),
                answer(NAME, RecordType::A, Some(&["192.0.2.1", "192.0.2.2"])),
                answer(NAME, RecordType::Aaaa, Some(&[])),
                answer(TARGET, RecordType::A, Some(ours)),
                answer(TARGET, RecordType::Aaaa, Some(&[])),
            ]
        };
        assert_eq!(verdict(&apex(&["192.0.2.2", "192.0.2.1"])), Verdict::Ok);
        assert_eq!(verdict(&apex(&["192.0.2.1"])), Verdict::Conflict);
    }

    #[test]
    fn nothing_there_is_to_be_added_and_something_else_is_in_the_way() {
        let with = |aliases: &[&str], addresses: &[&str]| {
            verdict(&[
                answer(NAME, RecordType::Cname, Some(aliases)),
                answer(NAME, RecordType::A, Some(addresses)),
                answer(NAME, RecordType::Aaaa, Some(&[])),
            ])
        };
        assert_eq!(with(&[], &[]), Verdict::Add);
        assert_eq!(with(&["other.example"], &[]), Verdict::Conflict);
        assert_eq!(with(&[], &["192.0.2.1"]), Verdict::Conflict);
    }

    #[test]
    fn a_question_that_nobody_answered_is_unknown() {
        assert_eq!(verdict(&[]), Verdict::Unknown);
        assert_eq!(verdict(&[answer(NAME, RecordType::Cname, None)]), Verdict::Unknown);
        let halves = [answer(NAME, RecordType::Cname, Some(&[])), answer(NAME, RecordType::A, None)];
        assert_eq!(verdict(&halves), Verdict::Unknown);
    }

    #[test]
    fn caa_is_looked_for_from_the_name_upwards_and_the_nearest_counts() {
        let caa = |near: Option<&[&str]>, far: &[&str]| {
            let given = seen(hostname_seen("active", "pending_validation")).hears(News::Records(vec![
                answer(NAME, RecordType::Caa, near),
                answer("customer.example", RecordType::Caa, Some(far)),
            ]));
            forbidding_caa(&given.view()).map(|(name, _)| name)
        };
        let (ours, theirs): (&[&str], &[&str]) = (&["0 issue \"letsencrypt.org\""], &["0 issue \";\""]);
        assert_eq!(caa(Some(&[]), theirs).as_deref(), Some("customer.example"));
        assert_eq!(caa(Some(ours), theirs), None);
        assert_eq!(caa(Some(theirs), ours).as_deref(), Some(NAME));
        assert_eq!(caa(None, theirs), None, "unknown: nothing can be said");
        assert_eq!(caa(Some(&["0 iodef \"mailto:a@customer.example\""]), theirs), None, "only `issue` forbids");
    }

    #[test]
    fn proofs_are_asked_and_shown_only_until_it_serves() {
        let mut found = hostname_seen("pending", "pending_validation");
        found.ownership = Some(("_cf-custom-hostname.shop.customer.example".to_owned(), "token".to_owned()));
        found.certificate.as_mut().unwrap().txt =
            vec![("_acme-challenge.shop.customer.example".to_owned(), "proof".to_owned())];
        let given = seen(found.clone());
        let asked: Vec<_> = questions(&given.view()).into_iter().map(|question| question.r#type).collect();
        assert!(asked.contains(&RecordType::Txt) && asked.contains(&RecordType::Caa));
        let given = given.hears(News::Records(vec![
            answer("_cf-custom-hostname.shop.customer.example", RecordType::Txt, Some(&["token"])),
            answer("_acme-challenge.shop.customer.example", RecordType::Txt, Some(&["old"])),
        ]));
        let records = given.shown(shown);
        let told: Vec<_> = records.iter().map(|record| (record.purpose, record.optional, record.verdict)).collect();
        assert_eq!(
            told,
            [
                (RecordPurpose::Traffic, false, Verdict::Unknown),
                (RecordPurpose::Ownership, true, Verdict::Ok),
                (RecordPurpose::Certificate, true, Verdict::Conflict),
            ]
        );
        assert_eq!(records[2].found, ["old"]);
        (found.status, found.certificate.as_mut().unwrap().status) = ("active".to_owned(), "active".to_owned());
        let given = seen(found);
        assert!(questions(&given.view()).iter().all(|question| question.r#type != RecordType::Txt));
        assert_eq!(given.shown(shown).len(), 1);
    }

    #[test]
    fn records_that_were_never_checked_say_so() {
        let given = seen(hostname_seen("pending", "pending_validation"));
        let records = given.shown(shown);
        assert_eq!((records[0].verdict, records[0].checked_at), (Verdict::Unknown, None));
    }
}
