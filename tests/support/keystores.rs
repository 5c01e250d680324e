//! What readers that nobody here wrote find in keystores: OpenSSL, Python's `cryptography`, and a reader of Sun's format.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Scratch, openssl, tools};

/// What a keystore holds, all PEM.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Opened {
    /// The public key that belongs to its private key.
    pub public_key: Option<String>,
    /// The names of its entries.
    pub aliases: Vec<String>,
    /// Its certificates, sorted.
    pub certificates: Vec<String>,
}

/// Opens PKCS#12 by OpenSSL and by Python's `cryptography`, which must find the same.
pub fn pkcs12(bytes: &[u8], password: &str) -> Result<Opened> {
    let scratch = Scratch::new("keystore")?;
    let file = scratch.write("keystore.p12", bytes)?;
    let text = openssl::pkcs12(&file, password)?;
    let printed = Command::new(tools::python()?).arg("-c").arg(READER).arg(&file).arg(password).output()?;
    ensure!(printed.status.success(), "cryptography: {}", String::from_utf8_lossy(&printed.stderr));
    let found: Value = serde_json::from_slice(&printed.stdout)?;
    let texts = |field: &str| -> Vec<String> {
        found[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let public_key = found["key"].as_str().map(openssl::public_key_of_private_key).transpose()?;
    let mut certificates = texts("certificates");
    certificates.sort();
    let mut by_openssl = blocks(&text, "CERTIFICATE");
    by_openssl.sort();
    ensure!(by_openssl == certificates, "the two readers differ:\n{text}");
    let key = blocks(&text, "PRIVATE KEY").first().map(|key| openssl::public_key_of_private_key(key)).transpose()?;
    ensure!(key == public_key, "the two readers differ about the key");
    Ok(Opened { public_key, aliases: texts("aliases"), certificates })
}

/// Opens Sun's format.
pub fn jks(bytes: &[u8], password: &str) -> Result<Opened> {
    let mut store = jks::KeyStore::new();
    store.load(&mut std::io::Cursor::new(bytes), password.as_bytes()).context("it does not open")?;
    let mut opened = Opened { aliases: store.aliases(), ..Opened::default() };
    for alias in &opened.aliases {
        if store.is_private_key_entry(alias) {
            let entry = store.get_private_key_entry(alias, password.as_bytes())?;
            opened.public_key = Some(openssl::public_key_of_private_key(&pem("PRIVATE KEY", &entry.private_key))?);
            opened.certificates.extend(entry.certificate_chain.iter().map(|found| pem("CERTIFICATE", &found.content)));
        } else {
            let found = store.get_trusted_certificate_entry(alias)?.certificate;
            opened.certificates.push(pem("CERTIFICATE", &found.content));
        }
    }
    opened.aliases.sort();
    opened.certificates.sort();
    Ok(opened)
}

/// The blocks of that label in a PEM text, sorted as they stand.
pub fn blocks(text: &str, label: &str) -> Vec<String> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----\n"));
    let parts = text.split(&begin).skip(1);
    parts.filter_map(|part| Some(format!("{begin}{}{end}", part.split(&end).next()?))).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

const READER: &str = r"
import json, sys
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.serialization import pkcs12
found = pkcs12.load_pkcs12(open(sys.argv[1], 'rb').read(), sys.argv[2].encode())
certificates = ([found.cert] if found.cert else []) + list(found.additional_certs)
pem = lambda held: held.certificate.public_bytes(s.Encoding.PEM).decode()
key = found.key and found.key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()
names = sorted(held.friendly_name.decode() for held in certificates if held.friendly_name)
print(json.dumps({'key': key, 'certificates': [pem(held) for held in certificates], 'aliases': names}))
";
