//! Whatever bytes come: an answer, soon, and never a panic.

mod support;

use std::time::{Duration, Instant};

use claviger_config::{
    document::{self, render},
    judge::Incumbents,
    settings,
    settle::{FileRead, settle},
};
use proptest::prelude::*;

/// Everything that reads, on these bytes.
fn everything(bytes: &[u8]) -> usize {
    let read = document::read("hostile.yaml", bytes);
    let file = FileRead { name: "hostile.yaml".to_owned(), content: Ok(bytes.into()) };
    let settled = settle(&[file], &Incumbents::default(), &support::settings());
    let settings = settings::read("hostile.yaml", bytes).err().unwrap_or_default();
    for finding in settled.findings.iter().chain(&settings) {
        assert!(finding.message.len() < 2_000 && finding.found.as_ref().is_none_or(|found| found.len() < 1_000));
    }
    render::render(render::Severity::Error, &settled.findings);
    read.findings.len()
}

#[expect(clippy::disallowed_methods, reason = "what is tested is how long it takes")]
fn soon(what: &str, bytes: &[u8]) -> usize {
    let start = Instant::now();
    let findings = document::read("hostile.yaml", bytes).findings.len();
    assert!(start.elapsed() < Duration::from_secs(10), "{what} took {:?}", start.elapsed());
    findings
}

fn filled(unit: &str) -> Vec<u8> {
    unit.repeat(document::parse::MAX_BYTES / unit.len()).into_bytes()
}

#[test]
fn large_and_nested_inputs_are_refused_early() {
    for unit in [
        "[",
        "{",
        "[[],",
        "{a: ",
        "- ",
        "- - - -\n",
        "? ",
        "a: &a [*a]\n",
        "&a ",
        "*a ",
        "!",
        "!!str ",
        "'",
        "\"",
        "\\",
        "|\n",
        ">\n",
        "#\n",
        "---\n",
        "--- a\n",
        "---\n{}\n",
        "---\nkind: KmsKey\n",
        "a:\n",
        "a: b\n",
        "x",
        "x\n",
        "\n",
        "\t",
        " ",
        "%YAML\n",
        "\u{feff}",
        "é",
        "a: [\n---\n",
        ": ",
        "- a: b\n",
        "{a, b},",
        "\"\\u0000\"\n",
        "...\n",
        "<<: *x\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "k: v\n---\n",
    ] {
        soon(unit, &filled(unit));
    }
}

#[test]
fn maps_with_many_fields_are_read_in_a_moment() {
    let distinct: String = (0..4_900).map(|number| format!("k{number}: v\n")).collect();
    assert!(soon("distinct fields", distinct.as_bytes()) <= 201);
    let repeated = format!("{distinct}---\n").repeat(15);
    soon("many large documents", repeated.as_bytes());
}

#[test]
fn a_hundred_megabytes_are_refused_by_their_size() {
    let large = vec![b'a'; 100 << 20];
    let read = document::read("large.yaml", large.as_slice());
    assert_eq!(support::codes(&read.findings), ["CLV-0102"]);
}

#[test]
fn an_alias_bomb_does_not_grow() {
    let mut bomb = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..30 {
        let before = format!("*a{}, ", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    soon("alias bomb", bomb.as_bytes());
}

#[test]
fn too_many_errors_are_counted_and_not_listed() {
    let text = "---\nkind: Pod\n".repeat(5_000);
    let read = document::read("pods.yaml", text.as_bytes());
    assert_eq!(read.findings.len(), 201);
    assert!(read.findings.last().expect("the last says how many").message.contains("more errors"));
}

#[test]
fn thousands_of_documents_are_judged_in_a_moment() {
    let hostname = |number: usize| {
        format!(
            "---\napiVersion: claviger.dev/v1alpha1\nkind: CustomHostname\nmetadata: {{ name: h{number}, namespace: production }}\nspec: {{ hostname: h{number}.customer.example, tenant: t{number} }}\n"
        )
    };
    let text: String = (0..5_000).map(hostname).collect();
    let files = [support::file("a.yaml", support::PRODUCTION), support::file("hostnames.yaml", &text)];
    let settled = settle(&files, &Incumbents::default(), &support::settings());
    assert_eq!((settled.findings.len(), settled.refused.len()), (0, 0));
    assert_eq!(settled.desired.objects.len(), 5_002);
}

/// Text that is nearly a document.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("kind"),
        Just("Environment"),
        Just("TlsCertificate"),
        Just("metadata"),
        Just("name"),
        Just("namespace"),
        Just("spec"),
        Just("dnsNames"),
        Just("outlets"),
        Just("kms"),
        Just("zones"),
        Just("apiToken"),
        Just("claviger.dev/v1alpha1"),
        Just("apiVersion"),
        Just("null"),
        Just("~"),
        Just("true"),
        Just("1.5"),
        Just("0x1F"),
        Just("-0"),
        Just("1e999"),
        Just(".inf"),
        Just("99999999999999999999"),
        Just("*a"),
        Just("&a"),
        Just("!!int"),
        Just("a.example.com"),
        Just("*.example.com"),
        Just("ü"),
    ];
    let mark = prop_oneof![
        Just(": "),
        Just("\n"),
        Just("\n  "),
        Just("\n    "),
        Just("- "),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(", "),
        Just("\n---\n"),
        Just("\""),
        Just("'"),
        Just("# "),
        Just("| "),
        Just("? "),
        Just("\t"),
        Just("\u{202e}"),
    ];
    let piece = prop_oneof![word, mark];
    proptest::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

/// A document of the corpus with bytes changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let seed = prop_oneof![Just(support::STAGING), Just(support::PRODUCTION), Just(support::WEB), Just(support::SHOP)];
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    (seed, proptest::collection::vec(change, 0..8)).prop_map(|(text, changes)| {
        let mut bytes = text.as_bytes().to_vec();
        for (index, byte, how) in changes {
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        everything(&bytes);
    }

    #[test]
    fn nearly_documents_get_an_answer(text in nearly()) {
        everything(text.as_bytes());
    }

    /// What the walk accepts can be understood: code CLV-0138 would be a bug.
    #[test]
    fn what_has_the_right_shape_is_understood(bytes in mutated()) {
        let read = document::read("mutated.yaml", bytes.as_slice());
        prop_assert!(read.findings.iter().all(|finding| finding.code != "CLV-0138"));
        everything(&bytes);
    }
}
