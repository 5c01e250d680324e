//! What DNS proves: ownership of a hostname, and a certificate's validation.

use super::certificate::{AUTHORITIES, Authority};
use super::{Hostname, Ssl, Zone};
use crate::model::dns::{Dns, Kind, Outcome, Verdict};

/// Does a hostname lead to the zone, by CNAME or by the same addresses?
pub(super) fn points(now: i64, dns: &Dns, zone: &Zone, hostname: &str) -> bool {
    let reply = dns.lookup(now, hostname, Kind::A);
    if reply.values(Kind::Cname).any(|target| target.trim_end_matches('.').eq_ignore_ascii_case(&zone.target)) {
        return true;
    }
    let target = dns.lookup(now, &zone.target, Kind::A);
    reply.outcome == Outcome::Found && reply.values(Kind::A).any(|one| target.values(Kind::A).any(|known| known == one))
}

/// The TXT record that proves ownership before traffic moves.
pub(super) fn has_ownership_record(now: i64, dns: &Dns, one: &Hostname) -> bool {
    let reply = dns.lookup(now, &ownership_name(&one.hostname), Kind::Txt);
    reply.values(Kind::Txt).any(|value| value == one.ownership)
}

pub(super) fn ownership_name(hostname: &str) -> String {
    format!("_cf-custom-hostname.{hostname}")
}

/// Is the order validated? An exact name that points here passes by HTTP, whatever the method.
pub(super) fn validated(now: i64, dns: &Dns, zone: &Zone, hostname: &str, ssl: &Ssl) -> bool {
    if !ssl.wildcard && points(now, dns, zone, hostname) {
        return true;
    }
    if ssl.method != "txt" {
        return false;
    }
    let name = challenge_name(hostname);
    let reply = dns.lookup(now, &name, Kind::Txt);
    let delegated = zone.delegation_target(hostname);
    if reply.values(Kind::Cname).any(|target| target.trim_end_matches('.').eq_ignore_ascii_case(&delegated)) {
        return true;
    }
    let values: Vec<&str> = reply.values(Kind::Txt).collect();
    ssl.tokens.iter().all(|token| values.contains(&token.value.as_str()))
}

pub(super) fn challenge_name(hostname: &str) -> String {
    format!("_acme-challenge.{hostname}")
}

/// The CA that may issue: the one that was asked for, else the first that CAA lets.
///
/// # Errors
/// What CAA says against it.
pub(super) fn authority(now: i64, dns: &Dns, hostname: &str, ssl: &Ssl) -> Result<&'static Authority, String> {
    let wanted = |authority: &&Authority| match ssl.wanted_authority.as_str() {
        "" => authority.name != "ssl_com",
        name => authority.name == name,
    };
    let mut refused = format!("no certificate authority {:?}", ssl.wanted_authority);
    for authority in AUTHORITIES.iter().filter(wanted) {
        match dns.caa(now, hostname, authority.caa, ssl.wildcard) {
            Verdict::Allowed => return Ok(authority),
            Verdict::Forbidden(at) => {
                refused = format!("caa_error: CAA records at {at} do not allow {}", authority.caa)
            }
            Verdict::Unknown(at) => refused = format!("caa_error: SERVFAIL looking up CAA for {at}"),
        }
    }
    Err(refused)
}
