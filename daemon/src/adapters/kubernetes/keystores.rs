//! Keystores in a Secret, each with a password that lies in another Secret of the same namespace, and so of the same environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use claviger_config::{Name, Reason, certificate::Keystore};
use claviger_core::domain::{effect::SecretTarget, failure::Failure};
use zeroize::Zeroizing;

use super::secret::{Held, Secrets, shown};
use crate::adapters::craft::keystore::{self, KeystoreFault, Pair};

/// What became of the keystores of a Secret.
pub(super) enum Standing {
    /// One is missing, or holds something else, or opens with another password.
    Lacking,
    /// Those that can be opened are as they should be; of another one the password is missing.
    Locked(Failure),
    /// Every one is as it should be.
    Whole,
}

/// Opens the keystores that a Secret holds.
pub(super) async fn look(
    secrets: &Secrets,
    target: &SecretTarget,
    held: &Held,
    pair: Pair,
) -> Result<Standing, Failure> {
    let (mut missing, mut tasks) = (None, Vec::new());
    for (keystore, password) in passwords(secrets, target).await? {
        match (password, held.field(keystore.name.as_str())) {
            (Err(failure), _) => drop(missing.get_or_insert(failure)),
            (Ok(_), None) => return Ok(Standing::Lacking),
            (Ok(password), Some(found)) => tasks.push((keystore, password, found.to_vec())),
        }
    }
    let whole = move || tasks.iter().all(|(keystore, password, found)| keystore::is(keystore, password, &pair, found));
    Ok(match (aside(whole).await?, missing) {
        (false, _) => Standing::Lacking,
        (true, Some(failure)) => Standing::Locked(failure),
        (true, None) => Standing::Whole,
    })
}

/// The fields that hold the keystores. What is there and right stays as it is, and so does one whose password is missing: it may be
/// of the certificate before, which is better than none.
pub(super) async fn fields(
    secrets: &Secrets,
    target: &SecretTarget,
    held: Option<&Held>,
    pair: Pair,
) -> Result<BTreeMap<Name, Vec<u8>>, Failure> {
    let (mut fields, mut tasks) = (BTreeMap::new(), Vec::new());
    for (keystore, password) in passwords(secrets, target).await? {
        let found = held.and_then(|held| held.field(keystore.name.as_str())).map(<[u8]>::to_vec);
        match password {
            Ok(password) => tasks.push((keystore, password, found)),
            Err(_) => fields.extend(found.map(|found| (keystore.name, found))),
        }
    }
    let pair = Arc::new(pair);
    for (keystore, password, found) in tasks {
        let (name, pair) = (keystore.name.clone(), Arc::clone(&pair));
        let made = aside(move || made(&keystore, &password, &pair, found)).await?;
        let made = made.map_err(|fault| {
            let message = format!("the keystore `{name}` of {} cannot be made: {fault}", shown(target));
            Failure::new(Reason::DeliveryFailed, message).fix("change its `format`, or take it out of the document")
        })?;
        fields.insert(name, made);
    }
    Ok(fields)
}

fn made(keystore: &Keystore, password: &str, pair: &Pair, found: Option<Vec<u8>>) -> Result<Vec<u8>, KeystoreFault> {
    match found.filter(|found| keystore::is(keystore, password, pair, found)) {
        Some(found) => Ok(found),
        None => keystore::make(keystore, password, pair),
    }
}

type Password = Zeroizing<String>;

/// Every keystore with its password, or why it has none. Fails when the API server does not say.
async fn passwords(
    secrets: &Secrets,
    target: &SecretTarget,
) -> Result<Vec<(Keystore, Result<Password, Failure>)>, Failure> {
    let names: BTreeSet<&Name> = target.keystores.iter().map(|keystore| &keystore.password.name).collect();
    let mut held = BTreeMap::new();
    for name in names {
        held.insert(name, secrets.get(&target.namespace, name).await?);
    }
    let with_password = |keystore: &Keystore| {
        let found = held.get(&keystore.password.name).and_then(Option::as_ref);
        (keystore.clone(), password(keystore, found).map_err(|what| missing(target, keystore, what)))
    };
    Ok(target.keystores.iter().map(with_password).collect())
}

/// Java opens no PKCS#12 keystore with other characters, and a line end was hardly meant.
fn password(keystore: &Keystore, held: Option<&Held>) -> Result<Password, &'static str> {
    let found = held.ok_or("there is no such secret")?;
    let found = found.field(&keystore.password.key).ok_or("the secret has no such key")?;
    let plain = found.iter().all(|byte| (b' '..=b'~').contains(byte));
    match std::str::from_utf8(found) {
        Ok("") => Err("it is empty"),
        Ok(_) if found.len() > LONGEST => Err("it is longer than 256 characters"),
        Ok(_) if found.ends_with(b"\n") => Err("it ends with a line end, which would be part of it"),
        Ok(text) if plain => Ok(Zeroizing::new(text.to_owned())),
        _ => Err("it has other characters than printable ASCII, with which Java opens no keystore"),
    }
}

const LONGEST: usize = 256;

fn missing(target: &SecretTarget, keystore: &Keystore, what: &str) -> Failure {
    let (namespace, secret, key) = (&target.namespace, &keystore.password.name, &keystore.password.key);
    let message = format!(
        "the keystore `{}` of {} needs its password, the key `{key}` of the secret `{namespace}/{secret}`: {what}",
        keystore.name,
        shown(target)
    );
    Failure::new(Reason::KeystorePasswordMissing, message).fix(format!(
        "kubectl --namespace {namespace} create secret generic {secret} --from-file={key}=FILE, with a FILE that does not end \
         with a line end"
    ))
}

/// Off the runtime: many rounds lie between a password and its key.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let failed = |error| {
        Failure::new(Reason::DeliveryFailed, format!("a keystore was broken off: {error}")).fix("please report it")
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{ByteString, api::core::v1::Secret};

    use super::*;

    fn keystore() -> Keystore {
        let text = r#"{ "name": "keystore.p12", "format": "pkcs12", "password": { "name": "web-password", "key": "password" } }"#;
        serde_json::from_str(text).unwrap()
    }

    fn said(found: &[u8]) -> Result<String, &'static str> {
        let data = [("password".to_owned(), ByteString(found.to_vec()))].into();
        let held = Held::from(Secret { data: Some(data), ..Secret::default() });
        password(&keystore(), Some(&held)).map(|password| password.to_string())
    }

    #[test]
    fn a_password_is_taken_as_it_is_and_refused_where_java_would_not_open_the_keystore() {
        assert_eq!(said(b"correct horse").as_deref(), Ok("correct horse"));
        assert_eq!(said(b" ~ ").as_deref(), Ok(" ~ "));
        for refused in [&b""[..], b"line end\n", "Schl\u{fc}ssel".as_bytes(), b"tab\there", b"\xff", &[b'x'; 257]] {
            assert!(said(refused).is_err(), "{refused:?}");
        }
        assert_eq!(password(&keystore(), None).err(), Some("there is no such secret"));
    }
}
