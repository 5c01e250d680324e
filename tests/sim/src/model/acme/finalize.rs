//! From a certificate request to a certificate (RFC 8555 section 7.4).

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::CertificateSigningRequestDer;
use serde::{Deserialize, Serialize};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::authority::{moment, pem};
use super::order::{OrderStatus, Stage};
use super::problem::{Problem, nowhere};
use super::steering::{Chain, DAY, HOUR, Wrong};
use super::{Acme, Jwk, Order};
use crate::model::bytes;
use crate::model::elliptic::Curve;

/// A certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// The serial number in hexadecimal, without a leading zero byte.
    pub serial: String,
    /// The account that ordered it.
    pub account: String,
    /// The order that it came of.
    pub order: String,
    /// What was ordered; a wrong certificate may say something else.
    pub names: Vec<String>,
    /// The profile.
    pub profile: String,
    /// When it was made.
    pub issued: i64,
    /// Its first moment.
    pub not_before: i64,
    /// Its last moment.
    pub not_after: i64,
    /// When it was revoked and why (RFC 5280 section 5.3.1).
    pub revoked: Option<(i64, u8)>,
    /// The id of RFC 9773.
    pub renewal_id: String,
    #[serde(with = "bytes")]
    pub(super) der: Vec<u8>,
    intermediate: usize,
}

impl Certificate {
    /// The certificate itself.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl Acme {
    /// Takes a certificate request for an order that is ready.
    ///
    /// # Errors
    /// `orderNotReady`, `badCSR`, `badPublicKey`.
    pub fn finalize(&mut self, now: i64, account: &str, id: &str, csr: &[u8]) -> Result<(), Problem> {
        let order = self.order(account, id)?;
        let status = self.order_status(now, order);
        if status != OrderStatus::Ready {
            let detail = format!("Order's status ({status:?}) is not acceptable for finalization");
            return Err(Problem::new("orderNotReady", detail));
        }
        self.check_request(account, &order.names.clone(), csr)?;
        let takes = self.dice.millis(self.steering.processing_millis);
        let until = (!self.steering.stuck).then_some(now + takes);
        if let Some(order) = self.orders.get_mut(id) {
            (order.csr, order.stage) = (csr.to_vec(), Stage::Processing { until });
        }
        self.advance(now);
        Ok(())
    }

    /// The chain as PEM; `alternate` is the one that leads to the other root.
    ///
    /// # Errors
    /// There is none, or it is somebody else's.
    pub fn chain(&self, account: &str, serial: &str, alternate: bool) -> Result<String, Problem> {
        self.account(account)?;
        let found = self.certificates.get(serial).filter(|one| one.account == account);
        let certificate = found.ok_or_else(|| nowhere("certificate"))?;
        let issuer = &self.authority.intermediates[certificate.intermediate];
        let (leaf, usual) = (pem(&certificate.der), pem(issuer.certificate()));
        Ok(match self.steering.chain {
            _ if alternate => leaf + &pem(issuer.cross()),
            Chain::LeafOnly => leaf,
            Chain::Reversed => usual + &leaf,
            Chain::Usual => leaf + &usual,
            Chain::WithRoot => leaf + &usual + &pem(self.authority.root()),
        })
    }

    fn check_request(&self, account: &str, names: &[String], csr: &[u8]) -> Result<(), Problem> {
        let bad = |detail: &str| Problem::new("badCSR", format!("Error finalizing order :: {detail}"));
        let (rest, request) = X509CertificationRequest::from_der(csr).map_err(|_| bad("error parsing CSR"))?;
        if !rest.is_empty() {
            return Err(bad("trailing data after CSR"));
        }
        request.verify_signature().map_err(|_| bad("invalid signature on CSR"))?;
        let key = Jwk::of(&request.certification_request_info.subject_pki);
        let key = key.ok_or_else(|| Problem::new("badPublicKey", "unsupported public key in CSR"))?;
        if self.account(account)?.key == key {
            return Err(bad("certificate public key must be different than account key"));
        }
        if self.blocked_keys.contains(&key.thumbprint()) {
            return Err(Problem::new("badPublicKey", "public key is forbidden"));
        }
        let found = requested_names(&request).map_err(|detail| bad(&detail))?;
        if found != names {
            return Err(bad(&format!("CSR does not specify same identifiers as Order: {found:?}")));
        }
        Ok(())
    }

