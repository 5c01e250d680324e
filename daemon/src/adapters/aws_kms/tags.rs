//! Tags: how a key says whose it is.

use std::collections::BTreeMap;

use aws_sdk_kms::types::Tag;
use claviger_config::{EnvironmentName, ObjectName, Reason, desired::Surroundings, environment::Classification};
use claviger_core::{domain::failure::Failure, ports::NewKey};

use super::operation::Operation::CreateKey;

/// Tags that claviger writes. Whoever may write them says what is claviger's, so policies must guard them.
const ENVIRONMENT: &str = "claviger:environment";
const INTENT: &str = "claviger:intent";
const OBJECT: &str = "claviger:object";

/// The tags of a key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Tags(pub(super) BTreeMap<String, String>);

impl Tags {
    /// Whether they name this very object.
    pub(super) fn name(&self, environment: &EnvironmentName, object: &ObjectName) -> bool {
        self.is(ENVIRONMENT, environment.as_str()) && self.is(OBJECT, &object_tag(object))
    }

    /// Whether they name this intent.
    pub(super) fn answer(&self, environment: &EnvironmentName, intent: &str) -> bool {
        self.is(ENVIRONMENT, environment.as_str()) && self.is(INTENT, intent)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|found| found == value)
    }
}

/// The tags of a new key.
pub(super) fn of_new_key(at: &Surroundings, key: NewKey<'_>) -> Result<Vec<Tag>, Failure> {
    let tags = [
        ("claviger:owner", allowed(&at.spec.owner)),
        ("claviger:classification", classification(at.spec.classification).to_owned()),
        (ENVIRONMENT, at.name.to_string()),
        (OBJECT, object_tag(key.object)),
        ("claviger:purpose", key.purpose.word().to_owned()),
        (INTENT, key.intent.to_owned()),
    ];
    let built: Result<Vec<Tag>, _> =
        tags.into_iter().map(|(name, value)| Tag::builder().tag_key(name).tag_value(value).build()).collect();
    built.map_err(|cause| {
        Failure::new(Reason::KmsRefused, format!("cannot tag for `kms:{}`: {cause}", CreateKey.name()))
    })
}

/// `namespace/name`
pub(super) fn object_tag(object: &ObjectName) -> String {
    match &object.namespace {
        Some(namespace) => format!("{namespace}/{}", object.name),
        None => object.name.to_string(),
    }
}

/// The document leaves the owner's form open, AWS does not: letters, digits, spaces and `_ . : / = + - @`, 256 at most.
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Tag.html>
fn allowed(owner: &str) -> String {
    let fits = |letter: char| letter.is_alphanumeric() || letter == ' ' || "_.:/=+-@".contains(letter);
    owner.chars().map(|letter| if fits(letter) { letter } else { '-' }).take(256).collect()
}

const fn classification(found: Classification) -> &'static str {
    match found {
        Classification::Public => "public",
        Classification::Internal => "internal",
        Classification::Confidential => "confidential",
        Classification::Restricted => "restricted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_in_any_form_becomes_a_tag_that_aws_takes() {
        assert_eq!(allowed("itops@example.com"), "itops@example.com");
        assert_eq!(allowed("IT Ops <itops@example.com>; Köln"), "IT Ops -itops@example.com-- Köln");
        assert_eq!(allowed(&"x".repeat(300)).len(), 256);
    }

    #[test]
    fn tags_name_an_object_only_together_with_its_environment() {
        let tagged = |environment: &str, object: &str| {
            let pairs = [(ENVIRONMENT, environment), (OBJECT, object)];
            Tags(pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
        };
        let object: ObjectName =
            serde_json::from_str(r#"{"kind":"KmsKey","namespace":"shop","name":"wrapping"}"#).unwrap();
        let staging = "staging".parse().unwrap();
        assert!(tagged("staging", "shop/wrapping").name(&staging, &object));
        assert!(!tagged("production", "shop/wrapping").name(&staging, &object));
        assert!(!tagged("staging", "shop/other").name(&staging, &object));
        assert!(!Tags::default().name(&staging, &object));
    }
}
