//! Amazon's Encryption SDK as the judge over our envelopes: drives `oracle.py` beside this file.
//!
//! It needs a Python with the packages of `tests/peers/requirements.txt` and a KMS endpoint that keeps its keys between
//! calls, such as moto. Every call starts a process and waits for it: call it off the runtime.

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An encryption context.
pub type EncryptionContext = BTreeMap<String, String>;

/// The oracle, with the endpoint that it asks.
pub struct Oracle {
    python: PathBuf,
    endpoint: String,
}

/// What KMS `GenerateDataKey` gave.
pub struct DataKey {
    /// The key in the clear.
    pub plaintext: Vec<u8>,
    /// The key as only KMS can open it.
    pub ciphertext: Vec<u8>,
    /// Which KMS key wrapped it.
    pub key_arn: String,
}

/// Our side of the comparison.
pub trait Envelope {
    /// Seals under a data key.
    fn seal(&self, data_key: &DataKey, context: &EncryptionContext, plaintext: &[u8]) -> Result<Vec<u8>>;
    /// The wrapped data key and the context that a message shows.
    fn read(&self, message: &[u8], key_arn: &str) -> Result<(Vec<u8>, EncryptionContext)>;
    /// Opens with the data key in the clear.
    fn open(&self, message: &[u8], data_key: &[u8]) -> Result<Vec<u8>>;
}

/// Seals with ours and opens with Amazon's, and the other way round, for lengths around the frame size; and shows that
/// neither opens what was damaged or belongs to another context.
pub fn cross_check(oracle: &Oracle, ours: &impl Envelope, context: &EncryptionContext) -> Result<()> {
    let key_arn = oracle.create_key()?;
    for length in [0, 1, 241, 4095, 4096, 4097, 10_000] {
        let plaintext: Vec<u8> = (0..length).map(|index: usize| (index % 251) as u8).collect();
        let sealed = ours.seal(&oracle.data_key(&key_arn, context)?, context, &plaintext)?;
        ensure!(
            oracle.decrypt(&key_arn, context, &sealed)? == plaintext,
            "Amazon opens ours to other bytes ({length})"
        );
        let sealed = oracle.encrypt(&key_arn, context, &plaintext)?;
        let (wrapped, found) = ours.read(&sealed, &key_arn)?;
        ensure!(&found == context, "we read another context from Amazon's ({length})");
        let data_key = oracle.unwrap(&key_arn, context, &wrapped)?;
        ensure!(ours.open(&sealed, &data_key)? == plaintext, "we open Amazon's to other bytes ({length})");
    }
    refusals(oracle, ours, context, &key_arn)
}

fn refusals(oracle: &Oracle, ours: &impl Envelope, context: &EncryptionContext, key_arn: &str) -> Result<()> {
    let data_key = oracle.data_key(key_arn, context)?;
    let sealed = ours.seal(&data_key, context, b"secret")?;
    let mut elsewhere = context.clone();
    elsewhere.insert("environment".to_owned(), "elsewhere".to_owned());
    ensure!(
        oracle.unwrap(key_arn, &elsewhere, &data_key.ciphertext).is_err(),
        "KMS opens a data key under another context"
    );
    ensure!(oracle.decrypt(key_arn, &elsewhere, &sealed).is_err(), "Amazon opens ours under another context");
    for place in [0, sealed.len() / 2, sealed.len() - 1] {
        let mut damaged = sealed.clone();
        damaged[place] ^= 1;
        ensure!(oracle.decrypt(key_arn, context, &damaged).is_err(), "Amazon opens a message damaged at {place}");
        ensure!(ours.open(&damaged, &data_key.plaintext).is_err(), "we open a message damaged at {place}");
    }
    Ok(())
}

impl Oracle {
    /// `python` has the packages, `endpoint` is the URL where KMS answers.
    pub fn new(python: impl Into<PathBuf>, endpoint: impl Into<String>) -> Self {
        Self { python: python.into(), endpoint: endpoint.into() }
    }

    /// Makes a symmetric KMS key and gives its ARN.
    pub fn create_key(&self) -> Result<String> {
        let answer = self.run(["create-key"])?;
        Ok(String::from_utf8(answer)?.trim().to_owned())
    }

    /// A data key straight from KMS.
    pub fn data_key(&self, key_arn: &str, context: &EncryptionContext) -> Result<DataKey> {
        let answer: serde_json::Value = serde_json::from_slice(&self.run(with_key("data-key", key_arn, context))?)?;
        let text = |name: &str| answer[name].as_str().with_context(|| format!("the oracle's answer lacks `{name}`"));
        Ok(DataKey {
            plaintext: STANDARD.decode(text("plaintext")?)?,
            ciphertext: STANDARD.decode(text("ciphertext")?)?,
            key_arn: text("keyArn")?.to_owned(),
        })
    }

    /// Lets KMS open a wrapped data key.
    pub fn unwrap(&self, key_arn: &str, context: &EncryptionContext, wrapped: &[u8]) -> Result<Vec<u8>> {
        self.transform("unwrap", key_arn, context, wrapped)
    }

    /// Seals with Amazon's SDK.
    pub fn encrypt(&self, key_arn: &str, context: &EncryptionContext, plaintext: &[u8]) -> Result<Vec<u8>> {
        self.transform("encrypt", key_arn, context, plaintext)
    }

    /// Opens with Amazon's SDK, which insists on the suite and on the context.
    pub fn decrypt(&self, key_arn: &str, context: &EncryptionContext, message: &[u8]) -> Result<Vec<u8>> {
        self.transform("decrypt", key_arn, context, message)
    }

    fn transform(&self, command: &str, key_arn: &str, context: &EncryptionContext, input: &[u8]) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir()?;
        let (from, to) = (folder.path().join("in"), folder.path().join("out"));
        fs::write(&from, input)?;
        let files = ["--in".into(), from.display().to_string(), "--out".into(), to.display().to_string()];
        self.run(with_key(command, key_arn, context).into_iter().chain(files))?;
        Ok(fs::read(to)?)
    }

    /// The environment is emptied, so that nobody's own AWS credentials are ever used.
    fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Vec<u8>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/esdk/oracle.py");
        let mut command = Command::new(&self.python);
        command.arg(script).args(["--endpoint", &self.endpoint]).args(arguments).env_clear();
        let output = command.output().with_context(|| format!("cannot start `{}`", self.python.display()))?;
        if !output.status.success() {
            bail!("the oracle refuses: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output.stdout)
    }
}

fn with_key(command: &str, key_arn: &str, context: &EncryptionContext) -> Vec<String> {
    let mut arguments = vec![command.to_owned(), "--key".to_owned(), key_arn.to_owned()];
    for (key, value) in context {
        arguments.extend(["--context".to_owned(), format!("{key}={value}")]);
    }
    arguments
}
