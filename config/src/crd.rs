//! The custom resource definitions, made from the very schema that documents are read with.
//!
//! A structural schema says less than ours: formats become patterns, and what needs other objects is judged by the operator. What CEL
//! can say with one object is said, so that `kubectl apply` hears it at once.
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::{
    certificate::{TlsCertificateSpec, TlsCertificateStatus},
    environment::{EnvironmentSpec, EnvironmentStatus},
    hostname::{CustomHostnameSpec, CustomHostnameStatus},
    key::{KmsKeySpec, KmsKeyStatus},
    name::Kind,
};

/// The kinds that have a definition.
pub const KINDS: [Kind; 4] = [Kind::CustomHostname, Kind::Environment, Kind::KmsKey, Kind::TlsCertificate];

/// The API group.
pub const GROUP: &str = "claviger.dev";

/// The version.
pub const VERSION: &str = "v1alpha1";

/// The plural of a kind, as it stands in URLs.
pub fn plural(kind: Kind) -> &'static str {
    kind.aliases().first().copied().unwrap_or_default()
}

/// Whether objects of a kind live in no namespace.
pub fn is_cluster_scoped(kind: Kind) -> bool {
    kind == Kind::Environment
}

/// Every definition, as JSON.
pub fn definitions() -> Vec<Value> {
    KINDS.into_iter().map(definition).collect()
}

/// The definition of a kind, as JSON.
pub fn definition(kind: Kind) -> Value {
    let (spec, status) = match kind {
        Kind::Authority | Kind::CustomHostname => (schema::<CustomHostnameSpec>(), schema::<CustomHostnameStatus>()),
        Kind::Environment => (schema::<EnvironmentSpec>(), schema::<EnvironmentStatus>()),
        Kind::KmsKey => (schema::<KmsKeySpec>(), schema::<KmsKeyStatus>()),
        Kind::TlsCertificate => (schema::<TlsCertificateSpec>(), schema::<TlsCertificateStatus>()),
    };
    let short = kind.aliases().iter().filter(|alias| alias.starts_with("clv")).collect::<Vec<_>>();
    let singular = kind.word().to_ascii_lowercase();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{GROUP}", plural(kind)) },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.word(), "plural": plural(kind), "singular": singular, "listKind": format!("{kind}List"),
                "shortNames": short, "categories": ["claviger"],
            },
            "scope": if is_cluster_scoped(kind) { "Cluster" } else { "Namespaced" },
            "versions": [{
                "name": VERSION, "served": true, "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns(kind),
                "selectableFields": selectable(kind),
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "description": purpose(kind),
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": { "type": "string" },
                        "kind": { "type": "string" },
                        "metadata": { "type": "object" },
                        "spec": with_rules(spec, for_life(kind)),
                        "status": status_of(status),
                    },
                } },
            }],
        },
    })
}

fn purpose(kind: Kind) -> String {
    let what = match kind {
        Kind::Authority => "An internal certificate authority.",
        Kind::CustomHostname => "A customer's host name at the edge.",
        Kind::Environment => {
            "The unit of separation: a KMS namespace, zones and issuers, and the namespaces that belong to it."
        }
        Kind::KmsKey => "A key that must exist in its environment's KMS namespace.",
        Kind::TlsCertificate => "Names that must have a certificate, and where it goes.",
    };
    format!("{what} See `kubectl explain` field by field.")
}

/// What `kubectl get` shows. An expiry is a string: a date would be printed as an age.
fn columns(kind: Kind) -> Value {
    let condition = |field: &str| format!(".status.conditions[?(@.type==\"Ready\")].{field}");
    let column = |name: &str, path: String| json!({ "name": name, "type": "string", "jsonPath": path });
    let mut columns = vec![column("Ready", condition("status")), column("Reason", condition("reason"))];
    match kind {
        Kind::TlsCertificate => {
            columns.push(column("Expires", ".status.certificate.notAfter".to_owned()));
            columns.push(column("Renews", ".status.renewal.at".to_owned()));
        }
        Kind::CustomHostname => {
            columns.push(column("Hostname", ".spec.hostname".to_owned()));
            columns.push(column("Expires", ".status.edge.notAfter".to_owned()));
        }
        Kind::KmsKey => columns.push(column("Rotates", ".status.key.nextRotation".to_owned())),
        Kind::Environment => columns.push(column("Class", ".spec.class".to_owned())),
        Kind::Authority => {}
    }
    if kind != Kind::Environment {
        columns.push(column("Environment", ".status.environment".to_owned()));
    }
    let message =
        json!({ "name": "Message", "type": "string", "priority": 1, "jsonPath": ".status.attention.message" });
    columns.push(message);
    Value::from(columns)
}

