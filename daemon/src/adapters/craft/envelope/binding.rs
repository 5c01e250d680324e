//! What a sealed secret is bound to.

use super::{EnvelopeFault, Header, context_matches};
use std::collections::BTreeMap;

/// The object a secret belongs to, and what it is for: the encryption context of everything that is wrapped.
///
/// There is no UID in it, since restoring a backup changes those.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Binding<'a> {
    /// The environment's name.
    pub environment: &'a str,
    /// The kind of the object: `TlsCertificate`, `Environment`.
    pub kind: &'a str,
    /// The object's namespace.
    pub namespace: &'a str,
    /// The object's name.
    pub name: &'a str,
    /// What the secret is for: `private-key`, `account-key`. Written as `use`.
    pub purpose: &'a str,
}

impl Binding<'_> {
    /// As the encryption context that KMS and the envelope take.
    pub fn context(&self) -> BTreeMap<String, String> {
        let entries = [
            ("application", APPLICATION),
            ("environment", self.environment),
            ("kind", self.kind),
            ("namespace", self.namespace),
            ("name", self.name),
            ("use", self.purpose),
        ];
        // KMS takes no empty value; an object without a namespace is bound by the absence of the key.
        let entries = entries.into_iter().filter(|(_, value)| !value.is_empty());
        entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Refuses an opened message that is bound to something else.
    pub fn verify(&self, header: &Header) -> Result<(), EnvelopeFault> {
        context_matches(header, &self.context())
    }
}

const APPLICATION: &str = "claviger";
