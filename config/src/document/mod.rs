//! Documents, read: from bytes to typed specifications, every error at once, each with its place.

pub mod finding;
mod format;
pub mod parse;
pub mod render;
pub(crate) mod shape;
mod suggest;
pub mod tree;
pub(crate) mod walk;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, OnceLock},
};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use self::{
    finding::MOST,
    shape::{Field, Shape, shape_of},
    tree::{Forest, Tree},
};
pub(crate) use self::{
    finding::{Code, shown},
    suggest::nearest,
    tree::Node,
};
use crate::{
    API_VERSION,
    admin::Finding,
    certificate::TlsCertificateSpec,
    desired::{Place, Spec},
    environment::EnvironmentSpec,
    hostname::CustomHostnameSpec,
    key::KmsKeySpec,
    name::{EnvironmentName, Kind, Name, Namespace, ObjectName},
};

/// What one file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Documents without an error in themselves, in their order.
    pub documents: Vec<Document>,
    /// Documents with errors.
    pub rejected: Vec<Rejected>,
    /// Whether every document of the file is known by name: otherwise one of its objects may be hidden behind an error.
    pub whole: bool,
    /// The errors.
    pub findings: Vec<Finding>,
}

/// One document, read and not yet judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Which object it speaks of.
    pub name: ObjectName,
    /// What shall be.
    pub spec: Arc<Spec>,
    /// Where it begins.
    pub place: Place,
    /// Where its fields stand; absent for one that was accepted earlier and has no text any more.
    text: Option<(Arc<Text>, usize)>,
}

/// The text of a file. Where a field of it stands is looked up only when somebody asks.
#[derive(Debug)]
struct Text {
    bytes: Arc<[u8]>,
    roots: OnceLock<Vec<Node>>,
}

impl Text {
    fn root(&self, file: &str, number: usize) -> Option<&Node> {
        self.roots
            .get_or_init(|| full(parse::parse(file, &self.bytes).trees).map(|tree| tree.root).collect())
            .get(number)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

/// Documents that hold something.
fn full(trees: Vec<Tree>) -> impl Iterator<Item = Tree> {
    trees.into_iter().filter(|tree| !tree.root.is_null() || !tree.findings.is_empty())
}

/// A document with errors that still says which object it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// Which object it speaks of.
    pub name: ObjectName,
    /// Where it begins.
    pub place: Place,
    /// The namespaces that it would claim, when it is an environment and says so legibly.
    pub namespaces: Vec<Namespace>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

impl Document {
    /// A document that was accepted earlier and has no text any more.
    pub fn accepted(name: ObjectName, spec: Arc<Spec>, place: Option<Place>) -> Self {
        let place = place.unwrap_or_else(|| Place { file: "last accepted version".to_owned(), line: 0, column: 0 });
        Self { name, spec, place, text: None }
    }

    /// The place of a field, or of the nearest thing around it: `spec.zones.0.name`.
    pub fn at(&self, path: &str) -> Place {
        let steps: Vec<&str> = path.split('.').filter(|step| !step.is_empty()).collect();
        let root = self.text.as_ref().and_then(|(text, number)| text.root(&self.place.file, *number));
        root.map_or_else(|| self.place.clone(), |root| root.find(&steps).of(&self.place.file))
    }
}

/// A path as messages write it: `spec.zones.0.name` is `spec.zones[0].name`.
pub(crate) fn spelled(path: &str) -> String {
    let mut text = String::new();
    for step in path.split('.') {
        match step.parse::<usize>() {
            Ok(number) => text.push_str(&format!("[{number}]")),
            Err(_) if text.is_empty() => text.push_str(step),
            Err(_) => text.extend([".", step]),
        }
    }
    text
}

/// One canonical spelling of a specification: JSON with sorted names.
pub fn canonical(spec: &Spec) -> String {
    let value = serde_json::to_value(spec).expect("a specification has text keys only");
    sorted(value).to_string()
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        serde_json::Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            serde_json::Value::Object(fields.into_iter().collect())
        }
        value => value,
    }
}

