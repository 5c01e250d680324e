//! A file of conversations: read, played, compared or written anew.

use std::path::{Path, PathBuf};

use crate::daemon::Daemon;

pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/scripts");

/// One file.
pub(crate) struct Script {
    path: PathBuf,
    parts: Vec<Part>,
}

enum Part {
    Remark(String),
    Said { typed: String, answered: String },
}

impl Script {
    pub(crate) fn read(path: &Path) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            match (line.strip_prefix("$ "), parts.last_mut()) {
                (Some(typed), _) => parts.push(Part::Said { typed: typed.to_owned(), answered: String::new() }),
                (None, _) if line.starts_with("# ") => parts.push(Part::Remark(line.to_owned())),
                (None, Some(Part::Said { answered, .. })) => answered.push_str(&format!("{line}\n")),
                (None, _) => assert_eq!(line, "", "{}: a line belongs to nothing", path.display()),
            }
        }
        Self { path: path.to_owned(), parts }
    }

    /// Play it; what has drifted is returned, or accepted.
    pub(crate) fn play(&self, accept: bool) -> Option<String> {
        let mut daemon = None;
        let mut written = String::new();
        let mut drifts = String::new();
        for part in &self.parts {
            match part {
                Part::Remark(remark) => {
                    if let Some(world) = remark.strip_prefix("# world: ") {
                        daemon = Some(Daemon::start(world));
                    }
                    written.push_str(&format!("\n{remark}\n"));
                }
                Part::Said { typed, answered } => {
                    let now = say(daemon.as_ref().expect("`# world: NAME` comes first"), typed);
                    if now.trim_end() != answered.trim_end() {
                        drifts.push_str(&drift(&self.path, typed, answered, &now));
                    }
                    written.push_str(&format!("\n$ {typed}\n{}\n", now.trim_end()));
                }
            }
        }
        if accept && !drifts.is_empty() {
            std::fs::write(&self.path, written.trim_start()).unwrap();
            return None;
        }
        Some(drifts).filter(|drifts| !drifts.is_empty())
    }
}

fn drift(path: &Path, typed: &str, before: &str, now: &str) -> String {
    format!("{}:\n$ {typed}\n--- as written\n{}\n--- now\n{}\n", path.display(), before.trim_end(), now.trim_end())
}

/// Run one line and write down what came back.
fn say(daemon: &Daemon, typed: &str) -> String {
    let mut words = words(typed);
    let program = words.iter().position(|word| word == "clavigerctl").expect("a line calls clavigerctl");
    let arguments: Vec<String> = words.drain(program..).skip(1).collect();
    let mut command = daemon.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    command.envs(words.iter().map(|word| word.split_once('=').expect("NAME=VALUE stands in front")));
    let said = command.output().unwrap();
    let data = told(&said.stdout);
    assert!(!data.lines().any(|line| ["$ ", "# ", "2> ", "=> "].iter().any(|mark| line.starts_with(mark))), "{data}");
    let talk: String = told(&said.stderr).lines().map(|line| format!("2> {line}\n").replace("2> \n", "2>\n")).collect();
    let code = said.status.code().expect("it ends by itself");
    format!("{data}{talk}{}", if code == 0 { String::new() } else { format!("=> {code}\n") })
}

/// What was written, with the release and the escapes made readable.
fn told(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.replace(&format!(" {} ", env!("CARGO_PKG_VERSION")), " VERSION ")
        .replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"VERSION\"")
        .replace(&format!("clavigerctl {}\n", env!("CARGO_PKG_VERSION")), "clavigerctl VERSION\n")
        .replace('\u{1b}', "<ESC>")
}

/// Words as a shell would cut them; single quotes keep what is between them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words
}
