//! The port [`Craft`], played by this folder's functions.

use crate::adapters::craft::{
    chain::{self, Leaf},
    csr,
    keys::{KeyFault, PrivateKey},
};
use claviger_config::{DnsName, IssuerName, KeyAlgorithm, Moment, Reason, desired::Surroundings};
use claviger_core::{
    domain::{
        effect::Chain,
        failure::{Failure, Retry},
    },
    ports::{Answer, Craft, Expected, MadeKey, Secret},
};
use std::{error::Error, sync::Arc};
use zeroize::Zeroizing;

/// Reads the trusted roots of an issuer as PEM text; nothing when its document names none.
pub type Roots = Arc<dyn for<'a> Fn(&'a Surroundings, &'a IssuerName) -> Answer<'a, Option<String>> + Send + Sync>;

/// Keys and certificates by aws-lc, on this machine.
#[derive(Clone)]
pub struct AwsLc {
    roots: Roots,
}

impl AwsLc {
    /// Takes the way to the roots, since only the settings know which files may be read.
    pub fn new(roots: Roots) -> Self {
        Self { roots }
    }
}

impl Craft for AwsLc {
    fn new_key(&self, algorithm: KeyAlgorithm) -> Answer<'_, MadeKey> {
        Box::pin(async move {
            // An RSA key of 4096 bits takes a second or more: that would hold up everything else on this thread.
            let made = tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm)).await;
            let key = made.map_err(|cause| unusable(&cause))?.map_err(|fault| unusable(&fault))?;
            Ok((secret(&key), key.spki_sha256()))
        })
    }

    fn request<'a>(&'a self, key: &'a Secret, names: &'a [DnsName]) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            let key = PrivateKey::from_pkcs8(key.expose_bytes()).map_err(|fault| unusable(&fault))?;
            let names: Vec<&str> = names.iter().map(DnsName::as_str).collect();
            csr::request(&key, &names).map_err(|fault| unusable(&fault).retry(Retry::Never))
        })
    }

    fn verify<'a>(&'a self, at: &'a Surroundings, pem: &'a str, expected: Expected<'a>) -> Answer<'a, Chain> {
        Box::pin(async move {
            let roots = match expected.issuer {
                Some(issuer) => (self.roots)(at, issuer).await?,
                None => None,
            };
            verified(pem, &expected, roots)
        })
    }

    fn read_key<'a>(&'a self, pem: &'a Secret) -> Answer<'a, (Secret, KeyAlgorithm, String)> {
        Box::pin(async move {
            let key = PrivateKey::from_pem(pem.expose_bytes()).map_err(|fault| unadoptable(&fault))?;
            Ok((secret(&key), key.algorithm(), key.spki_sha256()))
        })
    }
}

fn verified(pem: &str, expected: &Expected<'_>, roots: Option<String>) -> Result<Chain, Failure> {
    let names: Vec<String> = expected.names.iter().map(|name| name.as_str().to_owned()).collect();
    let roots = roots.map(|text| [text]);
    let expected = chain::Expected {
        trusted_roots: roots.as_ref().map(<[String; 1]>::as_slice),
        ..chain::Expected::new(&names, expected.spki_sha256, expected.now.0)
    };
    let read = chain::Chain::read(pem.as_bytes()).and_then(|chain| Ok((chain.pem(), chain.verify(&expected)?)));
    let (pem, leaf) = read.map_err(|faults| wrong(&faults))?;
    described(pem, leaf)
}

fn described(pem: String, leaf: Leaf) -> Result<Chain, Failure> {
    let names: Result<Vec<DnsName>, _> = leaf.names.iter().map(|name| name.parse()).collect();
    Ok(Chain {
        pem,
        serial: leaf.serial,
        spki_sha256: leaf.spki_sha256,
        fingerprint: leaf.fingerprint,
        names: names.map_err(|fault| wrong(&fault))?,
        not_before: Moment(leaf.not_before_ms),
        not_after: Moment(leaf.not_after_ms),
        renewal_id: leaf.ari_id,
    })
}

fn secret(key: &PrivateKey) -> Secret {
    Secret::new(Zeroizing::new(key.expose_pkcs8().to_vec()))
}