/// Read all documents of a file.
pub fn read(file: &str, bytes: impl Into<Arc<[u8]>>) -> Reading {
    let text = Arc::new(Text { bytes: bytes.into(), roots: OnceLock::new() });
    let Forest { trees, lost } = parse::parse(file, &text.bytes);
    let mut reading = Reading { whole: lost.is_empty(), findings: lost, ..Reading::default() };
    for (number, tree) in full(trees).enumerate() {
        one(file, tree, (&text, number), &mut reading);
    }
    reading.findings.sort();
    reading.findings.dedup();
    limit(file, &mut reading.findings);
    reading
}

fn limit(file: &str, findings: &mut Vec<Finding>) {
    if findings.len() > MOST {
        findings.truncate(MOST);
        findings.push(Code::TooManyErrors.plain(&Place { file: file.to_owned(), line: 0, column: 0 }));
    }
}

/// What every document has beside its specification.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct Envelope<Name> {
    api_version: String,
    kind: String,
    metadata: Metadata<Name>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Metadata<Name> {
    name: Name,
    namespace: Option<Namespace>,
    #[schemars(extend("x-values-format" = "free-text"))]
    labels: Option<BTreeMap<String, String>>,
    #[schemars(extend("x-values-format" = "free-text"))]
    annotations: Option<BTreeMap<String, String>>,
}

/// The shape of a document of that kind; of one whose kind is not known, anything as specification.
fn envelope(kind: Option<Kind>) -> Shape {
    let spec = match kind {
        Some(Kind::CustomHostname) => shape_of::<CustomHostnameSpec>(),
        Some(Kind::Environment) => shape_of::<EnvironmentSpec>(),
        Some(Kind::KmsKey) => shape_of::<KmsKeySpec>(),
        Some(Kind::TlsCertificate) => shape_of::<TlsCertificateSpec>(),
        Some(Kind::Authority) | None => Shape::Any,
    };
    let mut envelope = match kind {
        Some(Kind::Environment) => shape_of::<Envelope<EnvironmentName>>(),
        _ => shape_of::<Envelope<Name>>(),
    };
    if let Shape::Object(object) = &mut envelope {
        object.fields.push(Field { name: "spec".to_owned(), shape: spec, required: true });
    }
    envelope
}

static ENVELOPES: LazyLock<BTreeMap<Option<Kind>, Shape>> =
    LazyLock::new(|| READ.into_iter().map(Some).chain([None]).map(|kind| (kind, envelope(kind))).collect());

/// The kinds that are read.
const READ: [Kind; 4] = [Kind::CustomHostname, Kind::Environment, Kind::KmsKey, Kind::TlsCertificate];

fn one(file: &str, tree: Tree, (text, number): (&Arc<Text>, usize), reading: &mut Reading) {
    let Tree { root, mut findings } = tree;
    let kind = kind(file, &root, &mut findings);
    version(file, &root, &mut findings);
    walk::walk(file, &root, &ENVELOPES[&kind], &mut findings);
    let name = kind.and_then(|kind| identity(file, &root, kind, &mut findings));
    let place = root.at.of(file);
    let spec = name.as_ref().filter(|_| findings.is_empty()).map(|name| spec(&root, name.kind));
    if let Some(None) = spec {
        findings.push(Code::NotUnderstood.plain(&place));
    }
    if reading.findings.len() <= MOST {
        reading.findings.extend_from_slice(&findings);
    }
    match (name, spec.flatten()) {
        (Some(name), Some(spec)) => reading.documents.push(Document {
            name,
            spec: Arc::new(spec),
            place,
            text: Some((Arc::clone(text), number)),
        }),
        (Some(name), None) => {
            let namespaces = claims(&root, &name);
            reading.rejected.push(Rejected { name, place, namespaces, findings });
        }
        // An authority is no object yet, so it hides none.
        (None, _) => {
            reading.whole &= root.field("kind").and_then(|kind| kind.value.text()) == Some(Kind::Authority.word())
        }
    }
}

