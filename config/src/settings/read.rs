//! The settings file, read: one document, every error at once.

use std::{net::SocketAddr, sync::LazyLock};

use super::Settings;
use crate::{
    admin::Finding,
    desired::Place,
    document::{
        Code, Node,
        finding::MOST,
        parse,
        shape::{Shape, shape_of},
        shown, tree, version, walk,
    },
};

/// Read the settings; all that is wrong with them otherwise.
pub fn read(file: &str, bytes: &[u8]) -> Result<Settings, Vec<Finding>> {
    let tree::Forest { trees, lost: mut findings } = parse::parse(file, bytes);
    let mut full = trees.into_iter().filter(|tree| !tree.root.is_null());
    let settings = match full.next() {
        Some(tree) => {
            findings.extend(tree.findings);
            one(file, &tree.root, &mut findings)
        }
        None => {
            let whole = Place { file: file.to_owned(), line: 0, column: 0 };
            findings.extend(Some(Code::DocumentMissing.plain(&whole)).filter(|_| findings.is_empty()));
            None
        }
    };
    findings.extend(full.next().map(|second| Code::SeveralDocuments.plain(&second.root.at.of(file))));
    findings.sort();
    findings.dedup();
    findings.truncate(MOST);
    settings.filter(|_| findings.is_empty()).ok_or(findings)
}

static SHAPE: LazyLock<Shape> = LazyLock::new(shape_of::<Settings>);

fn one(file: &str, root: &Node, findings: &mut Vec<Finding>) -> Option<Settings> {
    let before = findings.len();
    version(file, root, findings);
    kind(file, root, findings);
    walk::walk(file, root, &SHAPE, findings);
    if findings.len() > before {
        return None;
    }
    // The error is left out on purpose: it repeats values.
    let Ok(settings) = serde_json::from_value::<Settings>(root.json()) else {
        findings.push(Code::NotUnderstood.plain(&root.at.of(file)));
        return None;
    };
    let written = Written { file, root };
    findings.extend(RULES.iter().flat_map(|rule| rule(&settings, &written)));
    Some(settings)
}

fn kind(file: &str, root: &Node, findings: &mut Vec<Finding>) {
    let Some(entry) = root.field("kind") else { return };
    if let Some(word) = entry.value.text().filter(|word| *word != "Settings") {
        let finding = Code::UnknownKind.at(&entry.value.at.of(file), &[("found", &shown(word))]).found(word);
        findings.push(finding.accepts(["Settings"]).fixed_by("write `kind: Settings`; documents stand in the source"));
    }
}

/// The text that the settings were read from.
struct Written<'a> {
    file: &'a str,
    root: &'a Node,
}

impl Written<'_> {
    fn at(&self, path: &str) -> Place {
        let steps: Vec<&str> = path.split('.').collect();
        self.root.find(&steps).of(self.file)
    }
}

