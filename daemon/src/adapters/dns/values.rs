//! Records as text.

use std::collections::BTreeSet;

use claviger_core::domain::effect::RecordType;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType as WireType, rdata::CAA};

/// More than this is nobody's proof, and is not kept.
const MOST_RECORDS: usize = 32;
const MOST_BYTES: usize = 4_096;

pub(super) const fn record_type(wanted: RecordType) -> WireType {
    match wanted {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Caa => WireType::CAA,
        RecordType::Cname => WireType::CNAME,
        RecordType::Txt => WireType::TXT,
    }
}

/// The values of `name`, sorted, since servers rotate them; `None` when they are beyond the caps.
///
/// Aliases are followed for every type but CNAME, whose answer is the direct target (RFC 1034 section 3.6.2).
pub(super) fn values(answers: &[Record], name: &Name, wanted: RecordType) -> Option<Vec<String>> {
    let owners = if wanted == RecordType::Cname { BTreeSet::from([name]) } else { chain(answers, name) };
    let found: BTreeSet<String> = answers
        .iter()
        .filter(|record| record.record_type() == record_type(wanted) && owners.contains(&record.name))
        .filter_map(|record| text(&record.data))
        .collect();
    let bytes: usize = found.iter().map(String::len).sum();
    (found.len() <= MOST_RECORDS && bytes <= MOST_BYTES).then(|| found.into_iter().collect())
}

fn chain<'a>(answers: &'a [Record], name: &'a Name) -> BTreeSet<&'a Name> {
    let mut owners = BTreeSet::from([name]);
    // Records may come in any order: each round finds at least one more link.
    while let Some(next) = answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if owners.contains(&record.name) && !owners.contains(&target.0) => Some(&target.0),
        _ => None,
    }) {
        owners.insert(next);
    }
    owners
}

fn text(data: &RData) -> Option<String> {
    match data {
        RData::A(address) => Some(address.0.to_string()),
        RData::AAAA(address) => Some(address.0.to_string()),
        RData::CAA(policy) => Some(policy_text(policy)),
        RData::CNAME(target) => Some(name_text(&target.0)),
        // One text may be cut into strings of 255 bytes (RFC 1035 section 3.3.14).
        RData::TXT(chunks) => Some(printable(&chunks.txt_data.concat())),
        _ => None,
    }
}

/// As zone files write it (RFC 8659 section 4.1.1); tags are compared without regard to case, so they are told in lower case.
fn policy_text(policy: &CAA) -> String {
    format!("{} {} \"{}\"", policy.flags(), policy.tag.to_ascii_lowercase(), printable(&policy.value))
}

fn name_text(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}

/// A stranger's bytes must not steer a terminal.
fn printable(bytes: &[u8]) -> String {
    let mut told = String::new();
    for letter in String::from_utf8_lossy(bytes).chars() {
        if letter.is_control() {
            told.extend(letter.escape_default());
        } else {
            told.push(letter);
        }
    }
    told
}