/// Which kind a document says that it is; what is wrong with that is told.
fn kind(file: &str, root: &Node, findings: &mut Vec<Finding>) -> Option<Kind> {
    let entry = root.field("kind")?;
    let word = entry.value.text()?;
    let place = entry.value.at.of(file);
    match Kind::ALL.into_iter().find(|kind| kind.word() == word) {
        Some(Kind::Authority) => {
            findings.push(Code::KindNotYet.at(&place, &[("found", word)]).found(word));
            None
        }
        Some(kind) => Some(kind),
        None => {
            let finding = Code::UnknownKind.at(&place, &[("found", &shown(word))]).found(word);
            let finding = finding.accepts(READ.map(Kind::word));
            let meant = match word {
                "Settings" => Some("move the settings out of the folder of documents".to_owned()),
                _ => nearest(word, READ.map(Kind::word)).map(|meant| format!("write `kind: {meant}`")),
            };
            findings.push(meant.into_iter().fold(finding, Finding::fixed_by));
            None
        }
    }
}

pub(crate) fn version(file: &str, root: &Node, findings: &mut Vec<Finding>) {
    let Some(entry) = root.field("apiVersion") else { return };
    if let Some(word) = entry.value.text().filter(|word| *word != API_VERSION) {
        let finding = Code::UnknownVersion.at(&entry.value.at.of(file), &[("found", &shown(word))]);
        findings.push(finding.found(word).accepts([API_VERSION]));
    }
}

/// Which object a document speaks of. A missing or superfluous namespace is told.
fn identity(file: &str, root: &Node, kind: Kind, findings: &mut Vec<Finding>) -> Option<ObjectName> {
    let metadata = &root.field("metadata")?.value;
    let name = metadata.field("name").and_then(|entry| entry.value.text()).and_then(|name| name.parse().ok());
    let namespace = metadata.field("namespace");
    let namespace = match (kind, namespace) {
        (Kind::Environment, None) => Some(None),
        (Kind::Environment, Some(entry)) => {
            let found = entry.value.text().map(shown).unwrap_or_default();
            findings.push(Code::NamespaceUnexpected.at(&entry.at.of(file), &[("found", &found)]).found(found));
            Some(None)
        }
        (_, None) => {
            findings.push(Code::NamespaceMissing.at(&metadata.at.of(file), &[("kind", kind.word())]));
            None
        }
        (_, Some(entry)) => entry.value.text().and_then(|namespace| namespace.parse().ok()).map(Some),
    };
    Some(ObjectName { kind, namespace: namespace?, name: name? })
}

/// The typed specification; the walk has made sure that there is one.
fn spec(root: &Node, kind: Kind) -> Option<Spec> {
    let json = root.field("spec")?.value.json();
    match kind {
        Kind::Authority => None,
        Kind::CustomHostname => typed(json).map(Spec::CustomHostname),
        Kind::Environment => typed(json).map(Box::new).map(Spec::Environment),
        Kind::KmsKey => typed(json).map(Spec::KmsKey),
        Kind::TlsCertificate => typed(json).map(Spec::TlsCertificate),
    }
}

/// The error is left out on purpose: it repeats values.
fn typed<T: DeserializeOwned>(json: serde_json::Value) -> Option<T> {
    serde_json::from_value(json).ok()
}