fn selectable(kind: Kind) -> Value {
    let paths: &[&str] = match kind {
        Kind::CustomHostname => &[".spec.hostname", ".spec.tenant", ".status.environment"],
        Kind::Environment => &[".spec.class", ".spec.kms.accountId"],
        Kind::KmsKey => &[".spec.purpose", ".status.environment"],
        Kind::Authority | Kind::TlsCertificate => &[".status.environment"],
    };
    paths.iter().map(|path| json!({ "jsonPath": path })).collect()
}

/// What cannot be changed: the same words as CLV-0202.
fn for_life(kind: Kind) -> Vec<Value> {
    let fields: &[&str] = match kind {
        Kind::CustomHostname => &["hostname", "tenant"],
        Kind::Environment => &["class"],
        Kind::KmsKey => &["purpose", "keySpec"],
        Kind::Authority | Kind::TlsCertificate => &[],
    };
    let rule = |field: &&str| {
        json!({
            "rule": format!("self.{field} == oldSelf.{field}"),
            "message": format!("`spec.{field}` cannot be changed: it is for life; make a new object and delete this one"),
            "reason": "FieldValueForbidden",
            "fieldPath": format!(".{field}"),
        })
    };
    fields.iter().map(rule).collect()
}

fn with_rules(mut schema: Value, mut rules: Vec<Value>) -> Value {
    if let Some(Value::Array(own)) = schema.get_mut("x-kubernetes-validations").map(Value::take) {
        rules.splice(0..0, own);
    }
    if !rules.is_empty() {
        schema["x-kubernetes-validations"] = Value::from(rules);
    }
    schema
}

/// Public fields as they are told, and the opaque record. What a newer release writes is kept by an older definition.
fn status_of(mut schema: Value) -> Value {
    if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let opaque = "What claviger remembers; its own business. Private keys in it are ciphertext.";
        fields.insert("record".to_owned(), json!({ "type": "string", "description": opaque }));
    }
    if let Some(object) = schema.as_object_mut() {
        object.remove("required");
        object.remove("default");
    }
    schema["x-kubernetes-preserve-unknown-fields"] = Value::Bool(true);
    schema
}

fn schema<T: JsonSchema>() -> Value {
    let schema: Value = schemars::schema_for!(T).into();
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    structural(&schema, &definitions)
}

/// A structural schema: nothing is referred to, nothing may be null, and every place has one type.
fn structural(schema: &Value, definitions: &Value) -> Value {
    let Some(object) = schema.as_object() else { return json!({ "x-kubernetes-preserve-unknown-fields": true }) };
    let mut object = resolved(object, definitions);
    let words = object.get("oneOf").and_then(Value::as_array).and_then(|choices| words(choices));
    if let Some(words) = words {
        object.remove("oneOf");
        object.insert("type".to_owned(), "string".into());
        object.insert("enum".to_owned(), words);
    }
    let mut made = Map::new();
    for (key, value) in &object {
        match key.as_str() {
            "description" => made.insert(key.clone(), one_line(value)),
            "type" => made.insert(key.clone(), one_type(value)),
            "default" if !value.is_null() => made.insert(key.clone(), value.clone()),
            "properties" => made.insert(key.clone(), each(value, definitions)),
            "additionalProperties" if value.is_object() => {
                made.insert("maxProperties".to_owned(), MOST_ENTRIES.into());
                made.insert(key.clone(), structural(value, definitions))
            }
            "items" => made.insert(key.clone(), structural(value, definitions)),
            "format" if value != "keystore-name" => limits(value).and_then(|limits| {
                made.extend(limits);
                None
            }),
            "enum" | "maximum" | "maxItems" | "maxLength" | "minimum" | "minItems" | "minLength" | "pattern"
            | "required" => made.insert(key.clone(), value.clone()),
            "format" if value == "keystore-name" => {
                made.extend(limits(&"name".into()).unwrap_or_default());
                made.insert("x-kubernetes-validations".to_owned(), not_there_already())
            }
            "x-keys-format" if value == "metadata-key" => {
                made.insert("x-kubernetes-validations".to_owned(), not_our_own())
            }
            "x-exactly-one" => made.insert("x-kubernetes-validations".to_owned(), exactly_one(value)),
            _ => None,
        };
    }
    as_map_by_name(&mut made);
    Value::Object(made)
}

/// Entries of a map whose size nothing else bounds: what CEL may cost is reckoned from it.
const MOST_ENTRIES: u64 = 64;

