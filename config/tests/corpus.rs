//! The corpus in `tests/documents`: what is wrong with each bad document, word by word. `CLAVIGER_ACCEPT=1` writes the
//! expected findings anew; read the difference before it is committed.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use claviger_config::{
    admin::Finding,
    judge::Incumbents,
    settings,
    settle::{FileRead, Settled, settle},
};
use support::settings;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is part of the project");
    let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

fn settled(path: &Path) -> Settled {
    let content = Ok(fs::read(path).expect("the file can be read").into());
    settle(&[FileRead { name: name(path), content }], &Incumbents::default(), &settings())
}

fn errors(path: &Path) -> Vec<Finding> {
    if !name(path).starts_with("settings-") {
        return settled(path).findings;
    }
    settings::read(&name(path), &fs::read(path).expect("the file can be read")).err().unwrap_or_default()
}

/// One line per finding: place, code, message and next step.
fn told(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let Finding { line, column, code, message, fix, .. } = finding;
        format!("{line}:{column} {code} {message}\n    {fix}\n")
    };
    findings.iter().map(line).collect()
}

fn compare(path: &Path, findings: &[Finding]) -> Option<String> {
    let expected = path.with_extension("findings");
    let found = told(findings);
    if std::env::var_os("CLAVIGER_ACCEPT").is_some() {
        fs::write(&expected, &found).expect("the findings can be written");
    }
    let expected = fs::read_to_string(&expected).unwrap_or_default();
    (found != expected).then(|| format!("{}\nexpected:\n{expected}found:\n{found}", name(path)))
}

#[test]
fn every_bad_document_gets_exactly_its_findings() {
    let paths = documents(&folder("../tests/documents/bad"));
    assert!(paths.len() >= 60, "the corpus is there");
    let differences: Vec<String> = paths
        .iter()
        .filter_map(|path| {
            let findings = errors(path);
            assert!(!findings.is_empty(), "{} is bad and not refused", name(path));
            compare(path, &findings)
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_document_that_is_not_worked_on_says_why() {
    let differences: Vec<String> = documents(&folder("../tests/documents/refused"))
        .iter()
        .filter_map(|path| {
            let settled = settled(path);
            assert_eq!(settled.findings, [], "{} is accepted", name(path));
            assert!(!settled.refused.is_empty(), "{} is worked on", name(path));
            compare(path, &settled.refused)
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_good_document_is_accepted_and_worked_on() {
    for path in documents(&folder("../tests/documents/good")) {
        assert_eq!(errors(&path), [], "{}", name(&path));
        if !name(&path).starts_with("settings-") {
            let settled = settled(&path);
            assert_eq!(settled.refused, [], "{}", name(&path));
            assert!(!settled.desired.objects.is_empty() && !settled.desired.frozen, "{}", name(&path));
        }
    }
}

#[test]
fn the_examples_are_accepted_together() {
    let file = folder("examples/claviger.yaml");
    let settings =
        settings::read("claviger.yaml", &fs::read(file).expect("the example is there")).expect("good settings");
    let read = |path: &PathBuf| FileRead {
        name: name(path),
        content: Ok(fs::read(path).expect("the file can be read").into()),
    };
    let files: Vec<FileRead> = documents(&folder("examples/resources")).iter().map(read).collect();
    let settled = settle(&files, &Incumbents::default(), &(&settings).into());
    assert_eq!(settled.findings, []);
    assert_eq!(settled.refused, []);
    assert!(settled.notices.iter().all(|notice| notice.code == "CLV-0402"), "{:#?}", settled.notices);
    assert_eq!(settled.desired.objects.len(), 10);
}

/// A secret in the corpus is always this word.
#[test]
fn no_finding_repeats_a_secret() {
    for path in documents(&folder("../tests/documents/bad")) {
        let text = format!("{:?}", errors(&path)).to_lowercase();
        for secret in ["hunter2", "ahvudgvy", "mc4caqawbqydk2vw", "aa0bb1cc2"] {
            assert!(!text.contains(secret), "{}: {text}", name(&path));
        }
    }
}
