//! The API token of an environment: read from its file for each call of the port, so that a rotated token counts at once.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use claviger_config::environment::SecretReference;
use http::HeaderValue;
use zeroize::Zeroizing;

/// Tokens have some 50 letters.
const LONGEST: u64 = 4_096;

/// A token, in no form that can be shown.
pub(super) struct Token(Zeroizing<Vec<u8>>);

impl Token {
    /// The value of the `Authorization` header, marked so that no log of the client shows it.
    pub(super) fn expose_header(&self) -> Option<HeaderValue> {
        let mut line = Zeroizing::new(b"Bearer ".to_vec());
        line.extend_from_slice(&self.0);
        let mut value = HeaderValue::from_bytes(&line).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Blots it out in an answer: a far side that repeats what it was sent would have it in the log.
    pub(super) fn hide_in(&self, answer: &mut [u8]) {
        let length = self.0.len();
        let mut from = 0;
        while let Some(at) = answer[from..].windows(length).position(|part| part == self.0.as_slice()) {
            answer[from + at..from + at + length].fill(b'*');
            from += at + length;
        }
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenProblem {
    #[error("the token's file `{file}` must be a relative path that stays below `files.read`")]
    Elsewhere { file: String },
    #[error(
        "the token's file or secret `{file}` holds no token: one line of visible ASCII of at most {LONGEST} bytes without blanks is accepted"
    )]
    Malformed { file: String },
    #[error("the token's file `{file}` cannot be read below `files.read`")]
    Unreadable {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("`edge.cloudflare.apiToken` names a Kubernetes Secret, which needs `source: {{ kubernetes: {{}} }}`")]
    NoFile,
    #[error("the setting `files.read` is missing, so no token can be read")]
    NoFolder,
}

/// Reads it off the runtime, because files may lie on slow disks.
pub(super) async fn read(folder: Option<&Path>, reference: &SecretReference) -> Result<Token, TokenProblem> {
    let file = reference.file.clone().ok_or(TokenProblem::NoFile)?;
    let folder = folder.ok_or(TokenProblem::NoFolder)?.to_owned();
    let told = file.clone();
    tokio::task::spawn_blocking(move || read_below(&folder, file))
        .await
        .unwrap_or_else(|stopped| Err(TokenProblem::Unreadable { file: told, source: io::Error::other(stopped) }))
}

fn read_below(folder: &Path, file: String) -> Result<Token, TokenProblem> {
    let path = match resolve(folder, &file) {
        Ok(Some(path)) => path,
        Ok(None) => return Err(TokenProblem::Elsewhere { file }),
        Err(source) => return Err(TokenProblem::Unreadable { file, source }),
    };
    let bytes = match content(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(TokenProblem::Unreadable { file, source }),
    };
    of(&bytes, &file)
}

/// A token from what a file or a Secret holds; `from` names it.
pub(super) fn of(bytes: &[u8], from: &str) -> Result<Token, TokenProblem> {
    let line = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() || line.len() as u64 > LONGEST || !line.iter().all(u8::is_ascii_graphic) {
        return Err(TokenProblem::Malformed { file: from.to_owned() });
    }
    Ok(Token(Zeroizing::new(line.to_vec())))
}

/// Links are followed, since Kubernetes mounts Secrets that way, as long as they end below the folder.
fn resolve(folder: &Path, file: &str) -> io::Result<Option<PathBuf>> {
    let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain {
        return Ok(None);
    }
    let folder = folder.canonicalize()?;
    let path = folder.join(file).canonicalize()?;
    Ok(path.starts_with(&folder).then_some(path))
}

fn content(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Reading a pipe could wait for ever.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // Room for all of it, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 16));
    File::open(path)?.take(LONGEST + 3).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str) -> SecretReference {
        SecretReference { file: Some(file.to_owned()), secret: None }
    }

    async fn header(folder: &Path, file: &str) -> Result<String, TokenProblem> {
        let token = read(Some(folder), &at(file)).await?;
        Ok(token.expose_header().unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn a_token_that_comes_back_is_blotted_out() {
        let token = Token(Zeroizing::new(b"s3cret".to_vec()));
        let mut answer = br#"{"errors":[{"code":1000,"message":"s3cret is no token, nor is s3crets3cret"}]}"#.to_vec();
        token.hide_in(&mut answer);
        let expected = r#"{"errors":[{"code":1000,"message":"****** is no token, nor is ************"}]}"#;
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
    }

    #[tokio::test]
    async fn one_trailing_line_end_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["abc", "abc\n", "abc\r\n"] {
            std::fs::write(folder.path().join("token"), content).unwrap();
            assert_eq!(header(folder.path(), "token").await.unwrap(), "Bearer abc");
        }
    }

    #[tokio::test]
    async fn what_is_no_token_is_refused_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["", "\n", "abc\n\n", "two words", "smuggled\r\nHost: x", &"x".repeat(5_000)] {
            std::fs::write(folder.path().join("token"), content).unwrap();
            let problem = header(folder.path(), "token").await.unwrap_err();
            assert!(matches!(problem, TokenProblem::Malformed { .. }), "{content:?}");
            assert!(!format!("{problem}{problem:?}").contains("smuggled"));
        }
    }

    #[tokio::test]
    async fn a_file_outside_the_folder_is_refused_however_it_is_written() {
        let world = tempfile::tempdir().unwrap();
        let folder = world.path().join("read");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(world.path().join("secret"), "abc").unwrap();
        std::os::unix::fs::symlink(world.path().join("secret"), folder.join("link")).unwrap();
        let absolute = world.path().join("secret").display().to_string();
        for file in ["../secret", "link", absolute.as_str()] {
            let problem = header(&folder, file).await.unwrap_err();
            assert!(matches!(problem, TokenProblem::Elsewhere { .. }), "{file}: {problem}");
        }
    }

    #[tokio::test]
    async fn a_link_that_stays_below_the_folder_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        std::fs::write(folder.path().join("..data/token"), "abc").unwrap();
        std::os::unix::fs::symlink("..data/token", folder.path().join("token")).unwrap();
        assert_eq!(header(folder.path(), "token").await.unwrap(), "Bearer abc");
    }

    #[tokio::test]
    async fn a_folder_or_a_missing_file_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for file in ["sub", "gone"] {
            let problem = header(folder.path(), file).await.unwrap_err();
            assert!(matches!(problem, TokenProblem::Unreadable { .. }), "{file}");
        }
        assert!(matches!(read(None, &at("token")).await, Err(TokenProblem::NoFolder)));
    }
}
