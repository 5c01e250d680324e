//! What the manifests cannot hold: nobody glances upwards.
//!
//! `config <- core (domain <- ports <- reconcile) <- adapters <- everything else <- app`. Every path that production code spells is
//! read, `use` trees and `super` included, and held against the walls below. Code for tests is left out: it may look everywhere.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends here")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Where two adapters may know each other, and why. Each entry is a word that is missing one layer below.
const BETWEEN_ADAPTERS: &[(&str, &str, &str)] = &[
    ("acme", "aside", "roots may be Secrets of a cluster"),
    ("acme", "craft", "account keys are read by the one reader of keys"),
    ("acme", "files", "roots are read by the one safe reader of files"),
    ("aws_kms", "craft", "what KMS wraps is written in the one format of ciphertexts"),
    ("aws_kms", "files", "credentials are read by the one safe reader of files"),
    ("cloudflare", "aside", "the token may be a Secret of a cluster"),
    ("cloudflare", "files", "the token is read by the one safe reader of files"),
    ("files", "craft", "a pair is told by its fingerprint"),
    ("kubernetes", "aside", "it reads what documents name in Secrets"),
    ("kubernetes", "craft", "a pair is told by its fingerprint"),
    ("files", "sqlite", "wrapped account keys are kept in the state folder, which the store opened"),
];

/// Who may know the root of composition: those who start it.
const OF_APP: &[&str] = &["app", "commands", "dev", "main"];

/// Crates of vendors: their types stop at the adapter.
const VENDORS: &[&str] = &[
    "aws_config",
    "aws_credential_types",
    "aws_sdk_kms",
    "aws_sdk_sts",
    "aws_smithy_runtime_api",
    "aws_smithy_types",
    "aws_types",
    "cloudflare",
    "hickory_proto",
    "hickory_resolver",
    "instant_acme",
    "k8s_openapi",
    "kube",
    "p12_keystore",
    "rcgen",
    "rusqlite",
    "x509_parser",
];

#[test]
fn the_domain_decides_without_async_clock_or_dice_and_knows_nothing_above_it() {
    for source in sources("core/src/domain") {
        source.never(|path| path.starts_with("crate::ports"), "the ports lie above the domain");
        source.never(|path| path.starts_with("crate::reconcile"), "steering lies above deciding");
        source.never(|path| path.starts_with("crate::report"), "telling lies beside steering");
        source.never(|path| path.ends_with("::now"), "time is given to a decision");
        source.never(|path| first(path).contains("rand"), "lots are drawn once, at a record's birth");
        source.never(|path| matches!(first(path), "tokio" | "futures" | "tracing" | "log"), "a decision only decides");
        for word in ["async", "await"] {
            assert!(!source.words.contains(word), "{}: a decision does not wait (`{word}`)", source.name());
        }
    }
}

#[test]
fn inside_the_core_each_room_knows_only_those_below() {
    for source in sources("core/src/ports.rs") {
        source.never(|path| path.starts_with("crate::reconcile"), "steering lies above the ports");
        source.never(|path| path.starts_with("crate::report"), "telling lies above the ports");
    }
    for source in sources("core/src/report.rs") {
        source.never(|path| path.starts_with("crate::reconcile"), "telling lies beside steering");
        source.never(|path| path.starts_with("crate::ports"), "a plan is told from the domain alone");
    }
    for source in sources("core/src") {
        let outside = |path: &str| {
            ["std::env", "std::fs", "std::net", "std::process", "std::thread", "std::time"]
                .iter()
                .any(|module| path.starts_with(module))
        };
        source.never(outside, "the core meets the world at its ports");
    }
}

#[test]
fn the_manifests_are_walls() {
    let core = dependencies("core/Cargo.toml");
    assert_eq!(
        core,
        words(&["claviger-config", "lz4_flex", "serde", "serde_json", "thiserror", "zeroize"]),
        "core stays this small"
    );
    let ours = |manifest: &str| {
        let all = dependencies(manifest);
        all.into_iter().filter(|name| name.starts_with("claviger")).collect::<BTreeSet<_>>()
    };
    assert_eq!(ours("../ctl/Cargo.toml"), words(&["claviger-config"]), "the command line asks the daemon for the rest");
    assert_eq!(ours("../config/Cargo.toml"), words(&[]), "the words know nobody");
    let config = dependencies("../config/Cargo.toml");
    let acts = ["tokio", "futures", "reqwest", "hyper", "tracing"];
    assert!(acts.iter().all(|name| !config.contains(*name)), "the words do nothing: {config:?}");
}

#[test]
fn the_words_do_no_io() {
    for source in sources("../config/src") {
        let io = |path: &str| {
            ["std::env", "std::fs", "std::process", "std::thread", "std::time", "tokio"]
                .iter()
                .any(|module| path.starts_with(module))
        };
        source.never(io, "words are read and written, and do nothing");
        assert!(!source.words.contains("async"), "{}: words do not wait", source.name());
    }
}

