//! Certificate signing requests (RFC 2986).

use crate::adapters::craft::keys::PrivateKey;
use rcgen::{CertificateParams, DistinguishedName, DnType, SanType, string::Ia5String};
use thiserror::Error;

/// Why there is no request.
#[derive(Debug, Error)]
pub enum CsrFault {
    /// A name that no certificate can carry.
    #[error(
        "found the name `{found}`, accepted: DNS names of letters, digits, `-` and `_`, with `*.` only in front; write other letters as `xn--`"
    )]
    Name {
        /// The name.
        found: String,
    },
    /// Nothing to ask for.
    #[error("found no name, accepted: at least one DNS name")]
    NoNames,
    /// The request could not be put together or signed.
    #[error("cannot sign the request for `{name}`")]
    Sign {
        /// The first name.
        name: String,
        /// What rcgen said.
        #[source]
        cause: rcgen::Error,
    },
}

/// The request for a certificate that binds `key` to `names`, as DER.
///
/// All names stand in the subject alternative name, in lower case and once each; the first is the common name as well
/// when it fits. Nothing else is asked for: the certificate authority's profile decides the rest.
pub fn request(key: &PrivateKey, names: &[impl AsRef<str>]) -> Result<Vec<u8>, CsrFault> {
    let names = checked(names)?;
    let first = names.first().ok_or(CsrFault::NoNames)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = subject(first);
    parameters.subject_alt_names = names.iter().map(|name| san(name)).collect::<Result<_, _>>()?;
    let request = parameters.serialize_request(key);
    let request = request.map_err(|cause| CsrFault::Sign { name: first.clone(), cause })?;
    Ok(request.der().to_vec())
}

fn checked(names: &[impl AsRef<str>]) -> Result<Vec<String>, CsrFault> {
    let mut kept: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let name = name.as_ref().to_ascii_lowercase();
        if !is_dns_name(&name) {
            return Err(CsrFault::Name { found: name });
        }
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    Ok(kept)
}

fn is_dns_name(name: &str) -> bool {
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    name.len() <= 253 && plain.split('.').all(label)
}

/// RFC 5280 appendix A: `ub-common-name INTEGER ::= 64`.
fn subject(first: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if first.len() <= 64 {
        subject.push(DnType::CommonName, first);
    }
    subject
}

fn san(name: &str) -> Result<SanType, CsrFault> {
    let name = Ia5String::try_from(name).map_err(|cause| CsrFault::Sign { name: name.to_owned(), cause })?;
    Ok(SanType::DnsName(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use claviger_config::KeyAlgorithm;
    use x509_parser::{
        certification_request::X509CertificationRequest,
        extensions::{GeneralName, ParsedExtension},
        prelude::FromDer,
    };

    const ALGORITHMS: [KeyAlgorithm; 5] = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa3072,
        KeyAlgorithm::Rsa4096,
    ];

    fn read(der: &[u8]) -> X509CertificationRequest<'_> {
        let (rest, request) = X509CertificationRequest::from_der(der).unwrap();
        assert!(rest.is_empty());
        request
    }

    fn names(request: &X509CertificationRequest<'_>) -> Vec<String> {
        let extensions: Vec<_> = request.requested_extensions().unwrap().collect();
        let [ParsedExtension::SubjectAlternativeName(san)] = extensions[..] else {
            panic!("more than names is asked for: {extensions:?}")
        };
        let dns = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            other => panic!("found {other}"),
        };
        san.general_names.iter().map(dns).collect()
    }

    fn key() -> PrivateKey {
        PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
    }

    #[test]
    fn a_request_is_signed_by_its_own_key_whatever_the_algorithm() {
        for algorithm in ALGORITHMS {
            let key = PrivateKey::generate(algorithm).unwrap();
            let der = request(&key, &["www.example.com"]).unwrap();
            let request = read(&der);
            request.verify_signature().unwrap_or_else(|fault| panic!("{algorithm:?}: {fault}"));
            assert_eq!(request.certification_request_info.subject_pki.raw, key.spki_der());
        }
    }

    #[test]
    fn nothing_but_the_names_is_asked_for_and_the_first_is_the_common_name() {
        let der = request(&key(), &["WWW.example.com", "*.example.com", "www.example.com"]).unwrap();
        let request = read(&der);
        assert_eq!(names(&request), ["www.example.com", "*.example.com"]);
        assert_eq!(request.certification_request_info.subject.to_string(), "CN=www.example.com");
        assert_eq!(request.certification_request_info.iter_attributes().count(), 1);
    }

    #[test]
    fn a_name_too_long_for_a_common_name_stands_among_the_names_alone() {
        let fits = format!("{}.example.com", "a".repeat(52));
        let long = format!("{}.example.com", "a".repeat(53));
        assert_eq!((fits.len(), long.len()), (64, 65));
        let der = request(&key(), &[&fits]).unwrap();
        assert_eq!(read(&der).certification_request_info.subject.to_string(), format!("CN={fits}"));
        let der = request(&key(), &[&long]).unwrap();
        assert_eq!(read(&der).certification_request_info.subject.to_string(), "");
        assert_eq!(names(&read(&der)), [long]);
    }

    #[test]
    fn names_that_no_certificate_can_carry_are_refused() {
        for name in ["", "a..b", ".a", "a.", "bücher.example", "a b", "*.*.a", "a.*.b", "*", &"a.".repeat(127)] {
            let refused = matches!(request(&key(), &[name]), Err(CsrFault::Name { found }) if found == name);
            assert!(refused, "`{name}` was taken");
        }
        assert!(matches!(request(&key(), &[] as &[&str]), Err(CsrFault::NoNames)));
    }
}