/// What is referred to and what may be null, with the words that stand where it is used.
fn resolved(object: &Map<String, Value>, definitions: &Value) -> Map<String, Value> {
    let target = object.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/"));
    let choices = object.get("anyOf").and_then(Value::as_array);
    let full = choices.and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"));
    let inner = target.and_then(|name| definitions.get(name)).or(full).and_then(Value::as_object);
    let Some(inner) = inner else { return object.clone() };
    let mut whole = resolved(inner, definitions);
    let own = object.iter().filter(|(key, _)| !matches!(key.as_str(), "$ref" | "anyOf"));
    whole.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    whole
}

fn each(properties: &Value, definitions: &Value) -> Value {
    let fields = properties.as_object().into_iter().flatten();
    fields.map(|(name, schema)| (name.clone(), structural(schema, definitions))).collect::<Map<_, _>>().into()
}

/// The words of a closed list whose words are explained one by one.
fn words(choices: &[Value]) -> Option<Value> {
    let word = |choice: &Value| choice.get("const").cloned().map(|word| vec![word]);
    let several = |choice: &Value| choice.get("enum").and_then(Value::as_array).cloned();
    let all: Option<Vec<_>> = choices.iter().map(|choice| word(choice).or_else(|| several(choice))).collect();
    all.map(|words| words.into_iter().flatten().collect())
}

fn one_line(text: &Value) -> Value {
    text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").into()
}

fn one_type(found: &Value) -> Value {
    let full = |types: &Vec<Value>| types.iter().find(|word| *word != "null").cloned();
    found.as_array().and_then(full).unwrap_or_else(|| found.clone())
}

fn exactly_one(fields: &Value) -> Value {
    let names: Vec<&str> = fields.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let count: Vec<String> = names.iter().map(|name| format!("(has(self.{name}) ? 1 : 0)")).collect();
    let told: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    json!([{
        "rule": format!("{} == 1", count.join(" + ")),
        "message": format!("needs exactly one of {}", told.join(", ")),
    }])
}

/// Keys that claviger writes itself: the same as the format `metadata-key`.
fn not_our_own() -> Value {
    json!([{
        "rule": "self.all(key, !key.startsWith('claviger.dev/') && key != 'app.kubernetes.io/managed-by')",
        "message": "keys below `claviger.dev/` and `app.kubernetes.io/managed-by` are claviger's own: remove them",
    }])
}

/// Fields that every Secret of ours has: the same as the format `keystore-name`.
fn not_there_already() -> Value {
    json!([{
        "rule": "!(self in ['tls.key', 'tls.crt', 'ca.crt'])",
        "message": "`tls.key`, `tls.crt` and `ca.crt` are there already: write a name of its own",
    }])
}

/// A list of named things is a map: two of one name are refused, and two who apply do not overwrite each other.
fn as_map_by_name(schema: &mut Map<String, Value>) {
    let required = schema.get("items").and_then(|items| items.get("required")).and_then(Value::as_array);
    let has = |key: &str| required.is_some_and(|required| required.iter().any(|name| name == key));
    let key = if has("name") && !has("value") {
        "name"
    } else if has("type") && has("lastTransitionTime") {
        "type"
    } else {
        return;
    };
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".to_owned(), json!([key]));
}

/// What of a format a pattern can say.
fn limits(format: &Value) -> Option<Map<String, Value>> {
    const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
    let (pattern, longest) = match format.as_str()? {
        "alias-prefix" => ("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$".to_owned(), 200),
        "aws-account" => ("^[0-9]{12}$".to_owned(), 12),
        "aws-region" => ("^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$".to_owned(), 32),
        "cloudflare-zone" => ("^[0-9a-f]{32}$".to_owned(), 32),
        "date-time" => return Some([("format".to_owned(), "date-time".into())].into_iter().collect()),
        "directory-url" => ("^https?://".to_owned(), 2_048),
        "dns-name" => (format!("^(\\*\\.)?{LABEL}(\\.{LABEL})+$"), 253),
        "duration" => ("^[0-9]+[dhms]$".to_owned(), 20),
        "environment-name" | "issuer-name" | "namespace" => (format!("^{LABEL}$"), 63),
        "file-mode" => ("^0[0-7]{3}$".to_owned(), 4),
        "name" => (format!("^{LABEL}(\\.{LABEL})*$"), 253),
        "percent" => ("^[0-9]{1,3}%$".to_owned(), 4),
        "uint16" | "uint32" | "uint64" => return Some([("minimum".to_owned(), 0.into())].into_iter().collect()),
        _ => return None,
    };
    Some([("pattern".to_owned(), pattern.into()), ("maxLength".to_owned(), longest.into())].into_iter().collect())
}

