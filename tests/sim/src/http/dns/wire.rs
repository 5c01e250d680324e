//! Between the model's words and DNS messages (RFC 1035).

use std::str::FromStr;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, NULL, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::super::world::Shared;
use super::update;
use crate::lock;
use crate::model::dns::{Kind, Outcome, Reply};

/// A message and what it was read from.
pub(super) struct Asked<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) message: Message,
}

/// The record type that is asked for; what counts, faults and hooks know a question by.
pub(super) fn operation(question: &Message) -> String {
    match question.queries.first() {
        Some(query) if question.metadata.op_code == OpCode::Query => query.query_type.to_string(),
        _ if question.metadata.op_code == OpCode::Update => "UPDATE".into(),
        _ => "unknown".into(),
    }
}

/// The answer of one name server; None is silence.
pub(super) fn respond(shared: &Shared, server: usize, asked: &Asked<'_>, datagram: bool) -> Option<Vec<u8>> {
    let question = &asked.message;
    let message = match question.queries.as_slice() {
        _ if question.metadata.op_code == OpCode::Update => return update::respond(shared, asked.bytes, question),
        _ if question.metadata.op_code != OpCode::Query => refusal(question, ResponseCode::NotImp),
        [query] => look_up(shared, server, question, query)?,
        _ => refusal(question, ResponseCode::FormErr),
    };
    let bytes = message.to_vec().ok()?;
    let most = if datagram { question.edns.as_ref().map_or(512, |edns| edns.max_payload().max(512)) } else { u16::MAX };
    if bytes.len() > usize::from(most) { message.truncate().to_vec().ok() } else { Some(bytes) }
}

/// An answer without records.
pub(super) fn refusal(question: &Message, code: ResponseCode) -> Message {
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata.response_code = code;
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.add_queries(question.queries.iter().cloned());
    if let Some(asked) = &question.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(asked.max_payload());
        message.set_edns(edns);
    }
    message
}

fn look_up(shared: &Shared, server: usize, question: &Message, query: &Query) -> Option<Message> {
    let now = shared.now();
    let dns = lock(&shared.dns);
    let Some(kind) = kind_of(query.query_type) else {
        // A type that is not played: the name is there or not, the data never.
        let reply = dns.lookup_at(server, now, &query.name.to_utf8(), Kind::Soa);
        return message(question, &reply, now, dns.ttl, Vec::new());
    };
    let reply = dns.lookup_at(server, now, &query.name.to_utf8(), kind);
    let records = reply.records.iter().filter_map(|one| record(&one.name, one.kind, &one.value, now, dns.ttl));
    let records = records.collect();
    message(question, &reply, now, dns.ttl, records)
}

fn message(question: &Message, reply: &Reply, now: i64, ttl: u32, records: Vec<Record>) -> Option<Message> {
    let code = match reply.outcome {
        Outcome::Found | Outcome::NoData => ResponseCode::NoError,
        Outcome::NxDomain => ResponseCode::NXDomain,
        Outcome::ServFail => ResponseCode::ServFail,
        Outcome::Refused => ResponseCode::Refused,
        Outcome::Silent => return None,
    };
    let mut message = refusal(question, code);
    message.metadata.authoritative = matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
    // The servers know every name, so that a stub resolver can be pointed at them.
    message.metadata.recursion_available = true;
    let nothing = records.is_empty() || reply.outcome == Outcome::NoData || reply.outcome == Outcome::NxDomain;
    message.add_answers(records);
    if nothing && message.metadata.authoritative {
        let text = format!("ns1.{0} hostmaster.{0}", reply.zone);
        message.add_authorities(record(&reply.zone, Kind::Soa, &text, now, ttl));
    }
    Some(message)
}

fn record(name: &str, kind: Kind, value: &str, now: i64, ttl: u32) -> Option<Record> {
    Some(Record::from_rdata(fqdn(name)?, ttl, data(kind, value, now, ttl)?))
}

fn data(kind: Kind, value: &str, now: i64, ttl: u32) -> Option<RData> {
    Some(match kind {
        Kind::A => RData::A(A::from_str(value).ok()?),
        Kind::Aaaa => RData::AAAA(AAAA::from_str(value).ok()?),
        Kind::Caa => RData::Unknown { code: RecordType::CAA, rdata: NULL::with(caa(value)?) },
        Kind::Cname => RData::CNAME(CNAME(fqdn(value)?)),
        Kind::Ns => RData::NS(NS(fqdn(value)?)),
        Kind::Soa => {
            let (primary, mailbox) = value.split_once(' ')?;
            let serial = now.div_euclid(1000) as u32;
            RData::SOA(SOA::new(fqdn(primary)?, fqdn(mailbox)?, serial, 3600, 600, 86_400, ttl))
        }
        // A text of more than 255 bytes goes in pieces.
        Kind::Txt => RData::TXT(TXT::from_bytes(value.as_bytes().chunks(255).collect())),
    })
}

/// RFC 8659 section 4.1, also for tags that nobody has defined yet.
fn caa(value: &str) -> Option<Vec<u8>> {
    let (flags, rest) = value.split_once(' ')?;
    let (tag, value) = rest.split_once(' ')?;
    let head = [flags.parse::<u8>().ok()?, u8::try_from(tag.len()).ok()?];
    Some([&head, tag.as_bytes(), value.trim_matches('"').as_bytes()].concat())
}

fn fqdn(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

pub(super) fn kind_of(kind: RecordType) -> Option<Kind> {
    Some(match kind {
        RecordType::A => Kind::A,
        RecordType::AAAA => Kind::Aaaa,
        RecordType::CAA => Kind::Caa,
        RecordType::CNAME => Kind::Cname,
        RecordType::NS => Kind::Ns,
        RecordType::SOA => Kind::Soa,
        RecordType::TXT => Kind::Txt,
        _ => return None,
    })
}
