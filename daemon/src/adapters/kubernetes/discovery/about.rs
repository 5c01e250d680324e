//! What the metadata of a Secret says of who looks after it.

use claviger_core::domain::inventory::About;
use kube::api::ObjectMeta;

use super::super::{CERTIFICATE, MANAGED};

/// Whether claviger made it.
pub(super) fn is_ours(metadata: &ObjectMeta) -> bool {
    let (key, value) = MANAGED;
    label(metadata, key) == Some(value) && annotation(metadata, CERTIFICATE).is_some()
}

/// Who looks after it. A controller that owns it says more than a label.
pub(super) fn about(metadata: &ObjectMeta) -> About {
    let owners = metadata.owner_references.iter().flatten();
    let controller =
        owners.filter(|owner| owner.controller == Some(true)).map(|owner| format!("{}/{}", owner.kind, owner.name));
    let by_cert_manager =
        || annotation(metadata, "cert-manager.io/certificate-name").map(|name| format!("cert-manager/{name}"));
    let either = |key| label(metadata, key).or_else(|| annotation(metadata, key)).map(str::to_owned);
    let managed_by = controller.into_iter().next().or_else(by_cert_manager).or_else(|| either(MANAGED.0));
    About { owner: either("claviger.dev/owner").map(short), managed_by: managed_by.map(short) }
}

fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str).filter(|value| !value.is_empty())
}

/// An annotation may be a book.
fn short(text: String) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metadata(text: Value) -> ObjectMeta {
        serde_json::from_value(text).unwrap()
    }

    fn told(text: Value) -> (Option<String>, Option<String>) {
        let found = about(&metadata(text));
        (found.owner, found.managed_by)
    }

    #[test]
    fn a_controller_says_more_than_an_annotation_and_that_more_than_a_label() {
        let labels = json!({ "app.kubernetes.io/managed-by": "Helm" });
        let annotations =
            json!({ "cert-manager.io/certificate-name": "shop", "claviger.dev/owner": "shop@example.com" });
        let owner = json!([{ "apiVersion": "v1", "kind": "Widget", "name": "w", "uid": "u", "controller": true }]);
        let by = |text: Value| told(text).1;
        assert_eq!(by(json!({ "labels": labels })).as_deref(), Some("Helm"));
        assert_eq!(by(json!({ "labels": labels, "annotations": annotations })).as_deref(), Some("cert-manager/shop"));
        let all = json!({ "labels": labels, "annotations": annotations, "ownerReferences": owner });
        assert_eq!(told(all), (Some("shop@example.com".to_owned()), Some("Widget/w".to_owned())));
        assert_eq!(told(json!({ "annotations": { "claviger.dev/owner": "" } })), (None, None));
    }

    #[test]
    fn an_annotation_that_is_a_book_is_cut() {
        let found = told(json!({ "annotations": { "claviger.dev/owner": format!("\u{1b}{}", "x".repeat(5_000)) } }));
        assert_eq!(found.0, Some("x".repeat(LONGEST)));
    }

    #[test]
    fn ours_is_what_has_our_label_and_names_its_certificate() {
        let label = json!({ "app.kubernetes.io/managed-by": "claviger" });
        assert!(is_ours(&metadata(json!({ "labels": label, "annotations": { "claviger.dev/certificate": "web" } }))));
        assert!(!is_ours(&metadata(json!({ "labels": label }))));
        assert!(!is_ours(&metadata(json!({ "annotations": { "claviger.dev/certificate": "web" } }))));
    }
}