/// Each definition as YAML, by the name of its file.
pub fn files() -> Vec<(String, String)> {
    let file = |kind: Kind| {
        let head = "# Made by `clavigerd crds`; do not edit.\n";
        let yaml = serde_saphyr::to_string(&definition(kind)).expect("what is JSON can be written as YAML");
        (format!("{}.yaml", plural(kind)), format!("{head}{yaml}"))
    };
    KINDS.into_iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every place of a schema, with the way there.
    fn places<'a>(schema: &'a Value, path: &str, into: &mut Vec<(String, &'a Value)>) {
        into.push((path.to_owned(), schema));
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            places(field, &format!("{path}.{name}"), into);
        }
        for inner in ["items", "additionalProperties"] {
            if schema.get(inner).is_some() {
                places(&schema[inner], &format!("{path}[]"), into);
            }
        }
    }

    fn all(kind: Kind) -> Vec<(String, Value)> {
        let definition = definition(kind);
        let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut found = Vec::new();
        places(root, "", &mut found);
        found.into_iter().map(|(path, schema)| (path, schema.clone())).collect()
    }

    #[test]
    fn every_place_has_one_type_and_refers_to_nothing() {
        for kind in KINDS {
            for (path, schema) in all(kind) {
                assert!(schema["type"].is_string(), "{kind}{path}: {schema}");
                let text = schema.to_string();
                for word in ["$ref", "$defs", "anyOf", "oneOf", "\"null\"", "x-exactly", "x-secret"] {
                    assert!(!text.contains(word), "{kind}{path}: {word}");
                }
                let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
                assert!(!open || path == ".status", "{kind}{path}");
            }
        }
    }

    #[test]
    fn every_field_of_a_document_is_explained() {
        for kind in KINDS {
            for (path, schema) in all(kind) {
                let explained = schema["description"].as_str().is_some_and(|text| text.len() > 3);
                assert!(explained || !path.starts_with(".spec.") || path.ends_with("[]"), "{kind}{path}: {schema}");
            }
        }
    }

    fn at(kind: Kind, path: &str) -> Value {
        all(kind).into_iter().find(|(found, _)| found == path).map(|(_, schema)| schema).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_changed_and_what_is_one_of_several_is_said_by_cel() {
        let rules = |kind, path| at(kind, path)["x-kubernetes-validations"].to_string();
        assert!(rules(Kind::Environment, ".spec").contains("self.class == oldSelf.class"));
        assert!(rules(Kind::CustomHostname, ".spec").contains("self.tenant == oldSelf.tenant"));
        let outlet = rules(Kind::TlsCertificate, ".spec.outlets[]");
        assert!(outlet.contains("(has(self.files) ? 1 : 0) + (has(self.secret) ? 1 : 0) == 1"), "{outlet}");
        for field in ["labels", "annotations"] {
            let path = format!(".spec.outlets[].secret.{field}");
            let keys = at(Kind::TlsCertificate, &path)["x-kubernetes-validations"].to_string();
            assert!(keys.contains("!key.startsWith('claviger.dev/')"), "{field}: {keys}");
        }
    }

    #[test]
    fn lists_of_named_things_are_maps_and_conditions_are_by_type() {
        let key = |kind, path| at(kind, path)["x-kubernetes-list-map-keys"].clone();
        for path in [".spec.zones", ".spec.issuers", ".spec.defaultIssuers"] {
            assert_eq!(key(Kind::Environment, path), json!(["name"]), "{path}");
        }
        assert_eq!(key(Kind::TlsCertificate, ".spec.outlets"), json!(["name"]));
        assert_eq!(key(Kind::TlsCertificate, ".spec.outlets[].secret.keystores"), json!(["name"]));
        assert_eq!(key(Kind::KmsKey, ".status.conditions"), json!(["type"]));
        assert_eq!(key(Kind::CustomHostname, ".status.records"), Value::Null, "two records may have one name");
    }

    #[test]
    fn words_are_closed_lists_and_formats_are_patterns() {
        let words = at(Kind::TlsCertificate, ".spec.key.algorithm");
        assert!(words["enum"].as_array().is_some_and(|words| words.contains(&json!("rsa-4096"))), "{words}");
        let account = at(Kind::Environment, ".spec.kms.accountId");
        assert_eq!((&account["pattern"], &account["maxLength"]), (&json!("^[0-9]{12}$"), &json!(12)));
        assert_eq!(at(Kind::TlsCertificate, ".status.record")["type"], "string");
    }

    #[test]
    fn short_names_do_not_collide_with_those_of_others() {
        let names = |kind: Kind| definition(kind)["spec"]["names"].clone();
        assert_eq!(names(Kind::TlsCertificate)["shortNames"], json!(["clvcert"]));
        assert_eq!(names(Kind::Environment)["plural"], "environments");
        assert!(KINDS.iter().all(|kind| names(*kind)["categories"] == json!(["claviger"])));
        assert!(crate::API_VERSION == format!("{GROUP}/{VERSION}"));
    }
}
