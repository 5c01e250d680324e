use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A secret that is looked for where it must not be: in folders, logs, answers.
///
/// It is found as it is, in hexadecimal, in base64 at any offset, and as the list of numbers that a careless `Debug` of
/// bytes prints.
#[derive(Debug)]
pub struct Canary {
    secret: Vec<u8>,
    forms: Vec<(&'static str, Vec<u8>)>,
}

/// Where a canary was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The file, or the name of the output.
    pub place: String,
    /// How it was written there.
    pub form: &'static str,
}

impl Canary {
    /// Makes one up, to be used as a token or password. No two are equal.
    pub fn new(name: &str) -> Self {
        static HATCHED: AtomicU32 = AtomicU32::new(0);
        let number = HATCHED.fetch_add(1, Ordering::Relaxed);
        Self::of(format!("canary-{name}-{}-{number}-sings", std::process::id()).as_bytes())
    }

    /// Takes a secret that exists, such as a private key. It must be long enough not to occur by chance.
    pub fn of(secret: &[u8]) -> Self {
        assert!(secret.len() >= 8, "a secret of {} bytes occurs by chance", secret.len());
        Self { secret: secret.to_vec(), forms: forms(secret) }
    }

    /// The secret as text.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.secret).context("this canary is binary")
    }

    /// Looks for it in an output.
    pub fn sightings_in(&self, name: &str, output: impl AsRef<[u8]>) -> Vec<Sighting> {
        let output = searchable(output.as_ref());
        let seen = self.forms.iter().filter(|(_, form)| output.contains(&searchable(form)));
        seen.map(|(form, _)| Sighting { place: name.to_owned(), form }).collect()
    }

    /// Looks for it in all files below a folder, and in their names.
    pub fn sightings_below(&self, folder: &Path) -> Result<Vec<Sighting>> {
        let mut sightings = vec![];
        for file in files_below(folder)? {
            let name = file.display().to_string();
            let content = std::fs::read(&file).with_context(|| format!("cannot read `{name}`"))?;
            sightings.extend(self.sightings_in(&name, &name));
            sightings.extend(self.sightings_in(&name, content));
        }
        Ok(sightings)
    }
}

fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("as it is", secret.to_vec()),
        ("hexadecimal", hex::encode(secret).into_bytes()),
        ("hexadecimal", hex::encode_upper(secret).into_bytes()),
        ("a list of numbers", numbers(secret, ", ")),
        ("a list of numbers", numbers(secret, ",")),
    ];
    for offset in 0..3 {
        forms.push(("base64", inner_base64(&STANDARD, secret, offset)));
        forms.push(("base64url", inner_base64(&URL_SAFE, secret, offset)));
    }
    forms
}

fn numbers(secret: &[u8], between: &str) -> Vec<u8> {
    secret.iter().map(ToString::to_string).collect::<Vec<_>>().join(between).into_bytes()
}

/// The characters that are the same whatever stands around the secret, when `offset` bytes stand before it.
fn inner_base64(engine: &impl Engine, secret: &[u8], offset: usize) -> Vec<u8> {
    let padded = [&[0; 3][..offset], secret].concat();
    let (from, to) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
    engine.encode(padded).into_bytes()[from..to].to_vec()
}

/// A character for each byte: the search in texts is the library's, and fast in every build.
fn searchable(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Sockets and links are passed over: what a link leads to is looked at where it is.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    for entry in entries {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            files.extend(files_below(&path)?);
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scratch;

    fn seen_in(output: &str) -> Vec<&'static str> {
        Canary::of(b"s3cret?~key").sightings_in("output", output).into_iter().map(|sighting| sighting.form).collect()
    }

    #[test]
    fn a_leak_is_seen_in_every_form() {
        assert_eq!(seen_in("password=s3cret?~key&x=1"), ["as it is"]);
        assert_eq!(seen_in(&hex::encode("s3cret?~key")), ["hexadecimal"]);
        assert_eq!(seen_in(&format!("{:?}", b"s3cret?~key")), ["a list of numbers"]);
    }

    #[test]
    fn base64_is_seen_wherever_the_secret_stands_in_it() {
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "x", "xy"] {
                let text = format!("{before}s3cret?~key{after}");
                assert!(seen_in(&STANDARD.encode(&text)).contains(&"base64"), "{text}");
                assert!(seen_in(&URL_SAFE.encode(&text)).contains(&"base64url"), "{text}");
            }
        }
    }

    #[test]
    fn silence_is_not_mistaken_for_a_leak() {
        assert!(seen_in("nothing to see, s3cret? no").is_empty());
    }

    #[test]
    fn a_folder_is_searched_to_the_ground() {
        let (scratch, canary) = (Scratch::new("canary").unwrap(), Canary::new("token"));
        std::fs::create_dir(scratch.path().join("deep")).unwrap();
        scratch.write("clean", "nothing").unwrap();
        let leak = scratch.write("deep/log", [b"\xff\0", canary.text().unwrap().as_bytes()].concat()).unwrap();
        let sightings = canary.sightings_below(scratch.path()).unwrap();
        assert_eq!(sightings, [Sighting { place: leak.display().to_string(), form: "as it is" }]);
    }
}