    /// Makes the certificate of an order whose time has come.
    pub(super) fn issue(&mut self, now: i64, id: &str) {
        let Some(order) = self.orders.get(id).cloned() else { return };
        let stage = match self.sign(now, &order) {
            Some(certificate) => {
                let serial = certificate.serial.clone();
                self.note_issued(now, &order.names, order.exempt);
                self.counts.certificates += 1;
                *self.counts.by_names.entry(order.names.join(",")).or_insert(0) += 1;
                self.certificates.insert(serial.clone(), certificate);
                (Stage::Valid, Some(serial))
            }
            None => (Stage::Invalid { problem: Problem::new("serverInternal", "Error finalizing order") }, None),
        };
        if let Some(order) = self.orders.get_mut(id) {
            (order.stage, order.certificate) = stage;
        }
    }

    fn sign(&mut self, now: i64, order: &Order) -> Option<Certificate> {
        let request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(order.csr.as_slice()))
                .ok()?;
        let profile = self.profile(Some(&order.profile.0)).ok()?.clone();
        let wrong = if self.steering.next_certificates.is_empty() {
            Wrong::Nothing
        } else {
            self.steering.next_certificates.remove(0)
        };
        let not_before = match wrong {
            Wrong::Expired => now - profile.validity - DAY,
            Wrong::NotYetValid => now + DAY,
            _ => now - HOUR,
        };
        // The last second belongs to the lifetime (RFC 5280 section 4.1.2.5), so the two ends lie a second closer.
        let (first, last) =
            (not_before.div_euclid(1000) * 1000, not_before.div_euclid(1000) * 1000 + profile.validity - 1000);
        let serial = self.fresh_serial();
        let names: Vec<String> =
            if wrong == Wrong::OtherNames { vec!["wrong.example".into()] } else { order.names.clone() };
        let params = leaf_params(&names, &profile.name, &serial, first, last)?;
        let key =
            if wrong == Wrong::OtherKey { self.strange_key()? } else { request.public_key.subject_public_key_info() };
        let key = SubjectPublicKeyInfo::from_der(&key).ok()?;
        let intermediate =
            if self.steering.shuffle { self.dice.below(self.authority.intermediates.len() as u64) as usize } else { 0 };
        let issuer = self.authority.intermediates[intermediate].issuer()?;
        let der = params.signed_by(&key, &issuer).ok()?.der().to_vec();
        Some(Certificate {
            renewal_id: super::renewal::id_of(&der)?,
            serial: hex::encode(serial),
            account: order.account.clone(),
            order: order.id.clone(),
            names: order.names.clone(),
            profile: profile.name,
            issued: now,
            not_before: first,
            not_after: last,
            revoked: None,
            der,
            intermediate,
        })
    }

    /// Half of all serial numbers begin with a bit that DER puts a zero byte in front of (RFC 9773 section 4.1).
    fn fresh_serial(&mut self) -> Vec<u8> {
        let mut serial = self.dice.bytes(18);
        serial[0] |= 0x04;
        serial
    }

    fn strange_key(&mut self) -> Option<Vec<u8>> {
        let pkcs8 = Curve::P256.draw(&mut self.dice);
        let pair = rcgen::KeyPair::try_from(pkcs8.as_slice()).ok()?;
        Some(pair.subject_public_key_info())
    }
}

fn leaf_params(names: &[String], profile: &str, serial: &[u8], first: i64, last: i64) -> Option<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Only the classic profile still has a common name, and only where it fits.
    if let Some(name) = names.iter().find(|name| profile == "classic" && name.len() <= 64) {
        params.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    for name in names {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into().ok()?));
    }
    (params.not_before, params.not_after) = (moment(first), moment(last));
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Some(params)
}

/// The names of a request, sorted, each once, with the common name among them.
fn requested_names(request: &X509CertificationRequest<'_>) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(alternatives) = extension else { continue };
        for alternative in &alternatives.general_names {
            match alternative {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                other => return Err(format!("CSR contains a name that is no DNS name: {other:?}")),
            }
        }
    }
    let common = request.certification_request_info.subject.iter_common_name();
    names.extend(common.filter_map(|name| name.as_str().ok()).map(str::to_ascii_lowercase));
    names.sort();
    names.dedup();
    Ok(names)
}
