//! The CA's own keys and certificates.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::dice::Dice;
use crate::model::bytes;
use crate::model::elliptic::Curve;

/// Two roots; two intermediates, each with a certificate by either root.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Authority {
    roots: [Ca; 2],
    pub(super) intermediates: Vec<Intermediate>,
}

/// A key of the CA. It lies in the clear: nobody trusts it.
#[derive(Clone, Serialize, Deserialize)]
struct Ca {
    #[serde(with = "bytes")]
    key: Vec<u8>,
    #[serde(with = "bytes")]
    certificate: Vec<u8>,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Ca")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Intermediate {
    ca: Ca,
    #[serde(with = "bytes")]
    cross: Vec<u8>,
}

impl Intermediate {
    /// The certificate by the usual root.
    pub(super) fn certificate(&self) -> &[u8] {
        &self.ca.certificate
    }

    /// The certificate by the other root.
    pub(super) fn cross(&self) -> &[u8] {
        &self.cross
    }

    pub(super) fn issuer(&self) -> Option<Issuer<'static, KeyPair>> {
        self.ca.issuer()
    }
}

impl Authority {
    pub(super) fn new(dice: &mut Dice, now: i64) -> Self {
        let roots = ["Simulated Root Y1", "Simulated Root X1"].map(|name| Ca::root(dice, now, name));
        let one = |name: &str| Intermediate::new(dice, now, name, &roots);
        let intermediates = ["Simulated YE1", "Simulated YE2"].map(one).into();
        Self { roots, intermediates }
    }

    pub(super) fn roots(&self) -> [String; 2] {
        [pem(&self.roots[0].certificate), pem(&self.roots[1].certificate)]
    }

    pub(super) fn root(&self) -> &[u8] {
        &self.roots[0].certificate
    }
}

impl Ca {
    fn root(dice: &mut Dice, now: i64, name: &str) -> Self {
        let key = Curve::P256.draw(dice);
        let params = authority_params(dice, now, name, 20 * YEAR, BasicConstraints::Unconstrained);
        let certificate = open(&key).and_then(|pair| params.self_signed(&pair).ok());
        let certificate = certificate.expect("a certificate without names can be made").der().to_vec();
        Self { key, certificate }
    }

    fn issuer(&self) -> Option<Issuer<'static, KeyPair>> {
        Issuer::from_ca_cert_der(&CertificateDer::from(self.certificate.as_slice()), open(&self.key)?).ok()
    }
}

impl Intermediate {
    fn new(dice: &mut Dice, now: i64, name: &str, roots: &[Ca; 2]) -> Self {
        let key = Curve::P256.draw(dice);
        let mut by = |root: &Ca| {
            let params = authority_params(dice, now, name, 10 * YEAR, BasicConstraints::Constrained(0));
            let (pair, issuer) = (open(&key)?, root.issuer()?);
            Some(params.signed_by(&pair, &issuer).ok()?.der().to_vec())
        };
        let (usual, cross) = (by(&roots[0]), by(&roots[1]));
        let made = "a certificate without names can be made";
        Self { ca: Ca { key, certificate: usual.expect(made) }, cross: cross.expect(made) }
    }
}

fn authority_params(
    dice: &mut Dice,
    now: i64,
    name: &str,
    life: i64,
    constraints: BasicConstraints,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "claviger simulators");
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.not_before = moment(now - YEAR);
    params.not_after = moment(now + life);
    params.serial_number = Some(SerialNumber::from_slice(&dice.bytes(16)));
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn open(pkcs8: &[u8]) -> Option<KeyPair> {
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ECDSA_P256_SHA256).ok()
}

/// Milliseconds since 1970 as a certificate's second.
pub(super) fn moment(millis: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(millis.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// PEM of a certificate (RFC 7468).
pub(super) fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

const YEAR: i64 = 365 * 86_400_000;
