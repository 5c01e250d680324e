//! Renewal information (RFC 9773), with Let's Encrypt's windows.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use x509_parser::extensions::ParsedExtension;
use x509_parser::parse_x509_certificate;

use super::problem::{Problem, malformed, nowhere};
use super::steering::{Advice, DAY, HOUR};
use super::{Acme, Certificate};

/// What the CA advises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalInfo {
    /// Where the window begins.
    pub start: i64,
    /// Where it ends.
    pub end: i64,
    /// Where a person can read why.
    pub explanation: Option<String>,
    /// `Retry-After` in seconds.
    pub retry_after: Option<i64>,
}

impl Acme {
    /// When a certificate should be renewed; or a raw answer that somebody ordered.
    ///
    /// # Errors
    /// A malformed id, or no such certificate.
    pub fn renewal_info(&mut self, now: i64, id: &str) -> Result<Result<RenewalInfo, Advice>, Problem> {
        let jitter = self.dice.millis(2 * 72 * 60_000) / 1000 - 72 * 60;
        let certificate = self.certificate_of(id)?.ok_or_else(|| nowhere("certificate"))?;
        let advice =
            self.steering.renewal_info.get(&certificate.serial).or_else(|| self.steering.renewal_info.get("*"));
        Ok(match advice.cloned() {
            Some(raw @ Advice::Raw { .. }) => Err(raw),
            Some(Advice::Window { start, end, explanation, retry_after }) => {
                Ok(RenewalInfo { start, end, explanation, retry_after })
            }
            None => {
                let (start, end) = self.window(now, certificate);
                Ok(RenewalInfo { start, end, explanation: None, retry_after: Some(6 * 3600 + jitter) })
            }
        })
    }

    /// Around two thirds of the life (half of a short one), two hundredths of it wide. A revoked certificate should
    /// have been renewed already.
    pub(super) fn window(&self, now: i64, certificate: &Certificate) -> (i64, i64) {
        let steered =
            self.steering.renewal_info.get(&certificate.serial).or_else(|| self.steering.renewal_info.get("*"));
        if let Some(Advice::Window { start, end, .. }) = steered {
            return (*start, *end);
        }
        if certificate.revoked.is_some() {
            return (now - HOUR, now - HOUR / 2);
        }
        let life = certificate.not_after - certificate.not_before;
        let centre = certificate.not_before + if life < 10 * DAY { life / 2 } else { life / 3 * 2 };
        (centre - life / 100, centre + life / 100)
    }

    /// The certificate of an id: key identifier of the issuer, a dot, the serial number.
    pub(super) fn certificate_of(&self, id: &str) -> Result<Option<&Certificate>, Problem> {
        let (issuer, serial) =
            id.split_once('.').ok_or_else(|| malformed("Invalid path: no dot in the certificate id"))?;
        for part in [issuer, serial] {
            URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("Invalid path: not base64url"))?;
        }
        Ok(self.certificates.values().find(|one| one.renewal_id == id))
    }
}

/// The id of a certificate (RFC 9773 section 4.1). The serial number is its DER value, a leading zero byte included.
pub(super) fn id_of(der: &[u8]) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let issuer = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    })?;
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Some(format!("{}.{}", text(&issuer), text(certificate.raw_serial())))
}
