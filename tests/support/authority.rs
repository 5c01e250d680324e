use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::client::install_crypto;

/// A CA made for one test, for the TLS of the servers in it.
#[derive(Debug)]
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl TestAuthority {
    /// Makes a CA of this name.
    pub fn new(name: &str) -> Result<Self> {
        let mut parameters = parameters(name, &[])?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = parameters.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(parameters, key), pem })
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate with its key for a server of these names or addresses.
    pub fn server(&self, names: &[&str]) -> Result<ServerIdentity> {
        let key = KeyPair::generate()?;
        let mut parameters = parameters("test server", names)?;
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(ServerIdentity { certificate, key })
    }

    /// A certificate with its key for a client of this common name in up to two organizations, which is how Kubernetes
    /// reads users and groups.
    pub fn client(&self, name: &str, organizations: &[&str]) -> Result<ClientIdentity> {
        ensure!(organizations.len() <= ORGANIZATION.len(), "a client has at most two organizations");
        let key = KeyPair::generate()?;
        let mut parameters = parameters(name, &[])?;
        for (kind, organization) in ORGANIZATION.iter().zip(organizations) {
            parameters.distinguished_name.push(kind(), *organization);
        }
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate_pem = parameters.signed_by(&key, &self.issuer)?.pem();
        Ok(ClientIdentity { certificate_pem, key_pem: key.serialize_pem() })
    }
}

/// A name holds one value of each kind, so the second goes by its number.
const ORGANIZATION: [fn() -> DnType; 2] = [|| DnType::OrganizationName, || DnType::CustomDnType(vec![2, 5, 4, 10])];

/// What a TLS client needs to say who it is.
#[derive(Debug)]
pub struct ClientIdentity {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, which is worth nothing outside the test.
    pub key_pem: String,
}

/// What a TLS server needs.
#[derive(Debug)]
pub struct ServerIdentity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl ServerIdentity {
    /// The certificate.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key, which is worth nothing outside the test.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Settings for a server that offers these protocols, best first.
    pub fn tls(&self, protocols: &[&str]) -> Result<Arc<ServerConfig>> {
        install_crypto();
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let chain = vec![self.certificate.der().clone()];
        let mut settings = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key.into())
            .context("the certificate and its key were made together")?;
        settings.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(settings))
    }
}

/// Valid in every year that a test may play in.
fn parameters(name: &str, names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(names).context("a server's name is a DNS name or an address")?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2099, 1, 1);
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openssl;

    #[test]
    fn a_client_has_a_name_and_up_to_two_organizations() {
        let authority = TestAuthority::new("test").unwrap();
        let identity = authority.client("ann", &["staff", "auditors"]).unwrap();
        // Newer versions write no spaces there.
        let described = openssl::describe(&identity.certificate_pem).unwrap().replace(" = ", "=");
        for part in ["CN=ann", "O=staff", "O=auditors", "TLS Web Client Authentication"] {
            assert!(described.contains(part), "{part} is missing:\n{described}");
        }
        authority.client("ann", &["a", "b", "c"]).expect_err("a third has no place");
    }
}