type Rule = fn(&Settings, &Written<'_>) -> Vec<Finding>;

const RULES: &[Rule] = &[
    admin_is_a_socket_file,
    forwarding_stays_in_the_pod,
    others_are_addresses,
    addresses_differ,
    folders_differ,
    commands_are_there,
];

/// Only a socket file tells who asks (its peer's user), and only the file system says who may.
fn admin_is_a_socket_file(settings: &Settings, written: &Written<'_>) -> Vec<Finding> {
    const ACCEPTED: &str = "`unix:` and a path of at most 100 bytes";
    let found = &settings.admin.listen;
    let holds = found.strip_prefix("unix:").is_some_and(|path| path.len() <= LONGEST_SOCKET);
    let finding =
        || bad_value(written, "admin.listen", found, ACCEPTED).fixed_by("write for example `unix:./admin.sock`");
    (!holds).then(finding).into_iter().collect()
}

/// Over TCP nobody tells who asks. In a pod only its own containers and whoever may port-forward to it come to its loopback address;
/// on a machine every user does.
fn forwarding_stays_in_the_pod(settings: &Settings, written: &Written<'_>) -> Vec<Finding> {
    const PATH: &str = "admin.portForward";
    let Some(found) = &settings.admin.port_forward else { return Vec::new() };
    let loopback = found.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    let not_loopback = (!loopback).then(|| {
        bad_value(written, PATH, found, "a loopback address with a port")
            .fixed_by("write for example `127.0.0.1:9465`; who may come is decided by the right to `pods/portforward`")
    });
    let not_a_pod = settings.source.kubernetes.is_none().then(|| {
        bad_value(written, PATH, found, "nothing, unless `source` is `{ kubernetes: {} }`")
            .fixed_by("remove it: on a machine every local user could give orders there; `admin.listen` is the way")
    });
    not_loopback.into_iter().chain(not_a_pod).collect()
}

/// `sun_path` holds 104 bytes at least, its end among them (unix(7) and its relatives).
const LONGEST_SOCKET: usize = 100;

fn others_are_addresses(settings: &Settings, written: &Written<'_>) -> Vec<Finding> {
    let listeners = listeners(settings).filter(|(_, listen)| listen.starts_with("unix:"));
    listeners.map(|(path, listen)| bad_value(written, path, listen, "an IP address with a port")).collect()
}

fn bad_value(written: &Written<'_>, path: &str, found: &str, accepted: &str) -> Finding {
    let blanks = [("within", &*format!("`{path}`")), ("found", &*shown(found)), ("wanted", accepted)];
    Code::BadValue.at(&written.at(path), &blanks).found(found).accepts([accepted])
}

fn listeners(settings: &Settings) -> impl Iterator<Item = (&'static str, &str)> {
    let http01 = settings.http01.as_ref().map(|http01| ("http01.listen", http01.listen.as_str()));
    let forward = settings.admin.port_forward.as_ref().map(|address| ("admin.portForward", address.as_str()));
    http01.into_iter().chain(forward).chain([("metrics.listen", settings.metrics.listen.as_str())])
}

fn addresses_differ(settings: &Settings, written: &Written<'_>) -> Vec<Finding> {
    let addresses: Vec<(&str, SocketAddr)> =
        listeners(settings).filter_map(|(path, listen)| Some((path, listen.parse().ok()?))).collect();
    let same = |left: SocketAddr, right: SocketAddr| {
        let anywhere = left.ip().is_unspecified() || right.ip().is_unspecified();
        left.port() != 0 && left.port() == right.port() && (left.ip() == right.ip() || anywhere)
    };
    let pairs = addresses
        .iter()
        .enumerate()
        .flat_map(|(index, left)| addresses[index + 1..].iter().map(move |right| (left, right)));
    let clash = pairs.filter(|((_, first), (_, second))| same(*first, *second)).map(|((other, _), (path, second))| {
        let (within, beside) = (format!("`{path}`"), format!("`{other}`"));
        let blanks = [("within", within.as_str()), ("other", &beside), ("found", &second.to_string())];
        // One of the two may be a default that is not written.
        let place = if written.root.field("metrics").is_some() { written.at(path) } else { written.at(other) };
        Code::ListenTwice.at(&place, &blanks).found(second.to_string())
    });
    clash.collect()
}

/// Whoever writes a document must not reach claviger's own memory by it, nor write documents.
fn folders_differ(settings: &Settings, written: &Written<'_>) -> Vec<Finding> {
    let (read, write) = (settings.files.read.as_deref(), settings.files.write.as_deref());
    let (state, source) = (Some(settings.state.directory.as_str()), settings.source.directory.as_deref());
    let pairs = [
        ("files.read", read, "state.directory", state),
        ("files.write", write, "state.directory", state),
        ("files.write", write, "source.directory", source),
        ("files.write", write, "files.read", read),
    ];
    let finding = |path: &str, found: &str, other: &str| {
        let blanks = [("within", &*format!("`{path}`")), ("other", &*format!("`{other}`"))];
        Code::DirectoriesOverlap.at(&written.at(path), &blanks).found(found)
    };
    let overlapping = pairs.into_iter().filter(|(_, left, _, right)| match (left, right) {
        (Some(left), Some(right)) => folders_overlap(left, right),
        _ => false,
    });
    overlapping.map(|(path, found, other, _)| finding(path, found.unwrap_or_default(), other)).collect()
}

/// By their text alone: links are looked at when the folders are opened.
fn folders_overlap(left: &str, right: &str) -> bool {
    let parts = |path: &str| {
        let root = path.starts_with('/').then(|| "/".to_owned());
        let named = path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned);
        root.into_iter().chain(named).collect::<Vec<String>>()
    };
    let (left, right) = (parts(left), parts(right));
    let comparable = left.first().is_some_and(|first| first == "/") == right.first().is_some_and(|first| first == "/");
    comparable && (left.starts_with(&right) || right.starts_with(&left))
}

