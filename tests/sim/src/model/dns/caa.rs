//! Who may issue: CAA (RFC 8659, with the parameters of RFC 8657).

use super::lookup::ancestors;
use super::{Dns, Kind, Outcome, canonical};

/// What CAA says about one CA and one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No record speaks against it.
    Allowed,
    /// The records at this name forbid it.
    Forbidden(String),
    /// A server failed, which forbids as well.
    Unknown(String),
}

/// Who asks.
pub(crate) struct Applicant<'a> {
    pub(crate) ca: &'a str,
    pub(crate) method: &'a str,
    pub(crate) account: &'a str,
    pub(crate) wildcard: bool,
}

impl Dns {
    /// May this CA issue for this name, for any account and by any method?
    pub fn caa(&self, now: i64, name: &str, ca: &str, wildcard: bool) -> Verdict {
        self.judge_caa(now, name, &Applicant { ca, method: "", account: "", wildcard })
    }

    /// The first name on the way up that has CAA records decides.
    pub(crate) fn judge_caa(&self, now: i64, name: &str, applicant: &Applicant<'_>) -> Verdict {
        let name = canonical(name.trim_start_matches("*."));
        for at in ancestors(&name) {
            let reply = self.lookup(now, at, Kind::Caa);
            match reply.outcome {
                Outcome::Found => {
                    let records: Vec<Caa> = reply.values(Kind::Caa).filter_map(parse).collect();
                    let allowed = allows(&records, applicant);
                    return if allowed { Verdict::Allowed } else { Verdict::Forbidden(at.to_owned()) };
                }
                Outcome::NoData | Outcome::NxDomain => {}
                Outcome::Refused | Outcome::ServFail | Outcome::Silent => return Verdict::Unknown(at.to_owned()),
            }
        }
        Verdict::Allowed
    }
}

struct Caa {
    critical: bool,
    tag: String,
    value: String,
}

fn allows(records: &[Caa], applicant: &Applicant<'_>) -> bool {
    let known = ["issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"];
    if records.iter().any(|record| record.critical && !known.contains(&record.tag.as_str())) {
        return false;
    }
    let of = |tag: &str| records.iter().filter(|record| record.tag == tag).collect::<Vec<_>>();
    let wild = if applicant.wildcard { of("issuewild") } else { Vec::new() };
    let decisive = if wild.is_empty() { of("issue") } else { wild };
    decisive.is_empty() || decisive.iter().any(|record| names(&record.value, applicant))
}

fn names(value: &str, applicant: &Applicant<'_>) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let issuer = parts.next().unwrap_or_default();
    issuer.eq_ignore_ascii_case(applicant.ca)
        && parts.all(|parameter| match parameter.split_once('=') {
            Some(("accounturi", account)) => applicant.account.is_empty() || account == applicant.account,
            Some(("validationmethods", methods)) => {
                applicant.method.is_empty() || methods.split(',').any(|method| method == applicant.method)
            }
            _ => true,
        })
}

fn parse(text: &str) -> Option<Caa> {
    let (flags, rest) = text.split_once(' ')?;
    let (tag, value) = rest.split_once(' ')?;
    let critical = flags.parse::<u8>().ok()? & 0x80 != 0;
    Some(Caa { critical, tag: tag.to_ascii_lowercase(), value: value.trim_matches('"').to_owned() })
}