fn claims(root: &Node, name: &ObjectName) -> Vec<Namespace> {
    if name.kind != Kind::Environment {
        return Vec::new();
    }
    let listed = root.field("spec").and_then(|spec| spec.value.field("namespaces"));
    match listed {
        Some(entry) => entry.value.items().iter().filter_map(|item| item.text()?.parse().ok()).collect(),
        None => name.name.as_str().parse().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "apiVersion: claviger.dev/v1alpha1\nkind: TlsCertificate\nmetadata: { name: web, namespace: staging }\n";
    const TAIL: &str = "  outlets: [{ name: nginx, files: { directory: web } }]\n";

    fn codes(reading: &Reading) -> Vec<(u32, u32, &str)> {
        reading.findings.iter().map(|finding| (finding.line, finding.column, finding.code.as_str())).collect()
    }

    #[test]
    fn every_error_is_told_at_once_with_its_place() {
        let text = format!(
            "{HEAD}spec:\n  dnsNames: [localhost, www.example.com, WWW.example.com]\n  key: {{ algorithm: ecdsa-256 }}\n  isuers: []\n  outlets: []\n"
        );
        let reading = read("web.yaml", text.as_bytes());
        assert_eq!(
            codes(&reading),
            [(5, 14, "CLV-0123"), (5, 42, "CLV-0128"), (6, 21, "CLV-0122"), (7, 3, "CLV-0104"), (8, 12, "CLV-0124")]
        );
        assert_eq!(reading.rejected.len(), 1);
    }

    #[test]
    fn a_broken_document_does_not_hide_the_ones_around_it() {
        let good = format!("{HEAD}spec:\n  dnsNames: [www.example.com]\n{TAIL}");
        let text = format!("{good}---\nkind: [\n---\n{}", good.replace("name: web", "name: api"));
        let reading = read("web.yaml", text.as_bytes());
        assert_eq!(reading.documents.len(), 2);
        assert_eq!(codes(&reading).len(), 1);
        assert!(!reading.whole);
    }

    #[test]
    fn a_place_is_found_again_by_its_path() {
        let text = format!("{HEAD}spec:\n  dnsNames: [www.example.com]\n{TAIL}");
        let reading = read("web.yaml", text.as_bytes());
        assert_eq!(reading.findings, []);
        let document = &reading.documents[0];
        assert_eq!(document.at("spec.dnsNames.0").to_string(), "web.yaml:5:14");
        assert_eq!(document.at("spec.issuers").to_string(), "web.yaml:5:3");
        assert_eq!(document.at("").to_string(), "web.yaml:1:1");
    }

    #[test]
    fn a_secret_in_a_document_is_refused_and_not_repeated() {
        for token in [
            "hunter2",
            "[hunter2]",
            "{ value: hunter2 }",
            "{ hunter2 }",
            "{ file: { a: hunter2 } }",
            "{ secret: hunter2 }",
            "{ secret: { name: HUNTER2/hunter2, key: hunter2/ } }",
        ] {
            let text = format!(
                "apiVersion: claviger.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: production }}\nspec:\n  class: production\n  owner: o\n  kms: {{ accountId: \"111111111111\", region: eu-west-1, aliasPrefix: a, wrappingKey: w }}\n  edge: {{ cloudflare: {{ zoneId: 023e105f4ecef8ad9ca31a8372d0c353, target: saas.example.com, apiToken: {token} }} }}\n"
            );
            let reading = read("production.yaml", text.as_bytes());
            assert!(!reading.findings.is_empty(), "{token}");
            assert!(
                !format!("{:?}", reading.findings).to_lowercase().contains("hunter2"),
                "{token}: {:#?}",
                reading.findings
            );
        }
    }

    #[test]
    fn anchors_aliases_and_tags_are_refused() {
        let text =
            format!("{HEAD}spec:\n  dnsNames: &names [www.example.com]\n  issuers: *names\n  key: !!map {{}}\n{TAIL}");
        let reading = read("web.yaml", text.as_bytes());
        assert_eq!(
            codes(&reading).iter().map(|found| found.2).collect::<Vec<_>>(),
            ["CLV-0109", "CLV-0109", "CLV-0110"]
        );
    }
}
