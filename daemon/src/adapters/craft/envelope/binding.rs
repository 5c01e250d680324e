//! What a sealed secret is bound to.

use super::{EnvelopeFault, Header, context_matches};
use claviger_core::ports::Binding;
use std::collections::BTreeMap;

/// `binding` as the encryption context that KMS and the envelope take: application, environment, kind, namespace, name,
/// use.
///
/// An object that lives in no namespace is bound by the absence of that key, since KMS takes no empty value.
pub fn context(binding: &Binding) -> BTreeMap<String, String> {
    let namespace = binding.object.namespace.as_ref().map(|namespace| ("namespace", namespace.to_string()));
    let entries = [
        ("application", APPLICATION.to_owned()),
        ("environment", binding.environment.to_string()),
        ("kind", binding.object.kind.to_string()),
        ("name", binding.object.name.to_string()),
        ("use", binding.r#use.word()),
    ];
    entries.into_iter().chain(namespace).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Refuses an opened message that is bound to something else than `binding`.
pub fn verify_binding(header: &Header, binding: &Binding) -> Result<(), EnvelopeFault> {
    context_matches(header, &context(binding))
}

const APPLICATION: &str = "claviger";
