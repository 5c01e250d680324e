//! Registers an account (RFC 8555 section 7.3).

use claviger_config::{IssuerName, Reason};
use claviger_core::{
    domain::failure::{Failure, Retry},
    ports::{Registered, Secret},
};
use instant_acme::{Account, Key};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{
    fault::Trouble,
    session::{Ca, borrowed},
    step::Step,
    trace,
};

/// The account of this key: a new one, or the one that the CA already has for it.
pub(super) async fn register(
    ca: &Ca,
    issuer: &IssuerName,
    contacts: &[String],
    key: &Secret,
) -> Result<Registered, Trouble> {
    let directory = ca.directory().await?;
    trace::begin(Step::NewAccount);
    let account = loop {
        // The crate signs with the first and hands the second back, nothing else: so the key is not copied where nobody wipes it.
        let signer = Key::from_pkcs8_der(borrowed(key)).map_err(|error| unusable(issuer, &error))?;
        let copy = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(Vec::new()));
        let builder = Account::builder_with_http(ca.door(&directory));
        match builder.create_from_key((signer, copy), ca.url.clone()).await {
            Ok((account, _)) => break account,
            Err(error) => trace::bear(error)?,
        }
    };
    tell_contacts(&account, contacts).await?;
    ca.keep(&account, directory).await;
    Ok(Registered { url: account.id().to_owned(), thumbprint: account.key_thumbprint().to_owned() })
}

/// Registering takes no contacts together with a key of one's own, so they follow; the same ones again change nothing.
async fn tell_contacts(account: &Account, contacts: &[String]) -> Result<(), Trouble> {
    if contacts.is_empty() {
        return Ok(());
    }
    let contacts: Vec<&str> = contacts.iter().map(String::as_str).collect();
    trace::begin(Step::UpdateAccount);
    loop {
        match account.update_contacts(&contacts).await {
            Ok(()) => return Ok(()),
            Err(error) => trace::bear(error)?,
        }
    }
}

fn unusable(issuer: &IssuerName, error: &instant_acme::Error) -> Trouble {
    let message = format!("the account key for `{issuer}` cannot be used: {error}; accepted: ECDSA on P-256, PKCS#8");
    Failure::new(Reason::AccountRefused, message).retry(Retry::Never).into()
}
