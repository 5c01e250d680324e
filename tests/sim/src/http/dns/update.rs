//! Changing a zone (RFC 2136): prerequisites first, then all changes or none, signed or not at all.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::super::world::Shared;
use super::tsig::Tsig;
use super::wire;
use crate::lock;
use crate::model::dns::{Dns, Kind, UpdateKey, canonical};

/// The answer to an update; None is silence.
pub(super) fn respond(shared: &Shared, bytes: &[u8], message: &Message) -> Option<Vec<u8>> {
    let now = shared.now();
    let mut dns = lock(&shared.dns);
    let Some(tsig) = Tsig::of(bytes) else {
        return wire::refusal(message, ResponseCode::Refused).to_vec().ok();
    };
    let (code, bad) = match tsig.check(bytes, &dns, now).map(|(key, _)| key.clone()) {
        Ok(key) => (change(&mut dns, now, &key, message).err().unwrap_or(ResponseCode::NoError), None),
        Err(bad) => (ResponseCode::NotAuth, Some(bad)),
    };
    let answer = wire::refusal(message, code).to_vec().ok()?;
    tsig.sign(answer, &dns, now, bad)
}

fn change(dns: &mut Dns, now: i64, key: &UpdateKey, message: &Message) -> Result<(), ResponseCode> {
    let [zone] = message.queries.as_slice() else { return Err(ResponseCode::FormErr) };
    let zone = canonical(&zone.name.to_utf8());
    if !dns.is_zone(&zone) || zone.is_empty() {
        return Err(ResponseCode::NotAuth);
    }
    if !key.may_change(&zone) {
        return Err(ResponseCode::Refused);
    }
    // RFC 2136 calls the answer section of an update "prerequisites" and the authority section "updates".
    for record in message.answers.iter().chain(&message.authorities) {
        if dns.zone_of(&name_of(record)) != zone {
            return Err(ResponseCode::NotZone);
        }
    }
    message.answers.iter().try_for_each(|record| require(dns, record))?;
    let changes: Vec<Change> = message.authorities.iter().map(read).collect::<Result<_, _>>()?;
    for change in changes {
        change.apply(dns, now);
    }
    Ok(())
}

/// RFC 2136 section 2.4, without the form that compares whole sets.
fn require(dns: &Dns, record: &Record) -> Result<(), ResponseCode> {
    let name = name_of(record);
    let any = dns.records().any(|(at, _, _)| at == name);
    let set = kind_of(record.record_type()).is_some_and(|kind| !dns.values(&name, kind).is_empty());
    match (record.dns_class, record.record_type()) {
        (DNSClass::ANY, RecordType::ANY) if !any => Err(ResponseCode::NXDomain),
        (DNSClass::NONE, RecordType::ANY) if any => Err(ResponseCode::YXDomain),
        (DNSClass::ANY, kind) if kind != RecordType::ANY && !set => Err(ResponseCode::NXRRSet),
        (DNSClass::NONE, kind) if kind != RecordType::ANY && set => Err(ResponseCode::YXRRSet),
        (DNSClass::ANY | DNSClass::NONE, _) => Ok(()),
        _ => Err(ResponseCode::NotImp),
    }
}

enum Change {
    Add(String, Kind, String),
    Clear(String),
    Remove(String, Kind, String),
    RemoveSet(String, Kind),
}

impl Change {
    fn apply(self, dns: &mut Dns, now: i64) {
        match self {
            Self::Add(name, kind, value) => dns.add(now, &name, kind, &value),
            Self::Clear(name) => dns.clear(now, &name),
            Self::Remove(name, kind, value) => {
                dns.remove(now, &name, kind, &value);
            }
            Self::RemoveSet(name, kind) => dns.set(now, &name, kind, Vec::new()),
        }
    }
}

/// RFC 2136 section 2.5
fn read(record: &Record) -> Result<Change, ResponseCode> {
    let name = name_of(record);
    let kind = kind_of(record.record_type());
    match (record.dns_class, record.record_type()) {
        (DNSClass::ANY, RecordType::ANY) => Ok(Change::Clear(name)),
        (DNSClass::ANY, _) => kind.map(|kind| Change::RemoveSet(name, kind)).ok_or(ResponseCode::NotImp),
        (DNSClass::NONE, _) => {
            let (kind, value) = kind.zip(value_of(&record.data)).ok_or(ResponseCode::NotImp)?;
            Ok(Change::Remove(name, kind, value))
        }
        (DNSClass::IN, _) => {
            let (kind, value) = kind.zip(value_of(&record.data)).ok_or(ResponseCode::NotImp)?;
            Ok(Change::Add(name, kind, value))
        }
        _ => Err(ResponseCode::FormErr),
    }
}

fn kind_of(kind: RecordType) -> Option<Kind> {
    wire::kind_of(kind).filter(|kind| *kind != Kind::Soa)
}

fn name_of(record: &Record) -> String {
    canonical(&record.name.to_utf8())
}

/// A value in the words of the model.
fn value_of(data: &RData) -> Option<String> {
    Some(match data {
        RData::A(address) => address.0.to_string(),
        RData::AAAA(address) => address.0.to_string(),
        RData::CNAME(name) => canonical(&name.0.to_utf8()),
        RData::NS(name) => canonical(&name.0.to_utf8()),
        RData::TXT(text) => String::from_utf8(text.txt_data.concat()).ok()?,
        RData::CAA(caa) => {
            let value = String::from_utf8_lossy(&caa.value);
            format!("{} {} \"{value}\"", caa.flags(), caa.tag)
        }
        _ => return None,
    })
}