#[test]
fn adapters_know_the_ports_and_nothing_above() {
    for source in sources("src/adapters") {
        let above = |path: &str| path.starts_with("crate::") && !path.starts_with("crate::adapters");
        source.never(above, "an adapter plays a port and knows nobody who uses it");
        source.never(|path| path.starts_with("claviger_core::reconcile"), "an adapter does not steer");
        source.never(|path| path.starts_with("claviger_core::report"), "an adapter does not tell plans");
    }
}

#[test]
fn adapters_do_not_know_each_other() {
    let mut used = BTreeSet::new();
    for source in sources("src/adapters") {
        let Some(own) = source.module.get(1) else { continue };
        let others = source.paths.iter().filter_map(|path| path.strip_prefix("crate::adapters::").map(first));
        for other in others.filter(|other| other != own && *other != "clock") {
            let why = BETWEEN_ADAPTERS.iter().find(|(from, to, _)| from == own && *to == other);
            assert!(why.is_some(), "{}: `{own}` uses `{other}`; put the shared word one layer below", source.name());
            used.insert((own.clone(), other.to_owned()));
        }
    }
    println!("of the exceptions between adapters these are used: {used:?}");
}

#[test]
fn vendor_types_stop_at_the_adapter() {
    for source in
        sources("src").into_iter().filter(|source| source.module.first().is_none_or(|room| room != "adapters"))
    {
        source.never(|path| VENDORS.contains(&first(path)), "a vendor's type stops at the adapter");
    }
    for source in sources("core/src") {
        source.never(|path| VENDORS.contains(&first(path)), "a vendor's type stops at the adapter");
    }
}

#[test]
fn the_root_of_composition_is_known_by_nobody_but_those_who_start_it() {
    for source in sources("src") {
        let room = source.module.first().map_or("main", String::as_str);
        if !OF_APP.contains(&room) {
            source.never(|path| path.starts_with("crate::app"), "whoever needs a part is given that part");
        }
    }
}

#[test]
fn admin_and_sight_never_act() {
    for room in ["src/admin", "src/sight"] {
        for source in sources(room) {
            source.never(|path| path.starts_with("claviger_core::reconcile::outside"), "reading does not act");
        }
    }
}

// ---- how it reads

/// One file: the paths that it spells, absolute, and its words.
struct Source {
    file: PathBuf,
    /// Its module, from the crate down.
    module: Vec<String>,
    paths: BTreeSet<String>,
    words: BTreeSet<String>,
}

impl Source {
    fn read(root: &Path, file: &Path) -> Self {
        let module = module(root, file);
        let tokens = tokens(&fs::read_to_string(file).unwrap());
        let paths = paths(&tokens, &module);
        let words = tokens.into_iter().filter(|token| is_name(token)).collect();
        Self { file: file.to_owned(), module, paths, words }
    }

    fn name(&self) -> String {
        self.file.strip_prefix(here()).unwrap_or(&self.file).display().to_string()
    }

    fn never(&self, bad: impl Fn(&str) -> bool, why: &str) {
        if let Some(path) = self.paths.iter().find(|path| bad(path)) {
            panic!("{} uses `{path}`: {why}", self.name());
        }
    }
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of production code, or the one file; a room that is not there has none.
fn sources(room: &str) -> Vec<Source> {
    let (start, mut files) = (here().join(room), Vec::new());
    collect(&start, &mut files);
    let root = start.ancestors().find(|folder| folder.ends_with("src")).unwrap().to_owned();
    files.iter().map(|file| Source::read(&root, file)).collect()
}

fn collect(at: &Path, files: &mut Vec<PathBuf>) {
    if at.is_file() {
        let for_tests = at.file_stem().is_some_and(|stem| stem == "tests" || stem == "given");
        if at.extension().is_some_and(|extension| extension == "rs") && !for_tests {
            files.push(at.to_owned());
        }
    } else if at.file_name().is_none_or(|name| name != "tests")
        && let Ok(entries) = fs::read_dir(at)
    {
        let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| collect(entry, files));
    }
}

/// `src/adapters/acme/order.rs` is `adapters::acme::order`.
fn module(root: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(root).unwrap().with_extension("");
    let mut names: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    names.pop_if(|last| matches!(last.as_str(), "lib" | "main" | "mod"));
    names
}

