//! Wrapped account keys beside the records: a lost record then costs no account.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use claviger_config::{EnvironmentName, IssuerName, Reason};
use claviger_core::{
    domain::{effect::Sealed, failure::Failure},
    ports::{Answer, Vault},
};
use rustix::fs::OFlags;

use crate::adapters::sqlite::State;

/// Plays [`Vault`]: one file a key in `accounts` of the state folder.
#[derive(Clone, Debug)]
pub struct AccountFiles {
    state: State,
}

impl AccountFiles {
    /// Keeps them in that state folder.
    pub fn new(state: &State) -> Self {
        Self { state: state.clone() }
    }

    fn path(&self, environment: &EnvironmentName, issuer: &IssuerName) -> PathBuf {
        self.state.join("accounts").join(format!("{}--{issuer}.wrapped", unambiguous(environment.as_str())))
    }
}

impl Vault for AccountFiles {
    fn find<'a>(&'a self, environment: &'a EnvironmentName, issuer: &'a IssuerName) -> Answer<'a, Option<Sealed>> {
        let path = self.path(environment, issuer);
        Box::pin(off_the_runtime("read", path, |path| match private().read(true).open(path) {
            Ok(file) => {
                let mut text = String::new();
                file.take(MOST).read_to_string(&mut text)?;
                Ok(Some(Sealed(text.trim_end().to_owned())))
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause),
        }))
    }

    fn keep<'a>(&'a self, environment: &'a EnvironmentName, issuer: &'a IssuerName, key: &'a Sealed) -> Answer<'a, ()> {
        let (path, text) = (self.path(environment, issuer), format!("{}\n", key.0));
        Box::pin(off_the_runtime("write", path, move |path| replace(path, text.as_bytes())))
    }
}

async fn off_the_runtime<T: Send + 'static>(
    what: &'static str,
    path: PathBuf,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let shown = path.clone();
    let done = tokio::task::spawn_blocking(move || work(&path)).await;
    done.unwrap_or_else(|cause| Err(io::Error::other(cause))).map_err(|cause| {
        let message = format!("cannot {what} the wrapped account key `{}`: {cause}", shown.display());
        Failure::new(Reason::StoreFailed, message).fix(
            "check that the volume of the state folder is writable and not full, and that clavigerd's user owns it",
        )
    })
}

/// The old content or the new one, never a half: a new file is written and synced, then takes the name.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(cause),
        Err(_) => {}
        Ok(()) => sync(folder.parent().unwrap_or(folder))?,
    }
    let next = path.with_extension("next");
    let mut file = private().write(true).create(true).truncate(true).open(&next)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    sync(folder)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A `-` behind a `-` becomes `+`, which no name has: the first `--` of a file name then ends the environment's name, and two pairs
/// of names never share a file.
fn unambiguous(environment: &str) -> String {
    let behind_a_dash = |(at, character): (usize, char)| {
        if character == '-' && environment[..at].ends_with('-') { '+' } else { character }
    };
    environment.char_indices().map(behind_a_dash).collect()
}

const MOST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn vault() -> (tempfile::TempDir, AccountFiles) {
        let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap();
        let vault = AccountFiles::new(&State::open(folder.path()).unwrap());
        (folder, vault)
    }

    #[tokio::test]
    async fn a_key_is_found_as_it_was_kept_and_replaced_whole() {
        let (folder, vault) = vault();
        let (environment, issuer) = ("staging".parse().unwrap(), "letsencrypt".parse().unwrap());
        assert_eq!(vault.find(&environment, &issuer).await.unwrap(), None);
        for text in ["AgV4first", "AgV4"] {
            vault.keep(&environment, &issuer, &Sealed(text.to_owned())).await.unwrap();
            assert_eq!(vault.find(&environment, &issuer).await.unwrap(), Some(Sealed(text.to_owned())));
        }
        let file = folder.path().join("accounts/staging--letsencrypt.wrapped");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("accounts")).unwrap().count(), 1, "nothing else is left");
    }

    #[tokio::test]
    async fn a_half_written_file_of_a_crash_is_not_taken_for_the_key() {
        let (folder, vault) = vault();
        let (environment, issuer) = ("staging".parse().unwrap(), "letsencrypt".parse().unwrap());
        vault.keep(&environment, &issuer, &Sealed("whole".to_owned())).await.unwrap();
        fs::write(folder.path().join("accounts/staging--letsencrypt.next"), "hal").unwrap();
        assert_eq!(vault.find(&environment, &issuer).await.unwrap(), Some(Sealed("whole".to_owned())));
        vault.keep(&environment, &issuer, &Sealed("new".to_owned())).await.unwrap();
        assert_eq!(vault.find(&environment, &issuer).await.unwrap(), Some(Sealed("new".to_owned())));
    }

    #[tokio::test]
    async fn names_with_dashes_never_share_a_file() {
        let (_folder, vault) = vault();
        let pairs = [("a", "b--c"), ("a--b", "c"), ("a---b", "c"), ("a", "b---c"), ("a-b", "c")];
        for (environment, issuer) in pairs {
            let key = Sealed(format!("{environment} {issuer}"));
            vault.keep(&environment.parse().unwrap(), &issuer.parse().unwrap(), &key).await.unwrap();
        }
        for (environment, issuer) in pairs {
            let found = vault.find(&environment.parse().unwrap(), &issuer.parse().unwrap()).await.unwrap();
            assert_eq!(found, Some(Sealed(format!("{environment} {issuer}"))));
        }
    }
}
