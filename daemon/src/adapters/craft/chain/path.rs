//! From the leaf upwards: who signed whom, may they, is it still time, and where does it end (RFC 5280 section 6.1).

use super::{ChainFault, Expected, Position, reading};
use x509_parser::{
    certificate::X509Certificate,
    error::X509Error,
    oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA},
};

pub(super) fn faults(chain: &[X509Certificate<'_>], expected: &Expected<'_>) -> Vec<ChainFault> {
    let certificates = || chain.iter().enumerate().map(|(index, certificate)| (Position(index + 1), certificate));
    let mut faults: Vec<ChainFault> = Vec::new();
    faults.extend(certificates().filter_map(|(position, certificate)| untimely(position, certificate, expected)));
    faults.extend(
        certificates().zip(chain.iter().skip(1)).filter_map(|((position, below), above)| link(position, below, above)),
    );
    faults.extend(certificates().skip(1).filter_map(|(position, certificate)| not_an_authority(position, certificate)));
    faults.extend(certificates().skip(1).filter_map(|(position, certificate)| too_long(position, certificate)));
    faults.extend(expected.trusted_roots.into_iter().flat_map(|roots| end(chain, roots, expected.now_ms)));
    faults
}

fn untimely(position: Position, certificate: &X509Certificate<'_>, expected: &Expected<'_>) -> Option<ChainFault> {
    let not_before_ms = certificate.validity().not_before.timestamp() * 1000;
    let not_after_ms = certificate.validity().not_after.timestamp() * 1000;
    let (now_ms, subject) = (expected.now_ms, || reading::name(certificate.subject()));
    if not_before_ms > now_ms.saturating_add(expected.skew_ms) {
        return Some(ChainFault::NotYetValid { position, subject: subject(), not_before_ms, now_ms });
    }
    (not_after_ms <= now_ms).then(|| ChainFault::Expired { position, subject: subject(), not_after_ms, now_ms })
}

/// `below` must name `above` as its issuer and be signed by its key.
fn link(position: Position, below: &X509Certificate<'_>, above: &X509Certificate<'_>) -> Option<ChainFault> {
    if below.issuer().as_raw() != above.subject().as_raw() {
        let (found, expected) = (reading::name(below.issuer()), reading::name(above.subject()));
        return Some(ChainFault::IssuerDiffers { position, found, expected });
    }
    let subject = || reading::name(below.subject());
    match signed_by(below, above) {
        Ok(()) => None,
        Err(X509Error::SignatureUnsupportedAlgorithm) => Some(ChainFault::SignatureAlgorithm {
            position,
            subject: subject(),
            found: below.signature_algorithm.algorithm.to_id_string(),
        }),
        Err(_) => Some(ChainFault::Signature { position, subject: subject(), issuer: reading::name(above.subject()) }),
    }
}

/// The algorithm stands inside the signed part too and must agree (RFC 5280 section 4.1.1.2); SHA-1 proves nothing any
/// more.
fn signed_by(below: &X509Certificate<'_>, above: &X509Certificate<'_>) -> Result<(), X509Error> {
    let algorithm = &below.signature_algorithm;
    if *algorithm != below.tbs_certificate.signature {
        return Err(X509Error::SignatureVerificationError);
    }
    if [OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA].contains(&algorithm.algorithm) {
        return Err(X509Error::SignatureUnsupportedAlgorithm);
    }
    below.verify_signature(Some(above.public_key()))
}

fn not_an_authority(position: Position, certificate: &X509Certificate<'_>) -> Option<ChainFault> {
    // A key usage that is there but unreadable allows nothing.
    let usage = certificate.key_usage().map(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    let may_sign = certificate.is_ca() && usage.unwrap_or(false);
    (!may_sign).then(|| ChainFault::IssuerNotAuthority { position, subject: reading::name(certificate.subject()) })
}

fn too_long(position: Position, certificate: &X509Certificate<'_>) -> Option<ChainFault> {
    let accepted = certificate.basic_constraints().ok()??.value.path_len_constraint?;
    let found = position.0.saturating_sub(2);
    (found > usize::try_from(accepted).unwrap_or(usize::MAX)).then(|| ChainFault::PathTooLong {
        position,
        subject: reading::name(certificate.subject()),
        found,
        accepted,
    })
}

/// A root is a name and a key (RFC 5280 section 6.1.1 d): whether the chain holds the root itself,
/// another certificate for it, or stops below it, some certificate in it is signed by that key.
fn end(chain: &[X509Certificate<'_>], roots: &[String], now_ms: i64) -> Vec<ChainFault> {
    let texts: Vec<Option<Vec<Vec<u8>>>> = roots.iter().map(|text| reading::roots(text)).collect();
    let unreadable = texts.iter().enumerate().filter(|(_, found)| found.is_none());
    let mut faults: Vec<_> = unreadable.map(|(index, _)| ChainFault::RootUnreadable { number: index + 1 }).collect();
    let roots: Vec<_> = texts.iter().flatten().flatten().filter_map(|der| reading::parse(der)).collect();
    let alive = |root: &&X509Certificate<'_>| root.validity().not_after.timestamp() * 1000 > now_ms;
    if !roots.iter().filter(alive).any(|root| is_reached(chain, root)) {
        faults.extend(chain.last().map(|last| ChainFault::UntrustedRoot {
            found: reading::name(last.issuer()),
            expected: roots.iter().map(|root| reading::name(root.subject())).collect(),
        }));
    }
    faults
}

fn is_reached(chain: &[X509Certificate<'_>], root: &X509Certificate<'_>) -> bool {
    let below = |certificate: &X509Certificate<'_>| {
        certificate.issuer().as_raw() == root.subject().as_raw() && signed_by(certificate, root).is_ok()
    };
    chain.iter().any(below)
}
