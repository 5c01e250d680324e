//! Roots that an issuer's document names: a PEM file below `files.read`.

use std::path::{Component, Path, PathBuf};

use claviger_config::{Reason, environment::SecretReference};
use claviger_core::domain::failure::{Failure, Retry};

use crate::adapters::aside::Secrets;

/// A bundle of roots has no reason to be larger.
const LARGEST: u64 = 1024 * 1024;

/// Where files and Secrets that documents name may lie.
#[derive(Clone, Default)]
pub struct Files {
    /// The setting `files.read`; absent: nowhere.
    pub read: Option<PathBuf>,
    /// Secrets of a cluster; absent where there is none.
    pub secrets: Option<Secrets>,
}

impl Files {
    /// [`open`](Self::open), away from the runtime.
    pub(super) async fn open_aside(self, reference: SecretReference) -> Result<Vec<u8>, Failure> {
        if let (Some(key), Some(secrets)) = (&reference.secret, &self.secrets) {
            return secrets(key.clone()).await.map(|roots| roots.to_vec());
        }
        let read = tokio::task::spawn_blocking(move || self.open(&reference)).await;
        read.unwrap_or_else(|error| {
            Err(Failure::new(Reason::SettingMissing, format!("the roots were not read: {error}")))
        })
    }

    /// Reads what a document names; nothing outside `files.read`, not by `..`, not by an absolute path, not by a symbolic link.
    fn open(&self, reference: &SecretReference) -> Result<Vec<u8>, Failure> {
        let Some(file) = &reference.file else {
            return Err(Failure::new(
                Reason::SettingMissing,
                "`trustedRoots.secret` needs `source: { kubernetes: {} }`",
            )
            .retry(Retry::Never)
            .fix("name a file: `trustedRoots: { file: … }`"));
        };
        let Some(folder) = &self.read else {
            return Err(Failure::new(
                Reason::SettingMissing,
                format!("`trustedRoots.file` names `{file}`, and `files.read` is not set"),
            )
            .retry(Retry::Never)
            .fix("set `files.read` to the folder that holds the file"));
        };
        let path = inside(folder, file)?;
        let told = |error| unreadable(file, folder, &error);
        if std::fs::metadata(&path).map_err(told)?.len() > LARGEST {
            return Err(bad(format!(
                "`{file}` below `files.read` is larger than {LARGEST} bytes, too large for roots"
            )));
        }
        std::fs::read(&path).map_err(told)
    }
}

fn inside(folder: &Path, file: &str) -> Result<PathBuf, Failure> {
    let relative = Path::new(file);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if file.is_empty() || !plain {
        return Err(bad(format!(
            "`{file}` is no path below `files.read`: neither an absolute path nor `..` is accepted"
        )));
    }
    let told = |error| unreadable(file, folder, &error);
    let folder = folder.canonicalize().map_err(told)?;
    let path = folder.join(relative).canonicalize().map_err(told)?;
    if path.starts_with(&folder) {
        Ok(path)
    } else {
        Err(bad(format!("`{file}` leads out of `files.read` by a symbolic link")))
    }
}

fn unreadable(file: &str, folder: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Reason::SettingMissing, format!("cannot read `{file}` below `{}`: {error}", folder.display()))
        .fix("put the roots there, readable by clavigerd")
}

fn bad(message: String) -> Failure {
    Failure::new(Reason::SettingMissing, message).fix("name a PEM file that lies below `files.read`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> SecretReference {
        SecretReference { file: Some(name.to_owned()), secret: None }
    }

    #[test]
    fn only_what_lies_below_the_folder_is_read() {
        let world = tempfile::tempdir().unwrap();
        let folder = world.path().join("read");
        std::fs::create_dir_all(folder.join("ca")).unwrap();
        std::fs::write(folder.join("ca/roots.pem"), "roots").unwrap();
        std::fs::write(world.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(world.path().join("secret"), folder.join("out.pem")).unwrap();
        std::os::unix::fs::symlink(folder.join("ca/roots.pem"), folder.join("in.pem")).unwrap();

        let files = Files { read: Some(folder.clone()), secrets: None };
        for name in ["ca/roots.pem", "./ca/roots.pem", "in.pem"] {
            assert_eq!(files.open(&file(name)).unwrap(), b"roots", "{name}");
        }
        let absolute = folder.join("ca/roots.pem");
        for name in ["../secret", "ca/../../secret", absolute.to_str().unwrap(), "out.pem", "", "missing.pem"] {
            assert_eq!(files.open(&file(name)).unwrap_err().reason, Reason::SettingMissing, "{name}");
        }
    }

    #[test]
    fn without_the_setting_nothing_is_read() {
        let failure = Files::default().open(&file("roots.pem")).unwrap_err();
        assert_eq!((failure.reason, failure.retry), (Reason::SettingMissing, Retry::Never));
    }
}
