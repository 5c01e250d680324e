//! Signed messages (RFC 8945): the last record of a message is a MAC over everything before it.

use aws_lc_rs::hmac;

use crate::model::dns::{Dns, UpdateKey};

/// The TSIG record of a request.
#[derive(Debug)]
pub(super) struct Tsig {
    /// Where the record begins.
    start: usize,
    key: Vec<u8>,
    algorithm: Vec<u8>,
    time: u64,
    fudge: u16,
    mac: Vec<u8>,
    original_id: u16,
}

/// Why a signature is not taken (RFC 8945 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    Signature = 16,
    Key = 17,
    Time = 18,
}

impl Tsig {
    /// The signature of a message; None when it has none, or is no message.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        let mut reader = Reader { message, at: 4 };
        let counts = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
        for _ in 0..counts[0] {
            reader.name()?;
            reader.take(4)?;
        }
        for _ in 1..counts[1..].iter().map(|count| u32::from(*count)).sum::<u32>() {
            reader.record()?;
        }
        if counts[3] == 0 {
            return None;
        }
        let start = reader.at;
        let key = reader.name()?;
        if reader.number()? != TYPE {
            return None;
        }
        reader.take(8)?;
        Self::read(&mut reader, start, key)
    }

    fn read(reader: &mut Reader<'_>, start: usize, key: Vec<u8>) -> Option<Self> {
        let algorithm = reader.name()?;
        let time = u64::from(reader.number()?) << 32 | u64::from(reader.number()?) << 16 | u64::from(reader.number()?);
        let fudge = reader.number()?;
        let length = usize::from(reader.number()?);
        let mac = reader.take(length)?.to_vec();
        let original_id = reader.number()?;
        Some(Self { start, key, algorithm, time, fudge, mac, original_id })
    }

    /// The key that signed, once the signature and the time are right.
    pub(super) fn check<'a>(&self, message: &[u8], dns: &'a Dns, now: i64) -> Result<(&'a UpdateKey, String), Bad> {
        let name = text(&self.key);
        let key = dns.update_key(&name).ok_or(Bad::Key)?;
        let algorithm = algorithm(&text(&self.algorithm)).ok_or(Bad::Key)?;
        let mut signed = message.get(..self.start).ok_or(Bad::Signature)?.to_vec();
        signed[..2].copy_from_slice(&self.original_id.to_be_bytes());
        let additional = u16::from_be_bytes([signed[10], signed[11]]).wrapping_sub(1);
        signed[10..12].copy_from_slice(&additional.to_be_bytes());
        signed.extend(self.variables(self.time, 0, &[]));
        let secret = hmac::Key::new(algorithm, key.secret());
        hmac::verify(&secret, &signed, &self.mac).map_err(|_| Bad::Signature)?;
        let seconds = now.div_euclid(1000);
        let apart = seconds.abs_diff(i64::try_from(self.time).unwrap_or(0));
        if dns.check_update_time && apart > u64::from(self.fudge) { Err(Bad::Time) } else { Ok((key, name)) }
    }

    /// Signs an answer; to a request that was badly signed it carries the reason and no MAC.
    pub(super) fn sign(&self, mut answer: Vec<u8>, dns: &Dns, now: i64, bad: Option<Bad>) -> Option<Vec<u8>> {
        let seconds = now.div_euclid(1000) as u64;
        let (error, time) = (bad.map_or(0, |bad| bad as u16), if bad == Some(Bad::Time) { self.time } else { seconds });
        let other = if bad == Some(Bad::Time) { seconds.to_be_bytes()[2..].to_vec() } else { Vec::new() };
        let key = dns.update_key(&text(&self.key)).filter(|_| !matches!(bad, Some(Bad::Key | Bad::Signature)));
        let mac = match key {
            Some(key) => {
                let before = [&(self.mac.len() as u16).to_be_bytes(), &self.mac[..]].concat();
                let signed = [before, answer.clone(), self.variables(time, error, &other)].concat();
                hmac::sign(&hmac::Key::new(algorithm(&text(&self.algorithm))?, key.secret()), &signed).as_ref().to_vec()
            }
            None => Vec::new(),
        };
        let id = [answer[0], answer[1]];
        let data = [
            &self.algorithm[..],
            &time.to_be_bytes()[2..],
            &self.fudge.to_be_bytes(),
            &(mac.len() as u16).to_be_bytes(),
            &mac,
            &id,
            &error.to_be_bytes(),
            &(other.len() as u16).to_be_bytes(),
            &other,
        ]
        .concat();
        let additional = u16::from_be_bytes([answer[10], answer[11]]) + 1;
        answer[10..12].copy_from_slice(&additional.to_be_bytes());
        answer.extend_from_slice(&self.key);
        answer.extend_from_slice(&[0, TYPE as u8, 0, CLASS_ANY, 0, 0, 0, 0]);
        answer.extend_from_slice(&(data.len() as u16).to_be_bytes());
        answer.extend_from_slice(&data);
        Some(answer)
    }

    /// RFC 8945 section 4.3.3
    fn variables(&self, time: u64, error: u16, other: &[u8]) -> Vec<u8> {
        [
            &self.key[..],
            &[0, CLASS_ANY, 0, 0, 0, 0],
            &self.algorithm,
            &time.to_be_bytes()[2..],
            &self.fudge.to_be_bytes(),
            &error.to_be_bytes(),
            &(other.len() as u16).to_be_bytes(),
            other,
        ]
        .concat()
    }
}

/// Walks a message from the front.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at + count)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A name in its canonical form: lower case, not compressed.
    fn name(&mut self) -> Option<Vec<u8>> {
        let (mut name, mut back, mut jumps) = (Vec::new(), None, 0);
        loop {
            let length = self.take(1)?[0];
            match length {
                0 => break,
                1..=63 => {
                    name.push(length);
                    name.extend(self.take(usize::from(length))?.to_ascii_lowercase());
                }
                _ if length >= 0xc0 && jumps < MOST_JUMPS => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(self.take(1)?[0]);
                    back.get_or_insert(self.at);
                    (self.at, jumps) = (target, jumps + 1);
                }
                _ => return None,
            }
        }
        self.at = back.unwrap_or(self.at);
        name.push(0);
        Some(name)
    }

    fn record(&mut self) -> Option<()> {
        self.name()?;
        self.take(8)?;
        let length = usize::from(self.number()?);
        self.take(length).map(|_| ())
    }
}

/// A canonical name as people write it.
fn text(name: &[u8]) -> String {
    let (mut labels, mut rest) = (Vec::new(), name);
    while let Some((length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let Some((label, tail)) = tail.split_at_checked(usize::from(*length)) else { break };
        labels.push(String::from_utf8_lossy(label).into_owned());
        rest = tail;
    }
    labels.join(".")
}

fn algorithm(name: &str) -> Option<hmac::Algorithm> {
    match name {
        "hmac-sha256" => Some(hmac::HMAC_SHA256),
        "hmac-sha384" => Some(hmac::HMAC_SHA384),
        "hmac-sha512" => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

const TYPE: u16 = 250;
const CLASS_ANY: u8 = 255;
const MOST_JUMPS: u8 = 16;
