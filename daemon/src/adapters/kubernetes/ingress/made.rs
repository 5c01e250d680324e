//! What there is already, held against what is asked for.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::{
    APPLIER,
    asked::{Asker, Wanted},
};

/// For whom an object was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Made {
    owners: Vec<OwnerReference>,
    /// The fields of `spec` that [`APPLIER`] set, as paths; none when it never did.
    fields: Option<BTreeSet<String>>,
}

impl Made {
    /// As the API server tells it.
    pub(in super::super) fn of(metadata: &ObjectMeta) -> Self {
        let entries = metadata.managed_fields.iter().flatten();
        let ours = entries.filter(|entry| entry.manager.as_deref() == Some(APPLIER) && entry.subresource.is_none());
        let fields = ours.filter_map(|entry| entry.fields_v1.as_ref()).map(|fields| set_fields(&fields.0["f:spec"]));
        Self { owners: metadata.owner_references.clone().unwrap_or_default(), fields: fields.reduce(union) }
    }
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Our fields, or the owner, are other ones.
    Differs,
    /// It belongs to somebody else, and stays as it is; in words.
    Foreign(String),
    /// Another one's, which serves these names too.
    Shared,
    /// Nothing.
    Same,
}

/// A TlsCertificate of the name that is asked for, held against the wish.
pub(super) fn verdict(spec: &Value, made: &Made, asker: &Asker, wanted: &Wanted) -> Verdict {
    let Some(owner) = made.owners.iter().find(|owner| is(owner, asker)) else {
        return foreign(spec, made, asker, wanted);
    };
    let wish = wanted.spec();
    let same = owner.uid == asker.uid && made.fields.as_ref() == Some(&wished_fields(&wish)) && covers(spec, &wish);
    if same { Verdict::Same } else { Verdict::Differs }
}

/// Also the one of the same name that was there before: its certificates need not be issued again.
fn is(owner: &OwnerReference, asker: &Asker) -> bool {
    let group = |version: &str| version.split('/').next().map(ToOwned::to_owned);
    (owner.kind.as_str(), owner.name.as_str()) == (asker.kind, asker.name.as_str())
        && group(&owner.api_version) == group(asker.api_version)
}

