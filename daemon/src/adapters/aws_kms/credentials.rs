//! Where an environment's credentials come from: exactly what its document names, and nothing else when that fails.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use aws_config::profile::{Profile, ProfileFileLoadError};
use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};
use aws_types::os_shim_internal::{Env, Fs};
use claviger_config::environment::CredentialsFile;
use thiserror::Error;
use zeroize::Zeroizing;

/// Why credentials that a document names cannot be used. The text never holds what the file holds.
#[derive(Debug, Error)]
pub(super) enum CredentialFault {
    #[error("found no key `{what}` in the profile `{profile}` of `{file}`")]
    KeyMissing { file: String, profile: String, what: &'static str },
    #[error("`{file}` is no AWS credentials file")]
    Malformed {
        file: String,
        #[source]
        cause: ProfileFileLoadError,
    },
    #[error("`credentials.file` names `{file}`, and `files.read` is not set")]
    NoFolder { file: String },
    #[error("`{file}` has no profile `{profile}`, accepted: one of [{}]", known.join(", "))]
    NoProfile { file: String, profile: String, known: Vec<String> },
    #[error(
        "found `{found}` in the profile `{profile}` of `{file}`, accepted: access keys; a role belongs into `kms.assumeRole`, where it is seen"
    )]
    NotKeys { file: String, profile: String, found: &'static str },
    #[error("found credentials of account {found}")]
    OtherAccount { found: String },
    #[error(
        "`{file}` leads out of `files.read`: neither an absolute path nor `..` nor a symbolic link that leaves it is accepted"
    )]
    Outside { file: String },
    #[error("`{file}` below `files.read` cannot be read")]
    Unreadable {
        file: String,
        #[source]
        cause: io::Error,
    },
}

/// A profile in a credentials file, read anew each time that credentials are asked for, so that a renewed file counts.
#[derive(Debug)]
pub(super) struct FromFile {
    /// The setting `files.read`.
    pub(super) folder: Option<PathBuf>,
    /// What the document names.
    pub(super) named: CredentialsFile,
}

impl ProvideCredentials for FromFile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.load().await.map_err(CredentialsError::invalid_configuration) })
    }
}

impl FromFile {
    async fn load(&self) -> Result<Credentials, CredentialFault> {
        let (folder, file) = (self.folder.clone(), self.named.file.clone());
        let read = tokio::task::spawn_blocking(move || read(folder.as_deref(), &file)).await;
        let unread = |cause| CredentialFault::Unreadable { file: self.named.file.clone(), cause };
        let content = read.map_err(|cause| unread(io::Error::other(cause)))??;
        self.keys(self.profile(&content).await?)
    }

    /// Amazon's own reader of the format. It is given the content, so that it opens no file by itself.
    #[expect(deprecated, reason = "the names that are not deprecated lie in a crate that is needed for nothing else")]
    async fn profile(&self, content: &str) -> Result<Profile, CredentialFault> {
        use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
        let files = ProfileFiles::builder().with_contents(ProfileFileKind::Credentials, content).build();
        let CredentialsFile { file, profile } = self.named.clone();
        let loaded = aws_config::profile::load(&Fs::from_slice(&[]), &Env::from_slice(&[]), &files, None).await;
        let found = loaded.map_err(|cause| CredentialFault::Malformed { file: file.clone(), cause })?;
        match found.get_profile(&profile) {
            Some(found) => Ok(found.clone()),
            None => {
                let known = found.profiles().map(str::to_owned).collect();
                Err(CredentialFault::NoProfile { file, profile, known })
            }
        }
    }

    fn keys(&self, found: Profile) -> Result<Credentials, CredentialFault> {
        let CredentialsFile { file, profile } = self.named.clone();
        if let Some(found) = INDIRECT.into_iter().find(|key| found.get(key).is_some()) {
            return Err(CredentialFault::NotKeys { file, profile, found });
        }
        let text = |key: &str| found.get(key).filter(|value| !value.is_empty()).map(str::to_owned);
        let needed = |what| {
            text(what).ok_or_else(|| CredentialFault::KeyMissing { file: file.clone(), profile: profile.clone(), what })
        };
        let mut builder = Credentials::builder()
            .access_key_id(needed("aws_access_key_id")?)
            .secret_access_key(needed("aws_secret_access_key")?)
            .provider_name("claviger");
        builder.set_session_token(text("aws_session_token"));
        builder.set_account_id(text("aws_account_id").map(Into::into));
        Ok(builder.build())
    }
}

/// Ways to other credentials. The rules of separation see the document alone, so a role must stand there.
const INDIRECT: [&str; 6] =
    ["credential_process", "credential_source", "login_session", "role_arn", "sso_session", "web_identity_token_file"];

/// Credentials that may only be used when they do not say that they belong to another account. STS always says whose they are.
#[derive(Debug)]
pub(super) struct Fenced<P> {
    /// What gives them.
    pub(super) inner: P,
    /// The account of the environment.
    pub(super) account: String,
}

impl<P: ProvideCredentials> ProvideCredentials for Fenced<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.checked(self.inner.provide_credentials().await?) })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.inner.fallback_on_interrupt().and_then(|credentials| self.checked(credentials).ok())
    }
}

impl<P> Fenced<P> {
    fn checked(&self, credentials: Credentials) -> provider::Result {
        match credentials.account_id().map(|account| account.as_str()) {
            Some(found) if found != self.account => {
                let found = found.to_owned();
                Err(CredentialsError::invalid_configuration(CredentialFault::OtherAccount { found }))
            }
            _ => Ok(credentials),
        }
    }
}

/// A credentials file is a few lines.
const LARGEST: u64 = 256 * 1024;

/// Symbolic links inside the folder are fine, Kubernetes mounts secrets that way; one that leaves it is not.
fn read(folder: Option<&Path>, file: &str) -> Result<Zeroizing<String>, CredentialFault> {
    let folder = folder.ok_or_else(|| CredentialFault::NoFolder { file: file.to_owned() })?;
    let outside = || CredentialFault::Outside { file: file.to_owned() };
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if file.is_empty() || !Path::new(file).components().all(plain) {
        return Err(outside());
    }
    let unreadable = |cause| CredentialFault::Unreadable { file: file.to_owned(), cause };
    let folder = folder.canonicalize().map_err(unreadable)?;
    let path = folder.join(file).canonicalize().map_err(unreadable)?;
    if !path.starts_with(&folder) {
        return Err(outside());
    }
    // Before it is opened: opening a pipe waits for whoever writes into it.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is no file")));
    }
    let mut content = Zeroizing::new(String::new());
    let mut opened = File::open(path).map_err(unreadable)?.take(LARGEST + 1);
    let length = opened.read_to_string(&mut content).map_err(unreadable)?;
    if length as u64 > LARGEST {
        return Err(unreadable(io::Error::other(format!("it is larger than {LARGEST} bytes"))));
    }
    Ok(content)
}