/// Names, `::`, braces and everything else one by one; without comments, texts, and what is compiled for tests only.
fn tokens(text: &str) -> Vec<String> {
    let text = without_tests(&without_comments_and_texts(text));
    let (mut tokens, mut rest) = (Vec::new(), text.as_str());
    while let Some(start) = rest.chars().next() {
        let length = match start {
            _ if rest.starts_with("::") => 2,
            start if start.is_alphanumeric() || start == '_' => {
                rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len())
            }
            start => start.len_utf8(),
        };
        if !start.is_whitespace() {
            tokens.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

fn without_comments_and_texts(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(start) = rest.chars().next() {
        let end =
            |closing: &str, from: usize| rest[from..].find(closing).map_or(rest.len(), |at| from + at + closing.len());
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            end("*/", 2)
        } else if rest.starts_with("r#\"") {
            end("\"#", 3)
        } else if start == '"' {
            end_of_text(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
            3
        } else {
            0
        };
        if skipped == 0 {
            kept.push(start);
            rest = &rest[start.len_utf8()..];
        } else {
            kept.push(' ');
            rest = &rest[skipped..];
        }
    }
    kept
}

fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Cuts out every block behind `#[cfg(test)]`.
fn without_tests(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        rest = &rest[at + "#[cfg(test)]".len()..];
        let end = rest.find([';', '{']).unwrap_or(rest.len());
        let length = if rest[end..].starts_with('{') { block(&rest[end..]) } else { rest.len().min(end + 1) - end };
        rest = &rest[end + length..];
    }
    kept.push_str(rest);
    kept
}

fn block(text: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        depth += match letter {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// Every path of two names or more, absolute: `super` and `self` are followed, and the branches of a `use` tree are told apart.
fn paths(tokens: &[String], module: &[String]) -> BTreeSet<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = is_name(&tokens[at]) && tokens.get(at + 1).is_some_and(|next| next == "::");
        let inside = at > 0 && tokens[at - 1] == "::";
        if starts && !inside {
            at = branch(tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found.into_iter().map(|path| absolute(&path, module)).collect()
}

/// Reads one branch from `at` on and gives the place behind it.
fn branch(tokens: &[String], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    while at < tokens.len() && is_name(&tokens[at]) {
        path.push(tokens[at].clone());
        at += 1;
        if tokens.get(at).is_none_or(|next| next != "::") {
            break;
        }
        at += 1;
        if tokens.get(at).is_some_and(|next| next == "{") {
            return branches(tokens, at + 1, &path, found);
        }
    }
    found.push(path);
    at
}

fn branches(tokens: &[String], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    while at < tokens.len() && tokens[at] != "}" {
        at = if is_name(&tokens[at]) { branch(tokens, at, before, found) } else { at + 1 };
        if tokens.get(at).is_some_and(|next| next == "as") {
            at += 2;
        }
    }
    at + 1
}

fn absolute(path: &[String], module: &[String]) -> String {
    let mut absolute = Vec::new();
    let relative = path.first().is_some_and(|first| first == "super" || first == "self");
    if relative {
        absolute.push("crate".to_owned());
        absolute.extend(module.iter().cloned());
    }
    for name in path {
        match name.as_str() {
            "self" => {}
            "super" => drop(absolute.pop_if(|last| last != "crate")),
            _ => absolute.push(name.clone()),
        }
    }
    absolute.join("::")
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

fn words(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The names below `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(here().join(manifest)).unwrap();
    let mut sections: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if let Some((name, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let name = name.trim().trim_end_matches(".workspace").to_owned();
            sections.entry(section).or_default().insert(name);
        }
    }
    sections.remove("[dependencies]").unwrap_or_default()
}

// ---- whether it reads well

fn read(text: &str) -> BTreeSet<String> {
    paths(&tokens(text), &["adapters".to_owned(), "acme".to_owned(), "order".to_owned()])
}

#[test]
fn a_glance_is_seen_however_it_is_spelled() {
    assert_eq!(read("use crate::app::App;"), words(&["crate::app::App"]));
    assert_eq!(read("use crate::{app::App, drive};"), words(&["crate::app::App", "crate::drive"]));
    assert_eq!(
        read("use super::super::craft::{self, keys};"),
        words(&["crate::adapters::craft", "crate::adapters::craft::keys"])
    );
    assert_eq!(read("fn f() { crate::app::start(); }"), words(&["crate::app::start"]));
    assert_eq!(read("use a::{b::{c, d as e}, f::*};"), words(&["a::b::c", "a::b::d", "a::f"]));
    assert_eq!(read("let now = Instant::now();"), words(&["Instant::now"]));
}

#[test]
fn what_is_no_code_is_not_seen() {
    assert_eq!(
        read("// crate::app\n/* crate::app */ let text = \"crate::app \\\" crate::app\"; let c = '\"';"),
        words(&[])
    );
    assert_eq!(
        read("#[cfg(test)]\nmod tests { use crate::app; fn f() { {} } }\nuse crate::drive;"),
        words(&["crate::drive"])
    );
    assert_eq!(read("#[cfg(test)]\nmod tests;\nuse crate::drive;"), words(&["crate::drive"]));
}