fn foreign(spec: &Value, made: &Made, asker: &Asker, wanted: &Wanted) -> Verdict {
    let (name, kind) = (&wanted.secret, asker.kind);
    let other = made.owners.iter().find(|owner| matches!(owner.kind.as_str(), "Gateway" | "Ingress"));
    let Some(other) = other else {
        return Verdict::Foreign(format!(
            "the TlsCertificate `{name}` was not made for this {kind}, so it stays as it is: name another Secret, or delete \
             that TlsCertificate and it is made anew"
        ));
    };
    let there: Vec<&str> = spec["dnsNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let missing: Vec<&str> =
        wanted.names.iter().map(claviger_config::DnsName::as_str).filter(|name| !there.contains(name)).collect();
    if missing.is_empty() {
        return Verdict::Shared;
    }
    Verdict::Foreign(format!(
        "the TlsCertificate `{name}` was made for the {} `{}` and lacks `{}`: add the hosts there, or name another Secret here",
        other.kind,
        other.name,
        missing.join("`, `")
    ))
}

/// Whether everything that is wished stands there; more may.
fn covers(found: &Value, wish: &Value) -> bool {
    match (found, wish) {
        (Value::Object(found), Value::Object(wish)) => {
            wish.iter().all(|(field, wish)| found.get(field).is_some_and(|found| covers(found, wish)))
        }
        (Value::Array(found), Value::Array(wish)) if named(wish).is_some() => {
            wish.iter().all(|wish| found.iter().any(|found| found["name"] == wish["name"] && covers(found, wish)))
        }
        (found, wish) => found == wish,
    }
}

/// The names of a list of named things, which the API server merges by them.
fn named(list: &[Value]) -> Option<Vec<&str>> {
    list.iter().map(|item| item.get("name").and_then(Value::as_str)).collect()
}

/// The fields of a wish, spelled as in `managedFields`.
fn wished_fields(wish: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    wished(wish, "", &mut found);
    found
}

fn wished(wish: &Value, path: &str, into: &mut BTreeSet<String>) {
    match wish {
        Value::Object(fields) => {
            for (name, field) in fields {
                wished(field, &format!("{path}/f:{name}"), into);
            }
        }
        Value::Array(items) if named(items).is_some() => {
            for item in items {
                wished(item, &format!("{path}/k:{}", json!({ "name": item["name"] })), into);
            }
        }
        _ => {
            into.insert(path.to_owned());
        }
    }
}

/// The fields of `fieldsV1`: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>.
fn set_fields(fields: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    set(fields, "", &mut found);
    found
}

fn set(fields: &Value, path: &str, into: &mut BTreeSet<String>) {
    for (name, inner) in fields.as_object().into_iter().flatten().filter(|(name, _)| *name != ".") {
        let path = format!("{path}/{name}");
        match inner.as_object() {
            Some(inner) if !inner.is_empty() => set(&Value::Object(inner.clone()), &path, into),
            _ => drop(into.insert(path)),
        }
    }
}

fn union(mut left: BTreeSet<String>, right: BTreeSet<String>) -> BTreeSet<String> {
    left.extend(right);
    left
}

#[cfg(test)]
mod tests {
    use super::{
        super::asked::{Place, Request, asked, tests::annotations},
        *,
    };

    fn asker() -> Asker {
        let text = |text: &str| text.to_owned();
        let (namespace, name, uid) = (text("staging"), text("web"), text("1"));
        Asker { api_version: "networking.k8s.io/v1", kind: "Ingress", namespace, name, uid }
    }

    fn wanted(more: &[(&str, &str)], hosts: &[&str]) -> Wanted {
        let hosts = hosts.iter().map(ToString::to_string).collect();
        let places = vec![Place { path: String::new(), secret: "web-tls".to_owned(), hosts }];
        let request = Request { asker: asker(), annotations: annotations(more), places, wrong: Vec::new() };
        asked(&request).certificates.remove(0)
    }

    fn owned(kind: &str, name: &str, uid: &str, fields: Value) -> Made {
        let owner = json!([{ "apiVersion": "networking.k8s.io/v1", "kind": kind, "name": name, "uid": uid }]);
        let entry = json!([{ "manager": APPLIER, "operation": "Apply", "fieldsV1": { "f:spec": fields } }]);
        Made::of(&serde_json::from_value(json!({ "ownerReferences": owner, "managedFields": entry })).unwrap())
    }

    fn fields() -> Value {
        json!({
            "f:dnsNames": {},
            "f:outlets": { "k:{\"name\":\"secret\"}": { ".": {}, "f:name": {}, "f:secret": { "f:name": {} } } },
        })
    }

    fn ours() -> Made {
        owned("Ingress", "web", "1", fields())
    }

    const HOST: &str = "a.example.com";

    /// With what a person added beside our fields.
    fn spec() -> Value {
        let outlets = json!([{ "name": "mine", "files": {} }, { "name": "secret", "secret": { "name": "web-tls", "labels": {} } }]);
        json!({ "dnsNames": [HOST], "outlets": outlets, "key": { "algorithm": "ecdsa-p256" } })
    }

    #[test]
    fn what_a_person_added_beside_our_fields_is_no_difference() {
        assert_eq!(verdict(&spec(), &ours(), &asker(), &wanted(&[], &[HOST])), Verdict::Same);
    }

    #[test]
    fn other_hosts_a_new_owner_and_fields_of_which_somebody_else_took_hold_are_differences() {
        let one = wanted(&[], &[HOST]);
        let more = [wanted(&[], &[HOST, "b.example.com"]), wanted(&[("claviger.dev/issuers", "a")], &[HOST])];
        for wanted in more {
            assert_eq!(verdict(&spec(), &ours(), &asker(), &wanted), Verdict::Differs, "{wanted:?}");
        }
        let mut changed = spec();
        changed["outlets"][1]["secret"]["name"] = json!("other");
        assert_eq!(verdict(&changed, &ours(), &asker(), &one), Verdict::Differs);
        assert_eq!(verdict(&spec(), &owned("Ingress", "web", "0", fields()), &asker(), &one), Verdict::Differs);
        let mut once = fields();
        once["f:key"] = json!({ "f:algorithm": {} });
        assert_eq!(verdict(&spec(), &owned("Ingress", "web", "1", once), &asker(), &one), Verdict::Differs);
    }

    #[test]
    fn what_a_person_made_is_foreign_and_what_another_one_serves_is_shared() {
        let one = wanted(&[], &[HOST]);
        let said = |made: &Made, wanted: &Wanted| match verdict(&spec(), made, &asker(), wanted) {
            Verdict::Foreign(words) => words,
            other => format!("{other:?}"),
        };
        assert!(said(&Made::default(), &one).contains("`web-tls` was not made for this Ingress"));
        let other = owned("Ingress", "other", "2", fields());
        assert_eq!(said(&other, &one), "Shared");
        let told = said(&other, &wanted(&[], &[HOST, "b.example.com"]));
        assert!(told.contains("was made for the Ingress `other` and lacks `b.example.com`"), "{told}");
        assert!(
            said(&owned("Gateway", "web", "1", fields()), &wanted(&[], &["c.example.com"]))
                .contains("the Gateway `web`")
        );
    }
}
