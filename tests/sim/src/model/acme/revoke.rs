//! Revocation (RFC 8555 section 7.6).

use x509_parser::parse_x509_certificate;

use super::problem::{Problem, malformed, nowhere, unauthorized};
use super::{Acme, AuthorizationStatus, Jwk};
use crate::model::acme::names::base;

/// Who signs the request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Revoker<'a> {
    /// An account, by id.
    Account(&'a str),
    /// The certificate's own key.
    Key(&'a Jwk),
}

impl Acme {
    /// Revokes a certificate. Only its own key blocks the key for ever, and only with the reason keyCompromise.
    ///
    /// # Errors
    /// `alreadyRevoked`, `badRevocationReason`, `unauthorized`; 404 for a certificate of somebody else.
    pub(crate) fn revoke(&mut self, now: i64, by: Revoker<'_>, der: &[u8], reason: u8) -> Result<(), Problem> {
        if ![0, 1, 3, 4, 5].contains(&reason) {
            return Err(Problem::new("badRevocationReason", format!("disallowed revocation reason: {reason}")));
        }
        let (_, parsed) = parse_x509_certificate(der).map_err(|_| malformed("Unable to parse certificate DER"))?;
        let serial = self.certificates.values().find(|one| one.der == der).map(|one| one.serial.clone());
        let serial = serial.ok_or_else(|| nowhere("such certificate"))?;
        let key = Jwk::of(&parsed.tbs_certificate.subject_pki);
        match by {
            Revoker::Account(account) => self.may_revoke(now, account, &serial)?,
            Revoker::Key(signer) if key.as_ref() != Some(signer) => {
                return Err(unauthorized(
                    "JWK embedded in revocation request must be the same public key as the cert to be revoked",
                ));
            }
            Revoker::Key(signer) if reason == 1 => {
                self.blocked_keys.insert(signer.thumbprint());
            }
            Revoker::Key(_) => {}
        }
        let certificate = self.certificates.get_mut(&serial).ok_or_else(|| nowhere("such certificate"))?;
        if certificate.revoked.is_some() {
            return Err(Problem::new("alreadyRevoked", "Certificate already revoked"));
        }
        certificate.revoked = Some((now, reason));
        Ok(())
    }

    /// The account that ordered it may, and one that has proven all its names.
    fn may_revoke(&self, now: i64, account: &str, serial: &str) -> Result<(), Problem> {
        self.account(account)?;
        let Some(certificate) = self.certificates.get(serial) else { return Err(nowhere("such certificate")) };
        let proven = |name: &String| {
            self.authorizations.values().any(|one| {
                one.account == account && one.name == base(name).0 && one.status_at(now) == AuthorizationStatus::Valid
            })
        };
        if certificate.account == account || certificate.names.iter().all(proven) {
            return Ok(());
        }
        Err(unauthorized("requester does not control all identifiers in certificate"))
    }
}