fn commands_are_there(settings: &Settings, written: &Written<'_>) -> Vec<Finding> {
    let missing = settings.hooks.iter().filter(|(_, hook)| hook.command.first().is_some_and(String::is_empty));
    let finding = |name: &str| {
        let within = format!("`hooks.{name}.command[0]`");
        let blanks = [("within", within.as_str()), ("found", ""), ("wanted", "a program")];
        Code::BadValue.at(&written.at("hooks"), &blanks).accepts(["a program"])
    };
    missing.map(|(name, _)| finding(name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Span;

    const LEAST: &str = "apiVersion: claviger.dev/v1alpha1\nkind: Settings\nsource: { directory: ./resources }\nstate: { directory: ./state }\n";

    fn codes(more: &str) -> Vec<String> {
        let findings = read("claviger.yaml", format!("{LEAST}{more}").as_bytes()).unwrap_err();
        findings.into_iter().map(|finding| format!("{}:{} {}", finding.line, finding.column, finding.code)).collect()
    }

    #[test]
    fn the_least_settings_get_defaults() {
        let settings = read("claviger.yaml", LEAST.as_bytes()).unwrap();
        assert_eq!(settings.admin.listen, "unix:./admin.sock");
        assert_eq!(settings.metrics.listen, "127.0.0.1:9464");
        let hooked =
            read("claviger.yaml", format!("{LEAST}hooks: {{ nginx: {{ command: [nginx] }} }}").as_bytes()).unwrap();
        assert_eq!(hooked.hooks.values().next().unwrap().timeout, Span::seconds(30));
    }

    #[test]
    fn each_rule_speaks() {
        for (more, code) in [
            ("admin: { listen: \"127.0.0.1:9000\" }", "5:18 CLV-0123"),
            ("admin: { portForward: \"127.0.0.1:9465\" }", "5:23 CLV-0123"),
            ("metrics: { listen: \"unix:./m\" }", "5:20 CLV-0123"),
            ("http01: { listen: \"0.0.0.0:9464\" }", "5:19 CLV-0603"),
            ("files: { write: ./state/certificates }", "5:17 CLV-0602"),
            ("files: { write: resources }", "5:17 CLV-0602"),
            ("files: { read: ./s, write: ./s/w }", "5:28 CLV-0602"),
            ("hooks: { nginx: { command: [] } }", "5:28 CLV-0124"),
            ("hooks: { nginx: { command: [\"\"] } }", "5:8 CLV-0123"),
            ("resolvers: [10.0.0.1]", "5:13 CLV-0123"),
            ("endpoints: { kms: { eu-west-1: localhost } }", "5:32 CLV-0123"),
            ("endpoints: { kms: { Ireland: \"http://127.0.0.1\" } }", "5:21 CLV-0123"),
            ("speed: 1d/s", "5:1 CLV-0104"),
            ("---\n{}", "6:1 CLV-0115"),
        ] {
            assert_eq!(codes(more), [code], "{more}");
        }
    }

    #[test]
    fn custom_resources_are_a_source_too() {
        let text = LEAST.replace("{ directory: ./resources }", "{ kubernetes: {} }");
        let settings = read("claviger.yaml", text.as_bytes()).unwrap();
        assert!(settings.source.kubernetes.is_some() && settings.source.directory.is_none());
    }

    #[test]
    fn who_may_port_forward_comes_by_a_loopback_address_of_the_pod_alone() {
        let text = LEAST.replace("{ directory: ./resources }", "{ kubernetes: {} }");
        let read = |more: &str| read("claviger.yaml", format!("{text}{more}").as_bytes());
        let settings = read("admin: { portForward: \"127.0.0.1:9465\" }").unwrap();
        assert_eq!(settings.admin.listen, "unix:./admin.sock");
        assert_eq!(settings.admin.port_forward.as_deref(), Some("127.0.0.1:9465"));
        for open in ["0.0.0.0:9465", "10.0.0.1:9465", "[::]:9465"] {
            let findings = read(&format!("admin: {{ portForward: \"{open}\" }}")).unwrap_err();
            assert!(findings[0].message.contains("a loopback address"), "{findings:?}");
        }
        let twice = read("admin: { portForward: \"127.0.0.1:9464\" }").unwrap_err();
        assert_eq!(twice[0].code, "CLV-0603");
    }

    #[test]
    fn an_empty_file_says_what_is_missing() {
        for text in ["", "# nothing\n", "---\n"] {
            let findings = read("claviger.yaml", text.as_bytes()).unwrap_err();
            assert_eq!((findings.len(), findings[0].code.as_str()), (1, "CLV-0114"), "{text:?}");
        }
    }
}
