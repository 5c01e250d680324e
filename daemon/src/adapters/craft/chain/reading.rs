//! From PEM text to certificates, and from a certificate to the few facts that are kept. Nothing here believes its
//! input.

use super::{ChainFault, ChainFaults, MAX_CERTIFICATE_LENGTH, MAX_CERTIFICATES, MAX_CHAIN_LENGTH, Position};
use crate::adapters::craft::pem;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::net::IpAddr;
use x509_parser::{
    certificate::X509Certificate,
    error::X509Error,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
    prelude::FromDer,
    x509::X509Name,
};

/// The DER of every certificate in `text`.
pub(super) fn blocks(text: &[u8]) -> Result<Vec<Vec<u8>>, ChainFaults> {
    capped("a chain", text.len(), MAX_CHAIN_LENGTH)?;
    let blocks = pem::read(text).map_err(ChainFault::Pem)?;
    match blocks.len() {
        0 => return Err(ChainFault::Empty.into()),
        found if found > MAX_CERTIFICATES => {
            return Err(ChainFault::TooMany { found, accepted: MAX_CERTIFICATES }.into());
        }
        _ => {}
    }
    blocks.into_iter().map(block).collect()
}

/// The DER of every root in an operator's bundle, however many; nothing when any of it is no certificate.
pub(super) fn roots(text: &str) -> Option<Vec<Vec<u8>>> {
    let blocks = pem::read(text.as_bytes()).ok()?;
    let certificates: Vec<Vec<u8>> = blocks.into_iter().map(block).collect::<Result<_, _>>().ok()?;
    let sound = !certificates.is_empty() && certificates.iter().all(|der| parse(der).is_some());
    sound.then_some(certificates)
}

/// Every certificate, parsed; the faults of all of them are collected.
pub(super) fn parse_all(certificates: &[Vec<u8>]) -> Result<Vec<X509Certificate<'_>>, ChainFaults> {
    let mut parsed = Vec::with_capacity(certificates.len());
    let mut faults = Vec::new();
    for (index, der) in certificates.iter().enumerate() {
        match parse(der) {
            Some(certificate) => parsed.push(certificate),
            None => faults.push(ChainFault::Unreadable { position: Position(index + 1) }),
        }
    }
    ChainFaults::none_or(faults)?;
    Ok(parsed)
}

/// One certificate and nothing after it. A repeated extension is refused (RFC 5280 section 4.2), since readers differ
/// in which one they see.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    let sound = rest.is_empty() && certificate.extensions_map().is_ok() && is_strictly_wrapped(der, &certificate);
    sound.then_some(certificate)
}

/// No signature covers what surrounds the signed part, and the parser is lax about its tags: the algorithm must stand
/// there in the very bytes that were signed, the signature must be a BIT STRING. Else stricter readers would refuse
/// what was accepted here.
fn is_strictly_wrapped(der: &[u8], certificate: &X509Certificate<'_>) -> bool {
    let signed = certificate.tbs_certificate.as_ref();
    let wrapped = || {
        let start = der.windows(signed.len()).position(|window| window == signed)?;
        let after = der.get(start + signed.len()..)?;
        let (algorithm, signature) = after.split_at_checked(2 + usize::from(*after.get(1)?))?;
        let same = signed.windows(algorithm.len()).any(|window| window == algorithm);
        Some(same && signature.first() == Some(&BIT_STRING) && certificate.signature_value.unused_bits == 0)
    };
    der.first() == Some(&SEQUENCE) && wrapped().unwrap_or(false)
}

/// The serial number in lower hex, without the zero byte that only keeps a DER integer positive.
pub(super) fn serial(certificate: &X509Certificate<'_>) -> String {
    let bytes = certificate.raw_serial();
    match bytes {
        [0, rest @ ..] if !rest.is_empty() => hex::encode(rest),
        _ => hex::encode(bytes),
    }
}

/// RFC 9773 section 4.1: the authority's key identifier and the serial number as it stands in the DER, sign byte
/// included.
pub(super) fn ari_id(certificate: &X509Certificate<'_>) -> Result<Option<String>, X509Error> {
    let extension = certificate.get_extension_unique(&OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER)?;
    let Some(ParsedExtension::AuthorityKeyIdentifier(authority)) = extension.map(|found| found.parsed_extension())
    else {
        return Ok(None);
    };
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let serial = encode(certificate.raw_serial());
    Ok(authority.key_identifier.as_ref().map(|key| format!("{}.{serial}", encode(key.0))))
}

/// The subject alternative names in lower case, sorted.
pub(super) fn names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, X509Error> {
    let extension = certificate.subject_alternative_name()?;
    let names = extension.map_or(&[][..], |found| &found.value.general_names);
    let mut names: Vec<String> = names.iter().map(general_name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// A distinguished name for people: what could steer a terminal is replaced, what is endless is cut.
pub(super) fn name(name: &X509Name<'_>) -> String {
    plain(&name.to_string())
}

fn block(block: pem::Block) -> Result<Vec<u8>, ChainFaults> {
    if block.label != "CERTIFICATE" || block.encrypted {
        return Err(ChainFault::OtherBlock { label: plain(&block.label) }.into());
    }
    capped("a certificate", block.encoded_length, MAX_CERTIFICATE_LENGTH)?;
    Ok(block.der.to_vec())
}

fn capped(what: &'static str, found: usize, accepted: usize) -> Result<(), ChainFault> {
    if found > accepted { Err(ChainFault::TooLarge { what, found, accepted }) } else { Ok(()) }
}

fn general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => plain(name).to_ascii_lowercase(),
        GeneralName::IPAddress(bytes) => format!("ip:{}", address(bytes)),
        GeneralName::RFC822Name(name) => format!("email:{}", plain(name)),
        GeneralName::URI(name) => format!("uri:{}", plain(name)),
        other => format!("other:{}", plain(&other.to_string())),
    }
}

fn address(bytes: &[u8]) -> String {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    address.map_or_else(|_| hex::encode(bytes), |address| address.to_string())
}

fn plain(text: &str) -> String {
    let shown = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    text.chars().take(LONGEST_NAME).map(shown).collect()
}

const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A DNS name has at most 253 characters, a distinguished name for people seldom more.
const LONGEST_NAME: usize = 300;