/// What the far side sent is not what was asked for. Asking again may help: a certificate authority mends its chains.
fn wrong(fault: &(dyn Error + 'static)) -> Failure {
    Failure::new(Reason::WrongCertificate, told(fault))
}

/// A key that we made or opened cannot be used.
fn unusable(fault: &(dyn Error + 'static)) -> Failure {
    Failure::new(Reason::KeyUnavailable, told(fault))
}

/// A key that somebody else left in an outlet cannot be taken over, as long as it lies there.
fn unadoptable(fault: &KeyFault) -> Failure {
    let failure = Failure::new(Reason::WrongCertificate, told(fault)).retry(Retry::Never);
    failure.fix("replace the key in the outlet, or remove key and certificate there: a new pair is then issued")
}

/// The error and its causes in one line.
fn told(fault: &(dyn Error + 'static)) -> String {
    let cause = fault.source().map(|cause| format!(": {}", told(cause)));
    fault.to_string() + &cause.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::craft::pem;
    use claviger_config::environment::EnvironmentSpec;
    use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, Issuer};

    /// 2026-11-24T12:00:00Z.
    const NOW: Moment = Moment(1_795_521_600_000);

    fn surroundings() -> Surroundings {
        let spec = serde_json::json!({
            "class": "non-production",
            "owner": "itops@example.com",
            "classification": "internal",
            "kms": { "accountId": "222222222222", "region": "eu-west-1", "aliasPrefix": "claviger/staging", "wrappingKey": "wrapping" },
        });
        let spec: EnvironmentSpec = serde_json::from_value(spec).unwrap();
        Surroundings { name: "staging".parse().unwrap(), spec }
    }

    fn with_roots(roots: Option<String>) -> AwsLc {
        AwsLc::new(Arc::new(move |_, _| {
            let roots = roots.clone();
            Box::pin(async move { Ok(roots) })
        }))
    }

    fn names() -> Vec<DnsName> {
        vec!["www.staging.example.com".parse().unwrap()]
    }

    /// A root, and the chain below it that answers `request`.
    fn answered(request: &[u8]) -> (String, String) {
        let root_key = PrivateKey::generate(KeyAlgorithm::EcdsaP384).unwrap();
        let mut root = CertificateParams::default();
        root.distinguished_name = DistinguishedName::new();
        root.distinguished_name.push(DnType::CommonName, "Root");
        root.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        root.not_after = time::OffsetDateTime::from_unix_timestamp(NOW.0 / 1000 + 1_000_000).unwrap();
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let mut request = rcgen::CertificateSigningRequestParams::from_der(&request.into()).unwrap();
        request.params.not_before = time::OffsetDateTime::from_unix_timestamp(NOW.0 / 1000 - 60).unwrap();
        request.params.not_after = root.not_after;
        let chain = request.signed_by(&Issuer::from_params(&root, &root_key)).unwrap().pem();
        (root_pem, chain)
    }

    #[tokio::test]
    async fn a_key_is_made_asked_for_and_its_certificate_accepted() {
        let craft = with_roots(None);
        let (key, spki) = craft.new_key(KeyAlgorithm::EcdsaP256).await.unwrap();
        let request = craft.request(&key, &names()).await.unwrap();
        let (root, chain) = answered(&request);
        let issuer: IssuerName = "pebble".parse().unwrap();
        let (at, names) = (surroundings(), names());
        let expected = Expected { names: &names, spki_sha256: &spki, issuer: Some(&issuer), now: NOW };
        let verified = with_roots(Some(root)).verify(&at, &chain, expected).await.unwrap();
        assert_eq!((verified.pem, verified.names, verified.spki_sha256), (chain.clone(), names.clone(), spki.clone()));
        assert_eq!(verified.not_before, Moment(NOW.0 - 60_000));
        let stranger = answered(&request).0;
        let refused = with_roots(Some(stranger)).verify(&at, &chain, expected).await.unwrap_err();
        assert_eq!(refused.reason, Reason::WrongCertificate);
        assert!(refused.message.contains("ends below `CN=Root`"), "{}", refused.message);
    }

    #[tokio::test]
    async fn an_adopted_key_comes_back_as_pkcs8_with_what_is_known_of_it() {
        let key = PrivateKey::generate(KeyAlgorithm::Rsa2048).unwrap();
        let found = Secret::new(Zeroizing::new(key.expose_pem().as_bytes().to_vec()));
        let (secret, algorithm, spki) = with_roots(None).read_key(&found).await.unwrap();
        assert_eq!(secret.expose_bytes(), key.expose_pkcs8());
        assert_eq!((algorithm, spki), (KeyAlgorithm::Rsa2048, key.spki_sha256()));
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_adopted_says_what_to_do_and_shows_nothing() {
        let text = pem::write("PRIVATE KEY", b"not a key at all").as_bytes().to_vec();
        let refused = with_roots(None).read_key(&Secret::new(Zeroizing::new(text))).await.unwrap_err();
        assert_eq!(refused.retry, Retry::Never);
        assert!(refused.message.contains("damaged") && !refused.fix.is_empty(), "{refused:?}");
        assert!(!format!("{refused:?}").contains("not a key at all"));
    }
}
